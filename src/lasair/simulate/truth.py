"""Rows of the truth file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import Survey
from lasair.simulate import sky
from lasair.simulate.detect import Seen
from lasair.simulate.messages import Truth
from lasair.simulate.sky import Objects


def object_truth(survey: Survey, objects: Objects, k: int, object_id: str, alerts: int, designation: str = "") -> Truth:
    """What object k is."""

    def number(values: NDArray[np.float64]) -> float | None:
        value = float(values[k])
        return value if np.isfinite(value) else None

    return Truth(
        survey=survey,
        object_id=object_id,
        kind=sky.CLASSES[objects.kind[k]],
        ra=float(objects.ra[k]),
        decl=float(objects.decl[k]),
        mag=number(objects.mag),
        period_d=number(objects.period),
        peak_mjd=number(objects.peak),
        redshift=number(objects.redshift),
        host_ra=number(objects.host_ra),
        host_decl=number(objects.host_decl),
        host_mag=number(objects.host_mag),
        designation=designation,
        alerts=alerts,
    )


def mover_truth(survey: Survey, seen: Seen, first: int, object_id: str, designation: str, alerts: int) -> Truth:
    """What a mover is whose first detection is number `first`: its place there, H as its magnitude."""
    movers = seen.movers
    return Truth(
        survey=survey,
        object_id=object_id,
        kind=sky.CLASSES[sky.MOVER],
        ra=float(movers.ephemeris.ra[first]),
        decl=float(movers.ephemeris.decl[first]),
        mag=float(seen.elements.h[movers.mover[first]]),
        period_d=None,
        peak_mjd=None,
        redshift=None,
        host_ra=None,
        host_decl=None,
        host_mag=None,
        designation=designation,
        alerts=alerts,
    )
