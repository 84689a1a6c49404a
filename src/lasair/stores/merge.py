"""Merging light-curve rows: the keyed join that makes a light curve independent of the order of its alerts.

A stored row is a row of the survey's layout followed by the version of the alert that said it. Two statements about
one row (same key) are joined: the greater version (mjd, then alert id) wins the whole row; of equal versions each field
keeps its non-missing, else greater value. Versions are a chain and fields a semilattice, so their lexicographic product
is a semilattice: the join is associative, commutative and idempotent, and so is that of whole light curves.

A row's key is (kind, source_id), else (without an id) kind, time and provenance. So a row that the survey has
dated anew moves instead of appearing twice.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.schema.model import INT_MISSING, Survey, layout

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

_VERSION = np.dtype([("version_mjd", "<f8"), ("version_id", "<i8")])

# How a field's bytes compare: by the order of the values, with "missing" below all of them.
_FLOAT, _SIGNED, _UNSIGNED = 0, 1, 2

#: What tells rows of one time apart: the exposure, and the rest of the provenance.
_IMAGE: dict[Survey, str] = {"lsst": "visit", "ztf": "pid"}


class StoredLayout(NamedTuple):
    """The layout of stored rows of one survey, and what the kernel must know of it."""

    survey: Survey
    #: the survey's row
    row: np.dtype[Any]
    #: the same followed by the version, filled up to whole words of 8 bytes
    stored: np.dtype[Any]
    #: (fields, 3): offset, size and kind of comparison of each field of `row`
    fields: NDArray[np.int64]
    #: fields of `row` and of `stored` as the kernel sees them: times as the bits of the float
    row_keys: np.dtype[Any]
    stored_keys: np.dtype[Any]


def _offset(dtype: np.dtype[Any], name: str) -> int:
    assert dtype.fields
    return int(dtype.fields[name][1])


def _at(dtype: np.dtype[Any], fields: dict[str, tuple[str, str]]) -> np.dtype[Any]:
    """A dtype of the same size with fields of other names and types at the places of `dtype`'s."""
    return np.dtype(
        {
            "names": list(fields),
            "formats": [form for form, _ in fields.values()],
            "offsets": [_offset(dtype, name) for _, name in fields.values()],
            "itemsize": dtype.itemsize,
        }
    )


