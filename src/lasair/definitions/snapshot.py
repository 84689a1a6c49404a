"""What is active, read straight from the definitions' database: no Django, no lock held."""

from __future__ import annotations

import fcntl
import hashlib
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import quote

from lasair.definitions.filter_file import Output, Trigger
from lasair.errors import StoreUnavailable
from lasair.schema.model import Survey

#: Tables of the Django models; models.py takes them from here.
FILTER_TABLE = "definitions_filter"
VERSION_TABLE = "definitions_filterversion"
WATCHLIST_TABLE = "definitions_watchlist"
AREA_TABLE = "definitions_area"
EVENT_TABLE = "definitions_event"
ANNOTATOR_TABLE = "definitions_annotator"
TAG_TABLE = "definitions_tag"
CONTENT_TABLE = "definitions_content"
PIECE_TABLE = "definitions_contentpiece"

#: Longest wait for a writer, and for one who makes the tables anew [s].
_TIMEOUT_S, _MIGRATION_S = 10.0, 60.0


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
    #: what makes it run
    trigger: Trigger = "alert"


ListKind = Literal["watchlist", "area", "event"]


class ActiveList(NamedTuple):
    """A watchlist, an area or an event that alerts are matched with."""

    kind: ListKind
    list_id: int
    name: str
    #: grows with each edit
    version: int
    #: what `read_content` reads
    content_id: int
    #: of an event [MJD TAI], else None
    t0: float | None


class Snapshot(NamedTuple):
    """All that is active at one moment: filters of both surveys by id; lists by kind and id."""

    #: changes when, and only when, the active filters change
    version: str
    filters: tuple[ActiveFilter, ...]
    lists: tuple[ActiveList, ...] = ()
    #: what is not public: (kind, id or topic) -> (owner, group or None)
    private: Mapping[tuple[str, int | str], tuple[int, int | None]] = MappingProxyType({})
    #: (user, group) of all members
    members: frozenset[tuple[int, int]] = frozenset()

    def may_use(self, user_id: int, kind: str, which: int | str) -> bool:
        """Whether a user may use a watchlist, area, tag or annotator; what is not there may be used by anybody."""
        owner = self.private.get((kind, which.translate(_FOLD) if isinstance(which, str) else which))
        return owner is None or owner[0] == user_id or (user_id, owner[1]) in self.members


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
    "trigger": (VERSION_TABLE, "trigger"),
}
#: Column of the filter table that points to the version that is active; NULL when the filter is stopped.
ACTIVE_COLUMN = "active_version_id"

_SQL = (
    "SELECT "
    + ", ".join(f'"{table}"."{column}"' for table, column in SOURCES.values())
    + f' FROM "{FILTER_TABLE}" JOIN "{VERSION_TABLE}" ON "{VERSION_TABLE}"."id" = "{FILTER_TABLE}"."{ACTIVE_COLUMN}"'
    + f' ORDER BY "{FILTER_TABLE}"."id"'
)
_LISTS_SQL = (
    f"SELECT 'watchlist', id, name, version, content_id, NULL FROM \"{WATCHLIST_TABLE}\""
    " WHERE active AND content_id IS NOT NULL"
    f" UNION ALL SELECT 'area', id, name, version, content_id, NULL FROM \"{AREA_TABLE}\""
    " WHERE active AND content_id IS NOT NULL"
    f" UNION ALL SELECT 'event', id, name, version, content_id, t0 FROM \"{EVENT_TABLE}\""
    " WHERE content_id IS NOT NULL AND NOT retracted AND NOT test AND t0 IS NOT NULL"
    " ORDER BY 1, 2"
)
_PRIVATE_SQL = (
    f"SELECT 'watchlist', id, owner_id, group_id FROM \"{WATCHLIST_TABLE}\" WHERE NOT public"
    f" UNION ALL SELECT 'area', id, owner_id, group_id FROM \"{AREA_TABLE}\" WHERE NOT public"
    f" UNION ALL SELECT 'tag', id, owner_id, group_id FROM \"{TAG_TABLE}\" WHERE NOT public"
    f" UNION ALL SELECT 'annotator', lower(name), owner_id, group_id FROM \"{ANNOTATOR_TABLE}\" WHERE NOT public"
)
_MEMBERS_SQL = "SELECT user_id, group_id FROM auth_user_groups"
_HOT_JOURNAL = ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY", "SQLITE_READONLY_CANTINIT")

