"""Avro from outside: containers, and bare data with a schema that came along; nothing here trusts either.

fastavro does the decoding, behind two doors. It follows a schema that contains itself as deep as the data say, until
the process dies of its stack; and it makes as many empty values as a count of a few bytes asks for. So a schema is
looked through first: no record within itself, and nothing that takes no bytes, so that the data bound the work.
"""

from __future__ import annotations

import io
import json
from functools import lru_cache
from typing import Any, Final, NamedTuple

import fastavro

from lasair.errors import BadPacket
from lasair.packets.containers import CODECS, MAGIC, SYNC_SIZE, header_end, read_varint, unpack

#: Greatest text of a schema; that of Fink's alerts has 60 kB.
MAX_SCHEMA_BYTES: Final = 2**20
#: What a container may hold: more than any message does, less than a decompression bomb.
MAX_RECORDS: Final = 100_000
MAX_UNPACKED_BYTES: Final = 64 * 2**20
_MAX_DEPTH: Final = 32
_PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})


class Container(NamedTuple):
    """The records that could be read, and why others could not."""

    records: list[Any]
    problems: list[str]


@lru_cache(maxsize=32)  # every message of a stream brings the same schema
def parsed(schema: bytes) -> Any:
    """The schema as fastavro wants it; BadPacket when it is none, or one that no broker would send."""
    if len(schema) > MAX_SCHEMA_BYTES:
        raise BadPacket(f"its schema has {len(schema)} bytes; {MAX_SCHEMA_BYTES} are the most")
    try:
        found = json.loads(schema)
    except (ValueError, RecursionError) as err:
        raise BadPacket(f"its schema is not JSON ({str(err)[:80]})") from err
    return ready(found)


def ready(schema: Any) -> Any:
    """A schema of Python values, looked through and parsed by fastavro; BadPacket as for `parsed`."""
    _look_through(schema, "", {}, 0)
    try:
        return fastavro.parse_schema(schema)
    except Exception as err:  # fastavro meets wrong types in a schema with whatever Python then raises
        raise BadPacket(f"its schema is not Avro ({str(err)[:80]})") from err


def datum(data: bytes, schema: Any) -> Any:
    """The one value that fills `data`; BadPacket when it does not."""
    stream = io.BytesIO(data)
    value = _next(stream, schema)
    if stream.tell() != len(data):
        raise BadPacket(f"{len(data) - stream.tell()} bytes are left behind the record: the schema is another one")
    return value


def container(data: bytes) -> Container:
    """All records of an Avro object container; of a damaged one those that can be read.

    A bad record hides the ones behind it in its block, since nothing says where they begin; other blocks are read.
    BadPacket when the header cannot be used.
    """
    end, metadata = header_end(data)
    codec = metadata.get(b"avro.codec", b"null").decode("ascii", "replace")
    if codec not in CODECS:
        raise BadPacket(f"the container's codec {codec[:30]!r} is not one of {', '.join(CODECS)}")
    schema = parsed(metadata.get(b"avro.schema", b""))
    sync, pos = data[end : end + SYNC_SIZE], end + SYNC_SIZE
    out = Container([], [])
    left = MAX_UNPACKED_BYTES
    while pos < len(data):
        try:
            count, start = read_varint(data, pos)
            size, start = read_varint(data, start)
            pos = start + size
            if size < 0 or count < 0 or data[pos : pos + SYNC_SIZE] != sync or len(sync) < SYNC_SIZE:
                raise BadPacket("the container is damaged or cut off")
        except BadPacket as err:
            out.problems.append(str(err))
            break
        pos += SYNC_SIZE
        try:
            plain = unpack(data[start : start + size], codec)
            left -= len(plain)
            if left < 0 or len(out.records) + count > MAX_RECORDS:
                out.problems.append(
                    f"more than {MAX_RECORDS} records or {MAX_UNPACKED_BYTES >> 20} MB: the rest is not read"
                )
                break
            stream = io.BytesIO(plain)
            for _ in range(count):
                out.records.append(_next(stream, schema))
        except BadPacket as err:
            out.problems.append(str(err))
    return out


def is_container(data: bytes) -> bool:
    """Whether the bytes begin as an Avro object container does."""
    return data[:4] == MAGIC


def _next(stream: io.BytesIO, schema: Any) -> Any:
    try:
        return fastavro.schemaless_reader(stream, schema, None)
    except Exception as err:  # fastavro meets damaged data with a dozen kinds of errors
        raise BadPacket(f"a record cannot be read by its schema ({type(err).__name__}: {str(err)[:80]})") from err


def _look_through(schema: Any, space: str, named: dict[str, int], depth: int) -> int:
    """How deep values of the schema go. `named`: full name -> depth, -1 while the type is being defined."""
    if depth > _MAX_DEPTH:
        raise BadPacket(f"its schema is nested more than {_MAX_DEPTH} deep")
    if isinstance(schema, str):
        return _reference(schema, space, named, depth)
    if isinstance(schema, list):
        if not schema:
            raise BadPacket("its schema has a union of nothing")
        return max(0 if one == "null" else _look_through(one, space, named, depth + 1) for one in schema) + 1
    if not isinstance(schema, dict):
        raise BadPacket(f"its schema holds {type(schema).__name__} where a type belongs")
    kind = schema.get("type")
    if kind == "array":
        return _look_through(schema.get("items"), space, named, depth + 1) + 1
    if kind == "map":
        return _look_through(schema.get("values"), space, named, depth + 1) + 1
    if kind not in ("record", "error", "enum", "fixed"):
        return _look_through(kind, space, named, depth + 1)
    name = _full(schema.get("name"), schema.get("namespace", space))
    named[name] = -1
    deep = 1
    if kind == "fixed":
        size = schema.get("size")
        if not isinstance(size, int) or not 0 < size < 2**31:
            raise BadPacket(f"its schema has no size for {name[:60]}")
    elif kind != "enum":
        fields = schema.get("fields")
        if not isinstance(fields, list) or not fields:
            raise BadPacket(f"its schema has no fields in {name[:60]}")
        inner = name.rpartition(".")[0]
        for field in fields:
            if not isinstance(field, dict):
                raise BadPacket(f"its schema has a field that is none in {name[:60]}")
            deep = max(deep, _look_through(field.get("type"), inner, named, depth + 1) + 1)
    named[name] = deep
    return deep


def _full(name: object, space: object) -> str:
    if not isinstance(name, str) or not isinstance(space, str):
        raise BadPacket("its schema has a type without a name")
    return name if "." in name or not space else f"{space}.{name}"


def _reference(name: str, space: str, named: dict[str, int], depth: int) -> int:
    if name in _PRIMITIVES:
        return 0
    deep = named.get(_full(name, space), named.get(name))
    if deep is None:
        raise BadPacket(f"its schema uses {name[:60]!r}, which it does not define or which takes no bytes")
    if deep < 0:
        raise BadPacket(f"its schema has {name[:60]!r} within itself")
    if depth + deep > _MAX_DEPTH:
        raise BadPacket(f"its schema is nested more than {_MAX_DEPTH} deep")
    return deep
