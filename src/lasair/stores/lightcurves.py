"""Light curves on one machine: SQLite files, sharded by object, one blob of packed rows an object."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.errors import StoreUnavailable
from lasair.schema.model import Survey
from lasair.stores import planes
from lasair.stores.files import connect, file_bytes, guarded, require_tables
from lasair.stores.merge import StoredLayout, merge_rows, places, sort_rows, stored_layout
from lasair.stores.protocols import Namespace, PutResult

#: Name spaces and the survey whose rows they hold.
NAMESPACES: dict[Namespace, Survey] = {"lsst": "lsst", "lsst_ss": "lsst", "ztf": "ztf"}

# Measured on a year of LSST (7 kB compressed): faster than 4096 and 16384, and packed well enough.
_PAGE_SIZE = 8192
_CACHE_KIB = 16_384
_CHUNK = 512  # ids in one SELECT
_PART = 16_384  # rows merged at a time: little memory, and it stays in the processor's cache
_SLOTS = (1, 8, 64, _CHUNK)
_ENCODING = "byte planes, lz4 block"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS layouts (id INTEGER PRIMARY KEY, description TEXT NOT NULL UNIQUE);
""" + "".join(
    f"CREATE TABLE IF NOT EXISTS {name} (object_id INTEGER PRIMARY KEY, layout INTEGER NOT NULL,\n"
    "  n_rows INTEGER NOT NULL, rows BLOB NOT NULL);\n"
    for name in NAMESPACES
)
#: Columns by table.
_COLUMNS = {
    "layouts": ("id", "description"),
    **dict.fromkeys(NAMESPACES, ("object_id", "layout", "n_rows", "rows")),
}


def shard_of(object_ids: NDArray[np.int64], shards: int) -> NDArray[np.int64]:
    """Which shard each object lives in; (n,) int64.

    The ids are mixed first (finaliser of splitmix64, Steele et al. 2014), since surveys number objects in a row.
    """
    x = object_ids.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) % np.uint64(shards)).astype(np.int64)


