"""The schema as a page of the documentation and as rows for the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

from lasair.schema import avsc
from lasair.schema.model import SURVEYS, Field, Layout, Survey, Table, layout, load_tables, object_key

#: Headings of the rows of `show`.
SHOW_HEADINGS = ("column", "type", "unit", "origin", "NULL when", "meaning")

_SURVEY_NAMES: dict[Survey, str] = {"lsst": "LSST", "ztf": "ZTF"}

_INTRODUCTION = """\
# Schema

<!-- Written by lasair.schema.docs from src/lasair/schema; change it there, then `make docs`. -->

Tables that queries and filters can name, and the arrays that stages exchange. A query sees the `objects` of one survey
at a time; the other tables exist for both, keyed by the survey's own object id: `diaObjectId` for LSST, `objectId` for
ZTF. In the databases a table carries the survey before its name (`lsst_objects`), `crossmatch_tns` does not.

- **Types.** `double` is float64, also for times and fluxes; `int` holds counts, `bigint` ids; `text16` is text of up to
  16 characters; `timestamp` is UTC with microseconds, written `YYYY-MM-DD HH:MM:SS.ffffff`.
- **Times** are MJD TAI. The exceptions are the columns of ZTF's `objects` that start with `jd`, Julian dates UTC as ZTF
  publishes them, and timestamps.
- **NULL** is the only spelling of "no value"; the column *NULL when* says when it occurs.
- **Text** compares without regard to case. Trailing spaces count. `[ \\ ] ^ _` and the backquote sort before letters in
  SQLite and after them in MariaDB; beyond ASCII, MariaDB also takes accented letters for plain ones.
- **Origin** says who computed the value: the survey (`lsst`, `ztf`), `lasair`, or the named service."""

_LAYOUTS = """\
## Arrays in memory

An `AlertBatch` holds two structured arrays: `alerts`, a row an alert, and `rows`, the light-curve rows of all alerts.
A missing float is NaN, a missing int64 the smallest one, a missing text empty. *From* names the packet field that
a value comes from, for rows by kind of row; of several names the first that the packet's schema has is taken. The
values listed under *also missing* mean "no value" in that field, besides null and NaN."""


def show(table: Table) -> list[tuple[str, str, str, str, str, str]]:
    """One row a column, in the published order; headings in SHOW_HEADINGS."""
    return [(one.name, one.type, one.unit, one.origin, one.absent, one.doc) for one in table.columns]


def markdown() -> str:
    """The page docs/schema.md, whole."""
    parts = [_INTRODUCTION]
    for name, same_name in groupby(sorted(load_tables(), key=_page_order), key=lambda table: table.name):
        members = list(same_name)
        if len(members) > 1 and _alike(members):
            parts.append(_table_section(members[0], f"{name} (both surveys)", other_key=object_key("ztf")))
        else:
            parts += [_table_section(one, _title(one)) for one in members]
    parts.append(_LAYOUTS)
    for survey in SURVEYS:
        for part in ("alert", "row"):
            parts.append(_layout_section(layout(survey, part)))
    parts.append(_packets_section())
    return "\n\n".join(parts) + "\n"


def _page_order(table: Table) -> tuple[int, str]:
    """Objects first, then the tables as they come (sorting is stable)."""
    names = list(dict.fromkeys(one.name for one in load_tables()))
    return names.index(table.name), table.name


def _title(table: Table) -> str:
    return f"{table.name} ({_SURVEY_NAMES[table.survey]})" if table.survey else table.name


def _alike(members: Sequence[Table]) -> bool:
    """Whether the surveys' tables of one name differ in nothing but the object's key."""
    keys = {object_key(survey) for survey in SURVEYS}
    bodies = {tuple(column for column in one.columns if column.name not in keys) for one in members}
    return len(bodies) == 1


def _table_section(table: Table, title: str, other_key: str = "") -> str:
    lines = [f"## {title}", "", table.doc, ""]
    facts = [f"Key: {_code(table.primary_key)}"]
    if table.keys:
        facts.append("indexed: " + ", ".join(_code(columns) for columns in table.keys))
    if table.aliases:
        facts.append("also known as " + _code(table.aliases))
    if other_key:
        facts.append(f"in ZTF the key column is `{other_key}` (text16)")
    lines += [f"{len(table.columns)} columns. " + "; ".join(facts) + ".", ""]
    for section, columns in groupby(table.columns, key=lambda column: column.section):
        if section:
            lines += [f"### {title}: {section}", ""]
        rows = [(f"`{c.name}`", c.type, c.unit, c.origin, c.absent, c.doc) for c in columns]
        lines += [*_grid(SHOW_HEADINGS, rows), ""]
    return "\n".join(lines).rstrip()


def _layout_section(described: Layout) -> str:
    name = "alerts" if described.part == "alert" else "rows"
    rows = [
        (f"`{one.name}`", one.dtype, one.unit, _sources(one), ", ".join(map(str, one.missing)), one.doc)
        for one in described.fields
    ]
    title = f"### {name} of {_SURVEY_NAMES[described.survey]}"
    return "\n".join([title, "", *_grid(("field", "dtype", "unit", "from", "also missing", "meaning"), rows)])


def _sources(field: Field) -> str:
    if isinstance(field.sources, dict):
        return "; ".join(f"{kind}: {_code(names, ' or ')}" for kind, names in field.sources.items())
    return _code(field.sources, " or ") if field.sources else "computed"


def _packets_section() -> str:
    lines = ["## Packets that Lasair can write", ""]
    lines.append("For tests and simulations `lasair.schema.avsc` builds these Avro schemas from its own description.")
    rows = [(_SURVEY_NAMES[survey], ", ".join(versions)) for survey, versions in avsc.KNOWN.items()]
    return "\n".join([*lines, "", *_grid(("survey", "versions"), rows)])


def _code(names: Iterable[str], between: Literal[", ", " or "] = ", ") -> str:
    return between.join(f"`{name}`" for name in names)


def _grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(headings), "|" + "---|" * len(headings), *(line(row) for row in rows)]
