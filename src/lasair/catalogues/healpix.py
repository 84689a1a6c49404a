"""HEALPix cells in compiled code (Gorski et al. 2005, ApJ 622, 759), nested numbering.

The sphere is twelve base faces, each a unit square with a corner in the south; `fx` grows to the north-east and `fy` to
the north-west. A cell of order k is one of ``2**k`` by ``2**k`` squares of a face, so its number at order k is the
number at order 29 shifted by ``2 * (29 - k)`` bits, and a coarse cell is a contiguous range of fine ones.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: The finest order whose cell numbers fit in a 64-bit integer.
MAX_ORDER = 29

#: |sin(decl)| where the equatorial belt and the polar caps meet.
BELT = 2.0 / 3.0

#: Cells are nowhere narrower than these, in units of ``1 / 2**order`` radians. The width across a cell is one over the
#: gradient of `fx` (or `fy`). In the belt ``|grad fx|**2 = (2 / (pi c))**2 + (3 c / 4)**2``, c = cos(decl), at most
#: 1.0423 at the edge of the belt; in a cap ``1.5 (p**2 C + (2 / pi)**2 / C)``, p the part of the quadrant (0 to 1) and
#: C = cos(colatitude / 2)**2, at most 2.1080 at the pole. Rounded down.
BELT_WIDTH, CAP_WIDTH = 0.9794, 0.6887

#: No point of a cell is farther from its centre, in the same units (the farthest is a corner of a cell at the edge of
#: the belt: 0.8411, 0.9630, 1.0174 ... 1.0686 for orders 0, 1, 2 ... 29). Rounded up.
REACH = 1.07

_HALF_PI = 0.5 * math.pi
_SQRT6 = math.sqrt(6.0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def spread(v: int) -> int:
    """The lower 29 bits of `v` at the even places."""
    v = (v | (v << 16)) & 0x0000FFFF0000FFFF
    v = (v | (v << 8)) & 0x00FF00FF00FF00FF
    v = (v | (v << 4)) & 0x0F0F0F0F0F0F0F0F
    v = (v | (v << 2)) & 0x3333333333333333
    return (v | (v << 1)) & 0x5555555555555555


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def squeeze(v: int) -> int:
    """Inverse of `spread`: the even bits of `v`."""
    v = v & 0x5555555555555555
    v = (v | (v >> 1)) & 0x3333333333333333
    v = (v | (v >> 2)) & 0x0F0F0F0F0F0F0F0F
    v = (v | (v >> 4)) & 0x00FF00FF00FF00FF
    v = (v | (v >> 8)) & 0x0000FFFF0000FFFF
    return int((v | (v >> 16)) & 0x00000000FFFFFFFF)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cell_number(face: int, ix: int, iy: int, order: int) -> int:
    """Nested number of a cell."""
    return int((face << (2 * order)) | spread(ix) | (spread(iy) << 1))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def locate(ra: float, decl: float) -> tuple[int, float, float]:
    """Face of a position [deg], and its place in it (0 to 1 each way)."""
    quarters = (ra % 360.0) / 90.0
    if quarters >= 4.0:  # a tiny negative angle is rounded up to the full circle
        quarters = 0.0
    z = math.sin(math.radians(decl))
    if abs(z) <= BELT:
        down, up = 0.5 + quarters - 0.75 * z, 0.5 + quarters + 0.75 * z
        falling, rising = math.floor(down), math.floor(up)
        if falling == rising:
            face = 4 + (falling & 3)
        elif falling < rising:
            face = falling & 3
        else:
            face = 8 + (rising & 3)
        return face, up - rising, 1.0 - (down - falling)
    # from the distance to the pole itself: one minus the sine has no digits left there
    radius = _SQRT6 * math.sin(0.5 * math.radians(90.0 - abs(decl)))
    quadrant = min(int(quarters), 3)
    part = quarters - quadrant
    right, left = min(part * radius, 1.0), min((1.0 - part) * radius, 1.0)
    if z > 0.0:
        return quadrant, 1.0 - left, 1.0 - right
    return 8 + quadrant, right, left


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def centre(cell: int, order: int) -> tuple[float, float, float, float]:
    """Centre of a cell as sin(decl), cos(decl), cos(ra), sin(ra)."""
    side = 1 << order
    face = cell >> (2 * order)
    within = cell & ((1 << (2 * order)) - 1)
    ix, iy = squeeze(within), squeeze(within >> 1)
    band = face >> 2
    # rings are counted from the north pole; `west` is the longitude of the face's middle in eighths of the circle
    ring = (2 + band) * side - ix - iy - 1
    west = 2 * (face & 3) + (0 if band == 1 else 1)
    if ring < side:
        length = ring
        polar = (ring / side) * (ring / side) / 3.0
        z, radius = 1.0 - polar, math.sqrt(polar * (2.0 - polar))
    elif ring > 3 * side:
        length = 4 * side - ring
        polar = (length / side) * (length / side) / 3.0
        z, radius = polar - 1.0, math.sqrt(polar * (2.0 - polar))
    else:
        length = side
        z = (2 * side - ring) * (2.0 / 3.0) / side
        radius = math.sqrt(1.0 - z * z)
    phi = 0.5 * _HALF_PI * (west * length + ix - iy) / length
    return z, radius, math.cos(phi), math.sin(phi)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def step(face: int, ix: int, iy: int, side: int, towards: int) -> tuple[int, int, int, int]:
    """The cell across an edge: north-east (0), north-west (1), south-west (2) or south-east (3).

    Returns its face, ix, iy, and the quarter turns by which directions change on the way: two faces of a cap meet along
    a meridian, where what was north-east goes on as south-east.
    """
    last = side - 1
    quadrant, band = face & 3, face >> 2
    east, west = (quadrant + 1) & 3, (quadrant + 3) & 3
    if towards == 0:
        if ix < last:
            return face, ix + 1, iy, 0
        if band == 0:
            return east, iy, last, 3
        if band == 1:
            return quadrant, 0, iy, 0
        return 4 + east, 0, iy, 0
    if towards == 1:
        if iy < last:
            return face, ix, iy + 1, 0
        if band == 0:
            return west, last, ix, 1
        if band == 1:
            return west, ix, 0, 0
        return 4 + quadrant, ix, 0, 0
    if towards == 2:
        if ix > 0:
            return face, ix - 1, iy, 0
        if band == 0:
            return 4 + quadrant, last, iy, 0
        if band == 1:
            return 8 + west, last, iy, 0
        return 8 + west, iy, 0, 3
    if iy > 0:
        return face, ix, iy - 1, 0
    if band == 0:
        return 4 + east, ix, last, 0
    if band == 1:
        return 8 + quadrant, ix, last, 0
    return 8 + east, 0, ix, 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def touched_cells(face: int, fx: float, fy: float, order: int, margin: float, out: NDArray[np.int64]) -> int:
    """Cells that a disc may touch, ascending in `out` (9,); returns how many.

    `margin` is the radius in widths of a cell (see `BELT_WIDTH`), below 1. To reach a neighbour the disc must get
    across an edge, and a path that changes `fx` by d is at least d widths long; to reach a neighbour at a corner it
    must get across both edges. The argument holds where faces meet, too, since `fx` and `fy` can be continued
    along any path across edges.
    """
    side = 1 << order
    ix, iy = min(int(fx * side), side - 1), min(int(fy * side), side - 1)
    s, t = fx * side - ix, fy * side - iy
    out[0] = cell_number(face, ix, iy, order)
    n = 1
    if min(s, t) > margin and max(s, t) < 1.0 - margin:
        return n
    for first in range(4):
        if (1.0 - s, 1.0 - t, s, t)[first] > margin:
            continue
        face1, ix1, iy1, turn = step(face, ix, iy, side, first)
        n = _insert(out, n, cell_number(face1, ix1, iy1, order))
        for second in ((first + 1) & 3, (first + 3) & 3):
            if (1.0 - s, 1.0 - t, s, t)[second] > margin:
                continue
            face2, ix2, iy2, _ = step(face1, ix1, iy1, side, (second + turn) & 3)
            n = _insert(out, n, cell_number(face2, ix2, iy2, order))
    return n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _insert(sorted_cells: NDArray[np.int64], n: int, cell: int) -> int:
    at = n
    while at > 0 and sorted_cells[at - 1] >= cell:
        at -= 1
    if at < n and sorted_cells[at] == cell:
        return n
    for i in range(n, at, -1):
        sorted_cells[i] = sorted_cells[i - 1]
    sorted_cells[at] = cell
    return n + 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cells_of(ra: NDArray[np.float64], decl: NDArray[np.float64], order: int) -> NDArray[np.int64]:
    """Cells of positions [deg], (n,) int64."""
    side = 1 << order
    out = np.empty(len(ra), np.int64)
    for i in range(len(ra)):
        face, fx, fy = locate(ra[i], decl[i])
        out[i] = cell_number(face, min(int(fx * side), side - 1), min(int(fy * side), side - 1), order)
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def all_centres(order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres of all cells [deg]."""
    n = 12 << (2 * order)
    ra, decl = np.empty(n), np.empty(n)
    for cell in range(n):
        z, radius, x, y = centre(cell, order)
        decl[cell] = math.degrees(math.atan2(z, radius))
        ra[cell] = math.degrees(math.atan2(y, x)) % 360.0
    return ra, decl


#: Cells of this order (0.9 degrees), no point of which is farther than this from their centres [deg].
_WIDE_ORDER, _WIDE_REACH = 6, 1.5


def declinations(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[float, float]:
    """Declinations [deg] between which ranges of cells lie, to a degree or two; (90, -90) when there are none.

    Parameters
    ----------
    start, end : (k,) cells of order MAX_ORDER, nested, half-open
    """
    if not len(start):
        return 90.0, -90.0
    shift = 2 * (MAX_ORDER - _WIDE_ORDER)
    steps = np.zeros((12 << (2 * _WIDE_ORDER)) + 1, np.int64)
    np.add.at(steps, start >> shift, 1)
    np.add.at(steps, ((end - 1) >> shift) + 1, -1)
    decl = all_centres(_WIDE_ORDER)[1][np.cumsum(steps)[:-1] > 0]
    return float(decl.min()) - _WIDE_REACH, float(decl.max()) + _WIDE_REACH
