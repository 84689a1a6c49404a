"""`lasair event test`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lasair.cli.main import main
from lasair.events.read import read_event
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


if DATA is not None:
    FOLDER = DATA / "oracles/skymap"

    def test_known_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        points = tmp_path / "p.csv"
        points.write_text("ra,dec,distance_mpc\n188,-9,23.510\n190,-15,20.350\n190,-11,27.440\n194,-19,34.780\n")
        code, rows, _ = run(capsys, FOLDER / "map.fits", "--points", points, "--format", "csv")
        assert code == 0 and [float(row[1]) <= 90.0 for row in rows[1:]] == [False, False, False, True]
        for value, known, digit in zip(rows[4][1:], (66.307, 0.025911, 0.0029990), (1e-3, 1e-6, 1e-7), strict=True):
            assert float(value) == pytest.approx(known, abs=digit)
