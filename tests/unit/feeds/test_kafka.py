"""What of the feed by Kafka needs no broker."""

from __future__ import annotations

import sys
import threading

import pytest

from lasair.errors import BadDefinition
from lasair.feeds.kafka import KafkaFeed


def test_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(
        BadDefinition, match=r"needs the package confluent-kafka: pip install 'lasair-broker\[cluster\]'"
    ):
        KafkaFeed("f", ["a"], {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"})


def test_secret_in_an_error_is_hidden() -> None:
    options = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "ssl.endpoint.identification.algorithm": "s3cret"}
    with pytest.raises(BadDefinition) as caught:
        KafkaFeed("f", ["a"], options, secrets=["s3cret"])
    assert "s3cret" not in str(caught.value) and "identification.algorithm" in str(caught.value)


def test_stopped_before_it_began() -> None:
    feed = KafkaFeed("f", ["a"], {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"})
    stop = threading.Event()
    stop.set()
    assert list(feed.batches(stop, once=False)) == []
    feed.close()
