"""The mirror: what the Transient Name Server says of each of its entries, in one SQLite file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from lasair.errors import NotFound
from lasair.packets.batch import Columns
from lasair.stores.files import connect, database_bytes, guarded, require_sound, require_tables
from lasair.tns.crossmatch import SOURCES, crossmatch_columns
from lasair.tns.rows import FIELDS, TnsRows

_SQL_TYPES = {"int": "INTEGER", "float": "REAL", "text": "TEXT NOT NULL", "time": "TEXT NOT NULL"}
_NAMES = tuple(field.name for field in FIELDS)
#: After TNS's own: `filled`, `digest` order rows of one time; `change` is the number of the merge that wrote the row;
#: `seen` is the end of the newest day or hour in whose file the entry was ('' when it was in none).
_OURS = {
    "filled": "INTEGER NOT NULL",
    "digest": "BLOB NOT NULL",
    "change": "INTEGER NOT NULL",
    "changed_at": "TEXT NOT NULL",
    "seen": "TEXT NOT NULL",
}
_TABLES = (
    "CREATE TABLE IF NOT EXISTS entries (objid INTEGER PRIMARY KEY, "
    + ", ".join(f'"{field.name}" {_SQL_TYPES[field.kind]}' for field in FIELDS if field.name != "objid")
    + "".join(f", {name} {kind}" for name, kind in _OURS.items())
    + ")",
    "CREATE INDEX IF NOT EXISTS entries_name ON entries (name COLLATE NOCASE, lastmodified, objid)",
    "CREATE INDEX IF NOT EXISTS entries_change ON entries (change)",
    """CREATE TABLE IF NOT EXISTS applied (
        kind TEXT NOT NULL, period TEXT NOT NULL, asked_at TEXT NOT NULL, found INTEGER NOT NULL, rows INTEGER NOT NULL,
        new INTEGER NOT NULL, changed INTEGER NOT NULL, removed INTEGER NOT NULL, bad INTEGER NOT NULL,
        PRIMARY KEY (kind, period)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
_COLUMNS = {
    "entries": (*_NAMES, *_OURS),
    "applied": ("kind", "period", "asked_at", "found", "rows", "new", "changed", "removed", "bad"),
    "notes": ("name", "value"),
}
_INSERT = (
    f"INSERT OR REPLACE INTO entries ({', '.join(_COLUMNS['entries'])})"
    f" VALUES ({', '.join('?' * len(_COLUMNS['entries']))})"
)
#: Of several entries of one name, which TNS does not mean to have, the one that was modified last counts.
_ONE_A_NAME = (
    "NOT EXISTS (SELECT 1 FROM entries AS other WHERE other.name = entries.name COLLATE NOCASE"
    " AND (other.lastmodified, other.objid) > (entries.lastmodified, entries.objid))"
)
#: Keys in one statement.
_KEYS = 500
#: Most of the entries known, as a share, that a whole file may remove.
MOST_REMOVED = 0.1
#: Files of days and hours are remembered for this long, twice as long as TNS keeps them.
_REMEMBERED = timedelta(days=60)


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Attributes
    ----------
    new, changed, unchanged, removed : entries; `unchanged` counts rows that were known, or older than what is known
    changed_ids : (new + changed,) int64, ascending
    removed_ids : (removed,) int64, ascending
    """

    new: int
    changed: int
    unchanged: int
    removed: int
    changed_ids: NDArray[np.int64]
    removed_ids: NDArray[np.int64]


class Applied(NamedTuple):
    """A file that was asked for."""

    #: full, day or hour
    kind: str
    #: what it is of (UTC): YYYY-MM-DD, of an hour YYYY-MM-DD HH
    period: str
    #: when (UTC)
    asked_at: datetime
    #: False: there was none
    found: bool
    rows: int = 0
    new: int = 0
    changed: int = 0
    removed: int = 0
    bad: int = 0


class Unpublished(NamedTuple):
    """What has changed since `published` was last called."""

    #: to be given to `published`
    change: int
    #: (n,) int64, ascending; None: anything may have changed, as when entries were removed or have another name now
    changed_ids: NDArray[np.int64] | None

    def __bool__(self) -> bool:
        return self.changed_ids is None or len(self.changed_ids) > 0


class Cones(NamedTuple):
    """Positions of the entries, as the list of cones has them."""

    objid: NDArray[np.int64]
    #: [deg]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    #: without prefix
    names: list[str]


@dataclass(frozen=True)
class Status:
    """The mirror as a whole."""

    rows: int
    #: the newest `lastmodified`, None in an empty mirror
    newest: str | None
    last_update: str | None
    #: None after an update without faults
    last_error: str | None
    last_error_at: str | None
    applied: list[Applied]


class TnsMirror:
    """Entries of TNS by objid.

    A row takes the place of another only when it was modified later; of two rows of one time the one with more fields
    filled counts, else the one with the greater digest. So the mirror does not depend on the order in which files come,
    nor on how often.

    Parameters
    ----------
    path : the file, made when it is not there
    durable : wait for the disk at each commit
    read_only : the file must exist and is not written

    Raises
    ------
    StoreUnavailable
        From any method: the file cannot be opened, read or written; what was merged before stays.
    """

    def __init__(self, path: Path, *, durable: bool = True, read_only: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._db = connect(path, durable=durable, read_only=read_only)
        try:
            with guarded(path):
                if read_only:
                    require_tables(self._db, path, _COLUMNS)
                else:
                    with self._db:
                        self._db.execute("BEGIN IMMEDIATE")
                        for statement in _TABLES:
                            self._db.execute(statement)
        except BaseException:
            self._db.close()
            raise

    def merge(
        self,
        rows: TnsRows,
        *,
        whole_at: datetime | None = None,
        seen_at: datetime | None = None,
        now: datetime | None = None,
    ) -> Merged:
        """Take rows in, all or none.

        Parameters
        ----------
        rows : an objid may come more than once
        whole_at : the rows are all that TNS had then (UTC), without one missing. Entries that are not among them, were
            not modified since and not in a file of a later time are removed, but none when these are more than
            MOST_REMOVED of all: a file that was cut must not empty the mirror.
        seen_at : end of the day or hour that the rows are of (UTC)
        now : time of the change (UTC)
        """
        best = _best(rows)
        at = _text(now or datetime.now(UTC))
        seen = "" if seen_at is None else _text(seen_at)
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            known = self._known(best)
            (count,) = self._db.execute("SELECT COUNT(*) FROM entries").fetchone()
            change = int(self._note("change") or 0) + 1
            new: list[int] = []
            changed: list[int] = []
            renamed = False
            for objid, (key, row) in best.items():
                before = known.get(objid)
                if before is None:
                    new.append(objid)
                elif key > before[:3]:
                    changed.append(objid)
                    renamed |= before[3] != row[_NAMES.index("name")]
            if seen:
                older = [(seen, objid) for objid, before in known.items() if before[4] < seen]
                self._db.executemany("UPDATE entries SET seen = ? WHERE objid = ?", older)
            self._db.executemany(
                _INSERT,
                (
                    (*row, key[1], key[2], change, at, max(seen, known[objid][4]) if objid in known else seen)
                    for objid in (*new, *changed)
                    for key, row in (best[objid],)
                ),
            )
            removed: list[int] = []
            if whole_at is not None:
                removed = self._remove_others(best, _text(whole_at), int(MOST_REMOVED * count))
            if new or changed or removed:
                self._set_note("change", str(change))
            if removed or renamed:
                self._set_note("whole", str(change))
        return Merged(
            len(new),
            len(changed),
            len(rows) - len(new) - len(changed),
            len(removed),
            np.array(sorted([*new, *changed]), np.int64),
            np.array(removed, np.int64),
        )

    def _known(self, objids: Iterable[int]) -> dict[int, tuple[str, int, bytes, str, str]]:
        statement = "SELECT objid, lastmodified, filled, digest, name, seen FROM entries"
        return {row[0]: row[1:] for row in self._some(statement, list(objids))}

    def _some(self, statement: str, objids: Sequence[int] | None, where: str = "1") -> Iterator[tuple[Any, ...]]:
        """Rows of some objids, of all when None, in the order of objids."""
        if objids is None:
            yield from self._db.execute(f"{statement} WHERE {where} ORDER BY objid")
            return
        for start in range(0, len(objids), _KEYS):
            some = objids[start : start + _KEYS]
            marks = ",".join("?" * len(some))
            yield from self._db.execute(f"{statement} WHERE objid IN ({marks}) AND {where} ORDER BY objid", some)

    def _remove_others(self, kept: dict[int, Any], before: str, most: int) -> list[int]:
        statement = "SELECT objid FROM entries WHERE lastmodified < ? AND seen <= ? ORDER BY objid"
        found = self._db.execute(statement, (before, before))
        removed = [objid for (objid,) in found if objid not in kept]
        if len(removed) > most:
            return []
        self._db.executemany("DELETE FROM entries WHERE objid = ?", ((objid,) for objid in removed))
        return removed

    def columns(self, objids: Sequence[int] | NDArray[np.int64] | None = None) -> Columns:
        """Rows of the table `crossmatch_tns`, of some entries or of all, one a name; see `crossmatch`.

        Parameters
        ----------
        objids : those that TNS has not are left out, as is one whose name a later entry has
        """
        wanted = None if objids is None else sorted({int(one) for one in objids})
        names = ", ".join((*SOURCES, "changed_at"))
        with self._lock, guarded(self._path):
            found = list(self._some(f"SELECT {names} FROM entries", wanted, _ONE_A_NAME))
        return crossmatch_columns(found)

    def cones(self) -> Cones:
        """Positions and names of all entries, one a name, by objid."""
        with self._lock, guarded(self._path):
            found = list(self._some("SELECT objid, ra, declination, name FROM entries", None, _ONE_A_NAME))
        objid, ra, decl, names = zip(*found, strict=True) if found else ((), (), (), ())
        return Cones(np.array(objid, np.int64), np.array(ra, np.float64), np.array(decl, np.float64), list(names))

    def find(self, name: str) -> dict[str, Any]:
        """What TNS says of an entry: its fields and `changed_at`; None where it says nothing.

        Parameters
        ----------
        name : with its prefix or without, in any case, spaces or not: 'SN 2022and', 'AT2022and', '2022and'

        Raises
        ------
        NotFound
            The mirror has no such entry.
        """
        names = (*_NAMES, "changed_at")
        with self._lock, guarded(self._path):
            for written in _spellings(name):
                row = self._db.execute(
                    f"SELECT {', '.join(names)} FROM entries WHERE name = ? COLLATE NOCASE"
                    " ORDER BY lastmodified DESC, objid DESC LIMIT 1",
                    (written,),
                ).fetchone()
                if row:
                    return {key: None if value == "" else value for key, value in zip(names, row, strict=True)}
        raise NotFound(
            f"{self._path}: TNS had no entry {name!r} when it was last asked; 'lasair tns update' asks again"
        )

    def unpublished(self) -> Unpublished:
        """Entries that have changed since `published` was last called, also by a process that has ended."""
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN")
            change, seen = int(self._note("change") or 0), int(self._note("published") or 0)
            if change > seen and (seen == 0 or int(self._note("whole") or 0) > seen):
                return Unpublished(change, None)
            found = self._db.execute("SELECT objid FROM entries WHERE change > ? ORDER BY objid", (seen,)).fetchall()
        return Unpublished(change, np.array([objid for (objid,) in found], np.int64))

    def published(self, change: int) -> None:
        """All changes up to this one stand where they are used."""
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._set_note("published", str(max(change, int(self._note("published") or 0))))

    def record(self, file: Applied) -> None:
        """Remember that a file was asked for, and forget those of long ago."""
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            row = file._replace(asked_at=_text(file.asked_at))  # type: ignore[arg-type]
            self._db.execute(f"INSERT OR REPLACE INTO applied VALUES ({', '.join('?' * len(row))})", row)
            forget = (file.asked_at - _REMEMBERED).date().isoformat()
            self._db.execute("DELETE FROM applied WHERE kind <> 'full' AND period < ?", (forget,))

    def applied(self) -> list[Applied]:
        """The files that were asked for, by kind and period."""
        with self._lock, guarded(self._path):
            found = self._db.execute("SELECT * FROM applied ORDER BY kind, period").fetchall()
        return [Applied(row[0], row[1], _time(row[2]), bool(row[3]), *row[4:]) for row in found]

    def ended(self, problem: str | None, now: datetime) -> None:
        """Remember how an update ended: with a problem, or None."""
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if problem is None:
                self._db.execute("DELETE FROM notes WHERE name IN ('error', 'error_at')")
                self._set_note("updated", _text(now))
            else:
                self._set_note("error", problem)
                self._set_note("error_at", _text(now))

    def status(self) -> Status:
        """Sizes, times and faults."""
        applied = self.applied()
        with self._lock, guarded(self._path):
            rows, newest = self._db.execute("SELECT COUNT(*), MAX(lastmodified) FROM entries").fetchone()
            updated, error, error_at = (self._note(name) for name in ("updated", "error", "error_at"))
        return Status(rows, newest or None, updated, error, error_at, applied)

    def __len__(self) -> int:
        with self._lock, guarded(self._path):
            return int(self._db.execute("SELECT COUNT(*) FROM entries").fetchone()[0])

    def __bool__(self) -> bool:
        return True

    def _note(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _set_note(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def check(self) -> None:
        """Raises StoreUnavailable when the file is damaged."""
        with self._lock:
            require_sound(self._db, self._path)

    def disk_bytes(self) -> int:
        """Bytes on disk."""
        return database_bytes(self._path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


#: What orders rows of one objid: lastmodified, fields filled, digest.
_Key = tuple[str, int, bytes]


def _best(rows: TnsRows) -> dict[int, tuple[_Key, tuple[Any, ...]]]:
    """The row of each objid that counts, with its key."""
    found: dict[int, tuple[_Key, tuple[Any, ...]]] = {}
    for row in rows.tuples():
        digest = hashlib.blake2b(orjson.dumps(row), digest_size=12).digest()
        key = (row[-1], len(row) - row.count(None) - row.count(""), digest)
        before = found.get(row[0])
        if before is None or key > before[0]:
            found[row[0]] = (key, row)
    return found


def _spellings(name: str) -> list[str]:
    """The name itself, then without what may be a prefix: the letters before the year."""
    written = "".join(name.split())
    bare = written.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_")
    return [one for one in dict.fromkeys((written, bare)) if one]


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
