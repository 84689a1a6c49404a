"""What every cutout store promises; a subclass only says how to get an empty one."""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from lasair.packets.batch import CUTOUT_KINDS, CutoutKind
from lasair.stores.protocols import Cutout, CutoutStore, PutResult

BLOCK = 2880
NIGHT = 20260310


def card(text: str) -> bytes:
    return text.ljust(80).encode()


def header(*cards: str) -> bytes:
    text = b"".join(card(one) for one in (*cards, "END"))
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)


def unit(side: int, seed: int, first: str = "SIMPLE  =                    T", *more: str) -> bytes:
    """A header and data unit of a square image of float32."""
    pixels = np.random.default_rng(seed).normal(0, 100, (side, side)).astype(">f4").tobytes()
    lengths = (f"NAXIS1  = {side:20d}", f"NAXIS2  = {side:20d}")
    top = header(first, "BITPIX  =                  -32 / type", "NAXIS   =                    2", *lengths, *more)
    return top + pixels.ljust(-(-len(pixels) // BLOCK) * BLOCK, b"\0")


def fits(seed: int, side: int = 30) -> tuple[bytes, bytes]:
    """A file as LSST sends it (with two extensions), and its primary part."""
    primary = unit(side, seed, "SIMPLE  =                    T", "EXTEND  =                    T")
    extension = unit(
        side, seed + 1, "XTENSION= 'IMAGE   '", "PCOUNT  =                    0", "GCOUNT  =                    1"
    )
    return primary + extension + extension, primary


def images(alert_id: int, kinds: Sequence[CutoutKind] = CUTOUT_KINDS) -> list[Cutout]:
    return [Cutout(alert_id, kind, memoryview(fits(10 * alert_id + CUTOUT_KINDS.index(kind))[0])) for kind in kinds]


def primary(alert_id: int, kind: CutoutKind) -> bytes:
    return fits(10 * alert_id + CUTOUT_KINDS.index(kind))[1]


class CutoutStoreContract(ABC):
    @abstractmethod
    def empty_store(self) -> CutoutStore: ...

    def test_primary_image_comes_back(self) -> None:
        store = self.empty_store()
        assert store.put("lsst", NIGHT, images(1) + images(2)) == PutResult(6, 0)
        for alert_id in (1, 2):
            for kind in CUTOUT_KINDS:
                assert store.get("lsst", alert_id, kind) == primary(alert_id, kind)
        store.close()

    def test_zipped_image_comes_back_unzipped(self) -> None:
        store = self.empty_store()
        whole, _ = fits(5, side=63)
        assert store.put("ztf", NIGHT, [Cutout(1, "science", gzip.compress(whole))]) == PutResult(1, 0)
        assert store.get("ztf", 1, "science") == fits(5, side=63)[1]
        store.close()

    def test_same_image_twice_is_stored_once(self) -> None:
        store = self.empty_store()
        store.put("lsst", NIGHT, images(1))
        assert store.put("lsst", NIGHT, images(1) + images(1)) == PutResult(0, 6)
        assert store.put("lsst", NIGHT, images(2) + images(2)) == PutResult(3, 3)
        assert store.get("lsst", 1, "template") == primary(1, "template")
        store.close()

    def test_alert_that_comes_again_fills_in_what_was_missing(self) -> None:
        store = self.empty_store()
        assert store.put("lsst", NIGHT, images(1, ["science"])) == PutResult(1, 0)
        assert store.get("lsst", 1, "difference") is None
        assert store.put("lsst", NIGHT, images(1)) == PutResult(2, 1)
        # an empty copy erases nothing
        assert store.put("lsst", NIGHT, []) == PutResult(0, 0)
        for kind in CUTOUT_KINDS:
            assert store.get("lsst", 1, kind) == primary(1, kind)
        store.close()

    def test_alert_under_another_night_is_held_once(self) -> None:
        store = self.empty_store()
        store.put("lsst", NIGHT, images(1, ["science"]))
        assert store.put("lsst", NIGHT + 1, images(1, ["science", "template"])) == PutResult(1, 1)
        for kind in ("science", "template"):
            assert store.get("lsst", 1, kind) == primary(1, kind)
        store.close()

    def test_nothing_there(self) -> None:
        store = self.empty_store()
        assert store.get("lsst", 1, "science") is None
        assert store.put("lsst", NIGHT, iter(())) == PutResult(0, 0)
        store.put("lsst", NIGHT, images(1))
        assert store.get("lsst", 2, "science") is None
        store.close()

    def test_surveys_do_not_mix(self) -> None:
        store = self.empty_store()
        store.put("lsst", NIGHT, images(1))
        assert store.get("ztf", 1, "science") is None
        store.put("ztf", NIGHT, [one._replace(data=images(2)[i].data) for i, one in enumerate(images(1))])
        assert store.get("lsst", 1, "science") == primary(1, "science")
        assert store.get("ztf", 1, "science") == primary(2, "science")
        store.close()

    def test_what_is_no_image_is_left_out_and_the_rest_kept(self) -> None:
        store = self.empty_store()
        whole, _ = fits(1)
        bad = [
            b"",
            b"\x1f\x8b",
            b"SIMPLE",
            whole[:3000],
            gzip.compress(whole)[:-20],
            b"\0" * 5760,
            header("SIMPLE  =  T"),
        ]
        cutouts = [Cutout(i, "science", data) for i, data in enumerate(bad, start=10)]
        assert store.put("lsst", NIGHT, [*cutouts, *images(1)]) == PutResult(3, 0)
        assert all(store.get("lsst", one.alert_id, "science") is None for one in cutouts)
        assert store.get("lsst", 1, "science") == primary(1, "science")
        # a good copy may come later
        assert store.put("lsst", NIGHT, images(11, ["science"])) == PutResult(1, 0)
        assert store.get("lsst", 11, "science") == primary(11, "science")
        store.close()

    def test_many_images_in_one_put(self) -> None:
        store = self.empty_store()
        many = [one for alert_id in range(1, 1201) for one in images(alert_id, ["science"])]
        assert store.put("lsst", NIGHT, iter(many)) == PutResult(1200, 0)
        for alert_id in (1, 600, 1200):
            assert store.get("lsst", alert_id, "science") == primary(alert_id, "science")
        store.close()

    def test_old_nights_expire(self) -> None:
        store = self.empty_store()
        for night, alert_id in ((20260101, 1), (20260102, 2), (20260301, 3)):
            store.put("lsst", night, images(alert_id))
            store.put("ztf", night, images(alert_id))
        assert store.expire(20260101) == 0
        assert store.expire(20260301) == 2
        assert [store.get("lsst", alert_id, "science") is None for alert_id in (1, 2, 3)] == [True, True, False]
        assert store.expire(20260301) == 0
        # and may come again
        store.put("ztf", 20260102, images(2))
        assert store.get("ztf", 2, "science") == primary(2, "science")
        store.close()
