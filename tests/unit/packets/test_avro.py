from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from lasair.errors import BadPacket
from lasair.packets.avro import compile_schema, leaves
from tests.support.packets import small_lsst, small_ztf


def with_field(kind: Any) -> dict[str, Any]:
    schema = copy.deepcopy(small_lsst())
    schema["fields"].append({"name": "more", "type": kind})
    return schema


def test_survey_and_version() -> None:
    lsst, ztf = compile_schema(json.dumps(small_lsst())), compile_schema(json.dumps(small_ztf()).encode())
    assert (lsst.survey, lsst.version) == ("lsst", "11.1")
    assert (ztf.survey, ztf.version) == ("ztf", "4.02")
    assert compile_schema(small_lsst(), version="12.3").version == "12.3"
    assert compile_schema({**small_lsst(), "namespace": "other"}).version == ""


def test_parsed_by_fastavro_when_asked() -> None:
    assert compile_schema(small_lsst()).parsed["name"] == "lsst.v11_1.alert"


def test_names_are_resolved_in_their_name_space() -> None:
    inner = {
        "type": "record",
        "name": "b.inner",
        "fields": [{"name": "x", "type": {"type": "fixed", "name": "four", "size": 4}}],
    }
    kind = {
        "type": "record",
        "name": "outer",
        "namespace": "a",
        "fields": [{"name": "i", "type": inner}, {"name": "j", "type": ["null", "b.four"]}],
    }
    assert leaves(with_field(kind))["more", "j"] == "fixed"


def test_runs_of_unwanted_fields_are_few_ops() -> None:
    plain = compile_schema(small_lsst()).table
    kind = {"type": "record", "name": "m", "fields": [{"name": f"f{k}", "type": ["null", "float"]} for k in range(50)]}
    assert len(compile_schema(with_field(kind)).table.ops) == len(plain.ops) + 1
    assert len(compile_schema(small_lsst()).skipping.ops) < len(plain.ops)


_SELF = {"type": "record", "name": "me", "fields": [{"name": "again", "type": ["null", "me"]}]}


def bomb() -> Any:
    """Each record holds the one before twice: names make it small, resolving it would make 2^40 fields."""
    kind: Any = "int"
    for k in range(40):
        held = kind if isinstance(kind, str) else kind["name"]
        kind = {"type": "record", "name": f"r{k}", "fields": [{"name": "a", "type": kind}, {"name": "b", "type": held}]}
    return kind


def nested(depth: int) -> Any:
    kind: Any = "int"
    for _ in range(depth):
        kind = {"type": "array", "items": kind}
    return kind


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (_SELF, "recursive"),
        (bomb(), "more than"),
        (nested(9), "nests arrays"),
        (nested(200), "nested too deeply"),
        ([], "union of nothing"),
        (["null", ["int", "string"]], "union directly inside"),
        ("nothing", "does not define"),
        ({"type": "nothing"}, "does not define"),
        ({"type": 5}, "unknown type"),
        (None, "NoneType"),
        ({"type": "array"}, "NoneType"),
        ({"type": "record", "name": "x"}, "no fields"),
        ({"type": "record", "fields": []}, "without a name"),
        ({"type": "record", "name": "x", "fields": [{"type": "int"}]}, "without a name"),
        ({"type": "record", "name": "x", "fields": [5]}, "without a name"),
        ({"type": "fixed", "name": "x", "size": -1}, "no possible size"),
        ({"type": "fixed", "name": "x", "size": 2**40}, "no possible size"),
        ({"type": "fixed", "name": "x", "size": "4"}, "no possible size"),
        (
            {"type": "record", "name": "x", "fields": [{"name": f"f{k}", "type": "string"} for k in range(25000)]},
            "more than",
        ),
    ],
)
def test_schemas_that_are_refused(kind: Any, reason: str) -> None:
    with pytest.raises(BadPacket, match=reason):
        compile_schema(with_field(kind))


def test_many_large_fixed_fields_do_not_overflow() -> None:
    fields = [{"name": f"f{k}", "type": {"type": "fixed", "name": f"x{k}", "size": 2**30}} for k in range(5)]
    with pytest.raises(BadPacket, match="1 GB"):
        compile_schema(with_field({"type": "record", "name": "x", "fields": fields}))
    schema = small_lsst()
    schema["fields"] += fields
    compile_schema(schema)


@pytest.mark.parametrize("kind", ["string", "bytes", "int", "boolean", {"type": "enum", "name": "e", "symbols": ["A"]}])
def test_kept_fields_of_an_unfit_type(kind: Any) -> None:
    schema = copy.deepcopy(small_lsst())
    fields = schema["fields"][2]["type"]["fields"]
    place = next(k for k, one in enumerate(fields) if one["name"] == "band")
    fields[place] = {"name": "band", "type": kind}
    if kind in ("string", "bytes"):
        compile_schema(schema)
    else:
        with pytest.raises(BadPacket, match=r"field diaSource\.band"):
            compile_schema(schema)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '"string"', "[" * 100000, "\udcff", b"\xff"])
def test_texts_that_are_no_schema(text: Any) -> None:
    with pytest.raises(BadPacket):
        compile_schema(text)


def test_schemas_of_nobody() -> None:
    with pytest.raises(BadPacket, match="no survey"):
        compile_schema({"type": "record", "name": "x", "fields": [{"name": "a", "type": "int"}]})


def test_huge_schemas() -> None:
    with pytest.raises(BadPacket, match="longer than"):
        compile_schema(" " * 5_000_000)