#: Topics compare as text columns do: without regard to the case of A to Z, and of these only.
_FOLD = {ord(one): one.lower() for one in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

R = TypeVar("R")


def read_snapshot(path: Path) -> Snapshot:
    """What is active in the database file `path`; nothing when there is no such file, or nothing was ever made.

    Raises
    ------
    StoreUnavailable
        The file cannot be read, is no database, or was made by another version of Lasair.
    """
    return _reading(path, _snapshot, Snapshot(_digest([]), ()))


def migration_lock(path: Path | str) -> Path:
    """The file beside the database that whoever makes its tables holds."""
    return Path(f"{path}.lock")


def read_content(path: Path, content_id: int) -> bytes | None:
    """What a list of a snapshot is made of; None when it has been replaced since. Errors as `read_snapshot`."""

    def read(database: sqlite3.Connection) -> bytes | None:
        sql = f'SELECT data FROM "{PIECE_TABLE}" WHERE content_id = ? ORDER BY number'
        return b"".join(row[0] for row in database.execute(sql, (content_id,))) or None

    return _reading(path, read, None)


def _snapshot(database: sqlite3.Connection) -> Snapshot:
    database.execute("BEGIN")  # one moment for all
    filters = tuple(ActiveFilter(*row) for row in database.execute(_SQL))
    lists = tuple(ActiveList(*row) for row in database.execute(_LISTS_SQL))
    private = {(row[0], row[1]): (row[2], row[3]) for row in database.execute(_PRIVATE_SQL)}
    members = frozenset(database.execute(_MEMBERS_SQL))
    return Snapshot(_digest([tuple(one) for one in filters]), filters, lists, private, members)


def _digest(filters: list[tuple[Any, ...]]) -> str:
    return hashlib.sha256(repr(filters).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _reading(path: Path, read: Callable[[sqlite3.Connection], R], nothing: R) -> R:
    """What a reader finds in the file; `nothing` when no definition was ever made."""
    if not path.exists():
        return nothing
    mode = "ro"
    try:
        return _read(path, mode, read, nothing)
    except (sqlite3.Error, UnicodeDecodeError) as err:
        if getattr(err, "sqlite_errorname", "") in _HOT_JOURNAL:
            # A writer was killed half-way: only a connection that may write can undo what it left.
            mode = "rw"
        elif "no such" not in str(err) or not _migrated(path):
            raise _unavailable(path, err) from err
    try:
        return _read(path, mode, read, nothing)
    except (sqlite3.Error, UnicodeDecodeError) as err:
        raise _unavailable(path, err) from err


def _migrated(path: Path) -> bool:
    """Wait for a process that makes the tables or brings them up to date, step by step; whether there is none now."""
    end = time.monotonic() + _MIGRATION_S
    try:
        with migration_lock(path).open("rb") as file:
            while time.monotonic() < end:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return True
                except BlockingIOError:
                    time.sleep(0.02)
    except OSError:
        pass  # nobody has ever made tables here
    return False


def _read(path: Path, mode: str, read: Callable[[sqlite3.Connection], R], nothing: R) -> R:
    address = f"file:{quote(str(path))}?mode={mode}"
    with closing(sqlite3.connect(address, uri=True, timeout=_TIMEOUT_S, isolation_level=None)) as database:
        try:
            return read(database)
        except sqlite3.OperationalError as err:
            if str(err) == f"no such table: {FILTER_TABLE}":
                return nothing
            raise


def _unavailable(path: Path, err: sqlite3.Error | UnicodeDecodeError) -> StoreUnavailable:
    if "no such" in str(err):
        return StoreUnavailable(
            f"{path} was made by another version of Lasair ({err}); 'lasair filter list' brings it up to date"
        )
    message = f"cannot read the definitions in {path}: {err}"
    if _is_damage(err):
        message += "; restore it from a copy, or move it away and make the definitions again"
    return StoreUnavailable(message)


def _is_damage(err: sqlite3.Error | UnicodeDecodeError) -> bool:
    if isinstance(err, UnicodeDecodeError) or str(err).startswith("Could not decode to UTF-8"):
        return True
    return getattr(err, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
