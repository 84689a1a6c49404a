"""The command line as scripts use it, on a simulated night."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lasair.cli.inspect import NAMES
from lasair.show.lightcurve import LIGHTCURVE_COLUMNS
from lasair.simulate.write import write

FILTER = """
name = "Bright"
survey = "lsst"
tables = "objects"
select = "diaObjectId, ra, decl, latest_psfFlux"
where = "latest_psfFlux > 1000"
output = "lite"
"""


class Lasair:
    """Runs commands on one state."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def __call__(self, *arguments: str | Path, code: int = 0) -> str:
        done = self.run(*arguments)
        assert done.returncode == code, done.stderr
        return done.stdout

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lasair.cli.main", *map(str, arguments)]
        environment = {**os.environ, "LASAIR_STATE": str(self.state), "LASAIR_DURABLE": "false"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self(*arguments))

    def csv(self, *arguments: str | Path) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self(*arguments, "--format", "csv"))))


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packets")
    write("test", folder, seed=3, n=None)
    return folder


@pytest.fixture(scope="module")
def lasair(packets: Path, tmp_path_factory: pytest.TempPathFactory) -> Lasair:
    folder = tmp_path_factory.mktemp("run")
    filters = folder / "filters"
    filters.mkdir()
    (filters / "bright.toml").write_text(FILTER)
    command = Lasair(folder / "state")
    command("run", packets, "--filters", filters)
    return command


@pytest.fixture(scope="module")
def alert(lasair: Lasair, packets: Path) -> dict[str, str]:
    """An LSST alert with images whose object is stored."""
    rows = lasair.csv("inspect", packets)
    return next(
        row
        for row in rows
        if row["survey"] == "lsst" and row["object_id"] and int(row["cutout_bytes"]) and int(row["n_forced"])
    )


def test_help_lists_every_command() -> None:
    from lasair.cli.main import COMMANDS

    done = subprocess.run(
        [sys.executable, "-m", "lasair.cli.main", "--help"], capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in COMMANDS)


def test_inspect_has_the_promised_columns_and_names_the_refused(lasair: Lasair, packets: Path) -> None:
    done = lasair.run("inspect", packets, "--format", "csv")
    assert done.returncode == 0
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert tuple(rows[0]) == NAMES
    assert {row["survey"] for row in rows} == {"lsst", "ztf"}
    assert "refused: " in done.stderr
    for row in rows:
        assert (row["flux_nJy"] == "") == (row["survey"] == "ztf")
        assert (row["mag"] == "") == (row["survey"] == "lsst")


def test_a_second_run_changes_only_the_duplicates(lasair: Lasair, packets: Path) -> None:
    before = lasair.json("ledger", "--json")
    assert before["closes"]
    summary = lasair.json("run", packets, "--json")
    after = lasair.json("ledger", "--json")
    assert after["closes"]
    new = summary["run"]["duplicate"]
    expected = dict(before["total"])
    for name in ("read", "decoded", "duplicate"):
        expected[name] += new
    assert after["total"] == expected
    assert new == before["total"]["decoded"]


def test_dead_letters_are_listed_with_reason(lasair: Lasair) -> None:
    letters = lasair.json("dead-letters", "--format", "json")
    assert letters and all(one["reason"] and one["partition"] for one in letters)
    assert len(letters) == lasair.json("ledger", "--json")["total"]["set_aside"]


def test_query_in_every_form(lasair: Lasair, tmp_path: Path) -> None:
    question = (
        "query",
        "diaObjectId, ra, decl",
        "objects",
        "nDiaSources >= 1",
        "--order-by",
        "diaObjectId",
        "--limit",
        "5",
    )
    rows = lasair.csv(*question)
    assert len(rows) == 5 and list(rows[0]) == ["diaObjectId", "ra", "decl"]
    assert [str(row["diaObjectId"]) for row in lasair.json(*question, "--format", "json")] == [
        row["diaObjectId"] for row in rows
    ]
    lasair(*question, "--format", "parquet", "-o", tmp_path / "rows.parquet")
    import pyarrow.parquet as pq

    assert [str(one) for one in pq.read_table(tmp_path / "rows.parquet")["diaObjectId"].to_pylist()] == [
        row["diaObjectId"] for row in rows
    ]
    assert "truncated" in lasair.run(*question).stderr


def test_a_wrong_clause_says_what_is_meant(lasair: Lasair) -> None:
    done = lasair.run("query", "diaObjectId", "objects", "nDiaSource > 1")
    assert done.returncode == 1
    assert "nDiaSources" in done.stderr


