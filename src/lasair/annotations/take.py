"""Other brokers' messages taken in as annotations: from files, or as a loop over Kafka hands them over."""

from __future__ import annotations

import logging
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from lasair.annotations.brokers import alerce, ampel, antares, fink
from lasair.annotations.brokers.reading import MAX_MESSAGE_BYTES, Read, Refused, Source
from lasair.annotations.model import Annotation, survey_of
from lasair.annotations.post import Annotates
from lasair.errors import BadDefinition, LasairError, StoreUnavailable

log = logging.getLogger(__name__)

#: The adapter of each broker.
BROKERS: Final[Mapping[str, Callable[[object, Source], Read]]] = {
    "alerce": alerce.annotations_of,
    "ampel": ampel.annotations_of,
    "antares": antares.annotations_of,
    "fink": fink.annotations_of,
}

#: Annotations in one transaction: clients that post wait for a part of a second at most.
MOST_A_COMMIT: Final = 1000
#: Files, and bytes of files, that are read before what they say is kept.
_FILES: Final = 200
_FILE_BYTES: Final = 64_000_000
#: Refused records that a reason names.
_NAMED: Final = 5

#: Raises a LasairError that says why annotations of a topic are not taken.
May = Callable[[str], None]
_Why = Callable[[str], str]


class Taken(NamedTuple):
    """What one message gave."""

    #: annotations that stand now, or did already
    annotations: int
    #: those of them that are new
    changed: int
    refused: tuple[Refused, ...] = ()

    @property
    def reason(self) -> str:
        """Why it, or a part of it, could not be used; '' when all of it could."""
        said = [reason_of(one) for one in self.refused[:_NAMED]]
        if len(self.refused) > _NAMED:
            said.append(f"and {len(self.refused) - _NAMED} more")
        return "; ".join(said)


@dataclass
class Summary:
    """What files gave."""

    files: int = 0
    annotations: int = 0
    changed: int = 0
    #: annotations by topic
    topics: Counter[str] = field(default_factory=Counter)
    #: (file, why it or a record of it could not be used)
    refused: list[tuple[Path, str]] = field(default_factory=list)


def reason_of(one: Refused) -> str:
    """Why a record was refused, and which one it was."""
    which = "" if one.record is None else f"record {one.record}"
    return ": ".join(part for part in (", ".join(filter(None, (which, one.object_id))), one.reason) if part)


def take_messages(
    broker: str,
    messages: Iterable[tuple[bytes | None, bytes, str]],
    store: Annotates,
    *,
    may: May | None = None,
    clock: Callable[[], float] = time.time,
) -> list[Taken]:
    """Keep what a broker's messages say. Messages that come again change nothing.

    Parameters
    ----------
    broker : one of `BROKERS`
    messages : (key, value, topic) as Kafka has them, in their order
    store : where annotations are kept
    may : asked once a topic of annotations; what it refuses is refused with its text
    clock : time of arrival [s since 1970, UTC]

    Returns
    -------
    What became of each message, in their order. One that cannot be used never stops the others.

    Raises
    ------
    BadDefinition
        There is no such broker.
    StoreUnavailable
        The store cannot be written; a part of the messages may have been kept, and all may be given again.
    """
    given = ((value, Source(topic, key or b"")) for key, value, topic in messages)
    return [taken for taken, _ in _take(broker, given, store, _asked(may), clock)]


