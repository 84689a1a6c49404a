from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.packets import walk
from tests.support.packets import zigzag

LONGS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-200, 200), st.sampled_from([2**k for k in range(63)]))


@settings(deadline=None)
@given(LONGS, st.integers(0, 12))
def test_numbers(value: int, behind: int) -> None:
    data = zigzag(value) + b"\xff" * behind
    at = walk.address_of(data)
    found, stop = walk.read_long(at, at + len(data))
    assert (found, stop - at) == (value, len(data) - behind)
    assert walk.skip_long(at, at + len(data)) == stop
    cut = len(data) - behind - 1
    assert walk.read_long(at, at + cut)[1] == -walk.TRUNCATED


@given(st.integers(0, 2**63 - 1), st.integers(1, 9))
def test_padded_numbers(value: int, pad: int) -> None:
    plain = bytearray(zigzag(value >> 30))
    plain[-1] |= 0x80
    data = bytes(plain) + b"\x80" * min(pad, 9 - len(plain)) + b"\0"
    at = walk.address_of(data)
    found, stop = walk.read_long(at, at + len(data))
    assert (found, stop - at) == (value >> 30, len(data))


@pytest.mark.parametrize("data", [b"\x80" * 9 + b"\x02", b"\xff" * 10])
def test_numbers_too_long(data: bytes) -> None:
    at = walk.address_of(data)
    assert walk.read_long(at, at + len(data))[1] == -walk.BAD_VARINT


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 70])
def test_copy(size: int) -> None:
    source = np.arange(1, size + 1, dtype=np.uint8)
    target = np.zeros(size + 1, np.uint8)
    walk.copy_bytes(source.ctypes.data, target.ctypes.data, size)
    assert target.tolist() == [*source.tolist(), 0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0]), st.integers(0, 2), st.integers(0, 5)), max_size=50))
def test_sort_is_stable(rows: list[tuple[float, int, int]]) -> None:
    n = len(rows)
    mjd = np.array([row[0] for row in rows], np.float64)
    keys = np.zeros((n, 4), np.int64)
    keys[:, 0] = [row[1] for row in rows]
    keys[:, 1] = [row[2] for row in rows]
    order, spare, runs = np.arange(n), np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    walk.sort_rows(order, spare, runs, n, False, mjd, keys)
    assert order.tolist() == sorted(range(n), key=lambda i: rows[i])


def test_every_status_has_words() -> None:
    assert set(walk.REASONS) == set(range(1, 11))
