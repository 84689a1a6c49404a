"""Feeds at work, on feeds and stores that fail in every way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lasair.errors import StoreUnavailable
from lasair.feeds import run as module
from lasair.feeds.run import Report, Take, Work, run_feed, run_feeds
from lasair.feeds.source import FeedMessage, FeedUnavailable
from lasair.feeds.store import FeedStore, Outcome
from tests.unit.feeds.made import message


class ListFeed:
    """A feed of messages in memory, from where the last commit was."""

    def __init__(self, messages: Sequence[FeedMessage], position: list[int], fault: Exception | None = None) -> None:
        self._messages, self.position, self._fault = messages, position, fault
        self._next = position[0]
        self.closed = False

    def batches(self, stop: threading.Event, *, once: bool) -> Iterator[list[FeedMessage]]:
        while not stop.is_set():
            batch = list(self._messages[self._next : self._next + 3])
            self._next += len(batch)
            if batch:
                yield batch
            elif self._fault:
                raise self._fault
            elif once:
                return
            else:
                stop.wait(0.01)

    def commit(self) -> None:
        self.position[0] = self._next

    def wait(self, seconds: float, stop: threading.Event) -> None:
        stop.wait(seconds)

    def look(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self.closed = True


MESSAGES = [message(b"%d" % n, n) for n in range(10)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    monkeypatch.setattr(module, "MOST_RETRY_S", 0.01)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedStore]:
    found = FeedStore(tmp_path / "feeds.db", durable=False)
    yield found
    found.close()


def work(feed: ListFeed, take: Take, reopen: Callable[[], ListFeed] | None = None, name: str = "f") -> Work:
    @contextmanager
    def taking() -> Iterator[Take]:
        yield take

    def again() -> ListFeed:
        raise AssertionError("not to be opened again")

    return Work(name, "events", feed, reopen or again, taking)


def good(messages: Sequence[FeedMessage]) -> list[Outcome]:
    return [Outcome(one, int(one.offset % 2 == 0), "bad" if one.offset % 5 == 4 else "") for one in messages]


def test_takes_everything_and_says_what(store: FeedStore) -> None:
    feed, acts = ListFeed(MESSAGES, [0]), []
    (report,) = run_feeds([work(feed, good)], store, {"events": lambda: acts.append(1)}, threading.Event(), once=True)
    assert (report.messages, report.changes, report.dead_letters, report.error) == (10, 5, 2, "")
    assert feed.position == [10] and feed.closed and acts
    assert store.counts()[0].messages == 10 and len(store.letters()) == 2


def test_commit_comes_after_take_and_record(store: FeedStore) -> None:
    feed = ListFeed(MESSAGES, [0])

    def take(messages: Sequence[FeedMessage]) -> list[Outcome]:
        assert feed.position == [messages[0].offset]
        assert sum(one.messages for one in store.counts()) == messages[0].offset
        return good(messages)

    run_feed("f", feed, store, take, threading.Event(), Report("f"), once=True)
    assert feed.position == [10]


def test_store_that_is_away_is_waited_for(store: FeedStore) -> None:
    seen: list[int] = []

    def take(messages: Sequence[FeedMessage]) -> list[Outcome]:
        seen.append(messages[0].offset)
        if len(seen) % 3:
            raise StoreUnavailable("the disk is full")
        return good(messages)

    feed = ListFeed(MESSAGES, [0])
    run_feed("f", feed, store, take, threading.Event(), Report("f"), once=True)
    assert seen == [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9] and feed.position == [10]


def test_store_that_stays_away_ends_a_run_once(store: FeedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)

    def take(messages: Sequence[FeedMessage]) -> list[Outcome]:
        if messages[0].offset == 3:
            raise StoreUnavailable("the disk is full")
        return good(messages)

    feed, other = ListFeed(MESSAGES, [0]), ListFeed(MESSAGES, [0])
    works = [work(feed, take), work(other, good, name="g")]
    first, second = run_feeds(works, store, {}, threading.Event(), once=True)
    assert first.error == "the disk is full" and feed.position == [3]
    assert second.error == "" and other.position == [10]


def test_stopped_while_a_store_is_away_commits_nothing(store: FeedStore) -> None:
    stop = threading.Event()

    def take(messages: Sequence[FeedMessage]) -> list[Outcome]:
        if messages[0].offset == 3:
            stop.set()
            raise StoreUnavailable("the disk is full")
        return good(messages)

    feed = ListFeed(MESSAGES, [0])
    (report,) = run_feeds([work(feed, take)], store, {}, stop, once=False)
    assert (feed.position, report.messages, report.error) == ([3], 3, "")


def test_stop_ends_after_the_batch_in_hand(store: FeedStore) -> None:
    stop = threading.Event()

    def take(messages: Sequence[FeedMessage]) -> list[Outcome]:
        stop.set()
        return good(messages)

    feed = ListFeed(MESSAGES, [0])
    (report,) = run_feeds([work(feed, take)], store, {}, stop, once=False)
    assert (feed.position, report.messages) == ([3], 3)


def test_fault_that_was_not_foreseen_begins_again(store: FeedStore) -> None:
    stop, position, faults = threading.Event(), [0], []

    def take(messages: Sequence[FeedMessage]) -> list[Outcome]:
        if messages[0].offset == 6 and len(faults) < 3:
            faults.append(1)
            raise RuntimeError("not foreseen")
        if messages[-1].offset == 9:
            stop.set()
        return good(messages)

    opened: list[ListFeed] = []

    def reopen() -> ListFeed:
        opened.append(ListFeed(MESSAGES, position))
        return opened[-1]

    (report,) = run_feeds([work(reopen(), take, reopen)], store, {}, stop, once=False)
    assert position == [10] and len(opened) == 4 and all(one.closed for one in opened)
    assert report.error == "" and store.counts()[0].messages == 10


def test_source_that_will_never_be_there_ends_its_feed_alone(store: FeedStore) -> None:
    bad = ListFeed([], [0], FeedUnavailable("no such account"))
    fine = ListFeed(MESSAGES, [0])
    first, second = run_feeds([work(bad, good), work(fine, good, name="g")], store, {}, threading.Event(), once=True)
    assert (first.error, second.error, second.messages) == ("no such account", "", 10)


def test_follow_up_that_fails_does_not_end_feeds(store: FeedStore) -> None:
    def act() -> None:
        raise RuntimeError("no map")

    feed = ListFeed(MESSAGES, [0])
    (report,) = run_feeds([work(feed, good)], store, {"events": act}, threading.Event(), once=True)
    assert feed.position == [10] and report.messages == 10


def test_follow_up_fails_at_the_end(store: FeedStore) -> None:
    seen = []

    def act() -> None:
        seen.append(store.counts())
        if seen[-1]:
            raise StoreUnavailable("the disk is full")

    (report,) = run_feeds([work(ListFeed(MESSAGES, [0]), good)], store, {"events": act}, threading.Event(), once=True)
    assert report.error == "" or "the disk is full" in report.error


def test_follow_ups_run_at_the_start_and_only_those_of_the_kinds_there(store: FeedStore) -> None:
    acts: list[str] = []
    feed = ListFeed([], [0])
    kinds = {"events": lambda: acts.append("events"), "annotations": lambda: acts.append("annotations")}
    run_feeds([work(feed, good)], store, kinds, threading.Event(), once=True)
    assert acts == ["events"]
