"""A state with few objects, to which alerts come while people edit lists, areas, events and the TNS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from lasair.definitions import lists, models
from lasair.definitions.area_file import AreaFile
from lasair.definitions.content import Cones, Happened
from lasair.definitions.pieces import put_content
from lasair.definitions.snapshot import read_snapshot
from lasair.definitions.watchlist_file import WatchlistFile, read_watchlist
from lasair.events.model import WINDOW_DAYS
from lasair.filter.evaluate import feature_stage
from lasair.ingest import keep_lightcurves
from lasair.matching.past import Matched, match_past
from lasair.matching.stage import NOT_KEPT, MatchStage
from lasair.packets.batch import AlertBatch
from lasair.schema.model import table
from lasair.sky.names import PackedNames
from lasair.sky.skymap import Localisation
from lasair.stores.open import Stores, open_stores
from lasair.stores.protocols import Versions
from tests.support.batches import lsst_batch, ztf_batch
from tests.support.definitions import new_definitions

CONTOUR = 90.0
#: (object, time [MJD TAI], ra, decl)
Said = tuple[int, float, float, float]

_numbers = count(1)


class World:
    """Definitions, stores and the stage of a pipeline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.definitions = new_definitions(folder)
        self.stores: Stores = open_stores(folder, durable=False, lightcurve_shards=1)
        self.stage = MatchStage(self.definitions, self.stores, contour=CONTOUR)
        self.alerts = 0

    def watchlist(self, name: str, cones: Sequence[tuple[float, float]], radius: float = 10.0, **more: Any) -> int:
        """Add or edit a watchlist; its number. Nothing is matched."""
        file = self.folder / f"{next(_numbers)}.csv"
        file.write_text("ra,dec,name\n" + "".join(f"{ra!r},{decl!r},at {ra:g}\n" for ra, decl in cones))
        read: WatchlistFile = read_watchlist(file, radius_arcsec=radius)
        return lists.add_watchlist(name, read, radius=radius, **more).list_id

    def area(self, name: str, ranges: Sequence[tuple[int, int]]) -> int:
        """Add or edit an area made of cells of order 29."""
        file = AreaFile(np.array(ranges, np.uint64), "cells", True, 29)
        return lists.add_area(name, file).list_id

    def event(self, name: str, t0: float, where: Localisation | None, *, retracted: bool = False) -> int:
        """Add, edit or (None: leave the place) retract an event, as its notices do."""
        one, new = models.Event.objects.get_or_create(name=name)
        if where is not None:
            one.content = put_content(Happened(t0, t0 + WINDOW_DAYS, where).pack())
            one.t0 = t0
        one.retracted = retracted
        one.version += not new
        one.save()
        return int(one.pk)

    def tns(self, entries: Sequence[tuple[int, str, float, float, float]], radius: float = 5.0) -> None:
        """What the TNS has: (objid, name, ra, decl, z)."""
        ids, names, ra, decl, z = map(np.array, zip(*entries, strict=True)) if entries else [np.empty(0)] * 5
        n, nothing = len(entries), np.full(len(entries), np.nan)
        if n:
            self.stores.objects.put("lsst", "crossmatch_tns", {
                "tns_name": names, "tns_prefix": np.full(n, "SN"), "type": np.full(n, ""), "z": z.astype(float),
                "ra": ra.astype(float), "decl": decl.astype(float), "htm16": np.zeros(n, np.int64),
            })  # fmt: skip
        lists.set_tns(
            Cones(
                ids.astype(np.int64), ra.astype(float), decl.astype(float), np.full(n, radius),
                PackedNames.of([str(one) for one in names]), nothing, nothing,
            )
        )  # fmt: skip
        self.stores.objects.keep_only("lsst", "crossmatch_tns", [str(one) for one in names])

    def batch(self, said: Iterable[Said], flux: float = 5000.0) -> AlertBatch:
        """A batch of LSST alerts, as it comes to the stage."""
        alerts = []
        for key, mjd, ra, decl in said:
            self.alerts += 1
            source = {
                "diaSourceId": self.alerts, "diaObjectId": key, "midpointMjdTai": mjd, "psfFlux": flux,
                "psfFluxErr": 50.0, "band": "g", "ra": ra, "dec": decl,
            }  # fmt: skip
            alerts.append({"diaObject": {"diaObjectId": key, "ra": ra, "dec": decl}, "diaSourcesList": [source]})
        return feature_stage(None)(lsst_batch(alerts))

    def ztf_batch(self, said: Iterable[tuple[str, float, float, float]]) -> AlertBatch:
        """A batch of ZTF alerts."""
        alerts = []
        for key, mjd, ra, decl in said:
            self.alerts += 1
            candidate = {
                "candid": self.alerts, "jd": mjd + 2400000.5 - 37.0 / 86400.0, "fid": 1, "magpsf": 18.0,
                "sigmapsf": 0.1, "ra": ra, "dec": decl, "isdiffpos": "t", "ssdistnr": -999.0,
            }  # fmt: skip
            alerts.append({"objectId": key, "candid": self.alerts, "candidate": candidate})
        return feature_stage(None)(ztf_batch(alerts))

    def match(self, batch: AlertBatch, *, take_in: bool = True) -> AlertBatch:
        """The stage; `take_in` what is defined before, as the pipeline does."""
        if take_in:
            self.stage.take_in(read_snapshot(self.definitions))
        return self.stage(batch)

    def keep(self, batch: AlertBatch) -> None:
        """Store what the batch holds."""
        keep_lightcurves(batch, self.stores.lightcurves)
        versions = Versions(
            np.ascontiguousarray(batch.alerts["mjd_tai"]), np.ascontiguousarray(batch.alerts["alert_id"]),
            np.diff(batch.offsets),
        )  # fmt: skip
        for name, columns in batch.tables.items():
            if name not in NOT_KEPT:
                some = {key: values for key, values in columns.items() if key != "tns_name"}
                self.stores.objects.put(batch.survey, name, some, versions)
        self.stage.keep(batch, versions)

    def take(self, *said: Said, flux: float = 5000.0) -> AlertBatch:
        """A batch through everything."""
        batch = self.match(self.batch(said, flux))
        self.keep(batch)
        return batch

    def past(self, **more: Any) -> list[Matched]:
        """Match stored objects with all that is due."""
        return list(match_past(self.definitions, self.stores, contour=CONTOUR, **more))

    def rows(self, name: str, survey: str = "lsst") -> list[dict[str, Any]]:
        """Rows of a table, by key, without the times of writing."""
        where = table(name, survey)  # type: ignore[arg-type]
        names = [one.name for one in where.columns if one.type != "timestamp"]
        found = self.stores.objects.query(
            f"SELECT {', '.join(names)} FROM {where.physical} ORDER BY {', '.join(where.primary_key)}", {},
            time_limit_s=10.0, row_limit=10_000,
        )  # fmt: skip
        return [dict(zip(names, row, strict=True)) for row in found.rows]

    def cones_hit(self) -> list[tuple[int, int, int]]:
        """(object, list, cone)."""
        return [(one["diaObjectId"], one["wl_id"], one["cone_id"]) for one in self.rows("watchlist_hits")]

    def close(self) -> None:
        self.stores.close()


@contextmanager
def new_world(folder: Path) -> Iterator[World]:
    world = World(folder)
    try:
        yield world
    finally:
        world.close()
