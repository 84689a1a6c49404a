"""Types of arguments and options. What they refuse ends in a usage error that names the option."""

from __future__ import annotations

import math
import os
from datetime import date
from pathlib import Path
from typing import Any

import click

#: SQLite's integers, and numpy's.
INT64_MAX = 2**63 - 1
#: What the simulator tells apart.
SEED_MAX = 2**32 - 1
#: More are terabytes, or more memory than there is.
ALERTS_MAX = 10_000_000


class Finite(click.FloatRange):
    """A number that is neither NaN nor infinite, and in the range if one is given."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            number = float(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a number.", param, ctx)
        if not math.isfinite(number):
            # comparisons with NaN are all false, so that a range alone lets it pass
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return float(super().convert(number, param, ctx))


class Whole(click.IntRange):
    """An integer from `min` to `max`; help texts name a `max` only when it is less than what 64 bits can say."""

    name = "integer"

    def __init__(self, min: int = 0, max: int = INT64_MAX) -> None:
        super().__init__(min=min, max=max)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The integer."""
        try:
            number = int(value)
        except ValueError:
            # Python refuses to read thousands of digits with the same error as a word
            shown = value if len(str(value)) <= 40 else f"{str(value)[:40]}..."
            self.fail(f"{shown!r} is not an integer of at most 64 bits.", param, ctx)
        if self.max is not None and number > self.max:
            self.fail(f"{number} is too large; the most is {self.max}.", param, ctx)
        return int(super().convert(number, param, ctx))

    def _describe_range(self) -> str:
        if self.max is not None and self.max < INT64_MAX - 1:
            return super()._describe_range()
        return f"x>={self.min}"


class Night(click.ParamType):  # type: ignore[type-arg]  # older click has no type arguments
    """A UTC date as yyyymmdd that the simulator can begin with."""

    name = "YYYYMMDD"
    #: Those of lasair.simulate.profiles (a test holds them equal).
    FIRST, LAST = 20190201, 20401231

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The date as a number."""
        text = str(value)
        try:
            if len(text) != 8 or not (text.isascii() and text.isdecimal()):
                raise ValueError
            date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            shown = text if len(text) <= 40 else f"{text[:40]}..."
            self.fail(f"{shown!r} is no date; write it as 20260302.", param, ctx)
        if not self.FIRST <= int(text) <= self.LAST:
            self.fail(f"{text} is not from {self.FIRST} to {self.LAST}.", param, ctx)
        return int(text)


class Text(click.ParamType):  # type: ignore[type-arg]
    """Text that is not empty: an empty variable in a script must not mean the default."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text."""
        if not str(value).strip():
            self.fail("it is empty; leave the option out for the default.", param, ctx)
        return str(value)


class OutputFile(click.Path):
    """A file to write, in a folder that exists; refused before the work when it cannot be written.

    Parameters
    ----------
    endings : what its name must end in, such as ``.png``; none: any name
    """

    def __init__(self, *endings: str) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)
        self._endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        if not os.fspath(value):
            self.fail("it names no file.", param, ctx)
        path = Path(value)
        if self._endings and path.suffix.lower() not in self._endings:
            self.fail(f"{path}: the name must end in {' or '.join(self._endings)}.", param, ctx)
        super().convert(value, param, ctx)
        if not path.exists():
            if not path.parent.is_dir():
                self.fail(f"{path}: there is no folder {path.parent}.", param, ctx)
            if not os.access(path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                self.fail(f"{path}: the folder {path.parent} is not writable.", param, ctx)
        return path


class OutputFolder(click.Path):
    """A folder to write to, made when needed."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        if not os.fspath(value):
            self.fail("it names no folder.", param, ctx)
        super().convert(value, param, ctx)
        return Path(value)
