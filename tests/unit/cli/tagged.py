"""A small state in which objects of one place are linked, tagged and spoken of in every way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from lasair.annotations.model import Annotation, check
from lasair.definitions.area_file import read_area
from lasair.definitions.content import Cones, Happened
from lasair.definitions.django import connect
from lasair.definitions.watchlist_file import read_watchlist
from lasair.ledger.store import Ledger
from lasair.packets.ids import object_id
from lasair.schema.model import DETECTION, FORCED, NONDETECTION, TNS_WATCHLIST, layout
from lasair.sky.names import PackedNames
from lasair.sky.skymap import Circle
from lasair.stores.open import Stores, open_stores

ARCSEC = 1 / 3600
LSST, TWIN, ZTF, LONELY = 170028515, 170028516, "ZTF20aaaaaaa", 170028517
RA, DECL = 150.0, 2.0


def make(state: Path) -> None:
    """Make the state folder."""
    state.mkdir()
    Ledger(state / "ledger.db", durable=False).close()
    _define(state)
    stores = open_stores(state, durable=False)
    try:
        _fill(stores)
    finally:
        stores.close()


def _define(state: Path) -> None:
    connect(state / "definitions.db")
    from lasair.definitions import lists, marks, models
    from lasair.definitions.pieces import put_content

    file = state / "list.csv"
    file.write_text(f"{RA},{DECL},3C 273,5\n10,10,other,5\n")
    lists.add_watchlist("quasars", read_watchlist(file, radius_arcsec=None), radius=None)
    # watchlist 1 is there from the beginning, and empty until the TNS is read
    cones = Cones(
        np.array([0]), np.array([RA]), np.array([DECL]), np.array([5.0]), PackedNames.of(["2024abc"]),
        np.array([np.nan]), np.array([np.nan]),
    )  # fmt: skip
    models.Watchlist.objects.filter(pk=TNS_WATCHLIST).update(content=put_content(cones.pack()))
    file = state / "area.txt"
    file.write_text(f"circle {RA} {DECL} 1\n")
    lists.add_area("COSMOS", read_area(file, order=10))
    content = put_content(Happened(60000.0, 60021.0, Circle(RA, DECL, 5.0, 0.9)).pack())
    models.Event.objects.create(name="S230518h", t0=60000.0, content=content)
    marks.add_tag("good")
    marks.add_note("lsst", str(LSST), "worth a spectrum\n\x09really")


def _fill(stores: Stores) -> None:
    put = stores.objects.put
    put("lsst", "objects", {
        "diaObjectId": np.array([LSST, TWIN, LONELY]), "ra": np.array([RA, RA, 10.0]),
        "decl": np.array([DECL, DECL + 0.4 * ARCSEC, -60.0]), "nDiaSources": np.array([12, 3, 1]),
        "lastDiaSourceMjdTai": np.array([60010.5, 60002.25, 60001.0]), "tns_name": np.array(["2024abc", "", ""]),
    })  # fmt: skip
    put("ztf", "objects", {
        "objectId": np.array([ZTF]), "ramean": np.array([RA]), "decmean": np.array([DECL - 1.1 * ARCSEC]),
        "ncand": np.array([7]), "jdmax": np.array([2460010.75]),
    })  # fmt: skip
    cones = {"diaObjectId": np.array([LSST, LSST, TWIN]), "wl_id": np.array([1, 2, 2]), "cone_id": np.array([0, 0, 0])}
    put("lsst", "watchlist_hits", {
        **cones, "arcsec": np.array([0.0, 0.0, 0.4]), "name": np.array(["2024abc", "3C 273", "3C 273"]),
        "triggered": np.array([1, 0, 1]),
    })  # fmt: skip
    put("lsst", "area_hits", {"diaObjectId": np.array([LSST]), "ar_id": np.array([1])})
    put("lsst", "mma_area_hits", {
        "diaObjectId": np.array([LSST]), "mw_id": np.array([1]), "event": np.array(["S230518h"]),
        "contour": np.array([12.5]), "distance": np.array([np.nan]), "probdens2": np.array([0.01]),
        "probdens3": np.array([np.nan]),
    })  # fmt: skip
    put("lsst", "crossmatch_tns", {
        "tns_name": np.array(["2024abc"]), "tns_prefix": np.array(["SN"]), "type": np.array(["SN Ia"]),
        "z": np.array([0.05]), "ra": np.array([RA]), "decl": np.array([DECL]), "htm16": np.array([1]),
    })  # fmt: skip
    said = Annotation("lsst", str(LSST), "fink", "SN candidate", version="3", classdict={"p": 0.9})
    stores.marks.annotate([check(said)], 1.7e9)
    stores.marks.tag("lsst", 1, "good", [LSST], 1.7e9)
    _curve(stores, "lsst", LSST, [60000.5, 60003.5, 60010.5], 1500.0)
    _curve(stores, "lsst", TWIN, [60002.25], 1800.0)
    _curve(stores, "ztf", object_id("ztf", ZTF), [60001.25, 60004.25], 23.4)


def _curve(stores: Stores, survey: str, packed: int, times: list[float], value: float) -> None:
    rows: Any = np.zeros(len(times) + 2, layout(survey, "row").dtype)
    for name in rows.dtype.names:
        if rows.dtype[name].kind == "f":
            rows[name] = np.nan
    rows["mjd_tai"] = [*times, times[-1] + 0.01, times[-1] + 0.02]
    rows["kind"] = [*[DETECTION] * len(times), FORCED, NONDETECTION]
    rows["source_id"] = packed % 1000 * 100 + np.arange(len(rows))
    rows["band"] = ord("r")
    if survey == "lsst":
        rows["flux"], rows["flux_err"] = value, 50.0
    else:
        rows["mag"], rows["mag_err"], rows["sign"], rows["limit_mag"] = value, 0.1, 1, 20.5
        rows["flux_dn"], rows["flux_dn_err"], rows["zero_point"] = 80.0, 5.0, 26.3
    rows.sort(order=["mjd_tai"])
    stores.lightcurves.put(
        survey, np.array([packed]), rows, np.array([0, len(rows)]), np.array([times[-1]]), np.array([1])
    )


def run(capsys: pytest.CaptureFixture[str], command: click.Command, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code and output of a command; errors of ours are raised."""
    capsys.readouterr()
    code = command.main([str(one) for one in arguments], prog_name="lasair", standalone_mode=False)
    said = capsys.readouterr()
    return code or 0, said.out, said.err
