"""Stored objects matched with lists, areas and events that are new or have changed; goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.healpix import declinations
from lasair.definitions.content import unpack_area, unpack_cones, unpack_event
from lasair.definitions.snapshot import ActiveList, Snapshot, read_content, read_snapshot
from lasair.errors import BadDefinition, StoreUnavailable
from lasair.filter.database import ALERT
from lasair.filter.evaluate import OBJECTS, SHERLOCK
from lasair.filter.stored import stored_batch, tns_rows
from lasair.matching.brightness import brightness
from lasair.matching.hits import Places, area_hits, event_hits, watchlist_hits
from lasair.matching.live import Limits, LiveEvent, SkyIndex, list_name, or_nothing, segment_of
from lasair.matching.stage import EVENTS, WATCHLISTS, host_distance
from lasair.packets.batch import Columns
from lasair.packets.ids import object_ids
from lasair.schema.model import DETECTION, INT_MISSING, POSITION, SURVEYS, TNS_WATCHLIST, Survey
from lasair.sky.areas import AreaIndex
from lasair.sky.cones import ConeIndex
from lasair.stores.hits import ListKey, ListState
from lasair.stores.open import Stores
from lasair.stores.positions import Positions, survey_of
from lasair.stores.protocols import Versions

#: Objects of one step; what is matched while a person waits for a progress bar to move.
CHUNK = 20_000

_TNS = ListKey("watchlist", TNS_WATCHLIST)

#: Called with the number of objects just looked at.
Progress = Callable[[int], None]


class Matched(NamedTuple):
    """A list that stored objects have been matched with."""

    key: ListKey
    name: str
    #: objects in it
    objects: int
    #: hits of an earlier version, or of a list that is gone, that were removed
    removed: int
    #: why nothing was matched with it, '' when it was
    error: str = ""


def due(snapshot: Snapshot, known: Mapping[ListKey, ListState]) -> tuple[list[ActiveList], list[ListKey]]:
    """What stored objects have yet to be matched with, and lists that are gone and still have hits.

    Parameters
    ----------
    known : what the main database knew before the snapshot was read
    """
    active = {ListKey(one.kind, one.list_id): one for one in snapshot.lists}
    waiting = [
        one
        for key, one in active.items()
        if key not in known or known[key].version < one.version or not known[key].matched
    ]
    gone = [key for key, state in known.items() if key not in active and not (state.removed and state.matched)]
    return waiting, gone


def waiting_objects(definitions: Path, stores: Stores) -> int:
    """Objects that `match_past` would look at, each as often as there are lists: the length of a progress bar."""
    known = stores.objects.lists()
    waiting, _ = due(read_snapshot(definitions), known)
    return len(waiting) * sum(stores.objects.count(survey, "objects") for survey in SURVEYS)


def match_past(
    definitions: Path, stores: Stores, *, contour: float, progress: Progress | None = None
) -> Iterator[Matched]:
    """Match stored objects with all that is due; yields each list when it is done.

    Stopped at any point, it goes on there when it is called again. What is edited meanwhile is matched anew.

    Parameters
    ----------
    definitions : the database of definitions
    stores : main database, light curves
    contour : percent; objects farther out in an event's map do not hit it

    Raises
    ------
    StoreUnavailable
        A store cannot be read or written; or the main database has newer lists than the definitions, which comes of
        copies of different times. The other lists are matched then.
    """
    #: an edit makes another version, so this comes to an end
    tried: set[tuple[ListKey, int]] = set()
    removed: set[tuple[ListKey, int]] = set()
    while True:
        # before the definitions, so that what it knows is never newer
        known = stores.objects.lists()
        snapshot = read_snapshot(definitions)
        waiting, gone = due(snapshot, known)
        waiting = [one for one in waiting if (key_of(one), one.version) not in tried]
        gone = [key for key in gone if (key, known[key].version) not in removed]
        tried |= {(key_of(one), one.version) for one in waiting}
        removed |= {(key, known[key].version) for key in gone}
        if not waiting and not gone:
            break
        for key in gone:
            yield Matched(key, "", 0, stores.objects.remove_list(key, known[key].version))
        # all at once: from here on the pipeline cannot write hits of older versions
        for one in waiting:
            stores.objects.begin_list(key_of(one), one.version)
        # the TNS first, since distances of events may come from it
        for one in sorted(waiting, key=lambda o: (o.kind == "event", key_of(o) != _TNS)):
            found = _match(one, definitions, stores, contour, progress)
            if found is not None:
                yield found
    _check_newest(snapshot, known)


def key_of(one: ActiveList) -> ListKey:
    """What the main database calls a list of a snapshot."""
    return ListKey(one.kind, one.list_id)


def _check_newest(snapshot: Snapshot, known: Mapping[ListKey, ListState]) -> None:
    for one in snapshot.lists:
        state = known.get(key_of(one))
        if state is not None and (state.version, state.removed) > (one.version, False):
            raise StoreUnavailable(
                f"the main database has hits of a newer {list_name(one.kind, one.list_id)} ({one.name}) than the "
                "definitions have: restore both from copies of one time"
            )


def _match(
    one: ActiveList, definitions: Path, stores: Stores, contour: float, progress: Progress | None
) -> Matched | None:
    """None when the list was edited meanwhile."""
    key = key_of(one)
    content = read_content(definitions, one.content_id)
    if content is None and one not in read_snapshot(definitions).lists:
        return None
    try:
        sky, low, high = _only(one, content or b"", contour)
    except BadDefinition as err:
        return Matched(key, one.name, 0, 0, str(err))
    objects = 0
    place = stores.objects.lists()[key].place
    begun = SURVEYS.index(survey_of(place)) if place is not None else 0
    for survey in SURVEYS[begun:]:
        after = place if place is not None and survey_of(place) == survey else None
        while (chunk := stores.objects.positions(survey, after, CHUNK, low, high)) is not None:
            columns = _hits(sky, survey, chunk, stores, contour)
            named = _with_tns(stores, survey, chunk.keys) if key == _TNS else None
            if stores.objects.put_list_hits(
                survey, key, one.version, chunk.keys, chunk.versions, columns, chunk.place
            ) is None:  # fmt: skip
                return None
            hit = np.unique(columns[ALERT])
            objects += len(hit)
            if named is not None:
                named[hit] = True
                hosts_again(definitions, stores, survey, chunk.keys[named], contour=contour)
            if progress is not None:
                progress(len(chunk.keys))
            after = chunk.place
    return Matched(key, one.name, objects, stores.objects.finish_list(key, one.version))


def hosts_again(
    definitions: Path, stores: Stores, survey: Survey, keys: NDArray[np.generic], *, contour: float
) -> None:
    """Compute again what depends on the distance of their hosts for objects that events have tagged.

    Called when Sherlock or the TNS says something else of them.

    Parameters
    ----------
    keys : (n,) objects of which something may have changed
    """
    tagged = stores.objects.rows(survey, EVENTS, keys)
    active = {one.list_id: one for one in read_snapshot(definitions).lists if one.kind == "event"}
    known = stores.objects.lists()
    for number in np.unique(tagged["mw_id"]).tolist():
        one, key = active.get(number), ListKey("event", number)
        if one is None or key not in known or known[key].version != one.version:
            continue  # it is matched anew soon, or gone
        content = read_content(definitions, one.content_id)
        happened = None if content is None else or_nothing(one, unpack_event, content)
        if happened is None:
            continue
        some = np.unique(keys[tagged[ALERT][tagged["mw_id"] == number]])
        at, versions = _stored_places(stores, survey, some)
        columns = _event(LiveEvent(number, one.name, happened), at, stores, contour)
        stores.objects.put_list_hits(survey, key, one.version, at.keys, versions, columns, known[key].place)


def _stored_places(stores: Stores, survey: Survey, keys: NDArray[np.generic]) -> tuple[Places, Versions]:
    """Where stored objects are, and the versions they have."""
    names = (*POSITION[survey], "_mjd_tai", "_alert_id", "_n_rows")
    found = stores.objects.fetch(survey, OBJECTS, names, keys.tolist())
    there = np.array([key in found for key in keys.tolist()], np.bool_)
    keys = keys[there]
    ra, decl, mjd, alert, n_rows = (
        np.array([found[key][i] for key in keys.tolist()], np.float64 if i < 3 else object) for i in range(len(names))
    )
    versions = Versions(mjd, _integers(alert), _integers(n_rows))
    return Places(survey, keys, ra, decl, mjd), versions


def _integers(values: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.array([INT_MISSING if one is None else one for one in values.tolist()], np.int64)


def _with_tns(stores: Stores, survey: Survey, keys: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Which objects the TNS watchlist has hit before, (n,)."""
    found = np.zeros(len(keys), np.bool_)
    hits = stores.objects.rows(survey, WATCHLISTS, keys)
    found[hits[ALERT][hits["wl_id"] == TNS_WATCHLIST]] = True
    return found


