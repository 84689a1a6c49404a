"""Make a release out of rows in any order, in bounded memory.

Rows are read into runs, each sorted by cell and written to disk when it has grown large. Then the sky is cut into
pieces that fit in memory; the rows of a piece are collected from all runs, sorted and appended to the files. What is
written depends on the rows alone, not on their order or on how they came in chunks.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.columns import BY_NAME, STORE_COLUMNS
from lasair.catalogues.coverage import describe
from lasair.catalogues.manifest import (
    FORMAT,
    MANIFEST,
    OFFSETS_FILE,
    POSITION_FILE,
    ReleaseInfo,
    column_file,
    info_of,
    is_safe_name,
    release_id,
    view_file,
)
from lasair.catalogues.position import order_for, pack, step_of
from lasair.catalogues.problems import BadRows
from lasair.catalogues.release import row_dtype
from lasair.catalogues.rows import CELL, DECL, FINEST, RA, Columns, Reader, ValueRange, blank
from lasair.catalogues.spill import MAP_CELLS, MAP_ORDER, Piece, Run, chosen_rows, count_cells, pieces
from lasair.errors import StoreUnavailable

if TYPE_CHECKING:
    from mocpy import MOC

Progress = Callable[[str, int, int | None], None]

#: Order of the density map in the manifest.
DENSITY_ORDER = 3

#: Bytes that a row costs while a piece is sorted, beside its columns: key, order, cell, packed position and copies.
_SORTING_BYTES = 72

#: The view bits are 32.
_MOST_VIEWS = 32

#: Fewest rows of a piece, however small the memory.
_FEWEST_ROWS = 1000


def build(
    target: Path,
    chunks: Iterable[Mapping[str, Any]],
    *,
    name: str,
    title: str,
    version: str,
    views: Sequence[str],
    sparse_views: Sequence[str] = (),
    about: Mapping[str, Any],
    coverage: str | MOC,
    dtypes: Mapping[str, str] | None = None,
    memory_bytes: int = 500_000_000,
    progress: Progress | None = None,
) -> ReleaseInfo:
    """Write a release into a folder.

    Parameters
    ----------
    target : folder to make; it must not exist, or be empty
    chunks : columns of some rows each: `ra`, `decl` [deg, ICRS] and any of `columns.STORE_COLUMNS`, equally long. `id`
        is whole numbers or text (text, when any chunk has text), `subtype` is text, `views` has a bit for every view. A
        column that a chunk lacks is missing in its rows. Infinite values are missing ones.
    name, title, version : of the catalogue; the name becomes a folder's
    views : names in the order of their bits
    sparse_views : those whose rows are written to a file of their own
    about : licence, citation, source, searches and so on; goes into the manifest as it is
    coverage : 'all-sky', 'derived' (cells that have rows), or a mocpy.MOC
    dtypes : name → 'f4' or 'f8', for columns of numbers that need another type than `STORE_COLUMNS` says
    memory_bytes : to use for rows at a time, beside the chunk that is handed over
    progress : called with the stage ('read', 'write'), rows done and rows in all, when known

    Raises
    ------
    BadRows
        The rows or the description cannot become a release. Nothing is left behind.
    StoreUnavailable
        The folder is in use or cannot be written. Nothing is left behind.
    """
    described = _described(name, title, version, views, sparse_views, about, coverage)
    reader = Reader(len(views), dtypes or {})
    try:
        if target.exists() and any(target.iterdir()):
            raise StoreUnavailable(f"{target} is not empty: a release needs a folder of its own")
        target.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StoreUnavailable(f"cannot make the folder {target}: {err.strerror or err}") from err
    spill = target / ".spill"
    try:
        spill.mkdir()
        gathered = _Gathered(reader, spill, memory_bytes, progress)
        for chunk in chunks:
            gathered.add(chunk)
        runs = gathered.finish()
        _write(target, reader, gathered, runs, described, coverage, memory_bytes, progress)
        shutil.rmtree(spill)
        _sync_folder(target)
    except OSError as err:
        shutil.rmtree(target, ignore_errors=True)
        raise StoreUnavailable(f"cannot write the release in {target}: {err.strerror or err}") from err
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return info_of(target)


def _described(
    name: str,
    title: str,
    version: str,
    views: Sequence[str],
    sparse_views: Sequence[str],
    about: Mapping[str, Any],
    coverage: str | MOC,
) -> dict[str, Any]:
    """What the manifest says beside what follows from the rows."""
    if not is_safe_name(name):
        raise BadRows(f"{name!r} cannot be the name of a catalogue: letters, digits, '.', '_' and '-', at most 100")
    for view in views:
        if not is_safe_name(view):
            raise BadRows(f"{view!r} cannot be the name of a view: letters, digits, '.', '_' and '-', at most 100")
    if len(set(views)) != len(views) or len(views) > _MOST_VIEWS:
        raise BadRows(f"catalogue {name} needs up to {_MOST_VIEWS} views of different names, not {', '.join(views)}")
    unknown = set(sparse_views) - set(views)
    if unknown:
        raise BadRows(f"catalogue {name} has no view {', '.join(sorted(unknown))} to keep the rows of")
    if isinstance(coverage, str):
        try:
            describe(coverage, np.zeros(MAP_CELLS, np.int64))
        except ValueError as err:
            raise BadRows(f"catalogue {name}: {err}") from err
    try:
        plain = json.loads(json.dumps(about, default=str, allow_nan=False))
    except (TypeError, ValueError) as err:
        raise BadRows(f"what is said about catalogue {name} cannot be written as JSON: {err}") from err
    return {
        "format": FORMAT,
        "name": name,
        "title": title,
        "version": str(version),
        "about": plain,
        "views": [{"name": view, "rows": 0, "sparse": view in sparse_views} for view in views],
    }


class _Gathered:
    """Rows read so far: those in memory, and the runs on disk."""

    def __init__(self, reader: Reader, spill: Path, memory_bytes: int, progress: Progress | None) -> None:
        self._reader = reader
        self._spill = spill
        self._limit = memory_bytes // 2
        self._progress = progress
        self._parts: list[Columns] = []
        self._bytes = 0
        self._runs: list[Run] = []
        self.names: set[str] = set()
        self.map = np.zeros(MAP_CELLS, np.int64)

    def add(self, chunk: Mapping[str, Any]) -> None:
        rows = self._reader.read(chunk)
        n = len(rows[RA])
        self.names.update(rows)
        count_cells(rows[CELL], 2 * (FINEST - MAP_ORDER), self.map)
        row_bytes = sum(values.dtype.itemsize for values in rows.values()) + 16
        at = 0
        while at < n:
            fits = min(n - at, max((self._limit - self._bytes) // row_bytes, 1))
            self._parts.append({key: values[at : at + fits] for key, values in rows.items()})
            self._bytes += fits * row_bytes
            at += fits
            if self._limit - self._bytes < row_bytes:
                self._flush(self._spill / f"run{len(self._runs)}")
        if self._progress:
            self._progress("read", self._reader.rows, None)

    def finish(self) -> list[Run]:
        # rows that never filled the memory need no disk
        self._flush(self._spill / f"run{len(self._runs)}" if self._runs else None)
        return self._runs

    def _flush(self, path: Path | None) -> None:
        if not self._parts:
            return
        parts, self._parts, self._bytes = self._parts, [], 0
        counts = [len(part[RA]) for part in parts]
        columns: Columns = {}
        for key in sorted({key for part in parts for key in part}):
            pieces_of = [part.pop(key, None) for part in parts]
            columns[key] = _join(pieces_of, counts, self._joined_dtype(key, pieces_of))
        self._runs.append(Run(columns, path))

    def _joined_dtype(self, key: str, parts: list[NDArray[Any] | None]) -> np.dtype[Any]:
        if key == "id" and any(part is not None and part.dtype.kind == "S" for part in parts):
            return np.dtype(f"S{self._reader.id_width}")
        return next(part.dtype for part in parts if part is not None)


def _join(parts: Sequence[NDArray[Any] | None], counts: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """One array of parts, missing ones filled with missing values."""
    out = blank(dtype, sum(counts))
    at = 0
    for part, n in zip(parts, counts, strict=True):
        if part is not None:
            # numbers among texts become texts; bytes that are too long cannot be, the width is that of all
            out[at : at + n] = part.astype(dtype) if part.dtype.kind != dtype.kind else part
        at += n
    return out


class _File:
    """A file of the release on its way: hashed as it is written."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._file = (folder / name).open("wb")
        self._hash = hashlib.sha256()
        self._bytes = 0

    def write(self, values: NDArray[Any]) -> None:
        if not len(values):
            return
        data = np.ascontiguousarray(values).data.cast("B")
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)

    def finish(self) -> dict[str, Any]:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"bytes": self._bytes, "sha256": self._hash.hexdigest()}

    def close(self) -> None:
        self._file.close()