@cache
def stored_layout(survey: Survey) -> StoredLayout:
    """The layout in which that survey's rows are stored."""
    row = layout(survey, "row").dtype
    packed = np.dtype([*row.descr, *_VERSION.descr])
    names = packed.names or ()
    stored = np.dtype(
        {
            "names": list(names),
            "formats": [packed[name] for name in names],
            "offsets": [_offset(packed, name) for name in names],
            "itemsize": -(-packed.itemsize // 8) * 8,
        }
    )
    fields = []
    for name in row.names or ():
        if row[name].kind not in "fiu":
            raise TypeError(f"layouts/{survey}.yaml: row field {name} is {row[name]}; light curves hold numbers only")
        compared = {"f": _FLOAT, "i": _SIGNED, "u": _UNSIGNED}[row[name].kind]
        fields.append((_offset(row, name), row[name].itemsize, compared))
    keys = {
        "mjd": ("<i8", "mjd_tai"),
        "kind": ("u1", "kind"),
        "source_id": ("<i8", "source_id"),
        "image": ("<i8", _IMAGE[survey]),
    }
    versions = {"version_mjd": ("<i8", "version_mjd"), "version_id": ("<i8", "version_id")}
    return StoredLayout(survey, row, stored, np.array(fields, np.int64), _at(row, keys), _at(stored, keys | versions))


def places(survey: Survey, rows: NDArray[Any]) -> Ints:
    """What else tells rows of one time and image apart, as one number: LSST's band; ZTF's field, rcid and band."""
    found: Ints = rows["band"].astype(np.int64)
    if survey == "ztf":
        # multiplied, not or-ed, so that their order stays that of (field, rcid, band) for missing ones too
        found += rows["field"].astype(np.int64) * 2**24 + (rows["rcid"].astype(np.int64) + 2**15) * 2**8
    return found


def sort_rows(survey: Survey, rows: NDArray[Any]) -> NDArray[np.int64]:
    """Indices that put rows of one light curve into their canonical order (mjd_tai, kind, source_id, provenance)."""
    return np.lexsort((places(survey, rows), rows[_IMAGE[survey]], rows["source_id"], rows["kind"], rows["mjd_tai"]))


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _identity_hash(mjd: int, kind: int, source_id: int, image: int, place: int) -> np.uint64:
    if source_id != INT_MISSING:
        x = np.uint64(source_id) * np.uint64(3) + np.uint64(kind)
    else:
        x = (np.uint64(mjd) ^ (np.uint64(image) * np.uint64(0x9E3779B97F4A7C15))) + (
            np.uint64(place) * np.uint64(3) + np.uint64(kind)
        )
    # the finaliser of splitmix64
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _ordered(bits: int) -> int:
    """Bits of a float64 as an integer that compares as the float does."""
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _bits(row: Bytes, offset: int, size: int) -> Any:
    bits = np.int64(0)
    for i in range(size - 1, -1, -1):
        bits = (bits << 8) | np.int64(row[offset + i])
    return bits


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _wins(ours: int, theirs: int, size: int, kind: int) -> Any:
    """Whether `ours` is the greater of two different values of a field, given as their bits; missing is least."""
    shift = 64 - 8 * size
    if kind == _FLOAT:
        infinity = np.int64(0x7FF0000000000000) if size == 8 else np.int64(0x7F800000)
        magnitude = np.int64(0x7FFFFFFFFFFFFFFF) >> shift
        ours_missing, theirs_missing = (ours & magnitude) > infinity, (theirs & magnitude) > infinity
        if ours_missing != theirs_missing:
            return theirs_missing
        # two different NaN compare as any bits do, so that the order of the alerts does not matter even then
        return _ordered(ours << shift) > _ordered(theirs << shift)
    if kind == _SIGNED:
        # a sign (the only field of one byte) is -1 or 1; 0 says that there is none
        if size == 1 and (ours == 0 or theirs == 0):
            return theirs == 0
        return (ours << shift) > (theirs << shift)
    return ours > theirs


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _join(target: Bytes, other: Bytes, fields: Ints) -> bool:
    """Join the fields of two statements of equal version into `target`; whether that changed it."""
    different = np.uint8(0)
    for i in range(len(other)):
        different |= target[i] ^ other[i]
    if different == 0:
        return False
    changed = False
    for f in range(len(fields)):
        offset, size, kind = fields[f]
        ours, theirs = _bits(other, offset, size), _bits(target, offset, size)
        if ours != theirs and _wins(ours, theirs, size, kind):
            for i in range(offset, offset + size):
                target[i] = other[i]
            changed = True
    return changed


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _after(a: int, b: int, keys: Any, place: Ints) -> Any:
    """Whether row a belongs after row b."""
    if keys[a].mjd != keys[b].mjd:
        return _ordered(keys[a].mjd) > _ordered(keys[b].mjd)
    if keys[a].kind != keys[b].kind:
        return keys[a].kind > keys[b].kind
    if keys[a].source_id != keys[b].source_id:
        return keys[a].source_id > keys[b].source_id
    if keys[a].image != keys[b].image:
        return keys[a].image > keys[b].image
    return place[a] > place[b]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sort(start: int, count: int, rows: Bytes, keys: Any, place: Ints) -> None:
    """Sort rows in place: natural merge sort, since they come as a few sorted runs. `place` is left as it was."""
    sorted_until = 1
    while sorted_until < count and not _after(start + sorted_until - 1, start + sorted_until, keys, place):
        sorted_until += 1
    if sorted_until >= count:
        return
    order = np.arange(start, start + count)
    spare = np.empty(count, np.int64)
    while True:
        # merge neighbouring runs until one is left
        runs = 0
        left = 0
        while left < count:
            middle = left + 1
            while middle < count and not _after(order[middle - 1], order[middle], keys, place):
                middle += 1
            right = middle
            if middle < count:
                right = middle + 1
                while right < count and not _after(order[right - 1], order[right], keys, place):
                    right += 1
            i, j = left, middle
            for k in range(left, right):
                if j >= right or (i < middle and not _after(order[i], order[j], keys, place)):
                    spare[k] = order[i]
                    i += 1
                else:
                    spare[k] = order[j]
                    j += 1
            runs += 1
            left = right
        order, spare = spare, order
        if runs == 1:
            break
    copy = rows[start : start + count].copy()
    for k in range(count):
        if order[k] != start + k:
            rows[start + k] = copy[order[k] - start]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def merge_rows(
    rows: Bytes,
    keys: Any,
    place: Ints,
    fields: Ints,
    starts: Ints,
    counts: Ints,
    new_rows: Bytes,
    new_keys: Any,
    new_place: Ints,
    new_offsets: Ints,
    new_version_mjd: Ints,
    new_version_id: Ints,
    alerts: Ints,
    alert_offsets: Ints,
) -> tuple[Ints, int]:
    """Join alerts' rows into the light curves of a batch, in place.

    Parameters
    ----------
    rows : (m, stored width) uint8
        Object g owns the rows from ``starts[g]`` to ``starts[g + 1]``, of which the first ``counts[g]`` are its light
        curve; there must be room for all rows of its alerts.
    keys : (m,) the same memory as ``StoredLayout.stored_keys``
    place : (m,) `places` of the rows
    fields : (f, 3), see `StoredLayout`
    counts : (groups,), updated
    new_rows : (n, row width) uint8, with `new_keys` (as ``StoredLayout.row_keys``) and `new_place`
        Alert i owns the rows from ``new_offsets[i]`` to ``new_offsets[i + 1]``.
    new_version_mjd, new_version_id : (alerts,), the time as bits
    alerts, alert_offsets : alerts of object g are ``alerts[alert_offsets[g]:alert_offsets[g + 1]]``

    Returns
    -------
    (groups,) the number of new or changed rows of each object, and the number of rows given.
    """
    groups = len(counts)
    width = new_rows.shape[1]
    changed = np.zeros(groups, np.int64)
    given = 0
    k: Any
    table = np.empty(64, np.int64)
    for g in range(groups):
        start = starts[g]
        count = counts[g]
        room = starts[g + 1] - start
        size = 64
        while size < 2 * room:
            size *= 2
        if size > len(table):
            table = np.empty(size, np.int64)
        mask = np.uint64(size - 1)
        table[:size] = -1
        for k in range(start, start + count):
            slot = _identity_hash(keys[k].mjd, keys[k].kind, keys[k].source_id, keys[k].image, place[k]) & mask
            while table[slot] >= 0:
                slot = (slot + np.uint64(1)) & mask
            table[slot] = k
        for a in range(alert_offsets[g], alert_offsets[g + 1]):
            alert = alerts[a]
            v_mjd = new_version_mjd[alert]
            v_id = new_version_id[alert]
            for r in range(new_offsets[alert], new_offsets[alert + 1]):
                given += 1
                has_id = new_keys[r].source_id != INT_MISSING
                slot = (
                    _identity_hash(
                        new_keys[r].mjd, new_keys[r].kind, new_keys[r].source_id, new_keys[r].image, new_place[r]
                    )
                    & mask
                )
                found = np.int64(-1)
                while table[slot] >= 0:
                    k = table[slot]
                    if (
                        keys[k].kind == new_keys[r].kind
                        and keys[k].source_id == new_keys[r].source_id
                        and (
                            has_id
                            or (
                                keys[k].mjd == new_keys[r].mjd
                                and keys[k].image == new_keys[r].image
                                and place[k] == new_place[r]
                            )
                        )
                    ):
                        found = k
                        break
                    slot = (slot + np.uint64(1)) & mask
                if found >= 0:
                    if keys[found].version_mjd == v_mjd and keys[found].version_id == v_id:
                        if _join(rows[found], new_rows[r], fields):
                            changed[g] += 1
                        continue
                    held = _ordered(keys[found].version_mjd)
                    offered = _ordered(v_mjd)
                    if held > offered or (held == offered and keys[found].version_id > v_id):
                        continue
                    k = found
                else:
                    k = np.int64(start + count)
                    count += 1
                    table[slot] = k
                for i in range(width):
                    rows[k, i] = new_rows[r, i]
                place[k] = new_place[r]
                keys[k].version_mjd = v_mjd
                keys[k].version_id = v_id
                changed[g] += 1
        counts[g] = count
        if changed[g]:
            _sort(start, count, rows, keys, place)
    return changed, given
