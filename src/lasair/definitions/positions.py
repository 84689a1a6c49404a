"""Tables of positions as people write them: delimited text with or without a header, VOTable, FITS.

Clean rows are read by columns, thousands at a time; a stretch that cannot be read so is halved until what is odd stands
alone and is read field by field, with a reason when it is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.definitions.angles import NUMBER, Kind, finite, read_angle, read_angles
from lasair.definitions.upload import shown, text_of
from lasair.errors import BadDefinition

#: Longest name of a cone.
NAME_MAX = 256

#: Rows that are read by columns at once, and how few are not worth halving any more.
_STRETCH, _FEW = 8192, 16

#: Names of columns in small letters, letters and digits only; of several in one table the first here is taken.
RA_NAMES = (
    "ra", "radeg", "raj2000", "raicrs", "rightascension", "alpha", "alphaj2000", "ra2000", "meanra", "ramean", "objra",
)  # fmt: skip
DECL_NAMES = (
    "dec", "decl", "declination", "decdeg", "decldeg", "de", "dedeg", "dej2000", "decj2000", "declj2000", "deicrs",
    "decicrs", "delta", "deltaj2000", "dec2000", "meandec", "decmean", "objdec",
)  # fmt: skip
NAME_NAMES = (
    "name", "objname", "objectname", "sourcename", "targetname", "target", "designation", "mainid", "object", "source",
    "componentname", "id", "objid", "objectid", "sourceid", "identifier", "ident", "oid",
)  # fmt: skip

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NUMBER_LINE = re.compile(rf"^\s*{NUMBER.pattern}\s*$", re.ASCII | re.MULTILINE)


class BadLine(NamedTuple):
    """A row that cannot be used."""

    #: data row, counted from 0
    row: int
    #: line of the file, counted from 1; None in tables without lines
    line: int | None
    text: str
    reason: str

    def __str__(self) -> str:
        where = f"row {self.row}" + (f" (line {self.line})" if self.line is not None else "")
        return f"{where}: {self.reason}: {self.text}" if self.text else f"{where}: {self.reason}"


@dataclass(frozen=True)
class Wanted:
    """What a reader looks for beside right ascension and declination.

    Attributes
    ----------
    numbers : name of a column of numbers -> {name in the file (small letters, letters and digits only): factor}
    named : whether there are names
    headerless : what the fields of a row are, in order, when there is no header; the first two are needed
    """

    numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    named: bool = False
    headerless: tuple[str, ...] = ("ra", "decl")


@dataclass
class Positions:
    """Rows of a table that have a place on the sky, ascending, and those that have not.

    Attributes
    ----------
    rows : (n,) int64, data rows counted from 0, refused ones included
    ra, decl : (n,) float64 [deg], 0 <= ra < 360
    names : n texts, '' where there is none
    numbers : name -> (n,) float64, NaN where the field is empty; a name that the file has no column for is absent
    bad : what was refused, ascending
    total : data rows of the file
    """

    rows: NDArray[np.int64]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    names: list[str]
    numbers: dict[str, NDArray[np.float64]]
    bad: list[BadLine]
    total: int
    _texts: Sequence[str]
    _lines: Sequence[int] | None

    def refuse(self, wrong: NDArray[np.bool_], reasons: Sequence[str]) -> Positions:
        """The same without the rows that are wrong (n,), each refused for its reason."""
        if not wrong.any():
            return self
        bad = [
            BadLine(row, self._lines[row] if self._lines is not None else None, shown(self._texts[row]), reason)
            for row, reason in zip(self.rows[wrong].tolist(), reasons, strict=True)
        ]
        good = ~wrong
        return Positions(
            self.rows[good], self.ra[good], self.decl[good], list(compress(self.names, good)),
            {name: values[good] for name, values in self.numbers.items()},
            sorted(self.bad + bad), self.total, self._texts, self._lines,
        )  # fmt: skip


def read_positions(path: Path, content: bytes, wanted: Wanted, *, most_rows: int) -> Positions:
    """Read a table; its format is known by its first bytes.

    Raises
    ------
    BadDefinition
        It is no such table, has no columns of positions, no rows at all, or more than `most_rows`; names the file.
    """
    head = content[:400].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"SIMPLE  ="):
        from lasair.definitions.binary_tables import read_fits

        return read_fits(path, content, wanted, most_rows)
    if head.startswith((b"<?xml", b"<VOTABLE", b"<!--", b"<!DOCTYPE", b"<html", b"<HTML")):
        from lasair.definitions.binary_tables import read_votable

        return read_votable(path, content, wanted, most_rows)
    return read_text(path, text_of(path, content), wanted, most_rows)


def read_text(path: Path, text: str, wanted: Wanted, most_rows: int) -> Positions:
    """Read delimited text (see `read_positions`)."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    numbers = [i for i, line in enumerate(lines) if line and not line.isspace() and line.lstrip()[0] != "#"]
    if not numbers:
        raise BadDefinition(f"{path}: is empty: it has no rows of ra, dec")
    texts = [lines[i] for i in numbers]
    numbers = [i + 1 for i in numbers]
    del lines
    splitter = Splitter.of(texts[:50])
    header = splitter.fields(texts[0])
    layout = layout_of(path, header, wanted) if header else None
    if layout is not None:
        texts, numbers = texts[1:], numbers[1:]
    if len(texts) > most_rows:
        raise BadDefinition(f"{path}: has {len(texts)} rows; at most {most_rows} are taken")
    return _collect(_Rows(texts, numbers, splitter, layout, wanted), wanted, layout)


