"""ALeRCE (ZTF and LSST): messages of its stamp and light-curve classifiers, and probabilities from its API.

Most Kafka messages are bare Avro without schema, key or registry, so the layouts stand here, and the one that accounts
for every byte of a message is its own. Layouts: alercebroker/pipeline, schemas/ (2026-02); the Rubin stamps as
lsst-uk/lasair-lsst reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lasair.annotations.brokers import avro
from lasair.annotations.brokers.reading import (
    UNKNOWN,
    Read,
    Refused,
    Source,
    best,
    collect,
    keep,
    lsst_id,
    number,
    probabilities,
    text,
    values_of,
    version,
    whole,
    ztf_id,
)
from lasair.annotations.model import Annotation, Survey, survey_of
from lasair.errors import BadPacket, LasairError

LIGHT_CURVE: Final = "alerce_lc"
STAMP: Final = "alerce_stamp"

#: Classifiers of the API, best first: an object has one annotation of each kind. Those that answer a part of the
#: question (lc_classifier_top, _transient, _stochastic, _periodic) are not among them.
CLASSIFIERS: Final = {
    LIGHT_CURVE: (
        "LC_classifier_BHRF_forced_phot",
        "lc_classifier",
        "LC_classifier_ATAT_forced_phot",
        "LC_classifier_ATAT_forced_phot(beta)",
    ),
    STAMP: (
        "stamp_classifier_rubin",
        "stamp_classifier_2025",
        "stamp_classifier",
        "stamp_classifier_rubin_beta",
        "stamp_classifier_2025_beta",
    ),
}
_TOPIC_OF = {name: topic for topic, names in CLASSIFIERS.items() for name in names}
_RANK = {name: rank for names in CLASSIFIERS.values() for rank, name in enumerate(names)}

#: sid of LSST where a message numbers the surveys
_SID_LSST = 1


def annotations_of(message: object, source: Source = UNKNOWN) -> Read:
    """The annotations of a Kafka message or of a reply of the probabilities API.

    Parameters
    ----------
    message : the value of a Kafka message, the JSON of a reply, or the records that these hold
    source : ``object_id`` must be given with a reply, which does not name its object
    """
    try:
        records, problems = values_of(message, _decode)
    except LasairError as err:
        return Read([], [Refused(None, "", str(err))])
    rows = {n: one for n, one in enumerate(records) if isinstance(one, Mapping) and "classifier_name" in one}
    # a row is no record of its own: the rows of a classifier together are
    out = collect([{} if n in rows else one for n, one in enumerate(records)], _of_record)
    out.refused.extend(Refused(None, "", problem) for problem in problems)
    if rows:
        _add_rows(out, rows, source.object_id)
    return out


def _of_record(record: Mapping[str, Any]) -> Iterable[Annotation]:
    late = record.get("lc_classification")
    if isinstance(late, Mapping):
        survey, object_id = _object(record)
        found = probabilities(late.get("probabilities"))
        return _made(survey, object_id, LIGHT_CURVE, found, text(late.get("class")))
    found = probabilities(record.get("probabilities"))
    if not found:
        return []  # an object, a detection: ALeRCE says much besides classes
    survey, object_id = _object(record)
    return _made(survey, object_id, STAMP, found, "")


def _made(
    survey: Survey, object_id: str, topic: str, found: dict[str, float], named: str, by: str = "", of: str = ""
) -> list[Annotation]:
    """At most one annotation: none without a class, or for a minor planet, which has no object."""
    classification = named or best(found)
    if not object_id or not classification:
        return []
    if survey == "ztf":
        url = f"https://alerce.online/object/{object_id}"
    else:
        url = f"https://lsst.alerce.online/object/{object_id}?survey=lsst"
    words = " ".join(part for part in (by, of) if part)
    return [Annotation(survey, object_id, topic, classification, version(of), words[:200], found, url)]


def _object(record: Mapping[str, Any]) -> tuple[Survey, str]:
    """(survey, id) of a message; the id is '' for a minor planet. BadPacket when it cannot be told."""
    if "diaObjectId" in record:
        object_id = lsst_id(record["diaObjectId"])
        if object_id and (whole(record.get("ssObjectId")) or 0) > 0:
            # an older layout has (alertId, diaObjectId) where this one has (diaObjectId, ssObjectId)
            raise BadPacket("the message has a diaObjectId and an ssObjectId: it is of another layout")
        return "lsst", object_id
    named = record.get("objectId", record.get("oid"))
    if isinstance(named, int):
        if "sid" in record and record["sid"] != _SID_LSST:
            raise BadPacket("the message numbers its object, and is not of LSST: the object's name is not in it")
        return "lsst", lsst_id(named)
    return ("lsst", lsst_id(named)) if isinstance(named, str) and survey_of(named) == "lsst" else ("ztf", ztf_id(named))


def _add_rows(out: Read, rows: Mapping[int, Mapping[str, Any]], object_id: str) -> None:
    """Rows of (classifier_name, classifier_version, class_name, probability): of each kind the best classifier's."""
    try:
        survey, object_id = _object({"oid": object_id})
    except BadPacket:
        reason = "a reply of ALeRCE does not say which object it is about; the object's id was not given with it"
        out.refused.append(Refused(None, "", reason))
        return
    groups: dict[tuple[str, str], dict[str, float]] = {}
    for n, row in rows.items():
        name, which = text(row.get("classifier_name")), row.get("classifier_version")
        said = str(which) if isinstance(which, int) and number(which) is not None else text(which, 100)
        one = probabilities({row.get("class_name"): row.get("probability")})
        if not name or not one:
            out.refused.append(Refused(n, object_id, "a row without classifier, class or probability (0 to 1)"))
        elif name in _TOPIC_OF:
            groups.setdefault((name, said), {}).update(one)
    for topic in CLASSIFIERS:
        ours = [key for key in groups if _TOPIC_OF[key[0]] == topic]
        if ours:
            name, said = min(ours, key=lambda key: (_RANK[key[0]], [-part for part in _parts(key[1])], key[1]))
            for annotation in _made(survey, object_id, topic, groups[name, said], "", name, said):
                keep(out, None, annotation)


