"""Columns of the Transient Name Server's public files, and the texts of a CSV file as these columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.definitions.upload import shown
from lasair.packets.batch import Columns
from lasair.schema.model import INT_MISSING

Kind = Literal["int", "float", "text", "time"]


class TnsField(NamedTuple):
    """A column of the files."""

    name: str
    kind: Kind
    #: most letters of a text
    longest: int = 4000


#: In the published order; the objid is the key, the rest is what TNS says of it.
FIELDS = (
    TnsField("objid", "int"),
    TnsField("name_prefix", "text", 16),
    TnsField("name", "text", 32),
    TnsField("ra", "float"),
    TnsField("declination", "float"),
    TnsField("redshift", "float"),
    TnsField("typeid", "int"),
    TnsField("type", "text"),
    TnsField("reporting_groupid", "int"),
    TnsField("reporting_group", "text"),
    TnsField("source_groupid", "int"),
    TnsField("source_group", "text"),
    TnsField("discoverydate", "time"),
    TnsField("discoverymag", "float"),
    TnsField("discmagfilter", "int"),
    TnsField("filter", "text"),
    TnsField("reporters", "text", 16_000),
    TnsField("time_received", "time"),
    TnsField("internal_names", "text"),
    TnsField("Discovery_ADS_bibcode", "text"),
    TnsField("Class_ADS_bibcodes", "text"),
    TnsField("creationdate", "time"),
    TnsField("lastmodified", "time"),
)
#: Without these columns a file is of no use; any other may lack (files of 2021 have no bibcodes).
REQUIRED = ("objid", "name", "ra", "declination", "lastmodified")


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used; `line` is the line of the file it begins in, counted from 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True)
class TnsRows:
    """Rows of TNS as columns.

    Attributes
    ----------
    columns : one array a field of `FIELDS`: int64 (INT_MISSING), float64 (NaN), or objects that are texts ('').
        `ra` and `declination` are in degrees (0 <= ra < 360) and never missing, nor are `objid` and `name`. Times are
        texts 'YYYY-MM-DD HH:MM:SS.ffffff' in UTC, whose order is that of time.
    """

    columns: Columns

    def __len__(self) -> int:
        return len(self.columns["objid"])

    def take(self, which: NDArray[Any]) -> TnsRows:
        """Some of the rows, by index or mask."""
        return TnsRows({name: values[which] for name, values in self.columns.items()})

    def tuples(self) -> list[tuple[Any, ...]]:
        """Rows in the order of `FIELDS` with Python's own types; None where a number is missing, '' where a text is."""
        return list(zip(*(_plain(self.columns[field.name]) for field in FIELDS), strict=True))


def _plain(values: NDArray[Any]) -> list[Any]:
    found: list[Any] = values.tolist()
    missing = (
        np.isnan(values) if values.dtype.kind == "f" else values == INT_MISSING if values.dtype.kind == "i" else ()
    )
    for i in np.flatnonzero(missing).tolist():
        found[i] = None
    return found


def join(parts: Sequence[TnsRows]) -> TnsRows:
    """Rows of several parts, one after the other."""
    parts = parts or [empty()]
    return TnsRows({field.name: np.concatenate([part.columns[field.name] for part in parts]) for field in FIELDS})


def empty() -> TnsRows:
    """No rows."""
    types = {"int": np.int64, "float": np.float64}
    return TnsRows({field.name: np.empty(0, types.get(field.kind, np.object_)) for field in FIELDS})


def read_columns(
    header: Sequence[str], records: Sequence[Sequence[str]], lines: Sequence[int]
) -> tuple[TnsRows, list[BadRow]]:
    """Turn records into columns; a record with anything in it that cannot be right is left out and said to be bad.

    A row is taken as a whole or not at all: with one field dropped it would take the place of a good older row.

    Parameters
    ----------
    header : names of the columns, lower case
    records : texts, as many in each as in the header
    lines : line of each record
    """
    n = len(records)
    reasons: dict[int, str] = {}
    texts = dict(zip(header, zip(*records, strict=True), strict=True)) if n else {}
    columns: Columns = {}
    for field in FIELDS:
        given = texts.get(field.name.lower(), ("",) * n)
        columns[field.name] = _READERS[field.kind](field, given, reasons)
    _check(columns, reasons)
    columns["ra"][columns["ra"] == 360.0] = 0.0
    if not reasons:
        return TnsRows(columns), []
    good = np.ones(n, bool)
    good[list(reasons)] = False
    return TnsRows(columns).take(good), [BadRow(lines[i], reasons[i]) for i in sorted(reasons)]


_NAME = re.compile(r"[!-~]+")


