"""What a catalogue release can hold of a source: the one list of columns that importer, store and engine share."""

from __future__ import annotations

from typing import NamedTuple

#: Bands in the spelling of Sherlock's output; Johnson and Sloan bands that differ only in case are told apart by `_`.
BANDS = (
    *("U", "B", "V", "R", "I", "J", "H", "K"),
    *("_u", "_g", "_r", "_i", "_z", "_y"),
    *("G", "W1", "W2", "W3", "W4", "unkMag"),
)


class StoreColumn(NamedTuple):
    """One column of a release: a file ``<name>.bin`` of fixed-width little-endian values, one a row."""

    name: str
    #: numpy type; "id" is int64 when every id is a whole number, else fixed-width UTF-8 (`S<n>`)
    dtype: str
    unit: str
    doc: str


def _magnitudes() -> tuple[StoreColumn, ...]:
    found = []
    for band in BANDS:
        found.append(StoreColumn(band, "f4", "mag", f"Magnitude, band {band.lstrip('_')}."))
        found.append(StoreColumn(f"{band}Err", "f4", "mag", f"Its error, band {band.lstrip('_')}."))
    return tuple(found)


#: Every column but the position, which is packed apart. A release holds those its catalogue gives; missing values
#: are NaN, '' or 0 (`views`, `subtype`).
STORE_COLUMNS = (
    StoreColumn("id", "id", "", "Id of the source in its catalogue."),
    StoreColumn("views", "u4", "", "Bit b is set when the source belongs to view b of the manifest."),
    StoreColumn("subtype", "u2", "", "The catalogue's own type: code into the release's list `subtypes`; 0 is none."),
    StoreColumn("z", "f8", "", "Spectroscopic redshift."),
    StoreColumn("photo_z", "f8", "", "Photometric redshift."),
    StoreColumn("photo_z_err", "f8", "", "Its error."),
    StoreColumn("distance_mpc", "f8", "Mpc", "Redshift-independent distance."),
    StoreColumn("size_arcsec", "f8", "arcsec", "Full diameter."),
    StoreColumn("given_ra", "f8", "deg", "Right ascension as given, where the packed position is not exact enough."),
    StoreColumn("given_decl", "f8", "deg", "Declination as given, likewise."),
    StoreColumn("pm_ra", "f4", "mas/yr", "Proper motion in right ascension, times cos(declination)."),
    StoreColumn("pm_decl", "f4", "mas/yr", "Proper motion in declination."),
    *_magnitudes(),
)
BY_NAME = {column.name: column for column in STORE_COLUMNS}
