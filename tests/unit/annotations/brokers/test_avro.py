"""Avro from outside: schemas that would kill or hang the decoder, and containers that are damaged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lasair.annotations.brokers import avro
from lasair.errors import BadPacket
from tests.unit.annotations.brokers.made import bare, container, key_of, mapping, record

THING = record("thing", name="string", p=["null", "double"])


def test_a_datum_by_the_schema_that_came_along() -> None:
    value = {"name": "a", "p": 0.5}
    assert avro.datum(bare(THING, value), avro.parsed(key_of(THING))) == value


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (record("a", x=["null", "a"]), "within itself"),
        (record("a", x={"type": "array", "items": record("b", y=["null", "a"])}), "within itself"),
        (record("a", x={"type": "array", "items": "null"}), "takes no bytes"),
        (record("a", x={"type": "array", "items": record("b")}), "no fields"),
        (record("a", x={"type": "array", "items": {"type": "fixed", "name": "f", "size": 0}}), "no size"),
        (record("a", x="elsewhere"), "does not define"),
        (record("a", x=[]), "union of nothing"),
        (record("a", x=7), "where a type belongs"),
        ({"type": "record", "name": 7, "fields": []}, "without a name"),
        ({"type": "record", "name": "a", "fields": [7]}, "a field that is none"),
        ({"type": "enum", "name": "e", "symbols": 7}, "not Avro"),
        ("null", "takes no bytes"),
    ],
)
def test_schemas_that_are_refused(schema: Any, why: str) -> None:
    with pytest.raises(BadPacket, match=why):
        avro.parsed(json.dumps(schema).encode())


def test_a_chain_of_types_is_bounded_like_nesting() -> None:
    fields: list[dict[str, Any]] = [{"name": "f0", "type": record("r0", x="int")}]
    fields += [{"name": f"f{n}", "type": record(f"r{n}", x=f"r{n - 1}")} for n in range(1, 60)]
    with pytest.raises(BadPacket, match="nested"):
        avro.parsed(json.dumps({"type": "record", "name": "top", "fields": fields}).encode())
    nested: Any = "int"
    for _ in range(60):
        nested = {"type": "array", "items": nested}
    with pytest.raises(BadPacket, match="nested"):
        avro.parsed(json.dumps(nested).encode())


@pytest.mark.parametrize("schema", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (avro.MAX_SCHEMA_BYTES + 1)])
def test_what_is_no_schema(schema: bytes) -> None:
    with pytest.raises(BadPacket, match="schema"):
        avro.parsed(schema)


def test_bytes_left_over_are_another_schema() -> None:
    with pytest.raises(BadPacket, match="left behind"):
        avro.datum(bare(THING, {"name": "a", "p": None}) + b"\x00", avro.parsed(key_of(THING)))


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_containers(codec: str) -> None:
    values = [{"name": str(n), "p": n / 10} for n in range(5)]
    assert avro.container(container(THING, values, codec)) == (values, [])


def test_a_container_that_is_cut_off_gives_what_is_whole() -> None:
    first = container(THING, [{"name": "a", "p": 0.1}])
    sync = first[-16:]
    datum = bare(THING, {"name": "b", "p": 0.2})
    block = bytes([2, 2 * len(datum)]) + datum + sync
    bad = bytes([2, 2 * len(datum)]) + b"\x7f" * len(datum) + sync
    read = avro.container(first + bad + block + block[:-3])
    assert [one["name"] for one in read.records] == ["a", "b"]
    assert len(read.problems) == 2


def test_a_block_that_says_it_has_more_records_than_bytes() -> None:
    first = container(mapping("int"), [])
    read = avro.container(first + b"\xd0\x0f\x00" + first[-16:])  # a thousand records in no bytes
    assert read.records == []
    assert len(read.problems) == 1


def test_containers_that_grow_are_not_read_to_the_end() -> None:
    first = container(mapping("int"), [])
    many = avro.container(first + b"\xfe\xff\xff\xff\xff\xff\x03\x00" + first[-16:])
    assert (many.records, len(many.problems)) == ([], 1)
    grown = container(record("a", x="bytes"), [{"x": bytes(40 * 2**20)}, {"x": bytes(40 * 2**20)}], "deflate")
    assert len(grown) < 2**20
    read = avro.container(grown)
    assert (len(read.records), len(read.problems)) == (1, 1)
    assert "64 MB" in read.problems[0]
