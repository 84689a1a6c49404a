"""Descriptions of catalogues: what is read from YAML, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lasair.catalogues.columns import BANDS
from lasair.catalogues.describe import guess_format, load_description, parse_description, shipped
from lasair.catalogues.predicate import compile_predicate
from lasair.errors import BadDefinition
from lasair.sherlock.rules import load_rules

PRODUCTION = {
    "ritter": ("Ritter Cataclysmic Binaries Catalog v7.21", ["all"]),
    "downes": ("Downes Catalog of CVs", ["all"]),
    "ned": ("NED", ["unclear", "galaxy", "big_galaxy", "super_big_galaxy", "galaxy_like", "qso"]),
    "ned_d": ("NED-D Galaxy Catalogue v17.1.2", ["galaxy", "big_galaxy", "super_big_galaxy"]),
    "lasr": ("LASr 100 Mpc Galaxy Catalogue v1.0", ["galaxy", "agn"]),
    "milliquas": ("Million Quasars (MILLIQUAS) Catalog v8.0", ["all"]),
    "sdss_spec": ("SDSS DR12 SpecObjAll Table", ["galaxy", "qso"]),
    "legacy": ("DESI Legacy Survey DR10", ["unclear", "star", "galaxy", "big_galaxy"]),
    "gaia": ("Gaia DR3", ["star", "bright_star", "qso", "high_pm"]),
    "gaia_hpm": ("Gaia DR3", ["all", "star", "bright_star"]),
    "ps1": ("PanSTARRS DR1", ["unclear", "star", "galaxy"]),
    "sdss_photo": ("SDSS DR12 PhotoObjAll Table", ["unclear", "star", "galaxy"]),
    "twomass_xsc": ("2MASS XSC", ["all"]),
    "twomass_psc": ("2MASS PSC", ["unclear", "star"]),
}

MINIMAL = """
name: mine
title: My stars
version: 1.0
columns: {ra: RA (deg), decl: dec, id: star}
"""


def refused(text: str) -> str:
    with pytest.raises(BadDefinition) as caught:
        parse_description(MINIMAL + text, Path("here/mine.yaml"))
    message = str(caught.value)
    assert message.startswith("here/mine.yaml: ")
    return message


@pytest.mark.parametrize("name", sorted(PRODUCTION))
def test_production_catalogues_are_shipped(name: str) -> None:
    description = load_description(name)
    title, views = PRODUCTION[name]
    assert (description.name, description.title, list(description.views)) == (name, title, views)
    assert description.licence and description.citation and description.about
    assert description.source or description.homepage
    assert description.compat.keys() <= {"W1Err", "photo_z_err"}


def test_every_search_of_the_rules_has_its_view() -> None:
    for rule_set in ("compat", "fixed"):
        rules = load_rules(rule_set)
        for search in rules.searches:
            assert search.view in load_description(search.catalogue).views
    assert set(rules.catalogues) <= set(shipped())


def test_a_short_description_has_sensible_defaults() -> None:
    description = parse_description(MINIMAL)
    assert description.version == "1.0"
    assert list(description.views) == ["all"]
    assert (description.frame, description.epoch, description.coverage) == ("icrs", 2000.0, "derived")
    assert description.native_columns() == {"RA (deg)", "dec", "star"}
    assert description.footprint() == "derived"
    assert description.dtypes() == {}
    assert description.sparse_views == []


def test_columns_to_read_are_all_that_anything_is_made_of() -> None:
    description = parse_description(
        MINIMAL
        + """
select: quality > 3
magnitudes: {_r: {from: mag, error: magerr}, G: "g0 - ext"}
derive: {mag: 22.5 - 2.5 * log10(flux), flux: counts / gain}
views: {bright: mag < 12, wide: {where: size >= 2, sparse: true}}
compat: {photo_z_err: wrong}
"""
    )
    native = {"RA (deg)", "dec", "star", "quality", "mag", "magerr", "g0", "ext", "flux", "counts", "gain", "size"}
    assert description.native_columns() == native
    assert description.native_columns(compat=True) == native | {"wrong"}
    assert description.sparse_views == ["wide"]


def test_a_second_table_has_the_positions() -> None:
    description = parse_description(
        """
