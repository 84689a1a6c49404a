"""Every active cone of every watchlist in one index: which cones hold a position?

Cones are kept in *blocks*: arrays sorted by (tier, HEALPix cell), where a tier holds the radii that suit one order, so
that a look-up touches few cells however radii are mixed. A block holds one large list or many small ones; blocks are
never changed. Adding a list adds a block, and blocks of like size are now and then merged into one (the log-structured
merge tree of O'Neil et al. 1996, Acta Informatica 33, 351), so that ten thousand lists do not cost ten thousand
look-ups; removing a list only marks it. Each such step gives a new index that shares the other blocks with the old
one: a reader that holds the old one goes on undisturbed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lasair.catalogues.healpix import CAP_WIDTH, cell_number, locate, touched_cells
from lasair.catalogues.sky import margin_at
from lasair.errors import BadDefinition
from lasair.sky.names import PackedNames
from lasair.sky.separation import ARCSEC_PER_RADIAN

#: The widest cone of a watchlist [arcsec]: ten degrees.
MAX_RADIUS_ARCSEC = 36_000.0

#: Separations this much above the radius still hit [arcsec]. Right ascensions are held to 2e-10 arcsec, so that a point
#: written exactly one radius from the centre comes out a few times that nearer or farther.
EDGE_ARCSEC = 1e-9

#: Order of the cells of each tier; the last suits the widest cone.
_ORDERS = np.array([14, 12, 10, 8, 6, 4, 1], np.int64)
#: Greatest radius of each tier [arcsec]: a disc at the tier's order reaches no farther than the next cell.
_BOUNDS = 0.998 * CAP_WIDTH / 2.0**_ORDERS * ARCSEC_PER_RADIAN
#: Keys are ``tier << 58 | cell``, the cell at this order: 12 * 4**27 is less than 2**58.
_KEY_ORDER, _TIER_SHIFT = 27, 58

#: Blocks up to this size are merged at once, so that there is at most one of them.
_SMALL = 4096
#: Blocks above this size are left alone: merging them would keep an editor waiting.
_LARGE = 1 << 20
#: This many blocks of one size are merged; sizes grow by the same factor.
_FAN = 4


@dataclass(frozen=True, slots=True)
class _List:
    list_id: int
    cones: int
    names: PackedNames | None


@dataclass(frozen=True, slots=True)
class _Block:
    """Cones of some lists, ascending by key; `slot` says which of `lists`, `row` which of its names."""

    key: NDArray[np.int64]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    radius: NDArray[np.float64]
    cone_id: NDArray[np.int64]
    slot: NDArray[np.int32]
    row: NDArray[np.int32]
    lists: tuple[_List, ...]
    list_ids: NDArray[np.int64]
    #: of each tier: where it begins in the block (and, at last, where the block ends), and its widest cone [rad]
    start: NDArray[np.int64]
    widest: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.key)

    @property
    def nbytes(self) -> int:
        arrays = (self.key, self.ra, self.decl, self.radius, self.cone_id, self.slot, self.row, self.list_ids)
        return sum(array.nbytes for array in arrays) + sum(one.names.nbytes for one in self.lists if one.names)


@dataclass(frozen=True, slots=True)
class ConeSegment:
    """The cones of one list, sorted and packed, to be put into a `ConeIndex`."""

    block: _Block

    @classmethod
    def build(
        cls,
        list_id: int,
        cone_ids: ArrayLike,
        ra: ArrayLike,
        decl: ArrayLike,
        radius_arcsec: ArrayLike,
        names: Sequence[str] | PackedNames | None = None,
    ) -> ConeSegment:
        """Sort and pack a list.

        Parameters
        ----------
        list_id : number of the list
        cone_ids : (n,) int64
        ra, decl : (n,) [deg]
        radius_arcsec : (n,) or one for all, 0 to `MAX_RADIUS_ARCSEC`
        names : n texts, or None: all are empty

        Raises
        ------
        BadDefinition
            Lengths differ, or a cone has no place on the sky or no radius in the range; the message names it.
        """
        ids = np.ascontiguousarray(cone_ids, np.int64).reshape(-1)
        alpha = np.ascontiguousarray(ra, np.float64).reshape(-1)
        delta = np.ascontiguousarray(decl, np.float64).reshape(-1)
        radius = np.array(np.broadcast_to(np.asarray(radius_arcsec, np.float64).reshape(-1), ids.shape))
        if not len(ids) == len(alpha) == len(delta) or (names is not None and len(names) != len(ids)):
            raise BadDefinition(f"watchlist {list_id}: ids, positions and names of its cones are not equally many")
        good = np.isfinite(alpha) & (np.abs(delta) <= 90.0) & (radius >= 0.0) & (radius <= MAX_RADIUS_ARCSEC)
        if not good.all():
            bad = int(np.argmin(good))
            raise BadDefinition(
                f"watchlist {list_id}: cone {ids[bad]} cannot be indexed: ra {alpha[bad]}, decl {delta[bad]}, "
                f"radius {radius[bad]} arcsec; radii go to {MAX_RADIUS_ARCSEC:g} arcsec"
            )
        packed = names if names is None or isinstance(names, PackedNames) else PackedNames.of(names)
        tier = np.searchsorted(_BOUNDS, radius + 2.0 * EDGE_ARCSEC)
        alpha = alpha % 360.0
        key = (tier << _TIER_SHIFT) | cells_or_none(alpha, delta, _KEY_ORDER)
        return cls(
            _sorted(
                key, alpha, delta, radius, ids,
                np.zeros(len(ids), np.int32), np.arange(len(ids), dtype=np.int32),
                (_List(int(list_id), len(ids), packed),),
            )
        )  # fmt: skip

    @property
    def list_id(self) -> int:
        """Number of the list."""
        return self.block.lists[0].list_id

    def __len__(self) -> int:
        return len(self.block)


@dataclass(frozen=True, slots=True)
class Hits:
    """Positions and the cones that hold them, ascending by (position, list, cone); all arrays (h,).

    Attributes
    ----------
    position : int64, index in the batch
    list_id, cone_id : int64
    separation_arcsec : float64, great-circle, no more than the radius
    """

    position: NDArray[np.int64]
    list_id: NDArray[np.int64]
    cone_id: NDArray[np.int64]
    separation_arcsec: NDArray[np.float64]
    _lists: tuple[_List, ...]
    _slot: NDArray[np.int64]
    _row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.position)

    def name(self, hit: int) -> str:
        """Name of the cone of a hit, '' when it has none."""
        names = self._lists[self._slot[hit]].names
        return names[self._row[hit]] if names is not None else ""

    def names(self) -> list[str]:
        """Names of all hits."""
        return [self.name(hit) for hit in range(len(self))]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A block as an index sees it: which of its lists still count, and how many cones they have."""

    block: _Block
    alive: NDArray[np.bool_]
    cones: int


