"""A state folder can be read by who may not write in it, and is as it was afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from lasair.stores.open import open_stores
from tests.e2e.test_damaged_state import commands, known, lasair, whole
from tests.support.faults import read_only

__all__ = ["known", "whole"]


def _files(state: Path) -> dict[Path, str]:
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in state.rglob("*") if file.is_file()}


def test_every_reading_command(
    whole: Path, known: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    shutil.copytree(whole, state)
    before = _files(state)
    for command in commands(known, tmp_path):
        arguments: list[str | Path] = [*command.split(), "--state", state]
        assert lasair(*arguments) == 0, command
        expected = capfd.readouterr()
        with read_only(state):
            assert lasair(*arguments) == 0, command
        assert capfd.readouterr() == expected
    assert _files(state) == before


def test_after_a_killed_run(
    whole: Path, known: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    shutil.copytree(whole, state)
    child = os.fork()
    if child == 0:
        stores = open_stores(state)
        hit = {"diaObjectId": np.array([int(known["object"])]), "ar_id": np.array([7])}
        stores.objects.put("lsst", "area_hits", hit)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (state / "objects.db-wal").stat().st_size
    with read_only(state):
        for command in commands(known, tmp_path):
            assert lasair(*command.split(), "--state", state) == 0, command
        capfd.readouterr()
        assert lasair("query", "diaObjectId", "area:7", "--survey", "lsst", "--format", "csv", "--state", state) == 0
        assert capfd.readouterr().out.split() == ["diaObjectId", known["object"]]


def test_writing_commands_say_what_to_do(whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    shutil.copytree(whole, state)
    with read_only(state):
        for command in ("expire", "dead-letters retry", f"run {whole.parent / 'packets'}", "filter stop All"):
            assert lasair(*command.split(), "--state", state) == 1, command
            said = capfd.readouterr().err
            assert "choose another" in said or "writable" in said, (command, said)
