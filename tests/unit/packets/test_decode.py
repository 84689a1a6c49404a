from __future__ import annotations

import copy
import math
import time
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lasair.errors import UnknownSchema
from lasair.packets.avro import PacketSchema, compile_schema
from lasair.packets.batch import AlertBatch, Message, Refused
from lasair.packets.decode import decode
from lasair.packets.schemas import SchemaSource
from lasair.schema.avsc import KNOWN, writer_schema
from lasair.schema.model import INT_MISSING
from tests.support.packets import (
    check_equal,
    container,
    datum,
    encode,
    filled,
    lsst_alert,
    lsst_value,
    message,
    small_lsst,
    small_ztf,
    sub_type,
    zigzag,
    ztf_alert,
)

LSST, ZTF = small_lsst(), small_ztf()
LSST_SCHEMA, ZTF_SCHEMA = compile_schema(LSST), compile_schema(ZTF)
MJD = 61108.25


class OneSchema(SchemaSource):
    """A source that knows 1101 only."""

    def get(self, schema_id: int) -> PacketSchema:
        if schema_id != 1101:
            raise UnknownSchema(f"schema {schema_id} is not here")
        return LSST_SCHEMA


SOURCE = OneSchema()


def one(value: bytes, schema: PacketSchema | None = None, **options: Any) -> AlertBatch:
    batches, refused = decode([message(value, schema=schema)], SOURCE, **options)
    assert refused == [] and len(batches) == 1
    return batches[0]


def refusal(value: bytes, schema: PacketSchema | None = None) -> str:
    batches, refused = decode([message(value, schema=schema)], SOURCE)
    assert batches == [] and len(refused) == 1
    return refused[0].reason


def lsst(record: dict[str, Any]) -> AlertBatch:
    return one(lsst_value(LSST, record))


def ztf(record: dict[str, Any]) -> AlertBatch:
    return one(datum(ZTF, record), ZTF_SCHEMA)


def source(name: str = "prvDiaSources", **values: Any) -> dict[str, Any]:
    return filled(sub_type(LSST, name), **values)


def earlier(**values: Any) -> dict[str, Any]:
    return filled(sub_type(ZTF, "prv_candidates"), **({"jd": 2460490.75, "fid": 1, "pid": 5, "programid": 1} | values))


# --- values ---

_ID = st.integers(2**55, 2**62 - 1)
_INT = st.integers(-(2**31), 2**31 - 1)
_F4 = st.one_of(st.floats(width=32), st.sampled_from([-999.0, -99999.0, 0.0, math.nan]))
_F8 = st.one_of(st.floats(), st.sampled_from([-999.0, math.nan]))
_TIME = st.floats(47893.0, 88068.0)
_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
_KINDS = {"int": _INT, "long": st.integers(-(2**63) + 1, 2**63 - 1), "float": _F4, "double": _F8, "string": _TEXT}
_KINDS |= {"boolean": st.booleans(), "bytes": st.binary(max_size=40)}
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "diaSourceId": _ID, "midpointMjdTai": _TIME, "ra": st.floats(0, 359.9), "dec": st.floats(-90, 90),
    "jd": _TIME.map(lambda mjd: mjd + 2400000.5), "candid": _ID, "pid": st.integers(0, 2**50),
    "band": st.sampled_from(["u", "g", "r", "i", "z", "y", "", "gr", "X"]), "programid": st.just(1),
    "isdiffpos": st.sampled_from(["t", "f", "1", "0", "", "true"]), "fid": st.integers(0, 5),
    "nid": st.integers(0, 10000), "rcid": st.integers(0, 63), "field": st.integers(-(2**31), 2**31 - 1),
    "procstatus": st.sampled_from(["0", "56", "61", "", "5x", "12345"]),
    "ssnamenr": st.sampled_from(["null", "", "433", "2006 TK6"]),
    "ssdistnr": st.sampled_from([-999.0, 0.0, 4.5, 5.0, 5.5, math.nan]),
    "objectId": st.from_regex(r"ZTF[0-9]{2}[a-z]{7}", fullmatch=True),
    "detector": st.integers(0, 188),
}  # fmt: skip


