"""Byte-level fuzzer of the packet decoder: ``python -m tests.fuzz.fuzz_packets --inputs N --seed S``.

Packets (written here; real ones too when LASAIR_TEST_DATA is set) are damaged by bit flips, overwritten numbers,
truncation, splices and repetition. Each goes through `decode` between two good packets, and through the kernel alone
with guard pages right behind the input and all output, so that a read or write out of bounds ends the process. The work
is done in a child process: a crash, a hang or memory without limit is seen from outside and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import json
import mmap
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import numpy as np
from numpy.typing import NDArray

from lasair.packets import walk
from lasair.packets.avro import PacketSchema, compile_schema
from lasair.packets.batch import CUTOUT_KINDS, Message
from lasair.packets.decode import decode
from lasair.packets.files import read_messages
from lasair.packets.plan import plan
from lasair.packets.schemas import SchemaSource
from lasair.schema.avsc import writer_schema
from tests.support.data import DATA
from tests.support.packets import (
    container,
    datum,
    filled,
    lsst_alert,
    lsst_value,
    small_lsst,
    small_ztf,
    sub_type,
    zigzag,
    ztf_alert,
)

BATCH = 64
#: a batch of 64 small packets takes about a millisecond; a decoder that hangs takes for ever
BATCH_LIMIT_S = 10.0
MEMORY_LIMIT_MB = 1500
LARGEST_SEED = 24_000
_PAGE = mmap.PAGESIZE


class Seed(NamedTuple):
    """A good packet: what `decode` is given, and where in it the datum lies."""

    value: bytes
    schema: PacketSchema | None
    walked: PacketSchema
    start: int


class Guarded:
    """Memory whose end is followed by a page that must not be touched."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.room = -(-size // _PAGE) * _PAGE
        self.memory = mmap.mmap(-1, self.room + _PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        if protect(self.start + self.room, _PAGE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, data: bytes) -> int:
        """Copy data so that they end at the guard page; their address."""
        address = self.start + self.room - len(data)
        ctypes.memmove(address, data, len(data))
        return address

    @property
    def address(self) -> int:
        """Where `size` bytes begin that end at the guard page."""
        return self.start + self.room - self.size


def history_lsst(schema: Any, n: int) -> dict[str, Any]:
    record = lsst_alert(schema)
    sources, forced = sub_type(schema, "prvDiaSources"), sub_type(schema, "prvDiaForcedSources")
    record["prvDiaSources"] = [
        filled(sources, diaSourceId=2**57 + k, midpointMjdTai=61000.0 + k, band="r") for k in range(n)
    ]
    record["prvDiaForcedSources"] = [
        filled(forced, diaForcedSourceId=2**57 + k, midpointMjdTai=61000.5 + k, band="r") for k in range(n)
    ]
    record["cutoutScience"] = b"\0" * 50
    record["ssSource"] = filled(sub_type(schema, "ssSource"), ssObjectId=5, designation="2006 TK6")
    return record


def history_ztf(schema: Any, n: int) -> dict[str, Any]:
    record = ztf_alert(schema)
    earlier = sub_type(schema, "prv_candidates")
    record["prv_candidates"] = [
        filled(earlier, jd=2460400.5 + k, fid=1, pid=k, candid=None if k % 3 else k + 1, isdiffpos="t")
        for k in range(n)
    ]
    if any(field["name"] == "fp_hists" for field in schema["fields"]):
        forced = sub_type(schema, "fp_hists")
        record["fp_hists"] = [filled(forced, jd=2460400.5 + k, fid=1, pid=k) for k in range(n)]
    record["cutoutScience"] = {"fileName": "a", "stampData": b"\0" * 50}
    return record


class Schemas(SchemaSource):
    """Two LSST schemas by id, without any place to look."""

    def __init__(self) -> None:
        super().__init__()
        self._found = {1101: compile_schema(small_lsst()), 1000: compile_schema(writer_schema("lsst", "10.0"))}


def seeds(source: Schemas) -> list[Seed]:
    found = []
    for schema_id, schema in ((1101, small_lsst()), (1000, writer_schema("lsst", "10.0"))):
        for n in (0, 3, 20):
            value = lsst_value(schema, history_lsst(schema, n), schema_id)
            found.append(Seed(value, None, source.get(schema_id), 5))
    for schema in (small_ztf(), small_ztf(null_last=True)):
        compiled = compile_schema(schema)
        for n in (0, 3, 20):
            value = datum(schema, history_ztf(schema, n))
            found.append(Seed(value, compiled, compiled, 0))
    schema = small_ztf()
    whole = container(schema, [history_ztf(schema, 3)])
    found.append(Seed(whole, None, compile_schema(schema), len(whole) - 16))
    if DATA:
        found += real_seeds(DATA)
    return found


def real_seeds(data: Path) -> list[Seed]:
    """Real packets, their cutouts cut to a few bytes so that most damage hits the fields."""
    found: dict[tuple[PacketSchema, int], Seed] = {}
    for one in read_messages([data / "ztf", data / "lsst"]):
        if not isinstance(one, Message) or one.schema is None:
            continue
        record: Any = fastavro.schemaless_reader(io.BytesIO(one.value), one.schema.parsed, None)
        for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
            stamp = record.get(name)
            if isinstance(stamp, dict):
                record[name] = {**stamp, "stampData": stamp["stampData"][:40]}
            elif stamp:
                record[name] = stamp[:40]
        value = datum(one.schema.json, record)
        if len(value) <= LARGEST_SEED:
            found.setdefault((one.schema, len(value) // 2000), Seed(value, one.schema, one.schema, 0))
    return list(found.values())


_NASTY = [zigzag(n) for n in (0, -1, 1, 63, 64, 2**31, 2**40, 2**62, -(2**63), 2**63 - 1, -(2**31), 1000)]
_NASTY += [
    b"\xff" * 10,
    b"\x80" * 9 + b"\x7f",
    b"\0" * 8,
    b"\xff" * 8,
    np.float64(np.nan).tobytes(),
    b"\x7f\xf0" + b"\0" * 6,
]


def damage(rng: np.random.Generator, value: bytes, other: bytes) -> bytes:
    """One damaged copy."""
    data = bytearray(value)
    # one wound mostly, so that many packets get far
    for _ in range(max(1, int(rng.integers(-3, 4)))):
        if not data:
            break
        at = int(rng.integers(len(data)))
        how = int(rng.integers(8))
        if how == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif how == 1:
            data[at] = int(rng.integers(256))
        elif how == 2:
            del data[at:]
        elif how == 3:
            nasty = _NASTY[int(rng.integers(len(_NASTY)))]
            data[at : at + len(nasty)] = nasty
        elif how == 4:
            nasty = _NASTY[int(rng.integers(len(_NASTY)))]
            data[at:at] = nasty
        elif how == 5:
            stop = at + int(rng.integers(1, 200))
            data[at:at] = data[at:stop]
        elif how == 6:
            del data[at : at + int(rng.integers(1, 100))]
        elif other:
            there = int(rng.integers(len(other)))
            data[at:] = other[there : there + 2 * len(value)]
    return bytes(data)


class Worker:
    """Runs batches; any method raises AssertionError when something is wrong."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.source = Schemas()
        self.seeds = seeds(self.source)
        self.by_survey = {s: [one for one in self.seeds if one.walked.survey == s] for s in ("lsst", "ztf")}
        self.good = Message(lsst_value(small_lsst(), history_lsst(small_lsst(), 4), 1101), "good", 0, 0.0)
        self.wanted = self._good_bytes([self.good])
        self.slots = [Guarded(4 * LARGEST_SEED) for _ in range(BATCH)]
        self.buffers: dict[str, Guarded] = {}
        self.decoded = self.refused = self.slowest_ms = 0

    def _good_bytes(self, messages: list[Message]) -> tuple[bytes, bytes]:
        batch = next(one for one in decode(messages, self.source)[0] if one.survey == "lsst")
        last = batch.rows[batch.offsets[-2] :]
        return batch.alerts[-1].tobytes(), last.tobytes()

    def batch(self, number: int) -> None:
        rng = np.random.default_rng((self.seed, number))
        survey = ("lsst", "ztf")[number % 2]
        pool = self.by_survey[survey]
        picked = [pool[int(rng.integers(len(pool)))] for _ in range(BATCH)]
        values = [damage(rng, one.value, pool[int(rng.integers(len(pool)))].value) for one in picked]
        started = time.monotonic()
        self._through_decode(picked, values)
        self._through_kernel(survey, picked, values)
        if number % 50 == 0:
            self._through_files(rng)
        taken = time.monotonic() - started
        self.slowest_ms = max(self.slowest_ms, int(taken * 1000))
        assert taken < BATCH_LIMIT_S, f"batch {number} took {taken:.1f} s"

    def _through_decode(self, picked: list[Seed], values: list[bytes]) -> None:
        damaged = [
            Message(value, "fuzz", k, 0.0, one.schema)
            for k, (one, value) in enumerate(zip(picked, values, strict=True))
        ]
        messages = [self.good, *damaged, self.good]
        batches, refused = decode(messages, self.source)
        assert sum(len(one) for one in batches) + len(refused) == len(messages), "packets were lost"
        self.decoded += sum(len(one) for one in batches) - 2
        self.refused += len(refused)
        for batch in batches:
            assert batch.offsets[0] == 0 and batch.offsets[-1] == len(batch.rows)
            counts = np.diff(batch.offsets)
            assert (counts >= 1).all() and (batch.trigger >= batch.offsets[:-1]).all()
            assert (batch.trigger < batch.offsets[1:]).all()
            assert (batch.alerts["alert_id"] > 0).all() and np.isfinite(batch.alerts["mjd_tai"]).all()
            same = np.repeat(np.arange(len(batch)), counts)
            times = batch.rows["mjd_tai"]
            assert ((np.diff(times) >= 0) | (np.diff(same) > 0)).all(), "rows out of order"
            sizes = np.array([len(one.value) for one in batch.messages])
            assert (batch.cutouts >= 0).all() and (batch.cutouts.max(axis=(1, 2)) <= sizes).all()
            if batch.survey == "lsst":
                first = batch.alerts[0].tobytes(), batch.rows[: batch.offsets[1]].tobytes()
                last = batch.alerts[-1].tobytes(), batch.rows[batch.offsets[-2] :].tobytes()
                assert first == last == self.wanted, "a damaged packet changed a good one"

    def _buffer(self, name: str, size: int) -> Guarded:
        held = self.buffers.get(name)
        if held is None or held.size != size:
            held = self.buffers[name] = Guarded(size)
        return held

    def _through_kernel(self, survey: Any, picked: list[Seed], values: list[bytes]) -> None:
        wanted = plan(survey)
        tables = [one.walked.table for one in picked]
        different = list(dict.fromkeys(tables))
        ops = np.concatenate([one.ops for one in different])
        missing = np.concatenate([one.missing for one in different])
        starts = np.concatenate(([0], np.cumsum([len(one.ops) for one in different])[:-1])).astype(np.int64)
        program = np.array([different.index(one) for one in tables], np.int64)
        n = len(values)
        spans = np.empty((n, 3), np.int64)
        for k, (one, value) in enumerate(zip(picked, values, strict=True)):
            data = value[one.start :][: self.slots[k].size]
            spans[k] = self.slots[k].put(data)
            spans[k, 2] += len(data)
        alerts = self._buffer("alerts" + survey, n * wanted.alert.itemsize)
        ctypes.memmove(alerts.address, np.repeat(wanted.alert_template, n).tobytes(), alerts.size)
        template = self._buffer("template" + survey, wanted.row.itemsize)
        ctypes.memmove(template.address, wanted.row_template.tobytes(), template.size)
        counts = np.empty((n, walk.C_WIDTH), np.int64)
        cutouts: NDArray[np.int64] = np.empty((n, len(CUTOUT_KINDS), 2), np.int64)
        status = np.empty((n, 3), np.int64)
        offsets, trigger = np.zeros(n + 1, np.int64), np.empty(n, np.int64)
        room, capacity, first, used = 8, 64, 0, 0
        while first < n:
            scratch = self._buffer(f"scratch{survey}{room}", room * wanted.row.itemsize)
            rows = self._buffer(f"rows{survey}{capacity}", capacity * wanted.row_size)
            first, outcome = walk.walk_batch(
                ops, missing, starts, program, spans, first, alerts.address, wanted.alert.itemsize, scratch.address,
                room, template.address, wanted.where, wanted.fixes, rows.address, capacity, used,
                np.empty(room), np.empty((room, 4), np.int64), np.empty((3, room + 1), np.int64),
                counts, cutouts, offsets, trigger, status,
            )  # fmt: skip
            used = int(offsets[first])
            if outcome == walk.NEED_SCRATCH:
                room *= 2
                assert room <= 4 * LARGEST_SEED, "scratch grows without limit"
            elif outcome == walk.NEED_ROWS:
                # the rows so far do not matter here: begin anew at the front of a larger buffer
                if used == 0:
                    capacity *= 2
                used = offsets[first] = 0
        assert set(status[:, 0].tolist()) <= {walk.GOOD, *walk.REASONS}

    def _through_files(self, rng: np.random.Generator) -> None:
        schema = small_ztf()
        codec = ("null", "deflate")[int(rng.integers(2))]
        whole = container(schema, [ztf_alert(candid=k + 1) for k in range(20)], codec=codec, sync_interval=500)
        with tempfile.NamedTemporaryFile(suffix=".avro") as file:
            file.write(damage(rng, whole, whole))
            file.flush()
            found = list(read_messages(Path(file.name)))
        places = [(one if isinstance(one, Message) else one.message).offset for one in found]
        assert places == sorted(set(places)), "offsets are not in order"
        decode([one for one in found if isinstance(one, Message)], self.source)


def peak_memory_mb() -> int:
    """Of this program alone: what getrusage says begins with the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) // 1024


def work(inputs: int, seed: int, first: int, note: Path | None) -> dict[str, Any]:
    worker = Worker(seed)
    batches = -(-inputs // BATCH)
    for number in range(first, first + batches):
        if note is not None:
            note.write_text(str(number))
        worker.batch(number)
    memory = peak_memory_mb()
    assert memory < MEMORY_LIMIT_MB, f"{memory} MB of memory"
    return {
        "inputs": batches * BATCH,
        "decoded": worker.decoded,
        "refused": worker.refused,
        "seeds": len(worker.seeds),
        "slowest_batch_ms": worker.slowest_ms,
        "memory_mb": memory,
        "cpu_s": round(time.process_time(), 1),
    }


def run(inputs: int, seed: int, first: int = 0) -> tuple[int, str]:
    """Fuzz in a child process: (exit code for this one, report)."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "batch"
        command = [sys.executable, "-m", "tests.fuzz.fuzz_packets", "--inputs", str(inputs), "--seed", str(seed)]
        command += ["--first", str(first), "--note", str(note)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120 + inputs / 200)
        except subprocess.TimeoutExpired:
            return 1, f"hangs in batch {note.read_text()} (--seed {seed})"
        if done.returncode == 0:
            return 0, done.stdout.strip()
        where = f"batch {note.read_text()}" if note.exists() else "the start"
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return 1, f"{how} in {where} (--seed {seed} --first BATCH repeats it)\n{done.stderr[-3000:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first batch")
    parser.add_argument("--note", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.note is not None:
        print(json.dumps(work(asked.inputs, asked.seed, asked.first, asked.note)))
        return 0
    code, report = run(asked.inputs, asked.seed, asked.first)
    print(report)
    return code


if __name__ == "__main__":
    sys.exit(main())
