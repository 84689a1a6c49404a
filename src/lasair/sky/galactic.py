"""Galactic coordinates of equatorial positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: North Galactic pole (J2000) and the Galactic longitude of the north celestial pole [deg] (ESA 1997, Hipparcos
#: catalogue, vol. 1, section 1.5.3).
POLE_RA, POLE_DECL, LON_OF_CELESTIAL_POLE = 192.85948, 27.12825, 122.93192


def galactic(
    ra: ArrayLike, decl: ArrayLike, *, pole_decl: float = POLE_DECL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Galactic longitude (0 to 360) and latitude.

    Parameters
    ----------
    ra, decl : (n,) [deg], J2000
    pole_decl : declination of the north Galactic pole [deg], for columns published with a rounded one

    Returns
    -------
    two (n,) float64 [deg], NaN where a coordinate is missing.
    """
    alpha = np.radians(np.asarray(ra, dtype=np.float64) - POLE_RA)
    delta = np.radians(np.asarray(decl, dtype=np.float64))
    pole = np.radians(pole_decl)
    with np.errstate(invalid="ignore"):
        sin_b = np.sin(delta) * np.sin(pole) + np.cos(delta) * np.cos(pole) * np.cos(alpha)
        east = np.cos(delta) * np.sin(alpha)
        north = np.sin(delta) * np.cos(pole) - np.cos(delta) * np.sin(pole) * np.cos(alpha)
        # the arctangent keeps its precision at the poles, where an arcsine loses half of its digits
        lat = np.degrees(np.arctan2(sin_b, np.hypot(east, north)))
        lon = np.mod(LON_OF_CELESTIAL_POLE - np.degrees(np.arctan2(east, north)), 360.0)
    return lon, lat
