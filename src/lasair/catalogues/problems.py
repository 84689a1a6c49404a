"""What can be wrong with catalogues, and the errors that say so."""

from __future__ import annotations

from typing import NamedTuple

from lasair.errors import LasairError, StoreUnavailable


class Problem(NamedTuple):
    """One thing wrong with one file of a catalogue."""

    #: the catalogue
    name: str
    #: the file, as a path or as its name within the release
    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.file}: {self.reason}"


class BadRelease(StoreUnavailable):
    """A release that cannot be opened: a file is missing, cut short or no such file. `file` names it."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason

    def __reduce__(self) -> tuple[type[BadRelease], tuple[str, str]]:
        """How it passes between processes, which would give the one text to a constructor of two."""
        return BadRelease, (self.file, self.reason)


class BadRows(LasairError):
    """Rows that cannot become a catalogue: positions that are none, unequal columns, unknown names."""


class BadPositions(LasairError):
    """Positions that are no places on the sky: not finite, or a declination beyond a pole."""


class TooWide(LasairError):
    """A cone that is refused: its radius is beyond the largest, or it holds more pairs than memory may."""
