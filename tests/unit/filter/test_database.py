from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from lasair.filter.database import BatchDatabase, Reader
from lasair.packets.batch import Columns
from lasair.query.compile import CompiledQuery, compile_query
from lasair.schema.model import INT_MISSING, SURVEYS, Survey, object_key, table
from lasair.schema.rows import column_of
from tests.unit.query import corpus


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


@pytest.mark.parametrize("reads", [True, False])
def test_every_kind_of_column(reads: bool) -> None:
    """Hits in any order, several an alert and none; truth values, missing numbers and texts."""
    database, reader = BatchDatabase("lsst"), Reader("lsst")
    hits = {
        "_alert": np.array([2, 0, 2, 0], np.int32),
        "diaObjectId": np.array([12, 10, 12, 10]),
        "wl_id": np.array([3, 3, 4, INT_MISSING], np.int64),
        "cone_id": np.array([1, 2, 3, 4], np.uint32),
        "arcsec": np.array([0.5, np.nan, 1.5, 2.5], np.float32),
        "name": np.array(["M 31", "", None, "déjà"], object),
        "triggered": np.array([True, False, True, False]),
    }
    sql = (
        "SELECT w._alert, diaObjectId, wl_id, cone_id, arcsec, name, triggered FROM lsst_watchlist_hits AS w"
        " ORDER BY cone_id"
    )
    tagged = {"_alert": np.array([1]), "tag_id": np.array([7]), "tagged": np.array(["2026-01-31 12:00:00.000000"])}
    tag_sql = "SELECT _alert, tag_id, name, tagged FROM lsst_tag_hits"
    used = [reader.reads(sql, ()), reader.reads(tag_sql, ())] if reads else None
    for _ in range(2):
        database.load({"objects": objects(3), "watchlist_hits": hits, "tag_hits": tagged}, used)
        found = rows(database, sql)
        assert found == [
            (2, 12, 3, 1, 0.5, "M 31", 1),
            (0, 10, 3, 2, None, None, 0),
            (2, 12, 4, 3, 1.5, None, 1),
            (0, 10, None, 4, 2.5, "déjà", 0),
        ]
        assert [type(row[-1]) for row in found] == [int] * 4
        assert rows(database, tag_sql) == [(1, 7, None, "2026-01-31 12:00:00.000000")]
        nothing = {name: values[:0] for name, values in hits.items()}
        database.load({"objects": objects(3), "watchlist_hits": nothing, "tag_hits": {}}, used)
        assert rows(database, sql) == rows(database, tag_sql) == []


@pytest.mark.parametrize("name", ["watchlist_hits", "area_hits", "mma_area_hits", "tag_hits", "annotations"])
def test_hits_must_say_whose_they_are(name: str) -> None:
    database = BatchDatabase("lsst")
    with pytest.raises(ValueError, match=f"table '{name}' may have several rows an alert"):
        database.load({"objects": objects(3), name: {"diaObjectId": np.arange(3)}})
    database.load({"objects": objects(3), name: {"diaObjectId": np.arange(0)}})
    assert rows(database, f"SELECT count(*) FROM lsst_{name}") == [(0,)]


@pytest.mark.parametrize("survey", SURVEYS)
@pytest.mark.parametrize("shared", [1, 2, 50])
def test_alerts_that_share_a_transient(survey: Survey, shared: int) -> None:
    """Each gets its own row of the TNS, once; one that does not hit the transient gets none."""
    n = shared + 1
    key = object_key(survey)
    ids = 2**58 + np.arange(n) if survey == "lsst" else np.array([f"ZTF18{i:07d}" for i in range(n)])
    mine = {key: ids, "htm16": np.arange(n)}
    if survey == "lsst":
        mine["tns_name"] = np.array(["2026abc"] * n)
    hit = np.arange(shared)
    tns = {"_alert": hit, "tns_name": np.array(["2026ABC"] * shared), "z": np.full(shared, 0.5)}
    near = {"_alert": hit, "tns_name": np.array(["2026xyz"] * shared), "z": np.full(shared, 9.5)}
    batch = {
        "objects": mine,
        "crossmatch_tns": {name: np.concatenate([tns[name], near[name]]) for name in tns},
        "watchlist_hits": {"_alert": hit, "wl_id": np.ones(shared, np.int64), "name": np.array(["2026abc"] * shared)},
    }
    query = compile_query("crossmatch_tns.tns_name, z", "crossmatch_tns", survey=survey, mode="filter")
    assert run(survey, batch, query) == [(alert, "2026ABC", 0.5) for alert in range(shared)]


