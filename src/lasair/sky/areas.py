"""Every active area in one index: which areas hold a position?

An area is a set of HEALPix cells of order 29, as ascending half-open ranges of nested numbers. A batch is sorted by
cell once; each area is then merged with it, leaping (binary search by doubling steps) over whatever of either side has
no part in the other, so that an area costs the smaller of the two, not its size. An area of many ranges has a table
instead that says for each coarse cell where its ranges begin: one step where leaping takes ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lasair.catalogues.healpix import MAX_ORDER
from lasair.errors import BadDefinition
from lasair.sky.cones import cells_or_none

#: Cells of order 29 in the sky.
SKY_CELLS = 12 << (2 * MAX_ORDER)

#: What an area says of itself beforehand: the cells of this order (768) that it has a part in, as bits.
_COARSE = 3
_COARSE_SHIFT = 2 * (MAX_ORDER - _COARSE)
_COARSE_CELLS = 12 << (2 * _COARSE)

#: Ranges from which on an area has a table, and the finest order of its cells.
_TABLE_RANGES, _FINEST_TABLE = 4096, 9


class AreaHits(NamedTuple):
    """Positions and the areas that hold them, ascending by (position, area); int64, (h,)."""

    position: NDArray[np.int64]
    area_id: NDArray[np.int64]


class _Area(NamedTuple):
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    coarse: NDArray[np.bool_]
    #: first range that ends behind the beginning of each cell of an order; empty for areas of few ranges
    table: NDArray[np.int32]


class AreaIndex:
    """All active areas; never changes: `with_area` and `without` give a new index that shares the others."""

    __slots__ = ("_areas", "_coarse", "_ids")

    def __init__(self, areas: Mapping[int, ArrayLike] | None = None) -> None:
        """An index of areas: id -> ranges (see `with_area`)."""
        self._place({number: _area(ranges) for number, ranges in (areas or {}).items()})

    def _place(self, areas: dict[int, _Area]) -> AreaIndex:
        self._areas = areas = dict(sorted(areas.items()))
        self._ids = np.array(list(areas), np.int64)
        self._coarse = np.array([area.coarse for area in areas.values()]).reshape(len(areas), _COARSE_CELLS)
        return self

    def __len__(self) -> int:
        return len(self._areas)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays held."""
        return self._coarse.nbytes + sum(array.nbytes for area in self._areas.values() for array in area)

    def with_area(self, area_id: int, ranges: ArrayLike) -> AreaIndex:
        """An index with this area; it replaces an earlier one of that id.

        Parameters
        ----------
        ranges : (k, 2) cells of order 29, nested, half-open; in any order, overlaps allowed

        Raises
        ------
        BadDefinition
            The ranges are of another shape, or leave the sky.
        """
        return AreaIndex()._place({**self._areas, int(area_id): _area(ranges)})

    def without(self, area_id: int) -> AreaIndex:
        """An index without an area; the same areas when it is not there."""
        return AreaIndex()._place({number: area for number, area in self._areas.items() if number != area_id})

    def find(self, ra: ArrayLike, decl: ArrayLike) -> AreaHits:
        """All areas that hold the positions of a batch: those that have the position's cell of order 29.

        Parameters
        ----------
        ra, decl : (n,) [deg]
            A position that is not finite, or beyond a pole, is in no area.
        """
        alpha = np.ascontiguousarray(ra, np.float64).reshape(-1)
        delta = np.ascontiguousarray(decl, np.float64).reshape(-1)
        cells = cells_or_none(alpha, delta, MAX_ORDER)
        order = np.argsort(cells, kind="stable")
        order = order[np.searchsorted(cells[order], 0) :]
        cells = cells[order]
        wanted = np.zeros(_COARSE_CELLS, np.bool_)
        wanted[cells >> _COARSE_SHIFT] = True
        near = np.flatnonzero((self._coarse[:, wanted]).any(axis=1))
        held = [order[:0]]
        for number in self._ids[near]:
            area = self._areas[int(number)]
            inside = _inside_table if len(area.table) else _inside
            held.append(order[inside(cells, area.start, area.end, area.table)])
        numbers = np.repeat(self._ids[near], [len(one) for one in held[1:]])
        return AreaHits(*_by_position(np.concatenate(held), numbers, len(alpha)))


