"""From tables to columns of a release: positions, ids, units, and every view of the production catalogues."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.catalogues.columns import BY_NAME
from lasair.catalogues.describe import Description, load_description, parse_description, shipped
from lasair.catalogues.problems import BadRows
from lasair.catalogues.release import Release
from lasair.catalogues.standard import bad_rows, build_rows, standard_columns
from lasair.errors import BadDefinition


def views_of(name: str, row: dict[str, Any]) -> list[str]:
    """Views that a row of a shipped catalogue is in; columns it lacks are missing."""
    description = load_description(name)
    native = {key: np.array([value], object) for key, value in row.items()}
    description = description.model_copy(update={"select": None})
    bits = standard_columns(description, native, absent_ok=True)["views"]
    return [view for bit, view in enumerate(description.views) if bits[0] >> bit & 1]


def mine(more: str = "", columns: str = "ra: ra, decl: dec, id: id") -> Description:
    return parse_description(f"name: mine\ntitle: t\nversion: 1\ncolumns: {{{columns}}}\n{more}")


GAIA = {"in_qso_candidates": 0, "in_galaxy_candidates": 0, "phot_g_mean_flux_over_error": 50, "phot_g_mean_mag": 18.0}
LEGACY = {
    **{"TYPE": "PSF", "DCHISQ_PSF": 500.0, "DCHISQ_REX": 400.0},
    **{"MAG_G_ERR": 0.3, "MAG_R_ERR": 0.1, "MAG_I_ERR": None, "MAG_Z_ERR": 0.5},
}
EXTENDED = {"TYPE": "SER", "DCHISQ_SER": 10.0, "SHAPE_R": 2.0, "SHAPE_R_IVAR": 100.0}
PS1 = {"ps_score": 0.9, "rKronRad": 1.0, "iKronRad": 1.0}
SDSS = {"type": 6, "z_": 0.1, "petroMagErr_g": 0.05, "petroMagErr_r": 0.05, "petroMagErr_i": 0.05}
SPEC = {"qubMasterFlag": 1, "objType": "G", "z_": 0.1}
NED = {"ned_name": "NGC 1", "object_type": "G", "redshift": 0.01, "major_diameter_arcmin": 0.1}


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("gaia", GAIA, ["star"]),
        ("gaia", GAIA | {"phot_g_mean_flux_over_error": 40}, []),
        ("gaia", GAIA | {"phot_g_mean_flux_over_error": None}, []),
        ("gaia", GAIA | {"phot_g_mean_mag": 16.99}, ["star", "bright_star"]),
        ("gaia", GAIA | {"phot_g_mean_mag": 17.0}, ["star"]),
        ("gaia", GAIA | {"phot_g_mean_mag": 12.0, "phot_g_mean_flux_over_error": None}, ["bright_star"]),
        ("gaia", GAIA | {"in_qso_candidates": 1}, ["qso"]),
        ("gaia", GAIA | {"in_qso_candidates": True, "phot_g_mean_mag": 12.0}, ["qso"]),
        ("gaia", GAIA | {"in_galaxy_candidates": 1, "phot_g_mean_mag": 12.0}, []),
        ("gaia", GAIA | {"in_qso_candidates": "True", "in_galaxy_candidates": "False"}, ["qso"]),
        ("gaia", GAIA | {"in_qso_candidates": "False", "in_galaxy_candidates": "False"}, ["star"]),
        ("gaia", {"phot_g_mean_mag": 12.0}, ["bright_star"]),
        ("gaia", GAIA | {"pmra": 80.0, "pmdec": -80.0}, ["star", "high_pm"]),
        ("gaia", GAIA | {"pmra": 60.0, "pmdec": 80.0}, ["star"]),
        ("gaia", GAIA | {"pmra": 800.0, "pmdec": None}, ["star"]),
        ("gaia_hpm", {}, ["all"]),
        ("gaia_hpm", GAIA, ["all", "star"]),
        ("gaia_hpm", GAIA | {"phot_g_mean_mag": 15.0}, ["all", "star", "bright_star"]),
        ("gaia_hpm", {"phot_g_mean_mag": 15.0}, ["all", "bright_star"]),
        ("gaia_hpm", GAIA | {"in_qso_candidates": 1, "phot_g_mean_mag": 15.0}, ["all"]),
        ("twomass_psc", {"ph_qual": "AAA"}, ["star"]),
        ("twomass_psc", {"ph_qual": "AUA"}, ["star"]),
        ("twomass_psc", {"ph_qual": "ABC"}, ["unclear"]),
        ("twomass_psc", {"ph_qual": "UUU"}, ["unclear"]),
        ("twomass_psc", {"ph_qual": "AAA", "ext_key": 5}, []),
        ("twomass_psc", {"ph_qual": "BBB", "ext_key": 5}, []),
        ("twomass_psc", {"ph_qual": None}, []),
        ("twomass_xsc", {}, ["all"]),
        ("legacy", LEGACY, ["star"]),
        ("legacy", LEGACY | {"DCHISQ_REX": None}, []),
        ("legacy", LEGACY | {"DCHISQ_REX": None, "DCHISQ_DEV": 0.0}, ["star"]),
        ("legacy", LEGACY | {"DCHISQ_PSF": None}, []),
        ("legacy", LEGACY | {"DCHISQ_PSF": 100_000.0}, []),
        ("legacy", LEGACY | {"DCHISQ_PSF": 200_000.0}, ["unclear"]),
        ("legacy", LEGACY | {"MAG_R_ERR": 0.2}, ["unclear"]),
        ("legacy", LEGACY | {"MAG_R_ERR": None}, ["unclear"]),
        ("legacy", {"TYPE": "PSF"}, ["unclear"]),
        ("legacy", EXTENDED, ["galaxy"]),
        ("legacy", EXTENDED | {"DCHISQ_SER": 0.0}, []),
        ("legacy", EXTENDED | {"DCHISQ_SER": None}, []),
        ("legacy", EXTENDED | {"DCHISQ_SER": None, "SHAPE_R_IVAR": 10_001.0}, ["galaxy"]),
        ("legacy", EXTENDED | {"SHAPE_R_IVAR": 30.0}, []),
        ("legacy", EXTENDED | {"SHAPE_R_IVAR": 29.0}, ["unclear"]),
        ("legacy", EXTENDED | {"SHAPE_R_IVAR": None}, []),
        ("legacy", EXTENDED | {"SHAPE_R": None}, ["unclear"]),
        ("legacy", EXTENDED | {"SHAPE_R": 10.0}, ["big_galaxy"]),
        ("legacy", EXTENDED | {"SHAPE_R": 10.0, "DCHISQ_SER": -3.0}, ["big_galaxy"]),
        ("legacy", EXTENDED | {"SHAPE_R": 10.0, "DCHISQ_SER": None}, []),
        ("legacy", EXTENDED | {"SHAPE_R": 10.0, "SHAPE_R_IVAR": 20_000.0, "DCHISQ_SER": None}, ["big_galaxy"]),
        ("legacy", {**EXTENDED, "TYPE": None}, []),
        ("legacy", {"TYPE": "REX"}, ["unclear"]),
        ("ps1", PS1, ["star"]),
        ("ps1", PS1 | {"ps_score": 0.83}, ["star"]),
        ("ps1", PS1 | {"ps_score": 0.829}, ["galaxy"]),
        ("ps1", PS1 | {"ps_score": None}, ["unclear"]),
        ("ps1", PS1 | {"rKronRad": None}, ["star"]),
        ("ps1", PS1 | {"rKronRad": None, "iKronRad": None}, ["unclear"]),
        ("ps1", {}, ["unclear"]),
        ("sdss_photo", SDSS, ["star"]),
        ("sdss_photo", SDSS | {"z_": None}, ["star"]),
        ("sdss_photo", SDSS | {"type": 3}, ["galaxy"]),
        ("sdss_photo", SDSS | {"type": 3, "z_": -1.0}, []),
        ("sdss_photo", SDSS | {"type": 3, "z_": None}, []),
        ("sdss_photo", SDSS | {"petroMagErr_i": 0.2}, ["unclear"]),
        ("sdss_photo", SDSS | {"petroMagErr_i": 0.2, "petroMagErr_g": None, "type": 3}, ["unclear"]),
        ("sdss_photo", SDSS | {"petroMagErr_i": None}, []),
        ("sdss_photo", SDSS | {"petroMagErr_i": 0.1}, []),
        ("sdss_photo", SDSS | {"petroMagErr_i": 0.2, "type": 0}, []),
        ("sdss_photo", SDSS | {"type": None}, []),
        ("sdss_spec", SPEC, ["galaxy"]),
        ("sdss_spec", SPEC | {"objType": "Q"}, ["qso"]),
        ("sdss_spec", SPEC | {"objType": "S"}, []),
        ("sdss_spec", SPEC | {"objType": None}, []),
        ("sdss_spec", SPEC | {"qubMasterFlag": 0}, []),
        ("sdss_spec", SPEC | {"qubMasterFlag": None}, []),
        ("sdss_spec", SPEC | {"z_": None}, []),
        ("sdss_spec", SPEC | {"z_": 0.0009}, []),
        # 0.001 is a little more as a 4-byte float
        ("sdss_spec", SPEC | {"z_": 0.001}, ["galaxy"]),
        ("sdss_spec", {"SPECPRIMARY": 1, "CLASS": "QSO", "Z": 2.0}, ["qso"]),
        ("ned", NED, ["galaxy"]),
        ("ned", NED | {"redshift": None}, ["galaxy"]),
        ("ned", NED | {"redshift": 0.001}, []),
        ("ned", NED | {"redshift": -0.001, "major_diameter_arcmin": 3}, []),
        ("ned", NED | {"ned_name": "SSTSL2 J1"}, []),
        ("ned", NED | {"ned_name": None}, ["galaxy"]),
        ("ned", NED | {"ned_name": "SSTSL2 J1", "major_diameter_arcmin": 1 / 3}, ["big_galaxy"]),
        ("ned", NED | {"major_diameter_arcmin": None}, ["galaxy"]),
        ("ned", NED | {"major_diameter_arcmin": 1 / 3}, ["galaxy", "big_galaxy"]),
        ("ned", NED | {"major_diameter_arcmin": 0.333}, ["galaxy"]),
        ("ned", NED | {"major_diameter_arcmin": 2, "redshift": None}, ["galaxy", "big_galaxy", "super_big_galaxy"]),
        ("ned", NED | {"object_type": "QSO", "major_diameter_arcmin": 2}, ["qso"]),
        ("ned", NED | {"object_type": "SN"}, []),
        ("ned", NED | {"object_type": None}, []),
        ("ned", NED | {"object_type": "*"}, []),
        ("ned", NED | {"object_type": "Blue*"}, []),
        ("ned", NED | {"object_type": "Nova"}, []),
        ("ned", NED | {"object_type": "XrayS"}, ["unclear"]),
        ("ned", NED | {"object_type": "SNR"}, ["unclear"]),
        ("ned", NED | {"object_type": "RadioS", "ned_name": "SSTSL2 J1"}, ["unclear"]),
        ("ned_d", {"object_type": "G", "master_row": 1}, ["galaxy"]),
        ("ned_d", {"object_type": "G", "master_row": 0}, []),
        ("ned_d", {"object_type": "G", "master_row": None}, []),
        ("ned_d", {"object_type": "QSO", "master_row": 1}, []),
        ("ned_d", {"object_type": None, "master_row": 0, "major_diameter_arcmin": 1 / 3}, ["big_galaxy"]),
        (
            "ned_d",
            {"object_type": "G", "master_row": 1, "major_diameter_arcmin": 2.0},
            ["galaxy", "big_galaxy", "super_big_galaxy"],
        ),
        ("lasr", {"AGN": 0}, ["galaxy"]),
        ("lasr", {"AGN": 1}, ["agn"]),
        ("lasr", {"AGN": None}, []),
        ("milliquas", {}, ["all"]),
        ("downes", {}, ["all"]),
        ("ritter", {}, ["all"]),
    ],
)
def test_views_of_the_production_catalogues(name: str, row: dict[str, Any], expected: list[str]) -> None:
    position = {"ra": 1.0, "dec": 2.0}
    assert views_of(name, position | row) == expected


@pytest.mark.parametrize(
    "kind", ["UvS", "UvES", "IrS", "VisS", "HII", "GClstr", "GGroup", "GPair", "GTrpl", "G_Lens", "PofG"]
)
def test_sources_that_ned_lists_as_like_a_galaxy(kind: str) -> None:
    assert views_of("ned", {"ra": 1.0, "object_type": kind, "ned_name": "X"}) == ["galaxy_like"]
    assert views_of("ned", {"ra": 1.0, "object_type": kind, "ned_name": "SSTSL2 J1"}) == []


def test_magnitudes_and_ids_of_the_files_of_the_legacy_survey() -> None:
    native: dict[str, Any] = {
        "RELEASE": np.array([10000, 10001], np.int16),
        "BRICKID": np.array([500_000, 7], np.int32),
        "OBJID": np.array([12, 3], np.int32),
        "TYPE": np.array([b"PSF", b"EXP"]),
        "RA": np.array([10.0, 20.0]),
        "DEC": np.array([-1.0, 2.0]),
        "DCHISQ": np.array([[90.0, 80.0, 0, 0, 0], [1.0, 2.0, 3.0, 400.0, 0]], np.float32),
        "SHAPE_R": np.array([0.0, 1.5], np.float32),
        "SHAPE_R_IVAR": np.array([0.0, 900.0], np.float32),
    }
    for band in ("G", "R", "I", "Z", "W1", "W2", "W3", "W4"):
        native[f"FLUX_{band}"] = np.array([100.0, -1.0])
        native[f"FLUX_IVAR_{band}"] = np.array([4.0, 4.0])
    chunk = standard_columns(load_description("legacy"), native)
    assert chunk["id"].tolist() == [(10000 << 40) | (500_000 << 16) | 12, (10001 << 40) | (7 << 16) | 3]
    assert chunk["_r"][0] == pytest.approx(17.5)
    assert chunk["_rErr"][0] == pytest.approx(2.5 / math.log(10) * 0.5 / 100)
    assert np.isnan(chunk["_r"][1]) and np.isnan(chunk["_rErr"][1])
    assert chunk["decl"].tolist() == [-1.0, 2.0]
    assert chunk["size_arcsec"].tolist() == [0.0, 3.0]
    assert chunk["views"].tolist() == [0b10, 0b100]


def test_columns_are_mapped_scaled_and_kept_apart_by_mode() -> None:
    description = mine(
        "magnitudes: {_r: {from: m, error: e}}\ncompat: {z: wrong}",
        "ra: ra, decl: dec, id: id, subtype: t, z: right, size_arcsec: {from: d, factor: 60, offset: 1}",
    )
    native = {
        "ra": np.array([359.0, 0.0]),
        "dec": np.array([-90.0, 90.0]),
        "id": np.array([5, 6]),
        "t": np.array([3.0, np.nan]),
        "right": np.array([0.1, np.inf]),
        "wrong": np.array([0.2, 0.3]),
        "d": np.array([0.5, np.nan]),
        "m": np.ma.MaskedArray([15, 16], [False, True]),
        "e": np.array(["0.1", ""]),
    }
    chunk = standard_columns(description, native)
    assert set(chunk) == {"ra", "decl", "id", "subtype", "z", "size_arcsec", "_r", "_rErr", "views"}
    assert chunk["subtype"].tolist() == ["3", ""]
    assert np.array_equal(chunk["z"], [0.1, np.nan], equal_nan=True)
    assert np.array_equal(chunk["size_arcsec"], [31.0, np.nan], equal_nan=True)
    assert np.array_equal(chunk["_r"], [15.0, np.nan], equal_nan=True)
    assert np.array_equal(chunk["_rErr"], [0.1, np.nan], equal_nan=True)
    assert standard_columns(description, native, compat=True)["z"].tolist() == [0.2, 0.3]
    exact = standard_columns(description, native, exact=True)
    assert exact["given_ra"].tolist() == [359.0, 0.0]
    assert set(exact) <= {"ra", "decl", *BY_NAME}


def test_a_column_that_is_not_there_is_named_with_file_and_key() -> None:
    native = {"ra": np.ones(1), "dec": np.ones(1), "id": np.ones(1), "Quality": np.ones(1)}
    with pytest.raises(BadDefinition, match=r"mine: views\.good: there is no column 'quality'; did you mean 'Quality'"):
        standard_columns(mine("views: {good: quality > 1}"), native)
    with pytest.raises(BadDefinition, match=r"magnitudes\.G: "):
        standard_columns(mine("magnitudes: {G: gmag}"), native)
    assert np.isnan(standard_columns(mine("magnitudes: {G: gmag}\noptional: [gmag]"), native)["G"]).all()


def test_rows_are_selected() -> None:
    native = {"ra": np.arange(5.0), "dec": np.zeros(5), "id": np.arange(5), "q": np.array([1, 9, np.nan, 7, 2])}
    chunk = standard_columns(mine("select: q > 5"), native)
    assert chunk["id"].tolist() == [1, 3]
    assert chunk["views"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array([1.0, 2.0]), [1, 2]),
        (np.array([2**60 + 1, 3]), [2**60 + 1, 3]),
        (np.array([1.0, np.nan]), ["1", ""]),
        (np.array([1.5, 2.0]), ["1.5", "2"]),
        (np.array([" a b ", ""]), ["a b", ""]),
        (np.array([7, "x"], object), ["7", "x"]),
        (np.array([2**63, 1], np.uint64), [2**63, 1]),
    ],
)
def test_ids(given: Any, expected: list[Any]) -> None:
    chunk = standard_columns(mine(), {"ra": np.zeros(2), "dec": np.zeros(2), "id": given})
    assert chunk["id"].tolist() == expected


def test_ids_that_lost_digits_are_refused() -> None:
    with pytest.raises(BadDefinition, match=r"columns\.id: .*whole numbers or text"):
        standard_columns(mine(), {"ra": np.zeros(1), "dec": np.zeros(1), "id": np.array([2.0**60])})


def test_rows_that_no_release_can_hold() -> None:
    native = {
        "ra": np.array([1.0, np.nan, 400.0, 3.0, -10.0, np.inf, -181.0]),
        "dec": np.array([1.0, 0.0, 0.0, -91.0, 90.0, np.nan, 0.0]),
        "id": np.array(["a", "", "c", "", "", "f", "g"]),
    }
    found = {reason: np.flatnonzero(mask).tolist() for mask, reason in bad_rows(standard_columns(mine(), native))}
    assert found == {"no position": [1, 5], "position out of range": [2, 3, 6], "no id": [4]}


@pytest.mark.parametrize(
    ("ra", "dec", "expected"),
    [
        ("00 01 16.37", "+29 35 34.0", (15 * (1 / 60 + 16.37 / 3600), 29 + 35 / 60 + 34 / 3600)),
        ("12:30:00", "-00:30:00.0", (187.5, -0.5)),
        ("12h30m0.5s", "-0d 30' 36\"", (187.5 + 0.5 / 240, -0.51)),
        ("23 59.5", "\u221289 30", (15 * (23 + 59.5 / 60), -89.5)),
        ("187.5", "-12.25", (187.5, -12.25)),
        ("", "", (math.nan, math.nan)),
        ("12 60 00", "10 00 61", (math.nan, math.nan)),
        ("about 12", "-", (math.nan, math.nan)),
    ],
)
def test_sexagesimal_positions(ra: str, dec: str, expected: tuple[float, float]) -> None:
    native = {"ra": np.array([ra, "1 0 0"]), "dec": np.array([dec, "1 0 0"]), "id": np.arange(2)}
    chunk = standard_columns(mine("reading: {sexagesimal: true}"), native)
    assert (chunk["ra"][0], chunk["decl"][0]) == pytest.approx(expected, abs=1e-10, nan_ok=True)
    assert (chunk["ra"][1], chunk["decl"][1]) == (15.0, 1.0)


@given(st.floats(0, 359.999), st.floats(-89.999, 89.999))
def test_sexagesimal_positions_come_back(ra: float, dec: float) -> None:
    def parts(value: float) -> str:
        seconds = round(abs(value) * 3600e4)
        return f"{seconds // 36_000_000:02d}:{seconds // 600_000 % 60:02d}:{seconds % 600_000 / 1e4:07.4f}"

    native = {
        "ra": np.array([parts(ra / 15)]),
        "dec": np.array([("-" if dec < 0 else "") + parts(dec)]),
        "id": np.ones(1),
    }
    chunk = standard_columns(mine("reading: {sexagesimal: true}"), native)
    assert chunk["ra"][0] == pytest.approx(ra, abs=1e-4 / 240)
    assert chunk["decl"][0] == pytest.approx(dec, abs=1e-4 / 3600)


def test_other_frames() -> None:
    # the Galactic centre and north pole: IAU 1958 system as J2000 has it
    native = {"ra": np.array([0.0, 0.0, np.nan, 5.0]), "dec": np.array([0.0, 90.0, 0.0, 99.0]), "id": np.arange(4)}
    chunk = standard_columns(mine("frame: galactic"), native)
    assert chunk["ra"][:2] == pytest.approx([266.40499, 192.85948], abs=1e-4)
    assert chunk["decl"][:2] == pytest.approx([-28.93617, 27.12825], abs=1e-4)
    assert [mask.tolist() for mask, _ in bad_rows(chunk)][:2] == [[False] * 2 + [True, False], [False] * 3 + [True]]
    fk5 = standard_columns(mine("frame: fk5"), native)
    assert 0.0 < 360.0 - fk5["ra"][0] < 0.1 / 3600


def test_no_rows_at_all() -> None:
    empty = {name: np.zeros(0) for name in ("ra", "dec", "id")}
    chunk = standard_columns(mine(), empty, exact=True)
    assert all(len(values) == 0 for values in chunk.values())


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_description_makes_a_chunk_of_its_own_columns(name: str) -> None:
    description = load_description(name)
    native = {column: np.full(3, 1.0) for column in description.native_columns(compat=True) if column != "DCHISQ"}
    if description.positions_from is not None:  # a second table gives them under these names
        native |= {description.positions_from.ra: np.full(3, 1.0), description.positions_from.decl: np.full(3, 1.0)}
    chunk = standard_columns(description.model_copy(update={"select": None}), native, compat=True, exact=True)
    assert set(chunk) - {"ra", "decl"} <= set(BY_NAME)
    assert {len(values) for values in chunk.values()} == {3}


def test_a_release_of_hand_made_rows(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"objID": 1237666299481818299, "ra": 10.123456789012, "dec_": -5.0, "type": 3, "z_": 0.1} | _errors(0.05),
        {"objID": 1237666299481818300, "ra": 11.0, "dec_": -5.0, "type": 6, "z_": None} | _errors(0.2),
        {"objID": 3, "ra": None, "dec_": 1.0},
    ]
    info = build_rows(load_description("sdss_photo"), rows, tmp_path / "r")
    assert (info.name, info.rows) == ("sdss_photo", 2)
    with Release.open(info.path) as release:
        order = np.argsort(release.column("given_ra"))
        assert release.column("id")[order].tolist() == [1237666299481818299, 1237666299481818300]
        assert release.column("given_ra")[order][0] == 10.123456789012
        assert release.column("photo_z").dtype == np.float32
        assert release.column("_r").dtype == np.float64
        assert [release.view_counts[view] for view in ("unclear", "star", "galaxy")] == [1, 0, 1]
        assert [release.subtypes[code] for code in release.column("subtype")[order]] == ["3", "6"]
        assert release.about["licence"]


def _errors(value: float) -> dict[str, float]:
    return {f"petroMagErr_{band}": value for band in "gri"} | {"petroMag_r": 17.3}


def test_hand_made_rows_with_ids_of_two_kinds_and_a_sparse_view(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "ned_name": 5,
            "raDeg": 1.0,
            "decDeg": 1.0,
            "object_type": "G",
            "major_diameter_arcmin": 30,
            "redshift_err": 0.01,
        },
        {"ned_name": "NGC 1", "raDeg": 2.0, "decDeg": 1.0, "object_type": "G", "photoz": 0.2},
        {"ned_name": None, "raDeg": 3.0, "decDeg": 1.0, "object_type": "XrayS"},
    ]
    info = build_rows(load_description("ned"), rows, tmp_path / "r", compat=True)
    with Release.open(info.path) as release:
        order = np.argsort(release.column("given_ra"))
        assert release.column("id")[order].tolist() == [b"5", b"NGC 1", b""]
        assert release.view_rows("super_big_galaxy").tolist() == [int(order[0])]
        assert release.listed("big_galaxy") is not None
        assert release.column("photo_z_err")[order][0] == 0.01
        assert release.column("size_arcsec")[order][0] == 1800.0


def test_hand_made_rows_out_of_range_are_refused(tmp_path: Path) -> None:
    rows = [{"source_id": 1, "ra": 1.0, "dec": 2.0}, {"source_id": 2, "ra": 1.0, "dec": 92.0}]
    with pytest.raises(BadRows, match="row 1 of gaia: position out of range"):
        build_rows(load_description("gaia"), rows, tmp_path / "r")
    assert not (tmp_path / "r").exists()
