"""The embedded stores of one state folder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lasair.stores.cutouts import FileCutoutStore
from lasair.stores.lightcurves import FileLightcurveStore
from lasair.stores.objects import SqliteObjectStore


@dataclass(frozen=True)
class Stores:
    """Light curves, cutouts and objects of one state folder."""

    lightcurves: FileLightcurveStore
    cutouts: FileCutoutStore
    objects: SqliteObjectStore

    def close(self) -> None:
        """Close all of them."""
        with ExitStack() as stack:
            for store in (self.lightcurves, self.cutouts, self.objects):
                stack.callback(store.close)

    def disk_usage(self) -> dict[str, int]:
        """Bytes on disk by store."""
        return {
            "lightcurves": self.lightcurves.disk_bytes(),
            "cutouts": self.cutouts.disk_bytes(),
            "objects": self.objects.disk_bytes(),
        }


def open_stores(state_dir: Path, *, durable: bool = True, lightcurve_shards: int = 4) -> Stores:
    """Open the stores under `state_dir`, and make them when they are not there.

    Parameters
    ----------
    state_dir : Path
    durable : wait for the disk at each put, so that a power cut loses nothing
    lightcurve_shards : files of light curves when they are made; a store that exists keeps its number

    Raises
    ------
    StoreUnavailable
        One of them cannot be opened or made; those opened before it are closed again.
    """
    with ExitStack() as stack:
        lightcurves = FileLightcurveStore(state_dir / "lightcurves", lightcurve_shards, durable)
        stack.callback(lightcurves.close)
        cutouts = FileCutoutStore(state_dir / "cutouts", durable)
        stack.callback(cutouts.close)
        objects = SqliteObjectStore(state_dir / "objects.db", durable)
        stack.pop_all()
    return Stores(lightcurves, cutouts, objects)
