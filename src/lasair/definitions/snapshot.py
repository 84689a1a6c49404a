"""The filters that are active, read straight from the definitions' database: no Django, no lock held."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from lasair.definitions.filter_file import Output
from lasair.errors import StoreUnavailable
from lasair.schema.model import Survey

#: Tables of the Django models; models.py takes them from here.
FILTER_TABLE = "definitions_filter"
VERSION_TABLE = "definitions_filterversion"

#: Longest wait for a writer [s].
_TIMEOUT_S = 10.0


class ActiveFilter(NamedTuple):
    """One version of a filter that runs on every batch."""

    filter_id: int
    version_id: int
    #: of the version, from 1
    number: int
    name: str
    owner_id: int
    survey: Survey
    select: str
    tables: str
    where: str
    order_by: str
    output: Output
    topic: str
    #: bytes a UTC day, -1 for no limit, None for the setting
    byte_quota: int | None


class Snapshot(NamedTuple):
    """All active filters of both surveys at one moment, by filter id."""

    #: changes when, and only when, what is active changes
    version: str
    filters: tuple[ActiveFilter, ...]


#: Where each field of ActiveFilter lies, in its order: (table, column). A test holds this against the models.
SOURCES: dict[str, tuple[str, str]] = {
    "filter_id": (FILTER_TABLE, "id"),
    "version_id": (VERSION_TABLE, "id"),
    "number": (VERSION_TABLE, "number"),
    "name": (FILTER_TABLE, "name"),
    "owner_id": (FILTER_TABLE, "owner_id"),
    "survey": (FILTER_TABLE, "survey"),
    "select": (VERSION_TABLE, "select"),
    "tables": (VERSION_TABLE, "tables"),
    "where": (VERSION_TABLE, "where"),
    "order_by": (VERSION_TABLE, "order_by"),
    "output": (VERSION_TABLE, "output"),
    "topic": (VERSION_TABLE, "topic"),
    "byte_quota": (VERSION_TABLE, "byte_quota"),
}
#: Column of the filter table that points to the version that is active; NULL when the filter is stopped.
ACTIVE_COLUMN = "active_version_id"

_SQL = (
    "SELECT "
    + ", ".join(f'"{table}"."{column}"' for table, column in SOURCES.values())
    + f' FROM "{FILTER_TABLE}" JOIN "{VERSION_TABLE}" ON "{VERSION_TABLE}"."id" = "{FILTER_TABLE}"."{ACTIVE_COLUMN}"'
    + f' ORDER BY "{FILTER_TABLE}"."id"'
)
_HOT_JOURNAL = ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY", "SQLITE_READONLY_CANTINIT")


def read_snapshot(path: Path) -> Snapshot:
    """The active filters in the database file `path`; none when there is no such file, or no filter was ever made.

    Raises
    ------
    StoreUnavailable
        The file cannot be read, is no database, or was made by another version of Lasair.
    """
    filters = tuple(ActiveFilter(*row) for row in _rows(path))
    digest = hashlib.sha256(repr([tuple(one) for one in filters]).encode("utf-8", "surrogatepass"))
    return Snapshot(digest.hexdigest()[:16], filters)


def _rows(path: Path) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    try:
        return _read(path, "ro")
    except (sqlite3.Error, UnicodeDecodeError) as err:
        if getattr(err, "sqlite_errorname", "") not in _HOT_JOURNAL:
            raise _unavailable(path, err) from err
    # A writer was killed half-way: only a connection that may write can undo what it left.
    try:
        return _read(path, "rw")
    except (sqlite3.Error, UnicodeDecodeError) as err:
        raise _unavailable(path, err) from err


def _read(path: Path, mode: str) -> list[tuple[Any, ...]]:
    address = f"file:{quote(str(path))}?mode={mode}"
    with closing(sqlite3.connect(address, uri=True, timeout=_TIMEOUT_S)) as database:
        try:
            return database.execute(_SQL).fetchall()
        except sqlite3.OperationalError as err:
            if str(err) == f"no such table: {FILTER_TABLE}":
                return []
            raise


def _unavailable(path: Path, err: sqlite3.Error | UnicodeDecodeError) -> StoreUnavailable:
    if "no such" in str(err):
        return StoreUnavailable(
            f"{path} was made by another version of Lasair ({err}); 'lasair filter list' brings it up to date"
        )
    message = f"cannot read the filters in {path}: {err}"
    if _is_damage(err):
        message += "; restore it from a copy, or move it away and add the filters again"
    return StoreUnavailable(message)


def _is_damage(err: sqlite3.Error | UnicodeDecodeError) -> bool:
    if isinstance(err, UnicodeDecodeError) or str(err).startswith("Could not decode to UTF-8"):
        return True
    return getattr(err, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
