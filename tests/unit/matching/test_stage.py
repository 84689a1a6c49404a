"""The stage that tags the alerts of a batch."""

from __future__ import annotations

import numpy as np
import pytest

from lasair.definitions import lists
from lasair.definitions.snapshot import read_snapshot
from lasair.errors import StoreUnavailable
from lasair.matching.stage import host_distance
from lasair.sky.cosmology import luminosity_distance_mpc
from lasair.sky.skymap import Circle
from lasair.stores.hits import ListKey
from tests.unit.matching.world import World

T0 = 61000.0
HERE, THERE = (150.0, 2.0), (10.0, -40.0)
RING = Circle(*HERE, 3.0, 0.9)


def test_a_batch_gets_its_tables_and_the_store_its_hits(world: World) -> None:
    number = world.watchlist("a", [HERE, HERE])
    area = world.area("b", [(0, 12 << 58)])
    event = world.event("S1", T0, RING)
    batch = world.take((1, T0 + 1, *HERE), (2, T0 + 1, *THERE))
    tables = batch.tables
    assert tables["watchlist_hits"]["_alert"].tolist() == [0, 0]
    assert tables["watchlist_hits"]["cone_id"].tolist() == [0, 1]
    assert tables["area_hits"]["ar_id"].tolist() == [area, area]
    assert tables["mma_area_hits"]["event"].tolist() == ["S1"]
    assert world.cones_hit() == [(1, number, 0), (1, number, 1)]
    assert [(one["diaObjectId"], one["mw_id"]) for one in world.rows("mma_area_hits")] == [(1, event)]
    assert [one["diaObjectId"] for one in world.rows("area_hits")] == [1, 2]


def test_an_empty_batch_is_left_alone(world: World) -> None:
    batch = world.batch([(1, T0, *HERE)]).select(np.array([False]))
    assert not world.match(batch).tables.keys() & {"watchlist_hits", "tag_hits"}


def test_an_object_that_moves_out_of_a_cone_hits_it_no_more(world: World) -> None:
    number = world.watchlist("a", [HERE])
    world.take((1, T0, *HERE), (2, T0, *HERE))
    world.take((1, T0 + 1, HERE[0], HERE[1] + 0.01))
    assert world.cones_hit() == [(2, number, 0)]
    # an alert that comes late changes nothing
    world.take((1, T0 - 1, *HERE))
    assert world.cones_hit() == [(2, number, 0)]


def test_the_latest_alert_of_a_batch_decides(world: World) -> None:
    number = world.watchlist("a", [HERE])
    world.take((1, T0 + 1, *THERE), (1, T0, *HERE), (2, T0, *THERE), (2, T0 + 1, *HERE))
    assert world.cones_hit() == [(2, number, 0)]


def test_an_edit_between_matching_and_keeping_is_taken_in(world: World) -> None:
    number = world.watchlist("a", [HERE])
    batch = world.match(world.batch([(1, T0, *HERE), (2, T0, *THERE)]))
    world.watchlist("a", [THERE])
    world.past()  # no object is stored yet, but the main database knows of the edit
    world.keep(batch)
    assert world.cones_hit() == [(2, number, 0)]
    assert batch.tables["watchlist_hits"]["_alert"].tolist() == [1]


def test_a_removal_between_matching_and_keeping_is_taken_in(world: World) -> None:
    world.watchlist("a", [HERE])
    other = world.watchlist("b", [HERE])
    world.take((9, T0, *THERE))
    batch = world.match(world.batch([(1, T0, *HERE)]))
    lists.remove_watchlist("a")
    world.past()
    world.keep(batch)
    assert world.cones_hit() == [(1, other, 0)]


def test_a_list_that_the_definitions_lost_is_removed(world: World) -> None:
    number = world.watchlist("a", [HERE])
    world.take((1, T0, *HERE))
    assert world.cones_hit() == [(1, number, 0)]
    lists.remove_watchlist("a")
    world.take((2, T0, *THERE))  # nobody has matched stored objects
    assert world.cones_hit() == []
    assert world.stores.objects.lists()[ListKey("watchlist", number)].removed


