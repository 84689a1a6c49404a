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


class StoredLayout(NamedTuple):
    """The layout of stored rows of one survey, and what the kernel must know of it."""

    survey: Survey
    #: the survey's row
    row: np.dtype[Any]
    #: the same followed by the version, filled up to whole words of 8 bytes
    stored: np.dtype[Any]
    #: (fields, 3): offset, size and kind of comparison of each field of `row`
    fields: NDArray[np.int64]


@cache
def stored_layout(survey: Survey) -> StoredLayout:
    """The layout in which that survey's rows are stored."""
    row = layout(survey, "row").dtype
    named = [*row.descr, *_VERSION.descr]
    packed = np.dtype(named)
    stored = np.dtype(
        {
            "names": list(packed.names or ()),
            "formats": [form for _, form in named],
            "offsets": [packed.fields[name][1] for name in packed.names or ()],  # type: ignore[index]
            "itemsize": -(-packed.itemsize // 8) * 8,
        }
    )
    fields = []
    for name in row.names or ():
        dtype, offset = row.fields[name][:2]  # type: ignore[index]
        if dtype.kind not in "fiu":
            raise TypeError(f"layouts/{survey}.yaml: row field {name} is {dtype}; light curves hold numbers only")
        fields.append((offset, dtype.itemsize, {"f": _FLOAT, "i": _SIGNED, "u": _UNSIGNED}[dtype.kind]))
    return StoredLayout(survey, row, stored, np.array(fields, np.int64))


class Keys(NamedTuple):
    """Key columns of rows; `mjd` as the bits of the float, whose order is that of the times after 1858."""

    mjd: Ints
    kind: Bytes
    source_id: Ints
    #: exposure (LSST: visit; ZTF: pid)
    image: Ints
    #: what else tells rows of one time apart (LSST: band; ZTF: field, rcid, band)
    place: Ints


def keys_of(survey: Survey, rows: NDArray[Any]) -> Keys:
    """Views of the key columns of `rows`, in the layout with or without versions."""
    band = rows["band"].astype(np.int64)
    if survey == "ztf":
        image = rows["pid"]
        place = (rows["field"].astype(np.int64) << 24) | ((rows["rcid"].astype(np.int64) & 0xFFFF) << 8) | band
    else:
        image, place = rows["visit"], band
    return Keys(rows["mjd_tai"].view("<i8"), rows["kind"], rows["source_id"], image, place)


def sort_rows(survey: Survey, rows: NDArray[Any]) -> NDArray[np.int64]:
    """Indices that put rows of one light curve into their canonical order (mjd_tai, kind, source_id, provenance)."""
    mjd, kind, source_id, image, place = keys_of(survey, rows)
    return np.lexsort((place, image, source_id, kind, mjd))


@njit(cache=True, nogil=True, inline="always")  # type: ignore[misc]
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


@njit(cache=True, nogil=True, inline="always")  # type: ignore[misc]
def _ordered(bits: int) -> int:
    """Bits of a float64 as an integer that compares as the float does."""
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True)  # type: ignore[misc]
def _bits(row: Bytes, offset: int, size: int) -> int:
    bits = np.int64(0)
    for i in range(size - 1, -1, -1):
        bits = (bits << 8) | np.int64(row[offset + i])
    return bits


@njit(cache=True, nogil=True)  # type: ignore[misc]
def _wins(ours: int, theirs: int, size: int, kind: int) -> bool:
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


@njit(cache=True, nogil=True)  # type: ignore[misc]
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


@njit(cache=True, nogil=True, inline="always")  # type: ignore[misc]
def _after(a: int, b: int, keys: Any) -> bool:
    """Whether row a belongs after row b."""
    mjd, kind, source_id, image, place = keys
    if mjd[a] != mjd[b]:
        return _ordered(mjd[a]) > _ordered(mjd[b])
    if kind[a] != kind[b]:
        return kind[a] > kind[b]
    if source_id[a] != source_id[b]:
        return source_id[a] > source_id[b]
    if image[a] != image[b]:
        return image[a] > image[b]
    return place[a] > place[b]


