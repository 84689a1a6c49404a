"""A watchlist as somebody hands it in: CSV and its relatives, VOTable, FITS."""

from __future__ import annotations

from collections.abc import Callable
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
#: Columns of what a cone waits for [mag]: alerts brighter than this, alerts that changed by so much.
_BRIGHTER = {"brighter": 1.0, "brighterthan": 1.0, "maglimit": 1.0}
_CHANGE = {"change": 1.0, "changemag": 1.0, "magchange": 1.0}
_WANTED = Wanted(
    numbers={"radius": _RADII, "brighter": _BRIGHTER, "change": _CHANGE},
    named=True,
    headerless=("ra", "decl", "name", "radius"),
)

#: Magnitudes that a limit may have, and changes: what lies beyond is a filler such as 99.
MIN_BRIGHTER, MAX_BRIGHTER = -30.0, 40.0
MAX_CHANGE = 40.0


@dataclass(frozen=True)
class WatchlistFile:
    """Cones of a file, and its lines that are none.

    Attributes
    ----------
    ra, decl : (n,) float64 [deg], 0 <= ra < 360
    radius : (n,) float64 [arcsec], above 0, at most ten degrees
    brighter, change : (n,) float64 [mag]
        What a cone waits for: an alert brighter than this, or one that changed by so much; NaN: no limit of its own.
    names : n texts, '' where there is none
    rows : (n,) int64, ascending: data rows counted from 0, bad ones included
    bad : what was refused, ascending
    """

    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    radius: NDArray[np.float64]
    brighter: NDArray[np.float64]
    change: NDArray[np.float64]
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
    nothing = np.full(len(found.rows), np.nan)
    own = found.numbers.get("radius", nothing)
    found.numbers = {
        "radius": np.where(np.isnan(own), np.nan if radius_arcsec is None else radius_arcsec, own),
        "brighter": found.numbers.get("brighter", nothing),
        "change": found.numbers.get("change", nothing),
    }
    for name, (good, reason) in _CHECKS.items():
        values = found.numbers[name]
        wrong = ~good(values)
        found = found.refuse(wrong, [reason(one) for one in values[wrong].tolist()])
    return WatchlistFile(found.ra, found.decl, **found.numbers, names=found.names, rows=found.rows, bad=found.bad)


def check_limits(brighter: float | None, change: float | None) -> None:
    """Raise BadDefinition when magnitudes are not what a list can wait for; None is no limit."""
    for name, value in (("brighter", brighter), ("change", change)):
        good, reason = _CHECKS[name]
        # NaN means no limit in a column, and nothing as a limit
        if value is not None and not (value == value and good(np.array([value]))[0]):
            raise BadDefinition(reason(value))


def _range(radius: float) -> str:
    return f"a radius of {radius:g} arcsec is refused: it is above 0 and at most {MAX_RADIUS_ARCSEC:g} (ten degrees)"


#: What a number must be, NaN where there is none, and the reason when it is not.
_CHECKS: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.bool_]], Callable[[float], str]]] = {
    "radius": (
        lambda values: (values > 0.0) & (values <= MAX_RADIUS_ARCSEC),
        lambda one: "there is no radius: give it one, or the list one with --radius" if one != one else _range(one),
    ),
    "brighter": (
        lambda values: np.isnan(values) | ((values >= MIN_BRIGHTER) & (values <= MAX_BRIGHTER)),
        lambda one: f"brighter than {one:g} mag is refused: magnitudes are from {MIN_BRIGHTER:g} to {MAX_BRIGHTER:g}",
    ),
    "change": (
        lambda values: np.isnan(values) | ((values > 0.0) & (values <= MAX_CHANGE)),
        lambda one: f"a change of {one:g} mag is refused: it is above 0 and at most {MAX_CHANGE:g}",
    ),
}
