"""Rows that wait on disk to be sorted: runs, each sorted by cell, and the pieces of the sky that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.position import pack, step_of
from lasair.catalogues.problems import BadRows
from lasair.catalogues.rows import CELL, DECL, FINEST, RA, Columns

#: Order of the map of rows from which pieces, footprint and density are made.
MAP_ORDER = 8
MAP_CELLS = 12 * 4**MAP_ORDER

_ALL_OFFSETS = (-(2**31), 2**31)
_BINS = 65536
_BLOCK = 1 << 18


class Run:
    """Rows sorted by cell, in memory or in one file with a column after the other."""

    def __init__(self, columns: Columns, path: Path | None) -> None:
        """Sort rows, which are consumed column by column, and write them to `path` unless that is None."""
        by_cell = np.argsort(columns[CELL])
        self.rows = len(by_cell)
        self.dtypes = {name: values.dtype for name, values in columns.items()}
        self._path = path
        self._values: Columns = {}
        self._starts: dict[str, int] = {}
        if path is None:
            for name in list(columns):
                self._values[name] = columns.pop(name)[by_cell]
            return
        with path.open("wb") as file:
            for name in list(columns):
                self._starts[name] = file.tell()
                file.write(columns.pop(name)[by_cell].data)

    def read(self, name: str, first: int, end: int) -> NDArray[Any]:
        """Values of a column."""
        if self._path is None:
            return self._values[name][first:end]
        dtype = self.dtypes[name]
        offset = self._starts[name] + first * dtype.itemsize
        return np.fromfile(self._path, dtype, end - first, offset=offset)

    def find(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """First row whose cell is not below each of `cells`."""
        if self._path is None:
            return np.searchsorted(self._values[CELL], cells)
        column = np.memmap(self._path, np.uint32, "r", self._starts[CELL], self.rows) if self.rows else np.zeros(0)
        return np.searchsorted(column, cells)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_cells(cells: NDArray[np.uint32], shift: int, counts: NDArray[np.int64]) -> None:
    """Add rows to the counts of their cells at a coarser order, `shift` bits up."""
    for i in range(len(cells)):
        counts[np.int64(cells[i]) >> shift] += 1


class Piece(NamedTuple):
    """A part of the sky: all rows of a range of cells, or those of one cell with a north offset in a range."""

    #: (run, first row, end) of each run that has any
    segments: list[tuple[Run, int, int]]
    offsets: tuple[int, int] = _ALL_OFFSETS


def pieces(runs: list[Run], map_of_rows: NDArray[np.int64], order: int, limit: int) -> Iterator[Piece]:
    """Pieces in the order of the sky, of no more than `limit` rows each.

    `order` is that of the release; no cell of it is cut but by north offset.

    Raises
    ------
    BadRows
        More than `limit` rows at one place.
    """
    start_order = min(order, MAP_ORDER)
    counts = map_of_rows.reshape(-1, 4 ** (MAP_ORDER - start_order)).sum(axis=1)
    for first, end in groups(counts, limit):
        segments = _segments(runs, first, end, start_order)
        if int(counts[first:end].sum()) <= limit:
            yield Piece(segments)
            continue
        # one crowded cell: count those of the release's order in it
        shift = 2 * (order - start_order)
        inner = np.zeros(1 << shift, np.int64)
        for run, low, high in segments:
            for at in range(low, high, _BLOCK):
                cells = run.read(CELL, at, min(at + _BLOCK, high)).astype(np.int64) >> (2 * (FINEST - order))
                inner += np.bincount(cells - (first << shift), minlength=len(inner))
        for a, b in groups(inner, limit):
            a_cell = (first << shift) + a
            segments = _segments(runs, a_cell, a_cell + b - a, order)
            if int(inner[a:b].sum()) <= limit:
                yield Piece(segments)
            else:
                yield from _strips(segments, order, _ALL_OFFSETS, limit)


def groups(counts: NDArray[np.int64], limit: int) -> Iterator[tuple[int, int]]:
    """Ranges of neighbours that hold no more than `limit` together, or one that holds more; empty ones are left out."""
    total = np.concatenate(([0], np.cumsum(counts)))
    first = 0
    while total[first] < total[-1]:
        first = int(np.searchsorted(total, total[first], side="right")) - 1
        end = int(np.searchsorted(total, total[first] + limit, side="right")) - 1
        end = max(end, first + 1)
        yield first, end
        first = end


def _segments(runs: list[Run], first: int, end: int, order: int) -> list[tuple[Run, int, int]]:
    shift = 2 * (FINEST - order)
    bounds = np.array([first << shift, end << shift], np.int64)
    found = []
    for run in runs:
        low, high = run.find(bounds).tolist()
        if high > low:
            found.append((run, low, high))
    return found


def _strips(segments: list[tuple[Run, int, int]], order: int, bounds: tuple[int, int], limit: int) -> Iterator[Piece]:
    """Strips of one cell by north offset."""
    low, high = bounds
    width = max(1, (high - low) // _BINS)
    counts = np.zeros((high - low + width - 1) // width, np.int64)
    place = (0.0, 0.0)
    for run, first, end in segments:
        for at in range(first, end, _BLOCK):
            ra, decl, north = _north(run, at, min(at + _BLOCK, end), order)
            inside = (north >= low) & (north < high)
            counts += np.bincount((north[inside] - low) // width, minlength=len(counts))
            if inside.any():
                i = int(np.argmax(inside))
                place = (float(ra[i]), float(decl[i]))
    for a, b in groups(counts, limit):
        strip = (low + a * width, min(low + b * width, high))
        if int(counts[a:b].sum()) <= limit:
            yield Piece(segments, strip)
        elif width > 1:
            yield from _strips(segments, order, strip, limit)
        else:
            raise BadRows(
                f"{int(counts[a])} rows lie at one place about ra {place[0]:.6f}, decl {place[1]:.6f} deg: are these "
                "missing positions? Leave them out, or allow more memory"
            )


def _north(run: Run, first: int, end: int, order: int) -> tuple[NDArray[np.float64], NDArray[np.float64], Any]:
    ra, decl = run.read(RA, first, end), run.read(DECL, first, end)
    cells = run.read(CELL, first, end).astype(np.int64) >> (2 * (FINEST - order))
    return ra, decl, pack(ra, decl, cells, order, step_of(order))[:, 1].astype(np.int64)


def chosen_rows(run: Run, first: int, end: int, order: int, offsets: tuple[int, int]) -> NDArray[np.int64] | None:
    """Which rows of a segment a piece has, counted from `first`; None for all."""
    if offsets == _ALL_OFFSETS:
        return None
    found = []
    for at in range(first, end, _BLOCK):
        north = _north(run, at, min(at + _BLOCK, end), order)[2]
        found.append(at - first + np.flatnonzero((north >= offsets[0]) & (north < offsets[1])))
    return np.concatenate(found)
