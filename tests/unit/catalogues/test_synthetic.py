from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.catalogues.columns import BY_NAME
from lasair.catalogues.describe import load_description
from lasair.catalogues.problems import BadRows
from lasair.catalogues.shelf import Shelf
from lasair.catalogues.sky import Sky
from lasair.catalogues.synthetic import LAYOUTS, SyntheticSky, chunks, make_sky
from lasair.catalogues.universe import Field, Universe, designations, galactic_latitude, tile_degrees
from lasair.sherlock.rules import load_rules

HIGH = Field(200.0, 30.0, 0.3)


def all_rows(catalogue: str, n: int, seed: int = 1, **options: Any) -> dict[str, Any]:
    parts = list(chunks(catalogue, n, seed, **options))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def in_view(catalogue: str, rows: dict[str, Any], view: str) -> Any:
    return (rows["views"] >> list(load_description(catalogue).views).index(view)) & 1 == 1


def test_there_is_a_layout_for_every_catalogue_of_the_rules() -> None:
    assert set(LAYOUTS) == set(load_rules().catalogues)


@pytest.mark.parametrize("catalogue", LAYOUTS)
def test_rows_are_what_a_build_takes(catalogue: str) -> None:
    n = 500 if LAYOUTS[catalogue].fastest is not None else 20_000
    rows = all_rows(catalogue, n)
    assert set(rows) <= {"ra", "decl", *BY_NAME}
    assert {"id", "views"} <= set(rows)
    assert abs(len(rows["ra"]) - n) < 0.02 * n + 60
    assert len({len(values) for values in rows.values()}) == 1
    assert ((rows["ra"] >= 0) & (rows["ra"] < 360) & (np.abs(rows["decl"]) <= 90)).all()
    assert int(rows["views"].max()) < 1 << len(load_description(catalogue).views)
    assert len(np.unique(rows["id"])) > 0.99 * len(rows["id"])


@pytest.mark.parametrize("catalogue", ["gaia", "legacy", "ned"])
def test_the_same_seed_gives_the_same_rows_however_they_are_cut(catalogue: str) -> None:
    one, other = all_rows(catalogue, 5_000), all_rows(catalogue, 5_000, chunk_rows=700)

    def in_order(rows: dict[str, Any]) -> dict[str, Any]:
        by = np.lexsort((rows["decl"], rows["ra"]))
        return {key: values[by] for key, values in rows.items()}

    one, other = in_order(one), in_order(other)
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])
    assert not np.array_equal(np.sort(all_rows(catalogue, 5_000, 2)["ra"])[:50], np.sort(one["ra"])[:50])


def test_stars_crowd_in_the_plane_and_galaxies_do_not() -> None:
    universe = Universe(1)
    latitude = np.abs(galactic_latitude())
    square_degrees = 41252.96 / len(latitude)
    stars = universe.density["stars"] * (1.811 / 3.2) / square_degrees
    assert 2_500 < stars[latitude > 80].mean() < 6_000
    assert stars[latitude < 2].mean() > 100_000
    assert 500_000 < stars.max() < 3_000_000
    galaxies = universe.density["galaxies"]
    assert galaxies[latitude > 60].mean() > 3 * galaxies[latitude < 3].mean()
    assert 0.2 < galaxies[latitude > 60].std() / galaxies[latitude > 60].mean() < 1.0


def test_catalogues_stay_within_their_footprints() -> None:
    assert all_rows("ps1", 20_000)["decl"].min() > -31
    for name in ("legacy", "sdss_photo"):
        rows = all_rows(name, 20_000)
        seen = np.histogram(rows["decl"], [-90, -70, 90])[0]
        assert seen[0] == 0
    ra, decl = tile_degrees()
    assert abs(ra.mean() - 180) < 1
    assert abs(decl.mean()) < 0.1


