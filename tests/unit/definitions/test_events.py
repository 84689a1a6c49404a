from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.definitions import events, models
from lasair.definitions.content import unpack_event
from lasair.definitions.django import connect
from lasair.definitions.events import add_event, list_events, newest, retract, show_event
from lasair.definitions.models import Content, EventNotice
from lasair.definitions.snapshot import read_content, read_snapshot
from lasair.errors import BadDefinition, NotFound
from lasair.events.model import Event
from lasair.events.moments import Moment
from lasair.sky.skymap import Circle, SkyMap

T0 = 61100.25


@pytest.fixture(scope="module", autouse=True)
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "definitions.db"
    connect(path)
    return path


@pytest.fixture(autouse=True)
def emptied() -> None:
    models.Event.objects.update(notice=None)
    models.EventNotice.objects.all().delete()
    models.Event.objects.all().delete()
    Content.objects.all().delete()


def moment(mjd: float | None) -> Moment | None:
    return None if mjd is None else Moment("", mjd)


def notice(
    issued: float | None = 1.0, ra: float | None = 10.0, t0: float | None = T0, *, name: str = "S1a", **more: Any
) -> Event:
    return Event(
        name=name, mission="LVK", t0=moment(t0), localisation=None if ra is None else Circle(ra, 5.0, 2.0, 0.9),
        why_none="" if ra is not None else "the notice has no map", issued=moment(issued),
        **({"kind": "update", "version": None} | more),
    )  # fmt: skip


def active(database: Path, name: str = "S1a") -> tuple[int, float, float] | None:
    """What the pipeline has of an event: its version, its time and the place of its centre."""
    found = [one for one in read_snapshot(database).lists if one.name == name]
    if not found:
        return None
    content = read_content(database, found[0].content_id)
    assert content is not None
    happened = unpack_event(content)
    assert happened.t0 == found[0].t0 and happened.end == happened.t0 + 21.0
    assert isinstance(happened.localisation, Circle)
    return found[0].version, happened.t0, happened.localisation.ra


def test_a_notice_makes_an_event(database: Path) -> None:
    said = add_event(notice(classification={"BNS": 0.9}, far=1e-9), digest="a")
    assert said[1:] == ("S1a", 1, "new", True, "active", "")
    assert active(database) == (1, T0, 10.0)
    (one,) = list_events()
    assert one[1:6] == ("S1a", "LVK", "2026-03-01T05:59:23.000Z", "active", 1) and one.notices == 1
    facts = show_event("S1a")
    assert facts["classification"] == {"BNS": 0.9} and facts["far"] == 1e-9
    assert facts["area90"] == pytest.approx(Circle(10.0, 5.0, 2.0, 0.9).area(90.0))
    assert facts["area50"] < facts["area90"]
    assert [one["holds"] for one in facts["notices"]] == [True]


def test_later_notices_take_its_place_and_earlier_ones_do_not(database: Path) -> None:
    add_event(notice(2.0, 20.0), digest="b")
    assert add_event(notice(3.0, 30.0, T0 + 1.0), digest="c")[2:5] == (2, "updated", True)
    assert active(database) == (2, T0 + 1.0, 30.0)
    assert add_event(notice(1.0, 10.0), digest="a")[2:5] == (2, "older", False)
    assert add_event(notice(3.0, 30.0, T0 + 1.0), digest="c")[2:5] == (2, "seen before", False)
    assert active(database) == (2, T0 + 1.0, 30.0)
    assert show_event("S1a")["notices"][1]["holds"]


def test_a_notice_that_says_the_same_again_changes_nothing(database: Path) -> None:
    add_event(notice(1.0), digest="a")
    said = add_event(notice(2.0), digest="b")
    assert said[2:5] == (1, "updated", False)
    assert active(database) == (1, T0, 10.0)


def test_retraction_and_return(database: Path) -> None:
    add_event(notice(1.0), digest="a")
    said = add_event(notice(2.0, None, None, kind="retraction"), digest="r")
    assert said[2:6] == (2, "retracted", True, "retracted")
    assert active(database) is None
    assert list_events()[0].state == "retracted"
    said = add_event(notice(3.0, None, None), digest="b")
    assert said[2:5] == (3, "updated", True)
    assert active(database) == (3, T0, 10.0), "its place is that of the notice before the retraction"


def test_a_retraction_that_comes_first(database: Path) -> None:
    assert add_event(notice(2.0, None, None, kind="retraction"), digest="r")[3:6] == ("retracted", False, "retracted")
    assert add_event(notice(1.0), digest="a")[3:5] == ("updated", False)
    assert active(database) is None


def test_place_and_time_come_from_the_newest_notice_that_has_them(database: Path) -> None:
    said = add_event(notice(1.0, 10.0, None), digest="a")
    assert (said.state, said.why_none, said.changed) == ("no time", "no notice says when it was", False)
    assert active(database) is None
    said = add_event(notice(2.0, None), digest="b")
    assert (said.what, said.changed, said.state) == ("updated", True, "active")
    assert active(database) == (2, T0, 10.0), "the place of one, the time of the other"
    add_event(notice(3.0, None, T0 + 2.0), digest="c")
    assert active(database) == (3, T0 + 2.0, 10.0)
    said = add_event(notice(0.5, 50.0), digest="d")
    assert (said.what, said.changed) == ("older", False)
    add_event(notice(2.5, 60.0), digest="e")
    assert active(database) == (4, T0 + 2.0, 60.0)
    assert Content.objects.count() == 4, "one of each notice with a place, and one with another time"


