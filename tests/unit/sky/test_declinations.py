"""Declinations between which areas and contours lie: what a scan of stored objects may leave out."""

from __future__ import annotations

import numpy as np
import pytest

from lasair.catalogues.healpix import MAX_ORDER, declinations
from lasair.catalogues.sky import Sky
from lasair.sky.skymap import Circle, Localisation, SkyMap

CHANCE = np.random.default_rng(3)
RA = CHANCE.uniform(0.0, 360.0, 200_000)
DECL = np.degrees(np.arcsin(CHANCE.uniform(-1.0, 1.0, 200_000)))
CELLS = Sky(RA, DECL).cells(MAX_ORDER)


@pytest.mark.parametrize("order", [0, 3, 6, 9, 14])
def test_no_place_of_a_cell_is_left_out(order: int) -> None:
    shift = 2 * (MAX_ORDER - order)
    for at in range(0, len(RA), 2_001):
        start = np.array([CELLS[at] >> shift << shift])
        end = start + (1 << shift)
        low, high = declinations(start, end)
        inside = DECL[CELLS >> shift == start[0] >> shift]
        assert low <= inside.min() and inside.max() <= high
        # and not much more than it: a cell of order 3 has 7 degrees
        assert high - low <= np.ptp(inside) + 2.0 * 1.5 + 16.0 / 2**order + 2.0


def test_nothing_lies_nowhere() -> None:
    assert declinations(np.empty(0, np.int64), np.empty(0, np.int64)) == (90.0, -90.0)


def made_map() -> SkyMap:
    density = Circle(40.0, 70.0, 10.0, 0.9).at(RA[:5000], DECL[:5000]).probdens2
    cells = np.unique(CELLS[:5000] >> (2 * (MAX_ORDER - 5)))
    return SkyMap(np.full(len(cells), 5), cells, np.resize(density, len(cells)) + 1e-12)


@pytest.mark.parametrize(
    "where", [Circle(0.0, 89.0, 3.0, 0.9), Circle(200.0, -40.0, 0.01, 0.5), Circle(9.0, 0.0, 170.0, 0.6), made_map()]
)
@pytest.mark.parametrize("percent", [1.0, 50.0, 90.0, 100.0])
def test_no_place_of_a_contour_is_left_out(where: Localisation, percent: float) -> None:
    low, high = where.declinations(percent)
    inside = DECL[where.at(RA, DECL).contour <= percent]
    assert low <= inside.min(initial=90.0) and inside.max(initial=-90.0) <= high
