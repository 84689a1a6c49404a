"""Colour of the last night with both bands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.ztf_detections import ZtfDetections
from lasair.packets.batch import Columns


def night_colour(curves: ZtfDetections) -> Columns:
    """`g_minus_r` [mag] and the time of its g, `jd_g_minus_r` [d].

    Taken from the last night with detections in g and r brighter than the reference, of each band the last.
    """
    found = _colour(curves.offsets, curves.jd, curves.mag, curves.band, curves.sign, curves.night)
    return {"g_minus_r": found[0], "jd_g_minus_r": found[1]}


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _colour(
    offsets: NDArray[np.int64],
    jd: NDArray[np.float64],
    mag: NDArray[np.float64],
    band: NDArray[np.int8],
    sign: NDArray[np.int8],
    night: NDArray[np.int64],
) -> Any:
    n = len(offsets) - 1
    out = np.full((2, n), np.nan)
    for i in range(n):
        g = r = -1
        first, end = offsets[i], offsets[i + 1]
        # by night, then by time: in some packets the two disagree
        order = np.argsort(night[first:end], kind="mergesort")
        for k in range(end - first - 1, -1, -1):
            j = first + order[k]
            if sign[j] <= 0 or band[j] < 0 or not math.isfinite(mag[j]):
                continue
            # going back, an earlier night drops what only one band of the later night had
            if g >= 0 and night[g] != night[j]:
                g = -1
            if r >= 0 and night[r] != night[j]:
                r = -1
            if band[j] == 0 and g < 0:
                g = j
            elif band[j] == 1 and r < 0:
                r = j
            if g >= 0 and r >= 0:
                out[0, i] = mag[g] - mag[r]
                out[1, i] = jd[g]
                break
    return out