def values_of(kind: Any, name: str, known: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of an Avro type, plausible where the packet would be refused otherwise."""
    if isinstance(kind, list):
        other = next(one for one in kind if one != "null")
        inner = values_of(other, name, known)
        return st.one_of(st.none(), inner)
    if isinstance(kind, dict) and kind["type"] == "record":
        known[kind["name"]] = kind
        return st.fixed_dictionaries(
            {field["name"]: values_of(field["type"], field["name"], known) for field in kind["fields"]}
        )
    if isinstance(kind, dict) and kind["type"] == "array":
        return st.lists(values_of(kind["items"], name, known), max_size=3)
    if isinstance(kind, dict):
        return values_of(kind["type"], name, known)
    if kind in known:
        return values_of(known[kind], name, known)
    return _BY_NAME.get(name, _KINDS[kind])


LSST_RECORDS = values_of(LSST, "", {}).filter(
    lambda record: (
        record["diaSource"]["diaObjectId"] or record["ssSource"] or (record["diaObject"] or {}).get("diaObjectId")
    )
)
SLOW = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@SLOW
@given(st.lists(LSST_RECORDS, min_size=1, max_size=3))
def test_lsst_columns_equal_fastavro(records: list[dict[str, Any]]) -> None:
    sent = [fastavro_sees(LSST, record) for record in records]
    batches, refused = decode([message(lsst_value(LSST, record), i) for i, record in enumerate(records)], SOURCE)
    assert refused == []
    check_equal(batches[0], sent)


@SLOW
@given(st.data(), st.booleans())
def test_ztf_columns_equal_fastavro(data: st.DataObject, null_last: bool) -> None:
    schema = small_ztf(null_last=null_last)
    records = data.draw(st.lists(values_of(schema, "", {}), min_size=1, max_size=3))
    sent = [fastavro_sees(schema, record) for record in records]
    compiled = compile_schema(schema)
    values = [message(datum(schema, record), i, compiled) for i, record in enumerate(records)]
    batches, refused = decode(values, None)
    assert refused == []
    check_equal(batches[0], sent)


def fastavro_sees(schema: Any, record: dict[str, Any]) -> dict[str, Any]:
    import io

    found = fastavro.schemaless_reader(io.BytesIO(datum(schema, record)), fastavro.parse_schema(schema), None)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("survey", "version"), [(survey, version) for survey, all_ in KNOWN.items() for version in all_]
)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_our_own_full_schemas(survey: Any, version: str, data: st.DataObject) -> None:
    schema = writer_schema(survey, version)
    compiled = compile_schema(schema)
    assert (compiled.survey, compiled.version) == (survey, version)
    record = filled_deep(schema, data)
    found = one(datum(schema, record), compiled)
    check_equal(found, [fastavro_sees(schema, record)])


def filled_deep(schema: Any, data: st.DataObject) -> dict[str, Any]:
    """A record of a full schema: a drawn number of history rows, each field a plain value or null by turns."""
    known: dict[str, Any] = {}
    step = [data.draw(st.integers(0, 10))]

    def make(kind: Any, name: str) -> Any:
        step[0] += 1
        if isinstance(kind, list):
            other = next(one for one in kind if one != "null")
            return None if step[0] % 5 == 0 and name not in ("diaObject", "diaObjectId") else make(other, name)
        if isinstance(kind, dict) and kind["type"] == "record":
            known[kind["name"].split(".")[-1]] = kind
            return {field["name"]: make(field["type"], field["name"]) for field in kind["fields"]}
        if isinstance(kind, dict) and kind["type"] == "array":
            return [make(kind["items"], name) for _ in range(data.draw(st.integers(0, 4)))]
        if isinstance(kind, dict):
            return make(kind["type"], name)
        if kind.split(".")[-1] in known:
            return make(known[kind.split(".")[-1]], name)
        k = step[0]
        plain = {
            "jd": 2460500.5 + k,
            "ra": k % 360.0,
            "dec": k % 90.0,
            "band": "ugrizy"[k % 6],
            "programid": 1,
            "fid": k % 4,
        }
        plain |= {
            "isdiffpos": "tf10"[k % 4],
            "objectId": "ZTF24abcdefg",
            "procstatus": "56",
            "nid": k,
            "rcid": k % 64,
            "field": k,
        }
        plain |= {"diaObjectId": 2**58 + 1}
        if name in plain:
            return plain[name]
        if "Mjd" in name:
            return 61000.0 + k
        return {
            "int": k,
            "long": 2**56 + k,
            "float": k + 0.5,
            "double": k + 0.25,
            "string": f"n{k}",
            "boolean": k % 2 == 0,
            "bytes": b"x" * k,
        }[kind]

    def define(kind: Any) -> None:
        for one in kind if isinstance(kind, list) else [kind]:
            if isinstance(one, dict):
                if one["type"] == "record":
                    known[one["name"].split(".")[-1]] = one
                for inner in (one.get("items"), *(field["type"] for field in one.get("fields", ()))):
                    define(inner)

    define(schema)
    made = make(schema, "")
    assert isinstance(made, dict)
    return made


@SLOW
@given(LSST_RECORDS, st.integers(1, 3), st.booleans(), st.booleans())
def test_blocks_of_arrays_and_padded_branches(record: dict[str, Any], block: int, sizes: bool, pad: bool) -> None:
    plain = lsst(record)
    other = one(b"\0\0\0\x04\x4d" + encode(LSST, record, block=block, sizes=sizes, pad=pad))
    assert other.alerts.tobytes() == plain.alerts.tobytes()
    assert other.rows.tobytes() == plain.rows.tobytes()


# --- schemas of any shape: what is not kept must be skipped, whatever it is ---


@st.composite
def any_type(draw: st.DrawFn, depth: int = 0) -> tuple[Any, st.SearchStrategy[Any]]:
    """(Avro type, its values); names are made unique by `unique` later."""
    kinds = ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed"]
    kind = draw(st.sampled_from(kinds + (["array", "map", "union", "record"] * 2 if depth < 3 else [])))
    if kind == "null":
        return "null", st.none()
    if kind in _KINDS:
        return kind, _KINDS[kind]
    if kind == "enum":
        return {"type": "enum", "name": "?", "symbols": ["A", "B", "C"]}, st.sampled_from(["A", "B", "C"])
    if kind == "fixed":
        size = draw(st.integers(0, 5))
        return {"type": "fixed", "name": "?", "size": size}, st.binary(min_size=size, max_size=size)
    if kind in ("array", "map"):
        inner, values = draw(any_type(depth + 1))
        if kind == "array":
            return {"type": "array", "items": inner}, st.lists(values, max_size=4)
        return {"type": "map", "values": inner}, st.dictionaries(_TEXT, values, max_size=3)
    if kind == "record":
        fields = draw(st.lists(any_type(depth + 1), max_size=3))
        made = [{"name": f"f{k}", "type": one} for k, (one, _) in enumerate(fields)]
        values = st.fixed_dictionaries({f"f{k}": one for k, (_, one) in enumerate(fields)})
        return {"type": "record", "name": "?", "fields": made}, values
    # fastavro chooses a branch by the value: types that it cannot confuse
    options = draw(st.permutations(["null", "boolean", "long", "string"]))
    chosen = options[: draw(st.integers(1, 4))]
    each = {"null": st.none(), "boolean": st.booleans(), "long": st.integers(-(2**62), 2**62), "string": _TEXT}
    return list(chosen), st.one_of([each[name] for name in chosen])


def unique(kind: Any, count: list[int]) -> Any:
    if isinstance(kind, list):
        return [unique(one, count) for one in kind]
    if not isinstance(kind, dict):
        return kind
    kind = dict(kind)
    if kind.get("name") == "?":
        count[0] += 1
        kind["name"] = f"type{count[0]}"
    for key in ("items", "values", "type"):
        if key in kind and not isinstance(kind[key], str):
            kind[key] = unique(kind[key], count)
    if "fields" in kind:
        kind["fields"] = [{**field, "type": unique(field["type"], count)} for field in kind["fields"]]
    return kind


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.lists(any_type(), min_size=1, max_size=4))
def test_unknown_fields_of_any_type_are_skipped(data: st.DataObject, extra: list[tuple[Any, Any]]) -> None:
    schema = copy.deepcopy(LSST)
    record = lsst_alert(prvDiaSources=[source(diaSourceId=9, midpointMjdTai=61000.0, ra=1.5)] * 2)
    count = [0]
    for k, (kind, values) in enumerate(extra):
        at = data.draw(st.sampled_from(["alert", "source"]))
        field = {"name": f"extra{k}", "type": unique(kind, count)}
        fields = schema["fields"] if at == "alert" else schema["fields"][2]["type"]["fields"]
        fields.insert(data.draw(st.integers(0 if at == "source" else 3, len(fields))), field)
        if at == "alert":
            record[f"extra{k}"] = data.draw(values)
        else:
            record["diaSource"][f"extra{k}"] = data.draw(values)
            for row in (rows := [dict(row) for row in record["prvDiaSources"]]):
                row[f"extra{k}"] = data.draw(values)
            record["prvDiaSources"] = rows
    found = one(datum(schema, record), compile_schema(schema))
    check_equal(found, [record])


# --- meaning ---


def test_all_spellings_of_missing_become_one() -> None:
    found = lsst(
        lsst_alert(source={"psfFlux": math.nan, "ssObjectId": 0, "band": None, "snr": math.inf, "reliability": None})
    )
    alert = found.alerts[0]
    assert math.isnan(alert["flux"]) and math.isnan(alert["snr"]) and math.isnan(alert["reliability"])
    assert alert["ss_object_id"] == INT_MISSING and alert["band"] == 0
    found = ztf(ztf_alert(candidate={"rb": -999.0, "ssnamenr": "null", "distpsnr1": -999.0, "ssdistnr": -999.0}))
    alert = found.alerts[0]
    assert math.isnan(alert["reliability"]) and math.isnan(alert["distpsnr1"]) and alert["ssnamenr"] == b""
    assert alert["is_mover"] == 0


def test_a_flux_of_minus_999_is_a_flux() -> None:
    assert lsst(lsst_alert(source={"psfFlux": -999.0})).alerts["flux"][0] == -999.0


def test_ztf_times_are_utc_julian_dates() -> None:
    found = ztf(ztf_alert(candidate={"jd": 2460500.75}))
    assert found.alerts["mjd_tai"][0] == 60500.25 + 37 / 86400
    assert found.rows["mjd_tai"][0] == found.alerts["mjd_tai"][0]


@pytest.mark.parametrize(("sent", "sign"), [("t", 1), ("1", 1), ("f", -1), ("0", -1), ("", 0), ("yes", 0)])
def test_isdiffpos(sent: str, sign: int) -> None:
    assert ztf(ztf_alert(candidate={"isdiffpos": sent})).alerts["sign"][0] == sign


@pytest.mark.parametrize(("sent", "code"), [(1, "g"), (2, "r"), (3, "i"), (4, "\0"), (-1, "\0")])
def test_fid_3_is_i(sent: int, code: str) -> None:
    assert chr(ztf(ztf_alert(candidate={"fid": sent})).alerts["band"][0]) == code


@pytest.mark.parametrize(
    ("distance", "mover"), [(None, 0), (-999.0, 0), (-0.5, 0), (0.0, 1), (5.0, 1), (5.01, 0), (math.nan, 0)]
)
def test_ztf_movers_are_within_5_arcsec(distance: float | None, mover: int) -> None:
    assert ztf(ztf_alert(candidate={"ssdistnr": distance})).alerts["is_mover"][0] == mover


def test_lsst_mover_without_object() -> None:
    mover = filled(sub_type(LSST, "ssSource"), ssObjectId=21163620153733427, designation="2006 TK6")
    found = lsst(lsst_alert(source={"diaObjectId": 0, "ssObjectId": 21163620153733427}, ssSource=mover))
    alert = found.alerts[0]
    assert alert["is_mover"] == 1 and alert["object_id"] == INT_MISSING and alert["has_object"] == 0
    assert alert["ss_object_id"] == 21163620153733427 and alert["designation"] == b"2006 TK6"


def test_designation_comes_from_the_orbit_when_the_source_has_none() -> None:
    mover = filled(sub_type(LSST, "ssSource"), ssObjectId=5)
    orbit = filled(sub_type(LSST, "mpc_orbits"), designation="2011 1001 T-2")
    found = lsst(lsst_alert(ssSource=mover, mpc_orbits=orbit))
    assert found.alerts["designation"][0] == b"2011 1001 T-2"


def test_object_id_falls_back_to_the_object_record() -> None:
    its_object = filled(sub_type(LSST, "diaObject"), diaObjectId=77, ra=1.0, dec=2.0, nDiaSources=3)
    found = lsst(lsst_alert(source={"diaObjectId": None}, diaObject=its_object))
    assert found.alerts["object_id"][0] == 77 and found.alerts["has_object"][0] == 1
    # the record's id may be rounded: the source's own is right
    found = lsst(lsst_alert(source={"diaObjectId": 78}, diaObject=its_object))
    assert found.alerts["object_id"][0] == 78


def test_ztf_history_kinds() -> None:
    rows = [
        earlier(candid=11, jd=2460490.75, magpsf=19.0, isdiffpos="f"),
        earlier(jd=2460491.75, diffmaglim=20.5),
        earlier(
            jd=2460492.75, candid=12, forcediffimflux=3.5, ranr=1.5, decnr=2.5, ra=9.0, procstatus="56", magpsf=19.0
        ),
        earlier(jd=2460493.75, forcediffimflux=-99999.0, procstatus="61"),
        earlier(jd=2460494.75, forcediffimflux=math.nan),
    ]
    forced = [filled(sub_type(ZTF, "fp_hists"), jd=2460480.75, fid=2, pid=8, ranr=3.5, forcediffimflux=None)]
    found = ztf(ztf_alert(prv_candidates=rows, fp_hists=forced))
    assert found.rows["kind"].tolist() == [2, 0, 1, 2, 2, 1, 0]
    alert = found.alerts[0]
    assert (alert["n_detections"], alert["n_nondetections"], alert["n_forced"], alert["n_reliable"]) == (1, 2, 3, 0)
    wandering = found.rows[3]
    assert wandering["ra"] == 1.5 and wandering["decl"] == 2.5 and wandering["procstatus"] == 56
    assert wandering["source_id"] == INT_MISSING and math.isnan(wandering["mag"])
    failed = found.rows[4]
    assert math.isnan(failed["flux_dn"]) and failed["procstatus"] == 61
    assert found.rows["sign"].tolist() == [0, -1, 0, 0, 0, 0, 1]
    # the night is computed where it was not sent: 2457755.5 is within night 1
    assert found.rows["nid"][1] == 2736


def test_lsst_non_detections_of_version_7() -> None:
    limit = filled(
        sub_type(LSST, "prvDiaNondetectionLimits"), ccdVisitId=4, midpointMjdTai=61000.0, band="r", diaNoise=2.5
    )
    found = lsst(lsst_alert(prvDiaNondetectionLimits=[limit, limit, {**limit, "ccdVisitId": 5}]))
    assert found.rows["kind"].tolist() == [1, 1, 0]
    assert found.rows["flux_err"][0] == 2.5 and found.rows["visit"].tolist()[:2] == [4, 5]
    assert found.alerts["n_nondetections"][0] == 3


def test_n_reliable_counts_earlier_detections_above_one_half() -> None:
    rows = [
        source(diaSourceId=i + 1, midpointMjdTai=61000.0 + i, reliability=r)
        for i, r in enumerate([0.5, 0.51, None, 0.9])
    ]
    found = lsst(lsst_alert(prvDiaSources=rows))
    assert found.alerts["n_detections"][0] == 4 and found.alerts["n_reliable"][0] == 2


def test_names_are_cut_to_their_field_and_made_printable() -> None:
    mover = filled(sub_type(LSST, "ssSource"), ssObjectId=5, designation="é" + "x" * 50)
    assert lsst(lsst_alert(ssSource=mover)).alerts["designation"][0] == b"??" + b"x" * 30


def test_cutouts_are_slices_of_the_message() -> None:
    value = lsst_value(LSST, lsst_alert(cutoutScience=b"SIMPLE  =", cutoutTemplate=b""))
    found = one(value)
    assert bytes(found.cutout(0, "science")) == b"SIMPLE  ="
    assert bytes(found.cutout(0, "difference")) == bytes(found.cutout(0, "template")) == b""
    assert found.messages[0].value is value
    start, end = found.datum[0]
    assert (start, end) == (5, len(value))


# --- order and duplicates ---


def test_rows_are_sorted_and_the_alerts_own_detection_wins() -> None:
    record = lsst_alert(source_id=50)
    rows = [
        source(diaSourceId=50, midpointMjdTai=MJD, psfFlux=-1.0),
        source(diaSourceId=40, midpointMjdTai=61100.0, psfFlux=1.0),
        source(diaSourceId=30, midpointMjdTai=61000.0),
        source(diaSourceId=40, midpointMjdTai=61050.0, psfFlux=2.0),
    ]
    forced = [filled(sub_type(LSST, "prvDiaForcedSources"), diaForcedSourceId=50, midpointMjdTai=MJD)]
    found = lsst({**record, "prvDiaSources": rows, "prvDiaForcedSources": forced})
    assert found.rows["source_id"].tolist() == [30, 40, 50, 50]
    assert found.rows["kind"].tolist() == [0, 0, 0, 2]
    assert found.rows["flux"][1] == 1.0 and found.rows["flux"][2] == np.float32(1234.5)
    assert found.trigger.tolist() == [2]
    assert found.alerts["n_detections"][0] == 4


def test_rows_without_id_are_the_same_when_their_provenance_agrees_never_by_time_alone() -> None:
    same = {"jd": 2460490.75, "fid": 1, "pid": 5, "field": 1, "rcid": 2}
    rows = [
        earlier(**(same | change))
        for change in ({}, {"pid": 6}, {"field": 3}, {"rcid": 3}, {"fid": 2}, {"diffmaglim": 20.0})
    ]
    rows += [earlier(**same, candid=4), earlier(**same, candid=5)]
    found = ztf(ztf_alert(prv_candidates=rows))
    assert len(found.rows) == 5 + 2 + 1
    assert found.alerts["n_nondetections"][0] == 6


def test_history_rows_at_impossible_times_are_left_out() -> None:
    rows = [
        source(diaSourceId=k + 1, midpointMjdTai=t) for k, t in enumerate([math.nan, 0.0, 61000.0, 1e300, -math.inf])
    ]
    found = lsst(lsst_alert(prvDiaSources=rows))
    assert found.rows["source_id"].tolist()[0] == 3 and len(found.rows) == 2
    assert found.alerts["n_detections"][0] == 5


@SLOW
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 8)), max_size=60))
def test_any_order_and_repetition(rows: list[tuple[int, int]]) -> None:
    sent = [source(diaSourceId=i, midpointMjdTai=61000.0 + t, visit=k) for k, (i, t) in enumerate(rows)]
    record = lsst_alert(prvDiaSources=sent)
    check_equal(lsst(record), [record])


@pytest.mark.parametrize("order", ["ascending", "descending", "random", "zigzag", "equal times"])
def test_long_histories_are_ordered_in_time(order: str) -> None:
    n = 20000
    times = np.linspace(60000, 61000, n)
    if order == "descending":
        times = times[::-1]
    elif order == "random":
        times = np.random.default_rng(1).permutation(times)
    elif order == "zigzag":
        times = np.concatenate((times[::2], times[1::2][::-1]))
    elif order == "equal times":
        times = np.full(n, 60000.0)
    ids = np.random.default_rng(2).permutation(n) + 1
    forced = sub_type(LSST, "prvDiaForcedSources")
    rows = [
        filled(forced, diaForcedSourceId=i, midpointMjdTai=t) for i, t in zip(ids.tolist(), times.tolist(), strict=True)
    ]
    value = lsst_value(LSST, lsst_alert(prvDiaForcedSources=rows))
    started = time.process_time()
    found = one(value)
    assert time.process_time() - started < 1.0
    assert len(found.rows) == n + 1
    keys = list(zip(found.rows["mjd_tai"], found.rows["kind"], found.rows["source_id"], strict=True))
    assert keys == sorted(keys)


# --- batches ---


def test_one_batch_a_survey_in_input_order_with_schemas_mixed() -> None:
    other = compile_schema(writer_schema("lsst", "10.0"))
    full = writer_schema("lsst", "10.0")
    record = lsst_alert(full, source_id=3)
    record["diaSource"]["detector"] = 4
    messages = [
        message(lsst_value(LSST, lsst_alert(source_id=1)), 0),
        message(datum(ZTF, ztf_alert(candid=9)), 1, ZTF_SCHEMA),
        message(b"rubbish", 2),
        message(datum(full, record), 3, other),
        message(lsst_value(LSST, lsst_alert(source_id=2)), 4),
        message(container(ZTF, [ztf_alert(candid=8)]), 5),
    ]
    batches, refused = decode(messages, SOURCE)
    assert [batch.survey for batch in batches] == ["lsst", "ztf"]
    assert batches[0].alerts["alert_id"].tolist() == [1, 3, 2]
    assert [one.version for one in batches[0].schemas] == ["11.1", "10.0", "11.1"]
    assert batches[1].alerts["alert_id"].tolist() == [9, 8]
    assert [one.offset for one in batches[1].messages] == [1, 5]
    assert [one.message.offset for one in refused] == [2]


def test_nothing_in_nothing_out() -> None:
    assert decode([], None) == ([], [])


def test_a_bad_message_leaves_its_neighbours_alone() -> None:
    rows = [source(diaSourceId=k + 1, midpointMjdTai=61000.0 + k) for k in range(300)]
    good = [lsst_value(LSST, lsst_alert(source_id=k + 1, prvDiaSources=rows[: k * 40])) for k in range(6)]
    alone = [one(value) for value in good]
    mixed = [value for pair in zip(good, [value[:-3] for value in good], strict=True) for value in pair]
    batches, refused = decode([message(value, i) for i, value in enumerate(mixed)], SOURCE)
    assert [bad.message.offset for bad in refused] == [1, 3, 5, 7, 9, 11]
    assert b"".join(found.rows.tobytes() for found in alone) == batches[0].rows.tobytes()
    assert np.concatenate([found.alerts for found in alone]).tobytes() == batches[0].alerts.tobytes()
    picked = batches[0].rows[batches[0].trigger]
    assert picked["source_id"].tolist() == batches[0].alerts["alert_id"].tolist()


# --- refusals ---


def test_every_truncation_is_refused() -> None:
    rows = [source(diaSourceId=7, midpointMjdTai=61000.0, band="g")]
    value = lsst_value(LSST, lsst_alert(prvDiaSources=rows, cutoutScience=b"abc", target_name="x"))
    batches, refused = decode([message(value[:k], k) for k in range(len(value))], SOURCE)
    assert batches == [] and len(refused) == len(value)
    value = container(ZTF, [ztf_alert(prv_candidates=[earlier()])])
    batches, refused = decode([message(value[:k], k) for k in range(len(value))], SOURCE)
    assert batches == [] and len(refused) == len(value)


def test_bytes_left_over_are_refused() -> None:
    assert "left over" in refusal(lsst_value(LSST, lsst_alert()) + b"\0")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"midpointMjdTai": 1480360995.0}, "impossible time (MJD TAI): 1480360995.0"),
        ({"midpointMjdTai": math.nan}, "impossible time"),
        ({"midpointMjdTai": 47891.0}, "impossible time"),
        ({"ra": 360.0}, "right ascension outside"),
        ({"ra": -0.001}, "right ascension outside"),
        ({"ra": math.nan}, "right ascension outside"),
        ({"dec": 90.001}, "declination outside"),
        ({"diaSourceId": 0}, "the alert has no id"),
        ({"diaSourceId": -4}, "the alert has no id"),
        ({"diaObjectId": 0}, "no object and no known mover"),
        ({"diaObjectId": None, "ssObjectId": 5}, "no object and no known mover"),
    ],
)
def test_impossible_lsst_values(change: dict[str, Any], reason: str) -> None:
    assert reason in refusal(lsst_value(LSST, lsst_alert(source=change)))


@pytest.mark.parametrize("name", ["", "ZTF", "ZTF24abcdefgh", "ZTF2Aabcdefg", "ztf24abcdefg", "x" * 40, "ZTF24abcdeé"])
def test_bad_ztf_names(name: str) -> None:
    reason = refusal(datum(ZTF, ztf_alert(objectId=name)), ZTF_SCHEMA)
    assert "objectId" in reason


def test_programmes_that_are_not_public() -> None:
    value = datum(ZTF, ztf_alert(candidate={"programid": 2}))
    assert "programid" in refusal(value, ZTF_SCHEMA)
    assert len(one(value, ZTF_SCHEMA, allow_programids=(1, 2))) == 1


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0\0\4", b"Obj", b"Obj\x02", b"{}", b"\x01\0\0\4\x4d"])
def test_unknown_framing(value: bytes) -> None:
    assert "unknown framing" in refusal(value)


def test_unknown_schema_may_be_retried() -> None:
    batches, refused = decode([message(b"\0\0\0\x27\x0fabc"), message(lsst_value(LSST, lsst_alert()), 1)], SOURCE)
    assert refused == [Refused(message(b"\0\0\0\x27\x0fabc"), "schema 9999 is not here", retry=True)]
    assert len(batches[0]) == 1
    _, refused = decode([message(lsst_value(LSST, lsst_alert()))], None)
    assert refused[0].retry


def test_integers_that_do_not_fit() -> None:
    value = datum(ZTF, ztf_alert(candidate={"rcid": 40000}))
    assert "out of range (field candidate.rcid" in refusal(value, ZTF_SCHEMA)


def test_containers_that_are_messages() -> None:
    record = ztf_alert()
    for codec in ("null", "deflate"):
        found = one(container(ZTF, [record], codec=codec))
        check_equal(found, [fastavro_sees(ZTF, record)])
        assert found.schemas[0].version == "4.02"
    assert "one record" in refusal(container(ZTF, [record, record]))
    value = bytearray(container(ZTF, [record]))
    value[-1] ^= 1
    assert "sync marker" in refusal(bytes(value))


# --- hostile bytes ---


def hostile(kind: Any, data: bytes) -> tuple[AlertBatch | None, str]:
    """Decode an alert whose schema has one more field of this type, with these bytes in its place."""
    schema = {**ZTF, "fields": [*ZTF["fields"], {"name": "more", "type": kind}]}
    value = datum(ZTF, ztf_alert()) + data
    started = time.process_time()
    batches, refused = decode([message(value, schema=compile_schema(schema))], None)
    assert time.process_time() - started < 1.0
    return (batches[0] if batches else None), (refused[0].reason if refused else "")


_EMPTY = {"type": "record", "name": "empty", "fields": []}


def test_any_number_of_items_without_bytes() -> None:
    for item in ("null", _EMPTY, {"type": "fixed", "name": "none", "size": 0}):
        found, _ = hostile({"type": "array", "items": item}, zigzag(2**62) + b"\0")
        assert found is not None
    nested = {"type": "array", "items": {"type": "array", "items": "null"}}
    found, _ = hostile(nested, zigzag(1000) + (zigzag(2**62) + b"\0") * 1000 + b"\0")
    assert found is not None


@pytest.mark.parametrize("count", [2**62, -(2**63), -(2**62), 2**31, 100])
def test_more_items_than_bytes(count: int) -> None:
    for item in ("long", "double", "string", ["null", "long"], {"type": "array", "items": "long"}):
        _, reason = hostile({"type": "array", "items": item}, zigzag(count) + b"\0" * 10)
        assert reason
    _, reason = hostile({"type": "map", "values": "null"}, zigzag(count) + b"\0" * 10)
    assert reason


def test_lengths_beyond_the_end() -> None:
    for size in (2**62, -1, -(2**63), 11):
        _, reason = hostile("bytes", zigzag(size) + b"\0" * 10)
        assert "longer than the packet" in reason


@pytest.mark.parametrize("data", [b"\xff" * 10, b"\xff" * 11, b"\x80" * 9 + b"\x02"])
def test_numbers_of_more_than_64_bits(data: bytes) -> None:
    for kind in ("long", ["null", "long"]):
        _, reason = hostile(kind, b"\2" * isinstance(kind, list) + data + b"\0" * 20)
        assert "64 bits" in reason


def test_rows_of_no_bytes_are_no_rows() -> None:
    schema = {
        **ZTF,
        "fields": [*ZTF["fields"][:4], {"name": "prv_candidates", "type": {"type": "array", "items": _EMPTY}}],
    }
    value = encode({**schema, "fields": schema["fields"][:4]}, ztf_alert()) + zigzag(2**40) + b"\0"
    found = one(value, compile_schema(schema))
    assert len(found.rows) == 1


def test_many_rows_of_few_bytes_are_refused() -> None:
    row = {
        "type": "record",
        "name": "prv",
        "fields": [{"name": "candid", "type": ["null", "long"]}, {"name": "jd", "type": "double"}],
    }
    schema = {
        **ZTF,
        "fields": [*ZTF["fields"][:4], {"name": "prv_candidates", "type": {"type": "array", "items": row}}],
    }
    start = encode({**schema, "fields": schema["fields"][:4]}, ztf_alert())
    good = b"\0" + np.float64(2460490.75).tobytes()
    assert len(one(start + zigzag(3) + good * 3 + b"\0", compile_schema(schema)).rows) == 2
    short = {**row, "fields": [{"name": "jd", "type": "float"}]}
    schema["fields"][4] = {"name": "prv_candidates", "type": {"type": "array", "items": short}}
    reason = refusal(start + zigzag(9000) + np.float32(2460490.75).tobytes() * 9000 + b"\0", compile_schema(schema))
    assert "more history rows" in reason


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_changed_bytes_never_hurt(data: st.DataObject) -> None:
    rows = [source(diaSourceId=7 + k, midpointMjdTai=61000.0, band="g") for k in range(3)]
    value = bytearray(lsst_value(LSST, lsst_alert(prvDiaSources=rows, cutoutScience=b"abc")))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(5, len(value) - 1))
        value[at] = data.draw(st.integers(0, 255))
    good = lsst_value(LSST, lsst_alert())
    messages = [message(good, 0), message(bytes(value), 1), message(good, 2)]
    batches, refused = decode(messages, SOURCE)
    assert len(batches[0]) + len(refused) == 3
    assert batches[0].alerts[0].tobytes() == batches[0].alerts[-1].tobytes() == one(good).alerts[0].tobytes()


def test_values_that_are_not_bytes_objects() -> None:
    value = lsst_value(LSST, lsst_alert())
    found = decode([Message(memoryview(value), "p", 0, 0.0)], SOURCE)[0][0]  # type: ignore[arg-type]
    assert len(found) == 1
