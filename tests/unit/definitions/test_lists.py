from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.definitions import lists, people
from lasair.definitions.area_file import AreaFile
from lasair.definitions.content import Cones, pack_area, unpack_area, unpack_cones
from lasair.definitions.models import Content, ContentPiece, Watchlist
from lasair.definitions.snapshot import read_content, read_snapshot
from lasair.definitions.transactions import local_user, user_named
from lasair.definitions.watchlist_file import WatchlistFile
from lasair.errors import BadDefinition, NotFound, NotPermitted
from lasair.schema.model import TNS_WATCHLIST
from lasair.sky.names import PackedNames
from tests.support.definitions import new_definitions

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def database(tmp_path: Path) -> Path:
    return new_definitions(tmp_path)


def cones_file(n: int = 3, ra: float = 10.0, **limits: list[float]) -> WatchlistFile:
    nothing = np.full(n, np.nan)
    return WatchlistFile(
        np.full(n, ra), np.arange(n, dtype=float), np.full(n, 5.0),
        np.array(limits.get("brighter", nothing)), np.array(limits.get("change", nothing)),
        [f"n{i}" for i in range(n)], np.arange(n) * 2, [],
    )  # fmt: skip


def area_file(cell: int = 0) -> AreaFile:
    return AreaFile(np.array([[cell, cell + 4]], np.uint64), "1 shape", False, 13)


def add(name: str = "AGN", file: WatchlistFile | None = None, **more: Any) -> lists.ListSaid:
    return lists.add_watchlist(name, cones_file() if file is None else file, radius=5.0, **more)


def held(database: Path, list_id: int) -> Cones:
    (one,) = [one for one in read_snapshot(database).lists if (one.kind, one.list_id) == ("watchlist", list_id)]
    content = read_content(database, one.content_id)
    assert content is not None
    return unpack_cones(content)


def test_the_pipeline_reads_what_was_added(database: Path) -> None:
    said = add()
    assert said == (2, 1, 3, True), "number 1 is the TNS"
    (one,) = read_snapshot(database).lists
    assert (one.kind, one.list_id, one.name, one.version) == ("watchlist", 2, "AGN", 1)
    cones = held(database, 2)
    assert cones.cone_id.tolist() == [0, 2, 4], "rows of the file, bad ones counted"
    assert [cones.names[i] for i in range(3)] == ["n0", "n1", "n2"]
    assert cones.radius.tolist() == [5.0] * 3 and np.isnan(cones.brighter).all()


def test_only_an_edit_makes_a_version(database: Path) -> None:
    add()
    assert add() == (2, 1, 3, False)
    assert add(description="words", public=True) == (2, 1, 3, False)
    old = read_snapshot(database).lists[0].content_id
    assert add(file=cones_file(4)) == (2, 2, 4, True)
    assert read_content(database, old) is None, "a content that was replaced is gone"
    assert Content.objects.count() == ContentPiece.objects.count() == 1
    assert add(brighter=18.0).version == 3
    assert add(brighter=18.0).changed is False


def test_large_contents_come_in_pieces(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lasair.definitions.pieces.PIECE_BYTES", 100)
    said = add(file=cones_file(500))
    assert ContentPiece.objects.count() > 10
    assert len(held(database, said.list_id)) == 500
    assert not add(file=cones_file(500)).changed


def test_limits_of_the_list_are_for_cones_without_their_own(database: Path) -> None:
    file = cones_file(3, brighter=[17.0, np.nan, np.nan], change=[np.nan, 0.5, np.nan])
    cones = held(database, add(file=file, brighter=20.0, change=1.0).list_id)
    np.testing.assert_array_equal(cones.brighter, [17.0, np.nan, 20.0])
    np.testing.assert_array_equal(cones.change, [np.nan, 0.5, 1.0])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": " "}, "is empty"),
        ({"name": "x" * 257}, "257 characters"),
        ({"name": "a\x1bb"}, "cannot be printed"),
        ({"name": "12"}, "is a number"),
        ({"description": "x" * 5000}, "description of the watchlist has 5000"),
        ({"description": "a\x00"}, "control characters"),
        ({"file": cones_file(0)}, "would have no cones; .*remove"),
        ({"brighter": 99.0}, "brighter than 99"),
        ({"brighter": float("nan")}, "brighter than nan"),
        ({"change": 0.0}, "change of 0"),
        ({"refresh_hours": 1.0}, "from a source"),
        ({"source": "http://a", "refresh_hours": 0.0}, "above 0"),
    ],
)
def test_refused(database: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadDefinition, match=words):
        add(**more)
    assert read_snapshot(database).lists == ()
    assert Content.objects.count() == 0


