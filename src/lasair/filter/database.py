"""The batch as an SQL database: SQLite in memory, a row of `objects` for each alert."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lasair.packets.batch import Columns
from lasair.query.functions import register
from lasair.query.limits import SQLITE_FUNCTIONS
from lasair.schema.model import Column, Survey, Table, object_key, tables
from lasair.schema.sql import create_table, quote
from lasair.stores.rows import to_rows

#: What a statement reads: (table in the database, column).
Reads = frozenset[tuple[str, str]]

#: Values of a statement's placeholders, by name or in order.
Parameters = Mapping[str, Any] | Sequence[Any]

#: Column of every table: index of the alert that the row belongs to.
ALERT = "_alert"
_ALERT_COLUMN = Column(ALERT, "int", doc="Index of the alert among those evaluated.", origin="lasair", absent="never")

#: Most bytes of one value; a statement of a user cannot fill the memory with one text.
_LONGEST_VALUE = 16_000_000

#: SQL statements that stay compiled: more than any number of active filters that one machine can run.
_STATEMENTS = 4096


class _Guard:
    """SQLite asks it when a statement is compiled: users' statements may read, and call what the compiler uses.

    It stays installed, since SQLite compiles all statements anew when its authorizer changes: with 100 filters that
    costs more than running them.
    """

    def __init__(self, readable: Collection[str]) -> None:
        self._readable = frozenset(readable)
        self.user = False
        self.seen: set[tuple[str, str]] = set()
        self.selects = 0

    def __call__(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if not self.user:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_SELECT:
            self.selects += 1
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and first in self._readable:
            self.seen.add((first, second or ""))
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in SQLITE_FUNCTIONS:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY


def _survey_tables(survey: Survey) -> dict[str, Table]:
    """The survey's tables with their `_alert`, by the name users write; aliases left out.

    Where a table has one row an object, `_alert` is its key and thereby SQLite's own row number: joins on it cost
    nothing, and a scan of `objects` goes through the alerts in their order. Other tables have any number of rows an
    alert and no key but an index on it: a batch may hold two alerts of one object, or of one transient of the TNS.
    """
    found = {}
    for table in tables(survey).values():
        single = table.primary_key == (object_key(survey),)
        found[table.name] = replace(
            table,
            columns=(_ALERT_COLUMN, *table.columns),
            primary_key=(ALERT,) if single else (),
            keys=() if single else ((ALERT,),),
            aliases=(),
        )
    return found


class _Connection:
    """An in-memory database of one survey's tables with the functions and limits of users' statements."""

    def __init__(self, survey: Survey, *, statements: int = _STATEMENTS) -> None:
        self.tables = _survey_tables(survey)
        self.physical = {table.physical: name for name, table in self.tables.items()}
        self.sqlite = sqlite3.connect(":memory:", isolation_level=None, cached_statements=statements)
        self.sqlite.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        self.sqlite.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        register(self.sqlite)
        self.guard = _Guard(self.physical)
        self.sqlite.set_authorizer(self.guard)

    def create(self, table: Table) -> None:
        """Make the table, empty."""
        self.sqlite.execute(f"DROP TABLE IF EXISTS {quote(table.physical, 'sqlite')}")
        for statement in create_table(table, "sqlite", primary_key=bool(table.primary_key)):
            self.sqlite.execute(statement)


class Reader:
    """Says what users' statements read, and refuses those that do more than read."""

    def __init__(self, survey: Survey) -> None:
        # the guard is not asked about a statement that is compiled already, such as that of a like filter
        self._connection = _Connection(survey, statements=0)
        for table in self._connection.tables.values():
            self._connection.create(table)

    def reads(self, sql: str, parameters: Parameters) -> Reads:
        """Tables and columns that a statement reads.

        Raises sqlite3.Error when it is wrong, names what is not there, or does anything but read.
        """
        guard = self._connection.guard
        guard.user, guard.seen, guard.selects = True, set(), 0
        try:
            self._connection.sqlite.execute(f"EXPLAIN {sql}", parameters).close()
        finally:
            guard.user = False
        if not guard.selects:  # some statements (VACUUM) are compiled without a question
            raise sqlite3.DatabaseError("not a SELECT")
        return frozenset(guard.seen)


