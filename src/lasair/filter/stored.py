"""Filters on objects as they are stored, when something other than an alert has changed them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from lasair.config import Settings
from lasair.definitions.snapshot import ActiveFilter
from lasair.filter.evaluate import OBJECTS, SHERLOCK, FilterStage, enter_matches
from lasair.ledger.model import Committed, Outcome, Place
from lasair.ledger.store import Ledger, utc_night
from lasair.packets.batch import AlertBatch, Columns, Message, empty_batch
from lasair.packets.ids import object_names
from lasair.schema.model import Survey, layout, table
from lasair.schema.rows import column_of
from lasair.stores.open import Stores
from lasair.stores.protocols import ObjectStore
from lasair.streams.forms import BatchTimes


def stored_batch(
    stores: Stores,
    survey: Survey,
    object_ids: Sequence[int],
    alert_ids: Sequence[int],
    mjd_tai: Sequence[float],
) -> AlertBatch:
    """Objects as a batch: the newest alert of each with the stored light curve and tables, without the packet.

    Objects that the database does not have are left out.
    """
    names = object_names(survey, np.array(object_ids, np.int64)).tolist()
    objects = _rows(stores.objects, survey, OBJECTS, names)
    context = _rows(stores.objects, survey, SHERLOCK, names)
    there = np.array([i for i, name in enumerate(names) if name in objects], np.int64)
    batch = empty_batch(survey)
    batch.alerts = np.zeros(len(there), layout(survey, "alert").dtype)
    batch.alerts["object_id"] = np.array(object_ids, np.int64)[there]
    batch.alerts["alert_id"] = np.array(alert_ids, np.int64)[there]
    batch.alerts["mjd_tai"] = np.array(mjd_tai, np.float64)[there]
    batch.alerts["processed_mjd_tai"] = np.nan
    batch.messages = [Message(b"", "stored", i, float("nan")) for i in range(len(there))]
    batch.rows, batch.offsets = stores.lightcurves.get(survey, batch.alerts["object_id"].tolist())
    # the newest detection stands for the alert that caused it
    batch.trigger = np.maximum(batch.offsets[1:] - 1, batch.offsets[:-1])
    known = [names[i] for i in there.tolist()]
    for name, rows in ((OBJECTS, objects), (SHERLOCK, context)):
        batch.tables[name] = _columns(survey, name, known, rows)
    return batch


def filter_stored(
    stores: Stores,
    ledger: Ledger,
    settings: Settings,
    filters: Sequence[ActiveFilter],
    batch: AlertBatch,
    *,
    partition: str,
) -> Committed:
    """Run filters on stored objects and deliver what matches, once for each (filter version, alert) as ever.

    A filter with the full form gets the light one: the packet is not at hand any more.

    Parameters
    ----------
    filters : those to run; of other surveys than the batch's they are left out
    partition : what the ledger says these matches come from
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
    results = FilterStage(settings).run(batch, evaluated, chosen, now_s=now)
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
