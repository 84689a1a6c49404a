"""What programs and people say of objects, on one machine: SQLite, with the tables that users' queries join.

The tables `annotations` and `tag_hits` of both surveys are the schema's own, since queries attach this file to the main
database. Beside them stand what was said before, and what filters have not heard of yet.
"""

from __future__ import annotations

import json
import sqlite3
import string
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from lasair.annotations.model import Annotation, classdict_json, survey_of
from lasair.errors import BadDefinition
from lasair.packets.batch import Columns
from lasair.schema import sql
from lasair.schema.model import SURVEYS, Survey, Table, object_key
from lasair.schema.model import table as schema_table
from lasair.schema.rows import column_of
from lasair.stores.files import connect, database_bytes, guarded, require_sound, require_tables
from lasair.stores.layout import names_of, quote

MarkTable = Literal["annotations", "tag_hits"]
MARK_TABLES: Final[tuple[MarkTable, ...]] = ("annotations", "tag_hits")

#: An object as queries name it: the integer for LSST, the name for ZTF.
Key = int | str

#: Keys in one statement.
_KEYS: Final = 500
#: Annotations of one object and topic in one call that are compared with what was said before.
_REPLAYED: Final = 100
#: Letters as SQLite's NOCASE compares them.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

_SAID = "annotation_id, survey, object_id, topic, version, timestamp, classification, explanation, classdict, url"
_DUE: Final = "survey, object_id, topic, annotation_id"
_THAT_DUE: Final = "survey = ? AND object_id = ? AND topic = ? AND annotation_id <= ?"
_OWN_TABLES = {
    # keys of LSST are integers, those of ZTF are texts: no type, so that both stay what they are
    "annotation_history": """CREATE TABLE IF NOT EXISTS annotation_history (
        annotation_id INTEGER PRIMARY KEY, survey TEXT NOT NULL, object_id NOT NULL,
        topic TEXT COLLATE NOCASE NOT NULL, version TEXT, timestamp TEXT NOT NULL, classification TEXT NOT NULL,
        explanation TEXT, classdict TEXT, url TEXT)""",
    # `place` is kept when a newer annotation comes, so that none waits for ever behind others
    "annotation_due": """CREATE TABLE IF NOT EXISTS annotation_due (
        place INTEGER PRIMARY KEY, survey TEXT NOT NULL, object_id NOT NULL,
        topic TEXT COLLATE NOCASE NOT NULL, annotation_id INTEGER NOT NULL, UNIQUE (survey, object_id, topic))""",
    # objects of which filters would have heard, had they been stored
    "annotation_waiting": """CREATE TABLE IF NOT EXISTS annotation_waiting (
        survey TEXT NOT NULL, object_id NOT NULL, topic TEXT COLLATE NOCASE NOT NULL, annotation_id INTEGER NOT NULL,
        PRIMARY KEY (survey, object_id, topic)) WITHOUT ROWID""",
    "annotation_sequence": """CREATE TABLE IF NOT EXISTS annotation_sequence (
        only INTEGER PRIMARY KEY CHECK (only = 0), last INTEGER NOT NULL)""",
}
_MORE = (
    "CREATE INDEX IF NOT EXISTS annotation_history_object ON annotation_history (survey, object_id, topic)",
    "INSERT OR IGNORE INTO annotation_sequence VALUES (0, 0)",
)


class Kept(NamedTuple):
    """What became of an annotation that was given."""

    #: of the annotation that stands for it
    annotation_id: int
    #: False when this is what was said already
    changed: bool


class Annotated(NamedTuple):
    """An annotation as it is kept; None is what the annotator has not given."""

    annotation_id: int
    survey: Survey
    object_id: Key
    topic: str
    version: str | None
    #: when it came: 'YYYY-MM-DD HH:MM:SS.ffffff' (UTC)
    timestamp: str
    classification: str
    explanation: str | None
    #: JSON
    classdict: str | None
    url: str | None


class Due(NamedTuple):
    """An object of which something new was said."""

    survey: Survey
    object_id: Key
    topics: tuple[str, ...]
    #: greatest annotation id among these topics
    upto: int
    #: greatest place in the queue among these topics
    place: int


class TaggedObject(NamedTuple):
    """An object that has a tag."""

    survey: Survey
    object_id: Key
    #: since when: 'YYYY-MM-DD HH:MM:SS.ffffff' (UTC)
    tagged: str


class TopicCount(NamedTuple):
    """How many objects have an annotation of a topic."""

    survey: Survey
    topic: str
    objects: int


