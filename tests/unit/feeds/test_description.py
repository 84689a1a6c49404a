"""Feeds as files describe them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lasair.errors import BadDefinition
from lasair.feeds.description import KNOWN, Description, parse_feeds, read_feeds
from lasair.feeds.folder import FolderFeed
from lasair.feeds.kafka import KafkaFeed
from lasair.feeds.store import FeedStore

KAFKA = {"bootstrap.servers": "127.0.0.1:1"}


def parse(**feeds: Any) -> list[Description]:
    return parse_feeds({"feeds": feeds}, source="feeds.toml", base=Path("/state"))


def test_folder() -> None:
    (one,) = parse(mine={"kind": "events", "folder": "in", "poll_s": 10, "settle_s": 0, "batch": 5, "topic": "t"})
    assert (one.kind, one.broker, one.folder, one.poll_s, one.settle_s) == ("events", "", Path("/state/in"), 10.0, 0.0)
    assert (one.batch, one.topic, one.active, one.where) == (5, "t", True, "/state/in")
    (one,) = parse(mine={"kind": "events", "folder": "/elsewhere", "active": False})
    assert one.folder == Path("/elsewhere") and not one.active


def test_kafka() -> None:
    (one,) = parse(
        mine={
            "kind": "annotations",
            "broker": "fink",
            "kafka": {**KAFKA, "fetch.min.bytes": 5},
            "topics": ["a", "^b", "a"],
        }
    )
    assert (one.broker, one.folder, one.topics, one.where) == ("fink", None, ("a", "^b"), "kafka 127.0.0.1:1")
    assert dict(one.kafka) == {**KAFKA, "fetch.min.bytes": 5}


@pytest.mark.parametrize("name", KNOWN)
def test_known_feeds_need_only_a_name(name: str) -> None:
    (one,) = parse(**{name: {}})
    assert one.kafka["bootstrap.servers"] and one.topics and one.kind == KNOWN[name]["kind"]


def test_known_feeds_are_added_to() -> None:
    secret = {"sasl.oauthbearer.client.id": "${A}", "bootstrap.servers": "kafka.test.gcn.nasa.gov"}
    (one, other, third, mirror) = parse(
        gcn={"kafka": secret, "like": "gcn"},
        gcn_test={"like": "gcn", "topics": ["igwn.gwalert"]},
        alerce={"folder": "x"},
        fink_ztf={"kafka": KAFKA},
    )
    assert dict(mirror.kafka) == KAFKA and mirror.topics == tuple(KNOWN["fink_ztf"]["topics"])
    assert one.kafka["sasl.oauthbearer.method"] == "oidc" and one.where == "kafka kafka.test.gcn.nasa.gov"
    assert one.topics == tuple(KNOWN["gcn"]["topics"])
    assert other.topics == ("igwn.gwalert",) and other.where == "kafka kafka.gcn.nasa.gov"
    assert (third.broker, third.topics, dict(third.kafka)) == ("alerce", (), {})


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        ({"kin": "events"}, r"unknown key 'kin'; did you mean kind\?"),
        ({"zzz": 1}, r"unknown key 'zzz'; known are kind,"),
        ({}, "the key 'kind' is missing"),
        ({"kind": "event"}, "kind is one of events, annotations, not 'event'"),
        ({"kind": 1}, "kind is text in quotes, not int"),
        ({"kind": "annotations", "folder": "x"}, "the key 'broker' is missing"),
        ({"kind": "annotations", "folder": "x", "broker": "ztf"}, "broker is one of alerce, ampel, antares, fink"),
        ({"kind": "events", "broker": "fink"}, "a feed of events has no broker"),
        ({"kind": "events"}, r"needs a folder, or kafka with bootstrap.servers"),
        ({"kind": "events", "folder": "x", "topics": ["a"]}, "it is one or the other"),
        ({"kind": "events", "folder": " "}, "folder is empty"),
        ({"kind": "events", "folder": "a\0b"}, "NUL"),
        ({"kind": "events", "kafka": KAFKA}, "topics is empty"),
        ({"kind": "events", "kafka": KAFKA, "topics": "a"}, "topics is a list"),
        ({"kind": "events", "kafka": KAFKA, "topics": ["a", ""]}, "topics is empty"),
        ({"kind": "events", "kafka": KAFKA, "topics": ["^(a"]}, "is not a regular expression"),
        ({"kind": "events", "kafka": "x", "topics": ["a"]}, "kafka is a table"),
        ({"kind": "events", "kafka": {"sasl": {"username": "x"}}}, r'in quotes: "sasl.username" ='),
        ({"kind": "events", "kafka": {**KAFKA, "enable.auto.commit": True}}, "'enable.auto.commit' cannot be set here"),
        ({"kind": "events", "kafka": {**KAFKA, "a": [1]}}, "a is text, a number, true or false, not list"),
        ({"kind": "events", "folder": "x", "batch": 0}, "batch is a number from 1 to 10000, not 0"),
        ({"kind": "events", "folder": "x", "batch": 1.5}, "batch is a number"),
        ({"kind": "events", "folder": "x", "poll_s": "1"}, "poll_s is a number from 0.05"),
        ({"kind": "events", "folder": "x", "poll_s": float("nan")}, "poll_s is a number"),
        ({"kind": "events", "folder": "x", "active": 1}, "active is true or false, not 1"),
        ({"like": "gcm"}, r"'gcm' is not known; did you mean gcn\?"),
        (5, "is a table"),
    ],
)  # fmt: skip
def test_refused(feed: Any, reason: str) -> None:
    with pytest.raises(BadDefinition, match=f"^feeds.toml: feed mine: .*{reason}"):
        parse(mine=feed)


def test_name_that_is_nearly_known() -> None:
    with pytest.raises(BadDefinition, match=r"did you mean \[feeds.fink_"):
        parse(fink={"kind": "annotations", "broker": "fink"})


@pytest.mark.parametrize("name", ["", "a b", "../x", "-a", "a" * 65])
def test_names(name: str) -> None:
    with pytest.raises(BadDefinition, match="a name has"):
        parse(**{name: {"kind": "events", "folder": "x"}})


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "feeds.toml"
    with pytest.raises(BadDefinition, match=r"there is no .*feeds.toml: describe feeds there"):
        read_feeds(file)
    for text, reason in (
        (b"[feeds", "not TOML"), (b"\xff", "not UTF-8"), (b"[feed.gcn]", "unknown key 'feed'"),
        (b"feeds = 1", "feeds are tables"), (b"a = " + b"[" * 100_000, "not TOML"),
    ):  # fmt: skip
        file.write_bytes(text)
        with pytest.raises(BadDefinition, match=reason):
            read_feeds(file)
    file.write_text("")
    assert read_feeds(file) == []
    file.write_text('[feeds.a]\nkind = "events"\nfolder = "in"\n[feeds.gcn]\nactive = false\n')
    one, other = read_feeds(file)
    assert (one.name, one.folder, other.name, other.active) == ("a", tmp_path / "in", "gcn", False)


def test_variables_are_filled_in_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**KAFKA, "sasl.password": "a${PW}c", "sasl.username": "${WHO}", "ssl.key.password": "plain"}
    (one,) = parse(mine={"kind": "events", "kafka": options, "topics": ["a"]})
    monkeypatch.delenv("PW", raising=False)
    monkeypatch.setenv("WHO", "me")
    with pytest.raises(BadDefinition, match=r"sasl.password: the environment variable PW is not set"):
        one.options()
    monkeypatch.setenv("PW", "b")
    filled, secrets = one.options()
    assert filled["sasl.password"] == "abc" and filled["sasl.username"] == "me"
    assert {"abc", "b", "plain"} <= set(secrets) and "me" not in secrets
    assert "plain" not in repr(one)
    (odd,) = parse(mine={"kind": "events", "kafka": {**KAFKA, "client.id": "${a b}"}, "topics": ["a"]})
    with pytest.raises(BadDefinition, match="is not the name of a variable"):
        odd.options()


def test_open(tmp_path: Path) -> None:
    store = FeedStore(tmp_path / "feeds.db", durable=False)
    folder, kafka, wrong, bad = parse(
        a={"kind": "events", "folder": "x"},
        b={"kind": "events", "kafka": KAFKA, "topics": ["a"]},
        c={"kind": "events", "kafka": {**KAFKA, "no.such.option": 1}, "topics": ["a"]},
        d={"kind": "events", "kafka": {**KAFKA, "session.timeout.ms": "secret"}, "topics": ["a"]},
    )
    assert isinstance(folder.open(store), FolderFeed)
    feed = kafka.open(store)
    assert isinstance(feed, KafkaFeed)
    feed.close()
    with pytest.raises(BadDefinition, match=r"^feed c: .*no.such.option"):
        wrong.open(store)
    with pytest.raises(BadDefinition, match=r"^feed d: .*session.timeout.ms"):
        bad.open(store)
    store.close()
