"""What a batch means to users: features, their filters, the messages these cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lasair.config import Settings
from lasair.definitions.snapshot import ActiveFilter, Snapshot
from lasair.filter.database import ALERT, BatchDatabase
from lasair.filter.features.context import Context
from lasair.filter.features.lsst import lsst_objects
from lasair.filter.features.ztf import ztf_objects
from lasair.filter.run import FilterResult, Prepared, Preparer, run_filters
from lasair.ledger.model import Outcome, Place
from lasair.packets.batch import AlertBatch, Columns
from lasair.query.permission import names_used
from lasair.schema.model import SURVEYS
from lasair.sky.extinction import DustMap
from lasair.streams.forms import BatchTimes, Forms
from lasair.times import unix_to_mjd_tai

OBJECTS = "objects"
SHERLOCK = "sherlock_classifications"


def feature_stage(dust: DustMap | None) -> Callable[[AlertBatch], AlertBatch]:
    """The stage that fills ``batch.tables["objects"]``; it uses Sherlock's answer when an earlier stage left one."""

    def compute(batch: AlertBatch) -> AlertBatch:
        if batch.survey == "ztf":
            batch.tables[OBJECTS] = ztf_objects(batch)
        else:
            batch.tables[OBJECTS] = lsst_objects(batch, context_of(batch, dust))
        return batch

    return compute


def context_of(batch: AlertBatch, dust: DustMap | None) -> Context:
    """What is known of the sky at the alerts: extinction, and Sherlock's columns when there are any."""
    context = Context.unknown(len(batch))
    if dust is not None:
        context.ebv = dust.ebv(batch.alerts["ra"], batch.alerts["decl"])
    sherlock = batch.tables.get(SHERLOCK)
    if sherlock is not None:
        context.sherlock_class = sherlock["classification"]
        context.best_distance_mpc, context.z, context.photoz = (
            sherlock["best_distance"],
            sherlock["z"],
            sherlock["photoZ"],
        )
    return context


class FilterStage:
    """Runs the active filters of either survey; keeps its in-memory databases and compiled filters between batches."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._databases = {survey: BatchDatabase(survey) for survey in SURVEYS}
        self._preparers = {survey: Preparer(survey) for survey in SURVEYS}

    def run(
        self,
        batch: AlertBatch,
        evaluated: NDArray[np.int64],
        filters: Sequence[ActiveFilter],
        snapshot: Snapshot,
        *,
        now_s: float,
        among: Sequence[ActiveFilter] = (),
    ) -> list[FilterResult]:
        """Run filters on the alerts at `evaluated`; results count alerts from 0 within these.

        A filter that names what its owner may not use (any more), as `snapshot` says, fails with that reason. What is
        known of filters that are neither given nor `among` those that will be is forgotten: that they are slow, too.
        """
        given = {one.version_id for one in filters}
        known = self._preparers[batch.survey].prepare(
            [*(one for one in among if one.version_id not in given), *filters]
        )
        prepared = [one for one in known if one.filter.version_id in given]
        if not prepared or not len(evaluated):
            return []
        refused = [FilterResult(one.filter, error=reason) for one in prepared if (reason := forbidden(one, snapshot))]
        names = {one.filter.version_id for one in refused}
        allowed = [one for one in prepared if one.filter.version_id not in names]
        database = self._databases[batch.survey]
        database.load(_only(batch, evaluated), [one.reads for one in allowed])
        return refused + run_filters(
            database,
            allowed,
            now_mjd_tai=unix_to_mjd_tai(now_s),
            time_limit_s=self._settings.filter_time_limit_s,
            row_limit=self._settings.filter_row_limit,
        )


def forbidden(one: Prepared, snapshot: Snapshot) -> str:
    """Why a filter may not run: something that it names is neither public nor its owner's nor a group's of theirs."""
    for kind, which in names_used(one.query) if one.query is not None else ():
        if not snapshot.may_use(one.filter.owner_id, kind, which):
            return f"{kind} {which} is private: ask its owner to share it"
    return ""


def _only(batch: AlertBatch, evaluated: NDArray[np.int64]) -> dict[str, Columns]:
    """The batch's tables for some of its alerts, `_alert` counted within these."""
    if len(evaluated) == len(batch):
        return batch.tables
    place = np.full(len(batch), -1, np.int64)
    place[evaluated] = np.arange(len(evaluated))
    found = {}
    for name, columns in batch.tables.items():
        if ALERT in columns:
            keep = place[columns[ALERT]] >= 0
            found[name] = {key: values[keep] for key, values in columns.items()}
            found[name][ALERT] = place[found[name][ALERT]]
        else:
            found[name] = {key: values[evaluated] for key, values in columns.items()}
    return found


def enter_matches(
    batch: AlertBatch,
    evaluated: NDArray[np.int64],
    results: Sequence[FilterResult],
    places: Sequence[Place],
    times: BatchTimes,
    outcome: Outcome,
) -> None:
    """Put what the filters matched into the batch's outcome: counts, messages to deliver, errors.

    `places` has the place of each alert of the batch.
    """
    forms = Forms(batch, evaluated, times)
    whose = evaluated.tolist()
    for result in results:
        if result.error is not None:
            outcome.filter_errors[result.filter.version_id] = (result.filter.filter_id, result.error)
        for j in result.over.tolist():
            counts = outcome.at(places[whose[j]])
            counts.matched += 1
            counts.over_limit += 1
        if outcome.is_closed(result.filter.filter_id):
            for j in result.alerts.tolist():
                counts = outcome.at(places[whose[j]])
                counts.matched += 1
                counts.over_quota += 1
            continue
        for j, message in zip(result.alerts.tolist(), forms.messages(result), strict=True):
            outcome.at(places[whose[j]]).matched += 1
            outcome.deliveries.append((message, places[whose[j]]))
