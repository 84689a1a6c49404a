"""Notices by a real Kafka broker, as GCN sends them: whatever happens, the state is the same in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lasair.cli.feeds import feed_command
from tests.integration.feeds.conftest import kafka_feed
from tests.support.kafka import Broker
from tests.unit.feeds.made import HOSTILE, counts_of, events_of, letters_of, notice, retraction, taken, wave, write

pytestmark = pytest.mark.server

MakeState = Callable[..., Path]

#: Good ones, hostile ones, duplicates, and retractions before what they retract.
NOTICES = [
    *(notice(n) for n in range(6)), retraction(7), notice(7), *HOSTILE, notice(2), wave(), notice(8), retraction(8),
    wave(), *HOSTILE[:2],
]  # fmt: skip


def run_once(state: Path) -> int:
    code = feed_command.main(["run", "--once", "--state", str(state)], standalone_mode=False)
    assert isinstance(code, int)
    return code


def reasons(state: Path, feed: str = "gcn") -> list[tuple[str, bytes | None]]:
    return sorted((reason, value) for _, _, _, reason, value in letters_of(state, feed))


@pytest.fixture
def expected(state: MakeState) -> Path:
    """What the same notices give that lie in a folder."""
    made = state("expected", '[feeds.gcn]\nfolder = "in"\nsettle_s = 0.0\n')
    write(made / "in", NOTICES)
    assert run_once(made) == 0
    assert {row[1] for row in events_of(made)} == {"active", "retracted"}
    return made


def test_notices_become_events(broker: Broker, topic: str, state: MakeState, expected: Path) -> None:
    made = state("kafka", kafka_feed("gcn", broker.plain, topic))
    broker.produce(topic, NOTICES)
    assert run_once(made) == 0
    assert events_of(made) == events_of(expected)
    # a broker gives null for an empty file's nothing
    assert len(reasons(made)) == len(HOSTILE) + 2
    assert {value for _, value in reasons(made)} == set(HOSTILE)
    assert counts_of(made) == [("gcn", len(NOTICES), len(NOTICES) - len(HOSTILE) - 2)]
    before = events_of(made), letters_of(made, "gcn"), counts_of(made)
    assert run_once(made) == 0
    assert (events_of(made), letters_of(made, "gcn"), counts_of(made)) == before


def test_any_order(broker: Broker, state: MakeState, expected: Path, topic: str) -> None:
    made = state("kafka", kafka_feed("gcn", broker.plain, topic))
    broker.produce(topic, random.Random(3).sample(NOTICES, len(NOTICES)))
    assert run_once(made) == 0
    assert events_of(made) == events_of(expected)


@pytest.mark.parametrize(("target", "nth"), [("record", 1), ("record", 3), ("commit", 3)])
def test_killed_between_take_and_commit(
    target: str, nth: int, broker: Broker, topic: str, state: MakeState, expected: Path
) -> None:
    made = state("kafka", kafka_feed("gcn", broker.plain, topic) + "batch = 4\n")
    broker.produce(topic, NOTICES)
    command = [sys.executable, "-m", "tests.integration.feeds.crash_feed", target, str(nth), str(made)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert run_once(made) == 0
    assert events_of(made) == events_of(expected)
    assert {value for _, value in reasons(made)} == set(HOSTILE)
    assert counts_of(made) == [("gcn", len(NOTICES), len(NOTICES) - len(HOSTILE) - 2)]


@contextmanager
def following(state: Path, output: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Feeds at work in a process of their own; told to stop at the end, with what it said put into `output`."""
    code = "import sys; from lasair.cli import feeds; sys.exit(feeds.feed_command.main(standalone_mode=False))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "--state", str(state)],
        env={**os.environ, "LASAIR_LOG_LEVEL": "info"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            output.append(process.communicate(timeout=30)[0])
        except subprocess.TimeoutExpired:
            process.kill()
            output.append(process.communicate()[0])


def wait_for(state: Path, messages: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60.0
    while time.monotonic() < end and process.poll() is None:
        if taken(state) >= messages:
            return
        time.sleep(0.1)
    raise AssertionError(f"{messages} messages were not taken")


def test_broker_restarted_while_it_is_read(broker: Broker, topic: str, state: MakeState, expected: Path) -> None:
    made = state("kafka", kafka_feed("gcn", broker.plain, topic, **{"reconnect.backoff.max.ms": 500}))
    half = len(NOTICES) // 2
    broker.produce(topic, NOTICES[:half])
    said: list[str] = []
    with following(made, said) as process:
        wait_for(made, half, process)
        broker.kill()
        time.sleep(1.0)
        broker.start()
        broker.produce(topic, NOTICES[half:])
        wait_for(made, len(NOTICES), process)
    (output,) = said
    assert process.returncode == 0, output
    assert "trying again" in output and "feeds stop after the batch in hand" in output
    assert events_of(made) == events_of(expected)
    # what was taken was committed before it ended
    assert run_once(made) == 0
    assert counts_of(made) == [("gcn", len(NOTICES), len(NOTICES) - len(HOSTILE) - 2)]


def test_broker_that_is_away_is_waited_for_and_stops_at_once(state: MakeState) -> None:
    made = state("kafka", kafka_feed("gcn", "127.0.0.1:1", "a"))
    said: list[str] = []
    with following(made, said) as process:
        time.sleep(3.0)
        assert process.poll() is None
        asked = time.monotonic()
    assert process.returncode == 0 and "trying again" in said[0], said
    assert time.monotonic() - asked < 10.0


def test_several_feeds_and_one_of_them_wrong(broker: Broker, topic: str, state: MakeState) -> None:
    made = state(
        "both",
        kafka_feed("gcn", broker.plain, topic),
        kafka_feed("away", "127.0.0.1:1", "a"),
        '[feeds.files]\nkind = "events"\nfolder = "in"\nsettle_s = 0.0\n',
    )
    write(made / "in", [notice(50)])
    broker.produce(topic, [notice(51)])
    assert run_once(made) == 1
    assert [row[1] for row in events_of(made)] == ["active", "active"]


def test_two_members_share_the_messages(broker: Broker, topic: str, state: MakeState) -> None:
    group = {"group.id": f"shared-{topic}"}
    states = [state(name, kafka_feed("gcn", broker.plain, topic, **group)) for name in ("a", "b")]
    values = [notice(100 + n) for n in range(40)]
    names: set[str] = set()
    said: list[str] = []
    with following(states[1], said) as stays:
        with following(states[0], said):
            for n in range(0, 20, 2):
                broker.produce(topic, values[n : n + 2])
                time.sleep(0.2)
        end = time.monotonic() + 60.0
        broker.produce(topic, values[20:])  # a member has left: the other takes over
        while len(names) < 40 and time.monotonic() < end and stays.poll() is None:
            time.sleep(0.2)
            if sum(map(taken, states)) >= 40:
                names = {row[0] for one in states for row in events_of(one)}
    assert len(names) == 40, said


def test_threads_end(broker: Broker, topic: str, state: MakeState) -> None:
    made = state("kafka", kafka_feed("gcn", broker.plain, topic))
    broker.produce(topic, [notice(1)])
    assert run_once(made) == 0
    assert not [one for one in threading.enumerate() if one.name.startswith("feed ")]
