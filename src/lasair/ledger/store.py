"""The ledger on one machine: an SQLite file, one writer, any number of readers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import lz4.block
import numpy as np
from numpy.typing import NDArray

from lasair.errors import NotFound
from lasair.ledger.letters import self_contained
from lasair.ledger.model import COUNT_NAMES, SUMS, Committed, Counts, Outcome, Place, Position
from lasair.packets.batch import Message
from lasair.stores.files import connect, guarded

_COUNT_COLUMNS = ", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in COUNT_NAMES)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS counts (
  partition TEXT NOT NULL, night INTEGER NOT NULL, {_COUNT_COLUMNS},
  PRIMARY KEY (partition, night)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (
  partition TEXT PRIMARY KEY, next_offset INTEGER NOT NULL, arrived REAL NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
  survey TEXT NOT NULL, alert_id INTEGER NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (survey, alert_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivered (
  version_id INTEGER NOT NULL, survey TEXT NOT NULL, alert_id INTEGER NOT NULL, day INTEGER NOT NULL,
  PRIMARY KEY (version_id, survey, alert_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics (
  topic TEXT PRIMARY KEY, filter_id INTEGER NOT NULL, next_offset INTEGER NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
  topic TEXT NOT NULL, offset INTEGER NOT NULL, at REAL NOT NULL, packed INTEGER NOT NULL, payload BLOB NOT NULL,
  PRIMARY KEY (topic, offset)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS messages_at ON messages (at);
-- closed: 0, or the bytes of the day with the message that was too much (a quota of so many would have let it through)
CREATE TABLE IF NOT EXISTS usage (
  filter_id INTEGER NOT NULL, day INTEGER NOT NULL, bytes INTEGER NOT NULL, closed INTEGER NOT NULL,
  PRIMARY KEY (filter_id, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
  partition TEXT NOT NULL, offset INTEGER NOT NULL, night INTEGER NOT NULL, arrived REAL NOT NULL, reason TEXT NOT NULL,
  retry INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (partition, offset));
CREATE TABLE IF NOT EXISTS filter_errors (
  version_id INTEGER PRIMARY KEY, filter_id INTEGER NOT NULL, first_at REAL NOT NULL, last_at REAL NOT NULL,
  batches INTEGER NOT NULL, message TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fits_due (
  survey TEXT NOT NULL, object_id INTEGER NOT NULL, mjd_tai REAL NOT NULL, alert_id INTEGER NOT NULL,
  PRIMARY KEY (survey, object_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

_CHUNK = 900  # values in one IN list
_SECONDS_A_DAY = 86_400.0
_PACK_FROM_BYTES = 2_000
_LETTERS_AT_ONCE = 50  # read from the database; one may have megabytes
_MOST_NAMED = 100  # places of which an audit says what is wrong there


def utc_night(unix_s: float) -> int:
    """UTC date of a time as yyyymmdd."""
    return int(time.strftime("%Y%m%d", time.gmtime(unix_s)))


def _text(partition: str) -> str:
    """The name of a partition as SQLite and JSON can hold it: bytes of a file's name that are no UTF-8 as \\xff."""
    # most names are, and so it costs least; not by the locale, which may be another next time
    return (
        partition
        if partition.isascii()
        else partition.encode(errors="surrogateescape").decode(errors="backslashreplace")
    )


def _pack(payload: bytes) -> tuple[int, bytes]:
    """(1, compressed) or (0, as it is): whole packets as JSON shrink fivefold, small rows are not worth it."""
    if len(payload) < _PACK_FROM_BYTES:
        return 0, payload
    return 1, lz4.block.compress(payload)


class DeadLetter(NamedTuple):
    """A record that could not be used, kept for a human or a retry."""

    partition: str
    offset: int
    night: int
    arrived: float
    reason: str
    retry: bool
    value: bytes


class Topic(NamedTuple):
    """A public stream."""

    topic: str
    filter_id: int
    messages: int
    bytes: int


class StreamMessage(NamedTuple):
    """One delivered message."""

    offset: int
    at: float
    payload: bytes


