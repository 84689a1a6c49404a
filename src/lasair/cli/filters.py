"""`lasair filter`: what people want to be told of."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from lasair.cli.output import format_option, print_json, print_rows, say
from lasair.cli.state import State, state_option
from lasair.errors import BadDefinition, LasairError


@click.group("filter")
def filter_command() -> None:
    """Add, list, show, activate and stop filters.

    A filter is a small file NAME.toml with name, survey, tables, select, where and output (plain, lite or full).
    """


def add_folder(state: State, folder: Path) -> int:
    """Add and activate every filter file of a folder; BadDefinition names the wrong ones, the others are added."""
    from lasair.definitions import edit
    from lasair.definitions.django import connect
    from lasair.definitions.filter_file import read_filter_file

    connect(state.definitions)
    wrong, added = [], 0
    for file in sorted(folder.glob("*.toml")):
        try:
            one = edit.add_filter(read_filter_file(file))
            edit.activate(one.name)
            added += 1
        except LasairError as err:
            wrong.append(f"{file.name}: {err}")
    if wrong:
        raise BadDefinition("; ".join(wrong))
    if not added:
        say(f"no *.toml files in {folder}: no filter was added")
    return added


@filter_command.command("add")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--activate", "at_once", is_flag=True, help="Activate them at once.")
@state_option
def add_command(files: tuple[Path, ...], at_once: bool, state: State) -> None:
    """Add filters from FILES; a changed file becomes a new version of its filter."""
    from lasair.definitions import edit
    from lasair.definitions.django import connect
    from lasair.definitions.filter_file import read_filter_file

    state.create()
    connect(state.definitions)
    for file in files:
        one = edit.add_filter(read_filter_file(file))
        if at_once:
            one = edit.activate(one.name)
        click.echo(
            f"{one.name}: version {one.number}"
            + (", active" if at_once else f"; activate it with: lasair filter activate {one.name!r}")
        )


@filter_command.command("list")
@format_option("table", "csv", "json")
@state_option
def list_command(form: Any, state: State) -> None:
    """List filters with their version, state and topic."""
    from lasair.definitions import edit
    from lasair.definitions.django import connect

    state.create()
    connect(state.definitions)
    rows = [(one.name, one.survey, one.number, one.active_number, one.output, one.topic) for one in edit.list_filters()]
    print_rows(("name", "survey", "version", "active", "output", "topic"), rows, form)


@filter_command.command("show")
@click.argument("name")
@format_option("table", "json")
@state_option
def show_command(name: str, form: Any, state: State) -> None:
    """Show a filter: its versions, what it selects, its stream, and why it fails when it does."""
    from lasair.definitions import edit
    from lasair.definitions.django import connect

    state.create()
    connect(state.definitions)
    facts = edit.show(name)
    troubles, delivered = [], 0
    if (state.path / "ledger.db").is_file():
        with state.ledger() as ledger:
            troubles = [one._asdict() for one in ledger.filter_troubles() if one.filter_id == facts["filter_id"]]
            delivered = sum(one.messages for one in ledger.topics() if one.topic == facts["topic"])
    facts = {**facts, "delivered": delivered, "errors": troubles}
    if form == "json":
        print_json(facts)
        return
    for key, value in facts.items():
        if key not in ("versions", "errors"):
            click.echo(f"{key:<14} {value}")
    for version in facts["versions"]:
        click.echo(
            f"version {version['number']}: SELECT {version['select']} FROM {version['tables']} WHERE {version['where']}"
        )
    for one in troubles:
        first = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(one["first_at"]))
        click.echo(f"fails since {first}, in {one['batches']} batches: {one['message']}")


@filter_command.command("activate")
@click.argument("name")
@state_option
def activate_command(name: str, state: State) -> None:
    """Run the newest version of a filter on every alert from the next batch on."""
    from lasair.definitions import edit
    from lasair.definitions.django import connect

    state.create()
    connect(state.definitions)
    one = edit.activate(name)
    click.echo(f"{one.name}: version {one.number} is active; read it with: lasair stream read {one.topic}")


@filter_command.command("stop")
@click.argument("name")
@state_option
def stop_command(name: str, state: State) -> None:
    """Stop a filter; its stream stays readable."""
    from lasair.definitions import edit
    from lasair.definitions.django import connect

    state.create()
    connect(state.definitions)
    click.echo(f"{edit.stop(name).name}: stopped")


def add_examples(state: State) -> int:
    """Add and activate the example filters of both surveys; how many."""
    from lasair.definitions import edit
    from lasair.definitions.django import connect
    from lasair.definitions.examples import showcase_filters

    connect(state.definitions)
    examples = [one for survey in ("lsst", "ztf") for one in showcase_filters(survey)]
    for one in examples:
        edit.add_filter(one)
        edit.activate(one.name)
    return len(examples)
