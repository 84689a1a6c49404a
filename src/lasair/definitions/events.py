"""What becomes of notices of events: all are kept, and the newest says what holds. `django.connect` comes first.

What holds depends on which notices there are, and not on the order in which they came: each notice is kept with its
place, and after each new one it is decided anew which of them holds.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from lasair.definitions.content import Happened, unpack_event
from lasair.definitions.django import set_up
from lasair.definitions.transactions import guarded, reading, utc_text
from lasair.definitions.words import check_text
from lasair.errors import NotFound
from lasair.events.model import RETRACTION, WINDOW_DAYS, Event
from lasair.schema.allow import nearest
from lasair.times import iso_utc, mjd_tai_to_unix, unix_to_mjd_tai

set_up()  # Django's models cannot be imported before

from lasair.definitions import models  # noqa: E402
from lasair.definitions.models import EventNotice  # noqa: E402
from lasair.definitions.pieces import content_bytes, is_content, put_content  # noqa: E402

What = Literal["new", "updated", "retracted", "older", "seen before", "test"]

_LONGEST_REASON = 1024


class EventSaid(NamedTuple):
    """What became of a notice."""

    event_id: int
    name: str
    version: int
    what: What
    #: whether alerts are now matched with something else than before
    changed: bool
    #: active, retracted, test, no place, no time
    state: str
    #: why the event has no place or time that alerts can be matched with, '' when it has
    why_none: str


class EventState(NamedTuple):
    """An event as it holds."""

    event_id: int
    name: str
    mission: str
    #: UTC
    happened: str | None
    #: active, retracted, test, no place, no time
    state: str
    version: int
    #: square degrees within 90 percent
    area90: float | None
    notices: int


@guarded
def add_event(event: Event, *, digest: str, map_given: bool = False) -> EventSaid:
    """Keep a notice, once, and decide which notice of its event holds.

    The one that was made last holds; of two that cannot be told apart (see `Event.supersedes`) a retraction does, else
    the one that says more of itself. A test never takes the place of what is none. What the notice that holds leaves
    out, time or place, is that of the newest notice that says it.

    Parameters
    ----------
    digest : of its bytes and of those of the map that a person gave, which make it another notice
    map_given : a person gave its map: it takes the place of the same notice without
    """
    one, new = models.Event.objects.get_or_create(name=event.name)
    if one.notices.filter(digest=digest).exists():
        return _said(one, "seen before", changed=False)
    before = _matched(one)
    notice = _keep(one, event, digest, map_given)
    news = _settle(one, new)
    changed = _matched(one) != before
    what: What
    if notice.test:
        what = "test"
    elif one.notice_id == notice.pk and one.retracted:
        what = "retracted"
    elif new:
        what = "new"
    else:
        what = "updated" if news or one.notice_id == notice.pk else "older"
    return _said(one, what, changed=changed)


@guarded
def retract(name: str, reason: str = "") -> EventSaid:
    """Take an event back, as a notice of now does; a notice that is made later brings it up again.

    Raises
    ------
    NotFound
        There is no such event; says which is meant perhaps.
    BadDefinition
        The reason is too long or holds control characters.
    """
    one = _find(name)
    reason = check_text("the reason", reason, _LONGEST_REASON)
    before = _matched(one)
    latest = one.notices.exclude(issued=None).order_by("-issued").values_list("issued", flat=True).first()
    # a sender's clock may be fast: what a person says now is later than what is there
    now = max(unix_to_mjd_tai(time.time()), -math.inf if latest is None else latest)
    one.notices.get_or_create(
        digest=hashlib.sha256(f"{one.name} {now!r} {reason}".encode()).hexdigest(),
        defaults={
            "kind": RETRACTION, "issued": now, "mission": one.mission, "test": one.test,
            "why_none": "it was retracted here", "params": {"reason": reason},
        },
    )  # fmt: skip
    _settle(one, False)
    return _said(one, "retracted", changed=_matched(one) != before)


@reading
def list_events() -> list[EventState]:
    """All events, the latest first. Needs no right to write."""
    from django.db.models import Count, F

    there = models.Event.objects.annotate(count=Count("notices")).order_by(F("t0").desc(nulls_last=True), "name")
    return [
        EventState(
            one.pk, one.name, one.mission, _utc(one.t0), _state(one), one.version, one.area90, one.count
        )
        for one in there
    ]  # fmt: skip


@reading
def show_event(name: str) -> dict[str, Any]:
    """Everything about an event, as JSON takes it; NotFound. `notices` are in the order in which they came."""
    one = _find(name)
    holds = one.notice
    return {
        "number": one.pk,
        "name": one.name,
        "mission": one.mission,
        "state": _state(one),
        "version": one.version,
        "happened": _utc(one.t0),
        "t0_mjd_tai": one.t0,
        "window_days": WINDOW_DAYS,
        "area50": one.area50,
        "area90": one.area90,
        "classification": holds.classification if holds else {},
        "far": holds.far if holds else None,
        "why_none": _why_none(one),
        "notices": [
            {
                "kind": each.kind,
                "issued": _utc(each.issued),
                "number": each.number,
                "received": utc_text(each.received),
                "holds": each.pk == one.notice_id,
                "test": each.test,
                "happened": _utc(each.t0),
                "area50": each.area50,
                "area90": each.area90,
                "map_given": each.map_given,
                "why_none": each.why_none,
                "map_url": each.map_url,
                "classification": each.classification,
                "far": each.far,
                "params": each.params,
            }
            for each in one.notices.all()
        ],
    }


def newest(notices: Sequence[EventNotice]) -> EventNotice:
    """The notice that holds: of those that no other supersedes for certain, the first by rules that leave no choice.

    `Event.supersedes` is not transitive where notices lack times or numbers, so what is left after comparing one by one
    depends on the order; this does not. Tests count only where there is nothing else.
    """
    real = [one for one in notices if not one.test] or list(notices)
    latest = max((one.issued for one in real if one.issued is not None), default=None)
    # a notice without time may only be told by its number, from all others; one with a time from those alone that have
    # none, or the same
    highest = _highest(real)
    rivals = _highest([one for one in real if one.issued in (None, latest)])

    def stands(one: EventNotice) -> bool:
        if one.issued is None:
            return one.number is None or bool(one.number >= highest)
        return bool(one.issued == latest) and (one.number is None or bool(one.number >= rivals))

    return max((one for one in real if stands(one)), key=_rank, default=max(real, key=_rank))


def _highest(notices: Sequence[EventNotice]) -> float:
    return max((one.number for one in notices if one.number is not None), default=-math.inf)


def _rank(one: EventNotice) -> tuple[Any, ...]:
    return (
        one.kind == RETRACTION,
        -math.inf if one.issued is None else one.issued,
        -math.inf if one.number is None else one.number,
        one.map_given,
        one.content_id is not None,
        one.digest,
    )


def _keep(one: models.Event, event: Event, digest: str, map_given: bool) -> EventNotice:
    t0 = event.t0.mjd_tai if event.t0 is not None else None
    place = event.localisation
    content = None
    if place is not None:
        since = math.nan if t0 is None else t0
        content = put_content(Happened(since, since + WINDOW_DAYS, place).pack())
    notice: EventNotice = one.notices.create(
        kind=event.kind[:32], issued=event.issued.mjd_tai if event.issued else None, number=event.version,
        digest=digest, mission=event.mission[:64], t0=t0, test=event.test, content=content,
        area50=place.area(50.0) if place else None, area90=place.area(90.0) if place else None,
        map_given=map_given, why_none=event.why_none, map_url=event.map_url,
        classification=_json(event.classification), far=_json(event.far), params=_json(event.params),
    )  # fmt: skip
    return notice


def _settle(one: models.Event, new: bool) -> bool:
    """Make an event what its notices say; whether that is something else than before."""
    notices = list(one.notices.defer("params", "classification"))
    holds = newest(notices)
    alike = [each for each in notices if each.test == holds.test]
    t0 = _said_by(holds, alike, "t0")
    before = (one.t0, one.retracted, one.test, one.content_id)
    one.notice, one.test, one.retracted = holds, holds.test, holds.kind == RETRACTION
    one.t0 = t0.t0 if t0 else None
    one.mission = holds.mission or max((each.mission for each in notices), default="")
    placed = _said_by(holds, alike, "content_id")
    one.area50, one.area90 = (placed.area50, placed.area90) if placed else (None, None)
    old = one.content
    one.content = _content(one, placed)
    news = new or before != (one.t0, one.retracted, one.test, one.content_id)
    one.version += news and not new
    one.save()
    if old is not None and old.pk != one.content_id and not EventNotice.objects.filter(content=old).exists():
        old.delete()
    return news


def _said_by(holds: EventNotice, notices: Sequence[EventNotice], field: str) -> EventNotice | None:
    """The notice that says something that not all do: the one that holds, else the newest that does."""
    if getattr(holds, field) is not None:
        return holds
    saying = [one for one in notices if getattr(one, field) is not None]
    return newest(saying) if saying else None


def _content(one: models.Event, placed: EventNotice | None) -> Any:
    """Where and when an event was: what a notice said, with the time that holds."""
    if placed is None:
        return None
    as_said = one.t0 is None or placed.t0 == one.t0
    if as_said and one.content_id == placed.content_id:
        return one.content
    data = content_bytes(placed.content)
    if not as_said:
        data = Happened(one.t0, one.t0 + WINDOW_DAYS, unpack_event(data).localisation).pack()
    if is_content(one.content, data):
        return one.content  # a notice that says the same again changes nothing
    return placed.content if as_said else put_content(data)


def _matched(one: models.Event) -> tuple[int, float] | None:
    """What alerts are matched with; None when they are not."""
    usable = one.content_id is not None and one.t0 is not None and not one.retracted and not one.test
    return (one.content_id, one.t0) if usable else None


def _state(one: models.Event) -> str:
    if one.test:
        return "test"
    if one.retracted:
        return "retracted"
    if one.content_id is None:
        return "no place"
    return "active" if one.t0 is not None else "no time"


def _why_none(one: models.Event) -> str:
    if one.content_id is None:
        said = one.notice.why_none if one.notice else ""
        return str(said) or "no notice says where it was"
    return "" if one.t0 is not None else "no notice says when it was"


def _said(one: models.Event, what: What, *, changed: bool) -> EventSaid:
    return EventSaid(one.pk, one.name, one.version, what, changed, _state(one), _why_none(one))


def _find(name: str) -> models.Event:
    found: models.Event | None = models.Event.objects.filter(name=name).first()
    if found is None:
        hint = nearest(name, models.Event.objects.values_list("name", flat=True))
        help_ = f"did you mean {hint!r}?" if hint else "'lasair event list' shows those there are"
        raise NotFound(f"no event {name!r}; {help_}")
    return found


def _utc(mjd_tai: float | None) -> str | None:
    return None if mjd_tai is None else iso_utc(mjd_tai_to_unix(np.array([mjd_tai])))[0]


def _json(value: Any) -> Any:
    """A value of a notice as JSON holds it: what is no number is null, and text has no lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_json(str(key)): _json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _json(str(value))
