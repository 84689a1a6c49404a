"""Answers of the engine: the best source of every position as columns, and everything as rows in Sherlock's shapes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.columns import BANDS
from lasair.catalogues.sky import Sky
from lasair.sherlock.accept import HOW
from lasair.sherlock.candidates import as_printed, tangents
from lasair.sherlock.matches import Matches
from lasair.sherlock.merge import LABEL_BITS, F, Sources
from lasair.sherlock.rules import CLASSES, ORPHAN, TYPES

if TYPE_CHECKING:
    from lasair.sherlock.engine import Sherlock

#: Order in which a band is chosen for `Mag`.
_MAG_ORDER = ("R", "_r", "G", "V", "_g", "B", "I", "_i", "_z", "J", "H", "K", "U", "_u", "_y", "W1", "unkMag")
_MAG_PLACES = np.array([BANDS.index(band) for band in _MAG_ORDER])
_MAG_NAMES = np.array([*(band.lstrip("_") if band != "unkMag" else "unk" for band in _MAG_ORDER), ""])

#: Columns of the lite answer, in Sherlock's order; `Answers.columns` has them with one row a position.
LITE = (
    *("association_type", "catalogue_table_name", "catalogue_object_id", "catalogue_object_type", "raDeg", "decDeg"),
    *("separationArcsec", "northSeparationArcsec", "eastSeparationArcsec", "physical_separation_kpc"),
    *("best_distance", "best_distance_flag", "best_distance_source", "direct_distance", "z", "photoZ", "photoZErr"),
    *("Mag", "MagFilter", "MagErr", "classificationReliability", "sm_axis_arcsec"),
)
#: Lite columns that are not rounded to three decimals.
_EXACT = ("raDeg", "decDeg")


class Magnitudes(NamedTuple):
    """Magnitudes by band, (k, len(BANDS)) twice, NaN missing."""

    value: NDArray[np.float64]
    error: NDArray[np.float64]


class Answers:
    """What lies at n positions.

    Attributes
    ----------
    sky : the positions
    sources, matches : distinct sources by (position, rank), and the matches they are made of
    looked : (n, catalogues) whether each of ``engine.names`` covers the position
    best : (n,) index of the best source, -1 where there is none
    """

    def __init__(
        self,
        engine: Sherlock,
        sky: Sky,
        matches: Matches,
        sources: Sources,
        looked: NDArray[np.bool_],
        *,
        lite: bool,
    ) -> None:
        self.engine, self.sky, self.matches, self.sources, self.looked = engine, sky, matches, sources, looked
        self.lite = lite
        self.best = np.full(len(sky), -1, np.int64)
        first = np.flatnonzero(sources.rank == 1)
        self.best[sources.position[first]] = first

    def __len__(self) -> int:
        return len(self.sky)

    @cached_property
    def classes(self) -> NDArray[np.str_]:
        """Class of every position, (n,) text of CLASSES."""
        codes = np.full(len(self), ORPHAN, np.int64)
        found = self.best >= 0
        codes[found] = self.sources.klass[self.best[found]]
        return np.array(CLASSES)[codes]

    def looked_by(self, position: int) -> list[str]:
        """Names of the catalogues that cover a position."""
        return [name for name, here in zip(self.engine.names, self.looked[position], strict=True) if here]

    def columns(self, which: NDArray[np.int64] | None = None) -> dict[str, NDArray[Any]]:
        """The lite answer, one row a source: of the best ones, or of those at indices `which`.

        Floats are NaN and texts '' where nothing is known; reliability is 0.
        """
        at = self.best[self.best >= 0] if which is None else which
        facts, of = self.matches.facts, self.sources
        found: dict[str, NDArray[Any]] = {"association_type": np.array(CLASSES)[of.klass[at]]}
        found["catalogue_table_name"] = self._names(of.labels[at])
        found["catalogue_object_id"] = without_blanks(self._ids(of.named[at]))
        found["catalogue_object_type"] = np.array(TYPES)[of.type[at]]
        found["raDeg"], found["decDeg"] = self._places(of.nearest[at])
        found["separationArcsec"] = of.separation[at]
        found["northSeparationArcsec"], found["eastSeparationArcsec"] = self.offsets(at)
        found["physical_separation_kpc"] = of.kpc[at]
        found |= self._distances(at)
        found["direct_distance"] = _pick(facts[:, F["dd"]], of.dd_from[at])
        found["z"] = _pick(facts[:, F["z"]], self.shown(of.z_from)[at])
        photo = self.shown(of.pz_from)[at]
        found["photoZ"], found["photoZErr"] = _pick(facts[:, F["pz"]], photo), _pick(facts[:, F["pz_err"]], photo)
        magnitudes = self.magnitudes(at)
        found["Mag"], found["MagFilter"], found["MagErr"] = chosen_magnitude(magnitudes)
        found["classificationReliability"] = of.reliability[at]
        found["sm_axis_arcsec"] = self._sizes(at)
        return {name: found[name] for name in LITE}

    def shown(self, member: NDArray[np.int64]) -> NDArray[np.int64]:
        """The match whose values are printed, of those that give sources a distance (-1: none), (g,) -> (g,).

        Where none does, the first member's, of which a redshift of 0 or a lone error may be known.
        """
        return np.where(member < 0, self.sources.order[self.sources.start[:-1]], member)

    def offsets(self, at: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far north and east of the position sources lie, (k,) twice [arcsec].

        The nearest member's, so that both agree with the separation; the first member's where the rules say so.
        """
        first = self.engine.rules.switches.first_offsets
        member = self.sources.order[self.sources.start[at]] if first else self.sources.nearest[at]
        return self.member_offsets(member)

    def member_offsets(self, member: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As `offsets`, of matches."""
        position = self.matches.position[member]
        if self.engine.rules.switches.first_offsets:
            ra, decl = self._places(member)
            turn = (ra - self.sky.ra[position] + 180.0) % 360.0 - 180.0
            middle = np.radians((decl + self.sky.decl[position]) / 2.0)
            return 3600.0 * (decl - self.sky.decl[position]), 3600.0 * turn * np.cos(middle)
        here, there = self.sky.vectors[position], self.matches.vector[member]
        east, north = tangents(here)
        y, x = (there * north).sum(axis=1), (there * east).sum(axis=1)
        length = np.hypot(x, y)
        scale = self.matches.facts[member, F["sep"]] / np.where(length > 0, length, 1.0)
        return y * scale, x * scale

    def _places(self, member: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y, z = self.matches.vector[member].T
        ra, decl = np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))
        for release, mine in self._by_release(member):
            if release.has("given_ra"):
                ra[mine] = release.gather("given_ra", self.matches.row[member[mine]])
                decl[mine] = release.gather("given_decl", self.matches.row[member[mine]])
        return ra, decl

    def _by_release(self, member: NDArray[np.int64]) -> list[tuple[Any, NDArray[np.int64]]]:
        """Releases that matches come from, with the places in `member` of theirs."""
        searches = self.engine.rules.searches
        names = list(self.engine.releases)
        code = np.array([names.index(s.catalogue) if s.catalogue in names else -1 for s in searches], np.int64)
        of = code[self.matches.search[member]]
        return [(self.engine.releases[names[one]], np.flatnonzero(of == one)) for one in np.unique(of)]

    def _names(self, labels: NDArray[np.int64]) -> NDArray[np.str_]:
        unique, place = np.unique(labels, return_inverse=True)
        texts = ["/".join(self.label_words(int(one))) for one in unique]
        return np.array(texts, np.str_)[place] if texts else np.empty(0, "<U1")

    def label_words(self, labels: int) -> list[str]:
        """The words of a packed name."""
        words = []
        while labels:
            words.append(self.engine.labels[(labels & ((1 << LABEL_BITS) - 1)) - 1])
            labels >>= LABEL_BITS
        return words

    def _ids(self, member: NDArray[np.int64]) -> NDArray[Any]:
        """Ids of matches as they are in their catalogues, (k,) of Python ints and texts."""
        found = np.empty(len(member), object)
        for release, mine in self._by_release(member):
            ids = release.gather("id", self.matches.row[member[mine]])
            found[mine] = [one.decode() for one in ids.tolist()] if ids.dtype.kind == "S" else ids.tolist()
        return found

    def _distances(self, at: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        of, facts = self.sources, self.matches.facts
        best = np.full(len(at), np.nan)
        flag = np.full(len(at), "", "<U2")
        source = np.full(len(at), -1, np.int64)
        for code, column, member in (
            ("pz", "pz_mpc", of.pz_from),
            ("sz", "z_mpc", of.z_from),
            ("dd", "dd", of.dd_from),
        ):
            values = _pick(facts[:, F[column]], member[at])
            has = np.isfinite(values)
            best[has], flag[has], source[has] = values[has], code, member[at][has]
        titles = np.array([*(self.title(s.catalogue) for s in self.engine.rules.searches), ""])
        last = len(titles) - 1
        names = titles[np.where(source >= 0, self.matches.search[source] if len(self.matches.search) else last, last)]
        return {"best_distance": best, "best_distance_flag": flag, "best_distance_source": names}

    def title(self, catalogue: str) -> str:
        """What is printed for a catalogue in full."""
        release = self.engine.releases.get(catalogue)
        return release.title if release is not None else ""

    def _sizes(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Diameter of sources: the first member's in `compat`, else that of the best catalogue that has one."""
        of, size = self.sources, self.matches.facts[:, F["size"]]
        first = of.order[of.start[at]]
        if self.engine.rules.switches.first_offsets:
            return size[first]
        found = size[of.decider[at]]
        for i in np.flatnonzero(np.isnan(found) & (of.start[at + 1] - of.start[at] > 1)):
            members = of.order[of.start[at[i]] : of.start[at[i] + 1]]
            known = members[np.isfinite(size[members])]
            if len(known):
                found[i] = size[known[0]]
        return found

    def magnitudes(self, at: NDArray[np.int64]) -> Magnitudes:
        """Magnitudes of sources: by band the member's with the smallest error, the first's among equals."""
        of = self.sources
        sizes = of.start[at + 1] - of.start[at]
        start = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        member = of.order[np.repeat(of.start[at] - start[:-1], sizes) + np.arange(start[-1])]
        mine = self.member_magnitudes(member)
        return Magnitudes(*_smallest_errors(start, mine.value, mine.error))

    def member_magnitudes(self, member: NDArray[np.int64]) -> Magnitudes:
        """Magnitudes of matches as their catalogues have them."""
        value = np.full((len(member), len(BANDS)), np.nan)
        error = np.full((len(member), len(BANDS)), np.nan)
        for release, mine in self._by_release(member):
            rows = self.matches.row[member[mine]]
            for i, band in enumerate(BANDS):
                if release.has(band):
                    value[mine, i] = as_printed(release.gather(band, rows))
                if release.has(f"{band}Err"):
                    error[mine, i] = as_printed(release.gather(f"{band}Err", rows))
        return Magnitudes(value, error)

    def lite_rows(self, names: Sequence[str | int]) -> list[dict[str, Any]]:
        """Best source of every position that has one, as Sherlock's lite records: three decimals, null for nothing."""
        columns = self.columns()
        texts = self.engine.rules.rule_set == "compat"
        rounded = {
            name: one_decimal(values)
            if texts and name in ("northSeparationArcsec", "eastSeparationArcsec")
            else as_json(values if name in _EXACT or values.dtype.kind != "f" else three_decimals(values))
            for name, values in columns.items()
        }
        whose = [names[i] for i in np.flatnonzero(self.best >= 0).tolist()]
        return [
            {"transient_object_id": name} | dict(zip(rounded, row, strict=True))
            for name, row in zip(whose, zip(*rounded.values(), strict=True), strict=True)
        ]

    def full_rows(self, names: Sequence[str | int]) -> list[dict[str, Any]]:
        """Every source in rank order, each with its members where it has several, as Sherlock's crossmatch records."""
        from lasair.sherlock.full import full_rows

        return full_rows(self, names)

    def subtypes(self, member: NDArray[np.int64]) -> NDArray[Any]:
        """The catalogues' own types of matches, (k,) of text; None for none."""
        found = np.empty(len(member), object)
        for release, mine in self._by_release(member):
            codes = release.gather("subtype", self.matches.row[member[mine]]).tolist()
            found[mine] = [release.subtypes[code] or None for code in codes]
        return found

    def how(self, member: int) -> str:
        """How a match was made, in words of Sherlock's output."""
        return HOW[int(self.matches.how[member])]


def chosen_magnitude(
    magnitudes: Magnitudes,
) -> tuple[NDArray[np.float64], NDArray[np.str_], NDArray[np.float64]]:
    """Magnitude, filter and error that stand for a source: the first known in a fixed order of bands, (k,) each."""
    value, error = magnitudes.value[:, _MAG_PLACES], magnitudes.error[:, _MAG_PLACES]
    known = np.isfinite(value)
    none = ~known.any(axis=1)
    first = known.argmax(axis=1)
    rows = np.arange(len(value))
    names = _MAG_NAMES[np.where(none, len(_MAG_ORDER), first)]
    return value[rows, first], names, np.where(none, np.nan, error[rows, first])


def without_blanks(ids: NDArray[Any]) -> NDArray[np.str_]:
    """Ids as text without blanks, (k,)."""
    return np.array([str(one).replace(" ", "") for one in ids.tolist()], np.str_) if len(ids) else np.empty(0, "<U1")


def as_json(values: NDArray[Any]) -> list[Any]:
    """Values for JSON: None for NaN and ''."""
    if values.dtype.kind == "f":
        return [None if one != one else one for one in values.tolist()]
    return [None if one == "" else one for one in values.tolist()]


def three_decimals(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values to three decimals, (k,); numpy's own rounding is off where the fourth is a 5, as in many redshifts."""
    return np.array([round(one, 3) for one in values.tolist()], np.float64)


def one_decimal(values: NDArray[np.float64]) -> list[str | None]:
    """Offsets as Sherlock prints them: text with one decimal."""
    return [None if one != one else f"{one:.1f}" for one in values.tolist()]


def _pick(values: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values at indices, NaN for -1."""
    if not len(values):
        return np.full(len(at), np.nan)
    return np.where(at >= 0, values[at], np.nan)


@njit(cache=True, nogil=True)
def _smallest_errors(start, value, error):  # type: ignore[no-untyped-def]
    n, bands = len(start) - 1, value.shape[1]
    best = np.full((n, bands), np.nan)
    best_error = np.full((n, bands), np.nan)
    for s in range(n):
        for k in range(start[s], start[s + 1]):
            for b in range(bands):
                if np.isnan(value[k, b]):
                    continue
                better = np.isnan(best[s, b])
                if not better and not np.isnan(error[k, b]):
                    better = np.isnan(best_error[s, b]) or error[k, b] < best_error[s, b]
                if better:
                    best[s, b] = value[k, b]
                    best_error[s, b] = error[k, b]
    return best, best_error
