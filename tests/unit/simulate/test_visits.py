from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.simulate import visits
from lasair.simulate.visits import (
    FIELD_DEG,
    choose_fields,
    grid,
    lsst_nights,
    lsst_visit_id,
    mjd_of,
    offset_position,
    offsets_from,
    on_camera,
    place_in_field,
    yyyymmdd,
    ztf_night_id,
    ztf_nights,
)


@pytest.mark.parametrize(("date", "mjd"), [(20260302, 61101), (19700101, 40587), (20240229, 60369), (18581117, 0)])
def test_dates_and_days(date: int, mjd: int) -> None:
    assert mjd_of(date) == mjd
    assert yyyymmdd(np.array([mjd])).tolist() == [date]


def test_no_such_date() -> None:
    with pytest.raises(ValueError, match="20260230 is no date"):
        mjd_of(20260230)


def test_nights_of_both_surveys() -> None:
    rng = np.random.default_rng(1)
    lsst = lsst_nights(mjd_of(20260302), 6, 4, 1, rng)
    ztf = ztf_nights(mjd_of(20260302), 4, 3, rng, before=30)
    for one in (lsst, ztf):
        assert (np.diff(one.mjd) > 0).all()
        assert one.sequence.min() == 1
    # six a night in the deep field; a pair in two bands, within the hour, in the others
    assert ((lsst.field == 0) & (lsst.day == lsst.day[0])).sum() == 6
    pair = np.flatnonzero((lsst.field == 1) & (lsst.day == lsst.day[lsst.field == 1][0]))
    assert len(pair) == 2
    assert lsst.band[pair[0]] != lsst.band[pair[1]]
    assert 20 < (lsst.mjd[pair[1]] - lsst.mjd[pair[0]]) * 1440 < 35
    assert set(ztf.band.tolist()) <= {1, 2, 3}
    assert not ztf.emit[ztf.day < mjd_of(20260302)].any()
    assert ztf.emit[ztf.day >= mjd_of(20260302)].all()
    # named after the evening in Chile, which is on the UTC day before
    assert lsst_visit_id(lsst)[0] == 2026030100001
    assert (np.diff(lsst_visit_id(lsst)) > 0).all()
    # 1 is the UT date 2017-01-02
    assert (ztf_night_id(ztf) == ztf.day - mjd_of(20170101)).all()


@pytest.mark.parametrize("survey", ["lsst", "ztf"])
def test_the_grid_covers_the_survey(survey: visits.Survey) -> None:
    ra, decl = grid(survey)
    rng = np.random.default_rng(2)
    sky_ra, sky_decl = rng.uniform(0, 360, 200), rng.uniform(-25, 8, 200)
    step = FIELD_DEG[survey]
    for a, d in zip(sky_ra, sky_decl, strict=True):
        east, north = offsets_from(ra, decl, np.full(len(ra), a), np.full(len(ra), d))
        assert (np.hypot(east, north) <= step * 0.75).any()


def test_fields_of_a_season_are_up_at_night() -> None:
    where = choose_fields("lsst", 5, mjd_of(20260320), np.random.default_rng(3), deep=2)
    assert len(where) == 5
    assert len(set(where.number.tolist())) == 5
    # in March the sky at midnight is at 12 h
    assert (np.abs(where.ra - 180) < 60).all()
    assert (np.abs(where.galactic) > 12).all()
    assert [reason[:3] for reason in where.reason] == ["ddf", "ddf", "pai", "pai", "pai"]


@given(st.floats(0, 359.9), st.floats(-80, 80), st.floats(-3, 3), st.floats(-3, 3))
def test_offsets_and_positions_are_each_other_s_inverse(ra: float, decl: float, east: float, north: float) -> None:
    a, d = offset_position(np.array([ra]), np.array([decl]), np.array([east]), np.array([north]))
    assert 0 <= a[0] < 360
    back = offsets_from(np.array([ra]), np.array([decl]), a, d)
    assert back[0][0] == pytest.approx(east, abs=1e-8)
    assert back[1][0] == pytest.approx(north, abs=1e-8)


@pytest.mark.parametrize(("survey", "detectors"), [("lsst", 189), ("ztf", 64)])
def test_every_detector_is_used_and_no_other(survey: visits.Survey, detectors: int) -> None:
    east, north = place_in_field(survey, 50_000, np.random.default_rng(4))
    number, x, y = on_camera(survey, east, north)
    assert set(number.tolist()) == set(range(detectors))
    assert x.min() >= 0
    assert y.min() >= 0
    assert max(x.max(), y.max()) <= 4072
    far = on_camera(survey, np.array([np.inf, 9.0, 0.0]), np.array([0.0, 0.0, -9.0]))
    assert far[0].tolist() == [-1, -1, -1]