class BatchDatabase:
    """The tables of one batch, and of the next after it: filters of one survey run on them.

    Only the columns that filters read are loaded: 129 columns take three times as long to load as the 40 that a
    hundred filters use, and are slower to scan.
    """

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self._connection = _Connection(survey)
        #: columns of each table as it was made
        self._shapes: dict[str, Table] = {}

    @property
    def sqlite(self) -> sqlite3.Connection:
        """The connection; statements of users run by `user_statement`."""
        return self._connection.sqlite

    def load(self, batch_tables: Mapping[str, Columns], reads: Iterable[Reads] | None = None) -> None:
        """Replace what the database holds.

        Parameters
        ----------
        batch_tables : name of the table as users write it -> columns
            One with a row for each evaluated alert, in their order, needs no ``_alert`` where the table has one row
            an object; the others (hits, annotations, tags, TNS) always need it.
        reads : what the filters read that will run; None loads everything

        Raises
        ------
        ValueError
            Columns of different lengths, or rows of hits that do not say whose they are.
        """
        used = None if reads is None else Counter(one for some in reads for one in some)
        self._connection.guard.user = False
        for name, table in self._connection.tables.items():
            shape = self._shape(table, used)
            if shape is None:
                continue
            if set(self._shapes.get(name, table).column_names) != set(shape.column_names) or name not in self._shapes:
                self._connection.create(shape)
                self._shapes[name] = shape
            else:
                self.sqlite.execute(f"DELETE FROM {quote(table.physical, 'sqlite')}")
            self._insert(self._shapes[name], batch_tables.get(name))

    def _shape(self, table: Table, used: Counter[tuple[str, str]] | None) -> Table | None:
        """The table with the columns that are used, the most used first, where SQLite finds them fastest."""
        if used is None:
            return table
        counts = {column: used[table.physical, column] for column in table.column_names}
        if not any(counts.values()) and not any(physical == table.physical for physical, _ in used):
            return None
        kept = [column for column in table.columns[1:] if counts[column.name]]
        kept.sort(key=lambda column: -counts[column.name])
        return replace(table, columns=(_ALERT_COLUMN, *kept))

    def _insert(self, shape: Table, columns: Columns | None) -> None:
        if not columns:
            return
        n = len(next(iter(columns.values())))
        if n and not shape.primary_key and ALERT not in columns:
            raise ValueError(f"table {shape.name!r} may have several rows an alert, so its columns need {ALERT}")
        present = {name: columns[name] for name in shape.column_names if name in columns}
        present.setdefault(ALERT, np.arange(n, dtype=np.int64))
        held = replace(shape, columns=tuple(column for column in shape.columns if column.name in present))
        names = ", ".join(quote(name, "sqlite") for name in held.column_names)
        marks = ", ".join("?" * len(held.columns))
        statement = f"INSERT INTO {quote(shape.physical, 'sqlite')} ({names}) VALUES ({marks})"
        self.sqlite.execute("BEGIN")
        try:
            self.sqlite.executemany(statement, to_rows(held, present))
        except BaseException:
            self.sqlite.execute("ROLLBACK")
            raise
        self.sqlite.execute("COMMIT")

    def user_statement(self, sql: str, parameters: Parameters) -> sqlite3.Cursor:
        """Run a statement that may only read; sqlite3.DatabaseError when it would do more."""
        guard = self._connection.guard
        guard.user = True
        try:
            return self.sqlite.execute(sql, parameters)
        finally:
            guard.user = False

    def close(self) -> None:
        """Free the memory."""
        self.sqlite.close()
