"""`lasair ledger`, `dead-letters`, `status`, `expire`: what came in and what became of it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import format_option, print_json, print_rows, say
from lasair.cli.parameters import Text
from lasair.cli.state import State, schema_source, state_option
from lasair.errors import StoreUnavailable

if TYPE_CHECKING:
    from lasair.stores.open import Stores


def _stamp(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


@click.command("ledger")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@state_option
def ledger_command(as_json: bool, state: State) -> int:
    """Print the counts of every source partition and night, and whether they close; exit code 1 when not."""
    from lasair.ledger.model import COUNT_NAMES
    from lasair.pipeline import total

    state.must_exist()
    with state.ledger() as ledger:
        books, wrong = ledger.books(), ledger.audit()
    if as_json:
        entries = [
            {"partition": place.partition, "night": place.night, **asdict(counts)} for place, counts in books.items()
        ]
        print_json({"closes": not wrong, "wrong": wrong, "total": asdict(total(books.values())), "partitions": entries})
        return 1 if wrong else 0
    names = ("night", *(name.replace("_", " ") for name in COUNT_NAMES), "partition")
    rows = [(place.night, *asdict(counts).values(), place.partition) for place, counts in books.items()]
    rows.append(("all", *asdict(total(books.values())).values(), f"{len(books)} partitions and nights"))
    print_rows(names, rows, "table")
    for line in wrong:
        say(f"does not close: {line}")
    click.echo("The ledger does not close." if wrong else "The ledger closes.")
    return 1 if wrong else 0


@click.group("dead-letters", invoke_without_command=True)
@format_option("table", "csv", "json")
@state_option
@click.pass_context
def dead_letters_command(ctx: click.Context, form: Any, state: State) -> None:
    """List the records that could not be used: where they came from and why ('retry' tries them again)."""
    if ctx.invoked_subcommand is not None:
        ctx.obj["state"] = str(state.path)
        return
    state.must_exist()
    with state.ledger() as ledger:
        rows = [
            (one.partition, one.offset, one.night, _stamp(one.arrived), one.retry, len(one.value), one.reason)
            for one in ledger.dead_letters()
        ]
    print_rows(("partition", "offset", "night", "arrived", "retry", "bytes", "reason"), rows, form)


@dead_letters_command.command("retry")
@click.option("--schemas", type=Text(), metavar="DIR|URL", help="Where the missing schemas are now.")
@click.option("--all", "everything", is_flag=True, help="Try every dead letter, not only those that lacked a schema.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@state_option
def retry_command(schemas: str | None, everything: bool, as_json: bool, state: State) -> None:
    """Take dead letters through the chain again, for instance when a schema has arrived."""
    from lasair import logs
    from lasair.ledger.model import Counts
    from lasair.ledger.store import letters_as_messages
    from lasair.pipeline import Pipeline
    from lasair.work import batches

    state.must_exist()
    done = Counts()
    with state.writing(), state.ledger() as ledger, state.stores() as stores:
        logs.set_up(state.settings.log_level)
        pipeline = Pipeline(
            state.settings, stores, ledger, schema_source(schemas, (), state.settings), state.definitions
        )
        letters = list(ledger.dead_letters(retry_only=not everything))
        for work in batches(
            letters_as_messages(letters), most_alerts=state.settings.batch_alerts, most_bytes=state.settings.batch_bytes
        ):
            done.add(pipeline.process(work, keep_positions=False).counts)
        left = sum(1 for _ in ledger.dead_letters())
    if as_json:
        print_json({"tried": len(letters), "decoded": done.decoded, "stored": done.stored, "left": left})
    else:
        click.echo(f"{len(letters)} tried, {done.decoded} decoded ({done.stored} new), {left} dead letters left")


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@state_option
def status_command(as_json: bool, state: State) -> int:
    """Show the last alert, how far behind the sky it is, the size of each store and what needs attention.

    A damaged store is named, with what to do, and the others are shown; exit code 1 then.
    """
    state.must_exist()
    facts = _facts(state)
    if as_json:
        print_json(facts)
    else:
        _print_status(facts)
    return 1 if facts["damaged"] else 0


#: What the ledger says, where it cannot be read.
_NO_LEDGER: dict[str, Any] = {
    "alerts": None,
    "ledger_wrong": None,
    "streams": None,
    "dead_letters": None,
    "filters_in_trouble": None,
}
_NO_OBJECTS: dict[str, Any] = {"objects": None, "last_mjd_tai": None, "lag_days": None}


def _facts(state: State) -> dict[str, Any]:
    """What `status --json` prints; null where a damaged store does not tell."""
    from lasair.definitions.snapshot import read_snapshot
    from lasair.schema.model import SURVEYS
    from lasair.stores.files import database_bytes

    damaged: dict[str, str] = {}
    facts: dict[str, Any] = {"state": str(state.path)}
    try:
        facts |= _ledger_facts(state)
    except StoreUnavailable as err:
        damaged["ledger"] = str(err)
        facts |= _NO_LEDGER
    with state.some_stores() as stores:
        # before any is opened, which makes files beside it
        facts["disk_bytes"] = {
            **stores.disk_usage(),
            "ledger": database_bytes(state.path / "ledger.db"),
            "definitions": database_bytes(state.definitions),
        }
        damaged |= stores.damage()
        try:
            facts["surveys"] = {survey: _newest(stores, survey) for survey in SURVEYS}
        except StoreUnavailable as err:
            damaged["objects"] = str(err)
            facts["surveys"] = dict.fromkeys(SURVEYS, _NO_OBJECTS)
    try:
        read_snapshot(state.definitions)
    except StoreUnavailable as err:
        damaged["definitions"] = str(err)
    return {**facts, "damaged": damaged}


def _ledger_facts(state: State) -> dict[str, Any]:
    from lasair.pipeline import total

    with state.ledger() as ledger:
        return {
            "alerts": asdict(total(ledger.books().values())),
            "ledger_wrong": ledger.audit(),
            "streams": len(ledger.topics()),
            "dead_letters": sum(1 for _ in ledger.dead_letters()),
            "filters_in_trouble": [one._asdict() for one in ledger.filter_troubles()],
        }


def _newest(stores: Stores, survey: str) -> dict[str, Any]:
    from lasair.times import unix_to_mjd_tai

    count = stores.objects.count(survey, "objects")
    newest = stores.objects.newest(survey) if count else None
    lag = unix_to_mjd_tai(time.time()) - newest if newest is not None else None
    return {"objects": count, "last_mjd_tai": newest, "lag_days": lag}


def _print_status(facts: dict[str, Any]) -> None:
    echo = click.echo
    echo(f"State {facts['state']}")
    for survey, newest in facts["surveys"].items():
        if newest["objects"]:
            when = (
                f"last alert MJD {newest['last_mjd_tai']:.5f} TAI, {newest['lag_days']:.2f} days ago"
                if newest["last_mjd_tai"] is not None
                else "time of the last alert unknown"
            )
            echo(f"  {survey:<5} {newest['objects']:>10,} objects; {when}")
    alerts, wrong = facts["alerts"], facts["ledger_wrong"]
    if alerts is not None:
        echo(
            f"  {alerts['stored']:,} alerts stored, {alerts['duplicate']:,} duplicates,"
            f" {facts['dead_letters']:,} dead letters"
        )
    for store, size in facts["disk_bytes"].items():
        echo(f"  {store:<12} {size / 1e6:>12,.1f} MB" + ("  DAMAGED" if store in facts["damaged"] else ""))
    for one in facts["filters_in_trouble"] or ():
        echo(f"  filter {one['filter_id']} has failed in {one['batches']} batches: {one['message']}")
    if wrong is not None:
        echo("  the ledger " + ("does not close: " + "; ".join(wrong) if wrong else "closes"))
    for store, problem in facts["damaged"].items():
        say(f"{store} cannot be used: {problem}")


@click.command("expire")
@state_option
def expire_command(state: State) -> None:
    """Remove images, stream messages, dead letters and ids that are older than the settings keep them."""
    from lasair.ledger.store import utc_night

    state.must_exist()
    settings, now = state.settings, time.time()
    with state.writing(), state.ledger() as ledger, state.some_stores(read_only=False) as stores:
        nights = stores.cutouts.expire(utc_night(now - settings.keep_cutout_nights * 86_400))
        removed = ledger.expire(
            now,
            stream_days=settings.keep_stream_days,
            dead_letter_days=settings.keep_dead_letter_days,
            seen_days=settings.keep_seen_days,
        )
    click.echo(
        f"{nights} nights of cutouts, "
        + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in removed.items())
        + " removed"
    )
