"""From the columns of a table to those of a release, as its description says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lasair.catalogues.build import build
from lasair.catalogues.describe import Description, Source
from lasair.catalogues.manifest import ReleaseInfo
from lasair.catalogues.predicate import Values, cleaned, known, numbers, texts
from lasair.catalogues.problems import BadRows
from lasair.errors import BadDefinition

Array = NDArray[Any]

#: Hours or degrees, minutes and seconds, apart by blanks, colons or their letters; minutes and seconds may lack.
_SEXAGESIMAL = (
    r"^\s*(?P<sign>[+\-\x{2212}\x{2013}]?)\s*(?P<whole>\d{1,3})"
    r"(?:[\s:hd\x{b0}]+(?P<minutes>\d{1,2}(?:\.\d*)?)(?:[\s:m'\x{2032}]+(?P<seconds>\d{1,2}(?:\.\d*)?)?)?)?"
    r"[\s:smhd'\x{22}\x{2033}\x{2032}\x{b0}]*$"
)

#: Right ascensions outside are no coordinates; negative ones are those of a table that counts from -180.
_LEAST_RA, _MOST_RA = -180.0, 360.0

NO_POSITION, OUT_OF_RANGE, NO_ID = "no position", "position out of range", "no id"


def standard_columns(
    description: Description,
    native: Mapping[str, Array],
    *,
    compat: bool = False,
    exact: bool = False,
    absent_ok: bool = False,
) -> dict[str, Array]:
    """A chunk of a table as `build` wants it.

    Parameters
    ----------
    native : columns of the table, (n,) or (n, k) each: numbers, text, masked or with None; others than
        `description.native_columns()` are not looked at
    compat : with the columns that the original service takes by mistake
    exact : with `given_ra` and `given_decl`, the position in double precision
    absent_ok : a column that is not there is missing in all rows

    Returns
    -------
    Standard column → (m,), m ≤ n when the description selects rows: `ra`, `decl` [deg, ICRS], `id` (int64 or text),
    `views` (uint32), `subtype` (text), numbers float64. Rows that no release can hold are among them; see `bad_rows`.

    Raises
    ------
    BadDefinition
        A column is not there, or not of the kind it is used as; the message names the description, the key, the column.
    """
    n = len(next(iter(native.values()))) if native else 0
    values = _values(description, native, n, absent_ok)
    selection = description.selection
    if selection is not None:
        chosen = _keyed(description, "select", lambda: selection.of(values))
        native = {name: native[name][chosen] for name in description.native_columns(compat=compat) if name in native}
        values = _values(description, native, int(chosen.sum()), absent_ok)
    return _columns(description, values, compat=compat, exact=exact)


def bad_rows(chunk: Mapping[str, Array]) -> list[tuple[NDArray[np.bool_], str]]:
    """Rows of a chunk of `standard_columns` that no release can hold: (mask, reason); a row has one reason at most."""
    ra, decl = np.asarray(chunk["ra"], np.float64), np.asarray(chunk["decl"], np.float64)
    nowhere = ~(np.isfinite(ra) & np.isfinite(decl))
    with np.errstate(invalid="ignore"):
        beyond = ~nowhere & ~((ra >= _LEAST_RA) & (ra <= _MOST_RA) & (np.abs(decl) <= 90.0))
    nameless = ~np.asarray(known(chunk["id"])) & ~nowhere & ~beyond if "id" in chunk else ~nowhere & ~beyond
    return [(nowhere, NO_POSITION), (beyond, OUT_OF_RANGE), (nameless, NO_ID)]


def build_rows(
    description: Description,
    rows: Sequence[Mapping[str, Any]],
    target: Path,
    *,
    compat: bool = False,
    exact: bool = True,
) -> ReleaseInfo:
    """Build a release of a few rows by hand, for tests and comparisons.

    Parameters
    ----------
    rows : native column → value; None and columns that a row lacks are missing. All rows are taken, whatever `select`
        says; a row without a position is left out, as no search could find it.
    target : folder to make
    exact : bands as 8-byte floats, but for those in `float32`, and positions as given

    Raises
    ------
    BadDefinition, BadRows
        Values that the description cannot use; a position out of range, with the number of its row (from 0).
    """
    native = _table(rows)
    values = _values(description, native, len(rows), absent_ok=True)
    chunk = _columns(description, values, compat=compat, exact=exact)
    drop = np.zeros(len(rows), np.bool_)
    for mask, reason in bad_rows(chunk):
        if reason == NO_POSITION:
            drop = mask
        elif reason == OUT_OF_RANGE and mask.any():
            at = int(np.flatnonzero(mask)[0])
            raise BadRows(f"row {at} of {description.name}: {reason}: ra {chunk['ra'][at]}, decl {chunk['decl'][at]}")
    if drop.any():
        chunk = {name: column[~drop] for name, column in chunk.items()}
    return build(
        target,
        [chunk],
        name=description.name,
        title=description.title,
        version=description.version,
        views=list(description.views),
        sparse_views=description.sparse_views,
        about=description.release_about(),
        coverage="all-sky",
        dtypes=description.dtypes(exact=exact),
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Columns of rows; a column without any value is left out."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if value is not None)
    found: dict[str, Array] = {}
    for name in names:
        column = np.empty(len(rows), object)
        column[:] = [row.get(name) for row in rows]
        found[name] = column
    return found


def _values(description: Description, native: Mapping[str, Array], n: int, absent_ok: bool) -> Values:
    return Values(
        native,
        n,
        absent_ok=absent_ok,
        optional=description.optional,
        derive=description.derived,
        single=description.single_columns(),
    )


def _keyed(description: Description, key: str, work: Any) -> Any:
    """What `work` gives; its errors name the description and the key."""
    try:
        return work()
    except BadDefinition as err:
        raise BadDefinition(f"{description.label}: {key}: {err}") from err


def _columns(description: Description, values: Values, *, compat: bool, exact: bool) -> dict[str, Array]:
    mapping = description.mapping(compat=compat)
    chunk: dict[str, Array] = {}
    ra, decl = _position(description, mapping, values)
    chunk["ra"], chunk["decl"] = ra, decl
    if exact:
        chunk["given_ra"], chunk["given_decl"] = ra, decl
    for name, source in mapping.items():
        if name in ("ra", "decl"):
            continue
        key = f"columns.{name}" if name in description.columns else f"magnitudes.{name}"
        if name == "id":
            chunk[name] = _keyed(description, key, lambda source=source: _ids(source.expression.of(values)))
        elif name == "subtype":
            chunk[name] = _keyed(description, key, lambda source=source: texts(source.expression.of(values), values.n))
        else:
            chunk[name] = _keyed(description, key, lambda source=source: _numbers(source, values))
    views = np.zeros(values.n, np.uint32)
    for bit, (name, view) in enumerate(description.views.items()):
        inside = _keyed(description, f"views.{name}", lambda view=view: view.predicate.of(values))
        views |= inside.astype(np.uint32) << np.uint32(bit)
    chunk["views"] = views
    return chunk


def _numbers(source: Source, values: Values) -> NDArray[np.float64]:
    found = np.asarray(numbers(source.expression.of(values)), np.float64)
    found = np.where(np.isfinite(found), found, np.nan)
    return found if (source.factor, source.offset) == (1.0, 0.0) else found * source.factor + source.offset


def _ids(found: Array) -> Array:
    """Ids as int64 or uint64 when all are whole numbers, else as text."""
    if found.dtype.kind in "iu":
        return found
    if found.dtype.kind == "f" and len(found) and np.all(np.isfinite(found)) and np.all(found == np.floor(found)):
        # above 2^53 neighbours are one number: such a column was read as floats by mistake
        if np.abs(found).max() < 2.0**53:
            return found.astype(np.int64)
        raise BadDefinition("ids are floats too large to be exact; they must be read as whole numbers or text")
    return texts(found, len(found))


def _position(
    description: Description, mapping: Mapping[str, Source], values: Values
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension and declination in ICRS [deg]; NaN where there are none."""
    sexagesimal = bool(description.reading.get("sexagesimal"))
    pair = []
    for name, unit in (("ra", 15.0), ("decl", 1.0)):
        source = mapping[name]
        found = _keyed(description, f"columns.{name}", lambda source=source: source.expression.of(values))
        if sexagesimal and found.dtype.kind == "U":
            pair.append(_degrees(found, unit) * source.factor + source.offset)
        else:
            pair.append(_numbers(source, values))
    first, second = pair
    return to_icrs(first, second, description.frame)