def _only(one: ActiveList, content: bytes, contour: float) -> tuple[SkyIndex, float, float]:
    """An index of one list alone, and the declinations between which it lies. BadDefinition when it is damaged."""
    if one.kind == "watchlist":
        cones = unpack_cones(content)
        if not len(cones) and key_of(one) != _TNS:
            return SkyIndex(), 90.0, -90.0
        reach = cones.radius / 3600.0 + 1e-6
        limits = Limits.of(cones)
        sky = SkyIndex(
            cones=ConeIndex.of([segment_of(one.list_id, cones)]), limits={one.list_id: limits} if limits else {}
        )
        if key_of(one) == _TNS:
            # distances change where its cones were, too
            return sky, -90.0, 90.0
        return sky, float((cones.decl - reach).min()), float((cones.decl + reach).max())
    if one.kind == "area":
        ranges = unpack_area(content)
        low, high = declinations(ranges[:, 0].astype(np.int64), ranges[:, 1].astype(np.int64))
        return SkyIndex(areas=AreaIndex({one.list_id: ranges})), low, high
    event = LiveEvent(one.list_id, one.name, unpack_event(content))
    return SkyIndex(events=(event,)), *event.happened.localisation.declinations(contour)


def _hits(sky: SkyIndex, survey: Survey, chunk: Positions, stores: Stores, contour: float) -> Columns:
    """Hits of the only list in `sky` among stored objects."""
    at = Places(survey, chunk.keys, chunk.ra, chunk.decl, chunk.versions.mjd_tai)
    if sky.events:
        return _event(sky.events[0], at, stores, contour)
    if len(sky.areas):
        return area_hits(sky, at)

    def stored_brightness(rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        ids = object_ids(survey, chunk.keys[rows])
        batch = stored_batch(stores, survey, ids.tolist())
        # an object that has gone since has no place in the batch; its hit is refused when it is put
        place = {one: i for i, one in enumerate(batch.alerts["object_id"].tolist())}
        there = np.array([place.get(one, -1) for one in ids.tolist()], np.int64)
        mag, change = brightness(batch, np.arange(len(batch)))
        return np.append(mag, np.nan)[there], np.append(change, np.nan)[there]

    return watchlist_hits(sky, at, stored_brightness)


def _event(event: LiveEvent, at: Places, stores: Stores, contour: float) -> Columns:
    """Stored objects inside an event's map that were detected in its window, whenever the newest alert was."""
    happened = event.happened
    good = np.flatnonzero(np.isfinite(at.ra + at.decl))
    near = good[happened.localisation.at(at.ra[good], at.decl[good]).contour <= contour]
    inside = near[_detected(at, near, stores, happened.t0, happened.end)]
    some = Places(at.survey, at.keys[inside], at.ra[inside], at.decl[inside], np.full(len(inside), happened.t0))
    keys = some.keys.tolist()
    sherlock = stores.objects.fetch(at.survey, SHERLOCK, ("best_distance",), keys)
    distance = np.array([sherlock.get(one, (None,))[0] for one in keys], np.float64)
    tns = tns_rows(stores, at.survey, stores.objects.rows(at.survey, WATCHLISTS, some.keys))
    host = host_distance({"best_distance": distance}, tns, len(some))
    found = event_hits((event,), some, host, contour)
    found[ALERT] = inside[found[ALERT]]
    return found


def _detected(
    at: Places, rows: NDArray[np.int64], stores: Stores, first_mjd: float, last_mjd: float
) -> NDArray[np.bool_]:
    """Whether objects were detected between two times: by their newest alert, else by their light curves."""
    found: NDArray[np.bool_] = (at.seen[rows] >= first_mjd) & (at.seen[rows] <= last_mjd)
    # what was last seen before it was not seen in it
    asked = np.flatnonzero(at.seen[rows] > last_mjd)
    if len(asked):
        ids = object_ids(at.survey, at.keys[rows[asked]])
        curve, offsets = stores.lightcurves.get(at.survey, ids.tolist(), mjd_min=first_mjd, mjd_max=last_mjd)
        detections = np.concatenate(([0], np.cumsum(curve["kind"] == DETECTION)))
        found[asked] = (np.diff(detections[offsets]) > 0) & (ids != INT_MISSING)
    return found
