from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import Broker, private_broker

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    with private_broker() as found:
        yield found


@pytest.fixture
def topic(broker: Broker) -> str:
    """A new topic with two partitions."""
    name = f"gcn.notices.test.t{next(_NUMBERS)}"
    broker.create_topics(name)
    return name


@pytest.fixture
def state(tmp_path: Path) -> Callable[..., Path]:
    """Makes state folders with a description of feeds."""

    def make(name: str, *feeds: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "feeds.toml").write_text("\n".join(feeds))
        (folder / "lasair.toml").write_text("durable = false\n")
        return folder

    return make


def kafka_feed(name: str, address: str, *topics: str, kind: str = "events", **options: Any) -> str:
    """The description of a feed by Kafka, as it stands in feeds.toml."""
    given = {"bootstrap.servers": address, "session.timeout.ms": 1500, "heartbeat.interval.ms": 400, **options}
    kafka = ", ".join(f'"{key}" = {value!r}' if isinstance(value, int) else f'"{key}" = "{value}"'
                      for key, value in given.items())  # fmt: skip
    names = ", ".join(f"'{one}'" for one in topics)
    what = 'kind = "events"' if kind == "events" else f'kind = "annotations"\nbroker = "{kind}"'
    return f"[feeds.{name}]\n{what}\nkafka = {{ {kafka} }}\ntopics = [{names}]\n"
