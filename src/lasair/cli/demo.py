"""`lasair demo`: from nothing to a result."""

from __future__ import annotations

import csv
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lasair.cli.output import print_rows, progress_bar, say
from lasair.cli.parameters import ALERTS_MAX, SEED_MAX, OutputFolder, Whole
from lasair.cli.state import State, catalogue_folder, state_option

if TYPE_CHECKING:
    from lasair.cli.demo_tags import Tags

#: The simulated nights end with the last one.
_DEMO_NIGHTS = 20


def _nights_ago(nights: int) -> int:
    """A UTC date as yyyymmdd."""
    return int(time.strftime("%Y%m%d", time.gmtime(time.time() - nights * 86_400)))


@click.command("demo")
@click.option(
    "--seed", type=Whole(0, SEED_MAX), default=1, show_default=True, help="Same seed on the same day, same sky."
)
@click.option("--alerts", "n", type=Whole(1, ALERTS_MAX), help="How many alerts (default 40,000).")
@click.option("--keep-packets", type=OutputFolder(), help="Folder to keep the simulated packets in.")
@state_option
def demo_command(seed: int, n: int | None, keep_packets: Path | None, state: State) -> int:
    """Simulate nights of ZTF and LSST and take them through the whole chain.

    Adds the catalogues of the simulated sky, a watchlist, an area, a gravitational wave and more that tags alerts, and
    a set of example filters; shows the progress and ends with what came in, what was kept, which filters matched
    what, what Sherlock made of the sky, a picture of it and commands to try next. The state folder is kept, so that
    you can look around.
    """
    from lasair.cli.demo_tags import add_tags
    from lasair.cli.filters import add_examples
    from lasair.cli.run import print_summary, run_paths
    from lasair.cli.simulate import write_with_progress
    from lasair.simulate.tags import write_tags
    from lasair.simulate.write import SKY_FOLDER

    state.create()
    # beside the state, which has room for gigabytes; a temporary folder may live in memory
    folder = keep_packets or Path(tempfile.mkdtemp(prefix="demo-packets-", dir=state.path))
    try:
        say("1/5 drawing a sky, its catalogues and its alert packets")
        first_night = _nights_ago(_DEMO_NIGHTS)
        write_with_progress("demo", folder, seed, n, first_night=first_night)
        centres = write_tags(folder, seed=seed, first_night=first_night)
        say("2/5 adding the catalogues: " + ", ".join(add_sky(folder / SKY_FOLDER, state)))
        with state.writing():
            say("3/5 adding a watchlist, an area, a gravitational wave, names of the TNS, annotations and a tag")
            tags = add_tags(folder, centres, state)
            say(f"4/5 activating {add_examples(state)} example filters")
            say("5/5 running the chain: decode, cutouts, light curves, Sherlock, features, matches, filters, streams")
            summary = run_paths(state, (folder,), None)
        print_summary(summary, state)
        _what_the_sky_held(folder)
        _what_sherlock_said(folder, state)
        if tags is not None:
            _what_was_tagged(tags, state)
    finally:
        if keep_packets is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if summary["ledger"]["closes"] else 1


def _what_was_tagged(tags: Tags, state: State) -> None:
    """What the filter that asks for everything has found, and a picture of it all."""
    from lasair.cli.demo_tags import FILTER, SELECT
    from lasair.cli.skyplot import draw_sky
    from lasair.query.compile import compile_query
    from lasair.times import unix_to_mjd_tai

    query = compile_query(SELECT, tags.tables, survey="lsst")
    with state.some_stores() as stores:
        limit_s = state.settings.query_time_limit_s
        found = stores.objects.query(
            query.sqlite.sql, query.sqlite.bind(unix_to_mjd_tai(time.time())), time_limit_s=limit_s, row_limit=10
        )
    click.echo(f"\nThe filter {FILTER!r} joins Sherlock, a watchlist, an area, an event, the TNS, a program and you:")
    print_rows(query.columns, found.rows, "table")
    click.echo("\nA picture of the sky with all this")
    try:
        draw_sky(state, state.path / "sky.png")
    except ImportError:
        say("needs matplotlib: pip install 'lasair-broker[plot]', then 'lasair sky sky.png'")


def _what_the_sky_held(folder: Path) -> None:
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        classes = Counter(row["class"] for row in csv.DictReader(file))
    click.echo("\nThe simulated sky held " + ", ".join(f"{count:,} {name}" for name, count in classes.most_common()))


def add_sky(folder: Path, state: State) -> list[str]:
    """Add the catalogues of a simulated sky in a folder, as `lasair catalogue add` does; their names."""
    from lasair.catalogues.add import add
    from lasair.catalogues.describe import load_description

    target = catalogue_folder(None, state)
    files = sorted(folder.glob("*.parquet"))
    with progress_bar("adding catalogues", len(files)) as advance:
        for file in files:
            add(load_description(file.stem), target, source=[file])
            advance(1)
    return [file.stem for file in files]


def _what_sherlock_said(folder: Path, state: State) -> None:
    from lasair.sherlock.confusion import confusion

    with state.some_stores() as stores:
        found = confusion(folder / "truth.csv", stores.objects)
    click.echo(f"\nSherlock said what is true of {found.right:,} of {found.total:,} objects:")
    print_rows(*found.table(), "table")
