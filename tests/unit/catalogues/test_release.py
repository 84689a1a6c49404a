"""Cones against a plain search, and the values of rows."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lasair.catalogues.cones import Matches
from lasair.catalogues.manifest import MANIFEST
from lasair.catalogues.problems import BadRelease, TooWide
from lasair.catalogues.release import Release
from lasair.catalogues.sky import Sky
from lasair.errors import StoreUnavailable
from tests.unit.catalogues.skies import ARCSEC, ODD_PLACES, about, random_sky, release, separations, vectors


def assert_same_as_plain_search(made: Release, sky: Sky, radius: float, **more: Any) -> Matches:
    """Every pair within the radius, none beyond it but for rounding, in order."""
    found = made.cone(sky, radius, **more)
    rows = made.vectors(np.arange(made.n_rows))
    np.testing.assert_allclose(found.vector, rows[found.row], atol=1e-15)
    if len(found.row) > 1:
        key = found.position * made.n_rows + found.row
        assert (np.diff(key) > 0).all()
    apart = separations(sky.vectors, rows) if made.n_rows else np.zeros((len(sky), 0))
    which = more.get("which", np.ones(len(sky), bool))
    got = np.zeros(apart.shape, bool)
    got[found.position, found.row] = True
    assert not ((apart <= radius) & which[:, None] & ~got).any()
    assert not (got & ~((apart <= radius + 1e-6) & which[:, None])).any()
    return found


@given(
    place=st.sampled_from(ODD_PLACES),
    radius=st.one_of(st.floats(0.0, 30.0), st.floats(30.0, 1000.0), st.floats(1000.0, 18000.0)),
    rows=st.integers(0, 300),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cones_at_odd_places(place: tuple[float, float], radius: float, rows: int, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    ra, decl = about(rng, place, rows, 3 * radius + 1)
    shutil.rmtree(tmp_path / "r", ignore_errors=True)
    with release(tmp_path / "r", {"ra": ra, "decl": decl}) as made:
        at = about(rng, place, 40, 2 * radius + 1)
        sky = Sky(np.append(at[0], ra[:5]), np.append(at[1], decl[:5]))
        assert_same_as_plain_search(made, sky, radius)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Few rows over the sky, and 30,000 in a degree of the Galactic plane, so that single cells are crowded."""
    rng = np.random.default_rng(5)
    sky = random_sky(rng, 20000)
    plane = about(rng, (266.4, -29.0), 30000, 900.0)
    ra, decl = np.append(sky[0], plane[0]), np.append(sky[1], plane[1])
    return release(tmp_path_factory.mktemp("crowd") / "r", {"ra": ra, "decl": decl, "id": np.arange(50000)})


@pytest.mark.parametrize("radius", [0.0, 2.0, 10.0, 60.0, 240.0, 2000.0])
def test_cones_in_a_crowd(crowd: Release, radius: float) -> None:
    rng = np.random.default_rng(6)
    ra, decl = about(rng, (266.4, -29.0), 60, 950.0)
    more = random_sky(rng, 60)
    sky = Sky(np.append(ra, more[0]), np.append(decl, more[1]))
    found = assert_same_as_plain_search(crowd, sky, radius)
    if radius == 2000.0:
        assert np.bincount(found.position).max() > 25000


def test_cones_of_some_positions_only(crowd: Release) -> None:
    rng = np.random.default_rng(7)
    sky = Sky(*about(rng, (266.4, -29.0), 100, 900.0))
    which = rng.random(100) < 0.3
    found = assert_same_as_plain_search(crowd, sky, 20.0, which=which)
    assert set(found.position.tolist()) <= set(np.flatnonzero(which).tolist())
    assert len(crowd.cone(sky, 20.0, np.zeros(100, bool)).row) == 0


