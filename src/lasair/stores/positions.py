"""Stored objects in the order of their declinations, in chunks, to be matched with lists."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import INT_MISSING, POSITION, Table
from lasair.stores.layout import names_of, quote
from lasair.stores.protocols import Versions


class Positions(NamedTuple):
    """A chunk of stored objects."""

    #: (n,) as users name them: int64 for LSST, text for ZTF
    keys: NDArray[Any]
    #: (n,) degrees
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    #: (n,) of the newest alert of each; a time of NaN where the row comes from none
    versions: Versions
    #: where the next chunk begins
    place: bytes


def survey_of(place: bytes) -> str:
    """The survey whose objects a place lies among."""
    return str(_read(place)[0])


def read_positions(
    db: sqlite3.Connection, objects: Table, after: bytes | None, limit: int, decl_min: float, decl_max: float
) -> Positions | None:
    """See `SqliteObjectStore.positions`."""
    assert objects.survey
    survey = objects.survey
    key = objects.primary_key[0]
    ra, decl = POSITION[survey]
    conditions, values = [f"{quote(decl)} >= ?"], [decl_min]
    if after is not None:
        of, *last = _read(after)
        if of != survey:
            raise ValueError(f"a place among the objects of {of} was given for those of {survey}")
        if last[0] >= decl_min:
            conditions, values = [f"({names_of((decl, ra, key))}) > (?, ?, ?)"], last
    conditions += [f"{quote(decl)} <= ?", f"{quote(ra)} > -9e999", f"{quote(ra)} < 9e999"]
    names = (key, ra, decl, "_mjd_tai", "_alert_id", "_n_rows")
    rows = db.execute(
        f"SELECT {names_of(names)} FROM {quote(objects.physical)} WHERE {' AND '.join(conditions)}"
        f" ORDER BY {names_of((decl, ra, key))} LIMIT ?",
        (*values, decl_max, limit),
    ).fetchall()
    if not rows:
        return None
    keys, ras, decls, mjd, alert, n_rows = zip(*rows, strict=True)
    return Positions(
        np.array(keys),
        np.array(ras, np.float64),
        np.array(decls, np.float64),
        Versions(np.array(mjd, np.float64), _integers(alert), _integers(n_rows)),
        json.dumps([survey, decls[-1], ras[-1], keys[-1]]).encode(),
    )


def _read(place: bytes) -> list[Any]:
    found: list[Any] = json.loads(place)
    return found


def _integers(values: tuple[int | None, ...]) -> NDArray[np.int64]:
    return np.array([INT_MISSING if one is None else one for one in values], np.int64)
