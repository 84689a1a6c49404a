"""Text in columns of fixed width, and VizieR's tables of text, cut out of lines by compiled code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.readers.files import explain, open_bytes
from lasair.catalogues.readers.table import EXAMPLES, LONGEST, BadSource, Chunk, Kind, Options, Refusal
from lasair.catalogues.readers.texts import Letters, Nulls, cut, read_texts

#: Bytes of the file in a chunk; no line is longer.
_BLOCK = 1 << 23


class _Lines(NamedTuple):
    """Some lines of a file that are neither empty nor comments."""

    data: Letters
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    #: number of each line in the file, from 1
    numbers: NDArray[np.int64]


def _blocks(file: BinaryIO, line: int, comment: bytes, path: Path) -> Iterator[_Lines]:
    """Lines of the rest of a file, of which `line` have been read."""
    mark = np.frombuffer(comment, np.uint8)
    rest = b""
    while True:
        block = file.read(_BLOCK)
        data = rest + block
        end = len(data) if not block else data.rfind(b"\n") + 1
        rest = data[end:]
        if len(rest) > _BLOCK:
            raise BadSource(f"{path}: line {line + 1} is longer than {_BLOCK} bytes: is this a table of text?")
        if end:
            letters = np.frombuffer(data, np.uint8)[:end]
            ends = np.flatnonzero(letters == 10)
            if letters[-1] != 10:
                ends = np.append(ends, end)
            starts, ends = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64), ends.astype(np.int64)
            keep = _content(letters, starts, ends, mark)
            yield _Lines(letters, starts[keep], ends[keep], (line + 1 + np.flatnonzero(keep)).astype(np.int64))
            line += len(starts)
        if not block:
            return


class FixedWidth:
    """Text whose columns are at fixed places.

    Options: `fields` (name → [first, last], bytes counted from 1 as in the ReadMe files of the CDS), `skip` (lines at
    the start), `comment`, `nulls`.
    """

    rows: int | None = None

    def __init__(self, path: Path, reading: Mapping[str, Any]) -> None:
        options = Options(reading, str(path))
        self._path = path
        self._skip = options.count("skip")
        self._comment = (options.take("comment", str, "#") or "").encode()
        self._nulls = Nulls.of(options.nulls())
        self._fields = {str(name): self._place(name, at) for name, at in (options.take("fields", dict) or {}).items()}
        options.done()
        if not self._fields:
            raise BadSource(f"{path}: fixed_width needs reading: fields: {{name: [first byte, last byte], …}}")
        self.names: Sequence[str] = list(self._fields)

    def _place(self, name: str, at: Any) -> tuple[int, int]:
        first, last = at if isinstance(at, list) and len(at) == 2 else (at, at)
        if not (type(first) is int and type(last) is int and 1 <= first <= last < first + LONGEST):
            raise BadSource(f"{self._path}: reading: fields: {name}: {at!r} must be [first byte, last byte], from 1")
        return first - 1, last

    def chunks(self, wanted: Mapping[str, Kind]) -> Iterator[Chunk]:
        """All lines; one that ends before the last wanted column is refused unless what is missing could be blanks."""
        places = {name: place for name, place in self._fields.items() if name in wanted}
        # blanks at the end may have been cut; but a line that stops before any column ends begins in the wrong place
        least = min((end for _, end in places.values()), default=0)
        with open_bytes(self._path) as file:
            try:
                for _ in range(self._skip):
                    file.readline()
                for lines in _blocks(file, self._skip, self._comment, self._path):
                    yield self._chunk(lines, places, least, wanted)
            except (OSError, EOFError, ValueError) as err:
                raise explain(self._path, err) from err

    def _chunk(
        self, lines: _Lines, places: Mapping[str, tuple[int, int]], least: int, wanted: Mapping[str, Kind]
    ) -> Chunk:
        size = lines.ends - lines.starts
        short = size < least
        refused = _short(lines, short, f"is shorter than {least} bytes")
        starts, ends, numbers = lines.starts[~short], lines.ends[~short], lines.numbers[~short]
        found: dict[str, Letters] = {}
        for name, (first, end) in places.items():
            letters = np.zeros((len(starts), end - first), np.uint8)
            cut(lines.data, np.minimum(starts + first, ends), np.minimum(starts + end, ends), letters)
            found[name] = letters
        return read_texts(found, numbers, refused, wanted, self._nulls, unit="line")


class Vizier:
    """A table of text as VizieR gives it: comments, names, units, a line of dashes, then rows.

    Options: `delimiter` (found by itself when not given), `nulls`.
    """

    rows: int | None = None

    def __init__(self, path: Path, reading: Mapping[str, Any]) -> None:
        options = Options(reading, str(path))
        self._path = path
        self._delimiter = options.letter("delimiter", None)
        self._nulls = Nulls.of(options.nulls())
        options.done()
        self.names: Sequence[str] = []
        with open_bytes(path) as file:
            try:
                self._header_lines = self._header(file)
            except (OSError, EOFError, ValueError) as err:
                raise explain(path, err) from err

    def _header(self, file: BinaryIO) -> int:
        """Lines up to and with the one of dashes."""
        before: list[str] = []
        for number in range(1, 100_000):
            raw = file.readline(_BLOCK)
            if not raw:
                break
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if not line.strip() or line.startswith("#"):
                continue
            others = set(line) - {"-"}
            if line.startswith("-") and len(others) <= 1 and before:
                self._delimiter = self._delimiter or (others.pop() if others else "\t")
                self.names = [name.strip() for name in before[0].split(self._delimiter)]
                if len(line.split(self._delimiter)) != len(self.names):
                    raise BadSource(
                        f"{self._path}: line {number}: the dashes are not those of {len(self.names)} columns"
                    )
                return number
            if len(before) >= 3:
                break
            before.append(line)
        raise BadSource(f"{self._path}: is no table as VizieR writes it: names, units and a line of dashes are missing")

    def chunks(self, wanted: Mapping[str, Kind]) -> Iterator[Chunk]:
        """All rows; one with another number of columns is refused."""
        columns = [i for i, name in enumerate(self.names) if name in wanted]
        with open_bytes(self._path) as file:
            try:
                for _ in range(self._header_lines):
                    file.readline()
                for lines in _blocks(file, self._header_lines, b"#", self._path):
                    yield self._chunk(lines, np.array(columns, np.int64), wanted)
            except (OSError, EOFError, ValueError) as err:
                raise explain(self._path, err) from err

    def _chunk(self, lines: _Lines, columns: NDArray[np.int64], wanted: Mapping[str, Kind]) -> Chunk:
        n, k = len(lines.starts), len(self.names)
        starts, ends, counts = _split(lines.data, lines.starts, lines.ends, ord(self._delimiter or "\t"), columns)
        dashes = _all_dashes(lines.data, lines.starts, lines.ends)
        if dashes.any():
            raise BadSource(f"{self._path}: line {lines.numbers[dashes][0]}: a second table begins; split the file")
        wrong = counts != k
        long = ~wrong & ((ends - starts) > LONGEST).any(axis=1)
        refused = [
            *(one for count in np.unique(counts[wrong])
              for one in _short(lines, counts == count, f"has {count} columns instead of {k}")),
            *_short(lines, long, f"has a text of more than {LONGEST} bytes"),
        ]  # fmt: skip
        good = ~wrong & ~long
        found: dict[str, Letters] = {}
        for i, column in enumerate(columns):
            first, end = starts[good, i].copy(), ends[good, i].copy()
            letters = np.zeros((int(good.sum()), max(int((end - first).max(initial=0)), 1)), np.uint8)
            cut(lines.data, first, end, letters)
            found[self.names[column]] = letters
        assert n == len(good)
        return read_texts(found, lines.numbers[good], refused, wanted, self._nulls, unit="line")


def _short(lines: _Lines, bad: NDArray[np.bool_], reason: str) -> list[Refusal]:
    if not bad.any():
        return []
    at = np.flatnonzero(bad)
    examples = [
        repr(
            lines.data[lines.starts[i] : min(lines.ends[i], lines.starts[i] + 60)].tobytes().decode("utf-8", "replace")
        )
        for i in at[:EXAMPLES]
    ]
    return [Refusal(reason, lines.numbers[at], examples)]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _content(data: Letters, starts: NDArray[np.int64], ends: NDArray[np.int64], mark: Letters) -> NDArray[np.bool_]:
    """Lines that are neither blank nor begin with the mark; `ends` are moved before a carriage return."""
    keep = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        if ends[i] > starts[i] and data[ends[i] - 1] == 13:
            ends[i] -= 1
        for j in range(starts[i], ends[i]):
            if data[j] > 32:
                keep[i] = True
                break
        if keep[i] and len(mark) and ends[i] - starts[i] >= len(mark):
            same = True
            for j in range(len(mark)):
                same = same and data[starts[i] + j] == mark[j]
            keep[i] = not same
    return keep


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _all_dashes(data: Letters, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Lines that begin with two dashes, or one and no letter or digit after it."""
    found = np.zeros(len(starts), np.bool_)
    for i in range(len(starts)):
        if data[starts[i]] != 45:
            continue
        found[i] = True
        for j in range(starts[i], ends[i]):
            letter = data[j]
            if 48 <= letter <= 57 or 65 <= letter <= 90 or 97 <= letter <= 122:
                found[i] = False
                break
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _split(
    data: Letters, starts: NDArray[np.int64], ends: NDArray[np.int64], delimiter: int, columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where the wanted columns (ascending) of each line are, and how many columns it has."""
    n, k = len(starts), len(columns)
    first, last = np.zeros((n, k), np.int64), np.zeros((n, k), np.int64)
    counts = np.zeros(n, np.int64)
    for i in range(n):
        column, at, begin = 0, 0, starts[i]
        for j in range(starts[i], ends[i] + 1):
            if j == ends[i] or data[j] == delimiter:
                if at < k and columns[at] == column:
                    first[i, at], last[i, at] = begin, j
                    at += 1
                column += 1
                begin = j + 1
        counts[i] = column
    return first, last, counts
