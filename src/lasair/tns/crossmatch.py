"""What the Transient Name Server says, as rows of the table `crossmatch_tns`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.packets.batch import Columns
from lasair.schema.model import Column, table
from lasair.schema.rows import column_of
from lasair.sky.htm import htm_id

#: Field of TNS -> column of `crossmatch_tns`. The public files say nothing of hosts nor of catalogues: `hostz`,
#: `host_name` and `ext_catalogs` are always missing. Their `redshift` is the transient's own or its host's, whichever
#: was reported.
SOURCES = {
    "ra": "ra",
    "declination": "decl",
    "name": "tns_name",
    "name_prefix": "tns_prefix",
    "discoverymag": "disc_mag",
    "filter": "disc_mag_filter",
    "type": "type",
    "redshift": "z",
    "internal_names": "disc_int_name",
    "discoverydate": "disc_date",
    "lastmodified": "lastmodified_date",
    "reporting_group": "sender",
    "reporters": "reporters",
    "source_group": "source_group",
}
_LONGEST = {"text16": 16, "text32": 32, "text80": 80, "text256": 256}


def crossmatch_columns(rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Columns of `crossmatch_tns` in the order of the schema.

    Parameters
    ----------
    rows : values of SOURCES in their order, and when the mirror last changed the row

    Returns
    -------
    Numbers as arrays (NaN missing), texts as arrays of objects ('' missing): one reporter list of a thousand letters
    would else widen two hundred thousand. Lists of names that are too long for their column end after a whole name.
    """
    where = table("crossmatch_tns", "lsst")
    given = dict(zip((*SOURCES.values(), "lasairmodified_date"), zip(*rows, strict=True), strict=True)) if rows else {}
    found: Columns = {}
    for column in where.columns:
        if column.name == "htm16":
            found["htm16"] = htm_id(found["ra"], found["decl"])
        elif column.is_number:
            found[column.name] = column_of(column, given.get(column.name, (None,) * len(rows)))
        else:
            found[column.name] = _texts(column, given.get(column.name, ("",) * len(rows)))
    return found


def _texts(column: Column, values: Sequence[str]) -> NDArray[Any]:
    found = np.empty(len(values), np.object_)
    longest = _LONGEST.get(column.type)
    # the lists of names often begin with a comma
    tidy = [value.strip(", ") for value in values] if column.name == "disc_int_name" else values
    found[:] = tidy if longest is None else [_cut(value, longest) for value in tidy]
    return found


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    whole = text[: longest + 1].rfind(",")
    return text[: whole if whole > 0 else longest].rstrip(", ")