def normalise_ranges(ranges: ArrayLike) -> NDArray[np.uint64]:
    """Ranges as an area has them: (k, 2) uint64, ascending, apart from each other, none empty.

    Raises
    ------
    BadDefinition
        They are of another shape, or leave the sky.
    """
    pairs = np.asarray(ranges)
    if pairs.size == 0:
        return np.empty((0, 2), np.uint64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise BadDefinition("an area's ranges are pairs of whole numbers: first cell, and the one after the last")
    if (pairs < 0).any() or (pairs > SKY_CELLS).any():
        raise BadDefinition(f"an area has cells that the sky has not: there are {SKY_CELLS} of order {MAX_ORDER}")
    pairs = pairs.astype(np.int64)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    if not len(pairs):
        return np.empty((0, 2), np.uint64)
    reached = np.maximum.accumulate(pairs[:, 1])
    # a range begins anew where it starts beyond all that came before
    fresh = np.concatenate(([True], pairs[1:, 0] > reached[:-1]))
    last = np.concatenate((np.flatnonzero(fresh)[1:] - 1, [len(pairs) - 1]))
    return np.column_stack((pairs[fresh, 0], reached[last])).astype(np.uint64)


def _area(ranges: ArrayLike) -> _Area:
    pairs = normalise_ranges(ranges).astype(np.int64)
    start, end = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    steps = np.zeros(_COARSE_CELLS + 1, np.int64)
    np.add.at(steps, start >> _COARSE_SHIFT, 1)
    np.add.at(steps, ((end - 1) >> _COARSE_SHIFT) + 1, -1)
    table = np.empty(0, np.int32)
    if len(start) >= _TABLE_RANGES:
        # about as many cells as ranges
        order = min(_FINEST_TABLE, int(np.log2(len(start) / 12.0) / 2.0) + 1)
        begins = np.arange(12 << (2 * order), dtype=np.int64) << (2 * (MAX_ORDER - order))
        table = np.searchsorted(end, begins, side="right").astype(np.int32)
    return _Area(start, end, np.cumsum(steps)[:-1] > 0, table)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _inside(
    cells: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64], _: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Indices of the ascending cells that lie in ascending ranges."""
    out = np.empty(len(cells), np.int64)
    total = i = j = 0
    while i < len(cells) and j < len(start):
        if cells[i] >= end[j]:
            j = _leap(end, j, cells[i] + 1)
        elif cells[i] < start[j]:
            i = _leap(cells, i, start[j])
        else:
            out[total] = i
            total += 1
            i += 1
    return out[:total]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _inside_table(
    cells: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64], table: NDArray[np.int32]
) -> NDArray[np.int64]:
    """As `_inside`, from where the table says."""
    shift = 2 * MAX_ORDER
    coarse = len(table) // 12
    while coarse > 1:
        coarse >>= 2
        shift -= 2
    out = np.empty(len(cells), np.int64)
    total = 0
    for i in range(len(cells)):
        cell = cells[i]
        j = table[cell >> shift]
        while j < len(end) and end[j] <= cell:
            j += 1
        if j < len(end) and start[j] <= cell:
            out[total] = i
            total += 1
    return out[:total]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _by_position(
    position: NDArray[np.int64], area: NDArray[np.int64], positions: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hits by position; those of one position keep their order (a counting sort)."""
    place = np.zeros(positions + 1, np.int64)
    for k in range(len(position)):
        place[position[k] + 1] += 1
    place = np.cumsum(place)
    out_position, out_area = np.empty(len(position), np.int64), np.empty(len(position), np.int64)
    for k in range(len(position)):
        at = place[position[k]]
        place[position[k]] += 1
        out_position[at], out_area[at] = position[k], area[k]
    return out_position, out_area


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _leap(values: NDArray[np.int64], at: int, least: int) -> int:
    """First place from `at` on with a value of at least `least`; near ones are found fastest."""
    step = 1
    while at + step < len(values) and values[at + step] < least:
        at += step
        step *= 2
    low, high = at, min(at + step, len(values))
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < least:
            low = middle + 1
        else:
            high = middle
    return low
