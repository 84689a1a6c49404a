"""The table of a sky map's FITS file, read a stretch of rows at a time."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.errors import BadDefinition
from lasair.events.content import MAX_MAP_BYTES, Content

_BLOCK = 2880
#: Blocks of a header, at most; bytes of rows read at once.
_MOST_BLOCKS, _STRETCH = 1000, 1 << 24
_FORM = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])")
#: Letter of TFORM -> bytes of one element; numpy's type where it is a number.
_BYTES = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_TYPES = {"B": ">u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}

#: Cards of a header: keyword -> value.
Cards = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column: where in a row it begins, how many elements a row has, of what type; value = zero + scale x stored."""

    name: str
    at: int
    count: int
    letter: str
    scale: float
    zero: float

    def values(self, rows: NDArray[np.uint8], label: str) -> NDArray[Any]:
        """Its numbers in rows of bytes (n, width), one after another (n x count,)."""
        if self.letter not in _TYPES:
            raise BadDefinition(f"{label}: its column {self.name} holds no numbers")
        kind = np.dtype(_TYPES[self.letter])
        raw = np.ascontiguousarray(rows[:, self.at : self.at + self.count * kind.itemsize])
        stored: NDArray[Any] = raw.view(kind).ravel().astype(kind.newbyteorder("="))
        if self.scale == 1.0 and self.zero == 0.0:
            return stored
        if self.scale == 1.0 and self.zero == 2.0**63 and self.letter == "K":
            # how FITS writes numbers without a sign; those above 2^63 become negative, which no number of a cell is
            return stored ^ np.int64(-(2**63))
        if stored.dtype.kind in "iu" and self.scale == 1.0 and self.zero.is_integer() and abs(self.zero) <= 2.0**31:
            return stored.astype(np.int64) + np.int64(self.zero)
        return stored * self.scale + self.zero


class MapTable:
    """The table of a sky map: its header, and its columns by upper-case names.

    Raises
    ------
    BadDefinition
        There is none, or it cannot be read.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self.cards = self._find()
        label = content.label
        self.width, self.rows = whole(self.cards, "NAXIS1", label), whole(self.cards, "NAXIS2", label)
        if self.width * self.rows > MAX_MAP_BYTES:
            raise BadDefinition(
                f"{label}: its table has {self.width * self.rows / 1e9:.2f} GB; "
                f"at most {MAX_MAP_BYTES / 1e9:g} GB are taken"
            )
        self.columns: dict[str, Column] = {}
        at, fields = 0, whole(self.cards, "TFIELDS", label)
        if fields > 999:
            raise BadDefinition(f"{label}: its table has {fields} columns, which FITS does not allow")
        for i in range(1, fields + 1):
            name = str(self.cards.get(f"TTYPE{i}", f"col{i}")).strip().upper()
            form = str(self.cards.get(f"TFORM{i}", "")).strip()
            match = _FORM.match(form)
            if not match:
                raise BadDefinition(f"{label}: its column {name} has the form {form!r}, which FITS does not know")
            count, letter = int(match[1] or 1), match[2]
            scale, zero = (_number(self.cards.get(f"{key}{i}", default), label, f"{key}{i}")
                           for key, default in (("TSCAL", 1.0), ("TZERO", 0.0)))  # fmt: skip
            self.columns.setdefault(name, Column(name, at, count, letter, scale, zero))
            at += (count + 7) // 8 if letter == "X" else count * _BYTES[letter]
        if at != self.width:
            raise BadDefinition(f"{label}: its rows have {self.width} bytes, but the columns need {at}")

    def stretches(self, names: Sequence[str]) -> Iterator[list[NDArray[Any]]]:
        """Columns of all rows, a stretch at a time; once.

        Raises
        ------
        BadDefinition
            The file ends before its last row, or a column holds no numbers.
        """
        label = self._content.label
        wanted = [self.columns[name] for name in names]
        at_once = max(_STRETCH // max(self.width, 1), 1)
        for start in range(0, self.rows, at_once):
            n = min(at_once, self.rows - start)
            data = self._content.read(n * self.width)
            if len(data) < n * self.width:
                have = start + len(data) // max(self.width, 1)
                raise BadDefinition(f"{label}: is cut off: it ends after row {have} of {self.rows}")
            rows = np.frombuffer(data, np.uint8).reshape(n, self.width)
            yield [column.values(rows, label) for column in wanted]

    def _find(self) -> Cards:
        """The header of the first table that is a map; the content is left at its first row."""
        label, first = self._content.label, True
        while True:
            cards = self._header(first)
            if cards is None:
                raise BadDefinition(f"{label}: this FITS file has no table with a sky map (UNIQ, or pixels)")
            if not first and str(cards.get("XTENSION", "")).strip() == "BINTABLE" and _is_map(cards):
                return cards
            size = _data_size(cards, label)
            if size > MAX_MAP_BYTES:
                raise BadDefinition(f"{label}: has a part of {size / 1e9:.2f} GB; at most 1 GB is taken")
            self._content.skip(size)
            first = False

    def _header(self, first: bool) -> Cards | None:
        blocks: list[bytes] = []
        while True:
            block = self._content.read(_BLOCK)
            if not blocks and (not block or not (first or block.startswith(b"XTENSION"))):
                return None  # the end, or some bytes after the last part
            if len(block) < _BLOCK or len(blocks) >= _MOST_BLOCKS:
                raise BadDefinition(f"{self._content.label}: is no FITS file that can be read: its header has no end")
            blocks.append(block)
            if any(block[i : i + 80].rstrip() == b"END" for i in range(0, _BLOCK, 80)):
                return _cards(b"".join(blocks), self._content.label)


def whole(cards: Cards, key: str, label: str) -> int:
    """A number of a header that counts something.

    Raises
    ------
    BadDefinition
        It is absent or no such number.
    """
    value = cards.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
        raise BadDefinition(f"{label}: is no FITS file that can be read: its keyword {key} is {str(value)[:40]!r}")
    return value


def _number(value: Any, label: str, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadDefinition(f"{label}: its keyword {key} is {str(value)[:40]!r}, which is no number")
    return float(value)


def _is_map(cards: Cards) -> bool:
    names = {str(value).strip().upper() for key, value in cards.items() if key.startswith("TTYPE")}
    return "UNIQ" in names or str(cards.get("PIXTYPE", "")).strip().upper() == "HEALPIX" or "NSIDE" in cards


def _cards(block: bytes, label: str) -> Cards:
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = fits.Header.fromstring(block)
            return {
                card.keyword: card.value
                for card in header.cards
                if card.keyword not in ("", "COMMENT", "HISTORY") and isinstance(card.value, str | bool | int | float)
            }
    except Exception as err:  # astropy raises whatever a damaged header leads to
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise BadDefinition(f"{label}: is no FITS file that can be read: {reason}") from err


def _data_size(cards: Cards, label: str) -> int:
    axes = [whole(cards, f"NAXIS{i}", label) for i in range(1, min(whole(cards, "NAXIS", label), 999) + 1)]
    if not axes:
        return 0
    bits = cards.get("BITPIX")
    if bits not in (8, 16, 32, 64, -32, -64):
        raise BadDefinition(f"{label}: is no FITS file that can be read: its keyword BITPIX is {str(bits)[:40]!r}")
    groups, more = (whole({key: cards.get(key, usual)}, key, label) for key, usual in (("GCOUNT", 1), ("PCOUNT", 0)))
    size: int = abs(bits) // 8 * groups * (more + math.prod(axes))
    return -(-size // _BLOCK) * _BLOCK
