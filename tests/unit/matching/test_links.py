from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.matching.links import LINK_ARCSEC, all_links, linked, pairs_of_one, pairs_of_two
from lasair.schema.model import POSITION, Survey, object_key
from lasair.sky.cones import EDGE_ARCSEC
from lasair.sky.separation import separation_arcsec
from lasair.stores.objects import SqliteObjectStore

ARCSEC = 1.0 / 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteObjectStore]:
    one = SqliteObjectStore(tmp_path / "objects.db", durable=False)
    yield one
    one.close()


def put(store: SqliteObjectStore, survey: Survey, objects: dict[int | str, tuple[float, float]]) -> None:
    ra, decl = POSITION[survey]
    keys, places = list(objects), np.array(list(objects.values()), np.float64)
    store.put(survey, "objects", {object_key(survey): np.array(keys), ra: places[:, 0], decl: places[:, 1]})


def test_what_lies_at_the_place_nearest_first_without_itself(store: SqliteObjectStore) -> None:
    put(store, "lsst", {1: (10.0, 0.0), 2: (10.0, 1.2 * ARCSEC), 3: (10.0, -0.3 * ARCSEC), 4: (10.0, 1.6 * ARCSEC)})
    put(store, "ztf", {"ZTF20aaaaaaa": (10.0 + 0.7 * ARCSEC, 0.0), "ZTF20aaaaaab": (11.0, 0.0)})
    found = linked(store, "lsst", 1)
    assert [(one.object, one.survey, one.kind) for one in found] == [
        (3, "lsst", "duplicate"),
        ("ZTF20aaaaaaa", "ztf", "other survey"),
        (2, "lsst", "duplicate"),
    ]
    assert [one.separation_arcsec for one in found] == pytest.approx([0.3, 0.7, 1.2])
    assert [one.object for one in linked(store, "ztf", "ZTF20aaaaaaa")] == [1, 3, 2]
    assert linked(store, "ztf", "ZTF20aaaaaab") == []


def test_links_are_not_passed_on(store: SqliteObjectStore) -> None:
    put(store, "lsst", {number: (200.0, -40.0 + 1.4 * number * ARCSEC) for number in range(1, 5)})
    found = [{one.object for one in linked(store, "lsst", number)} for number in range(1, 5)]
    assert found == [{2}, {1, 3}, {2, 4}, {3}]
    (pairs, *_) = all_links(store)
    assert set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == {(1, 2), (2, 3), (3, 4)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0.0, 0.0), (360.0 - ARCSEC, 0.0)),
        ((359.9999, 30.0), (0.0001, 30.0)),
        ((10.0, 90.0 - 0.5 * ARCSEC), (190.0, 90.0 - 0.9 * ARCSEC)),
        ((0.0, -90.0), (123.0, -90.0 + 1.5 * ARCSEC)),
        ((45.0, 0.0), (45.0, LINK_ARCSEC * ARCSEC)),
    ],
)
def test_across_ra_zero_and_at_the_poles(
    store: SqliteObjectStore, first: tuple[float, float], second: tuple[float, float]
) -> None:
    put(store, "lsst", {1: first, 2: second})
    expected = float(separation_arcsec(*first, *second))
    there = expected <= LINK_ARCSEC + 1e-9
    found = linked(store, "lsst", 1)
    assert [(one.survey, one.object, one.kind) for one in found] == ([("lsst", 2, "duplicate")] if there else [])
    assert [one.separation_arcsec for one in found] == ([pytest.approx(expected, abs=1e-8)] if there else [])
    assert [one.object for one in linked(store, "lsst", 2)] == ([1] if there else [])
    assert len(all_links(store, ["lsst"])[0]) == there


def test_the_rim_counts_and_no_separation_is_greater(store: SqliteObjectStore) -> None:
    put(store, "lsst", {1: (45.0, 0.0), 2: (45.0, LINK_ARCSEC * ARCSEC)})
    (link,) = linked(store, "lsst", 1)
    (pairs,) = all_links(store, ["lsst"])
    assert link.separation_arcsec <= LINK_ARCSEC and pairs.separation_arcsec.max() <= LINK_ARCSEC


def test_objects_without_a_position_or_unknown_have_no_links(store: SqliteObjectStore) -> None:
    store.put("lsst", "objects", {"diaObjectId": np.array([1, 2])})
    put(store, "lsst", {3: (np.nan, np.nan), 4: (5.0, 5.0)})
    assert [linked(store, "lsst", key) for key in (1, 2, 3, 4, 99)] == [[]] * 5
    assert [len(one) for one in all_links(store)] == [0, 0, 0]


