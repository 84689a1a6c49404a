"""SQLite files as the embedded stores open them, and their failures as errors a person can act on."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lasair.errors import StoreUnavailable

#: How long a statement waits for another process's write before it gives up.
BUSY_TIMEOUT_S = 10.0

#: A WAL is cut back to this after a checkpoint, so that one huge batch does not keep its space for ever.
_WAL_KEEP_BYTES = 64_000_000


def connect(path: Path, *, durable: bool = True, page_size: int = 4096, read_only: bool = False) -> sqlite3.Connection:
    """Open (and make, with its folder) a database in WAL mode: one writer, any number of readers at the same time.

    The connection is in autocommit mode: what belongs together stands in ``with guarded(path), connection:`` and begins
    with ``connection.execute("BEGIN IMMEDIATE")``. Any thread may use it, one at a time.

    A database that this user may not write is opened for reading (docs/decisions/0006): its first write fails.

    Parameters
    ----------
    path : Path
    durable : True waits for the disk at each commit; False may lose the last commits in a power cut, never in a crash
        of the process, and damages nothing either way
    page_size : bytes, only heeded when the file is new
    read_only : refuse writes, and do not make the file

    Raises
    ------
    StoreUnavailable
        The file cannot be opened or made.
    """
    with guarded(path):
        connection = None
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = _open_to_write(path, page_size)
        if connection is None:
            connection = _open_to_read(path)
        try:
            # NORMAL skips the wait at each commit but keeps the order of writes
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            # some builds overwrite what is deleted; nothing here is secret
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
    return connection


def _open_to_write(path: Path, page_size: int) -> sqlite3.Connection | None:
    """None when the file is there and may not be written."""
    if path.exists() and not _may_write(path):
        return None
    connection = _sqlite(path)
    try:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEEP_BYTES}")
    except BaseException as err:
        connection.close()
        if _is_forbidden(err) and path.is_file():
            return None
        raise
    return connection


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file that exists; see docs/decisions/0006.

    Reading a database in WAL mode takes locks in two files beside it, which SQLite makes when they are not there. Who
    may not make them finds the last writer's (it is at work, or was killed) and can use those; or none, since the last
    writer has put everything into the database itself, which can then be read without locks.
    """
    if not path.is_file():
        raise StoreUnavailable(f"{path} is not there: 'lasair run' makes it, or restore it from a copy")
    if _may_write(path):
        connection = _sqlite(path, "mode=rw")
        try:
            connection.execute("PRAGMA query_only = ON")
            _touch(connection)
            return connection
        except BaseException as err:
            connection.close()
            if not _is_forbidden(err):
                raise
    if _has_journal(path):
        connection = _sqlite(path, "mode=ro")
    else:
        connection = _sqlite(path, "mode=ro&immutable=1", _Unlocked)
        assert isinstance(connection, _Unlocked)
        connection.watch(path)
    try:
        _touch(connection)
    except sqlite3.OperationalError as err:
        connection.close()
        if _is_forbidden(err) and _has_journal(path):
            raise _journal_out_of_reach(path) from err
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _journal_out_of_reach(path: Path) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path}: its last changes lie in {path.name}-wal, which cannot be read without the right to write in"
        f" {path.parent}; run 'lasair status' once as a user who may"
    )


class _Watch:
    """A file that is read without locks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._now()

    def check(self) -> None:
        """StoreUnavailable when another process has written to the file since the watch began."""
        if self._now() != self._seen:
            raise StoreUnavailable(
                f"{self._path}: another process wrote while it was read without the right to lock it; run the command"
                " again"
            )

    def _now(self) -> tuple[int, ...]:
        found = self._path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns


class _Unlocked(sqlite3.Connection):
    """A connection without locks, which sees when it is closed whether what it read may have been half-written."""

    _watch: _Watch | None = None

    def watch(self, path: Path) -> None:
        """Begin to watch the file."""
        self._watch = _Watch(path)

    def close(self) -> None:
        """Close it; StoreUnavailable when another process has written to the file since it was opened."""
        super().close()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.check()


def _sqlite(path: Path, how: str = "", kind: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    # absolute: some builds of SQLite take any name that begins with "file:" for an address
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}" if how else path.absolute(),
        uri=bool(how),
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        factory=kind,
    )


def _touch(connection: sqlite3.Connection) -> None:
    """Read something, which SQLite puts off until it must."""
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _has_journal(path: Path) -> bool:
    """Whether changes lie beside the database that are not in it yet."""
    journal = path.with_name(path.name + "-wal")
    return journal.exists() and journal.stat().st_size > 0


def _may_write(path: Path) -> bool:
    # asked, not tried: closing any handle on a file takes away the locks of this process's other connections to it
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _is_forbidden(err: BaseException) -> bool:
    return getattr(err, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def require_tables(connection: sqlite3.Connection, path: Path, tables: Mapping[str, Iterable[str]]) -> None:
    """Raise StoreUnavailable when a table or a column of it is missing, as in a file that was cut to nothing."""
    for table, columns in tables.items():
        there = {row[0] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        if not there:
            raise StoreUnavailable(f"{path} has no table {table}; {_DAMAGED}")
        missing = [name for name in columns if name not in there]
        if missing:
            raise StoreUnavailable(f"{path} has no column {missing[0]} in table {table}; {_DAMAGED}")


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn failures of the file system or of SQLite at `path` into StoreUnavailable with advice.

    What only a fault of ours can cause (wrong SQL, a broken constraint) is left as it is.
    """
    try:
        with guarded_sqlite(path):
            yield
    except UnicodeDecodeError as err:
        # in the name of a thing that SQLite complains about
        raise StoreUnavailable(f"{path}: text that is not UTF-8; {_DAMAGED}") from err
    except OSError as err:
        raise StoreUnavailable(f"{err.filename or path}: {err.strerror or err}; {_advice_for_os(err)}") from err