class SqliteMarkStore:
    """Annotations with their history, and tags of objects.

    Any thread may use it. Readers do not wait for writers: they have a connection of their own.

    Parameters
    ----------
    path : Path
    durable : wait for the disk at each write, so that a power cut loses nothing that was acknowledged
    read_only : the file must exist and is not written

    Raises
    ------
    StoreUnavailable
        It cannot be opened or made, or is not what it should be; so does every method, when it cannot read or write.
    """

    def __init__(self, path: Path, durable: bool = True, *, read_only: bool = False) -> None:
        self._path = path
        self._lock, self._read_lock = threading.Lock(), threading.Lock()
        with ExitStack() as opened:
            self._db = connect(path, durable=durable, read_only=read_only)
            opened.callback(self._db.close)
            with guarded(path):
                if not read_only:
                    self._make()
                require_tables(self._db, path, _columns())
            self._reader = self._db
            if not read_only:
                self._reader = connect(path, read_only=True)
                opened.callback(self._reader.close)
            self._opened = opened.pop_all()

    def _make(self) -> None:
        there = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        present = {name: _present(self._db, name) for name in _columns() if name in there}
        if all(set(columns) <= present.get(name, set()) for name, columns in _columns().items()):
            return  # who may only read can open it too
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for one in _tables():
                for statement in sql.create_table(one, "sqlite"):
                    self._db.execute(statement)
                # what people have said cannot be had again: a file of an older schema is brought up to date
                for statement in sql.add_columns(one, "sqlite", _present(self._db, one.physical)):
                    self._db.execute(statement)
            for statement in (*_OWN_TABLES.values(), *_MORE):
                self._db.execute(statement)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock, guarded(self._path):
            yield self._reader

    def annotate(self, annotations: Sequence[Annotation], now_s: float) -> list[Kept]:
        """Keep annotations in the order given: of one object and topic the last one stands, the others are history.

        An annotation that says what stands already changes nothing. Nor do several of one object and topic that are,
        in the same order, the last that were said of it: a batch that comes twice does not write history twice.

        Parameters
        ----------
        annotations : as `annotations.model.check` gives them
        now_s : time of their arrival [s since 1970, UTC]

        Returns
        -------
        One `Kept` an annotation, in their order; a greater id is a newer annotation.

        Raises
        ------
        BadDefinition
            One is of no object that there can be; nothing was kept.
        """
        when = _utc(now_s)
        given = [
            ((one.survey, _key(one.survey, one.object_id), one.topic.translate(_LOWER)), one.topic, _content(one))
            for one in annotations
        ]
        said: dict[_Thread, list[_Content]] = {}
        for thread, _, content in given:
            said.setdefault(thread, []).append(content)
        kept: list[Kept] = []
        past: list[Annotated] = []
        new: dict[_Thread, Annotated] = {}
        with self._writing() as db:
            standing = {thread: _standing(db, thread) for thread in said}
            repeated = {thread: _repeated(db, thread, said[thread], standing[thread]) for thread in said}
            (last,) = first = db.execute("SELECT last FROM annotation_sequence").fetchone()
            for thread, topic, content in given:
                before, again = standing[thread], repeated[thread]
                if len(again) > 1 and not _same(content, again[0]):
                    again.pop(0)
                same = again[0] if again and _same(content, again[0]) else before
                if same is not None and _same(content, same):
                    kept.append(Kept(same.annotation_id, False))
                    continue
                again.clear()
                last += 1
                if before is not None:
                    past.append(before)
                version, classification, *_ = content
                one = Annotated(last, *thread[:2], topic, version, when, classification, *content[2:])
                standing[thread] = new[thread] = one
                kept.append(Kept(last, True))
            if (last,) != first:
                _write(db, past, new, last)
        return kept

    def get(self, survey: Survey, object_id: Key) -> list[Annotated]:
        """The annotations of an object, by topic; BadDefinition when there can be no such object."""
        key = _key(survey, object_id)
        with self._reading() as db:
            rows = db.execute(f"{_select(survey)} WHERE {_column(survey)} = ? ORDER BY topic", (key,)).fetchall()
        return [Annotated._make(row) for row in rows]

    def history(self, survey: Survey, object_id: Key, topic: str | None = None) -> list[Annotated]:
        """All that was ever said of an object, newest first, what stands among it; of one topic when it is given."""
        key, of_topic = _key(survey, object_id), "" if topic is None else " AND topic = ?"
        values = (key,) if topic is None else (key, topic)
        with self._reading() as db:
            # one statement: nothing moves to the history in between
            rows = db.execute(
                f"{_select(survey)} WHERE {_column(survey)} = ?{of_topic} UNION ALL"
                f" SELECT {_SAID} FROM annotation_history WHERE survey = ? AND object_id = ?{of_topic}"
                " ORDER BY 1 DESC",
                (*values, survey, *values),
            ).fetchall()
        return [Annotated._make(row) for row in rows]

    def rows(self, survey: Survey, table: MarkTable, keys: Sequence[Key]) -> Columns:
        """All rows of many objects as columns of the schema's table.

        Parameters
        ----------
        survey, table : str
        keys : (n,) objects; a repeated one repeats its rows

        Returns
        -------
        The table's columns and ``_alert``, the index into `keys`; ordered by ``_alert``, then topic or tag.
        """
        where = _table(survey, table)
        column, order = where.primary_key
        names = where.column_names
        key_place, order_place = names.index(column), names.index(order)
        places: dict[Key, list[int]] = {}
        found: list[tuple[Any, ...]] = []
        different = list(dict.fromkeys(keys))
        statement = f"SELECT {names_of(names)} FROM {quote(where.physical)} WHERE {quote(column)} IN ({{marks}})"
        with self._reading() as db:
            for start in range(0, len(different), _KEYS):
                some = different[start : start + _KEYS]
                # few lengths, so that SQLite compiles few statements
                room = min(_KEYS, 1 << (len(some) - 1).bit_length())
                filled = (*some, *some[-1:] * (room - len(some)))
                found += db.execute(statement.format(marks=_marks(room)), filled)
        if found:
            for i, key in enumerate(keys):
                places.setdefault(key, []).append(i)
        hits = [(i, row) for row in found for i in places.get(row[key_place], ())]
        hits.sort(key=lambda hit: (hit[0], _folded(hit[1][order_place])))
        values: list[tuple[Any, ...]] = list(zip(*(row for _, row in hits), strict=True)) or [()] * len(names)
        columns = {one.name: column_of(one, held) for one, held in zip(where.columns, values, strict=True)}
        return {**columns, "_alert": np.array([i for i, _ in hits], np.int64)}

    def due(self, limit: int, *, after: int = 0, upto: int | None = None) -> list[Due]:
        """Objects with new annotations that filters have not heard of, those that wait longest first.

        Parameters
        ----------
        limit : most objects
        after, upto : places in the queue; an object that is annotated again keeps its own
        """
        with self._reading() as db:
            rows = db.execute(
                "SELECT survey, object_id, topic, annotation_id, place FROM annotation_due"
                " WHERE place > ? AND (?2 IS NULL OR place <= ?2) ORDER BY place LIMIT ?",
                (after, upto, limit),
            ).fetchall()
        objects: dict[tuple[Survey, Key], list[tuple[str, int, int]]] = {}
        for survey, key, topic, number, place in rows:
            objects.setdefault((survey, key), []).append((topic, number, place))
        return [
            Due(
                survey,
                key,
                tuple(topic for topic, _, _ in said),
                max(number for _, number, _ in said),
                max(place for _, _, place in said),
            )
            for (survey, key), said in objects.items()
        ]

    def last_due(self) -> int:
        """The last place in the queue of `due`, 0 when nothing is due."""
        with self._reading() as db:
            return int(db.execute("SELECT coalesce(max(place), 0) FROM annotation_due").fetchone()[0])

    def done(self, dues: Iterable[Due]) -> None:
        """Filters have heard of these; what was said of them since stays due."""
        with self._writing() as db:
            db.executemany(f"DELETE FROM annotation_due WHERE {_THAT_DUE}", _those_due(dues))

    def wait(self, dues: Iterable[Due]) -> None:
        """These objects are not stored: they are due again once `arrived` names them."""
        values = _those_due(dues)
        with self._writing() as db:
            db.executemany(
                f"REPLACE INTO annotation_waiting SELECT {_DUE} FROM annotation_due WHERE {_THAT_DUE}", values
            )
            db.executemany(f"DELETE FROM annotation_due WHERE {_THAT_DUE}", values)

    def arrived(self, survey: Survey, keys: Sequence[Key]) -> int:
        """These objects are stored now: what waited for them is due; how many annotations.

        Parameters
        ----------
        survey : str
        keys : as queries name objects
        """
        with self._reading() as db:
            # most batches have nothing to do here, and must not wait for who annotates
            if db.execute("SELECT 1 FROM annotation_waiting LIMIT 1").fetchone() is None:
                return 0
            some = [
                (survey, key)
                for key in dict.fromkeys(keys)
                if db.execute("SELECT 1 FROM annotation_waiting WHERE survey = ? AND object_id = ?", (survey, key))
                .fetchone()
            ]  # fmt: skip
        if not some:
            return 0
        with self._writing() as db:
            # what was said meanwhile is due already
            db.executemany(
                f"INSERT INTO annotation_due ({_DUE}) SELECT {_DUE} FROM annotation_waiting"
                " WHERE survey = ? AND object_id = ? ON CONFLICT DO NOTHING",
                some,
            )
            return db.executemany("DELETE FROM annotation_waiting WHERE survey = ? AND object_id = ?", some).rowcount

    def topics(self) -> list[TopicCount]:
        """Topics with their number of annotated objects, by survey and topic."""
        found: list[TopicCount] = []
        with self._reading() as db:
            for survey in SURVEYS:
                counted = db.execute(f"SELECT topic, COUNT(*) FROM {_physical(survey)} GROUP BY topic ORDER BY topic")
                found += [TopicCount(survey, topic, count) for topic, count in counted]
        return found

    def tag(self, survey: Survey, tag_id: int, name: str, objects: Sequence[Key], now_s: float) -> int:
        """Tag objects; those that have the tag keep it as it is.

        Parameters
        ----------
        tag_id, name : of the tag
        objects : as queries name them, or their ids as text
        now_s : [s since 1970, UTC]

        Returns
        -------
        How many have it that had it not.

        Raises
        ------
        BadDefinition
            There can be no such object; none is tagged.
        """
        when = _utc(now_s)
        rows = [(_key(survey, one), tag_id, name, when) for one in objects]
        with self._writing() as db:
            return db.executemany(
                f"INSERT INTO {_physical(survey, 'tag_hits')} ({_column(survey)}, tag_id, name, tagged)"
                " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            ).rowcount

    def untag(self, survey: Survey, tag_id: int, objects: Sequence[Key]) -> int:
        """Take a tag off objects; how many had it. BadDefinition as of `tag`."""
        rows = [(_key(survey, one), tag_id) for one in objects]
        with self._writing() as db:
            return db.executemany(
                f"DELETE FROM {_physical(survey, 'tag_hits')} WHERE {_column(survey)} = ? AND tag_id = ?", rows
            ).rowcount

    def rename_tag(self, tag_id: int, name: str) -> int:
        """Give a tag another name; how many objects have it."""
        return self._on_tags("UPDATE {} SET name = ? WHERE tag_id = ?", (name, tag_id))

    def remove_tag(self, tag_id: int) -> int:
        """Take a tag off all objects; how many had it."""
        return self._on_tags("DELETE FROM {} WHERE tag_id = ?", (tag_id,))

    def _on_tags(self, statement: str, values: tuple[Any, ...]) -> int:
        with self._writing() as db:
            return sum(
                db.execute(statement.format(_physical(survey, "tag_hits")), values).rowcount for survey in SURVEYS
            )

    def tagged(self, tag_id: int) -> list[TaggedObject]:
        """The objects that have a tag, by survey and object."""
        found: list[TaggedObject] = []
        with self._reading() as db:
            for survey in SURVEYS:
                key = _column(survey)
                found += map(
                    TaggedObject._make,
                    db.execute(
                        f"SELECT '{survey}', {key}, tagged FROM {_physical(survey, 'tag_hits')} WHERE tag_id = ?"
                        f" ORDER BY {key}",
                        (tag_id,),
                    ),
                )
        return found

    def count(self, survey: Survey, table: MarkTable = "annotations") -> int:
        """Rows of a table."""
        with self._reading() as db:
            return int(db.execute(f"SELECT COUNT(*) FROM {_physical(survey, table)}").fetchone()[0])

    def disk_bytes(self) -> int:
        """Bytes on disk."""
        return database_bytes(self._path)

    def check(self) -> None:
        """Raises StoreUnavailable when the file is damaged."""
        with self._reading() as db:
            require_sound(db, self._path)

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


#: (version, classification, explanation, classdict, url)
_Content = tuple[str | None, str, str | None, str | None, str | None]
#: (survey, object, topic in small letters)
_Thread = tuple[Survey, Key, str]


def _those_due(dues: Iterable[Due]) -> list[tuple[Survey, Key, str, int]]:
    return [(one.survey, one.object_id, topic, one.upto) for one in dues for topic in one.topics]


def _write(db: sqlite3.Connection, past: list[Annotated], new: dict[_Thread, Annotated], last: int) -> None:
    """Put what stands no more into the history, and what is new in its place."""
    # of several new ones of one object and topic the last stands; the others never did
    db.executemany(f"INSERT INTO annotation_history ({_SAID}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", past)
    for survey in SURVEYS:
        db.executemany(_upsert(survey), [(one.annotation_id, *one[2:]) for one in new.values() if one.survey == survey])
    db.executemany(
        "INSERT INTO annotation_due (survey, object_id, topic, annotation_id) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (survey, object_id, topic) DO UPDATE SET annotation_id = excluded.annotation_id",
        [(one.survey, one.object_id, one.topic, one.annotation_id) for one in new.values()],
    )
    db.execute("UPDATE annotation_sequence SET last = ?", (last,))


def _standing(db: sqlite3.Connection, thread: _Thread) -> Annotated | None:
    survey, key, topic = thread
    row = db.execute(f"{_select(survey)} WHERE {_column(survey)} = ? AND topic = ?", (key, topic)).fetchone()
    return Annotated._make(row) if row else None


def _repeated(
    db: sqlite3.Connection, thread: _Thread, said: Sequence[_Content], standing: Annotated | None
) -> list[Annotated]:
    """The last annotations, oldest first, that what is said now begins with in the same order; those equal to the one
    before them left out."""
    runs = [one for i, one in enumerate(said) if not i or not _same(one, said[i - 1])][:_REPLAYED]
    if standing is None or len(runs) < 2:
        return []
    held = [
        Annotated._make(row)
        for row in db.execute(
            f"SELECT {_SAID} FROM annotation_history WHERE survey = ? AND object_id = ? AND topic = ?"
            " ORDER BY annotation_id DESC LIMIT ?",
            (*thread, len(runs) - 1),
        )
    ][::-1]
    held.append(standing)
    for n in range(min(len(runs), len(held)), 1, -1):
        if all(map(_same, runs, held[-n:])):
            return held[-n:]
    return []


def _content(one: Annotation) -> _Content:
    details = classdict_json(one) if one.classdict else None
    return one.version or None, one.classification, one.explanation or None, details, one.url or None


def _same(one: _Content, other: _Content | Annotated) -> bool:
    """Whether two annotations say the same; the order of keys in a classdict says nothing."""
    if isinstance(other, Annotated):
        other = (other.version, other.classification, other.explanation, other.classdict, other.url)
    if one == other:
        return True
    if one[:3] != other[:3] or one[4] != other[4] or one[3] is None or other[3] is None:
        return False
    # as texts: in Python 1 == 1.0 == True
    return len({json.dumps(json.loads(text), sort_keys=True) for text in (one[3], other[3])}) == 1


def _key(survey: Survey, object_id: Key) -> Key:
    """An object as the tables have it; BadDefinition when it is none of that survey."""
    text = str(object_id)
    if survey_of(text) != survey:
        raise BadDefinition(f"{text!r:.40} is not the name of an object of {survey}")
    return int(text) if survey == "lsst" else text


def _utc(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _folded(value: Any) -> Any:
    return value.translate(_LOWER) if isinstance(value, str) else value


@cache
def _marks(n: int) -> str:
    return ",".join("?" * n)


@cache
def _table(survey: Survey, name: MarkTable) -> Table:
    if survey not in SURVEYS or name not in MARK_TABLES:
        raise ValueError(f"no table {name!r} of {survey!r}: marks are {' and '.join(MARK_TABLES)}")
    return schema_table(name, survey)


@cache
def _tables() -> tuple[Table, ...]:
    return tuple(_table(survey, name) for survey in SURVEYS for name in MARK_TABLES)


@cache
def _columns() -> dict[str, tuple[str, ...]]:
    """Columns by table, as the file has them at least."""
    db = sqlite3.connect(":memory:")
    try:
        for statement in _OWN_TABLES.values():
            db.execute(statement)
        own = {name: tuple(sorted(_present(db, name))) for name in _OWN_TABLES}
    finally:
        db.close()
    return {**{one.physical: one.column_names for one in _tables()}, **own}


def _present(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,))}


@cache
def _physical(survey: Survey, name: MarkTable = "annotations") -> str:
    return quote(_table(survey, name).physical)


@cache
def _column(survey: Survey) -> str:
    return quote(object_key(survey))


@cache
def _select(survey: Survey) -> str:
    """The columns of `Annotated` from what stands."""
    named = _SAID.replace("annotation_id", "annotationID").replace("object_id", _column(survey))
    return f"SELECT {named.replace('survey', repr(str(survey)))} FROM {_physical(survey)}"


@cache
def _upsert(survey: Survey) -> str:
    key = _column(survey)
    names = ["annotationID", key, *_SAID.split(", ")[3:]]
    values = ", ".join(f"{name} = excluded.{name}" for name in names if name != key)
    return (
        f"INSERT INTO {_physical(survey)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        f" ON CONFLICT ({key}, topic) DO UPDATE SET {values}"
    )
