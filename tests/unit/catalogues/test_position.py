"""Packed positions come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.catalogues import position
from lasair.catalogues.healpix import cells_of
from tests.unit.catalogues.skies import ARCSEC, ODD_PLACES, about, random_sky, vectors


def round_trip_error(ra: np.ndarray, decl: np.ndarray, order: int) -> float:
    """Largest separation of a position and its packed form [arcsec]."""
    cells = cells_of(ra, decl, order)
    step = position.step_of(order)
    packed = position.pack(ra, decl, cells, order, step)
    found = position.unpack(packed, cells, order, step)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-15)
    again = vectors(*position.degrees_of(found))
    assert np.abs(again - found).max() < 3e-15  # an angle of 360 degrees is no finer
    return float(np.linalg.norm(found - vectors(ra, decl), axis=1).max() / ARCSEC)


@pytest.mark.parametrize("order", range(position.MIN_ORDER, position.MAX_ORDER + 1))
def test_round_trip_is_below_a_millionth_of_an_arcsecond(order: int) -> None:
    assert position.step_of(order) / ARCSEC < 1e-6
    ra, decl = random_sky(np.random.default_rng(order), 50000)
    assert round_trip_error(ra, decl, order) < 1e-6


@given(place=st.sampled_from(ODD_PLACES), exponent=st.floats(-9, 4), order=st.integers(7, 10), seed=st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_round_trip_at_odd_places(place: tuple[float, float], exponent: float, order: int, seed: int) -> None:
    ra, decl = about(np.random.default_rng(seed), place, 50, 10.0**exponent)
    assert round_trip_error(ra, decl, order) < 1e-6


def test_the_poles_themselves() -> None:
    ra, decl = np.array([0.0, 17.0, 300.0]), np.array([90.0, -90.0, 90.0])
    assert round_trip_error(ra, decl, 10) < 1e-6


def test_order_grows_with_the_rows() -> None:
    assert [position.order_for(n) for n in (0, 1, 100_000, 500_000, 2_000_000, 10_000_000, 10**9)] == [
        *(7, 7, 7, 8, 9, 10, 10)
    ]


def test_cells_of_rows_skip_empty_cells() -> None:
    offsets = np.array([0, 0, 3, 3, 3, 5, 6, 6], np.uint32)
    rows = np.array([0, 2, 3, 4, 5, 0, 5, 3], np.int64)
    assert position.cells_of_rows(rows, offsets).tolist() == [1, 1, 4, 4, 5, 1, 5, 4]