@contextmanager
def guarded_sqlite(path: Path) -> Iterator[None]:
    """As `guarded`, for SQLite's failures only: within, other things may fail for reasons of their own."""
    try:
        yield
    except sqlite3.DatabaseError as err:
        advice = _advice_for_sqlite(err)
        if not advice:
            raise
        raise StoreUnavailable(f"{path}: {err}; {advice}") from err


_FULL = "free space on that disk, then run again: nothing of this batch was committed"
_READ_ONLY = "make the folder and its files writable for this user, or choose another state folder"
_IN_USE = "another process is writing there; wait for it, or use another state folder"
_DAMAGED = (
    "the file is damaged or not Lasair's: restore it from a copy, or run the packets again into another state folder"
)

#: by SQLite's primary result code
_SQLITE_ADVICE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: "the disk is full or failing: " + _FULL,
    sqlite3.SQLITE_BUSY: _IN_USE,
    sqlite3.SQLITE_LOCKED: _IN_USE,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_PROTOCOL: _IN_USE,
    sqlite3.SQLITE_NOMEM: "there is not enough memory: use smaller batches",
}


def _advice_for_sqlite(err: sqlite3.DatabaseError) -> str:
    if str(err).startswith("Could not decode to UTF-8"):
        return _DAMAGED
    # extended codes keep the primary one in their low byte
    return _SQLITE_ADVICE.get(getattr(err, "sqlite_errorcode", 0) & 0xFF, "")


def _advice_for_os(err: OSError) -> str:
    if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return _FULL
    if err.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST):
        return _READ_ONLY
    return "the disk or its mount fails: see the system's log, then run again"


def database_bytes(path: Path) -> int:
    """Size of a database and of the files beside it, 0 when there is none."""
    return sum(_bytes(one) for one in path.parent.glob(path.name + "*"))


def file_bytes(folder: Path) -> int:
    """Size of all files under `folder`, 0 when there is none."""
    return sum(_bytes(path) for path in folder.rglob("*"))


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        # a journal that its writer has just removed
        return 0


def require_sound(connection: sqlite3.Connection, path: Path) -> None:
    """Look through a whole database; StoreUnavailable when it is damaged."""
    with guarded(path):
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreUnavailable(f"{path} is damaged ({verdict}): restore it from a copy")


def attach_read_only(connection: sqlite3.Connection, path: Path, name: str) -> Callable[[], None] | None:
    """Attach a database that exists to a connection made with ``connect(read_only=True)``, to be read only.

    Where this user may not write, the same holds as for a database that is opened alone (docs/decisions/0006).

    Parameters
    ----------
    connection : sqlite3.Connection
        Not within a transaction.
    path : Path
    name : what statements call the database

    Returns
    -------
    None; or, where no locks can be taken, a function to call when something was read: it raises StoreUnavailable when
    another process has written to the file since it was attached. What others write later is not seen then.

    Raises
    ------
    StoreUnavailable
        The file cannot be read.
    """

    def attach(how: str) -> None:
        connection.execute(f"ATTACH ? AS {name}", (f"{path.absolute().as_uri()}?{how}",))
        try:
            connection.execute(f"SELECT count(*) FROM {name}.sqlite_master").fetchone()
        except BaseException:
            connection.execute(f"DETACH {name}")
            raise

    with guarded(path):
        if not path.is_file():
            raise StoreUnavailable(f"{path} is not there: restore it from a copy")
        if _may_write(path):
            try:
                connection.execute("PRAGMA query_only = ON")
                attach("mode=rw")
                return None
            except sqlite3.DatabaseError as err:
                if not _is_forbidden(err):
                    raise
        if not _has_journal(path):
            watched = _Watch(path)
            attach("mode=ro&immutable=1")
            return watched.check
        try:
            attach("mode=ro")
        except sqlite3.OperationalError as err:
            if _is_forbidden(err):
                raise _journal_out_of_reach(path) from err
            raise
        return None
