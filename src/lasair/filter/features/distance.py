"""Distance moduli of alerts, from Sherlock's distances and redshifts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lasair.filter.features.context import Context
from lasair.sky.cosmology import luminosity_distance_mpc, modulus_mag


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
    out[first] = modulus_mag(distance[first])
    second = known & ~direct & (redshift > 0) & np.isfinite(redshift)
    if second.any():
        z = redshift[second]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # of numbers that are no redshift
            out[second] = modulus_mag(luminosity_distance_mpc(z)) - 2.5 * np.log10(1.0 + z)
    out[~np.isfinite(out)] = np.nan
    return out
