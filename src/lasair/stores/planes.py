"""Packed rows as compressed byte planes.

The first bytes of all rows, then the second bytes and so on: bytes that vary little (exponents, leading digits of ids,
versions) come to lie together, and LZ4 then makes a light curve about 0.4 of its size, in half the time that it needs
for the rows as they are. The idea is that of the shuffle filter of HDF5 and Blosc.

Rows are words of 8 bytes and curves whole blocks of 8 rows (the last filled up with zeros), so that the planes are made
by turning squares of 8 x 8 bytes in registers (Warren, Hacker's Delight, 2nd ed., 7-3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lz4.block
import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Rows come in blocks of this many.
BLOCK = 8

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]


class BadPlanes(ValueError):
    """Bytes that are no light curve."""


def in_blocks(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of rows, rounded up to whole blocks."""
    return np.asarray((counts + (BLOCK - 1)) // BLOCK * BLOCK, dtype=np.int64)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _swap(a: Any, b: Any, shift: Any, mask: Any) -> Any:
    t = ((a >> shift) ^ b) & mask
    return a ^ (t << shift), b ^ t


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _turn(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
    """Transpose a square of 8 x 8 bytes, given as 8 words; its own inverse."""
    shift, mask = np.uint64(8), np.uint64(0x00FF00FF00FF00FF)
    a, b = _swap(a, b, shift, mask)
    c, d = _swap(c, d, shift, mask)
    e, f = _swap(e, f, shift, mask)
    g, h = _swap(g, h, shift, mask)
    shift, mask = np.uint64(16), np.uint64(0x0000FFFF0000FFFF)
    a, c = _swap(a, c, shift, mask)
    b, d = _swap(b, d, shift, mask)
    e, g = _swap(e, g, shift, mask)
    f, h = _swap(f, h, shift, mask)
    shift, mask = np.uint64(32), np.uint64(0x00000000FFFFFFFF)
    a, e = _swap(a, e, shift, mask)
    b, f = _swap(b, f, shift, mask)
    c, g = _swap(c, g, shift, mask)
    d, h = _swap(d, h, shift, mask)
    return a, b, c, d, e, f, g, h


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _split(rows: Words, starts: Ints, blocks: Ints, out: Words) -> None:
    """Planes of curves of ``blocks[g]`` blocks from ``rows[starts[g]]``, one curve after the other in `out`."""
    words = rows.shape[1]
    at = 0
    for g in range(len(starts)):
        n = blocks[g]
        for i in range(n):
            r = starts[g] + 8 * i
            for j in range(words):
                k = at + 8 * j * n + i
                (
                    out[k],
                    out[k + n],
                    out[k + 2 * n],
                    out[k + 3 * n],
                    out[k + 4 * n],
                    out[k + 5 * n],
                    out[k + 6 * n],
                    out[k + 7 * n],
                ) = _turn(
                    rows[r, j],
                    rows[r + 1, j],
                    rows[r + 2, j],
                    rows[r + 3, j],
                    rows[r + 4, j],
                    rows[r + 5, j],
                    rows[r + 6, j],
                    rows[r + 7, j],
                )
        at += 8 * words * n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gather(planes: Words, starts: Ints, blocks: Ints, rows: Words) -> None:
    """Inverse of `_split`."""
    words = rows.shape[1]
    at = 0
    for g in range(len(starts)):
        n = blocks[g]
        for i in range(n):
            r = starts[g] + 8 * i
            for j in range(words):
                k = at + 8 * j * n + i
                (
                    rows[r, j],
                    rows[r + 1, j],
                    rows[r + 2, j],
                    rows[r + 3, j],
                    rows[r + 4, j],
                    rows[r + 5, j],
                    rows[r + 6, j],
                    rows[r + 7, j],
                ) = _turn(
                    planes[k],
                    planes[k + n],
                    planes[k + 2 * n],
                    planes[k + 3 * n],
                    planes[k + 4 * n],
                    planes[k + 5 * n],
                    planes[k + 6 * n],
                    planes[k + 7 * n],
                )
        at += 8 * words * n


def _words(rows: NDArray[Any]) -> Words:
    return rows.view(np.uint64).reshape(len(rows), rows.dtype.itemsize // 8)


def compress(rows: NDArray[Any], starts: NDArray[np.int64], counts: NDArray[np.int64]) -> list[bytes]:
    """Curves as compressed planes.

    Parameters
    ----------
    rows : (m,) structured, contiguous, of a dtype whose size is a multiple of 8
    starts, counts : (curves,)
        Curve g is ``rows[starts[g]:starts[g] + counts[g]]``, followed by zeros up to a whole block.
    """
    blocks = in_blocks(counts) // BLOCK
    sizes = blocks * BLOCK * rows.dtype.itemsize
    planes = np.empty(int(sizes.sum()) // 8, np.uint64)
    _split(_words(rows), starts, blocks, planes)
    memory = planes.data.cast("B")
    ends = np.cumsum(sizes).tolist()
    return [lz4.block.compress(memory[end - size : end]) for size, end in zip(sizes.tolist(), ends, strict=True)]


def decompress(blob: bytes, count: int, itemsize: int) -> bytes:
    """The planes of a curve of `count` rows; BadPlanes when they are not."""
    try:
        planes: bytes = lz4.block.decompress(blob)
    except (lz4.block.LZ4BlockError, ValueError, MemoryError) as err:
        raise BadPlanes(f"not compressed rows: {err}") from err
    if len(planes) != (count + BLOCK - 1) // BLOCK * BLOCK * itemsize:
        raise BadPlanes(f"{len(planes)} bytes are not {count} rows of {itemsize} bytes in blocks of {BLOCK}")
    return planes


def restore(planes: Sequence[bytes], starts: NDArray[np.int64], rows: NDArray[Any]) -> None:
    """Write curves given as planes to ``rows[starts[g]:]``, in whole blocks; `rows` as for `compress`."""
    blocks = np.array([len(one) for one in planes], np.int64) // (BLOCK * rows.dtype.itemsize)
    _gather(np.frombuffer(b"".join(planes), np.uint64), starts, blocks, _words(rows))
