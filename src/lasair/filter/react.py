"""Filters run on stored objects because an annotation or an event has arrived, not an alert."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lasair.config import Settings
from lasair.definitions.snapshot import ActiveFilter, Snapshot, read_snapshot
from lasair.errors import BadQuery
from lasair.filter.evaluate import FilterStage
from lasair.filter.stored import filter_stored, stored_batch
from lasair.ledger.model import Committed, Counts, Outcome
from lasair.ledger.store import Ledger
from lasair.packets.ids import object_id, object_ids
from lasair.query.compile import CompiledQuery, compile_query
from lasair.schema.model import SURVEYS, Survey
from lasair.stores.marks import Due
from lasair.stores.open import Stores

log = logging.getLogger("lasair.filter")

#: Objects filtered in one step.
CHUNK = 1000

#: Ends of the tables' names in the databases.
_EVENTS = "_mma_area_hits"


class Reactor:
    """Runs filters when something other than an alert has changed stored objects.

    A crash repeats what was not noted as done; a stream still gets each (filter version, alert) once.
    """

    def __init__(self, settings: Settings, stores: Stores, ledger: Ledger, definitions: Path) -> None:
        self._settings, self._stores, self._ledger, self._definitions = settings, stores, ledger, definitions
        self._stage = FilterStage(settings)
        #: by version, which never changes
        self._compiled: dict[int, CompiledQuery | BadQuery] = {}

    def annotations(self) -> Counts:
        """Run filters that wait for annotations on the objects that got some; what they matched and delivered.

        Such a filter runs on objects with a new annotation of a topic that it names. Objects that are not stored wait
        until they are (`SqliteMarkStore.arrived`). What is annotated meanwhile is left for the next time, so that
        somebody who annotates all the time does not keep alerts waiting.
        """
        counts = Counts()
        marks = self._stores.marks
        if not (last := marks.last_due()):
            return counts
        snapshot = read_snapshot(self._definitions)
        groups = self._waiting_filters(snapshot)
        among = [one for filters in groups.values() for one in filters]
        after = 0
        while due := marks.due(CHUNK, after=after, upto=last):
            after = max(one.place for one in due)
            unknown: set[Due] = set()
            for (survey, topics), filters in groups.items():
                asked = {
                    object_id(survey, str(one.object_id)): one
                    for one in due
                    if one.survey == survey and topics & {topic.lower() for topic in one.topics}
                }
                batch, done = self._run(filters, among, snapshot, survey, sorted(asked), partition="annotations")
                counts.add(done)
                unknown |= {asked[one] for one in asked.keys() - set(batch)}
            if unknown:
                marks.wait(unknown)
            marks.done(due)
        return counts

    def events(self) -> Counts:
        """Run the filters that ask for events on objects that a new one has tagged; what they matched and delivered."""
        counts = Counts()
        objects = self._stores.objects
        if not (untold := objects.untold_events()):
            return counts
        snapshot = read_snapshot(self._definitions)
        asking = [
            one
            for one in snapshot.filters
            if one.trigger in ("alert", "both")
            and isinstance(query := self._query(one), CompiledQuery)
            and any(table.endswith(_EVENTS) for table in query.physical)
        ]
        for event_id, version in untold:
            for survey in SURVEYS:
                filters = [one for one in asking if one.survey == survey]
                after: int | str | None = None
                while filters and (keys := objects.event_objects(survey, event_id, after, CHUNK)):
                    after = keys[-1]
                    ids = object_ids(survey, np.array(keys)).tolist()
                    counts.add(self._run(filters, asking, snapshot, survey, ids, partition="events")[1])
            objects.event_told(event_id, version)
        return counts

    def _waiting_filters(self, snapshot: Snapshot) -> dict[tuple[Survey, frozenset[str]], list[ActiveFilter]]:
        """Filters that wait for annotations, those of one survey together that name the same topics."""
        groups: dict[tuple[Survey, frozenset[str]], list[ActiveFilter]] = {}
        outcome = Outcome(now=time.time())
        for one in snapshot.filters:
            if one.trigger == "alert":
                continue
            query = self._query(one)
            if isinstance(query, CompiledQuery):
                topics = frozenset(topic.lower() for topic in query.annotators)
                groups.setdefault((one.survey, topics), []).append(one)
            elif one.trigger == "annotation":
                # no alert makes it run, so nobody else would tell its owner
                outcome.filter_errors[one.version_id] = (one.filter_id, f"{query.part}: {query}")
        if outcome.filter_errors:
            _tell(self._ledger.commit(outcome))
        return groups

    def _query(self, one: ActiveFilter) -> CompiledQuery | BadQuery:
        found = self._compiled.get(one.version_id)
        if found is None:
            try:
                found = compile_query(
                    one.select, one.tables, one.where, survey=one.survey, mode="filter", order_by=one.order_by
                )
            except BadQuery as err:
                found = err
            self._compiled[one.version_id] = found
        return found

    def _run(
        self,
        filters: Sequence[ActiveFilter],
        among: Sequence[ActiveFilter],
        snapshot: Snapshot,
        survey: Survey,
        wanted: Sequence[int],
        *,
        partition: str,
    ) -> tuple[Sequence[int], Counts]:
        """The objects that are stored, and what filters matched among them."""
        if not wanted:
            return (), Counts()
        batch = stored_batch(self._stores, survey, wanted)
        if not len(batch):
            return (), Counts()
        done = filter_stored(
            self._stage, self._ledger, self._settings, filters, batch, snapshot, partition=partition, among=among
        )
        _tell(done)
        return batch.alerts["object_id"].tolist(), done.counts


def _tell(done: Committed) -> None:
    for filter_id, reason in done.to_tell:
        log.warning("filter %d fails: %s (told once; 'lasair filter show' keeps it)", filter_id, reason)
