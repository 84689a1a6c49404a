"""Times as notices write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from lasair.events.moments import from_mjd_utc, read_moment


@pytest.mark.parametrize(
    "text",
    ["2023-04-16T05:22:26.150574Z", "2024-03-01T21:46:05.13Z", "2024-08-24T02:14:40.43", "2025-01-01T12:01:00.00Z",
     "2020-01-29 06:54:58", "2018-11-01T22:22:46.654437"],
)  # fmt: skip
def test_times(text: str) -> None:
    found = read_moment(text)
    assert found.mjd_tai == pytest.approx(Time(text.rstrip("Z"), scale="utc").tai.mjd, abs=1e-10)
    assert found.utc.endswith("Z") and read_moment(found.utc) == found


def test_zones_and_days() -> None:
    assert read_moment("2026-03-01T12:00:00+02:00") == read_moment("2026-03-01T10:00:00Z")
    assert from_mjd_utc(58423.93248442635).utc.startswith("2018-11-01T22:22:46.654")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00", "0001-01-01T00:00:00+23:00", "1e400"])
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError):
        read_moment(text)


@given(st.floats())
def test_any_number_is_a_day_or_refused(mjd: float) -> None:
    with suppress(ValueError):
        assert from_mjd_utc(mjd).utc.endswith("Z")
