"""What is done with the messages of a feed: notices become events, brokers' messages annotations.

Each gives an `Outcome` a message. A message that cannot be used never stops the others; what it lacks is its reason. A
store that cannot be used is another matter: StoreUnavailable is raised, and no message of the batch counts as taken.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lasair.errors import LasairError, NotFound, StoreUnavailable
from lasair.feeds.source import FeedMessage
from lasair.feeds.store import Outcome, digest

if TYPE_CHECKING:
    from lasair.annotations.post import Annotates
    from lasair.events.model import Event

log = logging.getLogger(__name__)

#: Longest reason that is kept, in characters.
REASON_CHARS: Final = 1000

#: Topics that only say that the connection is alive.
_HEARTBEATS: Final = frozenset({"gcn.heartbeat"})
#: Header by which Hopskotch marks messages that are no news; any value means yes.
_TEST_HEADER: Final = "_test"
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")


def read_event_message(message: FeedMessage) -> Event:
    """The event of a notice or a map that came as a message.

    Raises
    ------
    BadDefinition
        It cannot be read; names the message.
    StoreUnavailable
        There is no room for it.
    """
    from lasair.events.read import read_event

    # a map may be named by its file
    name = Path(message.name).name or "message"
    try:
        with tempfile.TemporaryDirectory(prefix="lasair-feed-") as folder:
            path = Path(folder, name)
            path.write_bytes(message.value)
            try:
                return read_event(path)
            except LasairError as err:
                raise type(err)(str(err).replace(str(path), message.label)) from err
    except OSError as err:
        raise StoreUnavailable(
            f"a message cannot be put into {tempfile.gettempdir()} to be read: {err.strerror or err}"
        ) from err


def take_events(messages: Sequence[FeedMessage]) -> list[Outcome]:
    """Take notices as events; see `definitions.events.add_event`. `definitions.django.connect` comes first."""
    from lasair.definitions.events import add_event

    def take(message: FeedMessage) -> int:
        event = read_event_message(message)
        return int(add_event(event, digest=digest(message.value)).changed)

    return [_outcome(one, take) for one in messages]


def take_annotations(broker: str, marks: Annotates, messages: Sequence[FeedMessage]) -> list[Outcome]:
    """Take a broker's messages as annotations; see `annotations.take`. `definitions.django.connect` comes first.

    An annotator that is not there yet is made, public, for who set up the feed wants to hear it. One that was stopped
    stays so: its messages become dead letters, which can be taken when it is active again.
    """
    usable = [one for one in messages if not unusable(one) and not is_no_news(one)]
    taken = iter(_annotate(broker, marks, usable))
    return [
        next(taken) if not unusable(one) and not is_no_news(one) else _outcome(one, lambda _: 0) for one in messages
    ]


def _annotate(broker: str, marks: Annotates, messages: Sequence[FeedMessage]) -> list[Outcome]:
    from lasair.annotations.take import take_messages

    try:
        given = [(one.key, one.value, one.topic) for one in messages]
        found = take_messages(broker, given, marks, may=partial(_may, broker))
    except StoreUnavailable:
        raise
    except Exception as err:
        if len(messages) > 1:  # a fault that one of them brings out must not be that of the others
            return [outcome for one in messages for outcome in _annotate(broker, marks, [one])]
        return [Outcome(one, 0, _fault(one, err)) for one in messages]
    return [
        Outcome(one, taken.changed, plain_reason(taken.reason) if taken.refused else "")
        for one, taken in zip(messages, found, strict=True)
    ]


def _may(broker: str, topic: str) -> None:
    """Raise NotPermitted when the annotator of a topic is stopped; make it when it is not there."""
    from lasair.definitions.people import add_annotator, annotator_for

    try:
        annotator_for(topic)
    except NotFound:
        add_annotator(topic, public=True, description=f"Messages of the broker {broker}.")


def unusable(message: FeedMessage) -> str:
    """Why nothing can be done with a message whatever it is, or ''."""
    return message.problem or ("" if message.value else "is empty")


def is_no_news(message: FeedMessage) -> bool:
    """Whether it is no news, but a test or a sign of life."""
    return message.topic in _HEARTBEATS or any(name == _TEST_HEADER for name, _ in message.headers)


def plain_reason(text: str) -> str:
    """A reason in one line that can be shown anywhere."""
    return _UNPRINTABLE.sub(" ", text).strip()[:REASON_CHARS] or "no reason is known"


def _outcome(message: FeedMessage, take: Callable[[FeedMessage], int]) -> Outcome:
    if reason := unusable(message):
        return Outcome(message, 0, plain_reason(reason))
    if is_no_news(message):
        return Outcome(message)
    try:
        return Outcome(message, take(message))
    except StoreUnavailable:
        raise
    except Exception as err:
        return Outcome(message, 0, _fault(message, err))


def _fault(message: FeedMessage, err: Exception) -> str:
    """The reason of a message that brings out an error, which may be a fault of ours.

    A fault too makes a dead letter: it would come again with every try, and hold up all messages behind this one.
    """
    if isinstance(err, LasairError):
        return plain_reason(str(err).removeprefix(f"{message.label}: "))
    log.error(f"{message.label}: {type(err).__name__}: {err}")
    return plain_reason(f"{type(err).__name__}: {err}")
