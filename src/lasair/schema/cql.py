"""CQL tables of light curves, from the in-memory layout of their rows."""

from __future__ import annotations

from lasair.schema.model import Layout, layout

#: Name space of light curves -> survey whose rows it holds (stores/protocols.py).
NAMESPACES = {"lsst": "lsst", "ztf": "ztf", "lsst_ss": "lsst"}

_TYPES = {
    "f8": "double",
    "f4": "float",
    "i8": "bigint",
    "i4": "int",
    "i2": "smallint",
    "i1": "tinyint",
    "u1": "tinyint",
    "band": "tinyint",
}

#: Which exposure and where on it: tells apart rows without an id that were taken at the same time.
_PROVENANCE = ("visit", "detector", "pid", "field", "rcid", "band")


def clustering(rows: Layout) -> tuple[str, ...]:
    """Columns that order the rows of an object and tell them apart: time first, so that a time range is one slice.

    None of them may be null in CQL: an integer that is missing is written as its own missing value.
    """
    names = {field.name for field in rows.fields}
    return ("mjd_tai", "kind", "source_id", *(name for name in _PROVENANCE if name in names))


def create_lightcurves(namespace: str) -> str:
    """Statement that makes the light-curve table of a name space unless it exists.

    A partition is an object. `version_mjd` and `version_id` say which alert a row came from. Where a later version
    of a row has another time both stay, and a reader keeps the greater version of each (kind, source_id).

    Raises
    ------
    KeyError
        there is no such name space.
    """
    rows = layout("ztf" if NAMESPACES[namespace] == "ztf" else "lsst", "row")
    order = clustering(rows)
    columns = [("object_id", "bigint")]
    columns += [(field.name, _TYPES[field.dtype]) for field in rows.fields]
    columns += [("version_mjd", "double"), ("version_id", "bigint")]
    lines = [f"  {name} {kind}," for name, kind in columns]
    ordered = ", ".join(f"{name} ASC" for name in order)
    return "\n".join(
        [
            f"CREATE TABLE IF NOT EXISTS lightcurve_{namespace} (",
            *lines,
            f"  PRIMARY KEY ((object_id), {', '.join(order)})",
            f") WITH CLUSTERING ORDER BY ({ordered})",
        ]
    )
