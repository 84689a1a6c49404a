"""docs/catalogues.md: its example works as it is written; the commands as scripts use them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "catalogues.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    (text,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(text)


class Lasair:
    """Runs commands in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "lasair.cli.main", *arguments]
        environment = {**os.environ, "LASAIR_STATE": "state"}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stdout + done.stderr

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--format", "json", code=code))


@pytest.fixture
def lasair(tmp_path: Path) -> Lasair:
    (tmp_path / "stars.csv").write_text(block("csv"))
    (tmp_path / "stars2.csv").write_text(block("csv") + "105,11.5,41.25,13,,\n")
    (tmp_path / "stars.yaml").write_text(block("yaml"))
    return Lasair(tmp_path)


def test_the_page_works_as_it_is_written(lasair: Lasair) -> None:
    commands = [line.strip() for line in PAGE.splitlines() if line.startswith("    lasair ")]
    mine = [line for line in commands if "/data/" not in line]
    assert len(mine) == 8 and len(commands) == 9
    said = [lasair(*shlex.split(line)[1:]) for line in mine]
    assert "no position: 1" in said[0] and "stars.csv: row 4" in said[0] and "canary: '101'" in said[0]
    assert "my_stars" in said[1] and "Variable stars of mine" in said[2] and "1 catalogues are good" in said[3]
    assert "VS" in said[4]
    report = json.loads((lasair.folder / "report.json").read_text())
    assert (report["rows_read"], report["rows_used"], report["views"]) == (4, 3, {"all": 3, "bright": 1})
    assert report["columns"]["G"]["known"] == 2 and report["columns"]["pm_decl"]["max"] == 200.0
    assert lasair.json("catalogue", "list")[0]["status"] == "retired"


def test_releases_come_and_go(lasair: Lasair) -> None:
    first = lasair.json("catalogue", "add", "stars.yaml", "--plot", "sky.png")
    assert first["current"] and (lasair.folder / "sky.png").is_file()
    second = lasair.json("catalogue", "add", "stars.yaml", "--source", "stars2.csv", "--no-switch", "--memory", "16")
    assert not second["current"] and second["rows_used"] == 4
    found = lasair.json("catalogue", "show", "my_stars")
    assert found["current"] == first["release"] and len(found["releases"]) == 2
    assert [entry["action"] for entry in found["log"]] == ["publish", "switch", "publish"]
    assert lasair.json("catalogue", "switch", "my_stars", second["release"])["current"] == second["release"]
    assert lasair.json("catalogue", "rollback", "my_stars")["current"] == first["release"]
    assert lasair.json("catalogue", "retire", "my_stars") == {"name": "my_stars", "current": None}
    assert "has no current release" in lasair("catalogue", "retire", "my_stars", code=1)
    assert lasair.json("catalogue", "check") == {"good": 0, "problems": []}
    lasair("catalogue", "switch", "my_stars", first["release"])
    file = lasair.folder / "state/catalogues/my_stars/current/G.bin"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    problems = lasair.json("catalogue", "check", "my_stars", code=1)["problems"]
    assert problems[0]["file"].endswith("G.bin") and "was changed" in problems[0]["reason"]
    assert "G.bin" in lasair("catalogue", "check", code=1)


def test_what_goes_wrong_is_said_in_a_line(lasair: Lasair) -> None:
    assert "no catalogues in" in lasair("catalogue", "list", code=1)
    assert "no file and no shipped description 'gaja'; did you mean gaia" in lasair("catalogue", "add", "gaja", code=1)
    assert "say --fetch to fetch it" in lasair("catalogue", "add", "milliquas", code=1)
    text = block("yaml")
    (lasair.folder / "bad.yaml").write_text(text.replace("id: 101, radius", "id: 102, radius"))
    said = lasair("catalogue", "add", "bad.yaml", "--report", "r.json", code=1)
    assert "was not published: the canary '102'" in said
    assert json.loads((lasair.folder / "r.json").read_text())["rows_used"] == 3
    (lasair.folder / "lost.csv").write_text("star,G\n1,2\n")
    assert "lost.csv has no positions" in lasair("catalogue", "add", "stars.yaml", "--source", "lost.csv", code=1)
    assert lasair.json("catalogue", "list") == []
    assert "--memory" in lasair("catalogue", "add", "stars.yaml", "--memory", "1", code=2)


def test_manifests_are_listed(lasair: Lasair) -> None:
    names = [one["name"] for one in lasair.json("catalogue", "manifests")]
    assert {"gaia", "ps1", "gcvs", "igaps"} <= set(names)
