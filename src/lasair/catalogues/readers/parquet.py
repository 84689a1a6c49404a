"""Parquet files, and catalogues in HATS: folders of such files, a cell of the sky each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lasair.catalogues.readers.files import explain
from lasair.catalogues.readers.numeric import read_values
from lasair.catalogues.readers.table import LONGEST, ROWS, BadSource, Chunk, Kind, Options, Refusal
from lasair.catalogues.readers.texts import Nulls, letters_of

#: Types of text beside arrow's plain ones.
_OTHER_TEXTS = ("large_string", "large_binary", "string_view", "binary_view")

_PROPERTIES = ("hats.properties", "properties")


class Parquet:
    """A Parquet file. A field of a structure is called `structure.field`. Options: `nulls`."""

    def __init__(self, path: Path, reading: Mapping[str, Any]) -> None:
        options = Options(reading, str(path))
        self._path = path
        self._nulls = Nulls.of(options.nulls() or [])
        options.done()
        with self._open() as file:
            self.rows: int | None = file.metadata.num_rows
            self.names: Sequence[str] = _leaves(file.schema_arrow)

    def _open(self) -> Any:
        if not self._path.is_file():
            raise BadSource(f"{self._path}: there is no such file")
        try:
            return pq.ParquetFile(self._path, pre_buffer=False)
        except (pa.ArrowException, OSError, ValueError) as err:
            raise explain(self._path, err) from err

    def chunks(self, wanted: Mapping[str, Kind]) -> Iterator[Chunk]:
        """All rows."""
        names = [name for name in self.names if name in wanted]
        done = 0
        with self._open() as file:
            try:
                for batch in file.iter_batches(batch_size=ROWS, columns=names, use_threads=False):
                    n = batch.num_rows
                    numbers = np.arange(done + 1, done + n + 1, dtype=np.int64)
                    done += n
                    yield self._chunk(batch, names, numbers, wanted)
            except (pa.ArrowException, OSError, ValueError) as err:
                raise explain(self._path, err) from err

    def _chunk(self, batch: Any, names: Sequence[str], numbers: NDArray[np.int64], wanted: Mapping[str, Kind]) -> Chunk:
        long = np.zeros(len(numbers), np.bool_)
        columns = {name: _leaf(batch, name) for name in names}
        for values in columns.values():
            if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
                long |= pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False) > LONGEST
        refused: list[Refusal] = []
        if long.any():
            refused = [Refusal(f"has a text of more than {LONGEST} bytes", numbers[long], [])]
            columns = {name: values.filter(pa.array(~long)) for name, values in columns.items()}
            numbers = numbers[~long]
        found = {name: self._values(name, values) for name, values in columns.items()}
        chunk = read_values(found, numbers, wanted, self._nulls)
        return chunk._replace(refused=[*refused, *chunk.refused])

    def _values(self, name: str, values: Any) -> NDArray[Any]:
        kind = values.type
        if pa.types.is_dictionary(kind):
            values = values.dictionary_decode()
            kind = values.type
        if pa.types.is_string(kind) or pa.types.is_binary(kind):
            letters = letters_of(values)
            return letters.view(f"S{letters.shape[1]}").reshape(len(letters))
        if pa.types.is_null(kind):
            return np.full(len(values), np.nan)
        if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
            values, kind = values.cast(pa.float64()), pa.float64()
        if pa.types.is_boolean(kind):
            values, kind = values.cast(pa.uint8()), pa.uint8()
        if pa.types.is_floating(kind):
            return np.asarray(values.to_numpy(zero_copy_only=False))
        if pa.types.is_integer(kind):
            if not values.null_count:
                return np.asarray(values.to_numpy(zero_copy_only=False))
            mask = values.is_null().to_numpy(zero_copy_only=False)
            return np.ma.array(pc.fill_null(values, 0).to_numpy(zero_copy_only=False), mask=mask)
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            found = np.empty(len(values), object)
            found[:] = values.to_pylist()
            return found
        raise BadSource(f"{self._path}: column {name!r} is of type {kind}, which is neither numbers nor text")


def _leaves(schema: Any, prefix: str = "") -> list[str]:
    """Names of columns and of fields of structures."""
    found = []
    for field in schema:
        if pa.types.is_struct(field.type):
            found += _leaves(field.type, f"{prefix}{field.name}.")
        else:
            found.append(prefix + field.name)
    return found


def _leaf(batch: Any, name: str) -> Any:
    """A column of a batch by its whole name; names may have dots of their own."""
    for top in batch.schema.names:
        if name == top or name.startswith(f"{top}."):
            values, rest = batch.column(batch.schema.get_field_index(top)), name[len(top) + 1 :]
            while rest and pa.types.is_struct(values.type):
                field = next(one.name for one in values.type if rest == one.name or rest.startswith(f"{one.name}."))
                values, rest = pc.struct_field(values, field), rest[len(field) + 1 :]
            return values.cast(pa.binary()) if str(values.type) in _OTHER_TEXTS else values
    raise KeyError(name)


def hats_files(folder: Path) -> list[Path]:
    """The files of a catalogue in HATS, in the order of the sky.

    Raises
    ------
    BadSource
        The folder has none; or `hats.properties` is of something else than a table of sources.
    """
    properties = _properties(folder)
    kind = properties.get("dataproduct_type", properties.get("catalog_type", "object"))
    if kind not in ("object", "source"):
        raise BadSource(f"{folder}: is a HATS {kind}, not a catalogue of objects or sources")
    found = []
    for path in folder.rglob("*.parquet"):
        text = str(path.relative_to(folder))
        match = re.search(r"Norder=(\d+)(?:/Dir=\d+)?/Npix=(\d+)(?:/(.+))?(?:\.parquet)?$", text)
        if match:
            order, pixel = int(match[1]), int(match[2])
            # by the first cell at the finest order, so that rows come nearly sorted
            found.append(((pixel << (2 * (29 - min(order, 29))), match[3] or ""), path))
    if not found:
        raise BadSource(f"{folder}: is no HATS catalogue: it has no files Norder=…/Dir=…/Npix=….parquet")
    return [path for _, path in sorted(found)]


def hats_rows(folder: Path) -> int | None:
    """How many rows a HATS catalogue says that it has."""
    text = _properties(folder).get("hats_nrows", "")
    return int(text) if text.isdecimal() else None


def _properties(folder: Path) -> dict[str, str]:
    for name in _PROPERTIES:
        path = folder / name
        if path.is_file():
            try:
                lines = path.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as err:
                raise explain(path, err) from err
            pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
            return {key.strip(): value.strip() for key, value in pairs}
    return {}
