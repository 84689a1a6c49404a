"""Speed and size of the sky index: a million cones, two hundred areas."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lasair.sky.areas import SKY_CELLS, AreaIndex
from lasair.sky.cones import ConeIndex, ConeSegment

#: A visit of the Rubin camera [deg across].
VISIT_DEG = 3.5
#: Alerts in a batch.
BATCH = 10_000

Places = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class IndexCost:
    """What looking up in one index costs; CPU seconds of one core."""

    case: str
    alerts_per_s: float
    hits_per_alert: float
    #: a cone with its name, and its share of the bookkeeping; 0 for areas
    bytes_per_cone: float
    build_s: float
    #: replacing the largest list, or one area
    edit_s: float


def whole_sky(n: int, chance: np.random.Generator) -> Places:
    """Places spread evenly over the sphere [deg]."""
    return chance.uniform(0.0, 360.0, n), np.degrees(np.arcsin(chance.uniform(-1.0, 1.0, n)))


def one_visit(n: int, chance: np.random.Generator) -> Places:
    """Places spread evenly over one visit [deg]."""
    ra, decl = 150.0, -30.0
    radius, angle = 0.5 * VISIT_DEG * np.sqrt(chance.uniform(0.0, 1.0, n)), chance.uniform(0.0, 2.0 * np.pi, n)
    dec = decl + radius * np.sin(angle)
    return ra + radius * np.cos(angle) / np.cos(np.radians(dec)), dec


def measure_cones(*, cones: int = 1_000_000, seconds: float = 1.0) -> list[IndexCost]:
    """Alerts a second against a million cones: one list or ten thousand, over the sky or in one visit.

    Names have 16 letters, radii are 5 arcsec; alerts lie where the cones lie.
    """
    out = []
    for case, spread, lists in (
        ("one list, whole sky", whole_sky, 1),
        ("one list, one visit", one_visit, 1),
        ("10,000 lists, whole sky", whole_sky, 10_000),
        ("10,000 lists, one visit", one_visit, 10_000),
    ):
        chance = np.random.default_rng(5)
        ra, decl = spread(cones, chance)
        names = [f"SN {i:013d}" for i in range(cones)]
        each = cones // lists
        begun = time.process_time()
        index = ConeIndex()
        for number in range(lists):
            part = slice(number * each, (number + 1) * each)
            segment = ConeSegment.build(number, np.arange(cones)[part], ra[part], decl[part], 5.0, names[part])
            index = index.with_segment(segment)
        built = time.process_time() - begun
        begun = time.process_time()
        part = slice(0, each)
        again = ConeSegment.build(0, np.arange(each), ra[part], decl[part], 5.0, names[part])
        index = index.with_segment(again)
        edited = time.process_time() - begun
        speed, hits = _speed(lambda a, d, index=index: len(index.find(a, d)), spread, chance, seconds)
        out.append(IndexCost(case, speed, hits, index.nbytes / len(index), built, edited))
    return out


def measure_areas(*, areas: int = 200, ranges: int = 100_000, seconds: float = 1.0) -> list[IndexCost]:
    """Alerts a second against two hundred areas that each cover a third of the sky in a hundred thousand ranges."""
    chance = np.random.default_rng(5)
    held = {number: _footprint(ranges, chance) for number in range(areas)}
    begun = time.process_time()
    index = AreaIndex(held)
    built = time.process_time() - begun
    begun = time.process_time()
    index = index.with_area(0, held[0])
    edited = time.process_time() - begun
    out = []
    for case, spread in (("areas, whole sky", whole_sky), ("areas, one visit", one_visit)):
        speed, hits = _speed(lambda a, d: len(index.find(a, d).position), spread, chance, seconds)
        out.append(IndexCost(f"{areas} {case}", speed, hits, 0.0, built, edited))
    return out


def _footprint(ranges: int, chance: np.random.Generator) -> NDArray[np.uint64]:
    edges = np.sort(chance.integers(0, SKY_CELLS, 2 * ranges))
    middle = edges[0::2] + (edges[1::2] - edges[0::2]) * 2 // 3
    return np.column_stack((edges[0::2], middle)).astype(np.uint64)


def _speed(find, spread, chance: np.random.Generator, seconds: float) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Alerts a second of CPU, and hits an alert; the first batch, which may compile, is not timed."""
    find(*spread(BATCH, chance))
    batches = [spread(BATCH, chance) for _ in range(10)]
    done = hits = 0
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        hits += find(*batches[done % len(batches)])
        done += 1
    return BATCH * done / (time.process_time() - begun), hits / (BATCH * done)
