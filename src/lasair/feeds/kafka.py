"""A feed of Kafka topics, read with librdkafka. Needs the package confluent-kafka (extra `cluster`)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from lasair.errors import BadDefinition
from lasair.feeds.source import BATCH_BYTES, FeedMessage, FeedUnavailable

log = logging.getLogger(__name__)

#: Options that say when a message counts as taken, and where librdkafka reports: ours, since they decide what is lost.
OURS: Final = frozenset(
    {"enable.auto.commit", "enable.auto.offset.store", "enable.partition.eof", "go.application.rebalance.enable"}
)
_DEFAULTS: Final = {
    "auto.offset.reset": "earliest",
    "client.id": "lasair",
    # matching stored objects with a large map may take minutes, in which nothing is read
    "max.poll.interval.ms": 3_600_000,
    "session.timeout.ms": 45_000,
    # what is read ahead and waits in memory
    "queued.max.messages.kbytes": 65_536,
    "reconnect.backoff.max.ms": 30_000,
}
#: The same trouble is logged once in this time [s].
_QUIET_S: Final = 60.0
#: Longest wait for a broker when it is read once, or looked at [s].
_PATIENCE_S: Final = 30.0
#: A batch is handed out when nothing came for so long [s].
_PAUSE_S: Final = 0.2


def kafka_library() -> ModuleType:
    """The package confluent_kafka.

    Raises
    ------
    BadDefinition
        It is not installed; says how to.
    """
    try:
        import confluent_kafka
    except ImportError as err:
        raise BadDefinition(
            "a feed by Kafka needs the package confluent-kafka: pip install 'lasair-broker[cluster]'"
        ) from err
    return confluent_kafka


class KafkaFeed:
    """The messages of topics, as one member of a consumer group whose offsets the broker keeps.

    A broker that is away or refuses us is tried again for as long as it takes. When the group divides the partitions
    anew, what was not committed comes again, here or at another member.

    Parameters
    ----------
    topics : names, or regular expressions that begin with ^
    options : librdkafka's, with `bootstrap.servers` and `group.id`
    secrets : values of options that no message may show
    """

    def __init__(
        self,
        feed: str,
        topics: Sequence[str],
        options: Mapping[str, str | int | float | bool],
        *,
        batch: int = 500,
        secrets: Sequence[str] = (),
    ) -> None:
        self._kafka = kafka_library()
        self._feed, self._topics, self._batch = feed, list(topics), batch
        self._secrets = [one for one in secrets if one]
        #: (topic, partition) -> offset after the last message handed out, and of what the broker has not confirmed yet
        self._in_hand: dict[tuple[str, int], int] = {}
        self._unconfirmed: dict[tuple[str, int], int] = {}
        self._assigned: set[tuple[str, int]] | None = None
        self._at_end: set[tuple[str, int]] = set()
        self._complaints: dict[str, float] = {}
        self._fatal = ""
        #: what was told last of the connection, until messages come again
        self._trouble = ""
        try:
            self._consumer = self._kafka.Consumer(
                {
                    **_DEFAULTS,
                    **options,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "enable.partition.eof": True,
                    "error_cb": self._on_error,
                    "on_commit": self._on_commit,
                },
                logger=_librdkafka_log(feed, self._hide),
            )
        except (self._kafka.KafkaException, TypeError, ValueError) as err:
            raise BadDefinition(f"feed {feed}: {self._hide(_text(err))}") from None

    def batches(self, stop: threading.Event, *, once: bool) -> Iterator[list[FeedMessage]]:
        """See `Feed`."""
        if once:
            # else an address where nobody answers would look like topics without messages
            self._metadata()
        self._consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke,
                                 on_lost=self._on_revoke)  # fmt: skip
        since = time.monotonic()
        while not stop.is_set():
            batch = self._gather(stop)
            if self._fatal:
                raise FeedUnavailable(f"feed {self._feed}: {self._fatal}")
            if batch:
                since = time.monotonic()
                self._trouble = ""
                yield batch
            elif once:
                if self._assigned is not None and self._assigned <= self._at_end:
                    return
                if time.monotonic() - since > _PATIENCE_S:
                    if self._trouble:
                        raise FeedUnavailable(f"feed {self._feed}: {self._trouble}")
                    if self._assigned is None:
                        log.warning(f"feed {self._feed}: the broker has none of its topics, or does not show them")
                        return

    def _gather(self, stop: threading.Event) -> list[FeedMessage]:
        """What is there, up to a batch; waits up to a second for the first message."""
        batch: list[FeedMessage] = []
        size, wait = 0, 1.0
        while len(batch) < self._batch and size < BATCH_BYTES and not stop.is_set():
            try:
                found = self._consumer.poll(wait)
            except self._kafka.KafkaException as err:
                self._note(err.args[0])
                break
            if found is None:
                break
            error = found.error()
            if error is None:
                message = _message(found)
                batch.append(message)
                size += len(message.value) + len(message.key or b"")
                self._in_hand[message.topic, message.partition] = message.offset + 1
                wait = _PAUSE_S
            elif error.code() == self._kafka.KafkaError._PARTITION_EOF:
                self._at_end.add((found.topic(), found.partition()))
            else:
                self._note(error)
        return batch

    def commit(self) -> None:
        """See `Feed`. The broker confirms later; what it cannot is committed with the next batch."""
        self._unconfirmed |= self._in_hand
        self._in_hand = {}
        ours = self._assigned or set()
        # what another member reads now is its to commit: older offsets of ours would set it back
        self._unconfirmed = {place: offset for place, offset in self._unconfirmed.items() if place in ours}
        if not self._unconfirmed:
            return
        offsets = [self._kafka.TopicPartition(*place, offset) for place, offset in self._unconfirmed.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except self._kafka.KafkaException as err:
            self._note(err.args[0])

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """See `Feed`. librdkafka's own threads keep the member alive, for as long as max.poll.interval.ms."""
        stop.wait(seconds)

    def look(self) -> dict[str, Any]:
        """See `Feed`."""
        seen = self._metadata()
        mine = {name: facts for name, facts in seen.topics.items() if any(_named(name, one) for one in self._topics)}
        waiting: dict[str, int] = {}
        for name, facts in sorted(mine.items()):
            places = [self._kafka.TopicPartition(name, number) for number in facts.partitions]
            try:
                places = self._consumer.committed(places, timeout=_PATIENCE_S)
                waiting[name] = sum(self._waiting(one) for one in places)
            except self._kafka.KafkaException as err:
                self._note(err.args[0])
        return {
            "broker": ", ".join(f"{one.host}:{one.port}" for one in seen.brokers.values()),
            "topics_seen": len(seen.topics),
            "topics": waiting,
            "waiting": sum(waiting.values()),
            "missing": sorted(one for one in self._topics if not any(_named(name, one) for name in mine)),
            **({"trouble": self._trouble} if self._trouble else {}),
        }

    def _waiting(self, place: Any) -> int:
        if place.error is not None:
            raise self._kafka.KafkaException(place.error)
        low, high = self._consumer.get_watermark_offsets(place, timeout=_PATIENCE_S)
        return int(high - max(low, place.offset if place.offset >= 0 else low))

    def close(self) -> None:
        """See `Feed`. Waits for the broker to confirm what was committed, unless it is away."""
        self._consumer.close()

    def _metadata(self) -> Any:
        """What the broker shows; FeedUnavailable with the reason when it does not answer."""
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._consumer.list_topics(timeout=2)
            except self._kafka.KafkaException as err:
                self._consumer.poll(0)  # the reason comes by the callback
                if time.monotonic() > end or self._trouble:
                    reason = self._trouble or self._hide(_text(err))
                    raise FeedUnavailable(f"feed {self._feed}: the broker cannot be used: {reason}") from None

    def _on_assign(self, _: Any, places: Sequence[Any]) -> None:
        self._assigned = (self._assigned or set()) | {(one.topic, one.partition) for one in places}
        log.info(f"feed {self._feed}: reads {len(self._assigned)} partitions")

    def _on_revoke(self, _: Any, places: Sequence[Any]) -> None:
        gone = {(one.topic, one.partition) for one in places}
        self._assigned = (self._assigned or set()) - gone
        self._at_end -= gone

    def _on_commit(self, error: Any, places: Sequence[Any]) -> None:
        if error is not None:
            # a group that is being divided anew, a broker that is away: the next commit says it again
            self._note(error)
            return
        for one in places:
            place = (one.topic, one.partition)
            if one.error is None and self._unconfirmed.get(place) == one.offset:
                del self._unconfirmed[place]

    def _on_error(self, error: Any) -> None:
        self._note(error)

    def _note(self, error: Any) -> None:
        text = self._hide(error.str())
        if error.fatal():
            self._fatal = text
        # a member that was thrown out or a group that is being divided anew: librdkafka joins again by itself
        code = self._kafka.KafkaError
        usual = (code.REBALANCE_IN_PROGRESS, code.ILLEGAL_GENERATION, code.UNKNOWN_MEMBER_ID, code._NO_OFFSET)
        if error.code() in usual:
            log.debug(f"feed {self._feed}: {text}")
            return
        self._trouble = text
        now = time.monotonic()
        if now >= self._complaints.get(error.name(), 0.0):
            self._complaints[error.name()] = now + _QUIET_S
            log.warning(f"feed {self._feed}: {text}; trying again")

    def _hide(self, text: str) -> str:
        for one in self._secrets:
            text = text.replace(one, "***")
        return text


