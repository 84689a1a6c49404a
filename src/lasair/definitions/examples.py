"""Example filters of both surveys: data of the demo and the benchmark, and a start for one's own."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from lasair.definitions.filter_file import FilterFile, parse_filter
from lasair.schema.model import Survey


@cache
def _document(survey: Survey) -> dict[str, Any]:
    file = resources.files("lasair.definitions").joinpath(f"examples/{survey}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def example_filters(survey: Survey) -> list[FilterFile]:
    """All examples of a survey, each different: 100 for LSST, 40 for ZTF. Those of the demo come first."""
    entries = enumerate(_document(survey)["filter"], 1)
    return [parse_filter(entry, source=f"examples/{survey}.toml, filter {number}") for number, entry in entries]


def showcase_filters(survey: Survey) -> list[FilterFile]:
    """The few examples that the demo shows."""
    names = _document(survey)["showcase"]
    return [one for one in example_filters(survey) if one.name in names]
