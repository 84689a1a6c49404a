from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lasair.errors import StoreUnavailable
from lasair.stores.open import open_stores
from tests.contract.cutouts import images
from tests.contract.lightcurves import detection, put, say


def test_stores_of_a_state(tmp_path: Path) -> None:
    stores = open_stores(tmp_path / "state", durable=False, lightcurve_shards=2)
    put(stores.lightcurves, "lsst", [say(1, (61000.0, 1), detection(1, 61000.0))])
    stores.cutouts.put("lsst", 20260310, images(1))
    stores.objects.put("lsst", "area_hits", {"diaObjectId": np.array([1]), "ar_id": np.array([1])})
    usage = stores.disk_usage()
    assert list(usage) == ["lightcurves", "cutouts", "objects"]
    assert all(size > 0 for size in usage.values())
    stores.close()
    again = open_stores(tmp_path / "state", durable=False)
    assert len(again.lightcurves.get("lsst", [1])[0]) == 1
    assert again.cutouts.get("lsst", 1, "science")
    assert again.objects.count("lsst", "area_hits") == 1
    again.close()


def test_one_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "cutouts").touch()
    with pytest.raises(StoreUnavailable, match="cutouts"):
        open_stores(tmp_path)
