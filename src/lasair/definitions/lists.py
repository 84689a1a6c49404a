"""What people do with watchlists and areas: add, replace, stop, share, remove. `django.connect` comes first.

A list is named by its name or by its number, which is what queries say. Each edit of what alerts are matched with
raises its version; who may use it and how it is described do not.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np

from lasair.definitions.area_file import AreaFile
from lasair.definitions.content import Cones, pack_area
from lasair.definitions.django import set_up
from lasair.definitions.transactions import (
    acting,
    find,
    find_own,
    guarded,
    local_user,
    reading,
    share_with,
    utc_text,
    visible,
)
from lasair.definitions.watchlist_file import MAX_CONES, WatchlistFile, check_limits
from lasair.definitions.words import check_description, check_name
from lasair.errors import BadDefinition
from lasair.schema.model import TNS_WATCHLIST
from lasair.sky.cones import MAX_RADIUS_ARCSEC
from lasair.sky.names import PackedNames

set_up()  # Django's models cannot be imported before

from django.db.models import Q, Sum  # noqa: E402

from lasair.definitions.models import Area, Watchlist  # noqa: E402
from lasair.definitions.pieces import is_content, put_content  # noqa: E402

Kind = Literal["watchlist", "area"]

#: Most cones of all active watchlists together: what the index in memory is made for.
MAX_ACTIVE_CONES = 10_000_000

#: A source that failed is asked again after this time, when its own is not shorter.
RETRY = timedelta(hours=1)

_MODELS: dict[Kind, Any] = {"watchlist": Watchlist, "area": Area}


class ListSaid(NamedTuple):
    """What became of a list that was added."""

    list_id: int
    version: int
    #: of a watchlist; 0 of an area
    cones: int
    #: whether alerts are now matched with something else than before
    changed: bool


class ListState(NamedTuple):
    """A watchlist or an area."""

    list_id: int
    name: str
    owner: str | None
    version: int
    active: bool
    #: cones of a watchlist, square degrees of an area
    size: float
    public: bool
    group: str | None


class Source(NamedTuple):
    """A watchlist that is read again from somewhere."""

    list_id: int
    name: str
    url: str
    radius: float | None
    brighter: float | None
    change: float | None
    refresh_hours: float | None
    skip_bad: bool
    owner: Any


@guarded
def add_watchlist(
    name: str,
    file: WatchlistFile,
    *,
    radius: float | None,
    brighter: float | None = None,
    change: float | None = None,
    description: str | None = None,
    public: bool | None = None,
    group: str | None = None,
    source: str = "",
    refresh_hours: float | None = None,
    skip_bad: bool = False,
    owner: Any = None,
) -> ListSaid:
    """Add a watchlist, or replace the cones of the owner's list of that name; the same cones again change nothing.

    A cone's number is its data row in the file, counted from 0.

    Parameters
    ----------
    radius : what the file was read with [arcsec], kept for the next reading
    brighter, change : what cones without limits of their own wait for [mag]
    description, public, group : None: as they are; of a new list none, not public, no group
    source, refresh_hours, skip_bad : where it is read from again, how often, and whether without its bad lines
    owner : the local user unless given

    Raises
    ------
    BadDefinition
        The list has no cones or too many, a limit or the name is refused.
    NotFound, NotPermitted
        There is no such group, or the owner is not in it.
    """
    if radius is not None and not 0.0 < radius <= MAX_RADIUS_ARCSEC:
        raise BadDefinition(f"a radius of {radius:g} arcsec is refused: above 0, at most {MAX_RADIUS_ARCSEC:g}")
    if refresh_hours is not None and not (source and 0.0 < refresh_hours < 1e6):
        raise BadDefinition("a list is refreshed after a number of hours above 0, from a source")
    check_limits(brighter, change)
    owner = owner or local_user()
    one = _of_name(Watchlist, "watchlist", name, owner, description, public, group)
    _check_cones(one, len(file))
    one.radius, one.brighter, one.change, one.cones = radius, brighter, change, len(file)
    one.source, one.refresh_hours, one.skip_bad = source, refresh_hours, skip_bad
    return _put(one, cones_of(file, brighter, change).pack())


def cones_of(file: WatchlistFile, brighter: float | None, change: float | None) -> Cones:
    """The cones of a file; those without limits of their own have the list's (None: wait for any alert)."""
    own = np.isfinite(file.brighter) | np.isfinite(file.change)
    return Cones(
        file.rows, file.ra, file.decl, file.radius, PackedNames.of(file.names),
        np.where(own | (brighter is None), file.brighter, np.nan if brighter is None else brighter),
        np.where(own | (change is None), file.change, np.nan if change is None else change),
    )  # fmt: skip