class ConeIndex:
    """All active cones; never changes: `with_segment` and `without` give a new index."""

    __slots__ = ("_lists", "_placed")

    def __init__(self, placed: Iterable[_Placed] = ()) -> None:
        """An index without cones; `of` and `with_segment` fill it."""
        self._placed = tuple(placed)
        self._lists = tuple(one for placed in self._placed for one in placed.block.lists)

    @classmethod
    def of(cls, segments: Iterable[ConeSegment]) -> ConeIndex:
        """An index over many lists at once; of two segments of one list the later counts."""
        latest = {segment.list_id: segment for segment in segments}
        placed: list[_Placed] = []
        group: list[_Placed] = []
        held = 0
        for segment in sorted((one for one in latest.values() if len(one)), key=len):
            if held + len(segment) > _FAN * _LARGE or len(segment) > _LARGE:
                placed += [_merged(group)] if group else []
                group, held = [], 0
            group.append(_whole(segment.block))
            held += len(segment)
        placed += [_merged(group)] if group else []
        return cls(placed)

    def __len__(self) -> int:
        return sum(placed.cones for placed in self._placed)

    @property
    def blocks(self) -> int:
        """Blocks that a look-up visits."""
        return len(self._placed)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays held."""
        return sum(placed.block.nbytes for placed in self._placed)

    def list_ids(self) -> NDArray[np.int64]:
        """Lists that have cones here, ascending."""
        found = [placed.block.list_ids[placed.alive] for placed in self._placed]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)

    def with_segment(self, segment: ConeSegment) -> ConeIndex:
        """An index with these cones as its list's; they replace any that the list had."""
        kept = self._marked(segment.list_id)
        if len(segment):
            kept.append(_whole(segment.block))
        return ConeIndex(_compacted(kept))

    def without(self, list_id: int) -> ConeIndex:
        """An index without a list; the same cones when it has none."""
        return ConeIndex(_compacted(self._marked(list_id)))

    def _marked(self, list_id: int) -> list[_Placed]:
        kept = []
        for placed in self._placed:
            dead = (placed.block.list_ids == list_id) & placed.alive
            if dead.any():
                gone = sum(placed.block.lists[slot].cones for slot in np.flatnonzero(dead))
                placed = _Placed(placed.block, placed.alive & ~dead, placed.cones - gone)
            kept.append(placed)
        return kept

    def find(self, ra: ArrayLike, decl: ArrayLike) -> Hits:
        """All cones that hold the positions of a batch: great-circle separation no more than the cone's radius.

        Parameters
        ----------
        ra, decl : (n,) [deg]
            A position that is not finite, or beyond a pole, has no hits.
        """
        alpha = np.ascontiguousarray(ra, np.float64).reshape(-1)
        delta = np.ascontiguousarray(decl, np.float64).reshape(-1)
        if not self._placed or not len(alpha):
            return Hits(*(np.empty(0, np.int64),) * 3, np.empty(0), (), *(np.empty(0, np.int64),) * 2)
        # neighbours on the sky look at the same part of a block: in order, they find it in the processor's cache
        order = np.argsort(cells_or_none(alpha, delta, _KEY_ORDER), kind="stable")
        places = _places(alpha, delta, order)
        found = []
        first = 0
        for placed in self._placed:
            found.append(_find(placed, order, places, first))
            first += len(placed.block.lists)
        position, list_id, cone_id, separation, slot, row = (
            np.concatenate([one[i] for one in found]) for i in range(6)
        )
        by = np.lexsort((cone_id, list_id, position))
        return Hits(position[by], list_id[by], cone_id[by], separation[by], self._lists, slot[by], row[by])