def test_all_pairs_by_kind_each_once(store: SqliteObjectStore) -> None:
    put(store, "lsst", {9: (1.0, 1.0), 5: (1.0, 1.0 + 0.5 * ARCSEC), 7: (1.0, 1.0 + 0.2 * ARCSEC)})
    put(store, "ztf", {"ZTF20aaaaaab": (1.0, 1.0 - 1.4 * ARCSEC), "ZTF20aaaaaaa": (1.0, 1.0 - 1.4 * ARCSEC)})
    lsst, ztf, both = all_links(store)
    assert [(one.surveys, one.kind) for one in (lsst, ztf, both)] == [
        (("lsst", "lsst"), "duplicate"),
        (("ztf", "ztf"), "duplicate"),
        (("lsst", "ztf"), "other survey"),
    ]
    assert list(zip(lsst.first.tolist(), lsst.second.tolist(), strict=True)) == [(7, 9), (5, 7), (5, 9)]
    assert lsst.separation_arcsec == pytest.approx([0.2, 0.3, 0.5])
    assert (ztf.first.tolist(), ztf.second.tolist()) == (["ZTF20aaaaaaa"], ["ZTF20aaaaaab"])
    assert ztf.separation_arcsec == pytest.approx([0.0])
    assert both.first.tolist() == [9, 9] and both.second.tolist() == ["ZTF20aaaaaaa", "ZTF20aaaaaab"]


def test_progress_tells_of_all_objects_read_and_looked_up(store: SqliteObjectStore) -> None:
    put(store, "lsst", {number: (float(number), 0.0) for number in range(1, 11)})
    put(store, "ztf", {"ZTF20aaaaaaa": (1.0, 0.0)})
    told: list[int] = []
    all_links(store, progress=told.append)
    assert sum(told) == 2 * 11 + 10


class Chunk(NamedTuple):
    keys: np.ndarray
    ra: np.ndarray
    decl: np.ndarray
    place: bytes


class Chunked:
    """Objects in arrays, given out a few at a time."""

    def __init__(self, ra: np.ndarray, decl: np.ndarray, step: int) -> None:
        self._ra, self._decl, self._step = ra, decl, step

    def positions(self, survey: str, after: bytes | None, limit: int) -> Chunk | None:
        first = int(after or b"0")
        if survey != "lsst" or first >= len(self._ra):
            return None
        some = slice(first, first + min(self._step, limit))
        keys = np.arange(len(self._ra))[some]
        return Chunk(keys, self._ra[some], self._decl[some], str(first + len(keys)).encode())


def brute(ra1: Any, decl1: Any, ra2: Any, decl2: Any) -> set[tuple[int, int]]:
    apart = separation_arcsec(np.array(ra1)[:, None], np.array(decl1)[:, None], np.array(ra2), np.array(decl2))
    return {(int(i), int(j)) for i, j in np.argwhere(apart <= LINK_ARCSEC + EDGE_ARCSEC)}


centres = st.sampled_from(
    [(0.0, 0.0), (359.99995, 10.0), (77.0, 90.0), (200.0, -89.9999), (45.0, 41.8103), (90.0, -41.81)]
)
offsets = st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4)), min_size=0, max_size=12)


def around(centre: tuple[float, float], arcsec: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    ra = [(centre[0] + east * ARCSEC / max(np.cos(np.radians(centre[1])), 1e-6)) % 360.0 for east, _ in arcsec]
    decl = [float(np.clip(centre[1] + north * ARCSEC, -90.0, 90.0)) for _, north in arcsec]
    return np.array(ra, np.float64), np.array(decl, np.float64)


@given(centres, offsets, offsets, st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_as_by_brute_force(centre: tuple[float, float], one: Any, other: Any, step: int) -> None:
    ra1, decl1 = around(centre, one)
    ra2, decl2 = around(centre, other)
    i, j, separation = pairs_of_two(ra1, decl1, ra2, decl2)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == brute(ra1, decl1, ra2, decl2)
    assert separation == pytest.approx(separation_arcsec(ra1[i], decl1[i], ra2[j], decl2[j]), abs=1e-9)
    i, j, _ = pairs_of_one(ra1, decl1)
    once = {pair for pair in brute(ra1, decl1, ra1, decl1) if pair[0] < pair[1]}
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == once and len(i) == len(once)
    (pairs,) = all_links(Chunked(ra1, decl1, step), ["lsst"])
    assert set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == once
