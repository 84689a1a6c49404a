"""The stage on batches of alerts, what it keeps, and the refresh after a catalogue has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.catalogues.build import build
from lasair.catalogues.shelf import Shelf
from lasair.filter.evaluate import SHERLOCK
from lasair.packets.batch import AlertBatch, empty_batch
from lasair.schema.model import INT_MISSING, Survey, layout
from lasair.sherlock.open import LiveEngine, open_engine
from lasair.sherlock.refresh import changed_catalogues, refresh
from lasair.sherlock.stage import SherlockStage
from lasair.stores.open import Stores, open_stores

MJD = 61_000.0
STAR = {"id": 1, "view": "star"}


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    found = open_stores(tmp_path / "state", durable=False)
    yield found
    found.close()


def batch(survey: Survey, places: Sequence[tuple[float, float]], ids: Sequence[int] = ()) -> AlertBatch:
    """Alerts without light curves at places [deg]."""
    n = len(places)
    alerts = np.zeros(n, layout(survey, "alert").dtype)
    alerts["alert_id"] = 1000 + np.arange(n)
    alerts["object_id"] = list(ids) or np.arange(n) + 1
    alerts["mjd_tai"] = MJD
    alerts["ra"], alerts["decl"] = np.array(places).T
    if survey == "lsst":
        alerts["object_ra"], alerts["object_decl"] = np.nan, np.nan
    found = empty_batch(survey)
    found.alerts, found.offsets = alerts, np.zeros(n + 1, np.int64)
    found.messages = [None] * n  # type: ignore[list-item]
    return found


def publish(
    folder: Path, name: str, views: Sequence[str], rows: Sequence[Mapping[str, Any]], version: str = "1"
) -> None:
    """Put a release of a catalogue on the shelf and make it current."""
    shelf = Shelf.open(folder)
    columns: dict[str, Any] = {
        "ra": np.array([row["ra"] for row in rows]),
        "decl": np.array([row["decl"] for row in rows]),
        "id": np.array([row["id"] for row in rows], np.int64),
        "views": np.array([1 << list(views).index(row["view"]) for row in rows], np.uint32),
    }
    if any("z" in row for row in rows):
        columns["z"] = np.array([row.get("z", np.nan) for row in rows])
    with shelf.staging(name) as staged:
        build(staged, [columns], name=name, title=name, version=version, views=views, about={}, coverage="all-sky")
        info = shelf.publish(staged)
    shelf.switch(name, info.release)
    shelf.close()


def test_no_catalogue_leaves_the_batch_as_it_is(tmp_path: Path, stores: Stores) -> None:
    stage = SherlockStage(LiveEngine(tmp_path / "none"), stores.classifications)
    assert SHERLOCK not in stage(batch("lsst", [(10.0, 5.0)])).tables


@pytest.mark.parametrize("survey", ["lsst", "ztf"])
def test_every_alert_gets_a_row(tmp_path: Path, stores: Stores, survey: Survey) -> None:
    publish(tmp_path / "c", "gaia", ["star", "qso"], [{"ra": 10.0, "decl": 5.0, **STAR}])
    stage = SherlockStage(LiveEngine(tmp_path / "c"), stores.classifications)
    given = batch(survey, [(10.0, 5.0), (11.0, 5.0), (np.nan, 5.0), (10.0, 5.0001)], [7, 8, 9, INT_MISSING])
    table = stage(given).tables[SHERLOCK]
    assert table["classification"].tolist() == ["VS", "ORPHAN", "", ""]
    assert table["separationArcsec"][0] == pytest.approx(0.0, abs=1e-5)
    assert np.isnan(table["separationArcsec"][1:]).all()
    assert table["classificationReliability"].tolist() == [1, INT_MISSING, INT_MISSING, INT_MISSING]
    assert table["catalogue_object_id"][0] == "1"
    assert "star" in table["description"][0]
    assert stores.classifications.count(survey) == 2


def test_what_is_kept_is_said_again(tmp_path: Path, stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path / "c", "gaia", ["star", "qso"], [{"ra": 10.0, "decl": 5.0, **STAR}])
    stage = SherlockStage(LiveEngine(tmp_path / "c"), stores.classifications)
    places = [(10.0, 5.0), (11.0, 5.0), (10.0, 5.0)]
    first = stage(batch("lsst", places, [7, 8, 7])).tables[SHERLOCK]

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("asked again")

    monkeypatch.setattr("lasair.sherlock.stage.ask", never)
    again = stage(batch("lsst", places, [7, 8, 7])).tables[SHERLOCK]
    for name, values in first.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)
    with pytest.raises(AssertionError, match="asked again"):
        stage(batch("lsst", [(10.0, 5.00001)], [7]))


def test_a_single_detection_may_be_left_out(tmp_path: Path, stores: Stores) -> None:
    publish(tmp_path / "c", "gaia", ["star", "qso"], [{"ra": 10.0, "decl": 5.0, **STAR}])
    stage = SherlockStage(LiveEngine(tmp_path / "c"), stores.classifications, singletons=False)
    assert stage(batch("lsst", [(10.0, 5.0)])).tables[SHERLOCK]["classification"].tolist() == [""]


def test_a_changed_catalogue_changes_classes_and_history(tmp_path: Path, stores: Stores) -> None:
    folder = tmp_path / "c"
    publish(folder, "gaia", ["star", "qso"], [{"ra": 10.0, "decl": 5.0, **STAR}, {"ra": 20.0, "decl": 5.0, **STAR}])
    host = {"ra": 20.0 + 4.0 / 3600, "decl": 5.0, "id": 5, "view": "galaxy", "z": 0.02}
    publish(folder, "sdss_spec", ["galaxy", "qso"], [host])
    stage = SherlockStage(LiveEngine(folder, interval_s=0.0), stores.classifications)
    given = batch("lsst", [(10.0, 5.0), (20.0, 5.0), (30.0, 5.0)])
    table = stage(given).tables[SHERLOCK]
    assert table["classification"].tolist() == ["VS", "VS", "ORPHAN"]
    # the next release knows that the second star was none
    publish(folder, "gaia", ["star", "qso"], [{"ra": 10.0, "decl": 5.0, **STAR}], version="2")
    engine = open_engine(Shelf.open(folder))
    changed = list(refresh(engine, stores.classifications, stores.objects))
    (one,) = changed
    assert [(a.object_id, a.klass, b.klass) for a, b in zip(one.before, one.now, strict=True)] == [(2, "VS", "SN")]
    assert [said.klass for said in stores.classifications.history("lsst", 2)] == ["VS", "SN"]
    assert stores.objects.get("lsst", SHERLOCK, 2)[0]["classification"] == "SN"
    # nothing is left to do, and the stage says the same as the refresh
    assert list(refresh(engine, stores.classifications, stores.objects)) == []
    assert stage(given).tables[SHERLOCK]["classification"].tolist() == ["VS", "SN", "ORPHAN"]


def test_refresh_says_what_a_fresh_start_says(tmp_path: Path, stores: Stores) -> None:
    folder = tmp_path / "c"
    rng = np.random.default_rng(4)
    stars = [
        {"ra": 10 + x / 3600, "decl": 5 + y / 3600, "id": i, "view": "star"}
        for i, (x, y) in enumerate(rng.normal(0, 6, (60, 2)))
    ]
    hosts = [
        {"ra": 10 + x / 3600, "decl": 5 + y / 3600, "id": i, "view": "galaxy", "z": 0.01}
        for i, (x, y) in enumerate(rng.normal(0, 20, (9, 2)))
    ]
    publish(folder, "gaia", ["star", "qso"], stars)
    publish(folder, "sdss_spec", ["galaxy", "qso"], hosts)
    places = [(10 + x / 3600, 5 + y / 3600) for x, y in rng.normal(0, 8, (40, 2))]
    SherlockStage(LiveEngine(folder), stores.classifications)(batch("ztf", places))
    publish(folder, "gaia", ["star", "qso"], stars[:20], version="2")
    engine = open_engine(Shelf.open(folder))
    assert any(True for _ in refresh(engine, stores.classifications, stores.objects))
    after = stores.classifications.get("ztf", 2, list(range(1, 41)))
    fresh = open_stores(tmp_path / "fresh", durable=False)
    SherlockStage(LiveEngine(folder), fresh.classifications)(batch("ztf", places))
    assert after == fresh.classifications.get("ztf", 1, list(range(1, 41)))
    fresh.close()


def test_changed_catalogues() -> None:
    assert changed_catalogues("rules=a gaia=1 ned=2", "rules=a gaia=3 ps1=1") == {"gaia", "ned", "ps1"}
    assert changed_catalogues("rules=a gaia=1", "rules=a gaia=1") == set()
    assert changed_catalogues("rules=a gaia=1", "rules=b gaia=1") is None
