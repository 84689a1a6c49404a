"""What commands on definitions share: opening them, options, and facts about one thing in any form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lasair.cli.output import print_json, print_rows, say
from lasair.cli.parameters import Text
from lasair.cli.state import State
from lasair.errors import BadQuery, NotFound, StoreUnavailable

if TYPE_CHECKING:
    from lasair.definitions.snapshot import ListKind

F = TypeVar("F", bound=Callable[..., Any])

background_option: Callable[[F], F] = click.option(
    "--background", is_flag=True, help="Match stored objects in another process, and return at once."
)
description_option: Callable[[F], F] = click.option("--description", metavar="TEXT", help="What it is, for people.")
#: Who else may use something that is made; left out it stays as it is.
public_option: Callable[[F], F] = click.option(
    "--public/--private", "public", default=None, help="Whether everybody may use it (new ones are private)."
)
group_option: Callable[[F], F] = click.option(
    "--group", type=Text(), metavar="G", help="Members of this group may use it."
)


def sharing_options(command: F) -> F:
    """The options of a command that says who else may use something: `public` and `group`, '' for none."""

    def no_group(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            if ctx.params.get("group"):
                raise click.UsageError("--group and --no-group exclude each other")
            ctx.params["group"] = ""

    command = click.option(
        "--no-group", is_flag=True, expose_value=False, callback=no_group, help="Take it away from its group."
    )(command)
    return public_option(group_option(command))


def open_definitions(state: State, kind: str, *, wanted: bool = False) -> bool:
    """Open the definitions that exist; False when none were ever made.

    Parameters
    ----------
    kind : what is looked for, for the message
    wanted : NotFound when there are none
    """
    from lasair.definitions.django import connect

    if state.definitions.is_file():
        connect(state.definitions)
        return True
    if wanted or not state.path.is_dir():
        raise NotFound(f"no {kind}s in {state.path}: add one with 'lasair {kind} add', or name another --state")
    return False


def make_definitions(state: State) -> None:
    """Open the definitions, made when there are none."""
    from lasair.definitions.django import connect

    state.create()
    connect(state.definitions)


def print_facts(facts: Mapping[str, Any], form: Any) -> None:
    """Print what is known of one thing; lists in it are JSON where the form has no lists."""
    if form == "json":
        print_json(facts)
    elif form == "csv":
        print_rows(tuple(facts), [[_flat(value) for value in facts.values()]], "csv")
    else:
        for key, value in facts.items():
            shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else _flat(value)
            click.echo(f"{key:<16} {'-' if shown in (None, '', '{}', '[]') else shown}")


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def hits_of(state: State, kind: ListKind, number: int) -> int | None:
    """Hits of a list or event on the stored objects of both surveys; None, with a remark, when they cannot be read."""
    from lasair.schema.model import SURVEYS, table
    from lasair.stores.hits import HIT_TABLES

    if not (state.path / "objects.db").is_file():
        return 0
    name, column = HIT_TABLES[kind]
    total = 0
    try:
        with state.some_stores() as stores:
            for survey in SURVEYS:
                sql = f"SELECT COUNT(*) FROM {table(name, survey).physical} WHERE {column} = :number"
                limit_s = state.settings.query_time_limit_s
                found = stores.objects.query(sql, {"number": number}, time_limit_s=limit_s, row_limit=1)
                total += int(found.rows[0][0])
    except (BadQuery, StoreUnavailable) as err:
        say(f"lasair: {err}")
        return None
    return total
