"""Sherlock in the whole chain: a simulated sky's truth comes out, and a changed catalogue reaches users' streams."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lasair.cli.demo import add_sky
from lasair.cli.state import State
from lasair.sherlock.confusion import confusion
from lasair.simulate.write import SKY_FOLDER, write
from lasair.stores.open import Stores

FILTER = """
name = "Supernovae of Sherlock"
survey = "lsst"
tables = "objects, sherlock_classifications"
select = "objects.diaObjectId, classification"
where = "classification = 'ORPHAN'"
output = "full"
"""


def lasair(state: Path, *arguments: str | Path) -> Any:
    """What a command prints as JSON, or its text."""
    command = [sys.executable, "-m", "lasair.cli.main", *map(str, arguments)]
    environment = os.environ | {"LASAIR_STATE": str(state)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (command, done.stderr)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return done.stdout


def messages(state: Path, topic: str) -> list[Any]:
    """All messages of a stream."""
    text = lasair(state, "stream", "read", topic, "--limit", "100000", "--format", "json")
    return [json.loads(line) for line in text.splitlines()] if isinstance(text, str) else [text]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    write("demo", folder, seed=4, n=1500)
    return folder


@pytest.fixture(scope="module")
def state(night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that holds the night, classified with the sky it was drawn with."""
    folder = tmp_path_factory.mktemp("state")
    (folder / "filters").mkdir()
    (folder / "filters" / "orphans.toml").write_text(FILTER)
    add_sky(night / SKY_FOLDER, State(folder))
    summary = lasair(folder, "run", night, "--filters", folder / "filters", "--json")
    assert summary["ledger"]["closes"]
    return folder


def test_the_truth_comes_out(night: Path, state: Path) -> None:
    stores = Stores(state, read_only=True)
    found = confusion(night / "truth.csv", stores.objects)
    stores.close()
    assert found.total > 200
    # the thin background falls on an object now and then
    assert found.right >= 0.99 * found.total, found.table()


def test_a_run_again_says_the_same_and_asks_nothing(night: Path, state: Path) -> None:
    before = lasair(state, "query", "objectId, classification", "objects, sherlock_classifications", "--format", "json")
    assert before
    lasair(state, "run", night, "--json")
    assert before == lasair(
        state, "query", "objectId, classification", "objects, sherlock_classifications", "--format", "json"
    )


def test_a_changed_catalogue_reaches_streams_and_history(night: Path, state: Path, tmp_path: Path) -> None:
    (topic,) = (one["topic"] for one in lasair(state, "stream", "list", "--format", "json"))
    before = messages(state, topic)
    # the next release of Gaia has lost all but a few of its stars
    table = pq.read_table(night / SKY_FOLDER / "gaia.parquet")
    pq.write_table(table.slice(0, 5), tmp_path / "gaia.parquet")
    lasair(state, "catalogue", "add", "gaia", "--source", tmp_path / "gaia.parquet")
    found = lasair(state, "sherlock", "refresh", "--format", "json")
    assert found["changed"] > 50
    assert found["asked"] >= found["changed"]
    assert {one["to"] for one in found["transitions"]} >= {"ORPHAN"}
    new = messages(state, topic)[len(before) :]
    assert len(new) == found["delivered"] > 20
    payload = new[0]
    assert payload["classification"] == "ORPHAN"
    assert payload["alert"]["diaSourcesList"], "a filter with full output gets the light form"
    history = lasair(state, "object", str(payload["diaObjectId"]), "--format", "json")["classified"]
    assert len(history) == 2
    assert history[0]["class"] != history[1]["class"] == "ORPHAN"
    # nothing is left to do
    assert lasair(state, "sherlock", "refresh", "--format", "json")["asked"] == 0
    assert lasair(state, "ledger", "--json")["closes"]


def test_the_commands_of_the_page(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sherlock.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)
    commands = [line.removeprefix("lasair ") for block in blocks for line in block.splitlines()]
    assert len(commands) >= 8
    monkeypatch.chdir(tmp_path)
    (tmp_path / "positions.csv").write_text("name,ra,dec\na,10,5\nb,20,-5\n")
    star = {"source_id": 5, "ra": 10.0, "dec": 20.0001, "phot_g_mean_mag": 18.0, "phot_g_mean_flux_over_error": 90.0}
    (tmp_path / "sites.json").write_text(
        json.dumps({"ra": [10.0, 30.0], "dec": [20.0, 20.0], "tables": {"gaia": [star]}})
    )
    for line in commands:
        if line.startswith("sherlock serve"):
            continue  # tests/unit/sherlock/test_service.py starts it
        if line.startswith("sherlock compare"):
            (tmp_path / "theirs.json").write_bytes((tmp_path / "ours.json").read_bytes())
        if line.startswith("catalogue switch"):
            shown = lasair(state, "catalogue", "show", "gaia", "--format", "json")
            line = f"catalogue switch gaia {shown['current']}"
        assert lasair(state, *shlex.split(line)), line
    assert json.loads((tmp_path / "ours.json").read_text())["cl"]["s00000"][0] == "VS"
