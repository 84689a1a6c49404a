from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.errors import BadPacket
from lasair.packets.batch import Message
from lasair.packets.decode import decode
from lasair.packets.files import read_messages
from lasair.packets.schemas import SchemaSource
from lasair.schema.avsc import writer_schema
from lasair.simulate import replay
from lasair.simulate.messages import SimMessage
from lasair.simulate.write import write
from tests.support.data import DATA

IDS = {"diaSourceId", "diaObjectId", "ssObjectId", "parentDiaSourceId", "diaForcedSourceId", "candid", "objectId"}
TIMES = {
    "midpointMjdTai", "timeProcessedMjdTai", "timeWithdrawnMjdTai", "validityStartMjdTai", "firstDiaSourceMjdTai",
    "lastDiaSourceMjdTai", "jd", "jdstarthist", "jdendhist", "nid",
}  # fmt: skip


def differences(one: Any, two: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict):
        for key in one:
            yield from differences(one[key], two[key], key)
    elif isinstance(one, list):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            yield from differences(a, b, name)
    elif one != two and not (one != one and two != two):
        yield name, one, two


def lsst(value: bytes, version: str = "11.1") -> Any:
    file = io.BytesIO(value[5:])
    found = fastavro.schemaless_reader(file, fastavro.parse_schema(writer_schema("lsst", version)))
    assert not file.read()
    return found


def ztf(value: bytes) -> Any:
    (found,) = fastavro.reader(io.BytesIO(value))
    return found


@pytest.fixture(scope="module")
def night(messages: tuple[SimMessage, ...]) -> list[SimMessage]:
    return [one for one in messages if one.datum and one.fault is None and one.version in ("11.1", "4.02")]


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> SchemaSource:
    folder = tmp_path_factory.mktemp("schemas")
    return SchemaSource([write("test", folder / "one", n=30).folder / "schemas"])


@pytest.mark.parametrize("survey", ["lsst", "ztf"])
def test_only_ids_and_times_change_and_they_stay_consistent(
    night: list[SimMessage], schemas: SchemaSource, survey: str
) -> None:
    sent = [one.value for one in night if one.survey == survey]
    read = lsst if survey == "lsst" else ztf
    copies = list(replay.replay(sent, 3, seed=7, shift_d=100, schemas=schemas))
    assert len(copies) == 3 * len(sent)
    everything: set[Any] = set()
    for copy in range(3):
        ids: dict[Any, Any] = {}
        for old, new in zip(sent, copies[copy * len(sent) :], strict=False):
            assert len(old) == len(new)
            for name, a, b in differences(read(old), read(new)):
                if name in TIMES:
                    assert b - a == pytest.approx(100, abs=1e-8)
                else:
                    assert name in IDS
                    assert ids.setdefault(a, b) == b
        assert len(set(ids.values())) == len(ids)
        assert not everything & set(ids.values())
        everything |= set(ids.values())


def test_replayed_packets_decode_as_the_originals_did(night: list[SimMessage], schemas: SchemaSource) -> None:
    values = [one.value for one in night]
    before, refused = decode([Message(value, "p", k, 0.0) for k, value in enumerate(values)], schemas)
    assert not refused
    after, refused = decode(
        [Message(value, "p", k, 0.0) for k, value in enumerate(replay.replay(values, seed=3, schemas=schemas))], schemas
    )
    assert not refused
    for one, two in zip(before, after, strict=True):
        assert np.array_equal(one.rows["mjd_tai"], two.rows["mjd_tai"])
        assert np.array_equal(one.alerts["ra"], two.alerts["ra"])
        assert not np.isin(two.alerts["alert_id"], one.alerts["alert_id"]).any()


def test_files_are_replayed_damaged_messages_are_not(tmp_path: Path) -> None:
    summary = write("test", tmp_path / "night", seed=5, n=400)
    source = SchemaSource([tmp_path / "night" / "schemas"])
    out = list(replay.replay([tmp_path / "night"], 1, seed=1, schemas=source))
    # records with an impossible time or place can be walked all the same
    damaged = sum(summary.faults[name] for name in ("truncated", "random_bytes", "wrong_magic", "unknown_schema"))
    damaged += sum(summary.faults[name] for name in ("damaged_container", "text_for_bytes"))
    assert len(out) == summary.total - damaged


