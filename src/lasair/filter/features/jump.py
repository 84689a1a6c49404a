"""Jumps: how far the last days stand out from the weeks before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.detections import Detections
from lasair.packets.batch import Columns

#: Detections younger than this [d] are tested; those from here to LONG_AGO are what they are compared with.
RECENT, LONG_AGO = 10.0, 70.0
MIN_SAMPLE = 5


def jump(curves: Detections) -> Columns:
    """`jump1`, `jump2`: the two largest jumps over the bands, in standard deviations.

    Ages count from the newest detection, which is tested too. The sample of a band has its detections 10 to 70
    days old, at least five. Their standard deviation (n - 1) is not let fall below their median flux error: five
    points can agree by chance, and then any sixth would be a jump. 0 where no band can be tested, NaN without
    detections.
    """
    found = _jump(curves.offsets, curves.mjd, curves.flux, curves.flux_err, curves.band)
    return {"jump1": found[0], "jump2": found[1]}


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _jump(
    offsets: NDArray[np.int64],
    mjd: NDArray[np.float64],
    flux: NDArray[np.float64],
    flux_err: NDArray[np.float64],
    band: NDArray[np.int8],
) -> Any:
    n = len(offsets) - 1
    out = np.full((2, n), np.nan)
    longest = 0
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    errors = np.empty(longest)
    for i in range(n):
        start, end = offsets[i], offsets[i + 1]
        if start == end:
            continue
        newest = mjd[end - 1]
        first = second = 0.0
        for b in range(6):
            number, total = 0, 0.0
            for j in range(start, end):
                if band[j] == b and RECENT <= newest - mjd[j] <= LONG_AGO:
                    number += 1
                    total += flux[j]
            if number < MIN_SAMPLE:
                continue
            mean = total / number
            squares = 0.0
            n_errors = 0
            farthest = 0.0
            for j in range(start, end):
                if band[j] != b:
                    continue
                age = newest - mjd[j]
                if age < RECENT:
                    farthest = max(farthest, abs(flux[j] - mean))
                elif age <= LONG_AGO:
                    squares += (flux[j] - mean) ** 2
                    if math.isfinite(flux_err[j]) and flux_err[j] > 0.0:
                        errors[n_errors] = flux_err[j]
                        n_errors += 1
            if farthest == 0.0:
                continue
            spread = math.sqrt(squares / (number - 1))
            if n_errors > 0:
                spread = max(spread, np.median(errors[:n_errors]))
            if spread <= 0.0:
                continue
            size = farthest / spread
            if size > first:
                first, second = size, first
            elif size > second:
                second = size
        out[0, i] = first
        out[1, i] = second
    return out
