from __future__ import annotations

import pytest

from lasair.definitions import edit
from lasair.definitions.examples import example_filters, showcase_filters
from lasair.definitions.filter_file import FilterFile
from lasair.schema.model import SURVEYS, Survey

ALL = [one for survey in SURVEYS for one in example_filters(survey)]


def test_there_are_enough_and_each_is_different() -> None:
    assert len(example_filters("lsst")) == 100
    assert len(example_filters("ztf")) == 40
    assert len({one.name for one in ALL}) == len(ALL)
    assert len({(one.select, one.where) for one in ALL}) == len(ALL)


@pytest.mark.parametrize("survey", SURVEYS)
def test_showcase(survey: Survey) -> None:
    shown = showcase_filters(survey)
    assert len(shown) >= 5
    assert {one.output for one in shown} == {"plain", "lite", "full"}
    assert example_filters(survey)[: len(shown)] == shown


@pytest.mark.parametrize("definition", ALL, ids=lambda one: one.name)
def test_each_compiles(definition: FilterFile) -> None:
    edit.check(definition)
    assert definition.description
