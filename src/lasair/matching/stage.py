"""The stage of the pipeline: everything that tags the alerts of a batch, as tables that filters join."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lasair.definitions.snapshot import Snapshot, read_snapshot
from lasair.errors import StoreUnavailable
from lasair.filter.database import ALERT
from lasair.filter.evaluate import OBJECTS, SHERLOCK
from lasair.filter.stored import tns_rows
from lasair.matching.brightness import brightness
from lasair.matching.hits import Places, area_hits, event_hits, nearest_of_list, watchlist_hits
from lasair.matching.live import LiveSky
from lasair.packets.batch import AlertBatch, Columns
from lasair.packets.ids import object_names
from lasair.schema.model import POSITION, TNS_WATCHLIST
from lasair.sky.cosmology import luminosity_distance_mpc
from lasair.stores.marks import MARK_TABLES
from lasair.stores.open import Stores
from lasair.stores.protocols import Versions

WATCHLISTS, AREAS, EVENTS, TNS = "watchlist_hits", "area_hits", "mma_area_hits", "crossmatch_tns"
#: A batch is matched so often before we give up; nobody edits so fast.
_MOST_EDITS = 20
#: Tables of hits, which the main database keeps with `ObjectStore.put_hits`.
HITS = (WATCHLISTS, AREAS, EVENTS)
#: Tables of a batch that are kept elsewhere already.
NOT_KEPT = (*HITS, TNS, *MARK_TABLES)


class MatchStage:
    """Fills the tables of hits, of the TNS, of annotations and of tags, and `tns_name` of LSST's objects.

    Positions are those of the batch's `objects`, so that the alert and its object as stored hit the same.

    Parameters
    ----------
    definitions : the database of definitions
    stores : main database and marks
    contour : percent; objects farther out in an event's map do not hit it
    """

    def __init__(self, definitions: Path, stores: Stores, *, contour: float) -> None:
        self._definitions, self._stores, self._contour = definitions, stores, contour
        self._sky = LiveSky(definitions)
        #: of the events that the last batch was matched with
        self._windows: dict[int, tuple[float, float]] = {}

    def take_in(self, snapshot: Snapshot) -> None:
        """Match with what is active in a snapshot from now on."""
        self._sky.take_in(snapshot)

    def __call__(self, batch: AlertBatch) -> AlertBatch:
        if not len(batch):
            return batch
        self._match(batch)
        keys = object_names(batch.survey, batch.alerts["object_id"]).tolist()
        for name in MARK_TABLES:
            batch.tables[name] = self._stores.marks.rows(batch.survey, name, keys)
        return batch

    def keep(self, batch: AlertBatch, versions: Versions) -> None:
        """Put the batch's hits into the main database.

        When definitions were edited after the batch was matched, it is matched again, so that no hit of an older list
        is written; users' filters have run on the older ones by then.

        Raises
        ------
        StoreUnavailable
            The hits in the main database are of newer definitions than there are.
        """
        keys = object_names(batch.survey, batch.alerts["object_id"])
        objects = self._stores.objects
        for _ in range(_MOST_EDITS):
            active = self._sky.index().versions
            hits = {name: batch.tables[name] for name in HITS}
            stale = objects.put_hits(batch.survey, keys, versions, hits, active, self._windows)
            if not stale:
                return
            # before the definitions: a list that comes back in between has another version then
            known = objects.lists()
            self._sky.take_in(read_snapshot(self._definitions))
            active = self._sky.index().versions
            for key in stale - active.keys():
                # somebody has removed it, and is about to say so here too
                objects.remove_list(key, known[key].version)
            self._match(batch)
        raise StoreUnavailable(
            "the main database has hits of newer lists than the definitions have: restore both from copies of one time"
        )

    def _match(self, batch: AlertBatch) -> None:
        at = places_of(batch)
        seen = at.seen[np.isfinite(at.seen)]
        sky = self._sky.index(*((seen.min(), seen.max()) if len(seen) else ()))
        self._windows = {one.event_id: (one.happened.t0, one.happened.end) for one in sky.events}
        hits = watchlist_hits(sky, at, lambda alerts: brightness(batch, alerts))
        tns = tns_rows(self._stores, batch.survey, hits)
        if "tns_name" in batch.tables[OBJECTS]:
            nearest = nearest_of_list(hits, TNS_WATCHLIST, len(at))
            batch.tables[OBJECTS]["tns_name"] = np.append(hits["name"], "")[nearest]
        host = host_distance(batch.tables.get(SHERLOCK), tns, len(at))
        batch.tables[WATCHLISTS] = hits
        batch.tables[AREAS] = area_hits(sky, at)
        batch.tables[EVENTS] = event_hits(sky.events, at, host, self._contour)
        batch.tables[TNS] = tns


def places_of(batch: AlertBatch) -> Places:
    """Where the objects of a batch are, as their `objects` rows say."""
    ra, decl = (batch.tables[OBJECTS][name] for name in POSITION[batch.survey])
    names = object_names(batch.survey, batch.alerts["object_id"])
    return Places(batch.survey, names, ra, decl, np.array(batch.alerts["mjd_tai"], np.float64))


def host_distance(sherlock: Columns | None, tns: Columns, n: int) -> NDArray[np.float64]:
    """Distances of hosts [Mpc], (n,): Sherlock's best, else by the redshift of the nearest transient of the TNS."""
    found = np.full(n, np.nan) if sherlock is None else np.array(sherlock["best_distance"], np.float64)
    z = np.where(np.isfinite(tns["z"]), tns["z"], tns["hostz"])
    known = np.flatnonzero(np.isfinite(z))
    redshift = np.full(n, np.nan)
    # nearest first, so written backwards
    redshift[tns[ALERT][known[::-1]]] = z[known[::-1]]
    return np.where(np.isfinite(found), found, luminosity_distance_mpc(redshift))
