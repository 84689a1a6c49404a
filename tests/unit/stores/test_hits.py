from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.stores.objects import SqliteObjectStore
from tests.contract.embedded import EmbeddedStoreContract
from tests.contract.hits import FIELD, LISTS, TNS, Alert, HitStoreContract, columns_of, held, put_batch
from tests.contract.objects import versions


class TestSqliteHits(HitStoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.files = (tmp_path / str(i) / "objects.db" for i in itertools.count())

    def empty_store(self) -> Any:
        return SqliteObjectStore(next(self.files), durable=False)


class TestFaults(EmbeddedStoreContract):
    def open(self, folder: Path) -> Any:
        return SqliteObjectStore(folder / "objects.db")

    def write(self, store: Any, number: int) -> None:
        keys = np.arange(100 * number, 100 * number + 100)
        rows = [(i, (2, cone, float(cone), "x" * 200, 1)) for i in range(100) for cone in range(5)]
        hits = {"watchlist_hits": columns_of("watchlist", rows)}
        each = versions(*[(61000.0, number, 1)] * 100)
        assert not store.put_hits("lsst", keys, each, hits, LISTS)

    def held(self, store: Any, number: int) -> object:
        return held(store, "watchlist_hits", range(100 * number, 100 * number + 100))


def test_a_removal_that_was_stopped_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "objects.db"
    store = SqliteObjectStore(file, durable=False)
    store.begin_list(FIELD, 1)
    put_batch(store, [Alert(1, 61000.0, 1, 2)])
    # as it is when the process dies after the first of its transactions
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE lists SET version = version + 1, matched = 0 WHERE kind = 'area'")
    state = store.lists()[FIELD]
    assert state.removed and not state.matched
    assert store.remove_list(FIELD) == 1
    assert store.lists()[FIELD].matched
    assert store.count("lsst", "area_hits") == 0
    store.close()


def test_hits_that_were_put_without_a_version_are_older_than_any(tmp_path: Path) -> None:
    store = SqliteObjectStore(tmp_path / "objects.db", durable=False)
    row = {"diaObjectId": np.array([1])}
    store.put("lsst", "area_hits", {**row, "ar_id": np.array([3])})
    store.put("lsst", "mma_area_hits", {**row, "mw_id": np.array([4]), "event": np.array(["old"])})
    put_batch(store, [Alert(2, 61000.0, 1, 1), Alert(1, 61000.0, 1, 2)])
    assert held(store, "mma_area_hits")[1][0][1] == "E1"
    store.put("lsst", "area_hits", {"diaObjectId": np.array([7]), "ar_id": np.array([3])})
    store.begin_list(FIELD, 1)
    assert store.finish_list(FIELD, 1) == 1
    assert held(store, "area_hits", [7]) == {}
    store.close()


def test_two_processes_see_each_others_versions(tmp_path: Path) -> None:
    pipeline, matcher = (SqliteObjectStore(tmp_path / "objects.db", durable=False) for _ in range(2))
    matcher.begin_list(TNS, 2)
    assert pipeline.lists() == matcher.lists()
    assert pipeline.put_hits("lsst", np.array([1]), versions((61000.0, 1, 1)), {}, LISTS) == {TNS}
    pipeline.close()
    matcher.close()
