from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lasair.bench import cones, report, sherlock
from lasair.catalogues.shelf import Shelf
from lasair.catalogues.synthetic import CHUNK_ROWS, make_sky
from lasair.catalogues.universe import Field

SMALL = Field(200.0, 30.0, 0.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sky")
    make_sky(path, 150_000, 1, [SMALL])
    return path


def test_positions_lie_in_the_disc_and_half_of_them_on_sources(folder: Path) -> None:
    with Shelf.open(folder) as shelf:
        releases = list(shelf.releases.values())
        ra, decl, density = sherlock.draw(releases, SMALL, 2000, np.random.default_rng(1))
        again = sherlock.draw(releases, SMALL, 2000, np.random.default_rng(1))
    np.testing.assert_array_equal(ra, again[0])
    away = np.hypot((ra - SMALL.ra) * np.cos(np.radians(decl)), decl - SMALL.decl)
    # a cell may reach out of the disc, and the errors do
    assert away.max() < SMALL.radius_deg + 0.7
    assert np.median(away) < SMALL.radius_deg
    assert 50_000 < density < 1_000_000


def test_all_figures_of_a_sky(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sherlock, "BATCH", 300)
    found = sherlock._measure_warm(folder)
    sherlock.forget_pages(folder)
    found.cold.append(sherlock._measure_cold(folder, *sherlock._cold_positions(folder, 0)))
    found.tenth, found.tenth_rows = sherlock._measure_all_sky(folder)
    assert found.catalogues == 14
    assert found.rows > 150_000
    assert [one.name for one in found.visits] == ["visit at 200 +30"]
    visit = found.visits[0]
    assert sum(visit.classes.values()) == 300
    assert {"SN", "VS"} <= set(visit.classes)
    assert visit.candidates > found.all_sky.candidates > 0
    assert min(visit.decided_per_s, visit.per_s, visit.with_sentence_per_s, found.cold[0].per_s_wall) > 0
    assert found.anonymous_mb > 0
    text = report.as_text([], sky=found)
    assert "sherlock: 14 catalogues" in text
    assert "all-sky cold" in text
    written = json.loads(json.dumps(report.as_json([], sky=found)))
    assert written["sherlock"]["visits"][0]["rows_per_deg2"] == visit.rows_per_deg2


def test_all_ways_find_the_same_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cones, "BATCH", 2000)
    make_sky(tmp_path, CHUNK_ROWS, 1, catalogues=[cones.CATALOGUE])
    found = cones._measure(tmp_path)
    assert [way.name for way in found.ways] == ["this store", "KD-tree", "DuckDB", "SQLite"]
    assert [way.different for way in found.ways] == [0, 0, 0, 0]
    assert found.pairs["all_sky"] > 500
    assert "times ours" in report.as_text([], one_catalogue=found)
    assert not list(tmp_path.glob("cones.*"))
