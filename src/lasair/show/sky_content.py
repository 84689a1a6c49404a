"""What a picture of the sky shows: alerts, hits, areas and sky maps, with their names and colours; where to look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lasair.catalogues.healpix import MAX_ORDER, centre
from lasair.sky.areas import SKY_CELLS, normalise_ranges
from lasair.sky.cones import cells_or_none
from lasair.sky.separation import separation_arcsec
from lasair.sky.skymap import SQUARE_DEGREES, Circle, Localisation, SkyMap

Floats = NDArray[np.float64]
#: ra and decl of any number of places [deg].
Places = tuple[ArrayLike, ArrayLike]

#: Of what has no colour of its own.
OTHERS = "#777777"

# Colours that the colour-blind tell apart (Okabe & Ito 2008); marks differ in shape and size besides.
_HIT_COLOURS = ("#d55e00", "#0072b2", "#000000", "#009e73", "#a6337f", "#e69f00")
_HIT_MARKS = "osD^vphd<>8"
_AREA_COLOURS = ("#56b4e9", "#009e73", "#e69f00", "#0072b2", "#999933", "#cc79a7")
_MAP_COLOURS = ("#cc79a7", "#e69f00", "#d55e00", "#56b4e9", "#009e73", "#0072b2")
#: Lists of hits that are told apart; areas and maps as many as there are colours. What more there is goes by one name.
_NAMED_HITS = len(_HIT_MARKS) - 1

_FIELD_DEG, _LEAST_FIELD_DEG = 6.0, 0.1  # most and least half-width of the field that is magnified
_SHARE = 0.2  # of all that is to be seen must lie in that field
_CELL_ORDER = 4  # cells of 3.7 degrees, among which the fullest is looked for
_LONGEST_NAME = 46


@dataclass(frozen=True, eq=False)
class Hits:
    """Alerts in one list, area or event, (n,) [deg]; `size` relative to other marks."""

    label: str
    ra: Floats
    decl: Floats
    colour: str
    mark: str
    size: float


@dataclass(frozen=True, eq=False)
class Area:
    """(k, 2) ranges of cells of order 29, and their middles (k,) [deg], so that none is too small to be painted."""

    label: str
    ranges: NDArray[np.uint64]
    ra: Floats
    decl: Floats
    colour: str


@dataclass(frozen=True, eq=False)
class Map:
    """How probable positions are; without a label it is one of many, and only outlined."""

    label: str
    localisation: Localisation
    colour: str


class Field(NamedTuple):
    """A part of the sky to be magnified: its middle, and half the width of a square about it [deg]."""

    ra: float
    decl: float
    half: float


@dataclass(frozen=True, eq=False)
class Content:
    """All that is in a picture."""

    alerts: tuple[Floats, Floats]
    alerts_label: str
    hits: list[Hits]
    areas: list[Area]
    maps: list[Map]


def collect(
    alerts: Places,
    hits: Mapping[str, Places],
    areas: Mapping[str, ArrayLike],
    maps: Mapping[str, Localisation],
    what: str,
) -> Content:
    """What there is, with colours, and labels with counts; arguments as of `sky.sky_figure`."""
    there = on_sky(alerts)
    return Content(there, f"{len(there[0]):,} {what}", _hits(hits), _areas(areas), _maps(maps))


def _hits(hits: Mapping[str, Places]) -> list[Hits]:
    named = [(label, *on_sky(at)) for label, at in hits.items()]
    if len(named) > _NAMED_HITS:
        # those with most hits keep their names, and their order
        most = sorted(range(len(named)), key=lambda i: -len(named[i][1]))[: _NAMED_HITS - 1]
        rest = [one for i, one in enumerate(named) if i not in most]
        ra, decl = np.concatenate([one[1] for one in rest]), np.concatenate([one[2] for one in rest])
        named = [*(named[i] for i in sorted(most)), (f"{len(rest):,} more lists", ra, decl)]
    return [
        Hits(
            f"{short(label)} ({len(ra):,})", ra, decl, _HIT_COLOURS[i % len(_HIT_COLOURS)], _HIT_MARKS[i],
            1.0 + 0.55 * i,
        )
        for i, (label, ra, decl) in enumerate(named)
    ]  # fmt: skip


def _areas(areas: Mapping[str, ArrayLike]) -> list[Area]:
    cells = [(name, normalise_ranges(ranges)) for name, ranges in areas.items()]
    named, rest = cells[: len(_AREA_COLOURS)], cells[len(_AREA_COLOURS) :]
    found = [_area(short(name), ranges, _AREA_COLOURS[i]) for i, (name, ranges) in enumerate(named)]
    if rest:
        together = normalise_ranges(np.concatenate([ranges for _, ranges in rest]))
        found.append(_area(f"{len(rest):,} more areas", together, OTHERS))
    return found


def _area(name: str, ranges: NDArray[np.uint64], colour: str) -> Area:
    cells = ranges.astype(np.int64)
    square_degrees = float((cells[:, 1] - cells[:, 0]).sum()) / SKY_CELLS * 4.0 * math.pi * SQUARE_DEGREES
    ra, decl = places_of((cells[:, 0] + cells[:, 1]) // 2)
    return Area(f"{name} ({_extent(square_degrees)})", ranges, ra, decl, colour)


def _maps(maps: Mapping[str, Localisation]) -> list[Map]:
    found = []
    for i, (name, one) in enumerate(maps.items()):
        if i < len(_MAP_COLOURS):
            label = f"{short(name)}: 50 % in {_extent(one.area(50.0))}, 90 % in {_extent(one.area(90.0))}"
            found.append(Map(label, one, _MAP_COLOURS[i]))
        else:
            found.append(Map("", one, OTHERS))
    return found


def on_sky(at: Places) -> tuple[Floats, Floats]:
    """Those places that are on the sky, right ascension from 0 to 360."""
    ra, decl = (np.asarray(one, np.float64).reshape(-1) for one in at)
    good = np.isfinite(ra) & (np.abs(decl) <= 90.0)
    return np.mod(ra[good], 360.0), decl[good]


def short(text: str, most: int = _LONGEST_NAME) -> str:
    """A text from outside in one line of bearable length."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _extent(square_degrees: float) -> str:
    return f"{square_degrees:,.0f} deg²" if square_degrees >= 100.0 else f"{square_degrees:.3g} deg²"


