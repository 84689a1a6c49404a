"""Packets for tests: small schemas, writers, and what a batch must hold, worked out from fastavro's dictionaries."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro
import numpy as np

from lasair.packets.batch import AlertBatch, Message
from lasair.schema.model import DETECTION, FORCED, INT_MISSING, NONDETECTION, layout

Record = dict[str, Any]


def optional(kind: Any) -> dict[str, Any]:
    return {"type": ["null", kind], "default": None}


def record_type(name: str, **fields: Any) -> dict[str, Any]:
    """A record type; a field is given as a type or, with `optional`, as a dictionary with type and default."""
    made = []
    for field, kind in fields.items():
        known = isinstance(kind, dict) and "default" in kind
        made.append({"name": field, **(kind if known else {"type": kind})})
    return {"type": "record", "name": name, "fields": made}


def small_lsst() -> dict[str, Any]:
    """LSST alerts with some of their fields, kept and not kept ones mixed."""
    source = record_type(
        "diaSource",
        diaSourceId="long",
        visit="long",
        detector="int",
        diaObjectId=optional("long"),
        ssObjectId=optional("long"),
        midpointMjdTai="double",
        ra="double",
        raErr=optional("float"),
        dec="double",
        x="float",
        snr=optional("float"),
        psfFlux=optional("float"),
        psfFluxErr=optional("float"),
        psfNdata="int",
        trailNdata=optional("int"),
        isNegative=optional("boolean"),
        centroid_flag=optional("boolean"),
        reliability=optional("float"),
        reliabilityVersion=optional("string"),
        band=optional("string"),
        scienceFlux=optional("float"),
        scienceFluxErr=optional("float"),
        timeProcessedMjdTai="double",
    )
    forced = record_type(
        "diaForcedSource",
        diaForcedSourceId="long",
        visit="long",
        detector="int",
        psfFlux=optional("float"),
        psfFluxErr=optional("float"),
        midpointMjdTai="double",
        ra="double",
        dec="double",
        band=optional("string"),
    )
    limit = record_type(
        "diaNondetectionLimit", ccdVisitId="long", midpointMjdTai="double", band="string", diaNoise="float"
    )
    dia_object = record_type(
        "diaObject", diaObjectId="long", ra="double", dec="double", nDiaSources="int", g_psfFluxMean=optional("float")
    )
    mover = record_type("ssSource", ssObjectId="long", designation=optional("string"))
    orbit = record_type("mpc_orbits", id="int", designation="string")
    return {
        **record_type(
            "alert",
            diaSourceId="long",
            target_name=optional("string"),
            diaSource=source,
            prvDiaSources=optional({"type": "array", "items": "diaSource"}),
            prvDiaForcedSources=optional({"type": "array", "items": forced}),
            prvDiaNondetectionLimits=optional({"type": "array", "items": limit}),
            diaObject=optional(dia_object),
            ssSource=optional(mover),
            mpc_orbits=optional(orbit),
            cutoutDifference=optional("bytes"),
            cutoutScience=optional("bytes"),
            cutoutTemplate=optional("bytes"),
        ),
        "namespace": "lsst.v11_1",
    }


def small_ztf(*, null_last: bool = False) -> dict[str, Any]:
    """ZTF alerts with some of their fields; `null_last` as the schemas before 4 have it."""

    def maybe(kind: Any) -> dict[str, Any]:
        return {"type": [kind, "null"], "default": None} if null_last else optional(kind)

    candidate = record_type(
        "candidate",
        jd="double",
        fid="int",
        pid="long",
        diffmaglim=maybe("float"),
        pdiffimfilename=maybe("string"),
        programid="int",
        candid="long",
        isdiffpos="string",
        nid=maybe("int"),
        rcid=maybe("int"),
        field=maybe("int"),
        xpos=maybe("float"),
        ra="double",
        dec="double",
        magpsf="float",
        sigmapsf="float",
        distnr=maybe("float"),
        magnr=maybe("float"),
        rb=maybe("float"),
        ssdistnr=maybe("float"),
        ssnamenr=maybe("string"),
        sgscore1=maybe("float"),
        distpsnr1=maybe("float"),
        ndethist="int",
        magzpsci=maybe("float"),
        exptime=maybe("float"),
        drb=maybe("float"),
    )
    earlier = record_type(
        "prv_candidate",
        jd="double",
        fid="int",
        pid="long",
        diffmaglim=maybe("float"),
        programid="int",
        candid=maybe("long"),
        isdiffpos=maybe("string"),
        nid=maybe("int"),
        rcid=maybe("int"),
        field=maybe("int"),
        ra=maybe("double"),
        dec=maybe("double"),
        ranr=maybe("double"),
        decnr=maybe("double"),
        magpsf=maybe("float"),
        sigmapsf=maybe("float"),
        magnr=maybe("float"),
        rb=maybe("float"),
        forcediffimflux=maybe("float"),
        forcediffimfluxunc=maybe("float"),
        procstatus=maybe("string"),
    )
    forced = record_type(
        "fp_hist",
        field=maybe("int"),
        rcid=maybe("int"),
        fid="int",
        pid="long",
        rfid="long",
        magzpsci=maybe("float"),
        diffmaglim=maybe("float"),
        programid="int",
        jd="double",
        forcediffimflux=maybe("float"),
        forcediffimfluxunc=maybe("float"),
        procstatus=maybe("string"),
        distnr=maybe("float"),
        ranr="double",
        decnr="double",
        magnr=maybe("float"),
    )
    cutout = record_type("cutout", fileName="string", stampData="bytes")
    alert = record_type(
        "alert",
        schemavsn="string",
        objectId="string",
        candid="long",
        candidate=candidate,
        prv_candidates=maybe({"type": "array", "items": earlier}),
        fp_hists=maybe({"type": "array", "items": forced}),
        cutoutScience=maybe(cutout),
        cutoutTemplate=maybe("cutout"),
        cutoutDifference=maybe("cutout"),
    )
    return {**alert, "namespace": "ztf", "version": "4.02"}


def filled(kind: dict[str, Any], **values: Any) -> Record:
    """A record of a type: optional fields null, numbers 0, text '' unless `values` says otherwise."""
    empty: dict[str, Any] = {
        "int": 0,
        "long": 0,
        "float": 0.0,
        "double": 0.0,
        "string": "",
        "bytes": b"",
        "boolean": False,
    }
    made: Record = {}
    for field in kind["fields"]:
        made[field["name"]] = None if isinstance(field["type"], list) else empty.get(str(field["type"]))
    assert set(values) <= set(made), set(values) - set(made)
    return made | values


def sub_type(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The record type that the field `name` (perhaps nullable, perhaps an array) of an alert holds."""
    known: dict[str, dict[str, Any]] = {}

    def visit(kind: Any) -> Any:
        if isinstance(kind, list):
            return [found for one in kind if (found := visit(one))][:1]
        if isinstance(kind, dict):
            if kind["type"] == "record":
                known[kind["name"].split(".")[-1]] = kind
                for field in kind["fields"]:
                    visit(field["type"])
                return kind
            return visit(kind.get("items", kind["type"] if isinstance(kind["type"], dict | list) else None))
        return known.get(kind.split(".")[-1]) if isinstance(kind, str) else None

    for field in schema["fields"]:
        found = visit(field["type"])
        if field["name"] == name:
            while isinstance(found, list):
                found = found[0]
            return dict(found)
    raise KeyError(name)


