"""Comma-separated values and their relatives, streamed through pyarrow."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from lasair.catalogues.readers.files import explain, open_bytes
from lasair.catalogues.readers.table import EXAMPLES, LONGEST, BadSource, Chunk, Kind, Options, Refusal
from lasair.catalogues.readers.texts import Nulls, letters_of, read_texts

#: Bytes of the file in a chunk.
_BLOCK = 1 << 23

#: Longest line [bytes] of a header.
_LINE = 1 << 20


class Csv:
    """A file of comma-separated values.

    Options: `delimiter`, `quote` (a character, or '' for none), `comment` (what lines begin with that are none of the
    table), `skip` (lines before the header), `header` (names, for a file without a line of them), `loose_quotes` (texts
    in quotes have blanks outside of them), `encoding`, `nulls`.
    """

    rows: int | None = None

    def __init__(self, path: Path, reading: Mapping[str, Any]) -> None:
        options = Options(reading, str(path))
        self._path = path
        tabs = path.name.lower().removesuffix(".gz").endswith(".tsv")
        self._delimiter = options.letter("delimiter", "\t" if tabs else ",") or ","
        self._quote = options.take("quote", str, '"')
        self._comment = options.take("comment", str, "#" if ".ecsv" in path.name.lower() else None)
        self._skip = options.count("skip")
        self._loose = bool(options.take("loose_quotes", bool, False))
        self._encoding = options.take("encoding", str, "utf-8")
        self._nulls = Nulls.of(options.nulls())
        header = options.take("header", list)
        options.done()
        try:
            "".encode(self._encoding)
        except LookupError as err:
            raise BadSource(f"{path}: reading: there is no encoding {self._encoding!r}") from err
        self._named = header is not None
        self.names: Sequence[str] = [str(name) for name in header] if header is not None else self._header()
        twice = sorted({name for name in self.names if name and self.names.count(name) > 1})
        if twice:
            raise BadSource(
                f"{path}: two columns are called {', '.join(map(repr, twice))}; name them with reading: header"
            )

    def _header(self) -> list[str]:
        with open_bytes(self._path) as file:
            try:
                line = self._begin(file)
            except (OSError, EOFError, ValueError) as err:
                raise explain(self._path, err) from err
        if not line.strip():
            raise BadSource(f"{self._path}: is empty: there is no line with names of columns")
        try:
            text = line.decode(self._encoding).lstrip("\ufeff")
        except UnicodeDecodeError as err:
            raise BadSource(f"{self._path}: is no text in {self._encoding}: {err}") from err
        if "\0" in text:
            raise BadSource(f"{self._path}: is no text: its first line has zero bytes")
        cells = next(csv.reader([text], delimiter=self._delimiter, quotechar=self._quote or None,
                                quoting=csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE,
                                skipinitialspace=True), [])  # fmt: skip
        return [cell.strip() for cell in cells]

    def _begin(self, file: Any) -> bytes:
        """Read up to the header, which is given, or up to the first row when names are known."""
        for _ in range(self._skip):
            file.readline()
        if self._named:
            return b""
        while True:
            line = file.readline(_LINE)
            if len(line) == _LINE:
                raise ValueError(f"its header is longer than {_LINE} bytes")
            start = line.lstrip(b"\xef\xbb\xbf \t")
            is_comment = self._comment and start.startswith(self._comment.encode())
            if not line or (line.strip() and not is_comment):
                return bytes(line)

    def chunks(self, wanted: Mapping[str, Kind]) -> Iterator[Chunk]:
        """All rows."""
        with open_bytes(self._path) as file:
            odd = _Odd(self._comment)
            done = 0
            try:
                self._begin(file)
                reader = self._open(file, [name for name in self.names if name in wanted], odd)
                if reader is None:
                    return
                for batch in reader:
                    numbers, refused = odd.place(done, batch.num_rows)
                    done = int(numbers[-1]) if len(numbers) else done
                    yield self._chunk(batch, numbers, refused, wanted)
            except (pa.ArrowException, OSError, EOFError, ValueError) as err:
                raise explain(self._path, err) from err
            rest = odd.rest()
            if rest:
                yield Chunk({}, np.zeros(0, np.int64), rest)

    def _open(self, file: Any, names: list[str], odd: _Odd) -> Any:
        if not file.peek(1) if hasattr(file, "peek") else False:
            return None
        # columns without a name (of an index, say) cannot be wanted, but must differ for arrow
        unique = [name or f"\0{i}" for i, name in enumerate(self.names)]
        return pacsv.open_csv(
            pa.PythonFile(file, mode="r"),
            pacsv.ReadOptions(
                # numbers of rows that are refused are known in one thread only
                use_threads=False, block_size=_BLOCK, column_names=unique, encoding=self._encoding
            ),
            pacsv.ParseOptions(delimiter=self._delimiter, quote_char=self._quote or False, invalid_row_handler=odd),
            pacsv.ConvertOptions(
                include_columns=names, column_types={name: pa.binary() for name in names}, check_utf8=False,
                strings_can_be_null=False,
            ),
        )  # fmt: skip

    def _chunk(
        self, batch: Any, numbers: NDArray[np.int64], refused: list[Refusal], wanted: Mapping[str, Kind]
    ) -> Chunk:
        long = np.zeros(batch.num_rows, np.bool_)
        for column in batch.columns:
            long |= pc.binary_length(column).to_numpy(zero_copy_only=False) > LONGEST
        if long.any():
            refused = [*refused, Refusal(f"has a text of more than {LONGEST} bytes", numbers[long], [])]
            batch, numbers = batch.filter(pa.array(~long)), numbers[~long]
        letters = {name: letters_of(batch.column(i)) for i, name in enumerate(batch.schema.names)}
        quote = ord(self._quote) if self._loose and self._quote else 0
        return read_texts(letters, numbers, refused, wanted, self._nulls, unit="row", quote=quote)


class _Odd:
    """Collects rows with too many or too few columns; arrow calls it, perhaps ahead of the batch they belong to."""

    def __init__(self, comment: str | None) -> None:
        self._comment = comment
        self._lock = threading.Lock()
        self._numbers: list[int] = []
        self._reasons: list[tuple[str, str] | None] = []

    def __call__(self, row: Any) -> str:
        text = row.text or ""
        reason = None
        if not (self._comment and text.lstrip().startswith(self._comment)):
            shown = text if len(text) <= 60 else text[:60] + "…"
            reason = (f"has {row.actual_columns} columns instead of {row.expected_columns}", repr(shown))
        with self._lock:
            self._numbers.append(row.number)
            self._reasons.append(reason)
        return "skip"

    def place(self, done: int, n: int) -> tuple[NDArray[np.int64], list[Refusal]]:
        """Numbers of the next n good rows after row `done`, and the bad rows among and before them."""
        with self._lock:
            bad = np.array(self._numbers, np.int64)
            # the k-th good row moves on by the bad ones before it
            before = np.searchsorted(bad - np.arange(len(bad)), done + 1 + np.arange(n), side="right")
            numbers = done + 1 + np.arange(n) + before
            used = int(before[-1]) if n else 0
            gone = list(zip(self._numbers[:used], self._reasons[:used], strict=True))
            del self._numbers[:used], self._reasons[:used]
        return numbers.astype(np.int64), _refusals(gone)

    def rest(self) -> list[Refusal]:
        """Bad rows after the last good one."""
        return _refusals(list(zip(self._numbers, self._reasons, strict=True)))


def _refusals(gone: list[tuple[int, tuple[str, str] | None]]) -> list[Refusal]:
    found: dict[str, tuple[list[int], list[str]]] = {}
    for number, reason in gone:
        if reason is not None:
            rows, examples = found.setdefault(reason[0], ([], []))
            rows.append(number)
            if len(examples) < EXAMPLES:
                examples.append(reason[1])
    return [Refusal(reason, np.array(rows, np.int64), examples) for reason, (rows, examples) in found.items()]
