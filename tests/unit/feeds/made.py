"""Notices of made events, and what a state says of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lasair.definitions.django import connect
from lasair.errors import StoreUnavailable
from lasair.feeds.source import FeedMessage
from lasair.feeds.store import FeedStore
from tests.unit.events.made import gcn, igwn

#: What no reader of notices can use.
HOSTILE: tuple[bytes, ...] = (
    b"",
    b"\x00\xff\xfe" * 50,
    b"{" * 100_000,
    b'{"mission": "Example", "id": ["1"], "ra": 1e999, "dec": "north", "trigger_time": "never"}',
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "cccccccc">]><voe:VOEvent>&b;</voe:VOEvent>',
    b'{"superevent_id": "S260301ab", "alert_type": "INITIAL", "event": {"skymap": "AAAA"}}',
    b'["a list"]',
    b"\x1f\x8b\x08\x00damaged",
)


def notice(number: int, **changes: Any) -> bytes:
    """The notice of an event of its own."""
    return json.dumps(gcn(id=[f"burst-{number}"], ra=float(number % 360), **changes)).encode()


def retraction(number: int) -> bytes:
    """A later notice that takes it back."""
    place = {"ra": "absent", "dec": "absent", "ra_dec_error": "absent"}
    late = {"alert_type": "retraction", "alert_datetime": "2026-03-02T00:00:00Z", "record_number": 9}
    return json.dumps(gcn(id=[f"burst-{number}"], **{**place, **late})).encode()


def wave(**changes: Any) -> bytes:
    """An alert of a gravitational wave, with its map."""
    return json.dumps(igwn(**changes)).encode()


def message(value: bytes, offset: int = 0, **more: Any) -> FeedMessage:
    """A message as Kafka gives it."""
    return FeedMessage("gcn.notices.example", 0, offset, None, value, 1_772_000_000.0 + offset)._replace(**more)


def events_of(state: Path) -> list[tuple[Any, ...]]:
    """Every event with its state and its notices, comparable between states that saw the same notices."""
    from lasair.definitions.events import list_events, show_event

    connect(state / "definitions.db")
    found = []
    for one in sorted(list_events(), key=lambda one: one.name):
        shown = show_event(one.name)
        notices = sorted((each["kind"], each["issued"] or "", each["holds"]) for each in shown["notices"])
        found.append((one.name, one.state, one.happened, one.area90, tuple(notices)))
    return found


def letters_of(state: Path, feed: str) -> list[tuple[str, int, int, str, bytes | None]]:
    """The dead letters of a feed, without times."""
    store = FeedStore(state / "feeds.db", read_only=True)
    try:
        found = [(one.topic, one.partition, one.offset, one.reason, one.value) for one in store.letters(feed)]
    finally:
        store.close()
    return sorted(found)


def counts_of(state: Path) -> list[tuple[str, int, int]]:
    """(feed, messages, of these used), as the store counts."""
    store = FeedStore(state / "feeds.db", read_only=True)
    try:
        return [(one.feed, one.messages, one.used) for one in store.counts()]
    finally:
        store.close()


def taken(state: Path) -> int:
    """Messages that feeds have taken so far, while they may be at work."""
    try:
        return sum(one[1] for one in counts_of(state)) if (state / "feeds.db").is_file() else 0
    except StoreUnavailable:
        return 0  # it is being made


def write(folder: Path, files: dict[str, bytes] | Sequence[bytes]) -> None:
    """Put files into a folder."""
    named = files if isinstance(files, dict) else {f"{n:03d}.json": one for n, one in enumerate(files)}
    for name, value in named.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(value)
