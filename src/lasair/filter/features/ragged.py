"""Help with the ragged rows of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def strided(rows: NDArray[Any]) -> NDArray[Any]:
    """The rows, or at least two of them: what is beyond the offsets is never read.

    A field of a single row counts as a contiguous array, which is another type for numba: every kernel would be
    compiled a second time when a batch with one row comes along.
    """
    return rows if len(rows) > 1 else np.resize(rows, 2) if len(rows) else np.zeros(2, rows.dtype)
