"""A stage that knows the sky is one line in the chain; slow fits then come after the notifications."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from lasair.bench.measure import own_schemas
from lasair.config import Settings
from lasair.definitions import edit
from lasair.definitions.django import connect
from lasair.definitions.filter_file import FilterFile
from lasair.ledger.store import Ledger
from lasair.packets.batch import AlertBatch, Message
from lasair.pipeline import Pipeline
from lasair.simulate.profiles import simulate
from lasair.stores.open import open_stores
from lasair.work import batches


def all_supernovae(batch: AlertBatch) -> AlertBatch:
    """Stands for Sherlock: every alert is a supernova at 100 Mpc."""
    n = len(batch)
    batch.tables["sherlock_classifications"] = {
        "diaObjectId": np.ascontiguousarray(batch.alerts["object_id"]),
        "classification": np.full(n, "SN"),
        "best_distance": np.full(n, 100.0),
        "z": np.full(n, np.nan),
        "photoZ": np.full(n, np.nan),
    }
    return batch


def test_fits_follow_and_filters_see_those_of_the_alert_before(tmp_path: Path) -> None:
    settings = Settings(durable=False)
    connect(tmp_path / "definitions.db")
    for name, where in (
        ("Sn", "sherlock_classifications.classification = 'SN'"),
        ("Fitted", "BBBRiseRate IS NOT NULL"),
    ):
        tables = "objects, sherlock_classifications" if name == "Sn" else "objects"
        edit.add_filter(FilterFile(name=name, survey="lsst", tables=tables, select="objects.diaObjectId", where=where))
        edit.activate(name)
    stores, ledger = open_stores(tmp_path, durable=False), Ledger(tmp_path / "ledger.db", durable=False)
    pipeline = Pipeline(settings, stores, ledger, own_schemas(tmp_path / "schemas"), tmp_path / "definitions.db")
    pipeline.enrich = (("sherlock", all_supernovae), *pipeline.enrich)
    # without a dust map nothing is corrected, so give every object an extinction of its own before it is fitted
    messages = [Message(one.value, "p", i, time.time()) for i, one in enumerate(simulate("lsst-year", seed=2, n=60))]
    (work,) = batches(messages, most_alerts=1000, most_bytes=10**9)
    counts = pipeline.process(work).counts
    assert counts.matched == counts.filtered > 0
    due = ledger.fits_due(1000)
    assert due
    keys = np.array([one[1] for one in due])
    stores.objects.put("lsst", "objects", {"diaObjectId": keys, "ebv": np.zeros(len(keys))})
    pipeline.fit()
    assert ledger.fits_due(1000) == []
    fitted = stores.objects.fetch("lsst", "objects", ("BBBRiseRate", "BBBTemp"), keys.tolist())
    made = {key for key, values in fitted.items() if values[0] is not None}
    assert made
    found = pipeline.enrich[-1][1](_with_objects(pipeline, messages, tmp_path))
    carried = found.tables["objects"]["BBBRiseRate"]
    assert set(found.alerts["object_id"][np.isfinite(carried)].tolist()) == made
    assert ledger.audit() == []
    stores.close()
    ledger.close()


def _with_objects(pipeline: Pipeline, messages: list[Message], folder: Path) -> AlertBatch:
    from lasair.packets.decode import decode

    (batch,), _ = decode(messages, own_schemas(folder / "schemas"))
    batch = batch.select(batch.alerts["is_mover"] == 0)
    for _, stage in pipeline.enrich[:-1]:
        batch = stage(batch)
    return batch
