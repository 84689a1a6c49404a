from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.definitions.content import Cones, Happened, pack_area, unpack_area, unpack_cones, unpack_event
from lasair.errors import BadDefinition
from lasair.sky.names import PackedNames
from lasair.sky.skymap import Circle, SkyMap


def cones(names: list[str], brighter: list[float] | None = None) -> Cones:
    n = len(names)
    nothing = np.full(n, np.nan)
    return Cones(
        np.arange(n) * 3, np.linspace(0, 359, n), np.linspace(-90, 90, n), np.full(n, 2.0), PackedNames.of(names),
        nothing if brighter is None else np.array(brighter), nothing,
    )  # fmt: skip


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=9), max_size=5))
def test_cones(names: list[str]) -> None:
    found = unpack_cones(cones(names).pack())
    assert [found.names[i] for i in range(len(found))] == names
    np.testing.assert_array_equal(found.cone_id, cones(names).cone_id)
    np.testing.assert_array_equal(found.ra, cones(names).ra)
    assert np.isnan(found.brighter).all() and len(found.change) == len(names)


def test_limits_are_kept_where_there_are_any() -> None:
    found = unpack_cones(cones(["a", "b"], [18.0, np.nan]).pack())
    np.testing.assert_array_equal(found.brighter, [18.0, np.nan])
    assert np.isnan(found.change).all()


def test_equal_columns_are_equal_bytes() -> None:
    assert cones(["a", "b"]).pack() == cones(["a", "b"]).pack()
    assert cones(["a", "b"]).pack() != cones(["a", "c"]).pack()
    with zipfile.ZipFile(io.BytesIO(cones(["a"]).pack())) as archive:
        assert {one.date_time[0] for one in archive.infolist()} == {1980}, "no time of day is in them"


def test_areas_and_events() -> None:
    ranges = np.array([[0, 4], [2**59, 2**60]], np.uint64)
    assert unpack_area(pack_area(ranges)).tolist() == ranges.tolist()
    found = unpack_event(Happened(61000.0, 61021.0, Circle(10.0, -5.0, 2.0, 0.9)).pack())
    assert (found.t0, found.end) == (61000.0, 61021.0)
    assert isinstance(found.localisation, Circle) and found.localisation.radius_deg == 2.0
    place = SkyMap(np.array([0, 1]), np.array([3, 4]), np.array([1.0, 2.0]))
    found = unpack_event(Happened(1.0, 2.0, place).pack())
    assert found.localisation.at([45.0], [0.5]).contour.tolist() == place.at([45.0], [0.5]).contour.tolist()


@pytest.mark.parametrize("unpack", [unpack_cones, unpack_area, unpack_event])
def test_what_was_not_packed_here_is_refused(unpack: object) -> None:
    whole = cones(["a"]).pack()
    for damaged in (b"", b"nothing", whole[:-9], pack_area(np.empty((0, 2), np.uint64))[:50]):
        with pytest.raises(BadDefinition, match="damaged"):
            unpack(damaged)  # type: ignore[operator]
    with pytest.raises(BadDefinition, match="damaged"):
        unpack_event(whole)


@given(st.data())
def test_damage_is_one_error(data: st.DataObject) -> None:
    place = SkyMap(np.array([0, 1]), np.array([3, 4]), np.array([1.0, 2.0]))
    for unpack, good in (
        (unpack_cones, cones(["a", "b"], [18.0, np.nan]).pack()),
        (unpack_area, pack_area(np.array([[0, 4]], np.uint64))),
        (unpack_event, Happened(1.0, 2.0, place).pack()),
        (unpack_event, Happened(1.0, 2.0, Circle(10.0, -5.0, 2.0, 0.9)).pack()),
    ):
        bad = bytearray(good)
        at = data.draw(st.integers(0, len(bad) - 1))
        bad[at : at + data.draw(st.integers(1, 40))] = data.draw(st.binary(max_size=40))
        with suppress(BadDefinition):
            unpack(bytes(bad))


def test_columns_that_do_not_belong_together_are_damage() -> None:
    held = cones(["a", "b"])
    for name, values in (("ra", held.ra[:1]), ("cone_id", np.int64(3)), ("radius", np.ones((2, 2)))):
        with pytest.raises(BadDefinition, match="damaged"):
            unpack_cones(replace(held, **{name: values}).pack())
    with pytest.raises(BadDefinition, match="damaged"):
        unpack_cones(replace(held, names=PackedNames.of(["a"])).pack())
