"""Columns of text as letters in rows of equal width: cut, trimmed, and read as numbers or ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.readers.table import EXAMPLES, Chunk, Kind, Refusal, without

Letters = NDArray[np.uint8]

#: Spellings of a missing value, whatever their case, where a description says nothing else.
NULLS = ("null", "nan", "none", "n/a", "na", "--", "\\n", "~")

#: What a number looks like; Fortran's and Python's too, but no words.
_NUMBER = r"^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^-?(?i:inf|infinity|nan)$"


class Nulls(NamedTuple):
    """Spellings of missing values."""

    #: small letters, (k, w)
    letters: Letters
    #: those that are numbers
    numbers: NDArray[np.float64]

    @classmethod
    def of(cls, spelled: Sequence[Any] | None) -> Nulls:
        """From a list of texts and numbers; the empty text is always missing."""
        texts = [str(one).strip().lower().encode() for one in (NULLS if spelled is None else spelled)]
        texts = [text for text in texts if text]
        letters = np.array(texts or [b"\0"], "S").view(np.uint8).reshape(max(len(texts), 1), -1)
        return cls(letters if texts else letters[:0], np.array(sorted({x for x in map(_number, texts) if x == x})))


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def read_texts(
    found: Mapping[str, Letters],
    numbers: NDArray[np.int64],
    refused: Sequence[Refusal],
    wanted: Mapping[str, Kind],
    nulls: Nulls,
    *,
    unit: str,
    quote: int = 0,
) -> Chunk:
    """A chunk out of columns of letters, which are changed.

    Parameters
    ----------
    quote : letter to take off both ends of a text (for files that have blanks before their quotes); 0 for none
    """
    columns: dict[str, NDArray[Any]] = {}
    bad = np.zeros(len(numbers), np.bool_)
    more: list[Refusal] = []
    for name, letters in found.items():
        text = trimmed(letters, quote)
        blank_nulls(text, nulls.letters)
        kind = wanted[name]
        if kind == "number":
            columns[name], wrong = parsed(text)
            reason = "is not a number"
        elif kind == "id":
            columns[name], wrong = ids(text), not_utf8(text)
            reason = "is not UTF-8"
        else:
            columns[name], wrong = _as_text(text), not_utf8(text)
            reason = "is not UTF-8"
        wrong &= ~bad
        if wrong.any():
            at = np.flatnonzero(wrong)
            more.append(Refusal(f"{name} {reason}", numbers[at], [shown(text[i]) for i in at[:EXAMPLES]]))
            bad |= wrong
    return without(Chunk(columns, numbers, list(refused), unit), bad, more)


def shown(letters: Letters) -> str:
    """A text for messages."""
    text = letters.tobytes().rstrip(b"\0").decode("utf-8", "replace")
    return repr(text if len(text) <= 40 else text[:40] + "…")


def trimmed(letters: Letters, quote: int = 0) -> Letters:
    """Letters without blanks at both ends of a row, as narrow as can be."""
    if not letters.size:
        return np.zeros((len(letters), 1), np.uint8)
    width = trim(letters, quote)
    return np.ascontiguousarray(letters[:, : max(width, 1)])


def _as_text(letters: Letters) -> NDArray[Any]:
    return letters.view(f"S{letters.shape[1]}").reshape(len(letters))


def parsed(letters: Letters) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers, NaN where missing or infinite, and which texts are none."""
    n = len(letters)
    bad = np.zeros(n, np.bool_)
    if not n:
        return np.zeros(0), bad
    offsets, data, missing = packed_text(letters)
    text = pa.Array.from_buffers(pa.string(), n, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    text = pc.if_else(pa.array(missing), pa.scalar(None, pa.string()), text)
    try:
        found = text.cast(pa.float64())
    except pa.ArrowInvalid:
        plain = not_ascii(letters)
        text = pc.if_else(pa.array(plain), pa.scalar("?", pa.string()), text)
        good = pc.fill_null(pc.match_substring_regex(text, _NUMBER), True)
        bad = np.array(pc.invert(good).to_numpy(zero_copy_only=False), np.bool_)
        found = pc.if_else(good, text, pa.scalar(None, pa.string())).cast(pa.float64())
    values = np.array(found.to_numpy(zero_copy_only=False), np.float64)
    values[np.isinf(values)] = np.nan
    return values, bad


def ids(letters: Letters) -> NDArray[Any]:
    """int64 when every row is a whole number as it would be written again, else text: both are exact."""
    numbers = np.zeros(len(letters), np.int64)
    return numbers if len(letters) and whole_numbers(letters, numbers) else _as_text(letters)


def not_ascii(letters: Letters) -> NDArray[np.bool_]:
    """Rows with other letters than ASCII's."""
    return np.asarray((letters >= 128).any(axis=1))


def not_utf8(letters: Letters) -> NDArray[np.bool_]:
    """Rows that are not UTF-8."""
    bad = not_ascii(letters)
    for i in np.flatnonzero(bad).tolist():
        try:
            letters[i].tobytes().decode()
            bad[i] = False
        except UnicodeDecodeError:
            pass
    return bad


def letters_of(values: Any) -> Letters:
    """An arrow array of text or binary as letters; missing ones are empty."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    values = values.cast(pa.binary()) if values.type != pa.binary() else values
    if values.null_count:
        values = pc.fill_null(values, b"")
    n = len(values)
    _, offsets_buffer, data = values.buffers()
    if not n or data is None:
        return np.zeros((n, 1), np.uint8)
    offsets = np.frombuffer(offsets_buffer, np.int32)[values.offset : values.offset + n + 1]
    letters = np.zeros((n, max(int(np.diff(offsets).max()), 1)), np.uint8)
    cut(np.frombuffer(data, np.uint8), offsets[:-1].astype(np.int64), offsets[1:].astype(np.int64), letters)
    return letters


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cut(data: Letters, starts: NDArray[np.int64], ends: NDArray[np.int64], letters: Letters) -> None:
    """Bytes from `starts` to `ends` into rows; what is longer than a row is cut off."""
    n, width = letters.shape
    for i in range(n):
        for j in range(min(ends[i] - starts[i], width)):
            letters[i, j] = data[starts[i] + j]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def packed_text(letters: Letters) -> tuple[NDArray[np.int32], Letters, NDArray[np.bool_]]:
    """Rows as packed text without a sign + in front: offsets, bytes, and which rows are empty."""
    n, width = letters.shape
    offsets = np.zeros(n + 1, np.int32)
    missing = np.zeros(n, np.bool_)
    data = np.empty(n * width, np.uint8)
    k = 0
    for i in range(n):
        end = width
        while end > 0 and letters[i, end - 1] == 0:
            end -= 1
        missing[i] = end == 0
        start = 1 if end > 1 and letters[i, 0] == 43 and letters[i, 1] not in (43, 45) else 0
        for j in range(start, end):
            data[k] = letters[i, j]
            k += 1
        offsets[i + 1] = k
    return offsets, data[:k].copy(), missing


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def trim(letters: Letters, quote: int) -> int:
    """Take blanks, and one pair of quotes, off both ends of each row, in place; the longest that remains."""
    n, width = letters.shape
    longest = 0
    for i in range(n):
        end, start = width, 0
        while end > 0 and letters[i, end - 1] <= 32:
            end -= 1
        while start < end and letters[i, start] <= 32:
            start += 1
        if quote and end - start > 1 and letters[i, start] == quote and letters[i, end - 1] == quote:
            start, end = start + 1, end - 1
            while end > start and letters[i, end - 1] <= 32:
                end -= 1
            while start < end and letters[i, start] <= 32:
                start += 1
        for j in range(end - start):
            letters[i, j] = letters[i, start + j]
        for j in range(end - start, width):
            letters[i, j] = 0
        longest = max(longest, end - start)
    return longest


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def blank_nulls(letters: Letters, nulls: Letters) -> None:
    """Empty the rows that spell a missing value, whatever their case."""
    n, width = letters.shape
    for i in range(n):
        for k in range(len(nulls)):
            same = True
            for j in range(max(width, nulls.shape[1])):
                letter = letters[i, j] if j < width else 0
                if 65 <= letter <= 90:
                    letter += 32
                if letter != (nulls[k, j] if j < nulls.shape[1] else 0):
                    same = False
                    break
            if same:
                letters[i, :] = 0
                break


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def whole_numbers(letters: Letters, numbers: NDArray[np.int64]) -> bool:
    """Read rows as whole numbers; False when any is not spelled as Python would: no sign +, no zero in front."""
    n, width = letters.shape
    for i in range(n):
        end = width
        while end > 0 and letters[i, end - 1] == 0:
            end -= 1
        start = 1 if end > 0 and letters[i, 0] == 45 else 0
        digits = end - start
        if digits < 1 or digits > 19 or (letters[i, start] == 48 and (digits > 1 or start == 1)):
            return False
        value = np.uint64(0)
        for j in range(start, end):
            letter = letters[i, j]
            if letter < 48 or letter > 57:
                return False
            value = value * np.uint64(10) + np.uint64(letter - 48)
        if value > np.uint64(9223372036854775807):
            return False
        numbers[i] = -np.int64(value) if start == 1 else np.int64(value)
    return True
