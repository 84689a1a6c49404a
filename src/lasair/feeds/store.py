"""What is remembered of feeds, on one machine: SQLite. Files taken, positions, counts, dead letters."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from lasair.feeds.source import FeedMessage
from lasair.stores.files import connect, guarded, require_tables

#: Name of the file in the state folder.
FILE: Final = "feeds.db"
#: Bytes kept of a dead letter, and of all those of a feed; what is beyond keeps its reason, not its value.
LETTER_BYTES: Final = 1_000_000
FEED_LETTER_BYTES: Final = 500_000_000

_TABLES = (
    """CREATE TABLE IF NOT EXISTS groups (feed TEXT PRIMARY KEY, suffix TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS files (
        feed TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, stamp TEXT NOT NULL, taken REAL NOT NULL,
        PRIMARY KEY (feed, name, digest)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS positions (
        feed TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, first INTEGER NOT NULL,
        next INTEGER NOT NULL, written REAL NOT NULL, PRIMARY KEY (feed, topic, partition)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS counts (
        feed TEXT PRIMARY KEY, messages INTEGER NOT NULL, used INTEGER NOT NULL, changes INTEGER NOT NULL,
        last_at REAL NOT NULL, last_written REAL NOT NULL, last_label TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS letters (
        id INTEGER PRIMARY KEY, feed TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
        "offset" INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, written REAL NOT NULL,
        reason TEXT NOT NULL, bytes INTEGER NOT NULL, value BLOB, key BLOB, first_at REAL NOT NULL,
        last_at REAL NOT NULL, times INTEGER NOT NULL,
        UNIQUE (feed, topic, partition, "offset", name, digest))""",
)
_COLUMNS = {"counts": ("feed", "messages"), "letters": ("feed", "value"), "files": ("stamp",), "positions": ("first",)}


class Outcome(NamedTuple):
    """What became of one message.

    reason : why it, or a part of it, could not be used; '' when all of it could
    changes : things (events, annotations) that are others now
    """

    message: FeedMessage
    changes: int = 0
    reason: str = ""


class Counts(NamedTuple):
    """What is known of a feed."""

    feed: str
    messages: int = 0
    #: of these, without a reason for a dead letter
    used: int = 0
    changes: int = 0
    #: when the last message was taken, and when it had been written [s since 1970, UTC]; 0 when there was none
    last_at: float = 0.0
    last_written: float = 0.0
    last_label: str = ""
    dead_letters: int = 0


class Letter(NamedTuple):
    """A message that could not be used, or not wholly."""

    number: int
    feed: str
    topic: str
    partition: int
    offset: int
    name: str
    #: when the message was written [s since 1970, UTC]
    written: float
    reason: str
    #: bytes of the message; `value` is None, or cut, where that is more than is kept
    size: int
    value: bytes | None
    key: bytes | None
    first_at: float
    last_at: float
    #: how often it came
    times: int

    @property
    def message(self) -> FeedMessage | None:
        """The message, to be tried again; None when it was not kept whole."""
        if self.value is None or len(self.value) != self.size:
            return None
        return FeedMessage(self.topic, self.partition, self.offset, self.key, self.value, self.written, name=self.name)


_LETTER = 'id, feed, topic, partition, "offset", name, written, reason, bytes, value, key, first_at, last_at, times'


def digest(value: bytes) -> str:
    """SHA-256 of a message, in hexadecimal."""
    return hashlib.sha256(value).hexdigest()


class FeedStore:
    """One file for all feeds of a state; any thread may use it.

    All methods raise StoreUnavailable when the file cannot be used.
    """

    def __init__(self, path: Path, durable: bool = True, *, read_only: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._db = connect(path, durable=durable, read_only=read_only)
        try:
            with guarded(path):
                if not read_only:
                    with self._db:
                        self._db.execute("BEGIN IMMEDIATE")
                        for statement in _TABLES:
                            self._db.execute(statement)
                require_tables(self._db, path, _COLUMNS)
        except BaseException:
            self._db.close()
            raise

    def group_suffix(self, feed: str) -> str:
        """What makes this state's consumer group its own: two installations must not share the messages of one."""
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT OR IGNORE INTO groups VALUES (?, ?)", (feed, uuid.uuid4().hex[:12]))
            return str(self._db.execute("SELECT suffix FROM groups WHERE feed = ?", (feed,)).fetchone()[0])

    def stamps(self, feed: str) -> dict[str, str]:
        """The files taken: name -> stamp of the one taken last under this name."""
        with self._lock, guarded(self._path):
            return dict(
                self._db.execute("SELECT name, stamp FROM files WHERE feed = ? ORDER BY taken", (feed,)).fetchall()
            )

    def taken(self, feed: str, name: str, digest: str) -> bool:
        """Whether a file of this name and content was taken."""
        with self._lock, guarded(self._path):
            statement = "SELECT 1 FROM files WHERE feed = ? AND name = ? AND digest = ?"
            return self._db.execute(statement, (feed, name, digest)).fetchone() is not None

    def note_files(self, feed: str, files: Sequence[tuple[str, str, str]]) -> None:
        """Remember how files (name, digest, stamp) that were taken look, so that they need not be read again."""
        now = time.time()
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET stamp = excluded.stamp, taken = excluded.taken",
                [(feed, *one, now) for one in files],
            )

    def record(self, feed: str, outcomes: Sequence[Outcome]) -> None:
        """Note what became of messages; those that were noted before are not counted again.

        A dead letter goes when its message can be used after all.
        """
        now = time.time()
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            letters = self._db.execute("SELECT EXISTS (SELECT 1 FROM letters WHERE feed = ?)", (feed,)).fetchone()[0]
            fresh = [self._is_new(feed, one.message) for one in outcomes]
            for one in outcomes:
                if one.reason:
                    self._put_letter(feed, one, now)
                elif letters:
                    self._db.execute(
                        'DELETE FROM letters WHERE feed = ? AND topic = ? AND partition = ? AND "offset" = ?'
                        " AND name = ? AND digest = ?",
                        (feed, *_identity(one.message)),
                    )
            new = [one for one, is_new in zip(outcomes, fresh, strict=True) if is_new]
            self._count(feed, new, sum(one.changes for one in outcomes), outcomes[-1].message, now)

    def seen(self, feed: str, messages: Sequence[FeedMessage]) -> list[bool]:
        """Of each message by Kafka whether it was recorded before; of what came in files nothing is said here.

        A partition is remembered as one run of offsets without gaps, and the time of the last message in it. So what
        this state never saw is not taken for seen, not even when a topic was made anew and begins at 0 again.
        """
        places = {(one.topic, one.partition) for one in messages if not one.name}
        with self._lock, guarded(self._path):
            known = {place: self._position(feed, *place) for place in places}
        return [_is_in(known.get((one.topic, one.partition)), one) for one in messages]

    def _position(self, feed: str, topic: str, partition: int) -> tuple[int, int, float] | None:
        found: tuple[int, int, float] | None = self._db.execute(
            "SELECT first, next, written FROM positions WHERE feed = ? AND topic = ? AND partition = ?",
            (feed, topic, partition),
        ).fetchone()
        return found

    def _is_new(self, feed: str, message: FeedMessage) -> bool:
        """Whether a message was not recorded before; from now on it was."""
        if message.name:
            # of what could not be read there is no digest: it is taken when it can be
            found = "" if message.problem else digest(message.value)
            made = self._db.execute(
                "INSERT OR IGNORE INTO files VALUES (?, ?, ?, '', ?)", (feed, message.name, found, time.time())
            )
            return made.rowcount == 1
        known = self._position(feed, message.topic, message.partition)
        if _is_in(known, message):
            return False
        first = known[0] if known and known[1] == message.offset else message.offset
        self._db.execute(
            "REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)",
            (feed, message.topic, message.partition, first, message.offset + 1, message.when),
        )
        return True

    def _count(self, feed: str, new: Sequence[Outcome], changes: int, last: FeedMessage, now: float) -> None:
        self._db.execute(
            "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " messages = messages + excluded.messages, used = used + excluded.used,"
            " changes = changes + excluded.changes, last_at = excluded.last_at,"
            " last_written = excluded.last_written, last_label = excluded.last_label",
            (feed, len(new), sum(not one.reason for one in new), changes, now, last.when, last.label),
        )

    def _put_letter(self, feed: str, outcome: Outcome, now: float) -> None:
        message = outcome.message
        (kept,) = self._db.execute(
            "SELECT COALESCE(SUM(LENGTH(value)), 0) FROM letters WHERE feed = ?", (feed,)
        ).fetchone()
        value = message.value[:LETTER_BYTES] if kept < FEED_LETTER_BYTES else None
        key = message.key[:LETTER_BYTES] if message.key is not None and value is not None else None
        self._db.execute(
            'INSERT INTO letters (feed, topic, partition, "offset", name, digest, written, reason, bytes, value, key,'
            " first_at, last_at, times) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET"
            " reason = excluded.reason, last_at = excluded.last_at, times = times + 1",
            (feed, *_identity(message), message.when, outcome.reason, len(message.value), value, key, now, now),
        )

    def counts(self) -> list[Counts]:
        """What is known of each feed that ever took something."""
        with self._lock, guarded(self._path):
            return [
                Counts._make(row)
                for row in self._db.execute(
                    "SELECT feed, messages, used, changes, last_at, last_written, last_label,"
                    " (SELECT COUNT(*) FROM letters WHERE letters.feed = counts.feed) FROM counts ORDER BY feed"
                )
            ]

    def letters(self, feed: str | None = None, *, limit: int = -1, number: int | None = None) -> list[Letter]:
        """Dead letters, of all feeds or one, the newest first; or the one with a number."""
        with self._lock, guarded(self._path):
            rows = self._db.execute(
                f"SELECT {_LETTER} FROM letters WHERE (? IS NULL OR feed = ?) AND (? IS NULL OR id = ?)"
                " ORDER BY last_at DESC, id DESC LIMIT ?",
                (feed, feed, number, number, limit),
            )
            return [Letter._make(row) for row in rows]

    def expire(self, before: float) -> int:
        """Remove dead letters that came last before a time [s since 1970, UTC]; how many."""
        with self._lock, guarded(self._path), self._db:
            return int(self._db.execute("DELETE FROM letters WHERE last_at < ?", (before,)).rowcount)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _is_in(known: tuple[int, int, float] | None, message: FeedMessage) -> bool:
    """Whether a message lies in a run of offsets (first, next, when the last was written)."""
    return known is not None and known[0] <= message.offset < known[1] and message.when <= known[2]


def _identity(message: FeedMessage) -> tuple[str, int, int, str, str]:
    return message.topic, message.partition, message.offset, message.name, digest(message.value)
