"""Hits of watchlists, areas and events in the main database, and the versions of the lists they come from.

Two write hits: the pipeline, for the objects of each batch, and whoever matches stored objects with a list that is
new. The table `lists` keeps them apart: it knows the newest version of each list (`begin_list`), and hits computed
with an older one are refused. So whatever the order, the rows that stay are those of the newest alert and list.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.packets.batch import Columns
from lasair.schema.model import INT_MISSING, SURVEYS, TNS_WATCHLIST
from lasair.stores.files import guarded
from lasair.stores.layout import (
    LIST_COLUMN,
    LIST_VERSION,
    NOW,
    VERSION,
    known_times,
    names_of,
    newest,
    quote,
    row_key,
    select_in,
    shape_of,
    table_of,
    upsert,
)
from lasair.stores.protocols import Versions
from lasair.stores.rows import to_rows

ListKind = Literal["watchlist", "area", "event"]

#: The database counts twice as fast as lists do: version v of a list is 2 v, its removal after that 2 v + 1. So each is
#: greater than all before it, and a list that was stopped can be begun again with a greater version.
_GREATEST = 2**61

#: Table of the hits of each kind of list, and its column that says which list.
HIT_TABLES: dict[ListKind, tuple[str, str]] = {
    "watchlist": ("watchlist_hits", LIST_COLUMN["watchlist_hits"]),
    "area": ("area_hits", LIST_COLUMN["area_hits"]),
    "event": ("mma_area_hits", LIST_COLUMN["mma_area_hits"]),
}

_ROWS = 5000  # rows removed in one transaction


class ListKey(NamedTuple):
    """A watchlist, an area or an event."""

    kind: ListKind
    list_id: int


class ListState(NamedTuple):
    """What the main database knows of a list."""

    #: the newest that was begun, 0 when none was
    version: int
    #: whether stored objects are matched with this version (of a removed list: whether all hits are gone)
    matched: bool
    #: how far the matching has come, as its writer says it
    place: bytes | None
    #: whether the list is gone, or stopped; a greater version may be begun
    removed: bool = False


_Hit = tuple[Any, ...]
_TNS = ListKey("watchlist", TNS_WATCHLIST)


class HitStore:
    """The part of the object store that writes hits; one transaction a call unless it says otherwise.

    All raise StoreUnavailable when the file cannot be written, and ValueError on arguments that make no sense.
    """

    _path: Path
    _lock: threading.Lock
    _db: sqlite3.Connection

    def put_hits(
        self,
        survey: str,
        keys: NDArray[Any],
        versions: Versions,
        hits: Mapping[str, Columns],
        lists: Mapping[ListKey, int],
        windows: Mapping[int, tuple[float, float]] | None = None,
    ) -> frozenset[ListKey]:
        """Replace the hits of the objects of a batch by those of their newest alert.

        Hits of watchlists and areas that an object has no more are removed, unless `objects` holds a later alert than
        the batch. A hit of an event stays when a later alert lies outside the event's window; of several alerts in it
        the newest decides.

        Parameters
        ----------
        survey : str
        keys : (n,) object of each alert, as users name it; may repeat
        versions : (n,) of each alert
        hits : 'watchlist_hits', 'area_hits', 'mma_area_hits' -> columns; those left out have no rows
            ``_alert`` is the index into `keys`.
        lists : version of every list that the alerts were matched with; one greater than is known is begun by this
        windows : first and last time [MJD TAI] of events, by number; of those that are left out all hits stay

        Returns
        -------
        Lists that were changed, added or removed since, as the database knows: nothing was written then, and the hits
        are to be computed again with newer definitions. Empty when all is written.
        """
        keep, last = newest(keys, versions)
        names = keys[keep].tolist()
        batch = dict(zip(names, zip(*(one.tolist() for one in last), strict=True), strict=True))
        decides = np.zeros(len(keys), np.bool_)
        decides[keep] = True
        given = {kind: _hits(survey, kind, keys, hits.get(HIT_TABLES[kind][0], {}), lists) for kind in HIT_TABLES}
        with self._writing() as db:
            stale, newer = _compare(db, lists)
            if stale:
                return stale
            for key in newer:
                _learn(db, key, _number(lists[key]))
            tns: set[Any] = set()
            for kind in ("watchlist", "area"):
                rows = {one[: _key_length(kind)]: one for i, one in given[kind] if decides[i]}
                tns |= _replace(db, survey, kind, names, batch, rows)
            _set_tns_names(db, survey, tns)
            events = given["event"]
            if windows:
                events = _settle_events(db, survey, events, versions, batch, windows)
            _put_event_hits(db, survey, events, versions)
        return frozenset()

    def put_list_hits(
        self,
        survey: str,
        key: ListKey,
        version: int,
        keys: NDArray[Any],
        versions: Versions,
        columns: Columns,
        place: bytes | None,
    ) -> NDArray[np.bool_] | None:
        """Write the hits of one list on stored objects, from a chunk of `positions`.

        Hits of a watchlist or an area are left out where an alert has changed the object since it was read: the
        pipeline has put that alert's, with the new list. Hits of the list with older versions stay until `finish_list`;
        those of the TNS go at once, since distances of hosts are computed from what is there.

        Parameters
        ----------
        survey : str
        key : ListKey
        version : of the list; `begin_list` was called with it
        keys : (n,) objects that were matched
        versions : (n,) of theirs as they were read
        columns : the hits, as in `put_hits`
        place : where to go on if the matching is stopped after this chunk

        Returns
        -------
        Which of the hits were of objects as they still are; None when a newer version of the list is known: nothing
        was written then, and there is no use in going on.
        """
        table, _ = HIT_TABLES[key.kind]
        rows = _hits(survey, key.kind, keys, columns, {key: version})
        with self._writing() as db:
            if not _is_current(db, key, _number(version)):
                return None
            current = np.ones(len(rows), np.bool_)
            if key.kind == "event":
                # what was seen in the window stays true whatever came later
                _put_event_hits(db, survey, rows, versions)
            else:
                mjd, alert, n_rows = (one.tolist() for one in versions)
                mjd = [None if one != one else one for one in mjd]
                seen = list(zip(mjd, alert, n_rows, strict=True))
                objects = keys.tolist()
                stored = _object_versions(db, survey, [objects[i] for i, _ in rows])
                current[:] = [seen[i] == stored.get(objects[i]) for i, _ in rows]
                kept = [one for (_, one), good in zip(rows, current.tolist(), strict=True) if good]
                db.executemany(upsert(survey, table, _columns(survey, key.kind), (LIST_VERSION,)), kept)
                if key == _TNS:
                    gone = _remove_older(db, survey, key, _number(version), dict(zip(objects, seen, strict=True)))
                    _set_tns_names(db, survey, gone | {one[0] for one in kept})
            db.execute("UPDATE lists SET place = ? WHERE kind = ? AND list_id = ?", (place, *key))
        return current

    def begin_list(self, key: ListKey, version: int) -> None:
        """Learn a version of a list, before anything is matched with it; one that is not greater changes nothing.

        From then on hits computed with an older version are refused.
        """
        _known_kind(key)
        if not 0 < version < _GREATEST:
            raise ValueError(f"version {version} of a list; from 1 to {_GREATEST - 1} are possible")
        with self._writing() as db:
            _learn(db, key, _number(version))

    def finish_list(self, key: ListKey, version: int) -> int:
        """Remove what older versions of a list hit, and mark stored objects as matched; the number of hits removed.

        In several transactions; it ends early, and marks nothing, when a newer version becomes known meanwhile.
        """
        return self._finish(key, _number(version))

    def _finish(self, key: ListKey, number: int) -> int:
        removed, whole = self._clear(key, number)
        if whole:
            with self._writing() as db:
                if _is_current(db, key, number):
                    told = key.kind != "event" or bool(number & 1)
                    db.execute(
                        "UPDATE lists SET matched = 1, place = NULL, told = ? WHERE kind = ? AND list_id = ?",
                        (told, *key),
                    )
        return removed

    def untold_events(self) -> list[tuple[int, int]]:
        """(event, version) of those that stored objects were matched with, but filters have not run on since."""
        with self._lock, guarded(self._path):
            found = self._db.execute(
                "SELECT list_id, version FROM lists WHERE kind = 'event' AND matched AND NOT told ORDER BY list_id"
            ).fetchall()
        return [(list_id, number >> 1) for list_id, number in found]

    def event_objects(self, survey: str, event_id: int, after: int | str | None, limit: int) -> list[int | str]:
        """The next objects that an event has tagged, ascending, after one of them."""
        where = table_of(survey, HIT_TABLES["event"][0])
        key = quote(row_key(where))
        condition, values = ("", []) if after is None else (f" AND {key} > ?", [after])
        with self._lock, guarded(self._path):
            found = self._db.execute(
                f"SELECT {key} FROM {quote(where.physical)} WHERE mw_id = ?{condition} ORDER BY {key} LIMIT ?",
                (event_id, *values, limit),
            ).fetchall()
        return [row[0] for row in found]

    def event_told(self, event_id: int, version: int) -> None:
        """Filters have run on the objects of an event; nothing when it has another version by now."""
        with self._writing() as db:
            db.execute(
                "UPDATE lists SET told = 1 WHERE kind = 'event' AND list_id = ? AND version = ?",
                (event_id, _number(version)),
            )

    def remove_list(self, key: ListKey, version: int | None = None) -> int:
        """Remove a list and all its hits; the number of hits removed.

        In several transactions: a list whose removal was stopped is `removed` and not `matched`; remove it again. Only
        a greater version than there was can be begun after it.

        Parameters
        ----------
        key : ListKey
        version : the newest that was known when the list was found to be gone: when there is another now, it came back
            meanwhile, and stays
        """
        _known_kind(key)
        with self._writing() as db:
            known = db.execute("SELECT version FROM lists WHERE kind = ? AND list_id = ?", tuple(key)).fetchone()
            if version is not None and known and known[0] >> 1 != version:
                return 0
            number = (known[0] if known else 0) | 1
            _learn(db, key, number)
        return self._finish(key, number)

    def lists(self) -> dict[ListKey, ListState]:
        """All lists that are known, removed ones too."""
        with self._lock, guarded(self._path):
            found = self._db.execute("SELECT kind, list_id, version, matched, place FROM lists").fetchall()
        return {
            ListKey(kind, list_id): ListState(number >> 1, bool(matched), place, bool(number & 1))
            for kind, list_id, number, matched, place in found
        }

    def _clear(self, key: ListKey, number: int) -> tuple[int, bool]:
        """Remove hits of older versions; how many, and whether all could be."""
        table, column = HIT_TABLES[key.kind]
        removed = 0
        for survey in SURVEYS:
            where = table_of(survey, table)
            keys, target = names_of(where.primary_key), quote(where.physical)
            more = True
            while more:
                with self._writing() as db:
                    if not _is_current(db, key, number):
                        return removed, False
                    old = db.execute(
                        f"SELECT {keys} FROM {target} WHERE {column} = ? AND {LIST_VERSION} < ? LIMIT {_ROWS}",
                        (key.list_id, number),
                    ).fetchall()
                    db.executemany(_delete(survey, key.kind), old)
                    if key == _TNS:
                        _set_tns_names(db, survey, {one[0] for one in old})
                removed += len(old)
                more = len(old) == _ROWS
        return removed, True

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db


def _known_kind(key: ListKey) -> None:
    if key.kind not in HIT_TABLES:
        raise ValueError(f"no kind of list {key.kind!r}; there are {', '.join(HIT_TABLES)}")


def _number(version: int) -> int:
    """A version of a list as the database has it."""
    return version << 1


def _learn(db: sqlite3.Connection, key: ListKey, number: int) -> None:
    db.execute(
        "INSERT INTO lists (kind, list_id, version) VALUES (?, ?, ?) ON CONFLICT (kind, list_id) DO UPDATE SET"
        " version = excluded.version, matched = 0, place = NULL WHERE excluded.version > version",
        (*key, number),
    )


def _is_current(db: sqlite3.Connection, key: ListKey, number: int) -> bool:
    """Whether it is the newest version known; ValueError when it is not known at all."""
    found = db.execute("SELECT version FROM lists WHERE kind = ? AND list_id = ?", tuple(key)).fetchone()
    if found is None or found[0] < number:
        raise ValueError(f"version {number >> 1} of {key.kind} {key.list_id} was not begun")
    return bool(found[0] == number)


def _compare(db: sqlite3.Connection, lists: Mapping[ListKey, int]) -> tuple[frozenset[ListKey], list[ListKey]]:
    """Lists of which a newer version is known, or that the caller does not know; and what of the caller's is new."""
    stale = set()
    newer = dict(lists)
    for kind, list_id, number in db.execute("SELECT kind, list_id, version FROM lists"):
        mine = lists.get(key := ListKey(kind, list_id))
        # one that was added and removed again is no loss
        if number > _number(mine) if mine is not None else not number & 1:
            stale.add(key)
        if mine is not None and number >= _number(mine):
            del newer[key]
    return frozenset(stale), list(newer)


