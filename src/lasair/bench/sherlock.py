"""How fast Sherlock answers over 14 catalogues of a synthetic sky: visits, all-sky, cold, one position, memory."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lasair.bench.measure import cpu_of
from lasair.catalogues.healpix import cells_of
from lasair.catalogues.release import Release
from lasair.catalogues.shelf import Shelf
from lasair.catalogues.synthetic import VISITS, Made, make_sky
from lasair.catalogues.universe import Field
from lasair.sherlock.engine import Sherlock

T = TypeVar("T")

#: Positions in a batch, half of them within this of a source [arcsec], half anywhere.
BATCH = 10_000
JITTER_ARCSEC = 4.0
EPOCH = 2026.5

#: From how many rows on the sky has all ten visits; below, one at high latitude and one in the plane.
TEN_VISITS_FROM = 100_000_000

#: Objects/s/core to reach: a warm visit, all-sky warm, with the sentence, all-sky cold; and the memory [MB].
AIMS = {"visit": 20_000.0, "all_sky": 10_000.0, "with_sentence": 5_000.0, "cold": 2_500.0, "anonymous_mb": 500.0}

#: Positions to look for sources at, when some are to be drawn.
_PROBES = 40_000


@dataclass
class Warm:
    """A batch whose pages are in memory. Rates are objects/s of one core's time."""

    name: str
    #: rows of all catalogues per square degree at the positions drawn anywhere
    rows_per_deg2: float
    #: look-ups and rules; with the columns of the answer; with the sentence, too
    decided_per_s: float
    per_s: float
    with_sentence_per_s: float
    #: candidates within the cones of all catalogues, and distinct sources, per position
    candidates: float
    sources: float
    #: class -> how many
    classes: dict[str, int] = field(default_factory=dict)
    #: ms of the processor for each thousand objects
    stages_ms: dict[str, float] = field(default_factory=dict)


@dataclass
class Cold:
    """An all-sky batch that finds no page in memory."""

    per_s_wall: float
    per_s_cpu: float
    read_mb: float
    major_faults: int


@dataclass
class SherlockResult:
    """All figures of one sky."""

    rows: int
    catalogues: int
    bytes: int
    #: rows/s while building, of the wall and of the processor; nothing when the sky was there
    build_rows_per_s: float | None
    build_rows_per_cpu_s: float | None
    open_s: float
    visits: list[Warm]
    all_sky: Warm
    cold: list[Cold]
    one_ms_p50: float
    one_ms_p95: float
    anonymous_mb: float
    #: share of the opened files that is mapped and shared
    mapped_mb: float
    #: the same batch on a sky of a tenth of the rows: its rate, and how many times less CPU it takes than ours
    tenth: Warm | None = None
    tenth_rows: int = 0


