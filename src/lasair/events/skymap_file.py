"""Sky maps in FITS: cells of many sizes (UNIQ), or pixels of one size, all or some of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.errors import BadDefinition
from lasair.events.content import Content, open_content
from lasair.events.fits_table import Cards, MapTable, whole
from lasair.sky.skymap import MAX_CELLS, MAX_NSIDE, SkyMap, nested_cells

#: Most cells of a flat map when siblings of equal values are one: the whole sky at NSIDE 1024; and most pixels that
#: are not empty before that, the whole sky at NSIDE 2048.
MAX_FLAT_CELLS, MAX_FLAT_PIXELS = 12 * 1024**2, 12 * 2048**2

_DISTANCES = ("DISTMU", "DISTSIGMA", "DISTNORM")
#: Columns with a probability a pixel, best first; the last are what general HEALPix software calls an only column.
_PROBABILITIES = ("PROB", "PROBABILITY")
_ONLY = ("TEMPERATURE", "SIGNAL", "I_STOKES", "T")


def read_skymap_file(path: Path) -> tuple[SkyMap, Cards]:
    """Read the map of a FITS file, packed with gzip or not, and the cards of its header.

    Raises
    ------
    BadDefinition
        It is no sky map, is damaged, too large, or not a probability on the sky; names the file.
    """
    with open_content(path) as content:
        if not content.peek(9).startswith(b"SIMPLE"):
            raise BadDefinition(f"{path}: is no FITS file; a sky map is one (.fits, or .fits.gz)")
        return read_skymap(content)


def read_skymap(content: Content) -> tuple[SkyMap, Cards]:
    """Read a map from content (see `read_skymap_file`)."""
    table = MapTable(content)
    cards, label = table.cards, content.label
    frame = str(cards.get("COORDSYS", "C")).strip().upper()
    if not frame.startswith(("C", "EQ", "ICRS", "FK5", "J2000")):
        raise BadDefinition(f"{label}: the map is in the frame {frame[:20]!r}; only equatorial maps (C) are taken")
    try:
        if "UNIQ" in table.columns or str(cards.get("ORDERING", "")).strip().upper() == "NUNIQ":
            return _multi_order(table, label), cards
        return _flat(table, label), cards
    except BadDefinition as err:
        # what the map itself complains of does not know the file
        raise err if str(err).startswith(f"{label}: ") else BadDefinition(f"{label}: {err}") from err


def _distances(table: MapTable) -> tuple[str, ...]:
    return _DISTANCES if all(name in table.columns for name in _DISTANCES) else ()


def _multi_order(table: MapTable, label: str) -> SkyMap:
    for name in ("UNIQ", "PROBDENSITY"):
        if name not in table.columns:
            raise BadDefinition(f"{label}: a multi-order map needs a column {name}; it has {_listed(table)}")
    names = ("UNIQ", "PROBDENSITY", *_distances(table))
    if any(table.columns[name].count != 1 for name in names):
        raise BadDefinition(f"{label}: a multi-order map has one value a row and column")
    if table.rows > MAX_CELLS:
        raise BadDefinition(f"{label}: the sky map has {table.rows} cells; at most {MAX_CELLS} are taken")
    parts = list(table.stretches(names))
    if not parts:
        raise BadDefinition(f"{label}: the sky map has no cells")
    uniq, density, *distances = (np.concatenate(column) for column in zip(*parts, strict=True))
    if uniq.dtype.kind not in "iu":
        raise BadDefinition(f"{label}: the column UNIQ does not hold whole numbers")
    return SkyMap.from_uniq(uniq.astype(np.int64), density, *distances)


def _flat(table: MapTable, label: str) -> SkyMap:
    cards = table.cards
    column, is_density = _probability(table, label)
    names = [column, *_distances(table)]
    counts = {table.columns[name].count for name in names}
    if len(counts) > 1:
        raise BadDefinition(f"{label}: the columns of the map are not of one length")
    pixels = table.rows * counts.pop()
    explicit = "PIXEL" in table.columns
    if explicit:
        if table.columns["PIXEL"].count != 1 or table.columns[column].count != 1:
            raise BadDefinition(f"{label}: a map of numbered pixels has one a row")
        names.append("PIXEL")
        if "NSIDE" not in cards:
            raise BadDefinition(f"{label}: a map of numbered pixels needs NSIDE in its header")
    nside = whole(cards, "NSIDE", label) if "NSIDE" in cards else int(np.sqrt(pixels // 12))
    if nside < 1 or nside & (nside - 1):
        raise BadDefinition(f"{label}: NSIDE {nside} is no power of two")
    if nside > MAX_NSIDE:
        raise BadDefinition(f"{label}: the sky map has NSIDE {nside}; at most {MAX_NSIDE} is taken")
    if pixels != 12 * nside**2 and not explicit:
        raise BadDefinition(f"{label}: has {pixels} pixels; NSIDE {nside} would have {12 * nside**2}")
    ordering = str(cards.get("ORDERING", "")).strip().upper()
    if ordering not in ("RING", "NESTED", "NEST"):
        raise BadDefinition(f"{label}: its keyword ORDERING is {ordering[:20]!r}; it must be RING or NESTED")
    cells = _Cells(nside.bit_length() - 1, ordering != "RING", label)
    start = 0
    for columns in table.stretches(names):
        pixel = columns.pop() if explicit else None
        # most of a map is empty; what is not a number must be found all the same
        some = np.flatnonzero((columns[0] != 0.0) | np.isnan(columns[0]))
        if pixel is None:
            cells.add(some + start, [one[some] for one in columns])
            start += len(columns[0])
        else:
            if pixel.dtype.kind not in "iu" or (pixel < 0).any() or (pixel >= 12 * nside**2).any():
                raise BadDefinition(f"{label}: a pixel of the map is none of NSIDE {nside}")
            cells.add(pixel[some].astype(np.int64), [one[some] for one in columns])
    return cells.skymap(is_density)


def _probability(table: MapTable, label: str) -> tuple[str, bool]:
    """The column of probability, and whether it is one per steradian."""
    for name in _PROBABILITIES:
        if name in table.columns:
            return name, False
    if "PROBDENSITY" in table.columns:
        return "PROBDENSITY", True
    if len(table.columns) == 1:
        (name,) = table.columns
        if name in _ONLY:
            return name, False
    raise BadDefinition(f"{label}: no column is called PROB, PROBABILITY or PROBDENSITY; it has {_listed(table)}")


def _listed(table: MapTable) -> str:
    return ", ".join(name[:40] for name in list(table.columns)[:20]) or "none"


class _Cells:
    """Pixels of one size as they come, with siblings of equal values made one: most maps were of many sizes once."""

    def __init__(self, order: int, nested: bool, label: str) -> None:
        self._order, self._nested, self._label = order, nested, label
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], list[NDArray[np.float64]]]] = []
        self._held = 0

    def add(self, pixel: NDArray[np.int64], columns: list[NDArray[Any]]) -> None:
        """Pixels (k,) and their values."""
        if not len(pixel):
            return
        values = [np.asarray(one, np.float64) for one in columns]
        cell = pixel if self._nested else nested_cells(pixel, self._order)
        part = np.full(len(cell), self._order, np.int64), cell, values
        # in nested numbering siblings come together, in rings only at the end
        part = merged(part[1], self._order, values) if self._nested else part
        self._parts.append(part)
        self._held += len(part[1])
        self._check(MAX_FLAT_CELLS if self._nested else MAX_FLAT_PIXELS)

    def skymap(self, is_density: bool) -> SkyMap:
        """The map of all that came."""
        if not self._parts:
            raise BadDefinition("the sky map has no probability anywhere")
        order, cell = (np.concatenate([part[i] for part in self._parts]) for i in (0, 1))
        values = [np.concatenate(column) for column in zip(*(part[2] for part in self._parts), strict=True)]
        self._parts.clear()
        if not self._nested:
            order, cell, values = merged(cell, self._order, values)
            self._held = len(cell)
            self._check(MAX_FLAT_CELLS)
        pixel_area = np.pi / 3.0 / 4.0**self._order
        density = values[0] if is_density else values[0] / pixel_area
        return SkyMap(order, cell, density, *values[1:])

    def _check(self, most: int) -> None:
        if self._held > most:
            raise BadDefinition(
                f"{self._label}: the sky map has more than {most} pixels of different probability; "
                "make a multi-order map of it"
            )


def merged(
    cell: NDArray[np.int64], order: int, values: list[NDArray[np.float64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[NDArray[np.float64]]]:
    """Cells of one order (k,), four siblings of equal values (each (k,)) made their parent, as often as there are any.

    Returns
    -------
    orders, cells and values of what is left
    """
    if (cell[1:] < cell[:-1]).any():
        by_place = np.argsort(cell, kind="stable")
        cell, values = cell[by_place], [one[by_place] for one in values]
    orders, cells = list[NDArray[np.int64]](), list[NDArray[np.int64]]()
    kept: list[list[NDArray[np.float64]]] = [[] for _ in values]
    while True:
        first = np.zeros(len(cell), np.bool_)
        if order and len(cell) >= 4:
            first[:-3] = ((cell[:-3] & 3) == 0) & (cell[1:-2] == cell[:-3] + 1)
            first[:-3] &= (cell[2:-1] == cell[:-3] + 2) & (cell[3:] == cell[:-3] + 3)
            for one in values:
                first[:-3] &= (one[:-3] == one[1:-2]) & (one[:-3] == one[2:-1]) & (one[:-3] == one[3:])
        alone = ~first
        for i in (1, 2, 3):
            alone[i:] &= ~first[: max(len(first) - i, 0)]
        orders.append(np.full(int(alone.sum()), order, np.int64))
        cells.append(cell[alone])
        for held, one in zip(kept, values, strict=True):
            held.append(one[alone])
        if not first.any():
            return np.concatenate(orders), np.concatenate(cells), [np.concatenate(held) for held in kept]
        cell, values, order = cell[first] >> 2, [one[first] for one in values], order - 1
