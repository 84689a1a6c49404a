"""Light curves for these tests, as short lists of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lasair.filter.features.context import Context
from lasair.packets.batch import AlertBatch
from tests.support.batches import lsst_batch, ztf_batch

#: (mjd, band, flux) and optionally flux error, reliability
Point = Sequence[Any]


def lsst_alert(points: Iterable[Point], forced: Iterable[Point] = (), **summary: Any) -> dict[str, Any]:
    names = ("midpointMjdTai", "band", "psfFlux", "psfFluxErr", "reliability")
    return {
        "diaObject": {"diaObjectId": 1, "ra": 10.0, "dec": -20.0, **summary},
        "diaSourcesList": [dict(zip(names, point, strict=False)) for point in points],
        "diaForcedSourcesList": [
            {"diaForcedSourceId": i + 1, **dict(zip(names, point, strict=False))} for i, point in enumerate(forced)
        ],
    }


def one(points: Iterable[Point], forced: Iterable[Point] = ()) -> AlertBatch:
    """A batch of one LSST alert."""
    return lsst_batch([lsst_alert(points, forced)])


def context(n: int = 1, **known: Any) -> Context:
    """No extinction, class SN, and what is named."""
    found = Context.unknown(n, "2026-01-01 00:00:00.000000")
    found.ebv[:] = 0.0
    found.sherlock_class[:] = "SN"
    for name, value in known.items():
        getattr(found, name)[:] = value
    return found


#: JD of the first moment of ZTF's night 1000.
JD0 = 2457754.5 + 1000


def ztf_one(points: Iterable[Point], **candidate: Any) -> AlertBatch:
    """A batch of one ZTF alert; a point is (days, fid, mag) and optionally sigma, isdiffpos, rb."""
    names = ("jd", "fid", "magpsf", "sigmapsf", "isdiffpos", "rb")
    rows = []
    for i, point in enumerate(sorted(points, key=lambda p: p[0])):
        row = {"sigmapsf": 0.1, "isdiffpos": "t", "rb": 0.9, "ra": 10.0, "dec": 20.0}
        row |= dict(zip(names, point, strict=False))
        rows.append({**row, "jd": JD0 + row["jd"], "candid": i + 1})
    newest = {**rows.pop(), **candidate}
    return ztf_batch([{"objectId": "ZTF20aaaaaaa", "candidate": newest, "prv_candidates": rows}])


def is_missing(values: np.ndarray[Any, Any]) -> bool:
    """Whether all are missing in the way of their type."""
    if values.dtype.kind == "f":
        return bool(np.isnan(values).all())
    return bool((values == ("" if values.dtype.kind == "U" else -(2**63))).all())
