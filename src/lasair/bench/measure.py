"""Measurements of one workload: decode, features, the fused pipeline. CPU time of this process throughout."""

from __future__ import annotations

import io
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lasair.bench.workloads import Workload
from lasair.config import Settings
from lasair.definitions.filter_file import FilterFile
from lasair.packets.batch import AlertBatch, Message
from lasair.packets.schemas import SchemaSource
from lasair.schema.model import Survey

_FASTAVRO_SAMPLE = 300
_FILL_ROWS = 30


@dataclass
class Result:
    """Figures of one workload. Times are CPU ms an alert unless the name says otherwise."""

    workload: str
    what: str
    alerts: int
    mean_packet_bytes: float
    mean_rows: float
    decode_per_s: float
    decode_all_columns_per_s: float
    fastavro_per_s: float
    features_per_s: float
    fused_per_s: float
    fused_ms: float
    fused_ms_p50: float
    fused_ms_p95: float
    #: stage -> (mean, p50, p95) over batches
    stages_ms: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    peak_rss_mb: float = 0.0
    delivered: int = 0
    lasair_ms: float | None = None
    ratio_to_lasair: float | None = None
    reach: float | None = None
    bbb_ms: float | None = None
    lasair_bbb_ms: float | None = None


def cpu_of(work: Callable[[], object], *, repeat: int = 3) -> float:
    """Smallest CPU time of a few runs [s]."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def fastavro_per_s(messages: Sequence[Message], schemas: SchemaSource) -> float:
    """Packets/s/core of fastavro reading all fields, on the first few hundred packets of the same workload."""
    import fastavro

    some = messages[:_FASTAVRO_SAMPLE]
    parsed: dict[int, object] = {}

    def read_all() -> None:
        for message in some:
            if message.value[:4] == b"Obj\x01":
                for _ in fastavro.reader(io.BytesIO(message.value)):
                    pass
            else:
                schema_id = int.from_bytes(message.value[1:5], "big")
                schema = parsed.get(schema_id)
                if schema is None:
                    schema = parsed[schema_id] = schemas.get(schema_id).parsed
                fastavro.schemaless_reader(io.BytesIO(message.value[5:]), schema, None)

    return len(some) / cpu_of(read_all, repeat=2)


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lasair-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def preload(batch: AlertBatch, put: Callable[..., object]) -> None:
    """Store the history of every alert, without the alert itself, as earlier alerts would have."""
    keep = np.ones(len(batch.rows), np.bool_)
    keep[batch.trigger] = False
    counts = np.diff(batch.offsets) - 1
    offsets = np.concatenate(([0], np.cumsum(counts)))
    older = np.zeros(len(batch), np.int64)
    put(
        batch.survey,
        np.ascontiguousarray(batch.alerts["object_id"]),
        batch.rows[keep],
        offsets,
        batch.alerts["mjd_tai"] - 1.0,
        older,
    )


def own_schemas(folder: Path) -> SchemaSource:
    """The schemas the simulator writes with, laid in a folder; no registry is asked."""
    import orjson

    from lasair.schema.avsc import KNOWN, writer_schema

    folder.mkdir(parents=True, exist_ok=True)
    for version in KNOWN["lsst"]:
        name = f"lsst.v{version.replace('.', '_')}.alert.avsc"
        (folder / name).write_bytes(orjson.dumps(writer_schema("lsst", version)))
    return SchemaSource(folders=[folder], cache=folder / "cache", registry=None)


def fill(batch: AlertBatch, put: Callable[..., object], objects: int) -> None:
    """Store light curves of 30 rows for that many more objects, made of the batch's rows under new ids."""
    chance = np.random.default_rng(1)
    chunk = 5_000
    for start in range(0, objects, chunk):
        n = min(chunk, objects - start)
        ids = chance.integers(1, 2**62, n)
        pick = np.sort(chance.integers(0, len(batch.rows), (n, _FILL_ROWS)), axis=1)
        rows = batch.rows[pick.ravel()]
        rows["source_id"] = chance.integers(1, 2**62, len(rows))
        offsets = np.arange(n + 1, dtype=np.int64) * _FILL_ROWS
        put(batch.survey, ids, rows, offsets, np.full(n, 60000.0), np.zeros(n, np.int64))


def measure(workload: Workload, *, filters: int = 100, bbb: bool = False, objects: int = 0) -> Result:
    """Run one workload in an empty state, or beside `objects` other stored light curves."""
    with _scratch() as scratch:
        return _measure(workload, own_schemas(scratch / "schemas"), scratch / "state", filters, bbb, objects)


