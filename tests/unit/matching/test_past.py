"""Stored objects matched with what is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lasair.catalogues.sky import Sky
from lasair.definitions import lists
from lasair.matching import past
from lasair.matching.past import Matched, hosts_again, waiting_objects
from lasair.sky.cosmology import luminosity_distance_mpc
from lasair.sky.skymap import Circle, SkyMap
from lasair.stores.hits import ListKey
from tests.unit.matching.test_live import damage
from tests.unit.matching.world import CONTOUR, World

T0 = 61000.0
HERE, THERE = (150.0, 2.0), (10.0, -40.0)
RING = Circle(*HERE, 3.0, 0.9)
#: The whole sky, mostly in the cells of both, with distances.
BRIGHT = np.isin(np.arange(12), Sky(*np.array([HERE, THERE]).T).cells(0))
FAR = SkyMap(
    np.zeros(12, np.int64), np.arange(12), np.where(BRIGHT, 10.0, 1.0),
    np.full(12, 450.0), np.full(12, 50.0), np.full(12, 1e-6),
)  # fmt: skip


class Stopped(Exception):
    """Somebody has ended the process."""


def stop_after(steps: int, act: Callable[[], Any] | None = None) -> Callable[[int], None]:
    """Progress that ends the matching after some steps, or does something then."""
    left = [steps]

    def progress(_: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            if act is None:
                raise Stopped
            act()

    return progress


@pytest.fixture
def many(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Forty objects of LSST, twenty of them in HERE's cone, and four of ZTF; five are matched in one step."""
    monkeypatch.setattr(past, "CHUNK", 5)
    world.take(*((i, T0 + 1, HERE[0], HERE[1] + (i - 20) * 0.001) for i in range(1, 41)))
    world.keep(world.match(world.ztf_batch((f"ZTF20aaaaaa{i}", T0 + 1, *HERE) for i in "abcd")))
    return world


def test_all_stored_objects_are_matched(many: World) -> None:
    number = many.watchlist("a", [HERE], radius=20.0)
    assert waiting_objects(many.definitions, many.stores) == 44
    seen: list[int] = []
    found = many.past(progress=seen.append)
    assert found == [Matched(ListKey("watchlist", number), "a", 15, 0)]
    assert many.cones_hit() == [(i, number, 0) for i in range(15, 26)]
    assert len(many.rows("watchlist_hits", "ztf")) == 4
    # only the declinations of the list are looked at
    assert sum(seen) == 15
    assert many.past() == [] and waiting_objects(many.definitions, many.stores) == 0


@pytest.mark.parametrize("steps", range(1, 6))
def test_what_was_stopped_goes_on(many: World, steps: int) -> None:
    area = many.area("a", [(0, 12 << 58)])
    with pytest.raises(Stopped):
        many.past(progress=stop_after(steps))
    done = len(many.rows("area_hits"))
    assert done == 5 * steps
    seen: list[int] = []
    many.past(progress=seen.append)
    assert sum(seen) == 44 - 5 * (steps - 1) - 5, "what was matched is not looked at again"
    assert [one["diaObjectId"] for one in many.rows("area_hits")] == list(range(1, 41))
    assert len(many.rows("area_hits", "ztf")) == 4
    assert many.stores.objects.lists()[ListKey("area", area)].matched


