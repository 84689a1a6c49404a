"""Mean positions and their scatter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.ztf_detections import ZtfDetections
from lasair.packets.batch import Columns

ARCSEC_PER_DEG = 3600.0


def mean_position(curves: ZtfDetections) -> Columns:
    """`ramean`, `decmean` [deg], `rastd`, `decstd` [arcsec, population; NaN for a single position].

    Right ascensions are averaged around the first of them, so that an object at 0 degrees stays there. As
    published, `rastd` is not multiplied by cos(dec).
    """
    found = _mean(curves.offsets, curves.ra, curves.decl)
    return {"ramean": found[0], "rastd": found[1], "decmean": found[2], "decstd": found[3]}


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mean(offsets: NDArray[np.int64], ra: NDArray[np.float64], decl: NDArray[np.float64]) -> Any:
    n = len(offsets) - 1
    out = np.full((4, n), np.nan)
    for i in range(n):
        number = 0
        first_ra = first_decl = sum_ra = sum_decl = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            if not (math.isfinite(ra[j]) and math.isfinite(decl[j])):
                continue
            if number == 0:
                first_ra, first_decl = ra[j], decl[j]
            number += 1
            sum_ra += (ra[j] - first_ra + 180.0) % 360.0 - 180.0
            sum_decl += decl[j] - first_decl
        if number == 0:
            continue
        east, north = sum_ra / number, sum_decl / number
        out[0, i] = (first_ra + east) % 360.0
        out[2, i] = first_decl + north
        if number < 2:
            continue
        squares_ra = squares_decl = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            if math.isfinite(ra[j]) and math.isfinite(decl[j]):
                squares_ra += ((ra[j] - first_ra + 180.0) % 360.0 - 180.0 - east) ** 2
                squares_decl += (decl[j] - first_decl - north) ** 2
        out[1, i] = ARCSEC_PER_DEG * math.sqrt(squares_ra / number)
        out[3, i] = ARCSEC_PER_DEG * math.sqrt(squares_decl / number)
    return out
