from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.filter.features.ztf import ztf_objects
from lasair.packets.batch import Columns, empty_batch
from lasair.schema.model import table
from tests.support.batches import ztf_batch
from tests.unit.filter.features.curves import JD0, Point, is_missing, ztf_one

G, R, FID_I = 1, 2, 3


def features(points: list[Point], **candidate: Any) -> Columns:
    return ztf_objects(ztf_one(points, **candidate))


def check(columns: Columns, n: int) -> None:
    assert tuple(columns) == table("objects", "ztf").column_names
    for column in table("objects", "ztf").columns:
        values = columns[column.name]
        assert values.shape == (n,), column.name
        expected = "U" if column.is_text else "i" if column.type in ("int", "bigint") else "f"
        assert values.dtype.kind == expected, column.name
        if expected == "f":
            assert not np.isinf(values).any(), column.name


def test_the_columns_of_the_schema_in_its_order() -> None:
    columns = features([(0.0, G, 18.0)])
    check(columns, 1)
    assert len(columns) == 43
    check(ztf_objects(empty_batch("ztf")), 0)


def test_one_detection() -> None:
    columns = features([(0.0, G, 18.0)])
    assert columns["objectId"] == ["ZTF20aaaaaaa"]
    assert (columns["ncand"], columns["ramean"], columns["decmean"]) == ([1], [10.0], [20.0])
    for name in ("rastd", "decstd", "rmag", "magrmin", "dmdt_g", "g_minus_r", "mag_r02", "jdrmax", "ssnamenr"):
        assert is_missing(columns[name]), name
    assert columns["gmag"] == columns["maggmean"] == columns["mag_g02"] == columns["mag_g28"] == [18.0]
    assert columns["jdmax"] == columns["jdmin"] == columns["jdgmax"]
    assert columns["jdmax"][0] == pytest.approx(JD0, abs=1e-8)


def test_magnitudes_and_times_by_band() -> None:
    columns = features([(0.0, G, 18.0), (1.0, R, 17.0), (2.0, G, 19.0), (3.0, G, 18.5)])
    assert [columns[f"magg{name}"][0] for name in ("min", "max", "mean")] == [18.0, 19.0, 18.5]
    assert (columns["gmag"], columns["rmag"]) == ([18.5], [17.0])
    assert columns["jdrmax"][0] == pytest.approx(JD0 + 1, abs=1e-8)
    assert columns["jdgmax"][0] == columns["jdmax"][0] == pytest.approx(JD0 + 3, abs=1e-8)
    assert columns["jdmin"][0] == pytest.approx(JD0, abs=1e-8)


def test_band_i_is_not_r() -> None:
    columns = features([(0.0, FID_I, 18.0), (1.0, FID_I, 17.0)])
    assert columns["ncand"] == [2]
    assert columns["ncandgp"] == [2]
    for name in ("rmag", "magrmin", "jdrmax", "dmdt_r", "mag_r02"):
        assert is_missing(columns[name]), name


def test_mean_position_across_0_degrees() -> None:
    batch = ztf_one([(0.0, G, 18.0), (1.0, G, 18.0)])
    batch.rows["ra"] = [359.9999, 0.0003]
    batch.rows["decl"] = [1.0, 1.0002]
    columns = ztf_objects(batch)
    assert columns["ramean"][0] == pytest.approx(0.0001)
    assert columns["rastd"][0] == pytest.approx(0.0002 * 3600)
    assert columns["decmean"][0] == pytest.approx(1.0001)
    assert columns["decstd"][0] == pytest.approx(0.0001 * 3600)


def test_rates() -> None:
    columns = features([(0.0, G, 18.0), (1.0, G, 19.0), (3.0, R, 10.0), (5.0, G, 18.0)])
    assert columns["dmdt_g"][0] == pytest.approx(0.25)  # brightening
    assert columns["dmdt_g_err"][0] == pytest.approx(0.1 * math.sqrt(2) / 4)
    assert columns["dmdt_g_2"][0] == pytest.approx(1.0)  # fading
    assert is_missing(columns["dmdt_r"])


def test_no_rate_with_a_negative_detection_or_without_time() -> None:
    columns = features([(0.0, G, 18.0), (1.0, G, 19.0, 0.1, "f"), (5.0, G, 18.0)])
    assert is_missing(columns["dmdt_g"])
    assert is_missing(columns["dmdt_g_2"])
    columns = features([(1.0, G, 19.0), (1.0, G, 18.0)])
    assert is_missing(columns["dmdt_g"])
    assert is_missing(columns["dmdt_g_err"])


