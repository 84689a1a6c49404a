"""`lasair watchlist`: lists of cones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lasair.cli.output import format_option, print_rows, say
from lasair.cli.parameters import Finite
from lasair.cli.points import points_of, points_option, say_bad


@click.group("watchlist")
def watchlist_command() -> None:
    """Watchlists: cones on the sky whose alerts somebody waits for."""


@watchlist_command.command("test")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@points_option
@click.option(
    "--radius", type=Finite(min=0.0, max=36_000.0, min_open=True), metavar="ARCSEC",
    help="Radius of cones that have none of their own; without it their lines are bad.",
)  # fmt: skip
@format_option("table", "csv", "json")
def test(file: Path, points: Path, radius: float | None, form: Any) -> None:
    """Show which points lie in which cones of FILE; stores nothing.

    FILE is CSV (ra, dec, name, radius in arcsec), VOTable or FITS. A row of the output is a point in a cone: their
    numbers (data rows counted from 0, bad ones included), the cone's name and the separation, which is at most the
    cone's radius. Lines that cannot be used are named on stderr with number and reason; the rest is used.
    """
    import numpy as np

    from lasair.definitions.watchlist_file import read_watchlist
    from lasair.sky.cones import ConeIndex, ConeSegment

    cones = read_watchlist(file, radius_arcsec=radius)
    say_bad(file, cones.bad)
    places = points_of(points)
    index = ConeIndex.of([ConeSegment.build(0, cones.rows, cones.ra, cones.decl, cones.radius, cones.names)])
    hits = index.find(places.ra, places.decl)
    print_rows(
        ("point", "cone", "name", "sep_arcsec"),
        zip(
            places.rows[hits.position].tolist(), hits.cone_id.tolist(), hits.names(),
            np.round(hits.separation_arcsec, 6).tolist(), strict=True,
        ),
        form,
    )  # fmt: skip
    say(f"{len(hits)} hits: {len(places.rows)} points, {len(cones)} cones, {len(cones.bad)} bad lines in {file}")
