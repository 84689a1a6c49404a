"""Coverage maps (MOC): FITS of versions 1 and 2, ASCII and JSON, as ranges of cells of order 29.

IVOA Recommendation "MOC: Multi-Order Coverage map", versions 1.1 (2019) and 2.0 (2022).
"""

from __future__ import annotations

import io
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.healpix import MAX_ORDER
from lasair.errors import BadDefinition
from lasair.sky.areas import SKY_CELLS, normalise_ranges

#: Most ranges of an area, or cells in a file of one.
MAX_RANGES = 10_000_000

_ENTRY = re.compile(r"(\d{1,2})/|(\d{1,19})(?:-(\d{1,19}))?", re.ASCII)


def moc_from_fits(path: Path, content: bytes) -> tuple[NDArray[np.uint64], int]:
    """Ranges of order 29 and the map's order.

    Raises
    ------
    BadDefinition
        This is no coverage map of the sky in equatorial coordinates, or it is damaged; names the file.
    """
    from astropy.io import fits

    try:
        with (
            warnings.catch_warnings(action="ignore"),
            fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False) as hdus,
        ):
            tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
            if not tables:
                raise BadDefinition(f"{path}: is a FITS file without a table, so no coverage map (MOC)")
            return _table(path, tables[0], len(content))
    except BadDefinition:
        raise
    except Exception as err:  # astropy raises whatever a damaged header leads to
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise BadDefinition(f"{path}: is no FITS file that can be read: {reason}; was it copied whole?") from err


def _table(path: Path, hdu: Any, size: int) -> tuple[NDArray[np.uint64], int]:
    header = hdu.header
    names = [str(name) for name in hdu.columns.names]
    if "PROBDENSITY" in names or "PROB" in names:
        raise BadDefinition(f"{path}: is a sky map of probabilities, not an area; see 'lasair event'")
    ordering = str(header.get("ORDERING", "NUNIQ")).strip().upper()
    if len(names) != 1 or ordering not in ("NUNIQ", "RANGE", "UNIQ") or "NSIDE" in header:
        raise BadDefinition(
            f"{path}: its table is no coverage map (MOC): one column of cells with ORDERING NUNIQ or RANGE is needed; "
            f"it has ORDERING {header.get('ORDERING', '(none)')} and columns {', '.join(names[:10])}"
        )
    if str(header.get("MOCDIM", "SPACE")).strip().upper() != "SPACE":
        raise BadDefinition(f"{path}: is a coverage map of {header['MOCDIM']}; an area is one of space alone")
    if str(header.get("COORDSYS", "C")).strip().upper() not in ("C", "ICRS", "EQUATORIAL"):
        raise BadDefinition(f"{path}: its coordinates are {header['COORDSYS']!r}; C (equatorial) is needed")
    length, rows = int(header["NAXIS1"]), int(header["NAXIS2"])
    if length * rows > size:
        raise BadDefinition(f"{path}: is cut off: its table should have {rows} rows of {length} bytes")
    if rows > 2 * MAX_RANGES:
        raise BadDefinition(f"{path}: has {rows} rows; at most {MAX_RANGES} ranges are taken")
    values = np.asarray(hdu.data.field(0))
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise BadDefinition(f"{path}: its column {names[0]} must hold one whole number a row")
    if values.dtype.kind == "u" and (values > np.uint64(2**62)).any():
        raise BadDefinition(f"{path}: has cells that the sky has not")
    numbers = values.astype(np.int64)
    if ordering == "RANGE":
        order = int(header.get("MOCORD_S", header.get("MOCORDER", MAX_ORDER)))
        return _checked(path, _pairs(path, numbers)), min(max(order, 0), MAX_ORDER)
    return _from_uniq(path, numbers)