def measure_sherlock(
    folder: Path, rows: int, *, tenth: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> SherlockResult:
    """Measure on the sky in a folder, which is made when it has no catalogues.

    Parameters
    ----------
    folder : of catalogues, synthetic or real
    rows : of the sky to make, beside its visits
    tenth : folder of a sky of a tenth of the rows without visits, made likewise; left out when not given
    """
    made = _make(folder, rows, visits_of(rows), say)
    result: SherlockResult = _apart(_measure_warm, folder)
    wall, cpu = sum(one.wall_s for one in made), sum(one.cpu_s for one in made)
    if made:
        result.build_rows_per_s, result.build_rows_per_cpu_s = result.rows / wall, result.rows / cpu
    for run in range(2):
        say("all-sky, cold")
        # another process draws, since that reads pages
        ra, decl = _apart(_cold_positions, folder, run)
        forget_pages(folder)
        result.cold.append(_apart(_measure_cold, folder, ra, decl))
    if tenth is not None:
        _make(tenth, max(rows // 10, 1), (), say)
        small: tuple[Warm, int] = _apart(_measure_all_sky, tenth)
        result.tenth, result.tenth_rows = small
    return result


def visits_of(rows: int) -> tuple[Field, ...]:
    """The visits that a sky of so many rows is made with."""
    return VISITS if rows >= TEN_VISITS_FROM else (VISITS[0], VISITS[-1])


def _make(folder: Path, rows: int, fields: Sequence[Field], say: Callable[[str], None]) -> list[Made]:
    with Shelf.open(folder) as shelf:
        if shelf.names():
            return []
    say(f"making a sky of {rows:,} rows")
    found: list[Made] = _apart(make_sky, folder, rows, 1, fields)
    return found


def _apart(work: Callable[..., T], *args: object) -> T:
    """Do it in a process of its own, whose memory and pages are its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *args).result()


def draw(
    releases: Sequence[Release], disc: Field | None, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Positions of a batch in a disc or on the whole sky: (n,) twice [deg]; and rows per square degree there.

    One half lies anywhere, the other about sources drawn evenly from all rows of all catalogues.
    """
    ra, decl = _anywhere(disc, _PROBES, rng)
    first, rows, size = [], [], []
    for release in releases:
        offsets = release.offsets()
        cells = cells_of(ra, decl, release.order)
        start = offsets[cells].astype(np.int64)
        first.append(start)
        rows.append(offsets[cells + 1].astype(np.int64) - start)
        size.append(rows[-1].sum() / _PROBES * 12 * 4**release.order / (4 * np.pi * np.degrees(1.0) ** 2))
    # a release with finer cells has fewer rows in each
    scale = np.array([4.0**release.order for release in releases])
    weights = np.cumsum((np.stack(rows) * scale[:, None]).ravel())
    drawn = np.searchsorted(weights, rng.random(n - n // 2) * weights[-1], side="right")
    which, probe = drawn // _PROBES, drawn % _PROBES
    at_ra, at_decl = np.empty(len(drawn)), np.empty(len(drawn))
    for i, release in enumerate(releases):
        mine = which == i
        picked = first[i][probe[mine]] + (rng.random(int(mine.sum())) * rows[i][probe[mine]]).astype(np.int64)
        at_ra[mine], at_decl[mine] = release.positions(picked)
    at_decl = np.clip(at_decl + rng.normal(0.0, JITTER_ARCSEC / 3600.0, len(drawn)), -90.0, 90.0)
    across = np.maximum(np.cos(np.radians(at_decl)), 1e-6)
    at_ra = at_ra + rng.normal(0.0, JITTER_ARCSEC / 3600.0, len(drawn)) / across
    shuffled = rng.permutation(n)
    return (
        np.concatenate((ra[: n // 2], at_ra))[shuffled] % 360.0,
        np.concatenate((decl[: n // 2], at_decl))[shuffled],
        float(sum(size)),
    )


def _anywhere(disc: Field | None, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if disc is None:
        return rng.uniform(0.0, 360.0, n), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, n)))
    away = np.arccos(1.0 - rng.random(n) * (1.0 - np.cos(np.radians(disc.radius_deg))))
    angle, decl = rng.uniform(0.0, 2.0 * np.pi, n), np.radians(disc.decl)
    sine = np.sin(decl) * np.cos(away) + np.cos(decl) * np.sin(away) * np.cos(angle)
    ra = np.arctan2(np.sin(angle) * np.sin(away) * np.cos(decl), np.cos(away) - np.sin(decl) * sine)
    return (disc.ra + np.degrees(ra)) % 360.0, np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))


def _engine(folder: Path) -> tuple[Shelf, Sherlock]:
    from lasair.sherlock.open import open_engine

    shelf = Shelf.open(folder)
    return shelf, open_engine(shelf)


def _fields(shelf: Shelf) -> Sequence[Field]:
    """The visits of the sky; of a real one, or where it does not tell, all ten."""
    for release in shelf.releases.values():
        if "fields" in release.about:
            return [Field(*one) for one in release.about["fields"]]
    return VISITS


def _measure_warm(folder: Path) -> SherlockResult:
    start = time.perf_counter()
    shelf, engine = _engine(folder)
    open_s = time.perf_counter() - start
    releases = list(shelf.releases.values())
    rng = np.random.default_rng(2)
    visits = []
    for one in _fields(shelf):
        name = f"visit at {one.ra:g} {one.decl:+g}"
        visits.append(_warm(engine, releases, name, one, rng))
    all_sky = _warm(engine, releases, "all-sky", None, rng)
    anonymous = anonymous_mb()
    ra, decl, _ = draw(releases, None, 400, rng)
    waits = []
    for turn in range(2):
        for i in range(len(ra)):
            begun = time.perf_counter()
            engine.classify(ra[i : i + 1], decl[i : i + 1], EPOCH, lite=False).full_rows(["position"])
            if turn:  # the first one brings the pages into memory
                waits.append(1e3 * (time.perf_counter() - begun))
    return SherlockResult(
        rows=sum(release.n_rows for release in releases),
        catalogues=len(releases),
        bytes=sum(int(entry["bytes"]) for release in releases for entry in release.manifest["files"].values()),
        build_rows_per_s=None,
        build_rows_per_cpu_s=None,
        open_s=open_s,
        visits=visits,
        all_sky=all_sky,
        cold=[],
        one_ms_p50=float(np.percentile(waits, 50)),
        one_ms_p95=float(np.percentile(waits, 95)),
        anonymous_mb=anonymous,
        mapped_mb=_of_smaps("Rss") - anonymous,
    )


def _measure_all_sky(folder: Path) -> tuple[Warm, int]:
    shelf, engine = _engine(folder)
    releases = list(shelf.releases.values())
    warm = _warm(engine, releases, "all-sky, a tenth of the rows", None, np.random.default_rng(3))
    return warm, sum(release.n_rows for release in releases)


def _warm(
    engine: Sherlock, releases: Sequence[Release], name: str, disc: Field | None, rng: np.random.Generator
) -> Warm:
    from lasair.catalogues.sky import Sky
    from lasair.sherlock.text import descriptions

    ra, decl, density = draw(releases, disc, BATCH, rng)
    answers = engine.classify(ra, decl, EPOCH)
    descriptions(answers)
    sky = Sky(ra, decl)
    found = engine.candidates(sky, engine.years(EPOCH, BATCH))
    prepare = cpu_of(lambda: Sky(ra, decl), repeat=5)
    cones = cpu_of(lambda: engine.candidates(sky, engine.years(EPOCH, BATCH)), repeat=5)
    decide = cpu_of(lambda: engine.classify(ra, decl, EPOCH), repeat=5)
    columns = cpu_of(lambda: engine.classify(ra, decl, EPOCH).columns(), repeat=5)
    # the sentence is made of the columns, so that it needs them only once
    sentence = cpu_of(lambda: descriptions(engine.classify(ra, decl, EPOCH)), repeat=5)
    kinds, counts = np.unique(answers.classes, return_counts=True)
    per = 1e3 * 1e3 / BATCH
    return Warm(
        name=name,
        rows_per_deg2=density,
        decided_per_s=BATCH / decide,
        per_s=BATCH / columns,
        with_sentence_per_s=BATCH / sentence,
        candidates=sum(len(near.row) for _, near in found) / BATCH,
        sources=len(answers.sources) / BATCH,
        classes=dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
        stages_ms={
            "prepare": prepare * per,
            "cones": cones * per,
            "rules": (decide - prepare - cones) * per,
            "columns": (columns - decide) * per,
            "sentence": (sentence - columns) * per,
        },
    )


def _cold_positions(folder: Path, run: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with Shelf.open(folder) as shelf:
        return draw(list(shelf.releases.values()), None, BATCH, np.random.default_rng(100 + run))[:2]


def _measure_cold(folder: Path, ra: NDArray[np.float64], decl: NDArray[np.float64]) -> Cold:
    shelf, engine = _engine(folder)
    # compiled code is loaded by a few positions at a place of their own
    few = np.linspace(20.0, 20.01, 50)
    engine.classify(few, few, EPOCH).columns()
    wall, cpu, before = time.perf_counter(), time.process_time(), _read_bytes()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    engine.classify(ra, decl, EPOCH).columns()
    found = Cold(
        per_s_wall=BATCH / (time.perf_counter() - wall),
        per_s_cpu=BATCH / (time.process_time() - cpu),
        read_mb=(_read_bytes() - before) / 1e6,
        major_faults=resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults,
    )
    shelf.close()
    return found


def forget_pages(folder: Path) -> None:
    """Ask the system to let go of all pages of the files in a folder, which no process must have mapped."""
    for path in folder.rglob("*.bin"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def anonymous_mb() -> float:
    """Memory of this process that no other shares and no file backs [MB]."""
    return _of_smaps("Anonymous")


def _of_smaps(key: str) -> float:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return float(line.split()[1]) / 1024.0
    return float("nan")


def _read_bytes() -> int:
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("read_bytes:"):
            return int(line.split()[1])
    return 0


def as_lines(one: SherlockResult) -> list[str]:
    """The figures to read."""
    lines = [
        "",
        f"sherlock: {one.catalogues} catalogues, {one.rows:,} rows, {one.bytes / 1e9:.1f} GB; objects/s/core, "
        f"{BATCH:,} positions a batch",
    ]
    if one.build_rows_per_s and one.build_rows_per_cpu_s:
        lines.append(
            f"  built at {one.build_rows_per_s:,.0f} rows/s ({one.build_rows_per_cpu_s:,.0f} per s of one core)"
        )
    lines += [_warm_line(each, AIMS["visit"]) for each in one.visits]
    lines.append(_warm_line(one.all_sky, AIMS["all_sky"]))
    for each in one.cold:
        lines.append(
            f"  all-sky cold{'':<19}{each.per_s_wall:>9,.0f} by the clock, {each.per_s_cpu:,.0f} by the processor"
            f" (aim {AIMS['cold']:,.0f}); {each.read_mb:,.0f} MB read, {each.major_faults:,} waits for a page"
        )
    if one.tenth:
        ratio = one.tenth.per_s / one.all_sky.per_s
        density = one.all_sky.rows_per_deg2 / one.tenth.rows_per_deg2
        lines.append(_warm_line(one.tenth, AIMS["all_sky"]))
        lines.append(f"    {density:.1f} times the rows per square degree cost {ratio:.2f} times as much per object")
    lines.append(f"  one position, all sources: p50 {one.one_ms_p50:.2f} ms, p95 {one.one_ms_p95:.2f} ms")
    lines.append(
        f"  private memory {one.anonymous_mb:,.0f} MB (aim < {AIMS['anonymous_mb']:,.0f}), mapped and shared "
        f"{one.mapped_mb:,.0f} MB; opened in {one.open_s:.1f} s"
    )
    stages = {name: f"{ms:.2f}" for name, ms in one.all_sky.stages_ms.items()}
    lines.append(f"  ms per 1,000 objects, all-sky: {', '.join(f'{name} {ms}' for name, ms in stages.items())}")
    return lines


def _warm_line(one: Warm, aim: float) -> str:
    return (
        f"  {one.name:<31}{one.per_s:>9,.0f} (aim {aim:,.0f}), with the sentence {one.with_sentence_per_s:,.0f} "
        f"(aim {AIMS['with_sentence']:,.0f}); {one.rows_per_deg2:,.0f} rows/deg2, {one.candidates:.1f} candidates"
    )


def as_json(one: SherlockResult) -> dict[str, Any]:
    """The figures for scripts."""
    from dataclasses import asdict

    return asdict(one) | {"aims": AIMS, "batch": BATCH}