@cache
def _key_length(kind: ListKind) -> int:
    return len(table_of("lsst", HIT_TABLES[kind][0]).primary_key)


@cache
def _columns(survey: str, kind: ListKind) -> tuple[str, ...]:
    """Columns of a hit as this module has it: the key, the rest, the version of the list; of an event the alert's."""
    where = table_of(survey, HIT_TABLES[kind][0])
    rest = tuple(one for one in where.column_names if one not in where.primary_key)
    return (*where.primary_key, *rest, LIST_VERSION, *(VERSION if kind == "event" else ()))


@cache
def _delete(survey: str, kind: ListKind) -> str:
    where = table_of(survey, HIT_TABLES[kind][0])
    return f"DELETE FROM {quote(where.physical)} WHERE " + " AND ".join(f"{quote(n)} = ?" for n in where.primary_key)


def _hits(
    survey: str, kind: ListKind, keys: NDArray[Any], columns: Columns, lists: Mapping[ListKey, int]
) -> list[tuple[int, _Hit]]:
    """Hits as (index into `keys`, row with the version of the list)."""
    if not columns or not len(next(iter(columns.values()))):
        return []
    table, list_column = HIT_TABLES[kind]
    where = table_of(survey, table)
    alert = columns["_alert"]
    columns = {**{name: values for name, values in columns.items() if name != "_alert"}, row_key(where): keys[alert]}
    missing = [name for name in where.primary_key if name not in columns]
    unknown = [name for name in columns if name not in where.column_names]
    if missing or unknown:
        raise ValueError(
            f"columns of {where.physical}: {', '.join(missing) or 'none'} missing, {', '.join(unknown) or 'none'}"
            " unknown"
        )
    rows = to_rows(shape_of(survey, table, _columns(survey, kind)[: len(where.columns)]), columns)
    versions = {one.list_id: _number(version) for one, version in lists.items() if one.kind == kind}
    place = where.primary_key.index(list_column)
    foreign = {one[place] for one in rows} - versions.keys()
    if foreign:
        raise ValueError(f"hits of {kind} {min(foreign)}, of which no version is given")
    return [(i, (*one, versions[one[place]])) for i, one in zip(alert.tolist(), rows, strict=True)]


