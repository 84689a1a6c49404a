"""What a match becomes: one JSON message, in the form its filter asks for.

plain
    The selected columns under their result names, then ``UTC`` (when the filter ran), ``times`` (from exposure to
    sending, ISO 8601 UTC, null where unknown) and ``lasair`` (what matched: survey, filter, version, and the ids of
    alert and object as text, since JavaScript rounds numbers beyond 2^53).
lite
    Also ``alert``, the light curve in a few fields, newest first. LSST: ``diaSourcesList``, ``diaForcedSourcesList``.
    ZTF: ``candidates`` (detections), ``nondetections``, ``fp_hists`` (forced photometry).
full
    Also ``alert``, the whole packet but for the images; ``dec`` is ``decl`` everywhere, histories are newest first.
    LSST: ``diaObject``, ``diaSourcesList`` (the alert's own detection among them), ``diaForcedSourcesList``,
    ``diaNondetectionLimitsList``, ``ebv``, and the packet's other parts under their names. ZTF: the packet's parts
    under their names, and ``ebv``.

Values that are missing, NaN or infinite are null.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from lasair.errors import BadPacket
from lasair.packets.batch import AlertBatch
from lasair.packets.ids import object_names
from lasair.schema.model import DETECTION, FORCED, NONDETECTION, Survey
from lasair.times import iso_utc, mjd_tai_to_jd_utc, mjd_tai_to_unix, plain_utc

if TYPE_CHECKING:
    from lasair.filter.run import FilterResult

log = logging.getLogger("lasair.streams")

#: Names that a message has of its own, whatever the filter selects.
RESERVED = ("UTC", "times", "lasair", "alert")

# values as JSON has them, by code of the band or by sign
_NULL = b"null"
_BANDS = [b'"%c"' % code if chr(code).isalpha() and code < 128 else _NULL for code in range(256)]
_FIDS = [{"g": b"1", "r": b"2", "i": b"3"}.get(chr(code), _NULL) for code in range(256)]
_SIGNS = {1: b'"t"', -1: b'"f"'}
_LSST_LISTS = {
    "prvDiaSources": "diaSourcesList",
    "prvDiaForcedSources": "diaForcedSourcesList",
    "prvDiaNondetectionLimits": "diaNondetectionLimitsList",
}
_ZTF_LISTS = {"prv_candidates": "prv_candidates", "fp_hists": "fp_hists"}


class BatchTimes(NamedTuple):
    """When a batch went through the stages: seconds since 1970 (UTC)."""

    ingested_s: float
    filtered_s: float
    sent_s: float


class Delivery(NamedTuple):
    """One message for one topic; (filter_version_id, survey, alert_id) is delivered once.

    It is kept in parts: what it says of the alert is one object for all filters, and large in the full form, so that
    the messages of a batch which are joined before it is known which of them are delivered fill the memory.
    """

    filter_version_id: int
    filter_id: int
    topic: str
    survey: Survey
    alert_id: int
    object_id: int
    #: JSON, once joined
    parts: tuple[bytes, ...]

    @property
    def payload(self) -> bytes:
        """The message: JSON."""
        return b"".join(self.parts)

    @property
    def size(self) -> int:
        """Bytes of the message."""
        return sum(map(len, self.parts))


class Forms:
    """Makes the messages of one batch; what several filters' messages share is made once.

    Parameters
    ----------
    batch : the alerts; ``batch.tables["objects"]``, when there, has a row for each of them
    evaluated : (n,) int64
        The alerts that filters saw: a filter's alert j is alert ``evaluated[j]`` of the batch.
    times : when the batch went through the stages
    """

    def __init__(self, batch: AlertBatch, evaluated: NDArray[np.int64], times: BatchTimes) -> None:
        self._batch = batch
        self._evaluated = evaluated
        self._times = times
        self._utc = plain_utc(times.filtered_s)
        self._lite: dict[int, bytes] = {}
        self._full: dict[int, bytes] = {}

    def messages(self, result: FilterResult) -> list[Delivery]:
        """The messages of one filter's matches, in their order.

        A message consists of JSON texts, of which only the row is this filter's alone: with a hundred filters on a
        batch there are several times more messages than alerts.
        """
        active, survey = result.filter, self._batch.survey
        alert_ids, object_ids, tails = self._identities
        head = orjson.dumps({"survey": survey, "filter": active.name, "version": active.number})[:-1]
        part = {"lite": self._lite_alert, "full": self._full_alert}.get(active.output)
        found = []
        for j, row in zip(result.alerts.tolist(), result.rows, strict=True):
            texts = [
                orjson.dumps(dict(zip(result.names, row, strict=True)), default=_other)[:-1],
                self._chain[j],
                head,
                tails[j],
            ]
            if part:
                texts += [b',"alert":', part(int(self._evaluated[j]))]
            texts.append(b"}")
            found.append(
                Delivery(
                    active.version_id,
                    active.filter_id,
                    active.topic,
                    survey,
                    alert_ids[j],
                    object_ids[j],
                    tuple(texts),
                )
            )
        return found

    @cached_property
    def _identities(self) -> tuple[list[int], list[int], list[bytes]]:
        """Ids of the evaluated alerts and objects, and both as the text that ends ``lasair`` in a message."""
        alerts = self._batch.alerts[self._evaluated]
        names = object_names(self._batch.survey, alerts["object_id"]).tolist()
        ids = alerts["alert_id"].tolist()
        tails = [
            orjson.dumps({"alert": str(one), "object": str(name)}).replace(b"{", b",", 1)
            for one, name in zip(ids, names, strict=True)
        ]
        return ids, alerts["object_id"].tolist(), tails

    @cached_property
    def _chain(self) -> list[bytes]:
        """``UTC`` and ``times`` of each evaluated alert as JSON, and the name of what follows them."""
        alerts = self._batch.alerts[self._evaluated]
        exposure = iso_utc(mjd_tai_to_unix(alerts["mjd_tai"]))
        processed = iso_utc(mjd_tai_to_unix(alerts["processed_mjd_tai"]))
        messages = self._batch.messages
        arrived = iso_utc(np.array([messages[i].arrived for i in self._evaluated.tolist()], np.float64))
        stages = ("ingested", "filtered", "sent")
        later = dict(zip(stages, iso_utc(np.array(self._times, np.float64)), strict=True))
        return [
            b',"UTC":"%b","times":%b,"lasair":'
            % (self._utc.encode(), orjson.dumps({"exposure": e, "processed": p, "arrived": a, **later}))
            for e, p, a in zip(exposure, processed, arrived, strict=True)
        ]

    def _lite_alert(self, i: int) -> bytes:
        if i not in self._lite:
            batch = self._batch
            rows = batch.rows[batch.offsets[i] : batch.offsets[i + 1]]
            own = np.zeros(len(rows), np.bool_)
            own[batch.trigger[i] - batch.offsets[i]] = True
            # newest first; at one time the alert's own detection comes first
            rows = rows[np.lexsort((own, rows["mjd_tai"]))[::-1]]
            self._lite[i] = (_lite_ztf if batch.survey == "ztf" else _lite_lsst)(rows)
        return self._lite[i]

    def _full_alert(self, i: int) -> bytes:
        if i not in self._full:
            from lasair.packets import record

            try:
                whole = (_full_ztf if self._batch.survey == "ztf" else _full_lsst)(record(self._batch, i))
                whole["ebv"] = self._ebv(i)
            except BadPacket as err:
                # The columns were read, so the match counts; the message says that the rest could not be.
                log.warning("alert %d has no full form: %s", self._batch.alerts["alert_id"][i], err)
                whole = None
            self._full[i] = orjson.dumps(whole, default=_other)
        return self._full[i]

    def _ebv(self, i: int) -> float | None:
        column = self._batch.tables.get("objects", {}).get("ebv")
        return None if column is None else float(column[i])


def _lite_lsst(rows: NDArray[Any]) -> bytes:
    detections, forced = rows[rows["kind"] == DETECTION], rows[rows["kind"] == FORCED]
    fluxes = ("flux", "flux_err", "mjd_tai")
    names = ("psfFlux", "psfFluxErr", "midpointMjdTai", "band")
    return b'{"diaSourcesList":%b,"diaForcedSourcesList":%b}' % (
        _records(
            (*names, "reliability"),
            (*_floats(detections, fluxes), _bands(detections), *_floats(detections, ["reliability"])),
        ),
        _records(names, (*_floats(forced, fluxes), _bands(forced))),
    )


def _lite_ztf(rows: NDArray[Any]) -> bytes:
    found, limits, forced = (rows[rows["kind"] == kind] for kind in (DETECTION, NONDETECTION, FORCED))
    signs = [_SIGNS.get(sign, _NULL) for sign in found["sign"].tolist()]
    return b'{"candidates":%b,"nondetections":%b,"fp_hists":%b}' % (
        _records(
            ("jd", "fid", "magpsf", "sigmapsf", "isdiffpos", "rb"),
            (*_jd_fid(found), *_floats(found, ["mag", "mag_err"]), signs, *_floats(found, ["reliability"])),
        ),
        _records(("jd", "fid", "diffmaglim"), (*_jd_fid(limits), *_floats(limits, ["limit_mag"]))),
        _records(
            ("jd", "fid", "forcediffimflux", "forcediffimfluxunc", "magzpsci"),
            (*_jd_fid(forced), *_floats(forced, ["flux_dn", "flux_dn_err", "zero_point"])),
        ),
    )


def _records(names: Sequence[str], columns: Sequence[list[bytes]]) -> bytes:
    """A JSON list of records whose values are JSON already, one list a column."""
    one = b"{" + b",".join(b'"%b":%%b' % name.encode() for name in names) + b"}"
    return b"[" + b",".join([one % values for values in zip(*columns, strict=True)]) + b"]"


def _numbers(values: NDArray[np.float64]) -> list[bytes]:
    """Each number as JSON has it, NaN as null."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    return text.split(b",") if text else []


