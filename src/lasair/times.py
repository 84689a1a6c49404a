"""Time scales: MJD TAI inside, UTC for people."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: TAI - UTC since 2017-01-01 [s] (IERS Bulletin C). Both surveys began later; no leap second has come since.
TAI_MINUS_UTC_S = 37.0

SECONDS_A_DAY = 86_400.0

JULIAN_YEAR_DAYS = 365.25

#: MJD of 1970-01-01, where Unix time begins.
MJD_UNIX = 40_587.0

#: JD - MJD.
JD_MINUS_MJD = 2_400_000.5

# Years that four digits can write.
_FIRST_UNIX_S = -62_135_596_800.0  # 0001-01-01
_END_UNIX_S = 253_402_300_800.0  # 10000-01-01


def unix_to_mjd_tai(unix_s: float) -> float:
    """Seconds since 1970 (UTC) as MJD TAI [d]."""
    return (unix_s + TAI_MINUS_UTC_S) / SECONDS_A_DAY + MJD_UNIX


def julian_year(mjd: NDArray[np.float64]) -> NDArray[np.float64]:
    """MJD [d] as a Julian year such as 2026.9, good to minutes in any time scale; NaN stays NaN."""
    return 2000.0 + (mjd - 51_544.5) / JULIAN_YEAR_DAYS


def mjd_tai_to_unix(mjd_tai: NDArray[np.float64]) -> NDArray[np.float64]:
    """MJD TAI [d] as seconds since 1970 (UTC); NaN stays NaN."""
    return (mjd_tai - MJD_UNIX) * SECONDS_A_DAY - TAI_MINUS_UTC_S


def mjd_tai_to_jd_utc(mjd_tai: NDArray[np.float64]) -> NDArray[np.float64]:
    """MJD TAI [d] as JD UTC, to the 7 decimals (9 ms) that ZTF writes."""
    return np.round(mjd_tai + JD_MINUS_MJD - TAI_MINUS_UTC_S / SECONDS_A_DAY, 7)


def iso_utc(unix_s: NDArray[np.float64]) -> list[str | None]:
    """Times as ISO 8601 UTC with milliseconds and 'Z'; None where there is none (NaN, or no year of four digits)."""
    seconds = np.asarray(unix_s, np.float64)
    good = (seconds >= _FIRST_UNIX_S) & (seconds < _END_UNIX_S - 0.001)
    milliseconds = np.round(np.where(good, seconds, 0.0) * 1e3).astype("datetime64[ms]")
    texts: NDArray[Any] = np.datetime_as_string(milliseconds, unit="ms")
    return [f"{text}Z" if fine else None for text, fine in zip(texts.tolist(), good.tolist(), strict=True)]


def plain_utc(unix_s: float) -> str:
    """A time as 'YYYY-mm-dd HH:MM:SS' (UTC), the form of Lasair's column UTC."""
    whole = np.datetime64(int(np.floor(unix_s)), "s")
    return str(whole).replace("T", " ")
