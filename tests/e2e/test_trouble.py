"""Disks that are full, folders that cannot be written, databases that are held: a clear error, and the next run goes on."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lasair.simulate.write import write
from tests.e2e.test_kill import ENVIRONMENT, new_state, run
from tests.support.states import content

NOBODY = 65_534


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    write("test", folder, seed=5, n=None)
    return folder


@pytest.fixture(scope="module")
def undisturbed(night: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    state = new_state(tmp_path_factory.mktemp("undisturbed"))
    assert run(state, night).returncode == 0
    return content(state)


@pytest.mark.parametrize("megabytes", [1, 3])
def test_a_full_disk(megabytes: int, night: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    state = new_state(tmp_path)
    limit = megabytes * 1_000_000
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


def test_a_folder_that_cannot_be_written(night: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    command = [sys.executable, "-m", "lasair.cli.main", "run", str(night), "--state", str(state)]
    # root may write everywhere, so become nobody
    someone = {"user": NOBODY} if os.geteuid() == 0 else {}
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False, **someone)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


def test_a_database_that_is_held(night: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    state = new_state(tmp_path)
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
