"""How bright alerts are, and how much they have changed, for cones that wait for either."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lasair.filter.features.ragged import strided
from lasair.packets.batch import AlertBatch
from lasair.schema.model import DETECTION

#: AB magnitude of 1 nJy.
_NJY_MAG = 31.4


def brightness(batch: AlertBatch, alerts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Magnitude of the triggering detection, and its change since the detection before it in the same band.

    Magnitudes are of the absolute difference flux in both surveys, as ZTF sends them, so that a star that fades counts
    as one that brightens does.

    Parameters
    ----------
    batch : AlertBatch
    alerts : (k,) indices of alerts

    Returns
    -------
    (k,) and (k,) float64 [mag]; NaN where there is no magnitude, or no earlier detection
    """
    if not len(alerts) or not len(batch.rows):
        return np.full(len(alerts), np.nan), np.full(len(alerts), np.nan)
    rows = strided(batch.rows)
    trigger = batch.trigger[alerts]
    first = batch.offsets[alerts]
    count = np.maximum(trigger - first, 0)
    # earlier rows of all these alerts, end to end
    starts = np.concatenate(([0], np.cumsum(count)))
    picked = np.repeat(first - starts[:-1], count) + np.arange(starts[-1])
    same = (rows["kind"][picked] == DETECTION) & (rows["band"][picked] == np.repeat(rows["band"][trigger], count))
    before = np.full(len(alerts), -1, np.int64)
    np.maximum.at(before, np.repeat(np.arange(len(alerts)), count)[same], picked[same])
    now = _magnitude(batch, rows, trigger)
    earlier = np.where(before >= 0, _magnitude(batch, rows, np.maximum(before, 0)), np.nan)
    return now, np.abs(now - earlier)


def _magnitude(batch: AlertBatch, rows: NDArray[np.void], at: NDArray[np.int64]) -> NDArray[np.float64]:
    if batch.survey == "ztf":
        return np.asarray(rows["mag"][at], np.float64)
    flux = np.abs(np.asarray(rows["flux"][at], np.float64))
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(flux > 0, _NJY_MAG - 2.5 * np.log10(flux), np.nan))
