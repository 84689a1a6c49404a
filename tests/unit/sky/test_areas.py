from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from lasair.catalogues.healpix import cells_of
from lasair.errors import BadDefinition
from lasair.sky.areas import SKY_CELLS, AreaIndex, normalise_ranges
from tests.support.data import DATA

MOCS = sorted((DATA / "multimessenger" / "moc").glob("*.fits")) if DATA else []


def sky(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    return chance.uniform(0.0, 360.0, n), np.degrees(np.arcsin(chance.uniform(-1.0, 1.0, n)))


@pytest.mark.parametrize("seed", range(3))
def test_random_ranges_hold_what_they_hold_by_hand(seed: int) -> None:
    chance = np.random.default_rng(seed)
    areas = {}
    for number in range(20):
        width = int(10 ** chance.uniform(11, 18))
        start = chance.integers(0, SKY_CELLS - width, size=int(10 ** chance.uniform(0, 3)))
        areas[number * 3] = np.column_stack((start, start + chance.integers(0, width, len(start))))
    ra, decl = sky(2000, seed)
    cells = cells_of(ra, decl, 29)
    expected = [
        (i, number)
        for i, cell in enumerate(cells)
        for number, ranges in areas.items()
        if ((ranges[:, 0] <= cell) & (cell < ranges[:, 1])).any()
    ]
    assert len(expected) > 100
    found = AreaIndex(areas).find(ra, decl)
    assert list(zip(found.position.tolist(), found.area_id.tolist(), strict=True)) == expected


def test_the_first_cell_is_in_and_the_one_after_the_last_is_not() -> None:
    ra, decl = sky(50, 1)
    cells = cells_of(ra, decl, 29)
    for i, cell in enumerate(cells.tolist()):
        index = AreaIndex({1: [[cell, cell + 1]], 2: [[cell + 1, cell + 2]], 3: [[cell - 1, cell]]})
        assert index.find(ra[i : i + 1], decl[i : i + 1]).area_id.tolist() == [1]


def test_edits_leave_the_old_index_as_it_was() -> None:
    ra, decl = sky(10, 2)
    old = AreaIndex({5: [[0, SKY_CELLS]]})
    new = old.with_area(3, [[0, SKY_CELLS]]).without(99)
    assert old.find(ra, decl).area_id.tolist() == [5] * 10
    assert new.find(ra, decl).area_id.tolist() == [3, 5] * 10
    assert new.without(5).with_area(3, np.empty((0, 2), np.int64)).find(ra, decl).area_id.tolist() == []
    assert len(new) == 2 and new.nbytes > 0


def test_places_that_are_none_are_nowhere() -> None:
    index = AreaIndex({5: [[0, SKY_CELLS]]})
    assert index.find([np.nan, 1.0, np.inf, 3.0], [1.0, np.nan, 2.0, -90.5]).position.tolist() == []
    assert index.find([0.0, 1.0, 360.0, -1.0], [90.0, np.nan, -90.0, 0.0]).position.tolist() == [0, 2, 3]
    assert index.find([], []).position.tolist() == []
    assert AreaIndex().find([1.0], [1.0]).area_id.tolist() == []


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12))
def test_normalised_ranges_hold_the_same_cells(pairs: list[tuple[int, int]]) -> None:
    ranges = normalise_ranges(np.array(pairs, np.int64).reshape(-1, 2))
    held = {cell for low, high in pairs for cell in range(low, high)}
    assert {cell for low, high in ranges.tolist() for cell in range(low, high)} == held
    flat = ranges.reshape(-1).astype(np.int64)
    assert (np.diff(flat) > 0).all()
    assert ranges.dtype == np.uint64


@pytest.mark.parametrize("ranges", [[[0, SKY_CELLS + 1]], [[-1, 3]], [[0.5, 1.5]], [[1, 2, 3]], [1, 2]])
def test_ranges_beyond_the_sky_are_refused(ranges: list[object]) -> None:
    with pytest.raises(BadDefinition, match="area"):
        AreaIndex().with_area(1, np.array(ranges))


if MOCS:

    @pytest.mark.parametrize("path", MOCS, ids=lambda path: path.name)
    def test_real_maps_hold_what_mocpy_says(path) -> None:
        from astropy import units as u

        moc = MOC.from_fits(path)
        ra, decl = sky(20_000, 3)
        # and points about its own cells, since some are small
        ranges = moc.to_depth29_ranges.astype(np.int64)
        inner = MOC.from_depth29_ranges(29, moc.to_depth29_ranges[:1]).barycenter()
        ra = np.concatenate((ra, (inner.ra.deg + np.random.default_rng(1).normal(0.0, 1.0, 3000)) % 360.0))
        decl = np.concatenate(
            (decl, np.clip(inner.dec.deg + np.random.default_rng(2).normal(0.0, 1.0, 3000), -90.0, 90.0))
        )
        expected = np.flatnonzero(moc.contains_lonlat(ra * u.deg, decl * u.deg))
        assert len(expected)
        assert AreaIndex({1: ranges}).find(ra, decl).position.tolist() == expected.tolist()
