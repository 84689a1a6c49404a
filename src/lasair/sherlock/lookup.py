"""Where the objects of this installation are: the place and epoch at which they are classified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lasair.errors import NotFound
from lasair.packets.ids import object_id
from lasair.sherlock.service import Lookup, Place
from lasair.stores.open import Stores
from lasair.times import JD_MINUS_MJD, julian_year

#: survey -> columns of `objects` with the position and the time of the last detection, and what to take off to get MJD
_COLUMNS = {
    "lsst": (("ra", "decl", "lastDiaSourceMjdTai"), 0.0),
    "ztf": (("ramean", "decmean", "jdmax"), JD_MINUS_MJD),
}


def lookup_in(state: Path) -> Lookup | None:
    """A look-up in the object database of a state folder; None where there is none."""
    if not (state / "objects.db").is_file():
        return None

    def find(names: Sequence[str]) -> dict[str, Place]:
        wanted: dict[str, dict[int | str, str]] = {"lsst": {}, "ztf": {}}
        for name in names:
            if name.isascii() and name.isdecimal() and len(name) <= 19 and int(name) < 2**63:
                wanted["lsst"][int(name)] = name
            else:
                try:
                    object_id("ztf", name)
                except ValueError as err:
                    raise NotFound(f"{name[:40]!r} is neither an LSST object number nor a ZTF name") from err
                wanted["ztf"][name] = name
        found: dict[str, Place] = {}
        stores = Stores(state, read_only=True)
        try:
            for survey, keys in wanted.items():
                columns, offset = _COLUMNS[survey]
                for key, (ra, decl, time) in stores.objects.fetch(survey, "objects", columns, list(keys)).items():
                    if ra is None or decl is None:
                        continue
                    epoch = None if time is None else float(julian_year(np.array([time - offset]))[0])
                    found[keys[key]] = Place(float(ra), float(decl), epoch)
        finally:
            stores.close()
        return found

    return find
