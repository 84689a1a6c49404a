from __future__ import annotations

import math

import numpy as np
import pytest

from lasair.filter.features.distance import distance_modulus
from lasair.sky.cosmology import luminosity_distance_mpc
from tests.unit.filter.features.curves import context


def test_a_direct_distance_comes_first() -> None:
    assert distance_modulus(context(best_distance_mpc=100.0, z=0.5)) == [35.0]


@pytest.mark.parametrize("z", [0.001, 0.1, 1.0, 5.0])
def test_same_as_a_plain_integral(z: float) -> None:
    # mid-point rule over the scale factor, without the curvature that radiation makes
    steps = 20000
    a = 1 / (1 + z) + (1 - 1 / (1 + z)) * (np.arange(steps) + 0.5) / steps
    speed = np.sqrt(0.3 / a + 8.5e-5 / a**2 + 0.7 * a**2 - 8.5e-5)
    comoving = (1 - 1 / (1 + z)) * np.mean(1 / (a * speed)) * 299792.458 / 70
    assert luminosity_distance_mpc(np.array([z]))[0] == pytest.approx((1 + z) * comoving, rel=1e-4)


def test_redshift_with_k_correction() -> None:
    expected = 5 * math.log10(luminosity_distance_mpc(np.array([0.1]))[0]) + 25 - 2.5 * math.log10(1.1)
    assert distance_modulus(context(z=0.1))[0] == pytest.approx(expected)


def test_photometric_redshift_where_there_is_no_other() -> None:
    by_z = distance_modulus(context(z=0.2))
    assert distance_modulus(context(photoz=0.2)) == by_z
    assert distance_modulus(context(z=0.2, photoz=0.3)) == by_z
    assert distance_modulus(context(z=0.0, photoz=0.2)) == by_z
    assert distance_modulus(context(best_distance_mpc=0.0, z=0.2)) == by_z


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_no_distance(bad: float) -> None:
    assert np.isnan(distance_modulus(context(best_distance_mpc=bad, z=bad, photoz=bad))).all()


def test_only_classes_with_a_host() -> None:
    given = context(5, best_distance_mpc=10.0)
    given.sherlock_class[:] = ["SN", "NT", "ORPHAN", "VS", ""]
    assert np.isfinite(distance_modulus(given)).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("z", [5e-324, 1e-200, 1e30, 1e308])
def test_numbers_that_are_no_redshift_give_no_infinity(z: float) -> None:
    assert not np.isinf(distance_modulus(context(z=z))).any()
