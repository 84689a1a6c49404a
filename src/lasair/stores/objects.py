"""The main SQL database on one machine: all tables of both surveys in one SQLite file."""

from __future__ import annotations

import math
import sqlite3
import string
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
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
from lasair.schema.model import POSITION, Survey, load_tables
from lasair.schema.rows import column_of
from lasair.sky.separation import separation_arcsec
from lasair.stores.attached import AttachedMarks
from lasair.stores.files import connect, database_bytes, guarded, require_tables
from lasair.stores.hits import HitStore
from lasair.stores.layout import (
    VERSION,
    VERSIONED,
    all_columns,
    definitions,
    main_tables,
    names_of,
    newest,
    quote,
    row_key,
    select_in,
    shape_of,
    table_of,
    upsert,
)
from lasair.stores.positions import Positions, read_positions
from lasair.stores.protocols import PutResult, QueryResult, Versions
from lasair.stores.rows import to_rows
from lasair.times import JD_MINUS_MJD, SECONDS_A_DAY, TAI_MINUS_UTC_S

#: Column of `objects` with an index that says when the newest alert was.
_NEWEST: dict[Survey, str] = {"lsst": "lastDiaSourceMjdTai", "ztf": "jdmax"}
_JD_UTC_TO_MJD_TAI = TAI_MINUS_UTC_S / SECONDS_A_DAY - JD_MINUS_MJD

