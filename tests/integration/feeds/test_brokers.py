"""Other brokers' messages by a real Kafka broker become annotations."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lasair.cli.feeds import feed_command
from lasair.stores.marks import SqliteMarkStore
from tests.integration.feeds.conftest import kafka_feed
from tests.support.kafka import Broker
from tests.unit.annotations.brokers.made import bare, container, key_of, record
from tests.unit.feeds.made import counts_of, letters_of

pytestmark = pytest.mark.server

MakeState = Callable[..., Path]

FINK = record("alert", objectId="string", cdsxmatch="string")
CLASSES = dict.fromkeys(("SN", "AGN", "VS", "asteroid", "bogus"), "float")
STAMP = record("stamp", objectId="string", candid="long", probabilities=record("classes", **CLASSES))


def fink(object_id: str, label: str) -> tuple[bytes, bytes]:
    return key_of(FINK), bare(FINK, {"objectId": object_id, "cdsxmatch": label})


def stamp(object_id: str, best: str) -> bytes:
    chances = {name: 0.8 if name == best else 0.05 for name in CLASSES}
    return container(STAMP, [{"objectId": object_id, "candid": 7, "probabilities": chances}])


def run_once(state: Path) -> int:
    code = feed_command.main(["run", "--once", "--state", str(state)], standalone_mode=False)
    assert isinstance(code, int)
    return code


def said(state: Path, object_id: str) -> list[tuple[str, str]]:
    marks = SqliteMarkStore(state / "marks.db", read_only=True)
    try:
        history = sorted(marks.history("ztf", object_id), key=lambda one: one.annotation_id)
        return [(one.topic, one.classification) for one in history]
    finally:
        marks.close()


def test_two_brokers_at_once(broker: Broker, topic: str, state: MakeState) -> None:
    day = f"stamp_classifier_{topic.rpartition('t')[2]}0260301"
    broker.create_topics(day)
    broker.produce(topic, [fink("ZTF18aaaaaaa", "RRLyr"), (None, b"?"), fink("nobody", "RRLyr"), b""], partition=0)
    broker.produce(day, [stamp("ZTF18aaaaaaa", "SN"), b"\xff" * 30], partition=1)
    made = state(
        "kafka",
        kafka_feed("fink", broker.plain, topic, kind="fink"),
        kafka_feed("alerce", broker.plain, f"^{day[:-6]}[0-9]+$", kind="alerce"),
    )
    for _ in range(2):
        assert run_once(made) == 0
        assert sorted(said(made, "ZTF18aaaaaaa")) == [("alerce_stamp", "SN"), ("fink", "RRLyr")]
        assert len(letters_of(made, "fink")) == 3 and len(letters_of(made, "alerce")) == 1
        assert counts_of(made) == [("alerce", 2, 1), ("fink", 4, 1)]


@pytest.mark.parametrize("target", ["record", "commit"])
def test_killed_between_take_and_commit(target: str, broker: Broker, topic: str, state: MakeState) -> None:
    labels = ["RRLyr", "Mira", "RRLyr", "QSO", "Mira", "RRLyr", "AGN"]
    broker.produce(topic, [fink("ZTF18aaaaaaa", label) for label in labels], partition=0)
    made = state("kafka", kafka_feed("fink", broker.plain, topic, kind="fink") + "batch = 3\n")
    command = [sys.executable, "-m", "tests.integration.feeds.crash_feed", target, "2", str(made)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert run_once(made) == 0
    assert [label for _, label in said(made, "ZTF18aaaaaaa")] == labels
    assert counts_of(made) == [("fink", 7, 7)]
