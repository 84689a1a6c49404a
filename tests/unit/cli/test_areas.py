from __future__ import annotations

from pathlib import Path

import pytest

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