def test_stopped_among_the_objects_of_ztf(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    many.area("a", [(0, 12 << 58)])
    with pytest.raises(Stopped):
        many.past(progress=stop_after(9))
    seen: list[int] = []
    many.past(progress=seen.append)
    assert sum(seen) == 0
    assert (len(many.rows("area_hits")), len(many.rows("area_hits", "ztf"))) == (40, 4)


def test_stopped_and_edited(many: World) -> None:
    number = many.watchlist("a", [HERE], radius=1000.0)
    with pytest.raises(Stopped):
        many.past(progress=stop_after(3))
    many.watchlist("a", [HERE], radius=1.0)
    many.past()
    assert many.cones_hit() == [(20, number, 0)]


def test_edited_while_it_is_matched(many: World) -> None:
    number = many.watchlist("a", [HERE], radius=1000.0)

    def edit() -> None:
        many.watchlist("a", [HERE, HERE], radius=1.0)
        many.take((50, T0 + 1, *HERE))

    found = many.past(progress=stop_after(2, edit))
    assert many.cones_hit() == [(20, number, 0), (20, number, 1), (50, number, 0), (50, number, 1)]
    assert [one.name for one in found] == ["a"]
    assert many.past() == []


def test_removed_while_it_is_matched(many: World) -> None:
    many.watchlist("a", [HERE], radius=1000.0)
    many.past(progress=stop_after(2, lambda: lists.remove_watchlist("a")))
    assert many.cones_hit() == []
    assert many.past() == []


def test_a_removal_that_nobody_told_while_a_matching_begins(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    many.watchlist("a", [HERE], radius=1000.0)
    many.past()
    many.watchlist("a", [HERE], radius=20.0)
    begin = many.stores.objects.begin_list

    def after_removal(key: ListKey, version: int) -> None:
        monkeypatch.undo()
        content = past.read_content
        lists.remove_watchlist("a")
        many.past()
        monkeypatch.setattr(past, "CHUNK", 5)
        assert content is past.read_content
        begin(key, version)

    monkeypatch.setattr(many.stores.objects, "begin_list", after_removal)
    many.past()
    assert many.cones_hit() == [] and many.past() == []


def test_hits_of_lists_that_are_gone_go(many: World) -> None:
    number, area = many.watchlist("a", [HERE], radius=20.0), many.area("b", [(0, 12 << 58)])
    event = many.event("S1", T0, RING)
    many.past()
    lists.remove_watchlist("a")
    lists.stop("area", "b")
    many.event("S1", T0, None, retracted=True)
    assert {(one.key, one.name, one.removed) for one in many.past()} == {
        (ListKey("watchlist", number), "", 15), (ListKey("area", area), "", 44), (ListKey("event", event), "", 44),
    }  # fmt: skip
    for survey in ("lsst", "ztf"):
        for name in ("watchlist_hits", "area_hits", "mma_area_hits"):
            assert many.rows(name, survey) == []
    lists.activate("area", "b")
    many.event("S1", T0, RING)
    many.past()
    assert len(many.rows("area_hits")) == len(many.rows("mma_area_hits")) == 40


@pytest.mark.parametrize("how", ["gone", "changed"])
@pytest.mark.parametrize("kind", ["watchlist", "area", "event"])
def test_a_damaged_list_is_named_and_the_others_are_matched(many: World, kind: str, how: str) -> None:
    numbers = {
        "watchlist": many.watchlist("bad", [HERE]), "area": many.area("bad", [(0, 12 << 58)]),
        "event": many.event("bad", T0, RING),
    }  # fmt: skip
    damage(many, kind, numbers[kind], how)
    many.area("good", [(0, 12 << 58)])
    found = {one.key: one.error for one in many.past()}
    assert len(found) == 4
    assert "damaged" in found.pop(ListKey(kind, numbers[kind]))  # type: ignore[arg-type]
    assert not any(found.values())
    assert len(many.rows("area_hits")) == 40 * (1 + (kind != "area"))
    # it waits for somebody to mend it
    assert [one.key.kind for one in many.past()] == [kind]


def test_limits_of_cones_are_looked_up_in_stored_light_curves(world: World) -> None:
    world.take((1, T0, *HERE), (2, T0, *HERE), flux=20_000.0)
    world.take((1, T0 + 1, *HERE), flux=1_000.0)
    world.watchlist("bright", [HERE], brighter=21.0)
    world.watchlist("change", [HERE], change=1.0)
    world.past()
    assert [one["triggered"] for one in world.rows("watchlist_hits")] == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("times", "hit"),
    [
        ([-5.0], False), ([-5.0, 5.0], True), ([5.0, 40.0], True), ([-5.0, 40.0], False), ([40.0], False),
        ([0.0], True), ([21.0, 22.0], True), ([-0.001, 21.001], False), ([22.0, 5.0], True),
    ],
)  # fmt: skip
def test_objects_detected_in_the_window_hit_an_event(world: World, times: list[float], hit: bool) -> None:
    for after in times:
        world.take((1, T0 + after, *HERE), (2, T0 + after, *THERE))
    world.event("S1", T0, RING)
    (done,) = world.past()
    assert [one["diaObjectId"] for one in world.rows("mma_area_hits")] == [1] * hit
    assert done.objects == hit
    assert world.stores.objects.event_objects("lsst", done.key.list_id, None, 10) == [1] * hit
    assert world.stores.objects.untold_events() == [(done.key.list_id, 1)]


def test_an_event_of_objects_of_ztf(many: World) -> None:
    many.event("S1", T0 - 15, RING)
    (done,) = many.past()
    ours = [f"ZTF20aaaaaa{i}" for i in "abcd"]
    found = [many.stores.objects.event_objects("ztf", done.key.list_id, after, 2) for after in (None, ours[1], ours[3])]
    assert found == [ours[:2], ours[2:], []]
    assert [round(one["contour"], 6) for one in many.rows("mma_area_hits", "ztf")] == [0.0] * 4


def densities(world: World) -> dict[int, float | None]:
    return {one["diaObjectId"]: one["probdens3"] for one in world.rows("mma_area_hits")}


def expected(z: float) -> float:
    (far,) = luminosity_distance_mpc(np.array([z]))
    return float(FAR.at(*np.array([HERE]).T, [far]).probdens3[0])


@pytest.mark.parametrize("stopped", [False, True])
def test_edits_of_the_tns_change_the_density_at_the_host(
    world: World, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "CHUNK", 1)
    world.event("S1", T0, FAR)
    world.take((1, T0 + 1, *HERE), (2, T0 + 1, *THERE))
    assert densities(world) == {1: None, 2: None}

    def edit(*entries: tuple[int, str, float, float, float]) -> None:
        world.tns(entries)
        if stopped:
            for _ in range(2):
                with pytest.raises(Stopped):
                    world.past(progress=stop_after(1))
        world.past()

    def names() -> list[str | None]:
        return [one["tns_name"] for one in world.rows("objects")]

    edit((7, "2026a", *HERE, 0.1))
    assert densities(world) == {1: pytest.approx(expected(0.1)), 2: None} and names() == ["2026a", None]
    edit((7, "2026a", *HERE, 0.1), (8, "2026b", *THERE, 0.12))
    assert densities(world) == pytest.approx({1: expected(0.1), 2: expected(0.12)}) and names() == ["2026a", "2026b"]
    # one moves to where the other was, and that is gone
    edit((7, "2026a", *THERE, 0.1))
    assert densities(world) == {1: None, 2: pytest.approx(expected(0.1))} and names() == [None, "2026a"]
    # as if the alerts came now
    before = world.rows("mma_area_hits")
    world.take((1, T0 + 2, *HERE), (2, T0 + 2, *THERE))
    assert world.rows("mma_area_hits") == before
    edit()
    assert densities(world) == {1: None, 2: None} and names() == [None, None]


def test_an_event_after_the_tns_has_its_distances(world: World) -> None:
    world.take((1, T0 + 1, *HERE), (2, T0 + 1, *THERE))
    world.tns([(7, "2026a", *HERE, 0.1)])
    world.event("S1", T0, FAR)
    world.past()
    assert densities(world) == {1: pytest.approx(expected(0.1)), 2: None}


def test_sherlock_says_how_far_it_is(world: World) -> None:
    world.tns([(7, "2026a", *HERE, 0.1)])
    world.event("S1", T0, FAR)
    world.take((1, T0 + 1, *HERE), (2, T0 + 1, *THERE))
    world.stores.objects.put(
        "lsst", "sherlock_classifications",
        {"diaObjectId": np.array([1]), "classification": np.array(["SN"]), "best_distance": np.array([460.0])},
    )  # fmt: skip
    hosts_again(world.definitions, world.stores, "lsst", np.array([1, 2, 3]), contour=CONTOUR)
    assert densities(world) == {1: pytest.approx(FAR.at(*np.array([HERE]).T, [460.0]).probdens3[0]), 2: None}
    event = world.event("S2", T0, FAR)
    damage(world, "event", event, "cut")
    world.past()
    hosts_again(world.definitions, world.stores, "lsst", np.array([1, 2]), contour=CONTOUR)
