from __future__ import annotations

from pathlib import Path

import pytest

from lasair.cli.annotators import annotator_command
from tests.support.commands import Commands


@pytest.fixture
def lasair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path / "state", capsys)


def test_annotators(lasair: Commands) -> None:
    said = lasair(annotator_command, "add", "FastFinder", "--description", "fast things", "--url", "https://a.example")
    assert said == "FastFinder: filters and queries name it as annotator:FastFinder\n"
    lasair(annotator_command, "add", "fastfinder", "--public")
    whole = {
        "topic": "FastFinder", "owner": "local", "active": True, "public": True, "group": None,
        "url": "https://a.example", "description": "fast things",
    }  # fmt: skip
    assert lasair.json(annotator_command, "list") == [whole]
    assert lasair(annotator_command, "stop", "FASTFINDER") == "FastFinder: stopped\n"
    assert lasair.json(annotator_command, "list") == [whole | {"active": False}]
    assert lasair(annotator_command, "activate", "fastfinder") == "FastFinder: active\n"
    lasair(annotator_command, "add", "a:b", code=1)
    assert "topic: " in lasair.err
    lasair(annotator_command, "stop", "fastfindr", code=1)
    assert "did you mean 'FastFinder'" in lasair.err
