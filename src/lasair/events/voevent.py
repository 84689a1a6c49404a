"""VOEvents: the XML notices of LIGO and Virgo (until 2026), Fermi, Swift, AMON and others."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree.ElementTree import Element

from lasair.errors import BadDefinition
from lasair.events.igwn import MISSION, TAKEN_BACK, is_mock
from lasair.events.model import RETRACTION, Event, event_name
from lasair.events.moments import Moment, read_moment
from lasair.events.notice import CONTAINMENT, CONTAINMENT_GBM, MAX_TEXT, circle, shown, without_position
from lasair.sky.skymap import Circle
from lasair.times import JULIAN_YEAR_DAYS, SECONDS_A_DAY

_PLACE = "WhereWhen/ObsDataLocation/ObservationLocation/AstroCoords"
#: Missions by the path of the notice's identifier, in small letters.
_MISSIONS = {"fermi": "Fermi", "swift": "Swift", "lvc": MISSION, "amon": "AMON"}
_IDENTIFIER = re.compile(r"ivo://[^/\s]+/([^#\s]+)#(\S+)")
#: Params that say that a notice is a test, and that there was nothing after all.
_TESTS = ("Test", "InternalTest", "Test_Submission", "HardwareInj")
_RETRACTIONS = ("Retraction", "Def_NOT_a_GRB")
#: Params with the address of a sky map.
_MAPS = ("skymap_fits", "LocationMap_URL", "skymap_fits_url")


def read_voevent(root: Element, label: str) -> Event:
    """An event from the root of a VOEvent.

    Raises
    ------
    BadDefinition
        It is none, nothing names the event, or a value is not what it should be.
    """
    if root.tag != "VOEvent":
        raise BadDefinition(f"{label}: is XML, but no VOEvent: its root is {root.tag[:40]}")
    notice = _Notice(root, label)
    mission, name = notice.identity()
    kind = notice.kind()
    map_url = next((value for key in _MAPS if (value := notice.param(key))), "")
    found: Circle | None = None
    if kind == RETRACTION:
        why = TAKEN_BACK
    else:
        found, why = circle(label, *notice.position(), CONTAINMENT_GBM if notice.is_gbm() else CONTAINMENT)
        why = why and without_position(map_url, why)
    return Event(
        name=name,
        mission=mission,
        kind=kind,
        t0=notice.moment(root.find(f"{_PLACE}/Time/TimeInstant/ISOTime"), "ISOTime"),
        localisation=found,
        why_none=why,
        classification=notice.classification(),
        far=notice.false_alarms(),
        test=notice.is_test(),
        issued=notice.moment(root.find("Who/Date"), "Date"),
        version=notice.version(),
        map_url=map_url,
        params=notice.params(),
    )


class _Notice:
    """A VOEvent's values by name."""

    def __init__(self, root: Element, label: str) -> None:
        self.root, self.label = root, label
        identifier = root.get("ivorn", "")
        match = _IDENTIFIER.match(identifier)
        if not match:
            raise BadDefinition(f"{label}: its ivorn {shown(identifier)} is no identifier of a notice")
        self.stream, self.local = match[1].split("/")[-1], match[2]
        what = root.find("What")
        self._params: dict[str, Element] = {}
        for element in what.iter("Param") if what is not None else ():
            # the first of a name: groups follow the notice's own
            self._params.setdefault(element.get("name", ""), element)

    def param(self, name: str) -> str:
        """The value of a Param, of any group; '' when absent."""
        element = self._params.get(name)
        return "" if element is None else element.get("value", "").strip()

    def number(self, name: str) -> float | None:
        """The value of a Param as a finite number; None when absent."""
        return self._number(self.param(name), name)

    def _number(self, text: str, name: str) -> float | None:
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BadDefinition(f"{self.label}: {name} is {shown(text)}, but must be a number")
        return value

    def is_true(self, name: str) -> bool:
        """Whether a Param says yes."""
        return self.param(name).lower() in ("true", "1", "yes")

    def identity(self) -> tuple[str, str]:
        """Mission, and name of the event."""
        mission = _MISSIONS.get(self.stream.lower(), self.stream)
        superevent = self.param("GraceID")
        if superevent:
            mission, parts = MISSION, [superevent]
        elif mission == "AMON" and self.local.upper().startswith("ICECUBE") and self.param("run_id"):
            # the same numbers as in IceCube's JSON notices
            mission, parts = "IceCube", ["IceCube", self.param("run_id"), self.param("event_id")]
        else:
            parts = [mission, self.param("TrigID") or self.param("AMON_ID") or self.local]
        if any(len(part) > MAX_TEXT for part in parts) or not event_name(parts[-1]):
            raise BadDefinition(
                f"{self.label}: nothing names the event: GraceID, TrigID or AMON_ID is missing or no id"
            )
        return mission, event_name(*parts)

    def kind(self) -> str:
        """Initial, update, retraction ..."""
        cited = {element.get("cite", "") for element in self.root.findall("Citations/EventIVORN")}
        if "retraction" in cited or any(self.is_true(name) for name in _RETRACTIONS):
            return RETRACTION
        if self.param("AlertType"):
            return self.param("AlertType").lower().replace("_", "")[:MAX_TEXT]
        again = bool(cited & {"followup", "supersedes"}) or self.is_true("Updated_Notice")
        return "update" if again or (self.number("Rev") or 0.0) > 0.0 else "initial"

    def is_test(self) -> bool:
        """Whether it tells of nothing that was seen."""
        return (
            self.root.get("role", "observation") != "observation"
            or any(self.is_true(name) for name in _TESTS)
            or is_mock(self.param("GraceID"))
        )

    def is_gbm(self) -> bool:
        """Whether it comes from Fermi's burst monitor."""
        return self.stream.lower() == "fermi" and self.local.upper().startswith("GBM")

    def position(self) -> tuple[float | None, float | None, list[float]]:
        """Right ascension, declination, and radius of the error [deg]."""
        place = self.root.find(f"{_PLACE}/Position2D")
        if place is None:
            return None, None, []
        if place.get("unit", "deg") not in ("deg", "degrees"):
            raise BadDefinition(f"{self.label}: its position is in {shown(place.get('unit'))}, not in deg")
        ra, decl, radius = (
            self._number((place.findtext(path) or "").strip(), path)
            for path in ("Value2/C1", "Value2/C2", "Error2Radius")
        )
        return ra, decl, [] if radius is None else [radius]

    def classification(self) -> dict[str, float]:
        """Class -> probability."""
        found = {}
        for group in self.root.findall("What/Group"):
            if "Classification" in (group.get("type"), group.get("name")):
                for element in group.findall("Param"):
                    name = element.get("name", "")[:MAX_TEXT]
                    value = self._number(element.get("value", "").strip(), name)
                    if value is not None:
                        found[name] = value
        return found

    def false_alarms(self) -> float | None:
        """False alarms a second."""
        rate = self.number("FAR")
        if rate is None:
            return None
        unit = self._params["FAR"].get("unit", "Hz").replace(" ", "")
        return rate / (JULIAN_YEAR_DAYS * SECONDS_A_DAY) if unit in ("yr^-1", "/yr", "1/yr", "yr-1") else rate

    def version(self) -> float | None:
        """Number of the notice."""
        for name in ("Rev", "Sequence_Num", "Pkt_Ser_Num"):
            found = self.number(name)
            if found is not None:
                return found
        return None

    def moment(self, element: Element | None, name: str) -> Moment | None:
        """The time in an element."""
        text = (element.text or "").strip() if element is not None else ""
        if not text:
            return None
        try:
            return read_moment(text)
        except ValueError as err:
            raise BadDefinition(
                f"{self.label}: {name} is {shown(text)}, but must be a date and time (ISO 8601)"
            ) from err

    def params(self) -> dict[str, Any]:
        """All Params of the notice, with its identifier and role."""
        what: dict[str, Any] = {}
        for element in self.root.findall("What/*"):
            if element.tag == "Param":
                what[element.get("name", "")] = element.get("value", "")
            elif element.tag == "Group":
                group = what.setdefault(element.get("name") or element.get("type") or "", {})
                if isinstance(group, dict):
                    group.update({one.get("name", ""): one.get("value", "") for one in element.findall("Param")})
        return {"ivorn": self.root.get("ivorn", ""), "role": self.root.get("role", ""), "what": what}
