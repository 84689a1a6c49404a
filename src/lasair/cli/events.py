"""`lasair event`: multi-messenger events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lasair.cli.output import format_option, print_rows, say
from lasair.errors import BadDefinition

_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group("event")
def event_command() -> None:
    """Say how probable positions are for a gravitational wave, a burst or a neutrino."""


@event_command.command("test")
@click.argument("file", metavar="FILE", type=_file)
@click.option("--points", type=_file, required=True, help="Table with columns ra, dec [deg], perhaps distance_mpc.")
@click.option("--skymap", type=_file, metavar="MAP", help="Sky map in FITS, instead of what the notice says.")
@format_option("table", "csv", "json")
def test_command(file: Path, points: Path, skymap: Path | None, form: Any) -> None:
    """Say how probable points are for the event of a notice or of a sky map.

    Points are counted from 0; one that is no place on the sky is named and left out. 'contour' is the percentage of
    the smallest credible region with the point in it, 'probdens2' the probability per square degree, 'probdens3' that
    per Mpc^3 at the point's distance_mpc. Exits with 1 when the notice does not say where the event was.
    """
    from lasair.definitions.points_file import read_points
    from lasair.events.read import read_event

    event = read_event(file, skymap=skymap)
    if event.localisation is None:
        raise BadDefinition(f"{file}: {event.name} has no localisation: {event.why_none}")
    if event.test:
        say(f"{event.name} is a test or a mock: it would be stored, but never matched")
    found = read_points(points)
    for line in found.bad:
        say(f"{points}: {line}")
    distance = found.numbers.get("distance_mpc")
    said = event.localisation.at(found.ra, found.decl, distance)
    names = ["point", "contour", "probdens2"]
    columns = [found.rows.tolist(), said.contour.tolist(), said.probdens2.tolist()]
    if distance is not None:
        names.append("probdens3")
        columns.append(said.probdens3.tolist())
    print_rows(names, zip(*columns, strict=True), form)
