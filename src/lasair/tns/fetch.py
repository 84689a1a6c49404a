"""Files of the Transient Name Server over the network. Faults that pass are tried again; nothing waits without end."""

from __future__ import annotations

import http.client
import ipaddress
import json
import math
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from lasair.definitions.upload import shown
from lasair.errors import BadDefinition, LasairError
from lasair.tns.layout import MAX_PACKED_BYTES, BadTnsFile, DamagedTnsFile, TnsFile, read_tns

_BLOCK = 1 << 16
#: Longest silence of the server, and longest time for one file [s].
SILENCE_S = 60.0
LONGEST_S = 900.0
#: Times that a file is asked for, and pauses between: doubled each time, and never longer than the limit of requests
#: needs, which TNS counts by the minute [s].
TRIES = 4
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 120.0
_HINT = "check tns_api_key, tns_bot_id and tns_bot_name, which TNS shows on the page of your bot"


class TnsUnavailable(LasairError):
    """TNS does not give a file. What was taken in before stays.

    `for_all` says that other files would fare no better.
    """

    def __init__(self, message: str, *, for_all: bool = False) -> None:
        super().__init__(message)
        self.for_all = for_all


@dataclass(frozen=True)
class Credentials:
    """What TNS wants to know of who asks: the key, the number and the name of a bot registered there."""

    api_key: str = field(default="", repr=False)
    bot_id: int = 0
    bot_name: str = ""

    @property
    def user_agent(self) -> str:
        """The header User-Agent by which TNS knows a bot."""
        bot = {"tns_id": self.bot_id, "type": "bot", "name": self.bot_name}
        return f"tns_marker{json.dumps(bot, separators=(',', ':'))}"


class TnsServer:
    """A server with TNS's files.

    Parameters
    ----------
    base_url : address of the folder
    credentials : sent with every request
    silence_s, longest_s : longest silence of the server, and longest time for one file [s]
    tries : times that a file is asked for when the fault may pass
    sleep : waits some seconds

    Raises
    ------
    BadDefinition
        The address is none, or the credentials would go over the network for all to read, or are missing.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        silence_s: float = SILENCE_S,
        longest_s: float = LONGEST_S,
        tries: int = TRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        _check(base_url, credentials)
        self._base = base_url
        self._credentials = credentials
        self._silence_s = silence_s
        self._longest_s = longest_s
        self._tries = tries
        self._sleep = sleep
        context = ssl.create_default_context()
        self._opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))

    def get(self, name: str) -> TnsFile | None:
        """A file by its name; None when the server has none.

        Raises
        ------
        TnsUnavailable
            The server or the network does not give it, also not after some tries; names the address and the reason.
        BadTnsFile
            What came is not in TNS's layout.
        """
        url = urllib.parse.urljoin(self._base if self._base.endswith("/") else f"{self._base}/", name)
        pause = _FIRST_PAUSE_S
        for tried in range(1, self._tries + 1):
            try:
                content = self._once(url)
                return None if content is None else _read(content, url)
            except _Passing as fault:
                if tried == self._tries:
                    raise TnsUnavailable(
                        f"{url}: {fault} (asked {tried} times); run 'lasair tns update' again later",
                        for_all=fault.for_all,
                    ) from fault
                self._sleep(pause if fault.wait_s is None else fault.wait_s)
                pause *= 2
        raise AssertionError("a file is asked for at least once")

    def _once(self, url: str) -> bytes | None:
        form = urllib.parse.urlencode({"api_key": self._credentials.api_key}).encode()
        headers = {"User-Agent": self._credentials.user_agent, "Accept-Encoding": "identity"}
        request = urllib.request.Request(url, form, headers, method="POST")
        until = time.monotonic() + self._longest_s
        try:
            with self._opener.open(request, timeout=self._silence_s) as reply:
                return self._body(reply, url, until)
        except urllib.error.HTTPError as err:
            with err:
                if err.code == 404:
                    return None
                raise _refusal(err.code, err.reason, err.headers, url) from err
        except urllib.error.URLError as err:
            if isinstance(err.reason, ssl.SSLError):
                raise TnsUnavailable(f"{url}: no safe connection: {err.reason}", for_all=True) from err
            raise _Passing(f"cannot be reached: {err.reason}", for_all=True) from err
        except TimeoutError as err:
            raise _Passing(f"no answer in {self._silence_s:g} s", for_all=True) from err
        except (http.client.HTTPException, OSError) as err:
            raise _Passing(f"the connection broke: {err or type(err).__name__}") from err
        except ValueError as err:  # a host that is no name
            raise TnsUnavailable(f"{url}: cannot be asked: {err}", for_all=True) from err

    def _body(self, reply: Any, url: str, until: float) -> bytes:
        stated = reply.headers.get("Content-Length") or ""
        length = int(stated) if stated.isdecimal() and len(stated) < 19 else None
        content = bytearray()
        while block := reply.read1(_BLOCK):
            content += block
            if max(len(content), length or 0) > MAX_PACKED_BYTES:
                raise BadTnsFile(f"{url}: is refused: more than {MAX_PACKED_BYTES / 1e6:g} MB, which TNS has not")
            if time.monotonic() > until:
                raise _Passing(f"only {len(content):,} bytes came in {self._longest_s:g} s", for_all=True)
        if length is not None and len(content) != length:
            raise _Passing(f"the connection ended after {len(content):,} of {length:,} bytes")
        return bytes(content)


class _Passing(Exception):
    """A fault that may have passed when one asks again, after so many seconds if the server says."""

    def __init__(self, message: str, *, wait_s: float | None = None, for_all: bool = False) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        self.for_all = for_all


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """TNS sends nobody elsewhere but to its page to log in; and the key is for no other server."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _refusal(code: int, reason: str, headers: Message, url: str) -> Exception:
    """What an answer other than 200 and 404 means."""
    if 300 <= code < 400:
        to = urllib.parse.urlsplit(str(headers.get("Location", ""))[:500])
        where = f"{to.scheme}://{to.netloc}" if to.netloc else to.path or "nowhere"
        return TnsUnavailable(
            f"{url}: sends one on to {shown(where)} ({code}), which is not followed, since the key is not for others:"
            f" {_HINT}",
            for_all=True,
        )
    limited = _limit_reset(headers)
    if code == 429 or (code == 403 and limited is not None):
        wait_s = _LONGEST_PAUSE_S / 2 if limited is None else limited
        if wait_s > _LONGEST_PAUSE_S:
            return TnsUnavailable(f"{url}: too many requests ({code}): ask again in {wait_s:.0f} s", for_all=True)
        return _Passing(f"too many requests ({code})", wait_s=wait_s, for_all=True)
    if code in (401, 403):
        return TnsUnavailable(f"{url}: TNS does not accept who asks ({code} {shown(reason)}): {_HINT}", for_all=True)
    if code >= 500 or code == 408:
        return _Passing(f"the server answers {code} {shown(reason)}")
    return TnsUnavailable(f"{url}: the server answers {code} {shown(reason)}")