def _pairs(path: Path, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(numbers) % 2:
        raise BadDefinition(f"{path}: has an odd number of bounds, so a range without an end")
    pairs = numbers.reshape(-1, 2)
    if (pairs[:, 0] > pairs[:, 1]).any():
        raise BadDefinition(f"{path}: has a range that ends before it begins")
    return pairs


def _from_uniq(path: Path, uniq: NDArray[np.int64]) -> tuple[NDArray[np.uint64], int]:
    """Cells numbered ``4**(order + 1) + cell``."""
    if (uniq < 4).any() or (uniq >= 16 << (2 * MAX_ORDER)).any():
        raise BadDefinition(f"{path}: has numbers that are no cells of a coverage map")
    # half the place of the highest bit; a double may round a number up to the next power of four
    order = (np.frexp(uniq.astype(np.float64))[1].astype(np.int64) - 1) // 2
    order -= uniq < (np.int64(1) << (2 * order))
    order -= 1
    cell = uniq - (np.int64(4) << (2 * order))
    shift = 2 * (MAX_ORDER - order)
    if (cell >= np.int64(12) << (2 * order)).any():
        raise BadDefinition(f"{path}: has numbers that are no cells of a coverage map")
    pairs = np.column_stack((cell << shift, (cell + 1) << shift))
    return _checked(path, pairs), int(order.max(initial=0))


def moc_from_json(path: Path, text: str) -> tuple[NDArray[np.uint64], int]:
    """Ranges of order 29 and the finest order of ``{"order": [cells]}``.

    Raises
    ------
    BadDefinition
        It is no such document; names the file.
    """
    try:
        orders = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise BadDefinition(f"{path}: is no JSON that can be read: {err}") from err
    if not isinstance(orders, dict) or not orders:
        raise BadDefinition(f'{path}: is no coverage map in JSON: {{"order": [cells], ...}} is needed')
    pairs, finest = [], 0
    for key, cells in orders.items():
        if not re.fullmatch(r"\d{1,2}", key, re.ASCII) or int(key) > MAX_ORDER:
            raise BadDefinition(f"{path}: {key[:40]!r} is no order of a coverage map: orders go from 0 to {MAX_ORDER}")
        if not isinstance(cells, list) or not all(type(one) is int and 0 <= one < SKY_CELLS for one in cells):
            raise BadDefinition(f"{path}: the cells of order {key} are no list of whole numbers of cells")
        finest = max(finest, int(key))
        numbers = np.array(cells, np.int64)
        pairs.append(_of_order(path, numbers, numbers, int(key)))
    return _checked(path, np.concatenate(pairs)), finest


def moc_from_ascii(path: Path, text: str) -> tuple[NDArray[np.uint64], int]:
    """Ranges of order 29 and the finest order of ``8/1-3 5 9/77 ...``.

    Raises
    ------
    BadDefinition
        It is no such text; names the file.
    """
    order, finest = -1, 0
    first: dict[int, list[int]] = {}
    last: dict[int, list[int]] = {}
    end = 0
    for match in _ENTRY.finditer(text):
        if text[end : match.start()].strip(" ,;\t\r\n"):
            break
        end = match.end()
        if match[1]:
            order = int(match[1])
            if order > MAX_ORDER:
                raise BadDefinition(f"{path}: order {order} is beyond {MAX_ORDER}")
            finest = max(finest, order)
            first.setdefault(order, [])
            last.setdefault(order, [])
        elif order < 0:
            raise BadDefinition(f"{path}: is no coverage map: a cell stands before any order")
        else:
            first[order].append(int(match[2]))
            last[order].append(int(match[3] or match[2]))
            if first[order][-1] > last[order][-1] or last[order][-1] >= SKY_CELLS:
                raise BadDefinition(f"{path}: {match[0]} is no range of cells of order {order}")
    rest = text[end:].strip(" ,;\t\r\n")
    if rest or order < 0:
        raise BadDefinition(f"{path}: is no coverage map: {rest[:40]!r} is neither an order nor cells")
    pairs = [
        _of_order(path, np.array(first[one], np.int64), np.array(last[one], np.int64), one) for one in first
    ]  # fmt: skip
    return _checked(path, np.concatenate(pairs)), finest


def _of_order(path: Path, first: NDArray[np.int64], last: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    if (last >= 12 << (2 * order)).any():
        raise BadDefinition(f"{path}: order {order} has cells 0 to {(12 << (2 * order)) - 1}; {last.max()} is none")
    shift = 2 * (MAX_ORDER - order)
    return np.column_stack((first << shift, (last + 1) << shift))


def _checked(path: Path, pairs: NDArray[np.int64]) -> NDArray[np.uint64]:
    try:
        ranges = normalise_ranges(pairs)
    except BadDefinition as err:
        raise BadDefinition(f"{path}: {err}") from err
    if len(ranges) > MAX_RANGES:
        raise BadDefinition(f"{path}: has {len(ranges)} ranges; at most {MAX_RANGES} are taken")
    if not len(ranges):
        raise BadDefinition(f"{path}: is empty: it covers no part of the sky")
    return ranges
