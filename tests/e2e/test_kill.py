"""kill -9 at any moment, then the same command again: the books close, nothing is lost, nothing doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lasair.cli.demo_tags import add_tags
from lasair.cli.filters import add_examples
from lasair.cli.state import State
from lasair.ledger.store import Ledger
from lasair.simulate.profiles import FIRST_NIGHT
from lasair.simulate.tags import middle_of, write_tags
from lasair.simulate.write import write
from tests.support.crash_run import TARGETS
from tests.support.states import content

ENVIRONMENT = {**os.environ, "LASAIR_BATCH_ALERTS": "40", "LASAIR_DURABLE": "false"}
RANDOM_KILLS = 10


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    write("test", folder, seed=4, n=None)
    write_tags(folder, seed=4, first_night=FIRST_NIGHT)
    return folder


def new_state(folder: Path, night: Path) -> Path:
    state = State(folder / "state")
    state.create()
    assert add_tags(night, middle_of(night), state) is not None
    add_examples(state)
    return state.path


def run(state: Path, night: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lasair.cli.main", "run", str(night), "--json", "--state", str(state)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def undisturbed(night: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    state = new_state(tmp_path_factory.mktemp("undisturbed"), night)
    done = run(state, night)
    assert done.returncode == 0, done.stderr
    found = content(state)
    assert found["wrong"] == []
    assert found["total"]["delivered"] > 0 and found["total"]["set_aside"] > 0
    return found


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("target", TARGETS)
def test_killed_at_a_boundary(when: str, target: str, night: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    state = new_state(tmp_path, night)
    # a run finishes once: a second one would come to its end, and the third would be another reading
    for nth in (1,) if target == "ledger-finish" else (1, 3):
        command = [sys.executable, "-m", "tests.support.crash_run", when, target, str(nth), str(state), str(night)]
        killed = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=120, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    if target == "ledger-finish" and when == "after":
        # that run had finished: the books are those of the undisturbed run, and what came after is a second reading
        assert content(state)["total"]["stored"] == undisturbed["total"]["stored"]
        return
    done = run(state, night)
    assert done.returncode == 0, done.stderr
    assert content(state) == undisturbed


def test_killed_at_random_moments(night: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    state = new_state(tmp_path, night)
    chance = random.Random(7)
    command = [sys.executable, "-m", "lasair.cli.main", "run", str(night), "--state", str(state)]
    started, begin_s = time.monotonic(), 0.0
    for kill in range(RANDOM_KILLS):
        with subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            # the first kill waits for the first batch, which tells how long this machine takes to get there
            while kill == 0 and not batches_done(state):
                time.sleep(0.01)
            if kill == 0:
                begin_s = time.monotonic() - started
            time.sleep(chance.uniform(0.0, 0.1) if kill == 0 else chance.uniform(0.7, 1.3) * begin_s)
            process.kill()
            process.wait()
    done = run(state, night)
    assert done.returncode == 0, done.stderr
    found = content(state)
    # a kill may come just after a run has finished: what follows is another reading, which finds duplicates only
    again = found["total"]["read"] - undisturbed["total"]["read"]
    for name in ("read", "decoded", "duplicate"):
        found["total"][name] -= again
    assert found == undisturbed


def batches_done(state: Path) -> bool:
    """True when the ledger has committed something."""
    if not (state / "ledger.db").is_file():
        return False
    ledger = Ledger(state / "ledger.db", durable=False)
    try:
        return bool(ledger.books())
    finally:
        ledger.close()
