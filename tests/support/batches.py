"""Alert batches from plain dictionaries, for tests that need no packet: the layouts say where each value comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lasair.packets.batch import AlertBatch, Message
from lasair.packets.ids import pack_ztf
from lasair.schema.model import DETECTION, FORCED, INT_MISSING, KINDS, NONDETECTION, Field, Survey, layout

Record = Mapping[str, Any]
#: kind of row and the record it is made of
KindRecord = tuple[int, Record]

_JD_TO_MJD_TAI = -2400000.5 + 37.0 / 86400.0
_FID = {1: ord("g"), 2: ord("r"), 3: ord("i")}
_SIGN = {"t": 1, "1": 1, "f": -1, "0": -1}


def _look_up(record: Record, path: str) -> Any:
    value: Any = record
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        # users' form of an alert spells it decl, packets spell it dec
        value = value.get(step, value.get("decl") if step == "dec" else None)
    return value


def _absent(field: Field) -> Any:
    if field.numpy.startswith("S"):
        return b""
    if field.numpy.startswith("f"):
        return np.nan
    if field.numpy == "i8":
        return INT_MISSING
    return np.iinfo(field.numpy).min if field.numpy in ("i4", "i2") else 0


def _convert(field: Field, value: Any) -> Any:
    if value is None or value in field.missing:
        return _absent(field)
    if field.convert == "jd_utc":
        return value + _JD_TO_MJD_TAI
    if field.convert == "fid":
        return _FID.get(value, 0)
    if field.convert == "sign":
        return _SIGN.get(str(value), 0)
    if field.dtype == "band":
        return ord(value) if len(value) == 1 else 0
    if field.numpy.startswith("S"):
        return value.encode()
    if field.convert == "digits":
        return int(value)
    if field.numpy.startswith("i") and not np.isfinite(value):
        return _absent(field)
    return value


def _value(field: Field, record: Record, kind: int | None = None) -> Any:
    paths: Sequence[str] = ()
    if not isinstance(field.sources, dict):
        paths = field.sources
    elif kind is not None:
        # ZTF's non-detections are records of the same form as its detections
        paths = field.sources.get(KINDS[kind], field.sources.get("detection", ()) if kind == NONDETECTION else ())
    for path in paths:
        value = _look_up(record, path)
        if value is not None:
            return _convert(field, value)
    return _absent(field)


def _fill_rows(survey: Survey, records: Sequence[KindRecord]) -> np.ndarray[Any, np.dtype[Any]]:
    shape = layout(survey, "row")
    rows = np.zeros(len(records), shape.dtype)
    for i, (kind, record) in enumerate(records):
        for field in shape.fields:
            rows[i][field.name] = kind if field.name == "kind" else _value(field, record, kind)
    known: dict[tuple[int, int], int] = {}
    keep = []
    for i, row in enumerate(rows):
        key = (int(row["kind"]), int(row["source_id"]))
        if row["source_id"] == INT_MISSING or known.setdefault(key, i) == i:
            keep.append(i)
    rows = rows[keep]
    return rows[np.lexsort((rows["source_id"], rows["kind"], rows["mjd_tai"]))]


def _batch(
    survey: Survey,
    alerts: Sequence[Record],
    histories: Sequence[Sequence[KindRecord]],
    finish: Callable[[Any, Record, Any], None],
) -> AlertBatch:
    shape = layout(survey, "alert")
    filled = np.zeros(len(alerts), shape.dtype)
    parts = [_fill_rows(survey, history) for history in histories]
    offsets = np.concatenate(([0], np.cumsum([len(part) for part in parts]))).astype(np.int64)
    trigger = np.full(len(alerts), -1, np.int64)
    for i, (alert, part) in enumerate(zip(alerts, parts, strict=True)):
        for field in shape.fields:
            filled[i][field.name] = _value(field, alert)
        for kind, name in enumerate(("n_detections", "n_nondetections", "n_forced")):
            filled[i][name] = np.count_nonzero(part["kind"] == kind) - (kind == DETECTION and len(part) > 0)
        own = np.flatnonzero((part["kind"] == DETECTION) & (part["source_id"] == filled[i]["alert_id"]))
        if len(own):
            trigger[i] = offsets[i] + own[0]
        finish(filled[i], alert, part)
    rows = np.concatenate(parts) if parts else np.zeros(0, layout(survey, "row").dtype)
    return AlertBatch(
        survey=survey,
        alerts=filled,
        rows=rows,
        offsets=offsets,
        trigger=trigger,
        messages=[Message(b"", "test", i, 0.0) for i in range(len(alerts))],
        datum=np.zeros((len(alerts), 2), np.int64),
        cutouts=np.zeros((len(alerts), 3, 2), np.int64),
        schemas=[None] * len(alerts),  # type: ignore[list-item]
    )


def _mjd(source: Record) -> float:
    value = source.get("midpointMjdTai")
    return -np.inf if value is None else float(value)


def lsst_batch(alerts: Sequence[Record]) -> AlertBatch:
    """One alert a dictionary {diaObject, diaSourcesList, diaForcedSourcesList, diaNondetectionLimitsList}.

    Lists may be absent or None and in any order. The newest source is the trigger; an alert without any has
    trigger -1. Sources without a diaSourceId are given one.
    """

    def finish(row: Any, alert: Record, rows: Any) -> None:
        row["has_object"] = bool(alert.get("diaObject"))
        row["is_mover"] = bool(alert.get("ssSource"))
        if row["object_id"] == INT_MISSING:
            row["object_id"] = row["dia_object_id"]
        earlier = (rows["kind"] == DETECTION) & (rows["source_id"] != row["alert_id"])
        row["n_reliable"] = np.count_nonzero(rows["reliability"][earlier] > 0.5)

    packets, histories = [], []
    for alert in alerts:
        sources = [{"diaSourceId": i + 1, **source} for i, source in enumerate(alert.get("diaSourcesList") or ())]
        newest = max(sources, key=lambda s: (_mjd(s), s["diaSourceId"]), default=None)
        packets.append({**alert, "diaSource": newest})
        histories.append(
            [(DETECTION, source) for source in sources]
            + [(FORCED, one) for one in alert.get("diaForcedSourcesList") or ()]
            + [(NONDETECTION, one) for one in alert.get("diaNondetectionLimitsList") or ()]
        )
    return _batch("lsst", packets, histories, finish)


def ztf_batch(alerts: Sequence[Record]) -> AlertBatch:
    """One alert a dictionary {objectId, candid, candidate, prv_candidates, fp_hists} as in ZTF's packets."""

    def finish(row: Any, alert: Record, rows: Any) -> None:
        packed, _ = pack_ztf(np.array([row["objectId"]], "S16"))
        row["object_id"] = packed[0]
        row["is_mover"] = 0 <= row["ssdistnr"] <= 5
        row["n_reliable"] = 0
        absent = (rows["nid"] < 0) & np.isfinite(rows["mjd_tai"])
        rows["nid"][absent] = np.floor(rows["mjd_tai"][absent] - _JD_TO_MJD_TAI - 2457754.5)

    packets, histories = [], []
    for alert in alerts:
        candid = alert.get("candid", alert["candidate"].get("candid"))
        packets.append({**alert, "candid": candid})
        history: list[KindRecord] = [(DETECTION, {**alert["candidate"], "candid": candid})]
        for one in alert.get("prv_candidates") or ():
            kind = DETECTION if one.get("candid") else NONDETECTION
            history.append((FORCED if one.get("forcediffimflux") is not None else kind, one))
        history += [(FORCED, one) for one in alert.get("fp_hists") or ()]
        histories.append(history)
    return _batch("ztf", packets, histories, finish)