def fullest_field(content: Content) -> Field | None:
    """Where most of the hits lie, else of the alerts; None when there is no such place, or nothing at all."""
    hits = [(one.ra, one.decl) for one in content.hits if len(one.ra)] or [content.alerts]
    ra, decl = (np.concatenate([one[axis] for one in hits]) for axis in (0, 1))
    if not len(ra):
        return None
    cells, counts = np.unique(cells_or_none(ra, decl, _CELL_ORDER), return_counts=True)
    middle = _place_of(int(cells[np.argmax(counts)]), _CELL_ORDER)
    # from the middle of the fullest cell to the middle of what lies around it
    for _ in range(4):
        apart = separation_arcsec(ra, decl, *middle) / 3600.0
        inside = apart <= _FIELD_DEG
        middle = middle_of(ra[inside], decl[inside])
    if inside.mean() < _SHARE:
        return None
    half = 1.2 * float(np.quantile(apart[inside], 0.98))
    return Field(*middle, min(max(half, _LEAST_FIELD_DEG), _FIELD_DEG))


def middle_of(ra: Floats, decl: Floats) -> tuple[float, float]:
    """The middle of places (n,) [deg], n at least 1."""
    alpha, delta = np.radians(ra), np.radians(decl)
    x, y, z = (np.cos(delta) * np.cos(alpha)).sum(), (np.cos(delta) * np.sin(alpha)).sum(), np.sin(delta).sum()
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def heart_of(localisation: Localisation) -> tuple[float, float] | None:
    """Where a localisation is densest [deg], when that can be told at once."""
    if isinstance(localisation, Circle):
        return localisation.ra, localisation.decl
    if isinstance(localisation, SkyMap):
        columns = localisation.columns()
        densest = int(np.argmax(columns["density"]))
        return _place_of(int(columns["cell"][densest]), int(columns["order"][densest]))
    return None


def _place_of(cell: int, order: int) -> tuple[float, float]:
    """Centre [deg] of a cell."""
    z, radius, x, y = centre(cell, order)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, radius))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def places_of(cells: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Centres [deg] of cells of order 29."""
    ra, decl = np.empty(len(cells)), np.empty(len(cells))
    for i in range(len(cells)):
        z, radius, x, y = centre(cells[i], MAX_ORDER)
        ra[i], decl[i] = math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, radius))
    return ra, decl
