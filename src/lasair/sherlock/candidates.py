"""Everything that any search could take: one look into each catalogue for a whole batch of positions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.release import Release
from lasair.catalogues.sky import Sky
from lasair.sherlock.accept import fill_distances, stretch
from lasair.sherlock.merge import FACTS, F
from lasair.sherlock.rules import Rules, Search
from lasair.sherlock.wide import WideIndex
from lasair.sky.separation import ARCSEC_PER_RADIAN

#: Searches beyond this radius [arcsec] are looked up from the source's side.
WIDE_ARCSEC = 60.0
MAS_PER_RADIAN = ARCSEC_PER_RADIAN * 1e3
#: Columns of a release that become facts.
_FROM_STORE = {"z": "z", "photo_z": "pz", "photo_z_err": "pz_err", "distance_mpc": "dd", "size_arcsec": "size"}


class Near(NamedTuple):
    """Candidates of one part of a catalogue, ascending by (position, row)."""

    position: NDArray[np.int64]
    row: NDArray[np.int64]
    #: (k, 3) where the source is at the epoch asked for
    vector: NDArray[np.float64]


class Part(NamedTuple):
    """A catalogue as the rules use it: its ordinary searches share one cone, its wide ones an index."""

    release: Release
    #: (place in the order of all searches, search); those of `wide` when it is given
    searches: tuple[tuple[int, Search], ...]
    radius: float
    wide: WideIndex | None


def parts_of(release: Release, rules: Rules) -> list[Part]:
    """The parts of a release that the rules look at: none, the ordinary one, the wide one or both."""
    mine = [
        (order, search)
        for order, search in enumerate(rules.searches)
        if search.catalogue == release.name and (search.view == "all" or search.view in release.views)
    ]
    near = tuple(one for one in mine if one[1].radius <= WIDE_ARCSEC)
    wide = tuple(one for one in mine if one[1].radius > WIDE_ARCSEC)
    parts = []
    if near:
        parts.append(Part(release, near, max(search.radius for _, search in near), None))
    if wide:
        parts.append(Part(release, wide, max(search.radius for _, search in wide), wide_index(release, wide, rules)))
    return parts


def wide_index(release: Release, searches: Sequence[tuple[int, Search]], rules: Rules) -> WideIndex:
    """The index of all sources that a wide search could take, each with its reach."""
    rows, reaches = [], []
    for _, search in searches:
        mine = np.arange(release.n_rows) if search.view == "all" else release.view_rows(search.view)
        rows.append(mine)
        reaches.append(_reach(release, mine, search, rules))
    found, place = np.unique(np.concatenate(rows), return_inverse=True)
    reach = np.zeros(len(found))
    np.maximum.at(reach, place, np.concatenate(reaches))
    keep = reach > 0
    ra, decl = release.positions(found[keep])
    return WideIndex(ra, decl, found[keep], reach[keep])


def _reach(release: Release, rows: NDArray[np.int64], search: Search, rules: Rules) -> NDArray[np.float64]:
    """Greatest separation at which a search can take its sources: (k,) [arcsec]."""
    facts = facts_of(release, rows, np.zeros(len(rows)), rounded=rules.switches.rounded_distances)
    size = facts[:, F["size"]]
    if search.kpc is None:
        reach = np.full(len(rows), search.radius)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            direct = np.minimum(search.kpc / facts[:, F["dd_scale"]], rules.direct_radius)
            redshift = search.kpc / facts[:, F["z_scale"]]
        reach = np.fmax(np.nan_to_num(direct, nan=0.0), np.nan_to_num(redshift, nan=0.0, posinf=np.inf))
        reach = np.fmax(reach, np.nan_to_num(stretch(size, rules) * size / 2.0, nan=0.0))
    if search.size:
        reach = np.where(np.isfinite(size), stretch(size, rules) * size / 2.0, reach)
    return np.asarray(np.minimum(reach, search.radius))


def facts_of(
    release: Release, rows: NDArray[np.int64], separation: NDArray[np.float64], *, rounded: bool
) -> NDArray[np.float64]:
    """What the catalogue says of rows, distances derived: (k, len(FACTS))."""
    facts = np.full((len(rows), len(FACTS)), np.nan)
    facts[:, F["sep"]] = separation
    for column, fact in _FROM_STORE.items():
        if release.has(column):
            facts[:, F[fact]] = as_printed(release.gather(column, rows))
    fill_distances(facts, rounded=rounded)
    return facts


def as_printed(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Stored numbers as float64; of 4-byte ones the six digits that they are good for: (k,) -> (k,)."""
    if values.dtype != np.float32:
        return np.asarray(values, np.float64)
    wide = values.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        digits = 5.0 - np.floor(np.log10(np.abs(wide)))
        up = np.where(digits >= 0, 10.0 ** np.abs(digits), 1.0)
        down = np.where(digits < 0, 10.0 ** np.abs(digits), 1.0)
        found = np.round(wide * up / down) * down / up
    return np.where(np.isfinite(found), found, wide)


