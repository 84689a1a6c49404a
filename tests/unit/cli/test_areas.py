from __future__ import annotations

from pathlib import Path

import pytest

from lasair.cli.areas import area_command
from tests.support.commands import Commands
from tests.unit.cli.test_watchlists import run


def test_every_point_is_in_or_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.reg").write_text("fk5\ncircle(0,0,1)\n")
    (tmp_path / "p.csv").write_text("dec,ra\n0.5,359.5\n0,x\n0,1.5\n0.9,0\n")
    code, out, err = run(
        capsys, "area", "test", str(tmp_path / "a.reg"), "--points", str(tmp_path / "p.csv"), "--format", "csv"
    )
    assert code == 0
    assert out.splitlines() == ["point,inside", "0,1", "2,0", "3,1"]
    assert "p.csv: row 1 (line 3)" in err


def test_the_order_of_cells_can_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("circle 45 0 1\n")
    (tmp_path / "p.csv").write_text("ra,dec\n45,1.5\n")
    for order, inside in (("2", "1"), ("13", "0")):
        _, out, _ = run(
            capsys, "area", "test", str(tmp_path / "a.txt"), "--points", str(tmp_path / "p.csv"), "--order", order,
            "--format", "csv",
        )  # fmt: skip
        assert out.splitlines()[1] == f"0,{inside}"
    for order in ("-1", "30", "x"):
        code, _, err = run(capsys, "area", "test", "a", "--points", "p", "--order", order)
        assert code == 2 and "--order" in err


def test_wrong_files_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("nothing of use\n")
    (tmp_path / "p.csv").write_text("ra,dec\n45,1.5\n")
    code, out, err = run(capsys, "area", "test", str(tmp_path / "a.txt"), "--points", str(tmp_path / "p.csv"))
    assert (code, out) == (1, "")
    assert err.startswith(f"lasair: {tmp_path}/a.txt: line 1: ") and err.count("\n") == 1


def test_an_area_is_added_shown_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lasair = Commands(tmp_path / "state", capsys)
    (tmp_path / "a.reg").write_text("fk5\ncircle(0,0,1)\n")
    (tmp_path / "bad.reg").write_text("fk5\ncircle(0,0)\n")
    said = lasair(area_command, "add", "North", tmp_path / "a.reg", "--order", "6", "--public")
    assert said.startswith("North: version 1, ") and said.endswith(
        "cells of order 6); filters and queries name it as area:1\n"
    )
    assert "no other cells" in lasair(area_command, "add", "North", tmp_path / "a.reg", "--order", "6")
    assert "version 2" in lasair(area_command, "add", "North", tmp_path / "a.reg")
    shown = lasair.json(area_command, "show", "1")
    assert (shown["name"], shown["public"], shown["hits"]) == ("North", True, 0)
    assert shown["square_degrees"] == pytest.approx(3.14, abs=0.05)
    lasair(area_command, "add", "North", tmp_path / "bad.reg", code=1)
    assert "line 2" in lasair.err
    assert lasair.json(area_command, "show", "North")["version"] == 2
    lasair(area_command, "stop", "North")
    lasair(area_command, "activate", "North")
    (one,) = lasair.json(area_command, "list")
    assert (one["number"], one["version"], one["active"]) == (1, 4, True)
    assert lasair(area_command, "share", "North", "--private") == "North: only its owner may use it\n"
    assert lasair(area_command, "remove", "North") == "North: removed\n"
    assert lasair.json(area_command, "list") == []
