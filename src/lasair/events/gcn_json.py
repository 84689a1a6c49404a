"""GCN's notices in JSON, of any mission that keeps to the core schema."""

from __future__ import annotations

import re

from lasair.errors import BadDefinition
from lasair.events.igwn import TAKEN_BACK
from lasair.events.model import RETRACTION, Event, event_name
from lasair.events.moments import Moment
from lasair.events.notice import CONTAINMENT, Fields, circle, shown, without_position
from lasair.sky.skymap import Localisation

KINDS = ("initial", "subsequent", "update", RETRACTION)
TENSES = ("current", "archival", "planned", "injection", "commanded", "test")
#: Tenses of notices that tell of nothing that was seen.
_TESTS = ("injection", "test")

#: Missions by the folder of their schema, for the notices that do not name one.
_MISSIONS = {
    "boom": "Boom", "burstcube": "BurstCube", "chime": "CHIME", "dsa110": "DSA-110", "einstein_probe": "EinsteinProbe",
    "fermi": "Fermi", "gecam": "GECAM", "icecube": "IceCube", "km3net": "KM3NeT", "maxi": "MAXI",
    "superk": "Super-Kamiokande", "svom": "SVOM", "swift": "Swift",
}  # fmt: skip
_SCHEMA = re.compile(r"/gcn/notices/([a-z0-9_]+)")

#: Fields that hold whole sky maps.
_MAPS = ("healpix_file",)


def looks_like_gcn(fields: Fields) -> bool:
    """Whether an object is a notice of GCN's core schema."""
    return "/gcn/" in fields.text("$schema") or any(
        name in fields for name in ("mission", "instrument", "trigger_time")
    )


def read_gcn_json(fields: Fields, *, with_map: bool = True) -> Event:
    """An event from a notice; without its own map when another one takes its place.

    Raises
    ------
    BadDefinition
        A field is not what it should be, nothing names the event, or the map inside cannot be read.
    """
    mission = _mission(fields)
    kind = fields.text("alert_type").lower() or "initial"
    if kind not in KINDS:
        raise fields.wrong("alert_type", f"one of {', '.join(KINDS)}")
    tense = fields.text("alert_tense").lower() or "current"
    if tense not in TENSES:
        raise fields.wrong("alert_tense", f"one of {', '.join(TENSES)}")
    t0 = _t0(fields)
    map_url = _map_url(fields)
    if kind == RETRACTION:
        found, why = None, TAKEN_BACK
    else:
        found, why = _localisation(fields, map_url, with_map)
    return Event(
        name=_name(fields, mission, t0),
        mission=mission,
        kind=kind,
        t0=t0,
        localisation=found,
        why_none=why,
        classification=fields.probabilities("classification"),
        far=fields.number("far"),
        test=tense in _TESTS,
        issued=fields.moment("alert_datetime"),
        version=fields.number("record_number"),
        map_url=map_url,
        params=fields.without(*_MAPS),
    )


def _mission(fields: Fields) -> str:
    if "mission" in fields:
        return fields.name("mission")
    folder = _SCHEMA.search(fields.text("$schema"))
    if folder:
        return _MISSIONS.get(folder[1], folder[1].replace("_", " ").title().replace(" ", ""))
    return fields.name("instrument")


def _t0(fields: Fields) -> Moment | None:
    for name in ("trigger_time", "observation_start", "alert_datetime"):
        found = fields.moment(name)
        if found is not None:
            return found
    return None


def _name(fields: Fields, mission: str, t0: Moment | None) -> str:
    trigger = fields.name("id") or fields.name("event_name")
    if not trigger:
        # some notices name only the event they follow, or the sources they list
        targets = (fields.object("data") or Fields({}, fields.label)).objects("targets")
        trigger = fields.name("ref_ID") or (targets[0].name("event_name") if targets else "")
    if not trigger and t0 is not None:
        trigger = t0.utc.replace("-", "").replace(":", "")
    name = event_name(mission, trigger)
    if not trigger or not name:
        raise BadDefinition(
            f"{fields.label}: nothing names the event: the notice has no id, event_name or trigger_time"
        )
    return name


def _map_url(fields: Fields) -> str:
    return fields.text("healpix_url")


def _localisation(fields: Fields, map_url: str, with_map: bool) -> tuple[Localisation | None, str]:
    if with_map and "healpix_file" in fields:
        return fields.skymap("healpix_file"), ""
    where = fields
    coincident = fields.objects("coincident_events")
    if "ra" not in fields and coincident:
        if len(coincident) > 1:
            return None, without_position(map_url, f"the notice lists {len(coincident)} positions, not one")
        where = coincident[0].object("localization") or fields
    containment = where.number("containment_probability")
    found, why = circle(
        fields.label, where.number("ra"), where.number("dec"), _radii(where),
        CONTAINMENT if containment is None else containment,
    )  # fmt: skip
    return found, without_position(map_url, why) if why else ""


def _radii(fields: Fields) -> list[float]:
    radii = fields.numbers("ra_dec_error")
    if len(radii) > 3:
        raise BadDefinition(f"{fields.label}: ra_dec_error is {shown(radii)}; it has one to three numbers")
    return radii
