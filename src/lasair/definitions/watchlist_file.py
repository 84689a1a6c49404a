"""A watchlist as somebody hands it in: CSV and its relatives, VOTable, FITS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lasair.definitions.positions import BadLine, Wanted, read_positions
from lasair.definitions.upload import read_upload
from lasair.errors import BadDefinition
from lasair.sky.cones import MAX_RADIUS_ARCSEC

#: Most cones of a list, and the largest file (unpacked).
MAX_CONES = 1_000_000
MAX_BYTES = 500_000_000

#: Columns of radii, and arcseconds in their unit.
_RADII = {
    "radius": 1.0, "radiusarcsec": 1.0, "radiusarcmin": 60.0, "radiusdeg": 3600.0, "coneradius": 1.0,
    "matchradius": 1.0, "searchradius": 1.0, "rad": 1.0,
}  # fmt: skip
_WANTED = Wanted(numbers={"radius": _RADII}, named=True, headerless=("ra", "decl", "name", "radius"))


@dataclass(frozen=True)
class WatchlistFile:
    """Cones of a file, and its lines that are none.

    Attributes
    ----------
    ra, decl : (n,) float64 [deg], 0 <= ra < 360
    radius : (n,) float64 [arcsec], above 0, at most ten degrees
    names : n texts, '' where there is none
    rows : (n,) int64, ascending: data rows counted from 0, bad ones included
    bad : what was refused, ascending
    """

    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    radius: NDArray[np.float64]
    names: list[str]
    rows: NDArray[np.int64]
    bad: list[BadLine]

    def __len__(self) -> int:
        return len(self.ra)


def read_watchlist(path: Path, *, radius_arcsec: float | None) -> WatchlistFile:
    """Read a watchlist.

    Parameters
    ----------
    path : file, gzip or not
    radius_arcsec : radius of cones without their own; None: such lines are bad

    Raises
    ------
    BadDefinition
        The file as a whole cannot be used, or `radius_arcsec` is out of range; names the file. Lines that cannot be
        used are in `bad`.
    """
    if radius_arcsec is not None and not 0.0 < radius_arcsec <= MAX_RADIUS_ARCSEC:
        raise BadDefinition(f"{path}: {_range(radius_arcsec)}")
    found = read_positions(path, read_upload(path, MAX_BYTES), _WANTED, most_rows=MAX_CONES)
    own = found.numbers.get("radius", np.full(len(found.rows), np.nan))
    radius = np.where(np.isnan(own), np.nan if radius_arcsec is None else radius_arcsec, own)
    wrong = ~((radius > 0.0) & (radius <= MAX_RADIUS_ARCSEC))
    reasons = [
        "there is no radius: give it one, or the list one with --radius" if np.isnan(one) else _range(one)
        for one in radius[wrong].tolist()
    ]
    good = found.refuse(wrong, reasons)
    return WatchlistFile(good.ra, good.decl, radius[~wrong], good.names, good.rows, good.bad)


def _range(radius: float) -> str:
    return f"a radius of {radius:g} arcsec is refused: it is above 0 and at most {MAX_RADIUS_ARCSEC:g} (ten degrees)"
