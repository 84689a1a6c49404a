"""What the adapters share: values of feeds where much is missing, probabilities, and records one by one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from lasair.annotations.brokers import avro
from lasair.annotations.model import VERSION_CHARS, Annotation, check, survey_of
from lasair.errors import BadPacket, LasairError

#: Greatest message: Fink's containers with cutouts have some 60 kB a record.
MAX_MESSAGE_BYTES: Final = 64 * 2**20

#: Words that feeds write where they know nothing; in small letters.
_NOTHING = frozenset({"", "-", "none", "nan", "null", "unknown", "n/a", "na", "undefined", "\ufffd"})
#: What a look-up that failed leaves, such as "Fail 503".
_FAILED = re.compile(r"fail(ed)?( [0-9]+)?", re.IGNORECASE)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")
#: Softmax in single precision may give a little more than one.
_ROUNDING: Final = 1e-4


class Source(NamedTuple):
    """What is known of a message besides its value.

    stream : the broker's Kafka topic it came by, or ''
    key : the Kafka key, or b'' (with Fink the Avro schema of the value)
    object_id : the object that a reply is about, as it was asked for; some replies do not say
    """

    stream: str = ""
    key: bytes = b""
    object_id: str = ""


#: A message of which nothing more is known.
UNKNOWN: Final = Source()


class Refused(NamedTuple):
    """A record that gave no annotation because something is wrong with it."""

    #: which one of the message, counted from 0; None when it is the whole message
    record: int | None
    #: '' when it is not known
    object_id: str
    reason: str


class Read(NamedTuple):
    """What a message gave."""

    annotations: list[Annotation]
    refused: list[Refused]


def values_of(message: object, decode: Callable[[bytes], Any] | None = None) -> tuple[list[Any], list[str]]:
    """The records of a message, and what went wrong while reading them.

    Parameters
    ----------
    message : an Avro container or JSON as bytes, JSON as text, or what these hold (a mapping, a list of records)
    decode : reads bytes that are neither a container nor JSON; raises BadPacket

    Raises
    ------
    BadPacket
        Nothing of it can be read.
    """
    if isinstance(message, (bytes, bytearray, memoryview)):
        data = bytes(message)
        if len(data) > MAX_MESSAGE_BYTES:
            raise BadPacket(f"the message has {len(data)} bytes; {MAX_MESSAGE_BYTES} are the most")
        if avro.is_container(data):
            return avro.container(data)
        # no datum of the known layouts begins so: as an Avro length or id these bytes are negative
        if data[:1] in (b"{", b"["):
            message = _json(data)
        elif decode is None:
            raise BadPacket("the message is neither an Avro container nor JSON")
        else:
            message = decode(data)
    elif isinstance(message, str):
        if len(message) > MAX_MESSAGE_BYTES:
            raise BadPacket(f"the message has {len(message)} characters; {MAX_MESSAGE_BYTES} are the most")
        message = _json(message)
    return (list(message) if isinstance(message, (list, tuple)) else [message]), []


def collect(
    message: object,
    make: Callable[[Mapping[str, Any]], Iterable[Annotation]],
    decode: Callable[[bytes], Any] | None = None,
    order: Callable[[Any], float] | None = None,
) -> Read:
    """The annotations of all records of a message (see `values_of`); what is bad is refused one by one.

    `order` is the key by which records are sorted before `make` sees them; refusals count them as they came.
    """
    out = Read([], [])
    try:
        records, problems = values_of(message, decode)
    except LasairError as err:
        return Read([], [Refused(None, "", str(err))])
    numbers = range(len(records)) if order is None else sorted(range(len(records)), key=lambda n: order(records[n]))
    for number in numbers:
        record = records[number]
        try:
            if not isinstance(record, Mapping):
                raise BadPacket(f"the record is of type {type(record).__name__}, not named values")
            made = list(make(record))
        except LasairError as err:
            out.refused.append(Refused(number, "", str(err)))
            continue
        for one in made:
            keep(out, number, one)
    out.refused.extend(Refused(None, "", problem) for problem in problems)
    return out


def keep(out: Read, number: int | None, annotation: Annotation) -> None:
    """Put the annotation to the good or to the refused ones."""
    try:
        out.annotations.append(check(annotation))
    except LasairError as err:
        out.refused.append(Refused(number, annotation.object_id, str(err)))


def mapping(value: object) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object, most: int | None = None) -> str:
    """A text of a feed without unprintable characters, cut to `most`; '' for none and for words that mean none."""
    if not isinstance(value, str):
        return ""
    found = _UNPRINTABLE.sub(" ", value).strip()
    if found.lower() in _NOTHING or _FAILED.fullmatch(found):
        return ""
    return found if most is None else found[:most].rstrip()


def number(value: object) -> float | int | None:
    """A finite number of a feed; None for anything else (numbers in text among it)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    return value if math.isfinite(value) else None


def whole(value: object) -> int | None:
    """An integer of a feed, which may have come as 11.0."""
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def probabilities(value: object) -> dict[str, float]:
    """name -> probability, of those that are between 0 and 1 and have a name; {} when there is none."""
    out: dict[str, float] = {}
    for name, one in mapping(value).items():
        shown, found = text(name), number(one)
        if shown and found is not None and 0 <= found <= 1 + _ROUNDING:
            out[shown] = min(float(found), 1.0)
    return out


def best(found: Mapping[str, float]) -> str:
    """The name of the greatest probability, the first in the alphabet of equals; '' when none is above 0."""
    if not found:
        return ""
    top = max(found.values())
    return min(name for name, one in found.items() if one == top) if top > 0 else ""


def lsst_id(value: object) -> str:
    """A diaObjectId as text; '' for none, which feeds write as null or 0. BadPacket for what cannot be one."""
    if value is None or value in ("", "0", 0) or (isinstance(value, float) and math.isnan(value)):
        return ""
    found = str(value) if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else value
    if not isinstance(found, str) or survey_of(found) != "lsst":
        raise BadPacket(f"{_shown(value)} is not a diaObjectId")
    return found


def ztf_id(value: object) -> str:
    """A ZTF name; BadPacket for what is none."""
    if not isinstance(value, str) or survey_of(value) != "ztf":
        raise BadPacket(f"{_shown(value)} is not a ZTF name (ZTFyyaaaaaaa)")
    return value


def version(value: object) -> str:
    """A version within its length; of long ones, such as hierarchical_rf_1.1.0, what follows the words."""
    found = str(value) if isinstance(value, int) and number(value) is not None else text(value)
    if len(found) > VERSION_CHARS:
        digit = re.search(r"[0-9]", found)
        found = found[digit.start() :] if digit else found
    return found[:VERSION_CHARS].rstrip()


def _shown(value: object) -> str:
    return f"{value!r:.40}" if isinstance(value, (str, float)) else f"a value of type {type(value).__name__}"


def _json(data: bytes | str) -> Any:
    try:
        return json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as err:
        raise BadPacket(f"the message is not JSON ({str(err)[:80]})") from err
