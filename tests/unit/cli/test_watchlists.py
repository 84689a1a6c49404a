from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lasair.cli import watchlists
from lasair.cli.main import main
from lasair.cli.watchlists import watchlist_command
from lasair.definitions import watchlist_file
from lasair.sky.separation import separation_arcsec
from tests.support.commands import Commands
from tests.unit.definitions.test_remote import Server, server

__all__ = ["server"]


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


GOOD = "ra,dec,name,brighter\n10,20,a,18\n11,21,b,\n"


@pytest.fixture
def lasair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path / "state", capsys)


@pytest.fixture
def nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path / "nothing", capsys, made=False)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "good.csv").write_text(GOOD)
    return tmp_path / "good.csv"


def test_a_list_is_added_shown_and_removed(lasair: Commands, good: Path) -> None:
    said = lasair(watchlist_command, "add", "AGN", good, "--radius", "2", "--brighter", "20", "--description", "mine")
    assert said == "AGN: version 1, 2 cones; filters and queries name it as watchlist:2\n"
    assert "no other cones" in lasair(watchlist_command, "add", "AGN", good, "--radius", "2", "--brighter", "20")
    shown = lasair.json(watchlist_command, "show", "AGN")
    assert {key: shown[key] for key in ("number", "cones", "version", "radius_arcsec", "brighter", "hits")} == {
        "number": 2, "cones": 2, "version": 1, "radius_arcsec": 2.0, "brighter": 20.0, "hits": 0,
    }  # fmt: skip
    assert shown["description"] == "mine"
    assert "version          1\n" in lasair(watchlist_command, "show", "2")
    assert lasair(watchlist_command, "stop", "AGN") == "AGN: stopped\n"
    listed = lasair.json(watchlist_command, "list")
    assert [(one["number"], one["name"], one["active"], one["cones"]) for one in listed] == [
        (1, "TNS", True, 0), (2, "AGN", False, 2),
    ]  # fmt: skip
    assert lasair(watchlist_command, "activate", "2") == "AGN: version 3 is active\n"
    assert lasair(watchlist_command, "share", "AGN", "--public") == "AGN: everybody may use it\n"
    rows = lasair(watchlist_command, "list", "--format", "csv").splitlines()
    assert rows == [
        "number,name,owner,version,active,cones,public,group", "1,TNS,,1,True,0,True,", "2,AGN,local,3,True,2,True,",
    ]  # fmt: skip
    assert lasair(watchlist_command, "remove", "AGN") == "AGN: removed\n"
    lasair(watchlist_command, "show", "AGN", code=1)
    assert "no watchlist 'AGN'" in lasair.err


def test_bad_lines_are_all_named_and_nothing_is_stored_unless_they_are_skipped(
    lasair: Commands, nothing: Commands, tmp_path: Path
) -> None:
    (tmp_path / "l.csv").write_text(GOOD + "x,21,c,\n12,95,d,\n13,3,e,99\n")
    nothing(watchlist_command, "add", "AGN", tmp_path / "l.csv", "--radius", "2", code=1)
    for words in ("row 2 (line 4)", "row 3 (line 5)", "row 4 (line 6): brighter than 99", "3 lines", "--skip-bad"):
        assert words in nothing.err
    assert not nothing.state.exists()
    lasair(watchlist_command, "add", "AGN", tmp_path / "l.csv", "--radius", "2", "--skip-bad")
    assert "row 3 (line 5)" in lasair.err and "nothing was stored" not in lasair.err
    assert lasair.json(watchlist_command, "show", "AGN")["cones"] == 2
    (tmp_path / "l.csv").write_text("x,21,c\n")
    lasair(watchlist_command, "add", "AGN", tmp_path / "l.csv", "--radius", "2", "--skip-bad", code=1)
    assert "would have no cones" in lasair.err
    assert lasair.json(watchlist_command, "show", "AGN")["cones"] == 2


def test_wrong_usage(lasair: Commands, good: Path) -> None:
    for options in (("--radius", "0"), ("--brighter", "99"), ("--change", "0"), ("--every", "0"), ("--group", "")):
        lasair(watchlist_command, "add", "AGN", good, *options, code=2)
        assert options[0] in lasair.err
    lasair(watchlist_command, "add", "AGN", good, "--every", "24", code=2)
    assert "URL" in lasair.err
    for name in ("", "12", "a\x1bb"):
        lasair(watchlist_command, "add", name, good, "--radius", "2", code=1)
    lasair(watchlist_command, "add", "AGN", "ftp://example.org/l.csv", code=1)
    assert "http:// or https://" in lasair.err
    lasair(watchlist_command, "remove", "TNS", code=1)
    assert "installation's own" in lasair.err


def test_limits_of_options_are_those_of_files() -> None:
    assert watchlists._MAX_RADIUS == watchlist_file.MAX_RADIUS_ARCSEC
    limits = (watchlists._MIN_BRIGHTER, watchlists._MAX_BRIGHTER, watchlists._MAX_CHANGE)
    assert limits == (watchlist_file.MIN_BRIGHTER, watchlist_file.MAX_BRIGHTER, watchlist_file.MAX_CHANGE)


def test_a_list_from_a_url_is_refreshed(lasair: Commands, server: Server, good: Path) -> None:
    url = server.give(GOOD.encode())
    lasair(watchlist_command, "add", "AGN", url, "--radius", "2", "--every", "24")
    shown = lasair.json(watchlist_command, "show", "AGN")
    assert (shown["source"], shown["refresh_hours"], shown["refreshed"]) == (url, 24.0, None)
    server.give((GOOD + "12,22,c,\n").encode())
    assert lasair(watchlist_command, "refresh").startswith("AGN: version 2, 3 cones;")
    assert lasair(watchlist_command, "refresh") == "", "its time has not come"
    server.give(b"", 503)
    lasair(watchlist_command, "refresh", "AGN", code=1)
    assert "AGN stays as it is: " in lasair.err and "503" in lasair.err
    shown = lasair.json(watchlist_command, "show", "AGN")
    assert (shown["version"], shown["cones"]) == (2, 3) and "503" in shown["refresh_error"]
    server.give(b"nothing,of,use\n")
    lasair(watchlist_command, "refresh", "AGN", code=1)
    lasair(watchlist_command, "add", "AGN", good, "--radius", "2")
    lasair(watchlist_command, "refresh", "AGN", code=1)
    assert "came from a file" in lasair.err
    lasair(watchlist_command, "refresh", "none", code=1)
