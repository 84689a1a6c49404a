"""`lasair filter`: what people want to be told of."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import click

from lasair.cli.output import format_option, print_json, print_rows, say
from lasair.cli.state import State, state_option
from lasair.errors import BadDefinition, NotFound, StoreUnavailable


@click.group("filter")
def filter_command() -> None:
    """Add, list, show, activate and stop filters.

    A filter is a small file NAME.toml with name, survey, tables, select, where and output (plain, lite or full).
    """


@filter_command.command("add")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--activate", "at_once", is_flag=True, help="Activate them at once.")
@state_option
def add_command(files: tuple[Path, ...], at_once: bool, state: State) -> int:
    """Add filters from FILES; a changed file becomes a new version of its filter.

    A wrong file is named and the others are added; exit code 1 then.
    """
    from lasair.definitions import edit
    from lasair.definitions.django import connect
    from lasair.definitions.filter_file import read_filter_file

    state.create()
    connect(state.definitions)
    wrong = 0
    for file in files:
        try:
            one = edit.add_filter(read_filter_file(file))
            if at_once:
                one = edit.activate(one.name)
        except (BadDefinition, NotFound) as err:
            say(f"{file}: {err}" if str(file) not in str(err) else str(err))
            wrong += 1
            continue
        click.echo(
            f"{one.name}: version {one.number}"
            + (", active" if at_once else f"; activate it with: lasair filter activate {shlex.quote(one.name)}")
        )
    return 1 if wrong else 0


def _open_definitions(state: State, name: str | None = None) -> bool:
    """Open the definitions that exist; False when none were ever made. NotFound when the filter `name` is wanted."""
    from lasair.definitions.django import connect

    if state.definitions.is_file():
        connect(state.definitions)
        return True
    if name is not None or not state.path.is_dir():
        raise NotFound(f"no filters in {state.path}: add some with 'lasair filter add FILE', or name another --state")
    return False


@filter_command.command("list")
@format_option("table", "csv", "json")
@state_option
def list_command(form: Any, state: State) -> None:
    """List filters with their version, state and topic."""
    from lasair.definitions import edit

    there = edit.list_filters() if _open_definitions(state) else []
    rows = [(one.name, one.survey, one.number, one.active_number, one.output, one.topic) for one in there]
    print_rows(("name", "survey", "version", "active", "output", "topic"), rows, form)


@filter_command.command("show")
@click.argument("name")
@format_option("table", "json")
@state_option
def show_command(name: str, form: Any, state: State) -> int:
    """Show a filter: its versions, what it selects, its stream, and why it fails when it does."""
    from lasair.definitions import edit

    _open_definitions(state, name)
    facts = {**edit.show(name), "delivered": 0, "errors": []}
    unreadable = None
    if (state.path / "ledger.db").is_file():
        try:
            with state.ledger() as ledger:
                facts["errors"] = [
                    one._asdict() for one in ledger.filter_troubles() if one.filter_id == facts["filter_id"]
                ]
                facts["delivered"] = sum(one.messages for one in ledger.topics() if one.topic == facts["topic"])
        except StoreUnavailable as err:
            unreadable = err
            facts |= {"delivered": None, "errors": None}
    if form == "json":
        print_json(facts)
    else:
        _print_filter(facts)
    if unreadable:
        say(f"lasair: {unreadable}")
    return 1 if unreadable else 0


def _print_filter(facts: dict[str, Any]) -> None:
    for key, value in facts.items():
        if key not in ("versions", "errors"):
            shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
            click.echo(f"{key:<14} {'-' if shown in (None, '') else shown}")
    for version in facts["versions"]:
        clauses = [f"SELECT {version['select']}", f"FROM {version['tables']}"]
        clauses += [f"WHERE {version['where']}"] if version["where"] else []
        clauses += [f"ORDER BY {version['order_by']}"] if version["order_by"] else []
        click.echo(f"version {version['number']}: " + " ".join(clauses))
    for one in facts["errors"] or ():
        first = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(one["first_at"]))
        click.echo(f"fails since {first}, in {one['batches']} batches: {one['message']}")


@filter_command.command("activate")
@click.argument("name")
@state_option
def activate_command(name: str, state: State) -> None:
    """Run the newest version of a filter on every alert from the next batch on."""
    from lasair.definitions import edit

    _open_definitions(state, name)
    one = edit.activate(name)
    click.echo(f"{one.name}: version {one.number} is active; read it with: lasair stream read {one.topic}")


@filter_command.command("stop")
@click.argument("name")
@state_option
def stop_command(name: str, state: State) -> None:
    """Stop a filter; its stream stays readable."""
    from lasair.definitions import edit

    _open_definitions(state, name)
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
