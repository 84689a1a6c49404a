from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lasair.cli.main import main
from lasair.sky.separation import separation_arcsec


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_all_pairs_by_point_and_cone_with_rows_counted_from_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.csv").write_text('10,0,a,5\n1,2,3,4,5\n10,0.001,"b, c"\n359.9999,0,d\n10,0,12\n')
    (tmp_path / "p.csv").write_text("name,ra,decl\nx,0.0001,0\ny,oops,1\nz,10,0.0005\nw,100,1\n")
    code, out, err = run(
        capsys, "watchlist", "test", str(tmp_path / "list.csv"), "--points", str(tmp_path / "p.csv"), "--radius", "1.8",
        "--format", "csv",
    )  # fmt: skip
    assert code == 0
    assert out.splitlines() == ["point,cone,name,sep_arcsec", "0,3,d,0.72", "2,0,a,1.8", '2,2,"b, c",1.8']
    assert "list.csv: row 1 (line 2): it has 5 fields" in err
    assert "list.csv: row 4 (line 5): the number 12 stands where the name belongs" in err
    assert "p.csv: row 1 (line 3): 'oops' is no right ascension" in err


def test_many_pairs_are_those_found_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(1)
    ra, decl = chance.uniform(0, 0.1, 300), chance.uniform(89.9, 90.0, 300)
    radius = chance.choice([2.0, 20.0, 200.0], 300)
    (tmp_path / "l.csv").write_text(
        "\n".join(f"{a},{d},n{i},{r}" for i, (a, d, r) in enumerate(zip(ra, decl, radius, strict=True)))
    )
    (tmp_path / "p.csv").write_text("ra,dec\n" + "\n".join(f"{a + 180},{d}" for a, d in zip(ra, decl, strict=True)))
    _, out, _ = run(
        capsys, "watchlist", "test", str(tmp_path / "l.csv"), "--points", str(tmp_path / "p.csv"), "--format", "csv"
    )
    apart = separation_arcsec(ra[:, None] + 180.0, decl[:, None], ra, decl)
    expected = [(int(i), int(j)) for i, j in np.argwhere(apart <= radius)]
    assert [tuple(map(int, line.split(",")[:2])) for line in out.splitlines()[1:]] == expected
    assert expected


def test_wrong_files_and_radii(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = tmp_path / "p.csv"
    points.write_text("ra,dec\n1,2\n")
    code, out, err = run(capsys, "watchlist", "test", str(tmp_path / "none"), "--points", str(points))
    assert (code, out) == (1, "") and "none: cannot be read" in err
    for radius in ("0", "-1", "36001", "nan"):
        code, _, err = run(capsys, "watchlist", "test", str(points), "--points", str(points), "--radius", radius)
        assert code == 2 and "--radius" in err
    code, out, err = run(capsys, "watchlist", "test", str(points), "--points", str(points), "--format", "csv")
    assert (code, out) == (0, "point,cone,name,sep_arcsec\n") and "there is no radius" in err
