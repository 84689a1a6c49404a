"""All active lists, areas and events in memory, kept up to date with the definitions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lasair.definitions.content import Cones, Happened, unpack_area, unpack_cones, unpack_event
from lasair.definitions.snapshot import ActiveList, ListKind, Snapshot, read_content, read_snapshot
from lasair.errors import BadDefinition
from lasair.events.model import WINDOW_DAYS
from lasair.sky.areas import AreaIndex
from lasair.sky.cones import ConeIndex, ConeSegment
from lasair.stores.hits import ListKey

log = logging.getLogger("lasair.matching")

#: Events whose maps are kept in memory when no alert of late lay in their windows.
_IDLE_EVENTS = 4

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Limits:
    """What the cones of one list wait for: magnitudes by cone, ascending by `cone_id`; NaN: no such limit."""

    cone_id: NDArray[np.int64]
    brighter: NDArray[np.float64]
    change: NDArray[np.float64]

    @classmethod
    def of(cls, cones: Cones) -> Limits | None:
        """None when every cone waits for any alert."""
        if not (np.isfinite(cones.brighter) | np.isfinite(cones.change)).any():
            return None
        order = np.argsort(cones.cone_id, kind="stable")
        return cls(cones.cone_id[order], cones.brighter[order], cones.change[order])

    def at(self, cone_ids: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(brighter, change) of cones of this list."""
        row = np.searchsorted(self.cone_id, cone_ids)
        return self.brighter[row], self.change[row]


@dataclass(frozen=True, eq=False)
class LiveEvent:
    """An event, its window and where it was."""

    event_id: int
    name: str
    happened: Happened


@dataclass(frozen=True, eq=False)
class SkyIndex:
    """What positions are matched with; never changes, so a reader that holds one goes on undisturbed.

    Attributes
    ----------
    versions : of everything that is active, also of events whose maps are not in memory
    cones, areas : all active ones
    limits : of the watchlists that have any
    events : those whose windows were asked for
    """

    versions: Mapping[ListKey, int] = field(default_factory=lambda: MappingProxyType({}))
    cones: ConeIndex = field(default_factory=ConeIndex)
    areas: AreaIndex = field(default_factory=AreaIndex)
    limits: Mapping[int, Limits] = field(default_factory=lambda: MappingProxyType({}))
    events: tuple[LiveEvent, ...] = ()


