"""Measurements of one workload: decode and features here, the whole chain in fused.py. CPU time throughout."""

from __future__ import annotations

import io
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lasair.bench.fused import run_chain
from lasair.bench.workloads import BATCH, Workload, fixed_batches
from lasair.packets.batch import Message
from lasair.packets.schemas import SchemaSource

_FASTAVRO_SAMPLE = 300


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
    #: of the process, and how much of it are the packets that the benchmark holds
    peak_rss_mb: float = 0.0
    held_mb: float = 0.0
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


def own_schemas(folder: Path) -> SchemaSource:
    """The schemas the simulator writes with, laid in a folder; no registry is asked."""
    import orjson

    from lasair.schema.avsc import KNOWN, writer_schema

    folder.mkdir(parents=True, exist_ok=True)
    for version in KNOWN["lsst"]:
        name = f"lsst.v{version.replace('.', '_')}.alert.avsc"
        (folder / name).write_bytes(orjson.dumps(writer_schema("lsst", version)))
    return SchemaSource(folders=[folder], cache=folder / "cache", registry=None)


def measure(workload: Workload, *, filters: int = 100, bbb: bool = False, objects: int = 0) -> Result:
    """Run one workload in an empty state, or beside `objects` other stored light curves."""
    with _scratch() as scratch:
        return _measure(workload, own_schemas(scratch / "schemas"), scratch / "state", filters, bbb, objects)


def _measure(workload: Workload, schemas: SchemaSource, folder: Path, filters: int, bbb: bool, objects: int) -> Result:
    from lasair.packets.columns import decode_all_columns
    from lasair.packets.decode import decode

    messages = workload.messages
    n = len(messages)
    slices = [messages[start : start + BATCH] for start in range(0, n, BATCH)]
    decode(slices[0], schemas)  # compiles and warms
    decode_s = cpu_of(lambda: [decode(some, schemas) for some in slices])
    all_columns_s = cpu_of(lambda: [decode_all_columns(some, schemas) for some in slices])
    evaluated, rows, features_s, bbb_s = _features(workload, schemas, bbb)
    chain = run_chain(workload, schemas, folder, filters=filters, objects=objects)
    per_alert = np.array([one.cpu_s / one.alerts for one in chain.batches]) * 1e3
    stages = {}
    for name in chain.batches[-1].stages_s:
        values = np.array([one.stages_s.get(name, 0.0) / one.alerts for one in chain.batches]) * 1e3
        stages[name] = (float(values.mean()), float(np.percentile(values, 50)), float(np.percentile(values, 95)))
    cpu_s, done = sum(one.cpu_s for one in chain.batches), sum(one.alerts for one in chain.batches)
    fused_ms = 1e3 * cpu_s / done
    lasair_ms = workload.lasair_ms - workload.lasair_bbb_ms if workload.lasair_ms else None
    held = sum(len(one.value) for one in messages)
    return Result(
        workload=workload.name,
        what=workload.what,
        alerts=n,
        mean_packet_bytes=held / n,
        mean_rows=rows / evaluated,
        decode_per_s=n / decode_s,
        decode_all_columns_per_s=n / all_columns_s,
        fastavro_per_s=fastavro_per_s(messages, schemas),
        features_per_s=evaluated / features_s,
        fused_per_s=done / cpu_s,
        fused_ms=fused_ms,
        fused_ms_p50=float(np.percentile(per_alert, 50)),
        fused_ms_p95=float(np.percentile(per_alert, 95)),
        stages_ms=stages,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        held_mb=held / 1e6,
        delivered=chain.delivered,
        lasair_ms=lasair_ms,
        ratio_to_lasair=fused_ms / lasair_ms if lasair_ms else None,
        reach=workload.reach,
        bbb_ms=1e3 * bbb_s / evaluated if bbb else None,
        lasair_bbb_ms=workload.lasair_bbb_ms if workload.lasair_ms else None,
    )


def _features(workload: Workload, schemas: SchemaSource, bbb: bool) -> tuple[int, int, float, float]:
    """(alerts, rows, CPU s of all features, CPU s of the BBB fits) of the alerts that are no movers.

    For BBB every alert is taken for a supernova without extinction, as in the measurement of the original.
    """
    from lasair.filter.evaluate import feature_stage
    from lasair.filter.features.bbb import fit_bbb
    from lasair.filter.features.context import Context

    stage = feature_stage(None)
    alerts = rows = 0
    features_s = bbb_s = 0.0
    for batch in fixed_batches(workload.messages, schemas):
        if not alerts:
            stage(batch)  # compiles and warms
        alerts += len(batch)
        rows += len(batch.rows)
        features_s += cpu_of(lambda batch=batch: stage(batch))  # type: ignore[misc]
        if bbb:
            context = Context.unknown(len(batch))
            context.sherlock_class[:] = "SN"
            context.ebv[:] = 0.0
            if not bbb_s:
                fit_bbb(batch.select(np.arange(min(len(batch), 20))), Context.unknown(min(len(batch), 20)))
            bbb_s += cpu_of(lambda batch=batch, context=context: fit_bbb(batch, context), repeat=1)  # type: ignore[misc]
    return alerts, rows, features_s, bbb_s
