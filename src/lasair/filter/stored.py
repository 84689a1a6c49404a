"""Filters on objects as they are stored, when something other than an alert has changed them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lasair.config import Settings
from lasair.definitions.snapshot import ActiveFilter, Snapshot
from lasair.filter.database import ALERT
from lasair.filter.evaluate import OBJECTS, SHERLOCK, FilterStage, enter_matches
from lasair.ledger.model import Committed, Outcome, Place
from lasair.ledger.store import Ledger, utc_night
from lasair.packets.batch import AlertBatch, Columns, Message, empty_batch
from lasair.packets.ids import object_names
from lasair.schema.model import DETECTION, TNS_WATCHLIST, Column, Survey, layout, table
from lasair.schema.rows import column_of
from lasair.stores.marks import MARK_TABLES
from lasair.stores.open import Stores
from lasair.stores.protocols import ObjectStore
from lasair.streams.forms import BatchTimes

#: How the main database keeps the version of an object's newest alert.
_TIME = Column("_mjd_tai", "double", doc="", origin="lasair")
_ALERT_ID = Column("_alert_id", "bigint", doc="", origin="lasair")


def stored_batch(stores: Stores, survey: Survey, object_ids: Sequence[int]) -> AlertBatch:
    """Objects as a batch: the newest alert of each with the stored light curve and tables, without the packet.

    Objects that the database does not have are left out.
    """
    keys = object_names(survey, np.array(object_ids, np.int64))
    asked = keys.tolist()
    objects = _rows(stores.objects, survey, OBJECTS, asked)
    versions = stores.objects.fetch(survey, OBJECTS, ("_mjd_tai", "_alert_id"), asked)
    there = np.array([i for i, name in enumerate(asked) if name in objects and name in versions], np.int64)
    names = [asked[i] for i in there.tolist()]
    batch = empty_batch(survey)
    batch.alerts = np.zeros(len(there), layout(survey, "alert").dtype)
    batch.alerts["object_id"] = np.array(object_ids, np.int64)[there]
    batch.alerts["mjd_tai"] = column_of(_TIME, [versions[name][0] for name in names])
    batch.alerts["alert_id"] = column_of(_ALERT_ID, [versions[name][1] for name in names])
    batch.alerts["processed_mjd_tai"] = np.nan
    batch.messages = [Message(b"", "stored", i, float("nan")) for i in range(len(there))]
    batch.rows, batch.offsets = stores.lightcurves.get(survey, batch.alerts["object_id"].tolist())
    batch.trigger = _newest_detection(batch)
    batch.tables[OBJECTS] = _columns(survey, OBJECTS, names, objects)
    batch.tables[SHERLOCK] = _columns(survey, SHERLOCK, names, _rows(stores.objects, survey, SHERLOCK, names))
    for name in ("watchlist_hits", "area_hits", "mma_area_hits"):
        batch.tables[name] = stores.objects.rows(survey, name, keys[there])
    for mark in MARK_TABLES:
        batch.tables[mark] = stores.marks.rows(survey, mark, names)
    batch.tables["crossmatch_tns"] = tns_rows(stores, survey, batch.tables["watchlist_hits"])
    return batch


def tns_rows(stores: Stores, survey: Survey, hits: Columns) -> Columns:
    """The table `crossmatch_tns` of a batch: the rows that hits of the TNS watchlist name, by alert, nearest first."""
    rows = np.flatnonzero(hits["wl_id"] == TNS_WATCHLIST)
    rows = rows[np.lexsort((hits["cone_id"][rows], hits["arcsec"][rows], hits[ALERT][rows]))]
    # two cones may have one name
    _, first = np.unique(np.rec.fromarrays((hits[ALERT][rows], hits["name"][rows])), return_index=True)
    rows = rows[np.sort(first)]
    found = stores.objects.rows(survey, "crossmatch_tns", hits["name"][rows])
    found[ALERT] = hits[ALERT][rows][found[ALERT]]
    return found


def _newest_detection(batch: AlertBatch) -> NDArray[np.int64]:
    """Row of each alert's newest detection, which stands for the one that caused the alert; (n,)."""
    detection = np.where(batch.rows["kind"] == DETECTION, np.arange(len(batch.rows)), -1)
    newest = np.full(len(batch), -1, np.int64)
    np.maximum.at(newest, np.repeat(np.arange(len(batch)), np.diff(batch.offsets)), detection)
    return np.where(newest >= 0, newest, batch.offsets[:-1])


def filter_stored(
    stage: FilterStage,
    ledger: Ledger,
    settings: Settings,
    filters: Sequence[ActiveFilter],
    batch: AlertBatch,
    snapshot: Snapshot,
    *,
    partition: str,
    among: Sequence[ActiveFilter] = (),
) -> Committed:
    """Run filters on stored objects and deliver what matches, once for each (filter version, alert) as ever.

    A filter with the full form gets the light one: the packet is not at hand any more.

    Parameters
    ----------
    stage : where they run
    filters : those to run; of other surveys than the batch's they are left out
    snapshot : says what their owners may use
    partition : what the ledger says these matches come from
    among : all filters that the stage is given in turn
    """
    now = time.time()
    chosen = [
        one._replace(output="lite") if one.output == "full" else one for one in filters if one.survey == batch.survey
    ]
    outcome = Outcome(now=now, closed=ledger.closed_filters(now))
    outcome.quotas = {
        one.filter_id: settings.filter_byte_quota if one.byte_quota is None else one.byte_quota for one in chosen
    }
    evaluated = np.arange(len(batch))
    results = stage.run(batch, evaluated, chosen, snapshot, now_s=now, among=among)
    place = Place(partition, utc_night(now))
    enter_matches(batch, evaluated, results, [place] * len(batch), BatchTimes(now, now, now), outcome)
    return ledger.commit(outcome)


def _rows(
    store: ObjectStore, survey: Survey, name: str, keys: Sequence[int | str]
) -> dict[int | str, tuple[object, ...]]:
    return store.fetch(survey, name, table(name, survey).column_names, keys)


def _columns(
    survey: Survey, name: str, keys: Sequence[int | str], rows: dict[int | str, tuple[object, ...]]
) -> Columns:
    columns = table(name, survey).columns
    nothing = (None,) * len(columns)
    values = list(zip(*(rows.get(key, nothing) for key in keys), strict=True)) or [()] * len(columns)
    return {column.name: column_of(column, one) for column, one in zip(columns, values, strict=True)}