def to_icrs(
    first: NDArray[np.float64], second: NDArray[np.float64], frame: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions of a frame in ICRS [deg]; those that are none stay as they are.

    FK5 is that of equinox J2000; of galactic ones the first is the longitude.
    """
    if frame == "icrs":
        return first, second
    from astropy import units
    from astropy.coordinates import SkyCoord

    good = np.isfinite(first) & (np.abs(second) <= 90.0) & (first >= _LEAST_RA) & (first <= _MOST_RA)
    there = SkyCoord(first[good] * units.deg, second[good] * units.deg, frame=frame).icrs
    ra, decl = first.copy(), second.copy()
    ra[good], decl[good] = there.ra.deg, there.dec.deg
    return ra, decl


def _degrees(text: Array, unit: float) -> NDArray[np.float64]:
    """Sexagesimal texts [deg]; `unit` is 15 for hours. A plain number of degrees stays one; NaN for anything else."""
    parts = pc.extract_regex(pa.array(text.tolist(), pa.string()), _SEXAGESIMAL)
    whole, minutes, seconds = (
        _part(pc.struct_field(parts, name), name != "whole") for name in ("whole", "minutes", "seconds")
    )
    minus = pc.is_in(pc.struct_field(parts, "sign"), pa.array(["-", "\u2212", "\u2013"])).to_numpy(zero_copy_only=False)
    bad = (minutes >= 60.0) | (seconds > 60.0)
    found = (whole + minutes / 60.0 + seconds / 3600.0) * unit * np.where(minus, -1.0, 1.0)
    found[bad] = np.nan
    plain = np.asarray(numbers(text), np.float64)  # '12.5' has no minutes
    return np.where(np.isfinite(plain), plain, found)


def _part(column: Any, zero: bool) -> NDArray[np.float64]:
    text = np.array(["" if one is None else one for one in column.to_pylist()], np.str_)
    found = np.asarray(numbers(text), np.float64)
    return np.where((text == ""), 0.0, found) if zero else found


__all__ = ["bad_rows", "build_rows", "cleaned", "standard_columns", "to_icrs"]
