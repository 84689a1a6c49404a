from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lasair.definitions import edit
from lasair.definitions.django import connect, disconnect
from lasair.definitions.filter_file import FilterFile
from lasair.definitions.models import Filter, FilterVersion
from lasair.definitions.snapshot import ACTIVE_COLUMN, FILTER_TABLE, SOURCES, ActiveFilter, read_snapshot
from lasair.errors import StoreUnavailable

ONE = FilterFile(name="Bright", survey="lsst", select="diaObjectId", where="g_psfFlux > 5", byte_quota=7)
TWO = FilterFile(name="Blue pair", survey="ztf", select="objectId, gmag", order_by="gmag", output="full")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    connect(tmp_path / "definitions.db")
    return tmp_path / "definitions.db"


def test_the_snapshot_reads_what_the_models_write() -> None:
    assert tuple(SOURCES) == ActiveFilter._fields
    held = {(model._meta.db_table, field.column) for model in (Filter, FilterVersion) for field in model._meta.fields}
    assert set(SOURCES.values()) <= held
    assert (FILTER_TABLE, ACTIVE_COLUMN) in held


def test_no_file_yet(tmp_path: Path) -> None:
    empty = read_snapshot(tmp_path / "definitions.db")
    assert empty.filters == ()
    assert not (tmp_path / "definitions.db").exists()
    (tmp_path / "empty.db").touch()
    assert read_snapshot(tmp_path / "empty.db") == empty


def test_active_filters(database: Path) -> None:
    before = read_snapshot(database)
    assert before.filters == ()
    for definition in (ONE, TWO):
        edit.add_filter(definition)
    assert read_snapshot(database) == before, "added, but not active"
    first, second = edit.activate("Bright"), edit.activate("Blue pair")
    snapshot = read_snapshot(database)
    assert snapshot.version != before.version
    assert snapshot == read_snapshot(database)
    assert snapshot.filters == (
        ActiveFilter(
            first.filter_id,
            first.version_id,
            1,
            "Bright",
            1,
            "lsst",
            "diaObjectId",
            "objects",
            "g_psfFlux > 5",
            "",
            "plain",
            "lasair_1_Bright",
            7,
        ),
        ActiveFilter(
            second.filter_id,
            second.version_id,
            1,
            "Blue pair",
            1,
            "ztf",
            "objectId, gmag",
            "objects",
            "",
            "gmag",
            "full",
            second.topic,
            None,
        ),
    )
    edit.stop("Bright")
    assert [one.name for one in read_snapshot(database).filters] == ["Blue pair"]


def test_a_new_version_counts_when_it_is_active(database: Path) -> None:
    edit.add_filter(ONE)
    edit.activate("Bright")
    before = read_snapshot(database)
    edit.add_filter(FilterFile(name="Bright", survey="lsst", select="diaObjectId, ra"))
    assert read_snapshot(database) == before
    edit.activate("Bright")
    (after,) = read_snapshot(database).filters
    assert (after.number, after.select) == (2, "diaObjectId, ra")


def test_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "definitions.db").write_bytes(b"no database " * 100)
    with pytest.raises(StoreUnavailable, match=r"cannot read the definitions in .*definitions\.db"):
        read_snapshot(tmp_path / "definitions.db")


def test_made_by_another_version(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "definitions.db") as old:
        old.execute(f"CREATE TABLE {FILTER_TABLE} (id INTEGER)")
    old.close()
    with pytest.raises(StoreUnavailable, match="another version of Lasair"):
        read_snapshot(tmp_path / "definitions.db")


KILLED_WRITER = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE definitions_filterversion SET topic = 'wrong'")
database.execute("CREATE TABLE filler (x)")
database.executemany("INSERT INTO filler VALUES (?)", [("x" * 4000,)] * 200)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_killed_writer(database: Path) -> None:
    edit.add_filter(ONE)
    edit.activate("Bright")
    disconnect()
    before = read_snapshot(database)
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(database)], check=False)
    assert database.with_name("definitions.db-journal").stat().st_size > 0
    assert read_snapshot(database) == before


@pytest.mark.parametrize("module", ["definitions.snapshot", "filter.run", "streams.forms"])
def test_no_django_in_the_pipeline(module: str) -> None:
    code = f"import sys, lasair.{module}; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
