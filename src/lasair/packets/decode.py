"""From messages to alert batches: frames are read, the kernel walks, what is impossible is set aside."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.errors import BadPacket, UnknownSchema
from lasair.packets import walk
from lasair.packets.avro import PacketSchema, Table
from lasair.packets.batch import CUTOUT_KINDS, AlertBatch, Message, Refused
from lasair.packets.checks import complete
from lasair.packets.containers import MAGIC, single_record
from lasair.packets.plan import Plan, plan
from lasair.packets.schemas import SchemaSource
from lasair.schema.model import SURVEYS, Survey

#: first byte of Confluent's framing, before four bytes of schema id
_CONFLUENT = 0
_FRAME = 5


@dataclass
class _Group:
    """Messages of one survey, in input order, with the place of the datum in each."""

    messages: list[Message] = field(default_factory=list)
    schemas: list[PacketSchema] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, message: Message, schema: PacketSchema, start: int, end: int) -> None:
        self.messages.append(message)
        self.schemas.append(schema)
        self.spans.append((start, end))


def decode(
    messages: Sequence[Message], schemas: SchemaSource | None, *, allow_programids: Sequence[int] = (1,)
) -> tuple[list[AlertBatch], list[Refused]]:
    """Decode messages: one batch a survey (none without alerts), each in input order, and what was refused.

    Parameters
    ----------
    messages
        Values are LSST's Confluent framing, a ZTF container of one record, or, where `Message.schema` is given, a
        bare datum. Nothing about them is trusted.
    schemas
        Where LSST's schemas come from by id; None when no message needs them.
    allow_programids
        ZTF programmes to let pass; others are refused, since their contents are not public.

    Never raises for what a message contains; a message that cannot be used is in the second list with a reason and
    does not affect the others.
    """
    groups, refused = frames(messages, schemas)
    batches = []
    for survey, group in groups.items():
        batch, bad = _decode_group(survey, group, tuple(allow_programids))
        refused += bad
        if len(batch):
            batches.append(batch)
    return batches, refused


def frames(messages: Sequence[Message], source: SchemaSource | None) -> tuple[dict[Survey, _Group], list[Refused]]:
    """Find schema and datum of each message; groups come in the order of SURVEYS."""
    groups: dict[Survey, _Group] = {survey: _Group() for survey in SURVEYS}
    refused: list[Refused] = []
    by_id: dict[int, PacketSchema | BadPacket] = {}
    for message in messages:
        value, schema = message.value, message.schema
        if type(value) is not bytes:
            # the kernel reads by address: only bytes never move and never change
            message = message._replace(value=bytes(value))
            value = message.value
        if schema is not None:
            groups[schema.survey].add(message, schema, 0, len(value))
        elif value[:1] == b"\0" and len(value) >= _FRAME:
            schema_id = int.from_bytes(value[1:_FRAME], "big")
            found = by_id.get(schema_id)
            if found is None:
                found = by_id[schema_id] = _look_up(schema_id, source)
            if isinstance(found, BadPacket):
                refused.append(Refused(message, str(found), retry=isinstance(found, UnknownSchema)))
            else:
                groups[found.survey].add(message, found, _FRAME, len(value))
        elif value[:4] == MAGIC:
            try:
                single = single_record(value)
            except BadPacket as err:
                refused.append(Refused(message, str(err)))
                continue
            if single.value is not value:
                message = message._replace(value=single.value, schema=single.schema)
            groups[single.schema.survey].add(message, single.schema, single.start, single.end)
        else:
            shown = value[:4].hex(" ") or "nothing"
            what = f"unknown framing: neither a schema id nor an Avro container (it begins with {shown})"
            refused.append(Refused(message, what))
    return {survey: group for survey, group in groups.items() if group.messages}, refused


def _look_up(schema_id: int, source: SchemaSource | None) -> PacketSchema | BadPacket:
    if source is None:
        return UnknownSchema(f"schema {schema_id} is not known: no source of schemas was given")
    try:
        return source.get(schema_id)
    except BadPacket as err:
        return err


@dataclass
class Walked:
    """What the kernel made of one survey's records, before anything is checked or completed."""

    #: (n,) work rows, hidden columns included
    alerts: NDArray[Any]
    rows: NDArray[Any]
    offsets: NDArray[np.int64]
    trigger: NDArray[np.int64]
    cutouts: NDArray[np.int64]
    counts: NDArray[np.int64]
    status: NDArray[np.int64]


@functools.lru_cache(maxsize=64)
def _joined(tables: tuple[Table, ...]) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Several op tables as one (jumps are relative), and where each begins."""
    sizes = [len(one.ops) for one in tables]
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
    ops = np.ascontiguousarray(np.concatenate([one.ops for one in tables]))
    return ops, np.ascontiguousarray(np.concatenate([one.missing for one in tables])), starts


def walk_all(
    wanted: Plan, tables: Sequence[Table], messages: Sequence[Message], spans: Sequence[tuple[int, int]]
) -> Walked:
    """Run the kernel over the datums at `spans` of the messages' values, each by its own table."""
    n = len(messages)
    place = np.empty((n, 3), np.int64)
    place[:, 0] = np.fromiter((walk.address_of(message.value) for message in messages), np.int64, n)
    place[:, 1:] = place[:, :1] + np.array(spans, np.int64).reshape(n, 2)
    return walk_places(wanted, tables, place)


