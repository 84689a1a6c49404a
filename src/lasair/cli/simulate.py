"""`lasair simulate`: write simulated packets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lasair.cli.output import say
from lasair.cli.parameters import ALERTS_MAX, SEED_MAX, Night, OutputFolder, Whole

#: Those of lasair.simulate.profiles (a test holds them equal), named here so that --help needs no simulator.
PROFILES = ("demo", "test", "ztf-night", "lsst-visit", "lsst-deep", "lsst-year", "w-ztf", "lsst-mix")


@click.command("simulate")
@click.argument("profile", type=click.Choice(PROFILES))
@click.option("-o", "--output", required=True, type=OutputFolder(), help="Folder to write to.")
@click.option("--seed", type=Whole(0, SEED_MAX), default=1, show_default=True, help="Same seed, same bytes.")
@click.option("--alerts", "n", type=Whole(1, ALERTS_MAX), help="How many alerts (default: the profile's own number).")
@click.option("--first-night", type=Night(), help="UTC date to begin with (default: fixed, for equal bytes).")
def simulate_command(profile: str, output: Path, seed: int, n: int | None, first_night: int | None) -> None:
    """Write the packets of PROFILE to a folder, with schemas, truth.csv and faults.csv beside them."""
    more = {} if first_night is None else {"first_night": first_night}
    summary = write_with_progress(profile, output, seed, n, **more)
    say(str(summary))
    click.echo(f"lasair run {output}")


def write_with_progress(profile: str, output: Path, seed: int, n: int | None = None, **options: Any) -> object:
    """Simulate with a progress bar when on a terminal; the simulator's summary. `options` are those of `write`."""
    from rich.console import Console
    from rich.progress import Progress

    from lasair.simulate.write import write

    console = Console(stderr=True)
    if not console.is_terminal:
        return write(profile, output, seed=seed, n=n, **options)
    with Progress(console=console) as bar:
        task = bar.add_task(f"simulating {profile}", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return write(profile, output, seed=seed, n=n, progress=advance, **options)
