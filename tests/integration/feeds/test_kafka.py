"""The feed of Kafka topics on a real broker: accounts, patterns, what is there."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from lasair.feeds import kafka as module
from lasair.feeds.kafka import KafkaFeed
from lasair.feeds.source import FeedMessage, FeedUnavailable
from tests.support.kafka import PASSWORD, USER, Broker

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 6.0)


def options(address: str, **more: Any) -> dict[str, Any]:
    return {
        "bootstrap.servers": address,
        "group.id": f"test-{time.time_ns()}",
        "session.timeout.ms": 1500,
        "heartbeat.interval.ms": 400,
        **more,
    }


def scram(broker: Broker, password: str = PASSWORD) -> dict[str, Any]:
    return options(
        broker.scram,
        **{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": USER,
           "sasl.password": password},
    )  # fmt: skip


def read(feed: KafkaFeed, *, commit: bool = True) -> list[list[FeedMessage]]:
    found = []
    try:
        for batch in feed.batches(threading.Event(), once=True):
            found.append(batch)
            if commit:
                feed.commit()
    finally:
        feed.close()
    return found


def values(batches: list[list[FeedMessage]]) -> list[bytes]:
    return sorted(one.value for batch in batches for one in batch)


def test_messages_as_they_came(broker: Broker, topic: str) -> None:
    broker.produce(topic, [(b"key", b"value"), b"other"], partition=1, headers=[("_format", b"json")])
    ((one, other),) = read(KafkaFeed("f", [topic], options(broker.plain)))
    assert (one.topic, one.partition, one.offset, one.key, one.value) == (topic, 1, 0, b"key", b"value")
    assert (other.offset, other.key, other.headers) == (1, None, (("_format", b"json"),))
    assert abs(one.when - time.time()) < 100 and one.label == f"{topic}[1] offset 0"


def test_batches_are_bounded(broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broker.produce(topic, [b"%d" % n for n in range(10)], partition=0)
    assert [len(one) for one in read(KafkaFeed("f", [topic], options(broker.plain), batch=4))] == [4, 4, 2]
    monkeypatch.setattr(module, "BATCH_BYTES", 3)
    assert [len(one) for one in read(KafkaFeed("f", [topic], options(broker.plain)))] == [3, 3, 3, 1]


def test_what_was_committed_does_not_come_again(broker: Broker, topic: str) -> None:
    mine = options(broker.plain)
    broker.produce(topic, [b"1", b"2"])
    assert values(read(KafkaFeed("f", [topic], mine), commit=False)) == [b"1", b"2"]
    assert values(read(KafkaFeed("f", [topic], mine))) == [b"1", b"2"]
    broker.produce(topic, [b"3"])
    assert values(read(KafkaFeed("f", [topic], mine))) == [b"3"]
    assert values(read(KafkaFeed("f", [topic], mine))) == []


def test_patterns_and_topics_that_are_not_there(broker: Broker) -> None:
    names = [f"gcn.notices.{one}" for one in ("swift.bat.guano", "boom.alert", "icecube.tracks")]
    names += ["lc_classifier_ztf_20260301", "lc_classifier_ztf_x", "gcnxnotices.swift"]
    broker.create_topics(*names)
    for one in names:
        broker.produce(one, [one.encode()])
    wanted = [r"^gcn\.notices\.(icecube|swift)\.", "^lc_classifier_ztf_[0-9]+$", "no.such.topic"]
    feed = KafkaFeed("f", wanted, options(broker.plain))
    seen = feed.look()
    assert seen["topics"] == {names[0]: 1, names[2]: 1, names[3]: 1} and seen["missing"] == ["no.such.topic"]
    # librdkafka has regular expressions of its own: they must mean the same
    assert values(read(feed)) == sorted(one.encode() for one in (names[0], names[2], names[3]))


def test_look_takes_nothing(broker: Broker, topic: str) -> None:
    broker.produce(topic, [b"1", b"2", b"3"])
    mine = options(broker.plain)
    for _ in range(2):
        feed = KafkaFeed("f", [topic], mine)
        assert (feed.look()["waiting"], feed.look()["missing"]) == (3, [])
        feed.close()
    assert len(values(read(KafkaFeed("f", [topic], mine)))) == 3
    feed = KafkaFeed("f", [topic], mine)
    assert feed.look()["waiting"] == 0
    feed.close()


def test_user_and_password(broker: Broker, topic: str) -> None:
    broker.produce(topic, [b"1"])
    assert values(read(KafkaFeed("f", [topic], scram(broker)))) == [b"1"]


def test_wrong_password_is_told_and_not_shown(broker: Broker, topic: str, caplog: pytest.LogCaptureFixture) -> None:
    password = "not this one"
    feed = KafkaFeed("f", [topic], scram(broker, password), secrets=[password])
    with pytest.raises(FeedUnavailable, match=r"feed f: the broker cannot be used: .*uthentication failed") as caught:
        feed.look()
    with pytest.raises(FeedUnavailable, match="uthentication failed"):
        read(feed)
    assert password not in str(caught.value) + caplog.text


def test_nobody_there(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 1.0)
    feed = KafkaFeed("f", ["a"], options("127.0.0.1:1"))
    with pytest.raises(FeedUnavailable, match="cannot be used"):
        read(feed)


class _Tokens(BaseHTTPRequestHandler):
    """Gives tokens for a client's id and secret, as an OpenID provider does."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        login = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        _Tokens.asked.append({"login": login, **body})
        good = login == "my-id:my-secret"
        now = int(time.time())
        claims = {"sub": "client", "iat": now, "exp": now + 300, "scope": "kafka"}
        token = ".".join(_part(one) for one in ({"alg": "none"}, claims)) + "."
        answer = json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 300} if good else
                            {"error": "invalid_client", "error_description": "no such client"}).encode()  # fmt: skip
        self.send_response(200 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.fixture
def tokens() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Tokens)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/oauth2/token"
    server.shutdown()
    thread.join()
    server.server_close()


def oidc(broker: Broker, url: str, secret: str = "my-secret") -> dict[str, Any]:
    return options(
        broker.oauth,
        **{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc",
           "sasl.oauthbearer.token.endpoint.url": url, "sasl.oauthbearer.scope": "gcn.nasa.gov/kafka-public-consumer",
           "sasl.oauthbearer.client.id": "my-id", "sasl.oauthbearer.client.secret": secret},
    )  # fmt: skip


def test_client_id_and_secret_as_gcn_has_them(broker: Broker, topic: str, tokens: str, tmp_path: Path) -> None:
    broker.produce(topic, [b"1"])
    _Tokens.asked.clear()
    assert values(read(KafkaFeed("f", [topic], oidc(broker, tokens)))) == [b"1"]
    assert _Tokens.asked[0]["login"] == "my-id:my-secret"
    assert _Tokens.asked[0]["scope"] == ["gcn.nasa.gov/kafka-public-consumer"]


def test_wrong_client_secret_is_told(broker: Broker, topic: str, tokens: str) -> None:
    feed = KafkaFeed("f", [topic], oidc(broker, tokens, "wrong-secret"), secrets=["wrong-secret"])
    with pytest.raises(FeedUnavailable, match=r"OAUTHBEARER|token|no such client") as caught:
        feed.look()
    assert "wrong-secret" not in str(caught.value)
    feed.close()
