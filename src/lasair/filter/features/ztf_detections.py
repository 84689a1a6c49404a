"""The light curves that ZTF's features are made of: detections, packed and in time order."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.ragged import strided
from lasair.packets.batch import AlertBatch
from lasair.schema.model import DETECTION
from lasair.times import JD_MINUS_MJD, SECONDS_A_DAY, TAI_MINUS_UTC_S

#: From MJD TAI to the Julian dates UTC that ZTF's columns hold [d]; 37 s of leap seconds since 2017.
JD_UTC_MINUS_MJD_TAI = JD_MINUS_MJD - TAI_MINUS_UTC_S / SECONDS_A_DAY
#: Julian date where night 0 begins; night 1 is UT 2017-01-02.
_JD_OF_NIGHT_0 = 2457754.5

#: The bands with columns of their own.
ZTF_BANDS = "gr"
OTHER_BAND = -1


class ZtfDetections(NamedTuple):
    """Rows of alert i are ``offsets[i]:offsets[i+1]``, ascending in time.

    `jd` [d, UTC], `ra`, `decl` [deg], `mag`, `mag_err` [mag] (float64, may be NaN but for `jd`), `band` (0 g, 1 r,
    -1 any other), `sign` (+1, -1, 0 unknown), `good` (rb or drb above the limit), `night`.
    """

    offsets: NDArray[np.int64]
    jd: NDArray[np.float64]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    mag: NDArray[np.float64]
    mag_err: NDArray[np.float64]
    band: NDArray[np.int8]
    sign: NDArray[np.int8]
    good: NDArray[np.bool_]
    night: NDArray[np.int64]


def ztf_detections(batch: AlertBatch, good_score: float) -> ZtfDetections:
    """The batch's detections that have a time; `good` where rb or drb exceeds `good_score`."""
    rows = strided(batch.rows)
    return ZtfDetections(
        *_pack(
            np.ascontiguousarray(batch.offsets),
            rows["kind"],
            rows["mjd_tai"],
            rows["ra"],
            rows["decl"],
            rows["mag"],
            rows["mag_err"],
            rows["band"],
            rows["sign"],
            rows["reliability"],
            rows["drb"],
            rows["nid"],
            good_score,
        )
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pack(
    offsets: NDArray[np.int64],
    kind: NDArray[np.uint8],
    mjd: NDArray[np.float64],
    ra: NDArray[np.float64],
    decl: NDArray[np.float64],
    mag: NDArray[np.float32],
    mag_err: NDArray[np.float32],
    band: NDArray[np.uint8],
    sign: NDArray[np.int8],
    rb: NDArray[np.float32],
    drb: NDArray[np.float32],
    nid: NDArray[np.int32],
    good_score: float,
) -> Any:
    n = len(offsets) - 1
    kept = np.zeros(n + 1, np.int64)
    total = 0
    for i in range(n):
        for j in range(offsets[i], offsets[i + 1]):
            if kind[j] == DETECTION and math.isfinite(mjd[j]):
                total += 1
        kept[i + 1] = total
    numbers = np.empty((5, total))
    out_band = np.empty(total, np.int8)
    out_sign = np.empty(total, np.int8)
    good = np.empty(total, np.bool_)
    night = np.empty(total, np.int64)
    k = 0
    for j in range(offsets[0], offsets[n]):
        if kind[j] == DETECTION and math.isfinite(mjd[j]):
            jd = mjd[j] + JD_UTC_MINUS_MJD_TAI
            numbers[0, k] = jd
            numbers[1, k] = ra[j]
            numbers[2, k] = decl[j]
            numbers[3, k] = mag[j]
            numbers[4, k] = mag_err[j]
            out_band[k] = 0 if band[j] == ord("g") else 1 if band[j] == ord("r") else OTHER_BAND
            out_sign[k] = sign[j]
            good[k] = rb[j] > good_score or drb[j] > good_score
            night[k] = nid[j] if nid[j] > 0 else math.floor(jd - _JD_OF_NIGHT_0)
            k += 1
    return kept, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], out_band, out_sign, good, night
