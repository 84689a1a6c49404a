"""What people and other observatories would have to do with a simulated sky: lists, areas, an event, names, opinions.

::

    tags/watchlist.csv                           variable stars and active galaxies that somebody watches
    tags/area.reg                                circles around the objects in the middle of things (DS9 regions)
    tags/event.multiorder.fits                   a gravitational wave whose map holds one of them, with distances
    tags/tns/tns_public_objects.csv.zip          half of the transients, as the Transient Name Server lists them
    tags/annotations.jsonl                       what a program would say of some objects
    tags/tagged.txt                              objects that somebody follows

Each survey has an object in the middle of things (`Centre`): all of these hold it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.healpix import all_centres
from lasair.catalogues.sky import Sky
from lasair.schema.model import SURVEYS, Survey
from lasair.simulate.visits import mjd_of
from lasair.sky.cosmology import luminosity_distance_mpc
from lasair.times import mjd_tai_to_unix, plain_utc

#: where these files are, in the folder of a simulation
TAGS_FOLDER = "tags"
#: who annotates, and the classes it gives
TOPIC = "demo_classifier"
#: keeps what is drawn here apart from what is drawn for the packets
_SEED = 11

_TRANSIENTS = ("sn_ia", "sn_ii", "slsn", "tde", "kilonova")
_WATCHED = ("agn", "cv", "mira", "cepheid", "rrlyrae", "eclipsing", "variable")
_NOT_OBJECTS = ("mover", "bogus")

#: The map: half-widths [deg] across and along, order of its cells, percent of the distance that is its error.
_WIDTHS_DEG = (4.0, 12.0)
_ORDER = 6
_DISTANCE_ERROR = 0.25
_UNKNOWN_MPC = 400.0
_AREA_DEG = 1.5
#: days from the first night to the event
_EVENT_AFTER = 2.0

_TNS_COLUMNS = (
    "objid", "name_prefix", "name", "ra", "declination", "redshift", "typeid", "type", "reporting_groupid",
    "reporting_group", "source_groupid", "source_group", "discoverydate", "discoverymag", "discmagfilter", "filter",
    "reporters", "time_received", "internal_names", "Discovery_ADS_bibcode", "Class_ADS_bibcodes", "creationdate",
    "lastmodified",
)  # fmt: skip
_TNS_TYPES = {"sn_ia": (3, "SN Ia"), "sn_ii": (10, "SN II"), "slsn": (18, "SLSN-I"), "tde": (120, "TDE")}


class Centre(NamedTuple):
    """An object that everything here holds."""

    survey: Survey
    object_id: str
    ra: float
    decl: float
    redshift: float | None

    @property
    def key(self) -> int | str:
        """Its name as queries have it."""
        return int(self.object_id) if self.survey == "lsst" else self.object_id


def write_tags(folder: Path, *, seed: int, first_night: int) -> list[Centre]:
    """Write the files for the simulation in a folder, by its ``truth.csv``; the objects in the middle, LSST's first."""
    truth = _truth(folder)
    rng = np.random.default_rng([seed, _SEED])
    target = folder / TAGS_FOLDER
    (target / "tns").mkdir(parents=True, exist_ok=True)
    centres = _middle(truth)
    middle = {centre.object_id for centre in centres}
    t0 = mjd_of(first_night) + _EVENT_AFTER
    _write_watchlist(target / "watchlist.csv", truth, middle, rng)
    regions = "".join(f"circle({one.ra:.6f}, {one.decl:.6f}, {_AREA_DEG}d)\n" for one in centres)
    (target / "area.reg").write_text("# Region file format: DS9\nicrs\n" + regions, encoding="utf-8")
    if centres:
        _write_event(target / "event.multiorder.fits", centres[0], t0, float(rng.uniform(0.0, 180.0)))
    _write_tns(target / "tns" / "tns_public_objects.csv.zip", truth, middle, t0, rng)
    with (target / "annotations.jsonl").open("w", encoding="utf-8") as file:
        for row in truth:
            if row["object_id"] in middle or rng.random() < 0.3:
                probability = round(float(rng.uniform(0.5, 0.99)), 3)
                said = {
                    "objectId": row["object_id"], "topic": TOPIC, "classification": row["class"],
                    "version": "1.0", "classdict": json.dumps({"probability": probability}),
                }  # fmt: skip
                file.write(json.dumps(said) + "\n")
    (target / "tagged.txt").write_text("".join(f"{one}\n" for one in sorted(middle)), encoding="utf-8")
    return centres


def middle_of(folder: Path) -> list[Centre]:
    """The objects in the middle of the simulation in a folder, LSST's first."""
    return _middle(_truth(folder))


def _truth(folder: Path) -> list[dict[str, str]]:
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["class"] not in _NOT_OBJECTS]


def _middle(truth: Sequence[Mapping[str, str]]) -> list[Centre]:
    return [centre for survey in SURVEYS if (centre := _centre(truth, survey)) is not None]


def _centre(truth: Sequence[Mapping[str, str]], survey: Survey) -> Centre | None:
    """The extragalactic object with most alerts, else the object with most."""
    mine = [row for row in truth if row["survey"] == survey]
    if not mine:
        return None
    best = max(mine, key=lambda row: (row["class"] in _TRANSIENTS, bool(row["redshift"]), int(row["alerts"])))
    redshift = float(best["redshift"]) if best["redshift"] else None
    return Centre(survey, best["object_id"], float(best["ra"]), float(best["decl"]), redshift)


