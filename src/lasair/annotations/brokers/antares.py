"""ANTARES (ZTF and LSST): loci of its streams and of its API.

A Kafka message is BSON, compressed with zlib. A locus is a place on the sky, which may have objects of both surveys:
each gets an annotation. ANTARES gives no probabilities; filters put tags on loci, and a stream is the loci of one tag.
Layouts: antares-client 1.x, and replies of the API (2026-07).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lasair.annotations.brokers import bson
from lasair.annotations.brokers.reading import (
    MAX_MESSAGE_BYTES,
    UNKNOWN,
    Read,
    Refused,
    Source,
    collect,
    items,
    lsst_id,
    mapping,
    number,
    text,
    ztf_id,
)
from lasair.annotations.model import Annotation, Survey
from lasair.errors import BadPacket

TOPIC: Final = "antares"

#: Tags that filters leave as a mark of work done; they say nothing of what a locus is.
NO_TAGS: Final = frozenset({"lc_feature_extractor"})
#: How many tags, catalogues and events a classdict lists; a locus near the Galactic plane has dozens.
MAX_LISTED: Final = 32

_STREAM = re.compile(r"(?:client\.)?(.+?)(?:_staging)?")
_LOCUS = re.compile(r"[A-Za-z0-9]{1,64}")
_AUTO_HEADER = 32 + zlib.MAX_WBITS  # zlib as the client writes it, or gzip as its pages say
_NUMBERS = ("num_alerts", "num_mag_values", "newest_alert_magnitude", "brightest_alert_magnitude")


def annotations_of(message: object, source: Source = UNKNOWN) -> Read:
    """The annotations of a locus or a list of loci; alerts of a locus give nothing.

    Parameters
    ----------
    message : the value of a Kafka message, the JSON of a reply, or the documents that these hold
    source : ``stream`` client.<tag>_staging: a locus with that tag is classified by it
    """
    stream = _STREAM.fullmatch(source.stream)
    refused: list[Refused] = []

    def make(document: Mapping[str, Any]) -> Iterable[Annotation]:
        inside = document.get("data", document)
        for locus in inside if isinstance(inside, list) else [inside]:
            try:
                found = _of_locus(locus, stream[1] if stream else "", refused)
            except BadPacket as err:
                refused.append(Refused(None, "", str(err)))
                continue
            yield from found

    out = collect(message, make, _decode)
    out.refused.extend(refused)
    return out


def _decode(data: bytes) -> Any:
    unpacking = zlib.decompressobj(_AUTO_HEADER)
    try:
        plain = unpacking.decompress(data, MAX_MESSAGE_BYTES)
    except zlib.error as err:
        raise BadPacket(f"the message is not compressed as ANTARES' are ({str(err)[:80]})") from err
    if not unpacking.eof:
        raise BadPacket(f"the message is cut off, or unpacks to more than {MAX_MESSAGE_BYTES} bytes")
    return bson.read(plain)


def _of_locus(locus: object, stream: str, refused: list[Refused]) -> list[Annotation]:
    if not isinstance(locus, Mapping):
        raise BadPacket(f"a locus is of type {type(locus).__name__}, not named values")
    if text(locus.get("type")) not in ("", "locus", "locus_listing"):
        return []
    # some clients hand on the attributes with the id among them
    inside = mapping(locus["attributes"]) if "attributes" in locus else locus
    properties = mapping(inside.get("properties"))
    tags = _listed(inside.get("tags"))
    telling = [tag for tag in tags if tag not in NO_TAGS]
    if not telling:
        return []
    classification = stream if stream in telling else telling[0]
    name = text(locus.get("id") or locus.get("locus_id"), 64)
    details: dict[str, Any] = {"tags": tags}
    if name:
        details["locus"] = name
    for listed in ("catalogs", "grav_wave_events"):
        if found := _listed(inside.get(listed)):
            details[listed] = found
    details |= {key: value for key in _NUMBERS if (value := number(properties.get(key))) is not None}
    url = f"https://antares.noirlab.edu/loci/{name}" if _LOCUS.fullmatch(name) else ""
    explanation = f"Tag of ANTARES locus {name}." if name else "Tag of an ANTARES locus."
    return [
        Annotation(survey, object_id, TOPIC, classification, "", explanation, details, url)
        for survey, object_id in _objects(properties, refused)
    ]


def _listed(value: object) -> list[str]:
    found = (text(one, 80) for one in items(value))
    return list(dict.fromkeys(one for one in found if one))[:MAX_LISTED]


def _objects(properties: Mapping[str, Any], refused: list[Refused]) -> list[tuple[Survey, str]]:
    """The objects of both surveys at a locus, each once; ids that are none are refused one by one."""
    surveys = mapping(properties.get("survey"))
    out: dict[tuple[Survey, str], None] = {}
    for named in (properties.get("ztf_object_id"), *items(mapping(surveys.get("ztf")).get("id"))):
        if named is not None and named != "":
            try:
                out["ztf", ztf_id(named)] = None
            except BadPacket as err:
                refused.append(Refused(None, "", str(err)))
    for numbered in items(mapping(surveys.get("lsst")).get("dia_object_id")):
        try:
            if object_id := lsst_id(numbered):
                out["lsst", object_id] = None
        except BadPacket as err:
            refused.append(Refused(None, "", str(err)))
    return list(out)
