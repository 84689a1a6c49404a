"""Exponential moving averages of magnitudes."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.ztf_detections import ZTF_BANDS, ZtfDetections
from lasair.packets.batch import Columns

#: Time scales [d] and the ends of the columns' names.
TIME_SCALES: NDArray[np.float64] = np.array([2.0, 8.0, 28.0])
_ENDS = ("02", "08", "28")


def moving_averages(curves: ZtfDetections) -> Columns:
    """`mag_{b}02`, `_08`, `_28` [mag] at the newest detection of the band; NaN without any.

    Each detection keeps exp(-dt / scale) of the average so far and adds the rest of itself; the first starts it.
    """
    found = _average(curves.offsets, curves.jd, curves.mag, curves.band, TIME_SCALES)
    return {f"mag_{name}{end}": found[b, k] for b, name in enumerate(ZTF_BANDS) for k, end in enumerate(_ENDS)}


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _average(
    offsets: NDArray[np.int64],
    jd: NDArray[np.float64],
    mag: NDArray[np.float64],
    band: NDArray[np.int8],
    scales: NDArray[np.float64],
) -> NDArray[np.float64]:
    n = len(offsets) - 1
    out = np.full((2, len(scales), n), np.nan)
    for i in range(n):
        for b in range(2):
            previous = -1
            for j in range(offsets[i], offsets[i + 1]):
                if band[j] != b or not math.isfinite(mag[j]):
                    continue
                for k in range(len(scales)):
                    if previous < 0:
                        out[b, k, i] = mag[j]
                    else:
                        keep = math.exp(-(jd[j] - jd[previous]) / scales[k])
                        out[b, k, i] = out[b, k, i] * keep + mag[j] * (1.0 - keep)
                previous = j
    return out
