"""Speed and size of the sky index: a million cones, two hundred areas, ten maps of events."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.healpix import all_centres
from lasair.definitions.content import Happened
from lasair.matching.hits import Places, area_hits, event_hits, watchlist_hits
from lasair.matching.live import LiveEvent, SkyIndex
from lasair.sky.areas import SKY_CELLS, AreaIndex
from lasair.sky.cones import ConeIndex, ConeSegment
from lasair.sky.skymap import Circle, SkyMap

#: A visit of the Rubin camera [deg across].
VISIT_DEG = 3.5
#: Alerts in a batch.
BATCH = 10_000

Two = tuple[NDArray[np.float64], NDArray[np.float64]]


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


def measure_skyindex() -> list[IndexCost]:
    """All cases."""
    return [*measure_cones(), *measure_areas(), *measure_together()]


def as_json(costs: list[IndexCost]) -> list[dict[str, Any]]:
    """As JSON has it."""
    return [asdict(one) for one in costs]


def as_lines(costs: list[IndexCost]) -> list[str]:
    """To read."""
    lines = ["", f"skyindex: batches of {BATCH:,} positions, alerts/s/core"]
    for one in costs:
        size = f", {one.bytes_per_cone:.0f} bytes a cone" if one.bytes_per_cone else ""
        edit = f", one list edited in {1e3 * one.edit_s:.1f} ms" if one.edit_s else ""
        lines.append(
            f"  {one.alerts_per_s:>12,.0f}  {one.case}: {one.hits_per_alert:.2f} hits an alert{size}, "
            f"built in {one.build_s:.1f} s{edit}"
        )
    return lines


def whole_sky(n: int, chance: np.random.Generator) -> Two:
    """Places spread evenly over the sphere [deg]."""
    return chance.uniform(0.0, 360.0, n), np.degrees(np.arcsin(chance.uniform(-1.0, 1.0, n)))


def one_visit(n: int, chance: np.random.Generator) -> Two:
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


def measure_together(
    *, cones: int = 1_000_000, areas: int = 200, ranges: int = 100_000, maps: int = 10, seconds: float = 2.0
) -> list[IndexCost]:
    """Alerts a second against cones, areas and maps at once, with the tables of hits that filters join.

    Maps have 49,152 cells over the sky with distances, and every alert lies in the window of each.
    """
    out = []
    for case, spread in (("together, whole sky", whole_sky), ("together, one visit", one_visit)):
        chance = np.random.default_rng(7)
        begun = time.process_time()
        ra, decl = spread(cones, chance)
        names = [f"SN {i:013d}" for i in range(cones)]
        segment = ConeSegment.build(0, np.arange(cones), ra, decl, 5.0, names)
        sky = SkyIndex(
            cones=ConeIndex.of([segment]),
            areas=AreaIndex({number: _footprint(ranges, chance) for number in range(areas)}),
            events=tuple(_event(number, chance) for number in range(maps)),
        )
        built = time.process_time() - begun

        def find(a: NDArray[np.float64], d: NDArray[np.float64], sky: SkyIndex = sky) -> int:
            at = Places("lsst", np.arange(len(a)), a, d, np.full(len(a), 60_000.0))
            tables = (
                watchlist_hits(sky, at, _no_brightness),
                area_hits(sky, at),
                event_hits(sky.events, at, np.full(len(a), 150.0), 90.0),
            )
            return sum(len(table["_alert"]) for table in tables)

        speed, hits = _speed(find, spread, chance, seconds)
        what = f"{cones:,} cones, {areas} areas, {maps} maps {case}"
        out.append(IndexCost(what, speed, hits, sky.cones.nbytes / cones, built, 0.0))
    return out


def _event(number: int, chance: np.random.Generator) -> LiveEvent:
    """A map whose 90 percent region has some hundred square degrees about a place in or near the visit."""
    order = 6
    cell = np.arange(12 << (2 * order), dtype=np.int64)
    ra, decl = all_centres(order)
    middle = Circle(150.0 + float(chance.uniform(-15, 15)), -30.0 + float(chance.uniform(-15, 15)), 12.0, 0.9)
    density = middle.at(ra, decl).probdens2
    distance = np.full(len(cell), 160.0)
    where = SkyMap(np.full(len(cell), order), cell, density, distance, distance / 4.0, 1.0 / (1.0625 * distance**2))
    return LiveEvent(number, f"S{number}", Happened(59_990.0, 60_011.0, where))


def _no_brightness(alerts: NDArray[np.int64]) -> Two:
    return np.full(len(alerts), np.nan), np.full(len(alerts), np.nan)


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
