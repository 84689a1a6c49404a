"""Times in notices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from lasair.times import MJD_UNIX, SECONDS_A_DAY, unix_to_mjd_tai

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(NamedTuple):
    """A time, in UTC for people ('2023-04-16T05:22:26.150574Z') and as MJD TAI [d]."""

    utc: str
    mjd_tai: float


def read_moment(text: str) -> Moment:
    """An ISO 8601 date and time; without a zone it is UTC. Microseconds are kept.

    Raises
    ------
    ValueError
        It is none.
    """
    when = datetime.fromisoformat(text.strip())
    try:
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        past = when - _EPOCH
    except OverflowError as err:
        raise ValueError(str(err)) from err
    # whole seconds first: so the microseconds do not drown
    seconds = past.days * SECONDS_A_DAY + past.seconds + past.microseconds / 1e6
    return Moment(when.isoformat().replace("+00:00", "Z"), unix_to_mjd_tai(seconds))


def from_mjd_utc(mjd: float) -> Moment:
    """A time that is given as MJD UTC [d].

    Raises
    ------
    ValueError
        It is not in the years 1 to 9999.
    """
    try:
        return read_moment(datetime.fromtimestamp((mjd - MJD_UNIX) * SECONDS_A_DAY, UTC).isoformat())
    except (OverflowError, OSError) as err:
        raise ValueError(str(err)) from err
