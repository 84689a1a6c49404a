"""A full disk, a folder that cannot be written, a database that is held: a clear error, and the next run goes on."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lasair.cli.main import main
from lasair.simulate.profiles import FIRST_NIGHT
from lasair.simulate.tags import write_tags
from lasair.simulate.write import write
from tests.e2e.test_kill import ENVIRONMENT, new_state, run
from tests.support.faults import read_only
from tests.support.states import content


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    write("test", folder, seed=5, n=None)
    write_tags(folder, seed=5, first_night=FIRST_NIGHT)
    return folder


@pytest.fixture(scope="module")
def undisturbed(night: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    state = new_state(tmp_path_factory.mktemp("undisturbed"), night)
    assert run(state, night).returncode == 0
    return content(state)


@pytest.mark.parametrize("limit", [300_000, 1_000_000])
def test_a_full_disk(limit: int, night: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    state = new_state(tmp_path, night)
    command = [sys.executable, "-m", "lasair.cli.main", "run", str(night), "--state", str(state)]
    done = subprocess.run(
        command,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("lasair: ") and "free space" in done.stderr
    assert "Traceback" not in done.stderr
    assert run(state, night).returncode == 0
    assert content(state) == undisturbed


def test_a_folder_that_cannot_be_written(night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # in this process: a child of root would have root's right to write again
    with read_only(tmp_path), pytest.raises(SystemExit) as stopped:
        main(["run", str(night), "--state", str(tmp_path / "state")])
    assert stopped.value.code == 1
    assert "cannot make the state folder" in capsys.readouterr().err
    state = new_state(tmp_path, night)
    with read_only(state), pytest.raises(SystemExit) as stopped:
        main(["run", str(night), "--state", str(state)])
    assert stopped.value.code == 1
    assert "choose another" in capsys.readouterr().err


def test_a_database_that_is_held(night: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    state = new_state(tmp_path, night)
    holder = sqlite3.connect(state / "objects.db", isolation_level=None)
    holder.execute("PRAGMA journal_mode = WAL")
    holder.execute("BEGIN IMMEDIATE")
    done = run(state, night)
    holder.execute("ROLLBACK")
    holder.close()
    assert done.returncode == 1
    assert "another process is writing" in done.stderr and "Traceback" not in done.stderr
    assert run(state, night).returncode == 0
    assert content(state) == undisturbed
