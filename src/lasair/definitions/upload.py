"""Files that people hand in: read whole, unpacked, never larger than allowed."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from lasair.errors import BadDefinition

#: Longest part of a user's line that a message repeats.
_SHOWN = 120


def read_upload(path: Path, most_bytes: int) -> bytes:
    """Content of a file; gzip is known by its first bytes and unpacked.

    Raises
    ------
    BadDefinition
        It cannot be read, or has more than `most_bytes` when unpacked.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            # one byte more tells whether there is more, however much that is
            content = gzip.GzipFile(fileobj=file).read(most_bytes + 1) if packed else file.read(most_bytes + 1)
    except EOFError as err:
        raise BadDefinition(f"{path}: ends in the middle of its compressed data; was it copied whole?") from err
    except zlib.error as err:
        raise BadDefinition(f"{path}: its compressed data are damaged: {err}") from err
    except OSError as err:
        raise BadDefinition(f"{path}: cannot be read: {err.strerror or err}") from err
    if len(content) > most_bytes:
        raise BadDefinition(f"{path}: is too large: at most {most_bytes / 1e6:g} MB (unpacked) are taken")
    return content


def text_of(path: Path, content: bytes) -> str:
    """Content as text: UTF-8, UTF-16 with its mark, else Latin-1 (which every byte has a letter in).

    Raises
    ------
    BadDefinition
        It has zero bytes, so it is no text.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as err:
            raise BadDefinition(f"{path}: is not text: {err}") from err
    if b"\0" in content:
        known = ((b"PAR1", "a Parquet file"), (b"PK", "a zip archive"), (b"\x89HDF", "an HDF5 file"))
        what = next((name for magic, name in known if content.startswith(magic)), "a binary file")
        raise BadDefinition(f"{path}: is {what}, which is not read here; write it as text (CSV), VOTable or FITS")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def shown(text: str) -> str:
    """A piece of somebody's file, fit for a message: short, without letters that a terminal obeys."""
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return "".join(
        letter if letter.isprintable() else " " if letter == "\t" else "\N{REPLACEMENT CHARACTER}" for letter in short
    )