class LiveSky:
    """Follows the definitions: `take_in` a snapshot, then `index` is what holds from then on.

    Only what has changed is read and built; a list is in the index as a whole or not at all. One thread at a time.

    Parameters
    ----------
    definitions : the database of definitions
    """

    def __init__(self, definitions: Path) -> None:
        self._definitions = definitions
        self._index = SkyIndex()
        #: what is in the index, or (events) can be loaded
        self._lists: dict[ListKey, ActiveList] = {}
        #: events by number: the content that was read, and what it holds (None: it is damaged)
        self._maps: dict[int, tuple[int, LiveEvent | None]] = {}

    def take_in(self, snapshot: Snapshot) -> None:
        """Make the index that of a snapshot; lists that have been replaced since are taken as they are now."""
        while (behind := self._take_in(snapshot)) is not None:
            snapshot = behind

    def index(self, first_mjd: float = np.inf, last_mjd: float = -np.inf) -> SkyIndex:
        """What is active, with the maps of events in whose windows detections between two times (MJD TAI) may lie."""
        wanted = [
            one
            for key, one in self._lists.items()
            if key.kind == "event" and one.t0 is not None and one.t0 <= last_mjd and one.t0 + WINDOW_DAYS >= first_mjd
        ]
        events = tuple(event for one in wanted if (event := self._event(one)) is not None)
        idle = [number for number in self._maps if all(number != one.list_id for one in wanted)]
        for number in idle[:-_IDLE_EVENTS]:
            del self._maps[number]
        now = self._index
        return SkyIndex(now.versions, now.cones, now.areas, now.limits, events)

    def _take_in(self, snapshot: Snapshot) -> Snapshot | None:
        """None when done; a newer snapshot when something of this one was replaced meanwhile."""
        new = {ListKey(one.kind, one.list_id): one for one in snapshot.lists}
        changed = [one for key, one in new.items() if self._changed(key, one)]
        contents: dict[ListKey, bytes] = {}
        for one in changed:
            if one.kind == "event":
                continue  # read when alerts may lie in its window
            content = read_content(self._definitions, one.content_id)
            if content is None and one not in (behind := read_snapshot(self._definitions)).lists:
                return behind
            contents[ListKey(one.kind, one.list_id)] = content or b""
        now = self._index
        limits, areas = dict(now.limits), now.areas
        segments: list[ConeSegment] = []
        gone = [key for key in self._lists if key not in new]
        for key in (*gone, *contents):
            if key.kind == "watchlist":
                limits.pop(key.list_id, None)
            elif key.kind == "area":
                areas = areas.without(key.list_id)
        cones = without(now.cones, [key.list_id for key in gone if key.kind == "watchlist"])
        for key, content in contents.items():
            if key.kind == "area":
                areas = or_nothing(new[key], partial(_with_area, areas, key.list_id), content) or areas
                continue
            unpacked = or_nothing(new[key], partial(_segment, key.list_id), content)
            if unpacked is None:
                cones = cones.without(key.list_id)
                continue
            segments.append(unpacked[0])
            if unpacked[1] is not None:
                limits[key.list_id] = unpacked[1]
        cones = ConeIndex.of(segments) if not len(cones) else with_segments(cones, segments)
        versions = {key: one.version for key, one in new.items()}
        self._lists = new
        self._index = SkyIndex(MappingProxyType(versions), cones, areas, MappingProxyType(limits))
        return None

    def _changed(self, key: ListKey, one: ActiveList) -> bool:
        held = self._lists.get(key)
        return held is None or (held.version, held.content_id) != (one.version, one.content_id)

    def _event(self, one: ActiveList) -> LiveEvent | None:
        held = self._maps.get(one.list_id)
        if held is not None and held[0] == one.content_id:
            return held[1]
        content = read_content(self._definitions, one.content_id)
        if content is None and one not in read_snapshot(self._definitions).lists:
            # replaced since: the next batch has the new one, and matches the objects of this one again
            return None
        happened = or_nothing(one, unpack_event, content or b"")
        event = None if happened is None else LiveEvent(one.list_id, one.name, happened)
        self._maps[one.list_id] = (one.content_id, event)
        return event


def segment_of(list_id: int, cones: Cones) -> ConeSegment:
    """Cones of a list, sorted and packed for the index."""
    return ConeSegment.build(list_id, cones.cone_id, cones.ra, cones.decl, cones.radius, cones.names)


def with_segments(cones: ConeIndex, segments: Iterable[ConeSegment]) -> ConeIndex:
    """An index with these lists too."""
    for segment in segments:
        cones = cones.with_segment(segment)
    return cones


def without(cones: ConeIndex, list_ids: Iterable[int]) -> ConeIndex:
    """An index without some lists."""
    for list_id in list_ids:
        cones = cones.without(list_id)
    return cones


def list_name(kind: ListKind, list_id: int) -> str:
    """A list as messages call it."""
    return f"{kind} {list_id}"


def _segment(list_id: int, content: bytes) -> tuple[ConeSegment, Limits | None]:
    cones = unpack_cones(content)
    return segment_of(list_id, cones), Limits.of(cones)


def _with_area(areas: AreaIndex, area_id: int, content: bytes) -> AreaIndex:
    return areas.with_area(area_id, unpack_area(content))


def or_nothing(one: ActiveList, unpack: Callable[[T], R], content: T) -> R | None:
    """What is unpacked; None, with a line in the log, when the content is damaged: the other lists go on."""
    try:
        return unpack(content)
    except BadDefinition as err:
        log.error("%s (%s) is left out: %s", list_name(one.kind, one.list_id), one.name, err)
        return None