def _parts(said: str) -> list[int]:
    """The numbers in a version, so that 1.10 is above 1.9."""
    return [int(part[:15]) for part in re.findall(r"[0-9]+", said)]


def _record(name: str, *fields: tuple[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields]}


def _map(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def _light_curve(probability: Any, *, candid: bool) -> dict[str, Any]:
    late = _record(
        "late",
        ("probabilities", _map(probability)),
        ("class", "string"),
        ("hierarchical", _map([_map("float"), _map(_map("float"))])),
    )
    return _record(
        "light_curve",
        ("oid", "string"),
        *((("candid", "long"),) if candid else ()),
        ("features", [_map(["boolean", "float", "null", "int"]), "null"]),
        ("lc_classification", late),
    )


def _stamp(*ids: tuple[str, str], satellite: bool) -> dict[str, Any]:
    classes = ("SN", "AGN", "VS", "asteroid", "bogus", *(("satellite",) if satellite else ()))
    return _record("stamp", *ids, ("probabilities", _record("classes", *((name, "float") for name in classes))))


_ZTF_IDS = (("objectId", "string"), ("candid", "long"))
_RUBIN = _record(
    "rubin_stamp",
    ("diaObjectId", "long"),
    ("ssObjectId", "long"),
    ("diaSourceId", "long"),
    ("probabilities", _map("double")),
    ("midpointMjdTai", "double"),
    ("ra", "double"),
    ("dec", "double"),
)
#: Layouts of bare data, as fastavro wants them. Production writes probabilities as a union of one branch (["float"]).
_LAYOUTS = tuple(
    avro.ready(one)
    for one in (
        *(_light_curve(kind, candid=candid) for kind in (["float"], "float") for candid in (False, True)),
        _RUBIN,
        *(_stamp(*_ZTF_IDS, satellite=satellite) for satellite in (False, True)),
        _stamp(("oid", "long"), ("measurement_id", "long"), ("sid", "long"), satellite=True),
    )
)


def _decode(data: bytes) -> Any:
    for layout in _LAYOUTS:
        try:
            found = avro.datum(data, layout)
            survey, object_id = _object(found)
        except BadPacket:
            continue
        if object_id or survey == "lsst":
            return found
    raise BadPacket("the message has none of the layouts that ALeRCE documents")