class FilterTrouble(NamedTuple):
    """Why a version of a filter fails."""

    version_id: int
    filter_id: int
    first_at: float
    last_at: float
    batches: int
    message: str


class Ledger:
    """Positions, counts, seen alerts, delivered messages and dead letters of one state folder.

    `commit` is the only writer in the hot path: after it returns, a batch has happened; before, it has not.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._path = path
        self._db = connect(path, durable=durable)
        try:
            with guarded(path):
                self._db.executescript(_SCHEMA)
                if "arrived" not in {row[1] for row in self._db.execute("PRAGMA table_info(positions)")}:
                    # a ledger from before there was this column
                    self._db.execute("ALTER TABLE positions ADD COLUMN arrived REAL NOT NULL DEFAULT 0")
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    # ---- reading while a batch is worked on

    def position(self, partition: str) -> Position:
        """How far an unfinished run has read a partition; the offset is 0 when there was none."""
        sql = "SELECT next_offset, arrived FROM positions WHERE partition = ?"
        row = self._db.execute(sql, (_text(partition),)).fetchone()
        return Position(*row) if row else Position()

    def seen(self, survey: str, alert_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """True where an alert was stored by an earlier batch; (n,) bool."""
        known: list[int] = []
        ids = [int(one) for one in np.unique(alert_ids)]
        with guarded(self._path):
            for start in range(0, len(ids), _CHUNK):
                some = ids[start : start + _CHUNK]
                marks = ",".join("?" * len(some))
                sql = f"SELECT alert_id FROM seen WHERE survey = ? AND alert_id IN ({marks})"
                known += [row[0] for row in self._db.execute(sql, (survey, *some))]
        return np.isin(alert_ids, np.array(known, dtype=np.int64))

    def closed_filters(self, now: float) -> dict[int, int]:
        """Filters whose stream was closed this UTC day, and the daily quota [bytes] that would open each again."""
        day = int(now // _SECONDS_A_DAY)
        return dict(self._db.execute("SELECT filter_id, closed FROM usage WHERE day = ? AND closed", (day,)))

    # ---- the commit

    def commit(self, outcome: Outcome) -> Committed:
        """Enter one batch: all of it, or (StoreUnavailable, a crash) nothing of it. The outcome stays as it is."""
        counts = {place: replace(one) for place, one in outcome.counts.items()}
        with self._transaction():
            day = int(outcome.now // _SECONDS_A_DAY)
            recovered = self._take_back(outcome)
            before = self._set_aside(outcome, counts)
            self._deliver(outcome, day, counts)
            to_tell = self._note_errors(outcome)
            self._note_seen(outcome, day)
            self._db.executemany(
                "INSERT INTO fits_due VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET mjd_tai = excluded.mjd_tai,"
                " alert_id = excluded.alert_id WHERE (excluded.mjd_tai, excluded.alert_id) > (mjd_tai, alert_id)",
                outcome.fits_due,
            )
            self._db.executemany(
                "INSERT INTO positions (partition, next_offset, arrived) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset, arrived = excluded.arrived",
                [(_text(partition), *one) for partition, one in outcome.positions.items()],
            )
            self._count(counts)
            self._count(recovered)
        total = Counts()
        for one in counts.values():
            total.add(one)
        return Committed(total, to_tell, -sum(one.set_aside for one in recovered.values()), before)

    def _count(self, counts: Mapping[Place, Counts]) -> None:
        names = ", ".join(COUNT_NAMES)
        sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNT_NAMES)
        marks = ", ".join("?" * (2 + len(COUNT_NAMES)))
        self._db.executemany(
            f"INSERT INTO counts (partition, night, {names}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {sums}",
            [
                (_text(place.partition), place.night, *(getattr(one, name) for name in COUNT_NAMES))
                for place, one in counts.items()
            ],
        )

    def _take_back(self, outcome: Outcome) -> dict[Place, Counts]:
        """Remove dead letters that can be read now; what to add to the books, which counted each as set aside.

        Such a record is counted where it is read now, not where it was refused.
        """
        corrections: dict[Place, Counts] = {}
        if not outcome.decoded or self._db.execute("SELECT 1 FROM dead_letters LIMIT 1").fetchone() is None:
            return corrections
        for partition, offset in outcome.decoded:
            row = self._db.execute(
                "DELETE FROM dead_letters WHERE partition = ? AND offset = ? RETURNING night",
                (_text(partition), offset),
            ).fetchone()
            if row:
                then = corrections.setdefault(Place(partition, int(row[0])), Counts())
                then.read -= 1
                then.set_aside -= 1
        return corrections

    def _set_aside(self, outcome: Outcome, counts: dict[Place, Counts]) -> int:
        """Keep the refused records; how many were held already.

        One that is held is the same record read again: it is not counted again, and the reason is the newest.
        """
        held = 0
        for message, reason, retry in outcome.refused:
            place = Place(message.partition, utc_night(message.arrived))
            key = (_text(message.partition), message.offset)
            said = (reason, int(retry), self_contained(message))
            here = counts.setdefault(place, Counts())
            new = self._db.execute(
                "INSERT OR IGNORE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, place.night, message.arrived, *said),
            ).rowcount
            if new:
                here.set_aside += 1
                continue
            self._db.execute(
                "UPDATE dead_letters SET reason = ?, retry = ?, value = ? WHERE partition = ? AND offset = ?",
                (*said, *key),
            )
            here.read -= 1
            held += 1
        return held

    def _deliver(self, outcome: Outcome, day: int, counts: dict[Place, Counts]) -> None:
        if not outcome.deliveries:
            return
        usage = self._db.execute("SELECT filter_id, bytes, closed FROM usage WHERE day = ?", (day,)).fetchall()
        used = {row[0]: (row[1], row[2]) for row in usage}
        used_before = dict(used)
        topics = {
            row[0]: (row[1], row[2], row[3])
            for row in self._db.execute("SELECT topic, filter_id, next_offset, bytes FROM topics")
        }
        topics_before = dict(topics)
        for one, place in outcome.deliveries:
            here = counts.setdefault(place, Counts())
            new = self._db.execute(
                "INSERT OR IGNORE INTO delivered VALUES (?, ?, ?, ?)",
                (one.filter_version_id, one.survey, one.alert_id, day),
            ).rowcount
            if not new:
                here.already_delivered += 1
                continue
            size = one.size
            spent, closed = used.get(one.filter_id, (0, 0))
            if not outcome.fits(one.filter_id, max(closed, spent + size)):
                # The first message that does not fit closes the stream, and keeps it closed for smaller ones that
                # would fit, until the quota is raised for it. What is not delivered is not remembered as delivered.
                if outcome.fits(one.filter_id, closed):
                    closed = spent + size
                used[one.filter_id] = (spent, closed)
                self._db.execute(
                    "DELETE FROM delivered WHERE version_id = ? AND survey = ? AND alert_id = ?",
                    (one.filter_version_id, one.survey, one.alert_id),
                )
                here.over_quota += 1
                continue
            used[one.filter_id] = (spent + size, 0)
            filter_id, offset, length = topics.get(one.topic, (one.filter_id, 0, 0))
            # one by one: together, the messages of a batch may be larger than the memory
            self._db.execute(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?)", (one.topic, offset, outcome.now, *_pack(one.payload))
            )
            topics[one.topic] = (filter_id, offset + 1, length + size)
            here.delivered += 1
        self._db.executemany(
            "INSERT INTO usage VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET bytes = excluded.bytes, closed = excluded.closed",
            [(name, day, *values) for name, values in used.items() if values != used_before.get(name)],
        )
        self._db.executemany(
            "INSERT INTO topics VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset, bytes = excluded.bytes",
            [(topic, *values) for topic, values in topics.items() if values != topics_before.get(topic)],
        )

    def _note_errors(self, outcome: Outcome) -> list[tuple[int, str]]:
        to_tell = []
        for version, (filter_id, message) in outcome.filter_errors.items():
            first = self._db.execute("SELECT 1 FROM filter_errors WHERE version_id = ?", (version,)).fetchone() is None
            self._db.execute(
                "INSERT INTO filter_errors VALUES (?, ?, ?, ?, 1, ?)"
                " ON CONFLICT DO UPDATE SET last_at = excluded.last_at, batches = batches + 1",
                (version, filter_id, outcome.now, outcome.now, message),
            )
            if first:
                to_tell.append((filter_id, message))
        return to_tell

    def _note_seen(self, outcome: Outcome, day: int) -> None:
        for survey, ids in outcome.seen.items():
            self._db.executemany("INSERT INTO seen VALUES (?, ?, ?)", [(survey, one, day) for one in ids.tolist()])
            self._add_total(f"seen_{survey}", len(ids))

    def _add_total(self, name: str, value: int) -> None:
        self._db.execute(
            "INSERT INTO totals VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value", (name, value)
        )

    def finish_run(self, partitions: Iterable[str]) -> None:
        """A run has read these partitions to their end: a later run of them is a new reading, not a resumption."""
        with self._transaction():
            self._db.executemany("DELETE FROM positions WHERE partition = ?", [(_text(one),) for one in partitions])

    # ---- the books

    def books(self) -> dict[Place, Counts]:
        """All counts by partition and night."""
        names = ", ".join(COUNT_NAMES)
        rows = self._db.execute(f"SELECT partition, night, {names} FROM counts ORDER BY night, partition").fetchall()
        return {Place(row[0], row[1]): Counts(*row[2:]) for row in rows}

    def total(self) -> Counts:
        """The sum of all counts. It takes no memory, however many partitions (files) have ever been read."""
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in COUNT_NAMES)
        return Counts(*self._db.execute(f"SELECT {sums} FROM counts").fetchone())

    def audit(self) -> list[str]:
        """What is wrong with the books, as sentences: sums that do not close, totals that contradict the tables.

        When there are many places whose sums do not close, the first are named and the others counted.
        """
        wrong = []
        unequal = " OR ".join(f"{left} <> {' + '.join(right)}" for _, left, right in SUMS)
        names = ", ".join(COUNT_NAMES)
        sql = f"SELECT partition, night, {names} FROM counts WHERE {unequal} ORDER BY night, partition LIMIT ?"
        for partition, night, *counts in self._db.execute(sql, (_MOST_NAMED,)):
            wrong += [f"{partition}, night {night}: {text}" for text in Counts(*counts).open_sums()]
        if wrong and (more := self._one(f"SELECT count(*) FROM counts WHERE {unequal}") - _MOST_NAMED) > 0:
            wrong.append(f"and so in {more} more partitions and nights")
        total = self.total()
        checks = {
            "alerts seen": (total.stored, self._one("SELECT count(*) FROM seen") + self._total("seen_expired")),
            "alerts seen since the start": (
                total.stored,
                self._one("SELECT coalesce(sum(value), 0) FROM totals WHERE name IN ('seen_lsst', 'seen_ztf')"),
            ),
            "dead letters": (
                total.set_aside,
                self._one("SELECT count(*) FROM dead_letters") + self._total("dead_letters_expired"),
            ),
            "messages in streams": (
                total.delivered,
                self._one("SELECT count(*) FROM messages") + self._total("messages_expired"),
            ),
            "offsets given out in streams": (
                total.delivered,
                self._one("SELECT coalesce(sum(next_offset), 0) FROM topics"),
            ),
        }
        wrong += [
            f"{what}: {found} held, {booked} booked" for what, (booked, found) in checks.items() if booked != found
        ]
        return wrong

    def _one(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchone()[0])

    def _total(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM totals WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    # ---- streams

    def topics(self) -> list[Topic]:
        return [
            Topic(*row)
            for row in self._db.execute("SELECT topic, filter_id, next_offset, bytes FROM topics ORDER BY topic")
        ]

    def read_topic(self, topic: str, start: int = 0, limit: int | None = None) -> Iterator[StreamMessage]:
        """Messages of a stream from an offset on; NotFound when there is no such stream."""
        if self._db.execute("SELECT 1 FROM topics WHERE topic = ?", (topic,)).fetchone() is None:
            raise NotFound(
                f"no stream {topic!r}: a stream begins with its first match; 'lasair stream list' shows those there are"
            )
        sql = "SELECT offset, at, packed, payload FROM messages WHERE topic = ? AND offset >= ? ORDER BY offset LIMIT ?"
        for row in self._db.execute(sql, (topic, start, -1 if limit is None else limit)):
            offset, at, packed, payload = row
            yield StreamMessage(offset, at, lz4.block.decompress(payload) if packed else payload)

    # ---- dead letters, filters in trouble, fits

    def dead_letters(self, *, retry_only: bool = False) -> Iterator[DeadLetter]:
        """The dead letters, by partition and offset; only those that may be readable later, when so asked.

        Few are in memory at a time, and those that were given out may be taken back by a commit meanwhile.
        """
        where = "retry AND" if retry_only else ""
        names = ", ".join(DeadLetter._fields)
        sql = (
            f"SELECT {names} FROM dead_letters WHERE {where} (partition, offset) > (?, ?)"
            f" ORDER BY partition, offset LIMIT {_LETTERS_AT_ONCE}"
        )
        last: tuple[str, int] = ("", -1)
        while rows := self._db.execute(sql, last).fetchall():
            for row in rows:
                yield DeadLetter._make(row)._replace(retry=bool(row[5]))
            last = rows[-1][:2]

    def count_dead_letters(self) -> int:
        """How many dead letters are held."""
        return self._one("SELECT count(*) FROM dead_letters")

    def filter_troubles(self) -> list[FilterTrouble]:
        return [FilterTrouble(*row) for row in self._db.execute("SELECT * FROM filter_errors ORDER BY version_id")]

    def fits_due(self, limit: int) -> list[tuple[str, int, float, int]]:
        """(survey, object id, mjd_tai, alert id) of objects whose slow fits are due."""
        return [tuple(row) for row in self._db.execute("SELECT * FROM fits_due LIMIT ?", (limit,))]

    def fits_done(self, done: Sequence[tuple[str, int, float, int]]) -> None:
        """Forget fits that are stored, unless a newer alert of the object has come meanwhile."""
        with self._transaction():
            self._db.executemany(
                "DELETE FROM fits_due WHERE survey = ? AND object_id = ? AND mjd_tai = ? AND alert_id = ?", done
            )

    # ---- expiry

    def expire(self, now: float, *, stream_days: float, dead_letter_days: float, seen_days: float) -> dict[str, int]:
        """Remove what is old; how much of each. What filters used on earlier days goes with it."""
        removed = {}
        with self._transaction():
            removed["messages"] = self._db.execute(
                "DELETE FROM messages WHERE at < ?", (now - stream_days * _SECONDS_A_DAY,)
            ).rowcount
            removed["dead_letters"] = self._db.execute(
                "DELETE FROM dead_letters WHERE arrived < ?", (now - dead_letter_days * _SECONDS_A_DAY,)
            ).rowcount
            oldest = int(now // _SECONDS_A_DAY - seen_days)
            removed["seen"] = self._db.execute("DELETE FROM seen WHERE day < ?", (oldest,)).rowcount
            self._db.execute("DELETE FROM delivered WHERE day < ?", (oldest,))
            self._db.execute("DELETE FROM usage WHERE day < ?", (int(now // _SECONDS_A_DAY),))
            for name, count in removed.items():
                self._add_total(f"{name}_expired", count)
        return removed


def letters_as_messages(letters: Iterable[DeadLetter]) -> Iterator[Message]:
    """Dead letters as the messages they were, for another try."""
    return (Message(one.value, one.partition, one.offset, one.arrived) for one in letters)


__all__ = ["DeadLetter", "FilterTrouble", "Ledger", "StreamMessage", "Topic", "letters_as_messages", "utc_night"]
