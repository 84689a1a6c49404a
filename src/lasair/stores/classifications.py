"""What Sherlock said of objects, on one machine: SQLite, one row an object and version of the catalogues and rules."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lasair.stores.files import connect, database_bytes, guarded, require_sound

_TABLES = (
    """CREATE TABLE IF NOT EXISTS versions (
        version INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, since REAL NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS classifications (
        survey TEXT NOT NULL, object_id INTEGER NOT NULL, version INTEGER NOT NULL,
        mjd_tai REAL NOT NULL, alert_id INTEGER NOT NULL,
        ra REAL NOT NULL, decl REAL NOT NULL, epoch REAL NOT NULL,
        class TEXT NOT NULL, answer BLOB NOT NULL, candidates BLOB NOT NULL,
        PRIMARY KEY (survey, object_id, version)) WITHOUT ROWID""",
)
#: Keys in one statement.
_KEYS = 500


class Classified(NamedTuple):
    """What was said of one object; the alert that asked orders what several alerts ask of one object."""

    object_id: int
    mjd_tai: float
    alert_id: int
    #: where and when the object was asked about [deg, deg, Julian year]
    ra: float
    decl: float
    epoch: float
    klass: str
    #: the row of `sherlock_classifications`, and the sources that were near, as their owner encodes them
    answer: bytes
    candidates: bytes


class Said(NamedTuple):
    """One entry of an object's history."""

    #: seconds since 1970 (UTC) at which this version of catalogues and rules was first used
    since: float
    version: str
    klass: str
    answer: bytes


class SqliteClassificationStore:
    """See `protocols.ClassificationStore`."""

    def __init__(self, path: Path, durable: bool = True, *, read_only: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._db = connect(path, durable=durable, read_only=read_only)
        if not read_only:
            try:
                with guarded(path), self._db:
                    for statement in _TABLES:
                        self._db.execute(statement)
            except BaseException:
                self._db.close()
                raise

    def version(self, text: str) -> int:
        """Number of a version of catalogues and rules; a new one gets the next."""
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT OR IGNORE INTO versions (text, since) VALUES (?, ?)", (text, time.time()))
            (number,) = self._db.execute("SELECT version FROM versions WHERE text = ?", (text,)).fetchone()
        return int(number)

    def get(self, survey: str, version: int, objects: Sequence[int]) -> dict[int, Classified]:
        """What was said of objects under a version; unknown ones are left out."""
        found: dict[int, Classified] = {}
        with self._lock, guarded(self._path):
            for start in range(0, len(objects), _KEYS):
                some = objects[start : start + _KEYS]
                marks = ",".join("?" * len(some))
                for row in self._db.execute(
                    "SELECT object_id, mjd_tai, alert_id, ra, decl, epoch, class, answer, candidates"
                    f" FROM classifications WHERE survey = ? AND version = ? AND object_id IN ({marks})",
                    (survey, version, *some),
                ):
                    found[row[0]] = Classified._make(row)
        return found

    def put(self, survey: str, version: int, rows: Sequence[Classified]) -> None:
        """Keep what was said; an older alert never replaces what a newer one asked."""
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO classifications (survey, version, object_id, mjd_tai, alert_id, ra, decl, epoch, class,"
                " answer, candidates) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (survey, object_id, version) DO UPDATE SET mjd_tai = excluded.mjd_tai,"
                " alert_id = excluded.alert_id, ra = excluded.ra, decl = excluded.decl, epoch = excluded.epoch,"
                " class = excluded.class, answer = excluded.answer, candidates = excluded.candidates"
                " WHERE (excluded.mjd_tai, excluded.alert_id) >= (mjd_tai, alert_id)",
                ((survey, version, *row) for row in rows),
            )

    def history(self, survey: str, object_id: int) -> list[Said]:
        """What was said of an object, by version, oldest first."""
        with self._lock, guarded(self._path):
            return [
                Said._make(row)
                for row in self._db.execute(
                    "SELECT since, text, class, answer FROM classifications JOIN versions USING (version)"
                    " WHERE survey = ? AND object_id = ? ORDER BY version",
                    (survey, object_id),
                )
            ]

    def outdated(self, survey: str, version: int, batch: int = 1000) -> Iterator[list[tuple[str, Classified]]]:
        """Objects that were never asked about under a version, with the text of the newest one that was, in batches."""
        after = -(2**63)
        while True:
            with self._lock, guarded(self._path):
                rows = self._db.execute(
                    "SELECT text, object_id, mjd_tai, alert_id, ra, decl, epoch, class, answer, candidates FROM"
                    " (SELECT *, MAX(version) AS newest FROM classifications WHERE survey = ? AND object_id > ?"
                    "  GROUP BY object_id HAVING SUM(version = ?) = 0 ORDER BY object_id LIMIT ?)"
                    " JOIN versions ON versions.version = newest ORDER BY object_id",
                    (survey, after, version, batch),
                ).fetchall()
            if not rows:
                return
            after = rows[-1][1]
            yield [(row[0], Classified._make(row[1:])) for row in rows]

    def count(self, survey: str) -> int:
        """Objects of a survey of which something was said."""
        with self._lock, guarded(self._path):
            statement = "SELECT COUNT(DISTINCT object_id) FROM classifications WHERE survey = ?"
            return int(self._db.execute(statement, (survey,)).fetchone()[0])

    def disk_bytes(self) -> int:
        """Bytes on disk."""
        return database_bytes(self._path)

    def check(self) -> None:
        """Raises StoreUnavailable when the file is damaged."""
        with self._lock:
            require_sound(self._db, self._path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
