"""What becomes of messages."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lasair.definitions.django import connect
from lasair.errors import BadDefinition, StoreUnavailable
from lasair.feeds.take import is_no_news, plain_reason, read_event_message, take_events
from tests.unit.events.made import multi_order
from tests.unit.feeds.made import HOSTILE, events_of, message, notice, retraction, wave


@pytest.fixture
def state(tmp_path: Path) -> Path:
    connect(tmp_path / "definitions.db")
    return tmp_path


def test_notices_become_events_and_the_rest_dead_letters(state: Path) -> None:
    values = [notice(1), *HOSTILE, wave(), notice(2)]
    outcomes = take_events([message(one, n) for n, one in enumerate(values)])
    assert [one.message.value for one in outcomes] == values
    assert [bool(one.reason) for one in outcomes] == [False, *[True] * len(HOSTILE), False, False]
    assert [one.changes for one in outcomes if not one.reason] == [1, 1, 1]
    assert {row[1] for row in events_of(state)} == {"active"} and len(events_of(state)) == 3
    for one in outcomes:
        assert "/" not in one.reason.replace("IGWN/GCN", ""), "a path of this machine"
        assert one.reason.isprintable() and len(one.reason) <= 1000


def test_replay_changes_nothing(state: Path) -> None:
    values = [notice(1), retraction(2), notice(2), wave(), retraction(1)]
    take_events([message(one, n) for n, one in enumerate(values)])
    before = events_of(state)
    again = take_events([message(one, n + 50) for n, one in enumerate(values)])
    assert not any(one.changes or one.reason for one in again)
    assert events_of(state) == before


def test_any_order_leads_to_the_same(tmp_path: Path) -> None:
    values = [notice(1), retraction(1), notice(2), retraction(2), notice(3), wave(), *HOSTILE]
    found = []
    for seed in range(4):
        state = tmp_path / str(seed)
        state.mkdir()
        connect(state / "definitions.db")
        mixed = random.Random(seed).sample(values * 2, 2 * len(values))
        take_events([message(one, n) for n, one in enumerate(mixed)])
        found.append(events_of(state))
    assert all(one == found[0] for one in found)
    assert [row[1] for row in found[0]] == ["retracted", "retracted", "active", "active"]


def test_map_is_named_by_its_file(state: Path) -> None:
    event = read_event_message(message(multi_order(OBJECT=None), name="sub/GRB260301A.multiorder.fits"))
    assert event.localisation is not None and event.name == "GRB260301A"


def test_errors_name_the_message() -> None:
    with pytest.raises(BadDefinition, match=r"^gcn.notices.example\[0\] offset 7: is neither a notice"):
        read_event_message(message(b"hello", 7))
    with pytest.raises(BadDefinition, match=r"^sub/x.json: is neither a notice"):
        read_event_message(message(b"hello", 7, name="sub/x.json"))


def test_what_is_no_news(state: Path) -> None:
    test = message(notice(1), headers=(("_test", b"true"),))
    assert is_no_news(test) and not is_no_news(message(b"", headers=(("_format", b"json"),)))
    (outcome,) = take_events([test])
    assert (outcome.changes, outcome.reason, events_of(state)) == (0, "", [])


def test_heartbeat_is_no_event(state: Path) -> None:
    beat = message(b'{"alert_datetime": "2026-03-01T00:00:00Z"}', topic="gcn.heartbeat")
    (outcome,) = take_events([beat])
    assert (outcome.changes, outcome.reason, events_of(state)) == (0, "", [])


def test_problem_of_the_source(state: Path) -> None:
    (outcome,) = take_events([message(b"", problem="cannot be read: no permission")])
    assert outcome.reason == "cannot be read: no permission"


def test_store_that_is_unavailable_stops(tmp_path: Path) -> None:
    connect(tmp_path / "definitions.db")
    take_events([message(notice(1))])
    (tmp_path / "definitions.db").write_bytes(b"damaged" * 1000)
    for one in tmp_path.glob("definitions.db-*"):
        one.unlink()
    from lasair.definitions.django import disconnect

    disconnect()
    with pytest.raises(StoreUnavailable):
        take_events([message(notice(2))])


def test_reasons_are_plain() -> None:
    assert plain_reason("a\n\x1b[31mb\u202ec") == "a [31mb c"
    assert plain_reason("") == "no reason is known" and len(plain_reason("x" * 5000)) == 1000
