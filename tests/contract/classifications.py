"""What every store of classifications promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.stores.classifications import Classified
from lasair.stores.protocols import ClassificationStore


def said(object_id: int, klass: str = "VS", mjd: float = 61_000.0, alert: int = 1) -> Classified:
    """What was said of an object."""
    return Classified(object_id, mjd, alert, 10.0, -5.0, 2026.9, klass, f"{klass}{alert}".encode(), b"{}")


class ClassificationStoreContract(ABC):
    """Subclasses say how a store is opened."""

    @abstractmethod
    def open(self, folder: Path) -> ClassificationStore: ...

    def test_a_version_keeps_its_number(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        first, second = store.version("rules=a gaia=1"), store.version("rules=a gaia=2")
        assert first < second
        assert store.version("rules=a gaia=1") == first
        store.close()

    def test_what_was_put_is_there(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        version = store.version("v")
        store.put("lsst", version, [said(2**62), said(7, "SN")])
        assert store.get("lsst", version, [2**62, 7, 8]) == {2**62: said(2**62), 7: said(7, "SN")}
        assert store.get("ztf", version, [7]) == store.get("lsst", version + 1, [7]) == {}
        assert (store.count("lsst"), store.count("ztf")) == (2, 0)
        store.close()

    def test_history_goes_by_version(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        one, two = store.version("one"), store.version("two")
        store.put("ztf", two, [said(7, "SN")])
        store.put("ztf", one, [said(7, "VS")])
        assert [(entry.version, entry.klass) for entry in store.history("ztf", 7)] == [("one", "VS"), ("two", "SN")]
        assert store.history("ztf", 8) == []
        store.close()

    def test_outdated_objects_come_once_with_their_newest_version(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        one, two, three = (store.version(text) for text in ("one", "two", "three"))
        store.put("lsst", one, [said(i) for i in range(10)])
        store.put("lsst", two, [said(i, "SN") for i in range(5)])
        store.put("lsst", three, [said(3, "AGN")])
        found = [pair for rows in store.outdated("lsst", three, batch=2) for pair in rows]
        assert [(text, row.object_id, row.klass) for text, row in found] == [
            *(("two", i, "SN") for i in (0, 1, 2, 4)),
            *(("one", i, "VS") for i in range(5, 10)),
        ]
        assert list(store.outdated("ztf", three)) == []
        store.close()

    @settings(max_examples=25, deadline=None)
    @given(
        st.permutations([said(1, "VS", 5.0, 1), said(1, "SN", 6.0, 1), said(1, "CV", 6.0, 2), said(1, "BS", 4.0, 9)])
    )
    def test_the_newest_alert_stays_whatever_the_order(self, tmp_path_factory: object, rows: list[Classified]) -> None:
        store = self.open(tmp_path_factory.mktemp("store"))  # type: ignore[attr-defined]
        version = store.version("v")
        for row in rows:
            store.put("lsst", version, [row])
        store.put("lsst", version, rows)
        assert store.get("lsst", version, [1])[1].klass == "CV"
        store.close()
