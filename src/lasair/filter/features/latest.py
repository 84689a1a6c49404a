"""First and last times, and the newest flux over all bands and in each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.detections import Detections
from lasair.packets.batch import Columns
from lasair.sky.extinction import BANDS


def latest(curves: Detections) -> Columns:
    """`latest_psfFlux`, `{b}_psfFlux` [nJy], `{b}_latestMJD`, `first…` and `lastDiaSourceMjdTai` [d]; NaN when none."""
    flux, mjd, newest, ends = _latest(curves.offsets, curves.mjd, curves.flux, curves.band)
    columns: Columns = {
        "lastDiaSourceMjdTai": ends[1],
        "firstDiaSourceMjdTai": ends[0],
        "latest_psfFlux": newest,
    }
    for b, name in enumerate(BANDS):
        columns[f"{name}_psfFlux"] = flux[b]
        columns[f"{name}_latestMJD"] = mjd[b]
    return columns


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _latest(
    offsets: NDArray[np.int64], mjd: NDArray[np.float64], flux: NDArray[np.float64], band: NDArray[np.int8]
) -> Any:
    n = len(offsets) - 1
    band_flux = np.full((6, n), np.nan)
    band_mjd = np.full((6, n), np.nan)
    newest = np.full(n, np.nan)
    ends = np.full((2, n), np.nan)
    for i in range(n):
        start, end = offsets[i], offsets[i + 1]
        if start == end:
            continue
        newest[i] = flux[end - 1]
        ends[0, i] = mjd[start]
        ends[1, i] = mjd[end - 1]
        for j in range(start, end):  # ascending, so the last one stays
            b = band[j]
            if b >= 0:
                band_flux[b, i] = flux[j]
                band_mjd[b, i] = mjd[j]
    return band_flux, band_mjd, newest, ends
