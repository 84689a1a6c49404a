"""Avro schemas built from our description: legal, complete, and byte for byte the surveys' own."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.schema import to_parsing_canonical_form

from lasair.schema import layout
from lasair.schema.avsc import KNOWN, schema_id, writer_schema
from lasair.schema.model import SURVEYS, Survey
from tests.support.data import DATA

#: Records that become light-curve rows.
ROW_RECORDS = {"lsst": ("diaSource", "diaForcedSource"), "ztf": ("candidate", "prv_candidate", "fp_hist")}
EVERY = [(survey, version) for survey in SURVEYS for version in KNOWN[survey]]


def records(schema: Any) -> dict[str, list[tuple[str, Any, Any]]]:
    """Full name of each record -> (field, type with records by full name, default or 'none') in order."""
    found: dict[str, list[tuple[str, Any, Any]]] = {}

    def kind(node: Any, namespace: str) -> Any:
        if isinstance(node, list):
            return tuple(kind(one, namespace) for one in node)
        if isinstance(node, str):
            known = f"{namespace}.{node}"
            return known if known in found else node
        if node["type"] == "record":
            space = node.get("namespace", namespace)
            name = node["name"] if "." in node["name"] else f"{space}.{node['name']}"
            fields: list[tuple[str, Any, Any]] = []
            found[name] = fields
            for field in node["fields"]:
                fields.append((field["name"], kind(field["type"], space), field.get("default", "none")))
            return name
        if node["type"] == "array":
            return ("array", kind(node["items"], namespace))
        if "logicalType" in node:
            return (node["type"], node["logicalType"])
        return kind(node["type"], namespace)

    kind(schema, "")
    return found


def sizes(survey: Survey, version: str) -> dict[str, int]:
    return {name.rpartition(".")[2]: len(fields) for name, fields in records(writer_schema(survey, version)).items()}


@pytest.mark.parametrize(
    ("version", "number"), [("7.1", 701), ("10.0", 1000), ("11.1", 1101), ("4.02", 402), ("3.3", 303)]
)
def test_schema_id(version: str, number: int) -> None:
    assert schema_id(version) == number


@pytest.mark.parametrize("version", ["", "11", "11.", ".1", "a.b", "11.1.2", "-1.0", "11.²"])
def test_schema_id_refuses_what_is_no_version(version: str) -> None:
    with pytest.raises(ValueError, match="is not a schema version"):
        schema_id(version)


@pytest.mark.parametrize(("survey", "version"), [("lsst", "7.4"), ("lsst", "4.02"), ("ztf", "11.1")])
def test_unknown_version_names_the_known_ones(survey: Survey, version: str) -> None:
    with pytest.raises(ValueError, match=KNOWN[survey][-1]):
        writer_schema(survey, version)


@pytest.mark.parametrize(("survey", "version"), EVERY)
def test_fastavro_accepts_it_defaults_included(survey: Survey, version: str) -> None:
    fastavro.parse_schema(writer_schema(survey, version))
    assert json.loads(json.dumps(writer_schema(survey, version))) == writer_schema(survey, version)


@pytest.mark.parametrize(("survey", "version"), EVERY)
def test_the_result_is_the_caller_s_own(survey: Survey, version: str) -> None:
    writer_schema(survey, version)["fields"].clear()
    assert writer_schema(survey, version)["fields"]


def test_number_of_fields_of_each_record() -> None:
    lsst = {"alert": 12, "diaForcedSource": 14, "diaObject": 82, "ssSource": 39, "mpc_orbits": 53}
    assert sizes("lsst", "10.0") == sizes("lsst", "11.0") == {**lsst, "diaSource": 98}
    assert sizes("lsst", "11.1") == {**lsst, "diaSource": 102}
    ztf = {"candidate": 103, "prv_candidate": 57, "cutout": 2}
    assert sizes("ztf", "3.3") == {**ztf, "alert": 9}
    assert sizes("ztf", "4.02") == {**ztf, "alert": 10, "fp_hist": 29}


def test_counts_became_obligatory_in_11_0() -> None:
    old, new = (dict(records(writer_schema("lsst", v))) for v in ("10.0", "11.0"))
    changed = set()
    for (name, before), after in zip(old.items(), new.values(), strict=True):
        for (field, kind, _), (_, new_kind, _) in zip(before, after, strict=True):
            if kind == ("null", "int") and new_kind == "int":
                changed.add(f"{name.rpartition('.')[2]}.{field}")
    assert changed == {
        *(f"diaSource.{field}" for field in ("psfNdata", "trailNdata", "dipoleNdata", "bboxSize")),
        *(f"diaObject.{b}_psfFluxNdata" for b in "ugrizy"),
    }


def test_what_11_1_added() -> None:
    old, new = (
        {f[0] for f in records(writer_schema("lsst", v))[f"lsst.v{v.replace('.', '_')}.diaSource"]}
        for v in KNOWN["lsst"][1:]
    )
    assert new - old == {"exposureTime", "trail_flag", "trailAlgorithm", "reliabilityVersion"}
    assert not old - new


def test_ztf_says_its_version() -> None:
    schema = writer_schema("ztf", "4.02")
    assert (schema["namespace"], schema["name"], schema["version"]) == ("ztf", "alert", "4.02")


def test_ztf_null_stands_last_before_version_4() -> None:
    fields = {
        name: (kind, default) for name, kind, default in records(writer_schema("ztf", "3.3"))["ztf.alert.candidate"]
    }
    assert fields["rb"] == (("float", "null"), "none")
    assert fields["tooflag"] == (("int", "null"), 0)
    fields = {
        name: (kind, default) for name, kind, default in records(writer_schema("ztf", "4.02"))["ztf.alert.candidate"]
    }
    assert fields["rb"] == (("null", "float"), None)


@pytest.mark.parametrize("survey", SURVEYS)
def test_the_layout_s_packet_fields_exist(survey: Survey) -> None:
    """What packets/ reads is in the newest schema, but for names that only older versions had."""
    described = records(writer_schema(survey, KNOWN[survey][-1]))
    short = {name.rpartition(".")[2]: {field for field, _, _ in fields} for name, fields in described.items()}
    for field in layout(survey, "alert").fields:
        if field.sources:
            paths = [source.rpartition(".") for source in field.sources if isinstance(source, str)]
            assert any(last in short[record or "alert"] for record, _, last in paths if (record or "alert") in short)
    sent = set().union(*(short[record] for record in ROW_RECORDS[survey]))
    for field in layout(survey, "row").fields:
        if isinstance(field.sources, dict):
            for kind in {"detection", "forced"} & set(field.sources):
                assert any(name in sent for name in field.sources[kind]), field.name


def example(schema: dict[str, Any]) -> dict[str, Any]:
    """A small record of that schema: every nullable value null, one row in no history."""
    return {field["name"]: value(field["type"]) for field in schema["fields"]}


def value(kind: Any) -> Any:
    if isinstance(kind, list):
        return None
    if isinstance(kind, dict) and kind["type"] == "record":
        return example(kind)
    return {"string": "text", "bytes": b"\0", "boolean": True, "float": 0.5, "double": 2.25}.get(kind, 7)


@pytest.mark.parametrize(("survey", "version"), EVERY)
def test_round_trip(survey: Survey, version: str) -> None:
    schema = writer_schema(survey, version)
    record = example(schema)
    parsed = fastavro.parse_schema(schema)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, parsed, record)
    stream.seek(0)
    assert fastavro.schemaless_reader(stream, parsed, parsed) == record


if DATA is not None:
    LSST = DATA / "lsst"
    ZTF_PACKETS = DATA / "ztf" / "packets"
    OFFICIAL_ZTF = DATA / "ztf" / "schemas" / "ztf.alert.v4_02.avsc"

    def official(version: str) -> dict[str, Any]:
        path = LSST / "schemas" / f"lsst.v{version.replace('.', '_')}.alert.avsc"
        loaded: dict[str, Any] = json.loads(path.read_text())
        return loaded

    def named(schema: Any) -> dict[str, list[tuple[str, Any, Any]]]:
        """As `records`, with references to records in one spelling (the surveys use short and full names)."""
        return records(fastavro.parse_schema(schema))

    @pytest.mark.parametrize("version", KNOWN["lsst"])
    def test_lsst_is_the_official_schema(version: str) -> None:
        assert named(writer_schema("lsst", version)) == named(official(version))

    def test_ztf_is_the_official_schema() -> None:
        assert named(writer_schema("ztf", "4.02")) == named(json.loads(OFFICIAL_ZTF.read_text()))

    def test_ztf_3_3_is_the_schema_inside_real_packets() -> None:
        """But for its defaults of null, which Avro does not allow after another first branch."""
        path = min((ZTF_PACKETS / "v3_3").glob("*.avro"))
        with path.open("rb") as file:
            theirs = fastavro.reader(file).writer_schema
        assert to_parsing_canonical_form(theirs) == to_parsing_canonical_form(writer_schema("ztf", "3.3"))

    REAL = [
        ("10.0", LSST / "v10_0_public_20260306.avro"),
        ("11.0", LSST / "v11_0_fake.avro"),
        ("11.1", LSST / "v11_1_derived.avro"),
    ]

    @pytest.mark.parametrize(("version", "path"), REAL, ids=[path.stem for _, path in REAL])
    def test_real_lsst_packets_pass_from_our_schema_to_theirs(version: str, path: Path) -> None:
        ours, theirs = fastavro.parse_schema(writer_schema("lsst", version)), fastavro.parse_schema(official(version))
        with path.open("rb") as file:
            for record in list(fastavro.reader(file))[:4]:
                check(record, ours, theirs)

    @pytest.mark.parametrize(("version", "folder"), [("3.3", "v3_3"), ("4.02", "v4_02")])
    def test_real_ztf_packets_pass_from_our_schema_to_theirs(version: str, folder: str) -> None:
        ours = fastavro.parse_schema(writer_schema("ztf", version))
        for path in sorted((ZTF_PACKETS / folder).glob("*.avro"))[:3]:
            with path.open("rb") as file:
                reader = fastavro.reader(file)
                theirs = reader.writer_schema
                for record in reader:
                    check(record, ours, theirs)

    def check(record: Any, ours: Any, theirs: Any) -> None:
        """Written under ours it gives the bytes that theirs gives, and theirs reads it back."""
        streams = []
        for schema in (ours, theirs):
            stream = io.BytesIO()
            fastavro.schemaless_writer(stream, schema, record)
            streams.append(stream)
        assert streams[0].getvalue() == streams[1].getvalue()
        streams[0].seek(0)
        # NaN is not equal to itself; its text is
        assert repr(fastavro.schemaless_reader(streams[0], theirs, None)) == repr(record)
