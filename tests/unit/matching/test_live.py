"""The index in memory, which follows the definitions."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lasair.definitions import lists
from lasair.definitions.snapshot import read_content, read_snapshot
from lasair.matching import live
from lasair.matching.live import LiveSky, SkyIndex
from lasair.sky.skymap import Circle
from tests.unit.matching.world import World

T0 = 61000.0
HERE, THERE = (150.0, 2.0), (10.0, -40.0)


class Reader:
    """What is read of contents, and what happens before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[int] = []
        self.before = lambda: None

        def reading(path: Path, content_id: int) -> bytes | None:
            self.read.append(content_id)
            before, self.before = self.before, lambda: None
            before()
            return read_content(path, content_id)

        monkeypatch.setattr(live, "read_content", reading)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(monkeypatch)


@pytest.fixture
def sky(world: World) -> LiveSky:
    return LiveSky(world.definitions)


def take_in(sky: LiveSky, world: World) -> SkyIndex:
    sky.take_in(read_snapshot(world.definitions))
    return sky.index(T0, T0)


def found(index: SkyIndex, at: tuple[float, float] = HERE) -> list[int]:
    """Lists with a cone there, and areas (negative)."""
    ra, decl = np.array([at[0]]), np.array([at[1]])
    return [*(-index.areas.find(ra, decl).area_id).tolist(), *index.cones.find(ra, decl).list_id.tolist()]


def damage(world: World, kind: str, number: int, how: str) -> None:
    """Damage the content of a list, and raise its version, so that it is read."""
    with closing(sqlite3.connect(world.definitions)) as database, database:
        where = f"content_id = (SELECT content_id FROM definitions_{kind} WHERE id = {number})"
        if how == "gone":
            database.execute(f"DELETE FROM definitions_contentpiece WHERE {where}")
        else:
            (data,) = database.execute(f"SELECT data FROM definitions_contentpiece WHERE {where}").fetchone()
            cut = len(data) // 3
            bad = {"cut": data[:cut], "changed": data[:60] + b"\xff" * 40 + data[100:], "text": b"no archive"}[how]
            database.execute(f"UPDATE definitions_contentpiece SET data = ? WHERE {where}", (bad,))
        database.execute(f"UPDATE definitions_{kind} SET version = version + 1 WHERE id = ?", (number,))


def test_nothing_is_active(sky: LiveSky, world: World, tmp_path: Path) -> None:
    assert found(take_in(sky, world)) == []
    empty = LiveSky(tmp_path / "none.db")
    empty.take_in(read_snapshot(tmp_path / "none.db"))
    assert found(empty.index()) == [] and empty.index().versions == {}


def test_only_what_has_changed_is_read(sky: LiveSky, world: World, reader: Reader) -> None:
    first, second, third = world.watchlist("a", [HERE]), world.watchlist("b", [HERE]), world.area("c", [(0, 12 << 58)])
    assert found(take_in(sky, world)) == [-third, first, second]
    assert len(reader.read) == 3
    assert found(take_in(sky, world)) == [-third, first, second]
    assert len(reader.read) == 3
    world.watchlist("b", [THERE])
    index = take_in(sky, world)
    assert found(index) == [-third, first] and found(index, THERE) == [-third, second]
    assert len(reader.read) == 4
    lists.share("watchlist", "a", public=True)
    take_in(sky, world)
    assert len(reader.read) == 4


def test_an_index_that_is_held_does_not_change(sky: LiveSky, world: World) -> None:
    number = world.watchlist("a", [HERE], brighter=18.0)
    held = take_in(sky, world)
    world.watchlist("a", [THERE])
    assert found(take_in(sky, world)) == []
    assert found(held) == [number] and number in held.limits


@pytest.mark.parametrize("kind", ["watchlist", "area"])
def test_lists_that_are_stopped_started_and_removed(sky: LiveSky, world: World, kind: str) -> None:
    number = world.watchlist("a", [HERE], change=0.5) if kind == "watchlist" else -world.area("a", [(0, 12 << 58)])
    assert found(take_in(sky, world)) == [number]
    lists.stop(kind, "a")  # type: ignore[arg-type]
    index = take_in(sky, world)
    assert found(index) == [] and not index.limits and not index.versions
    lists.activate(kind, "a")  # type: ignore[arg-type]
    index = take_in(sky, world)
    assert found(index) == [number] and list(index.versions.values()) == [3]
    assert len(index.limits) == (kind == "watchlist")
    (lists.remove_watchlist if kind == "watchlist" else lists.remove_area)("a")
    assert found(take_in(sky, world)) == []


def test_limits_go_when_an_edit_has_none(sky: LiveSky, world: World) -> None:
    number = world.watchlist("a", [HERE], brighter=18.0)
    assert take_in(sky, world).limits[number].at(np.array([0]))[0].tolist() == [18.0]
    world.watchlist("a", [HERE])
    assert not take_in(sky, world).limits


