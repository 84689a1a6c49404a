"""Rows as a database gives them, turned into columns as stages have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import INT_MISSING, Column


def column_of(column: Column, values: Sequence[Any]) -> NDArray[Any]:
    """Values of one column, None for NULL, as an array: float64 (NaN), int64 (INT_MISSING) or text ('')."""
    if not column.is_number:
        return np.array(["" if one is None else str(one) for one in values], np.str_) if values else np.empty(0, "<U1")
    if column.type == "double":
        return np.array([np.nan if one is None else one for one in values], np.float64)
    return np.array([INT_MISSING if one is None else int(one) for one in values], np.int64)