name: d
title: Distances
version: 1
source: distances.csv
columns: {ra: raDeg, decl: decDeg, id: Galaxy ID, distance_mpc: D (Mpc)}
positions_from: {source: places.csv, key: name, by: Galaxy ID, ra: raDeg, decl: decDeg}
""",
        Path("/data/d.yaml"),
    )
    assert description.positions_from is not None
    assert description.native_columns() == {"Galaxy ID", "D (Mpc)"}
    assert description.sources() == ["/data/distances.csv"]
    assert description.located(description.positions_from.source[0]) == "/data/places.csv"
    assert description.located("https://a.b/c.fits") == "https://a.b/c.fits"


def test_the_mistakes_of_the_original_are_only_there_when_asked_for() -> None:
    legacy, ned = load_description("legacy"), load_description("ned")
    assert legacy.mapping()["W1Err"].source == "MAG_W1_ERR"
    assert legacy.mapping(compat=True)["W1Err"].source == "MAG_W2_ERR"
    assert "photo_z_err" not in ned.mapping()
    assert ned.mapping(compat=True)["photo_z_err"].source == "redshift_err"


def test_types_of_columns() -> None:
    assert load_description("sdss_photo").dtypes() == {"photo_z": "f4", "photo_z_err": "f4"}
    exact = load_description("legacy").dtypes(exact=True)
    assert exact["_r"] == exact["_rErr"] == "f8"
    assert exact["size_arcsec"] == "f4"


def test_footprint_by_condition() -> None:
    moc = load_description("ps1").footprint()
    assert not isinstance(moc, str)
    assert moc.sky_fraction == pytest.approx(0.75, abs=2e-3)
    from astropy import units

    inside = moc.contains_lonlat(np.array([10.0, 200.0, 300.0]) * units.deg, np.array([-29.7, -30.3, 89.0]) * units.deg)
    assert inside.tolist() == [True, False, True]


def test_footprint_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "area.txt").write_text("3/5-7 9")
    (tmp_path / "mine.yaml").write_text(MINIMAL + "coverage: {moc: area.txt}\n")
    moc = load_description(tmp_path / "mine.yaml").footprint()
    assert not isinstance(moc, str)
    assert moc.sky_fraction == pytest.approx(4 / 768)
    (tmp_path / "area.txt").write_text("not a footprint")
    with pytest.raises(BadDefinition, match=r"area\.txt"):
        load_description(str(tmp_path / "mine.yaml")).footprint()


def test_the_release_keeps_what_people_ask_for() -> None:
    about = parse_description(
        MINIMAL
        + """
