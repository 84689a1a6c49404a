"""SQLite files as the embedded stores open them, and their failures as errors a person can act on."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
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
        if read_only:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA page_size = {page_size}")
            if not read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEEP_BYTES}")
            # NORMAL skips the wait at each commit but keeps the order of writes
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            # some builds overwrite what is deleted; nothing here is secret
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn failures of the file system or of SQLite at `path` into StoreUnavailable with advice.

    What only a fault of ours can cause (wrong SQL, a broken constraint) is left as it is.
    """
    try:
        yield
    except sqlite3.DatabaseError as err:
        advice = _advice_for_sqlite(err)
        if not advice:
            raise
        raise StoreUnavailable(f"{path}: {err}; {advice}") from err
    except OSError as err:
        raise StoreUnavailable(f"{err.filename or path}: {err.strerror or err}; {_advice_for_os(err)}") from err


_FULL = "free space on that disk, then run again: nothing of this batch was committed"
_READ_ONLY = "make the folder and its files writable for this user, or choose another state folder"
_IN_USE = "another process is writing there; wait for it, or use another state folder"
_DAMAGED = "the file is damaged or not Lasair's: restore it from a copy, or move it away and run the packets again"


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
    # extended codes keep the primary one in their low byte
    return _SQLITE_ADVICE.get(getattr(err, "sqlite_errorcode", 0) & 0xFF, "")


def _advice_for_os(err: OSError) -> str:
    if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return _FULL
    if err.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST):
        return _READ_ONLY
    return "the disk or its mount fails: see the system's log, then run again"


def file_bytes(folder: Path) -> int:
    """Size of all files under `folder`, 0 when there is none."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            # a journal that its writer has just removed
            continue
    return total
