"""Rows for people and for scripts: table, csv, json, parquet."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from lasair.errors import StoreUnavailable

if TYPE_CHECKING:
    from lasair.query.tree import Kind

F = TypeVar("F", bound=Callable[..., Any])

Format = Literal["table", "csv", "json", "parquet"]


def plain(value: Any) -> Any:
    """A value as JSON has it: NaN and infinities are null, numpy scalars are Python's."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value


def cell(value: Any) -> str:
    """A value as CSV has it: missing is empty, floats with all their digits."""
    value = plain(value)
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    value = plain(value)
    if value is None:
        return "-"
    return (
        f"{value:.6g}"
        if isinstance(value, float) and abs(value) < 1e4
        else f"{value:.5f}"
        if isinstance(value, float)
        else str(value)
    )


def print_rows(
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    form: Format,
    *,
    output: Path | None = None,
    kinds: Sequence[Kind] | None = None,
) -> None:
    """Print rows, or write them to `output`. Parquet is binary: without `output` it goes to stdout as bytes.

    `kinds` are the types of the columns, which Parquet needs: they do not depend on the rows.
    """
    if form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([[cell(value) for value in row] for row in rows])
        _emit(text.getvalue().encode(), output)
    elif form == "json":
        import orjson

        records = [{name: plain(value) for name, value in zip(names, row, strict=True)} for row in rows]
        _emit(orjson.dumps(records, option=orjson.OPT_INDENT_2) + b"\n", output)
    elif form == "parquet":
        assert kinds is not None
        _emit(_parquet(names, kinds, rows), output)
    else:
        _emit(_table(names, list(rows)).encode(), output)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    import orjson

    _emit(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY, default=plain) + b"\n", None)


def _emit(data: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    try:
        output.write_bytes(data)
    except OSError as err:
        raise StoreUnavailable(f"cannot write {output}: {err.strerror}") from err


def _parquet(names: Sequence[str], kinds: Sequence[Kind], rows: Iterable[Sequence[Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "int": pa.int64(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "text": pa.string(),
        "time": pa.timestamp("us", "UTC"),
        "json": pa.string(),
        "null": pa.null(),
    }
    readers: dict[Kind, Callable[[Any], Any]] = {"bool": bool, "time": datetime.fromisoformat}
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    arrays = {}
    for name, kind, column in zip(names, kinds, columns, strict=True):
        read = readers.get(kind, plain)
        values = [None if plain(value) is None else read(value) for value in column]
        arrays[name] = pa.array(values, types[kind])
    table = pa.table(arrays)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _table(names: Sequence[str], rows: list[Sequence[Any]]) -> str:
    texts = [[_short(value) for value in row] for row in rows]
    widths = [
        max(len(name), *(len(row[i]) for row in texts), 0) if texts else len(name) for i, name in enumerate(names)
    ]
    numeric = [
        bool(rows) and all(isinstance(plain(row[i]), int | float | None) for row in rows) for i in range(len(names))
    ]

    def line(cells: Sequence[str]) -> str:
        pads = [c.rjust(w) if right else c.ljust(w) for c, w, right in zip(cells, widths, numeric, strict=True)]
        return "  ".join(pads).rstrip() + "\n"

    return line(names) + line(["─" * width for width in widths]) + "".join(line(row) for row in texts)


def format_option(*choices: str, default: str = "table") -> Callable[[F], F]:
    """The ``--format`` option."""
    return click.option(
        "--format", "form", type=click.Choice(choices), default=default, show_default=True, help="Form of the output."
    )


def say(text: str) -> None:
    """A remark for a person, on stderr, so that it never mixes with rows."""
    click.echo(text, err=True)


@contextmanager
def progress_bar(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error, nothing elsewhere; gives a function that is told of work done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