def lsst_alert(schema: dict[str, Any] | None = None, source_id: int = 2**57 + 5, **values: Any) -> Record:
    """A good alert of the small LSST schema, without history; `source` gives values of its diaSource."""
    schema = schema or small_lsst()
    source = {
        "diaSourceId": source_id,
        "diaObjectId": 2**58 + 7,
        "visit": 2026030900027,
        "midpointMjdTai": 61108.25,
        "ra": 150.25,
        "dec": 2.5,
        "psfFlux": 1234.5,
        "psfFluxErr": 100.25,
        "snr": 12.25,
        "reliability": 0.75,
        "band": "i",
    } | values.pop("source", {})
    made = filled(schema, diaSourceId=source_id, diaSource=filled(sub_type(schema, "diaSource"), **source))
    return made | values


def ztf_alert(schema: dict[str, Any] | None = None, candid: int = 2695378462115010012, **values: Any) -> Record:
    """A good alert of the small ZTF schema, without history; `candidate` gives values of its candidate."""
    schema = schema or small_ztf()
    candidate = {
        "candid": candid,
        "jd": 2460500.75,
        "fid": 2,
        "pid": 2695378462115,
        "programid": 1,
        "isdiffpos": "t",
        "nid": 2746,
        "rcid": 21,
        "field": 765,
        "ra": 210.5,
        "dec": 54.25,
        "magpsf": 18.5,
        "sigmapsf": 0.0625,
        "rb": 0.75,
        "ndethist": 4,
    } | values.pop("candidate", {})
    made = filled(
        schema, objectId="ZTF24abcdefg", candid=candid, candidate=filled(sub_type(schema, "candidate"), **candidate)
    )
    return made | values


