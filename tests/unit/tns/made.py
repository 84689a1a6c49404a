"""Files in the Transient Name Server's layout, and a server that gives them."""

from __future__ import annotations

import csv
import io
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from lasair.tns.layout import read_tns
from lasair.tns.rows import FIELDS, TnsRows

NAMES = tuple(field.name for field in FIELDS)
#: What every row says unless told otherwise.
USUAL = {
    "name_prefix": "AT", "ra": "150.5", "declination": "-3.25", "reporting_groupid": "18", "reporting_group": "ATLAS",
    "source_groupid": "18", "source_group": "ATLAS", "discoverydate": "2026-07-01 10:49:26.400",
    "discoverymag": "18.965", "discmagfilter": "72", "filter": "orange",
    "reporters": "A. Astronomer, B. O'Neill (Köln)",
    "time_received": "2026-07-01 12:00:00", "internal_names": ", ATLAS26abc, ZTF26aaa",
    "creationdate": "2026-07-01 12:00:02", "lastmodified": "2026-07-01 12:00:02",
}  # fmt: skip
FULL = "2026-07-08 00:00:00"


def row(objid: int, **said: object) -> dict[str, str]:
    """A row by the columns' names."""
    return {**USUAL, "objid": str(objid), "name": f"2026x{objid}", **{key: str(value) for key, value in said.items()}}


def text_of(
    rows: Sequence[Mapping[str, str]], period: str = FULL, names: Sequence[str] = NAMES, *, quiet: bool = False
) -> str:
    """The CSV file; a quiet one has only its first line."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    if period:
        writer.writerow([period])
    if not quiet:
        writer.writerow(names)
        writer.writerows([[one.get(name, "") for name in names] for one in rows])
    return text.getvalue()


def zipped(text: str | bytes, name: str = "tns_public_objects.csv", packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", packed) as file:
        file.writestr(name, text)
    return archive.getvalue()


def rows_of(*rows: Mapping[str, str]) -> TnsRows:
    return read_tns(text_of(rows).encode()).rows


class Server(ThreadingHTTPServer):
    """Gives files by name to who has the key; before that the answers that a test prepares, each once."""

    daemon_threads = True
    key = "k3y+&=%"
    agent = 'tns_marker{"tns_id":91941,"type":"bot","name":"Lasair \\"bot\\""}'

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.first: dict[str, list[Callable[[Any], None]]] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/system/files/tns_public_objects/"

    def before(self, name: str, *answers: Callable[[Any], None]) -> None:
        """Give these answers first when that file is asked for."""
        self.first[name] = list(answers)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        folder, _, name = self.path.rpartition("/")
        server.asked.append(name)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.close_connection = True
        waiting = server.first.get(name)
        if waiting:
            waiting.pop(0)(self)
        elif (
            folder != "/system/files/tns_public_objects"
            or self.headers["User-Agent"] != server.agent
            or self.headers["Content-Type"] != "application/x-www-form-urlencoded"
            or parse_qs(body, strict_parsing=True) != {"api_key": [server.key]}
        ):
            answer(401, b'{"id_code":401,"id_message":"Unauthorized"}')(self)
        elif name in server.files:
            answer(200, server.files[name])(self)
        else:
            answer(404, b"<html>not found</html>")(self)

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        answer(200, b"<html>log in</html>")(self)

    def log_message(self, *_: Any) -> None:
        pass


def answer(code: int, body: bytes = b"", *, length: int | None = None, **headers: str) -> Callable[[Any], None]:
    """An answer; with a greater `length` than it has, it ends in the middle."""

    def give(handler: _Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return give


def cut(handler: _Handler) -> None:
    """End the connection without a word."""
    handler.connection.close()


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
