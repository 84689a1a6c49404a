"""Tables of the schema as DDL of the two SQL engines.

Text columns compare without regard to case on both engines. They agree on every ASCII text but for one thing: where
one of ``[ \\ ] ^ _ ` `` meets a letter, SQLite's NOCASE sorts the sign before the letter and MariaDB after it. Beyond
ASCII MariaDB also folds accents and case, NOCASE does not. JSON columns compare byte by byte on both.
Timestamps are UTC with microseconds: DATETIME(6) in MariaDB; in SQLite the text ``YYYY-MM-DD HH:MM:SS.ffffff``, always
26 characters, so that the order of texts is the order of times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache
from typing import Literal, get_args

from lasair.schema.model import Column, ColumnType, Table, load_tables

Engine = Literal["sqlite", "mariadb"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

#: Case-insensitive, and trailing spaces count as they do in SQLite (MariaDB's default collations ignore them).
MARIADB_COLLATION = "utf8mb4_general_nopad_ci"

_SQLITE: dict[ColumnType, str] = {
    "bool": "INTEGER",
    "int": "INTEGER",
    "bigint": "INTEGER",
    "double": "REAL",
    "text16": "TEXT COLLATE NOCASE",
    "text32": "TEXT COLLATE NOCASE",
    "text80": "TEXT COLLATE NOCASE",
    "text256": "TEXT COLLATE NOCASE",
    "text": "TEXT COLLATE NOCASE",
    "json": "TEXT",
    "timestamp": "TEXT",
}
_MARIADB: dict[ColumnType, str] = {
    "bool": "TINYINT",
    "int": "INT",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "text16": "VARCHAR(16)",
    "text32": "VARCHAR(32)",
    "text80": "VARCHAR(80)",
    "text256": "VARCHAR(256)",
    "text": "TEXT",
    "json": "JSON",
    "timestamp": "DATETIME(6)",
}
_TYPES = {"sqlite": _SQLITE, "mariadb": _MARIADB}

#: A timestamp that is never absent is the time of the write unless the writer gives one.
_NOW = {
    "sqlite": "(strftime('%Y-%m-%d %H:%M:%f000', 'now'))",
    "mariadb": "(UTC_TIMESTAMP(6))",
}


def quote(name: str, engine: Engine) -> str:
    """An identifier as the engine takes it, whatever it contains."""
    mark = '"' if engine == "sqlite" else "`"
    return mark + name.replace(mark, mark * 2) + mark


def sql_type(column: Column, engine: Engine) -> str:
    """The column's type, with the collation where the engine wants it per column."""
    return _TYPES[engine][column.type]


def column_definition(column: Column, engine: Engine, *, required: bool = False) -> str:
    """One column of a CREATE TABLE; with `required` it refuses NULL.

    Only keys are required: one odd value must not refuse the rows of a whole batch.
    """
    parts = [quote(column.name, engine), sql_type(column, engine)]
    if required:
        parts.append("NOT NULL")
    if column.type == "timestamp" and not column.nullable:
        parts.append(f"DEFAULT {_NOW[engine]}")
    return " ".join(parts)


def create_table(
    table: Table,
    engine: Engine,
    *,
    extra: tuple[str, ...] = (),
    primary_key: bool = True,
    indices: bool = True,
    name: str = "",
) -> list[str]:
    """Statements that make the table and its indices unless they exist.

    Parameters
    ----------
    table : Table
    engine : "sqlite" or "mariadb"
    extra : column definitions after the table's own, as SQL ('_alert INTEGER'), for what users do not see
    primary_key : False leaves the key out, for a table that holds several versions of a row
    indices : False leaves out the indices of `table.keys`, for a table too small or short-lived to need them
    name : instead of ``table.physical``
    """
    target = name or table.physical
    key = table.primary_key if primary_key else ()
    lines = [column_definition(column, engine, required=column.name in key) for column in table.columns]
    lines += extra
    if key:
        lines.append(f"PRIMARY KEY ({_list(key, engine)})")
    body = ",\n  ".join(lines)
    statements = [
        f"CREATE TABLE IF NOT EXISTS {quote(target, engine)} (\n  {body}\n){_options(table, engine, bool(key))}"
    ]
    if indices:
        statements += [_index(target, columns, engine) for columns in table.keys]
    return statements


def add_columns(table: Table, engine: Engine, present: Collection[str]) -> list[str]:
    """Statements that add what a table made by an older schema lacks; `present` names the columns it has.

    Columns that are no longer in the schema stay: nothing is lost by going back a version.
    """
    known = {column.lower() for column in present}
    target = quote(table.physical, engine)
    statements = []
    for column in table.columns:
        if column.name.lower() not in known:
            # SQLite adds no column with a computed default; old rows have no such time anyway
            definition = f"{quote(column.name, engine)} {sql_type(column, engine)}"
            statements.append(f"ALTER TABLE {target} ADD COLUMN {definition}")
    return statements + [_index(table.physical, columns, engine) for columns in table.keys]


@cache
def schema_version() -> str:
    """Short hash of all tables as databases see them, for a database to record what made it.

    Names, order, types, keys and collations change it; texts of documentation do not.
    """
    statements = [line for table in load_tables() for engine in ENGINES for line in create_table(table, engine)]
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()[:12]


def _list(names: tuple[str, ...], engine: Engine) -> str:
    return ", ".join(quote(name, engine) for name in names)


def _index(target: str, columns: tuple[str, ...], engine: Engine) -> str:
    name = quote("_".join((target, *columns)), engine)
    return f"CREATE INDEX IF NOT EXISTS {name} ON {quote(target, engine)} ({_list(columns, engine)})"


def _options(table: Table, engine: Engine, keyed: bool) -> str:
    if engine == "mariadb":
        return f" ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={MARIADB_COLLATION}"
    # Small rows live in the key's own tree, one look-up less; wide ones would make that tree deep. A single integer key
    # already is SQLite's row number.
    narrow = not any(column.type in ("text", "json") for column in table.columns)
    return " WITHOUT ROWID" if keyed and len(table.primary_key) > 1 and narrow else ""
