"""Everything that tags an alert, in one filter, on the stream and on stored objects, whatever came first."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lasair.cli.demo import add_sky
from lasair.cli.state import State
from lasair.simulate.tags import TAGS_FOLDER, TOPIC, Centre, event_name, write_tags
from lasair.simulate.visits import mjd_of
from lasair.simulate.write import SKY_FOLDER, write

FIRST_NIGHT = 20260302
EVENT = event_name(mjd_of(FIRST_NIGHT) + 2.0)
HIT_TABLES = [
    f"{survey}_{name}" for survey in ("lsst", "ztf") for name in ("watchlist_hits", "area_hits", "mma_area_hits")
]

#: survey -> (tables, select, where) of the filter that asks for everything
CLAUSES = {
    "lsst": (
        f"objects, sherlock_classifications, watchlist:2, area:1, mma:{EVENT}, crossmatch_tns, annotator:{TOPIC}, "
        "tag:1",
        "objects.diaObjectId, sherlock_classifications.classification, watchlist_hits.name, watchlist_hits.arcsec, "
        "watchlist_hits.triggered, mma.contour, mma.probdens2, mma.probdens3, mma.distance, crossmatch_tns.type, "
        f"objects.tns_name, {TOPIC}.classification AS said, tag.name AS tag",
        f"mma.contour < 90 AND JSON_EXTRACT({TOPIC}.classdict, '$.probability') > 0.1",
    ),
    "ztf": (
        f"objects, sherlock_classifications, watchlist:2, area:1, crossmatch_tns, annotator:{TOPIC}, tag:1",
        "objects.objectId, sherlock_classifications.classification, watchlist_hits.name, watchlist_hits.arcsec, "
        f"watchlist_hits.triggered, crossmatch_tns.tns_name, {TOPIC}.classification AS said, tag.name AS tag",
        f"JSON_EXTRACT({TOPIC}.classdict, '$.probability') > 0.1",
    ),
}


def lasair(state: Path, *arguments: str | Path, code: int = 0) -> Any:
    """What a command prints as JSON, or its text."""
    command = [sys.executable, "-m", "lasair.cli.main", *map(str, arguments)]
    environment = os.environ | {"LASAIR_STATE": str(state)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, (command, done.stdout, done.stderr)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return done.stdout


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Centre]]:
    folder = tmp_path_factory.mktemp("night")
    write("demo", folder, seed=4, n=1500, first_night=FIRST_NIGHT)
    return folder, write_tags(folder, seed=4, first_night=FIRST_NIGHT)


def define(state: Path, folder: Path) -> None:
    """Add everything that may tag an alert; watchlist 2 (1 is the TNS), area 1, tag 1."""
    tags = folder / TAGS_FOLDER
    lasair(state, "watchlist", "add", "variables", tags / "watchlist.csv", "--radius", "2")
    lasair(state, "area", "add", "middle", tags / "area.reg")
    lasair(state, "event", "add", tags / "event.multiorder.fits")
    lasair(state, "tns", "update", "--url", tags / "tns")
    lasair(state, "annotator", "add", TOPIC)
    lasair(state, "annotate", "--from", tags / "annotations.jsonl")
    lasair(state, "tag", "add", "follow", *(tags / "tagged.txt").read_text().split())


def add_filters(state: Path) -> None:
    folder = state / "filters"
    folder.mkdir(exist_ok=True)
    for survey, (tables, select, where) in CLAUSES.items():
        text = "".join(
            f"{key} = {json.dumps(value)}\n"
            for key, value in (
                ("name", f"everything {survey}"), ("survey", survey), ("tables", tables), ("select", select),
                ("where", where),
            )
        )  # fmt: skip
        (folder / f"{survey}.toml").write_text(text)
        lasair(state, "filter", "add", folder / f"{survey}.toml", "--activate")


def stored(state: Path, survey: str) -> list[Any]:
    """Rows of the clause on stored objects."""
    tables, select, where = CLAUSES[survey]
    found = lasair(state, "query", select, tables, where, "--survey", survey, "--format", "json")
    return sorted(found, key=repr)


def streamed(state: Path, survey: str) -> list[Any]:
    """What the filter delivered of the newest alert of each object, without what a message has of its own."""
    (topic,) = [one["topic"] for one in lasair(state, "stream", "list", "--format", "json") if survey in one["topic"]]
    text = lasair(state, "stream", "read", topic, "--limit", "100000", "--format", "json")
    messages = (
        [text]
        if isinstance(text, dict)
        else text
        if isinstance(text, list)
        else [json.loads(line) for line in text.splitlines()]
    )
    newest: dict[str, Any] = {}
    for one in sorted(messages, key=lambda m: m["times"]["exposure"]):
        newest[one["lasair"]["object"]] = {
            key: value for key, value in one.items() if key not in ("UTC", "times", "lasair")
        }
    return sorted(newest.values(), key=repr)


def hits(state: Path) -> dict[str, list[Any]]:
    """All rows of the tables of hits, without what users do not see."""
    with closing(sqlite3.connect(state / "objects.db")) as database:
        found = {}
        for name in HIT_TABLES:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({name})") if not row[1].startswith("_")]
            found[name] = sorted(database.execute(f"SELECT {', '.join(columns)} FROM {name}").fetchall(), key=repr)
        found["tns_name"] = sorted(
            database.execute("SELECT diaObjectId, tns_name FROM lsst_objects WHERE tns_name IS NOT NULL")
        )
    return found


@pytest.fixture(scope="module")
def before(night: tuple[Path, list[Centre]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state whose definitions were made before the alerts came."""
    folder, _ = night
    state = tmp_path_factory.mktemp("before")
    add_sky(folder / SKY_FOLDER, State(state))
    define(state, folder)
    add_filters(state)
    assert lasair(state, "run", folder, "--json")["ledger"]["closes"]
    return state


