"""Two answers to the same sites, ours or another Sherlock's, field by field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Sentences are worded freely, and ids of helper tables belong to an installation.
LEFT_OUT = ("catalogue_table_id", "catalogue_view_id")
#: Separations wander in their last digits, and so does what follows from them.
ARCSEC_TOLERANCE = 1e-4
_OF_SEPARATION = ("rankScore", "physical_separation_kpc")
#: Positions [deg], and everything else (relative).
_DEGREES, _RELATIVE = 1e-8, 1e-9
#: Examples kept of the differences of one field.
_EXAMPLES = 3


@dataclass
class Differences:
    """What two answers disagree on."""

    sites: int = 0
    rows: int = 0
    #: field -> how often it differs
    fields: Counter[str] = field(default_factory=Counter)
    #: field -> the first few, as (site, ours, theirs)
    examples: dict[str, list[tuple[str, Any, Any]]] = field(default_factory=dict)

    def add(self, name: str, site: str, one: Any, other: Any) -> None:
        """Note a difference."""
        self.fields[name] += 1
        known = self.examples.setdefault(name, [])
        if len(known) < _EXAMPLES:
            known.append((site, one, other))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "sites": self.sites,
            "rows": self.rows,
            "differences": dict(self.fields.most_common()),
            "examples": {
                name: [{"site": site, "a": a, "b": b} for site, a, b in ones] for name, ones in self.examples.items()
            },
        }


def compare(a: Mapping[str, Any], b: Mapping[str, Any]) -> Differences:
    """Differences of two answers in the layout {'cl': {site: [class, sentence]}, 'cr': [row, ...]}.

    Rows of a site are compared in their order; null and absent are the same, and numbers may be text.
    """
    found = Differences()
    classes_a, classes_b = a["cl"], b["cl"]
    sites = sorted(set(classes_a) | set(classes_b))
    rows_a, rows_b = _by_site(a["cr"]), _by_site(b["cr"])
    for site in sites:
        found.sites += 1
        one, other = classes_a.get(site), classes_b.get(site)
        if one is None or other is None:
            found.add("site", site, one, other)
            continue
        if one[0] != other[0]:
            found.add("classification", site, one[0], other[0])
        mine, theirs = rows_a.get(site, []), rows_b.get(site, [])
        if len(mine) != len(theirs):
            found.add("number of rows", site, len(mine), len(theirs))
        for row, counterpart in zip(mine, theirs, strict=False):
            found.rows += 1
            for name in sorted(set(row) | set(counterpart)):
                if name not in LEFT_OUT and not same(name, row.get(name), counterpart.get(name)):
                    found.add(name, site, row.get(name), counterpart.get(name))
    for site in sorted((set(rows_a) | set(rows_b)) - set(sites)):
        found.add("site", site, len(rows_a.get(site, [])), len(rows_b.get(site, [])))
    return found


def _by_site(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row["transient_object_id"]), []).append(row)
    return found


def same(name: str, one: Any, other: Any) -> bool:
    """Whether two values of a field mean the same."""
    if one == other:
        return True
    if one is None or other is None or name == "transient_object_id":
        return False
    try:
        x, y = float(one), float(other)
    except (TypeError, ValueError):
        return str(one) == str(other)
    if name == "catalogue_object_id":
        return str(one) == str(other)
    apart = abs(x - y)
    if "arcsec" in name.lower() or name in _OF_SEPARATION:
        return apart <= ARCSEC_TOLERANCE
    if name in ("raDeg", "decDeg"):
        return apart <= _DEGREES
    return apart <= _RELATIVE * max(abs(x), abs(y))
