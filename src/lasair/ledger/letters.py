"""Dead letters that can be understood without the file they came from."""

from __future__ import annotations

import json
from functools import lru_cache

from lasair.packets.avro import PacketSchema
from lasair.packets.batch import Message
from lasair.packets.containers import MAGIC, SYNC_SIZE

#: Any mark will do between the blocks of a container that has one.
_SYNC = bytes(SYNC_SIZE)


def self_contained(message: Message) -> bytes:
    """The record's bytes so that they can be read again alone: a bare datum becomes an Avro container of one record."""
    if message.schema is None:
        return bytes(message.value)
    return _header(message.schema) + _varint(1) + _text(bytes(message.value)) + _SYNC


@lru_cache(maxsize=16)
def _header(schema: PacketSchema) -> bytes:
    text = json.dumps(schema.json, separators=(",", ":")).encode()
    metadata = b"".join(_text(one) for one in (b"avro.codec", b"null", b"avro.schema", text))
    return MAGIC + _varint(2) + metadata + _varint(0) + _SYNC


def _text(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """A number from 0 on in Avro's zig-zag form."""
    value <<= 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
