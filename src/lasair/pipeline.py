"""The chain of stages on one machine: packets in, one ledger commit a batch out."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lasair import ingest
from lasair.config import Settings
from lasair.definitions.snapshot import ActiveFilter, Snapshot, read_snapshot
from lasair.filter.evaluate import OBJECTS, FilterStage, enter_matches, feature_stage
from lasair.filter.fits import carry_stage, fits_due, make_fits, without_fits
from lasair.filter.react import Reactor
from lasair.ledger.model import Committed, Counts, Outcome, Place
from lasair.ledger.store import Ledger, utc_night
from lasair.matching.stage import NOT_KEPT, MatchStage
from lasair.packets.batch import AlertBatch, Columns, Message
from lasair.packets.decode import decode
from lasair.packets.ids import object_names
from lasair.packets.schemas import SchemaSource
from lasair.schema.model import INT_MISSING
from lasair.sherlock.stage import sherlock_stage
from lasair.sky.extinction import DustMap
from lasair.stores.open import Stores
from lasair.stores.protocols import Versions
from lasair.streams.forms import BatchTimes
from lasair.work import Work

log = logging.getLogger("lasair.pipeline")

#: Adds to a batch (its tables) or writes what it holds to a store.
Stage = Callable[[AlertBatch], AlertBatch]


class Pipeline:
    """Takes batches of records through every stage.

    `process` raises StoreUnavailable when a store cannot be written; the batch is then not committed and may be
    given again, now or after a restart.
    """

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        ledger: Ledger,
        schemas: SchemaSource,
        definitions: Path,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._ledger = ledger
        self._schemas = schemas
        self._definitions = definitions
        self._clock = clock
        self._filters = FilterStage(settings)
        self._matches = MatchStage(definitions, stores, contour=settings.event_contour)
        self._reactor = Reactor(settings, stores, ledger, definitions)
        #: every alert, movers and repeated ones too
        self.keep: tuple[tuple[str, Stage], ...] = (
            ("cutouts", self._keep_cutouts),
            ("lightcurves", self._keep_lightcurves),
        )
        #: alerts that go to `objects`; what knows the sky comes before the features, which use it
        self.enrich: tuple[tuple[str, Stage], ...] = (
            ("sherlock", sherlock_stage(settings, stores)),
            ("features", feature_stage(DustMap.open(settings.dust_map_dir))),
            ("earlier fits", carry_stage(stores.objects)),
            ("matches", self._matches),
        )
        #: CPU seconds by stage since the start
        self.cpu_s: dict[str, float] = {}

    def process(self, work: Work, *, keep_positions: bool = True) -> Committed:
        """Take one batch through the chain and commit it."""
        arrived_in = Outcome(now=self._clock(), positions=work.positions() if keep_positions else {})
        with self._timed("decode"):
            decoded, refused = decode(work.messages, self._schemas, allow_programids=self._settings.allow_programids)
        arrived_in.refused = [*work.refused, *refused]
        for message in (*work.messages, *(one.message for one in work.refused)):
            arrived_in.at(_place(message)).read += 1
        arrived_in.closed = self._ledger.closed_filters(arrived_in.now)
        snapshot = read_snapshot(self._definitions)
        arrived_in.quotas = {one.filter_id: self._quota(one) for one in snapshot.filters}
        with self._timed("matches"):
            self._matches.take_in(snapshot)
        for batch in decoded:
            self._one_survey(batch, snapshot, arrived_in)
        with self._timed("ledger"):
            committed = self._ledger.commit(arrived_in)
        for filter_id, reason in committed.to_tell:
            log.warning("filter %d fails: %s (told once; 'lasair filter show' keeps it)", filter_id, reason)
        return committed

    def react(self) -> Counts:
        """Run filters where annotations or an event have arrived; what they matched and delivered."""
        counts = Counts()
        with self._timed("reactions"):
            counts.add(self._reactor.annotations())
            counts.add(self._reactor.events())
        return counts

    def fit(self, stop: Sequence[int] = ()) -> None:
        """Make the fits that are due, when nobody waits for a notification; ends early when `stop` gets an item."""
        with self._timed("fits"):
            while not stop and make_fits(self._ledger, self._stores):
                pass

    def _quota(self, one: ActiveFilter) -> int:
        return self._settings.filter_byte_quota if one.byte_quota is None else one.byte_quota

    def _one_survey(self, batch: AlertBatch, snapshot: Snapshot, outcome: Outcome) -> None:
        ingested = self._clock()
        for name, stage in self.keep:
            with self._timed(name):
                batch = stage(batch)
        fresh = self._fresh(batch)
        # LSST's movers belong to no object, so the setting can pass on only those that have one
        kept_out = (batch.alerts["object_id"] == INT_MISSING) | (not self._settings.filter_movers)
        movers = (batch.alerts["is_mover"] == 1) & kept_out
        _count(batch, fresh, movers, outcome)
        outcome.seen[batch.survey] = batch.alerts["alert_id"][fresh]
        stays = ~movers
        objects = batch if stays.all() else batch.select(stays)
        if not len(objects):
            return
        for name, stage in self.enrich:
            with self._timed(name):
                objects = stage(objects)
        evaluated = np.flatnonzero(fresh[stays])
        with self._timed("filters"):
            filters = [one for one in snapshot.filters if one.trigger != "annotation"]
            results = self._filters.run(objects, evaluated, filters, snapshot, now_s=outcome.now)
        with self._timed("outputs"):
            times = BatchTimes(ingested, filtered := self._clock(), filtered)
            enter_matches(objects, evaluated, results, [_place(one) for one in objects.messages], times, outcome)
        outcome.fits_due += fits_due(objects)
        with self._timed("transfer"):
            self._transfer(objects)

    def _fresh(self, batch: AlertBatch) -> NDArray[np.bool_]:
        """True for one record of each alert that no earlier batch stored: the one with the longest history."""
        ids = batch.alerts["alert_id"]
        known = self._ledger.seen(batch.survey, ids)
        order = np.lexsort((np.arange(len(ids)), -np.diff(batch.offsets), ids))
        first = np.ones(len(ids), np.bool_)
        first[1:] = ids[order][1:] != ids[order][:-1]
        fresh = np.zeros(len(ids), np.bool_)
        fresh[order[first]] = True
        return fresh & ~known

    def _keep_cutouts(self, batch: AlertBatch) -> AlertBatch:
        ingest.keep_cutouts(batch, self._stores.cutouts)
        return batch

    def _keep_lightcurves(self, batch: AlertBatch) -> AlertBatch:
        ingest.keep_lightcurves(batch, self._stores.lightcurves)
        return batch

    def _transfer(self, batch: AlertBatch) -> None:
        versions = Versions(
            np.ascontiguousarray(batch.alerts["mjd_tai"]),
            np.ascontiguousarray(batch.alerts["alert_id"]),
            np.diff(batch.offsets),
        )
        for name, columns in batch.tables.items():
            if name not in NOT_KEPT:
                self._stores.objects.put(batch.survey, name, _decided_by_alert(name, columns), versions)
        self._matches.keep(batch, versions)
        # annotations of objects that were not stored yet: now filters can hear of them
        self._stores.marks.arrived(batch.survey, object_names(batch.survey, batch.alerts["object_id"]).tolist())

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.process_time()
        try:
            yield
        finally:
            self.cpu_s[stage] = self.cpu_s.get(stage, 0.0) + time.process_time() - start


def calm_collector() -> None:
    """Let Python look for cyclic garbage rarely: a batch makes objects by the million and leaves no cycles.

    Called once by a main, after it has imported what it needs; saves a tenth of the CPU time.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _decided_by_alert(name: str, columns: Columns) -> Columns:
    """The columns that an alert decides: slow fits and the name in the TNS are put by whoever finds them."""
    kept = without_fits(columns)
    if name == OBJECTS:
        kept.pop("tns_name", None)
    return kept


def _place(message: Message) -> Place:
    return Place(message.partition, utc_night(message.arrived))


def _count(batch: AlertBatch, fresh: NDArray[np.bool_], movers: NDArray[np.bool_], outcome: Outcome) -> None:
    for i, (message, new, mover) in enumerate(zip(batch.messages, fresh.tolist(), movers.tolist(), strict=True)):
        counts = outcome.at(_place(message))
        counts.decoded += 1
        counts.duplicate += not new
        counts.stored += new
        counts.movers += new and mover
        counts.filtered += new and not mover
        outcome.decoded.append((batch.messages[i].partition, batch.messages[i].offset))


def total(all_counts: Iterable[Counts]) -> Counts:
    """The sum of counts."""
    found = Counts()
    for one in all_counts:
        found.add(one)
    return found
