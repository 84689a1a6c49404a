"""`lasair stream`: what active filters delivered."""

from __future__ import annotations

import sys
from typing import Any

import click

from lasair.cli.output import format_option, print_rows
from lasair.cli.parameters import Whole
from lasair.cli.state import State, state_option
from lasair.errors import StoreUnavailable


@click.group("stream")
def stream_command() -> None:
    """List and read the streams of active filters."""


@stream_command.command("list")
@format_option("table", "csv", "json")
@state_option
def list_command(form: Any, state: State) -> None:
    """List the streams: their topic, filter, number of messages and size."""
    state.must_exist()
    with state.ledger() as ledger:
        rows = list(ledger.topics())
    print_rows(("topic", "filter_id", "messages", "bytes"), rows, form)


@stream_command.command("read")
@click.argument("topic")
@click.option("--from", "start", type=Whole(), default=0, metavar="OFFSET", help="First offset to read.")
@click.option("--limit", type=Whole(1), help="Most messages.")
@format_option("json", "table", default="json")
@state_option
def read_command(topic: str, start: int, limit: int | None, form: Any, state: State) -> None:
    """Read a stream: one JSON message a line, the oldest first."""
    import lz4.block
    import orjson

    state.must_exist()
    records = []
    with state.ledger() as ledger:
        try:
            for one in ledger.read_topic(topic, start, limit):
                if form == "json":
                    sys.stdout.buffer.write(one.payload + b"\n")
                else:
                    records.append((one.offset, orjson.loads(one.payload)))
                start = one.offset + 1
        except (lz4.block.LZ4BlockError, orjson.JSONDecodeError) as err:
            raise StoreUnavailable(
                f"stream {topic}: the message from offset {start} on is damaged ({err}); restore"
                f" {state.path / 'ledger.db'} from a copy"
            ) from err
    sys.stdout.flush()
    if form == "json":
        return
    names = [name for name, value in (records[0][1].items() if records else ()) if not isinstance(value, dict)]
    print_rows(
        ("offset", *names), [(offset, *(record.get(name) for name in names)) for offset, record in records], "table"
    )
