"""Cutouts on one machine: one append-only pack a survey and night, and one SQLite index that says what lies where.

An image is written (and with `durable` on the disk) before the index names it. What a crash leaves behind the last
image of a pack is not in the index, so nobody reads it and the next put writes over it.

Reading an image looks into the index once and into one pack once, however many nights are kept. The index has one row
an alert: when an alert comes again under another night, what it adds goes to the pack of the night it came under first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import lz4.frame

from lasair.errors import StoreUnavailable
from lasair.packets.batch import CUTOUT_KINDS, CutoutKind
from lasair.schema.model import SURVEYS
from lasair.stores.files import connect, file_bytes, guarded, require_tables
from lasair.stores.fits import BadImage, primary_image
from lasair.stores.protocols import Cutout, PutResult

#: Images larger than this (unpacked, with their header) are left out.
MAX_IMAGE_BYTES = 4_000_000

_CHUNK = 512  # ids in one SELECT
_WRITE_BYTES = 16_000_000  # images gathered before they are written

_KIND = {kind: i for i, kind in enumerate(CUTOUT_KINDS)}

_PACKS = """
CREATE TABLE IF NOT EXISTS packs (
  survey TEXT NOT NULL, night INTEGER NOT NULL, bytes INTEGER NOT NULL,
  first_id INTEGER NOT NULL, last_id INTEGER NOT NULL,
  PRIMARY KEY (survey, night)) WITHOUT ROWID;
