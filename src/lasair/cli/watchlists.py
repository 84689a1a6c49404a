"""`lasair watchlist`: lists of cones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lasair.cli.definitions import (
    background_option,
    description_option,
    group_option,
    make_definitions,
    open_definitions,
    public_option,
)
from lasair.cli.lists import add_list_commands
from lasair.cli.output import format_option, print_rows, say
from lasair.cli.parameters import Finite
from lasair.cli.points import points_of, points_option, say_bad
from lasair.cli.state import State, state_option
from lasair.errors import BadDefinition

#: As `lasair.definitions.watchlist_file` has them (a test holds them equal).
_MAX_RADIUS, _MIN_BRIGHTER, _MAX_BRIGHTER, _MAX_CHANGE = 36_000.0, -30.0, 40.0, 40.0
#: The longest time between two readings of a source: a year [h].
_MAX_HOURS = 8766.0

radius_option = click.option(
    "--radius", type=Finite(min=0.0, max=_MAX_RADIUS, min_open=True), metavar="ARCSEC",
    help="Radius of cones that have none of their own; without it their lines are bad.",
)  # fmt: skip


@click.group("watchlist")
def watchlist_command() -> None:
    """Watchlists: cones on the sky whose alerts somebody waits for."""


@watchlist_command.command("add")
@click.argument("name")
@click.argument("source", metavar="FILE|URL")
@radius_option
@click.option(
    "--brighter", type=Finite(_MIN_BRIGHTER, _MAX_BRIGHTER), metavar="MAG",
    help="Cones without limits of their own wait for alerts brighter than this.",
)  # fmt: skip
@click.option(
    "--change", type=Finite(min=0.0, max=_MAX_CHANGE, min_open=True), metavar="MAG",
    help="They wait for alerts that changed by so much (or either).",
)  # fmt: skip
@click.option("--skip-bad", is_flag=True, help="Leave out lines that cannot be used, instead of refusing the file.")
@click.option(
    "--every", type=Finite(min=0.0, max=_MAX_HOURS, min_open=True), metavar="HOURS",
    help="Read a URL again after this time: 'lasair watchlist refresh' does it.",
)  # fmt: skip
@description_option
@public_option
@group_option
@background_option
@state_option
def add_command(
    name: str,
    source: str,
    radius: float | None,
    brighter: float | None,
    change: float | None,
    skip_bad: bool,
    every: float | None,
    description: str | None,
    public: bool | None,
    group: str | None,
    background: bool,
    state: State,
) -> int:
    """Add a watchlist, or replace the cones of the one called NAME, and match stored objects with it.

    FILE is CSV (ra, dec, name, radius in arcsec, and perhaps brighter and change in mag), VOTable or FITS. Lines that
    cannot be used are named on stderr with number and reason; then nothing is stored and the exit code is 1, unless
    --skip-bad is given. A URL (http, https) is kept, so that the list can be refreshed.
    """
    from lasair.cli.matching import match_now
    from lasair.definitions.lists import add_watchlist
    from lasair.definitions.remote import is_url, read_url
    from lasair.definitions.watchlist_file import read_watchlist

    if every is not None and not is_url(source):
        raise click.UsageError("--every is for lists that come from a URL")
    file = (
        read_url(source, radius_arcsec=radius) if is_url(source) else read_watchlist(Path(source), radius_arcsec=radius)
    )
    say_bad(source, file.bad)
    if file.bad and not skip_bad:
        say(
            f"nothing was stored: {len(file.bad):,} lines of {source} cannot be used; mend them, or keep the other "
            f"{len(file):,} with --skip-bad"
        )
        return 1
    make_definitions(state)
    said = add_watchlist(
        name, file, radius=radius, brighter=brighter, change=change, description=description, public=public,
        group=group, source=source if is_url(source) else "", refresh_hours=every, skip_bad=skip_bad,
    )  # fmt: skip
    _tell(name.strip(), said)
    match_now(state, background=background)
    return 0


def _tell(name: str, said: Any) -> None:
    now = f"version {said.version}, {said.cones:,} cones; filters and queries name it as watchlist:{said.list_id}"
    click.echo(f"{name}: {now}" if said.changed else f"{name}: no other cones than before; {now}")


@watchlist_command.command("refresh")
@click.argument("which", required=False)
@background_option
@state_option
def refresh_command(which: str | None, background: bool, state: State) -> int:
    """Read lists again from their URLs: WHICH (a name or a number), else all whose time has come.

    A list whose source fails stays as it is; why is told here, recorded (see 'lasair watchlist show'), and makes the
    exit code 1. Such a list is tried again after an hour.
    """
    from datetime import UTC, datetime

    from lasair.cli.matching import match_now
    from lasair.definitions.lists import due_refresh, source_of
    from lasair.definitions.remote import CannotFetch, refresh

    if not open_definitions(state, "watchlist", wanted=which is not None):
        return 0
    now = datetime.now(UTC)
    sources = [source_of(which)] if which is not None else due_refresh(now)
    failed = 0
    for source in sources:
        try:
            said = refresh(source, now)
        except (CannotFetch, BadDefinition) as err:
            say(f"{source.name} stays as it is: {err}")
            failed += 1
            continue
        if said is None:
            say(f"{source.name} was changed meanwhile: left alone")
        else:
            _tell(source.name, said)
    match_now(state, background=background)
    return 1 if failed else 0


add_list_commands(watchlist_command, "watchlist", "cones")


@watchlist_command.command("test")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@points_option
@radius_option
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
