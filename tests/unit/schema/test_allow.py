"""What queries may name, and the nearest name to a wrong one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.schema import table
from lasair.schema.allow import columns_of, nearest

OBJECTS = table("objects", "lsst").column_names


def test_tables_by_lower_case_name_with_aliases() -> None:
    assert columns_of("lsst")["objects_ext"] is columns_of("lsst")["objects"]
    assert "objects_ext" not in columns_of("ztf")
    assert all(name == name.lower() for name in columns_of("lsst"))


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("g_psfFlx", "g_psfFlux"),
        ("G_PSFFLUX", "g_psfFlux"),
        ("diaobjectID", "diaObjectId"),
        ("dec", "decl"),
        ("nSources", "nuSources"),  # six columns are equally near: the first
        ("tnsname", "tns_name"),
        ("completely_else", None),
        ("", None),
    ],
)
def test_nearest(wrong: str, right: str | None) -> None:
    assert nearest(wrong, OBJECTS) == right


def test_nearest_of_nothing() -> None:
    assert nearest("x", []) is None


@given(st.text(max_size=30))
def test_nearest_is_one_of_the_choices(wrong: str) -> None:
    assert nearest(wrong, OBJECTS) in (None, *OBJECTS)


@given(st.sampled_from(OBJECTS))
def test_a_right_name_is_its_own_nearest(name: str) -> None:
    assert nearest(name.upper(), OBJECTS) == name