def _sorted(
    key: NDArray[np.int64],
    ra: NDArray[np.float64],
    decl: NDArray[np.float64],
    radius: NDArray[np.float64],
    cone_id: NDArray[np.int64],
    slot: NDArray[np.int32],
    row: NDArray[np.int32],
    lists: tuple[_List, ...],
) -> _Block:
    by = np.argsort(key, kind="stable")
    key, radius = key[by], radius[by]
    start = np.searchsorted(key, np.arange(len(_ORDERS) + 1, dtype=np.int64) << _TIER_SHIFT)
    widest = np.zeros(len(_ORDERS))
    for tier in range(len(_ORDERS)):
        if start[tier] < start[tier + 1]:
            within = radius[start[tier] : start[tier + 1]]
            widest[tier] = (within.max() + 2.0 * EDGE_ARCSEC) / ARCSEC_PER_RADIAN
    ids = np.array([one.list_id for one in lists], np.int64)
    return _Block(key, ra[by], decl[by], radius, cone_id[by], slot[by], row[by], lists, ids, start, widest)


def _whole(block: _Block) -> _Placed:
    return _Placed(block, np.ones(len(block.lists), np.bool_), len(block))


def _level(placed: _Placed) -> int:
    return max(0, math.ceil(math.log(max(len(placed.block), 1) / _SMALL, _FAN)))


def _compacted(placed: list[_Placed]) -> list[_Placed]:
    """Blocks without those that are empty, half-dead ones rewritten, and many of one size merged."""
    kept = [
        one if 2 * one.cones >= len(one.block) else _merged([one])
        for one in placed
        if one.cones
    ]  # fmt: skip
    while True:
        levels: dict[int, list[_Placed]] = {}
        for one in kept:
            if len(one.block) <= _LARGE:
                levels.setdefault(_level(one), []).append(one)
        crowded = next((v for level, v in sorted(levels.items()) if len(v) >= (_FAN if level else 2)), None)
        if crowded is None:
            return kept
        gone = {id(one) for one in crowded}
        kept = [one for one in kept if id(one) not in gone] + [_merged(crowded)]


def _merged(placed: list[_Placed]) -> _Placed:
    """One block of the cones that count."""
    if len(placed) == 1 and placed[0].alive.all():
        return placed[0]
    lists: list[_List] = []
    columns: list[tuple[NDArray[Any], ...]] = []
    for one in placed:
        block = one.block
        slots = (np.cumsum(one.alive) - 1 + len(lists)).astype(np.int32)
        lists += [block.lists[slot] for slot in np.flatnonzero(one.alive)]
        column: tuple[NDArray[Any], ...] = (
            block.key, block.ra, block.decl, block.radius, block.cone_id, slots[block.slot], block.row,
        )  # fmt: skip
        if not one.alive.all():
            counts = one.alive[block.slot]
            column = tuple(array[counts] for array in column)
        columns.append(column)
    key, ra, decl, radius, cone_id, slot, row = (np.concatenate([column[i] for column in columns]) for i in range(7))
    return _whole(_sorted(key, ra, decl, radius, cone_id, slot, row, tuple(lists)))


