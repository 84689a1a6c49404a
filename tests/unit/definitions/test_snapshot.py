from __future__ import annotations

import fcntl
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lasair.definitions import edit, events, lists, marks, people
from lasair.definitions.area_file import AreaFile
from lasair.definitions.django import disconnect
from lasair.definitions.filter_file import FilterFile
from lasair.definitions.models import Filter, FilterVersion
from lasair.definitions.snapshot import (
    ACTIVE_COLUMN,
    FILTER_TABLE,
    SOURCES,
    ActiveFilter,
    migration_lock,
    read_content,
    read_snapshot,
)
from lasair.definitions.transactions import user_named
from lasair.definitions.watchlist_file import WatchlistFile
from lasair.errors import StoreUnavailable
from lasair.events.model import Event
from lasair.events.moments import Moment
from lasair.sky.skymap import Circle
from tests.support.definitions import new_definitions

ONE = FilterFile(name="Bright", survey="lsst", select="diaObjectId", where="g_psfFlux > 5", byte_quota=7)
TWO = FilterFile(name="Blue pair", survey="ztf", select="objectId, gmag", order_by="gmag", output="full")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return new_definitions(tmp_path)


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


def test_while_the_tables_are_made(tmp_path: Path) -> None:
    """A run that looks at that moment waits, for it would end otherwise."""
    made = new_definitions(tmp_path / "made")
    edit.activate(edit.add_filter(ONE).name)
    disconnect()
    path = tmp_path / "definitions.db"
    with closing(sqlite3.connect(path)) as half:
        half.execute(f"CREATE TABLE {FILTER_TABLE} (id INTEGER)")
    locked = threading.Event()

    def make() -> None:
        with migration_lock(path).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            locked.set()
            time.sleep(0.2)
            shutil.copyfile(made, path)

    maker = threading.Thread(target=make)
    maker.start()
    locked.wait()
    assert len(read_snapshot(path).filters) == 1
    maker.join()


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


def cones(name: str) -> WatchlistFile:
    nothing = np.full(1, np.nan)
    return WatchlistFile(np.ones(1), np.ones(1), np.ones(1), nothing, nothing, [name], np.arange(1), [])


def test_lists_that_are_active(database: Path) -> None:
    assert read_snapshot(database).lists == (), "the TNS has no cones yet"
    lists.add_area("North", AreaFile(np.array([[0, 4]], np.uint64), "", True, 29))
    lists.add_watchlist("AGN", cones("a"), radius=1.0)
    lists.add_watchlist("CV", cones("b"), radius=1.0)
    place = Circle(1.0, 2.0, 3.0, 0.9)
    for name, t0, where, test in (
        ("S1", 61000.0, place, False), ("S2", None, place, False), ("S3", 61000.0, None, False),
        ("S4", 61000.0, place, True), ("S5", 61000.0, place, False),
    ):  # fmt: skip
        moment = None if t0 is None else Moment("", t0)
        events.add_event(Event(name, "", "initial", moment, where, test=test), digest=name)
    events.retract("S5")
    before = read_snapshot(database)
    assert [(one.kind, one.list_id, one.name, one.version, one.t0) for one in before.lists] == [
        ("area", 1, "North", 1, None), ("event", 1, "S1", 1, 61000.0), ("watchlist", 2, "AGN", 1, None),
        ("watchlist", 3, "CV", 1, None),
    ]  # fmt: skip
    lists.stop("watchlist", "AGN")
    lists.add_watchlist("CV", cones("c"), radius=1.0)
    after = read_snapshot(database)
    assert [(one.name, one.version) for one in after.lists] == [("North", 1), ("S1", 1), ("CV", 2)]
    assert after.version == before.version, "that of filters"
    old = next(one for one in before.lists if one.name == "CV")
    assert read_content(database, old.content_id) is None, "a reader that comes late is told so"


def test_who_may_use_what(database: Path) -> None:
    alice, bob, charlie = (user_named(name) for name in ("alice", "bob", "charlie"))
    people.add_group("friends", owner=alice)
    people.add_member("friends", "bob", owner=alice)
    lists.add_watchlist("AGN", cones("a"), radius=1.0, group="friends", owner=alice)
    marks.add_tag("good", owner=alice)
    people.add_annotator("Fast \N{LATIN CAPITAL LETTER E WITH ACUTE}", owner=alice)
    people.add_annotator("open", public=True, owner=alice)
    snapshot = read_snapshot(database)

    def users(kind: str, which: int | str) -> list[str]:
        return [one.username for one in (alice, bob, charlie) if snapshot.may_use(one.pk, kind, which)]

    assert users("watchlist", 2) == ["alice", "bob"]
    assert users("tag", 1) == users("annotator", "fAST \N{LATIN CAPITAL LETTER E WITH ACUTE}") == ["alice"]
    assert users("annotator", "OPEN") == users("watchlist", 1) == users("watchlist", 9) == ["alice", "bob", "charlie"]
