"""From accepted matches to distinct sources: grouping at 1", merging by quality, ranking; compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.sherlock.rules import ANNOTATION, CLASSES
from lasair.sky.separation import ARCSEC_PER_RADIAN

_AGN, _BS, _CV, _NT, _SN, _VS = (CLASSES.index(name) for name in ("AGN", "BS", "CV", "NT", "SN", "VS"))

#: What is known of a match: columns of `Matches.facts`, (m, len(FACTS)) float64, NaN missing.
FACTS = (
    *("sep", "kpc", "reach", "size"),
    *("z", "z_mpc", "z_scale", "z_modulus"),
    *("pz", "pz_err", "pz_mpc", "pz_scale", "pz_modulus"),
    *("dd", "dd_scale", "dd_modulus"),
)
F = {name: i for i, name in enumerate(FACTS)}
_SEP, _KPC, _Z, _Z_SCALE, _PZ, _DD, _DD_SCALE = (F[x] for x in ("sep", "kpc", "z", "z_scale", "pz", "dd", "dd_scale"))
#: Labels of catalogues in the name of a merged source: at most so many, each in this number of bits.
LABEL_BITS, MOST_LABELS = 6, 10
#: Separations that differ by less are equal; stored positions are good to 1e-6 arcsec. Unit vectors' chord.
_SAME_PLACE = 1e-5 / ARCSEC_PER_RADIAN


class Sources(NamedTuple):
    """Distinct sources, ordered by position and rank; g of them from m matches.

    Members of a source are ``order[start[i]:start[i + 1]]``, indices of matches in the order they joined.
    """

    position: NDArray[np.int64]
    rank: NDArray[np.int64]
    score: NDArray[np.float64]
    #: codes into CLASSES and TYPES, pass that found it
    klass: NDArray[np.int64]
    type: NDArray[np.int64]
    reliability: NDArray[np.int64]
    #: the match that decided the class, the nearest, and those whose distances are used (-1: none)
    decider: NDArray[np.int64]
    nearest: NDArray[np.int64]
    z_from: NDArray[np.int64]
    pz_from: NDArray[np.int64]
    dd_from: NDArray[np.int64]
    #: [arcsec], [kpc]
    separation: NDArray[np.float64]
    kpc: NDArray[np.float64]
    #: labels in the order of printing, LABEL_BITS each, lowest first, counted from 1
    labels: NDArray[np.int64]
    #: the match whose id is printed
    named: NDArray[np.int64]
    start: NDArray[np.int64]
    order: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.position)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _near(vectors: NDArray[np.float64], i: int, a: int, b: int, limit: float, taken: NDArray[np.int64]):  # type: ignore[no-untyped-def]
    """Matches of a..b not taken and within chord^2 `limit` of i, nearest first."""
    found = np.empty(b - a, np.int64)
    chord = np.empty(b - a)
    n = 0
    x, y, z = vectors[i]
    for j in range(a, b):
        if taken[j] < 0:
            d2 = (vectors[j, 0] - x) ** 2 + (vectors[j, 1] - y) ** 2 + (vectors[j, 2] - z) ** 2
            if d2 <= limit:
                found[n] = j
                chord[n] = d2
                n += 1
    if n < 2:
        return found[:n]
    by_chord = np.argsort(chord[:n], kind="mergesort")
    found, chord = found[:n][by_chord], np.sqrt(chord[:n][by_chord])
    # one place in two catalogues (or in a cone and the index of wide sources) differs by rounding: search order then
    for k in range(1, n):
        t = k
        while t > 0 and found[t] < found[t - 1] and chord[t] - chord[t - 1] < _SAME_PLACE:
            found[t], found[t - 1] = found[t - 1], found[t]
            chord[t], chord[t - 1] = chord[t - 1], chord[t]
            t -= 1
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def group(vectors: NDArray[np.float64], starts: NDArray[np.int64], limit: float, walked: bool):  # type: ignore[no-untyped-def]
    """Which matches are one source.

    Parameters
    ----------
    vectors : (m, 3) unit vectors, matches of one position together and in search order
    starts : (n + 1,) first match of every position
    limit : chord^2 of the merge radius
    walked : the original's way: every row walked over draws its unused neighbours into the group opened last;
        else connected components

    Returns
    -------
    group : (m,) number of the source, ascending over positions and, within one, in order of its first match
    order : (m,) matches by source, in the order in which they joined
    """
    m = len(vectors)
    groups = np.full(m, -1, np.int64)
    order = np.empty(m, np.int64)
    queue = np.empty(m, np.int64)
    last = -1
    placed = 0
    for k in range(len(starts) - 1):
        a, b = starts[k], starts[k + 1]
        if b - a == 1:
            last += 1
            groups[a] = last
            order[placed] = a
            placed += 1
            continue
        for i in range(a, b):
            if groups[i] >= 0 and not walked:
                continue
            if groups[i] < 0:
                last += 1
                groups[i] = last
                order[placed] = i
                placed += 1
            if walked:
                for j in _near(vectors, i, a, b, limit, groups):
                    groups[j] = last
                    order[placed] = j
                    placed += 1
            else:
                first = placed - 1
                queue[0] = i
                head, tail = 0, 1
                while head < tail:
                    for j in _near(vectors, queue[head], a, b, limit, groups):
                        groups[j] = last
                        order[placed] = j
                        placed += 1
                        queue[tail] = j
                        tail += 1
                    head += 1
                order[first:placed] = np.sort(order[first:placed])
    return groups, order


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _has(value: float) -> bool:
    """Whether a redshift or distance is known; a catalogue's 0 stands for nothing, and gives no distance."""
    return not np.isnan(value) and value != 0.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _score(klass: int, reliability: int, sep: float, kpc: float, has_z: bool, photo_z: float) -> float:
    """Lower is better; a physical match wins by nearly as many points as it is nearer than 50 kpc."""
    base = 1000.0 * reliability
    penalty = min(sep / 60.0, 100.0)
    if not np.isnan(kpc) and (has_z or np.isnan(photo_z) or photo_z < 0.0):
        return base + 2.0 - (50.0 - kpc) + penalty
    if klass in (_SN, _NT, _AGN):
        return base + 2.0 + penalty
    if klass in (_CV, _VS):
        return base + sep + 2.0
    if klass == _BS:
        return base + sep
    return base + 10.0 + penalty


