from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.show.projections import Gnomonic, Mollweide, Pixels
from lasair.sky.separation import separation_arcsec

positions = st.tuples(st.floats(0, 359.999), st.floats(-90, 90))


@given(positions, st.floats(0, 360))
def test_the_whole_sky_and_back(at: tuple[float, float], middle: float) -> None:
    projection = Mollweide(middle)
    x, y = projection.forward(*at)
    assert x**2 / 4 + y**2 <= 1 + 1e-9
    # a hair inside the rim, where rounding cannot lead out of the sky
    back = projection.inverse(x * (1 - 1e-12), y * (1 - 1e-12))
    assert separation_arcsec(*at, *back) < 2.0


def test_right_ascension_grows_to_the_left_from_the_middle() -> None:
    x, y = Mollweide().forward([180.0, 270.0, 90.0, 359.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 90.0])
    assert x == pytest.approx([0.0, -1.0, 1.0, -2 * 179 / 180, -2.0, 0.0], abs=1e-9)
    assert y == pytest.approx([0.0] * 5 + [1.0], abs=1e-9)


def test_areas_are_kept() -> None:
    chance = np.random.default_rng(2)
    ra, decl = chance.uniform(0, 360, 200_000), np.degrees(np.arcsin(chance.uniform(-1, 1, 200_000)))
    x, y = Mollweide().forward(ra, decl)
    # squares of one size, in the middle and near the rim, hold equally many
    counts = [int(((abs(x - cx) < 0.2) & (abs(y - cy) < 0.2)).sum()) for cx, cy in ((0, 0), (1.2, 0.4), (-0.4, -0.7))]
    assert max(counts) - min(counts) < 4 * np.sqrt(2 * np.mean(counts))


@given(positions, st.floats(0, 20), st.floats(0, 2 * np.pi))
def test_a_field_and_back(middle: tuple[float, float], apart: float, turn: float) -> None:
    projection = Gnomonic(*middle)
    x, y = np.tan(np.radians(apart)) * np.degrees(np.array([np.cos(turn), np.sin(turn)]))
    ra, decl = projection.inverse(x, y)
    assert separation_arcsec(*middle, ra, decl) / 3600 == pytest.approx(apart, abs=1e-6)
    assert np.array(projection.forward(ra, decl)) == pytest.approx(np.array([x, y]), abs=1e-6)


def test_what_lies_behind_cannot_be_shown() -> None:
    x, y = Gnomonic(10.0, 20.0).forward([190.0, 10.0], [-20.0, 20.0])
    assert np.isnan(x[0]) and np.isnan(y[0]) and (x[1], y[1]) == (0.0, 0.0)


def test_pixels_know_what_is_sky_and_who_lies_in_them() -> None:
    pixels = Pixels.of(Mollweide(), 2.0, 1.0, 40)
    assert pixels.x.shape == (20, 40)
    assert abs(pixels.inside.mean() - np.pi / 4) < 0.02 and np.isnan(pixels.ra[0, 0])
    row, column = pixels.at(np.array([-1.99, 1.99, np.nan, 5.0]), np.array([-0.99, 0.99, 0.0, 0.0]))
    assert (row.tolist(), column.tolist()) == ([0, 19], [0, 39])
