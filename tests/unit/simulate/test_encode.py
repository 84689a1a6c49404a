from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.schema.avsc import writer_schema
from lasair.schema.model import INT_MISSING
from lasair.simulate.encode import (
    Joiner,
    RecordEncoder,
    Texts,
    array_bytes,
    block,
    container_header,
    long_bytes,
    record_schema,
    sync_marker,
    take,
    text_bytes,
)

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "all_types",
    "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "maybe_flag", "type": ["null", "boolean"]},
        {"name": "number", "type": "long"},
        {"name": "maybe_number", "type": ["null", "int"]},
        {"name": "number_or_null", "type": ["int", "null"]},
        {"name": "single", "type": "float"},
        {"name": "maybe_single", "type": ["null", "float"]},
        {"name": "double", "type": "double"},
        {"name": "maybe_double", "type": ["double", "null"]},
        {"name": "text", "type": "string"},
        {"name": "maybe_text", "type": ["null", "string"]},
        {"name": "when", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
    ],
}
PLAIN = {**SCHEMA, "fields": [*SCHEMA["fields"][:-1], {"name": "when", "type": ["null", "long"]}]}
LONG = st.integers(-(2**63) + 1, 2**63 - 1)
INT = st.integers(-(2**31), 2**31 - 1)
DOUBLE = st.floats(allow_nan=False)
ROW = st.fixed_dictionaries(
    {
        "flag": st.booleans(),
        "maybe_flag": st.none() | st.booleans(),
        "number": LONG,
        "maybe_number": st.none() | INT,
        "number_or_null": st.none() | INT,
        "single": st.floats(width=32),
        "maybe_single": st.none() | st.floats(width=32, allow_nan=False),
        "double": st.floats(),
        "maybe_double": st.none() | DOUBLE,
        "text": st.text(max_size=20),
        "maybe_text": st.none() | st.text(max_size=200),
        "when": st.none() | LONG,
    }
)


def by_fastavro(schema: dict[str, Any], rows: list[dict[str, Any]]) -> list[bytes]:
    parsed = fastavro.parse_schema(schema)
    out = []
    for row in rows:
        file = io.BytesIO()
        fastavro.schemaless_writer(file, parsed, row)
        out.append(file.getvalue())
    return out


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def missing(kind: str) -> Any:
        return np.nan if "single" in kind or "double" in kind else INT_MISSING

    out: dict[str, Any] = {}
    for name in (field["name"] for field in SCHEMA["fields"]):
        values = [row[name] for row in rows]
        if "text" in name:
            known = [value or "" for value in values]
            out[name] = Texts(known, np.array([-1 if v is None else i for i, v in enumerate(values)], np.int64))
        elif "flag" in name and None not in values:
            out[name] = np.array(values, np.bool_)
        else:
            out[name] = np.array([missing(name) if value is None else value for value in values])
    return out


@given(st.lists(ROW, max_size=8))
def test_columns_become_the_bytes_that_fastavro_writes(rows: list[dict[str, Any]]) -> None:
    made = RecordEncoder(SCHEMA).encode(len(rows), columns(rows))
    wanted = by_fastavro(PLAIN, rows)
    assert [made[i] for i in range(len(rows))] == wanted
    assert made.span(0, len(rows)) == b"".join(wanted)


@given(LONG | INT)
def test_long_as_avro_writes_it(value: int) -> None:
    assert [long_bytes(value)] == by_fastavro(
        {"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}]}, [{"n": value}]
    )


def test_long_arrays_are_encoded_piece_by_piece() -> None:
    schema = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}, {"name": "s", "type": "string"}]}
    n = 40_000
    made = RecordEncoder(schema).encode(n, {"n": np.arange(n), "s": Texts(("a", "bb"), np.arange(n) % 2)})
    assert made[0] == b"\0\x02a"
    assert made[39_999] == long_bytes(39_999) + b"\x04bb"
    assert made.offsets[-1] == len(made.data)


def test_no_records() -> None:
    made = RecordEncoder(SCHEMA).encode(0, {})
    assert made.data == b""
    assert made.offsets == [0]


