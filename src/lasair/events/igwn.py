"""Alerts of LIGO, Virgo and KAGRA in JSON (topic igwn.gwalert), with the sky map inside."""

from __future__ import annotations

from lasair.errors import BadDefinition
from lasair.events.model import RETRACTION, Event, event_name
from lasair.events.notice import Fields, without_position

MISSION = "LVK"
KINDS = ("earlywarning", "preliminary", "initial", "update", RETRACTION)
TAKEN_BACK = "the event was retracted"


def read_igwn(fields: Fields, *, with_map: bool = True) -> Event:
    """An event from an alert; without its own map when another one takes its place.

    Raises
    ------
    BadDefinition
        A field is missing or not what it should be, or the map inside cannot be read.
    """
    superevent = fields.name("superevent_id")
    name = event_name(superevent)
    if not name:
        raise fields.wrong("superevent_id", "a name of letters and digits")
    kind = fields.text("alert_type").lower()
    if kind not in KINDS:
        raise fields.wrong("alert_type", f"one of {', '.join(KINDS).upper()}")
    event = fields.object("event")
    if event is None and kind != RETRACTION:
        raise BadDefinition(f"{fields.label}: event is missing; only a retraction has none")
    found = event.skymap("skymap") if event is not None and with_map and kind != RETRACTION else None
    why = TAKEN_BACK if kind == RETRACTION else "" if found else without_position("", "the alert has no sky map")
    params = fields.without("event", "external_coinc")
    coincident = fields.object("external_coinc")
    if event is not None:
        params["event"] = event.without("skymap")
    if coincident is not None:
        params["external_coinc"] = coincident.without("combined_skymap")
    return Event(
        name=name,
        mission=MISSION,
        kind=kind,
        t0=event.moment("time") if event is not None else None,
        localisation=found,
        why_none=why,
        classification=event.probabilities("classification") if event is not None else {},
        far=event.number("far") if event is not None else None,
        test=is_mock(superevent),
        issued=fields.moment("time_created"),
        params=params,
    )


def is_mock(superevent: str) -> bool:
    """Whether a superevent id is that of a mock (M...) or a test (T...)."""
    return superevent[:1] in ("M", "T")
