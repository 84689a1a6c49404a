from __future__ import annotations

import numpy as np
from astropy.coordinates import SkyCoord

from lasair.sky.galactic import POLE_DECL, POLE_RA, galactic


def test_same_as_astropy() -> None:
    rng = np.random.default_rng(1)
    ra, decl = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    lon, lat = galactic(ra, decl)
    expected = SkyCoord(ra, decl, unit="deg").galactic
    found = SkyCoord(lon, lat, unit="deg", frame="galactic")
    assert found.separation(expected).arcsec.max() < 0.1
    assert np.all((lon >= 0) & (lon < 360))


def test_poles_and_centre() -> None:
    assert galactic([POLE_RA], [POLE_DECL])[1][0] > 89.999999
    assert abs(galactic([POLE_RA + 180], [-POLE_DECL])[1][0] + 90) < 1e-6
    lon, lat = galactic([266.40499], [-28.93617])
    assert min(lon[0], 360 - lon[0]) < 1e-4
    assert abs(lat[0]) < 1e-4


def test_missing() -> None:
    lon, lat = galactic([np.nan, 1.0, np.inf], [1.0, np.nan, 1.0])
    assert np.all(np.isnan(lon))
    assert np.all(np.isnan(lat))
