"""The seam between where messages come from and what is done with them.

A feed hands out messages in batches and is told when a batch was taken. Whatever was handed out and not committed comes
again, in this run or the next: at least once. So what takes messages must not mind seeing them twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

from lasair.errors import LasairError

#: Most bytes of messages in a batch; a batch has one message at least.
BATCH_BYTES: Final = 64_000_000


class FeedUnavailable(LasairError):
    """What a feed reads from cannot be reached or refuses us; nothing of it was lost."""


class FeedMessage(NamedTuple):
    """One message as it came."""

    #: Kafka's topic; of a file the name of the folder that it lies in below the feed's own, or ''
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    #: when it was written [s since 1970, UTC]
    when: float
    headers: tuple[tuple[str, bytes], ...] = ()
    #: the file it came in, below the feed's folder; '' when it came by Kafka
    name: str = ""
    #: why there is no value, '' when there is
    problem: str = ""

    @property
    def label(self) -> str:
        """What messages to people call it."""
        return self.name or f"{self.topic}[{self.partition}] offset {self.offset}"


class Feed(Protocol):
    """Where messages come from. One thread uses it."""

    def batches(self, stop: threading.Event, *, once: bool) -> Iterator[list[FeedMessage]]:
        """Batches of messages, none of them empty, until `stop` is set.

        Parameters
        ----------
        once : end when all that is there now was handed out

        Raises
        ------
        FeedUnavailable
            There is nothing to read from. With `once` false only what time cannot mend is raised: others are waited
            for, and logged.
        """
        ...

    def commit(self) -> None:
        """The batch handed out last was taken: it need not come again."""
        ...

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait with a batch in hand, and stay known to the source as alive."""
        ...

    def look(self) -> dict[str, Any]:
        """Connect and say what is there, as JSON takes it; takes nothing.

        Raises
        ------
        FeedUnavailable
            It cannot be reached.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
