from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.errors import StoreUnavailable
from lasair.schema.sql import schema_version
from lasair.stores.objects import SqliteObjectStore
from lasair.stores.protocols import ObjectStore
from tests.contract.embedded import EmbeddedStoreContract
from tests.contract.objects import ObjectStoreContract, objects, put_one, versions


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