def _write(
    target: Path,
    reader: Reader,
    gathered: _Gathered,
    runs: list[Run],
    described: dict[str, Any],
    coverage: str | MOC,
    memory_bytes: int,
    progress: Progress | None,
) -> None:
    rows = reader.rows
    order = order_for(rows)
    names = [column.name for column in STORE_COLUMNS if column.name in gathered.names]
    dtypes = {key: reader.dtype(key) for key in names}
    row_bytes = sum(dtype.itemsize for dtype in dtypes.values()) + _SORTING_BYTES
    limit = max(memory_bytes // 2 // row_bytes, _FEWEST_ROWS)
    texts, final_codes = reader.subtypes()
    writer = _Writer(target, rows, order, dtypes, described["views"])
    try:
        for piece in pieces(runs, gathered.map, order, limit):
            columns = _collect(piece, order, dtypes)
            if "subtype" in columns:
                columns["subtype"] = final_codes[columns["subtype"]]
            writer.write(columns)
            if progress:
                progress("write", writer.done, rows)
        files = writer.finish()
    finally:
        writer.close()
    manifest = described | {
        "rows": rows,
        "order": order,
        "step": step_of(order),
        "columns": {
            key: writer.ranges[key].entry(dtypes[key]) | {"unit": BY_NAME[key].unit, "doc": BY_NAME[key].doc}
            for key in names
        },
        "subtypes": texts if "subtype" in names else [""],
        "max_pm_mas": writer.max_pm_mas,
        "coverage": describe(coverage, gathered.map),
        "density": _density(gathered.map),
        "files": dict(sorted(files.items())),
    }
    manifest["release"] = release_id(manifest)
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    # a list of numbers on one line; no text of JSON holds a line break
    text = re.sub(r"\[\n\s*([\d,\s]+?)\n\s*\]", lambda match: "[" + " ".join(match[1].split()) + "]", text)
    with (target / MANIFEST).open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _collect(piece: Piece, order: int, dtypes: Mapping[str, np.dtype[Any]]) -> Columns:
    """All rows of a piece, unsorted."""
    chosen = [chosen_rows(run, first, end, order, piece.offsets) for run, first, end in piece.segments]
    counts = [end - first if some is None else len(some)
              for some, (_, first, end) in zip(chosen, piece.segments, strict=True)]  # fmt: skip
    wanted: dict[str, np.dtype[Any]] = {CELL: np.dtype(np.uint32), RA: np.dtype(np.float64), DECL: np.dtype(np.float64)}
    wanted |= dtypes
    out: Columns = {}
    for key, dtype in wanted.items():
        parts: list[NDArray[Any] | None] = []
        for some, (run, first, end) in zip(chosen, piece.segments, strict=True):
            values = run.read(key, first, end) if key in run.dtypes else None
            parts.append(values if values is None or some is None else values[some])
        out[key] = _join(parts, counts, dtype)
    return out


class _Writer:
    """Sorts pieces and appends them to the files of the release."""

    def __init__(
        self, target: Path, rows: int, order: int, dtypes: Mapping[str, np.dtype[Any]], views: list[dict[str, Any]]
    ) -> None:
        self.done = 0
        self.max_pm_mas = 0.0
        self.ranges = {key: ValueRange() for key in dtypes}
        self._rows, self._order, self._step = rows, order, step_of(order)
        self._views = views
        self._row_type = row_dtype(rows)
        self._next_cell = 0
        self._position, self._offsets = _File(target, POSITION_FILE), _File(target, OFFSETS_FILE)
        self._columns = {key: _File(target, column_file(key)) for key in dtypes}
        self._sparse = {bit: _File(target, view_file(view["name"])) for bit, view in enumerate(views) if view["sparse"]}

    def write(self, columns: Columns) -> None:
        """Append a piece that follows those written; its columns are consumed."""
        cells = columns.pop(CELL).astype(np.int64) >> (2 * (FINEST - self._order))
        packed = pack(columns.pop(RA), columns.pop(DECL), cells, self._order, self._step)
        in_order = _sorted_order(cells, packed, columns)
        cells, packed = cells[in_order], packed[in_order]
        self._position.write(packed.astype("<i4", copy=False))
        last = int(cells[-1])
        self._first_rows(cells, last + 1)
        del packed, cells
        motions = [columns[key] for key in ("pm_ra", "pm_decl") if key in columns]
        if motions:
            size = np.sqrt(np.sum([np.nan_to_num(motion.astype(np.float64)) ** 2 for motion in motions], axis=0))
            self.max_pm_mas = max(self.max_pm_mas, float(size.max()))
        for key in list(columns):
            values = columns.pop(key)[in_order]
            self.ranges[key].add(values)
            self._columns[key].write(values.astype(values.dtype.newbyteorder("<"), copy=False))
            if key == "views":
                self._add_views(values)
        self.done += len(in_order)

    def _first_rows(self, cells: NDArray[np.int64], end: int) -> None:
        """First row of the cells not written yet, up to `end`."""
        for start in range(self._next_cell, end, 1 << 20):
            some = np.arange(start, min(start + (1 << 20), end))
            self._offsets.write((np.searchsorted(cells, some) + self.done).astype(self._row_type))
        self._next_cell = max(self._next_cell, end)

    def _add_views(self, values: NDArray[np.uint32]) -> None:
        for bit, view in enumerate(self._views):
            inside = np.flatnonzero(values & np.uint32(1 << bit))
            view["rows"] += len(inside)
            if bit in self._sparse:
                self._sparse[bit].write((inside + self.done).astype(self._row_type))

    def _all(self) -> list[_File]:
        return [self._position, self._offsets, *self._columns.values(), *self._sparse.values()]

    def finish(self) -> dict[str, dict[str, Any]]:
        """Write what remains and see it on disk; size and hash of every file."""
        self._first_rows(np.zeros(0, np.int64), 12 * 4**self._order + 1)
        return {file.name: file.finish() for file in self._all()}

    def close(self) -> None:
        for file in self._all():
            file.close()


def _sorted_order(cells: NDArray[np.int64], packed: NDArray[np.int32], columns: Columns) -> NDArray[np.int64]:
    """Order of rows by cell, north offset, east offset, id and then all other columns."""
    key = ((cells - cells.min()) << 32) + (packed[:, 1].astype(np.int64) + 2**31)
    in_order = np.argsort(key)
    key = key[in_order]
    same = key[1:] == key[:-1]
    tied = np.zeros(len(key), np.bool_)
    tied[1:] |= same
    tied[:-1] |= same
    if tied.any():
        rows = in_order[tied]
        # the last key of lexsort is the first to be looked at; floats as the integers of their bits, which orders NaN
        keys = [_bits(columns[name][rows]) for name in sorted(columns, key=lambda one: one != "id")][::-1]
        in_order[tied] = rows[np.lexsort((*keys, packed[rows, 0], key[tied]))]
    return in_order


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    return values.view(f"i{values.dtype.itemsize}") if values.dtype.kind == "f" else values


def _density(map_of_rows: NDArray[np.int64]) -> dict[str, Any]:
    """Rows in every cell of a coarse order, and what the occupied ones hold."""
    rows = map_of_rows.reshape(-1, 4 ** (MAP_ORDER - DENSITY_ORDER)).sum(axis=1)
    occupied = rows[rows > 0]
    cell_deg2 = 4.0 * np.pi * np.degrees(1.0) ** 2 / len(rows)
    return {
        "order": DENSITY_ORDER,
        "occupied": len(occupied),
        "median_per_deg2": float(np.median(occupied) / cell_deg2) if len(occupied) else 0.0,
        "max_per_deg2": float(map_of_rows.max() / cell_deg2 * 4 ** (MAP_ORDER - DENSITY_ORDER)),
        "rows": rows.tolist(),
    }


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
