"""Fetching: whole, in two goes, changed in between, wrong, not there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lasair.catalogues.fetch import CannotFetch, fetch, file_name

BODY = bytes(range(256)) * 4000
HASH = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Gives BODY; `stop_after` cuts the answer short; requests are kept."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.etag, self.kind = BODY, '"one"', "text/csv"
        self.stop_after: int | None = None
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if self.path != "/t.csv":
            self.send_error(404)
            return
        start = (
            int(asked.removeprefix("bytes=").rstrip("-"))
            if asked and self.headers.get("If-Range") == server.etag
            else 0
        )
        self.send_response(206 if start else 200)
        body = server.body[start:]
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", server.kind)
        self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(body if server.stop_after is None else body[: server.stop_after])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    path = fetch(f"{server.url}/t.csv", tmp_path / "a", sha256=HASH, progress=lambda *what: told.append(what))
    assert path == tmp_path / "a" / "t.csv" and path.read_bytes() == BODY
    assert told[-1] == ("fetch", len(BODY), len(BODY))
    assert [one.name for one in path.parent.iterdir()] == ["t.csv"]
    assert fetch(f"{server.url}/t.csv", tmp_path / "a", sha256=HASH) == path
    assert server.ranges == [None]


def test_an_interrupted_file_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.stop_after = 100_000
    with pytest.raises(CannotFetch, match=r"ended after 100000 of 1024000 bytes; try again|IncompleteRead"):
        fetch(f"{server.url}/t.csv", tmp_path)
    server.stop_after = None
    assert fetch(f"{server.url}/t.csv", tmp_path, sha256=HASH).read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-"]


def test_a_file_that_has_changed_meanwhile_is_begun_anew(server: Server, tmp_path: Path) -> None:
    server.stop_after = 100_000
    with pytest.raises(CannotFetch):
        fetch(f"{server.url}/t.csv", tmp_path)
    server.stop_after, server.etag, server.body = None, '"two"', BODY[::-1]
    assert fetch(f"{server.url}/t.csv", tmp_path).read_bytes() == BODY[::-1]


def test_a_wrong_file_is_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(CannotFetch, match=f"its SHA-256 is {HASH}, not 00"):
        fetch(f"{server.url}/t.csv", tmp_path, sha256="0" * 64)
    assert not (tmp_path / "t.csv").exists() and not (tmp_path / "t.csv.part").exists()


def test_what_is_no_file(server: Server, tmp_path: Path) -> None:
    with pytest.raises(CannotFetch, match="is no single file"):
        fetch(f"{server.url}/folder/", tmp_path)
    with pytest.raises(CannotFetch, match="the server answers 404"):
        fetch(f"{server.url}/other.csv", tmp_path)
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(CannotFetch, match="answers with a web page"):
        fetch(f"{server.url}/t.csv", tmp_path)


def test_without_a_network(tmp_path: Path) -> None:
    with Server() as one:
        url = one.url
    with pytest.raises(CannotFetch, match=rf"cannot fetch {url}/t.csv: .*; without a network, get the file elsewhere"):
        fetch(f"{url}/t.csv", tmp_path, timeout_s=2)


def test_names_of_files_are_safe_and_tell_questions_apart() -> None:
    assert file_name("https://a.org/x/t.csv.gz#part") == "t.csv.gz"
    assert file_name("https://a.org/x/..%2F..%2Fetc%2Fpasswd") == "_.._etc_passwd"
    assert file_name("https://a.org/x/") is None
    one, two = file_name("https://a.org/sync?Q=1"), file_name("https://a.org/sync?Q=2")
    assert one != two and str(one).startswith("sync-")
