"""What the simulator hands out."""

from __future__ import annotations

from typing import Literal, NamedTuple

from lasair.schema.model import Survey

#: What a broker must do: take it as any other, set it aside, count a duplicate, or keep the alert without its image.
Expected = Literal["ok", "refused", "duplicate", "image missing"]


class Fault(NamedTuple):
    """What is wrong with a message, and what a broker must make of it."""

    name: str
    expected: Expected
    detail: str = ""


class SimMessage(NamedTuple):
    """One alert packet on its way."""

    survey: Survey
    #: UTC date of the exposure, yyyymmdd
    night: int
    #: the message as it is on Kafka
    value: bytes
    #: version of the writer's schema
    version: str
    #: start and end of the bare record in `value`; None when the message is too damaged to have one
    datum: tuple[int, int] | None
    #: number of the exposure within its night: where the message belongs in a folder
    visit: int
    alert_id: int
    object_id: str
    fault: Fault | None = None


class Truth(NamedTuple):
    """What an object really is: a row of truth.csv. Empty texts and None where a class has no such thing."""

    survey: Survey
    object_id: str
    kind: str
    ra: float
    decl: float
    #: magnitude in r, mean or at peak; of a mover the absolute one (LSST) or that of the sighting (ZTF)
    mag: float | None
    period_d: float | None
    peak_mjd: float | None
    redshift: float | None
    host_ra: float | None
    host_decl: float | None
    host_mag: float | None
    #: a mover's designation
    designation: str
    #: alerts sent (those that faults made unreadable included, second copies not)
    alerts: int
