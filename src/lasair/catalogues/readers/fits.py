"""Binary tables of FITS files, read from front to end: compressed files need no more memory than others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from lasair.catalogues.readers.files import explain, open_bytes
from lasair.catalogues.readers.numeric import read_values
from lasair.catalogues.readers.table import ROWS, BadSource, Chunk, Kind, Options
from lasair.catalogues.readers.texts import Nulls

_BLOCK = 2880

#: Bytes of the file in a chunk, at most.
_BYTES = 64_000_000

#: Letters of TFORM that columns here may have → numpy.
_TYPES = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
#: Bytes of one element of all, to find the places of columns.
_SIZES = {"L": 1, "X": 0, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}


class _Column:
    """One column of the table."""

    def __init__(self, header: Any, i: int, at: int, path: Path) -> None:
        self.name = str(header.get(f"TTYPE{i}", f"col{i}")).strip()
        form = str(header[f"TFORM{i}"]).strip()
        match = re.match(r"(\d*)([LXBIJKAEDCMPQ])", form)
        if not match:
            raise BadSource(f"{path}: column {self.name!r} has the form {form!r}, which FITS does not know")
        self.count, self.letter = int(match[1] or 1), match[2]
        self.at = at
        self.bytes = (self.count + 7) // 8 if self.letter == "X" else self.count * _SIZES[self.letter]
        self.null = header.get(f"TNULL{i}")
        self.scale, self.zero = header.get(f"TSCAL{i}", 1), header.get(f"TZERO{i}", 0)

    def read(self, rows: NDArray[np.uint8]) -> NDArray[Any]:
        """Its values in rows of bytes, (n,) or (n, k)."""
        raw = np.ascontiguousarray(rows[:, self.at : self.at + self.bytes])
        n = len(raw)
        if self.letter == "A":
            # texts end at the first zero byte
            ended = np.cumsum(raw == 0, axis=1) > 0
            raw[ended] = 0
            return raw.view(f"S{self.bytes}").reshape(n)
        values = raw.view(_TYPES[self.letter]).reshape(n, self.count)
        values = values[:, 0] if self.count == 1 else values
        if self.letter == "L":
            # neither T nor F is missing
            return np.ma.array(values == b"T", mask=(values != b"T") & (values != b"F"))
        missing = values == self.null if self.null is not None and self.letter in "BIJK" else None
        native = values.astype(values.dtype.newbyteorder("="))
        if (self.scale, self.zero) != (1, 0):
            native = self._scaled(native)
        return native if missing is None else np.ma.array(native, mask=missing)

    def _scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind in "iu" and self.scale == 1 and float(self.zero).is_integer():
            if self.letter == "K" and int(self.zero) == 2**63:
                return values.view(np.uint64) ^ np.uint64(2**63)
            return values.astype(np.int64) + int(self.zero)
        return values * float(self.scale) + float(self.zero)


class Fits:
    """The first binary table of a file, or the one called `hdu` (a number or a name).

    Options: `hdu`, `nulls`.
    """

    def __init__(self, path: Path, reading: Mapping[str, Any]) -> None:
        given = dict(reading)
        hdu = given.pop("hdu", None)
        options = Options(given, str(path))
        self._path = path
        self._nulls = Nulls.of(options.nulls() or [])
        options.done()
        if hdu is not None and (isinstance(hdu, bool) or not isinstance(hdu, int | str)):
            raise BadSource(f"{path}: reading: hdu: {hdu!r} must be a number or a name")
        self._hdu = hdu
        with open_bytes(path) as file:
            header = self._find(file)
        self._width = int(header["NAXIS1"])
        self.rows: int | None = int(header["NAXIS2"])
        self._columns: dict[str, _Column] = {}
        at = 0
        for i in range(1, int(header["TFIELDS"]) + 1):
            column = _Column(header, i, at, path)
            self._columns.setdefault(column.name, column)
            at += column.bytes
        if at > self._width:
            raise BadSource(f"{path}: rows have {self._width} bytes, but the columns need {at}")
        self.names: Sequence[str] = list(self._columns)

    def _find(self, file: BinaryIO) -> Any:
        """The header of the table; the file is left at the table's first row."""
        try:
            index = 0
            while True:
                header = self._header(file, index)
                if header is None:
                    wanted = "binary table" if self._hdu is None else f"HDU {self._hdu!r}"
                    raise BadSource(f"{self._path}: there is no {wanted}")
                if self._is_it(header, index):
                    if header.get("XTENSION", "").strip() != "BINTABLE" or header.get("ZIMAGE"):
                        raise BadSource(f"{self._path}: HDU {self._hdu!r} is no binary table")
                    return header
                _skip(file, _data_size(header))
                index += 1
        except (OSError, EOFError, ValueError, KeyError, IndexError) as err:
            raise explain(self._path, err) from err

    def _is_it(self, header: Any, index: int) -> bool:
        if self._hdu is None:
            return index > 0 and header.get("XTENSION", "").strip() == "BINTABLE" and not header.get("ZIMAGE")
        return index == self._hdu or str(header.get("EXTNAME", "")).strip() == str(self._hdu)

    def _header(self, file: BinaryIO, index: int) -> Any:
        blocks: list[bytes] = []
        while True:
            block = file.read(_BLOCK)
            if not block and not blocks:
                return None
            if len(block) < _BLOCK or (index == 0 and not blocks and not block.startswith(b"SIMPLE")):
                if index and not blocks:
                    return None  # some bytes after the last part
                reason = "it ends in a header" if blocks or block.startswith(b"SIMPLE") else "it is no FITS file"
                raise BadSource(f"{self._path}: cannot be read: {reason}")
            blocks.append(block)
            cards = [block[i : i + 80] for i in range(0, _BLOCK, 80)]
            if any(card.rstrip() == b"END" for card in cards):
                return fits.Header.fromstring(b"".join(blocks))
            if len(blocks) > 10_000:
                raise BadSource(f"{self._path}: cannot be read: its header has no end")

    def chunks(self, wanted: Mapping[str, Kind]) -> Iterator[Chunk]:
        """All rows."""
        columns = [column for name, column in self._columns.items() if name in wanted]
        for column in columns:
            if column.letter not in "LBIJKAED":
                kind = {"P": "a list in each row", "Q": "a list in each row", "X": "bits"}.get(column.letter, "complex")
                raise BadSource(f"{self._path}: column {column.name!r} is {kind}, which cannot be used")
        total, width = self.rows or 0, self._width
        at_once = max(min(ROWS, _BYTES // max(width, 1)), 1)
        with open_bytes(self._path) as file:
            self._find(file)
            for start in range(0, total, at_once):
                n = min(at_once, total - start)
                try:
                    data = _read(file, n * width)
                except (OSError, EOFError, ValueError) as err:
                    raise explain(self._path, err) from err
                if len(data) < n * width:
                    have = start + len(data) // max(width, 1)
                    raise BadSource(f"{self._path}: cannot be read: it ends after row {have} of {total}")
                rows = np.frombuffer(data, np.uint8).reshape(n, width)
                found = {column.name: column.read(rows) for column in columns}
                numbers = np.arange(start + 1, start + n + 1, dtype=np.int64)
                yield read_values(found, numbers, wanted, self._nulls)


def _data_size(header: Any) -> int:
    axes = [int(header[f"NAXIS{i}"]) for i in range(1, int(header["NAXIS"]) + 1)]
    if not axes:
        return 0
    size = abs(int(header["BITPIX"])) // 8 * int(header.get("GCOUNT", 1))
    size *= int(header.get("PCOUNT", 0)) + int(np.prod(axes, dtype=object))
    return -(-size // _BLOCK) * _BLOCK


def _skip(file: BinaryIO, size: int) -> None:
    while size > 0:
        block = file.read(min(size, 1 << 20))
        if not block:
            return
        size -= len(block)


def _read(file: BinaryIO, size: int) -> bytes:
    parts = []
    while size > 0:
        block = file.read(size)
        if not block:
            break
        parts.append(block)
        size -= len(block)
    return b"".join(parts)
