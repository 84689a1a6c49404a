"""The rules as data: `rules.yaml` read, checked and turned into the order in which the engine works."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lasair.errors import BadDefinition

RuleSet = Literal["compat", "fixed"]
RULE_SETS: tuple[RuleSet, ...] = ("compat", "fixed")

#: Every class of the vocabulary. ORPHAN is the answer without any match.
CLASSES = ("VS", "CV", "BS", "AGN", "NT", "SN", "HPMS", "UNCLEAR", "ORPHAN")
ORPHAN = CLASSES.index("ORPHAN")
SYNONYM, ASSOCIATION, ANNOTATION = 1, 2, 3
TYPES = ("star", "galaxy", "agn", "cv", "unclear")

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Search(BaseModel):
    """One search: over which view, how far, and what a match means."""

    model_config = _STRICT

    name: str
    #: catalogue:view
    where: str = Field(alias="in", pattern=r"^[a-z0-9_]+:[a-z0-9_]+$")
    type: Literal["star", "galaxy", "agn", "cv", "unclear"]
    #: [arcsec]
    radius: float = Field(gt=0, le=18_000)
    #: class of a match in the synonym, association and annotation pass
    classes: tuple[str | None, str | None, str | None]
    synonym: float | None = Field(default=None, gt=0)
    kpc: float | None = Field(default=None, gt=0)
    size: bool = False
    needs: Literal["ned"] | None = None
    narrow_blind: bool = False
    #: quality weight of an added catalogue; those of rules.yaml have it there
    weight: int = Field(default=1, ge=0, le=100)

    @field_validator("classes")
    @classmethod
    def _known(cls, value: tuple[str | None, ...]) -> tuple[str | None, ...]:
        for one in value:
            if one is not None and one not in CLASSES[:-1]:
                raise ValueError(f"no class {one!r}; the classes are {', '.join(CLASSES[:-1])}")
        return value

    @property
    def catalogue(self) -> str:
        return self.where.split(":")[0]

    @property
    def view(self) -> str:
        return self.where.split(":")[1]

    @property
    def word(self) -> str:
        """First word of the name, in capitals: what is printed for the catalogue."""
        return self.name.split()[0].upper()


class CatalogueRule(BaseModel):
    """What the rules say of one catalogue."""

    model_config = _STRICT

    weight: int
    table: str
    table_id: int | None = None
    names: dict[str, str] = {}

    def view_name(self, view: str) -> str:
        """Name of a view in Sherlock's production database."""
        return "tcs_view_" + self.names.get(view, f"{view}_{self.table}")


class Fast(BaseModel):
    """Stars too fast for the padded cone of their catalogue: another one holds them too."""

    model_config = _STRICT

    catalogue: str
    view: str
    #: [mas/yr]
    limit: float
    left_to: str


class Switches(BaseModel):
    """In what the two rule sets differ; meaning of each in rules.yaml."""

    model_config = _STRICT

    class_order: tuple[str, ...]
    rounded_distances: bool
    walked_groups: bool
    first_offsets: bool
    type_by_distance: bool
    direct_only: bool
    narrow_blind: bool
    first: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()
    fast: Fast | None = None
    also: dict[str, tuple[str, ...]] = {}


class Rules(BaseModel):
    """One rule set, ready to use."""

    model_config = _STRICT

    version: str
    synonym_radius: float
    merge_radius: float
    direct_radius: float
    stretch: tuple[tuple[float, float], ...]
    bright_ned_magnitude: float
    deny: tuple[str, ...]
    catalogues: dict[str, CatalogueRule]
    #: in the order that breaks ties; a search over several views stands here once a view
    searches: tuple[Search, ...]
    switches: Switches
    rule_set: RuleSet

    @property
    def id(self) -> str:
        """Version, rule set and hash of everything in it: equal ids give equal answers."""
        text = repr(sorted(self.model_dump(mode="json").items()))
        return f"{self.version}-{self.rule_set}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def synonym_reach(self, search: Search) -> float:
        """Radius of a search in the synonym pass [arcsec]."""
        return search.synonym if search.synonym is not None else min(self.synonym_radius, search.radius)


@lru_cache(maxsize=1)
def _text() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((files("lasair.sherlock") / "rules.yaml").read_text("utf-8"))
    return loaded


def load_rules(rule_set: RuleSet = "fixed", added: Mapping[str, Sequence[Mapping[str, Any]]] | None = None) -> Rules:
    """The rules of a set, with the searches that manifests of added catalogues bring.

    Parameters
    ----------
    added : catalogue -> its searches in the form of rules.yaml, where `in` may name just the view

    Raises BadDefinition naming the catalogue and the key when an added search is wrong.
    """
    text = dict(_text())
    switches = Switches.model_validate(text.pop("rule_sets")[rule_set])
    searches = [Search.model_validate(one) for one in text.pop("searches")]
    searches.sort(key=lambda one: one.name not in switches.first)
    catalogues = dict(text.pop("catalogues"))
    for name, ones in (added or {}).items():
        for one in ones:
            search = _added_search(name, one)
            searches.append(search)
            if name not in catalogues:
                catalogues[name] = {"weight": search.weight, "table": name}
    spread: list[Search] = []
    for search in searches:
        spread.append(search)
        spread += [search.model_copy(update={"where": where}) for where in switches.also.get(search.name, ())]
    return Rules(
        **text,
        catalogues={key: CatalogueRule.model_validate(value) for key, value in catalogues.items()},
        searches=tuple(spread),
        switches=switches,
        rule_set=rule_set,
    )


def _added_search(catalogue: str, search: Mapping[str, Any]) -> Search:
    where = str(search.get("in", "all"))
    try:
        found = Search.model_validate(dict(search) | {"in": where if ":" in where else f"{catalogue}:{where}"})
    except (ValidationError, TypeError) as err:
        problems = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors())
            if isinstance(err, ValidationError)
            else str(err)
        )
        raise BadDefinition(f"searches of catalogue {catalogue}: {problems}") from err
    if found.catalogue != catalogue:
        raise BadDefinition(f"searches of catalogue {catalogue}: '{found.name}' searches {found.catalogue}")
    return found
