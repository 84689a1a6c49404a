"""One annotation: what it holds, what is refused, and the shape in which clients of the API send it.

Annotations are hostile text: they come from programs of other people and end on web pages, in queries and in
messages. Here they are bounded and freed of characters that do things; nothing is escaped, since HTML in a text is
text, and whoever shows it must show it as such.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, NoReturn
from urllib.parse import urlsplit

from lasair.errors import BadDefinition

#: Longest texts, in characters.
TOPIC_CHARS: Final = 255
CLASSIFICATION_CHARS: Final = 80
VERSION_CHARS: Final = 16
EXPLANATION_CHARS: Final = 1024
URL_CHARS: Final = 1024
#: Longest classdict, in bytes of its JSON without blanks in UTF-8.
CLASSDICT_BYTES: Final = 4096
#: Lists and objects inside each other in a classdict.
CLASSDICT_DEPTH: Final = 16
#: What the client library sends as version when its user gives none.
DEFAULT_VERSION: Final = "0.1"

#: JSON text of a classdict with blanks and escapes may be longer than CLASSDICT_BYTES, not than this.
_CLASSDICT_TEXT: Final = 4 * CLASSDICT_BYTES
_INT64_MAX: Final = 2**63 - 1

#: Control characters, lone surrogates (no UTF-8), and the marks that turn the direction of the text around them.
_ACTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
#: The same, where a text may have lines.
_ACTIVE_IN_LINES = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
#: Printable ASCII without what no URL may hold unescaped (RFC 3986, section 2).
_URL = re.compile(r"[!#-;=?-\[\]_a-z~]+")
_LSST_ID = re.compile(r"[1-9][0-9]{0,18}")
_ZTF_ID = re.compile(r"ZTF[0-9]{2}[a-z]{7}")

Survey = Literal["lsst", "ztf"]


class Annotation(NamedTuple):
    """What one annotator says of one object; `check` says what may stand in each field."""

    survey: Survey
    #: as the survey publishes it: the decimal diaObjectId, or ZTFyyaaaaaaa
    object_id: str
    #: the annotator
    topic: str
    #: the annotator's class, in its own vocabulary
    classification: str
    version: str = ""
    explanation: str = ""
    #: details by name
    classdict: Mapping[str, Any] = {}
    url: str = ""


def check(annotation: Annotation) -> Annotation:
    """The annotation as it may be stored: texts without outer blanks, classdict of plain JSON values.

    Values of a classdict that JSON cannot hold because they are NaN or infinite become null: they are missing, and a
    condition on them is never true. Integers beyond 64 bits are refused, since readers would round them.

    Raises
    ------
    BadDefinition
        Its text begins with the name of the field that is wrong, as the API calls it.
    """
    survey, object_id = annotation.survey, annotation.object_id
    if survey not in ("lsst", "ztf"):
        _refuse("survey", f"{_shown(survey)} is neither 'lsst' nor 'ztf'")
    if not isinstance(object_id, str) or survey_of(object_id) != survey:
        _refuse("objectId", f"{_shown(object_id)} is not the name of an object of {survey}")
    topic = _line("topic", annotation.topic, TOPIC_CHARS)
    if not topic or not topic.isprintable() or any(mark in topic for mark in "&,:"):
        _refuse(
            "topic", f"{topic!r:.60} needs printable characters, without '&', ',' and ':', so that queries can name it"
        )
    classification = _line("classification", annotation.classification, CLASSIFICATION_CHARS)
    if not classification:
        _refuse("classification", "is empty")
    return Annotation(
        survey,
        object_id,
        topic,
        classification,
        _line("version", annotation.version, VERSION_CHARS),
        _lines("explanation", annotation.explanation, EXPLANATION_CHARS),
        _classdict(annotation.classdict),
        _address(annotation.url),
    )


def survey_of(object_id: str) -> Survey | None:
    """Whose name this is: 'lsst' for 1 to 2^63 - 1 in decimal, 'ztf' for ZTFyyaaaaaaa, None for anything else."""
    if _LSST_ID.fullmatch(object_id) and int(object_id) <= _INT64_MAX:
        return "lsst"
    return "ztf" if _ZTF_ID.fullmatch(object_id) else None


def from_request(request: Mapping[str, Any]) -> Annotation:
    """The annotation that a client of the API sends.

    Parameters
    ----------
    request : with ``objectId`` (text, or an integer), ``topic``, ``classification``, and perhaps ``version``,
        ``explanation``, ``classdict`` (a JSON object as text, or a mapping) and ``url``; other keys mean nothing

    Raises
    ------
    BadDefinition
        A key is missing, or a value is refused; the text begins with the key.
    """
    if not isinstance(request, Mapping):
        raise BadDefinition("an annotation is a JSON object with objectId, topic and classification")
    for name in ("objectId", "topic", "classification"):
        if request.get(name) is None:
            _refuse(name, "is missing")
    object_id = request["objectId"]
    if isinstance(object_id, int) and not isinstance(object_id, bool) and 0 < object_id <= _INT64_MAX:
        object_id = str(object_id)
    survey = survey_of(object_id) if isinstance(object_id, str) else None
    if survey is None:
        _refuse("objectId", f"{_shown(object_id)} is neither a diaObjectId nor a ZTF name (ZTFyyaaaaaaa)")
    given: dict[str, Any] = {"version": DEFAULT_VERSION, "explanation": "", "classdict": {}, "url": ""}
    given |= {name: request[name] for name in given if request.get(name) is not None}
    if isinstance(given["classdict"], str):
        given["classdict"] = _parsed(given["classdict"])
    return check(Annotation(survey, object_id, request["topic"], request["classification"], **given))


def classdict_json(annotation: Annotation) -> str:
    """The classdict of a checked annotation as JSON without blanks, in its own order of keys."""
    return _json(annotation.classdict)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _shown(value: object) -> str:
    """A value as a message may show it; an integer of many thousand digits has no text."""
    return f"{value!r:.40}" if isinstance(value, str) else f"a value of type {type(value).__name__}"


def _refuse(field: str, why: str) -> NoReturn:
    raise BadDefinition(f"{field}: {why}")


def _text(field: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        _refuse(field, f"is {type(value).__name__}, not text")
    text = value.strip()
    if len(text) > most:
        _refuse(field, f"has {len(text)} characters; {most} are the most")
    return text


def _line(field: str, value: object, most: int) -> str:
    text = _text(field, value, most)
    if _ACTIVE.search(text):
        _refuse(field, "holds control characters")
    return text


def _lines(field: str, value: object, most: int) -> str:
    text = _text(field, value, most)
    if _ACTIVE_IN_LINES.search(text):
        _refuse(field, "holds control characters other than line ends and tabs")
    return text


def _address(value: object) -> str:
    url = _line("url", value, URL_CHARS)
    if not url:
        return url
    if not _URL.fullmatch(url):
        _refuse("url", "holds characters that a URL writes as %XX")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as err:
        raise BadDefinition(f"url: {str(err)[:100]}") from err
    if parts.scheme not in ("http", "https"):
        _refuse("url", "must begin with https:// or http://")
    if not host or "@" in parts.netloc:  # https://lasair.org@elsewhere.example is a link to elsewhere.example
        _refuse("url", "must name a host, and no user")
    return url


def why_no_json(err: ValueError | RecursionError) -> str:
    """What is wrong with a text that Python's reader of JSON does not take."""
    if isinstance(err, RecursionError):
        return "is nested too deep"
    if isinstance(err, json.JSONDecodeError | UnicodeDecodeError):
        return f"is not JSON ({str(err)[:100]})"
    return "holds an integer of thousands of digits; write it as text"


