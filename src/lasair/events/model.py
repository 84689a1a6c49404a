"""What is known of an event, whichever notice it came by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from lasair.events.moments import Moment
from lasair.sky.skymap import Localisation

#: Days after an event in which an alert may have to do with it.
WINDOW_DAYS: Final = 21.0

#: The kind of a notice that takes an event back; other kinds give it or bring it up to date.
RETRACTION: Final = "retraction"

#: Longest name of an event; other characters than these become '_', so that a name can stand in a query.
LONGEST_NAME: Final = 128
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.+-]+")

#: Hosts that sky maps may be fetched from.
MAP_HOSTS: Final = frozenset(
    {
        "gracedb.ligo.org",
        "gcn.nasa.gov",
        "gcn.gsfc.nasa.gov",
        "heasarc.gsfc.nasa.gov",
        "roc.icecube.wisc.edu",
        "guano.swift.psu.edu",
        "opendata.km3net.de",
    }
)


@dataclass(frozen=True)
class Event:
    """An event as one notice tells it.

    Attributes
    ----------
    name : the superevent id, else mission and trigger id; the same in all notices of the event
    mission : who saw it, such as LVK, Fermi, Swift, IceCube; '' when the file does not say
    kind : of the notice, in small letters: initial, update, retraction, preliminary, earlywarning, subsequent
    t0 : when it happened; None when the notice does not say
    classification : class -> probability
    far : false alarms per second (Hz) of its kind, or None
    localisation : where it was, or None; then `why_none` says why
    test : a test, an injection or a mock: to be stored and never matched
    issued : when the notice was made, or None
    version : number of the notice as the sender counts, or None
    map_url : where the notice says its sky map is, or ''; nothing here fetches it (see `may_fetch`)
    params : the rest of the notice as JSON has it, without the map
    """

    name: str
    mission: str
    kind: str
    t0: Moment | None
    localisation: Localisation | None
    why_none: str = ""
    classification: Mapping[str, float] = field(default_factory=dict)
    far: float | None = None
    test: bool = False
    issued: Moment | None = None
    version: float | None = None
    map_url: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def window(self) -> tuple[float, float] | None:
        """First and last time (MJD TAI) of detections that may belong to it."""
        return None if self.t0 is None else (self.t0.mjd_tai, self.t0.mjd_tai + WINDOW_DAYS)

    @property
    def retracted(self) -> bool:
        """Whether this notice takes the event back."""
        return self.kind == RETRACTION

    def supersedes(self, other: Event) -> bool:
        """Whether this notice of the same event takes the place of another: made later, or at once and with a higher
        number. Of two that cannot be told apart the one that arrives later (this one) does.
        """
        if self.issued is not None and other.issued is not None and self.issued.mjd_tai != other.issued.mjd_tai:
            return self.issued.mjd_tai > other.issued.mjd_tai
        if self.version is not None and other.version is not None:
            return self.version >= other.version
        return True


def event_name(*parts: str) -> str:
    """A name of parts, joined by '_', of letters, digits and ``. + -``; '' when nothing is left."""
    cleaned = (_NOT_IN_NAMES.sub("_", part).strip("_") for part in parts)
    return "_".join(part for part in cleaned if part)[:LONGEST_NAME]


def may_fetch(url: str) -> bool:
    """Whether a sky map may be fetched from an address out of a notice: http or https, a host of `MAP_HOSTS`, the usual
    port, nobody's name or password. Whoever fetches must not follow it to another host.
    """
    if len(url) > 2000 or any(ch <= " " or ch in "\\\x7f" for ch in url):
        return False
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and parts.hostname in MAP_HOSTS
            and parts.port is None
            and "@" not in parts.netloc
        )
    except ValueError:
        return False
