"""What a list, an area or an event is made of, as bytes that never change: cones, cells, where an event was.

Packed columns (numpy's own format, without pickles, in one compressed archive), so that a million cones are one value
that a database keeps in pieces. No Django here: the pipeline unpacks what people's edits packed.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.errors import BadDefinition
from lasair.sky.names import PackedNames
from lasair.sky.skymap import Circle, Localisation, SkyMap

#: Bytes of one piece in the database: far below what any engine takes in one statement.
PIECE_BYTES = 4_000_000


@dataclass(frozen=True, eq=False)
class Cones:
    """Cones of a watchlist, all arrays (n,).

    Attributes
    ----------
    cone_id : int64
    ra, decl : float64 [deg]
    radius : float64 [arcsec]
    names : n texts
    brighter, change : float64 [mag]
        What a cone waits for: an alert brighter than this, or one that changed by so much; NaN: no such limit.
    """

    cone_id: NDArray[np.int64]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    radius: NDArray[np.float64]
    names: PackedNames
    brighter: NDArray[np.float64]
    change: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cone_id)

    def pack(self) -> bytes:
        """As bytes for `unpack_cones`."""
        limits = {name: v for name in ("brighter", "change") if np.isfinite(v := getattr(self, name)).any()}
        return _pack(
            cone_id=self.cone_id, ra=self.ra, decl=self.decl, radius=self.radius,
            ends=np.asarray(self.names.ends), names=np.frombuffer(self.names.data, np.uint8), **limits,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Happened:
    """Where and when an event was: `t0` and `end` of its window [MJD TAI], and how probable positions are."""

    t0: float
    end: float
    localisation: Localisation

    def pack(self) -> bytes:
        """As bytes for `unpack_event`."""
        window = np.array([self.t0, self.end])
        where = self.localisation
        if isinstance(where, Circle):
            circle = np.array([where.ra, where.decl, where.radius_deg, where.containment])
            return _pack(window=window, circle=circle)
        if isinstance(where, SkyMap):
            return _pack(window=window, **where.columns())
        raise TypeError(f"a localisation of type {type(where).__name__} cannot be kept")


def unpack_cones(content: bytes) -> Cones:
    """The cones that `Cones.pack` packed. BadDefinition when the bytes are not that."""
    held = _unpack(content, ("cone_id", "ra", "decl", "radius", "ends", "names"))
    n = held["cone_id"].size
    if not all(one.shape == (n,) for name, one in held.items() if name not in ("ends", "names")):
        raise damaged()
    if held["ends"].shape != (n + 1,) or int(held["ends"][-1]) != held["names"].size:
        raise damaged()
    nothing = np.full(n, math.nan)
    return Cones(
        held["cone_id"], held["ra"], held["decl"], held["radius"],
        PackedNames(held["ends"], held["names"].tobytes()),
        held.get("brighter", nothing), held.get("change", nothing),
    )  # fmt: skip


def pack_area(ranges: NDArray[np.uint64]) -> bytes:
    """Cells of an area, (k, 2) ranges of order 29, as bytes for `unpack_area`."""
    return _pack(ranges=np.ascontiguousarray(ranges, np.uint64))


def unpack_area(content: bytes) -> NDArray[np.uint64]:
    """The ranges that `pack_area` packed. BadDefinition when the bytes are not that."""
    return _unpack(content, ("ranges",))["ranges"]


def unpack_event(content: bytes) -> Happened:
    """What `Happened.pack` packed. BadDefinition when the bytes are not that."""
    held = _unpack(content, ("window",))
    try:
        t0, end = held.pop("window").tolist()
        if "circle" in held:
            return Happened(t0, end, Circle(*held["circle"].tolist()))
        return Happened(t0, end, SkyMap(**held))
    except (TypeError, ValueError) as err:
        raise damaged() from err


def _pack(**columns: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    # level 1: cones hardly compress, and sky maps do at any level
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in columns.items():
            column = io.BytesIO()
            np.lib.format.write_array(column, np.ascontiguousarray(values), allow_pickle=False)
            # a ZipInfo by itself has no time: equal columns are equal bytes, so that an edit without effect is seen
            info = zipfile.ZipInfo(name)
            archive.writestr(info, column.getbuffer(), zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer.getvalue()


def _unpack(content: bytes, needed: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            held = {}
            for name in archive.namelist():
                with archive.open(name) as file:
                    held[name] = np.lib.format.read_array(file, allow_pickle=False)
    # zip files and arrays know many ways to be damaged
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, RuntimeError, OverflowError, MemoryError,
            SyntaxError, TypeError, struct.error) as err:  # fmt: skip
        raise damaged() from err
    if not held.keys() >= set(needed):
        raise damaged()
    return held


def damaged() -> BadDefinition:
    """What is raised when a content cannot be unpacked, or is not there."""
    return BadDefinition("its stored content is damaged: restore the definitions from a copy, or add the file again")