class Layout(NamedTuple):
    """Where things are in a row."""

    ra: int
    decl: int
    name: int | None
    #: name -> (field, factor)
    numbers: dict[str, tuple[int, float]]
    fields: int


def plain(name: str) -> str:
    """A column's name without case, blanks and signs."""
    return re.sub(r"[\W_]", "", name.casefold())


def layout_of(path: Path | str, header: Sequence[str], wanted: Wanted) -> Layout | None:
    """Which columns are what; None when these are no names of columns.

    Raises
    ------
    BadDefinition
        Two columns have a name that is used.
    """
    names = [plain(name) for name in header]

    def place(known: Sequence[str] | Mapping[str, float]) -> tuple[int, str] | None:
        for name in known:
            if names.count(name) > 1:
                raise BadDefinition(f"{path}: two columns are called {name!r}; rename one")
            if name in names:
                return names.index(name), name
        return None

    ra, decl = place(RA_NAMES), place(DECL_NAMES)
    if ra is None or decl is None:
        return None
    name = place(NAME_NAMES) if wanted.named else None
    numbers = {}
    for column, known in wanted.numbers.items():
        at = place(known)
        if at is not None:
            numbers[column] = at[0], known[at[1]]
    return Layout(ra[0], decl[0], name and name[0], numbers, len(header))


class Splitter(NamedTuple):
    """How rows of a file are cut into fields; `delimiter` None: at blanks."""

    delimiter: str | None
    #: a table drawn with bars on both sides
    framed: bool

    @classmethod
    def of(cls, lines: Sequence[str]) -> Splitter:
        bare = [re.sub(r'"[^"]*"', "", line) for line in lines]
        for delimiter in (",", "\t", "|", ";"):
            if 2 * sum(delimiter in line for line in bare) > len(lines):
                framed = delimiter == "|" and all(
                    line.strip().startswith("|") and line.strip().endswith("|") for line in lines
                )
                return cls(delimiter, framed)
        return cls(None, False)

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """Fields of rows.

        Raises
        ------
        ValueError
            A quotation goes over the end of a line.
        """
        if self.framed:
            lines = [line.strip()[1:-1] for line in lines]
        if not any('"' in line for line in lines):
            return [line.split(self.delimiter) for line in lines]
        if self.delimiter is None:
            lines = [" ".join(line.split()) for line in lines]
        try:
            rows = list(csv.reader(lines, delimiter=self.delimiter or " ", skipinitialspace=True))
        except csv.Error as err:
            raise ValueError(str(err)) from err
        if len(rows) != len(lines):
            raise ValueError("a quotation does not end in its line")
        return rows

    def columns(self, lines: Sequence[str]) -> list[tuple[Sequence[int], list[Sequence[str]]]]:
        """Columns of rows, apart for each number of fields: which rows, and the columns.

        Raises
        ------
        ValueError
            A quotation goes over the end of a line.
        """
        if self.delimiter is None or self.framed or any('"' in line for line in lines):
            rows = self.split(lines)
            widths = list(map(len, rows))
        else:
            rows = None
            widths = [line.count(self.delimiter) + 1 for line in lines]
        out: list[tuple[Sequence[int], list[Sequence[str]]]] = []
        kinds = sorted(set(widths))
        for width in kinds:
            which: Sequence[int] = range(len(lines))
            if len(kinds) > 1:
                which = [i for i, one in enumerate(widths) if one == width]
            if rows is None:
                assert self.delimiter is not None
                flat = self.delimiter.join([lines[i] for i in which]).split(self.delimiter)
                out.append((which, [flat[k::width] for k in range(width)]))
            else:
                out.append((which, list(zip(*[rows[i] for i in which], strict=True))))
        return out

    def fields(self, line: str) -> list[str]:
        """Fields of one row, without the blanks about them; a quotation that does not end is none."""
        try:
            found = self.split([line])[0]
        except ValueError:
            found = line.split(self.delimiter)
        return [one.strip() for one in found]