@njit(cache=True, nogil=True)
def _merge(  # type: ignore[no-untyped-def]
    facts, starts, order, klass, kind, reliability, weight, label, by_class, first_labels, type_by_distance
):
    g = len(starts) - 1
    ints = np.empty((g, 9), np.int64)
    floats = np.empty((g, 3))
    labels = np.zeros(g, np.int64)
    for s in range(g):
        a, b = starts[s], starts[s + 1]
        first = order[a]
        decider = nearest = first
        cls, rel, typ = klass[first], reliability[first], kind[first]
        best = weight[first]
        z_from = first if _has(facts[first, _Z]) else -1
        pz_from = first if _has(facts[first, _PZ]) else -1
        dd_from = first if _has(facts[first, _DD]) else -1
        for k in range(a + 1, b):
            r = order[k]
            wins = False
            if rel == ANNOTATION and reliability[r] < rel:
                wins = True
            if reliability[r] != ANNOTATION and weight[r] > best:
                best = weight[r]
                wins = True
            elif weight[r] == best and by_class[klass[r]] < by_class[cls]:
                wins = True
            if wins:
                cls, rel, typ, decider = klass[r], reliability[r], kind[r], r
            if facts[r, _SEP] < facts[nearest, _SEP]:
                nearest = r
            if _has(facts[r, _Z]) and (z_from < 0 or weight[r] > weight[z_from]):
                z_from = r
            if _has(facts[r, _PZ]) and (pz_from < 0 or weight[r] > weight[pz_from]):
                pz_from = r
            if _has(facts[r, _DD]) and (dd_from < 0 or weight[r] > weight[dd_from]):
                dd_from = r
        if type_by_distance:
            if pz_from >= 0 and pz_from != first:
                typ = kind[pz_from]
            if z_from >= 0 and z_from != first:
                typ = kind[z_from]
            if dd_from >= 0 and dd_from != first:
                typ = kind[dd_from]
        sep = facts[nearest, _SEP]
        scale = np.nan
        if dd_from >= 0:
            scale = facts[dd_from, _DD_SCALE]
        if np.isnan(scale) and z_from >= 0:
            scale = facts[z_from, _Z_SCALE]
        kpc = scale * sep
        # names: some catalogues first, the others as met
        count = 0
        named = -1
        for step in range(len(first_labels) + b - a):
            if step < len(first_labels):
                wanted = first_labels[step]
                found = -1
                for k in range(a, b):
                    if label[order[k]] == wanted:
                        found = order[k]
                        break
                if found < 0:
                    continue
            else:
                found = order[a + step - len(first_labels)]
                wanted = label[found]
            seen = False
            for t in range(count):
                if (labels[s] >> (LABEL_BITS * t)) & ((1 << LABEL_BITS) - 1) == wanted + 1:
                    seen = True
            if not seen and count < MOST_LABELS:
                labels[s] |= (wanted + 1) << (LABEL_BITS * count)
                count += 1
                if named < 0:
                    named = found
        photo_z = facts[pz_from, _PZ] if pz_from >= 0 else np.nan
        floats[s, 0] = _score(cls, rel, sep, kpc, z_from >= 0, photo_z)
        floats[s, 1] = sep
        floats[s, 2] = kpc
        ints[s, 0], ints[s, 1], ints[s, 2] = cls, typ, rel
        ints[s, 3], ints[s, 4] = decider, nearest
        ints[s, 5], ints[s, 6], ints[s, 7] = z_from, pz_from, dd_from
        ints[s, 8] = named
    return ints, floats, labels