licence: CC0
epoch: 2016
searches: [{name: MINE stars, in: all, type: star, radius: 2, classes: [VS, VS, ~]}]
canaries: [{ra: 1, decl: 2, id: 77}]
"""
    ).release_about()
    assert (about["licence"], about["epoch"]) == ("CC0", 2016.0)
    assert about["searches"][0]["classes"] == ["VS", "VS", None]
    assert about["canaries"] == [{"ra": 1.0, "decl": 2.0, "id": "77", "radius": 1.0}]
    assert about["columns"]["ra"] == {"from": "RA (deg)"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("view: {}", ["view: is no key", "did you mean 'views'"]),
        ("magnitudes: {r: x}", ["magnitudes: no band 'r'", *BANDS]),
        ("magnitudes: {_r: {from: x, err: y}}", ["magnitudes._r.err: is no key"]),
        ("views: {Star: a > 1}", ["views: 'Star' is no name"]),
        ("views: {star: a >}", ["views.star.where", "'a >', character 4"]),
        ("views: {}", ["views: there are no views"]),
        ("select: a ** 2 > 1", ["select: ", "only + - * /"]),
        ("derive: {a: foo(b)}", ["derive: a: ", "no function"]),
        ("float32: [zz]", ["float32", "'zz'"]),
        ("float32: [id]", ["float32", "'id'"]),
        ("compat: {id: x}", ["compat", "'id'"]),
        ("sha256: {f: abc}", ["sha256: f: ", "64 hexadecimal"]),
        ("rows: -1", ["rows: "]),
        ("format: doc", ["format: "]),
        ("frame: b1950", ["frame: "]),
        ("epoch: 16", ["epoch: "]),
        ("coverage: south", ["coverage: "]),
        ("coverage: {where: mag > 3}", ["coverage", "not on mag"]),
        ("canaries: [{ra: 400, decl: 1, id: a}]", ["canaries.0.ra"]),
        ("searches: [{name: A, in: stars}]", ["searches: 'A' asks for the view 'stars'", "there are all"]),
        ("searches: [{name: A, in: all, type: star}]", ["searches of catalogue mine", "radius"]),
        ("searches: [{name: A, in: 'gaia:all', type: star, radius: 1, classes: [VS, VS, ~]}]", ["searches gaia"]),
        ("title: again", ["'title' is given twice"]),
        ("rows: [", ["is not YAML"]),
        ("about: {a: 1}", ["about: "]),
    ],
)
def test_a_wrong_description_is_refused_with_file_and_key(text: str, words: list[str]) -> None:
    message = refused(text)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("{ra: a, decl: b}", "needs id"),
        ("{ra: a, decl: b, id: c, idd: d}", "no standard column 'idd'; did you mean 'id'"),
        ("{ra: a, decl: b, id: c, _g: d}", "bands go under magnitudes"),
        ("{ra: a, decl: b, id: {from: c, factor: 2}}", "id: has a factor"),
        ("{ra: a, decl: b, id: c, z: {from: d, times: 2}}", "columns.z.times: is no key"),
        ("{ra: a, decl: b, id: c, z: ' '}", "names no column"),
        ("3", "columns: "),
    ],
)
def test_wrong_columns(columns: str, words: str) -> None:
    with pytest.raises(BadDefinition, match=r"^description: ") as caught:
        parse_description(f"name: a\ntitle: t\nversion: 1\ncolumns: {columns}")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a", "3", "&a [*a]", "\x00"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(BadDefinition):
        parse_description(text)


def test_all_problems_are_said_at_once() -> None:
    message = refused("rows: -1\nepoch: 1\ncolour: red")
    assert all(key in message for key in ("rows: ", "epoch: ", "colour: "))


def test_unknown_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(BadDefinition, match="did you mean milliquas"):
        load_description("miliquas")
    with pytest.raises(BadDefinition, match=r"there are .*downes, .*gaia"):
        load_description("xyzzy")
    with pytest.raises(BadDefinition, match=r"none\.yaml: No such file"):
        load_description(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(BadDefinition, match="not UTF-8"):
        load_description(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a.fits.gz", "fits"),
        ("a/b.FIT", "fits"),
        ("x.vot", "votable"),
        ("x.csv.bz2", "csv"),
        ("https://a.b/c.parquet?x=1#y", "parquet"),
        ("x.h5", "hdf5"),
        ("x.dat", None),
        ("https://a.b/tap/sync?FORMAT=csv", None),
    ],
)
def test_format_by_name(source: str, expected: str | None) -> None:
    assert guess_format(source) == expected
    description = parse_description(MINIMAL)
    if expected is None:
        with pytest.raises(BadDefinition, match="say format"):
            description.format_of(source)
    else:
        assert description.format_of(source) == expected


def test_a_folder_of_hats_is_known_by_its_files(tmp_path: Path) -> None:
    assert guess_format(str(tmp_path)) is None
    (tmp_path / "hats.properties").write_text("")
    assert guess_format(str(tmp_path)) == "hats"


def test_conditions_of_shipped_views_compile_alone() -> None:
    for name in shipped():
        for view in load_description(name).views.values():
            if view.where != "all":
                assert compile_predicate(view.where).columns