def _check(columns: Columns, reasons: dict[int, str]) -> None:
    """What must be there, and in range. Only the first thing that is wrong with a row is said."""
    objid, ra, decl = columns["objid"], columns["ra"], columns["declination"]
    _refuse(reasons, np.flatnonzero(objid <= 0), lambda i: "objid is missing or not above 0")
    _refuse(reasons, np.flatnonzero(~((ra >= 0.0) & (ra <= 360.0))), lambda i: f"ra {ra[i]:g} is not from 0 to 360")
    _refuse(
        reasons,
        np.flatnonzero(~((decl >= -90.0) & (decl <= 90.0))),
        lambda i: f"declination {decl[i]:g} is not from -90 to 90",
    )
    names: list[str] = columns["name"].tolist()
    wrong = [i for i, name in enumerate(names) if not _NAME.fullmatch(name)]
    _refuse(reasons, wrong, lambda i: f"{shown(names[i])!r} is no name" if names[i] else "there is no name")


def _refuse(reasons: dict[int, str], wrong: Iterable[Any], why: Any) -> None:
    for i in wrong:
        reasons.setdefault(int(i), why(int(i)))


# Each reader first tries all texts of a column at once, and looks at them one by one only when something is wrong.

_FLOAT_LETTERS = frozenset("0123456789+-.eE")
_DIGITS = frozenset("0123456789")
_INT = re.compile(r"(\d{1,18})(?:\.0*)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d(?:\.\d{1,9})?)?", re.ASCII)


def _floats(field: TnsField, texts: Sequence[str], reasons: dict[int, str]) -> NDArray[np.float64]:
    values = None
    # without other letters there is no 'nan', 'inf' or '1_000', which float() takes
    if _FLOAT_LETTERS.issuperset("".join(texts)):
        try:
            values = np.array([float(text) if text else np.nan for text in texts], np.float64)
        except ValueError:
            values = None
    if values is None:
        values = np.array([_float(field, i, text.strip(), reasons) for i, text in enumerate(texts)], np.float64)
    _refuse(reasons, np.flatnonzero(np.isinf(values)), lambda i: f"{field.name} {shown(texts[i])!r} is too large")
    return values


def _float(field: TnsField, i: int, text: str, reasons: dict[int, str]) -> float:
    if not text:
        return np.nan
    try:
        if not _FLOAT_LETTERS.issuperset(text):
            raise ValueError(text)
        return float(text)
    except ValueError:
        reasons.setdefault(i, f"{field.name} {shown(text)!r} is not a number")
        return np.nan


def _ints(field: TnsField, texts: Sequence[str], reasons: dict[int, str]) -> NDArray[np.int64]:
    if _DIGITS.issuperset("".join(texts)) and max(map(len, texts), default=0) <= 18:
        return np.array([int(text) if text else INT_MISSING for text in texts], np.int64)
    return np.array([_int(field, i, text.strip(), reasons) for i, text in enumerate(texts)], np.int64)


def _int(field: TnsField, i: int, text: str, reasons: dict[int, str]) -> int:
    found = _INT.fullmatch(text)
    if found is None and text:
        reasons.setdefault(i, f"{field.name} {shown(text)!r} is not a whole number")
    return int(found[1]) if found else INT_MISSING


def _texts(field: TnsField, texts: Sequence[str], reasons: dict[int, str]) -> NDArray[Any]:
    seen: dict[str, str] = {}  # most texts of most columns come again and again: one copy will do
    found = [seen.setdefault(text, text) for text in map(str.strip, texts)]
    together = "".join(seen)
    if max(map(len, seen), default=0) > field.longest or "\0" in together or not _is_unicode(together):
        for i, text in enumerate(found):
            if len(text) > field.longest:
                reasons.setdefault(i, f"{field.name} has {len(text)} letters; the most are {field.longest}")
            elif "\0" in text or not _is_unicode(text):
                reasons.setdefault(i, f"{field.name} is not text in UTF-8")
    return _objects(found)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _times(field: TnsField, texts: Sequence[str], reasons: dict[int, str]) -> NDArray[Any]:
    found = [_time(field, i, text, reasons) for i, text in enumerate(texts)]
    try:
        np.array([text for text in found if text], "datetime64[us]")
    except ValueError:
        for i, text in enumerate(found):
            if text and not _is_time(text):
                reasons.setdefault(i, f"{field.name} {shown(text)!r} is no date")
    return _objects(found)


def _time(field: TnsField, i: int, text: str, reasons: dict[int, str]) -> str:
    text = text.strip()
    if not text or text.startswith("0000-00-00"):  # as a database writes that there is none
        return ""
    if not _TIME.fullmatch(text):
        reasons.setdefault(i, f"{field.name} {shown(text)!r} is no time such as 2026-01-31 23:59:59")
        return ""
    whole = text if len(text) > 10 else f"{text} 00:00:00"
    return f"{whole[:10]} {whole[11:19]}.{whole[20:26]:0<6}"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _objects(values: list[str]) -> NDArray[Any]:
    found = np.empty(len(values), np.object_)
    found[:] = values
    return found


_READERS: dict[Kind, Any] = {"int": _ints, "float": _floats, "text": _texts, "time": _times}
