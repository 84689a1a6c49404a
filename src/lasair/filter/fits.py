"""Fits too slow for the path of notifications: noted with an alert, made afterwards from the stored light curve.

A filter on a fitted column therefore sees the fit after the object's previous alert.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lasair.filter.evaluate import OBJECTS, SHERLOCK, context_of
from lasair.filter.features.bbb import BBB_COLUMNS, fit_bbb
from lasair.filter.features.context import EXTRAGALACTIC, Context
from lasair.ledger.store import Ledger
from lasair.packets.batch import AlertBatch, Columns, empty_batch
from lasair.schema.model import DETECTION, layout
from lasair.stores.open import Stores
from lasair.stores.protocols import ObjectStore

#: Fewest detections that a fit is tried on.
_FEWEST = 5
_KEY = "diaObjectId"


def fits_due(batch: AlertBatch) -> list[tuple[str, int, float, int]]:
    """(survey, object id, mjd_tai, alert id) of the batch's alerts that a fit may say something about."""
    if batch.survey != "lsst" or SHERLOCK not in batch.tables:
        return []
    detections = np.concatenate(([0], np.cumsum(batch.rows["kind"] == DETECTION)))
    enough = np.diff(detections[batch.offsets]) >= _FEWEST
    wanted = batch.alerts[context_of(batch, None).extragalactic() & enough]
    names = ("object_id", "mjd_tai", "alert_id")
    return [("lsst", *row) for row in zip(*(wanted[name].tolist() for name in names), strict=True)]


def carry_stage(objects: ObjectStore) -> Callable[[AlertBatch], AlertBatch]:
    """The stage that gives filters the fits of the objects' previous alerts."""

    def carry(batch: AlertBatch) -> AlertBatch:
        due = sorted({one[1] for one in fits_due(batch)})
        if not due:
            return batch
        found = objects.fetch(batch.survey, OBJECTS, BBB_COLUMNS, due)
        rows = [found.get(one) for one in batch.alerts["object_id"].tolist()]
        for i, name in enumerate(BBB_COLUMNS):
            values = [np.nan if row is None or row[i] is None else row[i] for row in rows]
            batch.tables[OBJECTS][name] = np.array(values, np.float64)
        return batch

    return carry


def without_fits(columns: Columns) -> Columns:
    """The columns of `objects` that an alert decides; the fitted ones are put by whoever fits."""
    return {name: values for name, values in columns.items() if name not in BBB_COLUMNS}


def make_fits(ledger: Ledger, stores: Stores, *, most: int = 500) -> int:
    """Fit objects that are due and store the result; how many were done (0: none is left).

    The whole stored light curve is fitted, so that the last fit does not depend on the order in which alerts came.
    """
    due = ledger.fits_due(most)
    if not due:
        return 0
    ids = [one[1] for one in due]
    rows, offsets = stores.lightcurves.get("lsst", ids)
    batch = empty_batch("lsst")
    batch.alerts = np.zeros(len(ids), layout("lsst", "alert").dtype)
    names = batch.rows.dtype.names or ()
    batch.rows = np.empty(len(rows), batch.rows.dtype)
    for name in names:
        batch.rows[name] = rows[name]
    batch.offsets = offsets
    fitted = fit_bbb(batch, _stored_context(stores.objects, ids))
    stores.objects.put("lsst", OBJECTS, {_KEY: np.array(ids, np.int64), **fitted})
    ledger.fits_done(due)
    return len(due)


def _stored_context(objects: ObjectStore, ids: list[int]) -> Context:
    context = Context.unknown(len(ids))
    sherlock = objects.fetch("lsst", SHERLOCK, ("classification", "best_distance", "z", "photoZ"), ids)
    ebv = objects.fetch("lsst", OBJECTS, ("ebv",), ids)
    for i, one in enumerate(ids):
        if one in sherlock and sherlock[one][0] in EXTRAGALACTIC:
            context.sherlock_class[i] = sherlock[one][0]
            distance, z, photoz = (np.nan if value is None else value for value in sherlock[one][1:])
            context.best_distance_mpc[i], context.z[i], context.photoz[i] = distance, z, photoz
        if one in ebv and ebv[one][0] is not None:
            context.ebv[i] = ebv[one][0]
    return context
