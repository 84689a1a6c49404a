"""Colours of quick pairs: two detections in different bands within 40 minutes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.blackbody import SECOND_RADIATION, WAVELENGTHS
from lasair.filter.features.detections import Detections
from lasair.packets.batch import Columns
from lasair.sky.extinction import BANDS

#: Largest time between the two [d].
MAX_GAP = 40.0 / 1440.0

#: Temperatures that are looked for [kK].
COLDEST, HOTTEST = 0.1, 1000.0

_MAX_STEPS = 100
_TOLERANCE = 1e-10

#: 'g-i' and so on at 6 * blue + red; '' at the end, where index -1 finds it.
_NAMES = np.array([f"{blue}-{red}" for blue in BANDS for red in BANDS] + [""], "<U16")


def pair_colours(curves: Detections, correction: NDArray[np.float64]) -> Columns:
    """The newest two pairs (`latestPair…`, `penultimatePair…`): MJD [d], colour [mag], bands, temperature [kK].

    Neighbours in time with different bands less than 40 minutes apart are a pair, dated by the later. The colour
    is -2.5 log10(blue flux / red flux), corrected for extinction.

    Parameters
    ----------
    curves : light curves of n alerts
    correction : (n, 6)
        Factors that undo the extinction by band.

    Returns
    -------
    Colour, bands and temperature are missing where the ratio is not positive or E(B-V) is missing; the
    temperature also where no black body has that colour.
    """
    numbers, names = _pairs(curves.offsets, curves.mjd, curves.flux, curves.band, correction, WAVELENGTHS)
    columns: Columns = {}
    for which, prefix in enumerate(("latestPair", "penultimatePair")):
        columns[f"{prefix}MJD"] = numbers[which, 0]
        columns[f"{prefix}ColourMag"] = numbers[which, 1]
        columns[f"{prefix}ColourBands"] = _NAMES[names[which]]
        columns[f"{prefix}ColourTemp"] = numbers[which, 2]
    return columns


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pairs(
    offsets: NDArray[np.int64],
    mjd: NDArray[np.float64],
    flux: NDArray[np.float64],
    band: NDArray[np.int8],
    correction: NDArray[np.float64],
    wavelengths: NDArray[np.float64],
) -> Any:
    n = len(offsets) - 1
    numbers = np.full((2, 3, n), np.nan)
    names = np.full((2, n), -1, np.int64)
    for i in range(n):
        found = 0
        later = -1
        for j in range(offsets[i + 1] - 1, offsets[i] - 1, -1):
            if band[j] < 0:
                continue
            if later >= 0 and band[j] != band[later] and mjd[later] - mjd[j] < MAX_GAP:
                blue, red = (j, later) if band[j] < band[later] else (later, j)
                numbers[found, 0, i] = mjd[later]
                top = flux[blue] * correction[i, band[blue]]
                bottom = flux[red] * correction[i, band[red]]
                ratio = top / bottom if bottom != 0.0 else math.nan
                if ratio > 0.0 and math.isfinite(ratio):
                    numbers[found, 1, i] = -2.5 * math.log10(ratio)
                    names[found, i] = 6 * band[blue] + band[red]
                    numbers[found, 2, i] = colour_temperature(ratio, wavelengths[band[blue]], wavelengths[band[red]])
                found += 1
                if found == 2:
                    break
            later = j
    return numbers, names


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def log_ratio(x: float, blue: float, red: float) -> float:
    """ln of B_nu(blue) / B_nu(red) at x = SECOND_RADIATION / T; falls as x grows."""
    # expm1(a) / expm1(b) with a, b > 0 as exponentials of differences, which cannot overflow
    a, b = x / red, x / blue
    return 3.0 * math.log(red / blue) + (a - b) + math.log(-math.expm1(-a)) - math.log(-math.expm1(-b))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def colour_temperature(ratio: float, blue: float, red: float) -> float:
    """Temperature [kK] of the black body whose fluxes (per frequency) at two wavelengths [µm] have that ratio.

    The ratio falls steadily with 1/T, so a bracket that shrinks by Newton steps, or by halves where these leave
    it, always ends at the one solution. NaN where none lies between COLDEST and HOTTEST; a ratio at or above
    that of the Rayleigh-Jeans limit has none at all.
    """
    if not ratio > 0.0 or not math.isfinite(ratio):
        return math.nan
    target = math.log(ratio)
    low, high = math.log(SECOND_RADIATION / HOTTEST), math.log(SECOND_RADIATION / COLDEST)
    if log_ratio(math.exp(low), blue, red) < target or log_ratio(math.exp(high), blue, red) > target:
        return math.nan
    s = 0.5 * (low + high)
    for _ in range(_MAX_STEPS):
        x = math.exp(s)
        a, b = x / red, x / blue
        value = log_ratio(x, blue, red) - target
        if value > 0.0:
            low = s
        else:
            high = s
        # d/ds of ln(expm1(a)) is a / (1 - exp(-a))
        slope = a / -math.expm1(-a) - b / -math.expm1(-b)
        step = s - value / slope if slope < 0.0 else low
        if not low < step < high:
            step = 0.5 * (low + high)
        if abs(step - s) < _TOLERANCE:
            s = step
            break
        s = step
    return SECOND_RADIATION / math.exp(s)