def distinct_sources(
    *,
    vectors: NDArray[np.float64],
    facts: NDArray[np.float64],
    position: NDArray[np.int64],
    klass: NDArray[np.int64],
    kind: NDArray[np.int64],
    reliability: NDArray[np.int64],
    weight: NDArray[np.int64],
    label: NDArray[np.int64],
    merge_radius: float,
    walked: bool,
    type_by_distance: bool,
    by_class: NDArray[np.int64],
    first_labels: NDArray[np.int64],
) -> Sources:
    """Group, merge and rank matches.

    Parameters
    ----------
    vectors, facts : (m, 3), (m, len(FACTS))
    position, klass, kind, reliability, weight, label : (m,) of the matches, which come position by position, in
        search order; `klass` and `kind` are codes into CLASSES and TYPES
    merge_radius : [arcsec]
    walked, type_by_distance : switches of the rules
    by_class : (len(CLASSES),) place of a class in the order that decides between equal weights
    first_labels : labels that are printed before all others
    """
    bounds = np.flatnonzero(np.concatenate(([True], position[1:] != position[:-1], [True]))) if len(position) else None
    starts = np.zeros(1, np.int64) if bounds is None else bounds.astype(np.int64)
    limit = (2.0 * np.sin(np.radians(merge_radius / 3600.0) / 2.0)) ** 2
    groups, order = group(vectors, starts, limit, walked)
    count = int(groups.max()) + 1 if len(groups) else 0
    members = np.concatenate(([0], np.cumsum(np.bincount(groups, minlength=count)))).astype(np.int64)
    ints, floats, labels = _merge(
        facts, members, order, klass, kind, reliability, weight, label, by_class, first_labels, type_by_distance
    )
    of = position[order[members[:-1]]]
    # equal scores: the nearer, then the one that was met first
    ranked = np.lexsort((floats[:, 0], of)) if walked else np.lexsort((floats[:, 1], floats[:, 0], of))
    sizes = np.diff(members)[ranked]
    start = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    moved = np.repeat(members[:-1][ranked] - start[:-1], sizes) + np.arange(len(order))
    of = of[ranked]
    first = np.searchsorted(of, of)
    ints, floats = ints[ranked], floats[ranked]
    return Sources(
        position=of,
        rank=np.arange(len(of)) - first + 1,
        score=floats[:, 0],
        klass=ints[:, 0],
        type=ints[:, 1],
        reliability=ints[:, 2],
        decider=ints[:, 3],
        nearest=ints[:, 4],
        z_from=ints[:, 5],
        pz_from=ints[:, 6],
        dd_from=ints[:, 7],
        separation=floats[:, 1],
        kpc=floats[:, 2],
        labels=labels[ranked],
        named=ints[:, 8],
        start=start,
        order=order[moved],
    )