def _replace(
    db: sqlite3.Connection,
    survey: str,
    kind: ListKind,
    names: Sequence[Any],
    batch: Mapping[Any, tuple[Any, ...]],
    rows: Mapping[_Hit, _Hit],
) -> set[Any]:
    """Let objects have these hits of one kind and no others; returns the objects that are or were hit by the TNS list.

    Parameters
    ----------
    names : the objects
    batch : version of each as the batch has it
    rows : hits by their key
    """
    where = table_of(survey, HIT_TABLES[kind][0])
    columns, length = _columns(survey, kind), len(where.primary_key)
    stored = {
        one[:length]: one
        for one in select_in(
            db,
            f"SELECT {names_of(columns)} FROM {quote(where.physical)} WHERE {quote(row_key(where))} IN ({{keys}})",
            names,
        )
    }
    if not rows and not stored:
        return set()
    known = _object_versions(db, survey, list({one[0] for one in (*rows, *stored)}))
    later = {name for name, version in known.items() if version[0] is not None and version > batch[name]}
    if later:
        rows = {key: one for key, one in rows.items() if one[0] not in later}
        stored = {key: one for key, one in stored.items() if one[0] not in later}
    # most objects hit what they hit before
    changed = [one for key, one in rows.items() if stored.get(key) != one]
    gone = [key for key in stored if key not in rows]
    db.executemany(_delete(survey, kind), gone)
    db.executemany(upsert(survey, where.name, columns), changed)
    if kind != "watchlist":
        return set()
    return {one[0] for one in (*rows, *stored) if one[1] == TNS_WATCHLIST}


