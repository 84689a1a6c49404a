"""A release of a catalogue, opened read-only: cones, values of rows, footprint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues import cones, position
from lasair.catalogues.columns import BY_NAME
from lasair.catalogues.cones import Matches
from lasair.catalogues.coverage import Coverage
from lasair.catalogues.manifest import (
    MANIFEST,
    OFFSETS_FILE,
    POSITION_FILE,
    ReleaseInfo,
    column_file,
    info_of,
    view_file,
)
from lasair.catalogues.pages import MappedFile, page_faults
from lasair.catalogues.problems import BadRelease, TooWide
from lasair.catalogues.sky import Sky, check_radius, widest_order

#: Ranges of rows that are looked at in one go: 32 MB, or one position if that has more.
_RANGES = 1 << 20

#: Rows read at a time where a whole column is looked through.
_BLOCK = 1 << 20


class Release:
    """One release. Many threads and processes may use it at once; its files are mapped and shared.

    Attributes
    ----------
    name, title, version : of the catalogue
    id : of the release, version and hash of the content
    n_rows : number of sources
    views : name → bit in the column `views`
    view_counts : name → number of sources
    subtypes : text of the codes in the column `subtype`; the first, '', is none
    about : what the manifest says of source, licence, citation, searches …
    max_pm_mas : largest proper motion of a source [mas/yr]
    path : its folder
    order, step : of the cells, and of the packed positions [rad]; see `position`
    """

    def __init__(self, info: ReleaseInfo) -> None:
        """Map the files of a release; `Release.open` reads its manifest first."""
        manifest = info.manifest
        self.path = info.path
        self.name, self.title, self.version, self.id = info.name, info.title, info.version, info.release
        self.n_rows = int(info.rows)
        self.subtypes: list[str] = [str(text) for text in manifest["subtypes"]]
        self.about: dict[str, Any] = manifest["about"]
        self.max_pm_mas = float(manifest["max_pm_mas"])
        self.manifest: dict[str, Any] = manifest
        self.order, self.step = int(manifest["order"]), float(manifest["step"])
        self.views: dict[str, int] = {view["name"]: bit for bit, view in enumerate(manifest["views"])}
        self.view_counts: dict[str, int] = {view["name"]: int(view["rows"]) for view in manifest["views"]}
        try:
            self._coverage = Coverage(manifest["coverage"]["moc"])
        except (ValueError, TypeError) as err:
            raise BadRelease(str(self.path / MANIFEST), f"its coverage is {err}") from err
        if not position.MIN_ORDER <= self.order <= position.MAX_ORDER:
            raise BadRelease(str(self.path / MANIFEST), f"its cells are of order {self.order}, which no release has")
        row_type = row_dtype(self.n_rows)
        self._position = self._map(POSITION_FILE, "<i4", (self.n_rows, 2))
        self._offsets = self._map(OFFSETS_FILE, row_type, (12 * 4**self.order + 1,))
        self._columns: dict[str, MappedFile] = {}
        for name, column in manifest["columns"].items():
            self._columns[name] = self._map(column_file(name), str(column["dtype"]), (self.n_rows,))
        self._view_rows: dict[str, MappedFile] = {}
        for view in manifest["views"]:
            if view["sparse"]:
                file = view_file(view["name"])
                self._view_rows[view["name"]] = self._map(file, row_type, (int(view["rows"]),))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the release in a folder.

        Raises
        ------
        BadRelease
            A file is missing, has another size than the manifest says, or is no manifest; it names the file.
        """
        info = info_of(path.resolve())
        try:
            return cls(info)
        except (KeyError, TypeError, ValueError, OverflowError) as err:  # no manifest of ours has such values
            raise BadRelease(str(info.path / MANIFEST), f"has a value that cannot be: {err!r}") from err

    def _map(self, file: str, dtype: str, shape: tuple[int, ...]) -> MappedFile:
        entry = self.manifest["files"].get(file)
        if entry is None:
            raise BadRelease(str(self.path / MANIFEST), f"does not list the file {file}")
        try:
            np.dtype(dtype)
        except TypeError as err:
            raise BadRelease(str(self.path / MANIFEST), f"gives {file} the type {dtype!r}, which is none") from err
        return MappedFile(self.path / file, dtype, shape, int(entry["bytes"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Release {self.name} {self.id}: {self.n_rows} rows>"

    def close(self) -> None:
        """Give the maps back; the release can no longer be used."""
        for file in self._files():
            file.close()

    def _files(self) -> list[MappedFile]:
        return [self._position, self._offsets, *self._columns.values(), *self._view_rows.values()]

    def offsets(self) -> NDArray[Any]:
        """First row of every cell of `order`, and the number of rows."""
        return self._offsets.values

    def packed(self, first: int, end: int) -> NDArray[np.int32]:
        """Packed positions of rows, (end - first, 2); see `position`."""
        return self._position.values[first:end]

    def column(self, name: str) -> NDArray[Any]:
        """All values of a column, mapped; KeyError when the release lacks it."""
        return self._columns[name].values

    def listed(self, view: str) -> NDArray[Any] | None:
        """Rows of a sparse view, mapped; None for a view whose rows are not kept in a file."""
        file = self._view_rows.get(view)
        return None if file is None else file.values

    def has(self, column: str) -> bool:
        """Whether the release has a column of `columns.STORE_COLUMNS`."""
        return column in self._columns

    def gather(self, column: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Values of rows.

        Parameters
        ----------
        column : a name in `columns.STORE_COLUMNS`
        rows : (k,) int64

        Returns
        -------
        (k,) of the column's type: ids are int64 or bytes (`S<n>`, UTF-8). NaN or 0 where the release lacks the column.

        Raises
        ------
        KeyError
            No catalogue has such a column.
        """
        file = self._columns.get(column)
        if file is None:
            return missing(BY_NAME[column].dtype, len(rows))
        file.prefetch_rows(rows)
        return file.values[rows]

    def positions(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Right ascension and declination of rows, two (k,) float64 [deg]."""
        return position.degrees_of(self.vectors(rows))

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Unit vectors of rows, (k, 3) float64."""
        rows = np.ascontiguousarray(rows, np.int64)
        self._position.prefetch_rows(rows)
        cells = position.cells_of_rows(rows, self._offsets.values)
        found = position.unpack(self._position.values[rows], cells, self.order, self.step)
        return np.asarray(found, np.float64)

    def view_rows(self, view: str) -> NDArray[np.int64]:
        """Rows of a view, ascending, (k,) int64: kept in a file for a sparse view, else found by reading a column.

        Raises
        ------
        KeyError
            The release has no such view.
        """
        bit = self.views[view]
        if view in self._view_rows:
            return self._view_rows[view].values.astype(np.int64)
        if "views" not in self._columns:
            return np.zeros(0, np.int64)
        values = self._columns["views"].values
        found = [
            start + np.flatnonzero(values[start : start + _BLOCK] & np.uint32(1 << bit))
            for start in range(0, self.n_rows, _BLOCK)
        ]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def covers(self, sky: Sky) -> NDArray[np.bool_]:
        """Whether the catalogue has looked at each position, (n,)."""
        return self._coverage.covers(sky)

    def prefetch(self, sky: Sky, radius_arcsec: float, which: NDArray[np.bool_] | None = None) -> None:
        """Ask the system for all that `cone` with the same arguments will read, without waiting for it.

        Worth it before the cones of several catalogues, so that the disk works on all of them at once.
        """
        radius = self._padded(radius_arcsec)
        chosen, begin = _chosen(sky, which), 0
        while begin < len(chosen):
            begin, found = self._ranges(sky, chosen, begin, radius)
            self._position.prefetch(found[:, 2], found[:, 3])

    def cone(
        self, sky: Sky, radius_arcsec: float, which: NDArray[np.bool_] | None = None, *, most: int = 50_000_000
    ) -> Matches:
        """All pairs of a position and a source not farther apart than a radius.

        Parameters
        ----------
        sky : n positions
        radius_arcsec : of the cones, up to `sky.MAX_RADIUS_ARCSEC`
        which : (n,), positions to look at; all when not given
        most : refuse when there are more pairs than this (40 bytes each, three times that while arrays grow)

        Returns
        -------
        Matches
            Every pair with a separation up to the radius, and none beyond it by more than 1e-6 arcsec: radii
            are padded, since stored positions are rounded.

        Raises
        ------
        TooWide
            The radius is refused, or there are more than `most` pairs.
        """
        radius = self._padded(radius_arcsec)
        chosen = _chosen(sky, which)
        if not len(chosen) or not self.n_rows:
            return cones.no_matches()
        pairs = _Pairs(2 * len(chosen) + 64)
        begin = 0
        while begin < len(chosen):
            begin, found = self._ranges(sky, chosen, begin, radius)
            self._position.prefetch(found[:, 2], found[:, 3])
            waited = page_faults()
            done = 0
            while True:
                done, pairs.count = cones.pairs(
                    found,
                    done,
                    sky.vectors,
                    radius,
                    self.order,
                    self.step,
                    self._position.values,
                    *pairs.arrays,
                    pairs.count,
                )
                if pairs.count > most or (done < len(found) and pairs.capacity > 2 * most):
                    raise TooWide(
                        f"catalogue {self.name} has more than {most} sources within {radius_arcsec} arcsec of "
                        f"{len(chosen)} positions: take a smaller radius or fewer positions at a time"
                    )
                if done == len(found):
                    break
                pairs.grow()
            if page_faults() - waited > 16 + len(found) // 16:
                self._position.noticed_faults()
        return pairs.matches()

    def _padded(self, radius_arcsec: float) -> float:
        """A radius [rad] that loses no source whose position was rounded away from the cone."""
        return check_radius(radius_arcsec) + 0.75 * self.step  # half a step each way is 0.71 of one

    def _ranges(self, sky: Sky, chosen: NDArray[np.int64], begin: int, radius: float) -> tuple[int, NDArray[np.int64]]:
        """Ranges of rows of as many positions from `begin` on as fit in memory, and the first position not done."""
        cells = sky.cells(self.order)[chosen[begin:]]
        self._offsets.prefetch(cells, cells + 2)
        coarse = min(self.order, widest_order(radius))
        capacity = min(_RANGES, 4 * (len(chosen) - begin) + 4096)
        waited = page_faults()
        while True:
            out = np.empty((capacity, 4), np.int64)
            done, count = cones.ranges(
                chosen,
                begin,
                sky.face,
                sky.fx,
                sky.fy,
                sky.vectors,
                radius,
                coarse,
                self.order,
                self._offsets.values,
                out,
            )
            if page_faults() - waited > 16 + len(cells) // 16:
                self._offsets.noticed_faults()
            if done > begin:
                return done, out[:count]
            capacity *= 4


class _Pairs:
    """Pairs found so far, in arrays that grow."""

    def __init__(self, capacity: int) -> None:
        self.count = 0
        self.capacity = capacity
        self.arrays = _pair_arrays(capacity)

    def grow(self) -> None:
        self.capacity *= 2
        old = self.arrays
        self.arrays = _pair_arrays(self.capacity)
        for new, values in zip(self.arrays, old, strict=True):
            new[: self.count] = values[: self.count]

    def matches(self) -> Matches:
        position, row, vector = self.arrays
        return Matches(position[: self.count], row[: self.count], vector[: self.count])


def _pair_arrays(capacity: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    return np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty((capacity, 3))


def _chosen(sky: Sky, which: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    return np.arange(len(sky)) if which is None else np.flatnonzero(which)


def row_dtype(rows: int) -> str:
    """Type of row numbers in the files of a release."""
    return "<u4" if rows < 2**32 else "<u8"


def missing(dtype: str, n: int) -> NDArray[Any]:
    """`n` missing values of a column: NaN, or 0 in integers and ids."""
    if dtype == "id":
        return np.zeros(n, np.int64)
    return np.full(n, np.nan, dtype) if dtype.startswith("f") else np.zeros(n, dtype)
