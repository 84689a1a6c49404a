from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lasair.cli.output import print_rows
from lasair.query.tree import KIND_NAMES, Kind
from tests.unit.query import corpus

TYPES: dict[Kind, pa.DataType] = {
    "int": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "time": pa.timestamp("us", "UTC"),
    "json": pa.string(),
    "null": pa.null(),
}
NOW = "2026-03-02 01:02:03.000004"
VALUES: dict[Kind, tuple[Any, Any]] = {
    "int": (2**62 + 1, 2**62 + 1),
    "double": (1.5, 1.5),
    "bool": (1, True),
    "text": ("a", "a"),
    "time": (NOW, datetime(2026, 3, 2, 1, 2, 3, 4, UTC)),
    "json": ('{"a": 1}', '{"a": 1}'),
    "null": (None, None),
}


def written(rows: list[tuple[Any, ...]], file: Path) -> Any:
    kinds = tuple(TYPES)
    print_rows(kinds, rows, "parquet", output=file, kinds=kinds)
    return pq.read_table(file)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_types_do_not_depend_on_the_rows(number: int, tmp_path: Path) -> None:
    assert set(TYPES) == set(KIND_NAMES)
    for rows in ([(None,) * len(TYPES)] * number, [tuple(VALUES[kind][0] for kind in TYPES)] * number):
        table = written(rows, tmp_path / "rows.parquet")
        assert {name: table.schema.field(name).type for name in table.column_names} == TYPES
        assert table.num_rows == number


def test_values(tmp_path: Path) -> None:
    rows = [tuple(VALUES[kind][0] for kind in TYPES), (None, float("nan"), 0, "", None, None, None)]
    first, second = written(rows, tmp_path / "rows.parquet").to_pylist()
    assert first == {kind: expected for kind, (_, expected) in VALUES.items()}
    assert list(second.values()) == [None, None, False, "", None, None, None]


def test_every_good_clause_can_be_written(tmp_path: Path) -> None:
    database = corpus.sqlite_database(alerts=False)
    for case in corpus.good_cases():
        if case.mode == "stored":
            compiled = case.compile()
            rows = corpus.run_sqlite(case, database)
            print_rows(compiled.columns, rows, "parquet", output=tmp_path / "rows.parquet", kinds=compiled.kinds)
            schema = pq.read_schema(tmp_path / "rows.parquet")
            assert schema.names == list(compiled.columns)
            assert schema.types == [TYPES[kind] for kind in compiled.kinds]