def _settle_events(
    db: sqlite3.Connection,
    survey: str,
    rows: Sequence[tuple[int, _Hit]],
    versions: Versions,
    batch: Mapping[Any, tuple[Any, ...]],
    windows: Mapping[int, tuple[float, float]],
) -> list[tuple[int, _Hit]]:
    """The hits of events that no later alert in the window denies; those that the batch denies are removed.

    Parameters
    ----------
    rows, versions : hits of all alerts of the batch
    batch : version of the newest alert of each object in the batch
    windows : of the events that the batch was matched with
    """
    where = table_of(survey, HIT_TABLES["event"][0])
    place = where.primary_key.index(HIT_TABLES["event"][1])
    stored = select_in(
        db,
        f"SELECT {names_of((*where.primary_key, *VERSION))} FROM {quote(where.physical)}"
        f" WHERE {quote(row_key(where))} IN ({{keys}})",
        list(batch),
    )
    length = len(where.primary_key)
    old = {one[:length]: one[length:] for one in stored if one[place] in windows}
    if not old and not rows:
        return []
    known = _object_versions(db, survey, list({one[0] for one in (*old, *(one for _, one in rows))}))
    newest_of = {name: max(known.get(name, batch[name]), batch[name], key=_order) for name in known.keys() | batch}

    def denied(key: _Hit, by: tuple[Any, ...]) -> bool:
        """Whether a later alert in the window than that of a hit is the object's newest."""
        last = newest_of[key[0]]
        first_mjd, last_mjd = windows.get(key[place], (np.inf, -np.inf))
        return _order(last) > _order(by) and first_mjd <= _order(last)[0] <= last_mjd

    said = list(zip(*(one.tolist() for one in versions), strict=True))
    kept = [(i, one) for i, one in rows if not denied(one, said[i])]
    hit = {one[:length] for _, one in kept}
    db.executemany(_delete(survey, "event"), [key for key, by in old.items() if key not in hit and denied(key, by)])
    return kept


