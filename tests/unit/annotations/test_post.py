"""Posting from many threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lasair.annotations.model import Annotation
from lasair.annotations.post import Poster
from lasair.errors import BadDefinition, StoreUnavailable
from lasair.stores.marks import Kept, SqliteMarkStore
from tests.support.faults import full_disk


def one(object_id: int, classification: str = "SN") -> Annotation:
    return Annotation("lsst", str(object_id), "fink", classification)


class Slow:
    """Keeps annotations when it is let, and remembers what it was given together."""

    def __init__(self, fail: Callable[[Sequence[Annotation]], Exception | None] = lambda _: None) -> None:
        self.go = threading.Semaphore(0)
        self.began = threading.Semaphore(0)
        self.groups: list[list[str]] = []
        self._fail = fail

    def annotate(self, annotations: Sequence[Annotation], now_s: float) -> list[Kept]:
        self.began.release()
        assert self.go.acquire(timeout=20)
        if err := self._fail(annotations):
            raise err
        self.groups.append([one.object_id for one in annotations])
        return [Kept(int(one.object_id), True) for one in annotations]


def threads(work: Callable[[int], object], n: int) -> list[threading.Thread]:
    found = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for thread in found:
        thread.start()
    return found


def joined(some: list[threading.Thread]) -> None:
    for thread in some:
        thread.join(20)
        assert not thread.is_alive()


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_each_gets_its_own_answer(tmp_path: Path) -> None:
    store = SqliteMarkStore(tmp_path / "marks.db", durable=False)
    found: dict[int, Kept] = {}

    def work(client: int) -> None:
        for i in range(client * 1000 + 1, client * 1000 + 51):
            found[i] = poster.post(one(i))

    with Poster(store) as poster:
        joined(threads(work, 8))
        assert not poster.post(one(1)).changed
    assert len(found) == 400 and all(kept.changed for kept in found.values())
    for i, kept in found.items():
        assert store.get("lsst", i)[0].annotation_id == kept.annotation_id
    store.close()


def test_what_waits_is_kept_together_in_its_order() -> None:
    store = Slow()
    with Poster(store, most_a_commit=3) as poster:
        running = threads(lambda _: poster.post(one(100)), 1)
        assert store.began.acquire(timeout=20)
        for i in range(5):
            running += threads(lambda _, i=i: poster.post(one(i + 1)), 1)  # type: ignore[misc]
            wait_until(lambda i=i: poster._count == i + 1)  # type: ignore[misc]
        for _ in range(3):
            store.go.release()
        joined(running)
    assert store.groups == [["100"], ["1", "2", "3"], ["4", "5"]]


def test_a_refused_annotation_is_its_clients_alone(tmp_path: Path) -> None:
    store = SqliteMarkStore(tmp_path / "marks.db", durable=False)
    with Poster(store) as poster:
        with pytest.raises(BadDefinition, match="classification"):
            poster.post(one(1, ""))
        good, bad, last = poster.post_many([one(1), one(0), one(2)])
        assert isinstance(bad, BadDefinition) and "objectId" in str(bad)
        assert isinstance(good, Kept) and isinstance(last, Kept) and good.annotation_id < last.annotation_id
        assert poster.post_many([]) == []
        assert len(poster.post_many(one(i) for i in range(1, 1201))) == 1200
    assert store.count("lsst") == 1200
    store.close()


def test_a_fault_that_one_brings_out_is_not_that_of_the_others() -> None:
    def fail(annotations: Sequence[Annotation]) -> Exception | None:
        return ZeroDivisionError("7") if any(one.object_id == "7" for one in annotations) else None

    store, answers = Slow(fail), dict[int, object]()

    def work(i: int) -> None:
        try:
            answers[i] = poster.post(one(i + 5))
        except ZeroDivisionError as err:
            answers[i] = str(err)

    with Poster(store) as poster:
        first = threads(lambda _: poster.post(one(100)), 1)
        assert store.began.acquire(timeout=20)
        running = threads(work, 4)
        wait_until(lambda: poster._count == 4)
        for _ in range(6):
            store.go.release()
        joined(first + running)
    assert answers == {0: Kept(5, True), 1: Kept(6, True), 2: "7", 3: Kept(8, True)}


def test_all_that_wait_hear_that_the_store_is_unavailable_and_later_ones_are_kept() -> None:
    broken = [True]

    def fail(_: Sequence[Annotation]) -> Exception | None:
        return StoreUnavailable("disk full") if broken[0] else None

    store = Slow(fail)
    errors: list[StoreUnavailable] = []

    def work(i: int) -> None:
        try:
            poster.post(one(i + 1))
        except StoreUnavailable as err:
            errors.append(err)

    with Poster(store, most_a_commit=2) as poster:
        running = threads(work, 1)
        assert store.began.acquire(timeout=20)
        running += threads(work, 6)
        wait_until(lambda: poster._count == 6)
        store.go.release()
        joined(running)
        assert [str(err) for err in errors] == ["disk full"] * 7
        assert len({id(err) for err in errors}) == 7
        broken[0] = False
        store.go.release()
        assert poster.post(one(9)) == Kept(9, True)


def test_who_comes_when_too_many_wait_waits_for_room() -> None:
    store = Slow()
    with Poster(store, most_waiting=2, most_a_commit=2) as poster:
        running = threads(lambda _: poster.post(one(100)), 1)
        assert store.began.acquire(timeout=20)
        running += threads(lambda i: poster.post(one(i + 1)), 6)
        wait_until(lambda: poster._count == 2)
        time.sleep(0.05)
        assert poster._count == 2
        # more than may ever wait are let in when nobody waits
        running += threads(lambda _: poster.post_many([one(i) for i in range(10, 15)]), 1)
        for _ in range(20):
            store.go.release()
        joined(running)
    kept = [i for group in store.groups for i in group]
    assert sorted(map(int, kept)) == [1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 100]
    assert max(map(len, store.groups)) <= 2


def test_close_keeps_what_waits_and_refuses_the_rest() -> None:
    store = Slow()
    poster = Poster(store, most_waiting=3)
    refused: list[str] = []

    def work(i: int) -> None:
        try:
            poster.post(one(i + 1))
        except StoreUnavailable as err:
            refused.append(str(err))

    running = threads(work, 1)
    assert store.began.acquire(timeout=20)
    running += threads(work, 3)
    wait_until(lambda: poster._count == 3)
    running += threads(work, 2)  # no room
    closing = threads(lambda _: poster.close(), 1)
    wait_until(lambda: poster._closing)
    for _ in range(4):
        store.go.release()
    joined(closing + running)
    assert sum(map(len, store.groups)) == 4
    assert len(refused) == 2 and all("stops" in text for text in refused)
    with pytest.raises(StoreUnavailable, match="stops"):
        poster.post(one(1))
    poster.close()


def test_a_full_disk(tmp_path: Path) -> None:
    store = SqliteMarkStore(tmp_path / "marks.db")
    long = "x" * 1000
    with Poster(store) as poster:
        assert poster.post(one(1)).changed
        with full_disk(10_000), pytest.raises(StoreUnavailable, match="free space"):
            poster.post_many(one(i)._replace(explanation=long) for i in range(2, 400))
        assert poster.post(one(2)).changed
    store.close()


class Counting:
    """Keeps annotations at once and counts how many came together."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def annotate(self, annotations: Sequence[Annotation], now_s: float) -> list[Kept]:
        self.sizes.append(len(annotations))
        return [Kept(1, True)] * len(annotations)


def test_clients_that_post_at_the_same_time_share_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lasair.annotations.post._STILL_S", 20.0)
    monkeypatch.setattr("lasair.annotations.post.GATHER_S", 0.2)  # who ends first is waited for in vain by the others
    store = Counting()
    together = threading.Barrier(4)

    def work(_: int) -> None:
        for i in range(1, 101):
            if i % 10 == 0:
                together.wait(20)
            poster.post(one(i))

    with Poster(store) as poster:
        joined(threads(work, 4))
    assert sum(store.sizes) == 400
    assert max(store.sizes) == 4 and len(store.sizes) < 200


def test_a_single_client_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lasair.annotations.post.GATHER_S", 20.0)
    monkeypatch.setattr("lasair.annotations.post._STILL_S", 20.0)
    store = Counting()
    start = time.monotonic()
    with Poster(store) as poster:
        for i in range(1, 50):
            poster.post(one(i))
    assert time.monotonic() - start < 10
    assert store.sizes == [1] * 49
