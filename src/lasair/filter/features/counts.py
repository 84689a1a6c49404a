"""Counts of detections, and their reliability."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.detections import Detections
from lasair.packets.batch import Columns
from lasair.sky.extinction import BANDS

#: Reliability above which a detection counts as good.
GOOD_RELIABILITY = 0.5


def counts(curves: Detections) -> Columns:
    """`medianR`, `latestR` (NaN when unknown), `nPosDiaSources(Nights)`, `nSourcesGood`, `n{b}Sources` (counts, int64).

    A night is a value of int(MJD + 0.5): it changes at noon UTC, and Chile observes within one such day.
    """
    scores, numbers = _count(curves.offsets, curves.mjd, curves.flux, curves.reliability, curves.band)
    columns: Columns = {
        "medianR": scores[0],
        "latestR": scores[1],
        "nPosDiaSources": numbers[0],
        "nPosDiaSourcesNights": numbers[1],
        "nSourcesGood": numbers[2],
    }
    for b, name in enumerate(BANDS):
        columns[f"n{name}Sources"] = numbers[3 + b]
    return columns


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count(
    offsets: NDArray[np.int64],
    mjd: NDArray[np.float64],
    flux: NDArray[np.float64],
    reliability: NDArray[np.float64],
    band: NDArray[np.int8],
) -> Any:
    n = len(offsets) - 1
    scores = np.full((2, n), np.nan)
    numbers = np.zeros((9, n), np.int64)
    longest = 0
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    known = np.empty(longest)
    for i in range(n):
        start, end = offsets[i], offsets[i + 1]
        n_known = 0
        last_night = -math.inf
        for j in range(start, end):
            if math.isfinite(reliability[j]):
                known[n_known] = reliability[j]
                n_known += 1
                if reliability[j] > GOOD_RELIABILITY:
                    numbers[2, i] += 1
            if flux[j] > 0.0:
                numbers[0, i] += 1
                night = math.floor(mjd[j] + 0.5)
                if night != last_night:  # ascending times: equal nights are neighbours
                    numbers[1, i] += 1
                    last_night = night
            if band[j] >= 0:
                numbers[3 + band[j], i] += 1
        if n_known > 0:
            scores[0, i] = np.median(known[:n_known])
        if end > start:
            scores[1, i] = reliability[end - 1]
    return scores, numbers
