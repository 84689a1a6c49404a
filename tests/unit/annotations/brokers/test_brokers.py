"""The four adapters on messages built by the layouts their brokers document, and on anything else."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.annotations.brokers import alerce, ampel, antares, fink
from lasair.annotations.brokers.reading import Read, Source, best, probabilities, text, version
from lasair.annotations.model import check
from tests.unit.annotations.brokers.made import antares_message, bare, bson, container, key_of, mapping, record

ZTF, LSST = "ZTF21abcdefg", "170587116732416143"

# ---------------------------------------------------------------- Fink

FINK_ZTF = record(
    "fink_ztf",
    objectId=["null", "string"],
    candid=["null", "long"],
    cdsxmatch=["null", "string"],
    vsx=["null", "string"],
    tns=["null", "string"],
    roid=["null", "int"],
    snn_sn_vs_all=["null", "double"],
    slsn_score=["null", "double"],
    anomaly_score=["null", "double"],
    fink_science_version=["null", "string"],
)
ALERT_ZTF = {
    "objectId": ZTF,
    "candid": 12,
    "cdsxmatch": "QSO",
    "vsx": "Fail 503",
    "tns": "None",
    "roid": 0,
    "snn_sn_vs_all": 0.75,
    "slsn_score": -1.0,
    "anomaly_score": -0.0166,
    "fink_science_version": "8.41.0",
}
FINK_LSST = record(
    "fink_lsst",
    diaSourceId="long",
    diaSource=record("diaSource", diaObjectId=["null", "long"], ssObjectId=["null", "long"]),
    diaObject=["null", record("diaObject", diaObjectId=["null", "long"])],
    clf=record("clf", cats_class=["null", "int"], cats_score=["null", "float"], snnSnVsOthers_score=["null", "float"]),
    xm=record("xm", simbad_otype=["null", "string"], tns_type=["null", "string"], tns_redshift=["null", "float"]),
    pred=record("pred", is_sso=["null", "boolean"], main_label_crossmatch=["null", "string"]),
)


def lsst_alert(**change: Any) -> dict[str, Any]:
    return {
        "diaSourceId": 1,
        "diaSource": {"diaObjectId": int(LSST), "ssObjectId": 0},
        "diaObject": {"diaObjectId": int(float(LSST))},
        "clf": {"cats_class": -1, "cats_score": 0.0, "snnSnVsOthers_score": -1.0},
        "xm": {"simbad_otype": None, "tns_type": None, "tns_redshift": None},
        "pred": {"is_sso": False, "main_label_crossmatch": None},
    } | change


def test_fink_ztf_message_of_a_stream() -> None:
    source = Source("fink_early_sn_candidates_ztf", key_of(FINK_ZTF))
    (one,), refused = fink.annotations_of(bare(FINK_ZTF, ALERT_ZTF), source)
    assert refused == []
    assert (one.survey, one.object_id, one.topic, one.version) == ("ztf", ZTF, "fink", "8.41.0")
    assert one.classification == "early_sn_candidates"
    assert one.classdict == {
        "snn_sn_vs_all": 0.75,
        "anomaly_score": -0.0166,
        "cdsxmatch": "QSO",
        "tag": "early_sn_candidates",
    }
    assert one.url == f"https://ztf.fink-portal.org/{ZTF}"


def test_fink_falls_back_to_the_crossmatch_and_then_to_nothing() -> None:
    assert fink.annotations_of(ALERT_ZTF).annotations[0].classification == "QSO"
    for nothing in ("Unknown", "Fail", "Fail 504", "nan", "", None, 7):
        assert fink.annotations_of(ALERT_ZTF | {"cdsxmatch": nothing}) == ([], [])
    assert fink.annotations_of(ALERT_ZTF, Source("fink_uniform_sample_lsst")).annotations[0].classification == "QSO"


def test_fink_data_transfer_labels() -> None:
    read = fink.annotations_of(container(FINK_ZTF, [ALERT_ZTF, ALERT_ZTF | {"objectId": "x"}, ALERT_ZTF], "deflate"))
    assert len(read.annotations) == 2
    assert [one.record for one in read.refused] == [1]
    assert "'x' is not a ZTF name" in read.refused[0].reason
    assert (
        fink.annotations_of(ALERT_ZTF | {"finkclass": "SN candidate"}).annotations[0].classification == "SN candidate"
    )


def test_fink_lsst_messages() -> None:
    key = key_of(FINK_LSST)
    clf = {"cats_class": 11, "cats_score": 0.5, "snnSnVsOthers_score": 0.25}
    data = bare(FINK_LSST, lsst_alert(clf=clf))
    (one,), refused = fink.annotations_of(data, Source("fink_ztf_20260306", key))
    assert refused == []
    # the id of the source, not the one that went through a double
    assert (one.survey, one.object_id, one.classification) == ("lsst", LSST, "SN-like")
    assert one.classdict == {"clf_cats_class": 11, "clf_cats_score": 0.5, "clf_snnSnVsOthers_score": 0.25}
    (one,), _ = fink.annotations_of(data, Source("fink_sn_near_galaxy_candidate_lsst", key))
    assert (one.classification, one.classdict["tag"]) == ("sn_near_galaxy_candidate", "sn_near_galaxy_candidate")
    (one,), _ = fink.annotations_of(data, Source("fink_uniform_sample_lsst", key))
    assert (one.classification, one.classdict.get("tag")) == ("SN-like", None)


def test_fink_lsst_without_a_class_or_an_object() -> None:
    assert fink.annotations_of(lsst_alert()) == ([], [])
    unknown = {"cats_class": 99, "cats_score": 0.5, "snnSnVsOthers_score": math.nan}
    assert fink.annotations_of(lsst_alert(clf=unknown)) == ([], [])
    mover = lsst_alert(diaSource={"diaObjectId": 0, "ssObjectId": 7}, diaObject=None)
    assert fink.annotations_of(mover, Source("fink_in_tns_lsst")) == ([], [])
    lost = lsst_alert(diaSource={"diaObjectId": 0, "ssObjectId": 0}, diaObject=None)
    assert "no diaObjectId" in fink.annotations_of(lost).refused[0].reason
    xm = {"simbad_otype": "RRLyrae", "tns_type": "SN Ia", "tns_redshift": 0.03}
    (one,), _ = fink.annotations_of(lsst_alert(xm=xm))
    assert (one.classification, one.classdict["xm_simbad_otype"]) == ("SN Ia", "RRLyrae")


def test_fink_rows_of_the_api_give_the_newest_with_a_class() -> None:
    rows = [
        {"i:objectId": ZTF, "i:jd": 2460001.5, "v:classification": "SN candidate", "d:snn_sn_vs_all": 0.6},
        {"i:objectId": ZTF, "i:jd": 2460003.5, "v:classification": "Unknown", "d:tns": ""},
        {"i:objectId": ZTF, "i:jd": 2460002.5, "v:classification": "Early SN Ia candidate", "d:vsx": "Fail 503"},
    ]
    for order in (rows, rows[::-1]):
        (one,), refused = fink.annotations_of(json.dumps(order).encode())
        assert (one.classification, one.classdict, refused) == ("Early SN Ia candidate", {}, [])
    rows = [
        {"r:diaObjectId": int(LSST), "r:midpointMjdTai": 61000.0, "f:clf_cats_class": 21.0, "f:clf_cats_score": 0.9},
        {"r:diaObjectId": int(LSST), "r:midpointMjdTai": 60999.0, "f:main_label_crossmatch": "RRLyrae"},
        {"f:xm_simbad_otype": "QSO"},
    ]
    read = fink.annotations_of(rows)
    assert [(one.object_id, one.classification) for one in read.annotations] == [(LSST, "Periodic")]
    assert [one.record for one in read.refused] == [2]
    (one,), _ = fink.annotations_of(rows[2:], Source(object_id=LSST))
    assert (one.object_id, one.classification) == (LSST, "QSO")


def test_fink_needs_the_key() -> None:
    data = bare(FINK_ZTF, ALERT_ZTF)
    for key in (b"", b"alert_schema.avsc", key_of(FINK_LSST), key_of(record("a", x=["null", "a"]))):
        found, refused = fink.annotations_of(data, Source("fink_sn_candidates_ztf", key))
        assert (found, len(refused), refused[0].record) == ([], 1, None)


# ---------------------------------------------------------------- ALeRCE

PROBABILITIES = {"SNIa": 0.5, "SNII": 0.25, "AGN": 0.125}


def light_curve(probability: Any, *, candid: bool) -> dict[str, Any]:
    fields = [
        {"name": "probabilities", "type": mapping(probability)},
        {"name": "class", "type": "string"},
        {"name": "hierarchical", "type": mapping([mapping("float"), mapping(mapping("float"))])},
    ]
    ids: dict[str, Any] = {"oid": "string"} | ({"candid": "long"} if candid else {})
    features = [mapping(["boolean", "float", "null", "int"]), "null"]
    late = {"type": "record", "name": "late_record", "fields": fields}
    return record("probabilities_and_features", **ids, features=features, lc_classification=late)


@pytest.mark.parametrize("probability", [["float"], "float"])
@pytest.mark.parametrize("candid", [False, True])
@pytest.mark.parametrize("features", [None, {"Multiband_period": 1.5, "n": 3, "rb": None}])
def test_alerce_light_curves(probability: Any, candid: bool, features: Any) -> None:
    value = {
        "oid": ZTF,
        "candid": 1234567890123456789,
        "features": features,
        "lc_classification": {
            "probabilities": PROBABILITIES,
            "class": "SNIa",
            "hierarchical": {"top": {"Transient": 0.75}, "children": {"Transient": {"SNIa": 0.5}}},
        },
    }
    data = bare(light_curve(probability, candid=candid), value)
    (one,), refused = alerce.annotations_of(data, Source("lc_classifier_ztf_20260306"))
    assert refused == []
    assert one == check(one)
    assert (one.survey, one.object_id, one.topic, one.classification) == ("ztf", ZTF, "alerce_lc", "SNIa")
    assert one.classdict == PROBABILITIES
    assert one.url == f"https://alerce.online/object/{ZTF}"


STAMPS = {"SN": 0.5, "AGN": 0.25, "VS": 0.125, "asteroid": 0.0625, "bogus": 0.0625}


def stamp(**ids: Any) -> dict[str, Any]:
    classes = dict.fromkeys(STAMPS, "float")
    return record("stamp_probabilities", **ids, probabilities=record("probabilities", **classes))


def test_alerce_ztf_stamps() -> None:
    schema = stamp(objectId="string", candid="long")
    value = {"objectId": ZTF, "candid": 5, "probabilities": STAMPS}
    for data in (container(schema, [value], "deflate"), bare(schema, value)):
        (one,), refused = alerce.annotations_of(data)
        assert (one.topic, one.object_id, one.classification, refused) == ("alerce_stamp", ZTF, "SN", [])
        assert one.classdict == STAMPS
    mixed = [value | {"objectId": "ZTF"}, value, value | {"objectId": LSST}]
    read = alerce.annotations_of(container(schema, mixed))
    assert [one.survey for one in read.annotations] == ["ztf", "lsst"]
    assert [one.record for one in read.refused] == [0]


RUBIN = record(
    "rubin",
    diaObjectId="long",
    ssObjectId="long",
    diaSourceId="long",
    probabilities=mapping("double"),
    midpointMjdTai="double",
    ra="double",
    dec="double",
)


def rubin(object_id: int, mover: int, found: dict[str, float]) -> bytes:
    value = {"diaObjectId": object_id, "ssObjectId": mover, "diaSourceId": 9, "probabilities": found}
    return bare(RUBIN, value | {"midpointMjdTai": 61000.0, "ra": 1.0, "dec": 2.0})


def test_alerce_rubin_stamps() -> None:
    (one,), refused = alerce.annotations_of(rubin(int(LSST), 0, STAMPS))
    assert (one.survey, one.object_id, one.topic, one.classification) == ("lsst", LSST, "alerce_stamp", "SN")
    assert refused == []
    assert alerce.annotations_of(rubin(0, 77, STAMPS)) == ([], [])
    assert alerce.annotations_of(rubin(int(LSST), 0, {})) == ([], [])
    assert alerce.annotations_of(rubin(int(LSST), 0, {"SN": math.nan, "AGN": -1.0, "VS": 7.0})) == ([], [])
    assert len(alerce.annotations_of(rubin(int(LSST), 77, STAMPS)).refused) == 1


def test_alerce_stamps_of_several_surveys() -> None:
    classes = dict.fromkeys((*STAMPS, "satellite"), "float")
    schema = record("s", oid="long", measurement_id="long", sid="long", probabilities=record("p", **classes))
    value = {"oid": int(LSST), "measurement_id": 3, "sid": 1, "probabilities": STAMPS | {"satellite": 0.0}}
    (one,), _ = alerce.annotations_of(bare(schema, value))
    assert (one.object_id, one.classification) == (LSST, "SN")
    assert len(alerce.annotations_of(bare(schema, value | {"sid": 0})).refused) == 1


def rows(name: str, release: Any, **found: float) -> list[dict[str, Any]]:
    ranked = sorted(found.items(), key=lambda one: -one[1])
    return [
        {
            "classifier_name": name,
            "classifier_version": release,
            "class_name": label,
            "probability": one,
            "ranking": n + 1,
        }
        for n, (label, one) in enumerate(ranked)
    ]


def test_alerce_reply_gives_one_of_each_kind() -> None:
    reply = [
        *rows("lc_classifier_top", "hierarchical_rf_1.1.0", Transient=0.9),
        *rows("lc_classifier", "hierarchical_rf_1.9.0", SNIa=0.3, SNII=0.2),
        *rows("lc_classifier", "hierarchical_rf_1.10.0", SNIa=0.2, SNII=0.6),
        *rows("stamp_classifier_2025_beta", "2.0.0", SN=0.1),
        *rows("stamp_classifier", "stamp_classifier_1.0.4", SN=0.7, AGN=0.1),
        {"classifier_name": "lc_classifier", "class_name": "SLSN", "probability": "NaN"},
    ]
    read = alerce.annotations_of(json.dumps(reply), Source(object_id=ZTF))
    assert [(one.topic, one.classification, one.version) for one in read.annotations] == [
        ("alerce_lc", "SNII", "1.10.0"),
        ("alerce_stamp", "SN", "1.0.4"),
    ]
    assert read.annotations[0].classdict == {"SNIa": 0.2, "SNII": 0.6}
    assert read.annotations[0].explanation == "lc_classifier hierarchical_rf_1.10.0"
    assert [one.record for one in read.refused] == [8]
    # LSST numbers its versions
    (one,), _ = alerce.annotations_of(rows("stamp_classifier_rubin", 2, SN=0.7), Source(object_id=LSST))
    assert (one.survey, one.version, one.url) == ("lsst", "2", f"https://lsst.alerce.online/object/{LSST}?survey=lsst")
    found, refused = alerce.annotations_of(reply)
    assert (found, "object" in refused[-1].reason) == ([], True)


# ---------------------------------------------------------------- ANTARES


def locus(**attributes: Any) -> dict[str, Any]:
    properties = {
        "num_alerts": 3,
        "newest_alert_magnitude": math.nan,
        "ztf_object_id": ZTF,
        "survey": {"ztf": {"id": [ZTF]}, "lsst": {"dia_object_id": [LSST, "0", "x"], "ss_object_id": ["7"]}},
    }
    inside = {"ra": 1.5, "dec": 2.5, "htm16": 67983272436, "properties": properties, "lightcurve": "time,mag\n1,2"}
    inside |= {"tags": ["lc_feature_extractor", "extragalactic", "nuclear_transient"], "catalogs": ["gaia_dr3"]}
    return {"type": "locus", "id": "ANT2026abc", "attributes": inside | attributes, "relationships": {}}


def test_antares_message() -> None:
    document = {"data": locus()}
    for data in (antares_message(document), gzip.compress(bson(document))):
        read = antares.annotations_of(data, Source("client.nuclear_transient_staging"))
        assert [(one.survey, one.object_id) for one in read.annotations] == [("ztf", ZTF), ("lsst", LSST)]
        assert {one.classification for one in read.annotations} == {"nuclear_transient"}
        assert [one.reason for one in read.refused] == ["'x' is not a diaObjectId"]
        assert read.annotations[0].classdict == {
            "tags": ["lc_feature_extractor", "extragalactic", "nuclear_transient"],
            "locus": "ANT2026abc",
            "catalogs": ["gaia_dr3"],
            "num_alerts": 3,
        }
        assert read.annotations[0].url == "https://antares.noirlab.edu/loci/ANT2026abc"
    assert antares.annotations_of(antares_message(document)).annotations[0].classification == "extragalactic"


def test_antares_loci_without_tags_or_objects() -> None:
    for tags in ([], None, ["lc_feature_extractor"], [None, "", 7], "extragalactic"):
        assert antares.annotations_of({"data": locus(tags=tags)}) == ([], [])
    for properties in (None, {}, {"survey": None}, {"survey": {"lsst": [], "ztf": {"id": None}}}):
        assert antares.annotations_of({"data": locus(properties=properties)}) == ([], [])


def test_antares_list_and_flat_locus() -> None:
    reply = {"data": [7, locus(), {"type": "alert", "id": "ztf_candidate:1"}], "links": {}}
    read = antares.annotations_of(json.dumps(reply))
    assert (len(read.annotations), len(read.refused)) == (2, 2)
    flat = {"locus_id": "ANT1", "tags": ["sn"], "properties": {"survey": {"lsst": {"dia_object_id": [LSST]}}}}
    (one,), _ = antares.annotations_of(flat)
    assert (one.object_id, one.classification, one.classdict) == (LSST, "sn", {"tags": ["sn"], "locus": "ANT1"})


def test_antares_damaged_messages() -> None:
    good = antares_message({"data": locus()})
    for bad in (good[:-9], b"x" + good, b"", zlib.compress(b"no bson"), zlib.compress(bytes(80 * 2**20))):
        found, refused = antares.annotations_of(bad)
        assert (found, len(refused)) == ([], 1)


# ---------------------------------------------------------------- AMPEL


def report(**change: Any) -> dict[str, Any]:
    models = [
        {"model": "sn", "probabilities": {"P(SNIa)": 0.25, "P(SLSN-I)": 0.75, "P(TDE)": math.nan}},
        {"model": "all", "probabilities": {"P(SNIa)": 1.0}},
    ]
    return {
        "object": {"id": int(LSST), "ra": 1.0, "dec": 2.0, "source": "LSST"},
        "state": 5,
        "photometry": [],
        "classification": [{"name": "Parsnip", "version": "1", "info": None, "models": models}],
        "host": [{"name": "Digest", "source": "x", "redshift": 0.452087, "distance": 1.2}],
        "features": [{"name": "Rise", "version": "2", "features": {"t_lc": 14.0, "slope": math.inf}}],
    } | change


def test_ampel_report() -> None:
    (one,), refused = ampel.annotations_of(report())
    assert refused == []
    assert (one.survey, one.object_id, one.topic, one.classification, one.version) == (
        "lsst",
        LSST,
        "ampel",
        "SLSN-I",
        "1",
    )
    assert one.classdict == {"SNIa": 0.25, "SLSN-I": 0.75, "Parsnip/all": {"SNIa": 1.0}}
    assert one.explanation == "Classifier Parsnip 1, model sn. Host by Digest: redshift 0.45209."


def test_ampel_infants_are_what_their_stream_says() -> None:
    bare_report = report(classification=[])
    assert ampel.annotations_of(bare_report) == ([], [])
    (one,), _ = ampel.annotations_of(bare_report, Source("ampel.lsst.extragalactic-infants"))
    assert (one.topic, one.classification, one.classdict) == ("ampel_infant", "extragalactic-infants", {"t_lc": 14.0})


@pytest.mark.parametrize(
    "thing",
    [None, {}, {"id": 0, "source": "LSST"}, {"id": 5, "source": "ZTF"}, {"id": 1.7e17, "source": "LSST"}, {"id": 5}],
)
def test_ampel_objects_that_are_none(thing: Any) -> None:
    found, refused = ampel.annotations_of(report(object=thing))
    assert (found, len(refused)) == ([], 1)


# ---------------------------------------------------------------- what they share


def test_words_for_nothing() -> None:
    for nothing in ("Fail 503", "fail", "FAILED", "None", "nan", "NaN", "Unknown", "null", "", " ", "\ufffd", None, 5):
        assert text(nothing) == ""
    assert text("Failing star") == "Failing star"
    assert text(" S\x00N\n", 3) == "S N"


def test_probabilities_and_the_best() -> None:
    found = probabilities({"b": 0.5, "a": 0.5, "c": True, "d": "0.9", "e": 1.00001, 7: 0.5, "f": math.inf})
    assert found == {"b": 0.5, "a": 0.5, "e": 1.0}
    assert best({"b": 0.5, "a": 0.5}) == "a"
    assert best({"a": 0.0}) == best({}) == ""


def test_versions_fit() -> None:
    assert version("hierarchical_rf_1.1.0") == "1.1.0"
    assert version("8.41.0") == "8.41.0"
    assert version(3) == "3"
    assert version("a" * 40) == "a" * 16
    assert version(None) == ""


ADAPTERS = [fink.annotations_of, alerce.annotations_of, antares.annotations_of, ampel.annotations_of]
_WORDS = """
objectId candid finkclass cdsxmatch roid diaSource diaObject diaObjectId ssObjectId clf xm pred is_sso cats_class
i:objectId i:jd v:classification r:diaObjectId r:midpointMjdTai f:clf_cats_class f:main_label_crossmatch oid sid
probabilities lc_classification class classifier_name classifier_version class_name probability data type id
attributes properties tags survey ztf lsst dia_object_id object source classification models model features host
redshift name version tns_type catalogs locus_id ztf_object_id
"""
NAMES = st.sampled_from(_WORDS.split())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=4)
    | st.sampled_from(
        [ZTF, LSST, int(LSST), "LSST", "lc_classifier", "SN", 11, 0.5, "Fail 503", 10**400, "\ud800", "x" * 5000]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=6),
    max_leaves=20,
)
SOURCES = st.builds(
    Source,
    st.sampled_from(["", "fink_sn_candidates_ztf", "fink_in_tns_lsst", "client.a_staging", "ampel.lsst.infants"])
    | st.text(max_size=20),
    st.sampled_from([b"", key_of(FINK_ZTF), key_of(FINK_LSST)]) | st.binary(max_size=20),
    st.sampled_from(["", ZTF, LSST]) | st.text(max_size=8),
)


def sound(read: Read) -> None:
    for one in read.annotations:
        assert check(one) == one
    for refused in read.refused:
        assert refused.reason.isprintable() or "\n" not in refused.reason


@pytest.mark.parametrize("annotations_of", ADAPTERS)
@given(message=VALUES | st.lists(st.dictionaries(NAMES, VALUES, max_size=8), max_size=3), source=SOURCES)
def test_no_value_raises(annotations_of: Callable[..., Read], message: Any, source: Source) -> None:
    sound(annotations_of(message, source))


MESSAGES = [
    bare(FINK_ZTF, ALERT_ZTF),
    bare(FINK_LSST, lsst_alert()),
    container(FINK_ZTF, [ALERT_ZTF, ALERT_ZTF]),
    rubin(int(LSST), 0, STAMPS),
    antares_message({"data": locus()}),
    json.dumps(rows("lc_classifier", "1", SN=0.5)).encode(),
]


@pytest.mark.parametrize("annotations_of", ADAPTERS)
@given(data=st.data(), source=SOURCES)
def test_no_bytes_raise(annotations_of: Callable[..., Read], data: st.DataObject, source: Source) -> None:
    sound(annotations_of(data.draw(st.binary(max_size=200)), source))
    damaged = bytearray(data.draw(st.sampled_from(MESSAGES)))
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    sound(annotations_of(bytes(damaged), source))
    sound(annotations_of(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), source))
    sound(annotations_of(zlib.compress(bytes(damaged)), source))


@pytest.mark.parametrize("annotations_of", ADAPTERS)
def test_json_that_goes_deep(annotations_of: Callable[..., Read]) -> None:
    for message in (b"[" * 200_000, b'{"data":' * 200_000, "[" * 200_000):
        assert len(annotations_of(message).refused) == 1


@pytest.mark.parametrize("annotations_of", ADAPTERS)
def test_integers_that_have_no_text(annotations_of: Callable[..., Read]) -> None:
    """Python writes no integer of more than 4,300 digits."""
    huge = 10**5000
    for message in (
        {"i:objectId": huge},
        {"objectId": huge, "probabilities": {"SN": 0.5}},
        {"r:diaObjectId": huge},
        [{"classifier_name": "lc_classifier", "classifier_version": huge, "class_name": "SN", "probability": 0.5}],
        {"tags": ["a"], "properties": {"survey": {"lsst": {"dia_object_id": [huge]}}}},
        {"object": {"id": huge, "source": "LSST"}},
        {"data": huge},
        huge,
    ):
        sound(annotations_of(message, Source(object_id=LSST)))