def separation_of(vectors: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Great-circle separation of unit vectors, (k, 3) twice -> (k,) [arcsec]; exact at any distance."""
    chord = np.sqrt(((vectors - others) ** 2).sum(axis=1))
    return np.asarray(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0)) * ARCSEC_PER_RADIAN)


def look(
    part: Part,
    sky: Sky,
    rules: Rules,
    epoch: NDArray[np.float64],
    present: Collection[str],
    which: NDArray[np.bool_] | None = None,
) -> Near:
    """Candidates of one part.

    Parameters
    ----------
    epoch : (n,) Julian year of each position, to which stars are moved
    present : names of all catalogues that are there
    which : (n,) positions to look at; all when not given
    """
    release = part.release
    if part.wide is not None:
        pairs = part.wide.find(sky)
        if which is not None:
            mine = which[pairs.position]
            pairs = type(pairs)(pairs.position[mine], pairs.row[mine], pairs.vector[mine])
        return Near(*pairs)
    if not moves(release, rules) or not len(sky):
        return Near(*release.cone(sky, part.radius, which))
    return _look_at_moving(part, sky, rules, epoch, present, which)


def _look_at_moving(
    part: Part,
    sky: Sky,
    rules: Rules,
    epoch: NDArray[np.float64],
    present: Collection[str],
    which: NDArray[np.bool_] | None,
) -> Near:
    release, fast = part.release, rules.switches.fast
    years = epoch - epoch_of(release)
    leaves = fast is not None and release.name == fast.catalogue and fast.view in release.views
    fastest = min(release.max_pm_mas, fast.limit) if leaves and fast is not None else release.max_pm_mas
    pad = fastest * float(np.abs(years).max()) / 1e3
    position, row, vector = release.cone(sky, part.radius + pad, which)
    if leaves and fast is not None and fast.left_to in present:
        slow = (release.gather("views", row) & (1 << release.views[fast.view])) == 0
        position, row, vector = position[slow], row[slow], vector[slow]
    return Near(position, row, moved(release, row, vector, years[position]))


def moved(
    release: Release, row: NDArray[np.int64], vector: NDArray[np.float64], years: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where rows are so many years after the epoch of their catalogue: (k, 3); radial motion is left out."""
    east, north = tangents(vector)
    step = years[:, None] / MAS_PER_RADIAN
    pm_ra = np.nan_to_num(release.gather("pm_ra", row).astype(np.float64))[:, None]
    pm_decl = np.nan_to_num(release.gather("pm_decl", row).astype(np.float64))[:, None]
    vector = vector + step * (pm_ra * east + pm_decl * north)
    return np.asarray(vector / np.sqrt((vector**2).sum(axis=1, keepdims=True)))


def recall(
    part: Part, rules: Rules, epoch: NDArray[np.float64], position: NDArray[np.int64], row: NDArray[np.int64]
) -> Near:
    """Candidates found before, without a cone: `row` near `position`, of the same release."""
    vector = part.release.vectors(row)
    if part.wide is None and moves(part.release, rules):
        vector = moved(part.release, row, vector, epoch[position] - epoch_of(part.release))
    return Near(position, row, vector)


def moves(release: Release, rules: Rules) -> bool:
    """Whether the sources of a release are moved to the epoch of an alert."""
    return release.name in rules.switches.moving and release.has("pm_ra")


def epoch_of(release: Release) -> float:
    """Julian year of a release's positions."""
    return float(release.about.get("epoch") or 2000.0)


def tangents(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors towards east and north at unit vectors: (k, 3) -> two (k, 3); at a pole, east is that of ra 0."""
    x, y, z = vectors.T
    across = np.hypot(x, y)
    pole = across == 0
    safe = np.where(pole, 1.0, across)
    cos_ra, sin_ra = np.where(pole, 1.0, x / safe), np.where(pole, 0.0, y / safe)
    east = np.stack((-sin_ra, cos_ra, np.zeros(len(x))), axis=1)
    north = np.stack((-z * cos_ra, -z * sin_ra, across), axis=1)
    return east, north
