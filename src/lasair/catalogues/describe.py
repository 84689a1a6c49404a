"""A catalogue as a person describes it: the YAML file that `lasair catalogue add` takes (there called the manifest).

It says where the table comes from, what its columns are, and which rows belong to which view. It is not the manifest of
a built release (`manifest.py`), which follows from this one and from the rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from lasair.catalogues.columns import BANDS, BY_NAME
from lasair.catalogues.healpix import all_centres
from lasair.catalogues.predicate import (
    Expression,
    Predicate,
    compile_expression,
    compile_predicate,
    expression_or_name,
    nearest,
)
from lasair.errors import BadDefinition

if TYPE_CHECKING:
    from mocpy import MOC

Format = Literal["fits", "votable", "csv", "parquet", "hats", "fixed_width", "vizier", "hdf5"]

#: Ends of names of files, without that of compression.
_SELF_DESCRIBING = ("fits", "votable", "parquet", "hats", "hdf5")
_SUFFIXES: dict[str, Format] = {
    ".fits": "fits",
    ".fit": "fits",
    ".fts": "fits",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
    ".csv": "csv",
    ".ecsv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".hdf5": "hdf5",
    ".h5": "hdf5",
    ".hdf": "hdf5",
}
_PACKED = (".gz", ".bz2", ".xz", ".fz")

#: Standard columns that a description maps; the rest of a release follows from other keys.
STANDARD = (
    *("ra", "decl", "id", "subtype", "z", "photo_z", "photo_z_err", "distance_mpc", "size_arcsec"),
    *("pm_ra", "pm_decl"),
)
_TEXT = ("id", "subtype")

#: Order of the cells by which a footprint is drawn from a condition: 14', each in when its centre is.
_FOOTPRINT_ORDER = 8

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
_NAME = re.compile(r"[a-z0-9_]{1,60}")
#: bands without the underscore that tells them apart
_BARE = {band.lstrip("_") for band in BANDS}


def _checked(text: str) -> str:
    """A condition that compiles, as it is; ValueError for pydantic to place."""
    try:
        compile_predicate("True" if text.strip() == "all" else text)
    except BadDefinition as err:
        raise ValueError(str(err)) from err
    return text


def _as_source(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


class Source(BaseModel):
    """Where the values of a standard column come from: value * factor + offset."""

    model_config = _STRICT

    #: a column of the table, or an expression of its columns
    source: str = Field(alias="from")
    factor: float = 1.0
    offset: float = 0.0

    @field_validator("source")
    @classmethod
    def _something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("names no column")
        return value

    @property
    def expression(self) -> Expression:
        """The text compiled; what is no expression (`Kron radius`, `B-V mag`, `class`) is the name of a column."""
        return expression_or_name(self.source)


def _source(text: str, factor: float = 1.0, offset: float = 0.0) -> Source:
    return Source.model_validate({"from": text, "factor": factor, "offset": offset})


class Magnitude(BaseModel):
    """A band: magnitude and error."""

    model_config = _STRICT

    source: str = Field(alias="from", min_length=1)
    error: str | None = Field(default=None, min_length=1)


class View(BaseModel):
    """Rows that searches ask for by one name."""

    model_config = _STRICT

    where: str
    #: keep the rows in a file of their own: for a view of few rows of a large catalogue
    sparse: bool = False

    @field_validator("where")
    @classmethod
    def _compiles(cls, value: str) -> str:
        return _checked(value)

    @property
    def predicate(self) -> Predicate:
        """The condition compiled; `all` holds for every row."""
        return compile_predicate("True" if self.where.strip() == "all" else self.where)


class PositionsFrom(BaseModel):
    """A second table that has the positions, found by a key."""

    model_config = _STRICT

    source: tuple[str, ...]
    #: column of the second table, and of the table itself when it is called otherwise there
    key: str
    by: str | None = None
    ra: str
    decl: str
    format: Format | None = None
    reading: dict[str, Any] = {}
    sha256: dict[str, str] = {}

    @field_validator("source", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Canary(BaseModel):
    """A source that a good release must give at a position."""

    model_config = _STRICT

    ra: float = Field(ge=0, le=360)
    decl: float = Field(ge=-90, le=90)
    id: str
    #: [arcsec]
    radius: float = Field(default=1.0, gt=0, le=3600)

    @field_validator("id", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class MocFile(BaseModel):
    """A footprint in a file (FITS, JSON or ASCII MOC)."""

    model_config = _STRICT

    moc: str


class Where(BaseModel):
    """A footprint as a condition on `ra` and `decl` [deg, ICRS]."""

    model_config = _STRICT

    where: str

    @field_validator("where")
    @classmethod
    def _position_only(cls, value: str) -> str:
        other = compile_predicate(_checked(value)).columns - {"ra", "decl"}
        if other:
            raise ValueError(f"a footprint is a condition on ra and decl, not on {', '.join(sorted(other))}")
        return value


class Description(BaseModel):
    """One catalogue. See `docs/catalogues.md` for the keys in a user's words; units are those of `columns.py`."""

    model_config = _STRICT

    name: str
    title: str = Field(min_length=1)
    version: str = Field(min_length=1)
    about: str = ""
    licence: str = ""
    citation: str = ""
    acknowledgement: str = ""
    #: page for people: what it is, and where to get what `source` cannot name
    homepage: str = ""
    #: URLs, or files and globs of them, relative to the folder of the description
    source: tuple[str, ...] = ()
    #: name of a file → its hash
    sha256: dict[str, str] = {}
    #: how many rows there should be
    rows: int | None = Field(default=None, ge=0)
    format: Format | None = None
    #: options of the format, checked by its reader
    reading: dict[str, Any] = {}
    frame: Literal["icrs", "fk5", "galactic"] = "icrs"
    #: Julian year of the positions
    epoch: float = Field(default=2000.0, ge=1800, le=2200)
    columns: dict[str, Source]
    magnitudes: dict[str, Magnitude] = {}
    #: columns that files of another make lack → expression of columns that they have
    derive: dict[str, str] = {}
    #: columns that the table may lack; they are missing then
    optional: frozenset[str] = frozenset()
    #: standard columns that are 4-byte floats in the original service
    float32: tuple[str, ...] = ()
    select: str | None = None
    views: dict[str, View] = {"all": View(where="all")}
    positions_from: PositionsFrom | None = None
    coverage: Literal["all-sky", "derived"] | MocFile | Where = "derived"
    canaries: tuple[Canary, ...] = ()
    searches: tuple[dict[str, Any], ...] = ()
    #: standard column → column that the original service takes for it by mistake
    compat: dict[str, str] = {}

    #: file it was read from
    _path: Path | None = PrivateAttr(default=None)

    # ------------------------------------------------------------------------------------------------------ checks

    @field_validator("name")
    @classmethod
    def _good_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(f"{value!r} is no name of a catalogue: lower-case letters, digits and _, at most 60")
        return value

    @field_validator("version", "title", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    @field_validator("source", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("columns", mode="before")
    @classmethod
    def _columns(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        for key in value:
            if key not in STANDARD:
                hint = nearest(str(key), STANDARD)
                more = "; bands go under magnitudes" if str(key).lstrip("_").removesuffix("Err") in _BARE else hint
                raise ValueError(f"no standard column {key!r}{more}")
        missing = [key for key in ("ra", "decl", "id") if key not in value]
        if missing:
            raise ValueError(f"needs {' and '.join(missing)}: every source has a position and an id")
        return {key: _as_source(one) for key, one in value.items()}

    @field_validator("columns")
    @classmethod
    def _plain_texts(cls, value: dict[str, Source]) -> dict[str, Source]:
        for key in _TEXT:
            if key in value and (value[key].factor, value[key].offset) != (1.0, 0.0):
                raise ValueError(f"{key}: has a factor or an offset, but is no quantity")
        return value

    @field_validator("magnitudes", mode="before")
    @classmethod
    def _bands(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        for key in value:
            if key not in BANDS:
                raise ValueError(f"no band {key!r}{nearest(str(key), BANDS)}; the bands are {', '.join(BANDS)}")
        return {key: {"from": one} if isinstance(one, str) else one for key, one in value.items()}

    @field_validator("derive")
    @classmethod
    def _derive(cls, value: dict[str, str]) -> dict[str, str]:
        for key, text in value.items():
            try:
                compile_expression(text)
            except BadDefinition as err:
                raise ValueError(f"{key}: {err}") from err
        return value

    @field_validator("views", mode="before")
    @classmethod
    def _views(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        if not value:
            raise ValueError("there are no views; leave the key out for one view, all")
        for key in value:
            if not isinstance(key, str) or not _NAME.fullmatch(key):
                raise ValueError(f"{key!r} is no name of a view: lower-case letters, digits and _, at most 60")
        if len(value) > 32:
            raise ValueError(f"there are {len(value)} views; 32 are possible")
        return {key: {"where": one} if isinstance(one, str) else one for key, one in value.items()}

    @field_validator("select")
    @classmethod
    def _select(cls, value: str | None) -> str | None:
        return None if value is None else _checked(value)

    @field_validator("coverage", mode="before")
    @classmethod
    def _coverage(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        try:
            return (Where if "where" in value else MocFile).model_validate(value)
        except ValidationError as err:
            raise ValueError("; ".join(_problems(err))) from err

    @field_validator("float32")
    @classmethod
    def _floats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one not in BY_NAME or not BY_NAME[one].dtype.startswith("f"):
                raise ValueError(f"{one!r} is no standard column of numbers with a fraction")
        return value

    @field_validator("compat")
    @classmethod
    def _compat(cls, value: dict[str, str]) -> dict[str, str]:
        for one in value:
            if one not in BY_NAME or one in ("id", "views", "given_ra", "given_decl"):
                raise ValueError(f"{one!r} is no standard column that could be mapped otherwise")
        return value

    @field_validator("sha256")
    @classmethod
    def _hashes(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
                raise ValueError(f"{name}: {text!r} is no SHA-256: 64 hexadecimal digits")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for key, value in self.searches_here().items():
            where = str(value.get("in", "all"))
            view = where.split(":")[-1]
            if view not in self.views:
                raise ValueError(f"searches: {key!r} asks for the view {view!r}, which is not defined"
                                 f"{nearest(view, self.views)}")  # fmt: skip
        return self

    def searches_here(self) -> dict[str, Mapping[str, Any]]:
        """Name of each search → the search."""
        return {str(one.get("name", i)): one for i, one in enumerate(self.searches)}

    # -------------------------------------------------------------------------------------------------------- use

    @property
    def path(self) -> Path | None:
        """The file it was read from; None when it was made otherwise."""
        return self._path

    @property
    def folder(self) -> Path:
        """Folder that paths in it are relative to."""
        return self._path.parent if self._path else Path()

    def sources(self) -> list[str]:
        """URLs as they are, and paths (and globs) made absolute."""
        return [self.located(one) for one in self.source]

    def located(self, source: str) -> str:
        """A source of this or the second table: a URL as it is, a path relative to `folder`."""
        return source if is_url(source) else str((self.folder / Path(source).expanduser()).absolute())

    @property
    def sparse_views(self) -> list[str]:
        """Views whose rows are kept in a file."""
        return [name for name, view in self.views.items() if view.sparse]

    @property
    def selection(self) -> Predicate | None:
        """Which rows of the table belong to the catalogue; None for all."""
        return None if self.select is None else compile_predicate(self.select)

    @property
    def derived(self) -> dict[str, Expression]:
        """Expressions of columns that a table may lack."""
        return {name: compile_expression(text) for name, text in self.derive.items()}

    def mapping(self, *, compat: bool = False) -> dict[str, Source]:
        """Standard column → where it comes from, bands included; with `compat`, as the original service maps it."""
        found = dict(self.columns)
        for band, magnitude in self.magnitudes.items():
            found[band] = _source(magnitude.source)
            if magnitude.error is not None:
                found[f"{band}Err"] = _source(magnitude.error)
        for name, source in self.compat.items() if compat else ():
            old = found.get(name)
            found[name] = _source(source) if old is None else _source(source, old.factor, old.offset)
        return found

    def native_columns(self, *, compat: bool = False) -> frozenset[str]:
        """Columns to read, of those that the table has: also what columns of `derive` are made of."""
        used = set().union(*(one.expression.columns for one in self.mapping(compat=compat).values()))
        for view in self.views.values():
            used |= view.predicate.columns
        if self.selection:
            used |= self.selection.columns
        more = set(used)
        while more:
            more = set().union(*(self.derived[name].columns for name in more if name in self.derived)) - used
            used |= more
        if self.positions_from:
            used -= {self.positions_from.ra, self.positions_from.decl}
            used.add(self.positions_from.by or self.positions_from.key)
        return frozenset(used)

    def single_columns(self) -> frozenset[str]:
        """Columns of the table that the original service keeps as 4-byte floats."""
        return frozenset().union(
            *(self.mapping()[name].expression.columns for name in self.float32 if name in self.mapping())
        )

    def dtypes(self, *, exact: bool = False) -> dict[str, str]:
        """Types of columns for `build`: those in `float32` are f4; with `exact` all other bands are f8."""
        found = {f"{band}{end}": "f8" for band in self.magnitudes for end in ("", "Err")} if exact else {}
        return found | dict.fromkeys(self.float32, "f4")

    def footprint(self) -> str | MOC:
        """Coverage for `build`: 'all-sky', 'derived' or a mocpy.MOC.

        Raises
        ------
        BadDefinition
            The file of the MOC cannot be read.
        """
        if isinstance(self.coverage, str):
            return self.coverage
        if isinstance(self.coverage, MocFile):
            return _read_moc(self.folder / self.coverage.moc)
        return _moc_where(self.coverage.where)

    def release_about(self) -> dict[str, Any]:
        """What a built release keeps of the description, for JSON."""
        return {
            "text": self.about,
            "licence": self.licence,
            "citation": self.citation,
            "acknowledgement": self.acknowledgement,
            "homepage": self.homepage,
            "source": list(self.source),
            "frame": self.frame,
            "epoch": self.epoch,
            "expected_rows": self.rows,
            "select": self.select,
            "columns": {
                name: one.model_dump(by_alias=True, exclude_defaults=True) for name, one in self.columns.items()
            },
            "magnitudes": {name: one.model_dump(by_alias=True) for name, one in self.magnitudes.items()},
            "views": {name: one.where for name, one in self.views.items()},
            "searches": [dict(one) for one in self.searches],
            "canaries": [one.model_dump() for one in self.canaries],
        }

    def reading_of(self, form: Format) -> dict[str, Any]:
        """Options for reading a file of a format: all, or for another format than the described those of any format."""
        if form == (self.format or form):
            return dict(self.reading)
        return {name: value for name, value in self.reading.items() if name in ("nulls", "sexagesimal")}

    def format_of(self, source: str) -> Format:
        """Format of a file of the source, or of one that is given instead.

        A name that ends like a format that describes itself is believed; of others `format` tells what they are.

        Raises
        ------
        BadDefinition
            The description has no `format`, and the name does not tell.
        """
        told = guess_format(source)
        found = told if told in _SELF_DESCRIBING else self.format or told
        if found is None:
            known = "fits, votable, csv, parquet, hats, fixed_width, vizier, hdf5"
            raise BadDefinition(
                f"{self.label}: the name of {source} does not tell its format; say format: one of {known}"
            )
        return found

    @property
    def label(self) -> str:
        """The file for messages, or the name."""
        return str(self._path) if self._path else self.name


def is_url(source: str) -> bool:
    """Whether a source is to be fetched."""
    return re.match(r"[a-z][a-z0-9+.-]*://", source) is not None


def guess_format(source: str) -> Format | None:
    """Format by the end of a name; a folder with the files of HATS is 'hats'; None when neither tells."""
    path = Path(re.sub(r"[?#].*", "", source) if is_url(source) else source)
    name = path.name.lower()
    for end in _PACKED:
        name = name.removesuffix(end)
    if not is_url(source) and path.is_dir():
        marks = ("hats.properties", "properties", "collection.properties", "partition_info.csv")
        return "hats" if any((path / mark).exists() for mark in marks) else None
    return _SUFFIXES.get(Path(name).suffix)


def _read_moc(path: Path) -> MOC:
    from mocpy import MOC

    kind = {".json": "json", ".txt": "ascii", ".ascii": "ascii"}.get(path.suffix.lower(), "fits")
    try:
        return MOC.load(path, kind)
    except Exception as err:  # mocpy raises whatever its parser met
        raise BadDefinition(f"coverage: cannot read the MOC {path} as {kind}: {err}") from err


def _moc_where(text: str) -> MOC:
    from mocpy import MOC

    ra, decl = all_centres(_FOOTPRINT_ORDER)
    cells = np.flatnonzero(compile_predicate(text)({"ra": ra, "decl": decl}, len(ra))).astype(np.uint64)
    order = np.full(len(cells), _FOOTPRINT_ORDER, np.uint8)
    return MOC.from_healpix_cells(cells, order, max_depth=_FOOTPRINT_ORDER)


# ---------------------------------------------------------------------------------------------------------- reading


class _Loader(yaml.SafeLoader):
    """Safe, and a key given twice is an error instead of losing the first."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if isinstance(key, (str, int, float)) and key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        if isinstance(key, (str, int, float)):
            seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def shipped() -> list[str]:
    """Names of the descriptions that come with the program."""
    folder = files("lasair.catalogues") / "descriptions"
    return sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml"))


def load_description(path_or_name: str | Path) -> Description:
    """Read a description: a YAML file, or one of `shipped()` by name.

    Raises
    ------
    BadDefinition
        There is none, or it cannot be used; the message names the file and every key that is wrong.
    """
    path = Path(path_or_name)
    if isinstance(path_or_name, str) and _NAME.fullmatch(path_or_name) and not path.is_file():
        if path_or_name not in shipped():
            close = get_close_matches(path_or_name, shipped(), 3, 0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(shipped())}"
            raise BadDefinition(f"no file and no shipped description {path_or_name!r}; {hint}")
        path = Path(str(files("lasair.catalogues") / "descriptions" / f"{path_or_name}.yaml"))
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = (err.strerror or str(err)) if isinstance(err, OSError) else "is not UTF-8 text"
        raise BadDefinition(f"cannot read the description {path}: {reason}") from err
    return parse_description(text, path)


def parse_description(text: str, path: Path | None = None) -> Description:
    """A description from its YAML text; `path` is for messages and as the start of relative paths.

    Raises
    ------
    BadDefinition
        As `load_description`.
    """
    label = str(path) if path else "description"
    try:
        given = yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as err:
        raise BadDefinition(f"{label}: is not YAML: {' '.join(str(err).split())}") from err
    if not isinstance(given, dict):
        raise BadDefinition(f"{label}: is no description: it must be a mapping with name, title, version, columns")
    try:
        found = Description.model_validate(given)
    except ValidationError as err:
        raise BadDefinition(f"{label}: {'; '.join(_problems(err))}") from err
    found._path = path.absolute() if path else None
    _check_searches(found, label)
    return found


def _problems(err: ValidationError) -> list[str]:
    found: dict[str, str] = {}
    for one in err.errors():
        loc = [str(part) for part in one["loc"]]
        key = ".".join(loc[:1] if loc[:1] == ["coverage"] else loc)
        message = str(one["msg"]).removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            message = "is no key" + (nearest(key, Description.model_fields) if "." not in key else "")
        elif one["type"] == "missing":
            message = "is missing"
        found.setdefault(key, f"{key}: {message}" if key else message)
    return list(found.values())


def _check_searches(description: Description, label: str) -> None:
    if not description.searches:
        return
    from lasair.sherlock.rules import load_rules

    try:
        load_rules(added={description.name: description.searches})
    except BadDefinition as err:
        raise BadDefinition(f"{label}: {err}") from err
