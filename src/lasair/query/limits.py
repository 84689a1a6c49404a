"""What a user's query may cost: size of the text, tables, time; and the SQLite side of the sandbox."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lasair.errors import BadQuery

#: characters of one clause
MAX_TEXT = 4096
#: words and signs of one clause
MAX_LEXEMES = 2000
#: brackets and CASEs inside one another
MAX_NESTING = 24
#: NOT, - and + directly before one another
MAX_PREFIXES = 8
#: operators inside one another
MAX_DEPTH = 120
#: operations of one expression
MAX_NODES = 5000
#: tables listed, objects included: each can multiply the rows
MAX_TABLES = 12
#: columns of the result
MAX_COLUMNS = 500
#: entries of one IN list
MAX_IN = 1000
#: characters of a LIKE pattern, and % in it: matching costs their product with the text
MAX_LIKE = 256
MAX_LIKE_WILDCARDS = 12
#: characters a text can grow to by CONCAT and REPLACE
MAX_TEXT_RESULT = 1_000_000
#: characters of the generated SQL
MAX_SQL = 200_000

#: SQLite checks the clock after this many of its instructions (some tens of microseconds).
_PROGRESS_STEPS = 20_000

_ALLOWED_ACTIONS = frozenset([sqlite3.SQLITE_SELECT])

#: Functions that generated SQLite text uses; the authorizer refuses all others.
SQLITE_FUNCTIONS = frozenset(
    [
        "abs",
        "acos",
        "asin",
        "atan",
        "atan2",
        "avg",
        "ceil",
        "coalesce",
        "cos",
        "count",
        "degrees",
        "exp",
        "floor",
        "instr",
        "json_type",
        "json_valid",
        "lasair_std",
        "length",
        "like",
        "ln",
        "log10",
        "log2",
        "lower",
        "max",
        "min",
        "mod",
        "nullif",
        "pow",
        "radians",
        "replace",
        "sign",
        "sin",
        "sqrt",
        "substr",
        "sum",
        "tan",
        "trim",
        "trunc",
        "upper",
        "->",
        "->>",
    ]
)


@contextmanager
def read_only(connection: sqlite3.Connection, tables: Iterable[str]) -> Iterator[None]:
    """Within, the connection can only SELECT from `tables` (names in the database), with functions of compiled queries.

    This is the second wall: compiled SQL asks for nothing else. Anything more raises sqlite3.DatabaseError.
    """
    readable = {name.lower() for name in tables}

    def allow(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
        if action in _ALLOWED_ACTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and (first or "").lower() in readable:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in SQLITE_FUNCTIONS:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(allow)
    try:
        yield
    finally:
        connection.set_authorizer(None)


@contextmanager
def time_limit(connection: sqlite3.Connection, seconds: float, what: str = "the query") -> Iterator[None]:
    """Within, statements on the connection are stopped after `seconds` of wall time in all.

    Raises
    ------
    BadQuery
        "<what> took longer than <seconds> s"; rows fetched until then are lost.
    """
    end = time.monotonic() + seconds
    late = False

    def overdue() -> int:
        nonlocal late
        late = late or time.monotonic() > end
        return int(late)

    connection.set_progress_handler(overdue, _PROGRESS_STEPS)
    try:
        yield
    except sqlite3.OperationalError as err:
        if late:
            raise BadQuery(f"{what} took longer than {seconds:g} s; narrow it or ask for less") from err
        raise
    finally:
        connection.set_progress_handler(None, 0)


def mariadb_session(time_limit_s: float, *, max_join_rows: int = 200_000_000) -> list[str]:
    """Statements that bound every later query of a MariaDB session: time, and rows that a join may visit.

    The account should be read-only besides (SELECT on the tables, EXECUTE on the functions of `functions.py`).
    """
    return [
        f"SET SESSION max_statement_time = {time_limit_s:.3f}",
        f"SET SESSION max_join_size = {max_join_rows:d}",
        "SET SESSION sql_mode = ''",
        "SET SESSION TRANSACTION READ ONLY",
    ]
