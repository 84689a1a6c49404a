"""Which of TNS's files to ask for: the whole list at first and every week, then the days and hours since."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple

from lasair.tns.mirror import Applied

Kind = Literal["full", "day", "hour"]

STEM = "tns_public_objects"
#: TNS keeps the files of days for about a month.
KEPT_DAYS = 28
#: The whole list is asked for again when it is this old; and no sooner than a day after the last one came.
FULL_EVERY = timedelta(days=7)
_FULL_AGAIN = timedelta(hours=20)
#: The file of an hour is asked for from this long after its end.
_WRITTEN_AFTER = timedelta(minutes=2)
#: A file that is not there so long after its end will not come any more.
_SETTLED = {"full": timedelta(0), "day": timedelta(hours=12), "hour": timedelta(hours=1)}


class Wanted(NamedTuple):
    """A file of TNS."""

    kind: Kind
    #: beginning of what it is of; of the whole list the day it is asked for (UTC)
    starts: datetime

    @property
    def ends(self) -> datetime:
        """End of what it is of."""
        return self.starts + {"full": timedelta(0), "day": timedelta(days=1), "hour": timedelta(hours=1)}[self.kind]

    @property
    def period(self) -> str:
        """As `Applied` has it."""
        return self.starts.isoformat(" ")[: 13 if self.kind == "hour" else 10]

    @property
    def file_name(self) -> str:
        """Its name on the server. Those of hours are written anew each day."""
        which = {"full": "", "day": f"_{self.starts:%Y%m%d}", "hour": f"_{self.starts:%H}"}[self.kind]
        return f"{STEM}{which}.csv.zip"


def newest_full(applied: Iterable[Applied]) -> Applied | None:
    """The newest whole list that was taken in."""
    return max((one for one in applied if one.kind == "full" and one.found), key=lambda one: one.period, default=None)


def is_full_needed(applied: Iterable[Applied], now: datetime) -> bool:
    """Whether without the whole list something would be missing: there was none yet, or the days since are gone."""
    full = newest_full(applied)
    return full is None or _midnight(now) - _day(full.period) > timedelta(days=KEPT_DAYS)


def plan(applied: Iterable[Applied], now: datetime) -> list[Wanted]:
    """Files to ask for, in this order: the whole list when it is due, days oldest first, hours oldest first.

    When the whole list has come, ask again: it may make days needless, or say that earlier ones are missing. Hours of
    yesterday are there in case the file of that day is not yet.

    Parameters
    ----------
    applied : the files that were asked for before
    now : UTC
    """
    applied = list(applied)
    today = _midnight(now)
    done = {(one.kind, one.period) for one in applied if _is_final(one)}
    full = newest_full(applied)
    wanted = []
    if full is None or (today - _day(full.period) >= FULL_EVERY and now - full.asked_at >= _FULL_AGAIN):
        wanted.append(Wanted("full", today))
    # from a day before the list: it does no harm, and nothing depends on when exactly the list was made
    first = today if full is None else _day(full.period)
    first = min(max(first - timedelta(days=1), today - timedelta(days=KEPT_DAYS)), today)
    days = [Wanted("day", first + timedelta(days=i)) for i in range((today - first).days)]
    wanted += [day for day in days if ("day", day.period) not in done]
    complete = (now - _WRITTEN_AFTER).replace(minute=0, second=0, microsecond=0)
    # the file of the 24th hour back is about to be written anew
    for back in range(23, 0, -1):
        hour = Wanted("hour", complete - timedelta(hours=back))
        if hour.starts >= first and not {("hour", hour.period), ("day", hour.period[:10])} & done:
            wanted.append(hour)
    return wanted


def _is_final(file: Applied) -> bool:
    if file.found or file.kind == "full":
        return True
    starts = datetime.strptime(file.period, "%Y-%m-%d" if file.kind == "day" else "%Y-%m-%d %H").replace(tzinfo=UTC)
    kind: Kind = "day" if file.kind == "day" else "hour"
    return file.asked_at >= Wanted(kind, starts).ends + _SETTLED[kind]


def _midnight(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date(), time(), UTC)


def _day(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), time(), UTC)
