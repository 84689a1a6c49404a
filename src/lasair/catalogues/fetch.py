"""Fetch the file of a catalogue: goes on where an interrupted download stopped, and checks what came."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lasair.errors import LasairError, StoreUnavailable

Progress = Callable[[str, int, int | None], None]

_BLOCK = 1 << 20
_TIMEOUT_S = 60.0
_AGENT = "lasair-broker"


class CannotFetch(LasairError):
    """A file cannot be had from where a description says it is; what has come of it is kept for the next try."""


def fetch(
    url: str,
    folder: Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Path:
    """Fetch a file into a folder, or go on with one that was interrupted. One that is there is not fetched again.

    Parameters
    ----------
    sha256 : what the file must have
    progress : called with 'fetch', bytes here and bytes in all, when known
    timeout_s : longest silence of the server

    Raises
    ------
    CannotFetch
        The network or the server does not give it, or it is not what it should be.
    StoreUnavailable
        The folder cannot be written.
    """
    name = file_name(url)
    if name is None:
        raise CannotFetch(f"{url} is no single file: get its files by other means, and give them with --source")
    target, part, note = folder / name, folder / f"{name}.part", folder / f"{name}.part.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not target.is_file():
            _download(url, part, note, progress, timeout_s)
            check_hash(part, sha256, url, remove=True)
            part.replace(target)
            note.unlink(missing_ok=True)
        else:
            check_hash(target, sha256, url, remove=False)
    except CannotFetch:
        raise
    except OSError as err:
        raise StoreUnavailable(f"cannot write {target}: {err.strerror or err}") from err
    return target


def file_name(url: str) -> str | None:
    """Name of the file that a URL gives; None when it is a folder."""
    parts = urlsplit(url)
    last = re.sub(r"[^A-Za-z0-9._-]+", "_", unquote(parts.path.rsplit("/", 1)[-1])).lstrip(".")
    if parts.query:  # the answer to a question: no name tells two of them apart
        digest = hashlib.sha256(url.encode()).hexdigest()[:12]
        return f"{last or 'file'}-{digest}"
    return last or None


def check_hash(path: Path, sha256: str | None, source: str, *, remove: bool = False) -> None:
    """Compare the SHA-256 of a file with what it must be, if anything.

    Raises
    ------
    CannotFetch
        It is another one.
    """
    if sha256 is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != sha256.lower():
        if remove:
            path.unlink()
        raise CannotFetch(
            f"{source} is not the file that the description means: its SHA-256 is {digest.hexdigest()}, not {sha256}"
        )


def _download(url: str, part: Path, note: Path, progress: Progress | None, timeout_s: float) -> None:
    have = part.stat().st_size if part.is_file() else 0
    mark = _mark(note, url) if have else None
    if have and mark is None:
        have = 0  # without a mark of the server two halves might be of different files
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if have and mark:
        headers |= {"Range": f"bytes={have}-", "If-Range": mark}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout_s) as reply:
            status = getattr(reply, "status", 200) or 200
            if "text/html" in str(reply.headers.get("Content-Type", "")).lower():
                raise CannotFetch(f"{url} answers with a web page: get the file by hand, and give it with --source")
            if status != 206:
                have = 0
            length = reply.headers.get("Content-Length")
            total = have + int(length) if length and length.isdecimal() else None
            found = reply.headers.get("ETag") or reply.headers.get("Last-Modified")
            if found and not found.startswith("W/"):
                note.write_text(json.dumps({"url": url, "mark": found}))
            else:
                note.unlink(missing_ok=True)
            with part.open("ab" if have else "wb") as file:
                while block := reply.read(_BLOCK):
                    file.write(block)
                    have += len(block)
                    if progress:
                        progress("fetch", have, total)
    except urllib.error.HTTPError as err:
        err.close()
        if err.code == 416:
            part.unlink(missing_ok=True)
            raise CannotFetch(f"{url}: the part that is here does not fit any more; it was removed: try again") from err
        raise CannotFetch(f"{url}: the server answers {err.code} {err.reason}") from err
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as err:
        reason = getattr(err, "reason", None) or err
        raise CannotFetch(
            f"cannot fetch {url}: {reason}; without a network, get the file elsewhere and give it with --source"
        ) from err
    if total is not None and have != total:
        raise CannotFetch(f"{url}: the connection ended after {have} of {total} bytes; try again to go on from there")


def _mark(note: Path, url: str) -> str | None:
    """The server's mark (ETag or date) of the file that a part is of."""
    try:
        found: Any = json.loads(note.read_text())
    except (OSError, ValueError):
        return None
    return str(found["mark"]) if isinstance(found, dict) and found.get("url") == url and found.get("mark") else None
