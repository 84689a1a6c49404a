"""Solar System objects: main-belt orbits drawn at random, two-body motion, H-G magnitudes, designations.

Positions are geocentric and without light time: a main-belt object is off by an arcminute at most, the same in every
packet, which is all that a simulated sky needs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.simulate.visits import Fields, Visits, offsets_from, on_camera

Floats = NDArray[np.float64]

#: of the ecliptic, J2000 [rad]
OBLIQUITY = np.radians(23.4392911)
#: slope parameter of the H-G system for all of them
SLOPE_G = 0.15
#: Gaussian gravitational constant [au^1.5 / d]
_GAUSS = 0.01720209895
#: colours against V, ugrizy, of a mixed asteroid population
_MINUS_V = np.array([1.65, 0.30, -0.20, -0.38, -0.36, -0.35])
_HALF_MONTHS = "ABCDEFGHJKLMNOPQRSTUVWXY"
_LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"
#: designations there are: letters of half-months and of order, 620 cycles, 25 years
_DESIGNATIONS = 24 * 25 * 620 * 25
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DRAWN_AT_ONCE = 20_000
_MAX_DRAWS = 40


@dataclass
class Orbits:
    """Osculating elements at `epoch` (ecliptic and equinox J2000), a row an object; angles in radians."""

    a: Floats
    e: Floats
    i: Floats
    node: Floats
    peri: Floats
    #: mean anomaly at the epoch
    mean: Floats
    epoch: Floats
    #: absolute magnitude in V
    h: Floats

    def __len__(self) -> int:
        return len(self.a)

    def take(self, index: NDArray[Any]) -> Orbits:
        """The orbits at `index`."""
        return Orbits(**{one.name: getattr(self, one.name)[index] for one in fields(self)})


class Ephemeris(NamedTuple):
    """Where objects are, (n,) or (n, 3): equatorial J2000, au and au/d."""

    ra: Floats
    decl: Floats
    helio: Floats
    helio_v: Floats
    topo: Floats
    topo_v: Floats
    #: V - H
    v_minus_h: Floats
    phase_angle: Floats
    elongation: Floats


@dataclass
class MoverDetections:
    """(object, visit) pairs at which a mover is on the camera and bright enough, as columns."""

    mover: NDArray[np.int64]
    visit: NDArray[np.int64]
    detector: NDArray[np.int64]
    x: Floats
    y: Floats
    mag: Floats
    ephemeris: Ephemeris

    def __len__(self) -> int:
        return len(self.mover)

    def take(self, index: NDArray[Any]) -> MoverDetections:
        """The detections at `index`."""
        places = Ephemeris(*(column[index] for column in self.ephemeris))
        return MoverDetections(
            self.mover[index],
            self.visit[index],
            self.detector[index],
            self.x[index],
            self.y[index],
            self.mag[index],
            places,
        )


def _joined(parts: list[MoverDetections]) -> MoverDetections:
    parts = parts or [_empty()]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    places = Ephemeris(*(np.concatenate(columns) for columns in zip(*(part.ephemeris for part in parts), strict=True)))
    return MoverDetections(
        column("mover"), column("visit"), column("detector"), column("x"), column("y"), column("mag"), places
    )


def earth(mjd: Floats) -> tuple[Floats, Floats]:
    """Heliocentric position and velocity of the Earth, (n, 3) equatorial [au, au/d]; low-precision Sun of the
    Astronomical Almanac (section C), 0.01 deg."""
    d = mjd - 51544.5
    mean = np.radians(357.528 + 0.9856003 * d)
    lon = np.radians(280.460 + 0.9856474 * d + 1.915 * np.sin(mean) + 0.020 * np.sin(2 * mean))
    distance = 1.00014 - 0.01671 * np.cos(mean) - 0.00014 * np.cos(2 * mean)
    step = np.radians(0.9856003)
    rate = np.radians(0.9856474) + step * (np.radians(1.915) * np.cos(mean) + np.radians(0.040) * np.cos(2 * mean))
    away = step * (0.01671 * np.sin(mean) + 0.00028 * np.sin(2 * mean))
    zero = np.zeros_like(lon)
    outward = np.stack((np.cos(lon), np.sin(lon), zero), axis=1)
    onward = np.stack((-np.sin(lon), np.cos(lon), zero), axis=1)
    position = -distance[:, None] * outward
    velocity = -away[:, None] * outward - (distance * rate)[:, None] * onward
    return _equatorial(position), _equatorial(velocity)


def _equatorial(ecliptic: Floats) -> Floats:
    x, y, z = ecliptic.T
    cos_o, sin_o = np.cos(OBLIQUITY), np.sin(OBLIQUITY)
    return np.stack((x, cos_o * y - sin_o * z, sin_o * y + cos_o * z), axis=1)


def mean_motion(orbits: Orbits) -> Floats:
    """Mean motion [rad / d]."""
    return np.asarray(_GAUSS / orbits.a**1.5, np.float64)


def ephemeris(orbits: Orbits, mjd: Floats) -> Ephemeris:
    """Places of orbit k at time ``mjd[k]``."""
    motion = mean_motion(orbits)
    mean = (orbits.mean + motion * (mjd - orbits.epoch)) % (2 * np.pi)
    anomaly = mean + orbits.e * np.sin(mean)
    # Newton's method: main-belt eccentricities converge to 1e-12 in five steps
    for _ in range(5):
        anomaly -= (anomaly - orbits.e * np.sin(anomaly) - mean) / (1 - orbits.e * np.cos(anomaly))
    cos_e, sin_e = np.cos(anomaly), np.sin(anomaly)
    root = np.sqrt(1 - orbits.e**2)
    radius = 1 - orbits.e * cos_e
    u, v = orbits.a * (cos_e - orbits.e), orbits.a * root * sin_e
    du, dv = -orbits.a * motion * sin_e / radius, orbits.a * motion * root * cos_e / radius
    cos_w, sin_w = np.cos(orbits.peri), np.sin(orbits.peri)
    cos_n, sin_n = np.cos(orbits.node), np.sin(orbits.node)
    cos_i, sin_i = np.cos(orbits.i), np.sin(orbits.i)
    p = np.stack((cos_w * cos_n - sin_w * sin_n * cos_i, cos_w * sin_n + sin_w * cos_n * cos_i, sin_w * sin_i), axis=1)
    q = np.stack((-sin_w * cos_n - cos_w * sin_n * cos_i, cos_w * cos_n * cos_i - sin_w * sin_n, cos_w * sin_i), axis=1)
    helio = _equatorial(u[:, None] * p + v[:, None] * q)
    helio_v = _equatorial(du[:, None] * p + dv[:, None] * q)
    home, home_v = earth(mjd)
    topo, topo_v = helio - home, helio_v - home_v
    r = np.linalg.norm(helio, axis=1)
    delta = np.linalg.norm(topo, axis=1)
    sun = np.linalg.norm(home, axis=1)
    phase = np.arccos(np.clip((helio * topo).sum(axis=1) / (r * delta), -1, 1))
    elongation = np.arccos(np.clip(-(home * topo).sum(axis=1) / (sun * delta), -1, 1))
    # H-G system with G = 0.15 (Bowell et al. 1989, Asteroids II, 524)
    tangent = np.tan(phase / 2)
    dimming = 0.85 * np.exp(-3.33 * tangent**0.63) + 0.15 * np.exp(-1.87 * tangent**1.22)
    return Ephemeris(
        ra=np.degrees(np.arctan2(topo[:, 1], topo[:, 0])) % 360.0,
        decl=np.degrees(np.arcsin(topo[:, 2] / delta)),
        helio=helio,
        helio_v=helio_v,
        topo=topo,
        topo_v=topo_v,
        v_minus_h=5 * np.log10(r * delta) - 2.5 * np.log10(dimming),
        phase_angle=np.degrees(phase),
        elongation=np.degrees(elongation),
    )


def draw_orbits(n: int, epoch: float, rng: np.random.Generator) -> Orbits:
    """n main-belt orbits."""
    turn = 2 * np.pi
    return Orbits(
        a=rng.triangular(2.1, 2.7, 3.3, n),
        e=np.minimum(rng.rayleigh(0.1, n), 0.35),
        i=np.minimum(rng.rayleigh(np.radians(7.0), n), np.radians(35.0)),
        node=rng.uniform(0, turn, n),
        peri=rng.uniform(0, turn, n),
        mean=rng.uniform(0, turn, n),
        epoch=np.full(n, epoch),
        h=np.full(n, np.nan),
    )


def aim(orbits: Orbits, where: Fields, rng: np.random.Generator) -> None:
    """Turn each object along its orbit until it is seen, at its epoch, within some 30 deg of a field's longitude: of
    objects all round the ecliptic hardly one in a thousand would be in a field."""
    n = len(orbits)
    field = rng.integers(0, len(where), n)
    lon, _ = ecliptic(where.ra, where.decl)
    direction = np.radians(lon)[field]
    home, _ = earth(orbits.epoch[:1])
    # in the plane of the ecliptic: along the line of sight to the circle of radius a
    x, y = home[0, 0], home[0, 1] * np.cos(OBLIQUITY) + home[0, 2] * np.sin(OBLIQUITY)
    along = x * np.cos(direction) + y * np.sin(direction)
    length = -along + np.sqrt(along**2 + orbits.a**2 - x * x - y * y)
    longitude = np.arctan2(y + length * np.sin(direction), x + length * np.cos(direction))
    orbits.mean[:] = (longitude - orbits.node - orbits.peri + rng.uniform(-0.5, 0.5, n)) % (2 * np.pi)


def ecliptic(ra: Floats, decl: Floats) -> tuple[Floats, Floats]:
    """Ecliptic longitude and latitude [deg] of equatorial positions [deg], J2000."""
    a, d = np.radians(ra), np.radians(decl)
    sin_o, cos_o = np.sin(OBLIQUITY), np.cos(OBLIQUITY)
    lon = np.arctan2(np.sin(a) * np.cos(d) * cos_o + np.sin(d) * sin_o, np.cos(a) * np.cos(d))
    lat = np.arcsin(np.sin(d) * cos_o - np.cos(d) * sin_o * np.sin(a))
    return np.degrees(lon) % 360.0, np.degrees(lat)


def detections(
    survey: str, where: Fields, visits: Visits, wanted: int, rng: np.random.Generator, *, mid_s: float
) -> tuple[Orbits, MoverDetections]:
    """Movers and their detections, at least `wanted` of these where the fields are near enough to the ecliptic.

    Parameters
    ----------
    mid_s
        Seconds from ``visits.mjd`` to the middle of the exposure.
    """
    drawn: list[Orbits] = []
    found: list[MoverDetections] = []
    total = movers = 0
    if len(visits) == 0 or wanted <= 0:
        return draw_orbits(0, 0.0, rng), _empty()
    middle = float(visits.mjd.mean())
    nights = np.unique(visits.day)
    for _ in range(_MAX_DRAWS):
        orbits = draw_orbits(_DRAWN_AT_ONCE, middle, rng)
        aim(orbits, where, rng)
        # those within reach of a field at the middle of the run: a main-belt object moves 0.25 deg a day
        place = ephemeris(orbits, orbits.epoch)
        reach = 2.5 + 0.15 * (nights[-1] - nights[0]) if survey == "lsst" else 4.5
        near = np.zeros(len(orbits), np.bool_)
        for k in range(len(where)):
            east, north = offsets_from(where.ra[k], where.decl[k], place.ra, place.decl)
            near |= (np.abs(east) < reach) & (np.abs(north) < reach)
        orbits = orbits.take(near)
        limit = 24.0 if survey == "lsst" else 20.6
        # numbers grow by 10^(0.35 m) towards the limit
        v = limit + 0.4 + np.log10(rng.uniform(1e-3, 1.0, len(orbits))) / 0.35
        orbits.h = v - place.v_minus_h[near]
        seen = _seen(survey, orbits, where, visits, mid_s)
        hit, number = np.unique(seen.mover, return_inverse=True)
        seen.mover = number + movers
        drawn.append(orbits.take(hit))
        found.append(seen)
        movers += len(hit)
        total += len(seen)
        # too far from the ecliptic: no use in drawing for ever
        if total >= wanted or total < wanted / (4 * _MAX_DRAWS):
            break
    columns = {one.name: np.concatenate([getattr(part, one.name) for part in drawn]) for one in fields(Orbits)}
    return Orbits(**columns), _joined(found)


def _empty() -> MoverDetections:
    none, flat, vector = np.empty(0, np.int64), np.empty(0), np.empty((0, 3))
    places = Ephemeris(flat, flat, vector, vector, vector, vector, flat, flat, flat)
    return MoverDetections(none, none, none, flat, flat, flat, places)


def _seen(survey: str, orbits: Orbits, where: Fields, visits: Visits, mid_s: float) -> MoverDetections:
    parts: list[MoverDetections] = []
    number = np.arange(len(orbits))
    for visit in range(len(visits)):
        when = np.full(len(orbits), visits.mjd[visit] + mid_s / 86400.0)
        place = ephemeris(orbits, when)
        field = visits.field[visit]
        east, north = offsets_from(where.ra[field], where.decl[field], place.ra, place.decl)
        detector, x, y = on_camera("lsst" if survey == "lsst" else "ztf", east, north)
        mag = orbits.h + place.v_minus_h + _MINUS_V[visits.band[visit]]
        good = (detector >= 0) & (mag < visits.depth[visit])
        if good.any():
            parts.append(
                MoverDetections(
                    number[good],
                    np.full(int(good.sum()), visit),
                    detector[good],
                    x[good],
                    y[good],
                    mag[good],
                    Ephemeris(*(column[good] for column in place)),
                )
            )
    return _joined(parts)


def designations(numbers: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """(provisional designations, packed form) of serial numbers, all different within 9.3 million.

    Packed as the Minor Planet Center does: '2006 TK6' is 'K06T06K'.
    """
    plain, packed = [], []
    for number in (numbers % _DESIGNATIONS).tolist():
        year, rest = divmod(number, len(_HALF_MONTHS) * len(_LETTERS) * 620)
        cycle, letters = divmod(rest, len(_HALF_MONTHS) * len(_LETTERS))
        half, second = _HALF_MONTHS[letters // len(_LETTERS)], _LETTERS[letters % len(_LETTERS)]
        year += 2000
        plain.append(f"{year} {half}{second}{cycle or ''}")
        packed.append(f"K{year % 100:02d}{half}{_BASE62[cycle // 10]}{cycle % 10}{second}")
    return plain, packed


def ss_object_id(packed: str) -> int:
    """The survey's id of a mover: the seven characters of its packed designation, eight bits each."""
    return int.from_bytes(packed.encode("ascii"), "big")


