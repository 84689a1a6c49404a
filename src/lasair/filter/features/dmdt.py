"""Rates of change between neighbouring detections of a band."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.filter.features.ztf_detections import ZTF_BANDS, ZtfDetections
from lasair.packets.batch import Columns


def dmdt(curves: ZtfDetections) -> Columns:
    """`dmdt_{b}`, `dmdt_{b}_err` of the last two detections, `dmdt_{b}_2` of the two before [mag/d].

    NaN unless both of a pair are brighter than the reference and at different times. `dmdt_{b}` is positive for
    brightening, `dmdt_{b}_2` for fading: so they were published.
    """
    found = _dmdt(curves.offsets, curves.jd, curves.mag, curves.mag_err, curves.band, curves.sign)
    columns: Columns = {}
    for b, name in enumerate(ZTF_BANDS):
        columns[f"dmdt_{name}"] = found[b, 0]
        columns[f"dmdt_{name}_err"] = found[b, 1]
        columns[f"dmdt_{name}_2"] = found[b, 2]
    return columns


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _dmdt(
    offsets: NDArray[np.int64],
    jd: NDArray[np.float64],
    mag: NDArray[np.float64],
    mag_err: NDArray[np.float64],
    band: NDArray[np.int8],
    sign: NDArray[np.int8],
) -> Any:
    n = len(offsets) - 1
    out = np.full((2, 3, n), np.nan)
    for i in range(n):
        for b in range(2):
            last = middle = first = -1
            for j in range(offsets[i + 1] - 1, offsets[i] - 1, -1):
                if band[j] != b or not math.isfinite(mag[j]):
                    continue
                if last < 0:
                    last = j
                elif middle < 0:
                    middle = j
                else:
                    first = j
                    break
            if middle >= 0 and sign[last] > 0 and sign[middle] > 0 and jd[last] > jd[middle]:
                elapsed = jd[last] - jd[middle]
                out[b, 0, i] = (mag[middle] - mag[last]) / elapsed
                out[b, 1, i] = math.sqrt(mag_err[middle] ** 2 + mag_err[last] ** 2) / elapsed
            if first >= 0 and sign[middle] > 0 and sign[first] > 0 and jd[middle] > jd[first]:
                out[b, 2, i] = (mag[middle] - mag[first]) / (jd[middle] - jd[first])
    return out
