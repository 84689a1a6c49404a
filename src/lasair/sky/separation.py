"""Separations on the sky."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ARCSEC_PER_RADIAN = 180.0 * 3600.0 / np.pi


def separation_arcsec(ra1: ArrayLike, decl1: ArrayLike, ra2: ArrayLike, decl2: ArrayLike) -> NDArray[np.float64]:
    """Great-circle separation of two positions.

    Haversine formula: exact to rounding below a degree, where the cosine formula fails; within 0.01 arcsec of
    180 degrees it loses digits, which no cone reaches.

    Parameters
    ----------
    ra1, decl1, ra2, decl2 : broadcastable [deg]

    Returns
    -------
    float64 [arcsec], of the broadcast shape; NaN where a coordinate is missing.
    """
    alpha1, delta1, alpha2, delta2 = (np.radians(np.asarray(x, dtype=np.float64)) for x in (ra1, decl1, ra2, decl2))
    with np.errstate(invalid="ignore"):
        half = np.sin((delta2 - delta1) / 2) ** 2 + np.cos(delta1) * np.cos(delta2) * np.sin((alpha2 - alpha1) / 2) ** 2
        return np.asarray(2.0 * ARCSEC_PER_RADIAN * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))