def orbit_document(orbits: Orbits, k: int, name: str, packed: str, uncertain: Floats) -> str:
    """The orbit as a JSON text of the kind (and size) that travels in mpc_orb_jsonb."""
    elements = {
        "a": float(orbits.a[k]),
        "q": float(orbits.a[k] * (1 - orbits.e[k])),
        "e": float(orbits.e[k]),
        "i": float(np.degrees(orbits.i[k])),
        "node": float(np.degrees(orbits.node[k])),
        "argperi": float(np.degrees(orbits.peri[k])),
        "mean_anomaly": float(np.degrees(orbits.mean[k])),
    }
    covariance = {
        f"cov{row}{col}": f"{uncertain[(row * 6 + col) % len(uncertain)]:.24f}"
        for row in range(6)
        for col in range(row, 6)
    }
    document = {
        "COM": {
            "coefficient_names": list(elements),
            "coefficient_values": list(elements.values()),
            "covariance": covariance,
        },
        "CAR": {"covariance": covariance},
        "designation_data": {
            "unpacked_primary_provisional_designation": name,
            "packed_primary_provisional_designation": packed,
        },
        "epoch_data": {"epoch": float(orbits.epoch[k]), "timeform": "MJD", "timesystem": "TDT"},
        "magnitude_data": {"H": round(float(orbits.h[k]), 3), "G": SLOPE_G, "G1": None, "G2": None, "G12": None},
        "system_data": {"eph": "two-body", "refframe": "ICRF", "refsys": "ecliptic"},
    }
    return json.dumps(document)
