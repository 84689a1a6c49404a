"""`lasair run`: the pipeline over files."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import print_json, say
from lasair.cli.state import State, schema_source, schemas_option, state_option

if TYPE_CHECKING:
    from lasair.ledger.model import Counts
    from lasair.packets.batch import Message, Refused
    from lasair.pipeline import Pipeline


@click.command("run")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--filters",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of filter files to add and activate first.",
)
@schemas_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@state_option
def run_command(paths: tuple[Path, ...], filters: Path | None, schemas: str | None, as_json: bool, state: State) -> int:
    """Take the packets in PATHS (files or folders) through the whole chain.

    Stopped or crashed, the same command goes on where it was. Run again after it finished, it counts the alerts as
    duplicates and changes nothing else. Exit code 0 when the ledger closes, also when packets were set aside.
    """
    with state.writing():
        if filters:
            from lasair.cli.filters import add_folder

            add_folder(state, filters)
        summary = run_paths(state, paths, schemas)
    if as_json:
        print_json(summary)
    else:
        print_summary(summary, state)
    return 1 if summary["ledger"]["wrong"] or summary["stopped"] else 0


def run_paths(state: State, paths: tuple[Path, ...], schemas: str | None) -> dict[str, Any]:
    """Run the pipeline over files; the summary. The caller holds the state."""
    from lasair import logs
    from lasair.ledger.model import Counts
    from lasair.packets.files import read_messages
    from lasair.pipeline import Pipeline, calm_collector
    from lasair.work import batches

    settings = state.settings
    logs.set_up(settings.log_level)
    absolute = tuple(path.resolve() for path in paths)
    run = Counts()
    touched: set[str] = set()
    with state.ledger() as ledger, state.stores() as stores, _stop_on_signal() as stop:
        pipeline = Pipeline(settings, stores, ledger, schema_source(schemas, absolute, settings), state.definitions)
        calm_collector()
        started, cpu = time.monotonic(), time.process_time()
        with _progress(absolute, pipeline) as advance:
            records = read_messages(absolute, start=ledger.position)
            for work in batches(
                _until(records, stop), most_alerts=settings.batch_alerts, most_bytes=settings.batch_bytes
            ):
                committed = pipeline.process(work)
                touched.update(work.positions())
                run.add(committed.counts)
                advance(work.bytes, run)
        if not stop:
            pipeline.fit()
            ledger.finish_run(touched | {str(one) for one in absolute})
        wall, cpu = time.monotonic() - started, time.process_time() - cpu
        return _summary(state, ledger, pipeline, run, wall, cpu, bool(stop))


def _until(records: Iterable[Message | Refused], stop: list[int]) -> Iterator[Message | Refused]:
    for one in records:
        if stop:
            return
        yield one


@contextmanager
def _stop_on_signal() -> Iterator[list[int]]:
    """SIGTERM and Ctrl-C finish the batch in hand and stop; the list then holds the signal."""
    caught: list[int] = []

    def note(number: int, _: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        say("lasair: stopping after this batch (again: at once)")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(paths: tuple[Path, ...], pipeline: Pipeline) -> Iterator[Any]:
    """A progress bar by bytes with alerts/s and the split over stages; nothing when stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda size, counts: None
        return
    total = sum(
        file.stat().st_size
        for path in paths
        for file in ([path] if path.is_file() else path.rglob("*"))
        if file.suffix in (".avro", ".bin")
    )
    started = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task("reading", total=max(total, 1))

        def advance(size: int, counts: Counts) -> None:
            rate = counts.read / max(time.monotonic() - started, 1e-9)
            spent = sum(pipeline.cpu_s.values()) or 1.0
            split = " ".join(
                f"{name} {100 * cpu / spent:.0f}%" for name, cpu in pipeline.cpu_s.items() if cpu > 0.01 * spent
            )
            bar.update(task, advance=size, description=f"{counts.read:,} alerts, {rate:,.0f}/s: {split}")

        yield advance
        bar.update(task, completed=max(total, 1))


