"""Which positions lie in which cones, areas and sky maps: pure functions from columns to tables of hits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.healpix import MAX_ORDER
from lasair.catalogues.sky import Sky
from lasair.filter.database import ALERT
from lasair.matching.live import Limits, LiveEvent, SkyIndex
from lasair.packets.batch import Columns
from lasair.schema.model import Survey, object_key
from lasair.sky.skymap import SkyMap

#: (k,) indices -> (k,) magnitudes now, and (k,) changes since the detection before.
Brightness = Callable[[NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True, eq=False)
class Places:
    """Objects to match, all arrays (n,).

    Attributes
    ----------
    survey : of all
    keys : published names
    ra, decl : [deg]; NaN is nowhere
    seen : time of the triggering detection [MJD TAI]
    """

    survey: Survey
    keys: NDArray[np.generic]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    seen: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.keys)


def watchlist_hits(sky: SkyIndex, at: Places, brightness: Brightness) -> Columns:
    """The table `watchlist_hits` of positions, with ``_alert``; `brightness` is asked only where a cone has limits."""
    hits = sky.cones.find(at.ra, at.decl)
    return {
        ALERT: hits.position,
        object_key(at.survey): at.keys[hits.position],
        "wl_id": hits.list_id,
        "cone_id": hits.cone_id,
        "arcsec": hits.separation_arcsec,
        "name": np.array(hits.names(), np.str_) if len(hits) else np.empty(0, "<U1"),
        "triggered": _triggered(sky.limits, hits.position, hits.list_id, hits.cone_id, brightness),
    }


def area_hits(sky: SkyIndex, at: Places) -> Columns:
    """The table `area_hits` of positions, with ``_alert``."""
    hits = sky.areas.find(at.ra, at.decl)
    return {ALERT: hits.position, object_key(at.survey): at.keys[hits.position], "ar_id": hits.area_id}


def event_hits(
    events: tuple[LiveEvent, ...], at: Places, host_mpc: NDArray[np.float64], most_percent: float
) -> Columns:
    """The table `mma_area_hits` of positions, with ``_alert``: those seen in an event's window within a contour.

    Parameters
    ----------
    host_mpc : (n,) distances of the hosts, NaN where unknown
    most_percent : the contour
    """
    held: list[Columns] = []
    good = np.isfinite(at.ra + at.decl)
    cells = np.zeros(len(at), np.int64)
    if events:
        # once for all maps
        cells[good] = Sky(at.ra[good], at.decl[good]).cells(MAX_ORDER)
    for event in events:
        happened = event.happened
        inside = np.flatnonzero((at.seen >= happened.t0) & (at.seen <= happened.end) & good)
        where = happened.localisation
        if isinstance(where, SkyMap):
            said = where.at_cells(cells[inside], host_mpc[inside])
        else:
            said = where.at(at.ra[inside], at.decl[inside], host_mpc[inside])
        near = said.contour <= most_percent
        rows = inside[near]
        held.append(
            {
                ALERT: rows,
                object_key(at.survey): at.keys[rows],
                "mw_id": np.full(len(rows), event.event_id, np.int64),
                "event": np.full(len(rows), event.name),
                "contour": said.contour[near],
                "distance": said.distance[near],
                "probdens2": said.probdens2[near],
                "probdens3": said.probdens3[near],
            }
        )
    if not held:
        nothing = np.empty(0)
        return {
            ALERT: np.empty(0, np.int64), object_key(at.survey): at.keys[:0], "mw_id": np.empty(0, np.int64),
            "event": np.empty(0, "<U1"), "contour": nothing, "distance": nothing, "probdens2": nothing,
            "probdens3": nothing,
        }  # fmt: skip
    found = {name: np.concatenate([one[name] for one in held]) for name in held[0]}
    order = np.argsort(found[ALERT], kind="stable")
    return {name: values[order] for name, values in found.items()}


def nearest_of_list(hits: Columns, list_id: int, n: int) -> NDArray[np.int64]:
    """Row of the nearest hit of one watchlist for each of n positions, -1 where there is none; ties by cone."""
    rows = np.flatnonzero(hits["wl_id"] == list_id)
    order = rows[np.lexsort((hits["cone_id"][rows], hits["arcsec"][rows], hits[ALERT][rows]))]
    found = np.full(n, -1, np.int64)
    # written backwards, so that the first of each position stays
    found[hits[ALERT][order[::-1]]] = order[::-1]
    return found


def _triggered(
    limits: Mapping[int, Limits],
    position: NDArray[np.int64],
    list_id: NDArray[np.int64],
    cone_id: NDArray[np.int64],
    brightness: Brightness,
) -> NDArray[np.int64]:
    """1 where a hit is what its cone waits for: any alert, or one that meets one of its limits."""
    found = np.ones(len(position), np.int64)
    for number, of in limits.items():
        rows = np.flatnonzero(list_id == number)
        if not len(rows):
            continue
        brighter, change = of.at(cone_id[rows])
        mag, changed = brightness(position[rows])
        any_alert = np.isnan(brighter) & np.isnan(change)
        # a comparison with NaN is False: what is not known meets no limit
        found[rows] = any_alert | (mag < brighter) | (changed >= change)
    return found