def _parsed(text: str) -> Mapping[str, Any]:
    """A classdict from its JSON text; NaN and the infinities, which Python's writer makes, are let through."""
    if len(text) > _CLASSDICT_TEXT:
        _refuse(
            "classdict",
            f"has {len(text)} characters of JSON; its {CLASSDICT_BYTES} bytes need no more than {_CLASSDICT_TEXT}",
        )
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise BadDefinition(f"classdict: {why_no_json(err)}") from err
    if not isinstance(found, dict):
        _refuse("classdict", f"must be a JSON object, not {type(found).__name__}")
    return found


def _classdict(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        _refuse("classdict", f"must be a JSON object, not {type(value).__name__}")
    # every value takes a byte of JSON at least, so more values than bytes cannot fit: no endless walk
    plain = _plain(value, 1, [CLASSDICT_BYTES])
    size = len(_json(plain).encode())
    if size > CLASSDICT_BYTES:
        _refuse("classdict", f"has {size} bytes of JSON; {CLASSDICT_BYTES} are the most")
    return plain  # type: ignore[no-any-return]


def _plain(value: Any, depth: int, left: list[int]) -> Any:
    """The value made of dict, list, str, int, float, bool and None only; `left` counts down the values."""
    left[0] -= 1
    if left[0] < 0:
        _refuse("classdict", f"has too many values for {CLASSDICT_BYTES} bytes of JSON")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, int):
        if not -_INT64_MAX - 1 <= value <= _INT64_MAX:
            _refuse("classdict", "holds an integer of more than 64 bits; write it as text")
        return int(value)
    if isinstance(value, str):
        if _ACTIVE_IN_LINES.search(value):
            _refuse("classdict", "holds control characters in a text")
        return value
    if depth > CLASSDICT_DEPTH:
        _refuse("classdict", f"is nested more than {CLASSDICT_DEPTH} deep")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                _refuse("classdict", f"has a key of type {type(key).__name__}; keys are texts")
            if _ACTIVE.search(key):
                _refuse("classdict", "holds control characters in a key")
        return {key: _plain(one, depth + 1, left) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, depth + 1, left) for one in value]
    _refuse("classdict", f"holds a value of type {type(value).__name__}, which JSON has not")
