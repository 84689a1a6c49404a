"""Columns of binary formats: whole numbers stay exact, missing ones become NaN, masked or empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.readers.table import Chunk, Kind, Refusal
from lasair.catalogues.readers.texts import Letters, Nulls, read_texts

Array = NDArray[Any]


def read_values(
    found: Mapping[str, Array],
    numbers: NDArray[np.int64],
    wanted: Mapping[str, Kind],
    nulls: Nulls,
    *,
    unit: str = "row",
) -> Chunk:
    """A chunk out of columns as a binary file has them: numbers, masked numbers, bytes, or letters (n, w) of uint8."""
    texts: dict[str, Letters] = {}
    plain: dict[str, Array] = {}
    for name, values in found.items():
        if values.dtype.kind == "S":
            texts[name] = np.array(values).view(np.uint8).reshape(len(values), -1) if values.dtype.itemsize else (
                np.zeros((len(values), 1), np.uint8))  # fmt: skip
        else:
            plain[name] = _value(values, wanted[name], nulls)
    refused: list[Refusal] = []
    if not texts:
        return Chunk(plain, numbers, refused, unit)
    # plain columns go along by their place, since rows may be refused for their texts
    chunk = read_texts(texts, numbers, refused, wanted, nulls, unit=unit)
    if len(chunk.numbers) != len(numbers):
        kept = np.isin(numbers, chunk.numbers, assume_unique=True)
        plain = {name: values[kept] for name, values in plain.items()}
    return chunk._replace(columns=plain | chunk.columns)


def _value(values: Array, kind: Kind, nulls: Nulls) -> Array:
    masked = isinstance(values, np.ma.MaskedArray)
    if values.dtype.kind == "b":
        values = values.astype(np.int64)
    if values.dtype.kind not in "iuf":
        return values
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if len(nulls.numbers):
        missing = np.isin(np.ma.getdata(values), nulls.numbers.astype(values.dtype))
        if missing.any():
            values, masked = np.ma.array(values, mask=missing | np.ma.getmaskarray(values)), True
    if values.dtype.kind == "f":
        found = np.asarray(np.ma.filled(values, np.nan), np.float64)
        return np.where(np.isfinite(found), found, np.nan)
    if masked and np.ma.getmaskarray(values).any():
        if kind == "id":  # as text: a number that stands for a missing one could be an id
            return np.where(np.ma.getmaskarray(values), b"", np.ma.getdata(values).astype("S20"))
        return values
    return np.asarray(np.ma.getdata(values))