def test_too_many_pairs_are_refused(crowd: Release) -> None:
    sky = Sky(np.full(10, 266.4), np.full(10, -29.0))
    with pytest.raises(TooWide, match="stars has more than 1000 sources"):
        crowd.cone(sky, 600.0, most=1000)
    count = len(crowd.cone(sky, 600.0).row)
    assert len(crowd.cone(sky, 600.0, most=count).row) == count
    with pytest.raises(TooWide):
        crowd.cone(sky, 600.0, most=count - 1)


@pytest.mark.parametrize("radius", [18001.0, np.nan, -1.0])
def test_radii_are_refused(crowd: Release, radius: float) -> None:
    with pytest.raises(TooWide, match="refused"):
        crowd.cone(Sky([1.0], [1.0]), radius)


def test_a_source_at_the_radius_is_found(tmp_path: Path) -> None:
    sky = Sky([10.0], [0.0])
    apart = 10.0
    with release(tmp_path / "r", {"ra": [10.0 + apart / 3600], "decl": [0.0]}) as made:
        assert len(made.cone(sky, apart).row) == 1
        assert len(made.cone(sky, apart - 3e-6).row) == 0


def test_prefetch_asks_once(crowd: Release) -> None:
    sky = Sky(*random_sky(np.random.default_rng(8), 50))
    with Release.open(crowd.path) as made:
        made.prefetch(sky, 10.0)
        rows = made.cone(sky, 3600.0).row
        first, end = rows, rows + 1
        assert made._position.prefetch(first, end) == 0
        made._position.noticed_faults()
        assert made._position.prefetch(first, end) > 0


COLUMNS: dict[str, Any] = {
    "ra": [10.0, 200.0, 350.0, 10.0],
    "decl": [-30.0, 89.99, 0.0, -30.0],
    "id": ["a", "bé", "", "d"],
    "views": np.array([1, 2, 3, 0], np.uint32),
    "subtype": ["", "SNR", "AGN", "SNR"],
    "z": [0.1, np.nan, np.inf, 0.4],
    "_r": [18.0, np.nan, 20.5, 1e300],
    "pm_ra": [3.0, 0.0, np.nan, 1.0],
    "pm_decl": [4.0, 0.0, 1.0, np.nan],
}


@pytest.fixture
def four(tmp_path: Path) -> Release:
    return release(tmp_path / "four", COLUMNS, views=["star", "galaxy"], sparse_views=["galaxy"])


def test_values_of_rows(four: Release) -> None:
    assert (four.name, four.title, four.n_rows, four.max_pm_mas) == ("stars", "Stars", 4, 5.0)
    assert four.about == {"licence": "CC0"}
    assert four.id.startswith("1-")
    assert len(four.id) == 14
    ids = four.gather("id", np.arange(4))
    assert ids.dtype == "S3"
    row = {text.decode(): i for i, text in enumerate(ids)}
    order = np.array([row[text] for text in COLUMNS["id"]])
    ra, decl = four.positions(order)
    np.testing.assert_allclose(ra, COLUMNS["ra"], atol=1e-6)
    np.testing.assert_allclose(decl, COLUMNS["decl"], atol=1e-9)
    assert four.subtypes == ["", "AGN", "SNR"]
    assert four.gather("subtype", order).tolist() == [0, 2, 1, 2]
    np.testing.assert_array_equal(four.gather("z", order), [0.1, np.nan, np.nan, 0.4])
    np.testing.assert_array_equal(four.gather("_r", order), np.array([18.0, np.nan, 20.5, np.nan], "f4"))
    assert four.gather("z", order[:0]).shape == (0,)


def test_columns_that_are_not_there(four: Release) -> None:
    rows = np.arange(3)
    assert four.has("z")
    assert not four.has("photo_z")
    assert np.isnan(four.gather("photo_z", rows)).all()
    assert four.gather("G", rows).dtype == np.float32
    with pytest.raises(KeyError):
        four.gather("colour", rows)


