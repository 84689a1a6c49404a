"""`lasair catalogue`: catalogues of the sky, added from descriptions and kept as releases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import format_option, print_json, print_rows, say
from lasair.cli.parameters import OutputFile, Text, Whole
from lasair.cli.state import State, catalogue_folder, catalogues_option, state_option
from lasair.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from lasair.catalogues.manifest import ReleaseInfo
    from lasair.catalogues.shelf import Shelf
    from lasair.catalogues.validate import Report

#: Least memory [MB] that a build makes sense with, and the most that can be meant.
_LEAST_MB, _MOST_MB = 16, 1 << 20

Progress = Callable[[str, int, int | None], None]


@click.group("catalogue")
def catalogue_command() -> None:
    """Add, check, switch and retire catalogues of the sky.

    A catalogue is described in a YAML file, and built from its table into a release. One release of each catalogue is
    current; the others stay until they are removed, so that a switch can be taken back.
    """


@catalogue_command.command("add")
@click.argument("manifest", type=Text())
@click.option(
    "--source",
    "sources",
    type=Text(),
    multiple=True,
    metavar="FILE",
    help="File of the table, instead of that in the manifest: also a glob, a folder of HATS, a URL. Can be repeated.",
)
@click.option(
    "--positions",
    type=Text(),
    multiple=True,
    metavar="FILE",
    help="File of the second table that has the positions, for a manifest with positions_from.",
)
@click.option("--fetch", is_flag=True, help="Fetch what has a URL; goes on where an earlier try stopped.")
@click.option(
    "--partial", is_flag=True, help="The files are a part of the catalogue: it covers only where they have rows."
)
@click.option("--report", "report_file", type=OutputFile(".json"), metavar="F.json", help="Write the report there too.")
@click.option("--plot", type=OutputFile(".png"), metavar="F.png", help="Draw where on the sky the sources are.")
@click.option("--no-switch", is_flag=True, help="Publish only; the current release stays the current one.")
@click.option(
    "--memory",
    type=Whole(_LEAST_MB, _MOST_MB),
    default=500,
    show_default=True,
    metavar="MB",
    help="Memory for rows [MB].",
)
@catalogues_option
@format_option("text", "json", default="text")
@state_option
def add_command(
    manifest: str,
    sources: tuple[str, ...],
    positions: tuple[str, ...],
    fetch: bool,
    partial: bool,
    report_file: Path | None,
    plot: Path | None,
    no_switch: bool,
    memory: int,
    catalogues: Path | None,
    form: Any,
    state: State,
) -> None:
    """Add a release of the catalogue that MANIFEST describes: a YAML file, or a name of `lasair catalogue manifests`.

    Rows are read, checked and built in bounded memory; then the canaries of the manifest are looked for. When all are
    found, the release is published and made the current one, in one step for all who use it.
    """
    from lasair.catalogues.add import add
    from lasair.catalogues.describe import load_description
    from lasair.catalogues.validate import plot_footprint

    description = load_description(manifest)

    def tell(report: Report) -> None:
        if report_file is not None:
            _write_json(report_file, report.as_dict())
        if plot is not None:
            plot_footprint(report, plot)
        if form == "text":
            click.echo(report.text())

    with _progress() as progress:
        added = add(
            description,
            catalogue_folder(catalogues, state),
            source=sources or None,
            positions=positions or None,
            fetch=fetch,
            partial=partial,
            memory_bytes=memory * 1_000_000,
            report=tell,
            progress=progress,
            switch=not no_switch,
        )
    if form == "json":
        print_json(added.report.as_dict() | {"current": added.current, "path": str(added.info.path)})
    else:
        click.echo(f"{'current' if added.current else 'published'}: {added.info.release} in {added.info.path}")


@catalogue_command.command("list")
@catalogues_option
@format_option("table", "csv", "json")
@state_option
def list_command(catalogues: Path | None, form: Any, state: State) -> None:
    """List the catalogues and their current releases."""
    rows = []
    with _shelf(catalogues, state) as shelf:
        problems = {problem.name: problem for problem in shelf.problems}
        for name in shelf.names():
            release = shelf.releases.get(name)
            status = "unusable" if name in problems else "retired" if release is None else "current"
            rows.append(
                (
                    name,
                    status,
                    release.id if release else shelf.current(name),
                    release.n_rows if release else None,
                    sum(entry["bytes"] for entry in release.manifest["files"].values()) if release else None,
                    release.title if release else "",
                )
            )
        for problem in shelf.problems:
            say(str(problem))
    print_rows(("name", "status", "release", "rows", "bytes", "title"), rows, form)


@catalogue_command.command("show")
@click.argument("name", type=Text())
@catalogues_option
@format_option("text", "json", default="text")
@state_option
def show_command(name: str, catalogues: Path | None, form: Any, state: State) -> None:
    """Show a catalogue: what it is, its columns and views, its releases, and what was done to it."""
    with _shelf(catalogues, state) as shelf:
        releases = shelf.releases_of(name)
        current = shelf.current(name)
        chosen = next((info for info in releases if info.release == current), releases[-1] if releases else None)
        log = shelf.log(name)
    found: dict[str, Any] = {
        "name": name,
        "current": current,
        "manifest": {
            key: value for key, value in chosen.manifest.items() if key not in ("density", "subtypes", "files")
        }
        if chosen
        else None,
        "releases": [
            {"release": info.release, "version": info.version, "rows": info.rows, "bytes": info.bytes}
            for info in releases
        ],
        "log": log,
    }
    if form == "json":
        print_json(found)
        return
    if chosen is not None:
        _print_release(chosen)
    click.echo("releases")
    for info in releases:
        mark = "*" if info.release == current else " "
        click.echo(f"{mark} {info.release}  {info.rows:,} rows  {info.bytes:,} bytes")
    click.echo("log")
    for entry in log:
        click.echo(f"  {entry.get('time', '')}  {entry['action']}  {entry['release']}  {entry.get('by', '')}".rstrip())


def _print_release(info: ReleaseInfo) -> None:
    about = info.manifest["about"]
    click.echo(f"{info.title} ({info.name} {info.version})")
    for key in ("text", "licence", "citation", "acknowledgement", "homepage"):
        if about.get(key):
            click.echo(f"  {key if key != 'text' else 'about'}: {about[key]}")
    coverage = info.manifest["coverage"]
    click.echo(
        f"  positions at {about.get('epoch', 2000.0)}, {100 * float(coverage.get('fraction', 1)):.4g} % of the sky"
    )
    click.echo("columns")
    for name, column in info.manifest["columns"].items():
        if name not in ("views", "given_ra", "given_decl"):
            click.echo(f"  {name:<14} {column.get('known', 0):>14,} known  {column.get('unit', '')}".rstrip())
    click.echo("views")
    for view in info.manifest["views"]:
        click.echo(f"  {view['name']:<14} {view['rows']:>14,} rows")


@catalogue_command.command("check")
@click.argument("names", nargs=-1, type=Text())
@catalogues_option
@format_option("table", "json")
@state_option
def check_command(names: tuple[str, ...], catalogues: Path | None, form: Any, state: State) -> int:
    """Read all files of the current releases and compare them with their manifests; exits with 1 when one is wrong.

    NAMES are the catalogues to check; all, when none is given.
    """
    from lasair.catalogues.check import check

    found = []
    good = 0
    with _shelf(catalogues, state) as shelf, _progress() as progress:
        there = shelf.names()
        for name in names:
            if name not in there:
                raise NotFound(f"no catalogue {name!r} in {shelf.folder}; there are: {', '.join(there) or 'none'}")
        for name in names or there:
            release_id = shelf.current(name)
            if release_id is None:
                found += [problem for problem in shelf.problems if problem.name == name]
                continue
            # a release without its manifest does not know whose it is
            problems = [
                one._replace(name=name) for one in check(shelf.folder / name / "releases" / release_id, progress)
            ]
            found += problems
            good += not problems
    if form == "json":
        print_json({"good": good, "problems": [problem._asdict() for problem in found]})
    else:
        for problem in found:
            click.echo(str(problem))
        click.echo(f"{good} catalogues are good, {len(found)} problems")
    return 1 if found else 0


@catalogue_command.command("switch")
@click.argument("name", type=Text())
@click.argument("release", type=Text())
@catalogues_option
@format_option("text", "json", default="text")
@state_option
def switch_command(name: str, release: str, catalogues: Path | None, form: Any, state: State) -> None:
    """Make another release of a catalogue the current one; also brings back a retired catalogue."""
    with _shelf(catalogues, state) as shelf:
        _now(shelf.switch(name, release), form)


@catalogue_command.command("rollback")
@click.argument("name", type=Text())
@catalogues_option
@format_option("text", "json", default="text")
@state_option
def rollback_command(name: str, catalogues: Path | None, form: Any, state: State) -> None:
    """Make that release the current one that was so before."""
    with _shelf(catalogues, state) as shelf:
        _now(shelf.rollback(name), form)


@catalogue_command.command("retire")
@click.argument("name", type=Text())
@catalogues_option
@format_option("text", "json", default="text")
@state_option
def retire_command(name: str, catalogues: Path | None, form: Any, state: State) -> None:
    """Take a catalogue out of use; its releases stay."""
    with _shelf(catalogues, state) as shelf:
        shelf.retire(name)
    if form == "json":
        print_json({"name": name, "current": None})
    else:
        click.echo(f"{name} is retired; 'lasair catalogue switch' brings a release of it back")


@catalogue_command.command("manifests")
@format_option("table", "csv", "json")
def manifests_command(form: Any) -> None:
    """List the descriptions that come with the program; `add` takes their names."""
    from lasair.catalogues.describe import load_description, shipped

    found = [load_description(name) for name in shipped()]
    print_rows(
        ("name", "rows", "format", "title", "path"),
        [(one.name, one.rows, one.format, one.title, str(one.path)) for one in found],
        form,
    )


def _now(info: ReleaseInfo, form: str) -> None:
    if form == "json":
        print_json({"name": info.name, "current": info.release, "rows": info.rows})
    else:
        click.echo(f"{info.name} is now {info.release} ({info.rows:,} rows)")


@contextmanager
def _shelf(named: Path | None, state: State) -> Iterator[Shelf]:
    from lasair.catalogues.shelf import Shelf

    folder = catalogue_folder(named, state)
    if not folder.is_dir():
        raise NotFound(
            f"no catalogues in {folder}: name the folder with --catalogues, or add one with 'lasair catalogue add'"
        )
    with Shelf.open(folder) as shelf:
        yield shelf


def _write_json(file: Path, found: Any) -> None:
    import orjson

    try:
        file.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    except OSError as err:
        raise StoreUnavailable(f"cannot write {file}: {err.strerror or err}") from err


_STAGES = {"fetch": "fetching (bytes)", "read": "reading (rows)", "write": "writing (rows)", "hash": "hashing (bytes)",
           "rows": "checking (rows)"}  # fmt: skip


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar for each stage on a terminal's standard error, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def told(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_STAGES.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield told
