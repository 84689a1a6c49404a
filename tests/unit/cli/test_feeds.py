"""`lasair feed`, on folders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click import UsageError

from lasair.cli.feeds import feed_command
from lasair.cli.run import run_paths
from lasair.cli.state import State
from lasair.definitions.django import connect
from lasair.definitions.edit import activate, add_filter
from lasair.definitions.filter_file import FilterFile
from lasair.definitions.people import add_annotator
from lasair.errors import BadDefinition, NotFound
from lasair.simulate.write import write as write_night
from tests.support.data import DATA
from tests.unit.annotations.brokers.made import container
from tests.unit.events.made import gcn
from tests.unit.feeds.made import HOSTILE, counts_of, events_of, notice, retraction, taken, write

FEEDS = '[feeds.mine]\nkind = "events"\nfolder = "in"\nsettle_s = 0.0\npoll_s = 0.05\n'


def feed(*arguments: object) -> Any:
    return feed_command.main([*map(str, arguments)], standalone_mode=False)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir()
    (made / "feeds.toml").write_text(FEEDS)
    (made / "lasair.toml").write_text('durable = false\nlog_level = "error"\n')
    (made / "in").mkdir()
    return made


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    feed(*arguments, "--format", "json")
    return json.loads(capsys.readouterr().out)


def test_run_list_and_dead_letters(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(state / "in", [notice(1), retraction(2), notice(2), b"nonsense", *HOSTILE])
    assert feed("run", "--once", "--json", "--state", state) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report == {"feed": "mine", "messages": 4 + len(HOSTILE), "changes": 1, "dead_letters": 1 + len(HOSTILE),
                      "error": ""}  # fmt: skip
    assert [row[1] for row in events_of(state)] == ["active", "retracted"]
    (row,) = printed(capsys, "list", "--state", state)
    assert (row["name"], row["kind"], row["messages"], row["dead letters"]) == ("mine", "events", 12, 9)
    letters = printed(capsys, "dead-letters", "mine", "--state", state)
    assert len(letters) == 9 and printed(capsys, "dead-letters", "other", "--state", state) == []
    (number,) = (one["number"] for one in letters if one["message"] == "003.json")
    feed("dead-letters", "--show", number, "--state", state)
    assert capsys.readouterr().out == "nonsense"
    assert feed("run", "--once", "--state", state) == 0
    assert capsys.readouterr().out == "mine: 0 messages, 0 changes\n"


def test_for_people(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(state / "in", [notice(1), b"nonsense"])
    assert feed("run", "--once", "--state", state) == 0
    out, err = capsys.readouterr()
    assert out == "mine: 2 messages, 1 changes, 1 dead letters\n" and "lasair feed dead-letters" in err
    feed("list", "--state", state)
    feed("dead-letters", "--state", state)
    feed("test", "mine", "--state", state)
    out = capsys.readouterr().out
    assert "001.json" in out and "is neither a notice" in out and "waiting      0" in out


def test_retry(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(state / "in", [b"nonsense"])
    feed("run", "--once", "--state", state)
    capsys.readouterr()
    feed("dead-letters", "--retry", "--state", state)
    assert capsys.readouterr().out == "1 of 1 tried again; 1 dead letters left\n"
    assert counts_of(state) == [("mine", 1, 0)]
    # a reader that knows more: the letter becomes an event
    from lasair.feeds.store import FeedStore, Outcome
    from tests.unit.feeds.made import message

    store = FeedStore(state / "feeds.db")
    store.record("mine", [Outcome(message(notice(7), 5), 0, "is of a kind that is not known yet")])
    store.close()
    feed("dead-letters", "--retry", "--state", state)
    assert capsys.readouterr().out == "2 of 2 tried again; 1 dead letters left\n"
    assert [row[0] for row in events_of(state)] == ["Example_burst-7"]


def test_nothing_ran_yet(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = printed(capsys, "list", "--state", state)
    assert (row["messages"], row["last"]) == (0, None)
    assert printed(capsys, "dead-letters", "--state", state) == []
    with pytest.raises(NotFound, match="no feed ever ran"):
        feed("dead-letters", "--show", 1, "--state", state)
    assert not (state / "feeds.db").exists()


def test_wrong_usage(state: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no feed 'mime' in .*feeds.toml; did you mean mine\?"):
        feed("run", "mime", "--once", "--state", state)
    with pytest.raises(NotFound, match="no feed"):
        feed("test", "x", "--state", state)
    with pytest.raises(BadDefinition, match=r"there is no .*feeds.toml: describe feeds there"):
        feed("run", "--state", tmp_path / "other")
    with pytest.raises(UsageError, match="stands alone"):
        feed("dead-letters", "--show", 1, "--retry", "--state", state)
    (state / "feeds.toml").write_text("")
    with pytest.raises(BadDefinition, match="describes no feed"):
        feed("run", "--once", "--state", state)
    (state / "feeds.toml").write_text(FEEDS + "active = false\n")
    with pytest.raises(BadDefinition, match="no feed is active"):
        feed("run", "--once", "--state", state)
    assert feed("run", "mine", "--once", "--state", state) == 0


def test_config_elsewhere(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "elsewhere"
    write(other / "in", [notice(1)])
    (other / "mine.toml").write_text(FEEDS)
    assert feed("run", "--once", "--config", other / "mine.toml", "--state", state) == 0
    assert "1 messages" in capsys.readouterr().out


def test_feed_that_cannot_be_read_does_not_stop_the_others(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (state / "feeds.toml").write_text('[feeds.gone]\nkind = "events"\nfolder = "nowhere"\n' + FEEDS)
    write(state / "in", [notice(1)])
    assert feed("run", "--once", "--state", state) == 1
    out, err = capsys.readouterr()
    assert "mine: 1 messages, 1 changes" in out and "gone ended: there is no folder" in err


def test_stored_objects_are_matched_and_filters_told(state: Path, tmp_path: Path) -> None:
    """An event and an annotation that arrive reach stored objects and the filters that wait for them."""
    write_night("test", tmp_path / "night", seed=4, n=None)
    whole = State(state)
    connect(whole.definitions)
    add_annotator("fink", public=True)
    asked = {"survey": "ztf", "select": "objects.objectId"}
    for one in (
        FilterFile(name="near", tables="objects, mma:Example_near", where="mma_area_hits.contour < 80", **asked),
        FilterFile(name="stars", tables="objects, annotator:fink", trigger="annotation", **asked),
    ):
        activate(add_filter(one).name)
    with whole.writing():
        run_paths(whole, (tmp_path / "night",), None)
    with whole.some_stores() as stores:
        names = "objectId, ramean, decmean, jdmax - 2400000.5"
        ((star, ra, decl, mjd),) = stores.objects.query(
            f"SELECT {names} FROM ztf_objects ORDER BY objectId LIMIT 1", {}, time_limit_s=10.0, row_limit=1
        ).rows
    when = (datetime(1858, 11, 17, tzinfo=UTC) + timedelta(days=mjd - 2.0)).strftime("%Y-%m-%dT%H:%M:%SZ")
    place = {"ra": ra, "dec": decl, "trigger_time": when, "alert_datetime": when}
    write(state / "in", [json.dumps(gcn(id=["near"], **place)).encode()])
    alert = {"type": "record", "name": "a", "fields": [{"name": one, "type": "string"} for one in ("objectId", "tns")]}
    write(state / "fink", {"a.avro": container(alert, [{"objectId": star, "tns": "SN Ia"}])})
    more = '[feeds.fink]\nkind = "annotations"\nbroker = "fink"\nfolder = "fink"\nsettle_s = 0.0\n'
    (state / "feeds.toml").write_text(FEEDS + more)
    assert feed("run", "--once", "--state", state) == 0
    with whole.some_stores() as stores:
        hits = stores.objects.query(
            "SELECT objectId FROM ztf_mma_area_hits", {}, time_limit_s=10.0, row_limit=1000
        ).rows
    assert (star,) in hits
    with whole.ledger() as ledger:
        told = {
            one.topic: [json.loads(each.payload)["objectId"] for each in ledger.read_topic(one.topic)]
            for one in ledger.topics()
        }
    near, stars = (next(ids for topic, ids in told.items() if name in topic) for name in ("near", "stars"))
    assert star in near and stars == [star]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stops_in_good_order(how: signal.Signals, state: Path) -> None:
    write(state / "in", [notice(1)])
    code = "import sys; from lasair.cli import feeds; sys.exit(feeds.feed_command.main(standalone_mode=False))"
    with subprocess.Popen(
        [sys.executable, "-c", code, "run", "--state", str(state)],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            end = time.monotonic() + 30
            while not taken(state) and time.monotonic() < end:
                time.sleep(0.05)
            process.send_signal(how)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert out == "mine: 1 messages, 1 changes\n" and "stop after the batch in hand" in err


if DATA is not None:

    def test_real_notices(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert DATA is not None
        files = [one for one in (DATA / "multimessenger").rglob("*") if one.suffix in (".json", ".xml", ".gz")]
        for one in files:
            if "skymaps" not in one.parts:  # a map of 200 MB
                (state / "in" / one.name).write_bytes(one.read_bytes())
        count = len(list((state / "in").iterdir()))
        assert feed("run", "--once", "--json", "--state", state) == 0
        (report,) = json.loads(capsys.readouterr().out)
        assert report["messages"] == count > 20
        # the one whose map is a row of letters
        (letter,) = printed(capsys, "dead-letters", "--state", state)
        assert "guano" in letter["message"] and "base64" in letter["reason"]
        states = {row[0]: row[1] for row in events_of(state)}
        assert states["MS181101ab"] == "test" and "active" in states.values()
        before = events_of(state)
        for one in (state / "in").iterdir():
            one.rename(state / "in" / f"again-{one.name}")
        assert feed("run", "--once", "--state", state) == 0
        assert events_of(state) == before