def test_object_and_lightcurve(lasair: Lasair, alert: dict[str, str], tmp_path: Path) -> None:
    name = alert["object_id"]
    facts = lasair.json("object", name, "--format", "json")
    assert facts["objects"]["diaObjectId"] == int(name)
    rows = lasair.csv("lightcurve", name)
    assert tuple(rows[0]) == LIGHTCURVE_COLUMNS
    assert {row["kind"] for row in rows} == {"detection", "forced"}
    assert [float(row["mjd_tai"]) for row in rows] == sorted(float(row["mjd_tai"]) for row in rows)
    assert alert["alert_id"] in {row["source_id"] for row in rows}
    lasair("lightcurve", name, "--plot", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    from astropy.io.votable import parse_single_table

    table = parse_single_table(io.BytesIO(lasair("lightcurve", name, "--format", "votable").encode()))
    assert len(table.array) == len(rows)


def test_cutouts(lasair: Lasair, alert: dict[str, str], tmp_path: Path) -> None:
    from astropy.io import fits

    lasair("cutout", alert["alert_id"], "science", "-o", tmp_path / "c.fits")
    assert fits.getdata(tmp_path / "c.fits").shape == (30, 30)
    lasair("cutout", alert["alert_id"], "difference", "-o", tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    lasair("cutout", "1", "science", "-o", tmp_path / "no.fits", code=1)
    lasair("cutout", alert["alert_id"], "science", "-o", tmp_path / "c.jpg", code=2)


def test_cone_finds_the_object(lasair: Lasair, alert: dict[str, str]) -> None:
    facts = lasair.json("object", alert["object_id"], "--format", "json")["objects"]
    found = lasair.json("cone", str(facts["ra"]), str(facts["decl"]), "1", "--format", "json")
    assert found[0]["object"] == int(alert["object_id"])


def test_streams_hold_each_match_once(lasair: Lasair) -> None:
    streams = lasair.json("stream", "list", "--format", "json")
    assert len(streams) == 1
    messages = [json.loads(line) for line in lasair("stream", "read", streams[0]["topic"]).splitlines()]
    assert len(messages) == streams[0]["messages"] > 0
    assert all(one["latest_psfFlux"] > 1000 and one["alert"]["diaSourcesList"] for one in messages)
    assert set(messages[0]["times"]) == {"exposure", "processed", "arrived", "ingested", "filtered", "sent"}
    tail = lasair("stream", "read", streams[0]["topic"], "--from", str(len(messages) - 1)).splitlines()
    assert [json.loads(line) for line in tail] == messages[-1:]


def test_filter_life(lasair: Lasair, tmp_path: Path) -> None:
    file = tmp_path / "faint.toml"
    file.write_text(FILTER.replace("Bright", "Faint").replace("> 1000", "< 100"))
    lasair("filter", "add", file)
    lasair("filter", "activate", "Faint")
    assert {row["name"] for row in lasair.csv("filter", "list")} >= {"Bright", "Faint"}
    assert lasair.json("filter", "show", "Faint", "--format", "json")["errors"] == []
    lasair("filter", "stop", "Faint")
    file.write_text(file.read_text().replace("latest_psfFlux <", "latest_psfFlx <"))
    done = lasair.run("filter", "add", file)
    assert done.returncode == 1 and "latest_psfFlux" in done.stderr


def test_filter_show_has_words_for_what_is_missing(lasair: Lasair, tmp_path: Path) -> None:
    file = tmp_path / "all.toml"
    file.write_text('name = "Every \'one\'"\nsurvey = "ztf"\nselect = "objectId"\norder_by = "objectId"\n')
    added = lasair("filter", "add", file)
    # the command it names can be copied
    name = shlex.split(added.partition("lasair filter activate ")[2])
    assert name == ["Every 'one'"]
    shown = lasair("filter", "show", *name)
    lines = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert {lines[key] for key in ("active", "byte_quota", "description")} == {"-"}
    assert lines["public"] == "no"
    assert shown.splitlines()[-1] == "version 1: SELECT objectId FROM objects ORDER BY objectId"
    assert "None" not in shown
    assert lasair.json("filter", "show", *name, "--format", "json")["active"] is None


def test_a_wrong_filter_file_does_not_stop_the_others(lasair: Lasair, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.toml", "b.toml", "c.toml")]
    for file in files:
        file.write_text(FILTER.replace("Bright", file.stem))
    files[1].write_text("name = ")
    done = lasair.run("filter", "add", *files)
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["a", "c"]
    assert "b.toml" in done.stderr and "not TOML" in done.stderr


def test_huge_limits(lasair: Lasair) -> None:
    question = ("query", "diaObjectId", "objects")
    every = lasair.csv(*question, "--limit", "100000")
    for limit in (2**31, 2**63 - 2):
        assert lasair.csv(*question, "--limit", str(limit)) == every
    assert lasair.csv(*question, "--limit", str(2**40), "--offset", str(2**63 - 1)) == []


def test_only_one_writer(lasair: Lasair, packets: Path) -> None:
    from lasair.cli.state import State

    with State(lasair.state).writing():
        done = lasair.run("run", packets)
    assert done.returncode == 1 and "in use by" in done.stderr


def test_wrong_usage_is_exit_code_2(lasair: Lasair) -> None:
    assert lasair.run("querry").returncode == 2
    assert "did you mean 'query'" in lasair.run("querry").stderr
    assert lasair.run("run", "/no/such/folder").returncode == 2


def test_a_state_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    done = Lasair(tmp_path / "none").run("ledger")
    assert done.returncode == 1 and "lasair demo" in done.stderr
    assert not (tmp_path / "none").exists()


def test_schema_show_and_status(lasair: Lasair) -> None:
    assert len(lasair.csv("schema", "show", "objects")) == 129
    status = lasair.json("status", "--json")
    assert status["surveys"]["lsst"]["objects"] > 0 and status["disk_bytes"]["lightcurves"] > 0
