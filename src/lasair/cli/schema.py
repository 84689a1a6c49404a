"""`lasair schema`: tables, columns, packet schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lasair.cli.output import format_option, print_rows, say
from lasair.cli.parameters import OutputFolder, Text, Whole
from lasair.cli.state import State, state_option
from lasair.errors import LasairError, NotFound

#: Ids are four bytes in a message.
SCHEMA_ID_MAX = 2**32 - 1


@click.group("schema")
def schema_command() -> None:
    """Show tables and columns; fetch packet schemas."""


@schema_command.command("show")
@click.argument("table", required=False)
@click.option("--survey", type=click.Choice(["lsst", "ztf"]), default="lsst", show_default=True, help="Whose table.")
@format_option("table", "csv", "json")
def show_command(table: str | None, survey: Any, form: Any) -> None:
    """Show the columns of TABLE: type, unit, origin, when NULL, meaning; without TABLE list the tables."""
    from lasair import schema
    from lasair.schema.allow import nearest
    from lasair.schema.docs import SHOW_HEADINGS, show

    known = schema.tables(survey)
    if table is None:
        print_rows(
            ("table", "columns", "meaning"), [(name, len(one.columns), one.doc) for name, one in known.items()], form
        )
        return
    if table not in known:
        near = nearest(table, list(known))
        raise NotFound(
            f"no table {table!r} in {survey}"
            + (f"; did you mean {near}?" if near else f"; there are {', '.join(known)}")
        )
    print_rows(SHOW_HEADINGS, show(known[table]), form)


@schema_command.command("fetch")
@click.argument("schema_ids", nargs=-1, type=Whole(1, SCHEMA_ID_MAX), required=True)
@click.option("--registry", type=Text(), metavar="URL", help="Schema registry (default: that of the settings).")
@click.option("-o", "--output", type=OutputFolder(), help="Folder to write to (default: the cache).")
@state_option
def fetch_command(schema_ids: tuple[int, ...], registry: str | None, output: Path | None, state: State) -> int:
    """Fetch LSST packet schemas by id (1101 is version 11.1) from the registry into the cache or a folder.

    The state folder need not exist; its settings may name another registry.
    """
    from lasair.packets.schemas import SchemaSource, default_cache

    folder = output or default_cache()
    address = registry or state.settings.schema_registry
    if not address.startswith(("http://", "https://")):
        raise click.UsageError(f"the registry {address!r} is no URL; it begins with http:// or https://")
    source = SchemaSource(folders=[], cache=folder, registry=address, timeout_s=state.settings.registry_timeout_s)
    failed = 0
    for schema_id in schema_ids:
        try:
            version = source.fetch(schema_id).version
        except LasairError as err:
            say(f"{schema_id}: {err}")
            failed += 1
            continue
        click.echo(f"{schema_id}: version {version}, kept in {folder}")
    return 1 if failed else 0
