from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lasair.definitions import lists, remote
from lasair.definitions.remote import CannotFetch, check_url, is_inside, read_url, refresh
from lasair.errors import BadDefinition
from tests.support.definitions import new_definitions

GOOD = b"ra,dec,name\n10,20,a\n11,21,b\n"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Server(ThreadingHTTPServer):
    """Serves `answers`: path -> (status, headers, body)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    def url(self, path: str = "/l.csv") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def give(self, body: bytes, status: int = 200, path: str = "/l.csv", **headers: str) -> str:
        self.answers[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)
        return self.url(path)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        status, headers, body = self.server.answers[self.path]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def database(tmp_path: Path) -> None:
    new_definitions(tmp_path)


def read(url: str) -> list[str]:
    return read_url(url, radius_arcsec=2.0).names


def test_a_list_from_a_url(server: Server) -> None:
    assert read(server.give(GOOD)) == ["a", "b"]
    assert read(server.give(gzip.compress(GOOD))) == ["a", "b"]
    server.give(b"", 302, path="/old.csv", Location="/l.csv")
    assert read(server.url("/old.csv")) == ["a", "b"]


def test_what_a_server_does_wrong(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CannotFetch, match=r"l\.csv: the server answers 404"):
        read(server.give(b"", 404))
    with pytest.raises(CannotFetch, match="ended after 28 of 2900 bytes"):
        read(server.give(GOOD, Content_Length="2900"))
    with pytest.raises(BadDefinition, match=r"^http://127\.0\.0\.1:\d+/l\.csv: is no"):
        read(server.give(b"<html><body>Not found</body></html>"))
    with pytest.raises(BadDefinition, match=r"^http://127\.0\.0\.1:\d+/l\.csv: is empty"):
        read(server.give(b""))
    for place in ("file:///etc/passwd", "ftp://127.0.0.1/x", "data:,1", "http://u:p@127.0.0.1/"):
        with pytest.raises(CannotFetch, match=r"leads to an address|is not allowed"):
            read(server.give(b"", 302, Location=place))
    with pytest.raises(CannotFetch, match=r"redirect|infinite loop"):
        read(server.give(b"", 302, Location="/l.csv"))
    monkeypatch.setattr(remote, "MAX_BYTES", 20)
    with pytest.raises(BadDefinition, match="is too large"):
        read(server.give(GOOD))
    monkeypatch.setattr(remote, "DOWNLOAD_S", -1.0)
    with pytest.raises(CannotFetch, match="not all came within"):
        read(server.give(GOOD[:15]))


def test_no_server() -> None:
    with Server() as gone:
        url = gone.url()
    with pytest.raises(CannotFetch, match="cannot fetch http://127"):
        read(url)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.org/l.csv", "http://", "http:///l.csv", "https://a b/", "http://a\n/",
        "http://\N{SNOWMAN}.example/", "http://example.org:99999/", "http://[::1", "http://" + "a" * 2000,
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(BadDefinition, match="is no address"):
        check_url(url)


def test_no_password_is_kept() -> None:
    with pytest.raises(BadDefinition, match="user or password") as caught:
        check_url("https://me:secret@example.org/")
    assert "secret" not in str(caught.value)


def test_a_server_outside_leads_nowhere_inside() -> None:
    assert all(is_inside(host) for host in ("127.0.0.1", "::1", "10.0.0.3", "169.254.169.254", "192.168.1.1"))
    assert not any(is_inside(host) for host in ("93.184.216.34", "2606:2800:220:1::1"))
    import urllib.request

    asked = urllib.request.Request("http://93.184.216.34/l.csv")
    handler = remote._Redirects(asked.full_url)
    with pytest.raises(CannotFetch, match="an address of this network"):
        handler.redirect_request(asked, None, 302, "", {}, "http://169.254.169.254/latest")  # type: ignore[arg-type]
    found = handler.redirect_request(asked, None, 302, "", {}, "https://93.184.216.35/l")  # type: ignore[arg-type]
    assert found is not None and found.full_url == "https://93.184.216.35/l"


def test_refresh(server: Server, database: None) -> None:
    url = server.give(GOOD)
    first = read_url(url, radius_arcsec=2.0)
    number = lists.add_watchlist("L", first, radius=2.0, source=url, refresh_hours=1.0).list_id
    source = lists.source_of("L")
    said = refresh(source, NOW)
    assert said is not None and not said.changed
    server.give(GOOD + b"12,22,c\n")
    assert refresh(source, NOW) == (number, 2, 3, True)
    server.give(GOOD + b"x,22,c\n")
    with pytest.raises(BadDefinition, match=r"1 lines cannot be used: row 2 .*--skip-bad"):
        refresh(source, NOW)
    facts = lists.show("watchlist", "L")
    assert (facts["cones"], facts["version"]) == (3, 2), "the old list is kept"
    assert "row 2" in facts["refresh_error"] and facts["refreshed"] == "2026-03-01T00:00:00Z"
    server.give(b"", 500)
    with pytest.raises(CannotFetch, match="500"):
        refresh(source, NOW)
    assert "500" in lists.show("watchlist", "L")["refresh_error"]
    server.give(GOOD)
    assert refresh(source, NOW) == (number, 3, 2, True)
    assert lists.show("watchlist", "L")["refresh_error"] == ""
    server.give(GOOD + b"x,22,c\n")
    lists.add_watchlist("L", first, radius=2.0, source=url, refresh_hours=1.0, skip_bad=True)
    assert refresh(lists.source_of("L"), NOW) == (number, 3, 2, False)
