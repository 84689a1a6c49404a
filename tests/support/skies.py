"""Hand-made catalogues for tests: rows of standard columns become opened releases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lasair.catalogues.build import build
from lasair.catalogues.columns import BY_NAME
from lasair.catalogues.release import Release

#: Views of the catalogues that the rules know, in the order of their bits.
VIEWS = {
    "ps1": ("unclear", "star", "galaxy"),
    "legacy": ("unclear", "star", "galaxy", "big_galaxy"),
    "gaia": ("star", "bright_star", "qso", "high_pm"),
    "gaia_hpm": ("all", "star", "bright_star"),
    "sdss_photo": ("unclear", "star", "galaxy"),
    "sdss_spec": ("galaxy", "qso"),
    "twomass_psc": ("unclear", "star"),
    "twomass_xsc": ("all",),
    "ned": ("unclear", "galaxy", "big_galaxy", "super_big_galaxy", "galaxy_like", "qso"),
    "ned_d": ("galaxy", "big_galaxy", "super_big_galaxy"),
    "lasr": ("galaxy", "agn"),
    "milliquas": ("all",),
    "downes": ("all",),
    "ritter": ("all",),
}


def release(
    folder: Path,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    views: Sequence[str] | None = None,
    about: Mapping[str, Any] | None = None,
    coverage: Any = "all-sky",
) -> Release:
    """A release of rows, each a mapping of standard columns with `views` as a tuple of names."""
    known = tuple(views or VIEWS.get(name, ("all",)))
    columns: dict[str, Any] = {}
    for column in ("ra", "decl", *BY_NAME):
        given = [row.get(column) for row in rows]
        if column == "views" or all(value is None for value in given):
            continue
        if column == "id":
            texts = any(isinstance(value, str) for value in given)
            columns[column] = np.array([str(v) for v in given]) if texts else np.array(given, np.int64)
        elif column == "subtype":
            columns[column] = np.array([value or "" for value in given])
        else:
            columns[column] = np.array([np.nan if value is None else value for value in given], np.float64)
    bits = [sum(1 << known.index(view) for view in row.get("views", ())) for row in rows]
    columns["views"] = np.array(bits, np.uint32)
    build(
        folder / name,
        [columns] if rows else [],
        name=name,
        title=f"{name} title",
        version="1",
        views=known,
        sparse_views=[view for view in known if view.startswith(("big", "super"))],
        about=about or {},
        coverage=coverage,
        dtypes={column: "f8" for column in columns if column in BY_NAME and BY_NAME[column].dtype == "f4"},
    )
    return Release.open(folder / name)
