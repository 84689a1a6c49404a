"""Distances from redshifts: H0 70 km/s/Mpc, matter 0.3, vacuum 0.7 and the radiation of the microwave background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lasair.sky.separation import ARCSEC_PER_RADIAN

SPEED_OF_LIGHT_KM_S = 299792.458
HUBBLE_KM_S_MPC = 70.0
MATTER, VACUUM = 0.3, 0.7
RADIATION = 4.165e-5 / (HUBBLE_KM_S_MPC / 100.0) ** 2
CURVATURE = 1.0 - MATTER - VACUUM - RADIATION
#: quadrature: enough for 1e-10 of the integral up to z = 10
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


def luminosity_distance_mpc(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Luminosity distance in a Friedmann universe with radiation (Hogg 1999, arXiv:astro-ph/9905116).

    Parameters
    ----------
    z : (n,) redshift

    Returns
    -------
    (n,) float64 [Mpc], NaN where z is missing or not positive.
    """
    z = np.asarray(z, np.float64)
    good = (z > 0) & np.isfinite(z)
    # over ln a, where the integrand stays smooth however early the light left
    depth = np.log1p(np.where(good, z, np.nan))
    a = np.exp(-0.5 * depth[:, None] * (_NODES + 1.0))
    speed = np.sqrt(CURVATURE * a**2 + MATTER * a + RADIATION + VACUUM * a**4)
    # no matrix product: its sums depend on how many there are
    path = 0.5 * depth * (a / speed * _WEIGHTS).sum(axis=1)
    root = np.sqrt(abs(CURVATURE))
    path = np.sin(root * path) / root if CURVATURE < 0 else np.sinh(root * path) / root
    return np.asarray((1.0 + z) * path * SPEED_OF_LIGHT_KM_S / HUBBLE_KM_S_MPC)


def modulus_mag(distance_mpc: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance modulus [mag] of distances [Mpc], (n,) -> (n,); NaN where the distance is missing or not positive."""
    distance = np.asarray(distance_mpc, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(distance > 0, 5.0 * np.log10(distance) + 25.0, np.nan))


def kpc_per_arcsec(distance_mpc: NDArray[np.float64], z: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
    """Projected scale at a luminosity distance [Mpc] and redshift (0 for a distance that needs none): (n,) [kpc/"]."""
    return np.asarray(np.asarray(distance_mpc, np.float64) / (1.0 + z) ** 2 * 1e3 / ARCSEC_PER_RADIAN)
