from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.errors import BadDefinition
from lasair.sky.cones import MAX_RADIUS_ARCSEC, ConeIndex, ConeSegment
from lasair.sky.names import PackedNames
from lasair.sky.separation import separation_arcsec

RADII = np.array([0.0, 0.5, 3.0, 8.5, 30.0, 130.0, 500.0, 2000.0, 8000.0, 36_000.0])


def places(n: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A third all over the sky, a third about the poles, a third about RA 0."""
    ra = chance.uniform(0.0, 360.0, n)
    decl = np.degrees(np.arcsin(chance.uniform(-1.0, 1.0, n)))
    third = n // 3
    decl[:third] = np.sign(decl[:third]) * (90.0 - 10.0 ** chance.uniform(-6.0, 1.0, third))
    ra[third : 2 * third] = (chance.normal(0.0, 1.0, third) * 10.0 ** chance.uniform(-6.0, 0.5, third)) % 360.0
    decl[third : 2 * third] *= 0.01
    return ra, decl


def segments(n: int, lists: int, seed: int) -> list[ConeSegment]:
    chance = np.random.default_rng(seed)
    out = []
    for number in range(lists):
        ra, decl = places(n, chance)
        out.append(
            ConeSegment.build(
                number, np.arange(n) * 10 + number, ra, decl, chance.choice(RADII, n),
                [f"{number}/{k}" for k in range(n)],
            )
        )  # fmt: skip
    return out


def by_hand(held: list[ConeSegment], ra: np.ndarray, decl: np.ndarray) -> list[tuple[int, int, int]]:
    found = []
    for one in held:
        block = one.block
        for k in range(len(block)):
            near = separation_arcsec(ra, decl, block.ra[k], block.decl[k]) <= block.radius[k]
            found += [(int(i), one.list_id, int(block.cone_id[k])) for i in np.flatnonzero(near)]
    return sorted(found)


def triples(index: ConeIndex, ra: np.ndarray, decl: np.ndarray) -> list[tuple[int, int, int]]:
    hits = index.find(ra, decl)
    return list(zip(hits.position.tolist(), hits.list_id.tolist(), hits.cone_id.tolist(), strict=True))


def test_mixed_radii_everywhere_are_found_as_by_hand() -> None:
    held = segments(400, 3, seed=1)
    ra, decl = places(900, np.random.default_rng(2))
    # and points beside the centres of cones
    first = held[0].block
    ra = np.concatenate((ra, first.ra, np.zeros(2), first.ra))
    decl = np.concatenate((decl, first.decl, [90.0, -90.0], np.clip(first.decl + 1e-3, -90.0, 90.0)))
    expected = by_hand(held, ra, decl)
    assert len(expected) > 5000
    assert triples(ConeIndex.of(held), ra, decl) == expected


def test_names_and_separations_come_with_the_hits() -> None:
    held = segments(300, 2, seed=3)
    index = ConeIndex.of(held)
    block = held[1].block
    hits = index.find(block.ra, block.decl)
    own = np.flatnonzero((hits.list_id == 1) & (hits.cone_id == block.cone_id[hits.position]))
    assert len(own) == 300
    for hit in own:
        assert hits.name(hit) == f"1/{(hits.cone_id[hit] - 1) // 10}"
        assert hits.separation_arcsec[hit] == 0.0
    expected = {
        (one.list_id, int(c)): (a, d) for one in held
        for c, a, d in zip(one.block.cone_id, one.block.ra, one.block.decl, strict=True)
    }  # fmt: skip
    for hit in range(0, len(hits), 7):
        a, d = expected[int(hits.list_id[hit]), int(hits.cone_id[hit])]
        i = hits.position[hit]
        assert hits.separation_arcsec[hit] == pytest.approx(
            separation_arcsec(block.ra[i], block.decl[i], a, d), abs=1e-9
        )
    assert hits.names() == [hits.name(hit) for hit in range(len(hits))]


@pytest.mark.parametrize("radius", [1e-3, 1.0, 5.0, 60.0, 3600.0, 36_000.0])
@pytest.mark.parametrize("decl", [0.0, 45.0, -89.0])
@pytest.mark.parametrize("ra", [0.0, 123.456, 359.9999])
def test_the_edge_belongs_to_the_cone(radius: float, decl: float, ra: float) -> None:
    index = ConeIndex().with_segment(ConeSegment.build(1, [1], [ra], [decl], radius))
    north = decl + radius / 3600.0
    hits = index.find([ra, ra], [north, north + 1e-5 * radius / 3600.0])
    assert hits.position.tolist() == [0]
    assert hits.separation_arcsec[0] <= radius


def test_across_the_pole_and_across_zero() -> None:
    index = ConeIndex().with_segment(
        ConeSegment.build(1, [1, 2, 3], [10.0, 359.9999, 0.0], [89.9995, 0.0, -90.0], [3.7, 0.8, 1.0], ["a", "b", "c"])
    )
    hits = index.find([190.0, 0.0001, 222.0, -0.0001, 360.0001], [89.9995, 0.0, -89.9998, 0.0, 0.0])
    found = list(zip(hits.position.tolist(), hits.names(), strict=True))
    assert found == [(0, "a"), (1, "b"), (2, "c"), (3, "b"), (4, "b")]
    assert hits.separation_arcsec == pytest.approx([3.6, 0.72, 0.72, 0.0, 0.72], abs=1e-8)


def test_places_that_are_none_have_no_hits() -> None:
    index = ConeIndex.of(segments(50, 1, seed=4))
    assert len(index.find([np.nan, 10.0, np.inf, 0.0], [0.0, np.nan, 0.0, 90.5])) == 0
    assert len(index.find([], [])) == 0
    assert len(ConeIndex().find([1.0], [1.0])) == 0
    assert ConeIndex().find([1.0], [1.0]).names() == []


def test_a_reader_of_the_old_index_sees_no_edit() -> None:
    held = segments(100, 2, seed=5)
    ra, decl = held[0].block.ra, held[0].block.decl
    old = ConeIndex.of(held)
    before = triples(old, ra, decl)
    new = old.without(0).with_segment(ConeSegment.build(1, [77], [ra[0]], [decl[0]], 1.0))
    assert triples(old, ra, decl) == before
    assert {(number, cone) for _, number, cone in triples(new, ra, decl)} == {(1, 77)}
    assert len(old) == 200 and len(new) == 1
    assert old.list_ids().tolist() == [0, 1] and new.list_ids().tolist() == [1]


edits = st.lists(
    st.tuples(st.integers(0, 12), st.one_of(st.none(), st.integers(0, 40), st.sampled_from([2000, 5000]))), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(edits)
def test_any_history_of_edits_gives_what_the_lists_say(history: list[tuple[int, int | None]]) -> None:
    lists: dict[int, ConeSegment] = {}
    index = ConeIndex()
    for step, (number, size) in enumerate(history):
        if size is None:
            lists.pop(number, None)
            index = index.without(number)
            continue
        ra = (np.arange(size) * 0.01 + 1e-5 * number) % 360.0
        segment = ConeSegment.build(number, np.arange(size) + step, ra, np.zeros(size), 1.0, [f"{step}"] * size)
        index = index.with_segment(segment)
        lists[number] = segment
    ra, decl = np.arange(40) * 0.01, np.zeros(40)
    assert len(index) == sum(map(len, lists.values()))
    assert index.list_ids().tolist() == sorted(number for number, one in lists.items() if len(one))
    assert triples(index, ra, decl) == triples(ConeIndex.of(lists.values()), ra, decl)
    assert triples(index, ra, decl) == sorted(
        (i, number, int(one.block.cone_id[np.argsort(one.block.row)][i]))
        for number, one in lists.items() for i in range(min(len(one), 40))
    )  # fmt: skip
    names = {(h.list_id[k], h.name(k)) for h in [index.find(ra, decl)] for k in range(len(h))}
    assert names <= {(number, one.block.lists[0].names[0]) for number, one in lists.items() if len(one)}


def test_many_small_lists_make_few_blocks() -> None:
    index = ConeIndex()
    for number in range(300):
        index = index.with_segment(
            ConeSegment.build(number, np.arange(100), np.arange(100.0), np.full(100, 0.1 * number), 1.0)
        )
    assert len(index) == 30_000
    assert index.blocks <= 8
    for number in range(0, 300, 2):
        index = index.without(number)
    assert len(index) == 15_000
    assert index.find([5.0], [0.5]).list_id.tolist() == [5]
    assert index.find([5.0], [0.4]).list_id.tolist() == []


@pytest.mark.parametrize(
    ("ra", "decl", "radius"),
    [(np.nan, 0.0, 1.0), (0.0, 90.1, 1.0), (0.0, 0.0, -1.0), (0.0, 0.0, np.nan), (0.0, 0.0, MAX_RADIUS_ARCSEC * 1.01)],
)
def test_a_cone_without_place_or_radius_is_named(ra: float, decl: float, radius: float) -> None:
    with pytest.raises(BadDefinition, match="watchlist 7: cone 12"):
        ConeSegment.build(7, [11, 12], [0.0, ra], [0.0, decl], [1.0, radius])


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(BadDefinition, match="equally many"):
        ConeSegment.build(7, [1, 2], [0.0, 1.0], [0.0, 1.0], 1.0, ["a"])


@given(st.lists(st.text(max_size=5)))
def test_names_come_out_as_they_went_in(names: list[str]) -> None:
    packed = PackedNames.of([name.encode("utf-8", "replace").decode() for name in names])
    assert [packed[i] for i in range(len(packed))] == [name.encode("utf-8", "replace").decode() for name in names]


def test_a_cone_with_its_name_takes_less_than_a_hundred_bytes() -> None:
    n = 20_000
    segment = ConeSegment.build(
        1, np.arange(n), np.linspace(0.0, 359.0, n), np.zeros(n), 5.0, [f"SN {i:013d}" for i in range(n)]
    )
    index = ConeIndex().with_segment(segment)
    assert index.nbytes / len(index) < 100.0