def test_one_value_stands_for_all_rows_and_unknown_columns_are_left_out() -> None:
    schema = {
        "type": "record",
        "name": "r",
        "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": ["null", "float"]}],
    }
    made = RecordEncoder(schema).encode(2, {"a": 3, "other": 1.0})
    assert made.data == b"\x06\0\x06\0"


def test_nan_stays_nan_when_asked_for() -> None:
    schema = {"type": "record", "name": "r", "fields": [{"name": "b", "type": ["null", "float"]}]}
    values = {"b": np.array([np.nan])}
    assert RecordEncoder(schema).encode(1, values).data == b"\0"
    kept = RecordEncoder(schema).encode(1, values, nan_is_null=False).data
    assert kept[:1] == b"\x02"
    assert np.isnan(np.frombuffer(kept[1:], "<f4")[0])


@pytest.mark.parametrize("name", ["flag", "number", "text", "single"])
def test_a_field_that_cannot_be_null_wants_values(name: str) -> None:
    row = {"flag": True, "number": 1, "text": "t", "single": 1.0, "double": 1.0}
    del row[name]
    with pytest.raises(ValueError, match=f"all_types.{name} cannot be null"):
        RecordEncoder(SCHEMA).encode(1, row)


@pytest.mark.parametrize("kind", ["null", ["null"], ["null", "int", "string"], {"type": "array", "items": "int"}])
def test_other_types_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"r\.a"):
        RecordEncoder({"type": "record", "name": "r", "fields": [{"name": "a", "type": kind}]})


def test_take_selects_rows_of_every_kind_of_column() -> None:
    part = take({"a": np.arange(4), "b": Texts(("x", "y"), np.array([0, 1, 0, 1])), "c": 7}, np.array([3, 0]))
    assert np.asarray(part["a"]).tolist() == [3, 0]
    assert isinstance(part["b"], Texts)
    assert part["b"].which.tolist() == [1, 0]
    assert part["c"] == 7


def test_an_outer_record_is_joined_from_parts() -> None:
    inner = {"type": "record", "name": "inner", "fields": [{"name": "n", "type": "int"}]}
    schema = {
        "type": "record",
        "name": "outer",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "rows", "type": ["null", {"type": "array", "items": inner}]},
            {"name": "one", "type": ["inner", "null"]},
            {"name": "image", "type": ["null", "bytes"]},
        ],
    }
    rows = RecordEncoder(inner).encode(3, {"n": np.array([1, 2, 3])})
    joiner = Joiner(schema)
    made = [
        joiner.join({"id": long_bytes(5), "rows": array_bytes(3, rows.span(0, 3)), "image": text_bytes(b"\0\1")}),
        joiner.join({"id": long_bytes(6), "rows": array_bytes(0, b""), "one": rows[2], "image": None}),
    ]
    assert made == by_fastavro(
        schema,
        [
            {"id": 5, "rows": [{"n": 1}, {"n": 2}, {"n": 3}], "one": None, "image": b"\0\1"},
            {"id": 6, "rows": [], "one": {"n": 3}, "image": None},
        ],
    )
    with pytest.raises(KeyError):
        joiner.join({"rows": None})


def test_containers_are_read_by_fastavro() -> None:
    schema = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "int"}]}
    sync = sync_marker("a", 1)
    file = container_header(schema, sync) + block([b"\x02", b"\x04"], sync) + block([b"\x06"], sync)
    assert [row["n"] for row in fastavro.reader(io.BytesIO(file))] == [1, 2, 3]
    assert sync_marker("a", 1) == sync != sync_marker("a", 2)
    assert len(sync) == 16


def test_records_are_found_inside_a_schema() -> None:
    schema = writer_schema("lsst", "11.1")
    assert record_schema(schema, "mpc_orbits")["fields"][0]["name"] == "id"
    assert record_schema(schema, "diaSource")["fields"][0]["name"] == "diaSourceId"
    with pytest.raises(KeyError, match="no record 'nothing'"):
        record_schema(schema, "nothing")
    assert json.dumps(record_schema(writer_schema("ztf", "4.02"), "cutout")["fields"][1]["type"]) == '"bytes"'
