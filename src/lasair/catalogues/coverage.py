"""Where a catalogue has looked: a MOC (IVOA Recommendation MOC 2.0), kept as its ASCII string."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.sky import Sky

if TYPE_CHECKING:
    from mocpy import MOC

ALL_SKY, DERIVED, GIVEN = "all-sky", "derived", "moc"

#: Orders at which a footprint is derived from the rows, and how many rows an occupied cell should have on average, so
#: that a gap between sources is rarely taken for a gap in the survey.
DERIVED_ORDERS, ROWS_A_CELL = range(3, 9), 20.0

#: MOCs of positions end here.
_FINEST = 29


class Coverage:
    """A footprint as sorted ranges of cells at the finest order that its MOC uses."""

    def __init__(self, moc: str) -> None:
        """Read an ASCII MOC; ValueError when it is none."""
        self.order, self._starts, self._ends = _read(moc)

    def covers(self, sky: Sky) -> NDArray[np.bool_]:
        """Whether each position is inside, (n,)."""
        if not len(self._starts):
            return np.zeros(len(sky), np.bool_)
        cells = sky.cells(self.order)
        at = np.searchsorted(self._starts, cells, side="right") - 1
        return np.asarray((at >= 0) & (cells < self._ends[np.maximum(at, 0)]))

    def fraction(self) -> float:
        """Part of the sky that is inside, 0 to 1."""
        return float((self._ends - self._starts).sum() / (12 * 4**self.order))


def _read(moc: str) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Finest order, first cells and cells after the last, of merged ranges."""
    found: list[tuple[int, int, int]] = []
    order = -1
    for token in re.split(r"[\s,]+", moc.strip()):
        match = re.fullmatch(r"(?:(\d+)/)?(?:(\d+)(?:-(\d+))?)?", token)
        if match is None or (match[1] is None and token and order < 0):
            raise ValueError(f"not an ASCII MOC: {token[:40]!r}")
        if match[1] is not None:
            order = int(match[1])
            if order > _FINEST:
                raise ValueError(f"not an ASCII MOC: order {order} is above {_FINEST}")
        if match[2] is not None:
            first, last = int(match[2]), int(match[3] or match[2])
            if not first <= last < 12 * 4**order:
                raise ValueError(f"not an ASCII MOC: no cells {token[:40]!r} at order {order}")
            found.append((order, first, last + 1))
    finest = max((o for o, _, _ in found), default=0)
    shifts = np.array([2 * (finest - o) for o, _, _ in found], np.int64)
    starts = np.array([a for _, a, _ in found], np.int64) << shifts
    ends = np.array([b for _, _, b in found], np.int64) << shifts
    by_start = np.argsort(starts, kind="stable")
    starts, ends = starts[by_start], np.maximum.accumulate(ends[by_start]) if len(found) else ends
    new = np.ones(len(starts), np.bool_)
    new[1:] = starts[1:] > ends[:-1]
    last_of = np.flatnonzero(np.append(new[1:], True)) if len(found) else np.zeros(0, np.int64)
    return finest, starts[new], ends[last_of]


def describe(coverage: str | MOC, rows_of_cells: NDArray[np.int64]) -> dict[str, Any]:
    """The manifest's entry.

    Parameters
    ----------
    coverage : 'all-sky', 'derived' or a mocpy.MOC
    rows_of_cells : (12 * 4**8,) rows in each cell of order 8, from which a footprint is derived

    Raises
    ------
    ValueError
        Any other text.
    """
    kind = coverage if isinstance(coverage, str) else GIVEN
    if kind == ALL_SKY:
        moc = "0/0-11"
    elif kind == DERIVED:
        moc = _derived(rows_of_cells)
    elif isinstance(coverage, str):
        raise ValueError(f"coverage {coverage!r} is none of 'all-sky', 'derived', or a MOC")
    else:
        moc = " ".join(str(coverage.to_string("ascii")).split())
    return {"kind": kind, "moc": moc, "fraction": Coverage(moc).fraction()}


def _derived(rows_of_cells: NDArray[np.int64]) -> str:
    """The occupied cells, at the finest order at which they are well filled."""
    rows = int(rows_of_cells.sum())
    order = DERIVED_ORDERS[-1]
    occupied = np.asarray(rows_of_cells > 0)
    while order > DERIVED_ORDERS[0] and rows < ROWS_A_CELL * np.count_nonzero(occupied):
        order -= 1
        occupied = np.asarray(occupied.reshape(-1, 4).any(axis=1))
    parts: list[str] = []
    while order >= 0:
        # four full siblings are one cell of the order above
        full = np.asarray(occupied.reshape(-1, 4).all(axis=1)) if order else np.zeros(0, np.bool_)
        here = np.flatnonzero(occupied & ~np.repeat(full, 4)) if order else np.flatnonzero(occupied)
        if len(here):
            parts.append(f"{order}/{' '.join(_runs(here))}")
        occupied, order = full, order - 1
    return " ".join(reversed(parts))


def _runs(cells: NDArray[np.int64]) -> list[str]:
    cuts = np.flatnonzero(np.diff(cells) > 1)
    starts = cells[np.concatenate(([0], cuts + 1))].tolist()
    ends = cells[np.concatenate((cuts, [len(cells) - 1]))].tolist()
    return [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]
