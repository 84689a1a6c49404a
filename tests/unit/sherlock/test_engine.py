"""The engine on hand-made skies: each rule once, and what no order or batch may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.catalogues.release import Release
from lasair.sherlock.engine import Sherlock
from lasair.sherlock.rules import load_rules
from lasair.sherlock.text import descriptions, summaries
from tests.support.skies import release

RA, DECL = 150.0, 20.0
ARCSEC = 1.0 / 3600.0


def at(north: float = 0.0, east: float = 0.0, **columns: Any) -> dict[str, Any]:
    """A source at an offset [arcsec] from the place that the tests ask about."""
    decl = DECL + north * ARCSEC
    return {"ra": RA + east * ARCSEC / np.cos(np.radians(DECL)), "decl": decl, "id": 7} | columns


def engine(folder: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]], rule_set: Any = "fixed") -> Sherlock:
    """An engine over hand-made catalogues."""
    releases = {name: release(folder, name, ones, about={"epoch": 2016.0}) for name, ones in rows.items()}
    return Sherlock(releases, load_rules(rule_set))


def best(folder: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]], rule_set: Any = "fixed") -> dict[str, Any]:
    """Class and best source of the place."""
    answers = engine(folder, rows, rule_set).classify([RA], [DECL], 2016.0)
    found = answers.lite_rows(["x"])
    return {"class": str(answers.classes[0])} | (found[0] if found else {})


GIANT = ("super_big_galaxy",)
STAR = {"gaia": [at(0.5, views=("star",), G=18.2)]}


@pytest.mark.parametrize(
    ("rows", "expected", "reliability"),
    [
        ({}, "ORPHAN", None),
        (STAR, "VS", 1),
        ({"gaia": [at(2.0, views=("star",), G=18.2)]}, "VS", 2),
        ({"gaia": [at(2.5, views=("bright_star",), G=14.5)]}, "VS", 1),
        ({"gaia": [at(5.0, views=("bright_star",), G=14.5)]}, "BS", 2),
        ({"gaia": [at(7.5, views=("bright_star",), G=14.5)]}, "ORPHAN", None),
        ({"gaia": [at(1.0, views=("qso",), G=19.0)]}, "AGN", 1),
        ({"gaia": [at(2.0, views=("qso",), G=19.0)]}, "SN", 2),
        ({"sdss_spec": [at(10.0, views=("galaxy",), z=0.032)]}, "SN", 2),
        ({"sdss_spec": [at(25.0, views=("galaxy",), z=0.1234)]}, "ORPHAN", None),
        ({"ned_d": [at(200.0, views=("galaxy", *GIANT), distance_mpc=10.0, size_arcsec=360.0, unkMag=12.0)]}, "SN", 2),
        ({"ned_d": [at(7000.0, views=GIANT, distance_mpc=0.77, size_arcsec=11400.0, unkMag=4.4)]}, "SN", 2),
        ({"ned_d": [at(7200.0, views=GIANT, distance_mpc=0.77, size_arcsec=11400.0, unkMag=4.4)]}, "ORPHAN", None),
        ({"ned": [at(0.5, views=("galaxy",), id="N", z=0.05, unkMag=16.0)]}, "NT", 1),
        ({"ned": [at(5.0, views=("galaxy_like",), id="N")]}, "SN", 3),
        ({"ned": [at(4.0, views=("galaxy",), id="N", unkMag=21.0, size_arcsec=30.0)]}, "ORPHAN", None),
        ({"ned": [at(4.0, views=("galaxy",), id="N", unkMag=19.0, size_arcsec=30.0)]}, "SN", 2),
        ({"ned": [at(4.0, views=("galaxy",), id=" ", unkMag=19.0, size_arcsec=30.0)]}, "ORPHAN", None),
        ({"ned": [at(4.0, views=("galaxy",), id="CFN 1064", unkMag=19.0, size_arcsec=30.0)]}, "ORPHAN", None),
        ({"ps1": [at(1.0, views=("unclear",), _r=21.0)]}, "UNCLEAR", 2),
        ({"legacy": [at(3.0, views=("galaxy",), size_arcsec=3.0)]}, "SN", 2),
        ({"legacy": [at(4.0, views=("galaxy",), size_arcsec=3.0)]}, "ORPHAN", None),
        ({"lasr": [at(100.0, views=("galaxy",), z=0.01)]}, "SN", 2),
        ({"downes": [at(0.8, views=("all",))], **STAR}, "CV", 1),
        ({"gaia_hpm": [at(2.0, views=("all",), G=15.0)]}, "HPMS", 1),
        # a star on the spot hides a host
        ({"sdss_spec": [at(3.0, views=("galaxy",), z=0.032)], **STAR}, "VS", 1),
    ],
)  # fmt: skip
def test_rules(tmp_path: Path, rows: Any, expected: str, reliability: int | None) -> None:
    found = best(tmp_path, rows)
    assert found["class"] == expected
    assert found.get("classificationReliability") == reliability


def test_a_fast_star_is_itself_only_in_fixed(tmp_path: Path) -> None:
    rows = {"gaia": [at(0.4, views=("star",), G=17.5)], "gaia_hpm": [at(0.5, views=("all",), G=15.0)]}
    assert best(tmp_path / "a", rows, "compat")["class"] == "VS"
    assert best(tmp_path / "b", rows, "fixed")["class"] == "HPMS"


def test_distances_are_rounded_only_in_compat(tmp_path: Path) -> None:
    rows = {"sdss_spec": [at(25.0, views=("galaxy",), z=0.1)]}
    compat, fixed = best(tmp_path / "a", rows, "compat"), best(tmp_path / "b", rows, "fixed")
    assert compat["physical_separation_kpc"] == 45.0
    assert fixed["physical_separation_kpc"] == pytest.approx(46.107, abs=1e-3)
    assert compat["best_distance"] == 460.3
    assert fixed["best_distance"] == pytest.approx(460.298, abs=1e-3)


def test_offsets_belong_to_the_separation_in_fixed(tmp_path: Path) -> None:
    rows = {
        "ps1": [at(2.2, views=("galaxy",), size_arcsec=4.0, _r=18.1, _rErr=0.05)],
        "sdss_photo": [at(2.0, views=("galaxy",), photo_z=0.04, photo_z_err=0.01, _r=18.0, _rErr=0.05)],
    }
    fixed, compat = best(tmp_path / "a", rows), best(tmp_path / "b", rows, "compat")
    assert fixed["catalogue_table_name"] == compat["catalogue_table_name"] == "SDSS/PS1"
    assert (fixed["separationArcsec"], fixed["northSeparationArcsec"]) == (2.0, 2.0)
    assert (compat["separationArcsec"], compat["northSeparationArcsec"]) == (2.0, "2.2")
    assert (fixed["best_distance_flag"], fixed["best_distance_source"]) == ("pz", "sdss_photo title")


def test_an_sdss_quasar_is_seen_by_narrow_cones_in_fixed(tmp_path: Path) -> None:
    rows = {"sdss_spec": [at(0.5, views=("qso",), z=1.0)]}
    assert best(tmp_path / "a", rows)["class"] == "AGN"
    assert best(tmp_path / "b", rows, "compat")["class"] == "SN"


def test_stars_move_to_the_epoch_of_the_alert(tmp_path: Path) -> None:
    # 90 mas/yr north for 20 years: 1.8" from where the catalogue has it
    moving = {"gaia": [at(-1.8, views=("star",), G=18.0, pm_ra=0.0, pm_decl=90.0)]}
    sherlock = engine(tmp_path, moving)
    then, now = sherlock.classify([RA], [DECL], 2016.0), sherlock.classify([RA], [DECL], 2036.0)
    assert then.lite_rows(["x"])[0]["separationArcsec"] == 1.8
    assert now.lite_rows(["x"])[0]["separationArcsec"] == 0.0
    assert now.sources.reliability[0] == 1


def test_a_star_of_ten_arcsec_a_year_is_found_where_it_is(tmp_path: Path) -> None:
    barnard = {"gaia_hpm": [at(-104.0, views=("all", "bright_star"), G=8.2, pm_ra=0.0, pm_decl=10_400.0)]}
    sherlock = engine(tmp_path, barnard)
    assert sherlock.classify([RA], [DECL], 2026.0).classes[0] == "HPMS"
    assert sherlock.classify([RA], [DECL], 2016.0).classes[0] == "ORPHAN"


def test_what_did_not_look_is_said(tmp_path: Path) -> None:
    rows = [at(views=("star",), decl=DECL + 40.0)]
    releases = {
        "ps1": release(tmp_path, "ps1", rows * 30, coverage="derived"),
        "gaia": release(tmp_path, "gaia", rows),
    }
    answers = Sherlock(releases, load_rules()).classify([RA, RA], [DECL, DECL + 40.0])
    assert answers.classes.tolist() == ["ORPHAN", "VS"]
    assert answers.looked_by(0) == ["gaia"]
    assert descriptions(answers)[0].endswith("1 of 2 catalogues cover this place: gaia.")
    assert len(answers.engine.missing) == 12


def test_no_catalogue_at_all() -> None:
    answers = Sherlock({}, load_rules()).classify([RA], [DECL])
    assert answers.classes.tolist() == ["ORPHAN"]
    assert answers.lite_rows(["x"]) == answers.full_rows(["x"]) == []
    assert descriptions(answers) == ["Nothing is known of this place: no catalogue is installed."]


def test_no_position_at_all(tmp_path: Path) -> None:
    answers = engine(tmp_path, STAR).classify([], [])
    assert len(answers) == 0
    assert descriptions(answers) == summaries(answers) == []


def crowd(folder: Path, seed: int, order: Sequence[int] | None = None) -> dict[str, Release]:
    """A crowded field of all kinds of sources within 15 arcsec of three places."""
    rng = np.random.default_rng(seed)
    from tests.support.skies import VIEWS

    found = {}
    for name, views in VIEWS.items():
        rows = []
        for i in range(40):
            place = at(*rng.normal(0.0, 5.0, 2), id=f"{name} {i}" if name in ("ned", "ned_d", "milliquas") else i)
            place["views"] = (views[rng.integers(len(views))],)
            place["z"] = (
                float(rng.choice([np.nan, 0.03, 0.1])) if name.startswith(("ned", "sdss_spec", "lasr")) else None
            )
            place["size_arcsec"] = float(rng.gamma(2.0, 5.0))
            place["unkMag"] = float(rng.uniform(14.0, 22.0))
            rows.append(place)
        if order is not None:
            rows = [rows[i] for i in order]
        found[name] = release(folder, name, rows)
    return found


def test_answers_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    places = np.array([RA, RA + 2 * ARCSEC, RA - 8 * ARCSEC]), np.array([DECL, DECL, DECL + 5 * ARCSEC])
    one = Sherlock(crowd(tmp_path / "a", 3), load_rules()).classify(*places, 2016.0)
    shuffled = np.random.default_rng(1).permutation(40).tolist()
    other = Sherlock(crowd(tmp_path / "b", 3, shuffled), load_rules()).classify(*places, 2016.0)
    assert one.full_rows("abc") == other.full_rows("abc")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(-15, 15), st.floats(-15, 15)), min_size=1, max_size=30))
def test_a_position_is_answered_alone_as_in_a_batch(crowded: Sherlock, offsets: list[tuple[float, float]]) -> None:
    ra = np.array([RA + x * ARCSEC for x, _ in offsets])
    decl = np.array([DECL + y * ARCSEC for _, y in offsets])
    names = [str(i) for i in range(len(ra))]
    together = crowded.classify(ra, decl, 2016.0)
    rows = together.full_rows(names)
    texts = descriptions(together)
    for i, name in enumerate(names):
        alone = crowded.classify(ra[i : i + 1], decl[i : i + 1], 2016.0)
        assert alone.full_rows([name]) == [row for row in rows if row["transient_object_id"] == name]
        assert descriptions(alone) == texts[i : i + 1]


@pytest.fixture(scope="module", params=["fixed", "compat"])
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sherlock:
    return Sherlock(crowd(tmp_path_factory.mktemp("crowd"), 5), load_rules(request.param))


def test_ten_thousand_stars_in_one_cone(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = [at(*offset, id=i, views=("star",), G=20.0) for i, offset in enumerate(rng.normal(0, 1.0, (10_000, 2)))]
    answers = engine(tmp_path, {"gaia": rows}).classify([RA], [DECL], 2016.0)
    assert answers.classes[0] == "VS"
    assert len(answers.lite_rows(["x"])) == 1


@pytest.mark.parametrize("decl", [90.0, -90.0, 89.999])
def test_poles(tmp_path: Path, decl: float) -> None:
    rows = [{"ra": 10.0, "decl": np.sign(decl) * (90.0 - 0.4 * ARCSEC), "id": 1, "views": ("star",)}]
    near = abs(decl) == 90.0
    answers = Sherlock({"gaia": release(tmp_path, "gaia", rows)}, load_rules()).classify([200.0], [decl])
    assert (answers.classes[0] == "VS") is near


def test_ra_zero(tmp_path: Path) -> None:
    rows = [{"ra": 359.9999, "decl": 0.0, "id": 1, "views": ("star",)}]
    answers = Sherlock({"gaia": release(tmp_path, "gaia", rows)}, load_rules("compat")).classify([0.0001], [0.0])
    row = answers.lite_rows(["x"])[0]
    assert row["separationArcsec"] == 0.72
    assert row["eastSeparationArcsec"] == "-0.7"
