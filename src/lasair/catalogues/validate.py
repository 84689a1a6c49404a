"""What is told about the rows of a catalogue before it is published: what was left out, what is odd."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.healpix import cells_of
from lasair.catalogues.readers.table import Chunk
from lasair.catalogues.release import Release
from lasair.errors import StoreUnavailable

#: Order of the map of densities: cells of 55'.
MAP_ORDER = 6
#: Examples of each kind that are kept.
EXAMPLES = 10

_BLOCK = 1 << 20
_CELL_DEG2 = 129600 / math.pi / (12 * 4**MAP_ORDER)


@dataclass
class Refused:
    """Rows left out for one reason."""

    count: int = 0
    #: 'file: row 7: …'
    examples: list[str] = field(default_factory=list)


@dataclass
class Duplicates:
    """Rows that repeat what another has."""

    #: rows beyond the first of each
    count: int
    examples: list[str]


class Tally:
    """Counts rows while they are read."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.rows_read = 0
        self.rows_not_selected = 0
        self.rows_used = 0
        self.refused: dict[str, Refused] = {}
        self.map = np.zeros(12 * 4**MAP_ORDER, np.int64)
        self._low = np.full(2, np.inf)
        self._high = np.full(2, -np.inf)

    def begin(self, file: Path) -> None:
        """A file comes next."""
        self.files.append(str(file))

    def read(self, chunk: Chunk, file: Path) -> None:
        """Rows were read."""
        self.rows_read += len(chunk.numbers)
        for one in chunk.refused:
            self.rows_read += len(one.rows)
            self.refuse(one.reason, file, chunk.unit, one.rows, one.examples)

    def refuse(self, reason: str, file: Path, unit: str, rows: NDArray[np.int64], examples: Sequence[str]) -> None:
        """Rows are left out."""
        entry = self.refused.setdefault(reason, Refused())
        entry.count += len(rows)
        for i, row in enumerate(rows[: EXAMPLES - len(entry.examples)].tolist()):
            what = f": {examples[i]}" if i < len(examples) and examples[i] else ""
            entry.examples.append(f"{file}: {unit} {row}{what}")

    def not_selected(self, rows: int) -> None:
        """Rows are not of the catalogue."""
        self.rows_not_selected += rows

    def use(self, ra: NDArray[np.float64], decl: NDArray[np.float64]) -> None:
        """Rows go into the release."""
        if not len(ra):
            return
        self.rows_used += len(ra)
        ra = np.asarray(ra, np.float64) % 360.0
        decl = np.asarray(decl, np.float64)
        np.add.at(self.map, cells_of(ra, decl, MAP_ORDER), 1)
        self._low = np.minimum(self._low, [ra.min(), decl.min()])
        self._high = np.maximum(self._high, [ra.max(), decl.max()])

    def ranges(self) -> dict[str, dict[str, Any]]:
        """Of right ascension and declination."""
        if not self.rows_used:
            return {}
        return {
            name: {"known": self.rows_used, "min": float(self._low[i]), "max": float(self._high[i]), "unit": "deg"}
            for i, name in enumerate(("ra", "decl"))
        }


