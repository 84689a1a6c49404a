"""Positions in FITS tables and VOTables."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.definitions.positions import Layout, Positions, Wanted, angles_of, layout_of, on_the_sky, read_name
from lasair.errors import BadDefinition

#: Degrees in units of angle, as files spell them.
_DEGREES = {
    "": 1.0, "deg": 1.0, "degree": 1.0, "degrees": 1.0, "d": 1.0, "rad": 180.0 / np.pi, "radian": 180.0 / np.pi,
    "h": 15.0, "hour": 15.0, "hours": 15.0, "hourangle": 15.0, "hr": 15.0,
}  # fmt: skip
#: Arcseconds in units of radii; a file that gives none means arcsec, or what the column's name says.
_ARCSEC = {"arcsec": 1.0, "arcsecond": 1.0, "as": 1.0, "arcmin": 60.0, "deg": 3600.0, "degree": 3600.0}


def read_fits(path: Path, content: bytes, wanted: Wanted, most_rows: int) -> Positions:
    """The first table of a FITS file that has positions.

    Raises
    ------
    BadDefinition
        There is none, or the file is damaged; names the file.
    """
    from astropy.io import fits

    try:
        with (
            warnings.catch_warnings(action="ignore"),
            fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False) as hdus,
        ):
            names: list[str] = []
            for hdu in hdus:
                if not isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
                    continue
                header = hdu.header
                names += list(hdu.columns.names)
                layout = layout_of(path, hdu.columns.names, wanted)
                if layout is None:
                    continue
                length, rows = int(header["NAXIS1"]), int(header["NAXIS2"])
                _check_rows(path, rows, most_rows)
                if length * rows > len(content):
                    raise BadDefinition(f"{path}: is cut off: its table should have {rows} rows of {length} bytes")
                units = [str(unit or "") for unit in hdu.columns.units]
                return _rows(path, layout, units, rows, partial(_field, hdu.data, header))
    except BadDefinition:
        raise
    except Exception as err:  # astropy raises whatever a damaged header leads to
        raise BadDefinition(f"{path}: is no FITS table that can be read: {_short(err)}") from err
    raise BadDefinition(_no_positions(path, "FITS table", names))


def _field(data: Any, header: Any, at: int) -> Any:
    values = data.field(at)
    null = header.get(f"TNULL{at + 1}")
    if null is not None and values.dtype.kind in "iu":
        return np.ma.masked_equal(values, null)
    return values


def read_votable(path: Path, content: bytes, wanted: Wanted, most_rows: int) -> Positions:
    """The first table of a VOTable that has positions.

    Raises
    ------
    BadDefinition
        There is none, or the file is damaged; names the file.
    """
    if re.search(rb"<!(DOCTYPE|ENTITY)", content):
        # what they declare can grow without bounds, or name other files; no VOTable needs them
        raise BadDefinition(f"{path}: declares a document type or entities, which is refused; or it is a web page")
    from astropy.io.votable import parse

    try:
        with warnings.catch_warnings(action="ignore"):
            tables = list(parse(io.BytesIO(content), verify="ignore").iter_tables())
    except Exception as err:  # astropy raises whatever the document leads to
        raise BadDefinition(f"{path}: is no VOTable that can be read: {_short(err)}") from err
    names: list[str] = []
    for table in tables:
        called = [str(one.name or one.ID or "") for one in table.fields]
        names += called
        layout = layout_of(path, called, wanted)
        if layout is not None:
            _check_rows(path, len(table.array), most_rows)
            units = [str(one.unit or "") for one in table.fields]
            return _rows(path, layout, units, len(table.array), partial(_named, table.array))
    raise BadDefinition(_no_positions(path, "VOTable", names))


def _named(array: Any, at: int) -> Any:
    return array[array.dtype.names[at]]


def _check_rows(path: Path, rows: int, most_rows: int) -> None:
    if rows > most_rows:
        raise BadDefinition(f"{path}: has {rows} rows; at most {most_rows} are taken")


def _no_positions(path: Path, what: str, names: Sequence[str]) -> str:
    held = f"its columns are {', '.join(names[:20])}" if names else "it has no table"
    return f"{path}: this {what} has no columns named ra and dec; {held}"


def _short(err: Exception) -> str:
    return " ".join(str(err).split())[:200] or type(err).__name__


def _rows(path: Path, layout: Layout, units: Sequence[str], rows: int, column: Callable[[int], Any]) -> Positions:
    reasons: dict[int, str] = {}
    ra = _angles(path, column(layout.ra), units[layout.ra], "ra", reasons)
    decl = _angles(path, column(layout.decl), units[layout.decl], "decl", reasons)
    names = [""] * rows
    if layout.name is not None:
        names = _texts(column(layout.name))
        for i, name in enumerate(names):
            try:
                read_name(name, numeric=True)
            except ValueError as err:
                reasons.setdefault(i, str(err))
    numbers = {}
    for name, (at, factor) in layout.numbers.items():
        numbers[name] = _numbers(column(at), name, reasons) * _factor(path, name, units[at], factor)
    texts = _Shown(ra, decl, names)
    found = Positions(np.arange(rows), ra, decl, names, numbers, [], rows, texts, None)
    wrong = np.zeros(rows, np.bool_)
    wrong[list(reasons)] = True
    return on_the_sky(found.refuse(wrong, [reasons[i] for i in np.flatnonzero(wrong).tolist()]))


def _factor(path: Path, name: str, unit: str, factor: float) -> float:
    if name != "radius" or not unit.strip():
        return factor
    if unit.strip().casefold() not in _ARCSEC:
        raise BadDefinition(f"{path}: the radius is in {unit!r}; write it in arcsec, arcmin or deg")
    return _ARCSEC[unit.strip().casefold()]


def _angles(path: Path, values: Any, unit: str, kind: Any, reasons: dict[int, str]) -> NDArray[np.float64]:
    if values.dtype.kind in "iuf" and values.ndim == 1:
        spelled = unit.strip().casefold()
        if spelled not in _DEGREES:
            raise BadDefinition(f"{path}: the column of {kind} is in {unit!r}; write it in degrees")
        return np.ma.filled(np.ma.asarray(values, np.float64), np.nan) * _DEGREES[spelled]
    if values.dtype.kind not in "OSU" or values.ndim != 1:
        raise BadDefinition(f"{path}: the column of {kind} holds neither numbers nor texts, one a row")
    found, why = angles_of(_texts(values), kind)
    for i, reason in why.items():
        reasons.setdefault(i, reason)
    return found


def _texts(values: Any) -> list[str]:
    masked = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    plain = np.ma.getdata(values).tolist()
    texts = [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in plain]
    if masked is not None and masked.ndim == 1:
        texts = ["" if hidden else text for text, hidden in zip(texts, masked.tolist(), strict=True)]
    return [text.strip() for text in texts]


def _numbers(values: Any, name: str, reasons: dict[int, str]) -> NDArray[np.float64]:
    if values.dtype.kind in "iuf" and values.ndim == 1:
        return np.ma.filled(np.ma.asarray(values, np.float64), np.nan)
    out = np.full(len(values), np.nan)
    for i, text in enumerate(_texts(values)):
        try:
            out[i] = float(text) if text else np.nan
        except ValueError:
            reasons.setdefault(i, f"the {name} {text[:40]!r} is not a number")
    return out


class _Shown(Sequence[str]):
    """Rows as text, made when asked for."""

    def __init__(self, ra: NDArray[np.float64], decl: NDArray[np.float64], names: list[str]) -> None:
        self._ra, self._decl, self._names = ra, decl, names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, i: Any) -> Any:
        return f"ra {self._ra[i]}, dec {self._decl[i]}, name {self._names[i]!r}"
