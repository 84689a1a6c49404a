"""Watchlists that are read from a URL, once or again and again."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lasair.definitions.watchlist_file import MAX_BYTES, WatchlistFile, read_watchlist
from lasair.errors import BadDefinition, LasairError

if TYPE_CHECKING:
    from lasair.definitions.lists import ListSaid, Source

#: Longest silence of a server, and longest download [s].
SILENCE_S, DOWNLOAD_S = 60.0, 900.0

_BLOCK = 1 << 20
_LONGEST_URL = 2000
#: Bad lines that the record of a refresh names; the command line names all.
_NAMED = 5


class CannotFetch(LasairError):
    """A list cannot be had from its URL."""


def is_url(text: str) -> bool:
    """Whether this is an address of any kind rather than the name of a file."""
    return "://" in text


def read_url(url: str, *, radius_arcsec: float | None) -> WatchlistFile:
    """Read a watchlist from a URL; as `watchlist_file.read_watchlist`, but messages name the URL.

    Raises
    ------
    CannotFetch
        The server does not give it, or not within `DOWNLOAD_S`.
    BadDefinition
        The address is refused, the file is too large, or is no watchlist.
    """
    with fetched(url) as path:
        try:
            return read_watchlist(path, radius_arcsec=radius_arcsec)
        except BadDefinition as err:
            raise BadDefinition(str(err).replace(str(path), url)) from err


def refresh(source: Source, now: datetime) -> ListSaid | None:
    """Read a list again from its source; None when it was changed meanwhile.

    What fails is recorded, the list stays as it is, and the error is raised: CannotFetch, BadDefinition, and
    StoreUnavailable.
    """
    from lasair.definitions.lists import put_refreshed, record_refresh

    try:
        file = read_url(source.url, radius_arcsec=source.radius)
        if file.bad and not source.skip_bad:
            raise BadDefinition(
                f"{source.url}: {len(file.bad):,} lines cannot be used: {'; '.join(map(str, file.bad[:_NAMED]))}; "
                "'lasair watchlist add' it with --skip-bad to do without them"
            )
        return put_refreshed(source, file, now)
    except (CannotFetch, BadDefinition) as err:
        record_refresh(source.list_id, now, str(err))
        raise


@contextmanager
def fetched(url: str) -> Iterator[Path]:
    """A file with what a URL gives, for as long as it is read. Errors as `read_url`."""
    check_url(url)
    with tempfile.TemporaryDirectory(prefix="lasair-") as folder:
        path = Path(folder) / "list"
        with path.open("wb") as file:
            _download(url, file)
        yield path


def check_url(url: str) -> None:
    """Raise BadDefinition when an address is not http or https, or has a user in it, which everybody could read."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(url) > _LONGEST_URL or not url.isascii() or any(one <= " " or one == "\x7f" for one in url):
        raise BadDefinition(f"{url!r:.200} is no address that lists are read from: http:// or https:// and a host")
    if "@" in parts.netloc:
        raise BadDefinition("an address with a user or password in it is refused: it is kept and shown")


def _download(url: str, file: IO[bytes]) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "lasair-broker", "Accept-Encoding": "identity"})
    end, have = time.monotonic() + DOWNLOAD_S, 0
    try:
        with _opener(url).open(request, timeout=SILENCE_S) as reply:
            length = reply.headers.get("Content-Length")
            while block := reply.read1(_BLOCK):
                have += len(block)
                if have > MAX_BYTES:
                    raise BadDefinition(f"{url}: is too large: at most {MAX_BYTES / 1e6:g} MB are taken")
                if time.monotonic() > end:
                    raise CannotFetch(f"{url}: not all came within {DOWNLOAD_S:g} s")
                file.write(block)
    except urllib.error.HTTPError as err:
        err.close()
        raise CannotFetch(f"{url}: the server answers {err.code} {err.reason}") from err
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as err:
        raise CannotFetch(f"cannot fetch {url}: {getattr(err, 'reason', None) or err}") from err
    if length is not None and length.isdecimal() and int(length) != have:
        raise CannotFetch(f"{url}: the connection ended after {have} of {length} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to http and https only, and from the open network to nowhere inside this one."""

    def __init__(self, url: str) -> None:
        self._inside = is_inside(urlsplit(url).hostname or "")

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The next request; CannotFetch when there must be none."""
        try:
            check_url(newurl)
        except BadDefinition as err:
            raise CannotFetch(f"{req.full_url} leads to an address that is refused: {err}") from err
        if not self._inside and is_inside(urlsplit(newurl).hostname or ""):
            raise CannotFetch(f"{req.full_url} leads to {newurl}, which is an address of this network: refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def is_inside(host: str) -> bool:
    """Whether a host has an address that is not of the open network; one that is not known has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(not ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_global for one in found)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """An opener without the handlers of files, FTP and data that the usual one has."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(url),
    ):
        opener.add_handler(handler)
    return opener