def test_too_many_cones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MAX_CONES", 5)
    monkeypatch.setattr(lists, "MAX_ACTIVE_CONES", 8)
    with pytest.raises(BadDefinition, match="6 cones; 5 are the most"):
        add(file=cones_file(6))
    add("a", cones_file(5))
    with pytest.raises(BadDefinition, match="the other active lists 5; all together may have 8"):
        add("b", cones_file(4))
    add("b", cones_file(3))
    add("a", cones_file(4))
    lists.stop("watchlist", "b")
    add("c", cones_file(4))
    with pytest.raises(BadDefinition, match="lasair watchlist stop"):
        lists.activate("watchlist", "b")


def test_stop_and_activate(database: Path) -> None:
    add()
    assert lists.stop("watchlist", "AGN")[:5] == (2, "AGN", "local", 2, False)
    assert read_snapshot(database).lists == ()
    assert lists.stop("watchlist", 2).version == 2
    assert add(file=cones_file(1)) == (2, 3, 1, False), "replaced, but still stopped"
    assert lists.activate("watchlist", "2").version == 4
    assert read_snapshot(database).lists[0].version == 4


def test_remove(database: Path) -> None:
    add()
    assert lists.remove_watchlist("AGN").list_id == 2
    assert read_snapshot(database).lists == () and Content.objects.count() == 0
    with pytest.raises(NotFound, match="no watchlist 'AGN'"):
        lists.remove_watchlist("AGN")
    assert add().list_id == 3, "a number is not used again: filters and hits name it"


def test_areas(database: Path) -> None:
    assert lists.add_area("North", area_file()) == (1, 1, 0, True)
    assert lists.add_area("North", area_file()) == (1, 1, 0, False)
    assert lists.add_area("North", area_file(8)) == (1, 2, 0, True)
    (one,) = read_snapshot(database).lists
    content = read_content(database, one.content_id)
    assert content is not None and unpack_area(content).tolist() == [[8, 12]]
    facts = lists.show("area", "North")
    assert (facts["number"], facts["version"], facts["how"]) == (1, 2, "1 shape")
    assert [one.size for one in lists.list_lists("area")] == [area_file().square_degrees]
    with pytest.raises(BadDefinition, match="no cells"):
        lists.add_area("Void", AreaFile(np.empty((0, 2), np.uint64), "", True, 0))
    lists.stop("area", "North")
    assert read_snapshot(database).lists == ()
    lists.remove_area(1)
    with pytest.raises(NotFound, match="no area 1; 'lasair area list'"):
        lists.show("area", "1")


def test_names_that_are_nearly_right() -> None:
    add("Bright AGN")
    with pytest.raises(NotFound, match="did you mean 'Bright AGN'"):
        lists.show("watchlist", "Brigth AGN")


def test_alice_owns_bob_shares_charlie_sees_nothing() -> None:
    alice, bob, charlie = (user_named(name) for name in ("alice", "bob", "charlie"))
    people.add_group("friends", owner=alice)
    people.add_member("friends", "bob", owner=alice)
    mine = add("Mine", owner=alice).list_id
    for someone in (bob, charlie):
        with pytest.raises(NotFound):
            lists.show("watchlist", mine, owner=someone)
    lists.share("watchlist", "Mine", group="friends", owner=alice)
    assert lists.show("watchlist", "Mine", owner=bob)["group"] == "friends"
    assert [one.name for one in lists.list_lists("watchlist", charlie)] == ["TNS"]
    for change in (lists.remove_watchlist, lambda w, owner: lists.stop("watchlist", w, owner=owner)):
        with pytest.raises(NotPermitted, match="belongs to 'alice'"):
            change("Mine", owner=bob)
    lists.share("watchlist", "Mine", group="", public=True, owner=alice)
    assert lists.show("watchlist", mine, owner=charlie)["group"] is None
    lists.share("watchlist", "Mine", public=False, owner=alice)
    with pytest.raises(NotFound):
        lists.show("watchlist", mine, owner=bob)
    with pytest.raises(NotPermitted, match="'charlie' is not in group 'friends'"):
        add("Other", group="friends", owner=charlie)
    with pytest.raises(NotFound, match="did you mean 'friends'"):
        add("Other", group="freinds", owner=alice)
    assert add("Mine", owner=bob).list_id != mine, "two people may choose one name"