def datum(schema: Any, record: Record) -> bytes:
    """The bare Avro datum."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def encode(schema: Any, value: Any, *, block: int = 0, sizes: bool = False, pad: bool = False) -> bytes:
    """Avro's binary form, written out by hand: what fastavro never writes, but other writers may.

    `block` cuts arrays and maps into blocks of so many items, `sizes` puts the bytes of each block before it (a
    negative count), `pad` writes branch numbers of unions with a needless empty group.
    """
    known: dict[str, Any] = {}

    def branch(number: int) -> bytes:
        return bytes([number * 2 | 0x80, 0]) if pad else bytes([number * 2])

    def blocks(items: list[bytes]) -> bytes:
        out = b""
        step = block or max(len(items), 1)
        for at in range(0, len(items), step):
            part = items[at : at + step]
            joined = b"".join(part)
            out += (zigzag(-len(part)) + zigzag(len(joined)) if sizes else zigzag(len(part))) + joined
        return out + b"\0"

    def write(kind: Any, value: Any) -> bytes:
        if isinstance(kind, list):
            number = next(k for k, one in enumerate(kind) if (one == "null") == (value is None))
            return branch(number) + write(kind[number], value)
        name = kind["type"] if isinstance(kind, dict) else kind
        if name == "record":
            known[kind["name"]] = kind
            return b"".join(write(field["type"], value[field["name"]]) for field in kind["fields"])
        if name == "array":
            return blocks([write(kind["items"], one) for one in value])
        if name == "map":
            return blocks([write("string", key) + write(kind["values"], one) for key, one in value.items()])
        if name == "null":
            return b""
        if name == "boolean":
            return bytes([value])
        if name in ("int", "long"):
            return zigzag(value)
        if name in ("float", "double"):
            return struct.pack("<f" if name == "float" else "<d", value)
        if name in ("string", "bytes"):
            raw = value.encode() if isinstance(value, str) else value
            return zigzag(len(raw)) + raw
        return write(known[name], value)

    return write(schema, value)


def zigzag(number: int) -> bytes:
    """A number as Avro writes it."""
    word = (number << 1) ^ (number >> 63)
    out = bytearray()
    while word > 0x7F:
        out.append(word & 0x7F | 0x80)
        word >>= 7
    out.append(word)
    return bytes(out)


def lsst_value(schema: Any, record: Record, schema_id: int = 1101) -> bytes:
    """A Kafka message's value in LSST's framing."""
    return b"\0" + schema_id.to_bytes(4, "big") + datum(schema, record)


def container(schema: Any, records: Iterable[Record], **options: Any) -> bytes:
    """An Avro object container."""
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), list(records), **options)
    return out.getvalue()


def message(value: bytes, offset: int = 0, schema: Any = None) -> Message:
    return Message(value, "test", offset, 1.7e9, schema)


# --- what a batch must hold --------------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BANDS = {1: "g", 2: "r", 3: "i"}


def _get(record: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(name)
    return record


def _value(field: Any, raw: Any) -> Any:
    """A packet's value as the layout wants it, None when missing."""
    if raw is None or (isinstance(raw, float) and math.isnan(raw)) or raw == "" or raw in field.missing:
        return None
    if isinstance(raw, datetime):
        return None if raw == _EPOCH else (raw - _EPOCH) / timedelta(days=1) + 40587 + 37 / 86400
    if isinstance(raw, float) and math.isinf(raw):
        return None
    if field.convert == "jd_utc":
        return raw - 2400000.5 + 37 / 86400
    if field.convert == "fid":
        return ord(_BANDS[raw]) if raw in _BANDS else None
    if field.convert == "sign":
        return {"t": 1, "1": 1, "f": -1, "0": -1}.get(raw)
    if field.convert == "digits":
        return int(raw) if raw.isdecimal() and len(raw) <= 4 else None
    if field.dtype == "band":
        return ord(raw) if len(raw) == 1 and "a" <= raw <= "z" else None
    return raw


def _missing(field: Any) -> Any:
    kind = np.dtype(field.numpy)
    if field.convert == "sign" or field.dtype == "band" or kind.kind == "u":
        return 0
    if kind.kind == "f":
        return np.nan
    return b"" if kind.kind == "S" else np.iinfo(kind).min


def _store(field: Any, value: Any) -> Any:
    """The value as it comes out of an array of the field's type."""
    if value is None:
        value = _missing(field)
    if isinstance(value, str):
        value = value.encode()
    return np.array([value]).astype(field.numpy)[0]


def history(survey: str, record: Record) -> Iterator[tuple[int, Record, bool]]:
    """(kind, row as sent, whether it is the alert itself) of all rows, the alert first."""
    if survey == "lsst":
        yield DETECTION, record["diaSource"], True
        for name, kind in (
            ("prvDiaSources", DETECTION),
            ("prvDiaForcedSources", FORCED),
            ("prvDiaNondetectionLimits", NONDETECTION),
        ):
            for row in record.get(name) or ():
                yield kind, row, False
        return
    yield DETECTION, record["candidate"], True
    for row in record.get("prv_candidates") or ():
        flux = row.get("forcediffimflux")
        if flux is not None and not math.isnan(flux):
            yield FORCED, row, False
        else:
            yield (NONDETECTION if row.get("candid") in (None, 0) else DETECTION), row, False
    for row in record.get("fp_hists") or ():
        yield FORCED, row, False


