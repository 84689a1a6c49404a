"""Fink (ZTF and LSST): alerts of its Kafka streams, files of its data transfer, rows of its API.

A Kafka message is a bare Avro datum whose schema is the key, as JSON. Fink has no single class: of a livestream the
topic is the tag, since a filter of Fink let the alert through; the data transfer and the API of ZTF give a label.
Layouts: astrolabsoftware/fink-client (schemas and test data of 2026-03), fink-object-api.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lasair.annotations.brokers import avro
from lasair.annotations.brokers.reading import (
    UNKNOWN,
    Read,
    Source,
    collect,
    lsst_id,
    mapping,
    number,
    text,
    version,
    whole,
    ztf_id,
)
from lasair.annotations.model import Annotation, Survey
from lasair.errors import BadPacket

TOPIC: Final = "fink"

#: The classes of CATS, the classifier of LSST light curves, by their numbers; others, such as -1 (not run), are none.
CATS: Final = {11: "SN-like", 12: "Fast", 13: "Long", 21: "Periodic", 22: "Non-periodic"}
#: Streams that say nothing of what an object is.
NO_TAGS: Final = frozenset({"uniform_sample", "remove_unlikely_transients"})

_STREAM = re.compile(r"fink_(.+)_(ztf|lsst)")

#: Scores of ZTF alerts; those of which -1 means that the classifier did not run are in the second group.
_ZTF_SCORES = ("rf_snia_vs_nonia", "snn_snia_vs_nonia", "snn_sn_vs_all", "rf_kn_vs_nonkn", "mulens", "anomaly_score")
_ZTF_SCORES_FROM_0 = ("slsn_score",)
_ZTF_LABELS = ("cdsxmatch", "tns", "gcvs", "vsx", "gaiaClass", "x3hsp", "x4lac", "spicy_class", "tracklet")
_LSST_SCORES_FROM_0 = (
    "clf_snnSnVsOthers_score",
    "clf_earlySNIa_score",
    "clf_slsn_score",
    "clf_elephant_kstest_science",
    "clf_elephant_kstest_template",
)
_LSST_LABELS = (
    "xm_simbad_otype",
    "xm_tns_fullname",
    "xm_tns_type",
    "xm_gcvs_type",
    "xm_vsx_Type",
    "xm_x3hsp_type",
    "xm_x4lac_type",
    "xm_spicy_class",
    "main_label_crossmatch",
)


def annotations_of(message: object, source: Source = UNKNOWN) -> Read:
    """The annotations of a message, file or reply of Fink; of the rows of a reply, the newest of each object.

    Parameters
    ----------
    message : the value of a Kafka message (its schema is then `source.key`), an Avro container, the JSON of the API,
        or the records that these hold
    source : ``stream`` fink_<filter>_<ztf|lsst>, ``key``, and ``object_id`` where a reply was asked for without its id
    """
    done: set[str] = set()

    def decode(data: bytes) -> Any:
        if not source.key:
            raise BadPacket("a message of Fink needs its key, which is the schema of its value")
        return avro.datum(data, avro.parsed(source.key))

    def make(record: Mapping[str, Any]) -> Iterable[Annotation]:
        found = _lsst(record, source) if _is_lsst(record) else _ztf(record, source)
        if found is None or (_is_row(record) and found.object_id in done):
            return []
        done.add(found.object_id)
        return [found]

    return collect(message, make, decode, order=_newest_row_first)


def _is_row(record: Mapping[str, Any]) -> bool:
    """Whether it is a row of the API, whose columns have prefixes, and not an alert."""
    return any(isinstance(name, str) and name[:2] in ("i:", "d:", "v:", "r:", "f:") for name in record)


def _newest_row_first(record: Any) -> float:
    if not isinstance(record, Mapping) or not _is_row(record):
        return 0.0
    for name in ("i:jd", "r:midpointMjdTai"):
        if (when := number(record.get(name))) is not None:
            return -float(when)
    return 0.0


def _is_lsst(record: Mapping[str, Any]) -> bool:
    if _is_row(record):
        return any(isinstance(name, str) and name[:2] in ("r:", "f:") for name in record)
    return "diaSource" in record or "diaObject" in record


def _tag(source: Source, survey: Survey) -> str:
    found = _STREAM.fullmatch(source.stream)
    return found[1] if found and found[2] == survey and found[1] not in NO_TAGS else ""


def _ztf(record: Mapping[str, Any], source: Source) -> Annotation | None:
    if _is_row(record):
        row = {name[2:]: one for name, one in record.items() if isinstance(name, str) and name[1:2] == ":"}
    else:
        row = dict(record)
    object_id = ztf_id(row.get("objectId", source.object_id))
    tag = _tag(source, "ztf")
    # the data transfer writes finkclass, the API v:classification
    label = text(row.get("finkclass")) or text(row.get("classification"))
    candidates = (
        (label, "Fink's label"),
        (tag, "the stream"),
        (text(row.get("tns")) or text(row.get("tnsclass")), "TNS through Fink"),
        (text(row.get("cdsxmatch")), "SIMBAD through Fink"),
    )
    details = _details(row, _ZTF_SCORES, _ZTF_SCORES_FROM_0, _ZTF_LABELS)
    if (kind := whole(row.get("roid"))) is not None and kind > 0:
        details["roid"] = kind
    return _annotation("ztf", object_id, tag, candidates, details, row)


def _lsst(record: Mapping[str, Any], source: Source) -> Annotation | None:
    row = _row(record) if _is_row(record) else _flat(record)
    object_id = lsst_id(row.get("diaObjectId")) or (source.object_id and lsst_id(source.object_id))
    if not object_id:
        if row.get("is_sso") is True or (whole(row.get("ssObjectId")) or 0) > 0:
            return None  # a minor planet: no object of the survey's that could be annotated
        raise BadPacket("the alert has no diaObjectId")
    tag = _tag(source, "lsst")
    cats = whole(row.get("clf_cats_class"))
    cats_score = number(row.get("clf_cats_score"))
    main = whole(row.get("main_label_classifier"))
    candidates = (
        (tag, "the stream"),
        (CATS.get(cats if cats is not None else -1) or CATS.get(main if main is not None else -1, ""), "CATS of Fink"),
        (text(row.get("xm_tns_type")), "TNS through Fink"),
        (text(row.get("main_label_crossmatch")), "Fink's crossmatch"),
        (text(row.get("xm_simbad_otype")), "SIMBAD through Fink"),
    )
    details = _details(row, (), _LSST_SCORES_FROM_0, _LSST_LABELS)
    if cats in CATS:
        details["clf_cats_class"] = cats
        if cats_score is not None:
            details["clf_cats_score"] = cats_score
    if (redshift := number(row.get("xm_tns_redshift"))) is not None and redshift > 0:
        details["xm_tns_redshift"] = redshift
    return _annotation("lsst", object_id, tag, candidates, details, row)


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the API by the names that `_flat` gives."""
    row = {name[2:]: one for name, one in record.items() if isinstance(name, str) and name[1:2] == ":"}
    return {name.removeprefix("pred_"): one for name, one in row.items()}


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is used of an alert, by the names of the API's columns without their prefixes."""
    row: dict[str, Any] = {"fink_science_version": record.get("fink_science_version")}
    for part in ("clf", "xm"):
        row |= {f"{part}_{name}": one for name, one in mapping(record.get(part)).items()}
    row |= mapping(record.get("pred"))
    alert = mapping(record.get("diaSource"))
    row["ssObjectId"] = alert.get("ssObjectId")
    # the id inside diaObject has been seen rounded through a double; that of the source is right
    row["diaObjectId"] = alert.get("diaObjectId") or mapping(record.get("diaObject")).get("diaObjectId")
    return row


def _details(
    row: Mapping[str, Any], scores: Iterable[str], scores_from_0: Iterable[str], labels: Iterable[str]
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in scores:
        if (found := number(row.get(name))) is not None:
            out[name] = found
    for name in scores_from_0:
        if (found := number(row.get(name))) is not None and found >= 0:
            out[name] = found
    for name in labels:
        if label := text(row.get(name), 80):
            out[name] = label
    return out


def _annotation(
    survey: Survey,
    object_id: str,
    tag: str,
    candidates: Iterable[tuple[str, str]],
    details: dict[str, Any],
    row: Mapping[str, Any],
) -> Annotation | None:
    classification, whence = next((one for one in candidates if one[0]), ("", ""))
    if not classification:
        return None
    if tag:
        details["tag"] = tag
    return Annotation(
        survey,
        object_id,
        TOPIC,
        classification,
        version(row.get("fink_science_version")),
        f"Class from {whence}.",
        details,
        f"https://{survey}.fink-portal.org/{object_id}",
    )
