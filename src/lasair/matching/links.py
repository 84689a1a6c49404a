"""Objects of one place: near-duplicate ids of one survey, and objects of the two surveys. Linked, never merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lasair.schema.model import POSITION, SURVEYS, Survey
from lasair.sky.cones import EDGE_ARCSEC, ConeIndex, ConeSegment

#: Objects no farther apart than this are linked [arcsec].
LINK_ARCSEC = 1.5

#: Objects that are read or looked up at once: what is done while a person waits for a progress bar to move.
_STEP = 100_000

LinkKind = Literal["duplicate", "other survey"]


class Link(NamedTuple):
    """An object at the place of another."""

    survey: Survey
    #: as users name it
    object: int | str
    separation_arcsec: float
    kind: LinkKind


class Near(Protocol):
    """The part of an object store that finds what lies near one object (see `ObjectStore`)."""

    def fetch(
        self, survey: str, table: str, names: Sequence[str], keys: Sequence[int | str]
    ) -> Mapping[Any, tuple[Any, ...]]: ...

    def cone(self, survey: str, ra: float, decl: float, radius_arcsec: float) -> Sequence[tuple[int | str, float]]: ...


class Chunk(Protocol):
    """Stored objects: names, positions [deg], and where the next ones begin (see `SqliteObjectStore.positions`)."""

    @property
    def keys(self) -> NDArray[Any]: ...
    @property
    def ra(self) -> NDArray[np.float64]: ...
    @property
    def decl(self) -> NDArray[np.float64]: ...
    @property
    def place(self) -> bytes: ...


class All(Protocol):
    """The part of an object store that tells where all objects are."""

    def positions(self, survey: str, after: bytes | None, limit: int) -> Chunk | None: ...


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of objects of one place, all arrays (k,), by separation, then by objects.

    Attributes
    ----------
    surveys : of the first and of the second object; they are the same for near-duplicates
    first, second : objects as users name them; of near-duplicates each pair stands once, the smaller name first
    separation_arcsec : great-circle, at most LINK_ARCSEC
    """

    surveys: tuple[Survey, Survey]
    first: NDArray[Any]
    second: NDArray[Any]
    separation_arcsec: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def kind(self) -> LinkKind:
        """What they all are."""
        return "duplicate" if self.surveys[0] == self.surveys[1] else "other survey"


def linked(objects: Near, survey: Survey, key: int | str) -> list[Link]:
    """What lies within LINK_ARCSEC of an object in either survey, nearest first, itself left out.

    Links are not passed on: of three objects in a row, each 1.4 arcsec from the next, the ends are not linked.

    Parameters
    ----------
    objects : main database
    key : the object as users name it; one that is not stored, or has no position, has no links

    Raises
    ------
    StoreUnavailable
        The database cannot be read.
    """
    place = objects.fetch(survey, "objects", POSITION[survey], [key]).get(key)
    if place is None or None in place:
        return []
    found = [
        Link(other, name, min(separation, LINK_ARCSEC), "duplicate" if other == survey else "other survey")
        for other in SURVEYS
        for name, separation in objects.cone(other, place[0], place[1], LINK_ARCSEC + EDGE_ARCSEC)
        if (other, name) != (survey, key)
    ]
    return sorted(found, key=lambda one: (one.separation_arcsec, one.kind, one.object))


def all_links(
    objects: All, surveys: Sequence[Survey] = SURVEYS, progress: Callable[[int], None] | None = None
) -> list[Pairs]:
    """All pairs of objects of one place: near-duplicates of each survey, then those of every two surveys.

    Parameters
    ----------
    objects : main database
    surveys : whose objects
    progress : told how many objects were read or looked up

    Raises
    ------
    StoreUnavailable
        The database cannot be read.
    """
    places = {survey: _all_places(objects, survey, progress) for survey in surveys}
    found = []
    for survey, (keys, ra, decl) in places.items():
        one, other, separation = pairs_of_one(ra, decl, progress)
        swapped = keys[one] > keys[other]
        first, second = np.where(swapped, other, one), np.where(swapped, one, other)
        found.append(_pairs((survey, survey), keys[first], keys[second], separation))
    for first_survey, second_survey in combinations(places, 2):
        keys1, ra1, decl1 = places[first_survey]
        keys2, ra2, decl2 = places[second_survey]
        one, other, separation = pairs_of_two(ra1, decl1, ra2, decl2, progress)
        found.append(_pairs((first_survey, second_survey), keys1[one], keys2[other], separation))
    return found


def _pairs(
    surveys: tuple[Survey, Survey], first: NDArray[Any], second: NDArray[Any], separation: NDArray[np.float64]
) -> Pairs:
    order = np.lexsort((second, first, separation))
    return Pairs(surveys, first[order], second[order], separation[order])


def _all_places(
    objects: All, survey: Survey, progress: Callable[[int], None] | None
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Names and positions of all objects of a survey that have one."""
    chunks: list[Chunk] = []
    after = None
    while (chunk := objects.positions(survey, after, _STEP)) is not None:
        chunks.append(chunk)
        after = chunk.place
        if progress is not None:
            progress(len(chunk.keys))
    if not chunks:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    return (
        np.concatenate([one.keys for one in chunks]),
        np.concatenate([one.ra for one in chunks]),
        np.concatenate([one.decl for one in chunks]),
    )


def pairs_of_one(
    ra: ArrayLike, decl: ArrayLike, progress: Callable[[int], None] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Positions of one set that lie within LINK_ARCSEC of each other.

    Parameters
    ----------
    ra, decl : (n,) [deg]; NaN is nowhere
    progress : told of positions that were looked up

    Returns
    -------
    (k,) and (k,) indices, the first smaller than the second, in order; (k,) separations [arcsec]
    """
    first, second, separation = pairs_of_two(ra, decl, ra, decl, progress)
    once = first < second
    return first[once], second[once], separation[once]


def pairs_of_two(
    ra1: ArrayLike, decl1: ArrayLike, ra2: ArrayLike, decl2: ArrayLike, progress: Callable[[int], None] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Positions of one set that lie within LINK_ARCSEC of positions of another; arguments as of `pairs_of_one`.

    Returns
    -------
    (k,) indices in the first set, (k,) in the second, in order; (k,) separations [arcsec]
    """
    alpha1, delta1, alpha2, delta2 = (np.asarray(x, np.float64) for x in (ra1, decl1, ra2, decl2))
    there = np.flatnonzero(np.isfinite(alpha2) & (np.abs(delta2) <= 90.0))
    index = ConeIndex.of([ConeSegment.build(0, there, alpha2[there], delta2[there], LINK_ARCSEC)])
    found = []
    for start in range(0, len(alpha1), _STEP):
        some = slice(start, start + _STEP)
        hits = index.find(alpha1[some], delta1[some])
        found.append((hits.position + start, hits.cone_id, hits.separation_arcsec))
        if progress is not None:
            progress(len(alpha1[some]))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    first, second, separation = (np.concatenate([one[i] for one in found]) for i in range(3))
    return first, second, separation
