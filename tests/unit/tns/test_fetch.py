"""Asking a server: who asks, what comes, faults that pass and faults that stay."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from lasair.errors import BadDefinition
from lasair.tns import fetch
from lasair.tns.fetch import Credentials, TnsServer, TnsUnavailable
from lasair.tns.layout import BadTnsFile
from tests.unit.tns.made import Server, answer, cut, row, serving, text_of, zipped

NAME = "tns_public_objects.csv.zip"
CREDENTIALS = Credentials(Server.key, 91941, 'Lasair "bot"')


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def tns(server: Server, slept: list[float]) -> TnsServer:
    server.files[NAME] = zipped(text_of([row(1)]))
    return TnsServer(server.url, CREDENTIALS, silence_s=2.0, sleep=slept.append)


def test_the_key_goes_in_the_body_and_the_bot_in_the_user_agent(tns: TnsServer, server: Server) -> None:
    # the server gives nothing unless both are right
    file = tns.get(NAME)
    assert file is not None and len(file.rows) == 1 and server.asked == [NAME]
    assert TnsServer(server.url.rstrip("/"), CREDENTIALS).get(NAME) is not None
    assert CREDENTIALS.user_agent == Server.agent and Server.key not in repr(CREDENTIALS)
    assert "\n" not in Credentials("k", 1, "a\nb: c").user_agent and Credentials("k", 1, "Köln").user_agent.isascii()


def test_a_file_that_is_not_there(tns: TnsServer, server: Server) -> None:
    assert tns.get("tns_public_objects_07.csv.zip") is None and len(server.asked) == 1


@pytest.mark.parametrize("wrong", [Credentials("other", 91941, 'Lasair "bot"'), Credentials(Server.key, 1, "x")])
def test_a_wrong_key_or_bot_is_said_at_once(server: Server, slept: list[float], wrong: Credentials) -> None:
    with pytest.raises(TnsUnavailable, match=r"does not accept who asks \(401 .*check tns_api_key") as caught:
        TnsServer(server.url, wrong, sleep=slept.append).get(NAME)
    assert caught.value.for_all and not slept and "other" not in str(caught.value)


@pytest.mark.parametrize(
    ("faults", "pauses"),
    [
        ([answer(500)], [2.0]),
        ([answer(503), answer(502), answer(408)], [2.0, 4.0, 8.0]),
        ([cut], [2.0]),
        ([answer(200, b"PK\x03\x04 and", length=1000)], [2.0]),
        ([answer(200, zipped(text_of([row(1)]))[:-40])], [2.0]),
        ([answer(429, x_rate_limit_reset="17")], [18.0]),
        ([answer(429, Retry_After="3")], [4.0]),
        ([answer(429)], [60.0]),
        ([answer(403, x_rate_limit_remaining="Exceeded", x_rate_limit_reset="0")], [1.0]),
    ],
)
def test_faults_that_pass(
    tns: TnsServer, server: Server, slept: list[float], faults: list[Any], pauses: list[float]
) -> None:
    server.before(NAME, *faults)
    file = tns.get(NAME)
    assert file is not None and len(file.rows) == 1 and slept == pauses
    assert server.asked == [NAME] * (len(faults) + 1)


@pytest.mark.parametrize(
    ("fault", "reason", "for_all"),
    [
        (answer(500), "the server answers 500 Internal Server Error", False),
        (cut, "the connection broke", False),
        (answer(200, b"PK\x03\x04", length=1000), "the connection ended after 4 of 1,000 bytes", False),
        (answer(200, b"PK\x03\x04 and"), "the zip archive was cut short", False),
        (answer(429, x_rate_limit_reset="30"), r"too many requests \(429\)", True),
    ],
)
def test_faults_that_stay_end_with_the_address_and_the_reason(
    tns: TnsServer, server: Server, slept: list[float], fault: Any, reason: str, for_all: bool
) -> None:
    server.before(NAME, *[fault] * 9)
    with pytest.raises(TnsUnavailable, match=f"{server.url}{NAME}: .*{reason}.*asked 4 times.*run 'lasair") as caught:
        tns.get(NAME)
    assert caught.value.for_all == for_all and len(server.asked) == 4 and len(slept) == 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (answer(200, b"\n<!DOCTYPE html><html>log in</html>"), "answers with a web page instead of a file: check"),
        (answer(302, Location="/user/login"), r"sends one on to /user/login \(302\)"),
        (answer(307, Location="https://example.org/x?secret"), r"sends one on to https://example.org \(307\)"),
        (answer(403), r"does not accept who asks \(403 Forbidden\): check"),
        (answer(410), "the server answers 410 Gone"),
        (answer(429, x_rate_limit_reset="86400"), "ask again in 86401 s"),
        (answer(429, x_rate_limit_reset="nan", Retry_After="Fri, 10 Jul 2026 00:00:00 GMT"), "asked 4 times"),
    ],
)
def test_what_does_not_pass_is_not_tried_again(tns: TnsServer, server: Server, fault: Any, reason: str) -> None:
    server.before(NAME, *[fault] * 9)
    with pytest.raises(TnsUnavailable, match=reason):
        tns.get(NAME)
    # nothing was followed
    assert set(server.asked) == {NAME}


def test_another_layout_is_said(tns: TnsServer, server: Server) -> None:
    server.files[NAME] = b'{"id_code":400}'
    with pytest.raises(BadTnsFile, match="has no header"):
        tns.get(NAME)
    server.before(NAME, answer(200, b"x", length=10**12))
    with pytest.raises(BadTnsFile, match="more than 200 MB"):
        tns.get(NAME)


def test_more_than_is_allowed_without_a_stated_length(
    tns: TnsServer, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_PACKED_BYTES", 100_000)

    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 10_000)
        except OSError:
            pass

    server.before(NAME, endless)
    with pytest.raises(BadTnsFile, match="is refused"):
        tns.get(NAME)


def test_silence_and_dribble(server: Server, slept: list[float]) -> None:
    stop = threading.Event()

    def dribble(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not stop.wait(0.02):
                handler.wfile.write(b"x")
        except OSError:
            pass

    def silent(_: Any) -> None:
        stop.wait(5.0)

    server.before(NAME, silent, dribble)
    tns = TnsServer(server.url, CREDENTIALS, silence_s=0.2, longest_s=0.3, tries=2, sleep=slept.append)
    begun = time.monotonic()
    with pytest.raises(TnsUnavailable, match=r"only [\d,]+ bytes came in 0.3 s"):
        tns.get(NAME)
    assert time.monotonic() - begun < 4.0
    stop.set()
    server.before(NAME, lambda _: time.sleep(0.5))
    with pytest.raises(TnsUnavailable, match=r"no answer in 0.2 s"):
        TnsServer(server.url, CREDENTIALS, silence_s=0.2, tries=1).get(NAME)


def test_nobody_there(slept: list[float]) -> None:
    with serving() as server:
        url = server.url
    with pytest.raises(TnsUnavailable, match=f"{url}{NAME}: cannot be reached: .*refused") as caught:
        TnsServer(url, CREDENTIALS, sleep=slept.append).get(NAME)
    assert caught.value.for_all and slept == [2.0, 4.0, 8.0]


def test_a_server_without_a_certificate_that_counts(server: Server, slept: list[float]) -> None:
    # it speaks no TLS at all
    with pytest.raises(TnsUnavailable, match=r"no safe connection|cannot be reached|broke"):
        TnsServer(server.url.replace("http:", "https:"), CREDENTIALS, sleep=slept.append).get(NAME)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/", "is no address of a folder"),
        ("https://", "is no address of a folder"),
        ("https://u:p@example.org/", "is no address of a folder"),
        ("https://example.org/?a=b", "is no address of a folder"),
        ("https://example.org:x/", "is no address"),
        ("https://exa mple.org/", "letters that none has"),
        ("https://example.org/\r\nx", "no address"),
        ("http://example.org/", "use https"),
        ("http://127.0.0.1.example.org/", "use https"),
    ],
)
def test_addresses_that_are_none(url: str, reason: str) -> None:
    with pytest.raises(BadDefinition, match=reason):
        TnsServer(url, CREDENTIALS)


@pytest.mark.parametrize("lacking", [Credentials(), Credentials("k", 0, "n"), Credentials("k", 1, "")])
def test_tns_itself_is_not_asked_without_credentials(lacking: Credentials) -> None:
    for host in ("www.wis-tns.org", "sandbox.wis-tns.org"):
        with pytest.raises(BadDefinition, match="tns_api_key, tns_bot_id and tns_bot_name"):
            TnsServer(f"https://{host}/system/files/tns_public_objects/", lacking)


def test_a_host_that_is_no_name(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(TnsUnavailable, match=r"cannot be reached: .*not known"):
        TnsServer("https://nowhere.example/", CREDENTIALS, sleep=slept.append).get(NAME)
    with pytest.raises(TnsUnavailable, match=r"cannot be asked|cannot be reached"):
        TnsServer(f"https://{'x' * 70}.example/", CREDENTIALS, sleep=slept.append).get(NAME)
