"""Ingest: cutouts and light curves of a batch go to their stores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lasair.packets.batch import CUTOUT_KINDS, AlertBatch
from lasair.schema.model import INT_MISSING
from lasair.stores.protocols import Cutout, CutoutStore, LightcurveStore, PutResult

#: Name space of the light curves of LSST's movers, keyed by ssObjectId.
LSST_MOVERS = "lsst_ss"

_MJD_UNIX_EPOCH = 40587.0


def exposure_nights(mjd: NDArray[np.float64]) -> NDArray[np.int64]:
    """UTC dates (yyyymmdd) of exposures; the 37 s between TAI and UTC do not matter for filing images."""
    days = np.floor(mjd - _MJD_UNIX_EPOCH).astype("datetime64[D]")
    years = days.astype("datetime64[Y]")
    months = days.astype("datetime64[M]")
    year = years.astype(np.int64) + 1970
    month = (months - years.astype("datetime64[M]")).astype(np.int64) + 1
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    return np.asarray(year * 10_000 + month * 100 + day)


def keep_cutouts(batch: AlertBatch, store: CutoutStore) -> PutResult:
    """Store the images of the batch by night of exposure, so that a repeated alert finds its own night again."""
    written = unchanged = 0
    nights = exposure_nights(batch.alerts["mjd_tai"])
    present = batch.cutouts[:, :, 1] > batch.cutouts[:, :, 0]
    for night in np.unique(nights[present.any(axis=1)]).tolist():
        result = store.put(batch.survey, night, _images(batch, np.flatnonzero(nights == night)))
        written += result.written
        unchanged += result.unchanged
    return PutResult(written, unchanged)


def _images(batch: AlertBatch, alerts: NDArray[np.int64]) -> Iterator[Cutout]:
    for alert, alert_id in zip(alerts.tolist(), batch.alerts["alert_id"][alerts].tolist(), strict=True):
        for kind in CUTOUT_KINDS:
            data = batch.cutout(alert, kind)
            if len(data):
                yield Cutout(alert_id, kind, data)


def keep_lightcurves(batch: AlertBatch, store: LightcurveStore) -> PutResult:
    """Merge the rows of the batch into the light curves of objects and movers."""
    # ZTF's movers have an objectId like everything else
    movers = (batch.alerts["is_mover"] == 1) & (batch.survey == "lsst")
    movers &= batch.alerts["ss_object_id"] != INT_MISSING
    # an ssSource without an id says that it moves, not which one it is: nothing to keep its light curve under
    nameless = ~movers & (batch.alerts["object_id"] == INT_MISSING)
    if nameless.any():
        return keep_lightcurves(batch.select(~nameless), store) if not nameless.all() else PutResult(0, 0)
    if not movers.any():
        return _put(batch, batch.survey, "object_id", store)
    if movers.all():
        return _put(batch, LSST_MOVERS, "ss_object_id", store)
    fixed = _put(batch.select(~movers), "lsst", "object_id", store)
    moving = _put(batch.select(movers), LSST_MOVERS, "ss_object_id", store)
    return PutResult(fixed.written + moving.written, fixed.unchanged + moving.unchanged)


def _put(batch: AlertBatch, namespace: str, key: str, store: LightcurveStore) -> PutResult:
    keys = np.ascontiguousarray(batch.alerts[key])
    # packets/ lets no alert pass that has neither object nor mover id
    assert not (keys == INT_MISSING).any()
    return store.put(
        namespace,
        keys,
        batch.rows,
        batch.offsets,
        np.ascontiguousarray(batch.alerts["mjd_tai"]),
        np.ascontiguousarray(batch.alerts["alert_id"]),
    )