def _limit_reset(headers: Mapping[str, str] | Message) -> float | None:
    """Seconds until one may ask again, and one more; None when the answer is not about a limit."""
    for name in ("x-rate-limit-reset", "x-cone-rate-limit-reset", "Retry-After"):
        try:
            seconds = float(headers.get(name) or "")
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(seconds, 0.0) + 1.0
    return None


def _read(content: bytes, url: str) -> TnsFile:
    if content.lstrip()[:1] == b"<":
        raise TnsUnavailable(f"{url}: answers with a web page instead of a file: {_HINT}", for_all=True)
    try:
        return read_tns(content, url)
    except DamagedTnsFile as err:
        raise _Passing(str(err).removeprefix(f"{url}: ")) from err


def _check(base_url: str, credentials: Credentials) -> None:
    try:
        parts = urllib.parse.urlsplit(base_url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as err:
        raise BadDefinition(f"{base_url!r} is no address: {err}") from err
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
        raise BadDefinition(f"{base_url!r} is no address of a folder: it is like https://host/folder/")
    if not (base_url.isascii() and base_url.isprintable()) or " " in base_url:
        raise BadDefinition(f"{base_url!r} is no address: it has letters that none has")
    if parts.scheme == "http" and credentials.api_key and not _is_here(host):
        raise BadDefinition(f"{base_url}: the key would cross the network for all to read; use https")
    if (host == "wis-tns.org" or host.endswith(".wis-tns.org")) and not (
        credentials.api_key and credentials.bot_id and credentials.bot_name
    ):
        raise BadDefinition(
            f"{host} gives its files to registered bots only: set tns_api_key, tns_bot_id and tns_bot_name, or give"
            " 'lasair tns update --url' a file that you have"
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
