"""Filters run on stored objects because an annotation or an event has arrived, not an alert."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.config import Settings
from lasair.definitions.snapshot import ActiveFilter, Snapshot, read_snapshot
from lasair.errors import BadQuery
from lasair.filter.evaluate import FilterStage
from lasair.filter.stored import filter_stored, stored_batch
from lasair.ledger.model import Counts
from lasair.ledger.store import Ledger
from lasair.packets.ids import object_id
from lasair.query.compile import CompiledQuery, compile_query
from lasair.schema.model import Survey
from lasair.stores.open import Stores

#: Objects filtered in one step.
CHUNK = 1000

#: Ends of the tables' names in the databases.
_EVENTS = "_mma_area_hits"


class Tagged(NamedTuple):
    """Objects of one survey that an event has tagged."""

    survey: Survey
    object_ids: NDArray[np.int64]


class Reactor:
    """Runs filters when something other than an alert has changed stored objects.

    A crash repeats what was not noted as done; a stream still gets each (filter version, alert) once.
    """

    def __init__(self, settings: Settings, stores: Stores, ledger: Ledger, definitions: Path) -> None:
        self._settings, self._stores, self._ledger, self._definitions = settings, stores, ledger, definitions
        self._stage = FilterStage(settings)

    def annotations(self) -> Counts:
        """Run filters that wait for annotations on the objects that got some; what they matched and delivered.

        Such a filter runs on objects with a new annotation of a topic that it names.
        """
        counts = Counts()
        while due := self._stores.marks.due(CHUNK):
            snapshot = read_snapshot(self._definitions)
            # filters that name the same topics run on the same objects together
            groups: dict[tuple[Survey, frozenset[str]], list[ActiveFilter]] = {}
            for one, query in _compiled(snapshot, ("annotation", "both")):
                topics = frozenset(topic.lower() for topic in query.annotators)
                groups.setdefault((one.survey, topics), []).append(one)
            for (survey, topics), filters in groups.items():
                keys = {
                    str(one.object_id)
                    for one in due
                    if one.survey == survey and topics & {topic.lower() for topic in one.topics}
                }
                ids = [object_id(survey, key) for key in sorted(keys)]
                counts.add(self._run(filters, snapshot, survey, ids, partition="annotations"))
            self._stores.marks.done(due)
        return counts

    def events(self, tagged: Iterable[Tagged]) -> Counts:
        """Run the filters that ask for events on objects that an event has tagged; what they matched and delivered."""
        counts = Counts()
        snapshot = read_snapshot(self._definitions)
        asking = [
            one
            for one, query in _compiled(snapshot, ("alert", "both"))
            if any(table.endswith(_EVENTS) for table in query.physical)
        ]
        for some in tagged:
            filters = [one for one in asking if one.survey == some.survey]
            ids = some.object_ids.tolist() if filters else []
            for start in range(0, len(ids), CHUNK):
                chunk = ids[start : start + CHUNK]
                counts.add(self._run(filters, snapshot, some.survey, chunk, partition="events"))
        return counts

    def _run(
        self,
        filters: Sequence[ActiveFilter],
        snapshot: Snapshot,
        survey: Survey,
        object_ids: Sequence[int],
        *,
        partition: str,
    ) -> Counts:
        if not object_ids:
            return Counts()
        batch = stored_batch(self._stores, survey, object_ids)
        if not len(batch):
            return Counts()
        done = filter_stored(self._stage, self._ledger, self._settings, filters, batch, snapshot, partition=partition)
        return done.counts


def _compiled(snapshot: Snapshot, triggers: Sequence[str]) -> list[tuple[ActiveFilter, CompiledQuery]]:
    """Active filters with one of some triggers; what does not compile is told of when alerts come."""
    found = []
    for one in snapshot.filters:
        if one.trigger in triggers:
            try:
                query = compile_query(
                    one.select, one.tables, one.where, survey=one.survey, mode="filter", order_by=one.order_by
                )
            except BadQuery:
                continue
            found.append((one, query))
    return found
