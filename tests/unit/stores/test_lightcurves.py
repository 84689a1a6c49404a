from __future__ import annotations

import itertools
import json
import sqlite3
from pathlib import Path
from typing import Any

import lz4.block
import numpy as np
import pytest

from lasair.errors import StoreUnavailable
from lasair.schema.model import layout
from lasair.stores.lightcurves import FileLightcurveStore, describe, described, shard_of
from lasair.stores.merge import stored_layout
from lasair.stores.protocols import LightcurveStore
from tests.contract.embedded import EmbeddedStoreContract
from tests.contract.lightcurves import LightcurveStoreContract, detection, put, say

ONE = [say(1, (61000.5, 9), detection(7, 61000.5, flux=3.0))]


class TestFileLightcurveStore(LightcurveStoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folders = (tmp_path / str(i) for i in itertools.count())

    def empty_store(self) -> LightcurveStore:
        return FileLightcurveStore(next(self.folders), shards=2, durable=False)


def test_the_promise_is_kept_by_type(tmp_path: Path) -> None:
    store: LightcurveStore = FileLightcurveStore(tmp_path)
    store.close()


def test_consecutive_ids_spread_over_the_shards() -> None:
    counts = np.bincount(shard_of(np.arange(10_000) + 170_000_000_000_000_000, 4), minlength=4)
    assert counts.min() > 2300
    assert shard_of(np.array([-5, 2**63 - 1, 0]), 3).max() < 3


def test_existing_store_keeps_its_number_of_shards(tmp_path: Path) -> None:
    first = FileLightcurveStore(tmp_path, shards=3)
    put(first, "lsst", ONE)
    first.close()
    again = FileLightcurveStore(tmp_path, shards=8)
    assert len(again.get("lsst", [1])[0]) == 1
    assert again.count("lsst") == 1
    assert again.count("ztf") == 0
    assert again.disk_bytes() > 0
    again.close()
    assert len(list(tmp_path.glob("*.db"))) == 3


def test_making_cut_short_is_completed(tmp_path: Path) -> None:
    FileLightcurveStore(tmp_path, shards=3).close()
    (tmp_path / "lightcurves-2-of-3.db").unlink()
    store = FileLightcurveStore(tmp_path, shards=4)
    put(store, "lsst", [say(i, (61000.0, 1), detection(i, 61000.0)) for i in range(1, 20)])
    assert len(store.get("lsst", range(1, 20))[0]) == 19
    store.close()


def test_shards_of_two_stores_are_refused(tmp_path: Path) -> None:
    FileLightcurveStore(tmp_path / "a", shards=2).close()
    (tmp_path / "a" / "lightcurves-0-of-7.db").touch()
    with pytest.raises(StoreUnavailable, match=r"\[2, 7\] shards"):
        FileLightcurveStore(tmp_path / "a")


def test_rows_of_another_layout_are_refused(tmp_path: Path) -> None:
    store = FileLightcurveStore(tmp_path)
    one = np.zeros(1, np.int64)
    rows = np.zeros(1, layout("ztf", "row").dtype)
    with pytest.raises(ValueError, match="'lsst'"):
        store.put("lsst", one, rows, np.array([0, 1]), np.zeros(1), one)
    store.close()


def test_same_content_is_the_same_bytes_on_disk(tmp_path: Path) -> None:
    said = [
        say(i, (61000.0 + k, k), detection(k, 61000.0 + k), detection(k + 1, 61001.0 + k))
        for i in (1, 2)
        for k in range(9)
    ]
    dumps = []
    for name, order in (("a", said), ("b", said[::-1])):
        store = FileLightcurveStore(tmp_path / name, shards=1, durable=False)
        for one in order:
            put(store, "lsst", [one])
        store.close()
        with sqlite3.connect(tmp_path / name / "lightcurves-0-of-1.db") as database:
            dumps.append(database.execute("SELECT * FROM lsst ORDER BY object_id").fetchall())
        database.close()
    assert dumps[0] == dumps[1]


def test_layout_survives_its_description() -> None:
    for survey in ("lsst", "ztf"):
        dtype = stored_layout(survey).stored
        assert described(describe(dtype)) == dtype
        assert dtype.itemsize % 8 == 0


def _store_as(folder: Path, description: str) -> None:
    """Make what the store holds look as if another version had written it."""
    with sqlite3.connect(folder / "lightcurves-0-of-1.db") as database:
        database.execute("UPDATE layouts SET description = ?", (description,))
    database.close()


def test_rows_of_an_older_layout_are_read_and_rewritten(tmp_path: Path) -> None:
    """A layout that had no `flux` (a field added since) and one field that is gone."""
    store = FileLightcurveStore(tmp_path, shards=1)
    put(store, "lsst", ONE)
    store.close()
    text = json.loads(describe(stored_layout("lsst").stored))
    text["fields"] = [["old_flux" if name == "flux" else name, form, at] for name, form, at in text["fields"]]
    _store_as(tmp_path, json.dumps(text))
    store = FileLightcurveStore(tmp_path)
    (row,) = store.get("lsst", [1])[0]
    assert np.isnan(row["flux"])
    assert (row["source_id"], row["mjd_tai"]) == (7, 61000.5)
    assert (
        put(store, "lsst", [say(1, (61001.0, 10), detection(7, 61000.5, flux=4.0), detection(8, 61001.0))]).written == 2
    )
    assert store.get("lsst", [1])[0]["flux"].tolist()[0] == 4.0
    store.close()


def test_unknown_layout_is_refused_by_name(tmp_path: Path) -> None:
    store = FileLightcurveStore(tmp_path, shards=1)
    put(store, "lsst", ONE)
    store.close()
    text = json.loads(describe(stored_layout("lsst").stored)) | {"encoding": "from the future"}
    _store_as(tmp_path, json.dumps(text))
    store = FileLightcurveStore(tmp_path)
    with pytest.raises(StoreUnavailable, match="from the future"):
        store.get("lsst", [1])
    with pytest.raises(StoreUnavailable, match="from the future"):
        put(store, "lsst", ONE)
    store.close()


@pytest.mark.parametrize("blob", [b"", b"nonsense", lz4.block.compress(b"x" * 33)])
def test_damaged_curve_is_named(tmp_path: Path, blob: bytes) -> None:
    store = FileLightcurveStore(tmp_path, shards=1)
    put(store, "lsst", ONE)
    with sqlite3.connect(tmp_path / "lightcurves-0-of-1.db") as database:
        database.execute("UPDATE lsst SET rows = ?", (blob,))
    database.close()
    with pytest.raises(StoreUnavailable, match="object 1 is damaged"):
        store.get("lsst", [1])
    store.close()


def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "lightcurves-0-of-1.db").write_bytes(b"not a database, but long enough to be looked at" * 99)
    with pytest.raises(StoreUnavailable, match="lightcurves-0-of-1"):
        FileLightcurveStore(tmp_path)


class TestFaults(EmbeddedStoreContract):
    def open(self, folder: Path) -> Any:
        return FileLightcurveStore(folder, shards=2)

    def write(self, store: Any, number: int) -> None:
        chance = np.random.default_rng(number)
        curve = [detection(int(i), 61000.0 + i, flux=chance.normal(), ra=chance.random()) for i in range(60)]
        put(store, "lsst", [say(100 * number + i, (61000.0, number), *curve) for i in range(40)])

    def held(self, store: Any, number: int) -> object:
        return store.get("lsst", range(100 * number, 100 * number + 40))[0].tobytes()
