"""`lasair demo`: from nothing to a result."""

from __future__ import annotations

import csv
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import click

from lasair.cli.output import say
from lasair.cli.parameters import ALERTS_MAX, SEED_MAX, OutputFolder, Whole
from lasair.cli.state import State, state_option

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

    Adds a set of example filters, shows the progress and ends with what came in, what was kept, which filters matched
    what and commands to try next. The state folder is kept, so that you can look around.
    """
    from lasair.cli.filters import add_examples
    from lasair.cli.run import print_summary, run_paths
    from lasair.cli.simulate import write_with_progress

    state.create()
    # beside the state, which has room for gigabytes; a temporary folder may live in memory
    folder = keep_packets or Path(tempfile.mkdtemp(prefix="demo-packets-", dir=state.path))
    try:
        say("1/3 drawing a sky and its alert packets")
        write_with_progress("demo", folder, seed, n, first_night=_nights_ago(_DEMO_NIGHTS))
        with state.writing():
            say(f"2/3 activating {add_examples(state)} example filters")
            say("3/3 running the chain: decode, cutouts, light curves, features, filters, streams, database")
            summary = run_paths(state, (folder,), None)
        print_summary(summary, state)
        _what_the_sky_held(folder)
    finally:
        if keep_packets is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if summary["ledger"]["closes"] else 1


def _what_the_sky_held(folder: Path) -> None:
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        classes = Counter(row["class"] for row in csv.DictReader(file))
    click.echo("\nThe simulated sky held " + ", ".join(f"{count:,} {name}" for name, count in classes.most_common()))
