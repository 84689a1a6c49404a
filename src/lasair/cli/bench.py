"""`lasair bench`: how fast every stage is."""

from __future__ import annotations

import os
from pathlib import Path

import click

from lasair.cli.output import print_json, say
from lasair.errors import StoreUnavailable

WORKLOADS = ("W-ZTF", "year", "deep", "mix", "R-deep", "R-20", "R-0")


@click.command("bench")
@click.option(
    "--workload",
    "names",
    multiple=True,
    type=click.Choice(WORKLOADS),
    help="Only these (default: all that can be run).",
)
@click.option("--alerts", type=click.IntRange(1000), help="Packets in each simulated workload.")
@click.option("--filters", type=click.IntRange(0, 100), default=100, show_default=True, help="Active filters.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of real packets (default: LASAIR_TEST_DATA).",
)
@click.option(
    "--objects",
    type=click.IntRange(0),
    default=0,
    help="Objects of 30 rows each to store first, to see that the cost stays flat.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Also write the JSON to a file.")
def bench_command(
    names: tuple[str, ...],
    alerts: int | None,
    filters: int,
    data: Path | None,
    objects: int,
    as_json: bool,
    output: Path | None,
) -> None:
    """Measure decode, features and the whole chain in CPU time, per workload and stage.

    Simulated workloads always run; R-deep, R-20 and R-0 need real packets.
    """
    import orjson

    from lasair.bench import measure, report, workloads

    named = data or (Path(os.environ["LASAIR_TEST_DATA"]) if os.environ.get("LASAIR_TEST_DATA") else None)
    wanted = [name for name in WORKLOADS if not names or name in names]
    results = []
    for name in wanted:
        if name in workloads.REAL and named is None:
            if names:
                raise click.UsageError(f"{name} needs real packets: give --data or set LASAIR_TEST_DATA")
            say(f"{name}: left out, no real packets (LASAIR_TEST_DATA is not set)")
            continue
        say(f"{name}: making packets")
        one = (
            workloads.real(name, named)
            if name in workloads.REAL and named
            else workloads.simulated(name, alerts=alerts)
        )
        say(f"{name}: measuring")
        results.append(measure.measure(one, filters=filters, bbb=name in workloads.REAL, objects=objects))
    if output:
        try:
            output.write_bytes(orjson.dumps(report.as_json(results), option=orjson.OPT_INDENT_2))
        except OSError as err:
            raise StoreUnavailable(f"cannot write {output}: {err.strerror}") from err
    if as_json:
        print_json(report.as_json(results))
    else:
        click.echo(report.as_text(results))