def test_an_event_without_place_is_kept(database: Path) -> None:
    said = add_event(notice(1.0, None), digest="a")
    assert (said.what, said.state, said.why_none) == ("new", "no place", "the notice has no map")
    assert active(database) is None
    said = add_event(notice(1.0, 10.0), digest="with a map", map_given=True)
    assert (said.what, said.changed) == ("updated", True)
    assert active(database) == (2, T0, 10.0)


def test_a_map_that_a_person_gave_is_preferred_to_that_of_the_same_notice(database: Path) -> None:
    for digests in (("a", "z"), ("z", "a")):
        name = f"S{digests[0]}"
        add_event(notice(1.0, 10.0, name=name), digest=digests[0])
        add_event(notice(1.0, 20.0, name=name), digest=digests[1], map_given=True)
        found = active(database, name)
        assert found is not None and found[2] == 20.0


def test_tests_are_kept_and_never_matched(database: Path) -> None:
    assert add_event(notice(1.0, test=True), digest="t")[3:6] == ("test", False, "test")
    assert active(database) is None
    assert add_event(notice(0.5, 20.0), digest="a")[3:5] == ("updated", True)
    assert add_event(notice(9.0, 30.0, test=True), digest="u")[3:5] == ("test", False)
    assert active(database) == (2, T0, 20.0), "a test takes nothing from what is none"


def test_retracted_by_an_operator(database: Path) -> None:
    with pytest.raises(NotFound, match="no event 'S1a'; 'lasair event list'"):
        retract("S1a")
    # a sender whose clock is fast
    add_event(notice(90_000.0, version=7.0), digest="a")
    with pytest.raises(NotFound, match="did you mean 'S1a'"):
        retract("S1b")
    with pytest.raises(BadDefinition, match="control characters"):
        retract("S1a", "\x07")
    assert retract("S1a", "a glitch")[2:6] == (2, "retracted", True, "retracted")
    assert retract("S1a", "a glitch")[2:6] == (2, "retracted", False, "retracted")
    assert active(database) is None
    assert show_event("S1a")["notices"][1]["params"] == {"reason": "a glitch"}
    add_event(notice(90_001.0), digest="b")
    assert active(database) == (3, T0, 10.0)


def test_what_json_cannot_hold() -> None:
    params = {"a": math.nan, "b": [math.inf, "\ud800", (1, None)], "c": {"d": np.float64(2.0)}, "e": 2**80}
    add_event(notice(params=params, classification={"BNS": math.nan}, far=math.inf), digest="a")
    found = show_event("S1a")
    assert found["notices"][0]["params"] == {"a": None, "b": [None, "?", [1, None]], "c": {"d": 2.0}, "e": 2**80}
    assert found["classification"] == {"BNS": None} and found["far"] is None


def test_a_map_with_distances(database: Path) -> None:
    columns = [np.array(one) for one in ([1.0, 2.0], [40.0, 50.0], [5.0, 5.0], [1e-3, 1e-3])]
    place = SkyMap(np.array([1, 1]), np.array([3, 4]), *columns)
    add_event(Event(name="S1a", mission="", kind="initial", t0=moment(T0), localisation=place), digest="a")
    (one,) = read_snapshot(database).lists
    content = read_content(database, one.content_id)
    assert content is not None
    assert unpack_event(content).localisation.at([45.0], [0.5]).distance.shape == (1,)


# whatever the order in which notices come

LOTS = [
    notice(1.0, 10.0),
    notice(1.0, 20.0, version=2.0),
    notice(1.0, 30.0, version=3.0),
    notice(None, 40.0, version=2.0),
    notice(None, None),
    notice(2.0, None, None, version=1.0),
    notice(2.0, None, None, kind="retraction"),
    notice(None, None, None, kind="retraction", version=4.0),
    notice(3.0, 50.0, T0 + 1.0),
    notice(None, 60.0, T0 + 2.0),
    notice(9.0, 70.0, test=True),
]


def what_holds(order: list[int]) -> tuple[Any, ...]:
    """All that the pipeline and people see of an event after these notices."""
    name = f"S{next(_names)}"
    for i in order:
        add_event(Event(**{**vars(LOTS[i]), "name": name}), digest=f"{i:02}")
    one = models.Event.objects.get(name=name)
    content = events.content_bytes(one.content) if one.content else b""
    assert one.notice is not None
    return one.t0, one.retracted, one.test, one.mission, one.area90, one.notice.digest, content


_names = itertools.count()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_order_of_notices_does_not_matter(data: st.DataObject) -> None:
    some = data.draw(st.lists(st.integers(0, len(LOTS) - 1), min_size=1, max_size=6, unique=True))
    again = data.draw(st.lists(st.sampled_from(some), max_size=3))
    order = data.draw(st.permutations(some + again))
    assert what_holds(list(order)) == what_holds(some)


def kept(one: Event, digest: str) -> EventNotice:
    issued = one.issued.mjd_tai if one.issued else None
    return EventNotice(pk=int(digest), kind=one.kind, issued=issued, number=one.version, digest=digest, test=False)


@given(
    st.lists(
        st.tuples(st.sampled_from([None, 1.0, 2.0]), st.sampled_from([None, 1.0, 2.0]), st.booleans()),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_none_supersedes_the_one_that_holds_unless_they_go_round_in_a_circle(
    drawn: list[tuple[float | None, float | None, bool]],
) -> None:
    told = [notice(issued, version=v, kind="retraction" if r else "update") for issued, v, r in drawn]

    def beats(one: Event, other: Event) -> bool:
        return one.supersedes(other) and not other.supersedes(one)

    unbeaten = [i for i, one in enumerate(told) if not any(beats(other, one) for other in told)]
    holds = newest([kept(one, str(i)) for i, one in enumerate(told)])
    if unbeaten:
        assert int(holds.digest) in unbeaten
        if any(told[i].retracted for i in unbeaten):
            assert told[int(holds.digest)].retracted
