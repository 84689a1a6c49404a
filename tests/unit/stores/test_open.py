from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lasair.errors import StoreUnavailable
from lasair.stores.open import Stores, open_stores
from tests.contract.cutouts import images
from tests.contract.lightcurves import detection, put, say


def test_stores_of_a_state(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "state", durable=False, lightcurve_shards=2)
    put(stores.lightcurves, "lsst", [say(1, (61000.0, 1), detection(1, 61000.0))])
    stores.cutouts.put("lsst", 20260310, images(1))
    stores.objects.put("lsst", "area_hits", {"diaObjectId": np.array([1]), "ar_id": np.array([1])})
    usage = stores.disk_usage()
    assert list(usage) == ["lightcurves", "cutouts", "objects", "classifications", "marks"]
    assert all(size > 0 for size in usage.values())
    stores.close()
    again = open_stores(tmp_path / "state", durable=False)
    assert len(again.lightcurves.get("lsst", [1])[0]) == 1
    assert again.cutouts.get("lsst", 1, "science")
    assert again.objects.count("lsst", "area_hits") == 1
    again.close()


def test_each_is_opened_when_it_is_used(tmp_path: Path) -> None:
    open_stores(tmp_path, lightcurve_shards=2).close()
    shards = sorted((tmp_path / "lightcurves").iterdir())
    for file in (tmp_path / "objects.db", tmp_path / "cutouts" / "index.db", shards[0]):
        file.write_bytes(b"damaged" * 100)
    stores = Stores(tmp_path, read_only=True)
    assert stores.disk_usage()["objects"] == 700
    readable = 0
    for one in range(20):
        try:
            assert not len(stores.lightcurves.get("lsst", [one])[0])
            readable += 1
        except StoreUnavailable as err:
            assert shards[0].name in str(err)
    assert 0 < readable < 20, "one shard of two is damaged"
    with pytest.raises(StoreUnavailable, match=r"objects\.db"):
        _ = stores.objects
    damage = stores.damage()
    assert list(damage) == ["lightcurves", "cutouts", "objects"]
    assert all("restore it from a copy" in text for text in damage.values())
    stores.close()


def test_readers_make_nothing(tmp_path: Path) -> None:
    stores = Stores(tmp_path, read_only=True)
    assert list(stores.damage()) == ["lightcurves", "cutouts", "objects", "classifications", "marks"]
    stores.close()
    assert not list(tmp_path.iterdir())


def test_readers_write_nothing(tmp_path: Path) -> None:
    open_stores(tmp_path).close()
    stores = Stores(tmp_path, read_only=True)
    assert stores.damage() == {}
    with pytest.raises(StoreUnavailable, match="readonly"):
        stores.objects.put("lsst", "area_hits", {"diaObjectId": np.array([1]), "ar_id": np.array([1])})
    with pytest.raises(StoreUnavailable, match="readonly"):
        stores.cutouts.put("lsst", 20260310, images(1))
    with pytest.raises(StoreUnavailable, match="readonly"):
        put(stores.lightcurves, "lsst", [say(1, (61000.0, 1), detection(1, 61000.0))])
    stores.close()


def test_one_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "cutouts").touch()
    with pytest.raises(StoreUnavailable, match="cutouts"):
        open_stores(tmp_path)
