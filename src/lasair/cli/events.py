"""`lasair event`: multi-messenger events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lasair.cli.definitions import background_option, hits_of, make_definitions, open_definitions, print_facts
from lasair.cli.output import format_option, print_rows, say
from lasair.cli.state import State, state_option
from lasair.errors import BadDefinition

_path = click.Path(path_type=Path, exists=True)
_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group("event")
def event_command() -> None:
    """Multi-messenger events: gravitational waves, bursts and neutrinos, and where on the sky they probably were."""


@event_command.command("add")
@click.argument(
    "paths", metavar="FILE|FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)
@click.option("--skymap", type=_file, metavar="MAP", help="Sky map in FITS, instead of what the notice says.")
@background_option
@state_option
def add_command(paths: tuple[Path, ...], skymap: Path | None, background: bool, state: State) -> int:
    """Take in notices or sky maps of events, and match stored objects with them; of a FOLDER every file in it.

    All notices are kept; the newest of an event says what holds. A file that cannot be used, and a notice without a
    place on the sky, is named with the reason; the others are taken in, and the exit code is 1.
    """
    from lasair.cli.matching import match_now
    from lasair.definitions.events import add_event
    from lasair.events.read import read_event

    files = [file for path in paths for file in (_files(path) if path.is_dir() else [path])]
    if skymap is not None and (len(files) != 1 or paths[0].is_dir()):
        raise click.UsageError("--skymap goes with one FILE")
    make_definitions(state)
    bad = 0
    for file in files:
        try:
            event = read_event(file, skymap=skymap)
            said = add_event(event, digest=_digest(file, skymap), map_given=skymap is not None)
        except BadDefinition as err:
            say(str(err) if str(file) in str(err) else f"{file}: {err}")
            bad += 1
            continue
        click.echo(f"{said.name}: {said.what}, version {said.version}" + (f"; {said.state}" if said.state else ""))
        if event.localisation is None and not event.retracted:
            kept = "an earlier place is kept: " if not said.why_none else "stored, but matched with nothing: "
            fetch = f"; its map is at {event.map_url}: give it with --skymap" if event.map_url else ""
            say(f"{file}: {event.name} has no localisation; {kept}{event.why_none}{fetch}")
            bad += 1
    match_now(state, background=background)
    return 1 if bad else 0


def _files(folder: Path) -> list[Path]:
    """Files in a folder and those below it, in order; hidden ones are left out."""
    return sorted(
        one
        for one in folder.rglob("*")
        if one.is_file() and not any(part.startswith(".") for part in one.relative_to(folder).parts)
    )


def _digest(*files: Path | None) -> str:
    """Of the bytes of files, so that a notice that comes again is known."""
    import hashlib

    digests = b""
    for file in files:
        if file is not None:
            with file.open("rb") as stream:
                digests += hashlib.file_digest(stream, "sha256").digest()
    return digests.hex() if len(digests) == 32 else hashlib.sha256(digests).hexdigest()


@event_command.command("list")
@format_option("table", "csv", "json")
@state_option
def list_command(form: Any, state: State) -> None:
    """List events, the latest first."""
    from lasair.definitions.events import list_events

    there = list_events() if open_definitions(state, "event") else []
    print_rows(("number", "name", "mission", "happened", "state", "version", "area90", "notices"), there, form)


@event_command.command("show")
@click.argument("name")
@format_option("table", "csv", "json")
@state_option
def show_command(name: str, form: Any, state: State) -> int:
    """Show an event: what holds, its hits so far, and all its notices."""
    from lasair.definitions.events import show_event

    open_definitions(state, "event", wanted=True)
    facts = show_event(name)
    hits = hits_of(state, "event", facts["number"])
    notices = facts.pop("notices")
    if form == "table":
        print_facts({**facts, "hits": hits}, form)
        rows = [(*(one[key] for key in _NOTICE), "yes" if one["holds"] else "") for one in notices]
        print_rows((*_NOTICE, "holds"), rows, "table")
    else:
        print_facts({**facts, "hits": hits, "notices": notices}, form)
    return 1 if hits is None else 0


_NOTICE = ("kind", "issued", "number", "received", "area90", "why_none")


@event_command.command("retract")
@click.argument("name")
@click.option("--reason", default="", metavar="TEXT", help="Why, for people.")
@background_option
@state_option
def retract_command(name: str, reason: str, background: bool, state: State) -> None:
    """Take an event back, as a notice of now does: its hits go. A later notice brings it up again."""
    from lasair.cli.matching import match_now
    from lasair.definitions.events import retract

    open_definitions(state, "event", wanted=True)
    said = retract(name, reason)
    click.echo(f"{said.name}: retracted, version {said.version}")
    match_now(state, background=background)


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
