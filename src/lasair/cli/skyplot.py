"""`lasair sky`: a picture of the sky with what tags alerts, and the stored objects that it tags."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import say
from lasair.cli.parameters import OutputFile, Text
from lasair.cli.state import State, state_option
from lasair.errors import BadDefinition, BadQuery, NotFound

if TYPE_CHECKING:
    from lasair.definitions.snapshot import ActiveList, ListKind
    from lasair.schema.model import Survey
    from lasair.show.sky_content import Floats
    from lasair.sky.skymap import Localisation
    from lasair.stores.objects import SqliteObjectStore

#: Objects read in one step.
_CHUNK = 200_000
#: Lists of one kind whose hits are asked for when none is named.
_MOST_LISTS = 50
_TITLE = "Stored objects, and what they lie in"


@click.command("sky")
@click.argument("output", metavar="OUT.png", type=OutputFile(".png", ".svg", ".pdf"))
@click.option("--survey", type=click.Choice(["lsst", "ztf"]), help="Whose objects; both when not given.")
@click.option("--watchlist", "watchlists", multiple=True, type=Text(), metavar="N|NAME", help="A watchlist to show.")
@click.option("--area", "areas", multiple=True, type=Text(), metavar="N|NAME", help="An area to show.")
@click.option("--event", "events", multiple=True, type=Text(), metavar="NAME", help="An event to show.")
@click.option("--title", type=Text(), default=_TITLE, help="Text above it.")
@state_option
def sky_command(
    output: Path,
    survey: Survey | None,
    watchlists: tuple[str, ...],
    areas: tuple[str, ...],
    events: tuple[str, ...],
    title: str,
    state: State,
) -> int:
    """Draw the sky: stored objects, areas, sky maps of events, and the objects in each of them and in watchlists.

    The file is PNG, SVG or PDF by its ending. Without --watchlist, --area and --event it shows everything that is
    active, else what these name; each may be given several times. Where much lies in one field, that is magnified.

    \b
    lasair sky sky.png
    lasair sky sky.pdf --survey ztf --watchlist 3 --event S230518h
    """
    state.must_exist()
    return draw_sky(state, output, survey=survey, watchlists=watchlists, areas=areas, events=events, title=title)


def draw_sky(
    state: State,
    output: Path,
    *,
    survey: Survey | None = None,
    watchlists: tuple[str, ...] = (),
    areas: tuple[str, ...] = (),
    events: tuple[str, ...] = (),
    title: str = _TITLE,
) -> int:
    """What `lasair sky` does; its exit code. Everything that is active is shown when nothing is named."""
    from lasair.definitions.snapshot import read_snapshot
    from lasair.schema.model import SURVEYS
    from lasair.show.sky import plot_sky

    lists = read_snapshot(state.definitions).lists
    asked: dict[ListKind, tuple[str, ...]] = {"watchlist": watchlists, "area": areas, "event": events}
    some = any(asked.values())
    chosen = {kind: _chosen(lists, kind, names if some else None) for kind, names in asked.items()}
    surveys = [survey] if survey else list(SURVEYS)
    wrong: list[str] = []
    with state.some_stores() as stores:
        places = _positions(stores.objects, surveys)
        hits = {}
        for one in (one for kind in chosen.values() for one in kind[:_MOST_LISTS]):
            try:
                hits[_label(one)] = _hits(stores.objects, one, surveys, state.settings.query_time_limit_s)
            except BadQuery as err:
                wrong.append(f"objects in {_label(one)} are not shown: {err}")
    cells, maps = _contents(state.definitions, chosen["area"], chosen["event"], wrong)
    for kind, of_kind in chosen.items():
        if len(of_kind) > _MOST_LISTS:
            say(f"hits of the first {_MOST_LISTS} of {len(of_kind)} {kind}s are shown: name those you want")
    plot_sky(output, alerts=places, hits=hits, areas=cells, maps=maps, title=title, what="objects")
    for problem in wrong:
        say(f"lasair: {problem}")
    found = sum(len(ra) for ra, _ in hits.values())
    say(f"{output}: {len(places[0]):,} objects, {found:,} hits of {len(hits):,} lists, areas and events")
    return 1 if wrong else 0


def _chosen(lists: Sequence[ActiveList], kind: ListKind, names: tuple[str, ...] | None) -> list[ActiveList]:
    """The active lists of a kind, or those that are named by number or name; NotFound, BadDefinition."""
    there = [one for one in lists if one.kind == kind]
    if names is None:
        return there
    found: dict[int, ActiveList] = {}
    for name in names:
        # events have names that the world gave them, and may be numbers
        fits = [one for one in there if one.name == name]
        if kind == "event":
            fits = fits or [one for one in there if one.name.lower() == name.lower()]
        elif name.isascii() and name.isdecimal():
            fits = [one for one in there if str(one.list_id) == name.lstrip("0")] or fits
        if len(fits) > 1:
            numbers = ", ".join(str(one.list_id) for one in fits)
            raise BadDefinition(f"{len(fits)} {kind}s are called {name!r}: give one of the numbers {numbers}")
        if not fits:
            raise NotFound(f"no active {kind} {name!r}; 'lasair {kind} list' shows those there are")
        found[fits[0].list_id] = fits[0]
    return list(found.values())


def _label(one: ActiveList) -> str:
    return f"event {one.name}" if one.kind == "event" else f"{one.kind} {one.list_id}: {one.name}"


def _positions(store: SqliteObjectStore, surveys: Iterable[Survey]) -> tuple[Floats, Floats]:
    """Where all stored objects are [deg]."""
    import numpy as np

    ra, decl = [np.empty(0)], [np.empty(0)]
    for survey in surveys:
        after = None
        while (chunk := store.positions(survey, after, _CHUNK)) is not None:
            ra.append(chunk.ra)
            decl.append(chunk.decl)
            after = chunk.place
    return np.concatenate(ra), np.concatenate(decl)


def _hits(
    store: SqliteObjectStore, one: ActiveList, surveys: Iterable[Survey], time_limit_s: float
) -> tuple[Floats, Floats]:
    """Where the objects in a list are [deg], each once."""
    import numpy as np

    from lasair.query.compile import compile_query
    from lasair.schema.model import POSITION, object_key
    from lasair.times import unix_to_mjd_tai

    table = f"mma:{one.name}" if one.kind == "event" else f"{one.kind}:{one.list_id}"
    rows: list[tuple[Any, ...]] = []
    for survey in surveys:
        # an object may lie in several cones of a list
        columns = ", ".join((object_key(survey), *POSITION[survey]))
        query = compile_query(f"DISTINCT {columns}", f"objects, {table}", survey=survey)
        result = store.query(
            query.sqlite.sql, query.sqlite.bind(unix_to_mjd_tai(time.time())), time_limit_s=time_limit_s,
            row_limit=2**31,
        )  # fmt: skip
        rows += result.rows
    found = np.array([row[1:] for row in rows], np.float64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _contents(
    definitions: Path, areas: Iterable[ActiveList], events: Iterable[ActiveList], wrong: list[str]
) -> tuple[dict[str, Any], dict[str, Localisation]]:
    """Cells of areas and maps of events by name; what is damaged is added to `wrong`, and left out."""
    from lasair.definitions.content import unpack_area, unpack_event
    from lasair.definitions.snapshot import read_content

    cells: dict[str, Any] = {}
    maps: dict[str, Localisation] = {}
    for one in (*areas, *events):
        content = read_content(definitions, one.content_id)
        if content is None:
            # edited since: what it was is gone
            say(f"{one.kind} {one.name} was changed meanwhile and is left out: run the command again")
            continue
        try:
            if one.kind == "area":
                cells[f"area {one.list_id}: {one.name}"] = unpack_area(content)
            else:
                maps[one.name] = unpack_event(content).localisation
        except BadDefinition as err:
            wrong.append(f"{one.kind} {one.list_id} ({one.name}) is left out: {err}")
    return cells, maps
