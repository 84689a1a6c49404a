"""A batch of positions, prepared once and then looked up in every catalogue."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lasair.catalogues.healpix import BELT, BELT_WIDTH, CAP_WIDTH, MAX_ORDER, cell_number, locate, touched_cells
from lasair.catalogues.problems import BadPositions, TooWide
from lasair.sky.separation import ARCSEC_PER_RADIAN

#: The widest cone [arcsec]: five degrees.
MAX_RADIUS_ARCSEC = 5.0 * 3600.0


class Sky:
    """Positions with what every look-up needs of them: unit vectors and places in the HEALPix projection.

    Attributes
    ----------
    ra, decl : (n,) float64 [deg]
    vectors : (n, 3) float64, unit vectors
    face : (n,) int64, base cell
    fx, fy : (n,) float64, place in the base cell, 0 to 1 (see `healpix`)
    """

    def __init__(self, ra: ArrayLike, decl: ArrayLike) -> None:
        """Prepare positions.

        Raises
        ------
        BadPositions
            A coordinate is not finite, or a declination is beyond a pole.
        """
        self.ra = np.ascontiguousarray(ra, dtype=np.float64).reshape(-1)
        self.decl = np.ascontiguousarray(decl, dtype=np.float64).reshape(-1)
        if len(self.ra) != len(self.decl):
            raise BadPositions(f"{len(self.ra)} right ascensions but {len(self.decl)} declinations")
        bad = first_bad(self.ra, self.decl)
        if bad >= 0:
            raise BadPositions(
                f"position {bad} is no place on the sky: ra {self.ra[bad]}, decl {self.decl[bad]}; "
                "both must be finite degrees, the declination between -90 and 90"
            )
        self.vectors, self.face, self.fx, self.fy = _prepare(self.ra, self.decl)
        self._cells: dict[int, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self.ra)

    def cells(self, order: int) -> NDArray[np.int64]:
        """Cell of every position at an order (0 to 29), (n,) int64, nested numbering; kept for the next catalogue."""
        if order not in self._cells:
            self._cells[order] = _cells(self.face, self.fx, self.fy, order)
        return self._cells[order]

    def touched(self, order: int, radius_arcsec: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every cell that a disc about each position may touch, and few others.

        Returns
        -------
        start : (n + 1,) int64
        cells : (start[n],) int64
            Cells of position i are ``cells[start[i]:start[i + 1]]``, ascending, at most nine.

        Raises
        ------
        TooWide
            The disc can reach beyond the neighbours of a cell at this order; the message names the order to use.
        """
        radius = check_radius(radius_arcsec)
        if order > widest_order(radius):
            raise TooWide(
                f"a disc of {radius_arcsec} arcsec reaches beyond the neighbours of a cell of order {order}: "
                f"use order {widest_order(radius)} or less"
            )
        return _touched(self.face, self.fx, self.fy, self.vectors, order, radius)  # type: ignore[no-any-return]


def check_radius(radius_arcsec: float) -> float:
    """A radius in radians, padded so that rounding loses no source at the edge.

    Raises
    ------
    TooWide
        It is not finite, negative, or above `MAX_RADIUS_ARCSEC`.
    """
    if not 0.0 <= radius_arcsec <= MAX_RADIUS_ARCSEC:
        raise TooWide(f"a cone of {radius_arcsec} arcsec is refused: radii go from 0 to {MAX_RADIUS_ARCSEC:g} arcsec")
    return (radius_arcsec + RADIUS_PAD_ARCSEC) / ARCSEC_PER_RADIAN


#: Added to every radius: more than all rounding errors together, and a thousandth of what any survey measures.
RADIUS_PAD_ARCSEC = 1e-7


def widest_order(radius: float) -> int:
    """The finest order at which a disc [rad] stays within a cell and its neighbours wherever it lies."""
    order = math.floor(math.log2(0.999 * CAP_WIDTH / radius))
    return max(0, min(order, MAX_ORDER))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def first_bad(ra: NDArray[np.float64], decl: NDArray[np.float64]) -> int:
    """Index of the first position that is none, or -1."""
    for i in range(len(ra)):
        if not (math.isfinite(ra[i]) and abs(decl[i]) <= 90.0):
            return i
    return -1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def margin_at(radius: float, z: float, order: int) -> float:
    """A disc's radius [rad] in widths of the cells about sin(decl) = z, rounded up (see `healpix.touched_cells`)."""
    # along a path as long as the radius, sin(decl) changes by no more than it
    width = BELT_WIDTH if abs(z) + radius < BELT else CAP_WIDTH
    return radius * (1 << order) / width + 1e-15 * (1 << order)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _prepare(
    ra: NDArray[np.float64], decl: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    n = len(ra)
    vectors = np.empty((n, 3))
    face, fx, fy = np.empty(n, np.int64), np.empty(n), np.empty(n)
    for i in range(n):
        alpha, delta = math.radians(ra[i]), math.radians(decl[i])
        vectors[i, 0] = math.cos(delta) * math.cos(alpha)
        vectors[i, 1] = math.cos(delta) * math.sin(alpha)
        vectors[i, 2] = math.sin(delta)
        face[i], fx[i], fy[i] = locate(ra[i], decl[i])
    return vectors, face, fx, fy


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _cells(face: NDArray[np.int64], fx: NDArray[np.float64], fy: NDArray[np.float64], order: int) -> NDArray[np.int64]:
    side = 1 << order
    out = np.empty(len(face), np.int64)
    for i in range(len(face)):
        out[i] = cell_number(face[i], min(int(fx[i] * side), side - 1), min(int(fy[i] * side), side - 1), order)
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _touched(
    face: NDArray[np.int64],
    fx: NDArray[np.float64],
    fy: NDArray[np.float64],
    vectors: NDArray[np.float64],
    order: int,
    radius: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n = len(face)
    start = np.zeros(n + 1, np.int64)
    cells = np.empty(9 * n, np.int64)
    some = np.empty(9, np.int64)
    k = 0
    for i in range(n):
        found = touched_cells(face[i], fx[i], fy[i], order, margin_at(radius, vectors[i, 2], order), some)
        for j in range(found):
            cells[k] = some[j]
            k += 1
        start[i + 1] = k
    return start, cells[:k].copy()
