"""Counts of detections that are real and brighter than the reference."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.ztf_detections import ZtfDetections
from lasair.packets.batch import Columns
from lasair.schema.model import INT_MISSING

#: Score of rb or drb above which a detection counts as good.
GOOD_SCORE = 0.75


def good_positive(curves: ZtfDetections) -> Columns:
    """`ncandgp`, and `ncandgp_7`, `ncandgp_14` within that many days of the newest detection.

    A count of none is INT_MISSING, as published.
    """
    found = _count(curves.offsets, curves.jd, curves.sign, curves.good)
    return {"ncandgp": found[0], "ncandgp_7": found[1], "ncandgp_14": found[2]}


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count(
    offsets: NDArray[np.int64], jd: NDArray[np.float64], sign: NDArray[np.int8], good: NDArray[np.bool_]
) -> NDArray[np.int64]:
    n = len(offsets) - 1
    out = np.full((3, n), INT_MISSING, np.int64)
    for i in range(n):
        total = week = fortnight = 0
        for j in range(offsets[i], offsets[i + 1]):
            if sign[j] > 0 and good[j]:
                age = jd[offsets[i + 1] - 1] - jd[j]
                total += 1
                week += age < 7.0
                fortnight += age < 14.0
        if total > 0:
            out[0, i] = total
        if week > 0:
            out[1, i] = week
        if fortnight > 0:
            out[2, i] = fortnight
    return out