@dataclass
class Report:
    """A catalogue before it is published."""

    name: str
    title: str
    version: str
    release: str
    files: list[str]
    rows_read: int
    rows_used: int
    rows_not_selected: int
    expected_rows: int | None
    refused: dict[str, Refused]
    columns: dict[str, dict[str, Any]]
    views: dict[str, int]
    duplicate_ids: Duplicates
    duplicate_positions: Duplicates
    sky_fraction: float
    canaries: list[str]
    #: what a person should look at
    notes: list[str]
    map: NDArray[np.int64] = field(repr=False, compare=False)

    @property
    def rows_refused(self) -> int:
        """How many rows were left out because something is wrong with them."""
        return sum(one.count for one in self.refused.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {name: value for name, value in vars(self).items() if name != "map"}
        found["refused"] = [{"reason": reason} | vars(one) for reason, one in self.refused.items()]
        found["rows_refused"] = self.rows_refused
        for name in ("duplicate_ids", "duplicate_positions"):
            found[name] = vars(found[name])
        return found

    def text(self) -> str:
        """For people."""
        lines = [f"{self.title} ({self.name}), release {self.release}"]
        expected = f" of {self.expected_rows:,} that the catalogue has" if self.expected_rows is not None else ""
        lines.append(f"  rows read      {self.rows_read:,} from {len(self.files)} file(s)")
        lines.append(f"  rows used      {self.rows_used:,}{expected}")
        if self.rows_not_selected:
            lines.append(f"  not selected   {self.rows_not_selected:,}")
        lines.append(f"  rows refused   {self.rows_refused:,}")
        for reason, refused in self.refused.items():
            lines.append(f"    {reason}: {refused.count:,}")
            lines += [f"      {example}" for example in refused.examples]
        for what, found in (("ids", self.duplicate_ids), ("positions", self.duplicate_positions)):
            lines.append(f"  repeated {what:<10}{found.count:,}" + (f" such as {', '.join(found.examples[:3])}"
                                                                     if found.examples else ""))  # fmt: skip
        lines.append(f"  sky covered    {100 * self.sky_fraction:.4g} %")
        width = max((len(name) for name in [*self.columns, *self.views]), default=0)
        lines.append("  columns")
        for name, one in self.columns.items():
            span = (
                "" if one["min"] is None else f"  {_short(one['min'])} to {_short(one['max'])} {one['unit']}".rstrip()
            )
            lines.append(f"    {name:<{width}}  {one['known']:>12,} known{span}")
        lines.append("  views")
        lines += [f"    {name:<{width}}  {rows:>12,}" for name, rows in self.views.items()]
        lines += [f"  canary: {canary}" for canary in self.canaries]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def report_of(
    release: Release, tally: Tally, *, expected_rows: int | None, scratch: Path | None, memory_bytes: int
) -> Report:
    """What is known of a release that was just built."""
    manifest = release.manifest
    skip = ("views", "given_ra", "given_decl")
    columns = tally.ranges() | {
        name: {key: one.get(key) for key in ("known", "min", "max", "unit")}
        for name, one in manifest["columns"].items()
        if name not in skip
    }
    for name in ("id", "subtype"):
        if name in columns:
            columns[name] |= {"min": None, "max": None}
    if "id" in columns:
        columns["id"]["known"] = release.n_rows  # rows without one are refused, and 0 is an id
    report = Report(
        name=release.name,
        title=release.title,
        version=release.version,
        release=release.id,
        files=tally.files,
        rows_read=tally.rows_read,
        rows_used=tally.rows_used,
        rows_not_selected=tally.rows_not_selected,
        expected_rows=expected_rows,
        refused=tally.refused,
        columns=columns,
        views=dict(release.view_counts),
        duplicate_ids=duplicate_ids(release, scratch, memory_bytes),
        duplicate_positions=duplicate_positions(release),
        sky_fraction=float(manifest["coverage"].get("fraction", math.nan)),
        canaries=[],
        notes=[],
        map=tally.map,
    )
    report.notes = _notes(report)
    return report


def _notes(report: Report) -> list[str]:
    notes = []
    if report.expected_rows is not None and report.rows_used != report.expected_rows:
        notes.append(f"there are {report.rows_used:,} rows, the description expects {report.expected_rows:,}")
    if report.duplicate_ids.count:
        notes.append(f"{report.duplicate_ids.count:,} rows have an id that another row has")
    notes += [f"column {name} is empty" for name, one in report.columns.items() if not one["known"]]
    notes += [f"view {name} has no rows" for name, rows in report.views.items() if not rows]
    return notes


# --------------------------------------------------------------------------------------------------------- duplicates


def duplicate_positions(release: Release) -> Duplicates:
    """Rows at the place of another, to the precision of the store (1e-6 arcsec): they lie next to each other."""
    count = 0
    examples: list[str] = []
    offsets = release.offsets()
    for start in range(0, release.n_rows, _BLOCK):
        since = max(start - 1, 0)
        packed = release.packed(since, min(start + _BLOCK, release.n_rows))
        same = (packed[1:] == packed[:-1]).all(axis=1)
        rows = since + 1 + np.flatnonzero(same)
        # a cell begins with a row of its own; equal offsets in two cells are two places
        cell = np.searchsorted(offsets, rows, side="left")
        rows = rows[np.asarray(offsets[np.minimum(cell, len(offsets) - 1)]) != rows]
        count += len(rows)
        for row in rows[: EXAMPLES - len(examples)].tolist():
            ra, decl = release.positions(np.array([row]))
            examples.append(f"{ra[0]:.6f} {decl[0]:+.6f}")
    return Duplicates(count, examples)


def duplicate_ids(release: Release, scratch: Path | None, memory_bytes: int) -> Duplicates:
    """Rows whose id another row has.

    Ids are compared by 64-bit hashes (whole numbers one to one), of which those of a part are in memory at a time; the
    others wait on disk.
    """
    n = release.n_rows
    if not release.has("id") or n < 2:
        return Duplicates(0, [])
    ids = release.column("id")
    parts = max(-(-n * 24 // max(memory_bytes, 1 << 20)), 1)
    if parts == 1:
        hashes = np.concatenate([_hashes(ids[start : start + _BLOCK]) for start in range(0, n, _BLOCK)])
        count, repeated = _repeated(hashes)
    else:
        try:
            count, repeated = _repeated_on_disk(ids, min(parts, 512), scratch)
        except OSError as err:
            raise StoreUnavailable(f"cannot write the ids of {release.name} to look for repeated ones: {err}") from err
    examples: list[str] = []
    for start in range(0, n if len(repeated) else 0, _BLOCK):
        block = ids[start : start + _BLOCK]
        for one in block[np.isin(_hashes(block), repeated)].tolist():
            text = one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)
            if text not in examples and len(examples) < EXAMPLES:
                examples.append(text)
    return Duplicates(count, sorted(examples))


def _repeated_on_disk(ids: NDArray[Any], parts: int, scratch: Path | None) -> tuple[int, NDArray[np.uint64]]:
    count, found = 0, [np.zeros(0, np.uint64)]
    with tempfile.TemporaryDirectory(dir=scratch, prefix="ids-") as folder:
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(Path(folder, str(i)).open("wb")) for i in range(parts)]
            for start in range(0, len(ids), _BLOCK):
                hashes = _hashes(ids[start : start + _BLOCK])
                # the upper bits, since the lower ones are no better and the product fits
                part = (hashes >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32)
                order = np.argsort(part, kind="stable")
                bounds = np.searchsorted(part[order], np.arange(parts + 1, dtype=np.uint64))
                for i, file in enumerate(files):
                    hashes[order[bounds[i] : bounds[i + 1]]].tofile(file)
        for i in range(parts):
            more, repeated = _repeated(np.fromfile(Path(folder, str(i)), np.uint64))
            count += more
            found.append(repeated)
    return count, np.sort(np.concatenate(found))[:EXAMPLES]


def _repeated(hashes: NDArray[np.uint64]) -> tuple[int, NDArray[np.uint64]]:
    hashes.sort()
    same = hashes[1:] == hashes[:-1]
    return int(same.sum()), np.unique(hashes[1:][same])[:EXAMPLES]


def _hashes(ids: NDArray[Any]) -> NDArray[np.uint64]:
    if ids.dtype.kind == "S":
        letters = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), ids.dtype.itemsize)
        found: NDArray[np.uint64] = _hash_texts(letters)
        return found
    mixed: NDArray[np.uint64] = _mix(np.ascontiguousarray(ids).view(np.uint64))
    return mixed


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mixed(x: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014): one to one."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    out = np.empty(len(values), np.uint64)
    for i in range(len(values)):
        out[i] = _mixed(values[i])
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hash_texts(letters: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """FNV-1a of the letters up to the last that is not zero, then mixed."""
    n, width = letters.shape
    out = np.empty(n, np.uint64)
    for i in range(n):
        end = width
        while end > 0 and letters[i, end - 1] == 0:
            end -= 1
        value = np.uint64(0xCBF29CE484222325)
        for j in range(end):
            value = (value ^ np.uint64(letters[i, j])) * np.uint64(0x100000001B3)
        out[i] = _mixed(value)
    return out


# ---------------------------------------------------------------------------------------------------------- footprint


def plot_footprint(report: Report, path: Path) -> None:
    """Draw sources per square degree over the sky (Mollweide, right ascension to the left) as a PNG.

    Raises
    ------
    StoreUnavailable
        Matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import LogNorm
        from matplotlib.figure import Figure
    except ImportError as err:
        raise StoreUnavailable("drawing needs matplotlib: pip install 'lasair-broker[plot]'") from err
    width, height = 1440, 720
    longitude = np.linspace(-180, 180, width + 1)
    latitude = np.linspace(-90, 90, height + 1)
    x, y = np.meshgrid((longitude[1:] + longitude[:-1]) / 2, (latitude[1:] + latitude[:-1]) / 2)
    cells = cells_of((-x.ravel()) % 360.0, y.ravel(), MAP_ORDER)
    density = (report.map[cells] / _CELL_DEG2).reshape(height, width)
    shown = np.ma.masked_less_equal(density, 0)
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(projection="mollweide")
    low, high = 1 / _CELL_DEG2, max(float(density.max()), 2 / _CELL_DEG2)
    image = axes.pcolormesh(
        np.radians(longitude), np.radians(latitude), shown, norm=LogNorm(low, high), rasterized=True
    )
    axes.set_xticks(np.radians([-120, -60, 0, 60, 120]), ["120°", "60°", "0°", "300°", "240°"])
    axes.grid(alpha=0.4)
    axes.set_title(f"{report.title}: {report.rows_used:,} sources")
    figure.colorbar(image, ax=axes, label="sources per square degree", shrink=0.6)
    try:
        figure.savefig(path, dpi=110, format="png")
    except OSError as err:
        raise StoreUnavailable(f"cannot write {path}: {err.strerror or err}") from err
