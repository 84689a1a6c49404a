"""Releases depend on their rows alone; bad rows are refused; memory is bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lasair.catalogues.build import build
from lasair.catalogues.check import check
from lasair.catalogues.manifest import MANIFEST
from lasair.catalogues.problems import BadRows
from lasair.catalogues.release import Release
from lasair.catalogues.spill import groups
from lasair.errors import StoreUnavailable
from tests.unit.catalogues.skies import near, random_sky, release, vectors

Chunk = dict[str, Any]


def made_up(n: int, seed: int = 1) -> Chunk:
    """Rows with duplicates, equal positions and all kinds of columns."""
    rng = np.random.default_rng(seed)
    ra, decl = random_sky(rng, n)
    some = n // 5
    ra[:some], decl[:some] = near(rng, np.full(some, 83.8), np.full(some, -5.4), 100.0)
    again = rng.integers(0, n, n // 10)
    to = rng.integers(0, n, n // 10)
    ra[to], decl[to] = ra[again], decl[again]
    rows: Chunk = {
        "ra": ra,
        "decl": decl,
        "id": rng.integers(0, n // 2 + 1, n),
        "views": rng.integers(0, 4, n).astype(np.uint32),
        "subtype": rng.choice(["", "G", "QSO", "*"], n),
        "z": np.where(rng.random(n) < 0.5, np.nan, rng.uniform(0, 1, n)),
        "_r": rng.normal(20, 1, n),
    }
    return {name: np.concatenate([values, values[: n // 20]]) for name, values in rows.items()}


def cut(rows: Chunk, order: Any, sizes: list[int]) -> list[Chunk]:
    """The rows in another order, in chunks of these sizes and a rest."""
    ends = np.cumsum(sizes)
    return [{name: values[part] for name, values in rows.items()} for part in np.split(order, ends)]


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def make(path: Path, chunks: Any, **more: Any) -> Path:
    given_: dict[str, Any] = {
        "name": "made-up",
        "title": "Made up",
        "version": "2",
        "views": ["a", "b"],
        "sparse_views": ["b"],
        "about": {},
        "coverage": "derived",
    }
    build(path, chunks, **(given_ | more))
    return path


@given(
    n=st.integers(0, 400),
    sizes=st.lists(st.integers(0, 150), max_size=6),
    memory=st.sampled_from([1, 20_000, 10**9]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_depend_on_the_rows_alone(
    n: int, sizes: list[int], memory: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = made_up(n, seed)
    order = np.random.default_rng(seed).permutation(len(rows["ra"]))
    folder = tmp_path_factory.mktemp("same")
    once = contents(make(folder / "once", [rows]))
    again = contents(make(folder / "again", cut(rows, order, sizes), memory_bytes=memory))
    assert once == again


def test_small_memory_makes_runs_and_pieces_and_the_same_bytes(tmp_path: Path) -> None:
    rows = made_up(60_000)
    order = np.random.default_rng(2).permutation(len(rows["ra"]))
    # 11,000 rows lie in a few cells: pieces must be cut finer than cells
    stages: list[tuple[str, int, int | None]] = []
    small = make(
        tmp_path / "small",
        cut(rows, order, [10_000] * 5),
        memory_bytes=400_000,
        progress=lambda *stage: stages.append(stage),
    )
    large = make(tmp_path / "large", [rows])
    assert contents(small) == contents(large)
    assert check(small) == []
    assert len(stages) > 30
    assert stages[-1] == ("write", 63_000, 63_000)


def test_rows_come_back(tmp_path: Path) -> None:
    rows = made_up(5000)
    with Release.open(make(tmp_path / "r", [rows])) as made:
        found = made.vectors(np.arange(made.n_rows))
        expected = vectors(rows["ra"], rows["decl"])
        # the same rows in another order: compare after sorting both by all columns
        z, mag = made.gather("z", np.arange(made.n_rows)), made.gather("_r", np.arange(made.n_rows))
        types = np.array(made.subtypes)[made.gather("subtype", np.arange(made.n_rows))]
        a = np.lexsort((found[:, 0], made.gather("id", np.arange(made.n_rows)), mag))
        b = np.lexsort((expected[:, 0], rows["id"], rows["_r"].astype("f4")))
        np.testing.assert_allclose(found[a], expected[b], atol=5e-12)
        np.testing.assert_array_equal(z[a], rows["z"][b])
        np.testing.assert_array_equal(types[a], rows["subtype"][b])


def test_ids_become_text_when_any_is(tmp_path: Path) -> None:
    chunks: list[Chunk] = [
        {"ra": [1.0, 2.0], "decl": [0.0, 0.0], "id": [-5, 1234567890123]},
        {"ra": [3.0], "decl": [0.0], "id": ["  x "]},
        {"ra": [4.0], "decl": [0.0]},
        {"ra": [5.0], "decl": [0.0], "id": np.array([None], object)},
        {"ra": [6.0], "decl": [0.0], "id": np.array([b"bytes"])},
    ]
    expected = {1.0: b"-5", 2.0: b"1234567890123", 3.0: b"x", 4.0: b"", 5.0: b"", 6.0: b"bytes"}
    for memory in (10**8, 1):
        with release(tmp_path / str(memory), *chunks, memory_bytes=memory) as made:
            ids = made.gather("id", np.arange(6))
            assert ids.dtype == "S13"
            assert dict(zip(made.positions(np.arange(6))[0].round(6).tolist(), ids.tolist(), strict=True)) == expected


def test_large_unsigned_ids_are_text(tmp_path: Path) -> None:
    rows = {"ra": [1.0, 1.0], "decl": [0.0, 0.0], "id": np.array([2**63, 7], np.uint64)}
    with release(tmp_path / "r", rows) as made:
        assert sorted(made.gather("id", np.arange(2)).tolist()) == [b"7", b"9223372036854775808"]


def test_columns_that_some_chunks_lack(tmp_path: Path) -> None:
    chunks: list[Chunk] = [
        {"ra": [1.0], "decl": [0.0], "z": [0.5], "subtype": ["G"]},
        {"ra": [2.0], "decl": [0.0], "G": [12.0]},
    ]
    with release(tmp_path / "r", *chunks) as made:
        by_ra = np.argsort(made.positions(np.arange(2))[0])
        np.testing.assert_array_equal(made.gather("z", by_ra), [0.5, np.nan])
        np.testing.assert_array_equal(made.gather("G", by_ra), np.array([np.nan, 12.0], "f4"))
        assert made.gather("subtype", by_ra).tolist() == [1, 0]


def test_types_can_be_set(tmp_path: Path) -> None:
    rows = {"ra": [1.0], "decl": [0.0], "G": [12.123456789], "z": [0.1]}
    with release(tmp_path / "r", rows, dtypes={"G": "f8", "z": "f4"}) as made:
        assert made.gather("G", np.zeros(1, int))[0] == 12.123456789
        assert made.column("z").dtype == np.float32
    for bad in ({"id": "f8"}, {"G": "i4"}, {"colour": "f4"}):
        with pytest.raises(BadRows):
            release(tmp_path / "bad", rows, dtypes=bad)


def test_manifest(tmp_path: Path) -> None:
    rows = {
        "ra": [1.0, 1.0, 200.0],
        "decl": [0.0, 0.0, 9.0],
        "z": [0.5, np.nan, -0.5],
        "views": np.array([1, 1, 2], "u4"),
    }
    with release(
        tmp_path / "r", rows, views=["a", "b"], version="DR 3/β", about={"searches": [{"radius": 3.0}]}
    ) as made:
        manifest = made.manifest
    assert manifest["columns"]["z"] == {
        "dtype": "<f8",
        "known": 2,
        "min": -0.5,
        "max": 0.5,
        "unit": "",
        "doc": "Spectroscopic redshift.",
    }
    assert manifest["release"].startswith("DR-3-")
    assert manifest["about"] == {"searches": [{"radius": 3.0}]}
    assert sum(manifest["density"]["rows"]) == 3
    assert manifest["density"]["occupied"] == 2
    assert {file.name for file in (tmp_path / "r").iterdir()} == {MANIFEST, *manifest["files"]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"ra": [1.0, np.nan], "decl": [0.0, 0.0]}, "row 1 .* has no position"),
        ({"ra": [1.0], "decl": [90.5]}, "row 0 .* has no position"),
        ({"ra": [1.0]}, "differ in length"),
        ({"decl": [1.0]}, "ra and decl"),
        ({"ra": [1.0], "decl": [0.0], "z": [1.0, 2.0]}, "differ in length: ra 1, z"),
        ({"ra": [1.0], "decl": [0.0], "colour": [1.0]}, "no column 'colour'"),
        ({"ra": [1.0], "decl": [0.0], "z": ["x"]}, "not numbers"),
        ({"ra": [1.0], "decl": [0.0], "z": [[1.0]]}, "one-dimensional"),
        ({"ra": [1.0], "decl": [0.0], "id": [1.5]}, "whole numbers or text"),
        ({"ra": [1.0], "decl": [0.0], "id": np.array([b"\xff"])}, "UTF-8"),
        ({"ra": [1.0], "decl": [0.0], "views": np.array([2], "u4")}, "bit set for view 1"),
        ({"ra": [1.0], "decl": [0.0], "views": [-1]}, "without sign"),
        ({"ra": [1.0], "decl": [0.0], "subtype": [3.0]}, "text expected"),
        ({"ra": np.ones(70000), "decl": np.ones(70000), "subtype": np.arange(70000).astype(str)}, "different texts"),
    ],
)
def test_bad_rows_are_refused_and_nothing_is_left(tmp_path: Path, rows: Chunk, message: str) -> None:
    with pytest.raises(BadRows, match=message):
        release(tmp_path / "r", rows, views=["a"])
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "more",
    [
        {"name": "../x"},
        {"name": ""},
        {"views": ["a", "a"]},
        {"views": ["a/b"]},
        {"views": [f"v{i}" for i in range(33)]},
        {"sparse_views": ["z"]},
        {"coverage": "half"},
        {"about": {"x": float("nan")}},
    ],
)
def test_bad_descriptions_are_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(BadRows):
        release(tmp_path / "r", {"ra": [1.0], "decl": [1.0]}, **more)
    assert not (tmp_path / "r").exists()


def test_a_crowd_at_one_place_is_refused_when_memory_is_small(tmp_path: Path) -> None:
    n = 3000
    rows = {"ra": np.full(n, 12.5), "decl": np.full(n, -33.0), "id": np.arange(n)}
    with pytest.raises(BadRows, match=r"3000 rows lie at one place about ra 12.500000, decl -33.000000"):
        release(tmp_path / "small", rows, memory_bytes=1000)
    with release(tmp_path / "large", rows) as made:
        assert made.gather("id", np.arange(n)).tolist() == list(range(n))


def test_all_rows_in_one_cell(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ra, decl = near(rng, np.full(20_000, 30.0), np.full(20_000, 40.0), 2.0)
    rows = {"ra": ra, "decl": decl, "id": np.arange(20_000)}
    small = make(tmp_path / "small", [rows], memory_bytes=200_000)
    assert check(small) == []
    assert contents(small) == contents(make(tmp_path / "large", [rows]))


def test_chunks_may_be_reused_by_who_makes_them(tmp_path: Path) -> None:
    def chunks() -> Any:
        ra, decl = np.zeros(1), np.zeros(1)
        for i in range(3):
            ra[0] = i
            yield {"ra": ra, "decl": decl}

    with Release.open(make(tmp_path / "r", chunks())) as made:
        np.testing.assert_allclose(np.sort(made.positions(np.arange(3))[0]), [0, 1, 2], atol=1e-9)


def test_a_failing_source_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Any:
        yield {"ra": [1.0], "decl": [1.0]}
        raise RuntimeError("connection lost")

    with pytest.raises(RuntimeError, match="connection lost"):
        make(tmp_path / "r", chunks())
    assert not (tmp_path / "r").exists()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(StoreUnavailable, match="not empty"):
        make(tmp_path, [{"ra": [1.0], "decl": [1.0]}])
    assert (tmp_path / "mine").exists()
    with pytest.raises(StoreUnavailable, match="cannot make"):
        make(tmp_path / "mine" / "r", [])


@given(counts=st.lists(st.integers(0, 20), max_size=40), limit=st.integers(1, 30))
def test_groups_hold_all_and_not_too_many(counts: list[int], limit: int) -> None:
    array = np.array(counts, np.int64)
    found = list(groups(array, limit))
    inside = np.zeros(len(array), bool)
    for first, end in found:
        assert not inside[first:end].any()
        inside[first:end] = True
        total = array[first:end].sum()
        assert total > 0
        assert total <= limit or end == first + 1
    assert (array[~inside] == 0).all()
