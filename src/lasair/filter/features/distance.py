"""Distance moduli: the one place that turns Sherlock's distances and redshifts into magnitudes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lasair.filter.features.context import Context

SPEED_OF_LIGHT_KM_S = 299792.458
HUBBLE_KM_S_MPC = 70.0
MATTER, VACUUM = 0.3, 0.7
RADIATION = 4.165e-5 / (HUBBLE_KM_S_MPC / 100.0) ** 2
CURVATURE = 1.0 - MATTER - VACUUM - RADIATION
#: nodes of the quadrature: enough for 1e-10 of the integral up to z = 10
_NODES = 48


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
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    # over ln a, where the integrand stays smooth however early the light left
    depth = np.log1p(np.where(good, z, np.nan))
    a = np.exp(-0.5 * depth[:, None] * (nodes + 1.0))
    speed = np.sqrt(CURVATURE * a**2 + MATTER * a + RADIATION + VACUUM * a**4)
    path = 0.5 * depth * ((1.0 / speed) * a @ weights)
    root = np.sqrt(abs(CURVATURE))
    path = np.sin(root * path) / root if CURVATURE < 0 else np.sinh(root * path) / root
    return np.asarray((1.0 + z) * path * SPEED_OF_LIGHT_KM_S / HUBBLE_KM_S_MPC)


def distance_modulus(context: Context) -> NDArray[np.float64]:
    """What to subtract from a magnitude to make it absolute.

    A direct distance comes first (5 log10 of it in units of 10 pc); else the spectroscopic, else the photometric
    redshift gives the cosmological modulus less 2.5 log10(1 + z), the K correction of a flat spectrum. The
    redshifts count where they are positive.

    Returns
    -------
    (n,) float64 [mag], NaN where the class gives no distance or none is known.
    """
    redshift = np.where(context.z > 0, context.z, context.photoz)
    distance = np.asarray(context.best_distance_mpc, np.float64)
    direct = (distance > 0) & np.isfinite(distance)
    out = np.full(len(distance), np.nan)
    known = context.extragalactic()
    first = known & direct
    out[first] = 5.0 * np.log10(distance[first]) + 25.0
    second = known & ~direct & (redshift > 0) & np.isfinite(redshift)
    if second.any():
        z = redshift[second]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # of numbers that are no redshift
            out[second] = 5.0 * np.log10(luminosity_distance_mpc(z)) + 25.0 - 2.5 * np.log10(1.0 + z)
    out[~np.isfinite(out)] = np.nan
    return out
