"""`lasair run`: the pipeline over files."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import print_json, say
from lasair.cli.state import State, schema_source, schemas_option, state_folder, state_option
from lasair.errors import BadDefinition, LasairError, StoreUnavailable

if TYPE_CHECKING:
    from lasair.ledger.model import Counts
    from lasair.ledger.store import Ledger
    from lasair.packets.batch import Message, Refused
    from lasair.pipeline import Pipeline
    from lasair.stores.open import Stores


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

    Of folders it reads the files that end in .avro or .bin, those below included; a file that is named is read
    whatever its ending. Exit code 2 when there is no such file under any of PATHS.

    Stopped or crashed, the same command goes on where it was. Run again after it finished, it counts the alerts as
    duplicates and changes nothing else. Exit code 0 when the ledger closes, also when packets were set aside.

    A wrong file under --filters is named and the others are added, but no packet is read then: its alerts would pass
    that filter by for ever.
    """
    files = packets_in(paths)
    with state.writing():
        if filters:
            add_filters(state, filters)
        summary = run_paths(state, paths, schemas, files)
    if as_json:
        print_json(summary)
    else:
        print_summary(summary, state)
    return 1 if summary["ledger"]["wrong"] or summary["stopped"] else 0


def packets_in(paths: Iterable[Path]) -> list[Path]:
    """The packet files in files and folders, each once. A path without any is named on stderr.

    Raises
    ------
    click.UsageError
        There is none under any of the paths.
    """
    from lasair.packets.files import SUFFIXES, packet_files

    endings = " or ".join(SUFFIXES)
    # a dictionary keeps the order; a file that is named twice is read once
    found: dict[Path, None] = {}
    without = []
    for path in paths:
        files = list(packet_files(path.resolve()))
        found.update(dict.fromkeys(files))
        if not files:
            without.append(str(path))
    if not found:
        raise click.UsageError(
            f"no packet file in {', '.join(without)}: of folders 'lasair run' reads the files that end in {endings}, "
            "those below included; name another folder, or name the files themselves"
        )
    for one in without:
        say(f"lasair: no packet file in {one}: none ends in {endings}")
    return list(found)


def add_filters(state: State, folder: Path) -> int:
    """Add and activate the filter files of a folder; how many. Each wrong one gets a line on stderr.

    Raises
    ------
    BadDefinition
        Some were wrong; the others are added and active.
    """
    from lasair.definitions import edit
    from lasair.definitions.django import connect
    from lasair.definitions.filter_file import read_filter_file

    connect(state.definitions)
    files = sorted(folder.glob("*.toml"))
    wrong = 0
    for file in files:
        try:
            edit.activate(edit.add_filter(read_filter_file(file)).name)
        except StoreUnavailable:
            raise
        except LasairError as err:
            # in one line, whatever the file says
            reason = " ".join(str(err).removeprefix(f"{file}: ").split())
            say(f"lasair: {file}: {reason}; correct it, then run again")
            wrong += 1
    if wrong:
        raise BadDefinition(
            f"{wrong} of {len(files)} filter files in {folder} are wrong; the others are active, no packet was read"
        )
    if not files:
        say(f"lasair: no *.toml file in {folder}: no filter was added")
    return len(files)


def run_paths(
    state: State, paths: tuple[Path, ...], schemas: str | None, files: Sequence[Path] | None = None
) -> dict[str, Any]:
    """Run the pipeline over files; the summary. The caller holds the state.

    Parameters
    ----------
    paths : files or folders; schemas are also looked for near them
    schemas : where schemas are, as the option --schemas has it
    files : the packet files in `paths`, when they are known already
    """
    from lasair import logs
    from lasair.ledger.model import Counts
    from lasair.packets.files import read_messages
    from lasair.pipeline import Pipeline, calm_collector
    from lasair.work import batches

    settings = state.settings
    logs.set_up(settings.log_level)
    absolute = tuple(path.resolve() for path in paths)
    files = packets_in(paths) if files is None else files
    run = Counts()
    recovered = set_aside_before = 0
    with state.ledger() as ledger, state.stores() as stores, _stop_on_signal() as stop:
        pipeline = Pipeline(settings, stores, ledger, schema_source(schemas, absolute, settings), state.definitions)
        calm_collector()
        started, cpu = time.monotonic(), time.process_time()
        with _progress(files, pipeline, stop) as advance:
            records = read_messages(files, start=partial(_first_record, ledger))
            for work in batches(
                _until(records, stop), most_alerts=settings.batch_alerts, most_bytes=settings.batch_bytes
            ):
                committed = pipeline.process(work)
                run.add(committed.counts)
                run.add(pipeline.react())
                recovered += committed.recovered
                set_aside_before += committed.set_aside_before
                advance(work.bytes, run)
        run.add(pipeline.react())
        pipeline.fit(stop)
        if finished := not stop:
            # all of them: files that an earlier, interrupted run had read to their end left a position too
            ledger.finish_run(str(one) for one in files)
        wall, cpu = time.monotonic() - started, time.process_time() - cpu
        summary = _summary(state, ledger, stores, pipeline, run, wall, cpu)
    return {**summary, "recovered": recovered, "set_aside_before": set_aside_before, "stopped": not finished}


#: The clock that file systems stamp changes with may be so much behind.
_FILE_CLOCK_S = 0.1


