"""`lasair schema`: tables, columns, packet schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lasair.cli.output import format_option, print_rows
from lasair.errors import NotFound


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
@click.argument("schema_ids", nargs=-1, type=int, required=True)
@click.option("--registry", metavar="URL", help="Schema registry (default: Rubin's).")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to (default: the cache)."
)
def fetch_command(schema_ids: tuple[int, ...], registry: str | None, output: Path | None) -> None:
    """Fetch LSST packet schemas by id (1101 is version 11.1) from the registry into the cache or a folder."""
    from lasair.config import Settings
    from lasair.packets.schemas import SchemaSource, default_cache

    folder = output or default_cache()
    settings = Settings()
    source = SchemaSource(
        folders=[], cache=folder, registry=registry or settings.schema_registry, timeout_s=settings.registry_timeout_s
    )
    for schema_id in schema_ids:
        click.echo(f"{schema_id}: version {source.get(schema_id).version}, kept in {folder}")
