"""Chunks of rows as they come, made into columns of the types that a release has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues import position
from lasair.catalogues.columns import BY_NAME
from lasair.catalogues.healpix import cells_of
from lasair.catalogues.problems import BadRows
from lasair.catalogues.sky import first_bad

#: Columns of rows on their way into a release: the cell at the finest order, and the position.
CELL, RA, DECL = "cell", "ra", "decl"
FINEST = position.MAX_ORDER

Columns = dict[str, NDArray[Any]]

#: A type code is 16 bits, and 0 is none.
_MOST_SUBTYPES = 65535


class Reader:
    """Checks chunks and gives their columns the types of the release, copied."""

    def __init__(self, views: int, dtypes: Mapping[str, str]) -> None:
        """`views` is their number; `dtypes` overrides the types of float columns."""
        for name, dtype in dtypes.items():
            if name not in BY_NAME or not BY_NAME[name].dtype.startswith("f"):
                raise BadRows(f"the type of {name!r} cannot be set: it is no column of numbers with a fraction")
            if np.dtype(dtype).kind != "f":
                raise BadRows(f"column {name!r} cannot be of type {dtype!r}: f4 or f8")
        self._views = views
        self._dtypes = {column.name: np.dtype(dtypes.get(column.name, column.dtype)) for column in _numbers()}
        self.rows = 0
        #: whether any id was text, and the longest id in bytes when all are written as text
        self.text_ids, self.id_width = False, 1
        self._codes: dict[bytes, int] = {b"": 0}

    def read(self, chunk: Mapping[str, Any]) -> Columns:
        """Columns of a chunk.

        Raises
        ------
        BadRows
            Unequal lengths, an unknown column, a position that is none, a value of the wrong kind.
        """
        try:
            n = len(chunk[RA])
            bad = [key for key in chunk if len(chunk[key]) != n]
        except KeyError as err:
            raise BadRows(f"a chunk of rows has no column {err}: every row needs ra and decl [deg]") from err
        if RA not in chunk or DECL not in chunk or bad:
            raise BadRows(f"columns of a chunk differ in length: ra {n}, {', '.join(bad) or 'decl none'}")
        out: Columns = {RA: np.array(chunk[RA], np.float64), DECL: np.array(chunk[DECL], np.float64)}
        at = first_bad(out[RA], out[DECL])
        if at >= 0:
            raise BadRows(
                f"row {self.rows + at} (counted from 0) has no position: ra {out[RA][at]}, decl {out[DECL][at]}; "
                "rows without one must be left out before"
            )
        out[CELL] = cells_of(out[RA], out[DECL], FINEST).astype(np.uint32)
        for name, values in chunk.items():
            if name in (RA, DECL):
                continue
            if name not in BY_NAME:
                raise BadRows(f"a release has no column {name!r}; see lasair.catalogues.columns")
            if np.ndim(values) != 1:
                raise BadRows(f"column {name!r} is not one-dimensional")
            if name == "id":
                out[name] = self._ids(np.asarray(values))
            elif name == "subtype":
                out[name] = self._subtypes(values)
            else:
                out[name] = self._number(name, np.asarray(values))
        self.rows += n
        return out

    def _number(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        dtype = self._dtypes[name]
        if isinstance(values, np.ma.MaskedArray):
            values = values.filled(0 if dtype.kind == "u" else np.nan)
        if values.dtype.kind not in "fiub":
            raise BadRows(f"column {name!r} holds {values.dtype}, not numbers")
        if dtype.kind == "u":
            if values.dtype.kind == "f" or (len(values) and (int(values.min()) < 0 or int(values.max()) > 0xFFFFFFFF)):
                raise BadRows(f"column {name!r} must hold whole numbers of 32 bits without sign")
            found = np.array(values, dtype)
            if len(found) and int(found.max()) >> self._views:
                raise BadRows(f"column {name!r} has a bit set for view {int(found.max()).bit_length() - 1}, "
                              f"but there are {self._views} views")  # fmt: skip
            return found
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.array(values, dtype)
        # one kind of missing with one pattern of bits; an infinite magnitude is no measurement
        found[~np.isfinite(found)] = np.nan
        return found

    def _ids(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind == "u" and values.dtype.itemsize == 8 and len(values) and int(values.max()) >= 2**63:
            values = values.astype("S20")
        if values.dtype.kind in "iu":
            found = np.array(values, np.int64)
            if len(found):
                self.id_width = max(self.id_width, *(len(str(int(x))) for x in (found.min(), found.max())))
            return found
        if values.dtype.kind not in "USO":
            raise BadRows(f"column 'id' holds {values.dtype}: ids are whole numbers or text")
        text = as_bytes(values)
        self.text_ids = True
        self.id_width = max(self.id_width, longest(text))
        return text

    def _subtypes(self, values: Any) -> NDArray[np.uint16]:
        text = as_bytes(np.asarray(values))
        codes, firsts = _distinct(_letters(text))
        found = [self._codes.setdefault(bytes(text[i]), len(self._codes)) for i in firsts.tolist()]
        if len(self._codes) > _MOST_SUBTYPES:
            raise BadRows(f"column 'subtype' has more than {_MOST_SUBTYPES} different texts: it is no type")
        return np.asarray(np.array(found, np.uint16)[codes])

    def subtypes(self) -> tuple[list[str], NDArray[np.uint16]]:
        """All texts in order, and for each code in the columns read the place in that list."""
        in_order = sorted(self._codes)
        place = {text: i for i, text in enumerate(in_order)}
        return (
            [text.decode() for text in in_order],
            np.array([place[text] for text in self._codes], np.uint16),
        )

    def id_dtype(self) -> np.dtype[Any]:
        """Type of the ids of all chunks read."""
        return np.dtype(f"S{self.id_width}") if self.text_ids else np.dtype(np.int64)

    def dtype(self, name: str) -> np.dtype[Any]:
        """Type of a column in the release."""
        return self.id_dtype() if name == "id" else np.dtype(np.uint16) if name == "subtype" else self._dtypes[name]


class ValueRange:
    """Smallest and largest value of a column, and how many are known."""

    def __init__(self) -> None:
        self.known = 0
        self.low: Any = None
        self.high: Any = None

    def add(self, values: NDArray[Any]) -> None:
        if values.dtype.kind == "S":
            self.known += int(np.count_nonzero(values))
            return
        if values.dtype.kind == "f":
            values = values[~np.isnan(values)]
            self.known += len(values)
        else:
            self.known += int(np.count_nonzero(values))
        if len(values):
            low, high = values.min().item(), values.max().item()
            self.low = low if self.low is None else min(low, self.low)
            self.high = high if self.high is None else max(high, self.high)

    def entry(self, dtype: np.dtype[Any]) -> dict[str, Any]:
        return {"dtype": dtype.newbyteorder("<").str, "known": self.known, "min": self.low, "max": self.high}


def _numbers() -> list[Any]:
    return [column for column in BY_NAME.values() if column.name not in ("id", "subtype")]


def blank(dtype: np.dtype[Any], n: int) -> NDArray[Any]:
    """`n` missing values."""
    return np.full(n, np.nan, dtype) if dtype.kind == "f" else np.zeros(n, dtype)


def as_bytes(values: NDArray[Any]) -> NDArray[Any]:
    """Text as fixed-width UTF-8 without blanks at the ends, (n,) S<w>.

    Raises
    ------
    BadRows
        Not text, or bytes that are not UTF-8.
    """
    if isinstance(values, np.ma.MaskedArray):
        values = values.filled("")
    if values.dtype.kind == "O":
        values = np.array(["" if x is None else x.decode() if isinstance(x, bytes) else str(x) for x in values], str)
    if values.dtype.kind not in "US":
        raise BadRows(f"text expected, found {values.dtype}")
    n = len(values)
    if not n or not values.dtype.itemsize:
        return np.zeros(n, "S1")
    if values.dtype.kind == "U":
        letters = np.ascontiguousarray(values).view(np.uint32).reshape(n, -1)
        if letters.max() < 128:
            values = letters.astype(np.uint8).view(f"S{letters.shape[1]}").reshape(n)
        else:
            values = np.char.encode(values, "utf-8")
    elif np.ascontiguousarray(values).view(np.uint8).max() >= 128:
        try:
            np.char.decode(values, "utf-8")
        except UnicodeDecodeError as err:
            raise BadRows(f"text that is not UTF-8: {err}") from err
    if _has_blank_ends(_letters(values)):
        values = np.char.strip(values)
    return np.array(values)


def _letters(text: NDArray[Any]) -> NDArray[np.uint8]:
    width = text.dtype.itemsize
    return np.ascontiguousarray(text).view(np.uint8).reshape(len(text), width)


def longest(text: NDArray[Any]) -> int:
    """Bytes of the longest, at least 1."""
    used = np.flatnonzero(_letters(text).any(axis=0))
    return int(used[-1]) + 1 if len(used) else 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _has_blank_ends(letters: NDArray[np.uint8]) -> bool:
    n, width = letters.shape
    for i in range(n):
        end = width
        while end > 0 and letters[i, end - 1] == 0:
            end -= 1
        if end > 0 and (letters[i, 0] <= 32 or letters[i, end - 1] <= 32):
            return True
    return False


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _distinct(letters: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of each row's text in the order of appearance, and the row where each text appears first."""
    n, width = letters.shape
    codes = np.empty(n, np.int64)
    firsts = np.empty(max(n, 1), np.int64)
    slots = 1024
    table = np.full(slots, -1, np.int64)
    k = 0
    for i in range(n):
        hashed = np.uint64(14695981039346656037)  # FNV-1a (Fowler, Noll, Vo)
        for j in range(width):
            hashed = (hashed ^ np.uint64(letters[i, j])) * np.uint64(1099511628211)
        at = np.int64((hashed ^ (hashed >> np.uint64(32))) & np.uint64(slots - 1))
        while table[at] >= 0:
            other = firsts[table[at]]
            same = True
            for j in range(width):
                if letters[i, j] != letters[other, j]:
                    same = False
                    break
            if same:
                break
            at = (at + 1) & (slots - 1)
        if table[at] < 0:
            table[at] = k
            firsts[k] = i
            k += 1
            codes[i] = k - 1
            if 2 * k > slots:  # rehash all found so far into a table twice as large
                slots *= 2
                table = np.full(slots, -1, np.int64)
                for code in range(k):
                    again = np.uint64(14695981039346656037)
                    for j in range(width):
                        again = (again ^ np.uint64(letters[firsts[code], j])) * np.uint64(1099511628211)
                    to = np.int64((again ^ (again >> np.uint64(32))) & np.uint64(slots - 1))
                    while table[to] >= 0:
                        to = (to + 1) & (slots - 1)
                    table[to] = code
        else:
            codes[i] = table[at]
    return codes, firsts[:k]
