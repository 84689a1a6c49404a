"""A file about an event, whatever its format: notices in JSON and XML, sky maps."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from lasair.errors import BadDefinition
from lasair.events.content import MAX_NOTICE_BYTES, Content, open_content
from lasair.events.fits_table import Cards
from lasair.events.gcn_json import looks_like_gcn, read_gcn_json
from lasair.events.igwn import read_igwn
from lasair.events.model import Event, event_name
from lasair.events.moments import Moment, from_mjd_utc, read_moment
from lasair.events.notice import Fields, check_depth, check_size
from lasair.events.skymap_file import read_skymap, read_skymap_file
from lasair.events.voevent import read_voevent
from lasair.events.xml_tree import read_xml

#: Who made a map -> mission.
_ORIGINS = {"LIGO": "LVK", "IPN": "IPN", "FERMI": "Fermi", "GLAST": "Fermi", "ICECUBE": "IceCube", "SWIFT": "Swift"}
_ENDINGS = re.compile(r"(\.multiorder)?(\.fits|\.fit)?(\.gz)?(,\d+)?$", re.IGNORECASE)
_BURST = re.compile(r"GRB[ _]?(\d{6})[A-Z]?\b")


def read_event(path: Path, *, skymap: Path | None = None) -> Event:
    """Read an event: an alert of IGWN or a notice of GCN (JSON), a VOEvent (XML), or a sky map (FITS), packed with gzip
    or not; the format is known by the content. Nothing is fetched.

    Parameters
    ----------
    skymap : a map that takes the place of the file's own localisation; a retraction stays without one

    Raises
    ------
    BadDefinition
        The file or the map cannot be read or holds what cannot be; names it. A notice that is good but does not say
        where the event was gives an event whose `why_none` says so.
    """
    with open_content(path) as content:
        head = content.peek(64).lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")
        if not head:
            raise BadDefinition(f"{path}: is empty")
        if head.startswith(b"SIMPLE"):
            event = _of_map(content, path)
        elif head.startswith(b"<"):
            event = read_voevent(read_xml(content.read_all(MAX_NOTICE_BYTES), str(path)), str(path))
        elif head.startswith((b"{", b"[")):
            event = _of_json(content.read_all(MAX_NOTICE_BYTES), str(path), with_map=skymap is None)
        else:
            raise BadDefinition(f"{path}: is neither a notice (JSON, VOEvent) nor a sky map (FITS)")
    if skymap is None or event.retracted:
        return event
    found, cards = read_skymap_file(skymap)
    t0 = event.t0 if event.t0 is not None else _t0(cards, "")
    return dataclasses.replace(event, localisation=found, why_none="", t0=t0)


def _of_json(content: bytes, label: str, *, with_map: bool) -> Event:
    try:
        values: Any = orjson.loads(content)
    except ValueError as err:
        raise BadDefinition(f"{label}: is not JSON that can be read: {err}") from err
    check_depth(values, label)
    fields = Fields(values, label)
    if "superevent_id" in fields:
        event = read_igwn(fields, with_map=with_map)
    elif looks_like_gcn(fields):
        event = read_gcn_json(fields, with_map=with_map)
    else:
        raise BadDefinition(
            f"{label}: is JSON, but no notice: it has no superevent_id (IGWN), and no mission or trigger_time (GCN)"
        )
    check_size(event.params, label)
    return event


def _of_map(content: Content, path: Path) -> Event:
    found, cards = read_skymap(content)
    named = str(cards.get("OBJECT", ""))
    name = event_name(named) or event_name(_ENDINGS.sub("", path.name))
    if not name:
        raise BadDefinition(f"{path}: nothing names the event: its header has no OBJECT")
    makers = " ".join(str(cards.get(key, "")) for key in ("ORIGIN", "TELESCOP", "INSTRUME")).upper()
    return Event(
        name=name,
        mission=next((mission for maker, mission in _ORIGINS.items() if maker in makers), ""),
        kind="initial",
        t0=_t0(cards, named),
        localisation=found,
        issued=_moment(cards.get("DATE")),
        params={"header": cards},
    )


def _t0(cards: Cards, named: str) -> Moment | None:
    """When it happened, by the header of a map; for a burst named by its day, the beginning of that day."""
    found = _moment(cards.get("DATE-OBS"))
    for key in ("MJD-OBS", "EVENTMJD"):
        value = cards.get(key)
        if found is None and isinstance(value, float | int):
            try:
                found = from_mjd_utc(float(value))
            except ValueError:
                found = None
    day = _BURST.match(named)
    if found is None and day:
        try:
            found = read_moment(datetime.strptime(day[1], "%y%m%d").isoformat())
        except ValueError:
            found = None
    return found


def _moment(value: Any) -> Moment | None:
    try:
        return read_moment(value) if isinstance(value, str) else None
    except ValueError:
        return None
