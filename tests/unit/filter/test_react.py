"""Filters that run because of an annotation or an event."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.annotations.model import Annotation, check
from lasair.config import Settings
from lasair.definitions import edit, people
from lasair.definitions.filter_file import FilterFile
from lasair.definitions.transactions import user_named
from lasair.filter.evaluate import feature_stage
from lasair.filter.react import CHUNK, Reactor
from lasair.ingest import keep_lightcurves
from lasair.ledger.model import Counts
from lasair.ledger.store import Ledger
from lasair.schema.model import Survey
from lasair.stores.hits import ListKey
from lasair.stores.open import Stores, open_stores
from lasair.stores.protocols import Versions
from tests.support.batches import lsst_batch
from tests.support.definitions import new_definitions

NOW = 1_790_000_000.0


@dataclass
class World:
    """A state with few objects, and those who change it."""

    stores: Stores
    ledger: Ledger
    reactor: Reactor

    def store(self, *objects: int, alert: int = 0) -> None:
        """Take in an alert of each object."""
        batch = feature_stage(None)(
            lsst_batch(
                [
                    {
                        "diaObject": {"diaObjectId": one, "ra": 1.0, "decl": 2.0},
                        "diaSourcesList": [
                            {
                                "diaSourceId": 10 * one + alert, "diaObjectId": one, "midpointMjdTai": 61000.0 + alert,
                                "psfFlux": 5.0, "psfFluxErr": 0.5, "band": "g",
                            }
                        ],
                    }
                    for one in objects
                ]
            )
        )  # fmt: skip
        versions = Versions(batch.alerts["mjd_tai"].copy(), batch.alerts["alert_id"].copy(), np.diff(batch.offsets))
        keep_lightcurves(batch, self.stores.lightcurves)
        self.stores.objects.put("lsst", "objects", batch.tables["objects"], versions)
        self.stores.marks.arrived("lsst", list(objects))

    def say(
        self, *objects: int | str, topic: str = "fink", classification: str = "SN", survey: Survey = "lsst", **more: Any
    ) -> None:
        said = [check(Annotation(survey, str(one), topic, classification, **more)) for one in objects]
        self.stores.marks.annotate(said, NOW)

    def delivered(self, name: str = "Said") -> list[int]:
        """The objects of a stream, in its order."""
        topic = f"lasair_1_{name}"
        if topic not in [one.topic for one in self.ledger.topics()]:
            return []
        return [int(json.loads(one.payload)["lasair"]["object"]) for one in self.ledger.read_topic(topic)]

    def react(self) -> Counts:
        """The reaction; the books close after it."""
        counts = self.reactor.annotations()
        assert self.ledger.audit() == []
        return counts


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    definitions = new_definitions(tmp_path)
    for topic in ("fink", "ampel"):
        people.add_annotator(topic, public=True)
    settings = Settings(durable=False)
    stores, ledger = open_stores(tmp_path, durable=False), Ledger(tmp_path / "ledger.db", durable=False)
    yield World(stores, ledger, Reactor(settings, stores, ledger, definitions))
    ledger.close()
    stores.close()


SAID = FilterFile(
    name="Said",
    survey="lsst",
    tables="objects, annotator:fink",
    select="objects.diaObjectId, fink.classification",
    where="fink.classification = 'SN'",
    trigger="annotation",
)


def activate(one: FilterFile) -> None:
    edit.activate(edit.add_filter(one).name)


@pytest.mark.parametrize(("trigger", "runs"), [("annotation", True), ("both", True), ("alert", False)])
def test_only_filters_that_wait_for_annotations_run(world: World, trigger: Any, runs: bool) -> None:
    activate(replace(SAID, trigger=trigger))
    world.store(1, 2, 3)
    world.say(1, 3)
    world.say(2, classification="AGN")
    assert world.react().delivered == 2 * runs
    assert world.delivered() == [1, 3][: 2 * runs]
    assert world.stores.marks.due(10) == []


def test_only_filters_that_name_the_topic_run(world: World) -> None:
    activate(SAID)
    activate(
        replace(SAID, name="Ampel", tables="objects, annotator:AMPEL", select="objects.diaObjectId", where="1 = 1")
    )
    activate(
        replace(
            SAID, name="Two", tables="objects, annotator:fink, annotator:ampel", select="objects.diaObjectId", where=""
        )
    )
    world.store(1, 2, 3)
    world.say(1)
    world.say(2, topic="Ampel")
    world.say(3, topic="somebody")
    assert world.react().delivered == 2
    assert (world.delivered(), world.delivered("Ampel"), world.delivered("Two")) == ([1], [2], [])
    world.say(1, topic="ampel")
    assert world.react().delivered == 2
    assert (world.delivered(), world.delivered("Ampel"), world.delivered("Two")) == ([1], [2, 1], [1])


def test_each_alert_once_for_each_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    activate(SAID)
    world.store(1, 2)
    world.say(1, 2)
    assert world.react() == Counts(matched=2, delivered=2)
    # said again: nothing is new
    world.say(1)
    assert world.react() == Counts()
    # news of the same alert
    world.say(1, explanation="surer")
    assert world.react() == Counts(matched=1, already_delivered=1)
    # a crash after the delivery: what is due comes again
    world.store(1, alert=1)
    world.say(1, explanation="surer still")

    def crash(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world.stores.marks, "done", crash)
        with pytest.raises(KeyboardInterrupt):
            world.reactor.annotations()
    assert world.delivered() == [1, 2, 1]
    assert world.react() == Counts(matched=1, already_delivered=1)
    # another version of the filter
    activate(replace(SAID, where="fink.classification LIKE 'S%'"))
    world.say(2, explanation="surer")
    assert world.react() == Counts(matched=1, delivered=1)
    assert world.delivered() == [1, 2, 1, 2]


@pytest.mark.parametrize("trigger", ["annotation", "both"])
def test_annotations_of_objects_that_are_not_stored_wait_for_them(world: World, trigger: Any) -> None:
    activate(replace(SAID, trigger=trigger))
    world.store(1)
    world.say(1, 2, 3)
    assert world.react().delivered == 1
    assert world.react() == Counts() and world.stores.marks.due(10) == []
    world.say(3, explanation="more")
    assert world.react() == Counts()
    # an alert of another object changes nothing; annotations of objects that nobody waits for do not pile up
    world.store(4)
    world.say(5, topic="ampel")
    assert world.react() == Counts() and world.stores.marks.arrived("lsst", [5]) == 0
    world.store(2, 3)
    assert world.react().delivered == 2
    assert world.delivered() == [1, 2, 3]
    assert world.stores.marks.arrived("lsst", [2, 3]) == 0 and world.react() == Counts()


def test_a_private_annotator_is_not_heard_by_others(world: World) -> None:
    bob = user_named("bob")
    people.add_annotator("theirs", public=True, owner=bob)
    activate(replace(SAID, tables="objects, annotator:theirs", where="", select="objects.diaObjectId"))
    people.add_annotator("theirs", public=False, owner=bob)
    world.store(1)
    world.say(1, topic="theirs")
    assert world.react() == Counts()
    (trouble,) = world.ledger.filter_troubles()
    assert "annotator theirs is private" in trouble.message


def test_a_filter_that_fails_costs_itself_and_its_owner_is_told_once(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    activate(SAID)
    activate(replace(SAID, name="Old"))
    activate(replace(SAID, name="Old both", trigger="both"))
    with sqlite3.connect(tmp_path / "definitions.db") as db:
        # as when a column is dropped from the schema
        db.execute(
            "UPDATE definitions_filterversion SET \"where\" = 'objects.gone > 1' WHERE filter_id IN"
            " (SELECT id FROM definitions_filter WHERE name LIKE 'Old%')"
        )
    world.store(1, 2)
    with caplog.at_level(logging.WARNING, "lasair"):
        for one in (1, 2):
            world.say(one)
            assert world.react().delivered == 1
    # "both" is told of with the next alert
    (trouble,) = world.ledger.filter_troubles()
    assert "gone" in trouble.message and trouble.batches == 2
    assert len([one for one in caplog.records if "gone" in one.getMessage()]) == 1


def test_many_objects_and_no_object_at_all(world: World) -> None:
    activate(SAID)
    objects = range(1, 10_001)
    for start in range(0, len(objects), 2_000):
        world.store(*objects[start : start + 2_000])
        world.say(*objects[start : start + 2_000])
    world.say(77_777)
    assert world.react() == Counts(matched=10_000, delivered=10_000)
    assert sorted(world.delivered()) == list(objects)
    assert world.react() == Counts()


def test_who_annotates_all_the_time_does_not_keep_alerts_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    activate(SAID)
    world.store(*range(1, 2 * CHUNK + 1))
    world.say(*range(1, CHUNK + 1))
    done = world.stores.marks.done
    turns = 0

    def annotated_meanwhile(dues: Any) -> None:
        nonlocal turns
        turns += 1
        world.say(*range(1, CHUNK + 1), explanation=str(turns))
        world.say(CHUNK + turns)
        done(dues)

    with monkeypatch.context() as patch:
        patch.setattr(world.stores.marks, "done", annotated_meanwhile)
        assert world.react().delivered == CHUNK
    assert turns == 1
    # nothing of it is lost
    assert world.react().delivered == 1
    assert world.delivered()[-1] == CHUNK + 1


def test_what_is_known_of_a_filter_is_kept_between_groups(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from lasair.filter import react, run

    activate(SAID)
    activate(replace(SAID, name="Ampel", tables="objects, annotator:ampel", select="objects.diaObjectId", where=""))
    compiled: list[str] = []

    def compile_query(*args: Any, **more: Any) -> Any:
        compiled.append(args[1])
        return original(*args, **more)

    original = run.compile_query
    monkeypatch.setattr(run, "compile_query", compile_query)
    monkeypatch.setattr(react, "compile_query", compile_query)
    world.store(1)
    for turn in range(3):
        world.say(1, explanation=str(turn))
        world.say(1, topic="ampel", explanation=str(turn))
        world.react()
    assert len(compiled) == 4


def test_an_event_runs_the_filters_that_ask_for_events(world: World) -> None:
    activate(replace(SAID, name="Said", tables="objects, mma", select="objects.diaObjectId", where="", trigger="alert"))
    activate(replace(SAID, name="Other", tables="objects", select="diaObjectId", where="", trigger="alert"))
    world.store(1)
    objects, key = world.stores.objects, ListKey("event", 5)
    ids, one, nothing = np.array([1], np.int64), np.array([1.0]), np.array([np.nan])
    hits = {
        "_alert": np.array([0]), "diaObjectId": ids, "mw_id": np.array([5]), "event": np.array(["S1"]),
        "contour": one, "distance": nothing, "probdens2": one, "probdens3": nothing,
    }  # fmt: skip
    for version in (1, 2):
        objects.begin_list(key, version)
        objects.put_list_hits("lsst", key, version, ids, Versions(one, ids, ids), hits, None)
        # not matched to its end, so that nothing is told half
        assert world.reactor.events() == Counts()
        objects.finish_list(key, version)
        told = world.reactor.events()
        assert (told.matched, told.delivered, told.already_delivered) == (1, version == 1, version == 2)
        assert world.reactor.events() == Counts()
    assert len(world.delivered()) == 1 and world.delivered("Other") == []
    assert world.ledger.audit() == []
