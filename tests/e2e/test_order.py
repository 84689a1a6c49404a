"""The final state does not depend on how often or in which order alerts come, nor on where batches end."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from lasair.bench.measure import own_schemas
from lasair.cli.demo_tags import add_tags
from lasair.cli.filters import add_examples
from lasair.cli.state import State
from lasair.config import Settings
from lasair.ledger.store import Ledger
from lasair.packets.batch import Message, Refused
from lasair.packets.files import read_messages
from lasair.pipeline import Pipeline
from lasair.simulate.profiles import FIRST_NIGHT
from lasair.simulate.tags import middle_of, write_tags
from lasair.simulate.write import write
from lasair.stores.open import open_stores
from lasair.work import batches
from tests.support.states import content


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    write("test", folder, seed=9, n=None)
    write_tags(folder, seed=9, first_night=FIRST_NIGHT)
    return folder


def run(
    folder: Path, records: list[Message | Refused], batch: int, *, tagged: Path | None = None, **settings: Any
) -> dict[str, Any]:
    """Take records through a fresh state, with what tags the sky of a night; what it holds then."""
    state = State(folder)
    state.create()
    if tagged is not None:
        assert add_tags(tagged, middle_of(tagged), state) is not None
    add_examples(state)
    stores, ledger = open_stores(folder, durable=False), Ledger(folder / "ledger.db", durable=False)
    schemas = own_schemas(folder.parent / "schemas")
    pipeline = Pipeline(Settings(durable=False, **settings), stores, ledger, schemas, state.definitions)
    for work in batches(records, most_alerts=batch, most_bytes=10**9):
        pipeline.process(work)
    stores.close()
    ledger.close()
    found = content(folder)
    assert found["wrong"] == []
    return found


def test_order_and_repetition_do_not_matter(night: Path, tmp_path: Path) -> None:
    records = list(read_messages(night))
    once = run(tmp_path / "once", records, batch=10_000, tagged=night)
    assert all(once["hits"][f"lsst_{name}"] for name in ("watchlist_hits", "area_hits", "mma_area_hits"))
    shuffled = [*records, *random.Random(1).sample(records, 200)]
    random.Random(2).shuffle(shuffled)
    again = run(tmp_path / "again", shuffled, batch=37, tagged=night)
    for what in ("objects", "hits", "curves", "letters"):
        assert again[what] == once[what], what
    for name in ("set_aside", "stored", "movers", "filtered"):
        assert again["total"][name] == once["total"][name], name
    # of two copies of one alert the first to come is evaluated, and copies may differ in history: streams in those only
    copies = once["total"]["duplicate"]
    assert set(again["streams"]) == set(once["streams"])
    for topic, messages in once["streams"].items():
        assert sum((messages - again["streams"][topic]).values()) <= copies, topic


def test_movers_can_be_passed_on(night: Path, tmp_path: Path) -> None:
    records = list(read_messages(night))
    kept_out = run(tmp_path / "out", records, batch=200)
    passed = run(tmp_path / "in", records, batch=200, filter_movers=True)
    assert passed["total"]["stored"] == kept_out["total"]["stored"]
    # ZTF's have an objectId; LSST's belong to no object
    assert 0 < passed["total"]["movers"] < kept_out["total"]["movers"]
    assert len(passed["objects"]["ztf_objects"]) > len(kept_out["objects"]["ztf_objects"])
    assert passed["objects"]["lsst_objects"] == kept_out["objects"]["lsst_objects"]


def test_empty_input_is_no_trouble(tmp_path: Path) -> None:
    found = run(tmp_path / "none", [], batch=10)
    assert found["total"] == {}
    late = Message(b"", "p", 0, time.time())
    assert run(tmp_path / "one", [late], batch=10)["total"]["set_aside"] == 1
