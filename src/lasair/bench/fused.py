"""The whole chain, batch by batch, with history stored before and a hundred different filters active."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lasair.bench.workloads import BATCH, Workload, fixed_batches
from lasair.config import Settings
from lasair.definitions.filter_file import FilterFile
from lasair.filter.evaluate import OBJECTS, feature_stage
from lasair.packets.batch import AlertBatch
from lasair.packets.ids import object_names
from lasair.packets.schemas import SchemaSource
from lasair.schema.model import Survey, object_key
from lasair.stores.open import Stores, open_stores
from lasair.stores.protocols import Versions

#: Rows of each light curve that stands beside those of the workload.
_FILL_ROWS = 30
#: ZTF has that many object names.
_ZTF_NAMES = 100 * 26**7


@dataclass
class BatchCost:
    """What one batch cost: CPU seconds in all and by stage."""

    alerts: int
    cpu_s: float
    stages_s: dict[str, float]


@dataclass
class Chain:
    """What a run of the whole chain cost."""

    batches: list[BatchCost] = field(default_factory=list)
    delivered: int = 0


def preload(batch: AlertBatch, put: Callable[..., object]) -> None:
    """Store the history of every alert, without the alert itself, as earlier alerts would have."""
    keep = np.ones(len(batch.rows), np.bool_)
    keep[batch.trigger] = False
    counts = np.diff(batch.offsets) - 1
    offsets = np.concatenate(([0], np.cumsum(counts)))
    ids = np.ascontiguousarray(batch.alerts["object_id"])
    put(batch.survey, ids, batch.rows[keep], offsets, batch.alerts["mjd_tai"] - 1.0, np.zeros(len(batch), np.int64))


def fill(batch: AlertBatch, stores: Stores, objects: int) -> None:
    """Store that many more objects with light curves of 30 rows, made of the batch's under new ids."""
    if not objects:
        return
    chance = np.random.default_rng(1)
    known = feature_stage(None)(batch).tables[OBJECTS]
    key, highest = object_key(batch.survey), 2**62 if batch.survey == "lsst" else _ZTF_NAMES
    chunk = 5_000
    for start in range(0, objects, chunk):
        n = min(chunk, objects - start)
        ids = chance.integers(1, highest, n)
        pick = np.sort(chance.integers(0, len(batch.rows), (n, _FILL_ROWS)), axis=1)
        rows = batch.rows[pick.ravel()]
        rows["source_id"] = chance.integers(1, 2**62, len(rows))
        offsets = np.arange(n + 1, dtype=np.int64) * _FILL_ROWS
        old, none = np.full(n, 60000.0), np.zeros(n, np.int64)
        stores.lightcurves.put(batch.survey, ids, rows, offsets, old, none)
        columns = {name: values[chance.integers(0, len(batch), n)] for name, values in known.items()}
        columns[key] = object_names(batch.survey, ids)
        stores.objects.put(batch.survey, OBJECTS, columns, Versions(old, none, none))


def different_filters(survey: Survey, n: int) -> list[FilterFile]:
    """That many filters, no two alike: the examples, then the examples with one more condition."""
    from lasair.definitions.examples import example_filters

    examples = example_filters(survey)
    found = list(examples)
    more = "objects.ncand >= {}" if survey == "ztf" else "objects.nDiaSources >= {}"
    while len(found) < n:
        turn, place = divmod(len(found), len(examples))
        base = examples[place]
        where = f"({base.where}) AND {more.format(turn + 1)}"
        found.append(replace(base, name=f"{base.name} {turn + 1}", where=where))
    return found[:n]


def run_chain(workload: Workload, schemas: SchemaSource, folder: Path, *, filters: int, objects: int) -> Chain:
    """Run a workload; the first batch opens, compiles and warms, and is not counted."""
    from lasair.definitions import edit
    from lasair.definitions.django import connect
    from lasair.ledger.store import Ledger
    from lasair.pipeline import Pipeline, calm_collector
    from lasair.work import batches

    settings = Settings(durable=False, filter_byte_quota=-1)
    folder.mkdir(parents=True, exist_ok=True)
    connect(folder / "definitions.db")
    for one in different_filters(workload.survey, filters):
        edit.activate(edit.add_filter(one).name)
    stores, ledger = open_stores(folder, durable=False), Ledger(folder / "ledger.db", durable=False)
    try:
        for number, batch in enumerate(fixed_batches(workload.messages, schemas)):
            if number == 0:
                fill(batch, stores, objects)
            preload(batch, stores.lightcurves.put)
        pipeline = Pipeline(settings, stores, ledger, schemas, folder / "definitions.db")
        chain = Chain()
        calm_collector()
        records = batches(workload.messages, most_alerts=BATCH, most_bytes=settings.batch_bytes)
        pipeline.process(next(records))
        for work in records:
            before, start = dict(pipeline.cpu_s), time.process_time()
            committed = pipeline.process(work)
            spent = time.process_time() - start
            stages = {name: cpu - before.get(name, 0.0) for name, cpu in pipeline.cpu_s.items()}
            chain.batches.append(BatchCost(len(work), spent, stages))
            chain.delivered += committed.counts.delivered
        wrong = ledger.audit()
        if wrong:
            raise AssertionError(f"the ledger does not close: {wrong}")
        return chain
    finally:
        stores.close()
        ledger.close()