_PAGE_SIZE = 4096
_CACHE_KIB = 32_768
_ARCSEC_A_DEGREE = 3600.0
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class SqliteObjectStore(HitStore):
    """Tables of schema/ in one SQLite file; queries also see those of `marks.db` beside it.

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
        self._marks = AttachedMarks(path.with_name("marks.db"))
        try:
            with guarded(path):
                self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                self._prepare(read_only)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, read_only: bool) -> None:
        """Make the tables, or see that they are what this version of Lasair expects."""
        ours = sql.schema_version()
        # read first: a reader of a state that exists needs no right to write
        made = self._db.execute("SELECT name FROM sqlite_master WHERE name = 'schema_version'").fetchone()
        if read_only:
            require_tables(self._db, self._path, {"schema_version": ("version",)})
        if not made:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                for statement in definitions():
                    self._db.execute(statement)
                # empty unless another process was quicker
                if not self._db.execute("SELECT 1 FROM schema_version").fetchone():
                    self._db.execute("INSERT INTO schema_version VALUES (?)", (ours,))
        theirs = [row[0] for row in self._db.execute("SELECT version FROM schema_version")]
        if theirs != [ours]:
            raise StoreUnavailable(
                f"{self._path} was made by schema {', '.join(theirs) or '(unknown)'}, this Lasair has schema"
                f" {ours}: use the version of Lasair that made it, or run the packets into another state folder"
            )
        if made:
            require_tables(self._db, self._path, all_columns())

    def put(self, survey: str, table: str, columns: Columns, versions: Versions | None = None) -> PutResult:
        """Replace rows by primary key; see `ObjectStore.put`. Counts rows.

        Columns that are not given keep the values they have (NULL in a new row); a time of writing that is not given
        is now. A column ``_alert`` is not stored: it says which of `versions` each row has. Tables not in VERSIONED
        ignore `versions`; of several rows of one key the last counts.
        """
        where = table_of(survey, table)
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
            keep, versions = newest(columns[where.primary_key[0]], versions)
            columns = {name: values[keep] for name, values in columns.items()}
            columns |= dict(zip(VERSION, versions, strict=True))
        names = tuple(columns)
        statement = upsert(survey, table, names, tuple(VERSION) if set(VERSION) <= set(names) else ())
        shape = shape_of(survey, table, names)
        rows = to_rows(shape, columns)
        with self._writing() as db:
            before = db.total_changes
            db.executemany(statement, rows)
            written = db.total_changes - before
        return PutResult(written, given - written)

    def get(self, survey: str, table: str, key: int | str) -> list[dict[str, Any]]:
        """Rows of one object (of `crossmatch_tns`: of one name) as dictionaries in schema order."""
        where = table_of(survey, table)
        names = where.column_names
        with self._lock, guarded(self._path):
            found = self._db.execute(
                f"SELECT {names_of(names)} FROM {quote(where.physical)}"
                f" WHERE {quote(row_key(where))} = ? ORDER BY {names_of(where.primary_key)}",
                (key,),
            ).fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]

    def fetch(
        self, survey: str, table: str, names: Sequence[str], keys: Sequence[int | str]
    ) -> dict[Any, tuple[Any, ...]]:
        """Some columns of the rows of many objects; see `ObjectStore.fetch`."""
        where = table_of(survey, table)
        key = where.primary_key[0]
        statement = f"SELECT {names_of((key, *names))} FROM {quote(where.physical)} WHERE {quote(key)} IN ({{keys}})"
        with self._lock, guarded(self._path):
            return {row[0]: row[1:] for row in select_in(self._db, statement, keys)}

    def rows(self, survey: str, table: str, keys: NDArray[Any]) -> Columns:
        """All rows of many objects (of `crossmatch_tns`: of many names) as columns of the table.

        Parameters
        ----------
        survey, table : str
        keys : (n,) objects as users name them, or names; a repeated one repeats its rows, an empty one has none

        Returns
        -------
        The table's columns and ``_alert``, the index into `keys`; ordered by ``_alert``, then primary key.
        """
        where = table_of(survey, table)
        column, names = row_key(where), where.column_names
        statement = (
            f"SELECT {names_of(names)} FROM {quote(where.physical)} WHERE {quote(column)} IN ({{keys}})"
            f" ORDER BY {names_of(where.primary_key)}"
        )
        asked = keys.tolist() if keys.dtype.kind == "i" else [one.translate(_LOWER) for one in keys.tolist()]
        different = [one for one in dict.fromkeys(asked) if one != ""]
        of_key: dict[Any, list[tuple[Any, ...]]] = {}
        place = names.index(column)
        with self._lock, guarded(self._path):
            for row in select_in(self._db, statement, different):
                key = row[place]
                of_key.setdefault(key.translate(_LOWER) if isinstance(key, str) else key, []).append(row)
        found = [(i, row) for i, one in enumerate(asked) for row in of_key.get(one, ())] if of_key else []
        values = list(zip(*(row for _, row in found), strict=True)) or [()] * len(names)
        columns = {one.name: column_of(one, held) for one, held in zip(where.columns, values, strict=True)}
        return {**columns, "_alert": np.array([i for i, _ in found], np.int64)}

    def positions(
        self, survey: str, after: bytes | None, limit: int, decl_min: float = -90.0, decl_max: float = 90.0
    ) -> Positions | None:
        """Up to `limit` stored objects that follow a place, in order of declination; None when there are none.

        Objects without a position are left out.

        Parameters
        ----------
        survey : str
        after : `Positions.place` of the chunk before, None to begin
        limit : int
        decl_min, decl_max : degrees, both included

        Raises
        ------
        ValueError
            `after` is a place of the other survey.
        """
        where = table_of(survey, "objects")
        with self._lock, guarded(self._path):
            return read_positions(self._db, where, after, limit, decl_min, decl_max)

    def keep_only(self, survey: str, table: str, keys: Sequence[int | str]) -> int:
        """Remove the rows of a table whose key (its first column) is none of these; how many."""
        where = table_of(survey, table)
        column, target = quote(where.primary_key[0]), quote(where.physical)
        with self._lock, guarded(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS kept (key PRIMARY KEY) WITHOUT ROWID")
            self._db.execute("DELETE FROM temp.kept")
            self._db.executemany("INSERT OR IGNORE INTO temp.kept VALUES (?)", ((key,) for key in keys))
            gone = self._db.execute(f"DELETE FROM {target} WHERE {column} NOT IN (SELECT key FROM temp.kept)").rowcount
            self._db.execute("DELETE FROM temp.kept")
        return int(gone)

    def query(self, sql: str, parameters: Mapping[str, Any], *, time_limit_s: float, row_limit: int) -> QueryResult:
        """Run a compiled query, read-only; see `ObjectStore.query`. It sees annotations and tags as they are now.

        Raises
        ------
        BadQuery
            It takes longer than `time_limit_s`.
        """
        with self._reading, guarded(self._path):
            connection = self._read_only()
            marked = self._marks.needed(sql)
            if marked:
                self._marks.attach(connection)
            with (
                self._marks.reading(connection) if marked else nullcontext(),
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
        where = table_of(survey, "objects")
        assert where.survey
        box, values = _box(where.survey, ra, decl, radius_arcsec / _ARCSEC_A_DEGREE)
        columns = names_of((where.primary_key[0], *POSITION[where.survey]))
        with self._lock, guarded(self._path):
            found = self._db.execute(f"SELECT {columns} FROM {quote(where.physical)} WHERE {box}", values).fetchall()
        if not found:
            return []
        names, ras, decls = zip(*found, strict=True)
        separation = separation_arcsec(ra, decl, np.array(ras, np.float64), np.array(decls, np.float64))
        inside = [(name, s) for name, s in zip(names, separation.tolist(), strict=True) if s <= radius_arcsec]
        return sorted(inside, key=lambda one: (one[1], one[0]))

    def newest(self, survey: str) -> float | None:
        """Time of the newest detection in `objects` (MJD TAI), None when there is none."""
        where = table_of(survey, "objects")
        assert where.survey
        last = quote(_NEWEST[where.survey])
        with self._lock, guarded(self._path):
            (found,) = self._db.execute(f"SELECT max({last}) FROM {quote(where.physical)}").fetchone()
        if found is None:
            return None
        return float(found) + (_JD_UTC_TO_MJD_TAI if where.survey == "ztf" else 0.0)

    def count(self, survey: str, table: str) -> int:
        """Number of rows."""
        where = table_of(survey, table)
        with self._lock, guarded(self._path):
            return int(self._db.execute(f"SELECT count(*) FROM {quote(where.physical)}").fetchone()[0])

    def check(self) -> None:
        """Read a row of every table; StoreUnavailable when the file is damaged, as far as can be seen at once."""
        with self._lock, guarded(self._path):
            for name in ("lists", *(one.physical for one in main_tables())):
                self._db.execute(f"SELECT * FROM {quote(name)} LIMIT 1").fetchall()

    def disk_bytes(self) -> int:
        """Size of the file and its journal."""
        return database_bytes(self._path)

    def close(self) -> None:
        """Close the file; the store cannot be used after it."""
        with ExitStack() as stack:
            stack.callback(self._db.close)
            if self._reader is not None:
                stack.callback(self._reader.close)


def _box(survey: Survey, ra: float, decl: float, radius: float) -> tuple[str, list[float]]:
    """Condition for a box around the cone, in degrees; it never leaves out what the cone holds."""
    ra_name, decl_name = map(quote, POSITION[survey])
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
