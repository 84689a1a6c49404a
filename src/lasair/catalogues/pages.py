"""A file mapped read-only, which can ask the system for the pages that a batch will touch before it touches them."""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.problems import BadRelease

#: Pages are asked for one by one; two that lie closer than this many pages are asked for in one go.
_NEAR = 8


class MappedFile:
    """The values of one file.

    Reads are scattered, so the system is told not to read ahead (which reads thirty times as much), and `prefetch` asks
    for all pages of a batch at once, which a disk answers many times faster than one fault after the other. What was
    asked for is remembered in a bit a page and not asked again, so that a warm batch makes no system call; when pages
    had to be read nevertheless (`noticed_faults`) all is forgotten.
    """

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...], size: int) -> None:
        """Map `path`, which must have `size` bytes.

        Raises
        ------
        BadRelease
            It is missing, cannot be read, or has another size.
        """
        self.path = path
        self._map: mmap.mmap | None = None
        expected = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if expected != size:
            raise BadRelease(str(path), f"the manifest gives it {size} bytes, its rows need {expected}")
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno()).st_size
                if found != size:
                    raise BadRelease(
                        str(path), f"has {found} bytes instead of {size}: cut short, or not of this release"
                    )
                if size:
                    self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as err:
            raise BadRelease(str(path), "is missing") from err
        except OSError as err:
            raise BadRelease(str(path), f"cannot be read: {err.strerror or err}") from err
        if self._map is None:
            self.values: NDArray[Any] = np.zeros(shape, dtype)
        else:
            self._map.madvise(mmap.MADV_RANDOM)
            self.values = np.frombuffer(self._map, dtype).reshape(shape)
        self._row_bytes = expected // shape[0] if shape[0] else 0
        self._asked = np.zeros((size // mmap.PAGESIZE) // 8 + 1, np.uint8)

    def prefetch(self, first: NDArray[np.int64], end: NDArray[np.int64]) -> int:
        """Ask for the pages of the rows ``first[i]`` up to ``end[i]``; returns how many requests were made."""
        if self._map is None or not len(first):
            return 0
        # one layout of arrays, one compiled kernel
        first, end = np.ascontiguousarray(first, np.int64), np.ascontiguousarray(end, np.int64)
        wanted = _unasked(first, end, self._row_bytes, mmap.PAGESIZE, self._asked)
        if not len(wanted):
            return 0
        wanted.sort()
        cuts = np.flatnonzero(np.diff(wanted) > _NEAR)
        starts = wanted[np.concatenate(([0], cuts + 1))]
        ends = wanted[np.concatenate((cuts, [len(wanted) - 1]))] + 1
        size = len(self._map)
        for start, stop in zip((starts * mmap.PAGESIZE).tolist(), (ends * mmap.PAGESIZE).tolist(), strict=True):
            self._map.madvise(mmap.MADV_WILLNEED, start, min(stop, size) - start)
        return len(starts)

    def prefetch_rows(self, rows: NDArray[np.int64]) -> int:
        """Ask for the pages of single rows; returns how many requests were made."""
        return self.prefetch(rows, rows + 1)

    def noticed_faults(self) -> None:
        """Forget what was asked for: the system has let go of it."""
        self._asked[:] = 0

    def close(self) -> None:
        """Give the map back as soon as nobody holds its values."""
        self.values = self.values[:0].copy()
        if self._map is not None:
            with contextlib.suppress(BufferError):  # somebody still holds values: it is closed with the last of them
                self._map.close()
            self._map = None


def page_faults() -> int:
    """Pages that this thread (where the system does not tell: this process) had to wait for so far."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_majflt


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _unasked(
    first: NDArray[np.int64], end: NDArray[np.int64], row_bytes: int, page_bytes: int, asked: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Pages of rows whose bits are not set yet; sets them."""
    out = np.empty(max(64, len(first)), np.int64)
    k = 0
    for i in range(len(first)):
        if end[i] <= first[i]:
            continue
        for page in range(first[i] * row_bytes // page_bytes, (end[i] * row_bytes - 1) // page_bytes + 1):
            bit = np.uint8(1 << (page & 7))
            if asked[page >> 3] & bit:
                continue
            asked[page >> 3] |= bit
            if k == len(out):
                more = np.empty(2 * k, np.int64)
                more[:k] = out
                out = more
            out[k] = page
            k += 1
    return out[:k]
