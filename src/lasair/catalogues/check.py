"""Verify a release to the last byte: what `Release.open` is too quick to look at."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.healpix import REACH, cell_number, centre, locate
from lasair.catalogues.manifest import (
    MANIFEST,
    OFFSETS_FILE,
    POSITION_FILE,
    column_file,
    info_of,
    release_id,
    view_file,
)
from lasair.catalogues.problems import BadRelease, Problem
from lasair.catalogues.release import Release
from lasair.catalogues.rows import ValueRange

Progress = Callable[[str, int, int | None], None]

#: Rows, or bytes of a file, that are looked at in one go.
_BLOCK = 1 << 20


def check(release_path: Path, progress: Progress | None = None) -> list[Problem]:
    """All that is wrong with a release; empty when nothing is.

    Looked at are the hash and size of every file, the id of the release, that rows are sorted and first rows of cells
    agree with them, that every position lies in its cell, that values can be decoded, and that counts and ranges are
    those of the manifest. Needs some tens of MB for any number of rows.

    Parameters
    ----------
    release_path : folder of the release
    progress : called with the stage ('hash', 'rows'), bytes or rows done and in all
    """
    try:
        info = info_of(release_path)
    except BadRelease as err:
        return [Problem(release_path.name, err.file, err.reason)]
    found: list[Problem] = []

    def wrong(file: str, reason: str) -> None:
        found.append(Problem(info.name, str(release_path / file), reason))

    if release_id(info.manifest) != info.release:
        wrong(MANIFEST, f"was changed: its content gives the id {release_id(info.manifest)}, it says {info.release}")
    _check_hashes(release_path, info.manifest["files"], wrong, progress, info.bytes)
    listed = {MANIFEST, *info.manifest["files"]}
    for path in sorted(release_path.iterdir()):
        if path.name not in listed:
            wrong(path.name, "does not belong to the release")
    try:
        release = Release.open(release_path)
    except BadRelease as err:
        if not any(problem.file == err.file for problem in found):
            found.append(Problem(info.name, err.file, err.reason))
        return found
    with release:
        _check_rows(release, wrong, progress)
    return found


Wrong = Callable[[str, str], None]


def _check_hashes(
    folder: Path, files: dict[str, dict[str, Any]], wrong: Wrong, progress: Progress | None, total: int
) -> None:
    done = 0
    for name, entry in files.items():
        path = folder / name
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
                    if progress:
                        progress("hash", done + size, total)
        except FileNotFoundError:
            wrong(name, "is missing")
            continue
        except OSError as err:
            wrong(name, f"cannot be read: {err.strerror or err}")
            continue
        done += size
        if size != entry["bytes"]:
            wrong(name, f"has {size} bytes instead of {entry['bytes']}")
        elif digest.hexdigest() != entry["sha256"]:
            wrong(name, f"was changed: its SHA-256 is {digest.hexdigest()}, the manifest says {entry['sha256']}")


def _check_rows(release: Release, wrong: Wrong, progress: Progress | None) -> None:
    offsets = release.offsets()
    if not _check_offsets(offsets, release.n_rows):
        wrong(OFFSETS_FILE, "first rows of cells do not ascend from 0 to the number of rows")
        return
    ranges = {name: ValueRange() for name in release.manifest["columns"]}
    views = np.zeros(32, np.int64)
    sparse = {view: rows for view in release.views if (rows := release.listed(view)) is not None}
    motion = 0.0
    bad: set[str] = set()

    def once(file: str, reason: str) -> None:
        if file not in bad:
            bad.add(file)
            wrong(file, reason)

    for start in range(0, release.n_rows, _BLOCK):
        end = min(start + _BLOCK, release.n_rows)
        # from the row before, to see that blocks follow each other
        since = max(start - 1, 0)
        unsorted, outside = _look_at(offsets, release.packed(since, end), since, release.order, release.step)
        if unsorted >= 0:
            once(POSITION_FILE, f"row {unsorted} is not in order")
        if outside >= 0:
            once(POSITION_FILE, f"row {outside} does not lie in its cell")
        columns = {name: release.column(name)[start:end] for name in ranges}
        for name, values in columns.items():
            ranges[name].add(values)
            reason = _bad_values(name, values, release)
            if reason:
                once(column_file(name), reason)
        if "views" in columns:
            for bit, view in enumerate(release.views):
                rows = start + np.flatnonzero(columns["views"] & np.uint32(1 << bit))
                views[bit] += len(rows)
                if view in sparse and not np.array_equal(_between(sparse[view], start, end), rows):
                    once(view_file(view), f"does not list the rows of view {view}")
        motions = [columns[name].astype(np.float64) for name in ("pm_ra", "pm_decl") if name in columns]
        if motions:
            motion = max(motion, float(np.sqrt(np.sum([np.nan_to_num(m) ** 2 for m in motions], axis=0)).max()))
        if progress:
            progress("rows", end, release.n_rows)
    for name, column in release.manifest["columns"].items():
        entry = ranges[name].entry(np.dtype(column["dtype"]))
        for key in ("known", "min", "max"):
            if entry[key] != column.get(key):
                wrong(MANIFEST, f"says that column {name} has {key} {column.get(key)}, it has {entry[key]}")
    for bit, view in enumerate(release.views):
        if views[bit] != release.view_counts[view]:
            wrong(MANIFEST, f"says that view {view} has {release.view_counts[view]} rows, it has {views[bit]}")
    if not math.isclose(motion, release.max_pm_mas, rel_tol=1e-12):
        wrong(MANIFEST, f"says that the largest proper motion is {release.max_pm_mas} mas/yr, it is {motion}")


def _check_offsets(offsets: NDArray[Any], rows: int) -> bool:
    if int(offsets[0]) != 0 or int(offsets[-1]) != rows:
        return False
    return all(
        bool((offsets[start : start + _BLOCK] <= offsets[start + 1 : start + 1 + _BLOCK]).all())
        for start in range(0, len(offsets) - _BLOCK - 1, _BLOCK)
    ) and bool((offsets[-_BLOCK - 1 : -1][-(len(offsets) - 1) :] <= offsets[1:][-_BLOCK:]).all())


def _between(rows: NDArray[Any], start: int, end: int) -> NDArray[Any]:
    low, high = np.searchsorted(rows, (start, end))
    return rows[low:high]


def _bad_values(name: str, values: NDArray[Any], release: Release) -> str | None:
    """What is wrong with values of a column."""
    if values.dtype.kind == "f" and np.isinf(values).any():
        return "has an infinite value"
    if values.dtype.kind == "S" and np.ascontiguousarray(values).view(np.uint8).max(initial=0) >= 128:
        try:
            np.char.decode(values, "utf-8")
        except UnicodeDecodeError as err:
            return f"has text that is not UTF-8: {err}"
    if name == "subtype" and int(values.max(initial=0)) >= len(release.subtypes):
        return f"has the code {int(values.max())}, there are {len(release.subtypes)} subtypes"
    if name == "views" and int(values.max(initial=0)) >> len(release.views):
        return f"has a bit beyond the {len(release.views)} views"
    return None


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _look_at(
    offsets: NDArray[np.uint32], packed: NDArray[np.int32], start: int, order: int, step: float
) -> tuple[int, int]:
    """First row that is out of order, and first that is not in its cell; -1 for none."""
    unsorted, outside = -1, -1
    low, high = 0, len(offsets) - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if np.int64(offsets[middle]) <= start:
            low = middle
        else:
            high = middle
    cell = low
    side = 1 << order
    z, c, cos_ra, sin_ra = centre(cell, order)
    for i in range(len(packed)):
        moved = i == 0
        while np.int64(offsets[cell + 1]) <= start + i:
            cell += 1
            moved = True
        if moved:
            z, c, cos_ra, sin_ra = centre(cell, order)
        elif unsorted < 0 and (
            packed[i, 1] < packed[i - 1, 1] or (packed[i, 1] == packed[i - 1, 1] and packed[i, 0] < packed[i - 1, 0])
        ):
            unsorted = start + i
        x, y = packed[i, 0] * step, packed[i, 1] * step
        along = c - y * z
        vx, vy, vz = along * cos_ra - x * sin_ra, along * sin_ra + x * cos_ra, z + y * c
        face, fx, fy = locate(
            math.degrees(math.atan2(vy, vx)), math.degrees(math.atan2(vz, math.sqrt(vx * vx + vy * vy)))
        )
        found = cell_number(face, min(int(fx * side), side - 1), min(int(fy * side), side - 1), order)
        if outside < 0 and found != cell:
            # rounding moves a row at the edge across it by a step at most
            s, t = fx * side, fy * side
            edge = min(abs(s - round(s)), abs(t - round(t)))
            if edge > 4.0 * step * side or x * x + y * y > (1.001 * REACH / side) ** 2:
                outside = start + i
    return unsorted, outside
