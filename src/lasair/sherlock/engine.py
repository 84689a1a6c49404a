"""The engine: positions in, what lies there and what that makes of an alert out. Deterministic and vectorised.

    sherlock = Sherlock(shelf.releases, load_rules())
    answers = sherlock.classify(ra, decl, epoch=2026.9)

The work of a batch: candidates (one look into each catalogue), three passes of searches over them (synonyms,
associations where there is no synonym, annotations where there is neither), distinct sources, rank.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lasair.catalogues.problems import Problem
from lasair.catalogues.release import Release
from lasair.catalogues.sky import Sky
from lasair.sherlock.accept import DENIED, RADIUS, TAKEN, judge
from lasair.sherlock.answers import Answers
from lasair.sherlock.candidates import Near, Part, as_printed, facts_of, look, parts_of, separation_of
from lasair.sherlock.matches import Matches, Rejected, join, sort_matches
from lasair.sherlock.merge import F, distinct_sources
from lasair.sherlock.rules import ANNOTATION, ASSOCIATION, CLASSES, SYNONYM, TYPES, Rules, Search
from lasair.times import julian_year, unix_to_mjd_tai

#: Goes up when equal rules and catalogues give other answers than before.
ENGINE_VERSION = "1"


@dataclass
class _Pool:
    """Candidates of a part that some search could take, with what the searches ask of them."""

    part: Part
    near: Near
    views: NDArray[np.uint32]
    facts: NDArray[np.float64]
    #: (k,) magnitude of the band the NED rule asks for, and whether there is an id; filled when asked
    magnitude: NDArray[np.float64] | None = None
    named: NDArray[np.bool_] | None = None
    denied: NDArray[np.bool_] | None = None


class Sherlock:
    """An engine over opened releases; it may be used by many threads at once.

    Parameters
    ----------
    releases : name -> release of every catalogue there is
    rules : see `load_rules`
    problems : catalogues that could not be opened; every answer says so
    """

    def __init__(self, releases: Mapping[str, Release], rules: Rules, problems: Sequence[Problem] = ()) -> None:
        self.rules = rules
        self.releases = {name: releases[name] for name in sorted(releases) if name in rules.catalogues}
        self.parts = [part for release in self.releases.values() for part in parts_of(release, rules)]
        self.names = sorted({part.release.name for part in self.parts})
        self.missing = sorted(set(rules.catalogues) - set(self.names))
        self.problems = list(problems)
        words = list(dict.fromkeys(search.word for search in rules.searches))
        self.labels = words
        self._first_labels = np.array([words.index(w) for w in ("NED", "SDSS", "MILLIQUAS") if w in words], np.int64)
        last = len(rules.switches.class_order)
        places = {name: i for i, name in enumerate(rules.switches.class_order)}
        self._by_class = np.array([places.get(name, last) for name in CLASSES], np.int64)

    @property
    def version(self) -> dict[str, str]:
        """Engine, rules and release of every catalogue: what an answer depends on besides the position and epoch."""
        return {"engine": ENGINE_VERSION, "rules": self.rules.id} | {
            name: self.releases[name].id for name in self.names
        }

    def classify(
        self, ra: ArrayLike, decl: ArrayLike, epoch: float | ArrayLike | None = None, *, lite: bool = True
    ) -> Answers:
        """What lies at positions.

        Parameters
        ----------
        ra, decl : (n,) J2000 [deg]
        epoch : Julian year of all or (n,) of each, to which stars are moved; the present when not given
        lite : only the best source is asked for (others are left out of the rendered answer)

        Raises
        ------
        BadPositions
            A position is none; it names the first.
        TooWide
            There are more than some 10^7 candidates: give fewer positions at a time.
        """
        sky = Sky(ra, decl)
        years = self.years(epoch, len(sky))
        return self.decide(sky, self.candidates(sky, years), lite=lite)

    @staticmethod
    def years(epoch: float | ArrayLike | None, n: int) -> NDArray[np.float64]:
        """Epochs of n positions as (n,) Julian years; now where none is given."""
        now = float(julian_year(np.array([unix_to_mjd_tai(time.time())]))[0])
        found = np.broadcast_to(np.asarray(now if epoch is None else epoch, np.float64), (n,))
        return np.where(np.isfinite(found), np.clip(found, 1900.0, 2200.0), now)

    def candidates(
        self, sky: Sky, years: NDArray[np.float64], catalogues: Sequence[str] | None = None
    ) -> list[tuple[Part, Near]]:
        """One look into every catalogue, or into some."""
        wanted = [part for part in self.parts if catalogues is None or part.release.name in catalogues]
        for part in wanted:
            if part.wide is None:
                part.release.prefetch(sky, part.radius)
        return [(part, look(part, sky, self.rules, years, self.names)) for part in wanted]

    def decide(
        self,
        sky: Sky,
        found: Sequence[tuple[Part, Near]],
        *,
        lite: bool = True,
        rejected: list[Rejected] | None = None,
    ) -> Answers:
        """Apply the rules to candidates; fills `rejected` with what was not taken and why, when it is given."""
        pools = [self._pool(part, near, sky) for part, near in found]
        n = len(sky)
        matched = np.zeros(n, np.bool_)
        pieces: list[Matches] = []
        for reliability in (SYNONYM, ASSOCIATION, ANNOTATION):
            open_ = ~matched
            if not open_.any():
                break
            mine = [
                piece
                for pool in pools
                for order, search in pool.part.searches
                if (piece := self._search(pool, order, search, reliability, open_, rejected)) is not None
            ]
            for piece in mine:
                matched[piece.position] = True
            pieces += mine
        matches = sort_matches(join(pieces))
        searches = self.rules.searches
        switches = self.rules.switches
        weights = np.array([self.rules.catalogues[search.catalogue].weight for search in searches], np.int64)
        types = np.array([TYPES.index(search.type) for search in searches], np.int64)
        label = np.array([self.labels.index(search.word) for search in searches], np.int64)
        sources = distinct_sources(
            vectors=matches.vector,
            facts=matches.facts,
            position=matches.position,
            klass=matches.klass,
            kind=types[matches.search],
            reliability=matches.reliability,
            weight=weights[matches.search],
            label=label[matches.search],
            merge_radius=self.rules.merge_radius,
            walked=switches.walked_groups,
            type_by_distance=switches.type_by_distance,
            by_class=self._by_class,
            first_labels=self._first_labels,
        )
        looked = np.zeros((n, len(self.names)), np.bool_)
        for i, name in enumerate(self.names):
            looked[:, i] = self.releases[name].covers(sky)
        return Answers(self, sky, matches, sources, looked, lite=lite)

    def _pool(self, part: Part, near: Near, sky: Sky) -> _Pool:
        separation = separation_of(sky.vectors[near.position], near.vector)
        views = part.release.gather("views", near.row).astype(np.uint32)
        keep = np.zeros(len(near.row), np.bool_)
        for _, search in part.searches:
            keep |= self._in_view(part, search, views) & (separation <= search.radius)
        near = Near(near.position[keep], near.row[keep], near.vector[keep])
        facts = facts_of(part.release, near.row, separation[keep], rounded=self.rules.switches.rounded_distances)
        return _Pool(part, near, views[keep], facts)

    @staticmethod
    def _in_view(part: Part, search: Search, views: NDArray[np.uint32]) -> NDArray[np.bool_]:
        if search.view == "all" and "all" not in part.release.views:
            return np.ones(len(views), np.bool_)
        return np.asarray((views >> np.uint32(part.release.views[search.view])) & np.uint32(1), np.bool_)

    def _search(
        self,
        pool: _Pool,
        order: int,
        search: Search,
        reliability: int,
        open_: NDArray[np.bool_],
        rejected: list[Rejected] | None,
    ) -> Matches | None:
        klass = search.classes[reliability - 1]
        if klass is None:
            return None
        radius = self.rules.synonym_reach(search) if reliability == SYNONYM else search.radius
        if self.rules.switches.narrow_blind and search.narrow_blind and radius < 30.0:
            return None
        asked = self._in_view(pool.part, search, pool.views) & open_[pool.near.position]
        if rejected is None:
            asked &= pool.facts[:, F["sep"]] <= radius
        at = np.flatnonzero(asked)
        if not len(at):
            return None
        magnitude = named = None
        if search.needs == "ned":
            self._fill_ned(pool)
            assert pool.magnitude is not None and pool.named is not None
            magnitude, named = pool.magnitude[at], pool.named[at]
        verdict = judge(search, self.rules, pool.facts[at], radius, magnitude=magnitude, named=named)
        if pool.denied is None and (verdict.reason == TAKEN).any():
            pool.denied = denied(pool.part.release.gather("id", pool.near.row), self.rules.deny)
        if pool.denied is not None:
            verdict.reason[(verdict.reason == TAKEN) & pool.denied[at]] = DENIED
        if rejected is not None:
            no = verdict.reason > TAKEN if reliability == SYNONYM else verdict.reason > RADIUS - 1
            rejected.append(
                Rejected(
                    search, reliability, pool.part.release, pool.near.position[at][no], pool.near.row[at][no],
                    pool.facts[at][no, F["sep"]], verdict.reason[no],
                )
            )  # fmt: skip
        yes = verdict.reason == TAKEN
        at = at[yes]
        if not len(at):
            return None
        k = len(at)
        return Matches(
            position=pool.near.position[at],
            search=np.full(k, order, np.int64),
            row=pool.near.row[at],
            reliability=np.full(k, reliability, np.int64),
            klass=np.full(k, CLASSES.index(klass), np.int64),
            how=verdict.how[yes].astype(np.int64),
            facts=_with_reach(pool.facts[at], verdict.reach[yes]),
            vector=pool.near.vector[at],
        )

    def _fill_ned(self, pool: _Pool) -> None:
        if pool.magnitude is None:
            pool.magnitude = as_printed(pool.part.release.gather("unkMag", pool.near.row))
            ids = pool.part.release.gather("id", pool.near.row)
            pool.named = np.char.strip(ids) != b"" if ids.dtype.kind == "S" else np.ones(len(ids), np.bool_)


def _with_reach(facts: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.float64]:
    facts[:, F["reach"]] = reach
    return facts


def denied(ids: NDArray[np.generic], deny: Sequence[str]) -> NDArray[np.bool_]:
    """Which ids are on the deny list, blanks aside: (k,) int64 or bytes -> (k,)."""
    if ids.dtype.kind != "S":
        return np.isin(ids, np.array([int(one) for one in deny if one.isdigit()], np.int64))
    width = max(ids.dtype.itemsize, max((len(one) for one in deny), default=1))
    table = np.array([one.encode() for one in deny], f"S{width}").view(np.uint8).reshape(len(deny), width)
    text = np.ascontiguousarray(ids.astype(f"S{width}")).view(np.uint8).reshape(len(ids), width)
    return np.asarray(_denied(text, table))


@njit(cache=True, nogil=True)
def _denied(text, table):  # type: ignore[no-untyped-def]
    found = np.zeros(len(text), np.bool_)
    width = text.shape[1]
    for i in range(len(text)):
        for d in range(len(table)):
            place = 0
            same = True
            for j in range(width):
                byte = text[i, j]
                if byte == 32:
                    continue
                if byte != table[d, place]:
                    same = False
                    break
                place += 1
            if same and (place == width or table[d, place] == 0 or place >= width):
                found[i] = True
                break
    return found
