"""The last step of every feature stage: the published order, and nothing infinite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lasair.packets.batch import Columns


def finish(columns: Columns, order: Sequence[str]) -> Columns:
    """The columns in that order, infinities turned into NaN: no database stores them, and no query means them.

    Raises
    ------
    KeyError
        A column of `order` was not computed.
    """
    out: Columns = {}
    for name in order:
        values = columns[name]
        if values.dtype.kind == "f":
            values = np.ascontiguousarray(values, dtype=np.float64)
            wrong = np.isinf(values)
            if wrong.any():
                values = np.where(wrong, np.nan, values)
        out[name] = values
    return out