def _first_record(ledger: Ledger, file: str) -> int:
    """Where to begin a file: where an unfinished run left it, but at its start when it has changed since.

    Another file may have taken its name. Reading too much only counts duplicates; reading too little loses alerts.
    """
    offset, arrived = ledger.position(file)
    if not offset:
        return 0
    try:
        # of the inode: a file that is moved there keeps its time of modification, which may be long ago
        changed = Path(file).stat().st_ctime
    except OSError:
        return offset
    return offset if changed < arrived - _FILE_CLOCK_S else 0


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
def _progress(files: Sequence[Path], pipeline: Pipeline, stop: list[int]) -> Iterator[Any]:
    """A progress bar by bytes with alerts/s and the split over stages; nothing when stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda size, counts: None
        return
    total = 0
    for file in files:
        with suppress(OSError):  # one that is gone becomes a dead letter
            total += file.stat().st_size
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
        if not stop:
            bar.update(task, completed=max(total, 1))


def _summary(
    state: State, ledger: Ledger, stores: Stores, pipeline: Pipeline, run: Counts, wall: float, cpu: float
) -> dict[str, Any]:
    from dataclasses import asdict

    from lasair.definitions.snapshot import read_snapshot

    names = {one.filter_id: one.name for one in read_snapshot(state.definitions).filters}
    topics = [{"filter": names.get(one.filter_id), **one._asdict()} for one in ledger.topics()]
    return {
        "state": str(state.path),
        "run": asdict(run),
        "total": asdict(ledger.total()),
        "ledger": {"closes": not (wrong := ledger.audit()), "wrong": wrong},
        "dead_letters": ledger.count_dead_letters(),
        "streams": topics,
        "filter_errors": [{"filter": names.get(one.filter_id), **one._asdict()} for one in ledger.filter_troubles()],
        **_worth_a_look(ledger, stores),
        "cpu_s": {"total": cpu, **pipeline.cpu_s},
        "wall_s": wall,
        "alerts_per_s": run.read / wall if wall > 0 else None,
    }


def _worth_a_look(ledger: Ledger, stores: Stores) -> dict[str, Any]:
    """What commands can be tried on: a stream with messages, an object with a light curve, surveys with objects."""
    import orjson

    from lasair.schema.model import SURVEYS, object_key, table

    a_stream = an_object = None
    for topic in sorted(ledger.topics(), key=lambda one: -one.messages):
        # the last message is the last to expire
        last = next(ledger.read_topic(topic.topic, topic.messages - 1, 1), None)
        if last is not None:
            a_stream, an_object = topic.topic, str(orjson.loads(last.payload)["lasair"]["object"])
            break
    surveys = []
    for survey in SURVEYS:
        sql = f'SELECT "{object_key(survey)}" FROM "{table("objects", survey).physical}" LIMIT 1'
        rows = stores.objects.query(sql, {}, time_limit_s=10.0, row_limit=1).rows
        if rows:
            surveys.append(survey)
            an_object = an_object or str(rows[0][0])
    return {"a_stream": a_stream, "an_object": an_object, "surveys": surveys}


def print_summary(summary: dict[str, Any], state: State) -> None:
    """The end of a run, for a person."""
    run, total = summary["run"], summary["total"]
    echo = click.echo
    echo(
        f"\nRead {run['read'] + summary['set_aside_before']:,} records in {summary['wall_s']:.1f} s"
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
    if summary["recovered"]:
        rows.insert(1, ("recovered", f"{summary['recovered']:,} of the decoded, which were dead letters before"))
    if summary["set_aside_before"]:
        rows.insert(
            1, ("before", f"{summary['set_aside_before']:,} more are dead letters already, and still cannot be used")
        )
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
        name = trouble["filter"] or f"{trouble['filter_id']} (stopped)"
        echo(f"  filter {name} has failed in {trouble['batches']} batches: {trouble['message']}")
    if summary["ledger"]["closes"]:
        echo(f"\nThe ledger closes: {total['read']:,} records in all, each accounted for.")
    else:
        echo("\nTHE LEDGER DOES NOT CLOSE:")
        for line in summary["ledger"]["wrong"]:
            echo(f"  {line}")
    if summary["stopped"]:
        echo("Stopped early; the same command goes on from here.")
    echo("\nWhere to look next")
    # a command without --state finds the folder of the environment
    where = "" if state.path == state_folder(None) else f" --state {shlex.quote(str(state.path))}"
    for command in next_commands(summary):
        echo(f"  lasair {command}{where}")


#: A query that gives rows wherever the survey has objects.
_FIRST_QUERY = {
    "lsst": 'query "diaObjectId, ra, decl, nDiaSources" objects --order-by "nDiaSources DESC" --limit 10',
    "ztf": 'query "objectId, ramean, decmean, ncand" objects --order-by "ncand DESC" --limit 10',
}


def next_commands(summary: dict[str, Any]) -> list[str]:
    """Commands worth a try after a run: only such as find something in the state."""
    found = ["ledger", "status"]
    if summary["a_stream"]:
        found.append(f"stream read {summary['a_stream']} --limit 3")
    if summary["an_object"]:
        found.append(f"lightcurve {summary['an_object']} --plot lightcurve.png")
    if summary["dead_letters"]:
        found.append("dead-letters")
    return found + [_FIRST_QUERY[survey] for survey in summary["surveys"]]