def _floats(rows: NDArray[Any], fields: Iterable[str]) -> list[list[bytes]]:
    # as doubles, like the fields of the full form: a consumer may compare the two
    return [_numbers(rows[field].astype(np.float64)) for field in fields]


def _bands(rows: NDArray[Any]) -> list[bytes]:
    return [_BANDS[code] for code in rows["band"].tolist()]


def _jd_fid(rows: NDArray[Any]) -> tuple[list[bytes], list[bytes]]:
    return _numbers(mjd_tai_to_jd_utc(rows["mjd_tai"])), [_FIDS[code] for code in rows["band"].tolist()]


def _full_lsst(packet: dict[str, Any]) -> dict[str, Any]:
    own = packet.get("diaSource")
    lists = {**packet, "prvDiaSources": [*([own] if own else ()), *(packet.get("prvDiaSources") or ())]}
    whole: dict[str, Any] = {"diaObject": _decl(packet.get("diaObject"))}
    for name, shown in _LSST_LISTS.items():
        whole[shown] = _newest_first(lists.get(name), "midpointMjdTai")
    return {**whole, **_rest(packet, (*_LSST_LISTS, "diaObject", "diaSource"))}


def _full_ztf(packet: dict[str, Any]) -> dict[str, Any]:
    lists = {shown: _newest_first(packet.get(name), "jd") for name, shown in _ZTF_LISTS.items()}
    return {**_rest(packet, _ZTF_LISTS), **lists}


def _rest(packet: dict[str, Any], used: Iterable[str]) -> dict[str, Any]:
    """Parts of a packet as they are, but for those used otherwise and the images."""
    return {name: _decl(value) for name, value in packet.items() if name not in used and not name.startswith("cutout")}


def _newest_first(records: list[dict[str, Any]] | None, time: str) -> list[Any]:
    def when(record: dict[str, Any]) -> float:
        value = record.get(time)
        return -np.inf if value is None or value != value else float(value)

    return [_decl(one) for one in sorted(records or (), key=when, reverse=True)]


def _decl(value: Any) -> Any:
    """A record with ``dec`` called ``decl``, changed in place (records are many); anything else as it is."""
    if isinstance(value, dict) and "dec" in value:
        value["decl"] = value.pop("dec")
    return value


def _other(value: Any) -> Any:
    """What JSON has no form for; of Avro's types only bytes are left."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    raise TypeError(f"no JSON for {type(value).__name__}")
