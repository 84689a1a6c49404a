from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from lasair.sky.separation import separation_arcsec


def test_by_hand() -> None:
    assert separation_arcsec(10.0, 0.0, 11.0, 0.0) == pytest.approx(3600)
    assert separation_arcsec(10.0, 60.0, 11.0, 60.0) == pytest.approx(1800, rel=1e-4)
    assert separation_arcsec(359.9999, 0.0, 0.0001, 0.0) == pytest.approx(0.72)
    assert separation_arcsec(0.0, 90.0, 180.0, 90.0) == pytest.approx(0, abs=1e-6)
    assert separation_arcsec(0.0, 90.0, 0.0, -90.0) == pytest.approx(180 * 3600)


def test_a_milliarcsecond_is_exact() -> None:
    assert separation_arcsec(10.0, 20.0, 10.0, 20.0 + 1e-3 / 3600) == pytest.approx(1e-3, rel=1e-5)


@given(st.floats(0, 360), st.floats(-90, 90), st.floats(0, 360), st.floats(-90, 90))
def test_same_as_astropy(ra1: float, decl1: float, ra2: float, decl2: float) -> None:
    expected = SkyCoord(ra1, decl1, unit="deg").separation(SkyCoord(ra2, decl2, unit="deg")).arcsec
    assert separation_arcsec(ra1, decl1, ra2, decl2) == pytest.approx(expected, abs=1e-2)


def test_broadcast_and_missing() -> None:
    found = separation_arcsec([1.0, np.nan], [2.0, 2.0], 1.0, 2.0)
    assert found[0] == 0
    assert np.isnan(found[1])
