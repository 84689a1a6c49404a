"""`lasair bench`: how fast every stage is."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import print_json, say
from lasair.cli.parameters import ALERTS_MAX, OutputFile, Whole
from lasair.errors import StoreUnavailable

if TYPE_CHECKING:
    from lasair.bench.measure import Result

CHAINS = ("W-ZTF", "year", "deep", "mix", "R-deep", "R-20", "R-0")
WORKLOADS = (*CHAINS, "sherlock", "cones", "skyindex", "annotations")

#: Rows on the synthetic sky, and of the one catalogue, of a run that takes minutes and some GB.
SKY_ROWS, CATALOGUE_ROWS = 20_000_000, 2_000_000


def _one(name: str, alerts: int | None, filters: int, data: Path | None, objects: int) -> Result:
    from lasair.bench import measure, workloads

    real = name in workloads.REAL
    work = workloads.real(name, data) if real and data else workloads.simulated(name, alerts=alerts)
    return measure.measure(work, filters=filters, bbb=real, objects=objects)


@click.command("bench")
@click.option(
    "--workload",
    "names",
    multiple=True,
    type=click.Choice(WORKLOADS),
    help="Only these (default: all that can be run).",
)
@click.option("--alerts", type=Whole(1000, ALERTS_MAX), help="Packets in each simulated workload.")
@click.option("--filters", type=Whole(0, 100), default=100, show_default=True, help="Active filters.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of real packets (default: LASAIR_TEST_DATA).",
)
@click.option(
    "--objects",
    type=Whole(0, 100 * ALERTS_MAX),
    default=0,
    help="Objects of 30 rows each to store first, to see that the cost stays flat.",
)
@click.option(
    "--rows",
    type=Whole(100_000, 10_000_000_000),
    help=f"Rows of the synthetic sky of sherlock (default: {SKY_ROWS:,}; ten visits from 100,000,000 on) and of the "
    f"catalogue of cones (default: {CATALOGUE_ROWS:,}). About 65 bytes each on disk, as much again while building.",
)
@click.option(
    "--sky",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the catalogues of sherlock and cones, "
    "made where there are none, and kept (default: a temporary one).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--output", type=OutputFile(), help="Also write the JSON to a file.")
def bench_command(
    names: tuple[str, ...],
    alerts: int | None,
    filters: int,
    data: Path | None,
    objects: int,
    rows: int | None,
    sky: Path | None,
    as_json: bool,
    output: Path | None,
) -> None:
    """Measure decode, features and the whole chain in CPU time, per workload and stage; and Sherlock.

    Simulated workloads always run; R-deep, R-20 and R-0 need real packets. sherlock classifies positions over 14
    synthetic catalogues, cones looks up one catalogue beside a KD-tree, DuckDB and SQLite; skyindex finds alerts in a
    million cones, 200 areas and ten maps of events; annotations posts a thousand a second beside the chain.
    """
    import orjson

    from lasair.bench import report, workloads

    named = data or (Path(os.environ["LASAIR_TEST_DATA"]) if os.environ.get("LASAIR_TEST_DATA") else None)
    wanted = [name for name in CHAINS if not names or name in names]
    results = []
    for name in wanted:
        if name in workloads.REAL and named is None:
            if names:
                raise click.UsageError(f"{name} needs real packets: give --data or set LASAIR_TEST_DATA")
            say(f"{name}: left out, no real packets (LASAIR_TEST_DATA is not set)")
            continue
        say(f"{name}: making packets and measuring")
        # a process of its own, so that one workload's memory is not counted to another's
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            results.append(process.submit(_one, name, alerts, filters, named, objects).result())
    found = _on_skies([name for name in WORKLOADS if not names or name in names], rows, sky)
    if output:
        try:
            output.write_bytes(orjson.dumps(report.as_json(results, **found), option=orjson.OPT_INDENT_2))
        except OSError as err:
            raise StoreUnavailable(f"cannot write {output}: {err.strerror}") from err
    if as_json:
        print_json(report.as_json(results, **found))
    else:
        click.echo(report.as_text(results, **found))


def _on_skies(wanted: list[str], rows: int | None, sky: Path | None) -> dict[str, Any]:
    """Results of the workloads on skies, by the name that the report has for them."""
    from lasair.bench import annotations as posting
    from lasair.bench import cones, sherlock, skyindex

    found: dict[str, Any] = {}
    if "skyindex" in wanted:
        say("skyindex: cones, areas and maps")
        found["sky_index"] = skyindex.measure_skyindex()
    if "annotations" in wanted:
        found["posts"] = posting.measure_annotations(say=lambda what: say(f"annotations: {what}"))
    with tempfile.TemporaryDirectory(prefix="lasair-bench-") as scratch:
        folder = sky or Path(scratch)
        if "sherlock" in wanted:
            many = rows or SKY_ROWS
            found["sky"] = sherlock.measure_sherlock(
                folder / "sky", many, tenth=folder / "tenth", say=lambda what: say(f"sherlock: {what}")
            )
        if "cones" in wanted:
            found["one_catalogue"] = cones.measure_cones(
                folder / "one", rows or CATALOGUE_ROWS, say=lambda what: say(f"cones: {what}")
            )
    return found
