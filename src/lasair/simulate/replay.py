"""Recorded packets again, with new identities and shifted times.

Encoding is far too slow for a stream: each template is walked once to note where its ids and times stand, and every
copy is the template's bytes with these overwritten. Ids keep their length in bytes, times are eight bytes, so nothing
moves. One map of ids serves a whole copy, so that an object's packets, its history and its forced rows stay together;
positions, fluxes and images stay as they were recorded.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.errors import BadPacket
from lasair.packets.batch import Message, Refused
from lasair.packets.containers import MAGIC, read_varint, single_record
from lasair.packets.files import read_messages
from lasair.packets.schemas import SchemaSource
from lasair.schema.avsc import schema_id, writer_schema
from lasair.schema.model import Survey
from lasair.simulate.encode import container_header, long_bytes, sync_marker

_IDS: dict[Survey, frozenset[str]] = {
    "lsst": frozenset(("diaSourceId", "diaObjectId", "ssObjectId", "parentDiaSourceId", "diaForcedSourceId")),
    "ztf": frozenset(("candid",)),
}
_TIMES: dict[Survey, frozenset[str]] = {
    "lsst": frozenset(
        (
            "midpointMjdTai", "timeProcessedMjdTai", "timeWithdrawnMjdTai", "validityStartMjdTai", "validityEndMjdTai",
            "firstDiaSourceMjdTai", "lastDiaSourceMjdTai", "time_processed", "time_withdrawn", "validityStart",
            "validityEnd", "radecMjdTai",
        )
    ),
    "ztf": frozenset(("jd", "jdstarthist", "jdendhist")),
}  # fmt: skip
_NIGHTS: dict[Survey, frozenset[str]] = {"lsst": frozenset(), "ztf": frozenset(("nid",))}
_NAMES: dict[Survey, frozenset[str]] = {"lsst": frozenset(), "ztf": frozenset(("objectId",))}
#: shorter ids leave too few numbers to choose from
_SHORTEST_ID = 7
_LETTERS_7 = 26**7
_WIDTHS = {"float": 4, "double": 8, "boolean": 1}


@dataclass
class Template:
    """A recorded packet and the places in it that a copy changes.

    Attributes
    ----------
    head, datum, tail
        The message is these three joined: framing or container header, the bare record, the end of the container.
    ids
        Length in bytes -> (offsets in the datum, the numbers there), for ids long enough to be renamed.
    times
        Offsets of the 8-byte times.
    nights
        (offset, number, length in bytes) of ZTF's night numbers.
    names
        Offsets of the seven letters of ZTF's object names.
    """

    survey: Survey
    head: bytes
    datum: bytes
    tail: bytes
    ids: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]
    times: NDArray[np.int64]
    nights: list[tuple[int, int, int]]
    names: list[int]


@dataclass
class _Found:
    """What a walk has met so far."""

    ids: list[tuple[int, int, int]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    nights: list[tuple[int, int, int]] = field(default_factory=list)
    names: list[int] = field(default_factory=list)


_Step = Callable[[bytes, int, _Found], int]


def template(
    survey: Survey, schema: Mapping[str, Any], datum: bytes, *, head: bytes = b"", tail: bytes = b""
) -> Template:
    """Walk one record and note its ids and times.

    Raises
    ------
    BadPacket
        The record does not follow the schema.
    """
    found = _Found()
    try:
        end = _compile(schema, survey, {}, "")(datum, 0, found)
    except (IndexError, KeyError, struct.error) as err:
        raise BadPacket(f"the packet cannot be walked: {err}") from err
    if end != len(datum):
        raise BadPacket(f"the packet has {len(datum) - end} bytes behind its last field")
    ids: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    for size in sorted({size for _, _, size in found.ids}):
        if size >= _SHORTEST_ID:
            here = [(at, value) for at, value, length in found.ids if length == size]
            offsets, values = np.array(here, np.int64).T
            ids[size] = (offsets, values)
    return Template(survey, head, datum, tail, ids, np.array(found.times, np.int64), found.nights, found.names)


def _compile(node: Any, survey: Survey, named: dict[str, _Step], field_name: str) -> _Step:
    """A function (bytes, position, found) -> position behind the value, for a node of the schema."""
    if isinstance(node, str) and node in named:
        return named[node]
    if isinstance(node, list):
        branches = [_compile(branch, survey, named, field_name) for branch in node]

        def union(data: bytes, pos: int, found: _Found) -> int:
            branch, pos = read_varint(data, pos)
            return branches[branch](data, pos, found)

        return union
    kind = node["type"] if isinstance(node, dict) else node
    if kind == "record":
        return _compile_record(node, survey, named)
    if kind == "array":
        item = _compile(node["items"], survey, named, field_name)

        def array(data: bytes, pos: int, found: _Found) -> int:
            while True:
                count, pos = read_varint(data, pos)
                if count == 0:
                    return pos
                if count < 0:
                    _, pos = read_varint(data, pos)
                for _ in range(abs(count)):
                    pos = item(data, pos, found)

        return array
    if isinstance(kind, dict | list):
        return _compile(kind, survey, named, field_name)
    return _compile_leaf(kind, survey, field_name)


def _compile_record(node: Mapping[str, Any], survey: Survey, named: dict[str, _Step]) -> _Step:
    name = str(node["name"])
    space = str(node.get("namespace") or name.rpartition(".")[0])
    steps: list[_Step] = []

    def record(data: bytes, pos: int, found: _Found) -> int:
        for step in steps:
            pos = step(data, pos, found)
        return pos

    bare = name.rpartition(".")[2]
    named[bare] = named[f"{space}.{bare}"] = record
    steps += [_compile(one["type"], survey, named, str(one["name"])) for one in node["fields"]]
    return record


def _compile_leaf(kind: str, survey: Survey, name: str) -> _Step:
    if kind == "null":
        return lambda data, pos, found: pos
    if kind in _WIDTHS:
        width = _WIDTHS[kind]
        if kind == "double" and name in _TIMES[survey]:

            def time(data: bytes, pos: int, found: _Found) -> int:
                found.times.append(pos)
                return pos + 8

            return time
        return lambda data, pos, found: pos + width
    if kind in ("int", "long"):
        is_id, is_night = name in _IDS[survey], name in _NIGHTS[survey]

        def number(data: bytes, pos: int, found: _Found) -> int:
            value, end = read_varint(data, pos)
            if is_id and value > 0:
                found.ids.append((pos, value, end - pos))
            elif is_night:
                found.nights.append((pos, value, end - pos))
            return end

        return number
    if kind not in ("string", "bytes"):
        raise BadPacket(f"no alert schema has the type {kind!r}")
    is_name = name in _NAMES[survey]

    def text(data: bytes, pos: int, found: _Found) -> int:
        size, pos = read_varint(data, pos)
        if size < 0 or pos + size > len(data):
            raise BadPacket("a text is longer than the packet")
        if is_name and size == 12:
            found.names.append(pos + 5)
        return pos + size

    return text


def templates(
    packets: Iterable[Message | bytes | Path | str], schemas: SchemaSource | None = None
) -> Iterator[Template]:
    """Templates of messages (as on Kafka, or records of containers) and of packet files; damaged ones are left out.

    Parameters
    ----------
    schemas
        Where LSST's framed messages find their schemas.
    """
    for packet in packets:
        if isinstance(packet, Path | str):
            found: Iterable[Message | Refused] = read_messages(packet)
        else:
            found = [packet if isinstance(packet, Message) else Message(packet, "", 0, 0.0)]
        for message in found:
            if isinstance(message, Refused):
                continue
            try:
                yield _template_of(message, schemas)
            except BadPacket:
                continue


def _template_of(message: Message, schemas: SchemaSource | None) -> Template:
    value, schema = message.value, message.schema
    if schema is not None:
        if schema.survey == "lsst":
            head = b"\0" + schema_id(schema.version).to_bytes(4, "big")
            return template("lsst", schema.json, value, head=head)
        sync = sync_marker("replay", schema.version)
        head = container_header(schema.json, sync) + b"\x02" + long_bytes(len(value))
        return template("ztf", schema.json, value, head=head, tail=sync)
    if value[:4] == MAGIC:
        one = single_record(value)
        if one.value is not value:
            raise BadPacket("a compressed message cannot be overwritten")
        return template(
            one.schema.survey,
            one.schema.json,
            value[one.start : one.end],
            head=value[: one.start],
            tail=value[one.end :],
        )
    if value[:1] != b"\0" or len(value) < 5 or schemas is None:
        raise BadPacket("unknown framing, or no schemas to read it")
    found = schemas.get(int.from_bytes(value[1:5], "big"))
    return template("lsst", found.json, value[5:], head=value[:5])


def renamed(ids: NDArray[np.int64], size: int, copy: int, seed: int) -> NDArray[np.int64]:
    """New ids for a copy, one for one, of the same length as Avro's varints: a turn within all numbers of that length.

    Parameters
    ----------
    ids : (n,) int64
        Ids of `size` bytes, that is in [2^(7 size - 8), 2^(7 size - 1)).
    size : int
        7 to 9.
    copy
        0 leaves the ids as they are when the seed is 0.
    """
    low, high = 1 << (7 * size - 8), 1 << (7 * size - 1)
    span = high - low
    # the golden ratio's multiples lie as far from each other as numbers on a circle can
    step = (int(span * 0.6180339887498949) | 1) * copy + zlib.crc32(f"replay {seed}".encode()) * (span >> 33) * bool(
        seed
    )
    turned = (ids - low).astype(np.uint64) + np.uint64(step % span)
    return np.asarray(turned % np.uint64(span), np.int64) + low


def _renamed_letters(letters: bytes, copy: int, seed: int) -> bytes:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("a")
    step = (int(_LETTERS_7 * 0.6180339887498949) | 1) * copy + zlib.crc32(f"replay {seed}".encode()) * bool(seed)
    number = (number + step) % _LETTERS_7
    out = bytearray(7)
    for k in range(6, -1, -1):
        number, letter = divmod(number, 26)
        out[k] = letter + ord("a")
    return bytes(out)


def patched(one: Template, copy: int, *, seed: int, shift_d: int) -> bytes:
    """The message of one copy: ids renamed, times later by whole days."""
    data = np.frombuffer(one.datum, np.uint8).copy()
    for size, (offsets, values) in one.ids.items():
        left = renamed(values, size, copy, seed).astype(np.uint64) << np.uint64(1)
        septets = left[:, None] >> (np.uint64(7) * np.arange(size, dtype=np.uint64))
        octets = (septets & np.uint64(0x7F)).astype(np.uint8)
        octets[:, :-1] |= 0x80
        data[offsets[:, None] + np.arange(size)] = octets
    if shift_d and len(one.times):
        places = one.times[:, None] + np.arange(8)
        shifted = np.ascontiguousarray(data[places]).view("<f8") + shift_d
        data[places] = shifted.view(np.uint8)
    for at, number, size in one.nights:
        new = long_bytes(number + shift_d)
        if len(new) == size:
            data[at : at + size] = np.frombuffer(new, np.uint8)
    for at in one.names:
        data[at : at + 7] = np.frombuffer(_renamed_letters(one.datum[at : at + 7], copy, seed), np.uint8)
    return b"".join((one.head, data.tobytes(), one.tail))


def replay(
    packets: Iterable[Message | bytes | Path | str],
    copies: int = 1,
    *,
    seed: int = 1,
    shift_d: int = 0,
    schemas: SchemaSource | None = None,
) -> Iterator[bytes]:
    """Messages as on Kafka: all packets of copy 0, then of copy 1, and so on.

    Parameters
    ----------
    packets
        Messages, or files and folders of packets; what is damaged is left out.
    copies
        How many sets of new identities.
    seed
        Chooses the identities; 0 keeps those of the record in the first copy.
    shift_d
        Days by which all times become later.
    schemas
        Where LSST's framed messages find their schemas.

    Raises
    ------
    ValueError
        `copies` is below 1.
    """
    if copies < 1:
        raise ValueError(f"{copies} copies: at least 1")
    return _replay(list(templates(packets, schemas)), copies, seed, shift_d)


def _replay(found: list[Template], copies: int, seed: int, shift_d: int) -> Iterator[bytes]:
    for copy in range(copies):
        for one in found:
            yield patched(one, copy, seed=seed, shift_d=shift_d)


def trim_history(record: Mapping[str, Any], n_sources: int, n_forced: int) -> dict[str, Any]:
    """An LSST record (as fastavro reads it) with only the newest rows of its history; no row at all is null."""
    out = dict(record)
    for name, n in (("prvDiaSources", n_sources), ("prvDiaForcedSources", n_forced)):
        rows = sorted(record.get(name) or [], key=lambda row: float(row["midpointMjdTai"]))
        out[name] = rows[max(0, len(rows) - n) :] or None
    return out


def conform(value: Any, schema: Any, records: dict[str, Any] | None = None) -> Any:
    """A record of another version under a schema: unknown fields go, new ones are null, and counts that must not be
    null any more become 0."""
    records = {} if records is None else records
    if isinstance(schema, list):
        if value is None:
            return None
        return conform(value, next(branch for branch in schema if branch != "null"), records)
    if isinstance(schema, str) and schema in records:
        schema = records[schema]
    if isinstance(schema, dict) and schema.get("type") == "record":
        name = str(schema["name"])
        records[name] = records[f"{schema.get('namespace')}.{name}"] = schema
        return {one["name"]: conform(value.get(one["name"]), one["type"], records) for one in schema["fields"]}
    if isinstance(schema, dict) and schema.get("type") == "array":
        return [conform(item, schema["items"], records) for item in value]
    if value is None and schema in ("int", "long"):
        return 0
    return value


def replay_records(
    path: Path | str, *, copies: int = 1, trim: tuple[int, int] | None = None, seed: int = 1, version: str = "11.1"
) -> Iterator[bytes]:
    """Copies of the records of one LSST container, written anew under another schema version, history whole or cut.

    Parameters
    ----------
    trim
        (newest earlier detections, newest forced rows) to keep; None keeps all.

    Raises
    ------
    ValueError
        `copies` is below 1, or the version is unknown.
    OSError
        The file cannot be read.
    """
    import io

    import fastavro

    if copies < 1:
        raise ValueError(f"{copies} copies: at least 1")
    schema = writer_schema("lsst", version)
    parsed = fastavro.parse_schema(writer_schema("lsst", version))
    head = b"\0" + schema_id(version).to_bytes(4, "big")
    found: list[Template] = []
    with Path(path).open("rb") as file:
        for record in fastavro.reader(file):
            cut = trim_history(record, *trim) if trim is not None else record
            out = io.BytesIO()
            fastavro.schemaless_writer(out, parsed, conform(cut, schema))
            found.append(template("lsst", schema, out.getvalue(), head=head))
    return _replay(found, copies, seed, 0)