def test_one_in_two_thousand_stars_is_fast_and_these_are_the_other_catalogue() -> None:
    gaia, fast = all_rows("gaia", 400_000), all_rows("gaia_hpm", 200)
    speed = np.hypot(gaia["pm_ra"], gaia["pm_decl"])
    share = float(np.nanmean(speed > 100))
    assert 0.0003 < share < 0.0008
    np.testing.assert_array_equal(in_view("gaia", gaia, "high_pm"), np.nan_to_num(speed) > 100)
    assert (np.hypot(fast["pm_ra"], fast["pm_decl"]) > 100).all()
    # of one sky, the fast ones of one are those of the other
    sky = SyntheticSky.of_rows(3_000_000, 4)
    of_gaia = np.concatenate([part["id"][in_view("gaia", part, "high_pm")] for part in sky.chunks("gaia")])
    of_fast = np.concatenate([part["id"] for part in sky.chunks("gaia_hpm")])
    np.testing.assert_array_equal(np.sort(of_gaia), np.sort(of_fast))


def test_shares_of_views_are_those_of_the_real_catalogues() -> None:
    ps1 = all_rows("ps1", 100_000)
    shares = [float(in_view("ps1", ps1, view).mean()) for view in ("unclear", "star", "galaxy")]
    np.testing.assert_allclose(shares, [0.48, 0.26, 0.26], atol=0.09)
    assert sum(shares) == pytest.approx(1.0)
    ned = all_rows("ned", 100_000)
    np.testing.assert_allclose(float(in_view("ned", ned, "galaxy").mean()), 0.25, atol=0.06)
    sdss = all_rows("sdss_photo", 100_000)
    np.testing.assert_allclose(float(in_view("sdss_photo", sdss, "galaxy").mean()), 0.56, atol=0.12)
    z = all_rows("sdss_spec", 20_000)["z"]
    assert (z > 0).all()
    assert 0.02 < np.median(z) < 0.6


def test_a_field_is_as_dense_as_the_real_sky_and_the_rest_is_thinned(tmp_path: Path) -> None:
    made = make_sky(tmp_path, 200_000, 3, [HIGH])
    assert len(made) == 14
    shelf = Shelf.open(tmp_path)
    assert not shelf.problems
    in_field, beside = Sky([HIGH.ra], [HIGH.decl]), Sky([HIGH.ra], [HIGH.decl + 3.0])
    with shelf:
        dense, thin = shelf.releases["ps1"].cone(in_field, 900.0), shelf.releases["ps1"].cone(beside, 900.0)
        # 0.2 square degrees of 30,000 to 150,000 each
        assert 5_000 < len(dense.row) < 40_000
        assert len(thin.row) < 100
        # sources are shared: nearly all bright stars of Gaia are in 2MASS or Pan-STARRS within an arcsecond
        gaia = shelf.releases["gaia"]
        rows = gaia.cone(in_field, 900.0).row
        bright = rows[(gaia.gather("views", rows) & (1 << gaia.views["bright_star"])) != 0]
        near = shelf.releases["ps1"].cone(Sky(*gaia.positions(bright)), 1.0)
        assert len(np.unique(near.position)) > 0.9 * len(bright)
        assert not shelf.releases["ps1"].covers(Sky([50.0], [-40.0]))[0]
        assert shelf.releases["gaia"].about["fields"] == [list(HIGH)]


def test_names_are_made_of_positions() -> None:
    ra, decl = np.array([0.0, 187.70593, 359.9999999]), np.array([-0.5, 12.39112, 89.99])
    letters = designations(ra, decl, np.frombuffer(b"J", np.uint8), True)
    assert [bytes(one).decode() for one in letters] == [
        "J000000.00-003000.0",
        "J123049.42+122328.0",
        "J235959.99+895924.0",
    ]


def test_an_unknown_catalogue_is_refused() -> None:
    with pytest.raises(BadRows, match="no synthetic catalogue 'x'"):
        next(chunks("x", 10, 1))
