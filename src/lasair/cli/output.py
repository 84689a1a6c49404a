"""Rows for people and for scripts: table, csv, json, parquet."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from lasair.errors import StoreUnavailable

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
    names: Sequence[str], rows: Iterable[Sequence[Any]], form: Format, *, output: Path | None = None
) -> None:
    """Print rows, or write them to `output`. Parquet is binary: without `output` it goes to stdout as bytes."""
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
        _emit(_parquet(names, rows), output)
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


def _parquet(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    table = pa.table(
        {name: pa.array([plain(value) for value in column]) for name, column in zip(names, columns, strict=True)}
    )
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
