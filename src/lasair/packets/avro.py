"""Writer's schemas: parsed, checked, and compiled into the op tables that the kernel in `walk.py` runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.errors import BadPacket
from lasair.packets import walk
from lasair.packets.plan import Path, Plan, Target, plan, survey_of
from lasair.schema.model import Survey

#: Schemas larger than these are no alert schemas, but attacks on the reader.
MAX_SCHEMA_BYTES = 4_000_000
MAX_OPS = 20_000
MAX_NESTING = 60
_MAX_FIXED = 2**30

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_EXACT = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_NUMBERS = {
    "float": walk.FROM_FLOAT,
    "double": walk.FROM_DOUBLE,
    "int": walk.FROM_LONG,
    "long": walk.FROM_LONG,
    "boolean": walk.FROM_BOOL,
}
_INTEGER_FORMS = (walk.TO_I1, walk.TO_U1, walk.TO_I2, walk.TO_I4, walk.TO_I8, walk.TO_FID)
_LSST_NAMESPACE = re.compile(r"lsst\.v(\d+)_(\d+)")

Json = Any


@dataclass(frozen=True, eq=False)
class Table:
    """A compiled schema: `ops` and `missing` as `walk.walk` takes them, and the packet path of each op."""

    ops: NDArray[np.int32]
    missing: NDArray[np.float64]
    paths: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PacketSchema:
    """A writer's schema, compiled. Made by `compile_schema`; compared by identity."""

    survey: Survey
    #: '11.1' (LSST), '4.02' (ZTF), '' when the schema does not say
    version: str
    #: the schema as it came, for whoever must read the whole datum
    json: Json
    table: Table

    @cached_property
    def parsed(self) -> Any:
        """The schema as fastavro wants it (parsed once, when first asked for)."""
        import fastavro

        return fastavro.parse_schema(self.json)

    @cached_property
    def skipping(self) -> Table:
        """A table that stores nothing, to find where records end."""
        return _Compiler(self.json, None).table()


def compile_schema(schema_json: dict[str, Any] | str | bytes, *, version: str | None = None) -> PacketSchema:
    """Compile a writer's schema of alerts.

    Parameters
    ----------
    schema_json
        The Avro schema, as text or as parsed JSON.
    version
        Version to report, such as '11.1', when the schema cannot say so itself.

    Raises
    ------
    BadPacket
        No Avro schema, not of a survey's alerts, or one that the kernel cannot walk (recursive, too large).
    """
    schema = _parse(schema_json)
    fields = schema.get("fields") if isinstance(schema, dict) else None
    if not isinstance(fields, list):
        raise BadPacket("the packet's schema is not a record")
    survey = survey_of(str(one.get("name")) for one in fields if isinstance(one, dict))
    if survey is None:
        name = str(schema.get("name"))[:60]
        raise BadPacket(f"the packet's schema {name!r} is of no survey we know: neither diaSource nor candidate in it")
    return PacketSchema(survey, version or _version(schema), schema, compile_table(schema, plan(survey)))


def compile_table(schema: Json, wanted: Plan | None) -> Table:
    """The op table of a schema; raises BadPacket as `compile_schema` does."""
    return _Compiler(schema, wanted).table()


def leaves(schema: Json) -> dict[Path, str]:
    """Packet path and primitive type of every field that is no record, also inside arrays (not inside maps)."""
    return _Compiler(schema, None).leaves()


def _parse(schema: dict[str, Any] | str | bytes) -> Json:
    if isinstance(schema, dict):
        return schema
    if len(schema) > MAX_SCHEMA_BYTES:
        raise BadPacket(f"the packet's schema is longer than {MAX_SCHEMA_BYTES} bytes")
    try:
        return json.loads(schema)
    except (ValueError, RecursionError) as err:
        raise BadPacket(f"the packet's schema is no JSON: {err}") from err


