from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import lz4.frame
import pytest

from lasair.errors import StoreUnavailable
from lasair.packets.batch import CUTOUT_KINDS
from lasair.stores.cutouts import FileCutoutStore
from lasair.stores.protocols import Cutout, CutoutStore, PutResult
from tests.contract.cutouts import NIGHT, CutoutStoreContract, fits, images, primary
from tests.contract.embedded import EmbeddedStoreContract
from tests.support.data import DATA


class TestFileCutoutStore(CutoutStoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folders = (tmp_path / str(i) for i in itertools.count())

    def empty_store(self) -> CutoutStore:
        return FileCutoutStore(next(self.folders), durable=False)


class TestFaults(EmbeddedStoreContract):
    def open(self, folder: Path) -> Any:
        return FileCutoutStore(folder)

    def write(self, store: Any, number: int) -> None:
        store.put("lsst", NIGHT + number % 2, [one for i in range(10) for one in images(1 + 10 * number + i)])

    def held(self, store: Any, number: int) -> object:
        return [store.get("lsst", 1 + 10 * number + i, kind) for i in range(10) for kind in CUTOUT_KINDS]


def test_one_pack_a_night_however_many_alerts(tmp_path: Path) -> None:
    store = FileCutoutStore(tmp_path)
    for alert_id in range(20):
        store.put("lsst", NIGHT + alert_id % 2, images(alert_id))
    assert sorted(path.name for path in (tmp_path / "lsst").iterdir()) == ["20260310.pack", "20260311.pack"]
    assert store.disk_bytes() > 20 * 3 * 3000
    store.expire(NIGHT + 1)
    assert [path.name for path in (tmp_path / "lsst").iterdir()] == ["20260311.pack"]
    store.close()


def test_rest_of_an_interrupted_put_is_written_over(tmp_path: Path) -> None:
    store = FileCutoutStore(tmp_path)
    store.put("lsst", NIGHT, images(1))
    pack = tmp_path / "lsst" / f"{NIGHT}.pack"
    size = pack.stat().st_size
    with pack.open("ab") as file:
        file.write(b"rubbish" * 99_999)
    store.put("lsst", NIGHT, images(2, ["science"]))
    assert pack.stat().st_size < size + 10_000
    assert store.get("lsst", 2, "science") == primary(2, "science")
    assert store.get("lsst", 1, "template") == primary(1, "template")
    store.close()


def test_pack_without_an_index_expires_too(tmp_path: Path) -> None:
    """What a crash between the two steps of an expiry leaves behind."""
    store = FileCutoutStore(tmp_path)
    store.put("lsst", NIGHT, images(1))
    orphan = tmp_path / "lsst" / "20250101.pack"
    orphan.write_bytes(b"x")
    assert store.expire(NIGHT) == 0
    assert not orphan.exists()
    assert store.get("lsst", 1, "science") == primary(1, "science")
    store.close()


def test_pack_that_is_gone_is_no_image_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    store = FileCutoutStore(tmp_path)
    store.put("lsst", NIGHT, images(1))
    pack = tmp_path / "lsst" / f"{NIGHT}.pack"
    pack.write_bytes(b"\0" * pack.stat().st_size)
    with pytest.raises(StoreUnavailable, match="alert 1 is damaged"):
        store.get("lsst", 1, "science")
    pack.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="alert 1 is damaged"):
        store.get("lsst", 1, "science")
    pack.unlink()
    assert store.get("lsst", 1, "science") is None
    store.close()


def test_large_image_is_left_out(tmp_path: Path) -> None:
    store = FileCutoutStore(tmp_path, max_image_bytes=20_000)
    large, _ = fits(1, side=100)
    small, expected = fits(2)
    assert store.put("lsst", NIGHT, [Cutout(1, "science", large), Cutout(2, "science", small)]) == PutResult(1, 0)
    assert store.get("lsst", 1, "science") is None
    assert store.get("lsst", 2, "science") == expected
    store.close()


def test_wrong_names_are_refused(tmp_path: Path) -> None:
    store = FileCutoutStore(tmp_path)
    with pytest.raises(ValueError, match="no survey 'panstarrs'"):
        store.get("panstarrs", 1, "science")
    with pytest.raises(ValueError, match="no kind of cutout"):
        store.get("lsst", 1, "scienc")  # type: ignore[arg-type]
    store.close()


if DATA:
    ORACLE = DATA / "oracles" / "cutout"

    def test_oracle(tmp_path: Path) -> None:
        store = FileCutoutStore(tmp_path)
        store.put("lsst", NIGHT, [Cutout(1, "science", (ORACLE / "sample_cutout.fits").read_bytes())])
        trimmed = (ORACLE / "sample_cutout_trimmed.fits.lz4").read_bytes()
        assert store.get("lsst", 1, "science") == lz4.frame.decompress(trimmed)
        assert (tmp_path / "lsst" / f"{NIGHT}.pack").read_bytes() == trimmed
        store.close()
