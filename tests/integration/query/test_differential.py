"""The corpus on both real engines: the same rows, and those the corpus says."""

from __future__ import annotations

import sqlite3
import warnings
from typing import Any

import pymysql
import pytest

from tests.unit.query import corpus
from tests.unit.query.corpus import Case

pytestmark = pytest.mark.server

#: sums depend on the order of rows, and mathematical libraries differ in the last digit
TOLERANCE = 1e-12

Connections = dict[str, "pymysql.connections.Connection[Any]"]


@pytest.fixture(scope="module")
def sqlite() -> dict[str, sqlite3.Connection]:
    return {mode: corpus.sqlite_database(alerts=mode == "filter") for mode in ("stored", "filter")}


@pytest.mark.parametrize("case", corpus.good_cases(), ids=str)
def test_both_engines_give_the_rows_of_the_corpus(
    case: Case, mariadb: Connections, sqlite: dict[str, sqlite3.Connection]
) -> None:
    statement = case.compile().mariadb
    with mariadb[case.mode].cursor() as cursor, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cursor.execute(statement.sql, statement.bind(corpus.now_mjd_tai()))
        found = corpus.sorted_rows(case, cursor.fetchall())
    expected = corpus.run_sqlite(case, sqlite[case.mode])
    assert corpus.same(found, expected, TOLERANCE), f"MariaDB {found}\nSQLite  {expected}\n{statement.sql}"
    assert case.rows is not None
    assert corpus.same(found, [tuple(row) for row in case.rows], TOLERANCE)
