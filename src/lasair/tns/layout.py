"""The Transient Name Server's public files: a CSV file, alone or in a zip archive.

The first line is a cell with the time the file is of, then come the header and the rows, all in quotes. A quiet hour
has the first line only. A row that cannot be read harms no other.
"""

from __future__ import annotations

import csv
import io
import re
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, cast

from lasair.definitions.upload import shown
from lasair.errors import LasairError
from lasair.tns.rows import FIELDS, REQUIRED, BadRow, TnsRows, join, read_columns

#: Most bytes of a file, packed and unpacked (the whole of TNS: 14 MB and about 100 MB), and most rows.
MAX_PACKED_BYTES = 200_000_000
MAX_BYTES = 1_000_000_000
MAX_ROWS = 3_000_000
#: Bad rows that are kept with their reasons; and so many that the file is refused as a whole.
KEPT_BAD = 1_000
MAX_BAD = 100_000

_MAX_LINE = 1_000_000
#: Lines that one row may have, through line ends in quoted fields.
_MAX_ROW_LINES = 200
#: Bytes of a zip archive's table of contents; TNS's has one entry.
_MAX_DIRECTORY = 1_000_000
#: Records before the header.
_MAX_BEFORE_HEADER = 5
_CHUNK = 20_000

_ROW_BEGINS = re.compile(r'"\d+","')
_PERIOD = re.compile(r"((\d{4}-\d\d-\d\d) \d\d:\d\d:\d\d)(?:\s*-\s*(\d{4}-\d\d-\d\d )?(\d\d:\d\d:\d\d))?", re.ASCII)
_KNOWN = frozenset(one.name.lower() for one in FIELDS)


class BadTnsFile(LasairError):
    """A file that is not in TNS's layout, or is larger than anything TNS has."""


class DamagedTnsFile(BadTnsFile):
    """A file that was cut short or changed on its way: worth another try."""


@dataclass(frozen=True)
class Period:
    """The time a file is of: from `starts` up to `ends`, or everything there was at `starts` (`ends` None); UTC."""

    starts: datetime
    ends: datetime | None = None


@dataclass(frozen=True)
class TnsFile:
    """What a file holds.

    Attributes
    ----------
    rows : the good rows, in the order of the file; an objid may come twice
    period : what the first line says; None when it says nothing
    bad : the first KEPT_BAD rows that cannot be used, in the order of the file
    bad_count : how many cannot be used
    """

    rows: TnsRows
    period: Period | None
    bad: list[BadRow] = field(default_factory=list)
    bad_count: int = 0


def read_tns(source: Path | bytes, name: str = "") -> TnsFile:
    """Read a CSV file, or the first member NAME.csv of a zip archive.

    Parameters
    ----------
    source : file, or its content
    name : what messages call it; the path unless given

    Raises
    ------
    BadTnsFile
        It has another layout, is too large, or cannot be opened.
    DamagedTnsFile
        It was cut short or changed on its way.
    """
    name = name or (str(source) if isinstance(source, Path) else "the file")
    with _opened(source, name) as stream:
        return _Reader(name).read(stream)


@contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[IO[bytes]]:
    """The CSV file's bytes."""
    try:
        if isinstance(source, Path) and not source.is_file():
            raise BadTnsFile(f"{name}: there is no such file")
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            packed = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
            file.seek(0)
            if size > (MAX_PACKED_BYTES if packed else MAX_BYTES):
                raise BadTnsFile(f"{name}: is refused: {size / 1e6:.0f} MB are more than TNS has")
            if not packed:
                yield file
                return
            with _member(file, size, name) as member:
                yield member
    except (zipfile.BadZipFile, zlib.error, EOFError) as err:
        raise DamagedTnsFile(f"{name}: the zip archive is damaged or was cut short: {err}") from err
    except OSError as err:
        raise BadTnsFile(f"{name}: cannot be read: {err.strerror or err}") from err


@contextmanager
def _member(file: IO[bytes], size: int, name: str) -> Iterator[IO[bytes]]:
    # the table of contents is looked at before zipfile makes an object of each of its entries
    file.seek(max(0, size - 65_600))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) - end < 22:
        raise DamagedTnsFile(f"{name}: the zip archive was cut short: its end is missing")
    if struct.unpack_from("<I", tail, end + 12)[0] > _MAX_DIRECTORY:
        raise BadTnsFile(f"{name}: is refused: a zip archive with many members")
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
        members = [one for one in archive.infolist() if one.filename.lower().endswith(".csv")]
        if not members:
            raise BadTnsFile(f"{name}: there is no .csv file in the zip archive")
        first = members[0]
        if first.file_size > MAX_BYTES:
            raise BadTnsFile(f"{name}: is refused: it would have {first.file_size / 1e6:.0f} MB when unpacked")
        if first.flag_bits & 1 or first.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadTnsFile(f"{name}: is refused: its zip archive is encrypted, or packed as TNS packs none")
        member = archive.open(first)
    except (ValueError, struct.error, IndexError, OverflowError, NotImplementedError, RuntimeError) as err:
        raise DamagedTnsFile(f"{name}: the zip archive is damaged: {err}") from err
    # zipfile never gives more than file_size bytes, whatever the packed data say
    with archive, member:
        yield io.BufferedReader(cast("io.RawIOBase", member), 1 << 20)


