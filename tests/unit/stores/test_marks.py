"""The embedded store of annotations and tags."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from lasair.errors import StoreUnavailable
from lasair.schema.model import SURVEYS, table
from lasair.stores.marks import MARK_TABLES, SqliteMarkStore
from tests.contract.embedded import EmbeddedStoreContract
from tests.contract.marks import NOW, MarkStoreContract, said
from tests.support.faults import read_only


class TestContract(MarkStoreContract):
    def open(self, folder: Path) -> SqliteMarkStore:
        return SqliteMarkStore(folder / "marks.db", durable=False)


class TestEmbedded(EmbeddedStoreContract):
    def open(self, folder: Path) -> SqliteMarkStore:
        return SqliteMarkStore(folder / "marks.db")

    def write(self, store: Any, number: int) -> None:
        long = "x" * 1000
        store.annotate(
            [said(1000 * (number + 1) + i, explanation=long, url="https://a/" + long) for i in range(100)], NOW
        )
        store.tag("lsst", 1, "tag", [1000 * (number + 1) + i for i in range(100)], NOW)

    def held(self, store: Any, number: int) -> object:
        keys = [1000 * (number + 1) + i for i in range(100)]
        found = store.rows("lsst", "annotations", keys), store.rows("lsst", "tag_hits", keys)
        # ids depend on what else was said before
        rows = [list(zip(*(one.tolist() for one in list(some.values())[skip:]), strict=True))
                for some, skip in zip(found, (1, 0), strict=True)]  # fmt: skip
        return rows if all(rows) else []


def test_the_tables_are_the_schemas(tmp_path: Path) -> None:
    SqliteMarkStore(tmp_path / "marks.db").close()
    db = sqlite3.connect(tmp_path / "marks.db")
    for survey in SURVEYS:
        for name in MARK_TABLES:
            one = table(name, survey)
            rows = db.execute(f"SELECT name FROM pragma_table_info('{one.physical}')")
            assert tuple(row[0] for row in rows) == one.column_names
    db.close()


def test_a_file_of_an_older_schema_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    SqliteMarkStore(tmp_path / "marks.db").close()
    db = sqlite3.connect(tmp_path / "marks.db")
    db.execute("ALTER TABLE lsst_annotations DROP COLUMN url")
    db.execute("INSERT INTO lsst_annotations (annotationID, diaObjectId, topic, timestamp, classification)"
               " VALUES (1, 7, 'fink', '2026-01-01 00:00:00.000000', 'SN')")  # fmt: skip
    db.execute("DROP TABLE ztf_tag_hits")
    db.commit()
    db.close()
    with pytest.raises(StoreUnavailable, match=r"no column url|no table ztf_tag_hits"):
        SqliteMarkStore(tmp_path / "marks.db", read_only=True)
    store = SqliteMarkStore(tmp_path / "marks.db")
    assert store.get("lsst", 7)[0].url is None
    store.annotate([said(url="https://example.org")], NOW)
    assert [one.url for one in store.history("lsst", 7)] == ["https://example.org", None]
    assert store.tag("ztf", 1, "t", ["ZTF18aaaaaaa"], NOW) == 1
    store.close()


def test_reading_only(tmp_path: Path) -> None:
    path = tmp_path / "marks.db"
    with pytest.raises(StoreUnavailable, match="not there"):
        SqliteMarkStore(path, read_only=True)
    assert not path.exists()
    SqliteMarkStore(path).close()
    writer, reader = SqliteMarkStore(path), SqliteMarkStore(path, read_only=True)
    writer.annotate([said()], NOW)
    assert [one.classification for one in reader.get("lsst", 7)] == ["SN"]
    for write in (
        lambda: reader.annotate([said(7, "VS")], NOW),
        lambda: reader.tag("lsst", 1, "t", [1], NOW),
        lambda: reader.done(reader.due(1)),
    ):
        with pytest.raises(StoreUnavailable, match="writable"):
            write()
    writer.close()
    reader.close()
    with read_only(tmp_path):
        for only in (True, False):
            store = SqliteMarkStore(path, read_only=only)
            assert store.count("lsst") == 1
            store.close()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "marks.db"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreUnavailable, match="damaged"):
        SqliteMarkStore(path)
    path.unlink()
    store = SqliteMarkStore(path)
    store.annotate([said(i, explanation="x" * 900) for i in range(1, 300)], NOW)
    store.close()
    data = bytearray(path.read_bytes())
    data[8192:20_000] = b"\xff" * (20_000 - 8192)
    path.write_bytes(data)
    store = SqliteMarkStore(path, read_only=True)
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.check()
    store.close()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    store = SqliteMarkStore(tmp_path / "marks.db")
    store.annotate([said()], NOW)
    with store._writing():
        start = time.monotonic()
        assert store.get("lsst", 7)
        assert time.monotonic() - start < 1.0
    store.close()


def test_unknown_surveys_and_tables_are_faults_of_ours(tmp_path: Path) -> None:
    store = SqliteMarkStore(tmp_path / "marks.db")
    for survey, name in (("sdss", "annotations"), ("lsst", "objects")):
        with pytest.raises(ValueError, match="no table"):
            store.rows(survey, name, [1])  # type: ignore[arg-type]
    store.close()
