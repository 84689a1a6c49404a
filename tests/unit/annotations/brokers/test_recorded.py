"""The adapters on messages and replies as the brokers sent them."""

from __future__ import annotations

from typing import Any

import yaml

from lasair.annotations.brokers import alerce, ampel, antares, fink
from lasair.annotations.brokers.reading import Source
from tests.support.data import DATA

assert DATA is not None
BROKERS = DATA / "brokers"


def replies(name: str) -> list[str]:
    exchanges: list[dict[str, Any]] = yaml.safe_load((BROKERS / name).read_text())["interactions"]
    return [one["response"]["body"]["string"] for one in exchanges]


def test_fink_lsst() -> None:
    """Two minor planets, which give nothing, and a variable star."""
    (one,), refused = fink.annotations_of((BROKERS / "fink_lsst_3alerts.avro").read_bytes())
    assert refused == []
    assert (one.survey, one.object_id) == ("lsst", "313893023095193658")
    assert (one.classification, one.version) == ("Periodic", "8.39.0")
    assert one.classdict["clf_cats_score"] == 0.9988414645195007


def test_fink_ztf() -> None:
    found, refused = fink.annotations_of((BROKERS / "fink_ztf_3alerts.avro").read_bytes())
    assert refused == []
    assert [(one.object_id, one.classification) for one in found] == [
        ("ZTF26aamcbly", "SN candidate"),
        ("ZTF26aamcamp", "SN candidate"),
        ("ZTF26aamcamo", "SN candidate"),
    ]
    assert found[0].classdict["snn_snia_vs_nonia"] == 0.5400142669677734
    assert not {"slsn_score", "cdsxmatch", "tns", "vsx", "gaiaClass"} & set(found[0].classdict)


def test_fink_reply_of_an_object_without_class() -> None:
    (reply,) = replies("fink_get_alert.yaml")
    assert fink.annotations_of(reply) == ([], [])
    (one,), _ = fink.annotations_of(reply.replace('"v:classification":"Unknown"', '"v:classification":"Variable"'))
    assert (one.object_id, one.classification, one.version) == ("ZTF19aaosfcb", "Variable", "8.4.0")
    assert one.classdict["anomaly_score"] == -0.0165937133


def test_alerce_replies_without_probabilities() -> None:
    for name, object_id in (
        ("alerce_get_alert.yaml", "ZTF18abcgqmz"),
        ("alerce_lsst_get_alert.yaml", "170587116732416143"),
    ):
        for reply in replies(name):
            assert alerce.annotations_of(reply, Source(object_id=object_id)) == ([], [])


def test_antares() -> None:
    listing, alerts = replies("antares_get_alert.yaml")
    (one,), refused = antares.annotations_of(listing)
    assert refused == []
    assert (one.survey, one.object_id, one.classification) == ("ztf", "ZTF26abeuijw", "refitt_newsources_snrcut")
    assert one.url == "https://antares.noirlab.edu/loci/ANT2026b78o35eau2gs"
    assert antares.annotations_of(alerts) == ([], [])


def test_antares_lsst_locus() -> None:
    """Recorded without tags: it gives nothing; with one it is an annotation of the LSST object."""
    recorded = (BROKERS / "antares_lsst_locus.json").read_bytes()
    assert antares.annotations_of(recorded) == ([], [])
    (one,), _ = antares.annotations_of(recorded.replace(b'"ra": 358.8877706520344', b'"tags": ["dimmers"]', 1))
    assert (one.survey, one.object_id, one.classification) == ("lsst", "170595943059554358", "dimmers")


def test_ampel() -> None:
    (one,), refused = ampel.annotations_of((BROKERS / "ampel_report.avro").read_bytes())
    assert refused == []
    assert (one.object_id, one.classification, one.version) == ("170472689154654242", "SLSN-I", "1")
    assert one.classdict["SLSN-I"] == 0.9488937327421384
    assert len(one.classdict) == 14