def test_of_two_lists_of_one_name_my_own_is_meant() -> None:
    add("AGN", owner=user_named("alice"), public=True)
    assert lists.show("watchlist", "AGN")["owner"] == "alice"
    add("AGN")
    assert lists.show("watchlist", "AGN")["owner"] == "local"


def test_the_tns_is_nobodys(database: Path) -> None:
    for change in (lists.remove_watchlist, lambda which: lists.stop("watchlist", which)):
        with pytest.raises(NotPermitted, match="installation's own"):
            change(TNS_WATCHLIST)
    local_user()
    with pytest.raises(NotPermitted, match="installation's own"):
        lists.remove_watchlist("TNS")
    nothing = np.full(2, np.nan)
    cones = Cones(
        np.array([7, 8]), np.array([1.0, 2.0]), np.zeros(2), np.full(2, 3.0), PackedNames.of(["2026a", "2026b"]),
        nothing, nothing,
    )  # fmt: skip
    assert lists.set_tns(cones)[1:] == (2, 2, True)
    assert lists.set_tns(cones)[1:] == (2, 2, False)
    assert held(database, TNS_WATCHLIST).cone_id.tolist() == [7, 8]
    assert lists.show("watchlist", "TNS")["owner"] is None


def test_lists_are_refreshed_when_their_time_has_come() -> None:
    add("file")
    add("now and then", source="https://example.org/l.csv")
    add("daily", source="https://example.org/d.csv", refresh_hours=24.0, skip_bad=True)
    (source,) = lists.due_refresh(NOW)
    assert (source.name, source.url, source.skip_bad, source.radius) == (
        "daily", "https://example.org/d.csv", True, 5.0,
    )  # fmt: skip
    assert lists.put_refreshed(source, cones_file(5), NOW) == (source.list_id, 2, 5, True)
    assert lists.put_refreshed(source, cones_file(5), NOW) == (source.list_id, 2, 5, False)
    assert lists.due_refresh(NOW + timedelta(hours=23.9)) == []
    assert len(lists.due_refresh(NOW + timedelta(hours=24.1))) == 1
    lists.record_refresh(source.list_id, NOW, "the server was asleep")
    assert lists.show("watchlist", "daily")["refresh_error"] == "the server was asleep"
    assert lists.due_refresh(NOW + timedelta(minutes=59)) == []
    assert len(lists.due_refresh(NOW + timedelta(minutes=61))) == 1, "one that failed is tried again sooner"
    assert lists.source_of("now and then").url == "https://example.org/l.csv"
    with pytest.raises(BadDefinition, match="came from a file"):
        lists.source_of("file")


def test_a_refresh_of_what_was_changed_meanwhile_does_nothing() -> None:
    add("daily", source="https://example.org/d.csv", refresh_hours=24.0)
    (source,) = lists.due_refresh(NOW)
    with pytest.raises(BadDefinition, match="no cones"):
        lists.put_refreshed(source, cones_file(0), NOW)
    add("daily", cones_file(7))
    assert lists.put_refreshed(source, cones_file(5), NOW) is None
    lists.remove_watchlist("daily")
    assert lists.put_refreshed(source, cones_file(5), NOW) is None
    lists.record_refresh(source.list_id, NOW, "late")
    assert Watchlist.objects.count() == 1


def test_area_content_is_packed_as_the_pipeline_unpacks_it() -> None:
    ranges = np.array([[3, 7], [2**60, 2**61]], np.uint64)
    assert unpack_area(pack_area(ranges)).tolist() == ranges.tolist()
