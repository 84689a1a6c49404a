"""What an LSST packet says of its object as a whole: running statistics up to each detection."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

_BANDS = 6
_N, _W, _WF, _F, _FF, _LOW, _HIGH, _SLOPE, _ERR, _LAST_T, _LAST_F, _SW, _SWF = range(13)


class Summary(NamedTuple):
    """Per detection, over the object's detections in the same band up to it: (n,) columns; NaN where undefined."""

    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    mean_err: NDArray[np.float64]
    sigma: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    max_slope: NDArray[np.float64]
    err_mean: NDArray[np.float64]
    science_mean: NDArray[np.float64]
    science_mean_err: NDArray[np.float64]
    #: over all bands: number of detections, mean position
    n_sources: NDArray[np.int64]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    first_mjd: NDArray[np.float64]


@numba.njit(cache=True, nogil=True)
def _running(obj, mjd, band, flux, err, science, science_err, ra, decl, counts, out):  # type: ignore[no-untyped-def]
    state = np.zeros((_BANDS, 13))
    n = 0
    sum_ra = sum_decl = first_ra = first = 0.0
    for k in range(obj.shape[0]):
        if k == 0 or obj[k] != obj[k - 1]:
            state[:] = 0.0
            n = 0
            sum_ra = sum_decl = 0.0
            first_ra = ra[k]
            first = mjd[k]
        one = state[band[k]]
        weight = 1.0 / (err[k] * err[k])
        science_weight = 1.0 / (science_err[k] * science_err[k])
        if one[_N] == 0:
            one[_LOW] = flux[k]
            one[_HIGH] = flux[k]
        else:
            one[_LOW] = min(one[_LOW], flux[k])
            one[_HIGH] = max(one[_HIGH], flux[k])
            step = mjd[k] - one[_LAST_T]
            if step > 0:
                slope = abs((flux[k] - one[_LAST_F]) / step)
                one[_SLOPE] = slope if one[_N] == 1 else max(one[_SLOPE], slope)
        one[_N] += 1
        one[_W] += weight
        one[_WF] += weight * flux[k]
        one[_F] += flux[k]
        one[_FF] += flux[k] * flux[k]
        one[_ERR] += err[k]
        one[_SW] += science_weight
        one[_SWF] += science_weight * science[k]
        one[_LAST_T] = mjd[k]
        one[_LAST_F] = flux[k]
        n += 1
        # differences from the first: no jump where right ascension wraps
        step = ra[k] - first_ra
        sum_ra += step - 360.0 * np.round(step / 360.0)
        sum_decl += decl[k]
        m = one[_N]
        counts[k, 0] = np.int64(m)
        counts[k, 1] = n
        out[k, 0] = one[_WF] / one[_W]
        out[k, 1] = 1.0 / np.sqrt(one[_W])
        out[k, 2] = np.sqrt(max(0.0, (one[_FF] - one[_F] * one[_F] / m) / (m - 1))) if m > 1 else np.nan
        out[k, 3] = one[_LOW]
        out[k, 4] = one[_HIGH]
        out[k, 5] = one[_SLOPE] if m > 1 else np.nan
        out[k, 6] = one[_ERR] / m
        out[k, 7] = one[_SWF] / one[_SW]
        out[k, 8] = 1.0 / np.sqrt(one[_SW])
        out[k, 9] = (first_ra + sum_ra / n) % 360.0
        out[k, 10] = sum_decl / n
        out[k, 11] = first


def summarise(
    obj: NDArray[np.int64],
    mjd: NDArray[np.float64],
    band: NDArray[np.int64],
    flux: NDArray[np.float64],
    err: NDArray[np.float64],
    science: NDArray[np.float64],
    science_err: NDArray[np.float64],
    ra: NDArray[np.float64],
    decl: NDArray[np.float64],
) -> Summary:
    """Running statistics of detections sorted by object and time; all (n,), fluxes in nJy, angles in deg."""
    counts = np.empty((len(obj), 2), np.int64)
    out = np.empty((len(obj), 12))
    _running(obj, mjd, band, flux, err, science, science_err, ra, decl, counts, out)
    mean, mean_err, sigma, low, high, slope, err_mean, total, total_err, mean_ra, mean_decl, first = out.T
    return Summary(
        n=counts[:, 0],
        mean=mean,
        mean_err=mean_err,
        sigma=sigma,
        low=low,
        high=high,
        max_slope=slope,
        err_mean=err_mean,
        science_mean=total,
        science_mean_err=total_err,
        n_sources=counts[:, 1],
        ra=mean_ra,
        decl=mean_decl,
        first_mjd=first,
    )
