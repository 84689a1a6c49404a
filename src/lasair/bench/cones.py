"""The cones of one large catalogue beside a KD-tree, DuckDB and SQLite: same rows, same cones, same process."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.bench.sherlock import BATCH, _apart, anonymous_mb, draw
from lasair.catalogues.release import Release
from lasair.catalogues.shelf import Shelf
from lasair.catalogues.sky import Sky, check_radius
from lasair.catalogues.synthetic import VISITS, SyntheticSky, Thinning, publish
from lasair.catalogues.universe import Field, Universe

CATALOGUE = "gaia"
RADIUS_ARCSEC = 10.0
#: Order of the cells by which the tables of DuckDB and SQLite are sorted.
TABLE_ORDER = 10
#: Memory that the process which builds the catalogue may have beside mapped files [bytes].
BUILD_LIMIT = 2 * 1024**3

_BLOCK = 1 << 20
#: The rows of Gaia, of which the benchmark's catalogue is a sample.
_GAIA_ROWS = 1.811e9


@dataclass
class Other:
    """One way of finding the pairs. Times are of the processor, all threads, for a batch."""

    name: str
    visit_ms: float
    all_sky_ms: float
    #: s to make it from positions, MB of memory it needs of its own
    made_s: float
    memory_mb: float
    #: pairs that we do not have, or that it does not have
    different: int = 0


@dataclass
class ConesResult:
    """All figures of one catalogue."""

    rows: int
    pairs: dict[str, int]
    #: of the build: rows/s by the clock, and the largest memory of the process [MB]
    build_rows_per_s: float | None
    build_peak_mb: float | None
    ways: list[Other] = field(default_factory=list)


Find = Callable[[Sky], tuple[NDArray[np.int64], NDArray[np.int64]]]


def measure_cones(folder: Path, rows: int, *, say: Callable[[str], None] = lambda _: None) -> ConesResult:
    """Measure on the catalogue in a folder, which is made there with `rows` rows when it is not."""
    with Shelf.open(folder) as shelf:
        there = CATALOGUE in shelf.releases
    built: tuple[float, float] | None = None
    if not there:
        say(f"building one catalogue of {rows:,} rows within {BUILD_LIMIT / 1024**3:g} GB of memory")
        built = _apart(build_bounded, folder, rows, BUILD_LIMIT)
    say("cones beside a KD-tree, DuckDB and SQLite")
    result: ConesResult = _apart(_measure, folder)
    if built:
        result.build_rows_per_s, result.build_peak_mb = built
    return result


def build_bounded(folder: Path, rows: int, limit_bytes: int, memory_bytes: int = 400_000_000) -> tuple[float, float]:
    """Build the catalogue in this process with a limit on its memory (RLIMIT_DATA): rows/s, and largest memory [MB].

    The limit stays: call it in a process of its own.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    kept = rows / _GAIA_ROWS
    sky = SyntheticSky(Universe(1), Thinning(kept, kept))
    made = publish(Shelf.open(folder), CATALOGUE, sky, memory_bytes=memory_bytes)
    return made.info.rows / made.wall_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _measure(folder: Path) -> ConesResult:
    release = Shelf.open(folder).releases[CATALOGUE]
    rng = np.random.default_rng(5)
    # as wide as a visit and not in the plane, where a sample of the catalogue has some sources
    batches = {"visit": _sky(release, VISITS[0], rng), "all_sky": _sky(release, None, rng)}

    def ours(sky: Sky) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        found = release.cone(sky, RADIUS_ARCSEC)
        return found.position, found.row

    wanted = {name: _sorted(*ours(sky)) for name, sky in batches.items()}
    result = ConesResult(release.n_rows, {name: len(pairs) for name, pairs in wanted.items()}, None, None)
    own = [_timed("this store", ours, batches, wanted, 0.0, 0.0)]
    for name, make in (("KD-tree", _tree), ("DuckDB", _duckdb), ("SQLite", _sqlite)):
        memory, start = anonymous_mb(), time.perf_counter()
        find, close = make(release, folder)
        made = time.perf_counter() - start
        memory = anonymous_mb() - memory
        result.ways.append(_timed(name, find, batches, wanted, made, memory))
        # again beside each of the others, so that all see the machine in the same state
        own.append(_timed("this store", ours, batches, wanted, 0.0, 0.0))
        del find
        close()
    own[0].visit_ms = float(np.median([one.visit_ms for one in own]))
    own[0].all_sky_ms = float(np.median([one.all_sky_ms for one in own]))
    result.ways.insert(0, own[0])
    return result


