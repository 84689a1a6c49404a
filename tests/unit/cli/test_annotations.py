from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

import lasair.cli.annotations as commands
from lasair.cli.main import main
from lasair.cli.state import State
from tests.unit.annotations.brokers.made import antares_message
from tests.unit.cli import tagged

FILTER = """
name = "spoken of"
survey = "lsst"
tables = ["objects", "annotator:mine"]
trigger = "annotation"
select = "objects.diaObjectId, mine.classification"
where = "mine.classification = 'SN'"
"""


def run(capsys: pytest.CaptureFixture[str], state: Path, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["--state", str(state), *arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    run(capsys, tmp_path / "state", "annotator", "add", "Mine")
    return tmp_path / "state"


def test_what_was_said_is_shown(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, state, "annotations", "show", "5", "--format", "json") == (0, "[]\n", "")
    first = run(capsys, state, "annotate", "5", "mine", "SN", "--dict", '{"p": 0.5}', "--explanation", "a\nb",
                "--url", "https://example.org", "--version", "2", "--format", "json")  # fmt: skip
    assert first[0] == 0
    (said,) = json.loads(first[1])
    assert said == {
        "annotation_id": 1, "object": "5", "topic": "Mine", "classification": "SN", "new": True
    }  # fmt: skip
    again = run(capsys, state, "annotate", "5", "MINE", "SN", "--dict", '{"p": 0.5}', "--explanation", "a\nb",
                "--url", "https://example.org", "--version", "2")  # fmt: skip
    assert "no" in again[1].split("\n")[2]
    run(capsys, state, "annotate", "5", "mine", "VS")
    (stands,) = json.loads(run(capsys, state, "annotations", "show", "5", "--format", "json")[1])
    assert (stands["annotation_id"], stands["object_id"], stands["classification"]) == (2, "5", "VS")
    history = json.loads(run(capsys, state, "annotations", "show", "5", "--history", "--format", "json")[1])
    assert [one["classdict"] for one in history] == [None, {"p": 0.5}]
    table = run(capsys, state, "annotations", "show", "5", "--history")[1]
    assert "a b" in table and len(table.splitlines()) == 4
    rows = run(capsys, state, "annotations", "topics", "--format", "csv")[1]
    assert rows.splitlines() == ["survey,topic,objects", "lsst,Mine,1"]


def test_lines_of_a_file_are_kept_and_bad_ones_named(
    state: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "LINES", 2)
    monkeypatch.setattr(commands, "LINE_BYTES", 2000)
    good: dict[str, Any] = {"objectId": 5, "topic": "mine", "classification": "SN"}
    lines = [
        json.dumps(good), "", "no JSON", "[" * 1500, "x" * 5000, json.dumps({**good, "objectId": "ZTF18aaaaaaa"}),
        json.dumps({**good, "topic": "theirs"}), json.dumps({**good, "classdict": "{"}),
        '{"objectId": ' + "9" * 1000 + "}", json.dumps({**good, "objectId": "6", "classdict": '{"a": NaN}'}), "\xff",
    ]  # fmt: skip
    file = tmp_path / "said.jsonl"
    file.write_bytes("\n".join(lines).encode("latin-1"))
    code, out, err = run(capsys, state, "annotate", "--from", str(file), "--format", "json")
    assert code == 1
    assert [(one["object"], one["new"]) for one in json.loads(out)] == [
        ("5", True),
        ("ZTF18aaaaaaa", True),
        ("6", True),
    ]
    named = [int(line.split("line ")[1].split(":")[0]) for line in err.splitlines()]
    assert named == [3, 4, 5, 7, 8, 9, 11]
    assert "more than 2,000 bytes" in err and "no annotator 'theirs'" in err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    code, out, _ = run(capsys, state, "annotate", "--from", "-", "--format", "json")
    assert code == 1 and not any(one["new"] for one in json.loads(out))
    file.write_bytes(b"")
    assert run(capsys, state, "annotate", "--from", str(file), "--format", "json")[:2] == (0, "[]\n")


def test_who_may_not_annotate(state: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "no annotator 'min'" in run(capsys, state, "annotate", "5", "min", "SN")[2]
    run(capsys, state, "annotator", "stop", "mine")
    code, _, err = run(capsys, state, "annotate", "5", "mine", "SN")
    assert code == 1 and "'Mine' is stopped" in err
    for arguments, text in (
        (("annotate", "0", "mine", "SN"), "objectId"),
        (("annotate", "5", "mine", "SN", "--dict", "[]"), "classdict"),
        (("annotate", "5", "mine", "SN", "--url", "javascript:x"), "url"),
        (("annotations", "show", "x"), "ZTF name"),
    ):
        code, _, err = run(capsys, state, *arguments)
        assert code == 1 and text in err
    for wrong in (("annotate",), ("annotate", "5", "mine"), ("annotate", "5", "mine", "x", "--from", "-")):
        assert run(capsys, state, *wrong)[0] == 2
    nowhere = tmp_path / "nowhere"
    for command in (["annotate", "5", "mine", "SN"], ["annotations", "show", "5"], ["annotations", "topics"]):
        code, _, err = run(capsys, nowhere, *command)
        assert code == 1 and str(nowhere) in err and not nowhere.exists()


def test_other_brokers(state: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "messages"
    folder.mkdir()
    locus = {"locus_id": "ANT1", "tags": ["dimmers"], "properties": {"ztf_object_id": "ZTF18aaaaaaa", "num_alerts": 3}}
    (folder / "good").write_bytes(antares_message(locus))
    (folder / b"bad\xff".decode(errors="surrogateescape")).write_bytes(b"\x00")
    code, out, err = run(capsys, state, "annotations", "take", "antares", str(folder))
    assert code == 1
    assert out == "files read 2, annotations 1, new 1, refused 1 (antares 1)\n"
    assert "bad\\xff: " in err and "lasair annotator add antares" in err
    (folder / b"bad\xff".decode(errors="surrogateescape")).unlink()
    run(capsys, state, "annotator", "add", "antares")
    code, out, err = run(capsys, state, "annotations", "take", "antares", str(folder), "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"files": 1, "annotations": 1, "new": 0, "topics": {"antares": 1}, "refused": []}
    run(capsys, state, "annotator", "stop", "antares")
    code, out, err = run(capsys, state, "annotations", "take", "antares", str(folder))
    assert code == 1 and "is stopped" in err and "annotations 0" in out
    # a state that is made by it
    other = tmp_path / "other"
    assert run(capsys, other, "annotations", "take", "antares", str(folder))[0] == 0
    assert len(json.loads(run(capsys, other, "annotations", "show", "ZTF18aaaaaaa", "--format", "json")[1])) == 1


def test_filters_that_wait_for_annotations_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    tagged.make(state)
    run(capsys, state, "annotator", "add", "mine")
    (tmp_path / "f.toml").write_text(FILTER)
    code, _, err = run(capsys, state, "filter", "add", str(tmp_path / "f.toml"), "--activate")
    assert code == 0, err
    assert "1 messages" in run(capsys, state, "annotate", str(tagged.LSST), "mine", "SN")[2]
    assert run(capsys, state, "annotate", str(tagged.LSST), "mine", "SN")[2] == ""
    with State(state).writing():
        assert "a run holds the state" in run(capsys, state, "annotate", str(tagged.TWIN), "mine", "SN")[2]


def test_the_brokers_are_those_that_there_are() -> None:
    from lasair.annotations.take import BROKERS

    assert set(commands.BROKERS) == set(BROKERS)
