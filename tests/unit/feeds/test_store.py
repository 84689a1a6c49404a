"""What is remembered of feeds."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.errors import StoreUnavailable
from lasair.feeds import store as module
from lasair.feeds.store import FeedStore, Outcome
from tests.unit.feeds.made import message


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedStore]:
    found = FeedStore(tmp_path / "feeds.db", durable=False)
    yield found
    found.close()


def test_replays_are_not_counted_again(store: FeedStore) -> None:
    batch = [Outcome(message(b"a", 5), 1), Outcome(message(b"b", 6), 0, "is nothing")]
    for _ in range(3):
        store.record("f", batch)
    (said,) = store.counts()
    assert (said.messages, said.used, said.dead_letters) == (2, 1, 1)
    assert said.last_label == "gcn.notices.example[0] offset 6"
    (letter,) = store.letters()
    assert (letter.times, letter.reason, letter.value, letter.offset) == (3, "is nothing", b"b", 6)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4)), max_size=12))
@settings(max_examples=50, deadline=None)
def test_any_replays_count_each_message_once(replays: list[tuple[int, int]]) -> None:
    folder = tempfile.TemporaryDirectory()
    store = FeedStore(Path(folder.name, "feeds.db"), durable=False)
    stream = [Outcome(message(b"%d" % n, n), 0, "bad" if n % 3 == 0 else "") for n in range(12)]
    position = 0
    for start, size in replays:  # a feed never passes over what it has not committed
        start = min(start, position)
        store.record("f", stream[start : start + size])
        position = max(position, start + size)
    store.record("f", stream[position:] or stream[-1:])
    (said,) = store.counts()
    assert (said.messages, said.used, said.dead_letters) == (12, 8, 4)
    store.close()
    folder.cleanup()


def test_topic_that_was_made_anew(store: FeedStore) -> None:
    store.record("f", [Outcome(message(b"a", 100))])
    later = message(b"b", 0)._replace(when=message(b"a", 100).when + 10)
    store.record("f", [Outcome(later)])
    store.record("f", [Outcome(later)])
    assert store.counts()[0].messages == 2


def test_letter_goes_when_its_message_can_be_used(store: FeedStore) -> None:
    one, other = message(b"a", 1), message(b"b", 2)
    store.record("f", [Outcome(one, 0, "no room"), Outcome(other, 0, "nonsense")])
    store.record("f", [Outcome(one, 1)])
    assert [letter.offset for letter in store.letters("f")] == [2]
    assert store.letters("g") == []


def test_letters_are_bounded(store: FeedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LETTER_BYTES", 10)
    monkeypatch.setattr(module, "FEED_LETTER_BYTES", 15)
    for n, size in enumerate((11, 10, 3)):
        store.record("f", [Outcome(message(b"x" * size, n), 0, "bad")])
    cut, whole, gone = sorted(store.letters(), key=lambda one: one.offset)
    assert (cut.size, cut.value, cut.message) == (11, b"x" * 10, None)
    assert whole.message == message(b"x" * 10, 1)
    assert (gone.size, gone.value, gone.message) == (3, None, None)


def test_limit_number_and_expiry(store: FeedStore) -> None:
    store.record("f", [Outcome(message(b"%d" % n, n), 0, "bad") for n in range(5)])
    assert [one.offset for one in store.letters(limit=2)] == [4, 3]
    number = store.letters()[0].number
    assert [one.number for one in store.letters(number=number)] == [number]
    assert store.expire(0.0) == 0
    assert store.expire(1e12) == 5 and store.letters() == []


def test_group_is_kept_and_its_own(store: FeedStore, tmp_path: Path) -> None:
    suffix = store.group_suffix("f")
    assert suffix == store.group_suffix("f") != store.group_suffix("g")
    again = FeedStore(tmp_path / "feeds.db")
    assert again.group_suffix("f") == suffix
    again.close()


def test_read_only(store: FeedStore, tmp_path: Path) -> None:
    store.record("f", [Outcome(message(b"a"))])
    reader = FeedStore(tmp_path / "feeds.db", read_only=True)
    assert reader.counts()[0].messages == 1
    with pytest.raises(StoreUnavailable):
        reader.record("f", [Outcome(message(b"a"))])
    reader.close()


def test_damaged(tmp_path: Path) -> None:
    file = tmp_path / "feeds.db"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnavailable, match="damaged"):
        FeedStore(file)
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).close()
    with pytest.raises(StoreUnavailable, match="has no table"):
        FeedStore(empty, read_only=True)
