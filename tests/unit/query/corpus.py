"""The corpus of Lasair SQL: clauses, the rows they give on a small data set, and clauses that are refused.

``python -m tests.unit.query.corpus --update-test-data`` fills in the rows of cases that have none yet (on SQLite), and
with ``--all`` writes every case's rows anew: read the difference before you keep it.
"""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lasair.query.compile import CompiledQuery, Mode, compile_query
from lasair.query.functions import register
from lasair.schema.model import SURVEYS, TNS_WATCHLIST, Survey, Table, object_key, table
from lasair.schema.sql import Engine, create_table, quote

FOLDER = Path(__file__).parents[2] / "data" / "lasair_sql"
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """A clause and its rows; `why` reasons about them where they are not plain."""

    file: str
    number: int
    select: str
    tables: str
    where: str
    order: str
    survey: Survey
    mode: Mode
    limit: int | None
    offset: int
    tns_watchlist: int
    why: str
    columns: list[str] | None
    rows: list[list[Any]] | None

    def __str__(self) -> str:
        return f"{self.file}-{self.number}: SELECT {self.select} FROM {self.tables} WHERE {self.where}"[:110]

    @property
    def ordered(self) -> bool:
        return bool(self.order) or "order by" in self.where.lower()

    def compile(self) -> CompiledQuery:
        return compile_query(
            self.select,
            self.tables,
            self.where,
            survey=self.survey,
            mode=self.mode,
            order_by=self.order,
            limit=self.limit,
            offset=self.offset,
            tns_watchlist=self.tns_watchlist,
        )


@dataclass(frozen=True)
class Wrong:
    """A clause that is refused: where, and a piece of the message."""

    file: str
    number: int
    select: str
    tables: str
    where: str
    order: str
    survey: Survey
    mode: Mode
    part: str
    position: int | None
    reason: str

    def __str__(self) -> str:
        return f"{self.file}-{self.number}: {self.select} | {self.tables} | {self.where} | {self.order}"[:110]

    def compile(self) -> CompiledQuery:
        return compile_query(
            self.select, self.tables, self.where, survey=self.survey, mode=self.mode, order_by=self.order
        )


