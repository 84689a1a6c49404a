"""Angles as people write them: decimal degrees, or sexagesimal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["ra", "decl"]

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SEXAGESIMAL = re.compile(
    r"""(?P<sign>[+-]?)\s*(?P<whole>\d{1,3})\s*(?P<unit>[:hd°\s])\s*
        (?P<minutes>\d{1,2}(\.\d*)?)\s*
        ([:m'′\s]\s*((?P<seconds>\d{1,2}(\.\d*)?)\s*(s|"|″|'')?)?)?""",
    re.ASCII | re.VERBOSE,
)
_NAMES = {"ra": "right ascension", "decl": "declination"}


def read_angle(text: str, kind: Kind, *, hours: bool = True) -> float:
    """One angle in degrees.

    Parameters
    ----------
    text : decimal degrees, or sexagesimal with colons, blanks or letters (``12:34:56.7``, ``12 34 56.7``,
        ``12h34m56.7s``, ``+12d34m56s``); the seconds may be absent
    kind : what it is, for the unit and the message
    hours : a sexagesimal right ascension without a letter is in hours

    Raises
    ------
    ValueError
        It is no angle; the text is the reason.
    """
    stripped = text.strip().replace("\N{MINUS SIGN}", "-")
    if NUMBER.fullmatch(stripped):
        return float(stripped)
    if not stripped:
        raise ValueError(f"the {_NAMES[kind]} is missing")
    match = _SEXAGESIMAL.fullmatch(stripped)
    if match is None:
        raise ValueError(f"{stripped[:40]!r} is no {_NAMES[kind]}")
    minutes, seconds = float(match["minutes"]), float(match["seconds"] or 0.0)
    if minutes >= 60.0 or seconds >= 60.0:
        raise ValueError(f"{stripped[:40]!r} is no {_NAMES[kind]}: minutes and seconds are below 60")
    in_hours = match["unit"] == "h" or (kind == "ra" and hours and match["unit"] != "d" and match["unit"] != "°")
    if in_hours and kind == "decl":
        raise ValueError(f"{stripped[:40]!r} is no declination: it is in hours")
    value = float(match["whole"]) + minutes / 60.0 + seconds / 3600.0
    return (-value if match["sign"] == "-" else value) * (15.0 if in_hours else 1.0)


def read_angles(texts: Sequence[str], kind: Kind) -> NDArray[np.float64]:
    """A column of angles that are all written in one of the two usual ways: decimal, or three numbers with colons.

    Raises
    ------
    ValueError
        Some are not: read them one by one.
    """
    joined = ":".join(texts)
    if "_" in joined:  # Python takes 1_000 for a number
        raise ValueError
    if ":" not in texts[0]:
        return finite(np.array(list(map(float, texts))))
    if joined.count(":") != 3 * len(texts) - 1 or any(text.count(":") != 2 for text in texts):
        raise ValueError
    parts = finite(np.array(list(map(float, joined.split(":"))))).reshape(-1, 3)
    whole, rest = np.abs(parts[:, 0]), parts[:, 1:]
    signs = joined.count("-") + joined.count("+")
    if (whole % 1.0).any() or (rest >= 60.0).any() or signs > sum(text.lstrip()[:1] in "+-" for text in texts):
        raise ValueError
    value = whole + rest[:, 0] / 60.0 + rest[:, 1] / 3600.0
    negative = np.fromiter((text.lstrip().startswith("-") for text in texts), np.bool_, len(texts))
    return np.where(negative, -value, value) * (15.0 if kind == "ra" else 1.0)


def finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same values.

    Raises
    ------
    ValueError
        Some are NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise ValueError
    return values