def _measure(workload: Workload, schemas: SchemaSource, folder: Path, filters: int, bbb: bool, objects: int) -> Result:
    from lasair.filter.evaluate import feature_stage
    from lasair.packets.columns import decode_all_columns
    from lasair.packets.decode import decode

    settings = Settings(durable=False, filter_byte_quota=-1)
    messages = workload.messages
    slices = [messages[i : i + 500] for i in range(0, len(messages), 500)]

    def decode_all() -> list[AlertBatch]:
        return [batch for some in slices for batch in decode(some, schemas)[0]]

    decode(slices[0], schemas)  # compile and warm
    decode_s = cpu_of(lambda: [decode(some, schemas) for some in slices])
    all_columns_s = cpu_of(lambda: [decode_all_columns(some, schemas) for some in slices])
    batches = decode_all()
    fixed = [batch.select(batch.alerts["is_mover"] == 0) for batch in batches]
    features = feature_stage(None)
    features_s = cpu_of(lambda: [features(batch) for batch in fixed if len(batch)])

    per_batch, delivered, fused_cpu, done = _fused(workload, schemas, settings, filters, folder, fixed, objects)
    per_alert = np.array([cpu / alerts for _, cpu, alerts in per_batch]) * 1e3
    stages = {}
    for name in per_batch[-1][0]:
        values = np.array([spent.get(name, 0.0) / alerts for spent, _, alerts in per_batch]) * 1e3
        stages[name] = (float(values.mean()), float(np.percentile(values, 50)), float(np.percentile(values, 95)))
    n = len(messages)
    fused_ms = 1e3 * fused_cpu / done
    return Result(
        workload=workload.name,
        what=workload.what,
        alerts=n,
        mean_packet_bytes=sum(len(one.value) for one in messages) / n,
        mean_rows=sum(len(batch.rows) for batch in batches) / max(sum(len(batch) for batch in batches), 1),
        decode_per_s=n / decode_s,
        decode_all_columns_per_s=n / all_columns_s,
        fastavro_per_s=fastavro_per_s(messages, schemas),
        features_per_s=sum(len(batch) for batch in fixed) / features_s,
        fused_per_s=done / fused_cpu,
        fused_ms=fused_ms,
        fused_ms_p50=float(np.percentile(per_alert, 50)),
        fused_ms_p95=float(np.percentile(per_alert, 95)),
        stages_ms=stages,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        delivered=delivered,
        lasair_ms=workload.lasair_ms - workload.lasair_bbb_ms if workload.lasair_ms else None,
        ratio_to_lasair=fused_ms / (workload.lasair_ms - workload.lasair_bbb_ms) if workload.lasair_ms else None,
        reach=workload.reach,
        bbb_ms=_bbb_ms(fixed) if bbb else None,
        lasair_bbb_ms=workload.lasair_bbb_ms if workload.lasair_ms else None,
    )


def different_filters(survey: Survey, n: int) -> list[FilterFile]:
    """That many filters, no two alike: the examples, then the examples with one more condition."""
    from lasair.definitions.examples import example_filters

    found = list(example_filters(survey))
    more = "objects.ncand >= {}" if survey == "ztf" else "objects.nDiaSources >= {}"
    while len(found) < n:
        base, turn = found[len(found) % len(example_filters(survey))], len(found) // len(example_filters(survey)) + 1
        where = f"({base.where}) AND {more.format(turn)}"
        found.append(replace(base, name=f"{base.name} {turn}", where=where))
    return found[:n]


def _fused(
    workload: Workload,
    schemas: SchemaSource,
    settings: Settings,
    filters: int,
    folder: Path,
    fixed: list[AlertBatch],
    objects: int,
) -> tuple[list[tuple[dict[str, float], float, int]], int, float, int]:
    """The whole pipeline, batch by batch: ([(CPU s by stage, CPU s, alerts)], messages delivered, CPU s, alerts)."""
    from lasair.definitions import edit
    from lasair.definitions.django import connect
    from lasair.ledger.store import Ledger
    from lasair.pipeline import Pipeline
    from lasair.stores.open import open_stores
    from lasair.work import batches

    folder.mkdir(parents=True, exist_ok=True)
    connect(folder / "definitions.db")
    for one in different_filters(workload.survey, filters):
        edit.activate(edit.add_filter(one).name)
    stores, ledger = open_stores(folder, durable=False), Ledger(folder / "ledger.db", durable=False)
    try:
        for batch in fixed:
            if len(batch):
                preload(batch, stores.lightcurves.put)
        fill(next(batch for batch in fixed if len(batch)), stores.lightcurves.put, objects)
        pipeline = Pipeline(settings, stores, ledger, schemas, folder / "definitions.db")
        works = list(batches(workload.messages, most_alerts=500, most_bytes=settings.batch_bytes))
        pipeline.process(works[0])  # opens, compiles and warms; not counted
        per_batch, delivered, whole, done = [], 0, 0.0, 0
        for work in works[1:]:
            before, start = dict(pipeline.cpu_s), time.process_time()
            committed = pipeline.process(work)
            spent = time.process_time() - start
            per_batch.append(
                ({name: cpu - before.get(name, 0.0) for name, cpu in pipeline.cpu_s.items()}, spent, len(work))
            )
            delivered += committed.counts.delivered
            whole += spent
            done += len(work)
        wrong = ledger.audit()
        if wrong:
            raise AssertionError(f"the ledger does not close: {wrong}")
        return per_batch, delivered, whole, done
    finally:
        stores.close()
        ledger.close()


def _bbb_ms(fixed: list[AlertBatch]) -> float:
    """CPU ms an alert of the BBB fit when every alert is taken for a supernova, as the original was measured."""
    from lasair.filter.features.bbb import fit_bbb
    from lasair.filter.features.context import Context

    alerts = sum(len(batch) for batch in fixed)
    contexts = []
    for batch in fixed:
        context = Context.unknown(len(batch))
        context.sherlock_class[:] = "SN"
        context.ebv[:] = 0.0
        contexts.append(context)
    return (
        1e3
        * cpu_of(lambda: [fit_bbb(b, c) for b, c in zip(fixed, contexts, strict=True) if len(b)], repeat=1)
        / max(alerts, 1)
    )