def _load(path: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or []
    return loaded


@cache
def good_cases() -> list[Case]:
    """All cases of good/."""
    return [
        Case(
            file=path.stem,
            number=number,
            select=one["select"],
            tables=one.get("tables", "objects"),
            where=one.get("where", ""),
            order=one.get("order", ""),
            survey=one.get("survey", "lsst"),
            mode=one.get("mode", "stored"),
            limit=one.get("limit"),
            offset=one.get("offset", 0),
            tns_watchlist=one.get("tns_watchlist", TNS_WATCHLIST),
            why=one.get("why", ""),
            columns=one.get("columns"),
            rows=one.get("rows"),
        )
        for path in sorted((FOLDER / "good").glob("*.yaml"))
        for number, one in enumerate(_load(path), 1)
    ]


@cache
def wrong_cases() -> list[Wrong]:
    """All cases of wrong/."""
    return [
        Wrong(
            file=path.stem,
            number=number,
            select=one.get("select", "diaObjectId" if one.get("survey", "lsst") == "lsst" else "objectId"),
            tables=one.get("tables", "objects"),
            where=one.get("where", ""),
            order=one.get("order", ""),
            survey=one.get("survey", "lsst"),
            mode=one.get("mode", "stored"),
            part=one.get("part", "where"),
            position=one.get("at"),
            reason=one["reason"],
        )
        for path in sorted((FOLDER / "wrong").glob("*.yaml"))
        for number, one in enumerate(_load(path), 1)
    ]


@cache
def data() -> dict[str, Any]:
    """The data set of rows.yaml."""
    loaded: dict[str, Any] = yaml.load((FOLDER / "rows.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return loaded


def now_mjd_tai() -> float:
    return float(data()["now"])


def _tables() -> list[tuple[Table, list[dict[str, Any]]]]:
    found = [(table(name, survey), rows) for survey in SURVEYS for name, rows in data()[survey].items()]
    return found + [(table(name, "lsst"), rows) for name, rows in data()["both"].items()]


def _alerts(survey: Survey) -> dict[int | str, list[int]]:
    """The numbers of each object's alerts in the batch; no two of both surveys are the same."""
    start = 0 if survey == "ztf" else 1000
    keys = [row[object_key(survey)] for row in data()[survey]["objects"]]
    return {key: [start + n] if n else [start, start + 100] for n, key in enumerate(keys)}


def fill(execute: Callable[[str, Sequence[Row]], object], engine: Engine, *, alerts: bool = False) -> None:
    """Create and fill all tables; `execute` takes a statement and rows of parameters (none: run it once).

    With `alerts` the tables are those of a batch, whose column ``_alert`` numbers the objects of a survey; the first
    of each has two alerts. Every alert has all entries of the TNS, so that a join that forgets the alert, or the name,
    gives too many rows.
    """
    mark = "?" if engine == "sqlite" else "%s"
    for one, rows in _tables():
        for statement in create_table(
            one, engine, extra=("_alert INTEGER",) if alerts else (), primary_key=not alerts, indices=not alerts
        ):
            execute(statement, [])
        names = [*one.column_names, "_alert"] if alerts else list(one.column_names)
        values = [tuple(row.get(name) for name in one.column_names) for row in rows]
        if alerts and one.survey is None:
            every = [number for survey in SURVEYS for some in _alerts(survey).values() for number in some]
            values = [(*value, number) for value in values for number in every]
        elif alerts:
            assert one.survey is not None
            numbers, key = _alerts(one.survey), object_key(one.survey)
            values = [(*value, number) for row, value in zip(rows, values, strict=True) for number in numbers[row[key]]]
        columns = ", ".join(quote(name, engine) for name in names)
        insert = f"INSERT INTO {quote(one.physical, engine)} ({columns}) VALUES ({', '.join([mark] * len(names))})"
        if values:
            execute(insert, values)


def sqlite_database(*, alerts: bool = False) -> sqlite3.Connection:
    """The data set in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    register(connection)

    def execute(statement: str, rows: Sequence[Row]) -> None:
        if rows:
            connection.executemany(statement, rows)
        else:
            connection.execute(statement)

    fill(execute, "sqlite", alerts=alerts)
    return connection


def sorted_rows(case: Case, rows: Sequence[Sequence[Any]]) -> list[Row]:
    """The rows in a fixed order, unless the case gives one."""
    found = [tuple(row) for row in rows]
    return found if case.ordered else sorted(found, key=lambda row: [(value is not None, str(value)) for value in row])


def same(left: Sequence[Row], right: Sequence[Row], tolerance: float = 0.0) -> bool:
    """Whether the rows are equal, types included but for 1 and 1.0; floats within a relative tolerance."""
    if len(left) != len(right):
        return False
    return all(
        len(a) == len(b) and all(_same_value(x, y, tolerance) for x, y in zip(a, b, strict=True))
        for a, b in zip(left, right, strict=True)
    )


def _same_value(x: Any, y: Any, tolerance: float) -> bool:
    if isinstance(x, float) or isinstance(y, float):
        if x is None or y is None or isinstance(x, str) or isinstance(y, str):
            return False
        return bool(x == y) or (tolerance > 0 and math.isclose(x, y, rel_tol=tolerance, abs_tol=1e-300))
    return type(x) is type(y) and bool(x == y)


def run_sqlite(case: Case, connection: sqlite3.Connection) -> list[Row]:
    statement = case.compile().sqlite
    return sorted_rows(case, connection.execute(statement.sql, statement.bind(now_mjd_tai())).fetchall())


def _yaml(value: Any) -> str:
    """A value on one line; YAML 1.1 wants a point in every float."""
    if isinstance(value, list):
        return f"[{', '.join(_yaml(one) for one in value)}]"
    if isinstance(value, float):
        digits, e, exponent = repr(value).partition("e")
        return f"{digits if '.' in digits else digits + '.0'}{e}{exponent}"
    return json.dumps(value, ensure_ascii=False)


def update(everything: bool) -> None:
    """Write rows into the files of good/."""
    databases = {mode: sqlite_database(alerts=mode == "filter") for mode in ("stored", "filter")}
    cases = {(one.file, one.number): one for one in good_cases()}
    for path in sorted((FOLDER / "good").glob("*.yaml")):
        head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        lines = list(head)
        for number, one in enumerate(_load(path), 1):
            case = cases[path.stem, number]
            if everything or "rows" not in one:
                one["rows"] = [list(row) for row in run_sqlite(case, databases[case.mode])]
            if path.stem == "select":
                one.setdefault("columns", list(case.compile().columns))
            for index, (key, value) in enumerate(one.items()):
                lines.append(("- " if index == 0 else "  ") + f"{key}: {_yaml(value)}")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if "--update-test-data" not in sys.argv:
        raise SystemExit(__doc__)
    update("--all" in sys.argv)
