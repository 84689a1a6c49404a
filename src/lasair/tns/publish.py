"""What the mirror holds, brought to where alerts meet it: the table `crossmatch_tns`, the watchlist of its cones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lasair.definitions.content import Cones
from lasair.sky.names import PackedNames
from lasair.stores.open import Stores
from lasair.tns.mirror import TnsMirror

_TABLE = "crossmatch_tns"


def publish(
    stores: Stores, definitions: Path, mirror: TnsMirror, changed: NDArray[np.int64] | None, *, radius_arcsec: float
) -> None:
    """Write entries to the main database, and all cones to watchlist 1; stored objects are then to be matched.

    The table comes first, so that no hit names an entry that is not there; entries that are gone go last. Stopped in
    between, it is to be done again.

    Parameters
    ----------
    changed : objids of the entries that may have changed; None: any, and some may be gone
    radius_arcsec : of the cones
    """
    from lasair.definitions.django import connect

    columns = mirror.columns(changed)
    if len(columns["tns_name"]):
        stores.objects.put("lsst", _TABLE, columns)
    connect(definitions)
    from lasair.definitions.lists import set_tns

    cones = mirror.cones()
    n = len(cones.objid)
    nothing = np.full(n, np.nan)
    set_tns(
        Cones(
            cones.objid, cones.ra, cones.decl, np.full(n, radius_arcsec), PackedNames.of(cones.names), nothing, nothing
        )
    )
    if changed is None:
        stores.objects.keep_only("lsst", _TABLE, columns["tns_name"].tolist())
