from __future__ import annotations

import sqlite3
import time

import pytest

from lasair.errors import BadQuery
from lasair.query.compile import compile_query
from lasair.query.functions import register
from lasair.query.limits import mariadb_session, read_only, time_limit
from tests.unit.query import corpus

_ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n"


@pytest.fixture
def database() -> sqlite3.Connection:
    return corpus.sqlite_database()


def test_long_queries_are_stopped(database: sqlite3.Connection) -> None:
    started = time.monotonic()
    with (
        pytest.raises(BadQuery, match=r"filter 'x' took longer than 0\.05 s"),
        time_limit(database, 0.05, "filter 'x'"),
    ):
        database.execute(_ENDLESS).fetchall()
    assert time.monotonic() - started < 5.0
    # afterwards the connection works as before
    assert database.execute("SELECT COUNT(*) FROM lsst_objects").fetchone() == (9,)


def test_short_queries_are_not(database: sqlite3.Connection) -> None:
    with time_limit(database, 10.0):
        assert database.execute("SELECT COUNT(*) FROM lsst_objects").fetchone() == (9,)


def test_other_errors_stay_what_they_are(database: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), time_limit(database, 10.0):
        database.execute("SELECT * FROM no_table")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM ztf_objects",
        "SELECT * FROM sqlite_master",
        "SELECT lsst_objects.ra FROM lsst_objects JOIN ztf_objects",
        "DELETE FROM lsst_objects",
        "INSERT INTO lsst_objects (diaObjectId) VALUES (5)",
        "UPDATE lsst_objects SET ra = 1",
        "DROP TABLE lsst_objects",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t (x)",
        "ATTACH ':memory:' AS other",
        "PRAGMA writable_schema = 1",
        "PRAGMA table_info(lsst_objects)",
        "SELECT load_extension('x')",
        "SELECT randomblob(5)",
        "SELECT sqlite_version()",
        "SELECT group_concat(ra) FROM lsst_objects",
        _ENDLESS,
        "BEGIN",
        "VACUUM",
        "REINDEX",
        "ANALYZE",
    ],
)
def test_second_wall_stops_all_but_reading(database: sqlite3.Connection, sql: str) -> None:
    with pytest.raises(sqlite3.DatabaseError), read_only(database, ["lsst_objects"]):
        database.execute(sql).fetchall()
    # the wall is gone afterwards
    assert database.execute("SELECT COUNT(*) FROM ztf_objects").fetchone() == (4,)


def test_second_wall_lets_compiled_queries_pass(database: sqlite3.Connection) -> None:
    query = compile_query("COUNT(*), STD(ra)", "sherlock_classifications", survey="lsst")
    with read_only(database, query.physical):
        ((count, spread),) = database.execute(query.sqlite.sql, query.sqlite.bind(0.0)).fetchall()
    assert count == 5
    assert spread > 0


def test_functions_of_a_bare_sqlite_are_replaced() -> None:
    """A SQLite without mathematics gives the same answers by our functions."""

    class Bare(sqlite3.Connection):
        """Knows the mathematical functions only once they are registered."""

        own: set[str]

        def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:  # type: ignore[override]
            name = sql.removeprefix("SELECT ").split("(")[0]
            if name not in self.own:
                raise sqlite3.OperationalError(f"no such function: {name}")
            return super().execute(sql, parameters)  # type: ignore[arg-type]

        def create_function(self, name: str, *args: object, **options: object) -> None:  # type: ignore[override]
            self.own.add(name)
            super().create_function(name, *args, **options)  # type: ignore[arg-type]

    connection = sqlite3.connect(":memory:", factory=Bare)
    connection.own = set()
    register(connection)
    assert len(connection.own) == 19
    values = {
        "SELECT sqrt(2)": 2**0.5,
        "SELECT sqrt(-1)": None,
        "SELECT exp(1000)": None,
        "SELECT ln(0)": None,
        "SELECT log10(1000)": 3.0,
        "SELECT log2(8)": 3.0,
        "SELECT mod(-7.5, 2)": -1.5,
        "SELECT mod(1, 0)": None,
        "SELECT floor(-1.5)": -2.0,
        "SELECT ceil(-1.5)": -1.0,
        "SELECT trunc(-1.5)": -1.0,
        "SELECT pow(-8, 0.5)": None,
        "SELECT pow(NULL, 2)": None,
        "SELECT degrees(radians(180))": 180.0,
        "SELECT atan2(0, -1)": 3.141592653589793,
        "SELECT acos(2)": None,
    }
    for sql, wanted in values.items():
        assert connection.execute(sql).fetchone() == (wanted,)
    connection.close()


def test_mariadb_session_says_the_limits() -> None:
    statements = mariadb_session(12.5)
    assert "SET SESSION max_statement_time = 12.500" in statements
    assert any("READ ONLY" in one for one in statements)
