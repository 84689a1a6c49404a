"""A check finds what opening does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.catalogues.build import build
from lasair.catalogues.check import check
from lasair.catalogues.manifest import MANIFEST, release_id
from tests.unit.catalogues.skies import near, random_sky


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    ra, decl = random_sky(rng, 3000)
    ra[:500], decl[:500] = near(rng, np.full(500, 10.0), np.full(500, 20.0), 50.0)
    rows = {
        "ra": ra,
        "decl": decl,
        "id": np.char.add("x", np.arange(3000).astype(str)),
        "views": rng.integers(0, 4, 3000).astype("u4"),
        "subtype": rng.choice(["", "G"], 3000),
        "z": rng.uniform(0, 1, 3000),
        "pm_ra": rng.normal(0, 10, 3000),
    }
    path = tmp_path_factory.mktemp("good") / "r"
    build(
        path,
        [rows],
        name="n",
        title="N",
        version="1",
        views=["a", "b"],
        sparse_views=["b"],
        about={},
        coverage="derived",
    )
    return path


@pytest.fixture
def harmed(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "r"))


def forge(path: Path, file: str, data: bytes) -> None:
    """Replace a file and make hash and id agree, so that only its content can give it away."""
    import hashlib

    (path / file).write_bytes(data)
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"][file] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["release"] = release_id(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))


def test_nothing_wrong(good: Path) -> None:
    stages: list[Any] = []
    assert check(good, lambda *stage: stages.append(stage)) == []
    assert stages[-1] == ("rows", 3000, 3000)


FILES = ["position.bin", "offsets.bin", "id.bin", "views.bin", "subtype.bin", "z.bin", "view_b.bin"]


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_is_found(harmed: Path, file: str) -> None:
    data = bytearray((harmed / file).read_bytes())
    data[len(data) // 2] ^= 1
    (harmed / file).write_bytes(data)
    problems = check(harmed)
    assert (problems[0].name, problems[0].file) == ("n", str(harmed / file))
    assert "SHA-256" in problems[0].reason


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("harm", ["cut", "missing"])
def test_damaged_files_are_named_once(harmed: Path, file: str, harm: str) -> None:
    path = harmed / file
    data = path.read_bytes()
    path.unlink()
    if harm == "cut":
        path.write_bytes(data[:-1])
    problems = check(harmed)
    assert [problem.file for problem in problems] == [str(path)]


def test_all_damage_is_told(harmed: Path) -> None:
    (harmed / "z.bin").unlink()
    (harmed / "id.bin").write_bytes(b"")
    (harmed / "notes.txt").write_text("x")
    assert sorted(Path(problem.file).name for problem in check(harmed)) == ["id.bin", "notes.txt", "z.bin"]


def test_a_changed_manifest_is_found(harmed: Path) -> None:
    text = (harmed / MANIFEST).read_text()
    (harmed / MANIFEST).write_text(text.replace('"title": "N"', '"title": "M"'))
    assert [problem.reason.split(":")[0] for problem in check(harmed)] == ["was changed"]
    (harmed / MANIFEST).write_text("{")
    assert "not JSON" in check(harmed)[0].reason
    (harmed / MANIFEST).unlink()
    assert "not complete" in check(harmed)[0].reason


def values(path: Path, file: str, dtype: str) -> np.ndarray:
    return np.frombuffer((path / file).read_bytes(), dtype).copy()


@pytest.mark.parametrize(
    ("file", "dtype", "index", "value", "reason"),
    [
        ("offsets.bin", "<u4", 0, 1, "do not ascend"),
        ("offsets.bin", "<u4", 500, 2999, "do not ascend"),
        ("offsets.bin", "<u4", -1, 2999, "do not ascend"),
        ("z.bin", "<f8", 7, np.inf, "infinite"),
        ("subtype.bin", "<u2", 7, 9, "code 9"),
        ("views.bin", "<u4", 7, 64, "beyond the 2 views"),
        ("view_b.bin", "<u4", 3, 0, "does not list"),
        ("id.bin", "S5", 3, b"\xff\xfe", "UTF-8"),
        ("position.bin", "<i4", 2000, 2**31 - 1, "does not lie in its cell"),
    ],
)
def test_content_that_cannot_be(harmed: Path, file: str, dtype: str, index: int, value: Any, reason: str) -> None:
    data = values(harmed, file, dtype)
    data[index] = value
    forge(harmed, file, data.tobytes())
    problems = check(harmed)
    assert any(problem.file == str(harmed / file) and reason in problem.reason for problem in problems), problems


def test_rows_out_of_order_are_found(harmed: Path) -> None:
    data = values(harmed, "position.bin", "<i8")
    offsets = values(harmed, "offsets.bin", "<u4")
    first = int(offsets[int(np.argmax(np.diff(offsets)))])  # the crowded cell
    data[[first, first + 1]] = data[[first + 1, first]]
    forge(harmed, "position.bin", data.tobytes())
    assert [problem.reason for problem in check(harmed)] == [f"row {first + 1} is not in order"]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("max_pm_mas", 1.0, "largest proper motion"),
        ("columns", {"known": 5}, "column z has known 5"),
        ("views", {"rows": 1}, "view a has 1 rows"),
    ],
)
def test_counts_that_are_wrong(harmed: Path, key: str, value: Any, reason: str) -> None:
    manifest = json.loads((harmed / MANIFEST).read_text())
    if key == "columns":
        manifest["columns"]["z"] |= value
    elif key == "views":
        manifest["views"][0] |= value
    else:
        manifest[key] = value
    manifest["release"] = release_id(manifest)
    (harmed / MANIFEST).write_text(json.dumps(manifest))
    problems = check(harmed)
    assert len(problems) == 1
    assert reason in problems[0].reason
