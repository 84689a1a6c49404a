"""The light curves that LSST's features are made of: detections with a flux, packed and in time order."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.ragged import strided
from lasair.packets.batch import AlertBatch
from lasair.schema.model import DETECTION
from lasair.sky.extinction import BANDS

#: index of a band letter in BANDS by its ASCII code, -1 for any other
BAND_INDEX: NDArray[np.int8] = np.full(256, -1, np.int8)
BAND_INDEX[[ord(band) for band in BANDS]] = np.arange(len(BANDS))


class Detections(NamedTuple):
    """Rows of alert i are ``offsets[i]:offsets[i+1]``, ascending in time.

    `mjd` [d], `flux` and `flux_err` [nJy] (finite; the error may be NaN), `reliability` (may be NaN) are float64;
    `band` is the index in BANDS, -1 when it is none of these.
    """

    offsets: NDArray[np.int64]
    mjd: NDArray[np.float64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    reliability: NDArray[np.float64]
    band: NDArray[np.int8]


def detections(batch: AlertBatch) -> Detections:
    """The batch's detections that have a time and a flux."""
    rows = strided(batch.rows)
    return Detections(
        *_pack(
            np.ascontiguousarray(batch.offsets),
            rows["kind"],
            rows["mjd_tai"],
            rows["flux"],
            rows["flux_err"],
            rows["reliability"],
            rows["band"],
            BAND_INDEX,
        )
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pack(
    offsets: NDArray[np.int64],
    kind: NDArray[np.uint8],
    mjd: NDArray[np.float64],
    flux: NDArray[np.float32],
    flux_err: NDArray[np.float32],
    reliability: NDArray[np.float32],
    band: NDArray[np.uint8],
    band_index: NDArray[np.int8],
) -> Any:
    n = len(offsets) - 1
    kept = np.zeros(n + 1, np.int64)
    total = 0
    for i in range(n):
        for j in range(offsets[i], offsets[i + 1]):
            if kind[j] == DETECTION and math.isfinite(flux[j]) and math.isfinite(mjd[j]):
                total += 1
        kept[i + 1] = total
    out_mjd = np.empty(total)
    out_flux = np.empty(total)
    out_err = np.empty(total)
    out_reliability = np.empty(total)
    out_band = np.empty(total, np.int8)
    k = 0
    for j in range(offsets[0], offsets[n]):
        if kind[j] == DETECTION and math.isfinite(flux[j]) and math.isfinite(mjd[j]):
            out_mjd[k] = mjd[j]
            out_flux[k] = flux[j]
            out_err[k] = flux_err[j]
            out_reliability[k] = reliability[j]
            out_band[k] = band_index[band[j]]
            k += 1
    return kept, out_mjd, out_flux, out_err, out_reliability, out_band
