"""Clients that post single annotations, alone and beside the pipeline of another process, by the clock."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.annotations.model import Annotation
from lasair.annotations.post import Poster
from lasair.stores.marks import Kept, SqliteMarkStore

#: What is asked for: so many annotations a second, by so many clients.
RATE, CLIENTS = 1000, 4
#: Longest wait for the other process to make packets and to get warm [s].
_PATIENCE_S = 600.0
#: Filters of the pipeline.
_FILTERS = 100


@dataclass(frozen=True)
class Posting:
    """Clients that post one annotation after the other, each when the one before is safe on the disk."""

    case: str
    clients: int
    #: 0 where each client posts as fast as it can
    wanted_per_s: float
    posted: int
    posts_per_s: float
    #: from when a post was to begin until its client had the answer
    ms_p50: float
    ms_p99: float
    ms_most: float
    #: CPU time of the process for an annotation, its clients included
    cpu_ms: float


@dataclass(frozen=True)
class Pipeline:
    """Speed of the pipeline while something else goes on; durable, with 100 filters."""

    beside: str
    #: by the clock; by the clock without what it waited for a processor that others used; and of one core
    alerts_per_s: float
    alerts_per_s_given_a_processor: float
    alerts_per_cpu_s: float


@dataclass(frozen=True)
class AnnotationsResult:
    """All figures."""

    postings: list[Posting]
    #: while nobody posts; while the clients post to nobody, which only takes time of processors; while they post
    pipeline: list[Pipeline]


@dataclass(frozen=True)
class _Batch:
    """One batch of the pipeline."""

    begin: float
    end: float
    cpu_s: float
    #: while it could have run, and other threads had the processors
    waited_s: float
    alerts: int


def measure_annotations(
    *,
    seconds: float = 10.0,
    rate: float = RATE,
    clients: int = CLIENTS,
    alerts: int = 3000,
    say: Callable[[str], None] = lambda _: None,
) -> AnnotationsResult:
    """Post for some seconds in each case.

    Every post says something new of an object of the pipeline's own batches, so each is a change with history.

    Parameters
    ----------
    seconds : of each case
    rate : annotations/s of all clients together
    clients : threads that post
    alerts : simulated packets, which the pipeline takes again and again
    """
    with tempfile.TemporaryDirectory(prefix="lasair-bench-") as scratch:
        folder = Path(scratch)
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        stop = context.Event()
        say(f"making {alerts:,} packets")
        # not the posting process: it must not share its interpreter
        other = context.Process(target=_pipeline, args=(folder, alerts, theirs, stop), daemon=True)
        other.start()
        theirs.close()
        store = SqliteMarkStore(folder / "marks.db")
        try:
            with Poster(store) as poster:
                objects = _received(ours, other.is_alive)
                post = _Clients(objects)
                besides: list[_Run] = []

                def beside() -> None:
                    besides.append(post.paced(poster, seconds / 2, rate, clients))

                def to_nobody() -> None:
                    with Poster(_Nobody()) as deaf:
                        post.paced(deaf, seconds / 2, rate, clients)

                loads: dict[str, Callable[[], None]] = {
                    "nobody posts": lambda: time.sleep(seconds / 2),
                    "clients post to nobody": to_nobody,
                    "clients post": beside,
                }
                spans: dict[str, list[tuple[float, float]]] = {name: [] for name in loads}
                for turn in range(2):
                    for name, load in loads.items():
                        say(f"the pipeline while {name} ({turn + 1} of 2)")
                        begin = time.monotonic()
                        load()
                        spans[name].append((begin, time.monotonic()))
                stop.set()
                batches: list[_Batch] = _received(ours, other.is_alive)
                other.join()
                say("the same clients alone, then as fast as they can")
                cases = [
                    _posting("beside the pipeline", clients, rate, besides),
                    _posting("alone", clients, rate, [post.paced(poster, seconds, rate, clients)]),
                    *(
                        _posting("as fast as they can", n, 0, [post.paced(poster, seconds / 2, 0, n)])
                        for n in (1, clients, 16 * clients)
                    ),
                ]
        finally:
            stop.set()
            if other.is_alive():
                other.terminate()
            store.close()
        return AnnotationsResult(cases, [_pipeline_beside(name, batches, some) for name, some in spans.items()])


def as_json(result: AnnotationsResult) -> dict[str, Any]:
    """As JSON has it."""
    return asdict(result)


def as_lines(result: AnnotationsResult) -> list[str]:
    """To read."""
    lines = ["", "annotations: single posts, each safe on the disk when its client goes on, by the clock"]
    for one in result.postings:
        wanted = f" (wanted {one.wanted_per_s:,.0f})" if one.wanted_per_s else ""
        lines.append(
            f"  {one.posts_per_s:>10,.0f} posts/s{wanted}, {one.case}, {one.clients} clients: p50 {one.ms_p50:.1f} ms,"
            f" p99 {one.ms_p99:.1f} ms, most {one.ms_most:.0f} ms; {one.cpu_ms:.3f} CPU ms each"
        )
    for each in result.pipeline:
        lines.append(
            f"  {each.alerts_per_s:>10,.0f} alerts/s by the clock, {each.alerts_per_s_given_a_processor:,.0f} without"
            f" waiting for a processor, {each.alerts_per_cpu_s:,.0f} of one core: the pipeline while {each.beside}"
        )
    return lines


class _Nobody:
    """Keeps nothing."""

    def annotate(self, annotations: Sequence[Annotation], now_s: float) -> list[Kept]:
        return [Kept(1, True)] * len(annotations)


@dataclass(frozen=True)
class _Run:
    """Posts of some clients."""

    latency_s: NDArray[np.float64]
    wall_s: float
    cpu_s: float


class _Clients:
    """Threads that post."""

    def __init__(self, objects: Sequence[str]) -> None:
        self._objects = objects
        self._turn = 0

    def paced(self, poster: Poster, seconds: float, rate: float, clients: int) -> _Run:
        """Post for some seconds, `rate` a second together, or (0) as fast as each can."""
        self._turn += 1
        kept: list[list[float]] = [[] for _ in range(clients)]
        wrong: list[BaseException] = []

        def work(me: int) -> None:
            try:
                self._work(poster, me, clients, start, end, rate / clients, kept[me])
            except BaseException as err:
                wrong.append(err)

        threads = [threading.Thread(target=work, args=(me,)) for me in range(clients)]
        cpu, start = time.process_time(), time.monotonic()
        end = start + seconds
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        if wrong:
            raise wrong[0]
        done = time.monotonic()
        return _Run(np.array([one for some in kept for one in some]), done - start, time.process_time() - cpu)

    def _work(
        self, poster: Poster, me: int, clients: int, start: float, end: float, rate: float, kept: list[float]
    ) -> None:
        number = 0
        while True:
            # clients take turns, so that not all post at the same moment
            wanted = start + (number + me / clients) / rate if rate else time.monotonic()
            if wanted >= end:
                return
            if (early := wanted - time.monotonic()) > 0:
                time.sleep(early)
            which = number * clients + me
            said = Annotation(
                "ztf",
                self._objects[which % len(self._objects)],
                "bench",
                "SN",
                "1.0",
                "Said by the benchmark.",
                {"probability": 0.5, "number": which, "turn": self._turn},
                "https://example.org/said",
            )
            if not poster.post(said).changed:
                raise AssertionError("a new annotation was taken for one that stands")
            kept.append(time.monotonic() - wanted)
            number += 1


def _posting(case: str, clients: int, wanted: float, runs: Sequence[_Run]) -> Posting:
    latency = np.concatenate([one.latency_s for one in runs]) * 1e3
    p50, p99 = np.percentile(latency, [50, 99])
    per_s = len(latency) / sum(one.wall_s for one in runs)
    cpu = 1e3 * sum(one.cpu_s for one in runs) / len(latency)
    return Posting(
        case, clients, wanted, len(latency), float(per_s), float(p50), float(p99), float(latency.max()), float(cpu)
    )


def _pipeline_beside(load: str, batches: Sequence[_Batch], periods: Sequence[tuple[float, float]]) -> Pipeline:
    """Of batches that lie wholly in one of the periods."""
    some = [one for one in batches if any(begin <= one.begin and one.end <= end for begin, end in periods)]
    alerts = sum(one.alerts for one in some)
    wall, cpu = sum(one.end - one.begin for one in some), sum(one.cpu_s for one in some)
    busy = wall - sum(one.waited_s for one in some)
    return Pipeline(load, *((alerts / span if some else float("nan")) for span in (wall, busy, cpu)))


def _waited_s() -> float:
    """How long this thread has waited for a processor since it began [s]; 0 where the system does not say."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _received(pipe: Connection, alive: Callable[[], bool]) -> Any:
    """What the other process sends; its failure is raised here."""
    end = time.monotonic() + _PATIENCE_S
    while not pipe.poll(0.2):
        if not alive() and not pipe.poll(0):
            raise RuntimeError("the process of the pipeline ended without a word")
        if time.monotonic() > end:
            raise TimeoutError(f"the process of the pipeline said nothing for {_PATIENCE_S:.0f} s")
    found = pipe.recv()
    if isinstance(found, BaseException):
        raise found
    return found


