"""Brightest absolute magnitude."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.detections import Detections
from lasair.packets.batch import Columns

#: AB magnitude of 1 nJy (Oke & Gunn 1983, ApJ 266, 713).
AB_ZERO_POINT_NJY = 31.4


def absolute_magnitude(curves: Detections, correction: NDArray[np.float64], modulus: NDArray[np.float64]) -> Columns:
    """`absMag` [mag] and `absMagMJD` [d] of the brightest detection.

    Parameters
    ----------
    curves : light curves of n alerts
    correction : (n, 6)
        Factors that undo the extinction by band.
    modulus : (n,) [mag]
        See `distance_modulus`.

    Returns
    -------
    NaN where the modulus or E(B-V) is missing or no flux is positive.
    """
    found = _brightest(curves.offsets, curves.mjd, curves.flux, curves.band, correction, modulus)
    return {"absMag": found[0], "absMagMJD": found[1]}


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _brightest(
    offsets: NDArray[np.int64],
    mjd: NDArray[np.float64],
    flux: NDArray[np.float64],
    band: NDArray[np.int8],
    correction: NDArray[np.float64],
    modulus: NDArray[np.float64],
) -> Any:
    n = len(offsets) - 1
    out = np.full((2, n), np.nan)
    for i in range(n):
        if not math.isfinite(modulus[i]):
            continue
        brightest = 0.0
        for j in range(offsets[i], offsets[i + 1]):
            if band[j] < 0:
                continue
            corrected = flux[j] * correction[i, band[j]]
            if corrected > brightest:
                brightest = corrected
                out[1, i] = mjd[j]
        if brightest > 0.0:
            out[0, i] = AB_ZERO_POINT_NJY - 2.5 * math.log10(brightest) - modulus[i]
    return out
