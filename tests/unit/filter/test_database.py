from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from lasair.filter.database import BatchDatabase, Reader
from lasair.packets.batch import Columns
from lasair.schema.model import INT_MISSING, Survey


def objects(n: int) -> Columns:
    flux = np.arange(n, dtype=np.float64)
    flux[1::2] = np.nan
    return {
        "diaObjectId": 2**58 + np.arange(n),
        "g_psfFlux": flux,
        "nDiaSources": np.where(np.arange(n) % 3 == 0, INT_MISSING, np.arange(n)),
        "latestPairColourBands": np.array(["g-r" if i % 2 else "" for i in range(n)]),
    }


READS = [
    frozenset({("lsst_objects", "g_psfFlux"), ("lsst_objects", "diaObjectId"), ("lsst_objects", "_alert")}),
    frozenset({("lsst_objects", "nDiaSources"), ("lsst_objects", "g_psfFlux")}),
    frozenset({("lsst_objects", "latestPairColourBands"), ("lsst_watchlist_hits", "wl_id")}),
]


def rows(database: BatchDatabase, sql: str) -> list[tuple[object, ...]]:
    return database.user_statement(sql, ()).fetchall()


@pytest.mark.parametrize("reads", [None, READS])
def test_load_one_batch_after_another(reads: list[frozenset[tuple[str, str]]] | None) -> None:
    database = BatchDatabase("lsst")
    for n in (4, 1, 6, 0):
        database.load({"objects": objects(n)}, reads)
        assert rows(
            database,
            "SELECT _alert, diaObjectId, g_psfFlux, nDiaSources, latestPairColourBands FROM lsst_objects",
        ) == [
            (
                i,
                2**58 + i,
                None if i % 2 else float(i),
                None if i % 3 == 0 else i,
                "g-r" if i % 2 else None,
            )
            for i in range(n)
        ]


def test_only_what_is_read_is_loaded() -> None:
    database = BatchDatabase("lsst")
    database.load({"objects": objects(3)}, READS)
    names = [row[1] for row in database.sqlite.execute("PRAGMA table_info(lsst_objects)")]
    assert names[:2] == ["_alert", "g_psfFlux"], "the most used comes first"
    assert set(names) == {"_alert", "g_psfFlux", "diaObjectId", "nDiaSources", "latestPairColourBands"}


def test_another_set_of_filters() -> None:
    database = BatchDatabase("lsst")
    database.load({"objects": objects(3)}, READS[:1])
    database.load({"objects": objects(2)}, READS)
    assert len(rows(database, "SELECT latestPairColourBands FROM lsst_objects")) == 2
    database.load({"objects": objects(5)}, READS[:1])
    assert len(rows(database, "SELECT g_psfFlux FROM lsst_objects")) == 5


def test_tables_that_no_stage_has_filled_are_empty() -> None:
    database = BatchDatabase("lsst")
    hits = {"_alert": np.array([1, 1, 2]), "wl_id": np.array([7, 8, 7])}
    database.load({"objects": objects(3), "watchlist_hits": hits}, READS)
    assert rows(database, "SELECT _alert, wl_id FROM lsst_watchlist_hits") == [(1, 7), (1, 8), (2, 7)]
    database.load({"objects": objects(3)}, READS)
    assert rows(database, "SELECT _alert FROM lsst_watchlist_hits") == []


def test_aliases_are_one_table() -> None:
    database = BatchDatabase("lsst")
    database.load({"objects": objects(3)})
    assert rows(database, "SELECT count(*) FROM lsst_objects") == [(3,)]


def test_text_compares_without_case() -> None:
    database = BatchDatabase("lsst")
    database.load({"objects": objects(3)}, READS)
    assert rows(database, "SELECT _alert FROM lsst_objects WHERE latestPairColourBands = 'G-R'") == [(1,)]


FORBIDDEN = [
    "DELETE FROM lsst_objects",
    "INSERT INTO lsst_objects (_alert) VALUES (99)",
    "UPDATE lsst_objects SET g_psfFlux = 0",
    "DROP TABLE lsst_objects",
    "CREATE TABLE mine (x)",
    "CREATE TEMP TABLE mine (x)",
    "ATTACH DATABASE 'file.db' AS other",
    "PRAGMA query_only = 0",
    "SELECT * FROM sqlite_master",
    "SELECT load_extension('x')",
    "SELECT randomblob(10)",
    "SELECT * FROM pragma_table_info('lsst_objects')",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
    "VACUUM INTO 'file.db'",
    "BEGIN",
    "REINDEX",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_users_can_only_read(sql: str) -> None:
    database = BatchDatabase("lsst")
    database.load({"objects": objects(3)})
    with pytest.raises(sqlite3.Error):
        database.user_statement(sql, ()).fetchall()
    assert rows(database, "SELECT _alert, g_psfFlux FROM lsst_objects") == [(0, 0.0), (1, None), (2, 2.0)]
    with pytest.raises(sqlite3.Error):
        Reader("lsst").reads(sql, ())


def test_a_failed_statement_leaves_the_next_batch_alone() -> None:
    database = BatchDatabase("lsst")
    database.load({"objects": objects(3)})
    with pytest.raises(sqlite3.Error):
        database.user_statement("SELECT nothing FROM lsst_objects", ())
    database.load({"objects": objects(2)})
    assert rows(database, "SELECT count(*) FROM lsst_objects") == [(2,)]


def test_statements_stay_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    database = BatchDatabase("lsst")
    guard = database._connection.guard
    database.load({"objects": objects(3)}, READS)
    rows(database, "SELECT g_psfFlux FROM lsst_objects")
    guard.seen.clear()
    database.load({"objects": objects(4)}, READS)
    assert len(rows(database, "SELECT g_psfFlux FROM lsst_objects")) == 4
    assert not guard.seen, "SQLite asked again, so it compiled again"


@pytest.mark.parametrize("survey", ["lsst", "ztf"])
def test_reads(survey: Survey) -> None:
    reader = Reader(survey)
    on = "ON a._alert = o._alert AND a.topic = ?"
    sql = f"SELECT o._alert FROM {survey}_objects AS o JOIN {survey}_annotations AS a {on}"
    for _ in range(2):  # the second time too: a compiled statement is not checked again
        assert reader.reads(sql, ("x",)) >= {
            (f"{survey}_objects", "_alert"),
            (f"{survey}_annotations", "_alert"),
            (f"{survey}_annotations", "topic"),
        }


def test_a_failed_load_is_undone() -> None:
    database = BatchDatabase("lsst")
    database.load({"objects": objects(3)})
    twice = {**objects(2), "_alert": np.array([0, 0])}
    with pytest.raises(sqlite3.IntegrityError):
        database.load({"objects": twice})
    database.load({"objects": objects(2)})
    assert rows(database, "SELECT count(*) FROM lsst_objects") == [(2,)]
    database.close()
