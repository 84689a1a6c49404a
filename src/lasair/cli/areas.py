"""`lasair area`: parts of the sky."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lasair.cli.definitions import (
    background_option,
    description_option,
    group_option,
    make_definitions,
    public_option,
)
from lasair.cli.lists import add_list_commands
from lasair.cli.output import format_option, print_rows, say
from lasair.cli.parameters import Whole
from lasair.cli.points import points_of, points_option
from lasair.cli.state import State, state_option

order_option = click.option(
    "--order", type=Whole(0, 29), metavar="N",
    help="HEALPix order at which shapes become cells (default 13, cells of 26 arcsec); coverage maps stay as they are.",
)  # fmt: skip


@click.group("area")
def area_command() -> None:
    """Areas: parts of the sky whose alerts somebody waits for."""


@area_command.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@order_option
@description_option
@public_option
@group_option
@background_option
@state_option
def add_command(
    name: str,
    file: Path,
    order: int | None,
    description: str | None,
    public: bool | None,
    group: str | None,
    background: bool,
    state: State,
) -> None:
    """Add an area, or replace the cells of the one called NAME, and match stored objects with it.

    FILE is a coverage map (MOC in FITS, ASCII or JSON), a DS9 region file or corners of polygons in CSV.
    """
    from lasair.cli.matching import match_now
    from lasair.definitions.area_file import read_area
    from lasair.definitions.lists import add_area

    area = read_area(file, order=order)
    make_definitions(state)
    said = add_area(name, area, description=description, public=public, group=group)
    now = f"version {said.version}, {area.square_degrees:.6g} square degrees ({area.how})"
    same = "" if said.changed else "no other cells than before; "
    click.echo(f"{name.strip()}: {same}{now}; filters and queries name it as area:{said.list_id}")
    match_now(state, background=background)


add_list_commands(area_command, "area", "square_degrees")


@area_command.command("test")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@points_option
@order_option
@format_option("table", "csv", "json")
def test(file: Path, points: Path, order: int | None, form: Any) -> None:
    """Show which points lie in the area of FILE; stores nothing.

    FILE is a coverage map (MOC in FITS, ASCII or JSON), a DS9 region file or corners of polygons in CSV. A row of the
    output is a point: its number (data rows counted from 0, bad ones included) and 1 or 0.
    """
    import numpy as np

    from lasair.definitions.area_file import read_area
    from lasair.sky.areas import AreaIndex

    area = read_area(file, order=order)
    places = points_of(points)
    inside = np.zeros(len(places.rows), np.int64)
    inside[AreaIndex({0: area.ranges}).find(places.ra, places.decl).position] = 1
    print_rows(("point", "inside"), zip(places.rows.tolist(), inside.tolist(), strict=True), form)
    say(f"{inside.sum()} of {len(inside)} points inside: {area.how}, {area.square_degrees:.6g} square degrees")