def run(survey: Survey, batch: dict[str, Columns], query: CompiledQuery) -> list[tuple[object, ...]]:
    """Load what the query reads, as the pipeline does, and run it."""
    database, parameters = BatchDatabase(survey), query.sqlite.bind(0.0)
    database.load(batch, [Reader(survey).reads(query.sqlite.sql, parameters)])
    return sorted(database.user_statement(query.sqlite.sql, parameters).fetchall())


def batch_of(survey: Survey) -> dict[str, Columns]:
    """The data set of the query corpus as a batch with an alert for each object, and one more for the first."""
    stored = corpus.data()[survey]
    key = object_key(survey)
    alerts = [*stored["objects"], stored["objects"][0]]
    found: dict[str, Columns] = {}
    for name in stored:
        of_key: dict[object, list[dict[str, object]]] = {}
        for row in stored[name]:
            of_key.setdefault(row[key], []).append(row)
        held = [(i, row) for i, alert in enumerate(alerts) for row in of_key.get(alert[key], [])]
        found[name] = {"_alert": np.array([i for i, _ in held], np.int64)}
        for column in table(name, survey).columns:
            found[name][column.name] = column_of(column, [row.get(column.name) for _, row in held])
            if column.type == "bool":
                found[name][column.name] = found[name][column.name] == 1
    transients = [(i, row) for i in range(len(alerts)) for row in corpus.data()["both"]["crossmatch_tns"]]
    found["crossmatch_tns"] = {"_alert": np.array([i for i, _ in transients])} | {
        column.name: column_of(column, [row.get(column.name) for _, row in transients])
        for column in table("crossmatch_tns", survey).columns
    }
    return found


_EVERYTHING = [
    (
        "lsst",
        "diaObjectId, sherlock_classifications.classification, watchlist_hits.name, arcsec, ar_id, contour, probdens3,"
        " crossmatch_tns.type, fastfinder.classification, JSON_EXTRACT(fastfinder.classdict, '$.prob'), tag.name",
        "sherlock_classifications, watchlist:3, area:5, mma:S230518h, crossmatch_tns, annotator:fastfinder, tag:2",
        "sherlock_classifications.classification = 'SN' AND arcsec < 3 AND contour < 90 AND tns_prefix IN ('SN', 'AT')"
        " AND fastfinder.classification = 'kilonova' AND tagged > '2026-01-01'",
        {1: 2, 2: 1},
    ),
    (
        "lsst",
        "diaObjectId, wl0.triggered, wl1.name, ar_id, mma.event, s230518h.contour, disc_date, tag1.name",
        "watchlist:3&4, area:5, mma, mma:S230518h, crossmatch_tns, annotator:fastfinder&Other-Topic, tag:2&5",
        "wl0.triggered AND mma.event <> 'S230518h'",
        {1: 1},
    ),
    (
        "ztf",
        "objectId, sherlock_classifications.classification, watchlist_hits.name, arcsec, triggered, contour,"
        " mma.distance, crossmatch_tns.type, lasair_bot.classification, tag.name, tagged",
        "sherlock_classifications, watchlist:7, area:1, mma, crossmatch_tns, annotator:lasair_bot, tag:2",
        "arcsec < 3 AND contour < 90 AND JSON_EXTRACT(lasair_bot.classdict, '$.score') > 0.5",
        {"ZTF18aaaaaaa": 4},
    ),
]


@pytest.mark.parametrize(("survey", "select", "tables", "where", "wanted"), _EVERYTHING)
def test_one_filter_combines_everything(
    survey: Survey, select: str, tables: str, where: str, wanted: dict[object, int]
) -> None:
    """On the batch each alert gets the rows that its object has on stored data."""
    stored = compile_query(select, tables, where, survey=survey)
    kept = corpus.sqlite_database().execute(stored.sqlite.sql, stored.sqlite.bind(0.0)).fetchall()
    of_key = {key: sorted(row for row in kept if row[0] == key) for key in wanted}
    assert {key: len(found) for key, found in of_key.items()} == wanted
    assert sum(wanted.values()) == len(kept)
    in_batch = compile_query(select, tables, where, survey=survey, mode="filter")
    found = run(survey, batch_of(survey), in_batch)
    keys = [row[object_key(survey)] for row in corpus.data()[survey]["objects"]]
    keys.append(keys[0])
    assert found == [(alert, *row) for alert, key in enumerate(keys) for row in of_key.get(key, [])]
