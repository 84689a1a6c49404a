"""Avro object containers: header, blocks, codecs. Pure bytes in, pure bytes out; nothing here trusts a length."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections import OrderedDict
from typing import NamedTuple

from lasair.errors import BadPacket
from lasair.packets.avro import PacketSchema, compile_schema

MAGIC = b"Obj\x01"
SYNC_SIZE = 16
#: A block that unpacks to more than this is refused: no survey writes such blocks, a decompression bomb does.
MAX_BLOCK_BYTES = 256 * 2**20
#: Headers hold the schema and little else.
MAX_HEADER_BYTES = 8 * 2**20
_MAX_ENTRIES = 1000
_KEPT_HEADERS = 64


class Header(NamedTuple):
    """What a container says before its first block."""

    schema: PacketSchema
    codec: str
    sync: bytes
    #: where the first block begins
    end: int


def read_varint(data: bytes | memoryview, pos: int) -> tuple[int, int]:
    """(number, position behind it) of a zig-zag number; BadPacket when it is cut off or too long."""
    value = shift = 0
    while True:
        if pos >= len(data):
            raise BadPacket("the container ends too early")
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), pos
        shift += 7
        if shift > 63:
            raise BadPacket("the container is damaged: an integer of more than 64 bits")


def header_end(data: bytes | memoryview) -> tuple[int, dict[bytes, bytes]]:
    """Where the metadata of a container end, and the metadata. BadPacket when they are damaged."""
    if bytes(data[:4]) != MAGIC:
        raise BadPacket("not an Avro container (it does not begin with 'Obj' and 1)")
    pos = 4
    found: dict[bytes, bytes] = {}
    while True:
        count, pos = read_varint(data, pos)
        if count == 0:
            return pos, found
        if count < 0:
            count = -count
            _, pos = read_varint(data, pos)
        if count + len(found) > _MAX_ENTRIES:
            raise BadPacket("the container's header is damaged: too many entries")
        for _ in range(count):
            key, pos = _text(data, pos)
            found[key], pos = _text(data, pos)


def _text(data: bytes | memoryview, pos: int) -> tuple[bytes, int]:
    size, pos = read_varint(data, pos)
    if size < 0 or size > len(data) - pos:
        raise BadPacket("the container's header is damaged or cut off")
    return bytes(data[pos : pos + size]), pos + size


#: metadata of containers seen -> (schema, codec): ZTF sends the same 25 kB of schema with every alert
_seen: OrderedDict[bytes, tuple[PacketSchema, str]] = OrderedDict()


def read_header(data: bytes) -> Header:
    """The header at the start of `data`; BadPacket when it is damaged or its schema is not of alerts."""
    end, metadata = header_end(data)
    if len(data) - end < SYNC_SIZE:
        raise BadPacket("the container ends within its header")
    before = data[:end]
    known = _seen.get(before)
    if known is None:
        codec = metadata.get(b"avro.codec", b"null").decode("ascii", "replace")
        if codec not in CODECS:
            raise BadPacket(f"the container's codec {codec[:30]!r} is not one of {', '.join(CODECS)}")
        if b"avro.schema" not in metadata:
            raise BadPacket("the container has no schema")
        known = _seen[before] = (compile_schema(metadata[b"avro.schema"]), codec)
        if len(_seen) > _KEPT_HEADERS:
            _seen.popitem(last=False)
    return Header(known[0], known[1], data[end : end + SYNC_SIZE], end + SYNC_SIZE)


def unpack(data: bytes | memoryview, codec: str) -> bytes | memoryview:
    """The records of a block; BadPacket when they cannot be unpacked or are too many bytes."""
    try:
        plain = CODECS[codec](data)
    except BadPacket:
        raise
    except Exception as err:  # each codec library has errors of its own
        raise BadPacket(f"a block cannot be unpacked ({codec}): {str(err)[:100]}") from err
    if len(plain) > MAX_BLOCK_BYTES:
        raise BadPacket(f"a block unpacks to more than {MAX_BLOCK_BYTES >> 20} MB")
    return plain


def _plain(data: bytes | memoryview) -> bytes | memoryview:
    return data


def _deflate(data: bytes | memoryview) -> bytes:
    stream = zlib.decompressobj(-15)
    plain = stream.decompress(data, MAX_BLOCK_BYTES + 1)
    if not stream.eof and len(plain) <= MAX_BLOCK_BYTES:
        raise BadPacket("a block's compressed data are cut off")
    return plain


def _bzip2(data: bytes | memoryview) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, MAX_BLOCK_BYTES + 1)


def _xz(data: bytes | memoryview) -> bytes:
    return lzma.LZMADecompressor().decompress(data, MAX_BLOCK_BYTES + 1)


def _snappy(data: bytes | memoryview) -> bytes:
    import pyarrow as pa

    # raw snappy begins with the unpacked size; Avro adds a CRC-32 of the unpacked bytes
    size = shift = 0
    for byte in bytes(data[:5]):
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > MAX_BLOCK_BYTES:
        raise BadPacket(f"a block unpacks to more than {MAX_BLOCK_BYTES >> 20} MB")
    plain: bytes = pa.decompress(bytes(data[:-4]), decompressed_size=size, codec="snappy", asbytes=True)
    if zlib.crc32(plain) != int.from_bytes(data[-4:], "big"):
        raise BadPacket("a block's checksum is wrong")
    return plain


def _zstandard(data: bytes | memoryview) -> bytes:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(bytes(data)), "zstd") as stream:
        plain: bytes = stream.read(MAX_BLOCK_BYTES + 1)
    return plain


CODECS = {"null": _plain, "deflate": _deflate, "bzip2": _bzip2, "xz": _xz, "snappy": _snappy, "zstandard": _zstandard}


class Single(NamedTuple):
    """The one record of a container: its bare datum is ``value[start:end]``."""

    schema: PacketSchema
    #: the container itself, or the datum alone where it had to be unpacked
    value: bytes
    start: int
    end: int


def single_record(value: bytes) -> Single:
    """The record of a container that is a whole message; BadPacket when there is not exactly one."""
    header = read_header(value)
    count, pos = read_varint(value, header.end)
    size, pos = read_varint(value, pos)
    end = pos + size
    if size < 0 or end + SYNC_SIZE > len(value):
        raise BadPacket("the container ends too early")
    if value[end : end + SYNC_SIZE] != header.sync:
        raise BadPacket("the container is damaged: no sync marker behind its block")
    if count != 1 or end + SYNC_SIZE != len(value):
        raise BadPacket(f"a message must hold one record, this container holds {count if count != 1 else 'more'}")
    if header.codec == "null":
        return Single(header.schema, value, pos, end)
    plain = bytes(unpack(memoryview(value)[pos:end], header.codec))
    return Single(header.schema, plain, 0, len(plain))
