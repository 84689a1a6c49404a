"""Positions and the cells that discs touch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.catalogues.healpix import cells_of
from lasair.catalogues.problems import BadPositions, TooWide
from lasair.catalogues.sky import Sky, check_radius, widest_order
from tests.unit.catalogues.skies import ARCSEC, ODD_PLACES, about, near, random_sky, vectors


def assert_nothing_missed(ra: np.ndarray, decl: np.ndarray, order: int, radius_arcsec: float, seed: int) -> float:
    """Every point of the disc lies in a touched cell; returns the mean number of them."""
    rng = np.random.default_rng(seed)
    sky = Sky(ra, decl)
    start, cells = sky.touched(order, radius_arcsec)
    position = np.repeat(np.arange(len(sky)), np.diff(start))
    known = set(zip(position.tolist(), cells.tolist(), strict=True))
    for _ in range(8):
        # most of the area of a disc is near its edge, where cells are missed
        there = near(rng, ra, decl, radius_arcsec)
        found = cells_of(*there, order)
        missed = [i for i, cell in enumerate(found.tolist()) if (i, cell) not in known]
        assert not missed, (ra[missed[0]], decl[missed[0]], there[0][missed[0]], there[1][missed[0]])
    return len(cells) / len(sky)


@given(
    place=st.sampled_from(ODD_PLACES),
    order=st.integers(0, 12),
    fill=st.floats(0.001, 0.999),
    scatter=st.floats(0.0, 3.0),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_no_touched_cell_is_missed_at_odd_places(
    place: tuple[float, float], order: int, fill: float, scatter: float, seed: int
) -> None:
    widest = 0.6887 * 0.999 / 2**order / ARCSEC
    radius = min(fill * widest, 18000.0)
    rng = np.random.default_rng(seed)
    ra, decl = about(rng, place, 200, scatter * radius + 1e-6)
    assert_nothing_missed(ra, decl, order, radius, seed)


@pytest.mark.parametrize(("order", "radius"), [(10, 10.0), (10, 130.0), (8, 500.0), (7, 240.0), (2, 18000.0)])
def test_no_touched_cell_is_missed_anywhere(order: int, radius: float) -> None:
    ra, decl = random_sky(np.random.default_rng(order), 20000)
    mean = assert_nothing_missed(ra, decl, order, radius, 5)
    if radius == 10.0:
        assert mean < 1.3  # and few others are looked at


def test_all_around_a_pole() -> None:
    ra = np.linspace(0, 360, 721)
    for decl in (90.0, 89.9999, -89.9999, 89.99):
        assert_nothing_missed(ra, np.full(len(ra), decl), 10, 100.0, 1)


def test_cells_are_kept_and_agree() -> None:
    ra, decl = random_sky(np.random.default_rng(1), 1000)
    sky = Sky(ra, decl)
    assert sky.cells(9) is sky.cells(9)
    np.testing.assert_array_equal(sky.cells(9), cells_of(ra, decl, 9))
    np.testing.assert_array_equal(sky.cells(7), sky.cells(29) >> 44)
    np.testing.assert_allclose(sky.vectors, vectors(ra, decl), atol=1e-15)


@pytest.mark.parametrize(
    ("ra", "decl"), [([np.nan], [0.0]), ([0.0], [np.nan]), ([np.inf], [0.0]), ([0.0], [90.1]), ([1.0, 2.0], [3.0])]
)
def test_places_that_are_none_are_refused(ra: list[float], decl: list[float]) -> None:
    with pytest.raises(BadPositions):
        Sky(ra, decl)


def test_nobody_is_fine() -> None:
    sky = Sky([], [])
    assert len(sky) == 0
    start, cells = sky.touched(10, 5.0)
    assert start.tolist() == [0]
    assert len(cells) == 0


@pytest.mark.parametrize("radius", [-1.0, 18001.0, np.nan, np.inf, 180 * 3600.0])
def test_radii_are_refused(radius: float) -> None:
    with pytest.raises(TooWide, match="refused"):
        check_radius(radius)


def test_a_disc_beyond_the_neighbours_is_refused_by_order() -> None:
    with pytest.raises(TooWide, match="use order 9"):
        Sky([1.0], [2.0]).touched(10, 150.0)
    assert widest_order(check_radius(0.0)) == 29
    assert widest_order(check_radius(18000.0)) == 2