def test_colour_of_the_last_night_with_both() -> None:
    points = [(0.1, G, 18.0), (0.2, R, 17.0), (1.1, G, 18.5), (1.2, G, 18.75), (1.3, R, 17.5), (2.1, G, 18.0)]
    columns = features(points)
    assert columns["g_minus_r"] == [1.25]
    assert columns["jd_g_minus_r"][0] == pytest.approx(JD0 + 1.2, abs=1e-8)
    points[4] = (1.3, R, 17.5, 0.1, "f")  # fainter than the reference
    assert features(points)["g_minus_r"] == [1.0]


def test_two_nights_make_no_colour() -> None:
    assert is_missing(features([(0.9, G, 18.0), (1.1, R, 17.0)])["g_minus_r"])


def test_good_and_positive() -> None:
    points = [
        (0.0, G, 18.0, 0.1, "t", 0.9),
        (10.0, R, 18.0, 0.1, "1", 0.76),
        (15.0, FID_I, 18.0, 0.1, "t", 0.75),  # not above
        (16.0, G, 18.0, 0.1, "f", 0.9),
        (20.0, G, 18.0, 0.1, "t", 0.2),
    ]
    columns = features(points, drb=0.9)
    assert (columns["ncandgp"], columns["ncandgp_14"], columns["ncandgp_7"]) == ([3], [2], [1])
    columns = features(points, drb=0.1)
    assert (columns["ncandgp"], columns["ncandgp_14"]) == ([2], [1])
    assert is_missing(columns["ncandgp_7"])  # none is published as NULL


def test_moving_average() -> None:
    columns = features([(0.0, R, 18.0), (2.0, R, 20.0)])
    for scale in (2, 8, 28):
        keep = math.exp(-2 / scale)
        assert columns[f"mag_r{scale:02d}"][0] == pytest.approx(18 * keep + 20 * (1 - keep))


def test_nearest_source() -> None:
    columns = features([(0.0, G, 18.0)], sgscore1=0.0, distpsnr1=0.0, sgmag1=-999.0, srmag1=17.5)
    assert (columns["sgscore1"], columns["distpsnr1"], columns["srmag1"]) == ([0.0], [0.0], [17.5])  # 0 is a value
    assert is_missing(columns["sgmag1"])
    assert is_missing(features([(0.0, G, 18.0)], ssnamenr="null")["ssnamenr"])
    assert features([(0.0, G, 18.0)], ssnamenr="2003 XY5")["ssnamenr"] == ["2003 XY5"]
    assert len(features([(0.0, G, 18.0)], ssnamenr="Ořechov")["ssnamenr"][0]) == 7


def test_neither_limits_nor_forced_photometry_count() -> None:
    row = {"jd": JD0 - 1, "fid": G, "diffmaglim": 20.0}
    forced = {**row, "magpsf": 5.0, "candid": 9, "forcediffimflux": 1.0}
    newest = {"jd": JD0, "fid": G, "magpsf": 18.0, "ra": 1.0, "dec": 2.0, "candid": 1}
    columns = ztf_objects(
        ztf_batch([{"objectId": "ZTF20aaaaaaa", "candidate": newest, "prv_candidates": [row, forced]}])
    )
    assert (columns["ncand"], columns["maggmin"]) == ([1], [18.0])


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, G, None)],
        [(0.0, 7, 18.0)],
        [(0.0, G, float("nan")), (0.0, R, float("inf"))],
        [(0.0, G, 18.0, None, None, None)] * 4,
        [(float(k), G, 18.0, 0.1, "f") for k in range(5)],
    ],
    ids=["no magnitude", "unknown band", "not finite", "one time", "negative"],
)
def test_degenerate_light_curves(points: list[Any]) -> None:
    columns = features(points)
    check(columns, 1)
    assert is_missing(columns["dmdt_g"])
    assert is_missing(columns["g_minus_r"])


def test_no_rows_and_no_position() -> None:
    batch = ztf_one([(0.0, G, 18.0)])
    batch.rows["kind"] = 1
    check(ztf_objects(batch), 1)
    batch = ztf_one([(0.0, G, 18.0)])
    batch.rows["ra"] = np.nan
    columns = ztf_objects(batch)
    check(columns, 1)
    assert all(is_missing(columns[name]) for name in ("ramean", "glatmean", "htm16"))


POINT = st.tuples(
    st.floats(0, 30),
    st.integers(0, 4),
    st.one_of(st.none(), st.floats(width=32), st.floats(12, 22, width=32)),
    st.one_of(st.none(), st.floats(width=32)),
    st.sampled_from(["t", "f", "1", "0", None]),
    st.one_of(st.none(), st.floats(0, 1, width=32)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(POINT, min_size=1, max_size=30))
def test_any_light_curve(points: list[Any]) -> None:
    columns = features(points)
    check(columns, 1)
    assert columns["ncand"] == [len(points)]
    assert not columns["maggmin"][0] > columns["maggmax"][0]
    assert columns["ncandgp_7"][0] <= columns["ncandgp_14"][0] <= columns["ncandgp"][0]