@pytest.fixture(scope="module")
def after(night: tuple[Path, list[Centre]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state whose definitions were made after."""
    folder, _ = night
    state = tmp_path_factory.mktemp("after")
    add_sky(folder / SKY_FOLDER, State(state))
    assert lasair(state, "run", folder, "--json")["ledger"]["closes"]
    define(state, folder)
    return state


@pytest.mark.parametrize("survey", sorted(CLAUSES))
def test_one_filter_combines_everything_on_stream_and_store(
    night: tuple[Path, list[Centre]], before: Path, survey: str
) -> None:
    _, centres = night
    rows = stored(before, survey)
    (centre,) = [one for one in centres if one.survey == survey]
    key = "diaObjectId" if survey == "lsst" else "objectId"
    assert centre.object_id in [str(row[key]) for row in rows]
    assert streamed(before, survey) == rows


def test_what_was_stored_before_is_tagged_alike(before: Path, after: Path) -> None:
    assert hits(after) == hits(before)
    assert len(hits(before)["lsst_watchlist_hits"]) > 10
    assert len(hits(before)["lsst_mma_area_hits"]) > 10
    for survey in CLAUSES:
        assert stored(after, survey) == stored(before, survey)


def test_an_edit_and_a_removal_take_the_hits_along(after: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(after, state)
    names = [row[-2] for row in hits(state)["lsst_watchlist_hits"] if row[1] == 2]
    watched = state / "some.csv"
    with closing(sqlite3.connect(state / "objects.db")) as database:
        rows = database.execute(
            "SELECT ra, decl, name FROM lsst_objects JOIN lsst_watchlist_hits USING (diaObjectId)"
            " WHERE wl_id = 2 LIMIT 3"
        ).fetchall()
    watched.write_text("ra,dec,name\n" + "".join(f"{ra!r},{decl!r},{name}\n" for ra, decl, name in rows))
    lasair(state, "watchlist", "add", "variables", watched, "--radius", "0.001")
    left = [row for row in hits(state)["lsst_watchlist_hits"] if row[1] == 2]
    assert 3 <= len(left) < len(names)
    assert {row[-2] for row in left} == {name for _, _, name in rows}
    lasair(state, "watchlist", "remove", "variables")
    lasair(state, "area", "remove", "middle")
    lasair(state, "event", "retract", EVENT)
    found = hits(state)
    assert not found["lsst_area_hits"] and not found["ztf_area_hits"]
    assert not found["lsst_mma_area_hits"] and not found["ztf_mma_area_hits"]
    assert {row[1] for row in found["lsst_watchlist_hits"]} == {1}
