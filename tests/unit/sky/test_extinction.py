from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from lasair.errors import StoreUnavailable
from lasair.sky.extinction import COEFFICIENTS, DustMap, corrections, without_map

SIZE = 64


def write_maps(folder: Path) -> None:
    """Maps whose value is a linear function of the pixel, so that interpolation is exact."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    fits.writeto(folder / "SFD_dust_4096_ngp.fits", x + 100 * y)
    fits.writeto(folder / "SFD_dust_4096_sgp.fits", -(x + 100 * y))


def equatorial(lon: float, lat: float) -> tuple[list[float], list[float]]:
    at = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    return [at.ra.deg], [at.dec.deg]


def test_poles_are_in_the_middle(tmp_path: Path) -> None:
    write_maps(tmp_path)
    dust = DustMap(tmp_path)
    middle = (SIZE - 1) / 2
    assert dust.ebv(*equatorial(0, 90))[0] == pytest.approx(101 * middle, abs=0.1)
    assert dust.ebv(*equatorial(0, -90))[0] == pytest.approx(-101 * middle, abs=0.1)


@pytest.mark.parametrize(("lat", "sign"), [(30.0, 1), (-30.0, -1)])
def test_projection_by_hand(tmp_path: Path, lat: float, sign: int) -> None:
    # at |b| = 30 the distance from the pole is sqrt(1 - 1/2) of half the width
    write_maps(tmp_path)
    dust = DustMap(tmp_path)
    middle, radius = (SIZE - 1) / 2, SIZE / 2 * np.sqrt(0.5)
    assert dust.ebv(*equatorial(0, lat))[0] == pytest.approx(sign * (middle + radius + 100 * middle), abs=0.1)
    # longitude runs clockwise in the north and the other way in the south
    expected = sign * (middle + 100 * (middle - sign * radius))
    assert dust.ebv(*equatorial(90, lat))[0] == pytest.approx(expected, abs=0.1)


def test_the_galactic_plane_stays_on_the_map(tmp_path: Path) -> None:
    write_maps(tmp_path)
    lon = np.arange(0.0, 360.0, 1.0)
    at = SkyCoord(lon, np.zeros(360), unit="deg", frame="galactic").icrs
    assert np.all(np.isfinite(DustMap(tmp_path).ebv(at.ra.deg, at.dec.deg)))


def test_missing_positions_and_empty(tmp_path: Path) -> None:
    write_maps(tmp_path)
    dust = DustMap(tmp_path)
    found = dust.ebv([np.nan, 10.0], [0.0, 10.0])
    assert np.isnan(found[0])
    assert np.isfinite(found[1])
    assert dust.ebv(np.empty(0), np.empty(0)).shape == (0,)


def test_no_map_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="dust_map_dir"):
        DustMap(tmp_path).ebv([1.0], [2.0])
    fits.writeto(tmp_path / "SFD_dust_4096_ngp.fits", np.zeros((3, 4), np.float32))
    fits.writeto(tmp_path / "SFD_dust_4096_sgp.fits", np.zeros((3, 4), np.float32))
    with pytest.raises(StoreUnavailable, match="not square"):
        DustMap(tmp_path).ebv([1.0], [2.0])
    assert DustMap.open(None) is None
    assert DustMap.open(tmp_path) is not None


def test_corrections() -> None:
    factors = corrections(np.array([0.0, 1.0, np.nan]))
    assert factors.shape == (3, 6)
    assert np.all(factors[0] == 1)
    assert -2.5 * np.log10(factors[1]) == pytest.approx(-COEFFICIENTS)
    assert np.all(np.isnan(factors[2]))
    assert np.all(np.isnan(without_map(2)))
