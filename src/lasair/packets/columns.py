"""Every numeric field of the packets as columns, not only those that the layouts keep.

For whoever wants to look at all of them in arrays, and to measure what keeping everything costs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.packets import walk
from lasair.packets.avro import PacketSchema, Table, compile_table, leaves
from lasair.packets.batch import Message
from lasair.packets.decode import frames, walk_all
from lasair.packets.plan import Path, Plan, make_plan, plan
from lasair.packets.schemas import SchemaSource
from lasair.schema.model import Field

#: A boolean takes a signed byte, so that "missing" (-128) differs from false.
_DTYPES = {"float": "f4", "double": "f8", "int": "i4", "long": "i8", "boolean": "i1"}


class AllColumns(NamedTuple):
    """All numbers of the packets of one schema.

    `alerts` and `rows` are structured arrays: first the layout's fields, then the others under their packet names,
    those of sub-records as ``diaObject.u_psfFluxMean``. `rows`, `offsets` and `trigger` are as in AlertBatch, and so
    are the codes in the layout's fields; of the others booleans are 0, 1 or, missing, -128.
    """

    schema: PacketSchema
    alerts: NDArray[Any]
    rows: NDArray[Any]
    offsets: NDArray[np.int64]
    trigger: NDArray[np.int64]


def decode_all_columns(messages: Sequence[Message], schemas: SchemaSource | None) -> list[AllColumns]:
    """Decode every numeric field, schema by schema; records that cannot be walked are left out without a word.

    Nothing is checked or completed as `decode.decode` does: this is what the survey sent, but that null, NaN and
    infinite are all "missing" (NaN; the smallest number of an integer type).
    """
    found = []
    groups, _ = frames(messages, schemas)
    for group in groups.values():
        for schema in dict.fromkeys(group.schemas):
            members = [i for i, one in enumerate(group.schemas) if one is schema]
            wanted, table = _everything(schema)
            walked = walk_all(
                wanted, [table] * len(members), [group.messages[i] for i in members], [group.spans[i] for i in members]
            )
            good = np.flatnonzero(walked.status[:, 0] == walk.GOOD)
            counts = np.diff(walked.offsets)[good]
            offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
            alerts = walked.alerts[good][list(wanted.alert_dtype.names or ())]
            # records that failed have no rows, so that those of the good ones follow each other
            found.append(AllColumns(schema, alerts, walked.rows, offsets, walked.trigger[good]))
    return found


@functools.lru_cache(maxsize=16)
def _everything(schema: PacketSchema) -> tuple[Plan, Table]:
    standard = plan(schema.survey)
    found = leaves(schema.json)
    kept = standard.resolve(found)
    places = (standard.trigger, *standard.arrays)
    arrays = [path for path, kind in _array_paths(schema).items() if kind]
    alert: list[tuple[Field, Path]] = []
    row: dict[str, tuple[list[str], list[Path]]] = {}
    for path, kind in found.items():
        place = next((one for one in places if path[: len(one)] == one), None)
        if kind not in _DTYPES or any(target.row == (place is not None) for target in kept.get(path, ())):
            continue
        if place is None:
            if not any(path[: len(one)] == one for one in arrays):
                alert.append((Field(".".join(path), _DTYPES[kind], "As sent."), path))
        elif len(path) == len(place) + 1:
            kinds, paths = row.setdefault(path[-1], ([], []))
            kinds.append(_DTYPES[kind])
            paths.append(path)
    taken = set(standard.row_dtype.names or ())
    rows = [
        (Field(f"packet.{name}" if name in taken else name, np.result_type(*kinds).str[1:], "As sent."), tuple(paths))
        for name, (kinds, paths) in row.items()
    ]
    taken = set(standard.alert_dtype.names or ())
    alert = [(replace(one, name=f"packet.{one.name}") if one.name in taken else one, path) for one, path in alert]
    wanted = make_plan(schema.survey, tuple(alert), tuple(rows))
    return wanted, compile_table(schema.json, wanted)


def _array_paths(schema: PacketSchema) -> dict[Path, bool]:
    """Top-level fields that are arrays or maps (or may be)."""

    def holds(kind: Any) -> bool:
        if isinstance(kind, list):
            return any(holds(one) for one in kind)
        return isinstance(kind, dict) and (kind.get("type") in ("array", "map") or holds(kind.get("type")))

    return {(one["name"],): holds(one["type"]) for one in schema.json["fields"]}
