"""Messages written by the layouts that the brokers document."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import fastavro


def record(name: str, /, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}


def mapping(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def bare(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def container(schema: dict[str, Any], values: list[dict[str, Any]], codec: str = "null") -> bytes:
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), values, codec=codec)
    return out.getvalue()


def key_of(schema: dict[str, Any]) -> bytes:
    return json.dumps(schema).encode()


def bson(value: dict[str, Any]) -> bytes:
    body = b"".join(_element(str(name), one) for name, one in value.items())
    return struct.pack("<i", len(body) + 5) + body + b"\x00"


def _element(name: str, value: Any) -> bytes:
    label = name.encode() + b"\x00"
    if value is None:
        return b"\x0a" + label
    if isinstance(value, bool):
        return b"\x08" + label + bytes([value])
    if isinstance(value, int):
        return b"\x12" + label + struct.pack("<q", value)
    if isinstance(value, float):
        return b"\x01" + label + struct.pack("<d", value)
    if isinstance(value, str):
        text = value.encode() + b"\x00"
        return b"\x02" + label + struct.pack("<i", len(text)) + text
    if isinstance(value, bytes):
        return b"\x05" + label + struct.pack("<i", len(value)) + b"\x00" + value
    if isinstance(value, list):
        return b"\x04" + label + bson({str(n): one for n, one in enumerate(value)})
    return b"\x03" + label + bson(value)


def antares_message(document: dict[str, Any]) -> bytes:
    return zlib.compress(bson(document))