@pytest.mark.parametrize("how", ["gone", "cut", "changed", "text"])
@pytest.mark.parametrize("kind", ["watchlist", "area", "event"])
def test_a_damaged_list_alone_is_left_out(
    sky: LiveSky, world: World, kind: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    cones, area = world.watchlist("bad", [HERE]), world.area("bad", [(0, 12 << 58)])
    event = world.event("bad", T0, Circle(*HERE, 1, 0.9))
    good, ground = world.watchlist("good", [HERE]), world.area("good", [(0, 12 << 58)])
    assert found(take_in(sky, world)) == [-area, -ground, cones, good]
    number = {"watchlist": cones, "area": area, "event": event}[kind]
    if kind == "event":
        sky = LiveSky(world.definitions)
    damage(world, kind, number, how)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            index = take_in(sky, world)
    left = [-area, -ground, cones, good]
    if kind != "event":
        left.remove(number if kind == "watchlist" else -number)
    assert found(index) == left
    assert len(index.events) == (kind != "event")
    assert [one.message.split(":")[0] for one in caplog.records] == [f"{kind} {number} (bad) is left out"]
    # mended: an edit
    world.watchlist("bad", [HERE, THERE])
    world.area("bad", [(0, 11 << 58)])
    world.event("bad", T0, Circle(*HERE, 2, 0.9))
    index = take_in(sky, world)
    assert cones in found(index) and -area in found(index, HERE) + found(index, THERE) and len(index.events) == 1


def test_events_are_read_when_alerts_lie_in_their_windows(sky: LiveSky, world: World, reader: Reader) -> None:
    numbers = [world.event(f"S{i}", T0 + 100 * i, Circle(*HERE, 1, 0.9)) for i in range(8)]
    sky.take_in(read_snapshot(world.definitions))
    assert len(sky.index().versions) == 8 and sky.index().events == ()
    assert reader.read == []
    assert [one.event_id for one in sky.index(T0 - 5, T0).events] == numbers[:1]
    assert sky.index(T0 - 5, T0 - 0.1).events == sky.index(T0 + 21.1, T0 + 99).events == ()
    assert [one.event_id for one in sky.index(T0 + 21.0, T0 + 100.0).events] == numbers[:2]
    assert len(reader.read) == 2
    assert len(sky.index(T0, T0 + 800).events) == 8
    assert len(reader.read) == 8
    # few of those that nobody asks for are kept
    sky.index(T0, T0)
    sky.index(T0, T0 + 800)
    assert 8 < len(reader.read) < 16


def test_an_event_that_is_updated_or_retracted(sky: LiveSky, world: World) -> None:
    world.event("S1", T0, Circle(*HERE, 1, 0.9))
    assert take_in(sky, world).events[0].happened.localisation.radius_deg == 1.0  # type: ignore[attr-defined]
    world.event("S1", T0, Circle(*HERE, 2, 0.9))
    assert take_in(sky, world).events[0].happened.localisation.radius_deg == 2.0  # type: ignore[attr-defined]
    world.event("S1", T0, None, retracted=True)
    assert take_in(sky, world).events == ()
    world.event("S1", T0, Circle(*THERE, 2, 0.9))
    assert take_in(sky, world).events[0].happened.localisation.ra == THERE[0]  # type: ignore[attr-defined]


def test_what_is_replaced_while_it_is_read_is_taken_as_it_is_now(sky: LiveSky, world: World, reader: Reader) -> None:
    first = world.watchlist("a", [HERE])
    second = world.watchlist("b", [HERE])
    reader.before = lambda: (world.watchlist("a", [THERE]), world.area("c", [(0, 12 << 58)]))  # type: ignore[assignment,func-returns-value]
    index = take_in(sky, world)
    assert found(index) == [-1, second] and found(index, THERE) == [-1, first]
    assert index.versions == {key: 1 + (key.list_id == first and key.kind == "watchlist") for key in index.versions}
    reader.before = lambda: lists.remove_watchlist("a")  # type: ignore[assignment,return-value]
    world.watchlist("a", [HERE])
    assert found(take_in(sky, world)) == [-1, second]


def test_an_event_that_is_replaced_while_it_is_read_comes_with_the_next_batch(
    sky: LiveSky, world: World, reader: Reader
) -> None:
    world.event("S1", T0, Circle(*HERE, 1, 0.9))
    sky.take_in(read_snapshot(world.definitions))

    def replace() -> None:
        from lasair.definitions.models import Event

        old = Event.objects.get(name="S1").content
        world.event("S1", T0, Circle(*HERE, 2, 0.9))
        old.delete()

    reader.before = replace
    assert sky.index(T0, T0).events == ()
    assert len(take_in(sky, world).events) == 1