def test_a_catalogue_of_positions_alone(tmp_path: Path) -> None:
    with release(tmp_path / "r", {"ra": [1.0], "decl": [2.0]}, views=["star"]) as made:
        assert made.gather("views", np.zeros(1, int)).tolist() == [0]
        assert made.gather("subtype", np.zeros(1, int)).tolist() == [0]
        assert made.gather("id", np.zeros(1, int)).tolist() == [0]
        assert made.view_rows("star").tolist() == []
        assert made.subtypes == [""]


def test_views(four: Release) -> None:
    assert four.views == {"star": 0, "galaxy": 1}
    assert four.view_counts == {"star": 2, "galaxy": 2}
    views = four.gather("views", np.arange(4))
    for name, bit in four.views.items():
        assert four.view_rows(name).tolist() == np.flatnonzero(views & (1 << bit)).tolist()
    with pytest.raises(KeyError):
        four.view_rows("quasar")


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_rows(tmp_path: Path, n: int) -> None:
    rows: dict[str, Any] = {
        "ra": np.full(n, 5.0),
        "decl": np.full(n, 6.0),
        "id": np.arange(n),
        "views": np.ones(n, "u4"),
    }
    with release(tmp_path / "r", rows, views=["a"], sparse_views=["a"], coverage="derived") as made:
        sky = Sky([5.0, 100.0], [6.0, 0.0])
        assert_same_as_plain_search(made, sky, 100.0)
        made.prefetch(sky, 10.0)
        assert made.covers(sky).tolist() == [n == 1, False]
        assert len(made.view_rows("a")) == n


def test_files_remain_after_they_are_deleted(four: Release) -> None:
    shutil.rmtree(four.path)
    assert len(four.gather("id", np.arange(4))) == 4


@pytest.mark.parametrize("file", ["position.bin", "offsets.bin", "z.bin", "id.bin", "view_galaxy.bin", MANIFEST])
@pytest.mark.parametrize("harm", ["missing", "cut", "longer", "empty"])
def test_damaged_files_are_named(four: Release, file: str, harm: str) -> None:
    path = four.path / file
    data = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": data[:-5], "longer": data + b"x", "empty": b""}[harm])
    with pytest.raises(StoreUnavailable, match=file) as caught:
        Release.open(four.path)
    assert isinstance(caught.value, BadRelease)
    assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format": 1', '"format": 99'),
        ('"rows": 4', '"rows": "4"'),
        ('"rows": 4', '"rows": 5'),
        ('"order": 7', '"order": 6'),
        ('"order": 7', '"order": -3'),
        ('"<f8"', '"<f9"'),
        ('"moc": "0/0-11"', '"moc": "x/0-11"'),
        ('"moc": "0/0-11"', '"moc": "99/0"'),
        ('"bytes"', '"size"'),
        ('"z.bin"', '"zz.bin"'),
        ('"max_pm_mas": 5.0', '"max_pm_mas": null'),
        ('"views": [', '"view": ['),
    ],
)
def test_a_manifest_that_is_none_is_refused(four: Release, old: str, new: str) -> None:
    path = four.path / MANIFEST
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BadRelease) as caught:
        Release.open(four.path)
    assert str(four.path) in caught.value.file


def test_no_folder() -> None:
    with pytest.raises(BadRelease, match="no such folder"):
        Release.open(Path("/nowhere/at/all"))


def test_separation_of_matches_is_exact_at_the_pole(tmp_path: Path) -> None:
    ra = np.arange(0.0, 360.0, 1.0)
    decl = np.full(360, 90 - 5 / 3600)
    with release(tmp_path / "r", {"ra": ra, "decl": decl}) as made:
        found = made.cone(Sky([33.0], [90.0]), 5.0)
        assert len(found.row) == 360
        apart = np.linalg.norm(found.vector - vectors(33.0, 90.0), axis=1) / ARCSEC
        np.testing.assert_allclose(apart, 5.0, atol=1e-6)


def test_a_bad_release_passes_between_processes() -> None:
    err = pickle.loads(pickle.dumps(BadRelease("manifest.json", "is missing")))
    assert (err.file, err.reason, str(err)) == ("manifest.json", "is missing", "manifest.json: is missing")
