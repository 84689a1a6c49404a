"""Localisations: known points of a real map, hand-made maps, and circles of error."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from cdshealpix.nested import lonlat_to_healpix
from cdshealpix.ring import healpix_to_lonlat
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lasair.errors import BadDefinition
from lasair.sky.skymap import SQUARE_DEGREES, Circle, SkyMap, nested_cells
from tests.support.data import DATA


def uniq(order: int, cell: int) -> int:
    return 4 * 4**order + cell


if DATA is not None:

    def test_known_points() -> None:
        table = Table.read(DATA / "oracles/skymap/map.fits")
        columns = (np.array(table[name]) for name in ("UNIQ", "PROBDENSITY", "DISTMU", "DISTSIGMA", "DISTNORM"))
        found = SkyMap.from_uniq(*columns)
        said = found.at([188.0, 190.0, 190.0, 194.0], [-9.0, -15.0, -11.0, -19.0], [40.0, 40.0, 40.0, 34.780])
        assert (said.contour <= 90.0).tolist() == [False, False, False, True]
        assert said.contour[3] == pytest.approx(66.307, abs=1e-3)
        assert said.probdens2[3] == pytest.approx(0.025911, abs=1e-6)
        assert said.probdens3[3] == pytest.approx(0.0029990, abs=1e-7)
        assert said.distance == pytest.approx([23.510, 20.350, 27.440, 34.780], abs=5e-3)
        assert found.area(90.0) == pytest.approx(30.975, abs=1e-3)
        assert found.at([197.4133], [-23.3996]).probdens2[0] == pytest.approx(0.034679, abs=1e-6)


def test_cells_of_different_size() -> None:
    # a quarter of the sky's first base cell is ten times as dense as the cell next to it
    found = SkyMap.from_uniq(np.array([uniq(1, 0), uniq(0, 4)]), np.array([10.0, 1.0]))
    ra, decl = healpix_to_lonlat(np.array([0, 4], np.uint64), 1)
    said = found.at(ra.deg, decl.deg)
    assert found.at(45.0, 5.0).contour == pytest.approx(100.0 * 2.5 / 3.5)
    assert said.contour[1] == 100.0
    assert said.probdens2[1] == pytest.approx(1.0 / SQUARE_DEGREES)
    nowhere = found.at([45.0], [-80.0])
    assert (nowhere.contour[0], nowhere.probdens2[0]) == (100.0, 0.0)
    assert np.isnan(said.probdens3).all() and np.isnan(said.distance).all()


def test_cells_of_equal_density_belong_together() -> None:
    found = SkyMap.from_uniq(np.array([uniq(0, i) for i in range(12)]), np.array([2.0] * 3 + [1.0] * 9))
    ra, decl = healpix_to_lonlat(np.arange(12, dtype=np.uint64), 1)
    assert found.at(ra.deg, decl.deg).contour == pytest.approx([40.0] * 3 + [100.0] * 9)


@pytest.mark.parametrize("nside", [1, 2, 4, 8, 16, 64])
def test_ring_numbers(nside: int) -> None:
    pixel = np.arange(12 * nside**2)
    lon, lat = healpix_to_lonlat(pixel.astype(np.uint64), nside)
    order = nside.bit_length() - 1
    assert (nested_cells(pixel, order) == lonlat_to_healpix(lon, lat, np.uint8(order)).astype(np.int64)).all()


def test_flat_maps_say_what_the_same_cells_say() -> None:
    probability = np.random.default_rng(1).random(48)
    nested = SkyMap.from_flat(probability, nested=True)
    cells = SkyMap.from_uniq(16 + np.arange(48), probability / (np.pi / 12.0))
    ra, decl = np.random.default_rng(2).uniform(0, 360, 200), np.random.default_rng(3).uniform(-90, 90, 200)
    for one, other in zip(nested.at(ra, decl), cells.at(ra, decl), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_distance_where_the_map_has_none() -> None:
    two = np.array([uniq(0, 4), uniq(0, 5)])
    found = SkyMap.from_uniq(
        two, np.array([1.0, 1.0]), np.array([np.inf, 50.0]), np.array([1.0, 5.0]), np.array([0.0, 1e-4])
    )
    said = found.at([0.1, 90.1], [0.0, 0.0], [50.0, 50.0])
    assert np.isnan(said.distance[0]) and np.isnan(said.probdens3[0])
    assert said.probdens3[1] == pytest.approx(1e-4 / (5.0 * np.sqrt(2 * np.pi)))
    assert np.isnan(found.at([90.1], [0.0], [np.nan]).probdens3[0])


@pytest.mark.parametrize(
    ("cells", "density", "message"),
    [
        ([3], [1.0], "less than 4"),
        ([uniq(0, 1), uniq(1, 5)], [1.0, 1.0], "overlap"),
        ([uniq(1, 5), uniq(1, 5)], [1.0, 1.0], "overlap"),
        ([uniq(0, 1)], [-1.0], "negative"),
        ([uniq(0, 1)], [np.nan], "negative or no number"),
        ([uniq(0, 1)], [0.0], "no probability"),
        ([], [], "no probability"),
        ([2**62 + 2**61], [1.0], "order"),
    ],
)
def test_maps_that_are_refused(cells: list[int], density: list[float], message: str) -> None:
    with pytest.raises(BadDefinition, match=message):
        SkyMap.from_uniq(np.array(cells, np.int64), np.array(density))


@pytest.mark.parametrize("pixels", [0, 1, 11, 13, 108])
def test_flat_maps_that_are_refused(pixels: int) -> None:
    with pytest.raises(BadDefinition):
        SkyMap.from_flat(np.ones(pixels), nested=True)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-4, 120.0), st.floats(0.05, 0.99), st.floats(0, 360), st.floats(-90, 90))
def test_a_circle_holds_what_it_says(radius: float, containment: float, ra: float, decl: float) -> None:
    # an even sky holds so much in the circle; a distribution with a peak in its middle cannot hold less
    assume(containment > (1.0 - np.cos(np.radians(radius))) / 2.0 + 1e-3)
    circle = Circle(ra, decl, radius, containment)
    rim = decl - radius if decl >= 0 else decl + radius
    if abs(rim) <= 90.0:
        assert circle.at([ra], [rim]).contour[0] == pytest.approx(100.0 * containment, rel=1e-5)
    assert circle.at([ra], [decl]).contour[0] == 0.0
    assert circle.area(100.0 * containment) == pytest.approx(
        2 * np.pi * (1 - np.cos(np.radians(radius))) * SQUARE_DEGREES, rel=1e-5, abs=1e-12
    )


def test_the_whole_of_a_circle_is_one() -> None:
    circle = Circle(10.0, 20.0, 40.0, 0.5)
    rng = np.random.default_rng(5)
    ra, decl = rng.uniform(0, 360, 200_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 200_000)))
    assert circle.at(ra, decl).probdens2.mean() * 4 * np.pi * SQUARE_DEGREES == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    "wrong",
    [(np.nan, 0, 1, 0.9), (0, 91, 1, 0.9), (0, 0, 0, 0.9), (0, 0, 1e-308, 0.9), (0, 0, 181, 0.9), (0, 0, 1, 1.0)],
)
def test_circles_that_are_refused(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(BadDefinition):
        Circle(*wrong)
