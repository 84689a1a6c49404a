from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.schema.model import INT_MISSING
from lasair.sky.htm import htm_id

RA = st.floats(-360, 720)
DECL = st.floats(-90, 90)


@pytest.mark.parametrize(
    ("ra", "decl", "face"),
    [
        (45, -30, 8),
        (135, -30, 9),
        (225, -30, 10),
        (315, -30, 11),
        (315, 30, 12),
        (225, 30, 13),
        (135, 30, 14),
        (45, 30, 15),
    ],
)
def test_the_eight_faces(ra: float, decl: float, face: int) -> None:
    assert htm_id([ra], [decl], level=0)[0] == face


def test_children_by_hand() -> None:
    # N3 has corners (2, 0, 1): +y, the pole, +x; a point next to a corner is in that corner's child
    assert htm_id([89.0, 45.0, 1.0, 45.0], [1.0, 89.0, 1.0, 35.0], level=1).tolist() == [60, 61, 62, 63]


@given(RA, DECL, st.integers(1, 20))
def test_a_child_is_in_its_parent(ra: float, decl: float, level: int) -> None:
    assert htm_id([ra], [decl], level)[0] // 4 == htm_id([ra], [decl], level - 1)[0]


@given(RA, DECL)
def test_every_position_has_an_id_of_its_level(ra: float, decl: float) -> None:
    assert 8 * 4**16 <= htm_id([ra], [decl])[0] < 16 * 4**16


def test_triangles_are_small_and_different() -> None:
    rng = np.random.default_rng(1)
    ra, decl = rng.uniform(0, 360, 1000), np.degrees(np.arcsin(rng.uniform(-1, 1, 1000)))
    near = decl + np.where(decl > 0, -1, 1) * 1e-7  # 0.4 milliarcsec
    same = htm_id(ra, decl) == htm_id(ra, near)
    assert same.mean() > 0.99
    assert not np.any(htm_id(ra, decl) == htm_id(ra, decl - np.sign(decl) * 0.01))


def test_ids_are_of_whole_turns_and_poles() -> None:
    assert htm_id([10.0, 370.0, -350.0], [5.0] * 3).tolist() == [htm_id([10.0], [5.0])[0]] * 3
    assert np.all(htm_id([0.0, 0.0], [90.0, -90.0]) > 0)


def test_missing_positions() -> None:
    ids = htm_id([np.nan, 1.0, 1.0, np.inf], [1.0, np.nan, 90.1, 0.0])
    assert ids.tolist() == [INT_MISSING] * 4
    assert htm_id([], []).shape == (0,)
