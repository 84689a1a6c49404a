from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lasair.errors import BadPacket, StoreUnavailable, UnknownSchema
from lasair.packets.schemas import MAX_IN_VAIN, RETRY_AFTER_S, SchemaSource, default_cache, version_of
from tests.support.packets import small_lsst

TEXT = json.dumps(small_lsst())


class Registry:
    """A registry on loopback: answers by id, and what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version: ClassVar[str] = "HTTP/1.0"  # type: ignore[misc]

            def do_GET(self) -> None:
                registry.asked.append(self.path)
                status, body = registry.answers.get(self.path, (404, b"{}"))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def registry() -> Iterator[Registry]:
    one = Registry()
    thread = threading.Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield one
    finally:
        one.server.shutdown()
        one.server.server_close()
        thread.join()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def answer(text: str = TEXT) -> bytes:
    return json.dumps({"schema": text}).encode()


def test_versions() -> None:
    assert [version_of(one) for one in (701, 1000, 1101)] == ["7.1", "10.0", "11.1"]


def test_folder_by_file_name(tmp_path: Path) -> None:
    (tmp_path / "lsst.v11_1.alert.avsc").write_text(TEXT)
    (tmp_path / "ztf.alert.v4_2.avsc").write_text("{}")
    source = SchemaSource([tmp_path])
    assert source.get(1101).version == "11.1"
    assert source.get(1101) is source.get(1101)
    with pytest.raises(UnknownSchema, match=r"schema 402 \(version 4.2\) was not found in folder"):
        source.get(402)


def test_folder_by_name_space(tmp_path: Path) -> None:
    (tmp_path / "alert.avsc").write_text(TEXT)
    assert SchemaSource([tmp_path]).get(1101).survey == "lsst"


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UnknownSchema, match="--schemas"):
        SchemaSource([tmp_path / "none"]).get(1101)


def test_registry_then_cache(tmp_path: Path, registry: Registry) -> None:
    registry.answers["/schemas/ids/1101"] = (200, answer())
    cache = tmp_path / "cache" / "schemas"
    assert SchemaSource(cache=cache, registry=registry.url).get(1101).version == "11.1"
    assert [path.name for path in cache.iterdir()] == ["lsst.v11_1.alert.avsc"]
    assert SchemaSource(cache=cache, registry=None).get(1101).version == "11.1"
    assert SchemaSource(cache=cache, registry=registry.url).get(1101).version == "11.1"
    assert registry.asked == ["/schemas/ids/1101"]


def test_damaged_cache_is_replaced(tmp_path: Path, registry: Registry) -> None:
    registry.answers["/schemas/ids/1101"] = (200, answer())
    (tmp_path / "lsst.v11_1.alert.avsc").write_text(TEXT[:100])
    assert SchemaSource(cache=tmp_path, registry=registry.url).get(1101).survey == "lsst"
    assert (tmp_path / "lsst.v11_1.alert.avsc").read_text() == TEXT


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, registry: Registry) -> None:
    registry.answers["/schemas/ids/1101"] = (200, answer())
    (tmp_path / "file").write_text("")
    assert SchemaSource(cache=tmp_path / "file", registry=registry.url).get(1101).survey == "lsst"


def test_fetch_keeps_what_it_got(tmp_path: Path, registry: Registry) -> None:
    registry.answers["/schemas/ids/1101"] = (200, answer())
    registry.answers["/schemas/ids/1100"] = (200, answer('"string"'))
    source = SchemaSource(cache=tmp_path / "cache", registry=registry.url)
    for _ in range(2):
        assert source.fetch(1101).version == "11.1"
    assert registry.asked == ["/schemas/ids/1101"]
    assert (tmp_path / "cache" / "lsst.v11_1.alert.avsc").read_text() == TEXT
    with pytest.raises(BadPacket):
        source.fetch(1100)
    with pytest.raises(UnknownSchema, match="404") as missing:
        source.fetch(1200)
    assert "schema fetch" not in str(missing.value), "no advice to do what has just failed"
    assert len(list((tmp_path / "cache").iterdir())) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="file"):
        SchemaSource(cache=tmp_path / "file", registry=registry.url).fetch(1101)


def test_an_unknown_id_is_not_asked_for_again_soon(registry: Registry) -> None:
    clock = Clock()
    source = SchemaSource(registry=registry.url, clock=clock)
    for _ in range(3):
        with pytest.raises(UnknownSchema, match="HTTP status 404"):
            source.get(1200)
    assert len(registry.asked) == 1
    registry.answers["/schemas/ids/1200"] = (200, answer())
    clock.now += RETRY_AFTER_S + 1
    assert source.get(1200).version == "12.0"


def test_a_dead_registry_is_left_alone(registry: Registry) -> None:
    registry.answers["/schemas/ids/1101"] = (500, b"")
    source = SchemaSource(registry=registry.url, clock=Clock())
    for schema_id in range(1101, 1200):
        with pytest.raises(UnknownSchema):
            source.get(schema_id)
    assert len(registry.asked) == 1


def test_random_ids_are_not_all_asked_for(registry: Registry) -> None:
    registry.answers["/schemas/ids/1101"] = (200, answer())
    clock = Clock()
    source = SchemaSource(registry=registry.url, clock=clock)
    for schema_id in range(5000, 5100):
        with pytest.raises(UnknownSchema):
            source.get(schema_id)
    assert len(registry.asked) == MAX_IN_VAIN
    clock.now += RETRY_AFTER_S + 1
    assert source.get(1101).version == "11.1"


def test_no_registry_there() -> None:
    source = SchemaSource(registry="http://127.0.0.1:9", timeout_s=0.5)
    with pytest.raises(UnknownSchema, match=r"registry http://127\.0\.0\.1:9"):
        source.get(1101)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"schema": 5}', b'{"schema": "{"}', b"\xff\xfe", b'{"schema": null}']
)
def test_wrong_answers(tmp_path: Path, registry: Registry, body: bytes) -> None:
    registry.answers["/schemas/ids/1101"] = (200, body)
    with pytest.raises(BadPacket):
        SchemaSource(cache=tmp_path, registry=registry.url).get(1101)


def test_answers_that_are_no_alerts_are_bad_packets(registry: Registry) -> None:
    registry.answers["/schemas/ids/1101"] = (200, answer('{"type": "record", "name": "x", "fields": []}'))
    with pytest.raises(BadPacket, match="no survey"):
        SchemaSource(registry=registry.url).get(1101)


def test_default_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "lasair" / "schemas"
