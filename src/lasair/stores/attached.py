"""`marks.db` as queries on the main database see it: attached to their connection, to be read only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lasair.schema import sql
from lasair.schema.model import load_tables
from lasair.stores.files import attach_read_only, guarded, require_tables
from lasair.stores.layout import MARKS

_NAME = "marks"
_TABLES = tuple(one for one in load_tables() if one.name in MARKS)


class AttachedMarks:
    """Annotations and tags for the statements of one connection, which is given to each call.

    Where there is no `marks.db` (nobody has annotated or tagged anything) its tables are empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: file that is attached (device and inode; None: nothing yet, (): the empty tables)
        self._attached: tuple[int, ...] | None = None
        #: where no locks hold
        self._check: Callable[[], None] | None = None

    @staticmethod
    def needed(statement: str) -> bool:
        """Whether a statement names one of the tables; it may say so of one that does not."""
        lower = statement.lower()
        return any(one.physical in lower for one in _TABLES)

    def attach(self, connection: sqlite3.Connection) -> None:
        """Have the tables as they are now.

        Raises
        ------
        StoreUnavailable
            The file is there but cannot be read, or is not what it should be.
        """
        with guarded(self.path):
            there = self._there()
            # without locks each statement needs the file anew, to see what was written since
            if there == self._attached and self._check is None:
                return
            self._detach(connection)
            if there:
                self._check = attach_read_only(connection, self.path, _NAME)
                self._attached = there
                try:
                    require_tables(connection, self.path, {one.physical: one.column_names for one in _TABLES})
                except BaseException:
                    self._detach(connection)
                    raise
            else:
                _attach_empty(connection)
                self._attached = ()

    @contextmanager
    def reading(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Within, a statement reads the tables.

        Raises
        ------
        StoreUnavailable
            The file is damaged, or what was read may have been half-written (see `files.attach_read_only`).
        """
        try:
            yield
        except sqlite3.DatabaseError as err:
            # SQLite does not say which of two files it has stumbled over
            if getattr(err, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT and self._is_damaged(connection):
                with guarded(self.path):
                    raise
            raise
        if self._check is not None:
            self._check()

    def _is_damaged(self, connection: sqlite3.Connection) -> bool:
        try:
            return bool(connection.execute(f"PRAGMA {_NAME}.quick_check(1)").fetchone()[0] != "ok")
        except sqlite3.DatabaseError:
            return True

    def _there(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return ()
        return found.st_dev, found.st_ino

    def _detach(self, connection: sqlite3.Connection) -> None:
        if self._attached is not None:
            connection.execute(f"DETACH {_NAME}")
            self._attached, self._check = None, None


def _attach_empty(connection: sqlite3.Connection) -> None:
    (reads_only,) = connection.execute("PRAGMA query_only").fetchone()
    connection.execute(f"ATTACH ':memory:' AS {_NAME}")
    connection.execute("PRAGMA query_only = OFF")
    try:
        for one in _TABLES:
            (statement,) = sql.create_table(one, "sqlite", indices=False)
            connection.execute(statement.replace("EXISTS ", f"EXISTS {_NAME}.", 1))
    except BaseException:
        connection.execute(f"DETACH {_NAME}")
        raise
    finally:
        connection.execute(f"PRAGMA query_only = {reads_only}")
