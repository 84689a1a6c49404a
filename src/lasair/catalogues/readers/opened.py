"""A file of any format, opened as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lasair.catalogues.readers.table import BadSource, Table


def open_table(path: Path, form: str, reading: Mapping[str, Any]) -> Table:
    """Open a file; reading begins with `chunks`.

    Parameters
    ----------
    form : 'fits', 'votable', 'csv', 'parquet', 'fixed_width', 'vizier' or 'hdf5'; a folder of HATS is a list of
        Parquet files, see `parquet.hats_files`
    reading : options of the format

    Raises
    ------
    BadSource
        The file cannot be read as such, or an option is none; the message names the file.
    """
    try:
        reader = _READERS[form]
    except KeyError as err:
        raise BadSource(f"{path}: there is no format {form!r}; there are {', '.join(_READERS)}") from err
    return reader(path, reading)


def _fits(path: Path, reading: Mapping[str, Any]) -> Table:
    from lasair.catalogues.readers.fits import Fits

    return Fits(path, reading)


def _votable(path: Path, reading: Mapping[str, Any]) -> Table:
    from lasair.catalogues.readers.votable import Votable

    return Votable(path, reading)


def _csv(path: Path, reading: Mapping[str, Any]) -> Table:
    from lasair.catalogues.readers.delimited import Csv

    return Csv(path, reading)


def _parquet(path: Path, reading: Mapping[str, Any]) -> Table:
    from lasair.catalogues.readers.parquet import Parquet

    return Parquet(path, reading)


def _fixed_width(path: Path, reading: Mapping[str, Any]) -> Table:
    from lasair.catalogues.readers.lines import FixedWidth

    return FixedWidth(path, reading)


def _vizier(path: Path, reading: Mapping[str, Any]) -> Table:
    from lasair.catalogues.readers.lines import Vizier

    return Vizier(path, reading)


def _hdf5(path: Path, reading: Mapping[str, Any]) -> Table:
    from lasair.catalogues.readers.hdf5 import Hdf5

    return Hdf5(path, reading)


_READERS: dict[str, Callable[[Path, Mapping[str, Any]], Table]] = {
    "fits": _fits,
    "votable": _votable,
    "csv": _csv,
    "parquet": _parquet,
    "hats": _parquet,
    "fixed_width": _fixed_width,
    "vizier": _vizier,
    "hdf5": _hdf5,
}
