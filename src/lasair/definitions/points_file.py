"""Points to be tried against a watchlist, an area or an event."""

from __future__ import annotations

from pathlib import Path

from lasair.definitions.positions import Positions, Wanted, read_positions
from lasair.definitions.upload import read_upload

MAX_POINTS = 10_000_000
MAX_BYTES = 1_000_000_000

_WANTED = Wanted(numbers={"distance_mpc": {"distancempc": 1.0}})


def read_points(path: Path) -> Positions:
    """Read points: columns ra, dec (or decl) in degrees; `numbers` has distance_mpc when the file has that column.

    The number of a point is its data row, counted from 0, bad ones included.

    Raises
    ------
    BadDefinition
        The file as a whole cannot be used; names it. Points that cannot be used are in `bad`.
    """
    return read_positions(path, read_upload(path, MAX_BYTES), _WANTED, most_rows=MAX_POINTS)
