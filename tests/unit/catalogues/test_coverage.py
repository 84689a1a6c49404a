"""Footprints."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from lasair.catalogues.coverage import Coverage, describe
from lasair.catalogues.healpix import cells_of
from lasair.catalogues.sky import Sky
from lasair.catalogues.spill import MAP_CELLS, MAP_ORDER
from tests.unit.catalogues.skies import near, random_sky

NOTHING = np.zeros(MAP_CELLS, np.int64)


@given(
    cells=st.lists(st.tuples(st.integers(0, 11), st.floats(0, 1, exclude_max=True)), min_size=1, max_size=40),
    seed=st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_inside_as_mocpy_says(cells: list[tuple[int, float]], seed: int) -> None:
    numbers = [(order, int(part * 12 * 4**order)) for order, part in cells]  # which may overlap
    text = " ".join(f"{order}/{cell}" for order, cell in numbers)
    orders, indices = np.array(numbers).T
    moc = MOC.from_healpix_cells(indices.astype(np.uint64), orders.astype(np.uint8), max_depth=11)
    entry = describe(moc, NOTHING)
    coverage = Coverage(entry["moc"])
    assert entry["kind"] == "moc"
    assert coverage.fraction() == pytest.approx(moc.sky_fraction)
    ra, decl = random_sky(np.random.default_rng(seed), 200)
    # mocpy looks at the cells of order 29
    inside = moc.contains_skycoords(_coordinates(ra, decl))
    assert coverage.covers(Sky(ra, decl)).tolist() == inside.tolist()
    assert Coverage(text).covers(Sky(ra, decl)).tolist() == inside.tolist()


def _coordinates(ra: np.ndarray, decl: np.ndarray) -> object:
    from astropy.coordinates import SkyCoord

    return SkyCoord(ra, decl, unit="deg")


def test_all_sky_and_nothing() -> None:
    sky = Sky(*random_sky(np.random.default_rng(1), 50))
    entry = describe("all-sky", NOTHING)
    assert entry["fraction"] == 1.0
    assert Coverage(entry["moc"]).covers(sky).all()
    entry = describe("derived", NOTHING)
    assert entry["fraction"] == 0.0
    assert not Coverage(entry["moc"]).covers(sky).any()
    assert not Coverage("").covers(sky).any()


@pytest.mark.parametrize("rows", [10, 1000, 30_000, 300_000])
def test_derived_from_rows(rows: int) -> None:
    rng = np.random.default_rng(rows)
    ra, decl = near(rng, np.full(rows, 50.0), np.full(rows, 70.0), 10 * 3600.0)
    counts = np.bincount(cells_of(ra, decl, MAP_ORDER), minlength=MAP_CELLS)
    entry = describe("derived", counts)
    coverage = Coverage(entry["moc"])
    assert 3 <= coverage.order <= 8
    assert coverage.covers(Sky(ra, decl)).all()
    disc = (1 - np.cos(np.radians(10))) / 2
    if rows >= 1000:
        assert disc * 0.9 < entry["fraction"] < disc * 2.5
    assert not coverage.covers(Sky([50.0, 230.0], [40.0, -70.0])).any()
    # the finer, the more rows there are
    assert (rows > 100_000) == (coverage.order == 8)


@pytest.mark.parametrize("text", ["x", "3", "3/900", "2/5-3", "-1/2", "30/1", "3/1.5"])
def test_texts_that_are_no_moc(text: str) -> None:
    with pytest.raises(ValueError, match="MOC"):
        Coverage(text)


def test_other_words_are_refused() -> None:
    with pytest.raises(ValueError, match="half"):
        describe("half", NOTHING)
