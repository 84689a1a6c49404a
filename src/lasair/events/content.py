"""Content of files from anywhere: unpacked as it is read, and never more than allowed."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lasair.errors import BadDefinition

#: Most bytes of a sky map, and of a notice with the map inside, unpacked.
MAX_MAP_BYTES, MAX_NOTICE_BYTES = 1_000_000_000, 100_000_000
_PIECE = 1 << 22


class Content:
    """Bytes read from front to end.

    Parameters
    ----------
    file : of bytes; gzip is known by its first bytes and unpacked
    label : what to call it in messages
    """

    def __init__(self, file: BinaryIO, label: str) -> None:
        self.label = label
        self._taken, self._ahead = 0, b""
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._file: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=file) if packed else file

    @classmethod
    def of(cls, content: bytes, label: str) -> Content:
        """Content that is in memory."""
        return cls(io.BytesIO(content), label)

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay to be read."""
        if len(self._ahead) < size:
            self._ahead += self._pull(size - len(self._ahead))
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end.

        Raises
        ------
        BadDefinition
            They cannot be read or unpacked, or it is more than a sky map may have.
        """
        head, self._ahead = self._ahead[:size], self._ahead[size:]
        rest = self._pull(size - len(head)) if len(head) < size else b""
        return head + rest if head else rest

    def read_all(self, most: int) -> bytes:
        """Everything that is left.

        Raises
        ------
        BadDefinition
            As of `read`, or it is more than `most`.
        """
        content = self.read(most + 1)
        if len(content) > most:
            raise BadDefinition(f"{self.label}: is too large: at most {most / 1e6:g} MB (unpacked) are taken")
        return content

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        while size > 0:
            found = len(self.read(min(size, _PIECE)))
            if not found:
                return
            size -= found

    def _pull(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            try:
                part = self._file.read(min(size, _PIECE))
            except EOFError as err:
                raise BadDefinition(
                    f"{self.label}: ends in the middle of its compressed data; was it copied whole?"
                ) from err
            except zlib.error as err:
                raise BadDefinition(f"{self.label}: its compressed data are damaged: {err}") from err
            except OSError as err:
                raise BadDefinition(f"{self.label}: cannot be read: {err.strerror or err}") from err
            if not part:
                break
            size -= len(part)
            self._taken += len(part)
            if self._taken > MAX_MAP_BYTES:
                raise BadDefinition(
                    f"{self.label}: is too large: at most {MAX_MAP_BYTES / 1e9:g} GB (unpacked) are taken"
                )
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def open_content(path: Path) -> Iterator[Content]:
    """Open a file.

    Raises
    ------
    BadDefinition
        It cannot be read.
    """
    try:
        file = path.open("rb")
    except (OSError, ValueError) as err:
        raise BadDefinition(f"{path}: cannot be read: {getattr(err, 'strerror', None) or err}") from err
    with file:
        try:
            content = Content(file, str(path))
        except OSError as err:
            raise BadDefinition(f"{path}: cannot be read: {err.strerror or err}") from err
        yield content
