"""Columns of a batch as rows for an SQL driver."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.packets.batch import Columns
from lasair.schema.model import INT_MISSING, Column, Table


def to_rows(table: Table, columns: Columns) -> list[tuple[Any, ...]]:
    """Rows in the order of ``table.columns``, with Python's own types.

    Parameters
    ----------
    table : Table
    columns : equally long arrays by name; of a column of the table that is not there all values are None, and what is
        no column of the table is left out

    Returns
    -------
    n tuples; INT_MISSING and empty texts are None. NaN stays: SQLite stores it as NULL.
    """
    n = len(next(iter(columns.values()))) if columns else 0
    return list(zip(*(_values(column, columns.get(column.name), n) for column in table.columns), strict=True))


def _values(column: Column, values: NDArray[Any] | None, n: int) -> list[Any]:
    if values is None:
        return [None] * n
    if len(values) != n:
        raise ValueError(f"column {column.name!r} has {len(values)} values, others have {n}")
    kind = values.dtype.kind
    found: list[Any] = values.tolist()
    if kind == "i" and (values == INT_MISSING).any():
        for i in np.flatnonzero(values == INT_MISSING).tolist():
            found[i] = None
    elif kind == "S":
        found = [one.decode("utf-8", "replace") or None for one in found]
    elif kind == "U" or (kind == "O" and column.is_text):
        found = [one or None for one in found]
    return found
