"""BSON as Python values: the small reader that ANTARES' messages need (bsonspec.org, version 1.1)."""

from __future__ import annotations

import struct
from typing import Any, Final

from lasair.errors import BadPacket

#: Documents and arrays inside each other.
MAX_DEPTH: Final = 64

_DOUBLE, _INT32, _INT64 = struct.Struct("<d"), struct.Struct("<i"), struct.Struct("<q")
_SIZES = {0x07: 12, 0x11: 8, 0x13: 16}  # ObjectId, timestamp, decimal128: passed over
_EMPTY = frozenset({0x06, 0x0A, 0x7F, 0xFF})  # undefined, null, the keys that sort last and first


def read(data: bytes) -> dict[str, Any]:
    """The document that fills `data`.

    Texts, numbers, booleans, documents and arrays come as Python has them, times as milliseconds, binary values as
    bytes; what else BSON has (ids, patterns, code) is None.

    Raises
    ------
    BadPacket
        It is damaged, or nested more than `MAX_DEPTH` deep.
    """
    try:
        found, end = _document(data, 0, len(data), 1)
    except (struct.error, IndexError, UnicodeDecodeError) as err:
        raise BadPacket(f"the BSON document is damaged ({str(err)[:80]})") from err
    if end != len(data):
        raise BadPacket("the BSON document has another length than it says")
    return found


def _document(data: bytes, start: int, limit: int, depth: int) -> tuple[dict[str, Any], int]:
    if depth > MAX_DEPTH:
        raise BadPacket(f"the BSON document is nested more than {MAX_DEPTH} deep")
    end = start + _INT32.unpack_from(data, start)[0]
    if not start + 5 <= end <= limit or data[end - 1] != 0:
        raise BadPacket("the BSON document is damaged: a length is wrong")
    pos, out = start + 4, {}
    while pos < end - 1:
        kind = data[pos]
        name, pos = _name(data, pos + 1, end)
        out[name], pos = _value(data, pos, end - 1, kind, depth)
    if pos != end - 1:
        raise BadPacket("the BSON document is damaged: a value ends outside of it")
    return out, end


def _name(data: bytes, pos: int, limit: int) -> tuple[str, int]:
    end = data.find(b"\x00", pos, limit)
    if end < 0:
        raise BadPacket("the BSON document is damaged: a name does not end")
    return data[pos:end].decode(), end + 1


def _value(data: bytes, pos: int, limit: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind == 0x01:
        return _DOUBLE.unpack_from(data, pos)[0], pos + 8
    if kind in (0x02, 0x0D, 0x0E):
        end = _end(data, pos, limit, least=1)
        return data[pos + 4 : end - 1].decode(), end
    if kind == 0x03:
        return _document(data, pos, limit, depth + 1)
    if kind == 0x04:
        found, end = _document(data, pos, limit, depth + 1)
        return list(found.values()), end
    if kind == 0x05:
        end = _end(data, pos, limit - 1, least=0) + 1  # the subtype is not counted
        return data[pos + 5 : end], end
    if kind == 0x08:
        return data[pos] != 0, pos + 1
    if kind in (0x09, 0x12):
        return _INT64.unpack_from(data, pos)[0], pos + 8
    if kind == 0x10:
        return _INT32.unpack_from(data, pos)[0], pos + 4
    if kind in _EMPTY:
        return None, pos
    if kind in _SIZES:
        return None, pos + _SIZES[kind]
    if kind == 0x0B:
        _, pos = _name(data, pos, limit)
        _, pos = _name(data, pos, limit)
        return None, pos
    if kind == 0x0C:
        return None, _end(data, pos, limit, least=1) + 12
    if kind == 0x0F:  # code with its scope: here the length counts itself
        size: int = _INT32.unpack_from(data, pos)[0]
        if size < 4 or pos + size > limit:
            raise BadPacket("the BSON document is damaged: a length is wrong")
        return None, pos + size
    raise BadPacket(f"the BSON document is damaged: it has a value of type {kind}")


def _end(data: bytes, pos: int, limit: int, least: int) -> int:
    """The end of a value behind its length, which does not count itself."""
    size: int = _INT32.unpack_from(data, pos)[0]
    if size < least or pos + 4 + size > limit:
        raise BadPacket("the BSON document is damaged: a length is wrong")
    return pos + 4 + size
