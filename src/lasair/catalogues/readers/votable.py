"""VOTables: rows in XML as a stream, rows in binary through astropy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.readers.files import explain, open_bytes
from lasair.catalogues.readers.numeric import read_values
from lasair.catalogues.readers.table import LONGEST, ROWS, BadSource, Chunk, Kind, Options, Refusal
from lasair.catalogues.readers.texts import Nulls, read_texts

#: Rows of XML in a chunk: each is an object of Python on its way.
_ROWS = 1 << 15
_TABLEDATA, _BINARY = "TABLEDATA", ("BINARY", "BINARY2", "FITS")


class Votable:
    """The first table of a VOTable. Options: `nulls`."""

    def __init__(self, path: Path, reading: Mapping[str, Any]) -> None:
        options = Options(reading, str(path))
        self._path = path
        given = options.nulls()
        options.done()
        self.rows: int | None = None
        self._fields: list[dict[str, str]] = []
        self._form = self._header()
        self.names: Sequence[str] = [field.get("name") or field.get("ID") or "" for field in self._fields]
        # a number that stands for missing values of one column is taken for all: it is chosen so that it can be none
        own = [field["null"] for field in self._fields if field.get("null")]
        self._nulls = Nulls.of([*(given or []), *own, "nan"] if own or given is not None else None)

    def _events(self) -> Iterator[tuple[str, str, Any]]:
        with open_bytes(self._path) as file:
            try:
                for event, one in ElementTree.iterparse(file, ("start", "end")):
                    yield event, one.tag.rpartition("}")[2], one
            except (ElementTree.ParseError, OSError, EOFError, ValueError) as err:
                raise explain(self._path, err) from err

    def _header(self) -> str:
        """How the rows are written."""
        for event, tag, one in self._events():
            if event == "end" and tag == "FIELD":
                nulls = [child.get("null", "") for child in one if child.tag.rpartition("}")[2] == "VALUES"]
                self._fields.append(dict(one.attrib) | {"null": nulls[0] if nulls else ""})
            elif event == "start" and tag == "TABLE":
                self.rows = int(one.get("nrows")) if str(one.get("nrows", "")).isdecimal() else None
            elif event == "start" and (tag == _TABLEDATA or tag in _BINARY):
                return tag
            elif event == "end" and tag == "INFO" and one.get("value") == "ERROR":
                raise BadSource(
                    f"{self._path}: holds an error instead of a table: {' '.join((one.text or '').split())[:200]}"
                )
        raise BadSource(f"{self._path}: has no table with rows")

    def chunks(self, wanted: Mapping[str, Kind]) -> Iterator[Chunk]:
        """All rows."""
        if self._form != _TABLEDATA:
            yield from self._binary(wanted)
            return
        places = {name: i for i, name in enumerate(self.names) if name in wanted}
        rows: list[list[bytes]] = []
        wrong: dict[int, int] = {}
        number = 0
        # TR elements hang on TABLEDATA until they are taken off
        holder = None
        inside = False
        for event, tag, one in self._events():
            if event == "start" and tag == _TABLEDATA:
                holder, inside = one, True
            elif event == "end" and tag == _TABLEDATA:
                break
            elif inside and event == "end" and tag == "TR":
                number += 1
                cells = [(cell.text or "").encode() for cell in one]
                if len(cells) == len(self.names):
                    rows.append([cells[i] for i in places.values()])
                else:
                    wrong[number] = len(cells)
                one.clear()
                if holder is not None:
                    holder.clear()
                if len(rows) + len(wrong) >= _ROWS:
                    yield self._chunk(rows, wrong, number, list(places), wanted)
                    rows, wrong = [], {}
        if rows or wrong:
            yield self._chunk(rows, wrong, number, list(places), wanted)

    def _chunk(
        self, rows: list[list[bytes]], wrong: dict[int, int], last: int, names: list[str], wanted: Mapping[str, Kind]
    ) -> Chunk:
        first = last - len(rows) - len(wrong) + 1
        numbers = np.array([i for i in range(first, last + 1) if i not in wrong], np.int64)
        refused = []
        for count in sorted(set(wrong.values())):
            at = np.array([number for number, found in wrong.items() if found == count], np.int64)
            refused.append(Refusal(f"has {count} cells instead of {len(self.names)}", at, []))
        long = np.array([any(len(cell) > LONGEST for cell in row) for row in rows], np.bool_)
        if long.any():
            refused.append(Refusal(f"has a text of more than {LONGEST} bytes", numbers[long], []))
            numbers = numbers[~long]
            rows = [row for row, bad in zip(rows, long, strict=True) if not bad]
        letters = {}
        for i, name in enumerate(names):
            column = np.array([row[i] for row in rows] or [b""], "S")[: len(rows)]
            width = max(column.dtype.itemsize, 1)
            letters[name] = column.astype(f"S{width}").view(np.uint8).reshape(len(rows), width)
        return read_texts(letters, numbers, refused, wanted, self._nulls, unit="row")

    def _binary(self, wanted: Mapping[str, Kind]) -> Iterator[Chunk]:
        # the rows are one text in base64, which astropy decodes as a whole
        from astropy.io.votable import parse_single_table

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                table = parse_single_table(str(self._path), verify="ignore")
        except Exception as err:  # astropy raises whatever its parsers met
            raise explain(self._path, err) from err
        names = {str(field.name or field.ID): str(field.ID) for field in table.fields}
        for start in range(0, len(table.array), ROWS):
            block = table.array[start : start + ROWS]
            found = {name: _plain(block[key]) for name, key in names.items() if name in wanted}
            numbers = np.arange(start + 1, start + len(block) + 1, dtype=np.int64)
            yield read_values(found, numbers, wanted, self._nulls)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """A column of astropy's: text as bytes."""
    if values.dtype.kind not in "OU":
        if values.dtype.kind == "S" and isinstance(values, np.ma.MaskedArray):
            return values.filled(b"")
        return values
    mask = np.ma.getmaskarray(values)
    texts = [
        b"" if hidden or x is None else x if isinstance(x, bytes) else str(x).encode()
        for x, hidden in zip(np.ma.getdata(values).tolist(), mask.tolist(), strict=True)
    ]
    return np.array(texts or [b""], "S")[: len(texts)]
