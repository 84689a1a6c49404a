"""Files of a folder as a feed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lasair.feeds import folder as module
from lasair.feeds.folder import FolderFeed
from lasair.feeds.source import FeedMessage, FeedUnavailable
from lasair.feeds.store import FeedStore, Outcome
from tests.unit.feeds.made import write


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedStore]:
    found = FeedStore(tmp_path / "feeds.db", durable=False)
    yield found
    found.close()


def read(
    store: FeedStore, folder: Path, *, batch: int = 100, commit: bool = True, settle_s: float = 0.0, topic: str = ""
) -> list[list[FeedMessage]]:
    feed = FolderFeed("f", folder, store, batch=batch, settle_s=settle_s, poll_s=0.05, topic=topic)
    found = []
    for one in feed.batches(threading.Event(), once=True):
        found.append(one)
        if commit:
            store.record("f", [Outcome(message) for message in one])
            feed.commit()
    feed.close()
    return found


def test_each_file_once_oldest_first(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    write(folder, {"b.json": b"1", "a.json": b"2", "a/sub/c": b"3"})
    os.utime(folder / "b.json", (1000, 1000))
    os.utime(folder / "a.json", (2000, 2000))
    batches = read(store, folder, batch=2, topic="top")
    assert [[one.name for one in batch] for batch in batches] == [["b.json", "a.json"], ["a/sub/c"]]
    assert [(one.value, one.topic, one.label) for batch in batches for one in batch] == [
        (b"1", "top", "b.json"), (b"2", "top", "a.json"), (b"3", "sub", "a/sub/c"),
    ]  # fmt: skip
    assert batches[0][0].when == 1000.0
    assert read(store, folder) == []


def test_what_is_not_taken(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    write(folder, {".hidden": b"1", "a.part": b"1", "a.json.tmp": b"1", "A.PART": b"1", ".git/b": b"1", "good": b"1"})
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    assert [one.name for batch in read(store, folder) for one in batch] == ["good"]


def test_not_committed_comes_again(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    write(folder, {"a": b"1", "b": b"2"})
    assert read(store, folder, commit=False) == read(store, folder, commit=False)
    assert len(read(store, folder)[0]) == 2
    assert store.counts()[0].messages == 2


def test_touched_file_does_not_come_again_and_a_changed_one_does(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    write(folder, {"a": b"1", "b": b"2"})
    read(store, folder)
    os.utime(folder / "a", (5000, 5000))
    assert read(store, folder) == []
    write(folder, {"a": b"other"})
    assert [one.value for one in read(store, folder)[0]] == [b"other"]
    write(folder, {"a": b"1"})  # as it was: its notice was taken
    assert read(store, folder) == []
    assert store.counts()[0].messages == 3


def test_file_that_grows_is_taken_when_it_is_complete(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    stop = threading.Event()
    started = threading.Event()

    def grow() -> None:
        with (folder / "map.fits").open("wb") as file:
            for _ in range(10):
                file.write(b"x" * 10)
                file.flush()
                started.set()
                stop.wait(0.05)

    writer = threading.Thread(target=grow)
    writer.start()
    started.wait()
    batches = read(store, folder, settle_s=0.3)
    writer.join()
    assert [(one.name, len(one.value)) for batch in batches for one in batch] == [("map.fits", 100)]


def test_times_in_the_future_are_no_hindrance(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    write(folder, {"a": b"1"})
    os.utime(folder / "a", (4e9, 4e9))
    assert len(read(store, folder, settle_s=0.2)) == 1


def test_follows(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    feed = FolderFeed("f", folder, store, settle_s=0.0, poll_s=0.02)
    stop = threading.Event()
    found: list[str] = []

    def follow() -> None:
        for batch in feed.batches(stop, once=False):
            store.record("f", [Outcome(one) for one in batch])
            feed.commit()
            found.extend(one.name for one in batch)
            if len(found) == 2:
                return

    thread = threading.Thread(target=follow)
    thread.start()
    stop.wait(0.05)  # there is no folder yet: waited for
    write(folder, {"a": b"1"})
    while found != ["a"]:
        assert thread.is_alive()
        stop.wait(0.01)
    write(folder, {"b": b"2"})
    thread.join(10)
    assert found == ["a", "b"]


def test_stops(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    write(folder, {"a": b"1", "b": b"2"})
    stop = threading.Event()
    feed = FolderFeed("f", folder, store, batch=1, settle_s=0.0)
    found = []
    for batch in feed.batches(stop, once=False):
        found += batch
        stop.set()
    assert len(found) == 1


def test_no_folder(tmp_path: Path, store: FeedStore) -> None:
    feed = FolderFeed("f", tmp_path / "nowhere", store)
    with pytest.raises(FeedUnavailable, match=r"there is no folder .*nowhere; make it"):
        list(feed.batches(threading.Event(), once=True))
    with pytest.raises(FeedUnavailable):
        feed.look()


def test_too_large(tmp_path: Path, store: FeedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    folder = tmp_path / "in"
    write(folder, {"large": b"1" * 11, "small": b"1"})
    (batch,) = read(store, folder)
    assert [(one.name, one.value, one.problem) for one in batch] == [
        ("large", b"", "has 11 bytes; 10 are the most"), ("small", b"1", ""),
    ]  # fmt: skip


def test_batches_are_bounded_in_bytes(tmp_path: Path, store: FeedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", 10)
    folder = tmp_path / "in"
    write(folder, {"1": b"x" * 6, "2": b"x" * 4, "3": b"x", "4": b"x" * 50, "5": b"x"})
    for name in "12345":
        os.utime(folder / name, (int(name), int(name)))
    assert [[one.name for one in batch] for batch in read(store, folder)] == [["1", "2"], ["3"], ["4"], ["5"]]


def test_names_that_are_no_text(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (b"a\xff", b"a\xfe"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(name)
    assert sorted(one.name for batch in read(store, folder) for one in batch) == ["a\\xfe", "a\\xff"]
    assert read(store, folder) == []


def test_look_takes_nothing(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    write(folder, {"a": b"1", "b": b"2"})
    for _ in range(2):
        assert FolderFeed("f", folder, store).look() == {
            "folder": str(folder), "files": 2, "waiting": 2, "next": ["a", "b"],
        }  # fmt: skip
    read(store, folder)
    assert FolderFeed("f", folder, store).look()["waiting"] == 0


def test_two_feeds_of_one_folder(tmp_path: Path, store: FeedStore) -> None:
    folder = tmp_path / "in"
    write(folder, {"a": b"1"})
    read(store, folder)
    other = FolderFeed("g", folder, store, settle_s=0.0)
    assert len(list(other.batches(threading.Event(), once=True))) == 1
