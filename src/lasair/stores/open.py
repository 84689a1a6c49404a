"""The embedded stores of one state folder."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from lasair.errors import StoreUnavailable
from lasair.stores.classifications import SqliteClassificationStore
from lasair.stores.cutouts import FileCutoutStore
from lasair.stores.files import database_bytes, file_bytes
from lasair.stores.lightcurves import FileLightcurveStore
from lasair.stores.marks import SqliteMarkStore
from lasair.stores.objects import SqliteObjectStore

#: In the state folder.
MARKS_FILE = "marks.db"


class Stores:
    """Light curves, cutouts, objects, classifications and marks of one state folder, each opened when it is first used.

    So a damaged one stops only what needs it. Using one raises StoreUnavailable when it cannot be opened.

    Parameters
    ----------
    state_dir : Path
    durable : wait for the disk at each put, so that a power cut loses nothing
    lightcurve_shards : files of light curves when they are made; a store that exists keeps its number
    read_only : the stores must exist and are not written; a user without the right to write can read them
    """

    def __init__(
        self, state_dir: Path, *, durable: bool = True, lightcurve_shards: int = 4, read_only: bool = False
    ) -> None:
        self.path = state_dir
        self._lightcurves = state_dir / "lightcurves"
        self._cutouts = state_dir / "cutouts"
        self._objects = state_dir / "objects.db"
        self._classifications = state_dir / "sherlock.db"
        self._marks = state_dir / MARKS_FILE
        self._durable = durable
        self._lightcurve_shards = lightcurve_shards
        self._read_only = read_only
        self._opened = ExitStack()

    @cached_property
    def lightcurves(self) -> FileLightcurveStore:
        """Light curves."""
        store = FileLightcurveStore(
            self._lightcurves, self._lightcurve_shards, self._durable, read_only=self._read_only
        )
        self._opened.callback(store.close)
        return store

    @cached_property
    def cutouts(self) -> FileCutoutStore:
        """Images."""
        store = FileCutoutStore(self._cutouts, self._durable, read_only=self._read_only)
        self._opened.callback(store.close)
        return store

    @cached_property
    def objects(self) -> SqliteObjectStore:
        """The main SQL database."""
        store = SqliteObjectStore(self._objects, self._durable, read_only=self._read_only)
        self._opened.callback(store.close)
        return store

    @cached_property
    def classifications(self) -> SqliteClassificationStore:
        """What Sherlock said."""
        store = SqliteClassificationStore(self._classifications, self._durable, read_only=self._read_only)
        self._opened.callback(store.close)
        return store

    @cached_property
    def marks(self) -> SqliteMarkStore:
        """What programs and people say of objects."""
        store = SqliteMarkStore(self._marks, self._durable, read_only=self._read_only)
        self._opened.callback(store.close)
        return store

    def close(self) -> None:
        """Close those that were opened."""
        self._opened.close()

    def disk_usage(self) -> dict[str, int]:
        """Bytes on disk by store; opens none."""
        return {
            "lightcurves": file_bytes(self._lightcurves),
            "cutouts": file_bytes(self._cutouts),
            "objects": database_bytes(self._objects),
            "classifications": database_bytes(self._classifications),
            "marks": database_bytes(self._marks),
        }

    def damage(self) -> dict[str, str]:
        """What is wrong with each store that cannot be used, as far as can be seen at once; empty when all is well."""
        found = {}
        for name in ("lightcurves", "cutouts", "objects", "classifications", "marks"):
            try:
                getattr(self, name).check()
            except StoreUnavailable as err:
                found[name] = str(err)
        return found


def open_stores(state_dir: Path, *, durable: bool = True, lightcurve_shards: int = 4) -> Stores:
    """Open all stores under `state_dir` at once, and make them when they are not there; arguments as of `Stores`.

    Raises
    ------
    StoreUnavailable
        One of them cannot be opened or made; those opened before it are closed again.
    """
    stores = Stores(state_dir, durable=durable, lightcurve_shards=lightcurve_shards)
    try:
        _ = stores.lightcurves, stores.cutouts, stores.objects, stores.classifications, stores.marks
    except BaseException:
        stores.close()
        raise
    return stores
