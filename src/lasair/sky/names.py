"""Millions of short texts in two arrays: a Python string costs sixty bytes before its first letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PackedNames:
    """Texts in UTF-8, end to end.

    Attributes
    ----------
    ends : (n + 1,) uint32 or int64
        Text i is ``data[ends[i]:ends[i + 1]]``.
    data : bytes
    """

    ends: NDArray[np.generic]
    data: bytes

    @classmethod
    def of(cls, names: Sequence[str]) -> PackedNames:
        """Pack texts."""
        joined = "".join(names)
        if joined.isascii():
            data = joined.encode("ascii")
            lengths = np.fromiter(map(len, names), np.int64, len(names))
        else:
            encoded = [name.encode("utf-8", "replace") for name in names]
            data = b"".join(encoded)
            lengths = np.fromiter(map(len, encoded), np.int64, len(names))
        ends = np.concatenate(([0], np.cumsum(lengths)))
        return cls(ends.astype(np.uint32) if len(data) < 1 << 32 else ends, data)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, i: int) -> str:
        return self.data[int(self.ends[i]) : int(self.ends[i + 1])].decode()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self.ends.nbytes) + len(self.data)
