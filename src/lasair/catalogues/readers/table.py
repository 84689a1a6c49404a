"""Some rows of a table, and what readers of all formats share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lasair.errors import LasairError

#: Most rows of a chunk.
ROWS = 1 << 17

#: Longest text of a column [bytes]; a row with a longer one is refused, so that a chunk stays small.
LONGEST = 1000

#: Examples of refused rows that are kept of a chunk, for each reason.
EXAMPLES = 10

#: What a column is used as: numbers (what is none is an error), ids (exact), or whatever it is.
Kind = Literal["number", "id", "any"]


class BadSource(LasairError):
    """A file that cannot be read as the table that a description says it is; the message names it."""


class Refusal(NamedTuple):
    """Rows that are left out for one reason."""

    reason: str
    #: their numbers in the file
    rows: NDArray[np.int64]
    #: what was there, of the first of them
    examples: list[str]


class Chunk(NamedTuple):
    """Some rows of one file."""

    #: of the wanted columns those that there are: (n,) or (n, k) numbers, bytes or masked
    columns: dict[str, NDArray[Any]]
    #: number of each row in the file, (n,), from 1
    numbers: NDArray[np.int64]
    #: rows that are not among them
    refused: list[Refusal]
    #: 'row' or 'line': what `numbers` counts
    unit: str = "row"


class Table(Protocol):
    """An opened file."""

    #: of the columns, in the file's order
    names: Sequence[str]
    #: how many there are, when that is known before reading
    rows: int | None

    def chunks(self, wanted: Mapping[str, Kind]) -> Iterator[Chunk]:
        """All rows in order, some at a time; columns that are not there are left out."""


def without(chunk: Chunk, bad: NDArray[np.bool_], refused: Sequence[Refusal]) -> Chunk:
    """A chunk without some rows, which are refused."""
    if not bad.any():
        return chunk
    keep = ~bad
    columns = {name: values[keep] for name, values in chunk.columns.items()}
    return chunk._replace(columns=columns, numbers=chunk.numbers[keep], refused=[*chunk.refused, *refused])


class Options:
    """The mapping `reading` of a description, each option taken once; `done` refuses what nobody took."""

    def __init__(self, given: Mapping[str, Any], where: str) -> None:
        self._given = dict(given)
        self._where = where
        self._known: list[str] = ["sexagesimal", "nulls"]
        self._given.pop("sexagesimal", None)  # of the positions, not of the file

    def nulls(self) -> list[Any] | None:
        """Spellings of missing values; None when nothing is said."""
        found = self._given.pop("nulls", None)
        if found is not None and not isinstance(found, list):
            raise self._bad("nulls", found, "a list")
        return found

    def take(self, name: str, kind: type, default: Any = None) -> Any:
        """An option of a kind."""
        self._known.append(name)
        found = self._given.pop(name, default)
        if found is not None and (not isinstance(found, kind) or (kind is int and isinstance(found, bool))):
            raise self._bad(name, found, {str: "text", int: "a whole number", list: "a list", dict: "a mapping",
                                          bool: "true or false"}[kind])  # fmt: skip
        return found

    def letter(self, name: str, default: str | None) -> str | None:
        """An option of one character."""
        found = self.take(name, str, default)
        if found is not None and len(found.encode()) != 1:
            raise self._bad(name, found, "one character")
        return found  # type: ignore[no-any-return]

    def count(self, name: str) -> int:
        """An option that is a number of lines."""
        found = self.take(name, int, 0)
        if found < 0:
            raise self._bad(name, found, "0 or more")
        return int(found)

    def done(self) -> None:
        """All were known."""
        if self._given:
            known = ", ".join(sorted(self._known))
            raise BadSource(
                f"{self._where}: reading: no option {', '.join(map(repr, self._given))} for this format; "
                f"there are {known}"
            )

    def _bad(self, name: str, found: Any, wanted: str) -> BadSource:
        return BadSource(f"{self._where}: reading: {name}: {found!r} must be {wanted}")