@guarded
def add_area(
    name: str,
    file: AreaFile,
    *,
    description: str | None = None,
    public: bool | None = None,
    group: str | None = None,
    owner: Any = None,
) -> ListSaid:
    """Add an area, or replace the cells of the owner's area of that name; as `add_watchlist`."""
    owner = owner or local_user()
    one = _of_name(Area, "area", name, owner, description, public, group)
    if not len(file.ranges):
        raise BadDefinition(f"area {one.name!r} would have no cells; to have none of them, 'lasair area remove' it")
    one.how, one.square_degrees = file.how, file.square_degrees
    return _put(one, pack_area(file.ranges))


@guarded
def set_tns(cones: Cones) -> ListSaid:
    """Replace the cones of the watchlist that is the TNS; the same cones again change nothing."""
    one = Watchlist.objects.get(pk=TNS_WATCHLIST)
    one.cones = len(cones)
    return _put(one, cones.pack())


@guarded
def remove_watchlist(which: str | int, *, owner: Any = None) -> ListState:
    """Remove a watchlist; NotFound, NotPermitted. Its hits go when stored objects are matched again."""
    return _remove("watchlist", which, owner)


@guarded
def remove_area(which: str | int, *, owner: Any = None) -> ListState:
    """Remove an area; as `remove_watchlist`."""
    return _remove("area", which, owner)


@guarded
def stop(kind: Kind, which: str | int, *, owner: Any = None) -> ListState:
    """Match alerts no more with a list, which is kept; NotFound, NotPermitted."""
    return _set_active(kind, which, owner, False)


@guarded
def activate(kind: Kind, which: str | int, *, owner: Any = None) -> ListState:
    """Match alerts again with a list that was stopped. BadDefinition when there are too many cones; NotFound,
    NotPermitted.
    """
    return _set_active(kind, which, owner, True)


@guarded
def share(
    kind: Kind, which: str | int, *, public: bool | None = None, group: str | None = None, owner: Any = None
) -> ListState:
    """Say who else may use a list: None leaves it as it is, an empty group takes the group away.

    Raises
    ------
    NotFound, NotPermitted
        There is no such list or group; the list is somebody else's, or its owner is not in the group.
    """
    one = find_own(_MODELS[kind], kind, which, owner)
    share_with(one, public=public, group=group, member=acting(owner))
    one.save(update_fields=("public", "group"))
    return _state(one)


@reading
def list_lists(kind: Kind, owner: Any = None) -> list[ListState]:
    """The lists that a user (the local one unless given) may use, by number. Needs no right to write."""
    there = visible(_MODELS[kind], acting(owner)).select_related("owner", "group").order_by("pk")
    return [_state(one) for one in there]


@reading
def show(kind: Kind, which: str | int, *, owner: Any = None) -> dict[str, Any]:
    """Everything about a list that a user may use, as JSON takes it; NotFound. Needs no right to write."""
    one = find(_MODELS[kind], kind, which, owner)
    facts = {
        "number": one.pk,
        "name": one.name,
        "owner": one.owner and one.owner.get_username(),
        "description": one.description,
        "public": one.public,
        "group": one.group and one.group.name,
        "version": one.version,
        "active": one.active,
        "created": utc_text(one.created),
    }
    if kind == "area":
        return {**facts, "square_degrees": one.square_degrees, "how": one.how}
    return {
        **facts,
        "cones": one.cones,
        "radius_arcsec": one.radius,
        "brighter": one.brighter,
        "change": one.change,
        "source": one.source,
        "refresh_hours": one.refresh_hours,
        "refreshed": utc_text(one.refreshed),
        "refresh_error": one.refresh_error,
    }


@reading
def due_refresh(now: datetime) -> list[Source]:
    """Watchlists of all users whose time to be read again has come, by number."""
    waiting = Watchlist.objects.exclude(source="").filter(refresh_hours__isnull=False).order_by("pk")
    return [_source(one) for one in waiting.select_related("owner") if _is_due(one, now)]


