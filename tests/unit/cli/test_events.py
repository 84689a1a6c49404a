"""`lasair event`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lasair.cli.events import event_command
from lasair.cli.main import main
from lasair.events.read import read_event
from tests.support.commands import Commands
from tests.support.data import DATA
from tests.unit.events.made import gcn, igwn, multi_order

POINTS = "ra,decl,distance_mpc\n45,0.5,40\nx,0,1\n45,95,1\n40,2,\n200,-80,30\n"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[list[str]], str]:
    with pytest.raises(SystemExit) as ended:
        main(["event", "test", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), list(csv.reader(out.splitlines())), err


def test_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event, points = tmp_path / "map.fits", tmp_path / "p.csv"
    distances = {"DISTMU": [40.0, 50.0], "DISTSIGMA": [5.0, 5.0], "DISTNORM": [1e-3, 1e-3]}
    event.write_bytes(multi_order(more={name: np.array(values) for name, values in distances.items()}))
    points.write_text(POINTS)
    code, rows, err = run(capsys, event, "--points", points, "--format", "csv")
    assert code == 0 and rows[0] == ["point", "contour", "probdens2", "probdens3"]
    assert [row[0] for row in rows[1:]] == ["0", "3", "4"]
    assert "row 1" in err and "row 2" in err
    said = read_event(event).localisation
    assert said is not None
    expected = said.at([45.0, 40.0, 200.0], [0.5, 2.0, -80.0], [40.0, np.nan, 30.0])
    # every digit is printed
    assert [float(row[1]) for row in rows[1:]] == expected.contour.tolist()
    assert [float(row[2]) for row in rows[1:]] == expected.probdens2.tolist()
    assert float(rows[1][3]) == expected.probdens3[0] and rows[2][3] == rows[3][3] == ""


def test_without_distances(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event, points = tmp_path / "notice.json", tmp_path / "p.csv"
    event.write_text(json.dumps(gcn()))
    points.write_text("ra,dec\n120,-40.5\n")
    code, rows, err = run(capsys, event, "--points", points, "--format", "csv")
    assert (code, rows[0], err) == (0, ["point", "contour", "probdens2"], "")
    assert float(rows[1][1]) == pytest.approx(90.0)


def test_no_localisation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event, points, skymap = tmp_path / "notice.json", tmp_path / "p.csv", tmp_path / "map.fits"
    event.write_text(json.dumps(igwn(superevent_id="MS260301ab", event={"skymap": None})))
    points.write_text("ra,dec\n45,0.5\n")
    skymap.write_bytes(multi_order())
    code, rows, err = run(capsys, event, "--points", points, "--format", "csv")
    assert code == 1 and not rows and "no localisation" in err and "--skymap FILE" in err
    code, rows, err = run(capsys, event, "--points", points, "--skymap", skymap, "--format", "csv")
    assert code == 0 and len(rows) == 2 and "never matched" in err


@pytest.fixture
def lasair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path / "state", capsys)


def write(path: Path, notice: dict[str, object]) -> Path:
    path.write_text(json.dumps(notice))
    return path


def test_notices_of_an_event(lasair: Commands, tmp_path: Path) -> None:
    first = write(tmp_path / "1.json", igwn())
    update = write(tmp_path / "2.json", igwn(alert_type="UPDATE", time_created="2026-03-02T00:00:00Z"))
    taken = write(tmp_path / "3.json", igwn(alert_type="RETRACTION", time_created="2026-03-03T00:00:00Z", event=None))
    assert lasair(event_command, "add", first) == "S260301ab: new, version 1; active\n"
    assert lasair(event_command, "add", first) == "S260301ab: seen before, version 1; active\n"
    assert lasair(event_command, "add", update, taken) == (
        "S260301ab: updated, version 1; active\nS260301ab: retracted, version 2; retracted\n"
    )
    (one,) = lasair.json(event_command, "list")
    assert (one["name"], one["mission"], one["state"], one["notices"]) == ("S260301ab", "LVK", "retracted", 3)
    assert one["happened"] == "2026-03-01T10:20:30.123Z"
    shown = lasair.json(event_command, "show", "S260301ab")
    assert [one["kind"] for one in shown["notices"]] == ["preliminary", "update", "retraction"]
    assert shown["notices"][0]["classification"] == {"BNS": 0.9, "Terrestrial": 0.1}
    assert shown["hits"] == 0 and shown["area90"] >= shown["area50"]
    text = lasair(event_command, "show", "S260301ab")
    assert "retraction" in text and "area90" in text
    assert len(lasair(event_command, "show", "S260301ab", "--format", "csv").splitlines()) == 2


def test_retracted_by_hand(lasair: Commands, tmp_path: Path) -> None:
    lasair(event_command, "add", write(tmp_path / "1.json", igwn()))
    said = lasair(event_command, "retract", "S260301ab", "--reason", "a glitch")
    assert said == "S260301ab: retracted, version 2\n"
    assert lasair.json(event_command, "show", "S260301ab")["notices"][1]["params"] == {"reason": "a glitch"}
    lasair(event_command, "retract", "S260301ac", code=1)
    assert "did you mean 'S260301ab'" in lasair.err


def test_a_notice_without_a_place_is_stored_and_a_map_can_be_given(lasair: Commands, tmp_path: Path) -> None:
    notice, skymap = write(tmp_path / "1.json", igwn(event={"skymap": None})), tmp_path / "map.fits"
    skymap.write_bytes(multi_order())
    assert "no place" in lasair(event_command, "add", notice, code=1)
    assert "S260301ab has no localisation; stored, but matched with nothing: " in lasair.err
    assert lasair(event_command, "add", notice, "--skymap", skymap) == "S260301ab: updated, version 2; active\n"
    assert [one["map_given"] for one in lasair.json(event_command, "show", "S260301ab")["notices"]] == [False, True]
    later = igwn(alert_type="UPDATE", time_created="2026-03-02T00:00:00Z", event={"skymap": None})
    assert "active" in lasair(event_command, "add", write(tmp_path / "2.json", later), code=1)
    assert "an earlier place is kept" in lasair.err
    lasair(event_command, "add", notice, notice, "--skymap", skymap, code=2)


def test_a_folder_of_notices(lasair: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "notices"
    (folder / "below").mkdir(parents=True)
    write(folder / "a.json", igwn())
    write(folder / "below" / "b.json", gcn())
    (folder / "c.txt").write_text("no notice")
    (folder / ".hidden").write_text("no notice")
    write(folder / "d.json", igwn(superevent_id="MS260301ab"))
    said = lasair(event_command, "add", folder, code=1)
    assert said.splitlines() == [
        "S260301ab: new, version 1; active",
        "Example_12_34: new, version 1; active",
        "MS260301ab: test, version 1; test",
    ]
    assert lasair.err.count("\n") == 1 and "c.txt: is neither a notice" in lasair.err
    (folder / "c.txt").unlink()
    assert lasair(event_command, "add", folder).count("seen before") == 3
    lasair(event_command, "add", folder, "--skymap", folder / "a.json", code=2)
    lasair(event_command, "add", tmp_path / "none", code=2)


if DATA is not None:
    NOTICES = DATA / "multimessenger"

    def test_real_notices(lasair: Commands) -> None:
        lasair(event_command, "add", NOTICES / "igwn", NOTICES / "voevent", NOTICES / "gcn_json", code=1)
        listed = {one["name"]: one for one in lasair.json(event_command, "list")}
        assert listed["MS181101ab"]["state"] == "test" and listed["MS181101ab"]["notices"] == 3
        assert len(listed) > 15 and {one["state"] for one in listed.values()} == {
            "active", "test", "no place", "retracted",
        }  # fmt: skip
        for name in listed:
            assert lasair.json(event_command, "show", name)["name"] == name

    FOLDER = DATA / "oracles/skymap"

    def test_known_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        points = tmp_path / "p.csv"
        points.write_text("ra,dec,distance_mpc\n188,-9,23.510\n190,-15,20.350\n190,-11,27.440\n194,-19,34.780\n")
        code, rows, _ = run(capsys, FOLDER / "map.fits", "--points", points, "--format", "csv")
        assert code == 0 and [float(row[1]) <= 90.0 for row in rows[1:]] == [False, False, False, True]
        for value, known, digit in zip(rows[4][1:], (66.307, 0.025911, 0.0029990), (1e-3, 1e-6, 1e-7), strict=True):
            assert float(value) == pytest.approx(known, abs=digit)
