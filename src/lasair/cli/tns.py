"""`lasair tns`: the mirror of the Transient Name Server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import format_option, print_json, print_rows, say
from lasair.cli.parameters import Text
from lasair.cli.state import State, state_option
from lasair.errors import NotFound

if TYPE_CHECKING:
    from lasair.tns.fetch import Credentials
    from lasair.tns.mirror import TnsMirror
    from lasair.tns.update import Brought, Updated

#: Bad rows that are printed.
SHOWN_BAD = 20
#: Files that the table of `status` has.
_SHOWN_FILES = 20


@click.group("tns")
def tns_command() -> None:
    """Keep a copy of the Transient Name Server's list, which fills tns_name and the table crossmatch_tns."""


@tns_command.command("update")
@click.option(
    "--url",
    type=Text(),
    metavar="URL|PATH",
    help="Folder of TNS's files on a server, or a file or folder here (default: the setting tns_url).",
)
@format_option("table", "json")
@state_option
def update_command(url: str | None, form: Any, state: State) -> int:
    """Take in what TNS has changed since the last time; at first the whole list.

    Rows that cannot be used are named on standard error and left out. Exits with 1 when a file could not be had or
    read: the copy here is kept as it is, and the next update asks for it again.
    """
    from datetime import UTC, datetime

    from lasair.tns.mirror import TnsMirror
    from lasair.tns.update import update, updating

    state.create()
    shown = 0

    def tell(brought: Brought) -> None:
        nonlocal shown
        if form != "json":
            click.echo(f"{brought.name}: {_said(brought)}")
        for row in brought.bad[: max(0, SHOWN_BAD - shown)]:
            say(f"{brought.name}: {row}")
            shown += 1

    with updating(state.path):
        mirror = TnsMirror(_file(state), durable=state.settings.durable)
        try:
            address = url or state.settings.tns_url
            done = update(mirror, address, _credentials(state), now=datetime.now(UTC), progress=tell)
            if done.bad_rows > shown:
                say(f"{done.bad_rows - shown:,} more rows that cannot be used")
            _publish(state, mirror)
            rows = len(mirror)
        finally:
            mirror.close()
    if form == "json":
        print_json(_report(done, rows))
    elif not done.files and not done.problems:
        click.echo("there is nothing new to ask for")
    for problem in done.problems:
        say(problem)
    if done.problems:
        say(f"the copy of TNS here is kept, with {rows:,} entries")
    return 1 if done.problems else 0


def _publish(state: State, mirror: TnsMirror) -> None:
    """Bring what has changed to the table and the list of cones, also what an update before could not."""
    waiting = mirror.unpublished()
    if not waiting:
        return
    from lasair.cli.matching import match_now
    from lasair.tns.publish import publish

    with state.some_stores(read_only=False) as stores:
        publish(stores, state.definitions, mirror, waiting.changed_ids, radius_arcsec=state.settings.tns_radius_arcsec)
    mirror.published(waiting.change)
    match_now(state)


def _said(brought: Brought) -> str:
    if not brought.found:
        return "there is none"
    removed = f", {brought.removed:,} removed" if brought.removed else ""
    bad = f"; {brought.bad_count:,} rows cannot be used" if brought.bad_count else ""
    return f"{brought.rows:,} rows, {brought.new:,} new, {brought.changed:,} changed{removed}{bad}"


def _report(done: Updated, rows: int) -> dict[str, Any]:
    return {
        "files": [
            {
                "file": one.name, "kind": one.kind, "period": one.period, "found": one.found, "rows": one.rows,
                "new": one.new, "changed": one.changed, "removed": one.removed, "bad": one.bad_count,
                "bad_rows": [{"line": row.line, "reason": row.reason} for row in one.bad],
            }
            for one in done.files
        ],
        "new": done.new,
        "changed": done.changed,
        "removed": done.removed,
        "bad": done.bad_rows,
        "problems": done.problems,
        "entries": rows,
    }  # fmt: skip


@tns_command.command("status")
@format_option("table", "json")
@state_option
def status_command(form: Any, state: State) -> None:
    """Show how many entries there are, how new they are, and which files brought them."""
    mirror = _reading(state)
    try:
        status = mirror.status()
    finally:
        mirror.close()
    if form == "json":
        files = [{**one._asdict(), "asked_at": f"{one.asked_at:%Y-%m-%d %H:%M:%S}"} for one in status.applied]
        print_json(
            {
                "entries": status.rows, "newest": status.newest, "last_update": status.last_update,
                "last_error": status.last_error, "last_error_at": status.last_error_at, "files": files,
            }
        )  # fmt: skip
        return
    click.echo(f"{status.rows:,} entries, the newest modified {_time(status.newest)} UTC")
    click.echo(f"last update without faults: {_time(status.last_update)} UTC")
    if status.last_error:
        click.echo(f"since then, {_time(status.last_error_at)} UTC: {status.last_error}")
    newest = sorted(status.applied, key=lambda one: one.asked_at, reverse=True)[:_SHOWN_FILES]
    print_rows(
        ("file", "of", "asked", "rows", "new", "changed", "removed", "bad"),
        [
            (one.kind, one.period, f"{one.asked_at:%Y-%m-%d %H:%M}", *(one[4:] if one.found else (None,) * 5))
            for one in newest
        ],
        "table",
    )


def _time(text: str | None) -> str:
    return text[:19] if text else "never"


@tns_command.command("show")
@click.argument("name", metavar="NAME", type=Text())
@state_option
def show_command(name: str, state: State) -> None:
    """Show what TNS says of NAME, such as 'SN 2022and' or 2022and, as JSON."""
    mirror = _reading(state)
    try:
        print_json(mirror.find(name))
    finally:
        mirror.close()


def _file(state: State) -> Any:
    return state.path / "tns.db"


def _reading(state: State) -> TnsMirror:
    from lasair.tns.mirror import TnsMirror

    if not _file(state).is_file():
        raise NotFound(f"no copy of TNS in {state.path}: 'lasair tns update' makes one")
    return TnsMirror(_file(state), read_only=True)


def _credentials(state: State) -> Credentials:
    from lasair.tns.fetch import Credentials

    settings = state.settings
    return Credentials(
        api_key=settings.tns_api_key.get_secret_value(), bot_id=settings.tns_bot_id, bot_name=settings.tns_bot_name
    )