def _version(schema: Mapping[str, Any]) -> str:
    stated = schema.get("version")
    if isinstance(stated, str | int | float):
        return str(stated)[:16]
    found = _LSST_NAMESPACE.search(f"{schema.get('namespace', '')}.{schema.get('name', '')}")
    return f"{found[1]}.{found[2]}" if found else ""


@dataclass
class _Type:
    """A type with names resolved: `kind` is a primitive, or record, array, map, union, enum or fixed."""

    kind: str
    name: str = ""
    size: int = 0
    logical: str = ""
    fields: tuple[tuple[str, _Type], ...] = ()
    inner: tuple[_Type, ...] = ()


class _Compiler:
    def __init__(self, schema: Json, wanted: Plan | None) -> None:
        self.plan = wanted
        self.ops: list[list[int]] = []
        self.missing: list[tuple[float, float]] = []
        self.paths: list[str] = []
        #: ops before this one must not be merged with what follows: a jump ends here
        self.barrier = 0
        self.targets: dict[Path, list[Target]] = {}
        #: every place where something is stored or counted, and all that lead there
        self.prefixes: set[Path] = set()
        #: above 0 inside maps and arrays of no interest, where a path says nothing
        self.hidden = 0
        try:
            self.root = _Resolver().resolve(schema, "", 0)
        except RecursionError as err:
            raise BadPacket("the packet's schema is nested too deeply") from err

    def table(self) -> Table:
        if self.plan is not None:
            known = self.leaves()
            if self.plan.trigger not in known:
                raise BadPacket(f"the packet's schema has no {'.'.join(self.plan.trigger)}")
            self.targets = self.plan.resolve(known)
            places = (*self.targets, *self.plan.slices, *self.plan.arrays, *self.plan.marks, self.plan.trigger)
            self.prefixes = {place[:depth] for place in places for depth in range(len(place) + 1)}
        self._node(self.root, (), 0)
        self._emit(walk.END, ())
        ops = np.array(self.ops, np.int32).reshape(-1, walk.WIDTH)
        return Table(np.ascontiguousarray(ops), np.array(self.missing, np.float64).reshape(-1, 2), tuple(self.paths))

    def leaves(self) -> dict[Path, str]:
        found: dict[Path, str] = {}

        def visit(node: _Type, path: Path) -> None:
            if node.kind == "record":
                found.setdefault(path, "record")
                for name, inner in node.fields:
                    visit(inner, (*path, name))
            elif node.kind in ("array", "union"):
                for inner in node.inner:
                    if inner.kind != "null":
                        visit(inner, path)
            else:
                found.setdefault(path, node.kind)

        visit(self.root, ())
        return found

    # --- emitting ---

    def _emit(
        self,
        code: int,
        path: Path,
        *,
        nulls: int = -1,
        dest: int = 0,
        offset: int = 0,
        a: int = 0,
        b: int = 0,
        peek: bool = False,
        missing: tuple[float, ...] = (),
    ) -> int:
        if len(self.ops) >= MAX_OPS:
            raise BadPacket(f"the packet's schema has more than {MAX_OPS} fields")
        first, second = (*missing, np.nan, np.nan)[:2]
        self.ops.append([code, nulls, dest, offset, a, b, int(peek), int(bool(missing))])
        self.missing.append((first, second))
        self.paths.append(".".join(path))
        return len(self.ops) - 1

    def _land(self, op: int) -> None:
        """The jump at `op` leads to the next op to be emitted."""
        self.ops[op][walk.A] = len(self.ops) - op
        self.barrier = len(self.ops)

    def _last(self, code: int, nulls: int, a: int | None = None) -> list[int] | None:
        """The op before, when one of this code may be merged into it."""
        if len(self.ops) <= self.barrier:
            return None
        op = self.ops[-1]
        same = op[walk.CODE] == code and op[walk.NULLS] == nulls and (a is None or op[walk.A] == a)
        return op if same else None

    def _skip_exact(self, size: int, path: Path) -> None:
        if size == 0:
            return
        before = self._last(walk.SKIP_FIXED, -1)
        if before is not None and before[walk.A] + size <= _MAX_FIXED:
            before[walk.A] += size
        else:
            self._emit(walk.SKIP_FIXED, path, a=size)

    def _skip_run(self, code: int, path: Path, *, nulls: int = -1, a: int = 0) -> None:
        before = self._last(code, nulls, a)
        if before is not None:
            before[walk.B] += 1
        else:
            self._emit(code, path, nulls=nulls, a=a, b=1)

    # --- types ---

    def _wanted(self, path: Path) -> bool:
        """Whether anything at or below this path is stored or counted."""
        if self.plan is None or self.hidden:
            return False
        return path in self.prefixes

    def _node(self, node: _Type, path: Path, depth: int, nulls: int = -1) -> None:
        """Emit ops for a value; `nulls` says that it may be null, and where null stands in the union."""
        wanted = self._wanted(path)
        if node.kind == "union":
            self._union(node, path, depth)
        elif wanted and self._leaf(node, path, nulls):
            return
        elif not wanted and (size := exact_size(node)) is not None:
            if nulls < 0:
                self._skip_exact(size, path)
            else:
                self._skip_run(walk.SKIP_NULLABLE_FIXED, path, nulls=nulls, a=size)
        elif node.kind in ("int", "long", "enum"):
            self._skip_run(walk.SKIP_VARINT if nulls < 0 else walk.SKIP_NULLABLE_VARINT, path, nulls=nulls)
        elif node.kind in ("string", "bytes"):
            self._emit(walk.SKIP_BYTES, path, nulls=nulls)
        elif nulls >= 0:
            jump = self._emit(walk.IF_NULL, path, nulls=nulls)
            self.barrier = len(self.ops)
            self._inside(node, path, depth)
            self._land(jump)
        else:
            self._inside(node, path, depth)

    def _inside(self, node: _Type, path: Path, depth: int) -> None:
        if node.kind == "record":
            self._record(node, path, depth)
        elif node.kind in ("array", "map"):
            self._array(node, path, depth)
        else:
            self._skip_exact(exact_size(node) or 0, path)

    def _leaf(self, node: _Type, path: Path, nulls: int) -> bool:
        """Store a primitive value where it is wanted; False when this node is no such value."""
        assert self.plan is not None
        if path in self.plan.slices and node.kind in ("bytes", "string"):
            self._emit(walk.SLICE, path, nulls=nulls, a=self.plan.slices[path])
            return True
        targets = self.targets.get(path)
        if not targets or node.kind in ("record", "array", "map"):
            return False
        if node.kind == "null":
            return True
        for k, one in enumerate(targets):
            self._store(node, one, path, nulls, peek=k + 1 < len(targets))
        return True

    def _store(self, node: _Type, one: Target, path: Path, nulls: int, *, peek: bool) -> None:
        dest = int(one.row)
        if one.is_text and node.kind in ("string", "bytes"):
            self._emit(walk.TEXT, path, nulls=nulls, dest=dest, offset=one.offset, a=one.room, b=one.form, peek=peek)
            return
        source = _NUMBERS.get(node.kind)
        cut = source in (walk.FROM_FLOAT, walk.FROM_DOUBLE) and one.form in _INTEGER_FORMS
        if source is None or one.is_text or cut:
            field = ".".join(path)
            raise BadPacket(f"field {field} of the packet's schema is of type {node.kind}, which cannot hold its value")
        form = walk.TO_MJD_MICROS if node.logical == "timestamp-micros" and one.form == walk.TO_F8 else one.form
        code, a, b = walk.VALUE, source, form
        if not one.missing and (source, one.form) == (walk.FROM_FLOAT, walk.TO_F4):
            code = walk.COPY4
        elif not one.missing and (source, one.form) == (walk.FROM_DOUBLE, walk.TO_F8):
            code = walk.COPY8
        elif (source, one.form) == (walk.FROM_LONG, walk.TO_I8):
            code = walk.INT8
        self._emit(code, path, nulls=nulls, dest=dest, offset=one.offset, a=a, b=b, peek=peek, missing=one.missing)

    def _union(self, node: _Type, path: Path, depth: int) -> None:
        kinds = [one.kind for one in node.inner]
        if len(kinds) == 2 and kinds.count("null") == 1:
            at = kinds.index("null")
            self._node(node.inner[1 - at], path, depth, nulls=at)
            return
        self._emit(walk.UNION, path, a=len(kinds))
        jumps = [self._emit(walk.JUMP, path) for _ in kinds]
        ends = []
        for k, inner in enumerate(node.inner):
            self._land(jumps[k])
            self._node(inner, path, depth)
            ends.append(self._emit(walk.JUMP, path))
        for op in ends:
            self._land(op)

    def _record(self, node: _Type, path: Path, depth: int) -> None:
        # an empty path is the alert itself
        place = self.plan if self.plan is not None and not self.hidden and path else None
        if place is not None and path in place.marks:
            self._emit(walk.MARK, path, offset=place.marks[path])
        trigger = place is not None and path == place.trigger
        if trigger:
            self._emit(walk.ROW, path, a=1)
        for name, inner in node.fields:
            self._node(inner, (*path, name), depth)
        if trigger:
            self._emit(walk.ROW_END, path, a=walk.TRIGGER)

    def _array(self, node: _Type, path: Path, depth: int) -> None:
        if depth >= walk.MAX_DEPTH:
            raise BadPacket(f"the packet's schema nests arrays more than {walk.MAX_DEPTH} deep")
        item = node.inner[0]
        least = least_size(item) + (1 if node.kind == "map" else 0)
        kind = None
        if self.plan is not None and not self.hidden and node.kind == "array" and item.kind == "record":
            kind = self.plan.arrays.get(path)
        exact = exact_size(item)
        # history rows without a byte would be any number of rows out of nothing: they are none
        if node.kind == "array" and exact is not None and (kind is None or exact == 0):
            self._emit(walk.ARRAY, path, dest=1, offset=exact, a=1)
            self.barrier = len(self.ops)
            return
        start = self._emit(walk.ARRAY, path, offset=least, b=depth)
        self.barrier = len(self.ops)
        body = len(self.ops)
        if kind is not None:
            self._emit(walk.ROW, path)
        if node.kind == "map":
            self._emit(walk.SKIP_BYTES, path)
        hides = node.kind == "map" or kind is None
        self.hidden += hides
        self._node(item, path, depth + 1)
        self.hidden -= hides
        if kind is not None:
            self._emit(walk.ROW_END, path, a=kind)
        end = self._emit(walk.ARRAY_END, path, offset=least, b=depth)
        self.ops[end][walk.A] = body - end
        self._land(start)


