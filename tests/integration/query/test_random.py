"""Random expressions: the same rows on both engines."""

from __future__ import annotations

import sqlite3
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lasair.errors import BadQuery
from lasair.query.compile import compile_query
from tests.integration.query.test_differential import TOLERANCE, Connections
from tests.unit.query import corpus
from tests.unit.query.expressions import CONDITIONS, EXPRESSIONS

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def database() -> sqlite3.Connection:
    return corpus.sqlite_database()


@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=3), CONDITIONS, EXPRESSIONS)
def test_same_rows(
    mariadb: Connections, database: sqlite3.Connection, selected: list[str], where: str, order: str
) -> None:
    try:
        query = compile_query(
            ", ".join(["diaObjectId", *selected]), "", where, survey="lsst", order_by=f"{order}, diaObjectId"
        )
    except BadQuery:
        return  # too long, too deep, a text and a number: both engines are spared
    now = corpus.now_mjd_tai()
    expected = database.execute(query.sqlite.sql, query.sqlite.bind(now)).fetchall()
    with mariadb["stored"].cursor() as cursor, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cursor.execute(query.mariadb.sql, query.mariadb.bind(now))
        found = list(cursor.fetchall())
    assert corpus.same(found, expected, TOLERANCE), f"MariaDB {found}\nSQLite  {expected}\n{query.mariadb.sql}"
