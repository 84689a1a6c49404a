"""Annotations from other processes while alerts stream; what other brokers say, in queries."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import fastavro
import pytest

from lasair.simulate.write import write
from tests.support.data import DATA

COMMAND = [sys.executable, "-m", "lasair.cli.main"]
ENVIRONMENT = {**os.environ, "LASAIR_BATCH_ALERTS": "20", "LASAIR_DURABLE": "false"}

FILTER = """\
name = "{name}"
survey = "{survey}"
tables = "objects, annotator:robot"
select = "objects.{key}, robot.classification, JSON_EXTRACT(robot.classdict, '$.p') AS p"
where = "JSON_EXTRACT(robot.classdict, '$.p') > 0.5"
trigger = "{trigger}"
output = "full"
"""
#: Posts lines one by one for some seconds, as a server would.
POSTING = """\
import json, sys, time
from pathlib import Path
from lasair.annotations.model import from_request
from lasair.annotations.post import Poster
from lasair.stores.marks import SqliteMarkStore

lines = sys.stdin.readlines()
store = SqliteMarkStore(Path(sys.argv[1]) / "marks.db")
with Poster(store) as poster:
    for line in lines:
        poster.post(from_request(json.loads(line)))
        time.sleep(3 / len(lines))
store.close()
"""
KEYS = {"lsst": "diaObjectId", "ztf": "objectId"}


def lasair(state: Path, *arguments: str | Path, code: int = 0, given: str | None = None) -> Any:
    """What a command prints as JSON, or its text."""
    command = [*COMMAND, *map(str, arguments)]
    environment = ENVIRONMENT | {"LASAIR_STATE": str(state)}
    done = subprocess.run(
        command, env=environment, input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, (command, done.stdout, done.stderr)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return done.stdout


def streamed(state: Path, topic: str) -> list[str]:
    """The objects of the messages of a stream, in its order."""
    with closing(sqlite3.connect(state / "ledger.db")) as database:
        assert database.execute("SELECT count(*) FROM topics WHERE topic = ?", (topic,)).fetchone()[0]
    text = lasair(state, "stream", "read", topic, "--limit", "100000", "--format", "json")
    messages = text if isinstance(text, list) else [json.loads(line) for line in text.splitlines()]
    return [one["lasair"]["object"] for one in messages]


def queried(state: Path, survey: str) -> list[str]:
    """The stored objects with a good annotation."""
    key = KEYS[survey]
    rows = lasair(
        state, "query", f"objects.{key}", "objects, annotator:robot", "JSON_EXTRACT(robot.classdict, '$.p') > 0.5",
        "--survey", survey, "--format", "json", "--limit", "10000",
    )  # fmt: skip
    return [str(row[key]) for row in rows]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    write("demo", folder, seed=4, n=800)
    return folder


@pytest.fixture(scope="module")
def objects(night: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """All objects of the night, by survey."""
    state = tmp_path_factory.mktemp("first")
    lasair(state, "run", night, "--json")
    found = {}
    for survey, key in KEYS.items():
        rows = lasair(state, "query", key, "objects", "--survey", survey, "--format", "json", "--limit", "10000")
        found[survey] = [str(row[key]) for row in rows]
    assert all(len(some) > 30 for some in found.values())
    return found


def test_streams_and_queries_agree_on_what_is_said_while_alerts_come(
    night: Path, objects: dict[str, list[str]], tmp_path: Path
) -> None:
    """Annotations come before, with and after the alerts of their objects; whoever runs the filters, none is missed."""
    lasair(tmp_path, "annotator", "add", "robot")
    for survey, key in KEYS.items():
        file = tmp_path / f"{survey}.toml"
        file.write_text(FILTER.format(name=f"Both_{survey}", survey=survey, key=key, trigger="both"))
        lasair(tmp_path, "filter", "add", file, "--activate")
    said = [
        {"objectId": one, "topic": "robot", "classification": "SN", "classdict": {"p": (i % 4) / 3}}
        for survey in KEYS
        for i, one in enumerate(objects[survey])
    ]
    # changes of mind, and what there is no object for
    said += [{**one, "classdict": {"p": 0.9}} for one in said[::7]]
    said += [{"objectId": str(2**62 + i), "topic": "robot", "classification": "SN"} for i in range(50)]
    lines = "".join(json.dumps(one) + "\n" for one in said)
    environment = ENVIRONMENT | {"LASAIR_STATE": str(tmp_path)}
    with (
        subprocess.Popen([*COMMAND, "run", str(night), "--json"], env=environment, stdout=subprocess.PIPE) as run,
        subprocess.Popen([sys.executable, "-c", POSTING, str(tmp_path)], stdin=subprocess.PIPE) as posting,
    ):
        posting.communicate(lines.encode(), timeout=120)
        out, _ = run.communicate(timeout=120)
        assert posting.returncode == 0
    assert json.loads(out)["ledger"]["closes"]
    # somebody who annotated in the moment in which the run ended may have left it to the next
    lasair(tmp_path, "annotate", objects["lsst"][0], "robot", "last word")
    for survey in KEYS:
        stored = queried(tmp_path, survey)
        assert len(stored) > 10
        messages = streamed(tmp_path, f"lasair_1_Both_{survey}")
        # what changed its mind to a lower probability is still in the stream
        assert set(stored) <= set(messages) <= set(objects[survey])
    ledger = lasair(tmp_path, "ledger")
    assert "The ledger closes." in ledger


def test_annotations_stay_when_the_command_is_killed(objects: dict[str, list[str]], tmp_path: Path) -> None:
    lasair(tmp_path, "annotator", "add", "robot")
    lines = [
        json.dumps({"objectId": one, "topic": "robot", "classification": "SN"}) + "\n"
        for one in [*objects["ztf"], *objects["lsst"]] * 20
    ]
    environment = ENVIRONMENT | {"LASAIR_STATE": str(tmp_path)}
    with subprocess.Popen([*COMMAND, "annotate", "--from", "-"], env=environment, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("".join(lines[:501]).encode())
        process.stdin.flush()
        while (
            not (tmp_path / "marks.db").exists()
            or sum(row["objects"] for row in lasair(tmp_path, "annotations", "topics", "--format", "json")) == 0
        ):
            assert process.poll() is None
        process.kill()
    again = lasair(tmp_path, "annotate", "--from", "-", "--format", "json", given="".join(lines))
    assert len(again) == len(lines)
    assert sum(one["new"] for one in again) < len(objects["ztf"]) + len(objects["lsst"])
    for survey in KEYS:
        (row,) = [
            one for one in lasair(tmp_path, "annotations", "topics", "--format", "json") if one["survey"] == survey
        ]
        assert row["objects"] == len(objects[survey])


if DATA is not None:
    ALERTS = DATA / "brokers" / "fink_ztf_3alerts.avro"

    def test_what_a_broker_says_is_queried_as_any_annotation(tmp_path: Path) -> None:
        """Fink sends on the survey's packets with what it adds, so the same file brings objects and annotations."""
        lasair(tmp_path, "run", ALERTS)
        lasair(tmp_path, "annotations", "take", "fink", ALERTS)
        lasair(tmp_path, "annotator", "add", "fink")
        rows = lasair(
            tmp_path, "query",
            "objects.objectId, fink.classification, JSON_EXTRACT(fink.classdict, '$.snn_sn_vs_all') AS p",
            "objects, annotator:fink", "JSON_EXTRACT(fink.classdict, '$.snn_sn_vs_all') > 0.05",
            "--survey", "ztf", "--format", "json",
        )  # fmt: skip
        with ALERTS.open("rb") as file:
            sent = {one["objectId"]: one["snn_sn_vs_all"] for one in fastavro.reader(file)}
        assert {row["objectId"]: float(row["p"]) for row in rows} == {name: p for name, p in sent.items() if p > 0.05}
        assert {row["classification"] for row in rows} == {"SN candidate"}
