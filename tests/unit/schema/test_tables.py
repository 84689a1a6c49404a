"""The tables as published: names, order, types; and a text for everything."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from lasair.schema import Table, layout, load_tables, table, tables
from lasair.schema.model import COLUMN_TYPES, SURVEYS, Survey, object_key
from tests.support.data import DATA

LSST_CORE = [
    "diaObjectId",
    "ra",
    "decl",
    "lastDiaSourceMjdTai",
    "firstDiaSourceMjdTai",
    "latest_psfFlux",
    *(f"{b}_{name}" for b in "ugrizy" for name in ("psfFlux", "latestMJD", "psfFluxMean", "psfFluxMeanErr")),
    *("medianR", "latestR", "nDiaSources", "nPosDiaSources", "nPosDiaSourcesNights", "nSourcesGood"),
    *(f"n{b}Sources" for b in "ugrizy"),
    *("tns_name", "absMag", "absMagMJD"),
    *("BBBRiseRate", "BBBFallRate", "BBBTemp", "BBBPeakFlux", "BBBPeakMJD", "BBBPeakAbsMag"),
    *("glat", "ebv", "jump1", "jump2"),
    *(
        f"{which}Pair{name}"
        for which in ("latest", "penultimate")
        for name in ("MJD", "ColourMag", "ColourBands", "ColourTemp")
    ),
    *("htm16", "timestamp"),
]
LSST_EXTENDED = [
    *("validityStartMjdTai", "raErr", "decErr", "ra_dec_Cov"),
    *(f"{b}_{name}" for b in "ugrizy" for name in ("psfFluxSigma", "psfFluxNdata", "fpFluxMean", "fpFluxMeanErr")),
    *(f"{b}_{name}" for b in "ugrizy" for name in ("scienceFluxMean", "scienceFluxMeanErr")),
    *(f"{b}_{name}" for b in "ugrizy" for name in ("psfFluxMin", "psfFluxMax", "psfFluxMaxSlope", "psfFluxErrMean")),
]
ZTF_OBJECTS = (
    "objectId ncand ramean rastd decmean decstd maggmin maggmax maggmean magrmin magrmax magrmean gmag rmag "
    "dmdt_g dmdt_r dmdt_g_err dmdt_r_err dmdt_g_2 dmdt_r_2 jdgmax jdrmax jdmax jdmin g_minus_r jd_g_minus_r "
    "glatmean glonmean sgmag1 srmag1 sgscore1 distpsnr1 ssnamenr ncandgp ncandgp_7 ncandgp_14 htm16 "
    "mag_g02 mag_g08 mag_g28 mag_r02 mag_r08 mag_r28"
)
SHERLOCK = (
    "classification association_type catalogue_table_name catalogue_object_id catalogue_object_type raDeg decDeg "
    "separationArcsec northSeparationArcsec eastSeparationArcsec physical_separation_kpc direct_distance distance "
    "best_distance best_distance_flag best_distance_source z photoZ photoZErr Mag MagFilter MagErr "
    "classificationReliability major_axis_arcsec annotator additional_output description summary"
)

#: Quantities that have no unit.
DIMENSIONLESS = {"medianR", "latestR", "sgscore1", "z", "photoZ", "photoZErr", "hostz"}

BOTH = ("sherlock_classifications", "annotations", "watchlist_hits", "area_hits", "mma_area_hits", "tag_hits")
ALL = load_tables()
IDS = [one.physical for one in ALL]


def test_lsst_objects_are_the_129_published_columns() -> None:
    objects = table("objects", "lsst")
    assert list(objects.column_names) == LSST_CORE + LSST_EXTENDED
    assert (len(LSST_CORE), len(LSST_EXTENDED)) == (65, 64)


def test_objects_ext_is_another_name_of_objects() -> None:
    assert table("objects_ext", "lsst") is table("objects", "lsst")
    assert [one.name for one in table("objects", "lsst").columns if one.section == "Extended"] == LSST_EXTENDED


def test_ztf_objects_are_the_43_published_columns() -> None:
    assert list(table("objects", "ztf").column_names) == ZTF_OBJECTS.split()
    assert len(ZTF_OBJECTS.split()) == 43


@pytest.mark.parametrize("survey", SURVEYS)
def test_sherlock_has_the_same_columns_for_both_surveys(survey: Survey) -> None:
    assert list(table("sherlock_classifications", survey).column_names) == [object_key(survey), *SHERLOCK.split()]


@pytest.mark.parametrize("survey", SURVEYS)
@pytest.mark.parametrize("name", BOTH)
def test_tables_of_both_surveys_are_keyed_by_the_survey_s_object_id(survey: Survey, name: str) -> None:
    one = table(name, survey)
    assert one.primary_key[0] == object_key(survey)
    assert one.physical == f"{survey}_{name}"
    assert one.column(object_key(survey)).type == ("bigint" if survey == "lsst" else "text16")
    assert "{" not in repr(one)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("annotations", ("topic",)),
        ("watchlist_hits", ("wl_id", "cone_id")),
        ("area_hits", ("ar_id",)),
        ("mma_area_hits", ("mw_id",)),
    ],
)
def test_an_object_may_have_several_hits(name: str, others: tuple[str, ...]) -> None:
    assert table(name, "lsst").primary_key == ("diaObjectId", *others)


@pytest.mark.parametrize("survey", SURVEYS)
def test_tns_is_one_table_for_both_surveys(survey: Survey) -> None:
    assert table("crossmatch_tns", survey).physical == "crossmatch_tns"


@pytest.mark.parametrize("survey", SURVEYS)
def test_what_a_user_can_name(survey: Survey) -> None:
    expected = {"objects", "crossmatch_tns", *BOTH} | ({"objects_ext"} if survey == "lsst" else set())
    assert set(tables(survey)) == expected


def test_unknown_table_and_column_are_key_errors() -> None:
    with pytest.raises(KeyError):
        table("nothing", "lsst")
    with pytest.raises(KeyError):
        table("objects", "lsst").column("nothing")


def test_columns_are_found_whatever_the_case() -> None:
    assert table("objects", "lsst").column("DIAOBJECTID").name == "diaObjectId"


@pytest.mark.parametrize("one", ALL, ids=IDS)
def test_every_column_is_described(one: Table) -> None:
    assert one.doc.endswith(".")
    for column in one.columns:
        assert column.type in COLUMN_TYPES
        assert column.doc.endswith("."), column.name
        assert column.origin, column.name
        assert column.absent, f"{column.name}: say when it is NULL, or never"
        assert (column.unit != "") == (column.type == "double" and column.name not in DIMENSIONLESS), column.name
        assert "{" not in column.name + column.doc + column.absent


@pytest.mark.parametrize("one", ALL, ids=IDS)
def test_names_are_unambiguous_and_keys_exist(one: Table) -> None:
    lower = [name.lower() for name in one.column_names]
    assert len(set(lower)) == len(lower)
    assert not any(name.startswith("_") for name in lower), "names of bookkeeping columns begin with _"
    for columns in (one.primary_key, *one.keys):
        assert all(name in one.column_names for name in columns)
    assert not any(one.column(name).nullable for name in one.primary_key)


def test_no_float32_and_every_time_is_a_double() -> None:
    for one in ALL:
        for column in one.columns:
            if column.unit == "d" or column.name.endswith(("MJD", "MjdTai")):
                assert column.type == "double"


@pytest.mark.parametrize("survey", SURVEYS)
@pytest.mark.parametrize("part", ["alert", "row"])
def test_layout_fields_are_described(survey: Survey, part: Literal["alert", "row"]) -> None:
    fields = layout(survey, part).fields
    assert all(field.doc.endswith(".") for field in fields)
    assert len({field.name for field in fields}) == len(fields)


if DATA is not None:
    ORACLES = DATA / "oracles"

    def test_lsst_columns_are_those_of_the_oracle() -> None:
        oracle = json.loads((ORACLES / "lsst_features" / "313637921267122191_object.json").read_text())
        assert set(table("objects", "lsst").column_names) - set(oracle) == {"tns_name", "timestamp"}
        assert set(oracle) <= set(table("objects", "lsst").column_names)

    def test_ztf_columns_are_those_of_the_oracle_in_its_order() -> None:
        oracle = json.loads((ORACLES / "ztf_features" / "expected.json").read_text())
        for columns in oracle.values():
            assert list(columns) == list(table("objects", "ztf").column_names)