def _named(name: str, wanted: str) -> bool:
    """Whether a topic is one that is asked for, by its name or a regular expression."""
    import re

    return bool(re.search(wanted, name)) if wanted.startswith("^") else name == wanted


def _message(found: Any) -> FeedMessage:
    kind, stamp = found.timestamp()
    headers = tuple((str(name), bytes(value or b"")) for name, value in found.headers() or ())
    return FeedMessage(
        found.topic(),
        found.partition(),
        found.offset(),
        found.key(),
        found.value() or b"",
        stamp / 1000.0 if kind else time.time(),
        headers,
    )


def _text(err: Exception) -> str:
    first = err.args[0] if err.args else err
    return str(first.str()) if hasattr(first, "str") else str(first)


def _librdkafka_log(feed: str, hide: Callable[[str], str]) -> logging.Logger:
    """Where librdkafka's own lines go: debug, since what matters of them comes as an error too."""
    found = logging.getLogger(f"{__name__}.librdkafka.{feed}")
    found.setLevel(logging.DEBUG)

    def quiet(record: logging.LogRecord) -> bool:
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        record.msg, record.args = hide(record.getMessage()), ()
        return logging.getLogger("lasair").isEnabledFor(logging.DEBUG)

    found.filters[:] = [quiet]
    return found
