"""Positions in eight bytes: gnomonic offsets from the centre of a cell, in two 32-bit integers.

A unit vector v in a cell with centre c, east e and north n (unit vectors) has the offsets x = v.e / v.c and
y = v.n / v.c, and is (c + x e + y n) / sqrt(1 + x**2 + y**2). The scale is the same everywhere, at the poles too.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.healpix import REACH, centre

#: Orders of the cells. In coarser ones the steps would be above a millionth of an arcsecond (8 bytes hold no more),
#: finer ones need a table that is larger than any catalogue is worth.
MIN_ORDER, MAX_ORDER = 7, 10

Packed = NDArray[np.int32]


def step_of(order: int) -> float:
    """Step of the offsets [rad]: the farthest corner of a cell is just below 2**31 steps away."""
    reach = REACH / (1 << order)
    # 1.001: the tangent is longer than the arc, and the edge of a cell has a width of some rounding errors
    return 1.001 * reach / (2**31 - 1)


def order_for(rows: int) -> int:
    """Order of a catalogue's table: the finest whose table of first rows is no larger than the packed positions."""
    order = MAX_ORDER
    while order > MIN_ORDER and 12 * 4**order > 2 * rows:
        order -= 1
    return order


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def pack(
    ra: NDArray[np.float64], decl: NDArray[np.float64], cells: NDArray[np.int64], order: int, step: float
) -> NDArray[np.int32]:
    """Offsets (n, 2) int32 of positions [deg] in their cells."""
    out = np.empty((len(ra), 2), np.int32)
    last = np.int64(-1)
    z, radius, cos_ra, sin_ra = 0.0, 0.0, 0.0, 0.0
    for i in range(len(ra)):
        if cells[i] != last:
            last = cells[i]
            z, radius, cos_ra, sin_ra = centre(last, order)
        alpha, delta = math.radians(ra[i]), math.radians(decl[i])
        # along and across the meridian of the centre
        across = math.cos(delta) * (math.sin(alpha) * cos_ra - math.cos(alpha) * sin_ra)
        along = math.cos(delta) * (math.cos(alpha) * cos_ra + math.sin(alpha) * sin_ra)
        up = math.sin(delta)
        depth = along * radius + up * z
        out[i, 0] = np.int32(round(across / depth / step))
        out[i, 1] = np.int32(round((up * radius - along * z) / depth / step))
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cells_of_rows(rows: NDArray[np.int64], offsets: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Cell of each row, (k,) int64: the last whose first row is not above it."""
    out = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        low, high = 0, len(offsets) - 1
        # rows mostly ascend, and the next one is mostly in the same cell
        if i > 0 and np.int64(offsets[out[i - 1]]) <= rows[i] < np.int64(offsets[out[i - 1] + 1]):
            out[i] = out[i - 1]
            continue
        while high - low > 1:
            middle = (low + high) >> 1
            if np.int64(offsets[middle]) <= rows[i]:
                low = middle
            else:
                high = middle
        out[i] = low
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def unpack(packed: NDArray[np.int32], cells: NDArray[np.int64], order: int, step: float) -> NDArray[np.float64]:
    """Unit vectors (n, 3) of offsets (n, 2) in cells (n,)."""
    out = np.empty((len(cells), 3))
    last = np.int64(-1)
    z, radius, cos_ra, sin_ra = 0.0, 0.0, 0.0, 0.0
    for i in range(len(cells)):
        if cells[i] != last:
            last = cells[i]
            z, radius, cos_ra, sin_ra = centre(last, order)
        x, y = packed[i, 0] * step, packed[i, 1] * step
        scale = 1.0 / math.sqrt(1.0 + x * x + y * y)
        along = (radius - y * z) * scale
        out[i, 0] = along * cos_ra - x * scale * sin_ra
        out[i, 1] = along * sin_ra + x * scale * cos_ra
        out[i, 2] = (z + y * radius) * scale
    return out


def degrees_of(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension (0 to 360) and declination [deg] of vectors (n, 3)."""
    ra = np.mod(np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])), 360.0)
    decl = np.degrees(np.arctan2(vectors[:, 2], np.hypot(vectors[:, 0], vectors[:, 1])))
    return ra, decl