def _write_watchlist(
    path: Path, truth: Sequence[Mapping[str, str]], middle: set[str], rng: np.random.Generator
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ra", "dec", "name", "radius"))
        for row in truth:
            if row["object_id"] in middle or (row["class"] in _WATCHED and rng.random() < 0.5):
                radius = "" if rng.random() < 0.8 else f"{rng.uniform(1.5, 5.0):.1f}"
                name = f"{row['class']} {len(row['object_id'])}{row['object_id'][-6:]}"
                writer.writerow((row["ra"], row["decl"], name, radius))


def _write_event(path: Path, centre: Centre, t0: float, angle_deg: float) -> None:
    """A multi-order map as LIGO, Virgo and KAGRA publish them: an ellipse whose middle is off the object."""
    from astropy.table import Table

    offset = 0.6 * _WIDTHS_DEG[0]
    middle_ra = centre.ra + offset / max(math.cos(math.radians(centre.decl)), 0.05)
    ra, decl, cell = _cells()
    east, north, in_front = _plane(ra, decl, middle_ra, centre.decl)
    along = east * math.cos(math.radians(angle_deg)) + north * math.sin(math.radians(angle_deg))
    across = -east * math.sin(math.radians(angle_deg)) + north * math.cos(math.radians(angle_deg))
    exponent = -0.5 * ((across / _WIDTHS_DEG[0]) ** 2 + (along / _WIDTHS_DEG[1]) ** 2)
    density = np.where(in_front, np.exp(exponent), 0.0) + 1e-9
    density /= density.sum() * math.pi / 3.0 / 4.0**_ORDER
    distance = _UNKNOWN_MPC
    if centre.redshift is not None:
        distance = float(luminosity_distance_mpc(np.array([centre.redshift]))[0])
    sigma = _DISTANCE_ERROR * distance
    n = len(cell)
    table = Table(
        {
            "UNIQ": cell + (4 << (2 * _ORDER)),
            "PROBDENSITY": density,
            "DISTMU": np.full(n, distance),
            "DISTSIGMA": np.full(n, sigma),
            # so that the distribution of distances has the integral 1
            "DISTNORM": np.full(n, 1.0 / (distance**2 + sigma**2)),
        }
    )
    when = _utc(t0).replace(" ", "T")
    table.meta = {
        "PIXTYPE": "HEALPIX", "ORDERING": "NUNIQ", "COORDSYS": "C", "INDXSCHM": "EXPLICIT", "MOCORDER": _ORDER,
        "OBJECT": event_name(t0), "ORIGIN": "LIGO/Virgo", "DATE-OBS": when, "DATE": when, "CREATOR": "lasair simulate",
    }  # fmt: skip
    table.write(path, format="fits", overwrite=True)


def event_name(t0: float) -> str:
    """Name of the event at a time [MJD TAI], such as S260304a."""
    when = _utc(t0)
    return f"S{when[2:4]}{when[5:7]}{when[8:10]}a"


def _cells() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Centres [deg] of all cells of the map, and their nested numbers."""
    ra, decl = all_centres(_ORDER)
    return ra, decl, np.arange(len(ra), dtype=np.int64)


def _plane(
    ra: NDArray[np.float64], decl: NDArray[np.float64], middle_ra: float, middle_decl: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Gnomonic offsets [deg] east and north of a middle, and which positions lie on its side of the sky."""
    vectors = Sky(ra, decl).vectors
    a, d = math.radians(middle_ra), math.radians(middle_decl)
    centre = np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])
    east = np.array([-math.sin(a), math.cos(a), 0.0])
    north = np.cross(centre, east)
    depth = vectors @ centre
    in_front = depth > 0.2
    safe = np.where(in_front, depth, 1.0)
    return np.degrees(vectors @ east / safe), np.degrees(vectors @ north / safe), in_front


def _write_tns(
    path: Path, truth: Sequence[Mapping[str, str]], middle: set[str], t0: float, rng: np.random.Generator
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    day = _utc(t0)[:10]
    writer.writerow((f"{day} 00:00:00",))
    writer.writerow(_TNS_COLUMNS)
    number = 0
    for row in truth:
        if row["object_id"] not in middle and not (row["class"] in _TRANSIENTS and rng.random() < 0.5):
            continue
        number += 1
        typeid, kind = _TNS_TYPES.get(row["class"], ("", ""))
        name = f"{day[:4]}{_letters(number)}"
        redshift = f"{float(row['redshift']):.4f}" if row["redshift"] else ""
        mag = f"{float(row['mag']):.2f}" if row["mag"] else ""
        writer.writerow(
            (
                200_000 + number, _prefix(kind), name, row["ra"], row["decl"], redshift,
                typeid, kind, 48, "Demo", 48, "Demo", f"{day} 06:00:00", mag, 22, "r", "A. Simulator, B. O'Broker",
                f"{day} 07:00:00", f"DEMO{number}", "", "", f"{day} 07:00:00", f"{day} 07:00:00",
            )
        )  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("tns_public_objects.csv"), text.getvalue())


def _prefix(kind: str) -> str:
    """What TNS writes before the name of a transient of a type."""
    return "SN" if kind.startswith(("SN", "SLSN")) else kind or "AT"


def _utc(mjd_tai: float) -> str:
    """YYYY-mm-dd HH:MM:SS."""
    return plain_utc(float(mjd_tai_to_unix(np.array(mjd_tai))))


def _letters(number: int) -> str:
    """1 -> aaa, 2 -> aab …: the ends of names of the TNS."""
    found = ""
    number -= 1
    for _ in range(3):
        found = chr(ord("a") + number % 26) + found
        number //= 26
    return found
