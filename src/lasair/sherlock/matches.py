"""Sources that searches took, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.release import Release
from lasair.sherlock.merge import FACTS, F
from lasair.sherlock.rules import Search


class Matches(NamedTuple):
    """Accepted matches; m of them."""

    position: NDArray[np.int64]
    #: index into the rules' searches
    search: NDArray[np.int64]
    row: NDArray[np.int64]
    reliability: NDArray[np.int64]
    klass: NDArray[np.int64]
    how: NDArray[np.int64]
    #: (m, len(FACTS)), (m, 3)
    facts: NDArray[np.float64]
    vector: NDArray[np.float64]


class Rejected(NamedTuple):
    """What one search saw in one pass and did not take; indices into accept.REASONS say why."""

    search: Search
    reliability: int
    release: Release
    position: NDArray[np.int64]
    row: NDArray[np.int64]
    separation: NDArray[np.float64]
    reason: NDArray[np.int8]


def join(pieces: Sequence[Matches]) -> Matches:
    """All matches of several searches."""
    if not pieces:
        none = np.empty(0, np.int64)
        return Matches(none, none, none, none, none, none, np.empty((0, len(FACTS))), np.empty((0, 3)))
    return Matches._make(np.concatenate(columns) for columns in zip(*pieces, strict=True))


def sort_matches(matches: Matches) -> Matches:
    """By position, search, and within a search by kpc where it is physical, then by separation."""
    physical = matches.how >= 2
    kpc = np.where(physical, matches.facts[:, F["kpc"]], 0.0)
    kpc = np.where(np.isnan(kpc), np.inf, kpc)
    order = np.lexsort((matches.row, matches.facts[:, F["sep"]], kpc, matches.search, matches.position))
    return Matches._make(column[order] for column in matches)
