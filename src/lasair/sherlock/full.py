"""The full answer: every source with its members, in the shape of Sherlock's `sherlock_crossmatches` records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lasair.catalogues.columns import BANDS
from lasair.sherlock.merge import F
from lasair.sherlock.rules import CLASSES

if TYPE_CHECKING:
    from lasair.sherlock.answers import Answers, Magnitudes

_MULTIPLE = "multiple"
#: output key <- fact, of which member's facts are taken
_BY_Z = {"z": "z", "z_distance": "z_mpc", "z_distance_scale": "z_scale", "z_distance_modulus": "z_modulus"}
_BY_PZ = {
    "photoZ": "pz", "photoZErr": "pz_err", "pz_distance": "pz_mpc", "pz_distance_scale": "pz_scale",
    "pz_distance_modulus": "pz_modulus",
}  # fmt: skip
_BY_DD = {
    "direct_distance": "dd", "direct_distance_scale": "dd_scale", "direct_distance_modulus": "dd_modulus",
}  # fmt: skip


def full_rows(answers: Answers, names: Sequence[str | int]) -> list[dict[str, Any]]:
    """Records of all positions in rank order; a source of several matches is followed by its members."""
    rows: list[dict[str, Any]] = []
    of = answers.sources
    everything = np.arange(len(of))
    if not len(everything):
        return rows
    lite = {name: values.tolist() for name, values in answers.columns(everything).items()}
    magnitudes = answers.magnitudes(everything)
    members = _Members(answers)
    shown_z, shown_pz = answers.shown(of.z_from), answers.shown(of.pz_from)
    compat = answers.engine.rules.rule_set == "compat"
    for s in everything.tolist():
        inside = of.order[of.start[s] : of.start[s + 1]].tolist()
        first = inside[0]
        row: dict[str, Any] = {
            "transient_object_id": names[int(of.position[s])],
            "rank": int(of.rank[s]),
            "merged_rank": None,
        }
        row |= members.of_source(first, int(shown_z[s]), int(shown_pz[s]), int(of.dd_from[s]))
        bands = _bands(magnitudes, s)
        row |= (members.lone_errors(first, bands) if compat else {}) | bands
        for name in (
            "association_type", "catalogue_table_name", "catalogue_object_id", "catalogue_object_type",
            "raDeg", "decDeg", "separationArcsec", "physical_separation_kpc", "best_distance", "best_distance_flag",
            "best_distance_source", "classificationReliability", "sm_axis_arcsec",
        ):  # fmt: skip
            row[name] = _null(lite[name][s])
        row["northSeparationArcsec"] = _offset(lite["northSeparationArcsec"][s], compat)
        row["eastSeparationArcsec"] = _offset(lite["eastSeparationArcsec"][s], compat)
        row["rankScore"] = float(of.score[s])
        words = answers.label_words(int(of.labels[s]))
        row["search_name"] = words[0] if len(words) == 1 else _MULTIPLE
        if len(inside) > 1:
            row |= dict.fromkeys(
                ("catalogue_view_name", "catalogue_object_subtype", "original_search_radius_arcsec"), _MULTIPLE
            )
        if not compat:
            row |= members.decider(int(of.decider[s]))
        rows.append(row)
        if len(inside) > 1:
            rows += [
                {"transient_object_id": row["transient_object_id"], "rank": None, "merged_rank": row["rank"]}
                | members.alone(m)
                | {"rankScore": row["rankScore"]}
                for m in _each_once(answers, inside)
            ]
    return rows


def _each_once(answers: Answers, members: list[int]) -> list[int]:
    """Members without those that are a catalogue's row over again."""
    searches = answers.engine.rules.searches
    seen = set()
    found = []
    for m in members:
        key = (searches[int(answers.matches.search[m])].catalogue, int(answers.matches.row[m]))
        if key not in seen:
            seen.add(key)
            found.append(m)
    return found


