"""Records grouped into batches of bounded number and size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lasair.ledger.model import Position
from lasair.packets.batch import Message, Refused

_START = Position()


@dataclass
class Work:
    """Records that belong to one batch, in the order they were read."""

    messages: list[Message] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    bytes: int = 0

    def add(self, one: Message | Refused) -> None:
        if isinstance(one, Refused):
            self.refused.append(one)
            self.bytes += len(one.message.value)
        else:
            self.messages.append(one)
            self.bytes += len(one.value)

    def __len__(self) -> int:
        return len(self.messages) + len(self.refused)

    def positions(self) -> dict[str, Position]:
        """How far the partitions have been read with these records."""
        found: dict[str, Position] = {}
        for message in (*self.messages, *(one.message for one in self.refused)):
            if message.offset >= found.get(message.partition, _START).offset:
                found[message.partition] = Position(message.offset + 1, message.arrived)
        return found


def batches(records: Iterable[Message | Refused], *, most_alerts: int, most_bytes: int) -> Iterator[Work]:
    """Group records into batches of bounded number and size."""
    work = Work()
    for one in records:
        work.add(one)
        if len(work) >= most_alerts or work.bytes >= most_bytes:
            yield work
            work = Work()
    if len(work):
        yield work