def _order(version: tuple[Any, ...]) -> tuple[Any, ...]:
    """A version as it compares: what has no time is older than any."""
    mjd, alert, n_rows = version
    unknown = mjd is None or mjd != mjd
    return (-np.inf if unknown else mjd, INT_MISSING if alert is None else alert, n_rows or 0)


def _remove_older(
    db: sqlite3.Connection, survey: str, key: ListKey, number: int, objects: Mapping[Any, tuple[Any, ...]]
) -> set[Any]:
    """Remove what older versions of a list hit of objects that still have these versions; those that it hit."""
    table, column = HIT_TABLES[key.kind]
    where = table_of(survey, table)
    old = [
        one[:-1]
        for one in select_in(
            db,
            f"SELECT {names_of((*where.primary_key, LIST_VERSION))} FROM {quote(where.physical)}"
            f" WHERE {quote(row_key(where))} IN ({{keys}}) AND {column} = {key.list_id}",
            list(objects),
        )
        if one[-1] < number
    ]
    stored = _object_versions(db, survey, list({one[0] for one in old}))
    gone = [one for one in old if stored.get(one[0]) == objects[one[0]]]
    db.executemany(_delete(survey, key.kind), gone)
    return {one[0] for one in gone}


def _put_event_hits(db: sqlite3.Connection, survey: str, rows: Sequence[tuple[int, _Hit]], versions: Versions) -> None:
    """Write hits of events unless the same object and event have one of a newer list or alert."""
    if not rows:
        return
    mjd, alert, n_rows = known_times(versions.mjd_tai).tolist(), versions.alert_id.tolist(), versions.n_rows.tolist()
    db.executemany(
        upsert(survey, HIT_TABLES["event"][0], _columns(survey, "event"), (LIST_VERSION, *VERSION)),
        [(*one, mjd[i], alert[i], n_rows[i]) for i, one in rows],
    )


def _object_versions(db: sqlite3.Connection, survey: str, names: Sequence[Any]) -> dict[Any, tuple[Any, ...]]:
    """Versions of stored objects; those that are not stored are left out."""
    where = table_of(survey, "objects")
    key = quote(row_key(where))
    statement = (
        f"SELECT {key}, _mjd_tai, COALESCE(_alert_id, {INT_MISSING}), COALESCE(_n_rows, {INT_MISSING})"
        f" FROM {quote(where.physical)} WHERE {key} IN ({{keys}})"
    )
    return {one[0]: one[1:] for one in select_in(db, statement, names)}


def _set_tns_names(db: sqlite3.Connection, survey: str, names: set[Any]) -> None:
    """Give objects the name of the nearest TNS object that they hit, or none."""
    objects, hits = table_of(survey, "objects"), table_of(survey, "watchlist_hits")
    if not names or "tns_name" not in objects.column_names:
        return
    statement = _TNS_NAME.format(
        objects=quote(objects.physical), hits=quote(hits.physical), key=quote(row_key(objects))
    )
    db.executemany(statement, [(one,) for one in names])


# While the list is matched anew an object may have hits of two versions. IS NOT: most names stay what they are, and
# the rows are wide.
_TNS_NAME = f"""
    WITH nearest (name) AS (SELECT
        (SELECT name FROM {{hits}} WHERE {{key}} = ?1 AND wl_id = {TNS_WATCHLIST}
         ORDER BY {LIST_VERSION} DESC, arcsec, cone_id LIMIT 1))
    UPDATE {{objects}} SET tns_name = (SELECT name FROM nearest), "timestamp" = {NOW}
    WHERE {{key}} = ?1 AND tns_name COLLATE BINARY IS NOT (SELECT name FROM nearest)"""
