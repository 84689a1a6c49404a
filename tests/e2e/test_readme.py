"""The README's own commands, on a simulated night."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from lasair.cli.demo import add_sky
from lasair.cli.state import State
from lasair.simulate.profiles import FIRST_NIGHT
from lasair.simulate.tags import TAGS_FOLDER, write_tags
from lasair.simulate.write import SKY_FOLDER, write

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PROGRAM = ".venv/bin/lasair "


def test_every_command_works(tmp_path: Path) -> None:
    write("test", tmp_path / "packets", seed=6, n=None)
    add_sky(tmp_path / "packets" / SKY_FOLDER, State(tmp_path / "other"))
    write_tags(tmp_path / "packets", seed=6, first_night=FIRST_NIGHT)
    for name, file in (
        ("watchlist.csv", "quasars.csv"), ("area.reg", "field.reg"),
        ("event.multiorder.fits", "S250328ae.multiorder.fits"),
    ):  # fmt: skip
        (tmp_path / "packets" / TAGS_FOLDER / name).rename(tmp_path / file)
    (text,) = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "rising.toml").write_text(text)
    commands = [line.removeprefix(PROGRAM) for line in README.splitlines() if line.startswith(PROGRAM)]
    assert len(commands) >= 5

    def lasair(line: str) -> str:
        command = [sys.executable, "-m", "lasair.cli.main", *shlex.split(line)]
        done = subprocess.run(
            command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
        return done.stdout

    name = ""
    for line in commands:
        line = line.replace("FOLDER_OF_PACKETS", "packets").replace("CATALOGUES", "other/catalogues")
        text = lasair(re.sub(r"\b\d{15,}\b", name, line))
        if line.startswith("run"):
            name = lasair('query diaObjectId objects "nDiaSources > 1" --limit 1 --format csv').split()[1]
        assert text or "--plot" in line or line.startswith("sky")
    assert (tmp_path / "curve.png").is_file()
