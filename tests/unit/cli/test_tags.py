from __future__ import annotations

from pathlib import Path

import pytest

from lasair.cli.groups import group_command
from lasair.cli.tags import note_command, tag_command
from tests.support.commands import Commands

LSST, ZTF = "170000000000000001", "ZTF20abcdefg"


@pytest.fixture
def lasair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path / "state", capsys)


@pytest.fixture
def nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path / "nothing", capsys, made=False)


def test_tags(lasair: Commands) -> None:
    assert lasair(tag_command, "add", "good", LSST, ZTF) == "good: on 2 objects; queries name it as tag:1\n"
    assert "on 0 objects more" in lasair(tag_command, "add", "good", LSST, LSST)
    (one,) = lasair.json(tag_command, "list")
    assert (one["number"], one["name"], one["owner"], one["public"]) == (1, "good", "local", False)
    shown = lasair.json(tag_command, "show", "good")
    assert shown["number"] == 1
    assert [(one["survey"], one["object"]) for one in shown["objects"]] == [("lsst", LSST), ("ztf", ZTF)]
    lasair(tag_command, "rename", "good", "better")
    assert lasair(tag_command, "show", "1").startswith("tag 1 (better) of local: only its owner may use it\n")
    assert lasair(tag_command, "remove", "better", ZTF, "ZTF21aaaaaaa") == "better: taken off 1 object\n"
    rows = lasair(tag_command, "show", "better", "--format", "csv").splitlines()
    assert rows[0] == "survey,object,tagged" and len(rows) == 2 and rows[1].startswith(f"lsst,{LSST},")
    lasair(tag_command, "delete", "better")
    assert lasair.json(tag_command, "list") == []
    lasair(tag_command, "add", "better", LSST)
    assert lasair.json(tag_command, "show", "better")["number"] == 2


def test_sharing(lasair: Commands) -> None:
    lasair(group_command, "add", "friends")
    lasair(tag_command, "add", "good", LSST, "--group", "friends")
    assert lasair.json(tag_command, "list")[0]["group"] == "friends"
    assert lasair(tag_command, "share", "good", "--public", "--no-group") == "good: everybody may use it\n"
    assert lasair.json(tag_command, "list")[0] == {
        "number": 1, "name": "good", "owner": "local", "public": True, "group": None, "description": "",
    }  # fmt: skip
    assert "only its owner" in lasair(tag_command, "share", "good", "--private")
    lasair(tag_command, "share", "good", "--group", "friends", "--no-group", code=2)
    lasair(tag_command, "add", "good", ZTF, "--public")
    assert "'lasair tag share'" in lasair.err


def test_what_is_no_object_is_named_and_the_rest_is_tagged(lasair: Commands, nothing: Commands) -> None:
    nothing(tag_command, "add", "good", "ZTF20ABCDEFG", "nonsense", code=1)
    assert "'nonsense' is neither" in nothing.err and not nothing.state.exists()
    assert "on 1 object;" in lasair(tag_command, "add", "good", "x\x1b[2J", LSST, code=1)
    assert "\x1b" not in lasair.err
    lasair(tag_command, "remove", "good", "0", LSST, code=1)
    assert lasair.json(tag_command, "show", "good")["objects"] == []
    lasair(tag_command, "add", "7", LSST, code=1)
    assert "no tag 7" in lasair.err
    lasair(tag_command, "show", "god", code=1)
    assert "did you mean 'good'" in lasair.err


def test_nothing_was_ever_made(nothing: Commands) -> None:
    nothing(tag_command, "list", code=1)
    assert f"no tags in {nothing.state}" in nothing.err
    nothing.state.mkdir()
    assert nothing.json(tag_command, "list") == []
    nothing(tag_command, "show", "good", code=1)
    assert "lasair tag add" in nothing.err
    assert nothing(tag_command, "add", "good", LSST).startswith("good: on 1 object;")


def test_notes(lasair: Commands) -> None:
    assert lasair(note_command, "add", LSST, "nice\ncurve") == f"note 1 on {LSST}\n"
    lasair(note_command, "add", LSST, "for all", "--public")
    found = lasair.json(note_command, "list", LSST)
    assert [(one["number"], one["public"], one["text"]) for one in found] == [
        (1, False, "nice\ncurve"), (2, True, "for all"),
    ]  # fmt: skip
    assert "nice curve" in lasair(note_command, "list", LSST)
    assert lasair.json(note_command, "list", ZTF) == []
    lasair(note_command, "remove", 1)
    assert [one["number"] for one in lasair.json(note_command, "list", LSST)] == [2]
    for wrong in (("add", "x", "text"), ("add", LSST, ""), ("add", LSST, "a\x07"), ("list", "x"), ("remove", "1")):
        lasair(note_command, *wrong, code=1)
    lasair(note_command, "remove", "x", code=2)


def test_groups(lasair: Commands) -> None:
    assert lasair(group_command, "add", "friends") == "friends: local\n"
    assert lasair(group_command, "member", "friends", "bob") == "friends: bob, local\n"
    assert lasair.json(group_command, "list") == [{"name": "friends", "members": ["bob", "local"]}]
    assert lasair(group_command, "list", "--format", "csv") == 'name,members\nfriends,"bob, local"\n'
    assert lasair(group_command, "member", "friends", "bob", "--remove") == "friends: local\n"
    lasair(group_command, "member", "foes", "bob", code=1)
    assert "no group 'foes'" in lasair.err
