"""Alert packets from files and folders, one message a record, damaged files included."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lasair.errors import BadPacket
from lasair.packets import walk
from lasair.packets.batch import Message, Refused
from lasair.packets.containers import (
    MAGIC,
    MAX_BLOCK_BYTES,
    MAX_HEADER_BYTES,
    SYNC_SIZE,
    Header,
    read_header,
    read_varint,
    unpack,
)

#: a `.bin` file holds one Kafka message, and brokers allow 10 MB
MAX_MESSAGE_BYTES = 64 * 2**20
#: of what cannot be read, so much is kept for whoever looks into it
_EVIDENCE_BYTES = 2**20
_FIRST_READ = 64 * 2**10
SUFFIXES = (".avro", ".bin")


def packet_files(paths: Path | str | Iterable[Path | str]) -> Iterator[Path]:
    """The packet files in files and folders (recursively), in name order; a named file counts whatever its suffix."""
    for path in [paths] if isinstance(paths, str | Path) else paths:
        path = Path(path)
        if not path.is_dir():
            yield path
            continue
        yield from sorted(found for found in path.rglob("*") if found.suffix in SUFFIXES and found.is_file())


def read_messages(
    paths: Path | str | Iterable[Path | str],
    *,
    start: Callable[[str], int] = lambda partition: 0,
    arrived: float | None = None,
) -> Iterator[Message | Refused]:
    """The records of packet files: a `.bin` file is one message of LSST's framing, an Avro container holds many.

    A record of a container comes as its bare datum with the compiled writer's schema. The partition is the file's
    path, the offset the record's number in it. What is damaged comes as `Refused` and takes one number; after it the
    container's next block is looked for.

    Parameters
    ----------
    paths
        Files or folders.
    start
        First offset wanted of a partition.
    arrived
        Time of arrival to write on the messages (UTC, seconds since 1970), by default the time of reading.
    """
    for path in packet_files(paths):
        partition = str(path)
        first = start(partition)
        when = time.time() if arrived is None else arrived
        offset = 0
        try:
            with path.open("rb") as file:
                for one in _records(file, partition, when, first):
                    at = (one.message if isinstance(one, Refused) else one).offset
                    if at >= first:
                        yield one
                    offset = at + 1
        except OSError as err:
            if offset >= first:
                message = Message(b"", partition, offset, when)
                yield Refused(message, f"the file cannot be read: {err.strerror or err}")


def _records(file: BinaryIO, partition: str, arrived: float, first: int) -> Iterator[Message | Refused]:
    head = file.read(_FIRST_READ)
    if head[:4] == MAGIC:
        yield from _Container(file, head, partition, arrived, first).records()
        return
    value = head + file.read(MAX_MESSAGE_BYTES + 1)
    message = Message(value, partition, 0, arrived)
    evidence = message._replace(value=value[:_EVIDENCE_BYTES])
    if not value:
        yield Refused(evidence, "the file is empty")
    elif len(value) > MAX_MESSAGE_BYTES:
        yield Refused(evidence, f"a message of more than {MAX_MESSAGE_BYTES >> 20} MB")
    elif partition.endswith(".avro"):
        yield Refused(evidence, "not an Avro container (it does not begin with 'Obj' and 1)")
    else:
        yield message


class _Container:
    """One container file, read block by block."""

    def __init__(self, file: BinaryIO, head: bytes, partition: str, arrived: float, first: int) -> None:
        self.file = file
        self.head = head
        self.partition = partition
        self.arrived = arrived
        self.first = first
        self.offset = 0
        self.size = os.fstat(file.fileno()).st_size

    def _refused(self, value: bytes | memoryview, reason: str) -> Refused:
        message = Message(bytes(value[:_EVIDENCE_BYTES]), self.partition, self.offset, self.arrived)
        self.offset += 1
        return Refused(message, reason)

    def _header(self) -> Header:
        """Read as much as the header needs; BadPacket when it is damaged."""
        while True:
            try:
                return read_header(self.head)
            except BadPacket:
                more = self.file.read(len(self.head)) if len(self.head) < MAX_HEADER_BYTES else b""
                if not more:
                    raise
                self.head += more

    def records(self) -> Iterator[Message | Refused]:
        try:
            header = self._header()
        except BadPacket as err:
            yield self._refused(self.head, str(err))
            return
        self.file.seek(header.end)
        while (at := self.file.tell()) < self.size:
            try:
                count, size, start = self._block_head(at)
            except BadPacket as err:
                yield self._refused(self._peek(at), str(err))
                if not self._resync(at, header.sync):
                    return
                continue
            if start + size + SYNC_SIZE > self.size:
                yield from self._cut_off(header, count, start)
                if not self._resync(start, header.sync):
                    return
                continue
            # every block takes as many numbers as it says it has records, good or bad: a later run, which skips blocks,
            # must count alike
            behind = self.offset + count
            if behind <= self.first and self._sync_at(start + size) == header.sync:
                self.offset = behind
                continue
            self.file.seek(start)
            block = self.file.read(size)
            if self.file.read(SYNC_SIZE) != header.sync:
                yield self._refused(block, "a block of the container is damaged: no sync marker behind it")
                if self._is_block(start + size + SYNC_SIZE, header.sync):
                    # only the marker was hit, or what lies between: its size was right
                    self.offset = behind
                    self.file.seek(start + size + SYNC_SIZE)
                elif not self._resync(start, header.sync):
                    return
                continue
            try:
                plain = unpack(block, header.codec)
            except BadPacket as err:
                yield self._refused(block, str(err))
                self.offset = behind
                continue
            yield from self._split(header, plain, count)
            self.offset = behind

    def _block_head(self, at: int) -> tuple[int, int, int]:
        """(records, bytes, where they begin) of the block at this place."""
        head = self._peek(at, 20)
        count, pos = read_varint(head, 0)
        size, pos = read_varint(head, pos)
        if not 0 < count <= MAX_BLOCK_BYTES or not 0 < size <= MAX_BLOCK_BYTES:
            raise BadPacket("a block of the container has an impossible size")
        return count, size, at + pos

    def _is_block(self, at: int, sync: bytes) -> bool:
        """Whether a block begins here, judged by the marker behind it."""
        try:
            _, size, start = self._block_head(at)
        except BadPacket:
            return False
        return self._sync_at(start + size) == sync

    def _peek(self, at: int, size: int = _EVIDENCE_BYTES) -> bytes:
        self.file.seek(at)
        return self.file.read(size)

    def _sync_at(self, at: int) -> bytes:
        self.file.seek(at)
        return self.file.read(SYNC_SIZE)

    def _resync(self, at: int, sync: bytes) -> bool:
        """Go behind the next sync marker after `at`; False when there is none."""
        self.file.seek(at)
        kept = b""
        while chunk := self.file.read(2**20):
            data = kept + chunk
            found = data.find(sync)
            if found >= 0:
                self.file.seek(found + SYNC_SIZE - len(data), io.SEEK_CUR)
                return True
            kept = data[-SYNC_SIZE + 1 :]
        return False

    def _cut_off(self, header: Header, count: int, start: int) -> Iterator[Message | Refused]:
        """What is whole of a block that reaches beyond the end of the file."""
        rest = self._peek(start, MAX_BLOCK_BYTES)
        reason = "the container ends within a block"
        if header.codec != "null":
            yield self._refused(rest, reason)
        else:
            yield from self._split(header, rest, count, reason)

    def _split(
        self, header: Header, plain: bytes | memoryview, count: int, reason: str = ""
    ) -> Iterator[Message | Refused]:
        """Messages of a block's records; from the first that cannot be walked on, the rest is refused as one."""
        if count == 1 and not reason:
            # the decoder finds out whether it is good: no need to walk it twice
            yield Message(bytes(plain), self.partition, self.offset, self.arrived, header.schema)
            self.offset += 1
            return
        data = bytes(plain)
        # even the smallest record has a byte: the count of a damaged block must not make a huge array
        ends = np.empty(min(count, len(data)), np.int64)
        address = walk.address_of(data)
        good = int(walk.split(header.schema.skipping.ops, address, address + len(data), len(ends), ends))
        behind = int(ends[good - 1]) if good else 0
        wrong = reason or "a record of the container is damaged"
        if good == count and behind < len(data):
            # the last record may be damaged and only look whole
            good -= 1
            wrong = reason or "a block of the container has more bytes than records"
        start = 0
        for end in ends[:good].tolist():
            yield Message(data[start:end], self.partition, self.offset, self.arrived, header.schema)
            self.offset += 1
            start = end
        if good < count:
            yield self._refused(data[start:], wrong)