def test_a_list_that_comes_back_while_it_is_removed_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    number = world.watchlist("a", [HERE])
    world.take((1, T0, *HERE))
    lists.stop("watchlist", "a")
    remove = world.stores.objects.remove_list

    def slowly(key: ListKey, version: int | None = None) -> int:
        monkeypatch.undo()
        lists.activate("watchlist", "a")
        world.take((2, T0, *HERE))
        return remove(key, version)

    monkeypatch.setattr(world.stores.objects, "remove_list", slowly)
    world.past()
    world.take((3, T0, *HERE))
    world.past()
    assert world.cones_hit() == [(1, number, 0), (2, number, 0), (3, number, 0)]


def test_a_main_database_of_a_later_time_is_told(world: World) -> None:
    number = world.watchlist("a", [HERE])
    world.take((1, T0, *HERE))
    world.stores.objects.begin_list(ListKey("watchlist", number), 7)
    with pytest.raises(StoreUnavailable, match="restore both"):
        world.take((2, T0, *HERE))
    with pytest.raises(StoreUnavailable, match=r"newer watchlist 2 \(a\)"):
        world.past()


def test_the_tns_gives_names_and_rows(world: World) -> None:
    near = (HERE[0], HERE[1] + 1 / 3600)
    world.tns([(7, "2026a", *near, 0.1), (8, "2026b", *HERE, np.nan), (9, "2026c", *THERE, 0.2)])
    batch = world.take((1, T0, *HERE), (2, T0, 77.0, 7.0))
    assert batch.tables["objects"]["tns_name"].tolist() == ["2026b", ""]
    assert batch.tables["crossmatch_tns"]["tns_name"].tolist() == ["2026b", "2026a"]
    assert batch.tables["crossmatch_tns"]["_alert"].tolist() == [0, 0]
    assert [one["tns_name"] for one in world.rows("objects")] == ["2026b", None]


def test_ztf_has_rows_of_the_tns_but_no_names(world: World) -> None:
    world.tns([(7, "2026a", *HERE, 0.1)])
    batch = world.match(world.ztf_batch([("ZTF20aaaaaaa", T0, *HERE)]))
    world.keep(batch)
    assert "tns_name" not in batch.tables["objects"]
    assert batch.tables["crossmatch_tns"]["tns_name"].tolist() == ["2026a"]
    assert [one["objectId"] for one in world.rows("watchlist_hits", "ztf")] == ["ZTF20aaaaaaa"]


def test_hosts_are_as_far_as_sherlock_says_else_as_the_nearest_redshift() -> None:
    tns = {
        "_alert": np.array([0, 1, 2, 2, 3]), "z": np.array([0.1, 0.1, np.nan, 0.3, np.nan]),
        "hostz": np.array([0.5, 0.5, 0.2, 0.5, np.nan]),
    }  # fmt: skip
    sherlock = {"best_distance": np.array([55.0, np.nan, np.nan, np.nan, np.nan])}
    expected = [55.0, *luminosity_distance_mpc(np.array([0.1, 0.2])), np.nan, np.nan]
    np.testing.assert_allclose(host_distance(sherlock, tns, 5), expected)
    np.testing.assert_allclose(host_distance(None, tns, 5)[0], expected[1])


@pytest.mark.parametrize(("after", "hit"), [(-0.001, False), (0.0, True), (21.0, True), (21.001, False)])
def test_an_event_is_hit_by_detections_in_its_window(world: World, after: float, hit: bool) -> None:
    world.event("S1", T0, RING)
    assert len(world.take((1, T0 + after, *HERE)).tables["mma_area_hits"]["_alert"]) == hit
    assert len(world.rows("mma_area_hits")) == hit


def test_a_hit_of_an_event_outlives_its_window(world: World) -> None:
    world.event("S1", T0, RING)
    world.take((1, T0 + 1, *HERE))
    world.take((1, T0 + 30, *HERE))
    assert [one["diaObjectId"] for one in world.rows("mma_area_hits")] == [1]


def test_an_object_that_leaves_the_contour_within_the_window_leaves_the_event(world: World) -> None:
    world.event("S1", T0, RING)
    world.event("S2", T0 - 10, RING)
    world.take((1, T0 + 1, *HERE), (2, T0 + 1, *HERE))
    world.take((1, T0 + 2, *THERE))
    world.take((1, T0 + 1.5, *HERE))  # late
    world.take((2, T0 + 15, *THERE))  # too late for S2
    assert [(one["diaObjectId"], one["event"]) for one in world.rows("mma_area_hits")] == [(2, "S2")]
    again = read_snapshot(world.definitions)
    assert len(again.lists) == 2
