"""An area as somebody hands it in: a coverage map (MOC), DS9 regions, or corners of polygons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.healpix import MAX_ORDER
from lasair.definitions.moc_file import moc_from_ascii, moc_from_fits, moc_from_json
from lasair.definitions.region_text import is_region, read_polygons, read_regions
from lasair.definitions.shapes import ranges_of
from lasair.definitions.upload import read_upload, text_of
from lasair.errors import BadDefinition
from lasair.sky.areas import SKY_CELLS

#: Largest file (unpacked).
MAX_BYTES = 200_000_000

#: Order at which shapes become cells: 26 arcsec.
SHAPE_ORDER = 13


@dataclass(frozen=True)
class AreaFile:
    """An area as cells.

    Attributes
    ----------
    ranges : (k, 2) uint64, cells of order 29, nested, half-open, ascending and apart
    how : what the file was, for people
    exact : the cells are the file's own; else they were made of shapes, and reach over their edges by up to one cell
    order : of the finest cells
    """

    ranges: NDArray[np.uint64]
    how: str
    exact: bool
    order: int

    @property
    def square_degrees(self) -> float:
        """Its area."""
        cells = float((self.ranges[:, 1] - self.ranges[:, 0]).astype(np.float64).sum())
        return float(cells / SKY_CELLS * 4.0 * np.pi * np.degrees(1.0) ** 2)


def read_area(path: Path, *, order: int | None = None) -> AreaFile:
    """Read an area; its format is known by its content.

    Parameters
    ----------
    path : file, gzip or not
    order : HEALPix order at which shapes become cells, 0 to 29; None: `SHAPE_ORDER`. Coverage maps stay as they are.

    Raises
    ------
    BadDefinition
        The file cannot be read, is none of the known formats, damaged, empty or too large; names it and says why.
    """
    if order is not None and not 0 <= order <= MAX_ORDER:
        raise BadDefinition(f"{path}: order {order} is refused: orders go from 0 to {MAX_ORDER}")
    content = read_upload(path, MAX_BYTES)
    if content.startswith(b"SIMPLE  ="):
        ranges, finest = moc_from_fits(path, content)
        return AreaFile(ranges, f"coverage map (FITS), order {finest}", True, finest)
    text = text_of(path, content)
    start = text.lstrip()[:4]
    if not start:
        raise BadDefinition(f"{path}: is empty")
    if start.startswith(("{", "[")):
        ranges, finest = moc_from_json(path, text)
        return AreaFile(ranges, f"coverage map (JSON), order {finest}", True, finest)
    if re.match(r"\d{1,2}/", start, re.ASCII):
        ranges, finest = moc_from_ascii(path, text)
        return AreaFile(ranges, f"coverage map (ASCII), order {finest}", True, finest)
    finest = SHAPE_ORDER if order is None else order
    try:
        shapes = read_regions(text) if is_region(text) else read_polygons(text)
        ranges = ranges_of(shapes, finest)
    except BadDefinition as err:
        raise BadDefinition(f"{path}: {err}") from err
    what = "1 shape" if len(shapes) == 1 else f"{len(shapes)} shapes"
    return AreaFile(ranges, f"{what}, cells of order {finest}", False, finest)