def _summary(
    state: State, ledger: Any, pipeline: Pipeline, run: Counts, wall: float, cpu: float, stopped: bool
) -> dict[str, Any]:
    from dataclasses import asdict

    from lasair.definitions.snapshot import read_snapshot
    from lasair.pipeline import total

    names = {one.filter_id: one.name for one in read_snapshot(state.definitions).filters}
    topics = [{"filter": names.get(one.filter_id), **one._asdict()} for one in ledger.topics()]
    return {
        "state": str(state.path),
        "run": asdict(run),
        "total": asdict(total(ledger.books().values())),
        "ledger": {"closes": not (wrong := ledger.audit()), "wrong": wrong},
        "streams": topics,
        "an_object": _an_object(ledger, topics),
        "filter_errors": [one._asdict() for one in ledger.filter_troubles()],
        "cpu_s": {"total": cpu, **pipeline.cpu_s},
        "wall_s": wall,
        "alerts_per_s": run.read / wall if wall > 0 else None,
        "stopped": stopped,
    }


def _an_object(ledger: Any, topics: list[dict[str, Any]]) -> str | None:
    """An object worth a look: that of the last message of the largest stream."""
    import orjson

    if not topics:
        return None
    largest = max(topics, key=lambda one: one["messages"])
    for message in ledger.read_topic(largest["topic"], largest["messages"] - 1, 1):
        return str(orjson.loads(message.payload)["lasair"]["object"])
    return None


def print_summary(summary: dict[str, Any], state: State) -> None:
    """The end of a run, for a person."""
    run, total = summary["run"], summary["total"]
    echo = click.echo
    echo(
        f"\nRead {run['read']:,} records in {summary['wall_s']:.1f} s"
        f" ({summary['alerts_per_s'] or 0:,.0f}/s, {summary['cpu_s']['total']:.1f} s of CPU)"
    )
    rows = [
        ("came in", f"{run['read']:,} read = {run['decoded']:,} decoded + {run['set_aside']:,} set aside"),
        ("kept", f"{run['stored']:,} stored, {run['duplicate']:,} duplicates"),
        ("evaluated", f"{run['filtered']:,} by filters; {run['movers']:,} Solar System alerts kept out of them"),
        (
            "matched",
            f"{run['matched']:,} = {run['delivered']:,} delivered + {run['over_quota']:,} over quota"
            f" + {run['over_limit']:,} over limit + {run['already_delivered']:,} delivered before",
        ),
    ]
    for name, text in rows:
        echo(f"  {name:<10} {text}")
    spent = {name: cpu for name, cpu in summary["cpu_s"].items() if name != "total"}
    whole = sum(spent.values()) or 1.0
    echo("  " + "stages".ljust(10) + " " + ", ".join(f"{name} {100 * cpu / whole:.0f}%" for name, cpu in spent.items()))
    if summary["streams"]:
        echo("\nStreams (all runs on this state)")
        for one in sorted(summary["streams"], key=lambda s: -s["messages"])[:12]:
            echo(f"  {one['messages']:>8,}  {one['filter'] or '(stopped)':<32} {one['topic']}")
        if len(summary["streams"]) > 12:
            echo(f"  and {len(summary['streams']) - 12} more")
    for trouble in summary["filter_errors"]:
        echo(f"  filter {trouble['filter_id']} fails: {trouble['message']}")
    if summary["ledger"]["closes"]:
        echo(f"\nThe ledger closes: {total['read']:,} records in all, each accounted for.")
    else:
        echo("\nTHE LEDGER DOES NOT CLOSE:")
        for line in summary["ledger"]["wrong"]:
            echo(f"  {line}")
    if summary["stopped"]:
        echo("Stopped early; the same command goes on from here.")
    echo("\nWhere to look next")
    where = f" --state {state.path}" if state.path != Path("state") else ""
    for command in next_commands(summary):
        echo(f"  lasair {command}{where}")


def next_commands(summary: dict[str, Any]) -> list[str]:
    """Commands worth a try after a run."""
    found = ["ledger", "status"]
    if summary["streams"]:
        found.append(f"stream read {max(summary['streams'], key=lambda s: s['messages'])['topic']} --limit 3")
    if summary["an_object"]:
        found.append(f"lightcurve {summary['an_object']} --plot lightcurve.png")
    if summary["run"]["set_aside"]:
        found.append("dead-letters")
    found.append(
        'query "diaObjectId, ra, decl, nDiaSources" objects "nDiaSources > 5" --order-by "nDiaSources DESC" --limit 10'
    )
    return found