"""
_IMAGES = (
    "CREATE TABLE IF NOT EXISTS {survey} (alert_id INTEGER PRIMARY KEY, night INTEGER NOT NULL, "
    + ", ".join(f"{kind}_at INTEGER, {kind}_bytes INTEGER" for kind in CUTOUT_KINDS)
    + ");"
)
_SCHEMA = _PACKS + "\n".join(_IMAGES.format(survey=survey) for survey in SURVEYS)
_PLACES = tuple(f"{kind}_{what}" for kind in CUTOUT_KINDS for what in ("at", "bytes"))
#: Columns by table.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "packs": ("survey", "night", "bytes", "first_id", "last_id"),
    **dict.fromkeys(SURVEYS, ("alert_id", "night", *_PLACES)),
}

#: where an alert's images lie: [at, bytes] of each kind, None where there is none
_Places = list[int | None]


class FileCutoutStore:
    """Images in ``<survey>/<night>.pack`` under `folder`, each an lz4 frame of a FITS file; ``index.db`` finds them.

    Parameters
    ----------
    folder : Path
    durable : wait for the disk at each put
    max_image_bytes : larger images (unpacked) are left out
    read_only : the index must exist and nothing is written

    Raises
    ------
    StoreUnavailable
        The folder cannot be read or made.
    """

    def __init__(
        self,
        folder: Path,
        durable: bool = True,
        max_image_bytes: int = MAX_IMAGE_BYTES,
        *,
        read_only: bool = False,
    ) -> None:
        self._folder = folder
        self._durable = durable
        self._max_image_bytes = max_image_bytes
        self._lock = threading.Lock()
        self._file = folder / "index.db"
        self._index = connect(self._file, durable=durable, read_only=read_only)
        try:
            with guarded(self._file):
                if read_only:
                    require_tables(self._index, self._file, _COLUMNS)
                else:
                    self._index.executescript(_SCHEMA)
        except BaseException:
            self._index.close()
            raise

    def put(self, survey: str, night: int, cutouts: Iterable[Cutout]) -> PutResult:
        """Keep the primary image of each cutout; see `CutoutStore.put`. Counts images."""
        _known(survey)
        wanted = list(cutouts)
        if not wanted:
            return PutResult(0, 0)
        # the lock on the index also keeps other processes from appending to the same pack
        with self._lock, guarded(self._folder), self._index:
            self._index.execute("BEGIN IMMEDIATE")
            return self._put(survey, night, wanted)

    def _put(self, survey: str, night: int, wanted: list[Cutout]) -> PutResult:
        held = self._held(survey, {one.alert_id for one in wanted})
        written = unchanged = gathered = 0
        # by night: (alert, kind, compressed image)
        news: dict[int, list[tuple[int, int, bytes]]] = {}
        for alert_id, kind, data in wanted:
            k = _KIND[kind]
            if alert_id not in held:
                held[alert_id] = (night, [False] * len(CUTOUT_KINDS))
            its_night, has = held[alert_id]
            if has[k]:
                unchanged += 1
                continue
            try:
                image = primary_image(data, self._max_image_bytes)
            except BadImage:
                continue
            blob = lz4.frame.compress(image)
            has[k] = True
            news.setdefault(its_night, []).append((alert_id, k, blob))
            written += 1
            gathered += len(blob)
            if gathered >= _WRITE_BYTES:
                self._write(survey, news)
                news, gathered = {}, 0
        self._write(survey, news)
        return PutResult(written, unchanged)

    def _held(self, survey: str, alert_ids: set[int]) -> dict[int, tuple[int, list[bool]]]:
        """Night of each alert that is known, and which kinds of image it has."""
        found = {}
        ids = sorted(alert_ids)
        columns = ", ".join(f"{kind}_at IS NOT NULL" for kind in CUTOUT_KINDS)
        for start in range(0, len(ids), _CHUNK):
            some = ids[start : start + _CHUNK]
            marks = ",".join("?" * len(some))
            for alert_id, night, *has in self._index.execute(
                f"SELECT alert_id, night, {columns} FROM {survey} WHERE alert_id IN ({marks})", some
            ):
                found[alert_id] = (night, [bool(one) for one in has])
        return found

    def _write(self, survey: str, news: dict[int, list[tuple[int, int, bytes]]]) -> None:
        for night, images in news.items():
            row = self._index.execute(
                "SELECT bytes FROM packs WHERE survey = ? AND night = ?", (survey, night)
            ).fetchone()
            at = int(row[0]) if row else 0
            self._append(self._pack(survey, night), at, b"".join(blob for _, _, blob in images))
            places: dict[int, _Places] = {}
            for alert_id, k, blob in images:
                mine = places.setdefault(alert_id, [None] * (2 * len(CUTOUT_KINDS)))
                mine[2 * k : 2 * k + 2] = at, len(blob)
                at += len(blob)
            self._index.executemany(
                f"INSERT INTO {survey} (alert_id, night, {', '.join(_PLACES)}) VALUES (?, ?{', ?' * len(_PLACES)})"
                " ON CONFLICT DO UPDATE SET "
                + ", ".join(f"{name} = coalesce({name}, excluded.{name})" for name in _PLACES),
                [(alert_id, night, *mine) for alert_id, mine in places.items()],
            )
            self._index.execute(
                "INSERT INTO packs VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes,"
                " first_id = min(first_id, excluded.first_id), last_id = max(last_id, excluded.last_id)",
                (survey, night, at, min(places), max(places)),
            )

    def _append(self, pack: Path, at: int, data: bytes) -> None:
        new = not pack.exists()
        if new:
            pack.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(pack, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            # beyond `at` lies only what an interrupted put left
            os.ftruncate(handle, at)
            rest = memoryview(data)
            while rest:
                done = os.pwrite(handle, rest, at)
                at += done
                rest = rest[done:]
            if self._durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        if new and self._durable:
            _sync_folder(pack.parent)

    def get(self, survey: str, alert_id: int, kind: CutoutKind) -> bytes | None:
        """A FITS file with the primary image, or None when it was never sent, was no image, or has expired."""
        _known(survey)
        if kind not in _KIND:
            raise ValueError(f"no kind of cutout {kind!r}; there are {', '.join(CUTOUT_KINDS)}")
        with self._lock, guarded(self._file):
            row = self._index.execute(
                f"SELECT night, {kind}_at, {kind}_bytes FROM {survey} WHERE alert_id = ?", (alert_id,)
            ).fetchone()
        if row is None or row[1] is None:
            return None
        night, at, size = row
        pack = self._pack(survey, night)
        with guarded(pack):
            try:
                with pack.open("rb", buffering=0) as file:
                    blob = os.pread(file.fileno(), size, at)
            except FileNotFoundError:
                # expired since the index was read
                return None
        try:
            image: bytes = lz4.frame.decompress(blob)
        except (RuntimeError, EOFError) as err:
            raise StoreUnavailable(
                f"{pack}: the {kind} image of alert {alert_id} is damaged ({err}); restore the file from a copy"
            ) from err
        return image

    def expire(self, before_night: int) -> int:
        """Remove all nights earlier than `before_night` (yyyymmdd); the number of nights removed."""
        nights = set()
        with self._lock, guarded(self._folder):
            old = self._index.execute(
                "SELECT survey, night, first_id, last_id FROM packs WHERE night < ?", (before_night,)
            ).fetchall()
            for survey, night, first_id, last_id in old:
                # the index first: a file that nothing names does no harm, a name without a file would
                with self._index:
                    self._index.execute("BEGIN IMMEDIATE")
                    self._index.execute(
                        f"DELETE FROM {survey} WHERE alert_id BETWEEN ? AND ? AND night = ?", (first_id, last_id, night)
                    )
                    self._index.execute("DELETE FROM packs WHERE survey = ? AND night = ?", (survey, night))
                nights.add(night)
            for pack in self._folder.glob("*/*.pack"):
                if pack.stem.isdigit() and int(pack.stem) < before_night:
                    pack.unlink(missing_ok=True)
        return len(nights)

    def check(self) -> None:
        """Read an entry of every table; StoreUnavailable when the index is damaged, as far as can be seen at once."""
        with self._lock, guarded(self._file):
            for table in ("packs", *SURVEYS):
                self._index.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()

    def disk_bytes(self) -> int:
        """Size of the files."""
        return file_bytes(self._folder)

    def close(self) -> None:
        """Close the index; the store cannot be used after it."""
        self._index.close()

    def _pack(self, survey: str, night: int) -> Path:
        return self._folder / survey / f"{night}.pack"


def _known(survey: str) -> None:
    if survey not in SURVEYS:
        raise ValueError(f"no survey {survey!r}; there are {', '.join(SURVEYS)}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