def take_files(
    broker: str,
    paths: Sequence[Path],
    store: Annotates,
    *,
    stream: str = "",
    may: May | None = None,
    clock: Callable[[], float] = time.time,
    progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Keep what files of a broker say: each is the value of a message, an Avro container, or the JSON of a reply.

    Parameters
    ----------
    broker : one of `BROKERS`
    paths : files, or folders of which all files are taken, those in folders below too; hidden ones are passed over
    store : where annotations are kept
    stream : the broker's Kafka topic they came by; else a file in a folder below one of `paths` has that folder's name
    may, clock : see `take_messages`
    progress : told how many files are done

    Returns
    -------
    Counts, and what could not be used. A file whose name (without its ending) is that of an object is the reply that
    was asked for about it.

    Raises
    ------
    BadDefinition, StoreUnavailable
        As of `take_messages`.
    """
    out = Summary()
    _adapter(broker)
    why = _asked(may)
    for batch in _batches(paths, out):
        sources = [Source(stream or below, b"", path.stem if survey_of(path.stem) else "") for path, below, _ in batch]
        values = ((value, source) for (_, _, value), source in zip(batch, sources, strict=True))
        for (path, _, _), (taken, topics) in zip(batch, _take(broker, values, store, why, clock), strict=True):
            out.files += 1
            out.annotations += taken.annotations
            out.changed += taken.changed
            out.topics.update(topics)
            out.refused += [(path, reason_of(one)) for one in taken.refused]
        progress(len(batch))
    return out


def _adapter(broker: str) -> Callable[[object, Source], Read]:
    if broker not in BROKERS:
        raise BadDefinition(f"no broker {broker!r:.40}: there are {', '.join(BROKERS)}")
    return BROKERS[broker]


def _take(
    broker: str,
    messages: Iterable[tuple[bytes, Source]],
    store: Annotates,
    why: _Why,
    clock: Callable[[], float],
) -> list[tuple[Taken, list[str]]]:
    """What became of each message, and the topics of its annotations."""
    adapter = _adapter(broker)
    good: list[Annotation] = []
    counts: list[int] = []
    refused: list[list[Refused]] = []
    for value, source in messages:
        read = _read(adapter, value, source)
        bad = list(read.refused)
        before = len(good)
        for one in read.annotations:
            if reason := why(one.topic):
                bad.append(Refused(None, one.object_id, reason))
            else:
                good.append(one)
        counts.append(len(good) - before)
        refused.append(bad)
    kept = []
    for start in range(0, len(good), MOST_A_COMMIT):
        kept += store.annotate(good[start : start + MOST_A_COMMIT], clock())
    out = []
    start = 0
    for count, bad in zip(counts, refused, strict=True):
        end = start + count
        changed = sum(one.changed for one in kept[start:end])
        out.append((Taken(count, changed, tuple(bad)), [one.topic for one in good[start:end]]))
        start = end
    return out


def _read(adapter: Callable[[object, Source], Read], value: bytes, source: Source) -> Read:
    if not value:
        return Read([], [Refused(None, source.object_id, "the message is empty")])
    try:
        return adapter(value, source)
    except Exception as err:
        # adapters raise nothing: a fault of ours, which would come again with every try and hold up all others
        log.error("a message of %s: %s: %s", source.stream or "a file", type(err).__name__, err)
        return Read([], [Refused(None, source.object_id, f"cannot be read ({type(err).__name__}: {str(err)[:200]})")])


def _asked(may: May | None) -> _Why:
    """Why annotations of a topic are not taken, '' when they are; `may` is asked once a topic."""

    @cache
    def ask(topic: str) -> str:
        if may is not None:
            try:
                may(topic)
            except StoreUnavailable:
                raise
            except LasairError as err:
                return str(err)
        return ""

    return ask


def _batches(paths: Sequence[Path], out: Summary) -> Iterator[list[tuple[Path, str, bytes]]]:
    """(file, name of the folder below the one given, content), some at a time; what cannot be read is refused."""
    batch: list[tuple[Path, str, bytes]] = []
    size = 0
    for path, below in _files(paths, out):
        try:
            value = _content(path)
        except OSError as err:
            out.refused.append((path, f"cannot be read: {err.strerror or err}"))
            continue
        except BadDefinition as err:
            out.refused.append((path, str(err)))
            continue
        if batch and (len(batch) >= _FILES or size + len(value) > _FILE_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((path, below, value))
        size += len(value)
    if batch:
        yield batch


def _files(paths: Sequence[Path], out: Summary) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if not path.is_dir():
            yield path, ""
            continue
        try:
            found = sorted(one for one in path.rglob("*") if not one.is_dir())
        except OSError as err:
            out.refused.append((path, f"cannot be read: {err.strerror or err}"))
            continue
        for one in found:
            parts = one.relative_to(path).parts
            if not any(part.startswith(".") for part in parts):
                yield one, parts[-2] if len(parts) > 1 else ""


def _content(path: Path) -> bytes:
    # a pipe would be waited for for ever
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise BadDefinition("is no file with content")
    if facts.st_size > MAX_MESSAGE_BYTES:
        raise BadDefinition(f"has {facts.st_size} bytes; {MAX_MESSAGE_BYTES} are the most")
    with path.open("rb") as file:
        return file.read(MAX_MESSAGE_BYTES + 1)
