"""`lasair query`: Lasair SQL on stored data."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from lasair.cli.output import format_option, print_rows, say
from lasair.cli.parameters import INT64_MAX, OutputFile, Whole
from lasair.cli.state import State, state_option
from lasair.errors import BadQuery, LasairError


def pointed(err: BadQuery, text: str) -> str:
    """The error with a mark under the place it means."""
    said = f"{err.part}: {err}"
    if err.position is None or err.position > len(text):
        return said
    start = text.rfind("\n", 0, err.position) + 1
    line = text[start:].split("\n", 1)[0]
    return f"{said}\n  {line}\n  {' ' * (err.position - start)}^"


@click.command("query")
@click.argument("select")
@click.argument("tables", metavar="FROM")
@click.argument("where", default="")
@click.option("--order-by", default="", help="Expressions to sort by, for instance 'ra DESC'.")
@click.option("--limit", type=Whole(0, INT64_MAX - 1), default=1000, show_default=True, help="Most rows.")
@click.option("--offset", type=Whole(), default=0, help="Rows to leave out first.")
@click.option(
    "--survey", type=click.Choice(["lsst", "ztf"]), help="Whose objects; inferred from the columns when not given."
)
@format_option("table", "csv", "json", "parquet")
@click.option("-o", "--output", type=OutputFile(), help="File to write instead of the terminal.")
@state_option
def query_command(
    select: str,
    tables: str,
    where: str,
    order_by: str,
    limit: int,
    offset: int,
    survey: Any,
    form: Any,
    output: Path | None,
    state: State,
) -> None:
    """Ask the database: SELECT columns FROM tables [WHERE conditions], in Lasair SQL.

    \b
    lasair query "diaObjectId, ra, decl" objects "nDiaSources > 5 AND glat > 20"
    lasair query "objectId, gmag" objects "gmag < 15" --survey ztf --format csv
    """
    from lasair.query.compile import compile_query, infer_survey
    from lasair.times import unix_to_mjd_tai

    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: name a file with -o")
    state.must_exist()
    texts = {"select": select, "tables": tables, "where": where, "order by": order_by}
    try:
        whose = survey or infer_survey(select, tables, where, order_by)
        # one row more than asked tells whether there is more
        compiled = compile_query(
            select, tables, where, survey=whose, mode="stored", order_by=order_by, limit=limit + 1, offset=offset
        )
    except BadQuery as err:
        raise LasairError(pointed(err, texts.get(err.part, ""))) from err
    with state.some_stores() as stores:
        result = stores.objects.query(
            compiled.sqlite.sql,
            compiled.sqlite.bind(unix_to_mjd_tai(time.time())),
            time_limit_s=state.settings.query_time_limit_s,
            row_limit=limit,
        )
    print_rows(compiled.columns, result.rows, form, output=output, kinds=compiled.kinds)
    if result.truncated:
        say(f"truncated: there are more than {limit} rows; raise --limit or use --offset")
