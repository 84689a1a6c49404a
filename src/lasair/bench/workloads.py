"""What is measured: simulated nights, and real packets where they are to be had."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lasair.packets.batch import AlertBatch, Message
from lasair.packets.schemas import SchemaSource
from lasair.schema.model import Survey


@dataclass(frozen=True)
class Workload:
    """Packets to run, all of one survey."""

    name: str
    survey: Survey
    what: str
    messages: list[Message]
    #: CPU ms an alert that the real Lasair needs, without Sherlock: whole path, of which BBB; None where not measured
    lasair_ms: float | None = None
    lasair_bbb_ms: float = 0.0
    #: most of that we may need, as a fraction
    reach: float | None = None
    #: fewest packets/s/core to decode, and alerts/s/core of the fused pipeline; None where no aim is set
    decode_aim: float | None = None
    fused_aim: float | None = None


@dataclass(frozen=True)
class _Simulated:
    profile: str
    survey: Survey
    what: str
    alerts: int
    decode_aim: float | None = None
    fused_aim: float | None = None


SIMULATED = {
    "W-ZTF": _Simulated("w-ztf", "ztf", "10-20 history rows, forced rows in a third, 3 cutouts", 3000),
    "year": _Simulated("lsst-year", "lsst", "80 + 100 history rows and 3 cutouts in every packet", 4000, 10_000, 1_200),
    "deep": _Simulated("lsst-deep", "lsst", "350 + 460 history rows and 3 cutouts in every packet", 1500, 2_500),
    "mix": _Simulated("lsst-mix", "lsst", "85 % no history, 15 % deep, 3 cutouts", 4000),
}

#: Real Lasair, CPU ms an alert (whole path without Sherlock; of that the BBB fit), and the share we aim at.
REAL = {"R-deep": (149.0, 21.0, 1 / 40), "R-20": (20.0, 5.3, 1 / 20), "R-0": (6.0, 0.0, 1 / 8)}
_TRIM = {"R-deep": None, "R-20": (20, 40), "R-0": (0, 0)}
_REAL_FILE = Path("lsst/v10_0_public_20260310.avro")
_COPIES = 40

#: Packets decoded at a time, and the size of a batch in the whole chain.
BATCH = 500


def simulated(name: str, *, alerts: int | None = None, progress: Callable[[int, int], None] | None = None) -> Workload:
    """A workload from the simulator."""
    from lasair.simulate.profiles import simulate

    one = SIMULATED[name]
    wanted = alerts or one.alerts
    now = time.time()
    messages = [
        Message(made.value, f"bench-{name}", offset, now)
        for offset, made in enumerate(simulate(one.profile, seed=1, n=wanted, progress=progress))
    ]
    return Workload(name, one.survey, one.what, messages, decode_aim=one.decode_aim, fused_aim=one.fused_aim)


def real(name: str, data: Path, *, copies: int = _COPIES) -> Workload:
    """The published records of one night, with new ids, under schema 11.1, with their history whole or cut."""
    from lasair.simulate.replay import replay_records

    lasair_ms, bbb_ms, reach = REAL[name]
    now = time.time()
    values = replay_records(data / _REAL_FILE, copies=copies, trim=_TRIM[name], seed=1)
    messages = [Message(value, f"bench-{name}", offset, now) for offset, value in enumerate(values)]
    what = {"R-deep": "histories as published", "R-20": "newest 20 sources and 40 forced", "R-0": "no history"}[name]
    return Workload(name, "lsst", f"real packets of 2026-03-10, {what}", messages, lasair_ms, bbb_ms, reach)


def fixed_batches(messages: Sequence[Message], schemas: SchemaSource) -> Iterator[AlertBatch]:
    """The alerts of a workload that are no movers, a batch at a time, so that memory stays small."""
    from lasair.packets.decode import decode

    for start in range(0, len(messages), BATCH):
        for batch in decode(messages[start : start + BATCH], schemas)[0]:
            fixed = batch.select(batch.alerts["is_mover"] == 0)
            if len(fixed):
                yield fixed