def test_the_first_copy_of_seed_0_keeps_the_ids(night: list[SimMessage], schemas: SchemaSource) -> None:
    sent = [one.value for one in night]
    assert list(replay.replay(sent, 1, seed=0, schemas=schemas)) == sent


@given(
    st.integers(7, 9).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.lists(st.integers(1 << (7 * size - 8), (1 << (7 * size - 1)) - 1), min_size=1, max_size=20, unique=True),
        )
    ),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)
def test_new_ids_are_as_long_and_one_for_one(drawn: tuple[int, list[int]], copy: int, seed: int) -> None:
    size, ids = drawn
    new = replay.renamed(np.array(ids, np.int64), size, copy, seed).tolist()
    assert len(set(new)) == len(ids)
    for number in new:
        assert 1 << (7 * size - 8) <= number < 1 << (7 * size - 1)
    again = replay.renamed(np.array(ids, np.int64), size, copy, seed).tolist()
    assert new == again
    assert set(new) != set(replay.renamed(np.array(ids, np.int64), size, copy + 1, seed).tolist())


def test_wrong_use() -> None:
    with pytest.raises(ValueError, match="0 copies"):
        replay.replay([], 0)
    with pytest.raises(BadPacket):
        replay.template("lsst", writer_schema("lsst", "11.1"), b"\x02\x04")
    with pytest.raises(BadPacket):
        replay.template("lsst", {"type": "record", "name": "r", "fields": [{"name": "m", "type": "map"}]}, b"")
    assert list(replay.replay([b"", b"\1\2\3\4\5\6", b"Obj\1"], 2)) == []


def test_history_is_cut_to_the_newest_rows(night: list[SimMessage]) -> None:
    longest = max(
        (lsst(one.value) for one in night if one.survey == "lsst"), key=lambda p: len(p["prvDiaSources"] or [])
    )
    rows = longest["prvDiaSources"]
    longest["prvDiaSources"] = rows[::-1]
    cut = replay.trim_history(longest, 2, 0)
    assert cut["prvDiaSources"] == rows[-2:]
    assert cut["prvDiaForcedSources"] is None
    assert replay.trim_history(longest, 10**6, 10**6)["prvDiaSources"] == rows
    assert longest["prvDiaSources"] == rows[::-1]


def test_records_of_a_container_under_another_version(messages: tuple[SimMessage, ...], tmp_path: Path) -> None:
    old = [lsst(one.value, "10.0") for one in messages if one.version == "10.0" and one.datum and not one.fault][:20]
    old[0]["diaSource"]["psfNdata"] = None
    with (tmp_path / "old.avro").open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(writer_schema("lsst", "10.0")), old, codec="deflate")
    made = list(replay.replay_records(tmp_path / "old.avro", copies=2, trim=(1, 1), seed=0))
    assert len(made) == 2 * len(old)
    for before, value in zip(old, made, strict=False):
        after = lsst(value)
        assert len(after["prvDiaSources"] or []) == min(1, len(before["prvDiaSources"] or []))
        assert after["diaSource"]["exposureTime"] is None
        shared = {key: value for key, value in after["diaSource"].items() if key in before["diaSource"]}
        before["diaSource"]["psfNdata"] = before["diaSource"]["psfNdata"] or 0
        assert shared == before["diaSource"]


REAL = ["lsst/v10_0_public_20260306.avro", "lsst/v9_0_lsstcam_20250906.avro", "ztf/packets/v4_02", "ztf/packets/v1_8"]


if DATA is not None:
    PACKETS = DATA

    @pytest.mark.parametrize("name", REAL)
    def test_real_packets_are_replayed(name: str) -> None:
        before = [one for one in read_messages(PACKETS / name) if isinstance(one, Message)]
        after = list(replay.replay([PACKETS / name], 1, seed=9, shift_d=365))
        assert len(after) == len(before) > 0
        for one, value in zip(before, after, strict=True):
            assert one.schema is not None
            parsed = one.schema.parsed
            start = 5 if one.schema.survey == "lsst" else len(value) - 16 - len(one.value)
            end = len(value) if one.schema.survey == "lsst" else len(value) - 16
            old = fastavro.schemaless_reader(io.BytesIO(one.value), parsed)
            new = fastavro.schemaless_reader(io.BytesIO(value[start:end]), parsed)
            changed = {key for key, _, _ in differences(old, new)}
            assert changed <= IDS | TIMES
            assert {"diaSourceId", "midpointMjdTai"} <= changed or {"candid", "objectId", "jd"} <= changed
