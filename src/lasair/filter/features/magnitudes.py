"""Difference magnitudes and times by band."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.ztf_detections import ZTF_BANDS, ZtfDetections
from lasair.packets.batch import Columns


def magnitudes(curves: ZtfDetections) -> Columns:
    """`mag{b}min`, `…max`, `…mean`, `{b}mag` (newest) [mag], `jd{b}max`, `jdmax`, `jdmin` [d]; NaN when none."""
    by_band, ends = _magnitudes(curves.offsets, curves.jd, curves.mag, curves.band)
    columns: Columns = {"jdmax": ends[1], "jdmin": ends[0]}
    for b, name in enumerate(ZTF_BANDS):
        columns[f"mag{name}min"] = by_band[b, 0]
        columns[f"mag{name}max"] = by_band[b, 1]
        columns[f"mag{name}mean"] = by_band[b, 2]
        columns[f"{name}mag"] = by_band[b, 3]
        columns[f"jd{name}max"] = by_band[b, 4]
    return columns


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _magnitudes(
    offsets: NDArray[np.int64], jd: NDArray[np.float64], mag: NDArray[np.float64], band: NDArray[np.int8]
) -> Any:
    n = len(offsets) - 1
    out = np.full((2, 5, n), np.nan)
    ends = np.full((2, n), np.nan)
    for i in range(n):
        start, end = offsets[i], offsets[i + 1]
        if start == end:
            continue
        ends[0, i] = jd[start]
        ends[1, i] = jd[end - 1]
        for b in range(2):
            number, total = 0, 0.0
            lowest, highest = math.inf, -math.inf
            for j in range(start, end):
                if band[j] == b and math.isfinite(mag[j]):
                    number += 1
                    total += mag[j]
                    lowest, highest = min(lowest, mag[j]), max(highest, mag[j])
                    out[b, 3, i] = mag[j]
                    out[b, 4, i] = jd[j]
            if number > 0:
                out[b, 0, i] = lowest
                out[b, 1, i] = highest
                out[b, 2, i] = total / number
    return out, ends
