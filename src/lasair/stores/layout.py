"""The main database as SQLite tables: the schema's, with columns that users do not see."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.schema import sql
from lasair.schema.model import POSITION, SURVEYS, Table, load_tables, object_key
from lasair.schema.model import table as schema_table
from lasair.stores.protocols import Versions

#: Tables whose rows come from alerts: they remember the version of the alert, and an older one does not replace them.
VERSIONED = ("objects", "sherlock_classifications")

#: Tables that are kept in `marks.db`, where programs and people write without waiting for batches.
MARKS = ("annotations", "tag_hits")

#: Version of the alert that a row comes from.
VERSION = {"_mjd_tai": "REAL", "_alert_id": "INTEGER", "_n_rows": "INTEGER"}

#: Version of the list that a hit comes from; rows put without one are older than any.
LIST_VERSION = "_list_version"

#: Tables of hits, and the column that says which list was hit.
LIST_COLUMN = {"watchlist_hits": "wl_id", "area_hits": "ar_id", "mma_area_hits": "mw_id"}

#: Where the state of each list stands: its newest version, and how far stored objects were matched with it.
LISTS = {
    "kind": "TEXT NOT NULL",
    "list_id": "INTEGER NOT NULL",
    "version": "INTEGER NOT NULL",
    "matched": "INTEGER NOT NULL DEFAULT 0",
    "place": "BLOB",
    # of events: whether filters have run on the objects that it tagged when it was matched
    "told": "INTEGER NOT NULL DEFAULT 1",
}

#: SQL of the time of a write, as the schema's timestamps have it.
NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"

_KEYS = 512  # most keys in one statement


def quote(name: str) -> str:
    """An identifier as SQLite takes it."""
    return sql.quote(name, "sqlite")


def names_of(columns: Sequence[str]) -> str:
    """Identifiers, separated by commas."""
    return ", ".join(map(quote, columns))


def main_tables() -> tuple[Table, ...]:
    """The schema's tables that are kept in the main database."""
    return tuple(one for one in load_tables() if one.name not in MARKS)


def table_of(survey: str, table: str) -> Table:
    """A table of the main database; ValueError when there is no such survey, or the table is kept elsewhere."""
    for one in SURVEYS:
        if one == survey:
            found = schema_table(table, one)
            if found.name in MARKS:
                raise ValueError(f"{found.physical} is kept in marks.db, not in the main database")
            return found
    raise ValueError(f"no survey {survey!r}; there are {', '.join(SURVEYS)}")


def row_key(table: Table) -> str:
    """The column by which rows are asked for: the object, of `crossmatch_tns` the name."""
    return object_key(table.survey) if table.survey else table.primary_key[0]


def hidden(table: Table) -> dict[str, str]:
    """Columns of a table that users do not see, with their SQL types."""
    found = {}
    if table.name in LIST_COLUMN:
        found[LIST_VERSION] = "INTEGER NOT NULL DEFAULT 0"
    # an event's hit is the only one that outlives the alert it comes from
    if table.name in (*VERSIONED, "mma_area_hits"):
        found |= VERSION
    return found


def all_columns() -> dict[str, tuple[str, ...]]:
    """Columns by table, as the database names them."""
    return {
        "schema_version": ("version",),
        "lists": tuple(LISTS),
        **{one.physical: (*one.column_names, *hidden(one)) for one in main_tables()},
    }


def definitions() -> list[str]:
    """Statements that make all tables and indices."""
    columns = ", ".join(f"{name} {form}" for name, form in LISTS.items())
    found = [
        "CREATE TABLE IF NOT EXISTS schema_version (version TEXT PRIMARY KEY) WITHOUT ROWID",
        f"CREATE TABLE IF NOT EXISTS lists ({columns}, PRIMARY KEY (kind, list_id)) WITHOUT ROWID",
    ]
    for one in main_tables():
        extra = tuple(f"{name} {form}" for name, form in hidden(one).items())
        found += sql.create_table(replace(one, keys=_indices(one)), "sqlite", extra=extra)
    return found


def _indices(table: Table) -> tuple[tuple[str, ...], ...]:
    if table.name in LIST_COLUMN:
        # what an older version of a list left is found at once
        mine = (LIST_COLUMN[table.name],)
        return tuple((*one, LIST_VERSION) if one == mine else one for one in table.keys)
    if table.name == "objects" and table.survey:
        ra, decl = POSITION[table.survey]
        # All that a cone search and a list that is matched ask for, so that neither reads the wide rows; and an order
        # in which one can go on after any object.
        return (*table.keys, (decl, ra, *table.primary_key, *VERSION))
    return table.keys


@cache
def shape_of(survey: str, table: str, names: tuple[str, ...]) -> Table:
    """The table with the columns `names`, in their order, versions included."""
    where = table_of(survey, table)
    template = where.columns[0]
    return replace(
        where,
        columns=tuple(replace(template, name=n, type="bigint") if n in VERSION else where.column(n) for n in names),
    )


@cache
def upsert(survey: str, table: str, names: tuple[str, ...], newer: tuple[str, ...] = ()) -> str:
    """INSERT of the columns `names`, or UPDATE of the row of the same key.

    With `newer` it updates only when the new row's values of these columns are together equal or greater; a stored
    row without them gives way to any.
    """
    where = table_of(survey, table)
    written_at = [
        one.name for one in where.columns if one.type == "timestamp" and not one.nullable and one.name not in names
    ]
    others = [quote(name) for name in (*names, *written_at) if name not in where.primary_key]
    target = quote(where.physical)
    statement = (
        f"INSERT INTO {target} ({names_of(names)}) VALUES ({', '.join('?' * len(names))})"
        f" ON CONFLICT ({names_of(where.primary_key)})"
    )
    if not others:
        return statement + " DO NOTHING"
    statement += " DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in others)
    if newer:
        given = ", ".join(f"excluded.{name}" for name in newer)
        stored = ", ".join(f"{target}.{name}" for name in newer)
        unknown = f"{target}._mjd_tai IS NULL OR " if "_mjd_tai" in newer else ""
        statement += f" WHERE {unknown}({given}) >= ({stored})"
    return statement


def newest(keys: NDArray[Any], versions: Versions) -> tuple[NDArray[np.int64], Versions]:
    """Index of the greatest version of each key, in order of keys, and these versions (an unknown time is -inf)."""
    mjd = known_times(versions.mjd_tai)
    _, codes = np.unique(keys, return_inverse=True)
    order = np.lexsort((versions.n_rows, versions.alert_id, mjd, codes))
    last = np.flatnonzero(np.diff(codes[order], append=-1))
    keep = order[last]
    return keep, Versions(mjd[keep], versions.alert_id[keep], versions.n_rows[keep])


def known_times(mjd_tai: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times in which an unknown one is older than any."""
    return np.where(np.isnan(mjd_tai), -np.inf, mjd_tai)


def select_in(db: sqlite3.Connection, statement: str, keys: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of a SELECT for many keys.

    Parameters
    ----------
    db : sqlite3.Connection
    statement : SELECT with ``{keys}`` in the place of the list of keys
    keys : any number
    """
    for start in range(0, len(keys), _KEYS):
        some = tuple(keys[start : start + _KEYS])
        # few lengths, so that SQLite compiles few statements
        room = 1 << (len(some) - 1).bit_length()
        filled = some + some[-1:] * (room - len(some))
        yield from db.execute(statement.replace("{keys}", ", ".join("?" * room)), filled)
