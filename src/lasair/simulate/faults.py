"""What goes wrong between a survey and a broker: which alerts, how, and what a broker must make of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import SURVEYS, Survey
from lasair.simulate.messages import Expected, Fault, SimMessage


class Kind(NamedTuple):
    """A kind of fault."""

    rate: float
    expected: Expected
    what: str
    surveys: tuple[Survey, ...] = SURVEYS


#: Faults by name: first those of whole messages and histories, then of the packet's contents, then of its bytes.
KINDS: dict[str, Kind] = {
    "duplicate": Kind(0.005, "duplicate", "the same message again, at once or later"),
    "late": Kind(0.01, "ok", "sent after a later alert of the same object"),
    "twin": Kind(0.001, "ok", "two objects within an arcsecond, each with a part of the detections"),
    "gap": Kind(0.01, "ok", "the history lacks the last visit"),
    "reprocessed": Kind(0.001, "ok", "the newest row of the history has other values than were sent before"),
    "spelling": Kind(0.05, "ok", "missing values spelled otherwise: NaN and 0 (LSST), null (ZTF)"),
    "future_time": Kind(0.0001, "refused", "an exposure in the year 2132"),
    "bad_position": Kind(0.0001, "refused", "a declination of 123 degrees"),
    "infinite_snr": Kind(0.0001, "ok", "an infinite signal-to-noise ratio", ("lsst",)),
    "closed_programme": Kind(0.0001, "refused", "programid 2", ("ztf",)),
    "huge_cutout": Kind(0.0001, "ok", "a difference image of 10 MB"),
    "large_cutout": Kind(0.0001, "ok", "a difference image of 100 x 100 pixels"),
    "broken_cutout": Kind(0.0001, "image missing", "the difference image is no FITS file"),
    "empty_cutout": Kind(0.0001, "image missing", "the difference image has no bytes"),
    "truncated": Kind(0.0001, "refused", "the message ends early"),
    "random_bytes": Kind(0.0001, "refused", "the message is noise"),
    "wrong_magic": Kind(0.0001, "refused", "the first byte (LSST) or the container's magic (ZTF) is wrong"),
    "unknown_schema": Kind(0.0001, "refused", "a schema id that no registry has", ("lsst",)),
    "damaged_container": Kind(0.0001, "refused", "the container's last sync marker is wrong", ("ztf",)),
    "text_for_bytes": Kind(0.0001, "refused", "the bytes were read as Latin-1 and written as UTF-8"),
}
NAMES = tuple(KINDS)
_BYTES = frozenset(NAMES[NAMES.index("truncated") :])
#: need an earlier row of the history
_NEED_HISTORY = ("gap", "reprocessed")
#: belong to objects, see sky.make_twins
_OF_OBJECTS = ("twin",)
_LONGEST_DELAY = 500


def fault(name: str) -> Fault:
    """The fault of that name."""
    return Fault(name, KINDS[name].expected, KINDS[name].what)


def default_rates() -> dict[str, float]:
    """Rates by name: the share of alerts (of objects for twins) that have it."""
    return {name: kind.rate for name, kind in KINDS.items()}


def plan(
    survey: Survey,
    has_history: NDArray[np.bool_],
    is_mover: NDArray[np.bool_],
    rates: Mapping[str, float],
    rng: np.random.Generator,
    *,
    each: bool,
) -> NDArray[np.int64]:
    """Which fault each alert has: an index into `NAMES`, -1 for none; at most one an alert.

    Parameters
    ----------
    has_history, is_mover : (n,) bool
        Some faults need an earlier row, or an object.
    each
        Every fault of the survey at least once, if there are enough alerts.
    """
    chosen = np.full(len(has_history), -1, np.int64)
    for number, name in enumerate(NAMES):
        rate = rates.get(name, 0.0)
        if name in _OF_OBJECTS or survey not in KINDS[name].surveys:
            continue
        draw = rng.random(len(chosen))
        fit = chosen < 0
        if name in _NEED_HISTORY:
            fit &= has_history
        if name == "late":
            fit &= ~is_mover
        hit = fit & (draw < rate)
        if each and rate > 0 and not hit.any() and fit.any():
            hit[rng.choice(np.flatnonzero(fit))] = True
        chosen[hit] = number
    return chosen


def damage(name: str, message: SimMessage, rng: np.random.Generator) -> SimMessage:
    """The message with its bytes spoiled; for other faults the message with the fault noted."""
    value = message.value
    if name not in _BYTES:
        return message._replace(fault=fault(name))
    if name == "truncated":
        value = value[: int(len(value) * rng.uniform(0.1, 0.9))]
    elif name == "random_bytes":
        # no container and no framing begins with 0xff
        value = b"\xff" + rng.bytes(4096)
    elif name == "wrong_magic":
        value = (b"\x01" if message.survey == "lsst" else b"Obk\x01") + value[1 if message.survey == "lsst" else 4 :]
    elif name == "unknown_schema":
        value = value[:1] + (9876).to_bytes(4, "big") + value[5:]
    elif name == "damaged_container":
        value = value[:-16] + bytes(byte ^ 0x55 for byte in value[-16:])
    else:
        value = value.decode("latin-1").encode()
    return message._replace(value=value, datum=None, fault=fault(name))


def deliver(messages: Iterable[SimMessage], rng: np.random.Generator) -> Iterator[SimMessage]:
    """The stream with its 'late' messages behind a later one of their object, and copies of its 'duplicate' ones.

    A copy comes at once or up to 500 messages later; a late message whose object sends nothing more comes last.
    """
    held: dict[str, SimMessage] = {}
    copies: list[tuple[int, SimMessage]] = []
    sent = 0
    last: SimMessage | None = None
    for message in messages:
        name = message.fault.name if message.fault else ""
        if name == "late" and message.object_id not in held:
            held[message.object_id] = message
            continue
        if name == "duplicate":
            original = message._replace(fault=None)
            copies.append((sent + (0 if rng.random() < 0.5 else int(rng.integers(1, _LONGEST_DELAY))), message))
            message = original
        yield message
        sent += 1
        last = message
        if (waiting := held.pop(message.object_id, None)) is not None:
            yield waiting._replace(night=last.night, visit=last.visit)
            sent += 1
        due = [copy for when, copy in copies if when <= sent]
        if due:
            copies = [one for one in copies if one[0] > sent]
            for copy in due:
                yield copy._replace(night=last.night, visit=last.visit)
                sent += 1
    for left in (*(copy for _, copy in copies), *held.values()):
        yield left if last is None else left._replace(night=last.night, visit=last.visit)
