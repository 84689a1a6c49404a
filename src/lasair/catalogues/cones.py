"""Cones over packed positions, in compiled code: first the ranges of rows that a batch may touch, then the pairs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.healpix import REACH, centre, touched_cells
from lasair.catalogues.sky import margin_at

#: Rows in a cell from which it pays to look for the first and last row by halving instead of reading all.
_HALVING = 48


class Matches(NamedTuple):
    """All pairs of a position and a source within a radius, by position, then by row."""

    #: (k,) int64, index of the position, ascending
    position: NDArray[np.int64]
    #: (k,) int64, row of the release, ascending within a position
    row: NDArray[np.int64]
    #: (k, 3) float64, unit vector of the source
    vector: NDArray[np.float64]


class Ranges(NamedTuple):
    """Cells with rows that discs may touch, by position."""

    #: (m,) int64, index of the position
    position: NDArray[np.int64]
    #: (m,) int64, cell at the order of the table
    cell: NDArray[np.int64]
    #: (m,) int64, its first row, and the one after its last
    first: NDArray[np.int64]
    end: NDArray[np.int64]


def no_matches() -> Matches:
    """Matches of nothing."""
    return Matches(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def ranges(
    positions: NDArray[np.int64],
    begin: int,
    face: NDArray[np.int64],
    fx: NDArray[np.float64],
    fy: NDArray[np.float64],
    vectors: NDArray[np.float64],
    radius: float,
    coarse: int,
    order: int,
    offsets: NDArray[np.uint32],
    out: NDArray[np.int64],
) -> tuple[int, int]:
    """Fill `out` (capacity, 4) with position, cell, first row, end of rows, from ``positions[begin]`` on.

    Cells are found at order `coarse`, where a disc stays within a cell and its neighbours, and split down to
    the `order` of the table, leaving out what has no rows or is too far.

    Returns
    -------
    how many positions are done (all of them, or as many as fit whole), how many ranges were written. The first is
    `begin` when not even one position fits.
    """
    some = np.empty(9, np.int64)
    stack = np.empty(4 * (order + 2), np.int64)
    levels = np.empty(4 * (order + 2), np.int64)
    k = 0
    capacity = len(out)
    for p in range(begin, len(positions)):
        i = positions[p]
        before = k
        vx, vy, vz = vectors[i, 0], vectors[i, 1], vectors[i, 2]
        found = touched_cells(face[i], fx[i], fy[i], coarse, margin_at(radius, vz, coarse), some)
        for j in range(found):
            stack[0], levels[0] = some[j], coarse
            depth = 1
            while depth > 0:
                depth -= 1
                cell, level = stack[depth], levels[depth]
                shift = 2 * (order - level)
                first, end = np.int64(offsets[cell << shift]), np.int64(offsets[(cell + 1) << shift])
                if first == end:
                    continue
                if level > coarse:
                    z, c, cos_ra, sin_ra = centre(cell, level)
                    x, y, z = vx - c * cos_ra, vy - c * sin_ra, vz - z
                    # a chord is shorter than its arc
                    if x * x + y * y + z * z > (radius + REACH / (1 << level)) ** 2:
                        continue
                if level < order:
                    for child in range(4):  # the first comes off the stack first
                        stack[depth], levels[depth] = 4 * cell + 3 - child, level + 1
                        depth += 1
                    continue
                if k == capacity:
                    return p, before
                out[k, 0], out[k, 1], out[k, 2], out[k, 3] = i, cell, first, end
                k += 1
    return len(positions), k


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def pairs(
    touched: NDArray[np.int64],
    begin: int,
    vectors: NDArray[np.float64],
    radius: float,
    order: int,
    step: float,
    packed: NDArray[np.int32],
    position: NDArray[np.int64],
    row: NDArray[np.int64],
    vector: NDArray[np.float64],
    k: int,
) -> tuple[int, int]:
    """Append the pairs of the ranges from `begin` on to `position`, `row` and `vector`, which hold `k`.

    Rows of a cell are sorted by their north offset, so that only a strip of it is read.

    Returns
    -------
    how many ranges are done (all, or as many as fit whole), how many pairs there are now
    """
    chord = 2.0 * math.sin(0.5 * radius)
    limit = chord * chord
    sine = math.sin(radius)
    reach = math.tan(REACH / (1 << order))
    capacity = len(row)
    for m in range(begin, len(touched)):
        before = k
        i, cell, first, end = touched[m, 0], touched[m, 1], touched[m, 2], touched[m, 3]
        z, c, cos_ra, sin_ra = centre(cell, order)
        vx, vy, vz = vectors[i, 0], vectors[i, 1], vectors[i, 2]
        along, across = vx * cos_ra + vy * sin_ra, vy * cos_ra - vx * sin_ra
        depth = along * c + vz * z
        u, v = across / depth, (vz * c - along * z) / depth
        # |a x b|**2 of two vectors (1, x, y) and (1, u, v) is (x-u)**2 + (y-v)**2 + (xv-yu)**2: within the disc the
        # offsets differ by no more than the sine of the radius times both lengths; one step for the rounding of each
        half = sine * math.sqrt((1.0 + reach * reach) * (1.0 + u * u + v * v)) * (1.0 + 1e-12) / step + 2.0
        u, v = u / step, v / step
        west, east = _clip(math.floor(u - half)), _clip(math.ceil(u + half))
        south, north = _clip(math.floor(v - half)), _clip(math.ceil(v + half))
        at = first
        if end - first > _HALVING:
            high = end
            while at < high:
                middle = (at + high) >> 1
                if packed[middle, 1] < south:
                    at = middle + 1
                else:
                    high = middle
        for r in range(at, end):
            py = np.int64(packed[r, 1])
            if py > north:
                break
            px = np.int64(packed[r, 0])
            if px < west or px > east or py < south:
                continue
            x, y = px * step, py * step
            scale = 1.0 / math.sqrt(1.0 + x * x + y * y)
            along = (c - y * z) * scale
            sx = along * cos_ra - x * scale * sin_ra
            sy = along * sin_ra + x * scale * cos_ra
            sz = (z + y * c) * scale
            if (sx - vx) ** 2 + (sy - vy) ** 2 + (sz - vz) ** 2 > limit:
                continue
            if k == capacity:
                return m, before
            position[k], row[k] = i, r
            vector[k, 0], vector[k, 1], vector[k, 2] = sx, sy, sz
            k += 1
    return len(touched), k


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _clip(value: float) -> int:
    """A bound as an integer: beyond 32 bits it bounds nothing, whatever it is."""
    return int(min(max(value, -4294967296.0), 4294967296.0))