class _Block(NamedTuple):
    rows: Sequence[int]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    names: list[str]
    numbers: dict[str, NDArray[np.float64]]


class _Rows:
    """The data rows of a text file, read in stretches."""

    def __init__(
        self, texts: list[str], lines: list[int], splitter: Splitter, layout: Layout | None, wanted: Wanted
    ) -> None:
        self.texts, self.lines, self.bad = texts, lines, list[BadLine]()
        self._splitter, self._layout, self._wanted = splitter, layout, wanted

    def blocks(self) -> Iterator[_Block]:
        for low in range(0, len(self.texts), _STRETCH):
            yield from self._stretch(range(low, min(low + _STRETCH, len(self.texts))))

    def _stretch(self, rows: Sequence[int]) -> Iterator[_Block]:
        """Blocks of some rows, not always in order."""
        try:
            groups = self._splitter.columns([self.texts[row] for row in rows])
        except ValueError:
            yield from self._halves(rows)
            return
        for which, columns in groups:
            group = rows if len(which) == len(rows) else [rows[i] for i in which]
            try:
                layout = self._layout_for(len(columns))
            except ValueError as err:
                if len(columns[-1][0].strip()) == 0:  # blank fields at the end may be too many commas
                    yield from self._one_by_one(group)
                else:
                    self.bad += [BadLine(row, self.lines[row], shown(self.texts[row]), str(err)) for row in group]
                continue
            try:
                yield self._by_column(group, columns, layout)
            except ValueError:
                yield from self._halves(group)

    def _halves(self, rows: Sequence[int]) -> Iterator[_Block]:
        if len(rows) > _FEW:
            yield from self._stretch(rows[: len(rows) // 2])
            yield from self._stretch(rows[len(rows) // 2 :])
        else:
            yield from self._one_by_one(rows)

    def _by_column(self, rows: Sequence[int], columns: Sequence[Sequence[str]], layout: Layout) -> _Block:
        ra, decl = read_angles(columns[layout.ra], "ra"), read_angles(columns[layout.decl], "decl")
        if layout.name is None:
            names = [""] * len(rows)
        else:
            names = [name.strip() for name in columns[layout.name]]
            joined = "\n".join(names)
            if _CONTROL.search(joined.replace("\n", "")) or max(map(len, names)) > NAME_MAX:
                raise ValueError
            if self._layout is None and _NUMBER_LINE.search(joined):
                raise ValueError
        numbers = {}
        for name, (at, factor) in layout.numbers.items():
            blank = np.array([not text or text.isspace() for text in columns[at]])
            if "_" in "".join(columns[at]):
                raise ValueError
            values = finite(np.array([float(text) if text.strip() else 0.0 for text in columns[at]]))
            numbers[name] = np.where(blank, np.nan, values * factor)
        return _Block(rows, ra, decl, names, numbers)

    def _layout_for(self, width: int) -> Layout:
        if self._layout is not None:
            if width != self._layout.fields:
                raise ValueError(f"it has {width} fields, the header has {self._layout.fields}")
            return self._layout
        fields = self._wanted.headerless
        if not 2 <= width <= len(fields):
            many = f"2 to {len(fields)}" if len(fields) > 2 else "2"
            raise ValueError(
                f"it has {width} field{'s' * (width != 1)}; without a header a row has {many}: {', '.join(fields)}"
            )
        numbers = {name: (at, 1.0) for at, name in enumerate(fields[:width]) if name in self._wanted.numbers}
        return Layout(0, 1, 2 if width > 2 and fields[2] == "name" else None, numbers, width)

    def _one_by_one(self, candidates: Sequence[int]) -> Iterator[_Block]:
        rows: list[int] = []
        ra: list[float] = []
        decl: list[float] = []
        names: list[str] = []
        numbers: dict[str, list[float]] = {name: [] for name in self._wanted.numbers}
        for row in candidates:
            try:
                fields = [one.strip() for one in self._splitter.split([self.texts[row]])[0]]
                while self._layout is not None and len(fields) > self._layout.fields and not fields[-1]:
                    fields.pop()
                layout = self._layout_for(len(fields))
                place = read_angle(fields[layout.ra], "ra"), read_angle(fields[layout.decl], "decl")
                name = read_name(
                    fields[layout.name] if layout.name is not None else "", numeric=self._layout is not None
                )
                found = {
                    column: _number(fields[layout.numbers[column][0]], column) * layout.numbers[column][1]
                    if column in layout.numbers else np.nan
                    for column in numbers
                }  # fmt: skip
            except ValueError as err:
                self.bad.append(BadLine(row, self.lines[row], shown(self.texts[row]), str(err)))
                continue
            rows.append(row)
            ra.append(place[0])
            decl.append(place[1])
            names.append(name)
            for column, value in found.items():
                numbers[column].append(value)
        yield _Block(
            rows, np.array(ra, np.float64), np.array(decl, np.float64), names,
            {column: np.array(values, np.float64) for column, values in numbers.items()},
        )  # fmt: skip


def read_name(text: str, *, numeric: bool) -> str:
    """A cone's name.

    Raises
    ------
    ValueError
        It is too long, has control characters, or is a number where `numeric` ones are not meant.
    """
    if not numeric and NUMBER.fullmatch(text):
        raise ValueError(f"the number {text[:40]} stands where the name belongs")
    if len(text) > NAME_MAX:
        raise ValueError(f"the name has {len(text)} characters; at most {NAME_MAX} are taken")
    if _CONTROL.search(text):
        raise ValueError("the name has control characters")
    return text


def _number(text: str, column: str) -> float:
    if not text:
        return float("nan")
    if not NUMBER.fullmatch(text):
        raise ValueError(f"the {column} {text[:40]!r} is not a number")
    return float(text)


def _collect(source: _Rows, wanted: Wanted, layout: Layout | None) -> Positions:
    blocks = list(source.blocks())
    rows = np.concatenate([np.asarray(one.rows, np.int64) for one in blocks] or [np.empty(0, np.int64)])
    order = np.argsort(rows, kind="stable")
    names = [name for one in blocks for name in one.names]
    numbers = {}
    for name in wanted.numbers:
        if layout is not None and name not in layout.numbers:
            continue
        parts = [one.numbers.get(name, np.full(len(one.rows), np.nan)) for one in blocks]
        numbers[name] = np.concatenate(parts or [np.empty(0)])[order]
    return on_the_sky(
        Positions(
            rows[order],
            np.concatenate([one.ra for one in blocks] or [np.empty(0)])[order],
            np.concatenate([one.decl for one in blocks] or [np.empty(0)])[order],
            [names[i] for i in order.tolist()],
            numbers, sorted(source.bad), len(source.texts), source.texts, source.lines,
        )
    )  # fmt: skip


def on_the_sky(found: Positions) -> Positions:
    """The same, without rows whose coordinates are beyond the sky; right ascensions below 360."""
    wrong = ~((found.ra >= 0.0) & (found.ra <= 360.0) & (np.abs(found.decl) <= 90.0))
    reasons = [
        _why_not(ra, decl) for ra, decl in zip(found.ra[wrong].tolist(), found.decl[wrong].tolist(), strict=True)
    ]
    good = found.refuse(wrong, reasons)
    good.ra = np.where(good.ra == 360.0, 0.0, good.ra)
    return good


def _why_not(ra: float, decl: float) -> str:
    if not (np.isfinite(ra) and np.isfinite(decl)):
        return f"the position ({ra}, {decl}) is not finite"
    if abs(decl) > 90.0:
        return f"the declination {decl:g} is beyond a pole"
    return f"the right ascension {ra:g} is not from 0 to 360 degrees"


def angles_of(values: Sequence[str], kind: Kind) -> tuple[NDArray[np.float64], dict[int, str]]:
    """A column of texts as angles, NaN where one is none, and why: index -> reason."""
    try:
        return read_angles(values, kind), {}
    except (ValueError, IndexError):
        out, reasons = np.full(len(values), np.nan), {}
        for i, value in enumerate(values):
            try:
                out[i] = read_angle(value, kind)
            except ValueError as err:
                reasons[i] = str(err)
        return out, reasons