def _pipeline(folder: Path, alerts: int, pipe: Connection, stop: Event) -> None:
    """In a process of its own: take the same packets again and again; send their objects first, the batches last."""
    try:
        _take(folder, alerts, pipe, stop)
    except BaseException as err:
        pipe.send(RuntimeError(f"{type(err).__name__}: {err}"))


def _take(folder: Path, alerts: int, pipe: Connection, stop: Event) -> None:
    from lasair.bench.fused import different_filters
    from lasair.bench.measure import own_schemas
    from lasair.bench.workloads import BATCH, fixed_batches, simulated
    from lasair.config import Settings
    from lasair.definitions import edit
    from lasair.definitions.django import connect
    from lasair.ledger.store import Ledger
    from lasair.packets.ids import object_names
    from lasair.pipeline import Pipeline, calm_collector
    from lasair.stores.open import open_stores
    from lasair.work import batches

    workload = simulated("W-ZTF", alerts=alerts)
    schemas = own_schemas(folder / "schemas")
    connect(folder / "definitions.db")
    for one in different_filters(workload.survey, _FILTERS):
        edit.activate(edit.add_filter(one).name)
    settings = Settings(filter_byte_quota=-1)
    names = [
        str(one)
        for batch in fixed_batches(workload.messages, schemas)
        for one in object_names(batch.survey, batch.alerts["object_id"]).tolist()
    ]
    calm_collector()
    found: list[_Batch] = []
    stores = open_stores(folder)
    try:
        turn = 0
        while not stop.is_set():
            # to a new ledger the packets are new; the first turn compiles and warms
            ledger = Ledger(folder / f"ledger-{turn}.db")
            pipeline = Pipeline(settings, stores, ledger, schemas, folder / "definitions.db")
            for work in batches(workload.messages, most_alerts=BATCH, most_bytes=settings.batch_bytes):
                if stop.is_set():
                    break
                begin, cpu, waited = time.monotonic(), time.process_time(), _waited_s()
                pipeline.process(work)
                end, spent, waited = time.monotonic(), time.process_time() - cpu, _waited_s() - waited
                if turn:
                    found.append(_Batch(begin, end, spent, waited, len(work)))
            ledger.close()
            if not turn:
                pipe.send(names)
            turn += 1
    finally:
        stores.close()
    pipe.send(found)