@reading
def source_of(which: str | int, *, owner: Any = None) -> Source:
    """Where a list of one's own is read from again.

    Raises
    ------
    BadDefinition
        It came from a file.
    NotFound, NotPermitted
        There is no such list, or it is somebody else's.
    """
    one = find_own(Watchlist, "watchlist", which, owner)
    if not one.source:
        raise BadDefinition(
            f"watchlist {one.pk} ({one.name}) came from a file; 'lasair watchlist add' replaces its cones"
        )
    return _source(one)


@guarded
def put_refreshed(source: Source, file: WatchlistFile, when: datetime) -> ListSaid | None:
    """Replace the cones of a list by what its source has now, and keep when that was.

    None, and nothing is done, when the list has changed meanwhile: what was read was read for another.

    Raises
    ------
    BadDefinition
        There are no cones, or too many.
    """
    one = Watchlist.objects.filter(pk=source.list_id).select_related("owner").first()
    if one is None or _source(one) != source:
        return None
    _check_cones(one, len(file))
    one.cones, one.refreshed, one.refresh_error = len(file), when, ""
    return _put(one, cones_of(file, one.brighter, one.change).pack())


@guarded
def record_refresh(list_id: int, when: datetime, error: str) -> None:
    """Keep when a source was asked, and why that failed ('' when it did not); a list that is gone is no matter."""
    Watchlist.objects.filter(pk=list_id).update(refreshed=when, refresh_error=error[:10_000])


def _of_name(
    model: Any, kind: str, name: str, owner: Any, description: str | None, public: bool | None, group: str | None
) -> Any:
    """The owner's list of that name, or a new one; not saved."""
    name = check_name(kind, name)
    one = model.objects.filter(owner=owner, name=name).first() or model(owner=owner, name=name)
    if description is not None:
        one.description = check_description(kind, description)
    share_with(one, public=public, group=group, member=owner)
    return one


def _put(one: Any, data: bytes) -> ListSaid:
    """Save a list with its content, a new version when that differs."""
    old = one.content
    changed = not is_content(old, data)
    if changed:
        one.content = put_content(data)
        # the first content of a list without any, such as the TNS before its first download, is a change too
        one.version += one.pk is not None
    one.save()
    if changed and old is not None:
        old.delete()
    return ListSaid(one.pk, one.version, getattr(one, "cones", 0), changed and one.active)


def _remove(kind: Kind, which: str | int, owner: Any) -> ListState:
    one = find_own(_MODELS[kind], kind, which, owner)
    state, content = _state(one), one.content
    one.delete()
    if content is not None:
        content.delete()
    return state


def _set_active(kind: Kind, which: str | int, owner: Any, active: bool) -> ListState:
    one = find_own(_MODELS[kind], kind, which, owner)
    if one.active != active:
        if active and kind == "watchlist":
            _check_room(one, one.cones)
        one.active = active
        one.version += 1
        one.save(update_fields=("active", "version"))
    return _state(one)


def _check_cones(one: Watchlist, cones: int) -> None:
    if not cones:
        raise BadDefinition(
            f"watchlist {one.name!r} would have no cones; to have none of them any more, 'lasair watchlist remove' it"
        )
    if cones > MAX_CONES:
        raise BadDefinition(f"watchlist {one.name!r} would have {cones:,} cones; {MAX_CONES:,} are the most")
    if one.active:
        _check_room(one, cones)


def _check_room(one: Watchlist, cones: int) -> None:
    others = Watchlist.objects.filter(~Q(pk=one.pk), active=True).aggregate(all=Sum("cones"))["all"] or 0
    if others + cones > MAX_ACTIVE_CONES:
        raise BadDefinition(
            f"watchlist {one.name!r} has {cones:,} cones, and the other active lists {others:,}; all together may have "
            f"{MAX_ACTIVE_CONES:,}: stop a list with 'lasair watchlist stop'"
        )


def _is_due(one: Watchlist, now: datetime) -> bool:
    if one.refreshed is None:
        return True
    after = timedelta(hours=one.refresh_hours)
    return bool(now >= one.refreshed + (min(after, RETRY) if one.refresh_error else after))


def _source(one: Watchlist) -> Source:
    return Source(
        one.pk, one.name, one.source, one.radius, one.brighter, one.change, one.refresh_hours, one.skip_bad, one.owner
    )


def _state(one: Any) -> ListState:
    size = one.cones if isinstance(one, Watchlist) else one.square_degrees
    return ListState(
        one.pk, one.name, one.owner and one.owner.get_username(), one.version, one.active, size, one.public,
        one.group and one.group.name,
    )  # fmt: skip