def walk_places(wanted: Plan, tables: Sequence[Table], place: NDArray[np.int64]) -> Walked:
    """Run the kernel over (n, 3) addresses: of each message, of its datum, of the datum's end."""
    n = len(place)
    different = tuple(dict.fromkeys(tables))
    ops, missing, starts = _joined(different)
    number = {one: k for k, one in enumerate(different)}
    program = np.fromiter((number[one] for one in tables), np.int64, n)

    alerts = np.repeat(wanted.alert_template, n)
    counts = np.empty((n, walk.C_WIDTH), np.int64)
    cutouts = np.empty((n, len(CUTOUT_KINDS), 2), np.int64)
    status = np.empty((n, 3), np.int64)
    offsets = np.zeros(n + 1, np.int64)
    trigger = np.empty(n, np.int64)

    room = 1024
    space = _Space(room, wanted)
    size = wanted.row_size
    rows = np.empty(max(64, int((place[:, 2] - place[:, 1]).sum()) // 1500) * size, np.uint8)
    first = used = 0
    while True:
        first, outcome = walk.walk_batch(
            ops,
            missing,
            starts,
            program,
            place,
            first,
            alerts.ctypes.data,
            wanted.alert.itemsize,
            space.scratch.ctypes.data,
            room,
            wanted.row_template.ctypes.data,
            wanted.where,
            wanted.fixes,
            rows.ctypes.data,
            len(rows) // size,
            used,
            space.mjd,
            space.keys,
            space.work,
            counts,
            cutouts,
            offsets,
            trigger,
            status,
        )
        used = int(offsets[first])
        if outcome == walk.NEED_SCRATCH:
            room *= 4
            space = _Space(room, wanted)
        elif outcome == walk.NEED_ROWS:
            # as many rows a record as so far, and some: most batches grow once
            expected = int(used / first * n * 1.1) if first else 0
            more = max(expected, used + int(counts[first, walk.C_ROWS]), len(rows) // size * 3 // 2)
            bigger = np.empty(more * size, np.uint8)
            bigger[: used * size] = rows[: used * size]
            rows = bigger
        else:
            break
    # ops are numbered within their own table, so that a reason names the right field
    status[:, 1] -= starts[program]
    return Walked(alerts, rows[: used * size].view(wanted.row_dtype), offsets, trigger, cutouts, counts, status)


class _Space:
    """Work space for the rows of one alert."""

    def __init__(self, room: int, wanted: Plan) -> None:
        self.scratch = np.empty(room * wanted.row.itemsize, np.uint8)
        self.mjd = np.empty(room, np.float64)
        self.keys = np.empty((room, 4), np.int64)
        self.work = np.empty((3, room + 1), np.int64)


def _decode_group(survey: Survey, group: _Group, allow_programids: tuple[int, ...]) -> tuple[AlertBatch, list[Refused]]:
    wanted = plan(survey)
    tables = [schema.table for schema in group.schemas]
    walked = walk_all(wanted, tables, group.messages, group.spans)
    datum = np.array(group.spans, np.int64).reshape(-1, 2)
    good = walked.status[:, 0] == walk.GOOD
    reasons = complete(wanted, walked, good, allow_programids)
    for i in np.flatnonzero(~good):
        reasons[int(i)] = reason(tables[i], walked.status[i])
    alerts = _public(walked.alerts, wanted)
    batch = AlertBatch(
        survey=survey,
        alerts=alerts,
        rows=walked.rows,
        offsets=walked.offsets,
        trigger=walked.trigger,
        messages=group.messages,
        datum=datum,
        cutouts=walked.cutouts,
        schemas=group.schemas,
    )
    if reasons:
        keep = np.ones(len(batch), np.bool_)
        keep[list(reasons)] = False
        batch = batch.select(keep)
    return batch, [Refused(group.messages[i], reasons[i]) for i in sorted(reasons)]


def _public(alerts: NDArray[Any], wanted: Plan) -> NDArray[Any]:
    """The alerts without hidden columns."""
    raw = alerts.view(np.uint8).reshape(len(alerts), wanted.alert.itemsize)
    return np.ascontiguousarray(raw[:, : wanted.alert_size]).view(wanted.alert_dtype).ravel()


def reason(table: Table, status: NDArray[np.int64]) -> str:
    """What a record's status means, in words."""
    code, op, at = (int(value) for value in status)
    path = table.paths[op] if 0 <= op < len(table.paths) else ""
    where = f" (field {path}, byte {at})" if path and code not in (walk.LEFT_OVER, walk.NO_TRIGGER) else ""
    return walk.REASONS[code] + where
