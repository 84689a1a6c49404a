"""The main SQL database on one machine: all tables of both surveys in one SQLite file."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.errors import StoreUnavailable
from lasair.packets.batch import Columns
from lasair.query import limits
from lasair.query.functions import register
from lasair.schema import sql
from lasair.schema.model import SURVEYS, Survey, Table, load_tables, object_key
from lasair.schema.model import table as schema_table
from lasair.sky.separation import separation_arcsec
from lasair.stores.files import connect, database_bytes, guarded, require_tables
from lasair.stores.protocols import PutResult, QueryResult, Versions
from lasair.stores.rows import to_rows
from lasair.times import JD_MINUS_MJD, SECONDS_A_DAY, TAI_MINUS_UTC_S

#: Tables whose rows come from alerts: they remember the version of the alert, and an older one does not replace them.
VERSIONED = ("objects", "sherlock_classifications")

_VERSION = {"_mjd_tai": "REAL", "_alert_id": "INTEGER", "_n_rows": "INTEGER"}
#: Position columns of `objects`.
_POSITION: dict[Survey, tuple[str, str]] = {"lsst": ("ra", "decl"), "ztf": ("ramean", "decmean")}
#: Column of `objects` with an index that says when the newest alert was.
_NEWEST: dict[Survey, str] = {"lsst": "lastDiaSourceMjdTai", "ztf": "jdmax"}
_JD_UTC_TO_MJD_TAI = TAI_MINUS_UTC_S / SECONDS_A_DAY - JD_MINUS_MJD

_PAGE_SIZE = 4096
_CACHE_KIB = 32_768
_ARCSEC_A_DEGREE = 3600.0
_IN_LIST = 500  # keys in one SELECT


class SqliteObjectStore:
    """Tables of schema/ in one SQLite file.

    Parameters
    ----------
    path : Path
    durable : wait for the disk at each put
    read_only : the file must exist and is not written

    Raises
    ------
    StoreUnavailable
        The file cannot be opened or made, or another version of the schema made it.
    """

    def __init__(self, path: Path, durable: bool = True, *, read_only: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._db = connect(path, durable=durable, page_size=_PAGE_SIZE, read_only=read_only)
        self._reader: sqlite3.Connection | None = None
        try:
            with guarded(path):
                self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                if read_only:
                    require_tables(self._db, path, _tables())
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        """Make the tables, or see that they are what this version of Lasair expects."""
        ours = sql.schema_version()
        # read first: a reader of a state that exists needs no right to write
        made = self._db.execute("SELECT name FROM sqlite_master WHERE name = 'schema_version'").fetchone()
        if not made:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                for statement in _definitions():
                    self._db.execute(statement)
                self._db.execute("CREATE TABLE IF NOT EXISTS schema_version (version TEXT PRIMARY KEY) WITHOUT ROWID")
                # empty unless another process was quicker
                if not self._db.execute("SELECT 1 FROM schema_version").fetchone():
                    self._db.execute("INSERT INTO schema_version VALUES (?)", (ours,))
        theirs = [row[0] for row in self._db.execute("SELECT version FROM schema_version")]
        if theirs != [ours]:
            raise StoreUnavailable(
                f"{self._path} was made by schema {', '.join(theirs) or '(unknown)'}, this Lasair has schema"
                f" {ours}: use the version of Lasair that made it, or run the packets into another state folder"
            )

    def put(self, survey: str, table: str, columns: Columns, versions: Versions | None = None) -> PutResult:
        """Replace rows by primary key; see `ObjectStore.put`. Counts rows.

        Columns that are not given keep the values they have (NULL in a new row); a time of writing that is not given
        is now. A column ``_alert`` is not stored: it says which of `versions` each row has. Tables not in VERSIONED
        ignore `versions`; of several rows of one key the last counts.
        """
        where = _table(survey, table)
        keep: NDArray[np.int64] | None = None
        columns = dict(columns)
        alert = columns.pop("_alert", None)
        given = len(next(iter(columns.values()))) if columns else 0
        if not given:
            return PutResult(0, 0)
        missing = [name for name in where.primary_key if name not in columns]
        unknown = [name for name in columns if name not in where.column_names]
        if missing or unknown:
            raise ValueError(
                f"columns of {where.physical}: {', '.join(missing) or 'none'} missing,"
                f" {', '.join(unknown) or 'none'} unknown"
            )
        if table in VERSIONED and versions is not None:
            if alert is not None:
                versions = Versions(versions.mjd_tai[alert], versions.alert_id[alert], versions.n_rows[alert])
            keep, versions = _newest(where, columns, versions)
            columns = {name: values[keep] for name, values in columns.items()}
            columns |= dict(zip(_VERSION, versions, strict=True))
        shape = _shape(survey, table, tuple(columns))
        rows = to_rows(shape, columns)
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            before = self._db.total_changes
            self._db.executemany(_upsert(survey, table, tuple(columns)), rows)
            written = self._db.total_changes - before
        return PutResult(written, given - written)

    def get(self, survey: str, table: str, key: int | str) -> list[dict[str, Any]]:
        """Rows of one object (of `crossmatch_tns`: of one name) as dictionaries in schema order."""
        where = _table(survey, table)
        column = object_key(where.survey) if where.survey else where.primary_key[0]
        order = ", ".join(_quote(name) for name in where.primary_key)
        names = where.column_names
        with self._lock, guarded(self._path):
            found = self._db.execute(
                f"SELECT {', '.join(map(_quote, names))} FROM {_quote(where.physical)}"
                f" WHERE {_quote(column)} = ? ORDER BY {order}",
                (key,),
            ).fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]

    def fetch(
        self, survey: str, table: str, names: Sequence[str], keys: Sequence[int | str]
    ) -> dict[Any, tuple[Any, ...]]:
        """Some columns of the rows of many objects; see `ObjectStore.fetch`."""
        where = _table(survey, table)
        columns = ", ".join(map(_quote, (where.primary_key[0], *names)))
        found: dict[Any, tuple[Any, ...]] = {}
        with self._lock, guarded(self._path):
            for start in range(0, len(keys), _IN_LIST):
                some = keys[start : start + _IN_LIST]
                marks = ", ".join("?" * len(some))
                statement = (
                    f"SELECT {columns} FROM {_quote(where.physical)} WHERE {_quote(where.primary_key[0])} IN ({marks})"
                )
                found |= {row[0]: row[1:] for row in self._db.execute(statement, tuple(some))}
        return found

    def query(self, sql: str, parameters: Mapping[str, Any], *, time_limit_s: float, row_limit: int) -> QueryResult:
        """Run a compiled query, read-only; see `ObjectStore.query`.

        Raises
        ------
        BadQuery
            It takes longer than `time_limit_s`.
        """
        with self._reading, guarded(self._path):
            connection = self._read_only()
            with (
                limits.read_only(connection, [one.physical for one in load_tables()]),
                limits.time_limit(connection, time_limit_s),
            ):
                cursor = connection.execute(sql, dict(parameters))
                # one more row than asked for tells whether there is more
                rows = list(islice(cursor, row_limit + 1))
                names = [one[0] for one in cursor.description or ()]
                cursor.close()
        return QueryResult(names, rows[:row_limit], len(rows) > row_limit)

    def _read_only(self) -> sqlite3.Connection:
        if self._reader is None:
            self._reader = connect(self._path, read_only=True)
            register(self._reader)
        return self._reader

    def cone(self, survey: str, ra: float, decl: float, radius_arcsec: float) -> list[tuple[int | str, float]]:
        """(object, separation in arcsec) within the radius (included), nearest first."""
        where = _table(survey, "objects")
        assert where.survey
        box, values = _box(where.survey, ra, decl, radius_arcsec / _ARCSEC_A_DEGREE)
        columns = ", ".join(map(_quote, (where.primary_key[0], *_POSITION[where.survey])))
        with self._lock, guarded(self._path):
            found = self._db.execute(f"SELECT {columns} FROM {_quote(where.physical)} WHERE {box}", values).fetchall()
        if not found:
            return []
        names, ras, decls = zip(*found, strict=True)
        separation = separation_arcsec(ra, decl, np.array(ras, np.float64), np.array(decls, np.float64))
        inside = [(name, s) for name, s in zip(names, separation.tolist(), strict=True) if s <= radius_arcsec]
        return sorted(inside, key=lambda one: (one[1], one[0]))

    def newest(self, survey: str) -> float | None:
        """Time of the newest detection in `objects` (MJD TAI), None when there is none."""
        where = _table(survey, "objects")
        assert where.survey
        with self._lock, guarded(self._path):
            (found,) = self._db.execute(
                f"SELECT max({_quote(_NEWEST[where.survey])}) FROM {_quote(where.physical)}"
            ).fetchone()
        if found is None:
            return None
        return float(found) + (_JD_UTC_TO_MJD_TAI if where.survey == "ztf" else 0.0)

    def count(self, survey: str, table: str) -> int:
        """Number of rows."""
        with self._lock, guarded(self._path):
            return int(self._db.execute(f"SELECT count(*) FROM {_quote(_table(survey, table).physical)}").fetchone()[0])

    def check(self) -> None:
        """Read a row of every table; StoreUnavailable when the file is damaged, as far as can be seen at once."""
        with self._lock, guarded(self._path):
            for one in load_tables():
                self._db.execute(f"SELECT * FROM {_quote(one.physical)} LIMIT 1").fetchall()

    def disk_bytes(self) -> int:
        """Size of the file and its journal."""
        return database_bytes(self._path)

    def close(self) -> None:
        """Close the file; the store cannot be used after it."""
        with ExitStack() as stack:
            stack.callback(self._db.close)
            if self._reader is not None:
                stack.callback(self._reader.close)


def _quote(name: str) -> str:
    return sql.quote(name, "sqlite")


def _table(survey: str, table: str) -> Table:
    for one in SURVEYS:
        if one == survey:
            return schema_table(table, one)
    raise ValueError(f"no survey {survey!r}; there are {', '.join(SURVEYS)}")


def _tables() -> dict[str, tuple[str, ...]]:
    """Columns by table, as the databases name them."""
    return {
        "schema_version": ("version",),
        **{one.physical: (*one.column_names, *(_VERSION if one.name in VERSIONED else ())) for one in load_tables()},
    }


def _definitions() -> list[str]:
    found = []
    for table in load_tables():
        extra = tuple(f"{name} {form}" for name, form in _VERSION.items()) if table.name in VERSIONED else ()
        found += sql.create_table(table, "sqlite", extra=extra)
        if table.name == "objects" and table.survey:
            ra, decl = _POSITION[table.survey]
            # holds all that a cone search asks for
            found.append(
                f"CREATE INDEX IF NOT EXISTS {_quote(table.physical + '_position')} ON {_quote(table.physical)}"
                f" ({_quote(decl)}, {_quote(ra)})"
            )
    return found


@cache
def _shape(survey: str, table: str, names: tuple[str, ...]) -> Table:
    """The table with the columns `names`, in their order, versions included."""
    where = _table(survey, table)
    template = where.columns[0]
    return replace(
        where,
        columns=tuple(replace(template, name=n, type="bigint") if n in _VERSION else where.column(n) for n in names),
    )


@cache
def _upsert(survey: str, table: str, names: tuple[str, ...]) -> str:
    """INSERT of the columns `names`, or UPDATE of a row of the same key that is not of a later version."""
    where = _table(survey, table)
    written_at = [
        one.name for one in where.columns if one.type == "timestamp" and not one.nullable and one.name not in names
    ]
    others = [_quote(name) for name in (*names, *written_at) if name not in where.primary_key]
    target = _quote(where.physical)
    statement = (
        f"INSERT INTO {target} ({', '.join(map(_quote, names))}) VALUES ({', '.join('?' * len(names))})"
        f" ON CONFLICT ({', '.join(map(_quote, where.primary_key))})"
    )
    if not others:
        return statement + " DO NOTHING"
    statement += " DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in others)
    if set(_VERSION) <= set(names):
        excluded = ", ".join(f"excluded.{name}" for name in _VERSION)
        stored = ", ".join(f"{target}.{name}" for name in _VERSION)
        # a row that was put without a version gives way to any
        statement += f" WHERE {target}._mjd_tai IS NULL OR ({excluded}) >= ({stored})"
    return statement


def _newest(where: Table, columns: Columns, versions: Versions) -> tuple[NDArray[np.int64], Versions]:
    """Index of the greatest version of each key, in order of keys, and these versions."""
    (key,) = where.primary_key
    # an unknown time is older than any
    mjd = np.where(np.isnan(versions.mjd_tai), -np.inf, versions.mjd_tai)
    _, codes = np.unique(columns[key], return_inverse=True)
    order = np.lexsort((versions.n_rows, versions.alert_id, mjd, codes))
    last = np.flatnonzero(np.diff(codes[order], append=-1))
    keep = order[last]
    return keep, Versions(mjd[keep], versions.alert_id[keep], versions.n_rows[keep])


def _box(survey: Survey, ra: float, decl: float, radius: float) -> tuple[str, list[float]]:
    """Condition for a box around the cone, in degrees; it never leaves out what the cone holds."""
    ra_name, decl_name = map(_quote, _POSITION[survey])
    radius = radius * (1 + 1e-9) + 1e-9
    condition, values = f"{decl_name} BETWEEN ? AND ?", [decl - radius, decl + radius]
    if abs(decl) + radius >= 90.0:
        # a pole is inside: all right ascensions
        return condition, values
    half = math.degrees(math.asin(min(1.0, math.sin(math.radians(radius)) / math.cos(math.radians(decl))))) + 1e-9
    low, high = (ra - half) % 360.0, (ra + half) % 360.0
    if half >= 180.0:
        return condition, values
    joint = "AND" if low <= high else "OR"
    return f"{condition} AND ({ra_name} >= ? {joint} {ra_name} <= ?)", [*values, low, high]
