"""Files, plain or compressed, read once from front to end."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from lasair.catalogues.readers.table import BadSource

_COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, decompressed as its name says.

    Raises
    ------
    BadSource
        It cannot be opened.
    """
    try:
        if not path.is_file():
            raise BadSource(f"{path}: there is no such file")
        opener = _COMPRESSED.get(path.suffix.lower())
        return cast(BinaryIO, opener(path, "rb") if opener else path.open("rb"))
    except OSError as err:
        raise BadSource(f"{path}: cannot be read: {err.strerror or err}") from err


def plain_suffix(path: Path) -> str:
    """The ending of a name, in small letters, without that of a compression."""
    name = path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path
    return name.suffix.lower()


def explain(path: Path, err: Exception) -> BadSource:
    """What went wrong in the middle of a file."""
    reason = "it ends in the middle of its compressed data" if isinstance(err, EOFError) else str(err) or repr(err)
    return BadSource(f"{path}: cannot be read: {' '.join(reason.split())[:300]}")
