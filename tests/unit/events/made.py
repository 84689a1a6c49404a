"""Maps and notices made by hand."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from lasair.errors import BadDefinition
from lasair.events.read import read_event

#: The first base cell of the sky and a quarter of the next, which is ten times as dense; no probability elsewhere.
UNIQ = np.array([4, 4 * 4 + 4], np.int64)
DENSITY = np.array([1.0, 10.0])


def fits_bytes(columns: dict[str, Any], **cards: Any) -> bytes:
    table = fits.BinTableHDU(Table(columns))
    for key, value in cards.items():
        table.header[key.replace("_", "-")] = value
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    return file.getvalue()


def multi_order(uniq: Any = UNIQ, density: Any = DENSITY, more: dict[str, Any] | None = None, **cards: Any) -> bytes:
    usual = {"PIXTYPE": "HEALPIX", "ORDERING": "NUNIQ", "COORDSYS": "C"}
    return fits_bytes({"UNIQ": uniq, "PROBDENSITY": density} | (more or {}), **(usual | cards))


def flat(probability: Any, **cards: Any) -> bytes:
    usual = {"PIXTYPE": "HEALPIX", "ORDERING": "NESTED", "COORDSYS": "C", "NSIDE": int((len(probability) // 12) ** 0.5)}
    return fits_bytes({"PROB": probability}, **(usual | cards))


def igwn(**changes: Any) -> dict[str, Any]:
    event = {
        "time": "2026-03-01T10:20:30.123Z",
        "far": 1e-9,
        "significant": True,
        "instruments": ["H1", "L1"],
        "group": "CBC",
        "classification": {"BNS": 0.9, "Terrestrial": 0.1},
        "skymap": base64.b64encode(multi_order()).decode(),
    }
    if changes.get("event", event) is not None:
        event.update(changes.pop("event", {}))
    notice = {
        "alert_type": "PRELIMINARY",
        "time_created": "2026-03-01T10:25:00Z",
        "superevent_id": "S260301ab",
        "urls": {"gracedb": "https://gracedb.ligo.org/superevents/S260301ab/view/"},
        "event": event,
        "external_coinc": None,
    }
    return notice | changes


def gcn(**changes: Any) -> dict[str, Any]:
    notice = {
        "$schema": "https://gcn.nasa.gov/schema/main/gcn/notices/example/alert.schema.json",
        "mission": "Example",
        "id": ["12 34"],
        "trigger_time": "2026-03-01T10:20:30",
        "alert_datetime": "2026-03-01T10:20:40.5Z",
        "ra": 120.0,
        "dec": -40.0,
        "ra_dec_error": 0.5,
        "record_number": 2,
    }
    return {key: value for key, value in (notice | changes).items() if value != "absent"}


def voevent(
    params: dict[str, str] | None = None,
    *,
    ivorn: str = "ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_77-1",
    role: str = "observation",
    groups: str = "",
    radius: str | None = "0.05",
    cite: str = "",
    head: str = "",
) -> bytes:
    given = {"TrigID": "77", "Pkt_Ser_Num": "3"} if params is None else params
    what = "".join(f'<Param name="{name}" value="{value}"/>' for name, value in given.items())
    error = "" if radius is None else f"<Error2Radius>{radius}</Error2Radius>"
    place = f'<Position2D unit="deg"><Value2><C1>64.7</C1><C2>13.3</C2></Value2>{error}</Position2D>'
    cited = f'<Citations><EventIVORN cite="{cite}">ivo://a/b#c</EventIVORN></Citations>' if cite else ""
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>\n{head}"
        f'<voe:VOEvent ivorn="{ivorn}" role="{role}" version="2.0" xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0">'
        f"<Who><Date>2026-03-01T10:22:00</Date></Who><What>{what}{groups}</What><WhereWhen><ObsDataLocation>"
        f'<ObservationLocation><AstroCoords coord_system_id="UTC-FK5-GEO"><Time><TimeInstant>'
        f"<ISOTime>2026-03-01T10:20:30.12</ISOTime></TimeInstant></Time>{place}</AstroCoords></ObservationLocation>"
        f"</ObsDataLocation></WhereWhen>{cited}</voe:VOEvent>"
    ).encode()


def told(content: bytes) -> None:
    """A file of these bytes is read, or refused with its name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "event"
        path.write_bytes(content)
        try:
            assert read_event(path).name
        except BadDefinition as err:
            assert str(err).startswith(str(path))
