from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.errors import StoreUnavailable
from lasair.schema.model import load_tables
from lasair.schema.sql import create_table, schema_version
from lasair.stores.files import connect
from lasair.stores.objects import SqliteObjectStore
from lasair.stores.protocols import ObjectStore
from tests.contract.embedded import EmbeddedStoreContract
from tests.contract.objects import ObjectStoreContract, objects, put_one, versions
from tests.support.faults import read_only


class TestSqliteObjectStore(ObjectStoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.files = (tmp_path / str(i) / "objects.db" for i in itertools.count())

    def empty_store(self) -> ObjectStore:
        return SqliteObjectStore(next(self.files), durable=False)


class TestFaults(EmbeddedStoreContract):
    def open(self, folder: Path) -> Any:
        return SqliteObjectStore(folder / "objects.db")

    def write(self, store: Any, number: int) -> None:
        keys = range(100 * number, 100 * number + 100)
        columns = objects("lsst", keys, ra=np.arange(100.0), decl=np.arange(100.0) - 50, tns_name=["x" * 200] * 100)
        store.put("lsst", "objects", columns, versions(*[(61000.0, number, 1)] * 100))

    def held(self, store: Any, number: int) -> object:
        return store.fetch("lsst", "objects", ("ra", "tns_name"), range(100 * number, 100 * number + 100))


def test_another_schema_is_refused_and_both_are_named(tmp_path: Path) -> None:
    file = tmp_path / "objects.db"
    SqliteObjectStore(file).close()
    SqliteObjectStore(file).close()
    with sqlite3.connect(file) as database:
        database.execute("UPDATE schema_version SET version = 'older'")
    database.close()
    with pytest.raises(StoreUnavailable, match=f"made by schema older, this Lasair has schema {schema_version()}"):
        SqliteObjectStore(file)


def test_newest(tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "objects.db", durable=False)
    assert store.newest("lsst") is None
    put_one(store, 1, (61000.5, 1, 1), lastDiaSourceMjdTai=61000.5)
    put_one(store, 2, (60990.5, 1, 1), lastDiaSourceMjdTai=60990.5)
    assert store.newest("lsst") == 61000.5
    columns = objects("ztf", ["ZTF18aaaaaab"], jdmax=[2461000.5])
    store.put("ztf", "objects", columns, versions((61000.0, 1, 1)))
    assert store.newest("ztf") == pytest.approx(61000.0 + 37 / 86400, abs=1e-9)
    assert store.disk_bytes() > 0
    store.close()


def test_more_rows_than_a_c_int_counts_may_be_asked_for(tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "objects.db", durable=False)
    put_one(store, 1, (61000.5, 1, 1))
    for limit in (2**31, 2**63 - 2):
        found = store.query("SELECT ra FROM lsst_objects", {}, time_limit_s=10.0, row_limit=limit)
        assert len(found.rows) == 1 and not found.truncated
    store.close()


def test_time_of_writing_is_now_unless_given(tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "objects.db", durable=False)
    columns = {"diaObjectId": np.array([1]), "ra": np.array([1.0])}
    store.put("lsst", "objects", {**columns, "timestamp": np.array(["2001-01-01 00:00:00.000000"])})
    assert store.get("lsst", "objects", 1)[0]["timestamp"] == "2001-01-01 00:00:00.000000"
    store.put("lsst", "objects", columns)
    assert store.get("lsst", "objects", 1)[0]["timestamp"] > "2026"
    store.close()


def test_unknown_survey(tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "objects.db", durable=False)
    with pytest.raises(ValueError, match="no survey 'sdss'"):
        store.count("sdss", "objects")
    store.close()


MARKED = "SELECT classification FROM lsst_objects JOIN lsst_annotations USING (diaObjectId) ORDER BY topic"
TAGGED = "SELECT count(*) FROM lsst_tag_hits"
PLAIN = "SELECT count(*) FROM lsst_objects"


def make_marks(file: Path, *topics: str) -> sqlite3.Connection:
    """`marks.db` with an annotation of object 1 in each topic; the connection of its writer."""
    writer = connect(file)
    for one in load_tables():
        if one.name in ("annotations", "tag_hits"):
            for statement in create_table(one, "sqlite"):
                writer.execute(statement)
    annotate(writer, *topics)
    return writer


def annotate(writer: sqlite3.Connection, *topics: str) -> None:
    for topic in topics:
        writer.execute(
            "INSERT INTO lsst_annotations (annotationID, diaObjectId, topic, classification) VALUES (1, 1, ?, ?)",
            (topic, topic.upper()),
        )


def ask(store: SqliteObjectStore, sql: str) -> list[Any]:
    return [one for (one,) in store.query(sql, {}, time_limit_s=10.0, row_limit=100).rows]


def test_queries_see_marks_as_soon_as_they_are_there(tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "objects.db", durable=False)
    put_one(store, 1, (61000.5, 1, 1))
    assert ask(store, MARKED) == [] and ask(store, TAGGED) == [0] and ask(store, PLAIN) == [1]
    assert not (tmp_path / "marks.db").exists()
    writer = make_marks(tmp_path / "marks.db", "a")
    assert ask(store, MARKED) == ["A"] and ask(store, TAGGED) == [0]
    annotate(writer, "b")
    assert ask(store, MARKED) == ["A", "B"]
    with pytest.raises(sqlite3.DatabaseError, match=r"(?i)not authorized|prohibited|read.?only"):
        ask(store, "DELETE FROM lsst_annotations")
    # while another writes
    writer.execute("BEGIN IMMEDIATE")
    annotate(writer, "c")
    assert ask(store, MARKED) == ["A", "B"]
    writer.execute("COMMIT")
    writer.close()
    assert ask(store, MARKED) == ["A", "B", "C"]
    # another file takes its place, as when it is restored from a copy
    for file in tmp_path.glob("marks.db*"):
        file.unlink()
    assert ask(store, MARKED) == []
    make_marks(tmp_path / "marks.db", "d").close()
    assert ask(store, MARKED) == ["D"]
    store.close()


def test_a_reader_without_the_right_to_write_sees_marks(tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "objects.db")
    put_one(store, 1, (61000.5, 1, 1))
    store.close()
    with read_only(tmp_path):
        reader = SqliteObjectStore(tmp_path / "objects.db", read_only=True)
        assert ask(reader, MARKED) == []
        reader.close()
    make_marks(tmp_path / "marks.db", "a").close()
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with read_only(tmp_path):
        reader = SqliteObjectStore(tmp_path / "objects.db", read_only=True)
        assert ask(reader, MARKED) == ["A"]
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    # a writer at work has changes beside the file
    writer = connect(tmp_path / "marks.db")
    annotate(writer, "b")
    with read_only(tmp_path):
        assert ask(reader, MARKED) == ["A", "B"]
    # and merges them
    annotate(writer, "c")
    writer.close()
    with read_only(tmp_path):
        assert ask(reader, MARKED) == ["A", "B", "C"]
        assert ask(reader, MARKED) == ["A", "B", "C"]
        reader.close()


def test_changes_of_marks_that_cannot_be_read_are_not_left_out(tmp_path: Path) -> None:
    SqliteObjectStore(tmp_path / "objects.db").close()
    writer = make_marks(tmp_path / "whole.db", "a")
    # only some of the files were copied
    for name in ("marks.db", "marks.db-wal"):
        (tmp_path / name).write_bytes((tmp_path / name.replace("marks", "whole")).read_bytes())
    writer.close()
    with read_only(tmp_path):
        reader = SqliteObjectStore(tmp_path / "objects.db", read_only=True)
        with pytest.raises(StoreUnavailable, match=r"marks\.db-wal, which cannot be read"):
            ask(reader, MARKED)
        assert ask(reader, PLAIN) == [0]
        reader.close()


@pytest.mark.parametrize("content", [b"", b"damaged" * 1000])
def test_damaged_marks_stop_only_queries_that_need_them(content: bytes, tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "objects.db", durable=False)
    (tmp_path / "marks.db").write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"marks\.db.*restore it from a copy"):
            ask(store, MARKED)
        assert ask(store, PLAIN) == [0]
    # and it is seen that they are whole again
    (tmp_path / "marks.db").unlink()
    make_marks(tmp_path / "marks.db").close()
    assert ask(store, MARKED) == []
    store.close()


def test_the_damaged_one_of_two_files_is_named(tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "objects.db", durable=False)
    writer = make_marks(tmp_path / "marks.db", *(f"topic {i}" for i in range(2000)))
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.close()
    put_one(store, 1, (61000.5, 1, 1))
    with (tmp_path / "marks.db").open("r+b") as handle:
        # the tables are found, their rows are not
        handle.seek(4096 * (pages // 2))
        handle.write(b"\xff" * 4096 * (pages // 2))
    with pytest.raises(StoreUnavailable, match=r"/marks\.db: .*malformed"):
        ask(store, "SELECT count(explanation || url || classdict) FROM lsst_annotations")
    store.close()


def test_a_file_without_the_hidden_columns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "objects.db"
    SqliteObjectStore(file).close()
    with closing(sqlite3.connect(file)) as database:
        database.execute("ALTER TABLE lsst_sherlock_classifications DROP COLUMN _n_rows")
    for only in (False, True):
        with pytest.raises(StoreUnavailable, match="no column _n_rows in table lsst_sherlock_classifications"):
            SqliteObjectStore(file, read_only=only)
