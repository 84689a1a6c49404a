"""Just enough FITS to cut a file down to its primary image (FITS standard 4.0, sections 3.1, 4.4.1 and 7.1)."""

from __future__ import annotations

import re
import zlib

_BLOCK = 2880
_CARD = 80
_END = b"END" + b" " * (_CARD - 3)
#: bits per value
_BITPIX = {8, 16, 32, 64, -32, -64}
_MAX_AXES = 999
# ZTF does not put the T where the fixed format wants it
_SIMPLE = re.compile(rb"SIMPLE  = {1,20}T *(?:/|$)")
_INTEGER = re.compile(rb"= {1,20}([+-]?\d{1,18}) *(?:/|$)")
_GZIP = b"\x1f\x8b"


class BadImage(ValueError):
    """No FITS image, a broken one, or one larger than allowed."""


def primary_image(data: bytes | memoryview, max_bytes: int) -> bytes | memoryview:
    """The primary header and data unit of a FITS file, unzipped, without what follows it.

    Parameters
    ----------
    data : the file, plain or gzipped
    max_bytes : most bytes the primary unit may have, and most that are unpacked

    Raises
    ------
    BadImage
        It is not a FITS file, has no image, ends early, or is larger than `max_bytes`.
    """
    if data[:2] == _GZIP:
        data = _unzip(data, max_bytes)
    header = bytes(data[:_BLOCK])
    # the standard fixes the order of the first cards, so they need no search
    if len(header) < _BLOCK or not _SIMPLE.match(header, 0, _CARD):
        raise BadImage("it does not begin as a FITS file")
    end = _end_of_header(header)
    while end < 0:
        if len(header) >= min(len(data), max_bytes):
            raise BadImage("its header has no END")
        header = bytes(data[: len(header) + _BLOCK])
        end = _end_of_header(header)
    bitpix = _integer(header, 1, b"BITPIX  ")
    axes = _integer(header, 2, b"NAXIS   ")
    if bitpix not in _BITPIX or not 0 < axes <= _MAX_AXES:
        raise BadImage(f"it has no image (BITPIX {bitpix}, NAXIS {axes})")
    values = 1
    for axis in range(1, axes + 1):
        length = _integer(header, 2 + axis, f"NAXIS{axis:<3}".encode())
        if length <= 0:
            raise BadImage(f"it has no image (NAXIS{axis} {length})")
        values *= length
    # third letters of all keywords: searching the whole header for PCOUNT costs more than all the rest here
    if b"O" in header[2:end:_CARD]:
        values = _optional(header, b"GCOUNT  ", 1) * (_optional(header, b"PCOUNT  ", 0) + values)
    size = -(-end // _BLOCK) * _BLOCK
    needed = values * abs(bitpix) // 8
    total = size + -(-needed // _BLOCK) * _BLOCK
    if total > max_bytes:
        raise BadImage(f"its image of {total} bytes is larger than {max_bytes}")
    if size + needed > len(data):
        raise BadImage(f"its image ends after {len(data)} of {size + needed} bytes")
    # some writers leave out the filling of the last block; readers accept that, and so do we
    return data[:total]


def _unzip(data: bytes | memoryview, max_bytes: int) -> bytes:
    unzip = zlib.decompressobj(wbits=31)
    try:
        found = unzip.decompress(data, max_bytes + 1)
    except zlib.error as err:
        raise BadImage(f"it cannot be unzipped: {err}") from err
    if len(found) > max_bytes:
        raise BadImage(f"it unzips to more than {max_bytes} bytes")
    if not unzip.eof:
        raise BadImage("its gzip stream ends early")
    return found


def _end_of_header(header: bytes) -> int:
    """Where the header ends, or -1; END must be a whole card."""
    at = header.find(_END)
    while at >= 0 and at % _CARD:
        at = header.find(_END, at + 1)
    return at + _CARD if at >= 0 else -1


def _integer(header: bytes, card: int, keyword: bytes) -> int:
    text = header[card * _CARD : (card + 1) * _CARD]
    found = _INTEGER.match(text, 8) if text[:8] == keyword else None
    if not found:
        raise BadImage(f"card {card + 1} of its header is not {keyword.decode().strip()}")
    return int(found[1])


def _optional(header: bytes, keyword: bytes, default: int) -> int:
    at = header.find(keyword + b"=")
    while at >= 0 and at % _CARD:
        at = header.find(keyword + b"=", at + 1)
    if at < 0:
        return default
    value = _integer(header, at // _CARD, keyword)
    if value < 0:
        raise BadImage(f"{keyword.decode().strip()} is negative")
    return value
