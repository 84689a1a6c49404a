"""Columns to Avro, driven by the writer's schema: whole arrays of records at once, and packets put together by joining.

A record (a detection, a forced measurement) is encoded once; the packets that carry it in their history only copy its
bytes. fastavro's schemaless writer gives the same bytes (tests compare them).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import INT_MISSING

_BOOL, _LONG, _FLOAT, _DOUBLE, _TEXT = range(5)
_CODES = {
    "boolean": _BOOL, "int": _LONG, "long": _LONG, "float": _FLOAT, "double": _DOUBLE, "string": _TEXT, "bytes": _TEXT,
}  # fmt: skip
#: most bytes of a value without its text
_WIDEST = {_BOOL: 1, _LONG: 10, _FLOAT: 4, _DOUBLE: 8, _TEXT: 10}
_ROWS_AT_ONCE = 16_384
_NO_NULL = -1


class Texts(NamedTuple):
    """A column of texts that repeat: ``values[which[i]]`` is the text of row i; a negative number is a missing text."""

    values: Sequence[str]
    which: NDArray[np.int64]


#: A column, one value for all rows, or None (null everywhere).
Column = NDArray[Any] | Texts | float | int | bool | str | bytes | None
Columns = dict[str, Column]


@dataclass(frozen=True)
class Records:
    """Encoded records: record i is ``data[offsets[i]:offsets[i + 1]]``."""

    data: bytes
    offsets: list[int]

    def __getitem__(self, i: int) -> bytes:
        return self.data[self.offsets[i] : self.offsets[i + 1]]

    def span(self, first: int, last: int) -> bytes:
        """The records first, first + 1, ... last - 1 in one piece."""
        return self.data[self.offsets[first] : self.offsets[last]]


def take(columns: Mapping[str, Column], index: NDArray[np.int64]) -> Columns:
    """Some rows of a set of columns."""
    out: Columns = {}
    for name, column in columns.items():
        if isinstance(column, np.ndarray):
            out[name] = column[index]
        elif isinstance(column, Texts):
            # only the texts in use: one row of thousands would carry all of them along
            used, which = np.unique(column.which[index], return_inverse=True)
            out[name] = Texts(
                [column.values[k] if k >= 0 else "" for k in used.tolist()],
                np.where(used < 0, -1, np.arange(len(used)))[which.reshape(-1)],
            )
        else:
            out[name] = column
    return out


class RecordEncoder:
    """Encodes arrays of one record type whose fields are plain types or unions of one with null.

    Parameters
    ----------
    schema
        The record's Avro schema.

    Raises
    ------
    ValueError
        A field is neither a plain type nor a union of null and one.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.name: str = schema["name"]
        self.fields: list[str] = []
        numbers: list[list[int]] = []
        places = {"float": 0, "int": 0}
        for field in schema["fields"]:
            code, null, value = _plain_type(field["type"], f"{self.name}.{field['name']}")
            kind = "float" if code in (_FLOAT, _DOUBLE) else "int"
            numbers.append([code, null, value, places[kind]])
            places[kind] += 1
            self.fields.append(field["name"])
        self._table = np.array(numbers, np.int64).reshape(-1, 4)
        self._widths = (places["float"], places["int"])
        self._known = set(self.fields)

    def encode(self, n: int, columns: Mapping[str, Column], *, nan_is_null: bool = True) -> Records:
        """Encode n records.

        Parameters
        ----------
        n
            Number of records.
        columns
            A column a field. Missing values (NaN, INT_MISSING, None) become null. A field without a column is null;
            columns that the schema does not know are left out, so that one set of columns serves several versions.
        nan_is_null
            False leaves NaN in nullable floats as it is, as old packets have it.

        Raises
        ------
        ValueError
            A field that cannot be null has no column, or misses a value.
        """
        parts: list[NDArray[np.uint8]] = []
        ends: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        done = 0
        for first in range(0, n, _ROWS_AT_ONCE):
            last = min(first + _ROWS_AT_ONCE, n)
            data, offsets = self._encode(first, last, columns, nan_is_null)
            parts.append(data)
            ends.append(offsets[1:] + done)
            done += len(data)
        joined = np.concatenate(parts) if parts else np.empty(0, np.uint8)
        return Records(joined.tobytes(), np.concatenate(ends).tolist())

    def _encode(
        self, first: int, last: int, columns: Mapping[str, Column], nan_is_null: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        n = last - first
        floats: Any = np.empty((n, self._widths[0]), np.float64)
        ints: Any = np.empty((n, self._widths[1]), np.int64)
        pool = _Pool()
        width = 0
        for name, (code, null, _, place) in zip(self.fields, self._table.tolist(), strict=True):
            column = columns.get(name)
            if isinstance(column, np.ndarray):
                column = column[first:last]
            elif isinstance(column, Texts):
                column = Texts(column.values, column.which[first:last])
            width += _WIDEST[code] + (null != _NO_NULL)
            if code in (_FLOAT, _DOUBLE):
                floats[:, place] = np.nan if column is None else column
                gone = null == _NO_NULL and column is None
            elif code == _TEXT:
                ints[:, place], longest = pool.add(column)
                width += longest
                gone = null == _NO_NULL and bool((ints[:, place] < 0).any())
            else:
                ints[:, place] = INT_MISSING if column is None else column
                gone = null == _NO_NULL and bool((ints[:, place] == INT_MISSING).any())
            if gone:
                raise ValueError(f"{self.name}.{name} cannot be null and was given no value")
        out = np.empty(n * width, np.uint8)
        offsets = np.empty(n + 1, np.int64)
        used = _encode_rows(self._table, floats, ints, *pool.arrays(), nan_is_null, out, offsets)
        return out[:used], offsets


def _plain_type(declared: Any, name: str) -> tuple[int, int, int]:
    """(code, byte of the null branch or -1, byte of the value's branch)."""
    branches = declared if isinstance(declared, list) else [declared]
    null, value, code = _NO_NULL, _NO_NULL, _NO_NULL
    for number, branch in enumerate(branches):
        kind = branch.get("type") if isinstance(branch, dict) else branch
        if kind == "null":
            null = 2 * number
        elif isinstance(kind, str) and kind in _CODES and code == _NO_NULL:
            code, value = _CODES[kind], 2 * number
        else:
            raise ValueError(f"{name} is not a plain type or a union of null and one: {declared}")
    if code == _NO_NULL:
        raise ValueError(f"{name} has no type but null")
    return code, null, value


class _Pool:
    """The texts of one call, each once."""

    def __init__(self) -> None:
        self._texts: list[bytes] = []

    def add(self, column: Column) -> tuple[NDArray[np.int64] | int, int]:
        """(numbers of the texts in the pool, -1 where missing; bytes of the longest)."""
        if column is None:
            return -1, 0
        start = len(self._texts)
        if isinstance(column, str | bytes):
            self._texts.append(_as_bytes(column))
            return start, len(self._texts[-1])
        if isinstance(column, Texts):
            texts = [_as_bytes(text) for text in column.values]
            index = np.where(column.which < 0, -1, column.which + start)
        elif isinstance(column, np.ndarray):
            texts = [_as_bytes(text) for text in column.tolist()]
            index = np.arange(start, start + len(texts))
        else:
            raise ValueError(f"{column!r} is no text")
        self._texts += texts
        return index, max(map(len, texts), default=0)

    def arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        ends = np.cumsum([0, *map(len, self._texts)], dtype=np.int64)
        return np.frombuffer(b"".join(self._texts) or b"\0", np.uint8), ends


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


@numba.njit(cache=True, nogil=True)
def _put_long(out, pos, value):  # type: ignore[no-untyped-def]
    """Write a zig-zag number; the position behind it."""
    left = np.uint64((value << 1) ^ (value >> 63))
    while left >= np.uint64(0x80):
        out[pos] = np.uint8((left & np.uint64(0x7F)) | np.uint64(0x80))
        left >>= np.uint64(7)
        pos += 1
    out[pos] = np.uint8(left)
    return pos + 1


@numba.njit(cache=True, nogil=True)
def _encode_rows(table, floats, ints, pool, ends, nan_is_null, out, offsets):  # type: ignore[no-untyped-def]
    """Write all rows one behind the other; `out` is large enough for the widest. Returns the bytes used."""
    single = np.empty(1, np.float32)
    single_bytes = single.view(np.uint8)
    double = np.empty(1, np.float64)
    double_bytes = double.view(np.uint8)
    pos = 0
    offsets[0] = 0
    for i in range(offsets.shape[0] - 1):
        for k in range(table.shape[0]):
            code, null, branch, place = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
            if code == 2 or code == 3:
                value = floats[i, place]
                if null >= 0:
                    if nan_is_null and np.isnan(value):
                        out[pos] = null
                        pos += 1
                        continue
                    out[pos] = branch
                    pos += 1
                if code == 2:
                    single[0] = value
                    out[pos : pos + 4] = single_bytes
                    pos += 4
                else:
                    double[0] = value
                    out[pos : pos + 8] = double_bytes
                    pos += 8
                continue
            number = ints[i, place]
            missing = number < 0 if code == 4 else number == -9223372036854775808
            if null >= 0:
                if missing:
                    out[pos] = null
                    pos += 1
                    continue
                out[pos] = branch
                pos += 1
            if code == 0:
                out[pos] = number
                pos += 1
            elif code == 1:
                pos = _put_long(out, pos, number)
            else:
                size = ends[number + 1] - ends[number]
                pos = _put_long(out, pos, size)
                out[pos : pos + size] = pool[ends[number] : ends[number + 1]]
                pos += size
        offsets[i + 1] = pos
    return pos


def long_bytes(value: int) -> bytes:
    """An int or long as Avro writes it: zig-zag, seven bits a byte, least significant first."""
    left = (value << 1) ^ (value >> 63)
    out = bytearray()
    while left >= 0x80:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


class Joiner:
    """Puts an outer record together from encoded parts, in the order and with the branch bytes of its schema.

    Fields are given to `join` as bytes of their type (an array as `array_bytes` makes it), or None for null.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.fields: list[tuple[str, bytes | None, bytes]] = []
        for field in schema["fields"]:
            branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
            if len(branches) == 1:
                self.fields.append((field["name"], None, b""))
            else:
                null = branches.index("null")
                self.fields.append((field["name"], bytes([2 * null]), bytes([2 * (1 - null)])))

    def join(self, parts: Mapping[str, bytes | None]) -> bytes:
        """The bytes of one record; KeyError when a field that cannot be null is missing."""
        pieces: list[bytes] = []
        for name, null, branch in self.fields:
            part = parts.get(name) if null is not None else parts[name]
            if part is None:
                if null is None:
                    raise KeyError(f"{name} cannot be null")
                pieces.append(null)
            else:
                pieces.append(branch)
                pieces.append(part)
        return b"".join(pieces)


def array_bytes(count: int, items: bytes) -> bytes:
    """An array of `count` encoded items: one block without its size, as both surveys write them."""
    return long_bytes(count) + items + b"\0" if count else b"\0"


def text_bytes(text: str | bytes) -> bytes:
    """A string or bytes value."""
    raw = _as_bytes(text)
    return long_bytes(len(raw)) + raw


def container_header(schema: Mapping[str, Any], sync: bytes) -> bytes:
    """The header of an Avro object container without compression."""
    text = json.dumps(schema, separators=(", ", ": "))
    entries = {"avro.codec": "null", "avro.schema": text}
    body = b"".join(text_bytes(key) + text_bytes(value) for key, value in entries.items())
    return b"Obj\x01" + long_bytes(len(entries)) + body + b"\0" + sync


def sync_marker(*what: object) -> bytes:
    """A container's 16-byte marker, the same for the same `what`."""
    first = zlib.crc32(repr(what).encode())
    return b"".join(zlib.crc32(bytes([k]), first).to_bytes(4, "big") for k in range(4))


def block(records: Iterable[bytes], sync: bytes) -> bytes:
    """A container's block of records."""
    kept = list(records)
    body = b"".join(kept)
    return long_bytes(len(kept)) + long_bytes(len(body)) + body + sync


def record_schema(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The definition of the record `name` (without its name space) inside a schema; KeyError when there is none."""
    found = _find(schema, name)
    if found is None:
        raise KeyError(f"no record {name!r} in the schema")
    return found


def _find(node: Any, name: str) -> dict[str, Any] | None:
    if isinstance(node, list):
        return next((found for one in node if (found := _find(one, name)) is not None), None)
    if not isinstance(node, dict):
        return None
    if node.get("type") == "record" and str(node["name"]).rpartition(".")[2] == name:
        return dict(node)
    return _find([node.get("type"), node.get("items"), *(field["type"] for field in node.get("fields", ()))], name)
