"""HDF5: a compound dataset, or a group of datasets that are a column each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.readers.files import explain
from lasair.catalogues.readers.numeric import read_values
from lasair.catalogues.readers.table import LONGEST, ROWS, BadSource, Chunk, Kind, Options
from lasair.catalogues.readers.texts import Nulls

#: Bytes of the file in a chunk, at most.
_BYTES = 64_000_000


class Hdf5:
    """A table in an HDF5 file.

    Options: `path` (of the dataset or group; by default the only one that can be meant), `nulls`.
    """

    def __init__(self, path: Path, reading: Mapping[str, Any]) -> None:
        options = Options(reading, str(path))
        self._path = path
        inside = options.take("path", str)
        self._nulls = Nulls.of(options.nulls() or [])
        options.done()
        with self._open() as file:
            self._inside = inside or self._find(file)
            table = file.get(self._inside)
            if table is None:
                there = ", ".join(_tables(file)) or "no tables"
                raise BadSource(f"{path}: there is no {self._inside!r} inside; there is {there}")
            self._compound = hasattr(table, "dtype")
            if self._compound and table.dtype.names is None:
                raise BadSource(f"{path}: {self._inside!r} has no columns; name its group with reading: path")
            if self._compound:
                self.names: Sequence[str] = list(table.dtype.names)
                self.rows: int | None = len(table)
                self._row_bytes = table.dtype.itemsize
            else:
                columns = {name: one for name, one in table.items() if hasattr(one, "dtype") and one.ndim}
                lengths = {len(one) for one in columns.values()}
                if len(lengths) != 1:
                    raise BadSource(
                        f"{path}: the datasets in {self._inside!r} have {len(lengths)} different lengths: "
                        "they are no columns of one table"
                    )
                self.names, self.rows = list(columns), lengths.pop()
                self._row_bytes = sum(one.dtype.itemsize * int(np.prod(one.shape[1:])) for one in columns.values())

    def _open(self) -> Any:
        try:
            import h5py
        except ImportError as err:
            raise BadSource(f"{self._path}: reading HDF5 needs h5py: pip install 'lasair-broker[catalogue]'") from err
        if not self._path.is_file():
            raise BadSource(f"{self._path}: there is no such file")
        try:
            return h5py.File(self._path, "r")
        except (OSError, ValueError) as err:
            raise explain(self._path, err) from err

    def _find(self, file: Any) -> str:
        found = _tables(file)
        if len(found) == 1:
            return found[0]
        if not found:
            return "/"
        raise BadSource(f"{self._path}: has several tables ({', '.join(found)}): name one with reading: path")

    def chunks(self, wanted: Mapping[str, Kind]) -> Iterator[Chunk]:
        """All rows."""
        names = [name for name in self.names if name in wanted]
        total = self.rows or 0
        at_once = max(min(ROWS, _BYTES // max(self._row_bytes, 1)), 1)
        with self._open() as file:
            table = file[self._inside]
            for start in range(0, total, at_once):
                end = min(start + at_once, total)
                try:
                    if self._compound:
                        block = table[start:end]  # all fields: compound rows are contiguous
                        found = {name: self._values(name, block[name]) for name in names}
                    else:
                        found = {name: self._values(name, table[name][start:end]) for name in names}
                except (OSError, ValueError, TypeError) as err:
                    raise explain(self._path, err) from err
                numbers = np.arange(start + 1, end + 1, dtype=np.int64)
                yield read_values(found, numbers, wanted, self._nulls)

    def _values(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        kind = values.dtype.kind
        if kind == "O":  # text of any length
            texts = [b"" if x is None else x.encode() if isinstance(x, str) else bytes(x) for x in values.ravel()]
            if max(map(len, texts), default=0) > LONGEST:
                raise BadSource(f"{self._path}: column {name!r} has a text of more than {LONGEST} bytes")
            return np.array(texts or [b""], "S")[: len(texts)]
        if kind not in "biufS":
            raise BadSource(f"{self._path}: column {name!r} is of type {values.dtype}, neither numbers nor text")
        return values


def _tables(file: Any) -> list[str]:
    """Compound datasets, but those that only describe another."""
    found: list[str] = []

    def look(name: str, one: Any) -> None:
        if getattr(one, "dtype", None) is not None and one.dtype.names and one.ndim == 1:
            found.append(name)

    file.visititems(look)
    return found
