"""Types of the schema and the reader of its YAML files (no driver, no I/O but these files)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

import numpy as np
import yaml

Survey = Literal["lsst", "ztf"]
SURVEYS: tuple[Survey, ...] = get_args(Survey)

ColumnType = Literal[
    "bool", "int", "bigint", "double", "text16", "text32", "text80", "text256", "text", "json", "timestamp"
]
COLUMN_TYPES: tuple[str, ...] = get_args(ColumnType)

#: The one kind of "missing" in arrays: NaN for floats, this for integers, b"" / "" for text.
INT_MISSING = -(2**63)

#: Number of the watchlist that holds the Transient Name Server: whose hits give `tns_name` and `crossmatch_tns`.
TNS_WATCHLIST = 1

#: Columns of `objects` that say where an object is [deg].
POSITION: dict[Survey, tuple[str, str]] = {"lsst": ("ra", "decl"), "ztf": ("ramean", "decmean")}

DETECTION, NONDETECTION, FORCED = 0, 1, 2
KINDS = ("detection", "nondetection", "forced")


@dataclass(frozen=True)
class Column:
    """A column of a table that users can query."""

    name: str
    type: ColumnType
    doc: str
    origin: str
    unit: str = ""
    #: when the value is NULL, in words; "never" when it never is
    absent: str = ""
    section: str = ""

    @property
    def nullable(self) -> bool:
        """Whether a value may be NULL; keys and counts never are."""
        return self.absent != "never"

    @property
    def is_number(self) -> bool:
        """Whether it compares with numbers."""
        return self.type in ("bool", "int", "bigint", "double")

    @property
    def is_text(self) -> bool:
        """Whether it compares with text; times of type `timestamp` do."""
        return not self.is_number


@dataclass(frozen=True)
class Table:
    """A table of one survey, or of both when `survey` is None.

    `name` is what users write; `physical` is the table's name in the databases.
    """

    name: str
    survey: Survey | None
    doc: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    #: other names users may write for this table (objects_ext)
    aliases: tuple[str, ...] = ()

    @property
    def physical(self) -> str:
        """The table's name in the databases."""
        return f"{self.survey}_{self.name}" if self.survey else self.name

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns' names in the published order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of that name, whatever the case; KeyError when there is none."""
        return self._by_lower_name()[name.lower()]

    def _by_lower_name(self) -> dict[str, Column]:
        return {column.name.lower(): column for column in self.columns}


@dataclass(frozen=True)
class Field:
    """A field of the in-memory layout of alerts or light-curve rows (see layouts/*.yaml)."""

    name: str
    dtype: str
    doc: str
    unit: str = ""
    #: packet paths, first match wins: ("diaSource.ra",), or per kind of row {"detection": ("ra",)}
    sources: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    missing: tuple[float | str, ...] = ()
    convert: str = ""

    @property
    def numpy(self) -> str:
        """The numpy type; a band is the ASCII code of its letter."""
        return "u1" if self.dtype == "band" else self.dtype


@dataclass(frozen=True)
class Layout:
    """Fields of a structured array, in order; `dtype` is packed (no padding)."""

    survey: Survey
    part: Literal["alert", "row"]
    fields: tuple[Field, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The packed numpy type of one row."""
        return np.dtype([(field.name, field.numpy) for field in self.fields])


def _spellings(source: str | list[str] | None) -> tuple[str, ...]:
    if source is None:
        return ()
    return (source,) if isinstance(source, str) else tuple(source)


def _expand(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """One YAML entry with `bands: ugrizy` stands for one entry a band, `{b}` replaced in its texts.

    An entry with `columns` (and `bands`) stands for all of these, band by band; its other keys are their defaults.
    """
    rest = {key: value for key, value in entry.items() if key not in ("bands", "columns")}
    members = [{**rest, **column} for column in entry["columns"]] if "columns" in entry else [rest]
    bands = entry.get("bands")
    if not bands:
        return members
    return [
        {key: value.replace("{b}", b) if isinstance(value, str) else value for key, value in member.items()}
        for b in bands
        for member in members
    ]


def read_yaml(path: str) -> Any:
    """One of the schema's own YAML files, by its path in this package."""
    text = resources.files("lasair.schema").joinpath(path).read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, Loader=loader)


@cache
def layout(survey: Survey, part: Literal["alert", "row"]) -> Layout:
    """The in-memory layout of a survey's alerts or light-curve rows."""
    fields = []
    for entry in read_yaml(f"layouts/{survey}.yaml")[part]:
        for one in _expand(entry):
            source = one.get("from")
            sources = {k: _spellings(v) for k, v in source.items()} if isinstance(source, dict) else _spellings(source)
            fields.append(
                Field(
                    name=one["name"],
                    dtype=one["dtype"],
                    doc=one["doc"],
                    unit=one.get("unit", ""),
                    sources=sources,
                    missing=tuple(one.get("missing", ())),
                    convert=one.get("convert", ""),
                )
            )
    return Layout(survey, part, tuple(fields))


@cache
def load_tables() -> tuple[Table, ...]:
    """All tables, in the order of the files in tables/ (each YAML file holds a list of tables)."""
    found: list[Table] = []
    folder = resources.files("lasair.schema").joinpath("tables")
    for name in sorted(item.name for item in folder.iterdir() if item.name.endswith(".yaml")):
        for entry in read_yaml(f"tables/{name}"):
            surveys: list[Survey | None] = list(entry.get("surveys") or [None])
            for survey in surveys:
                found.append(_table(entry, survey))
    return tuple(found)


def _table(entry: dict[str, Any], survey: Survey | None) -> Table:
    # {key} stands for the survey's object id column in tables that both surveys have
    key = "objectId" if survey == "ztf" else "diaObjectId"
    key_type = "text16" if survey == "ztf" else "bigint"

    def named(name: str) -> str:
        return name.replace("{key}", key)

    columns = []
    for raw in entry["columns"]:
        for one in _expand(raw):
            columns.append(
                Column(
                    name=named(one["name"]),
                    type=one["type"].replace("{key_type}", key_type),
                    doc=one["doc"],
                    origin=one.get("origin", entry.get("origin", "lasair")),
                    unit=one.get("unit", ""),
                    absent=one.get("absent", ""),
                    section=one.get("section", ""),
                )
            )
    return Table(
        name=entry["name"],
        survey=survey,
        doc=entry["doc"],
        columns=tuple(columns),
        primary_key=tuple(named(name) for name in entry["primary_key"]),
        keys=tuple(tuple(named(name) for name in key_columns) for key_columns in entry.get("keys", ())),
        aliases=tuple(entry.get("aliases", ())),
    )


def tables(survey: Survey) -> dict[str, Table]:
    """The tables a user of that survey can name, by name (aliases included)."""
    found: dict[str, Table] = {}
    for one in load_tables():
        if one.survey in (survey, None):
            for name in (one.name, *one.aliases):
                found[name] = one
    return found


def table(name: str, survey: Survey) -> Table:
    """The table a user of that survey means by `name`; KeyError when there is none."""
    return tables(survey)[name]


def object_key(survey: Survey) -> str:
    """Name of the column that identifies an object in every table of that survey."""
    return "objectId" if survey == "ztf" else "diaObjectId"
