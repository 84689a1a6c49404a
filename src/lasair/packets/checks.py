"""What follows the walk, survey by survey and vectorised: values that are computed, alerts that are impossible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lasair.packets import walk
from lasair.packets.ids import pack_ztf
from lasair.packets.plan import Plan
from lasair.schema.model import INT_MISSING, layout

if TYPE_CHECKING:
    from lasair.packets.decode import Walked

#: ZTF: a known mover is nearer than this
MOVER_ARCSEC = 5.0
#: JD (UTC) at which ZTF's night number is 0
_NIGHT_0_JD = 2457754.5

Reasons = dict[int, str]


def complete(wanted: Plan, walked: Walked, good: NDArray[np.bool_], allow_programids: Sequence[int]) -> Reasons:
    """Fill in the computed columns of `walked` (in place) and say which of the `good` alerts are refused, and why."""
    alerts = walked.alerts
    for column, others in wanted.fallbacks:
        for other in others:
            _fill(alerts[column], alerts[other])
    _forget_text(wanted, alerts)
    for column, k in (
        ("n_detections", walk.C_DETECTIONS),
        ("n_nondetections", walk.C_NONDETECTIONS),
        ("n_forced", walk.C_FORCED),
        ("n_reliable", walk.C_RELIABLE),
    ):
        alerts[column] = walked.counts[:, k]
    reasons: Reasons = {}
    if wanted.survey == "lsst":
        _complete_lsst(walked, good, reasons)
    else:
        _complete_ztf(walked, good, reasons, allow_programids)
    _check_ranges(walked, good, reasons)
    return reasons


def _refuse(
    reasons: Reasons, bad: NDArray[np.bool_], good: NDArray[np.bool_], text: str, values: NDArray[Any] | None = None
) -> None:
    """Refuse alerts; the first reason found for an alert stays."""
    for i in np.flatnonzero(bad & good):
        shown = "" if values is None else f": {_shown(values[i])}"
        reasons.setdefault(int(i), text + shown)


def _shown(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values), np.bool_)
    if values.dtype.kind == "S":
        return np.asarray(values == b"", np.bool_)
    return np.asarray(values == np.iinfo(values.dtype).min, np.bool_)


def _fill(values: NDArray[Any], others: NDArray[Any]) -> None:
    gone = _is_missing(values)
    if gone.any():
        values[gone] = others[gone]


def _forget_text(wanted: Plan, alerts: NDArray[Any]) -> None:
    for one in layout(wanted.survey, "alert").fields:
        for text in one.missing:
            if isinstance(text, str):
                column = alerts[one.name]
                column[column == text.encode()] = b""


def _complete_lsst(walked: Walked, good: NDArray[np.bool_], reasons: Reasons) -> None:
    alerts = walked.alerts
    _fill(alerts["object_id"], alerts["dia_object_id"])
    nameless = (alerts["object_id"] == INT_MISSING) & (alerts["is_mover"] == 0)
    _refuse(
        reasons,
        nameless,
        good,
        "the alert belongs to no object and no known mover (diaObjectId and ssSource are missing)",
    )


def _complete_ztf(walked: Walked, good: NDArray[np.bool_], reasons: Reasons, allow_programids: Sequence[int]) -> None:
    alerts, rows = walked.alerts, walked.rows
    packed, known = pack_ztf(alerts["objectId"])
    alerts["object_id"] = packed
    _refuse(reasons, ~known, good, "objectId is not a ZTF name (ZTFyyaaaaaaa)", alerts["objectId"])
    closed = ~np.isin(alerts["programid"], np.array(list(allow_programids), np.int64))
    _refuse(reasons, closed, good, "its programid is not allowed here (1 is the public programme)", alerts["programid"])
    distance = alerts["ssdistnr"]
    with np.errstate(invalid="ignore"):
        alerts["is_mover"] = (distance >= 0) & (distance <= MOVER_ARCSEC)
    gone = _is_missing(rows["nid"])
    if gone.any():
        jd = rows["mjd_tai"][gone] - walk.TAI_UTC_D + 2400000.5
        # microseconds of rounding must not put an exposure at midnight into the night before
        with np.errstate(invalid="ignore"):
            nights = np.floor(np.round(jd - _NIGHT_0_JD, 9))
        rows["nid"][gone] = np.where(np.isfinite(nights), nights, 0)


def _check_ranges(walked: Walked, good: NDArray[np.bool_], reasons: Reasons) -> None:
    alerts = walked.alerts
    with np.errstate(invalid="ignore"):
        _refuse(reasons, alerts["alert_id"] <= 0, good, "the alert has no id", alerts["alert_id"])
        time = alerts["mjd_tai"]
        possible = (time >= walk.MJD_MIN) & (time <= walk.MJD_MAX)
        _refuse(reasons, ~possible, good, "impossible time (MJD TAI)", time)
        ra, decl = alerts["ra"], alerts["decl"]
        _refuse(reasons, ~((ra >= 0) & (ra < 360)), good, "right ascension outside 0 to 360 degrees", ra)
        _refuse(reasons, ~((decl >= -90) & (decl <= 90)), good, "declination outside -90 to 90 degrees", decl)
