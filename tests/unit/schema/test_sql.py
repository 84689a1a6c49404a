"""The DDL, run on SQLite."""

from __future__ import annotations

import dataclasses
import json
import re
import sqlite3
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.schema import Column, Table, load_tables, table
from lasair.schema import sql as ddl
from lasair.schema.sql import ENGINES, Engine, add_columns, create_table, quote, schema_version

ALL = load_tables()
IDS = [one.physical for one in ALL]
EXTRA = ("_mjd_tai REAL NOT NULL", "_alert_id INTEGER NOT NULL", "_n_rows INTEGER NOT NULL")


def database(*statements: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for statement in statements:
        connection.execute(statement)
    return connection


def columns(connection: sqlite3.Connection, name: str) -> list[tuple[str, str, int, int]]:
    """(name, type, NOT NULL, place in the key) of each column."""
    return [(row[1], row[2], row[3], row[5]) for row in connection.execute(f'PRAGMA table_info("{name}")')]


@pytest.mark.parametrize("one", ALL, ids=IDS)
def test_sqlite_has_the_columns_in_order_then_the_extra_ones(one: Table) -> None:
    statements = create_table(one, "sqlite", extra=EXTRA)
    made = columns(database(*statements, *statements), one.physical)  # twice: IF NOT EXISTS
    assert [row[0] for row in made] == [*one.column_names, "_mjd_tai", "_alert_id", "_n_rows"]
    assert tuple(name for name, _, _, place in sorted(made, key=lambda row: row[3]) if place) == one.primary_key


@pytest.mark.parametrize("one", ALL, ids=IDS)
def test_only_keys_refuse_null(one: Table) -> None:
    made = columns(database(*create_table(one, "sqlite")), one.physical)
    assert {name for name, _, required, _ in made if required} == set(one.primary_key)


@pytest.mark.parametrize("one", ALL, ids=IDS)
def test_without_key_or_indices(one: Table) -> None:
    statements = create_table(one, "sqlite", extra=("_alert INTEGER",), primary_key=False, indices=False, name="batch")
    connection = database(*statements)
    assert len(statements) == 1
    assert not any(place or required for _, _, required, place in columns(connection, "batch"))
    for _ in range(2):
        connection.execute("INSERT INTO batch (_alert) VALUES (1)")
    assert not connection.execute("PRAGMA index_list(batch)").fetchall()


def test_indices_are_made_for_the_keys() -> None:
    connection = database(*create_table(table("objects", "lsst"), "sqlite"))
    names = {row[1] for row in connection.execute("PRAGMA index_list(lsst_objects)")}
    assert names == {"lsst_objects_htm16", "lsst_objects_lastDiaSourceMjdTai"}


def test_an_integer_key_is_the_row_number() -> None:
    """SQLite then needs no second tree for the key."""
    connection = database(*create_table(table("objects", "lsst"), "sqlite"))
    connection.execute("INSERT INTO lsst_objects (diaObjectId) VALUES (169398867112296481)")
    assert connection.execute("SELECT rowid FROM lsst_objects").fetchone() == (169398867112296481,)


def test_one_object_in_two_areas() -> None:
    connection = database(*create_table(table("area_hits", "lsst"), "sqlite"))
    for area in (1, 2, 2):
        connection.execute("REPLACE INTO lsst_area_hits VALUES (5, ?)", (area,))
    assert connection.execute("SELECT ar_id FROM lsst_area_hits ORDER BY 1").fetchall() == [(1,), (2,)]


def test_time_of_writing_is_filled_in() -> None:
    connection = database(*create_table(table("objects", "lsst"), "sqlite"))
    connection.execute("INSERT INTO lsst_objects (diaObjectId) VALUES (1)")
    (text,) = connection.execute("SELECT timestamp FROM lsst_objects").fetchone()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", text)


def test_doubles_keep_every_digit() -> None:
    connection = database(*create_table(table("objects", "lsst"), "sqlite"))
    time = 61000.12345678901
    connection.execute("INSERT INTO lsst_objects (diaObjectId, g_latestMJD) VALUES (1, ?)", (time,))
    assert connection.execute("SELECT g_latestMJD FROM lsst_objects").fetchone() == (time,)


def test_json_can_be_read_by_path_and_keeps_its_case() -> None:
    connection = database(*create_table(table("annotations", "ztf"), "sqlite"))
    connection.execute(
        "INSERT INTO ztf_annotations (objectId, topic, classdict) VALUES ('ZTF18abc', 't', ?)",
        (json.dumps({"P": 0.5}),),
    )
    assert connection.execute("SELECT JSON_EXTRACT(classdict, '$.P') FROM ztf_annotations").fetchone() == (0.5,)
    assert not connection.execute("""SELECT 1 FROM ztf_annotations WHERE classdict = '{"p": 0.5}'""").fetchall()


@given(st.text(string.printable, max_size=12), st.text(string.printable, max_size=12))
def test_text_compares_without_regard_to_case(one: str, other: str) -> None:
    connection = database("CREATE TABLE t (a TEXT COLLATE NOCASE, b TEXT COLLATE NOCASE)")
    connection.execute("INSERT INTO t VALUES (?, ?)", (one, other))
    equal, less = connection.execute("SELECT a = b, a < b FROM t").fetchone()
    assert bool(equal) == (one.lower() == other.lower())
    assert bool(less) == (one.lower() < other.lower())
    connection.close()


@pytest.mark.parametrize("one", ALL, ids=IDS)
def test_text_columns_have_the_collation(one: Table) -> None:
    statement = create_table(one, "sqlite")[0]
    for column in one.columns:
        line = next(line for line in statement.splitlines() if line.strip().startswith(f'"{column.name}" '))
        assert ("COLLATE NOCASE" in line) == column.type.startswith("text")


@pytest.mark.parametrize("engine", ENGINES)
@given(name=st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text))
def test_a_quoted_name_ends_where_it_should(engine: Engine, name: str) -> None:
    mark = '"' if engine == "sqlite" else "`"
    quoted = quote(name, engine)
    assert quoted[0] == quoted[-1] == mark
    assert mark not in quoted[1:-1].replace(mark * 2, "")