def _sky(release: Release, disc: Field | None, rng: np.random.Generator) -> Sky:
    ra, decl, _ = draw([release], disc, BATCH, rng)
    return Sky(ra, decl)


def _timed(
    name: str, find: Find, batches: dict[str, Sky], wanted: dict[str, NDArray[Any]], made: float, memory: float
) -> Other:
    out = Other(name, 0.0, 0.0, made, memory)
    for batch, sky in batches.items():
        found = _sorted(*find(sky))
        out.different += len(np.setxor1d(found, wanted[batch]))
        times = []
        for _ in range(5):
            # nothing of the look-up before may be kept for the next one
            fresh = Sky(sky.ra, sky.decl)
            start = time.process_time()
            find(fresh)
            times.append(time.process_time() - start)
        setattr(out, f"{batch}_ms", 1e3 * float(np.median(times)))
    return out


def _sorted(position: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs as sorted numbers."""
    return np.sort((np.asarray(position, np.int64) << 33) | np.asarray(row, np.int64))


def _blocks(release: Release) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for first in range(0, release.n_rows, _BLOCK):
        yield first, release.vectors(np.arange(first, min(first + _BLOCK, release.n_rows)))


def _tree(release: Release, folder: Path) -> tuple[Find, Callable[[], None]]:
    from scipy.spatial import cKDTree

    vectors = np.empty((release.n_rows, 3))
    for first, block in _blocks(release):
        vectors[first : first + len(block)] = block
    # the fastest way to build it: no need of balance or of tight boxes
    tree = cKDTree(vectors, balanced_tree=False, compact_nodes=False)
    chord = _chord()

    def find(sky: Sky) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        lists = tree.query_ball_point(sky.vectors, chord, workers=1)
        lengths = np.fromiter((len(one) for one in lists), np.int64, len(lists))
        rows = np.fromiter((row for one in lists for row in one), np.int64, int(lengths.sum()))
        return np.repeat(np.arange(len(lists)), lengths), rows

    return find, lambda: None


def _duckdb(release: Release, folder: Path) -> tuple[Find, Callable[[], None]]:
    import duckdb
    import pyarrow as pa

    path = folder / "cones.duckdb"
    path.unlink(missing_ok=True)
    database = duckdb.connect(str(path), config={"threads": 1, "memory_limit": "4GB"})
    database.execute("create table source (cell bigint, x double, y double, z double, n bigint)")
    for first, cells, block in _with_cells(release):
        table = pa.table({"cell": cells, **_xyz(block), "n": np.arange(first, first + len(block))})
        database.register("block", table)
        database.execute("insert into source select * from block order by cell, n")
        database.unregister("block")
    database.execute("checkpoint")
    limit = _chord() ** 2

    def find(sky: Sky) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        which, cells = _touched(sky)
        asked = pa.table({"cell": cells, **_xyz(sky.vectors[which]), "p": which})
        database.register("asked", asked)
        # the bounds let it leave out row groups, which a join on the cell alone does not
        found = database.execute(
            "select p, n from asked a join source s on a.cell = s.cell where s.cell between ? and ? "
            "and (a.x - s.x) ** 2 + (a.y - s.y) ** 2 + (a.z - s.z) ** 2 <= ?",
            [int(cells.min()), int(cells.max()), limit],
        ).fetchnumpy()
        database.unregister("asked")
        return found["p"], found["n"]

    def close() -> None:
        database.close()
        path.unlink(missing_ok=True)

    return find, close


def _sqlite(release: Release, folder: Path) -> tuple[Find, Callable[[], None]]:
    path = folder / "cones.sqlite"
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.executescript(
        "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -400000;"
        "create table source (cell integer, n integer, x real, y real, z real, primary key (cell, n)) without rowid;"
    )
    for first, cells, block in _with_cells(release):
        in_order = np.argsort(cells, kind="stable")
        rows = zip(
            cells[in_order].tolist(), (first + in_order).tolist(), *block[in_order].T.tolist(), strict=True
        )  # fmt: skip
        database.executemany("insert into source values (?, ?, ?, ?, ?)", rows)
    database.commit()
    limit = _chord() ** 2

    def find(sky: Sky) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        which, cells = _touched(sky)
        database.execute("create temp table asked (p integer, cell integer, x real, y real, z real)")
        vectors = sky.vectors[which]
        database.executemany(
            "insert into asked values (?, ?, ?, ?, ?)",
            zip(which.tolist(), cells.tolist(), *vectors.T.tolist(), strict=True),
        )
        found = database.execute(
            "select p, n from asked a cross join source s on a.cell = s.cell where (a.x - s.x) * (a.x - s.x) "
            "+ (a.y - s.y) * (a.y - s.y) + (a.z - s.z) * (a.z - s.z) <= ?",
            (limit,),
        ).fetchall()
        database.execute("drop table asked")
        pairs = np.array(found, np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def close() -> None:
        database.close()
        path.unlink(missing_ok=True)

    return find, close


def _with_cells(release: Release) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
    for first, block in _blocks(release):
        ra, decl = release.positions(np.arange(first, first + len(block)))
        yield first, Sky(ra, decl).cells(TABLE_ORDER), block


def _touched(sky: Sky) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    start, cells = sky.touched(TABLE_ORDER, RADIUS_ARCSEC)
    return np.repeat(np.arange(len(sky)), np.diff(start)), cells


def _xyz(vectors: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {name: np.ascontiguousarray(vectors[:, i]) for i, name in enumerate("xyz")}


def _chord() -> float:
    return float(2.0 * np.sin(0.5 * check_radius(RADIUS_ARCSEC)))


def as_lines(one: ConesResult) -> list[str]:
    """The figures to read."""
    lines = [
        "",
        f"cones: {BATCH:,} of {RADIUS_ARCSEC:g} arcsec on one catalogue of {one.rows:,} rows; pairs "
        + ", ".join(f"{name.replace('_', '-')} {n:,}" for name, n in one.pairs.items()),
    ]
    if one.build_rows_per_s and one.build_peak_mb:
        lines.append(
            f"  built at {one.build_rows_per_s:,.0f} rows/s within {BUILD_LIMIT / 1024**3:g} GB of memory, "
            f"peak memory {one.build_peak_mb:,.0f} MB"
        )
    ours = one.ways[0]
    for way in one.ways:
        ratio = f"{way.visit_ms / ours.visit_ms:,.1f} and {way.all_sky_ms / ours.all_sky_ms:,.1f} times ours"
        lines.append(
            f"  {way.name:<12}visit {way.visit_ms:9,.1f} ms, all-sky {way.all_sky_ms:9,.1f} ms of the processor"
            + (f" ({ratio}); made in {way.made_s:,.0f} s, {way.memory_mb:,.0f} MB" if way is not ours else "")
            + (f"; {way.different} PAIRS DIFFER" if way.different else "")
        )
    return lines


def as_json(one: ConesResult) -> dict[str, Any]:
    """The figures for scripts."""
    return asdict(one) | {"batch": BATCH, "radius_arcsec": RADIUS_ARCSEC}