class _Reader:
    """Reads one file; holds where it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._period: Period | None = None
        self._header: list[str] = []
        self._before = 0
        self._bad: list[BadRow] = []
        self._bad_count = 0
        self._parts: list[TnsRows] = []
        self._records: list[list[str]] = []
        self._lines: list[int] = []
        self._rows = 0

    def read(self, stream: IO[bytes]) -> TnsFile:
        for number, text, why in _texts(stream, self._fits):
            if why:
                self._refuse([BadRow(number, why)])
                continue
            if not self._header:
                self._read_top(text)
                continue
            fields = split(text)
            if fields is None:
                self._refuse([BadRow(number, "its quotes do not match")])
            elif len(fields) != len(self._header):
                self._refuse([BadRow(number, f"{len(fields)} fields, where the header has {len(self._header)}")])
            else:
                self._records.append(fields)
                self._lines.append(number)
                if len(self._records) == _CHUNK:
                    self._convert()
        self._convert()
        if not self._header and (self._period is None or self._before or self._bad):
            raise BadTnsFile(f"{self._name}: {'has no header' if self._period or self._before else 'is empty'}")
        self._bad.sort(key=lambda row: row.line)
        return TnsFile(join(self._parts), self._period, self._bad[:KEPT_BAD], self._bad_count)

    def _fits(self, text: str) -> bool:
        fields = split(text)
        return fields is not None and len(fields) == (len(self._header) or len(fields))

    def _read_top(self, text: str) -> None:
        """The line of the time, or the header, which is known by its names."""
        if text.lstrip().startswith("<"):
            raise BadTnsFile(f"{self._name}: is a web page, not a file of TNS")
        fields = [one.strip().lower() for one in split(text) or [text]]
        if set(REQUIRED) <= set(fields):
            twice = {one for one in fields if fields.count(one) > 1} & _KNOWN
            if twice:
                raise BadTnsFile(f"{self._name}: the header has the column {min(twice)} twice")
            self._header = fields
            return
        period = _period(fields[0]) if len(fields) == 1 and self._period is None else None
        if period:
            self._period = period
            return
        self._before += 1
        if self._before >= _MAX_BEFORE_HEADER:
            missing = [one for one in REQUIRED if one not in fields]
            raise BadTnsFile(
                f"{self._name}: has no header with the columns {', '.join(missing)}; it says {shown(text)!r}"
            )

    def _convert(self) -> None:
        self._rows += len(self._records)
        if self._rows > MAX_ROWS:
            raise BadTnsFile(f"{self._name}: is refused: more than {MAX_ROWS:,} rows")
        rows, bad = read_columns(self._header, self._records, self._lines)
        self._refuse(bad)
        self._parts.append(rows)
        self._records, self._lines = [], []

    def _refuse(self, bad: list[BadRow]) -> None:
        self._bad_count += len(bad)
        if self._bad_count > MAX_BAD:
            raise BadTnsFile(f"{self._name}: is refused: more than {MAX_BAD:,} of its rows are bad, such as {bad[0]}")
        # more than are kept: rows of wrong layout are met before rows of wrong content that come earlier in the file
        if len(self._bad) < KEPT_BAD + _CHUNK:
            self._bad += bad


def split(text: str) -> list[str] | None:
    """Fields of a row; None when its quotes do not match."""
    # The usual row has all fields quoted and no other quotes, so that nothing else can be meant: eight times as fast.
    fields = text[1:-1].split('","')
    if text.count('"') == 2 * len(fields) and text[:1] == text[-1:] == '"':
        return fields
    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        return None
    return fields


def _texts(stream: IO[bytes], fits: Callable[[str], bool]) -> Iterator[tuple[int, str, str]]:
    """Rows as texts: number of the first line, text, and why it is none ('' when it is one).

    A quoted field may have line ends. When no row that `fits` comes of it, or a line begins as only a row can, the
    first line is bad and reading goes on with the one after it.
    """
    lines = _lines(stream)
    back: deque[tuple[int, str]] = deque()
    while True:
        try:
            number, line = back.popleft() if back else next(lines)
        except StopIteration:
            return
        if len(line) > _MAX_LINE:
            yield number, "", f"a line of more than {_MAX_LINE:,} letters"
            continue
        if not line.count('"') & 1:
            if line.strip():
                yield number, line, ""
            continue
        more: list[tuple[int, str]] = []
        closed = False
        while len(more) < _MAX_ROW_LINES and not closed:
            after = back.popleft() if back else next(lines, None)
            if after is None:
                break
            more.append(after)
            # inside a quoted field a quote before a digit cannot be
            if _ROW_BEGINS.match(after[1]) or len(after[1]) > _MAX_LINE:
                break
            closed = bool(after[1].count('"') & 1)
        whole = "\n".join([line, *(text for _, text in more)])
        if closed and len(whole) <= _MAX_LINE and fits(whole):
            yield number, whole, ""
        else:
            yield number, "", "a quoted field has no end"
            back.extendleft(reversed(more))


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, str]]:
    """Lines without their ends, numbered from 1; what is not UTF-8 in them is told apart later."""
    number = 0
    while line := stream.readline(_MAX_LINE + 2):
        number += 1
        if not line.endswith(b"\n") and len(line) > _MAX_LINE:
            while (rest := stream.readline(_MAX_LINE)) and not rest.endswith(b"\n"):
                pass
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def _period(text: str) -> Period | None:
    found = _PERIOD.fullmatch(text)
    if not found:
        return None
    try:
        starts = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        if found[4] is None:
            return Period(starts)
        last = datetime.fromisoformat(f"{(found[3] or found[2]).strip()} {found[4]}").replace(tzinfo=UTC)
        ends = last + timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None
    return Period(starts, ends)