def test_mariadb_statement() -> None:
    statements = create_table(table("watchlist_hits", "ztf"), "mariadb", extra=("`_alert_id` BIGINT NOT NULL",))
    assert statements == [
        "CREATE TABLE IF NOT EXISTS `ztf_watchlist_hits` (\n"
        "  `objectId` VARCHAR(16) NOT NULL,\n"
        "  `wl_id` INT NOT NULL,\n"
        "  `cone_id` BIGINT NOT NULL,\n"
        "  `arcsec` DOUBLE,\n"
        "  `name` VARCHAR(256),\n"
        "  `triggered` TINYINT,\n"
        "  `_alert_id` BIGINT NOT NULL,\n"
        "  PRIMARY KEY (`objectId`, `wl_id`, `cone_id`)\n"
        ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_nopad_ci",
        "CREATE INDEX IF NOT EXISTS `ztf_watchlist_hits_wl_id` ON `ztf_watchlist_hits` (`wl_id`)",
    ]


def test_mariadb_has_no_single_floats() -> None:
    for one in ALL:
        assert "FLOAT" not in create_table(one, "mariadb")[0]


def test_columns_that_an_older_schema_lacked_are_added() -> None:
    objects = table("objects", "lsst")
    old = dataclasses.replace(objects, columns=objects.columns[:40], keys=(("lastDiaSourceMjdTai",),))
    connection = database(*create_table(old, "sqlite"))
    connection.execute("INSERT INTO lsst_objects (diaObjectId, ra) VALUES (1, 2.5)")
    present = [row[0] for row in columns(connection, "lsst_objects")]
    for statement in add_columns(objects, "sqlite", present):
        connection.execute(statement)
    made = [row[0] for row in columns(connection, "lsst_objects")]
    assert sorted(made) == sorted(objects.column_names)
    assert connection.execute("SELECT ra, jump1 FROM lsst_objects").fetchone() == (2.5, None)
    assert not any(line.startswith("ALTER") for line in add_columns(objects, "sqlite", made))


def test_version_follows_the_structure_but_not_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    def version_of(tables: tuple[Table, ...]) -> str:
        monkeypatch.setattr(ddl, "load_tables", lambda: tables)
        return schema_version.__wrapped__()

    objects = table("area_hits", "lsst")
    base = version_of((objects,))
    assert re.fullmatch("[0-9a-f]{12}", base)
    reworded = dataclasses.replace(objects, doc="Something else.")
    wider = dataclasses.replace(objects, columns=(*objects.columns, Column("x", "int", "A number.", "lasair")))
    rekeyed = dataclasses.replace(objects, keys=())
    assert version_of((reworded,)) == base
    assert len({base, version_of((wider,)), version_of((rekeyed,))}) == 3
