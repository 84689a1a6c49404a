"""`lasair run`: nothing to read, wrong filters, a quota that changes, a schema that arrives, the commands it names."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lasair.cli.filters import add_examples
from lasair.cli.state import State
from lasair.ledger.store import Ledger
from lasair.simulate.profiles import simulate
from lasair.simulate.write import write
from tests.support.states import content

#: says nothing of the time, so that messages are equally long in every run
FILTER = """
name = "Every"
survey = "{survey}"
select = "{key}"
"""


class Runner:
    """Runs commands on one state, with settings of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"

    def __call__(self, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        return self.python("lasair.cli.main", *arguments, **settings)

    def python(self, module: str, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "LASAIR_STATE": str(self.state),
            "LASAIR_DURABLE": "false",
            # nothing listens there, and nothing is cached
            "LASAIR_SCHEMA_REGISTRY": "http://127.0.0.1:9",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            **{f"LASAIR_{name.upper()}": value for name, value in settings.items()},
        }
        command = [sys.executable, "-m", module, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def json(self, *arguments: str | Path, **settings: str) -> Any:
        done = self(*arguments, "--json", **settings)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def lasair(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    write("test", folder, seed=6, n=None)
    return folder


def filters(folder: Path, *surveys: str) -> Path:
    folder.mkdir()
    for survey in surveys:
        key = {"lsst": "diaObjectId", "ztf": "objectId"}[survey]
        (folder / f"{survey}.toml").write_text(
            FILTER.format(survey=survey, key=key).replace("Every", f"Every {survey}")
        )
    return folder


def ztf_files(folder: Path, seed: int, n: int) -> Path:
    folder.mkdir(exist_ok=True)
    for one in simulate("ztf-night", seed=seed, n=n):
        (folder / f"{one.alert_id}.avro").write_bytes(one.value)
    return folder


def test_no_packet_file_is_wrong_usage(lasair: Runner, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("nothing to see")
    done = lasair("run", empty)
    assert done.returncode == 2
    assert str(empty) in done.stderr and ".avro or .bin" in done.stderr
    assert not lasair.state.exists()


def test_a_path_without_packets_is_named(lasair: Runner, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    packets = ztf_files(tmp_path / "packets", 1, 5)
    done = lasair("run", empty, packets, packets, next(packets.iterdir()), "--json")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [f"lasair: no packet file in {empty}: none ends in .avro or .bin"]
    # and what is named more than once is read once
    assert json.loads(done.stdout)["run"]["read"] == 5


def test_every_wrong_filter_file_is_named_once(lasair: Runner, tmp_path: Path, night: Path) -> None:
    folder = filters(tmp_path / "filters", "lsst", "ztf")
    (folder / "a.toml").write_bytes(b'name = "\xff"')
    (folder / "b.toml").write_text('name = "B"\nsurvey = \n')
    (folder / "c.toml").write_text('name = "C"\nsurvey = "lsst"\nselect = "diaObjectId, raa"\n')
    (folder / "d.toml").mkdir()
    done = lasair("run", night, "--filters", folder)
    assert done.returncode == 1
    *lines, last = done.stderr.splitlines()
    assert [line.count(str(folder)) for line in lines] == [1, 1, 1, 1]
    for line, name, words in zip(
        lines,
        ("a.toml", "b.toml", "c.toml", "d.toml"),
        ("not UTF-8 text (byte 8)", "line 2, column 10", "did you mean ra?", "cannot be read"),
        strict=True,
    ):
        assert line.startswith(f"lasair: {folder / name}: ") and words in line and "correct it" in line
    assert "4 of 6 filter files" in last and "no packet was read" in last
    assert {one["name"] for one in json.loads(lasair("filter", "list", "--format", "json").stdout)} == {
        "Every lsst",
        "Every ztf",
    }


def test_a_schema_that_has_arrived(lasair: Runner, tmp_path: Path, night: Path) -> None:
    packets = tmp_path / "packets"
    packets.mkdir()
    for i, one in enumerate(simulate("lsst-year", seed=8, n=20)):
        (packets / f"{i:03}.bin").write_bytes(one.value)
    (packets / "damaged.bin").write_bytes(b"damaged")
    first = lasair.json("run", packets)
    assert (first["run"]["set_aside"], first["dead_letters"], first["recovered"]) == (21, 21, 0)
    again = lasair.json("run", packets)
    assert (again["run"]["read"], again["run"]["set_aside"], again["set_aside_before"]) == (0, 0, 21)
    shutil.copytree(night / "schemas", packets / "schemas")
    shown = lasair("run", packets).stdout
    assert "Read 21 records" in shown
    assert "20 read = 20 decoded + 0 set aside" in shown
    assert "recovered  20 of the decoded" in shown
    assert "1 more" in shown
    assert "-" not in shown.partition("came in")[2].partition("stages")[0]
    total = lasair.json("ledger")
    assert total["closes"]
    assert (total["total"]["read"], total["total"]["stored"], total["total"]["set_aside"]) == (21, 20, 1)


@pytest.mark.parametrize("profile", ["ztf-night", "lsst-year", None])
def test_what_to_look_at_next_is_there(profile: str | None, lasair: Runner, tmp_path: Path, night: Path) -> None:
    packets = tmp_path / "packets"
    packets.mkdir()
    (packets / "damaged.avro").write_bytes(b"damaged")
    for one in simulate(profile, seed=2, n=20) if profile else ():
        ending = "avro" if one.survey == "ztf" else "bin"
        (packets / f"{one.alert_id}.{ending}").write_bytes(one.value)
    surveys = [profile.split("-")[0]] if profile else []
    arguments: list[str | Path] = ["--filters", filters(tmp_path / "filters", *surveys), "--schemas", night / "schemas"]
    done = lasair("run", packets, *arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.partition("Where to look next\n")[2].splitlines()
    commands = [shlex.split(line)[1:] for line in lines]
    assert len(commands) == (6 if profile else 3)
    for command in commands:
        if "--plot" in command:
            command[command.index("--plot") + 1] = str(tmp_path / "lightcurve.png")
        tried = lasair(*command)
        assert tried.returncode == 0, (command, tried.stderr)
        if command[0] == "query":
            # a head, a line, and rows
            assert len(tried.stdout.splitlines()) > 2, command
        assert tried.stdout or "--plot" in command


def test_a_raised_quota_opens_the_stream_again(lasair: Runner, tmp_path: Path) -> None:
    folder = filters(tmp_path / "filters", "ztf")
    packets = ztf_files(tmp_path / "packets", 1, 10)
    first = lasair.json("run", packets, "--filters", folder, filter_byte_quota="1000")["run"]
    assert 0 < first["delivered"] < first["matched"] == first["delivered"] + first["over_quota"]
    second = lasair.json("run", ztf_files(tmp_path / "more", 2, 10), filter_byte_quota="1000")["run"]
    assert second["over_quota"] == second["matched"] > 0
    third = lasair.json("run", ztf_files(tmp_path / "raised", 3, 10), filter_byte_quota="100000")["run"]
    assert third["delivered"] == third["matched"] > 0
    assert lasair.json("ledger")["closes"]


def test_a_quota_under_kills(tmp_path: Path, night: Path) -> None:
    found = []
    for name, kills in (("undisturbed", ()), ("killed", (("before", 2), ("after", 2), ("after", 1)))):
        lasair = Runner(tmp_path / name)
        lasair.folder.mkdir()
        settings = {"filter_byte_quota": "5000", "batch_alerts": "15"}
        empty = lasair.folder / "nothing.avro"
        empty.write_bytes(b"")
        arguments: list[str | Path] = ["--filters", filters(lasair.folder / "filters", "lsst", "ztf")]
        assert lasair("run", empty, *arguments).returncode == 0
        for when, nth in kills:
            killed = lasair.python(
                "tests.support.crash_run", when, "ledger-deliver", str(nth), lasair.state, night, **settings
            )
            assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert lasair("run", night, **settings).returncode == 0
        one = content(lasair.state)
        assert one["wrong"] == [] and one["total"]["over_quota"] > 0 and one["total"]["delivered"] > 0
        del one["letters"]  # the empty file lies elsewhere
        found.append(one)
    assert found[0] == found[1]


def test_a_run_that_was_resumed_leaves_no_position(tmp_path: Path) -> None:
    """Nor for files that were read before the crash: else what is written there later would be passed over."""
    lasair = Runner(tmp_path)
    packets = ztf_files(tmp_path / "packets", 4, 12)
    state = State(lasair.state)
    state.create()
    add_examples(state)
    settings = {"batch_alerts": "5"}
    killed = lasair.python("tests.support.crash_run", "after", "ledger", "2", lasair.state, packets, **settings)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert lasair.json("run", packets, **settings)["run"]["stored"] == 2
    ledger = Ledger(lasair.state / "ledger.db", durable=False)
    assert [ledger.position(str(file)).offset for file in sorted(packets.iterdir())] == [0] * 12
    ledger.close()
    assert lasair.json("run", packets, **settings)["run"]["duplicate"] == 12


def test_a_file_that_has_changed_since_a_crash_is_read_from_its_start(tmp_path: Path) -> None:
    lasair = Runner(tmp_path)
    packets = ztf_files(tmp_path / "packets", 4, 12)
    other = next(ztf_files(tmp_path / "other", 5, 1).iterdir())
    os.utime(other, (0, 0))
    state = State(lasair.state)
    state.create()
    add_examples(state)
    settings = {"batch_alerts": "5"}
    killed = lasair.python("tests.support.crash_run", "after", "ledger", "1", lasair.state, packets, **settings)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # moved there with its old time, under the name of one that had been read
    other.replace(sorted(packets.iterdir())[0])
    run = lasair.json("run", packets, **settings)["run"]
    assert (run["stored"], run["duplicate"]) == (8, 0)
    assert lasair.json("ledger")["total"]["stored"] == 13


def test_names_that_are_no_text(lasair: Runner, tmp_path: Path) -> None:
    packets = ztf_files(tmp_path / "packets", 1, 4)
    first, second, *_ = sorted(packets.iterdir())
    first.rename(packets / os.fsdecode(b"night\xff.avro"))
    second.rename(packets / os.fsdecode(b"caf\xe9.avro"))
    (packets / os.fsdecode(b"damaged\xfe.avro")).write_bytes(b"damaged")
    run = lasair.json("run", packets)["run"]
    assert (run["read"], run["stored"], run["set_aside"]) == (5, 4, 1)
    assert lasair.json("run", packets)["run"]["duplicate"] == 4
    letters = json.loads(lasair("dead-letters", "--format", "json").stdout)
    assert [one["partition"] for one in letters] == [f"{packets}/damaged\\xfe.avro"]
    assert f"{packets}/night\\xff.avro" in lasair("ledger").stdout
    assert "1 tried, 0 decoded" in lasair("dead-letters", "retry", "--all").stdout
