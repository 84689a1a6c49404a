from __future__ import annotations

import math

import numpy as np
import pytest

from lasair.schema.model import INT_MISSING, Column, Table
from lasair.stores.rows import to_rows

TABLE = Table(
    "t",
    "lsst",
    "",
    (
        Column("id", "bigint", "", "lasair"),
        Column("x", "double", "", "lasair"),
        Column("flag", "bool", "", "lasair"),
        Column("name", "text16", "", "lasair"),
        Column("absent", "text", "", "lasair"),
    ),
    ("id",),
)


def test_missing_is_none_and_types_are_pythons() -> None:
    rows = to_rows(
        TABLE,
        {
            "name": np.array(["a", "", "ü"]),
            "id": np.array([1, INT_MISSING, 2**62]),
            "x": np.array([1.5, np.nan, -np.inf]),
            "flag": np.array([True, False, True]),
            "extra": np.arange(3),
        },
    )
    assert rows[0] == (1, 1.5, True, "a", None)
    assert rows[1][0] is None
    assert math.isnan(rows[1][1])
    assert rows[1][3] is None
    assert rows[2] == (2**62, -math.inf, True, "ü", None)
    assert [type(value) for value in rows[0][:4]] == [int, float, bool, str]


@pytest.mark.parametrize("text", [np.array([b"a", b"\xff", b""]), np.array(["a", "\ufffd", None], object)])
def test_texts_of_other_types(text: np.ndarray) -> None:
    assert [row[3] for row in to_rows(TABLE, {"name": text})] == ["a", "\ufffd", None]


def test_no_columns_no_rows() -> None:
    assert to_rows(TABLE, {}) == []
    assert to_rows(TABLE, {"id": np.array([], np.int64)}) == []


def test_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="'x' has 2 values, others have 1"):
        to_rows(TABLE, {"id": np.array([1]), "x": np.array([1.0, 2.0])})
