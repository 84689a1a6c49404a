"""Sources that reach far, large galaxies above all: looked up from the source's side, so that no cone is wide."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.problems import TooWide
from lasair.catalogues.sky import MAX_RADIUS_ARCSEC, Sky, check_radius, widest_order
from lasair.sky.separation import ARCSEC_PER_RADIAN

#: Upper bounds of reach [arcsec]: sources of one tier are kept at the order that suits its bound.
TIERS = (30.0, 120.0, 600.0, 3000.0, MAX_RADIUS_ARCSEC)


class Pairs(NamedTuple):
    """Positions and sources near them, ascending by position."""

    position: NDArray[np.int64]
    #: row in the catalogue
    row: NDArray[np.int64]
    vector: NDArray[np.float64]


#: A tier's table of first places is no finer than this: 49,153 numbers.
_TABLE_ORDER = 6


class _Tier(NamedTuple):
    bound: float
    order: int
    cells: NDArray[np.int64]
    which: NDArray[np.int64]
    #: cells are shifted by this for `first`: the place of the first source of each coarse cell, and their number
    shift: int
    first: NDArray[np.int64]


class WideIndex:
    """An index over sources that each have a reach of their own.

    Parameters
    ----------
    ra, decl : (k,) positions of the sources [deg]
    rows : (k,) their rows in the catalogue
    reach : (k,) greatest separation at which they can matter [arcsec]; those without one are left out
    """

    def __init__(
        self, ra: NDArray[np.float64], decl: NDArray[np.float64], rows: NDArray[np.int64], reach: NDArray[np.float64]
    ) -> None:
        places = Sky(ra, decl)
        self._vectors, self._rows = places.vectors, rows
        padded = np.minimum(reach, MAX_RADIUS_ARCSEC) + 1e-4
        self._chord2 = (2.0 * np.sin(padded / ARCSEC_PER_RADIAN / 2.0)) ** 2
        self._tiers = []
        low = 0.0
        for bound in TIERS:
            mine = np.flatnonzero((reach > low) & ((reach <= bound) | (bound == MAX_RADIUS_ARCSEC)))
            low = bound
            if len(mine):
                order = min(widest_order(check_radius(bound)), 13)
                cells = places.cells(order)[mine]
                by_cell = np.argsort(cells, kind="stable")
                shift = 2 * max(order - _TABLE_ORDER, 0)
                coarse = np.arange((12 * 4**order >> shift) + 1) << shift
                first = np.searchsorted(cells[by_cell], coarse)
                self._tiers.append(_Tier(bound, order, cells[by_cell], mine[by_cell], shift, first))

    def __len__(self) -> int:
        return sum(len(tier.cells) for tier in self._tiers)

    def find(self, sky: Sky, *, most: int = 5_000_000) -> Pairs:
        """All sources that reach the positions of a batch, ascending by (position, row).

        Raises TooWide when there are more than `most` pairs (some 200 bytes each): give fewer positions at a time.
        """
        found = []
        total = 0
        for tier in self._tiers:
            start, cells = sky.touched(tier.order, tier.bound)
            low, high = _spans(tier.cells, tier.shift, tier.first, cells)
            found.append(_reached(start, low, high, tier.which, sky.vectors, self._vectors, self._chord2, most - total))
            total += len(found[-1][0])
            if total > most:
                raise TooWide(f"more than {most} large galaxies reach {len(sky)} positions: give fewer at a time")
        if not found:
            return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3)))
        position = np.concatenate([one[0] for one in found])
        which = np.concatenate([one[1] for one in found])
        order = np.lexsort((self._rows[which], position))
        which = which[order]
        return Pairs(position[order], self._rows[which], self._vectors[which])


@njit(cache=True, nogil=True)
def _spans(in_order, shift, first, cells):  # type: ignore[no-untyped-def]
    """Places of the sources in each of `cells` among all cells in order: first, and after the last."""
    low, high = np.empty(len(cells), np.int64), np.empty(len(cells), np.int64)
    for i in range(len(cells)):
        cell = cells[i]
        at, end = first[cell >> shift], first[(cell >> shift) + 1]
        last = end
        while at < end:
            middle = (at + end) >> 1
            if in_order[middle] < cell:
                at = middle + 1
            else:
                end = middle
        low[i] = at
        while at < last and in_order[at] == cell:
            at += 1
        high[i] = at
    return low, high


@njit(cache=True, nogil=True)
def _reached(start, low, high, which, positions, vectors, chord2, most):  # type: ignore[no-untyped-def]
    total = 0
    for fill in range(2):
        if fill == 1:
            position, source = np.empty(total, np.int64), np.empty(total, np.int64)
            total = 0
        for i in range(len(start) - 1):
            x, y, z = positions[i]
            for c in range(start[i], start[i + 1]):
                for k in range(low[c], high[c]):
                    s = which[k]
                    d2 = (vectors[s, 0] - x) ** 2 + (vectors[s, 1] - y) ** 2 + (vectors[s, 2] - z) ** 2
                    if d2 <= chord2[s]:
                        if total > most:
                            # the caller refuses: only that there are too many matters
                            return np.zeros(total, np.int64), np.zeros(total, np.int64)
                        if fill == 1:
                            position[total] = i
                            source[total] = s
                        total += 1
    return position, source