def exact_size(node: _Type) -> int | None:
    """Bytes that every value of the type takes, None when they vary."""
    if node.kind in _EXACT:
        return _EXACT[node.kind]
    if node.kind == "fixed":
        return node.size
    if node.kind != "record":
        return None
    total = 0
    for _, inner in node.fields:
        size = exact_size(inner)
        if size is None:
            return None
        total += size
    if total > _MAX_FIXED:
        raise BadPacket("the packet's schema has a record of more than 1 GB")
    return total


def least_size(node: _Type) -> int:
    """Bytes that a value of the type takes at least."""
    if node.kind == "record":
        return min(sum(least_size(inner) for _, inner in node.fields), _MAX_FIXED)
    if node.kind == "union":
        return 1 + min((least_size(inner) for inner in node.inner), default=0)
    size = exact_size(node)
    return 1 if size is None else size


class _Resolver:
    """Replaces names by what they name. Counts what it makes: names can blow up a small schema without limit."""

    def __init__(self) -> None:
        self.named: dict[str, tuple[Json, str]] = {}
        self.open: list[str] = []
        self.made = 0

    def resolve(self, schema: Json, space: str, nesting: int) -> _Type:
        self.made += 1
        if self.made > 2 * MAX_OPS:
            raise BadPacket(f"the packet's schema has more than {MAX_OPS} fields")
        if nesting > MAX_NESTING:
            raise BadPacket("the packet's schema is nested too deeply")
        if isinstance(schema, str):
            return _Type(schema) if schema in _PRIMITIVES else self._by_name(schema, space, nesting)
        if isinstance(schema, list):
            if not schema:
                raise BadPacket("the packet's schema has a union of nothing")
            inner = tuple(self.resolve(one, space, nesting + 1) for one in schema)
            if any(one.kind == "union" for one in inner):
                raise BadPacket("the packet's schema has a union directly inside a union")
            return _Type("union", inner=inner)
        if not isinstance(schema, dict):
            raise BadPacket(f"the packet's schema has {type(schema).__name__} where a type should be")
        kind = schema.get("type")
        if isinstance(kind, str) and kind in _PRIMITIVES:
            return _Type(kind, logical=str(schema.get("logicalType", "")))
        if isinstance(kind, dict | list):
            return self.resolve(kind, space, nesting + 1)
        if kind == "array":
            return _Type("array", inner=(self.resolve(schema.get("items"), space, nesting + 1),))
        if kind == "map":
            return _Type("map", inner=(self.resolve(schema.get("values"), space, nesting + 1),))
        if kind in ("record", "error", "enum", "fixed"):
            name, space = _full_name(schema, space)
            self.named[name] = (schema, space)
            return self._define(schema, name, space, nesting)
        if isinstance(kind, str):
            return self._by_name(kind, space, nesting)
        raise BadPacket(f"the packet's schema has an unknown type {str(kind)[:60]!r}")

    def _by_name(self, name: str, space: str, nesting: int) -> _Type:
        full = name if "." in name or not space else f"{space}.{name}"
        found = full if full in self.named else name
        if found not in self.named:
            raise BadPacket(f"the packet's schema names a type {name[:60]!r} that it does not define")
        schema, inner_space = self.named[found]
        return self._define(schema, found, inner_space, nesting)

    def _define(self, schema: Json, name: str, space: str, nesting: int) -> _Type:
        if schema["type"] == "enum":
            return _Type("enum", name)
        if schema["type"] == "fixed":
            size = schema.get("size")
            if not isinstance(size, int) or not 0 <= size <= _MAX_FIXED:
                raise BadPacket(f"the packet's schema has a fixed type {name[:60]!r} of no possible size")
            return _Type("fixed", name, size=size)
        if name in self.open:
            raise BadPacket(f"the packet's schema is recursive: {name[:60]!r} holds itself")
        fields = schema.get("fields")
        if not isinstance(fields, list):
            raise BadPacket(f"record {name[:60]!r} of the packet's schema has no fields")
        self.open.append(name)
        resolved = []
        for one in fields:
            if not isinstance(one, dict) or not isinstance(one.get("name"), str):
                raise BadPacket(f"record {name[:60]!r} of the packet's schema has a field without a name")
            resolved.append((one["name"], self.resolve(one.get("type"), space, nesting + 1)))
        self.open.pop()
        return _Type("record", name, fields=tuple(resolved))


def _full_name(schema: Mapping[str, Any], space: str) -> tuple[str, str]:
    """(full name, name space of what is inside)."""
    name = schema.get("name")
    if not isinstance(name, str) or not name:
        raise BadPacket("the packet's schema has a type without a name")
    if "." in name:
        return name, name.rpartition(".")[0]
    stated = schema.get("namespace", space)
    space = stated if isinstance(stated, str) else ""
    return (f"{space}.{name}" if space else name), space