class _Members:
    """Values of all matches, made once."""

    def __init__(self, answers: Answers) -> None:
        every = np.arange(len(answers.matches.position))
        self._answers = answers
        self._facts = answers.matches.facts
        self._magnitudes = answers.member_magnitudes(every)
        self._subtypes = [int(one) if one and one.isdigit() else one for one in answers.subtypes(every).tolist()]
        self._ids = answers._ids(every).tolist()
        self._ra, self._decl = (values.tolist() for values in answers._places(every))
        self._north, self._east = (values.tolist() for values in answers.member_offsets(every))
        self._compat = answers.engine.rules.rule_set == "compat"

    def _titles(self, member: int) -> tuple[str, str]:
        engine = self._answers.engine
        search = engine.rules.searches[int(self._answers.matches.search[member])]
        return self._answers.title(search.catalogue), engine.rules.catalogues[search.catalogue].view_name(search.view)

    def _provenance(self, member: int) -> dict[str, Any]:
        engine = self._answers.engine
        search = engine.rules.searches[int(self._answers.matches.search[member])]
        return {
            "catalogue_table_id": engine.rules.catalogues[search.catalogue].table_id,
            "catalogue_view_name": self._titles(member)[1],
            "catalogue_object_subtype": self._subtypes[member],
            "original_search_radius_arcsec": _null(float(self._facts[member, F["reach"]])),
        }

    def _values(self, keys: dict[str, str], member: int) -> dict[str, Any]:
        if member < 0:
            return dict.fromkeys(keys)
        return {key: _null(float(self._facts[member, F[fact]])) for key, fact in keys.items()}

    def of_source(self, first: int, z: int, pz: int, dd: int) -> dict[str, Any]:
        """What a source takes from its members: the first, and those with the best distances."""
        search = self._answers.engine.rules.searches[int(self._answers.matches.search[first])]
        found = self._provenance(first)
        found |= self._values(_BY_Z, z) | self._values(_BY_PZ, pz) | self._values(_BY_DD, dd)
        direct = _null(float(self._facts[first, F["dd"]]))
        found["distance"] = direct if search.catalogue == "ned_d" else None
        for key, member in (("z_distance_cat", z), ("pz_distance_cat", pz), ("direct_distance_cat", dd)):
            found[key] = self._titles(member if member >= 0 else first)[0]
        return found

    def lone_errors(self, member: int, bands: dict[str, Any]) -> dict[str, Any]:
        """Errors of a match in bands where its source has no magnitude; the original keeps them."""
        mine = _bands(self._magnitudes, member)
        return {name: mine[name] for name in mine if name.endswith("Err") and name.removesuffix("Err") not in bands}

    def alone(self, member: int) -> dict[str, Any]:
        """The record of one match."""
        answers = self._answers
        matches = answers.matches
        search = answers.engine.rules.searches[int(matches.search[member])]
        how = answers.how(member)
        name = search.name if how.startswith("physical") else search.name.lower()
        kind, _, sized = how.partition(" ")
        factor = f"{answers.engine.rules.stretch[0][1]:.2f}"
        found = self._provenance(member) | _bands(self._magnitudes, member)
        found |= self._values(_BY_Z, member) | self._values(_BY_PZ, member) | self._values(_BY_DD, member)
        found |= {
            "association_type": CLASSES[int(matches.klass[member])],
            "catalogue_table_name": self._titles(member)[0],
            "catalogue_object_id": self._ids[member],
            "catalogue_object_type": search.type,
            "raDeg": self._ra[member],
            "decDeg": self._decl[member],
            "separationArcsec": float(self._facts[member, F["sep"]]),
            "northSeparationArcsec": _offset(self._north[member], self._compat),
            "eastSeparationArcsec": _offset(self._east[member], self._compat),
            "physical_separation_kpc": _null(float(self._facts[member, F["kpc"]])),
            "classificationReliability": int(matches.reliability[member]),
            "sm_axis_arcsec": _null(float(self._facts[member, F["size"]])),
            "search_name": f"{name} {kind}" + (f" (within {factor} * semi-major axis)" if sized else ""),
            "distance": _null(float(self._facts[member, F["dd"]])) if search.catalogue == "ned_d" else None,
        }
        return found

    def decider(self, member: int) -> dict[str, Any]:
        """Which catalogue and which of its sources decided the class."""
        search = self._answers.engine.rules.searches[int(self._answers.matches.search[member])]
        return {"deciding_catalogue": search.catalogue, "deciding_id": self._ids[member]}


def _bands(magnitudes: Magnitudes, i: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for band, value, error in zip(BANDS, magnitudes.value[i].tolist(), magnitudes.error[i].tolist(), strict=True):
        if value == value:
            found[band] = value
        if error == error:
            found[f"{band}Err"] = error
    return found


def _offset(value: float, compat: bool) -> float | str | None:
    if value != value:
        return None
    return f"{value:.1f}" if compat else value


def _null(value: Any) -> Any:
    """None for what is missing."""
    return None if (isinstance(value, float) and not np.isfinite(value)) or value == "" else value
