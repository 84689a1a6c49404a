"""The files of a described catalogue, and their rows with standard columns."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.describe import Description, PositionsFrom, is_url
from lasair.catalogues.fetch import CannotFetch, Progress, check_hash, fetch, file_name
from lasair.catalogues.predicate import Values, nearest
from lasair.catalogues.readers.opened import open_table
from lasair.catalogues.readers.table import BadSource, Chunk, Kind, Table
from lasair.catalogues.standard import bad_rows, standard_columns
from lasair.catalogues.validate import Tally
from lasair.errors import BadDefinition, NotFound

Array = NDArray[Any]

#: Standard columns that are text; all others must be numbers.
_TEXTS = ("id", "subtype")


class NoPositions(BadDefinition):
    """A table that does not say where its sources are."""


def local_files(
    description: Description,
    sources: Sequence[str],
    *,
    fetch_into: Path | None,
    option: str = "--source",
    progress: Progress | None = None,
) -> list[Path]:
    """The files and folders that sources name: paths, globs, and URLs when they may be fetched.

    Parameters
    ----------
    fetch_into : folder for what is fetched; None to fetch nothing
    option : of the command that names them, for messages

    Raises
    ------
    NotFound
        There is no such file, or it would have to be fetched.
    """
    found: list[Path] = []
    for source in sources:
        if is_url(source):
            if not source.startswith(("http://", "https://")):
                raise CannotFetch(f"{source}: only http and https are fetched; give the file with {option}")
            if fetch_into is None:
                raise NotFound(
                    f"catalogue {description.name} comes from {source}: "
                    f"say --fetch to fetch it, or give a file with {option}"
                )
            found.append(fetch(source, fetch_into, sha256=_hash(description, source), progress=progress))
            continue
        path = Path(source).expanduser()
        several = [path] if path.exists() else [Path(one) for one in sorted(glob.glob(str(path)))]  # noqa: PTH207
        if not several:
            raise NotFound(f"there is no file {path} for catalogue {description.name}")
        for one in several:
            if one.is_file():
                check_hash(one, _hash(description, one.name), str(one))
        found += several
    if not found:
        raise NotFound(f"catalogue {description.name} names no such file: give one with {option}"
                       f"{f'; see {description.homepage}' if description.homepage else ''}")  # fmt: skip
    return found


def _hash(description: Description, source: str) -> str | None:
    hashes = dict(description.sha256)
    if description.positions_from:
        hashes |= description.positions_from.sha256
    name = source.rsplit("/", 1)[-1] if is_url(source) else source
    return hashes.get(source) or hashes.get(name) or hashes.get(file_name(source) or "" if is_url(source) else name)


def tables_of(path: Path, form: str, reading: Mapping[str, Any]) -> Iterator[tuple[Path, Table]]:
    """The tables of a file, or of a folder of HATS one after another."""
    if path.is_dir():
        if form != "hats":
            raise BadSource(f"{path}: is a folder; only format hats is one. Name its files, such as {path}/*.fits")
        from lasair.catalogues.readers.parquet import hats_files

        for file in hats_files(path):
            yield file, open_table(file, "parquet", reading)
        return
    yield path, open_table(path, form, reading)


class Rows:
    """All rows of the files of a catalogue, as `build` wants them; what is left out is told to a tally."""

    def __init__(
        self,
        description: Description,
        files: Sequence[Path],
        tally: Tally,
        *,
        positions: Positions | None = None,
    ) -> None:
        self._description = description
        self._files = files
        self._tally = tally
        self._positions = positions
        self._needed = description.native_columns()

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for path in self._files:
            form = self._description.format_of(str(path))
            for file, table in tables_of(path, form, self._description.reading_of(form)):
                yield from self._of(file, table)

    def _of(self, file: Path, table: Table) -> Iterator[dict[str, Array]]:
        check_columns(self._description, table.names, file)
        wanted = wanted_kinds(self._description, table.names, self._needed)
        self._tally.begin(file)
        for chunk in table.chunks(wanted):
            self._tally.read(chunk, file)
            if len(chunk.numbers):
                found = self._standard(chunk, file)
                if found is not None:
                    yield found

    def _standard(self, chunk: Chunk, file: Path) -> dict[str, Array] | None:
        description, numbers = self._description, chunk.numbers
        native = dict(chunk.columns)
        if self._positions is not None:
            native |= self._positions.of(native, len(numbers))
        if description.selection is not None:
            values = Values(
                native, len(numbers), optional=description.optional, derive=description.derived,
                single=description.single_columns(),
            )  # fmt: skip
            chosen = description.selection.of(values)
            self._tally.not_selected(int(len(chosen) - chosen.sum()))
            native = {name: column[chosen] for name, column in native.items()}
            numbers = numbers[chosen]
            if not len(numbers):
                return None
        if not native:
            raise BadDefinition(f"{description.label}: no column of {file} is used")
        found = standard_columns(description, native)
        bad = np.zeros(len(numbers), np.bool_)
        for mask, reason in bad_rows(found):
            if mask.any():
                at = np.flatnonzero(mask)
                examples = [f"ra {found['ra'][i]:g}, decl {found['decl'][i]:g}" if reason != "no id" else ""
                            for i in at[:10]]  # fmt: skip
                self._tally.refuse(reason, file, chunk.unit, numbers[at], examples)
                bad |= mask
        if bad.any():
            found = {name: column[~bad] for name, column in found.items()}
        self._tally.use(found["ra"], found["decl"])
        return found if len(found["ra"]) else None


class Positions:
    """Positions of a second table, found by a key. It is kept in memory."""

    def __init__(self, given: PositionsFrom, files: Sequence[Path], form: str, memory_bytes: int) -> None:
        """Read all of it.

        Raises
        ------
        BadSource
            A file cannot be read, lacks a column, or needs more memory than that.
        """
        self._given = given
        kinds: dict[str, Kind] = {given.key: "any", given.ra: "number", given.decl: "number"}
        if given.reading.get("sexagesimal"):
            kinds |= {given.ra: "any", given.decl: "any"}
        parts: dict[str, list[Array]] = {name: [] for name in kinds}
        size = 0
        for path in files:
            for file, table in tables_of(path, form, given.reading):
                for name in kinds:
                    if name not in table.names:
                        raise BadSource(f"{file}: has no column {name!r} of positions_from{nearest(name, table.names)}")
                for chunk in table.chunks(kinds):
                    for name in kinds:
                        values = chunk.columns[name]
                        part = _keys(values) if name == given.key else values
                        parts[name].append(part)
                        size += part.nbytes
                    if size > memory_bytes:
                        raise BadSource(f"{file}: its positions need more than {memory_bytes >> 20} MB; give --memory")
        joined = {name: np.concatenate(part) if part else np.zeros(0, "S1") for name, part in parts.items()}
        keys = joined[given.key]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.ones(len(keys), np.bool_)
        first[1:] = keys[1:] != keys[:-1]  # of several rows with one key the first counts
        first &= keys != b""
        self._keys = keys[first]
        self._ra, self._decl = joined[given.ra][order][first], joined[given.decl][order][first]

    def of(self, native: Mapping[str, Array], n: int) -> dict[str, Array]:
        """The two columns for rows of the first table; missing where its key is not there."""
        column = self._given.by or self._given.key
        keys = _keys(native[column])
        at = np.minimum(np.searchsorted(self._keys, keys), max(len(self._keys) - 1, 0))
        there = self._keys[at] == keys if len(self._keys) else np.zeros(n, np.bool_)
        found = {}
        for name, values in ((self._given.ra, self._ra), (self._given.decl, self._decl)):
            blank = b"" if values.dtype.kind == "S" else np.nan
            found[name] = np.where(there, values[at], blank) if len(values) else np.full(n, np.nan)
        return found


def _keys(values: Array) -> Array:
    if values.dtype.kind == "S":
        return values
    return np.asarray(np.ma.filled(values.astype("S24"), b""))


# ------------------------------------------------------------------------------------------------------------ columns


def resolved(description: Description, name: str, names: Sequence[str]) -> str | None:
    """The column of a table that a name means, itself or by `derive`; None for none or a calculated one."""
    seen: set[str] = set()
    while name not in names:
        text = description.derive.get(name, "").strip().strip("`")
        if not text or name in seen:
            return None
        seen.add(name)
        name = text
    return name


def missing_columns(description: Description, names: Sequence[str]) -> list[str]:
    """Columns that a description needs and a table does not have, in alphabetical order."""
    there = set(names)
    if description.positions_from:
        there |= {description.positions_from.ra, description.positions_from.decl}
        there_by = {description.positions_from.by or description.positions_from.key}
    else:
        there_by = set()

    def lacks(name: str, path: tuple[str, ...]) -> bool:
        if name in there or name in description.optional:
            return False
        made = description.derived.get(name)
        if made is None or name in path:
            return True
        return any(lacks(one, (*path, name)) for one in made.columns)

    used = set(there_by)
    for source in description.mapping().values():
        # a name such as `B-V` is in the language by chance
        used |= {source.source} if source.source in there else source.expression.columns
    for view in description.views.values():
        used |= view.predicate.columns
    if description.selection:
        used |= description.selection.columns
    return sorted(name for name in used if lacks(name, ()))


def check_columns(description: Description, names: Sequence[str], file: Path) -> None:
    """Refuse a table that lacks columns, by name.

    Raises
    ------
    NoPositions
        Those of the position are among them.
    BadSource
        Others.
    """
    missing = missing_columns(description, names)
    if not missing:
        return
    position = {name for key in ("ra", "decl") for name in description.mapping()[key].expression.columns}
    lost = [name for name in missing if name in position]
    listed = ", ".join(map(repr, missing))
    if lost:
        raise NoPositions(
            f"{file} has no positions: there is no column {', '.join(map(repr, lost))}, which "
            f"{description.label} takes them from; name the right ones there, or a second table that has "
            f"them (positions_from). All that is missing: {listed}; the file has {_few(names)}"
        )
    raise BadSource(
        f"{file}: there is no column {listed}, which {description.label} uses{nearest(missing[0], names)}; "
        "columns that a file may lack are listed under optional"
    )


def _few(names: Sequence[str]) -> str:
    shown = [name for name in names if name]
    return ", ".join(shown[:12]) + (", …" if len(shown) > 12 else "")


def wanted_kinds(description: Description, names: Sequence[str], needed: frozenset[str]) -> dict[str, Kind]:
    """The columns to read of a table, and as what."""
    used = set(needed)
    for source in description.mapping().values():
        used.add(source.source)
    wanted: dict[str, Kind] = {name: "any" for name in names if name in used}
    sexagesimal = bool(description.reading.get("sexagesimal"))
    for key, source in description.mapping().items():
        name = resolved(description, source.source, names)
        if name is None or name not in wanted or key in _TEXTS or (sexagesimal and key in ("ra", "decl")):
            continue
        wanted[name] = "number"
    identity = resolved(description, description.columns["id"].source, names)
    if identity in wanted:
        wanted[str(identity)] = "id"
    subtype = description.columns.get("subtype")
    kind_of = resolved(description, subtype.source, names) if subtype else None
    if kind_of in wanted and wanted[str(kind_of)] == "number":
        wanted[str(kind_of)] = "any"
    return wanted