def expected_rows(survey: str, record: Record) -> list[dict[str, Any]]:
    """Rows by field, in order and without duplicates. Slow and plain on purpose."""
    fields = layout(survey, "row").fields  # type: ignore[arg-type]
    names = {DETECTION: "detection", NONDETECTION: "nondetection", FORCED: "forced"}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for kind, raw, trigger in history(survey, record):
        row: dict[str, Any] = {}
        mapping = names[kind] if survey == "lsst" or kind != NONDETECTION else "detection"
        for field in fields:
            spellings = field.sources.get(mapping, ()) if isinstance(field.sources, dict) else ()
            found = next((raw[name] for name in spellings if name in raw), None)
            row[field.name] = _store(field, _value(field, found))
        row["kind"] = np.uint8(kind)
        if survey == "ztf" and row["nid"] == np.iinfo(np.int32).min:
            row["nid"] = np.int32(math.floor(raw["jd"] - 2457754.5))
        if not trigger and not 47892 <= row["mjd_tai"] <= 88069:
            continue
        key: tuple[Any, ...] = (kind, int(row["source_id"]))
        if row["source_id"] == INT_MISSING:
            more = ("band", "visit") if survey == "lsst" else ("band", "field", "rcid", "pid")
            key = (kind, float(row["mjd_tai"]), *(int(row[name]) for name in more))
        row["_trigger"] = trigger
        rows.setdefault(key, row)
    last = ("visit", "band") if survey == "lsst" else ("pid", "field", "rcid", "band")
    return sorted(rows.values(), key=lambda one: tuple(one[name] for name in ("mjd_tai", "kind", "source_id", *last)))


def expected_alert(survey: str, record: Record) -> dict[str, Any]:
    """Fields of an alert's row, those that packets/ computes included."""
    from lasair.packets.ids import object_id

    made: dict[str, Any] = {}
    for field in layout(survey, "alert").fields:  # type: ignore[arg-type]
        value = None
        for source in field.sources:
            value = _value(field, _get(record, source))
            if value is not None:
                break
        made[field.name] = _store(field, value)
    rows = [(kind, raw) for kind, raw, trigger in history(survey, record) if not trigger]
    made["n_detections"] = sum(kind == DETECTION for kind, _ in rows)
    made["n_nondetections"] = sum(kind == NONDETECTION for kind, _ in rows)
    made["n_forced"] = sum(kind == FORCED for kind, _ in rows)
    made["n_reliable"] = 0
    if survey == "lsst":
        made["n_reliable"] = sum(
            # what is infinite is missing
            kind == DETECTION and raw.get("reliability") is not None and 0.5 < raw["reliability"] < math.inf
            for kind, raw in rows
        )
        made["is_mover"] = int(any(record.get(name) is not None for name in ("ssSource", "ssObject")))
        made["has_object"] = int(record.get("diaObject") is not None)
        if made["object_id"] == INT_MISSING:
            made["object_id"] = made["dia_object_id"]
    else:
        made["object_id"] = object_id("ztf", record["objectId"])
        distance = record["candidate"].get("ssdistnr")
        made["is_mover"] = int(distance is not None and 0 <= distance <= 5)
    return made


def check_equal(batch: AlertBatch, records: list[Record]) -> None:
    """Assert that a batch holds what fastavro says, field by field."""
    assert len(batch) == len(records)
    assert batch.offsets[0] == 0 and batch.offsets[-1] == len(batch.rows)
    for i, record in enumerate(records):
        where = f"{batch.messages[i].partition}:{batch.messages[i].offset}"
        for name, value in expected_alert(batch.survey, record).items():
            _same(batch.alerts[name][i], value, f"{where} alert {name}")
        rows = batch.rows[batch.offsets[i] : batch.offsets[i + 1]]
        wanted = expected_rows(batch.survey, record)
        assert len(rows) == len(wanted), where
        for k, row in enumerate(wanted):
            trigger = row.pop("_trigger")
            assert trigger == (batch.trigger[i] == batch.offsets[i] + k), where
            for name, value in row.items():
                _same(rows[name][k], value, f"{where} row {k} {name}")
        for kind, field in (
            ("difference", "cutoutDifference"),
            ("science", "cutoutScience"),
            ("template", "cutoutTemplate"),
        ):
            sent = record.get(field)
            sent = sent["stampData"] if isinstance(sent, dict) else sent
            assert bytes(batch.cutout(i, kind)) == (sent or b""), where  # type: ignore[arg-type]


def _same(got: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, float | np.floating) and math.isnan(wanted):
        assert math.isnan(got), where
    else:
        assert got == wanted, f"{where}: {got!r} is not {wanted!r}"
