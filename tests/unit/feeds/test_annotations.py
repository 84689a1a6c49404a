"""Brokers' messages that feeds take as annotations."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from lasair.annotations.model import Annotation
from lasair.definitions.django import connect
from lasair.definitions.people import list_annotators, set_active
from lasair.errors import StoreUnavailable
from lasair.feeds.folder import FolderFeed
from lasair.feeds.run import Report, run_feed
from lasair.feeds.source import FeedMessage
from lasair.feeds.store import FeedStore
from lasair.feeds.take import take_annotations
from lasair.stores.marks import Kept, SqliteMarkStore
from tests.support.data import DATA
from tests.unit.annotations.brokers.made import bare, key_of, record
from tests.unit.feeds.made import write

ALERT = record("alert", objectId="string", cdsxmatch="string")


def fink(object_id: str, label: str = "RRLyr", offset: int = 0) -> FeedMessage:
    value = bare(ALERT, {"objectId": object_id, "cdsxmatch": label})
    return FeedMessage("fink_uniform_sample_ztf", 0, offset, key_of(ALERT), value, 1e9 + offset)


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[SqliteMarkStore]:
    connect(tmp_path / "definitions.db")
    opened = SqliteMarkStore(tmp_path / "marks.db", durable=False)
    yield opened
    opened.close()


def test_messages_become_annotations_and_the_rest_dead_letters(marks: SqliteMarkStore) -> None:
    messages = [
        fink("ZTF18aaaaaaa"),
        fink("ZTF18aaaaaab")._replace(key=None),
        fink("no name"),
        fink("ZTF18aaaaaac")._replace(value=b""),
        fink("ZTF18aaaaaad")._replace(headers=(("_test", b"true"),)),
        fink("ZTF18aaaaaae")._replace(problem="cannot be read"),
        fink("ZTF18aaaaaaf"),
    ]
    outcomes = take_annotations("fink", marks, messages)
    assert [one.message for one in outcomes] == messages
    assert [one.changes for one in outcomes] == [1, 0, 0, 0, 0, 0, 1]
    reasons = [one.reason for one in outcomes]
    assert "needs its key" in reasons[1] and "is not a ZTF name" in reasons[2]
    assert reasons[3:6] == ["is empty", "", "cannot be read"] and reasons[0] == reasons[6] == ""
    assert [(one.topic, one.public, one.active) for one in list_annotators()] == [("fink", True, True)]
    again = take_annotations("fink", marks, messages)
    assert [one.changes for one in again] == [0] * 7 and [one.reason for one in again] == reasons
    assert [one.classification for one in marks.history("ztf", "ZTF18aaaaaaa")] == ["RRLyr"]


def test_stopped_annotator_takes_no_more(marks: SqliteMarkStore) -> None:
    take_annotations("fink", marks, [fink("ZTF18aaaaaaa")])
    set_active("fink", False)
    (outcome,) = take_annotations("fink", marks, [fink("ZTF18aaaaaab")])
    assert outcome.changes == 0 and "is stopped" in outcome.reason
    set_active("fink", True)
    assert take_annotations("fink", marks, [fink("ZTF18aaaaaab")])[0].changes == 1


class OddStore:
    """Keeps annotations, but for one object, whose annotations bring out a fault."""

    def __init__(self, store: SqliteMarkStore, fault: Exception) -> None:
        self._store, self._fault = store, fault

    def annotate(self, annotations: Sequence[Annotation], now_s: float) -> list[Kept]:
        if any(one.object_id == "ZTF18aaaaaab" for one in annotations):
            raise self._fault
        return self._store.annotate(annotations, now_s)


def test_fault_that_one_brings_out_is_not_that_of_the_others(marks: SqliteMarkStore) -> None:
    messages = [fink(f"ZTF18aaaaaa{letter}") for letter in "abc"]
    outcomes = take_annotations("fink", OddStore(marks, OverflowError("too large")), messages)
    assert [one.changes for one in outcomes] == [1, 0, 1] and outcomes[1].reason == "OverflowError: too large"
    with pytest.raises(StoreUnavailable):
        take_annotations("fink", OddStore(marks, StoreUnavailable("disk full")), messages)


class Replays:
    """A feed that gives all again from the start, in batches of another size each time."""

    def __init__(self, messages: Sequence[FeedMessage], size: int) -> None:
        self._messages, self._size = messages, size

    def batches(self, stop: threading.Event, *, once: bool) -> Iterator[list[FeedMessage]]:
        for start in range(0, len(self._messages), self._size):
            yield list(self._messages[start : start + self._size])

    def commit(self) -> None: ...

    def wait(self, seconds: float, stop: threading.Event) -> None: ...

    def look(self) -> dict[str, object]:
        return {}

    def close(self) -> None: ...


def test_replays_do_not_write_history_again(marks: SqliteMarkStore, tmp_path: Path) -> None:
    """The same object's classes change to and fro: what was said before must not be said again."""
    labels = ["RRLyr", "Mira", "RRLyr", "QSO", "Mira"]
    messages = [fink("ZTF18aaaaaaa", label, n) for n, label in enumerate(labels)]
    store = FeedStore(tmp_path / "feeds.db", durable=False)
    for size in (5, 2, 1):
        report = Report("fink")
        take = partial(take_annotations, "fink", marks)
        run_feed("fink", Replays(messages, size), store, take, threading.Event(), report, once=True)
        history = sorted(marks.history("ztf", "ZTF18aaaaaaa"), key=lambda one: one.annotation_id)
        assert [one.classification for one in history] == labels
    assert store.counts()[0].messages == 5 and report.messages == 0
    store.close()


if DATA is not None and (DATA / "brokers").is_dir():

    def test_recorded_messages_in_folders(marks: SqliteMarkStore, tmp_path: Path) -> None:
        assert DATA is not None
        store = FeedStore(tmp_path / "feeds.db", durable=False)
        names = {"fink": ["fink_ztf_3alerts.avro", "fink_lsst_3alerts.avro"], "ampel": ["ampel_report.avro"]}
        for broker, files in names.items():
            folder = tmp_path / broker
            write(folder, {one: (DATA / "brokers" / one).read_bytes() for one in files})
            for expected in (len(files), 0):
                report = Report(broker)
                feed = FolderFeed(broker, folder, store, settle_s=0.0)
                take = partial(take_annotations, broker, marks)
                run_feed(broker, feed, store, take, threading.Event(), report, once=True)
                assert (report.messages, report.dead_letters) == (expected, 0)
        counts = {(one.survey, one.topic): one.objects for one in marks.topics()}
        assert counts == {("ztf", "fink"): 3, ("lsst", "fink"): 1, ("lsst", "ampel"): 1}
        store.close()
