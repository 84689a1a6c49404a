"""Every compiled query is prepared once on empty tables, before anyone runs it.

SQLite's parser has a stack of its own (100 entries) and a greatest depth of expressions, which brackets in a user's
text reach in ways that are hard to count. So SQLite itself is asked; it sees generated text and no data.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import cache
from threading import Lock

from lasair.errors import BadQuery
from lasair.query.functions import register
from lasair.query.tree import Value
from lasair.schema.model import load_tables
from lasair.schema.sql import create_table

#: the column that tells the alerts of a batch apart, in every table of the batch
ALERT_COLUMN = "_alert"

_lock = Lock()


@cache
def _empty_database(alerts: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    register(connection)
    for table in load_tables():
        extra = (f"{ALERT_COLUMN} INTEGER",) if alerts else ()
        for statement in create_table(table, "sqlite", extra=extra, primary_key=False, indices=False):
            connection.execute(statement)
    return connection


def check_prepares(sql: str, parameters: Mapping[str, Value], *, alerts: bool) -> None:
    """Raise BadQuery when SQLite cannot prepare the statement: the query is nested too deep for it."""
    with _lock:
        connection = _empty_database(alerts)
        try:
            connection.execute(f"EXPLAIN {sql}", parameters).close()
        except sqlite3.OperationalError as err:
            message = f"this query is too deeply nested for the database ({err}): use fewer brackets and functions"
            raise BadQuery(message, part="where", position=0) from err
