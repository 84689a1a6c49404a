"""What the `test` commands share: points from a file, and what is wrong with lines of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lasair.cli.output import say

if TYPE_CHECKING:
    from lasair.definitions.positions import BadLine, Positions

F = TypeVar("F", bound=Callable[..., Any])

points_option: Callable[[F], F] = click.option(
    "--points", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="P.csv",
    help="Points to try: a file with columns ra, dec in degrees.",
)  # fmt: skip


def points_of(path: Path) -> Positions:
    """The points of a file; those that are none are named on stderr and left out."""
    from lasair.definitions.points_file import read_points

    points = read_points(path)
    say_bad(path, points.bad)
    return points


def say_bad(path: Path | str, bad: Iterable[BadLine]) -> None:
    """Name the rows of a file that cannot be used."""
    for one in bad:
        say(f"{path}: {one}")
