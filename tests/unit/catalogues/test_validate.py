"""What a report says: repeated ids and places, whatever the memory; the map of the sky."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.catalogues import validate
from lasair.catalogues.validate import Tally, duplicate_ids, duplicate_positions, plot_footprint, report_of
from tests.unit.catalogues.skies import random_sky, release


@pytest.mark.parametrize("memory", [1 << 30, 1 << 20])
@pytest.mark.parametrize("kind", [np.int64, "S12"])
def test_repeated_ids_in_memory_and_on_disk(tmp_path: Path, memory: int, kind: Any) -> None:
    rng = np.random.default_rng(5)
    n = 100_000
    ids = np.arange(n) - n // 2
    ids[[7, 70, 700]] = ids[8]
    ids[99_999] = ids[5]
    ra, decl = random_sky(rng, n)
    with release(tmp_path / "r", {"ra": ra, "decl": decl, "id": ids.astype(kind)}) as one:
        found = duplicate_ids(one, tmp_path, memory)
    assert found.count == 4
    assert found.examples == sorted([str(8 - n // 2), str(5 - n // 2)])
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@given(st.lists(st.text(max_size=4), max_size=30))
@settings(max_examples=50)
def test_equal_texts_have_equal_hashes_and_others_do_not(texts: list[str]) -> None:
    ids = np.array([text.encode().rstrip(b"\0") for text in texts] or [b""], "S20")
    assert len(np.unique(validate._hashes(ids))) == len(np.unique(ids))


def test_repeated_places_over_blocks_and_at_the_edges_of_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "_BLOCK", 7)
    rng = np.random.default_rng(6)
    ra, decl = random_sky(rng, 500)
    ra, decl = np.concatenate([ra, ra[:40], ra[:3]]), np.concatenate([decl, decl[:40], decl[:3]])
    # the centres of cells have the same packed offsets everywhere, and are different places
    from lasair.catalogues.healpix import all_centres

    more_ra, more_decl = all_centres(5)
    ra, decl = np.concatenate([ra, more_ra]), np.concatenate([decl, more_decl])
    with release(tmp_path / "r", {"ra": ra, "decl": decl, "id": np.arange(len(ra))}) as one:
        found = duplicate_positions(one)
    assert found.count == 43 and len(found.examples) == 10


def test_a_report_is_json_and_can_be_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    ra, decl = random_sky(rng, 1000)
    tally = Tally()
    tally.use(ra, decl)
    tally.rows_read = 1000
    with release(tmp_path / "r", {"ra": ra, "decl": decl, "id": np.arange(1000), "z": np.full(1000, np.nan)}) as one:
        report = report_of(one, tally, expected_rows=1000, scratch=None, memory_bytes=1 << 24)
    assert report.notes == ["column z is empty"]
    assert report.map.sum() == 1000
    told = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert told["rows_used"] == 1000 and told["columns"]["id"]["known"] == 1000 and told["refused"] == []
    plot_footprint(report, tmp_path / "sky.png")
    assert (tmp_path / "sky.png").read_bytes().startswith(b"\x89PNG")


def test_only_some_examples_are_kept() -> None:
    tally = Tally()
    for start in (0, 8, 16):
        tally.refuse("bad", Path("t"), "row", np.arange(start, start + 8), [])
    assert tally.refused["bad"].count == 24
    assert tally.refused["bad"].examples == [f"t: row {i}" for i in range(10)]
