from __future__ import annotations

import numpy as np
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from lasair.times import iso_utc, mjd_tai_to_jd_utc, mjd_tai_to_unix, plain_utc, unix_to_mjd_tai


def test_against_astropy() -> None:
    time = Time("2026-03-09T23:59:58.123", scale="utc")
    assert iso_utc(mjd_tai_to_unix(np.array([time.tai.mjd]))) == ["2026-03-09T23:59:58.123Z"]
    assert abs(unix_to_mjd_tai(time.unix) - time.tai.mjd) < 1e-10
    assert mjd_tai_to_jd_utc(np.array([time.tai.mjd]))[0] == round(time.utc.jd, 7)


def test_ztf_times_come_back_as_sent() -> None:
    sent = np.array([2458490.6549421, 2460236.9751736, 2459000.0])
    assert mjd_tai_to_jd_utc(sent - 2400000.5 + 37 / 86400).tolist() == sent.tolist()


def test_no_time() -> None:
    times = np.array([np.nan, np.inf, -np.inf, 1e300, 253_402_300_799.9999, 0.0, -0.0004])
    assert iso_utc(times) == [None] * 5 + ["1970-01-01T00:00:00.000Z"] * 2
    assert iso_utc(np.empty(0)) == []


def test_plain() -> None:
    assert plain_utc(1_773_100_798.999) == "2026-03-09 23:59:58"


@given(st.floats(0, 4e9))
def test_round_trip(unix_s: float) -> None:
    assert abs(mjd_tai_to_unix(np.array([unix_to_mjd_tai(unix_s)]))[0] - unix_s) < 1e-5