@njit(cache=True, nogil=True)  # type: ignore[misc]
def _sort(start: int, count: int, rows: Bytes, keys: Any) -> None:
    """Sort rows in place: natural merge sort, since they come as a few sorted runs. `keys.place` is left as it was."""
    sorted_until = 1
    while sorted_until < count and not _after(start + sorted_until - 1, start + sorted_until, keys):
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
            while middle < count and not _after(order[middle - 1], order[middle], keys):
                middle += 1
            right = middle
            if middle < count:
                right = middle + 1
                while right < count and not _after(order[right - 1], order[right], keys):
                    right += 1
            i, j = left, middle
            for k in range(left, right):
                if j >= right or (i < middle and not _after(order[i], order[j], keys)):
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


@njit(cache=True, nogil=True)  # type: ignore[misc]
def merge_rows(
    rows: Bytes,
    keys: Any,
    version_mjd: Ints,
    version_id: Ints,
    fields: Ints,
    starts: Ints,
    counts: Ints,
    new_rows: Bytes,
    new_keys: Any,
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
        curve; there must be room for all rows of its alerts. `keys`, `version_mjd` (bits) and `version_id` are
        views of the same memory, but for ``keys.place``, which is kept up with it.
    fields : (f, 3), see `StoredLayout`
    counts : (groups,), updated
    new_rows : (n, row width) uint8 with `new_keys`; alert i owns ``new_offsets[i]`` to ``new_offsets[i + 1]``
    new_version_mjd, new_version_id : (alerts,)
    alerts, alert_offsets : alerts of object g are ``alerts[alert_offsets[g]:alert_offsets[g + 1]]``

    Returns
    -------
    (groups,) the number of new or changed rows of each object, and the number of rows given.
    """
    mjd, kind, source_id, image, place = keys
    new_mjd, new_kind, new_source_id, new_image, new_place = new_keys
    groups = len(counts)
    width = new_rows.shape[1]
    changed = np.zeros(groups, np.int64)
    given = 0
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
            slot = _identity_hash(mjd[k], kind[k], source_id[k], image[k], place[k]) & mask
            while table[slot] >= 0:
                slot = (slot + np.uint64(1)) & mask
            table[slot] = k
        for a in range(alert_offsets[g], alert_offsets[g + 1]):
            alert = alerts[a]
            v_mjd = new_version_mjd[alert]
            v_id = new_version_id[alert]
            for r in range(new_offsets[alert], new_offsets[alert + 1]):
                given += 1
                has_id = new_source_id[r] != INT_MISSING
                slot = _identity_hash(new_mjd[r], new_kind[r], new_source_id[r], new_image[r], new_place[r]) & mask
                found = np.int64(-1)
                while table[slot] >= 0:
                    k = table[slot]
                    if (
                        kind[k] == new_kind[r]
                        and source_id[k] == new_source_id[r]
                        and (has_id or (mjd[k] == new_mjd[r] and image[k] == new_image[r] and place[k] == new_place[r]))
                    ):
                        found = k
                        break
                    slot = (slot + np.uint64(1)) & mask
                if found >= 0:
                    if version_mjd[found] == v_mjd and version_id[found] == v_id:
                        if _join(rows[found], new_rows[r], fields):
                            changed[g] += 1
                        continue
                    held = _ordered(version_mjd[found])
                    offered = _ordered(v_mjd)
                    if held > offered or (held == offered and version_id[found] > v_id):
                        continue
                    k = found
                else:
                    k = start + count
                    count += 1
                    table[slot] = k
                for i in range(width):
                    rows[k, i] = new_rows[r, i]
                place[k] = new_place[r]
                version_mjd[k] = v_mjd
                version_id[k] = v_id
                changed[g] += 1
        counts[g] = count
        if changed[g]:
            _sort(start, count, rows, keys)
    return changed, given