class FileLightcurveStore:
    """Light curves in ``lightcurves-<i>-of-<shards>.db`` under `folder`.

    A put is atomic in each shard. One interrupted between two shards is completed by giving the same rows again.

    Parameters
    ----------
    folder : Path
    shards : number of files when the store is made; one that exists keeps its own
    durable : wait for the disk at each put
    read_only : the files must exist and are not written; each is opened when it is needed, so that a damaged one does
        not keep the others from being read

    Raises
    ------
    StoreUnavailable
        The files cannot be opened, or their number does not fit their names.
    """

    def __init__(self, folder: Path, shards: int = 4, durable: bool = True, *, read_only: bool = False) -> None:
        self._folder = folder
        self._durable = durable
        self._read_only = read_only
        self._lock = threading.Lock()
        # the names say how many files there are, so that one cut short at its making is completed
        self._count = self._existing() or (0 if read_only else shards)
        if not self._count:
            raise StoreUnavailable(f"no light curves in {folder}: 'lasair run' makes them, or restore them from a copy")
        self._open: dict[int, _Shard] = {}
        if not read_only:
            try:
                for i in range(self._count):
                    self._shard(i)
            except BaseException:
                self.close()
                raise

    def _shard(self, i: int) -> _Shard:
        if i not in self._open:
            file = self._folder / f"lightcurves-{i}-of-{self._count}.db"
            self._open[i] = _Shard(file, self._durable, self._read_only)
        return self._open[i]

    def _existing(self) -> int:
        found = {
            int(m[1])
            for file in self._folder.glob("*.db")
            if (m := re.fullmatch(r"lightcurves-\d+-of-(\d+)\.db", file.name))
        }
        if len(found) > 1:
            raise StoreUnavailable(
                f"{self._folder}: files of {sorted(found)} shards lie together; keep those of one number only"
            )
        return found.pop() if found else 0

    def put(
        self,
        namespace: Namespace,
        object_ids: NDArray[np.int64],
        rows: NDArray[Any],
        offsets: NDArray[np.int64],
        version_mjd: NDArray[np.float64],
        version_id: NDArray[np.int64],
    ) -> PutResult:
        """Merge rows into the objects' light curves; see `LightcurveStore.put`. Counts rows."""
        survey = NAMESPACES[namespace]
        if not len(object_ids):
            return PutResult(0, 0)
        known = stored_layout(survey)
        if rows.dtype != known.row:
            raise ValueError(f"rows of {namespace!r} must have the dtype of schema.layout({survey!r}, 'row')")
        news = _News(known, rows, offsets, version_mjd, version_id)
        unique, inverse = np.unique(object_ids, return_inverse=True)
        by_object = np.argsort(inverse, kind="stable")
        ends = np.concatenate(([0], np.cumsum(np.bincount(inverse, minlength=len(unique)))))
        where = shard_of(unique, self._count)
        written = given = 0
        with self._lock:
            for i in range(self._count):
                mine = np.flatnonzero(where == i)
                if len(mine):
                    counts = np.diff(ends)[mine]
                    alert_offsets = np.concatenate(([0], np.cumsum(counts)))
                    alerts = by_object[
                        np.repeat(ends[mine] - alert_offsets[:-1], counts) + np.arange(alert_offsets[-1])
                    ]
                    done = self._shard(i).put(namespace, unique[mine], news, alerts, alert_offsets)
                    written += done.written
                    given += done.written + done.unchanged
        return PutResult(written, given - written)

    def get(
        self, namespace: Namespace, object_ids: Sequence[int], *, mjd_min: float = -np.inf, mjd_max: float = np.inf
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """(rows, offsets) of the objects in the order asked; both ends of the range of time are included."""
        known = stored_layout(NAMESPACES[namespace])
        ids = np.array(object_ids, dtype=np.int64).reshape(-1)
        where = shard_of(ids, self._count)
        found: dict[int, NDArray[Any]] = {}
        with self._lock:
            for i in np.unique(where).tolist():
                for object_id, stored in self._shard(i).get(namespace, np.unique(ids[where == i]), known):
                    curve = _without_version(known, stored)
                    first, last = (
                        np.searchsorted(curve["mjd_tai"], mjd_min),
                        np.searchsorted(curve["mjd_tai"], mjd_max, "right"),
                    )
                    found[object_id] = curve[first:last]
        nothing = np.empty(0, known.row)
        curves = [found.get(one, nothing) for one in ids.tolist()]
        offsets = np.concatenate(([0], np.cumsum([len(curve) for curve in curves]))).astype(np.int64)
        return (np.concatenate(curves) if curves else nothing), offsets

    def count(self, namespace: Namespace) -> int:
        """Number of objects with a light curve."""
        NAMESPACES[namespace]
        with self._lock:
            return sum(self._shard(i).count(namespace) for i in range(self._count))

    def check(self) -> None:
        """Read an object of every table; StoreUnavailable when a file is damaged, as far as can be seen at once."""
        with self._lock:
            for i in range(self._count):
                self._shard(i).check()

    def disk_bytes(self) -> int:
        """Size of the files."""
        return file_bytes(self._folder)

    def close(self) -> None:
        """Close the files; the store cannot be used after it."""
        with ExitStack() as stack:
            for shard in self._open.values():
                stack.callback(shard.close)


class _News:
    """The rows of a batch as the kernel takes them."""

    def __init__(
        self,
        known: StoredLayout,
        rows: NDArray[Any],
        offsets: NDArray[np.int64],
        version_mjd: NDArray[np.float64],
        version_id: NDArray[np.int64],
    ) -> None:
        self.known = known
        rows = np.ascontiguousarray(rows)
        self.bytes = rows.view(np.uint8).reshape(len(rows), known.row.itemsize)
        self.keys = rows.view(known.row_keys)
        self.places = places(known.survey, rows)
        self.offsets = np.ascontiguousarray(offsets, dtype=np.int64)
        # an unknown time is older than any; adding 0 makes -0 a 0
        mjd = np.where(np.isnan(version_mjd), -np.inf, version_mjd) + 0.0
        self.version_mjd = mjd.astype(np.float64).view(np.int64)
        self.version_id = np.ascontiguousarray(version_id, dtype=np.int64)
        self.rows_of_alert = np.diff(self.offsets)


class _Held(NamedTuple):
    """Objects that exist, and their rows as planes in the present layout."""

    ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    planes: list[bytes]


class _Shard:
    """One file."""

    def __init__(self, path: Path, durable: bool, read_only: bool) -> None:
        self._path = path
        self._db = connect(path, durable=durable, page_size=_PAGE_SIZE, read_only=read_only)
        try:
            with guarded(path):
                self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                if read_only:
                    require_tables(self._db, path, _COLUMNS)
                else:
                    self._db.executescript(_SCHEMA)
        except BaseException:
            self._db.close()
            raise
        self._layouts: dict[int, np.dtype[Any]] = {}

    def close(self) -> None:
        self._db.close()

    def put(
        self,
        namespace: Namespace,
        ids: NDArray[np.int64],
        news: _News,
        alerts: NDArray[np.int64],
        alert_offsets: NDArray[np.int64],
    ) -> PutResult:
        """Merge alerts into the objects `ids` (sorted, unique).

        Those of ``ids[i]`` are ``alerts[alert_offsets[i]:alert_offsets[i + 1]]``.
        """
        written = given = 0
        incoming = np.add.reduceat(news.rows_of_alert[alerts], alert_offsets[:-1])
        part = np.cumsum(incoming) // _PART
        first = np.concatenate((np.flatnonzero(np.diff(part, prepend=-1)), [len(ids)])).tolist()
        with guarded(self._path), self._db:
            # taken before reading: what is merged here must still be there when it is written
            self._db.execute("BEGIN IMMEDIATE")
            for i, j in pairwise(first):
                done = self._put(namespace, ids[i:j], incoming[i:j], news, alerts, alert_offsets[i : j + 1])
                written += done.written
                given += done.written + done.unchanged
        return PutResult(written, given - written)

    def _put(
        self,
        namespace: Namespace,
        ids: NDArray[np.int64],
        incoming: NDArray[np.int64],
        news: _News,
        alerts: NDArray[np.int64],
        alert_offsets: NDArray[np.int64],
    ) -> PutResult:
        known = news.known
        held = self._read(namespace, ids, known)
        index = np.searchsorted(ids, held.ids)
        counts = np.zeros(len(ids), np.int64)
        counts[index] = held.counts
        starts = np.concatenate(([0], np.cumsum(planes.in_blocks(counts + incoming))))
        rows = np.zeros(int(starts[-1]), known.stored)
        planes.restore(held.planes, starts[index], rows)
        changed, given = merge_rows(
            rows.view(np.uint8).reshape(len(rows), known.stored.itemsize),
            rows.view(known.stored_keys),
            places(known.survey, rows),
            known.fields,
            starts,
            counts,
            news.bytes,
            news.keys,
            news.places,
            news.offsets,
            news.version_mjd,
            news.version_id,
            alerts,
            alert_offsets,
        )
        dirty = np.flatnonzero(changed)
        layout = self._layout_id(known)
        blobs = planes.compress(rows, starts[dirty], counts[dirty])
        self._db.executemany(
            f"INSERT OR REPLACE INTO {namespace} VALUES (?, {layout}, ?, ?)",
            zip(ids[dirty].tolist(), counts[dirty].tolist(), blobs, strict=True),
        )
        written = int(changed.sum())
        return PutResult(written, given - written)

    def get(
        self, namespace: Namespace, ids: NDArray[np.int64], known: StoredLayout
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """(object, its stored rows) of those that exist; `ids` unique."""
        with guarded(self._path):
            held = self._read(namespace, ids, known)
        starts = np.concatenate(([0], np.cumsum(planes.in_blocks(held.counts))))
        rows = np.empty(int(starts[-1]), known.stored)
        planes.restore(held.planes, starts[:-1], rows)
        for object_id, start, count in zip(held.ids.tolist(), starts.tolist(), held.counts.tolist(), strict=False):
            yield object_id, rows[start : start + count]

    def _read(self, namespace: Namespace, ids: NDArray[np.int64], known: StoredLayout) -> _Held:
        found: list[tuple[int, int, bytes]] = []
        for start in range(0, len(ids), _CHUNK):
            some = ids[start : start + _CHUNK].tolist()
            # short lists are filled up, so that SQLite meets a few texts only and keeps them compiled
            slots = next(n for n in _SLOTS if n >= len(some))
            some += some[-1:] * (slots - len(some))
            marks = ",".join("?" * slots)
            for object_id, layout, count, blob in self._db.execute(
                f"SELECT object_id, layout, n_rows, rows FROM {namespace} WHERE object_id IN ({marks})", some
            ):
                found.append((object_id, count, self._unpack(object_id, layout, count, blob, known)))
        return _Held(
            np.array([one[0] for one in found], np.int64),
            np.array([one[1] for one in found], np.int64),
            [one[2] for one in found],
        )

    def _unpack(self, object_id: int, layout: int, count: int, blob: bytes, known: StoredLayout) -> bytes:
        dtype = self._layouts.get(layout) or self._read_layout(layout)
        try:
            found = planes.decompress(blob, count, dtype.itemsize)
        except planes.BadPlanes as err:
            raise StoreUnavailable(
                f"{self._path}: the light curve of object {object_id} is damaged ({err}); restore the file"
                " from a copy, or delete that row and run its packets again"
            ) from err
        return found if dtype == known.stored else _in_layout(known, dtype, count, found)

    def _layout_id(self, known: StoredLayout) -> int:
        for number, dtype in self._layouts.items():
            if dtype == known.stored:
                return number
        text = describe(known.stored)
        self._db.execute("INSERT OR IGNORE INTO layouts (description) VALUES (?)", (text,))
        (number,) = self._db.execute("SELECT id FROM layouts WHERE description = ?", (text,)).fetchone()
        # not remembered here: the transaction may yet be rolled back
        return int(number)

    def _read_layout(self, layout: int) -> np.dtype[Any]:
        row = self._db.execute("SELECT description FROM layouts WHERE id = ?", (layout,)).fetchone()
        try:
            dtype = described(row[0])
        except (TypeError, ValueError, KeyError) as err:
            raise StoreUnavailable(
                f"{self._path}: light curves of layout {layout} cannot be read ({err}): another version of"
                " Lasair wrote them; use that one"
            ) from err
        self._layouts[layout] = dtype
        return dtype

    def count(self, namespace: Namespace) -> int:
        """Number of objects."""
        with guarded(self._path):
            return int(self._db.execute(f"SELECT count(*) FROM {namespace}").fetchone()[0])

    def check(self) -> None:
        """Read an object of every table."""
        with guarded(self._path):
            for namespace in NAMESPACES:
                self._db.execute(f"SELECT * FROM {namespace} LIMIT 1").fetchall()


def describe(dtype: np.dtype[Any]) -> str:
    """A layout of stored rows as text, so that a later version can read them."""
    fields = [(name, dtype[name].str, dtype.fields[name][1]) for name in dtype.names or ()]  # type: ignore[index]
    return json.dumps({"encoding": _ENCODING, "itemsize": dtype.itemsize, "fields": fields})


def described(text: str) -> np.dtype[Any]:
    """Inverse of `describe`; ValueError, TypeError or KeyError when it is not one of ours."""
    description = json.loads(text)
    if description["encoding"] != _ENCODING:
        raise ValueError(f"encoding {description['encoding']!r} is not {_ENCODING!r}")
    names, formats, offsets = zip(*description["fields"], strict=True)
    return np.dtype(
        {"names": list(names), "formats": list(formats), "offsets": list(offsets), "itemsize": description["itemsize"]}
    )


def _in_layout(known: StoredLayout, dtype: np.dtype[Any], count: int, found: bytes) -> bytes:
    """Planes of rows of an older layout as planes of the present one; fields it did not have are missing."""
    old = np.empty(int(planes.in_blocks(np.array([count]))[0]), dtype)
    planes.restore([found], np.zeros(1, np.int64), old)
    rows = np.zeros(len(old), known.stored)
    for name in known.stored.names or ():
        form = known.stored[name]
        if name in (dtype.names or ()):
            rows[name][:count] = old[name][:count]
        elif form.kind == "f":
            rows[name][:count] = np.nan
        elif form.kind == "i" and form.itemsize > 1:
            rows[name][:count] = np.iinfo(form).min
    # the key columns may mean another order now
    rows[:count] = rows[:count][sort_rows(known.survey, rows[:count])]
    return np.ascontiguousarray(rows.view(np.uint8).reshape(len(rows), known.stored.itemsize).T).tobytes()


def _without_version(known: StoredLayout, stored: NDArray[Any]) -> NDArray[Any]:
    raw = np.ascontiguousarray(stored).view(np.uint8).reshape(len(stored), known.stored.itemsize)
    return np.ascontiguousarray(raw[:, : known.row.itemsize]).view(known.row).reshape(-1)
