"""AMPEL (LSST): its reports on Hopskotch.

A report is an Avro container (AmpelAstro/Ampel-HU-astro, LSSTReport): the object, its photometry, and the answers of
classifiers, each with several models. Reports of the stream of infants have features and no classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lasair.annotations.brokers.reading import (
    UNKNOWN,
    Read,
    Source,
    best,
    collect,
    items,
    lsst_id,
    mapping,
    number,
    probabilities,
    text,
    version,
)
from lasair.annotations.model import EXPLANATION_CHARS, Annotation
from lasair.errors import BadPacket

TOPIC: Final = "ampel"
INFANT: Final = "ampel_infant"

_WRAPPED = re.compile(r"P\((.+)\)")


def annotations_of(message: object, source: Source = UNKNOWN) -> Read:
    """The annotation of a report: the most probable class of the first model that has one.

    Parameters
    ----------
    message : the Avro container of a report, or the record that it holds
    source : ``stream``, such as ampel.lsst.extragalactic-infants, whose reports are classified by the stream's name
    """

    def make(report: Mapping[str, Any]) -> Iterable[Annotation]:
        thing = mapping(report.get("object"))
        if not thing:
            raise BadPacket("the report has no object")
        survey = text(thing.get("source"))
        if survey.upper() != "LSST":
            raise BadPacket(f"the report's object is of {survey[:40] or 'no source'!r}, not of LSST")
        object_id = lsst_id(thing.get("id"))
        if not object_id:
            raise BadPacket("the report's object has no id")
        return _classified(object_id, report) or _featured(object_id, report, source.stream)

    return collect(message, make)


def _classified(object_id: str, report: Mapping[str, Any]) -> list[Annotation]:
    """The first model's classes; those of further models stand in the classdict under classifier and model."""
    found: list[tuple[str, str, str, dict[str, float]]] = []
    for classifier in map(mapping, items(report.get("classification"))):
        for model in map(mapping, items(classifier.get("models"))):
            said = {_bare(name): one for name, one in probabilities(model.get("probabilities")).items()}
            if best(said):
                name, of = text(classifier.get("name"), 80), text(model.get("model"), 80)
                found.append((name, text(classifier.get("version"), 80), of, said))
    if not found:
        return []
    name, release, model_name, said = found[0]
    details: dict[str, Any] = dict(said)
    for other, _, of, more in found[1:]:
        details.setdefault(f"{other}/{of}", more)
    words = f"Classifier {name} {release}, model {model_name}." + _host(report)
    return [
        Annotation("lsst", object_id, TOPIC, best(said), version(release), words[:EXPLANATION_CHARS], details),
    ]


def _featured(object_id: str, report: Mapping[str, Any], stream: str) -> list[Annotation]:
    """Of a report without classes, the stream says what AMPEL holds the object to be."""
    name = text(stream.rpartition(".")[2], 80)
    if "infant" not in name:
        return []
    for features in map(mapping, items(report.get("features"))):
        said = {
            text(key): value
            for key, one in mapping(features.get("features")).items()
            if text(key) and (value := number(one)) is not None
        }
        if said:
            words = f"Features {text(features.get('name'), 80)}." + _host(report)
            release = version(features.get("version"))
            return [Annotation("lsst", object_id, INFANT, name, release, words[:EXPLANATION_CHARS], said)]
    return []


def _host(report: Mapping[str, Any]) -> str:
    for host in map(mapping, items(report.get("host"))):
        redshift = number(host.get("redshift"))
        if redshift is not None:
            return f" Host by {text(host.get('name'), 80)}: redshift {redshift:.5g}."
    return ""


def _bare(name: str) -> str:
    """SNIa of P(SNIa)."""
    found = _WRAPPED.fullmatch(name)
    return found[1] if found else name
