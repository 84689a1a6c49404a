"""Brokers' messages taken into a store."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.annotations import take
from lasair.annotations.brokers import fink as fink_adapter
from lasair.annotations.brokers.reading import Read, Source
from lasair.annotations.take import BROKERS, Taken, take_files, take_messages
from lasair.errors import BadDefinition, NotPermitted, StoreUnavailable
from lasair.stores.marks import SqliteMarkStore
from tests.support.data import DATA
from tests.unit.annotations.brokers.made import antares_message, bare, container, key_of, record

FINK = record("alert", objectId="string", cdsxmatch="string")


def fink(object_id: str, label: str = "RRLyr") -> tuple[bytes, bytes, str]:
    return key_of(FINK), bare(FINK, {"objectId": object_id, "cdsxmatch": label}), "fink_rrlyr_ztf"


def locus(object_id: str, tag: str) -> dict[str, object]:
    return {"locus_id": "ANT1", "tags": [tag], "properties": {"ztf_object_id": object_id, "num_alerts": 3}}


def probabilities(classification: str, version: str = "1.0") -> bytes:
    return json.dumps(
        [
            {"classifier_name": "lc_classifier", "classifier_version": version, "class_name": name, "probability": p}
            for name, p in ((classification, 0.9), ("other", 0.1))
        ]
    ).encode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarkStore]:
    opened = SqliteMarkStore(tmp_path / "marks.db", durable=False)
    yield opened
    opened.close()


def test_messages_give_annotations_and_again_nothing(store: SqliteMarkStore) -> None:
    messages = [
        fink("ZTF18aaaaaaa"),
        (None, fink("ZTF18aaaaaab")[1], "fink_rrlyr_ztf"),
        (b"", b"", "x"),
        (key_of(FINK), b"\xff" * 40, "fink_rrlyr_ztf"),
        fink("ZTF18aaaaaac"),
        (key_of(FINK), bare(FINK, {"objectId": "no name", "cdsxmatch": "x"}), ""),
    ]
    found = take_messages("fink", messages, store)
    assert [(one.annotations, one.changed, len(one.refused)) for one in found] == [
        (1, 1, 0), (0, 0, 1), (0, 0, 1), (0, 0, 1), (1, 1, 0), (0, 0, 1),
    ]  # fmt: skip
    assert found[0].reason == "" and "key" in found[1].reason and found[2].reason == "the message is empty"
    assert "record 0: " in found[5].reason and "no name" in found[5].reason
    (one,) = store.get("ztf", "ZTF18aaaaaaa")
    assert (one.topic, one.classification) == ("fink", "rrlyr")
    again = take_messages("fink", messages, store)
    assert [one.changed for one in again] == [0] * 6 and [one.annotations for one in again] == [1, 0, 0, 0, 1, 0]
    assert store.count("ztf") == 2
    assert take_messages("fink", [], store) == []
    with pytest.raises(BadDefinition, match="alerce, ampel, antares, fink"):
        take_messages("lasair", messages, store)


def test_every_broker_has_its_adapter(store: SqliteMarkStore) -> None:
    report = record("report", object=record("thing", source="string", id="string"))
    values = {
        "alerce": probabilities("QSO"),
        "ampel": container(report, [{"object": {"source": "LSST", "id": "5"}}]),
        "antares": antares_message(locus("ZTF18aaaaaaa", "dimmers")),
        "fink": json.dumps({"i:objectId": "ZTF18aaaaaaa", "v:classification": "SN candidate"}).encode(),
    }
    assert set(values) == set(BROKERS)
    found = {name: take_messages(name, [(None, value, "")], store)[0] for name, value in values.items()}
    assert found["antares"] == found["fink"] == Taken(1, 1)
    assert found["ampel"] == Taken(0, 0)
    assert "object" in found["alerce"].reason
    assert [one.topic for one in store.get("ztf", "ZTF18aaaaaaa")] == ["antares", "fink"]


def test_topics_that_may_not_annotate(store: SqliteMarkStore) -> None:
    asked = []

    def may(topic: str) -> None:
        asked.append(topic)
        raise NotPermitted(f"annotator {topic!r} is stopped")

    found = take_messages("fink", [fink("ZTF18aaaaaaa"), fink("ZTF18aaaaaab")], store, may=may)
    assert found[1][:2] == (0, 0) and found[1].reason == "ZTF18aaaaaab: annotator 'fink' is stopped"
    assert asked == ["fink"] and store.count("ztf") == 0

    def broken(_: str) -> None:
        raise StoreUnavailable("definitions.db")

    with pytest.raises(StoreUnavailable):
        take_messages("fink", [fink("ZTF18aaaaaaa")], store, may=broken)


def test_a_fault_in_an_adapter_is_named_and_stops_nothing(
    store: SqliteMarkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def adapter(message: object, source: Source) -> Read:
        if message == b"x":
            raise ZeroDivisionError("ours")
        return fink_adapter.annotations_of(message, source)

    monkeypatch.setattr(take, "BROKERS", {"fink": adapter})
    found = take_messages("fink", [(None, b"x", ""), fink("ZTF18aaaaaaa")], store)
    assert [one.changed for one in found] == [0, 1]
    assert "ZeroDivisionError: ours" in found[0].reason


def test_many_refused_records_are_counted_in_the_reason(store: SqliteMarkStore) -> None:
    (one,) = take_messages("fink", [(None, json.dumps([{"objectId": str(i)} for i in range(9)]).encode(), "")], store)
    assert len(one.refused) == 9 and one.reason.count("record") == 5 and one.reason.endswith("; and 4 more")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["SN", "VS", "AGN"])), max_size=12), st.integers(1, 12))
def test_a_log_of_messages_read_twice_ends_the_same(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[int, str]], batch: int
) -> None:
    """As a Kafka topic is read: in batches, again from an earlier offset."""
    store = SqliteMarkStore(tmp_path_factory.mktemp("s") / "marks.db", durable=False)
    log = [(None, json.dumps({"objectId": f"ZTF18aaaaaa{'abc'[i]}", "finkclass": one}).encode(), "") for i, one in said]
    for _ in range(2):
        for start in range(0, len(log), batch):
            take_messages("fink", log[start : start + batch], store)
    standing = {one: store.get("ztf", one) for one in (f"ZTF18aaaaaa{a}" for a in "abc")}
    assert {one: rows[0].classification for one, rows in standing.items() if rows} == {
        f"ZTF18aaaaaa{'abc'[i]}": one for i, one in said
    }
    if batch >= len(log):
        assert sum(len(store.history("ztf", one)) for one in standing) == sum(
            one != (mine[n - 1] if n else None)
            for i in range(3)
            for mine in [[two for j, two in said if j == i]]
            for n, one in enumerate(mine)
        )
    store.close()


def test_files_and_folders(store: SqliteMarkStore, tmp_path: Path) -> None:
    folder = tmp_path / "messages"
    (folder / "client.dimmers_staging").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x").write_bytes(b"x")
    (folder / "a.json").write_text(json.dumps(locus("ZTF18aaaaaaa", "first")))
    (folder / "b.bin").write_bytes(b"\x00\x01")
    (folder / "client.dimmers_staging" / "c").write_bytes(
        antares_message({**locus("ZTF18aaaaaab", "first"), "tags": ["first", "dimmers"]})
    )
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    single = tmp_path / "one.json"
    single.write_text(json.dumps([locus("ZTF18aaaaaac", "x"), {"tags": 1}, locus("nobody", "x")]))
    done: list[int] = []
    found = take_files("antares", [folder, single, tmp_path / "none"], store, progress=done.append)
    assert (found.files, found.annotations, found.changed, sum(done)) == (4, 3, 3, 4)
    assert found.topics == {"antares": 3}
    refused = {(path.name, reason) for path, reason in found.refused}
    assert {name for name, _ in refused} >= {"b.bin", "gone", "pipe", "one.json", "none"}
    assert ("pipe", "is no file with content") in refused
    assert ("none", "cannot be read: No such file or directory") in refused
    assert not any(name == "x" for name, _ in refused)
    assert store.get("ztf", "ZTF18aaaaaab")[0].classification == "dimmers"
    again = take_files("antares", [folder, single], store)
    assert (again.annotations, again.changed) == (3, 0)
    by_stream = take_files("antares", [folder], store, stream="client.x_staging")
    assert by_stream.changed == 1
    assert store.get("ztf", "ZTF18aaaaaab")[0].classification == "first"
    with pytest.raises(BadDefinition):
        take_files("nobody", [folder], store)


def test_a_reply_is_about_the_object_that_its_file_names(store: SqliteMarkStore, tmp_path: Path) -> None:
    for name in ("ZTF18aaaaaaa.json", "123.json", "reply.json"):
        (tmp_path / name).write_bytes(probabilities("QSO"))
    found = take_files("alerce", sorted(tmp_path.glob("*.json")), store)
    assert (found.files, found.annotations, len(found.refused)) == (3, 2, 1)
    assert found.refused[0][0].name == "reply.json"
    assert found.topics == {"alerce_lc": 2}
    assert store.get("ztf", "ZTF18aaaaaaa")[0].classification == store.get("lsst", 123)[0].classification == "QSO"


def test_files_that_are_too_large_are_not_read(
    store: SqliteMarkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take, "MAX_MESSAGE_BYTES", 1000)
    monkeypatch.setattr(take, "_FILE_BYTES", 600)
    (tmp_path / "large").write_bytes(b"[" * 1001)
    for a in "abc":
        text = json.dumps(locus(f"ZTF18aaaaaa{a}", "x"))
        (tmp_path / f"{a}.json").write_text(text + " " * (400 - len(text)))
    done: list[int] = []
    found = take_files("antares", sorted(tmp_path.glob("[abcl]*")), store, progress=done.append)
    assert found.refused == [(tmp_path / "large", "has 1001 bytes; 1000 are the most")]
    assert found.changed == 3 and done == [1, 1, 1]


if DATA is not None and (DATA / "brokers").is_dir():
    BROKERS_DATA = DATA / "brokers"

    def test_recorded_files(store: SqliteMarkStore) -> None:
        ztf, lsst = (BROKERS_DATA / f"fink_{one}_3alerts.avro" for one in ("ztf", "lsst"))
        found = take_files("fink", [ztf, lsst], store)
        assert (found.files, found.annotations, found.changed, found.refused) == (2, 4, 4, [])
        assert take_files("fink", [ztf, lsst], store).changed == 0
        assert take_files("ampel", [BROKERS_DATA / "ampel_report.avro"], store).topics == {"ampel": 1}
        assert take_files("antares", [BROKERS_DATA / "antares_lsst_locus.json"], store).annotations == 0
        assert [one.classification for one in store.get("lsst", 313893023095193658)] == ["Periodic"]
