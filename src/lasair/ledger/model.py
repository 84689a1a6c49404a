"""The books: what is counted per partition and night, and the sums that must close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from numpy.typing import NDArray

from lasair.packets.batch import Refused
from lasair.streams.forms import Delivery


class Place(NamedTuple):
    """Where counts are kept: the source partition and the UTC date of arrival (yyyymmdd)."""

    partition: str
    night: int


class Position(NamedTuple):
    """How far a partition has been read."""

    #: of the next record
    offset: int = 0
    #: when the record before it arrived: UTC, seconds since 1970
    arrived: float = 0.0


@dataclass
class Counts:
    """How many records came this way. Each is counted where it happens, none is derived from another."""

    read: int = 0
    decoded: int = 0
    set_aside: int = 0
    duplicate: int = 0
    stored: int = 0
    movers: int = 0
    filtered: int = 0
    matched: int = 0
    delivered: int = 0
    over_quota: int = 0
    over_limit: int = 0
    already_delivered: int = 0

    def add(self, other: Counts) -> None:
        for name in COUNT_NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def open_sums(self) -> list[str]:
        """The sums that do not close, as sentences; empty when the books are right."""
        found = []
        for text, left, right in SUMS:
            counted, accounted = getattr(self, left), sum(getattr(self, name) for name in right)
            if counted != accounted:
                found.append(f"{text}: {counted} is not {accounted}")
        return found


COUNT_NAMES = tuple(one.name for one in fields(Counts))

#: (the sum as people write it, the count, those it is the sum of)
SUMS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("read = decoded + set aside", "read", ("decoded", "set_aside")),
    ("decoded = stored + duplicate", "decoded", ("stored", "duplicate")),
    ("stored = filtered + movers", "stored", ("filtered", "movers")),
    (
        "matched = delivered + over quota + over limit + already delivered",
        "matched",
        ("delivered", "over_quota", "over_limit", "already_delivered"),
    ),
)


@dataclass
class Outcome:
    """Everything of one batch that must happen exactly once."""

    #: per place what the earlier steps counted (read, decoded, duplicate, stored, …, matched, over_limit)
    counts: dict[Place, Counts] = field(default_factory=dict)
    #: partition -> how far it has been read
    positions: dict[str, Position] = field(default_factory=dict)
    #: survey -> ids of alerts that were stored by this batch
    seen: dict[str, NDArray[Any]] = field(default_factory=dict)
    #: records that could not be used
    refused: list[Refused] = field(default_factory=list)
    #: (partition, offset) of decoded records, to take back a dead letter that has become readable
    decoded: list[tuple[str, int]] = field(default_factory=list)
    #: matches to deliver, with the place of their alert, in the order of delivery
    deliveries: list[tuple[Delivery, Place]] = field(default_factory=list)
    #: filter id -> bytes of its day with the message that closed its stream before this batch, as `closed_filters` says
    closed: Mapping[int, int] = field(default_factory=dict)
    #: filter id -> most bytes a UTC day, -1 for no limit; a filter that is not named has none
    quotas: Mapping[int, int] = field(default_factory=dict)
    #: filter version id -> (filter id, what went wrong)
    filter_errors: dict[int, tuple[int, str]] = field(default_factory=dict)
    #: (survey, object id, mjd_tai, alert id) whose slow fits are due
    fits_due: list[tuple[str, int, float, int]] = field(default_factory=list)
    #: UTC time of the batch, seconds since 1970
    now: float = 0.0

    def at(self, place: Place) -> Counts:
        return self.counts.setdefault(place, Counts())

    def is_closed(self, filter_id: int) -> bool:
        """True when no message of the filter fits into the rest of its day, so that none need be made."""
        return not self.fits(filter_id, self.closed.get(filter_id, 0))

    def fits(self, filter_id: int, day_bytes: int) -> bool:
        """Whether a filter may deliver so many bytes in one UTC day."""
        return not 0 <= self.quotas.get(filter_id, -1) < day_bytes


class Committed(NamedTuple):
    """What the commit decided."""

    #: totals over the batch, deliveries included; a record that is a dead letter already, and still is, is not in them
    counts: Counts
    #: errors of filters to tell their owners about for the first time: (filter id, message)
    to_tell: list[tuple[int, str]]
    #: former dead letters among the decoded
    recovered: int
    #: records that were dead letters already, and still are
    set_aside_before: int