def _find(
    placed: _Placed, order: NDArray[np.int64], places: tuple[NDArray[Any], ...], first: int
) -> tuple[NDArray[Any], ...]:
    block = placed.block
    room = 1024 + 2 * len(order)
    while True:
        which, row, separation = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
        total = _search(
            *places, block.key, block.ra, block.decl, block.radius, block.slot, placed.alive,
            block.start, block.widest, _ORDERS, which, row, separation,
        )  # fmt: skip
        if total <= room:
            break
        room = total
    which, row, separation = which[:total], row[:total], separation[:total]
    slot = block.slot[row].astype(np.int64)
    return (
        order[which], block.list_ids[slot], block.cone_id[row], separation,
        slot + first, block.row[row].astype(np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cells_or_none(ra: NDArray[np.float64], decl: NDArray[np.float64], order: int) -> NDArray[np.int64]:
    """Nested cells of positions [deg], (n,) int64; -1 where a position is not finite or beyond a pole."""
    side = 1 << order
    out = np.full(len(ra), -1, np.int64)
    for i in range(len(ra)):
        if math.isfinite(ra[i]) and abs(decl[i]) <= 90.0:
            face, fx, fy = locate(ra[i], decl[i])
            out[i] = cell_number(face, min(int(fx * side), side - 1), min(int(fy * side), side - 1), order)
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _places(
    ra: NDArray[np.float64], decl: NDArray[np.float64], order: NDArray[np.int64]
) -> tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    """Positions in order: ra, decl, sin(decl), cos(decl), and the place in the projection (face -1: no position)."""
    n = len(order)
    alpha, delta, sine, cosine = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    face, fx, fy = np.full(n, -1, np.int64), np.empty(n), np.empty(n)
    for k in range(n):
        i = order[k]
        alpha[k], delta[k] = ra[i] % 360.0, decl[i]
        if math.isfinite(ra[i]) and abs(decl[i]) <= 90.0:
            sine[k], cosine[k] = math.sin(math.radians(decl[i])), math.cos(math.radians(decl[i]))
            face[k], fx[k], fy[k] = locate(alpha[k], decl[i])
    return alpha, delta, sine, cosine, face, fx, fy


@njit(cache=True, nogil=True)
def _search(  # type: ignore[no-untyped-def]
    ra, decl, sine, cosine, face, fx, fy,
    key, cone_ra, cone_decl, radius, slot, alive, start, widest, orders,
    which, row, separation,
):  # fmt: skip
    """Hits of one block into `which`, `row`, `separation` as far as there is room; returns how many there are."""
    cells = np.empty(9, np.int64)
    total = 0
    for i in range(len(ra)):
        if face[i] < 0:
            continue
        for tier in range(len(orders)):
            if start[tier] == start[tier + 1]:
                continue
            order = orders[tier]
            shift = 2 * (_KEY_ORDER - order)
            n = touched_cells(face[i], fx[i], fy[i], order, margin_at(widest[tier], sine[i], order), cells)
            for c in range(n):
                low = (tier << _TIER_SHIFT) | (cells[c] << shift)
                high = low + (1 << shift)
                k, top = start[tier], start[tier + 1]
                while k < top:
                    middle = (k + top) >> 1
                    if key[middle] < low:
                        k = middle + 1
                    else:
                        top = middle
                top = start[tier + 1]
                while k < top and key[k] < high:
                    reach = (radius[k] + EDGE_ARCSEC) / ARCSEC_PER_RADIAN
                    north = math.radians(cone_decl[k] - decl[i])
                    if abs(north) <= reach * (1.0 + 1e-15) and alive[slot[k]]:
                        # in degrees, where the difference of near numbers is exact
                        east = cone_ra[k] - ra[i]
                        if east > 180.0:
                            east -= 360.0
                        elif east < -180.0:
                            east += 360.0
                        rise, run = math.sin(0.5 * north), math.sin(0.5 * math.radians(east))
                        half = rise * rise + cosine[i] * math.cos(math.radians(cone_decl[k])) * run * run
                        # sin(x) <= x: most of what is too far needs no arcsine
                        if half <= 0.25 * reach * reach * (1.0 + 1e-12):
                            found = 2.0 * ARCSEC_PER_RADIAN * math.asin(math.sqrt(min(half, 1.0)))
                            if found <= radius[k] + EDGE_ARCSEC:
                                if total < len(which):
                                    which[total] = i
                                    row[total] = k
                                    separation[total] = min(found, radius[k])
                                total += 1
                    k += 1
    return total
