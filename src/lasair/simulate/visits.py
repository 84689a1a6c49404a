"""Where and when a survey looks: pointings on a fixed grid, nights, exposures with their depth and seeing."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import Survey
from lasair.sky.galactic import galactic
from lasair.times import TAI_MINUS_UTC_S

#: Bands in the order of their numbers here.
BANDS = "ugrizy"
#: Effective wavelengths [nm], near enough for both surveys.
WAVELENGTH_NM = np.array([368.0, 480.0, 622.0, 755.0, 869.0, 971.0])
#: 5-sigma depth of one visit for a point source [mag AB]; ZTF has g, r, i only.
DEPTH: dict[Survey, NDArray[np.float64]] = {
    "lsst": np.array([23.8, 24.5, 24.0, 23.4, 22.7, 22.0]),
    "ztf": np.array([np.nan, 20.8, 20.6, 20.2, np.nan, np.nan]),
}
EXPOSURE_S: dict[Survey, float] = {"lsst": 30.0, "ztf": 30.0}
PIXEL_ARCSEC: dict[Survey, float] = {"lsst": 0.2, "ztf": 1.012}
#: seconds from the start of one exposure to that of the next
CADENCE_S: dict[Survey, float] = {"lsst": 39.0, "ztf": 40.0}
#: Side of the field [deg]; step of the pointing grid.
FIELD_DEG: dict[Survey, float] = {"lsst": 3.5, "ztf": 7.5}
_GRID_DEC: dict[Survey, tuple[float, float]] = {"lsst": (-70.0, 10.0), "ztf": (-30.0, 85.0)}
#: UTC hour at which a night's first exposure begins (Chile, California)
_FIRST_HOUR: dict[Survey, float] = {"lsst": 0.6, "ztf": 3.2}
#: MJD of 2017-01-01, where ZTF's night number is 0 (so that 2017-01-02 is night 1)
_ZTF_NIGHT_0 = 57754


@dataclass(frozen=True)
class Fields:
    """Pointings: centre [deg], number in the survey's grid, and what the scheduler calls them."""

    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    number: NDArray[np.int64]
    reason: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ra)

    @property
    def galactic(self) -> NDArray[np.float64]:
        """Galactic latitude of the centres [deg]."""
        return galactic(self.ra, self.decl)[1]


@dataclass(frozen=True)
class Visits:
    """Exposures in time order, as columns.

    `mjd` is the start of the exposure in MJD TAI, `field` an index into the `Fields`, `emit` says whether alerts are
    sent (earlier visits only make history).
    """

    mjd: NDArray[np.float64]
    field: NDArray[np.int64]
    band: NDArray[np.int64]
    depth: NDArray[np.float64]
    seeing: NDArray[np.float64]
    emit: NDArray[np.bool_]
    #: number of the exposure within its night
    sequence: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.mjd)

    @property
    def day(self) -> NDArray[np.int64]:
        """UTC day (whole MJD) on which the night of the visit is filed."""
        return np.floor(self.mjd - TAI_MINUS_UTC_S / 86400.0).astype(np.int64)


def yyyymmdd(day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole MJDs as dates of the form 20260302."""
    dates = np.asarray(day, np.int64).astype("datetime64[D]") - np.timedelta64(40587, "D")
    months = dates.astype("datetime64[M]")
    month = months.astype(np.int64)
    number = (month // 12 + 1970) * 10000 + (month % 12 + 1) * 100 + (dates - months).astype(np.int64) + 1
    return np.asarray(number, np.int64)


def mjd_of(date: int) -> int:
    """Whole MJD of a date of the form 20260302; ValueError when there is no such date."""
    try:
        day = datetime.date(date // 10000, date // 100 % 100, date % 100)
    except (ValueError, OverflowError) as err:
        raise ValueError(f"{date} is no date of the form 20260302") from err
    return (day - datetime.date(1858, 11, 17)).days


def lsst_visit_id(visits: Visits) -> NDArray[np.int64]:
    """Exposure numbers: date of the evening and five digits of sequence; Chile's evening is of the UTC day before."""
    return yyyymmdd(visits.day - 1) * 100_000 + visits.sequence


def ztf_night_id(visits: Visits) -> NDArray[np.int64]:
    """ZTF's night number, 1 on UT 2017-01-02."""
    return visits.day - _ZTF_NIGHT_0


def grid(survey: Survey) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(ra, decl) [deg] of the survey's pointings: rings of declination, each evenly filled."""
    step = FIELD_DEG[survey]
    low, high = _GRID_DEC[survey]
    ras, decs = [], []
    for decl in np.arange(low, high, step):
        count = max(1, int(np.ceil(360.0 * np.cos(np.radians(decl)) / step)))
        ras.append(np.arange(count) * 360.0 / count)
        decs.append(np.full(count, decl))
    return np.concatenate(ras), np.concatenate(decs)


def choose_fields(survey: Survey, count: int, mjd: float, rng: np.random.Generator, *, deep: int = 0) -> Fields:
    """`count` pointings high in the sky of that season, near the ecliptic and away from the densest Galactic plane by
    preference; the first `deep` of them are called deep fields."""
    ra, decl = grid(survey)
    # the Sun's right ascension advances 360 deg a year from the March equinox (MJD 61119.6 in 2026)
    midnight = (mjd - 61119.6) / 365.2422 * 360.0 + 180.0
    away = np.abs((ra - midnight + 180.0) % 360.0 - 180.0)
    ecliptic = np.degrees(
        np.arcsin(
            np.sin(np.radians(decl)) * np.cos(np.radians(23.4393))
            - np.cos(np.radians(decl)) * np.sin(np.radians(23.4393)) * np.sin(np.radians(ra))
        )
    )
    weight = np.exp(-np.abs(ecliptic) / 10.0) + 0.2
    weight *= (away < 50.0) & (np.abs(decl) < 45.0) & (np.abs(galactic(ra, decl)[1]) > 12.0)
    chosen = rng.choice(len(ra), count, replace=False, p=weight / weight.sum())
    names = ("ddf_a", "ddf_b", "ddf_c")
    reason = tuple(
        names[k % len(names)] if k < deep else f"pairs_{'gri'[k % 3]}{'riz'[k % 3]}_33.0" for k in range(count)
    )
    return Fields(ra[chosen], decl[chosen], chosen.astype(np.int64) + 1, reason)


def visits_from(survey: Survey, plan: list[tuple[int, float, int, str, bool]], rng: np.random.Generator) -> Visits:
    """Exposures of a plan of (UTC day as whole MJD, hours after the night's start, field, band, emit)."""
    plan = sorted(plan)
    days = np.array([one[0] for one in plan], np.int64)
    hours = np.array([one[1] for one in plan])
    band = np.array([BANDS.index(one[3]) for one in plan], np.int64)
    start = days + (_FIRST_HOUR[survey] + hours) / 24.0 + rng.uniform(0.0, 20.0, len(plan)) / 86400.0
    first = np.searchsorted(days, days)
    seeing = np.exp(rng.normal(np.log(0.85 if survey == "lsst" else 2.0), 0.12, len(plan)))
    # 0.1 mag for transparency; a worse seeing spreads the same light over more sky
    depth = DEPTH[survey][band] + rng.normal(0.0, 0.1, len(plan)) - 1.25 * np.log10(seeing / np.median(seeing))
    return Visits(
        mjd=start,
        field=np.array([one[2] for one in plan], np.int64),
        band=band,
        depth=depth,
        seeing=seeing,
        emit=np.array([one[4] for one in plan], np.bool_),
        sequence=np.arange(len(plan)) - first + 1,
    )


def lsst_nights(first: int, nights: int, fields: int, deep: int, rng: np.random.Generator) -> Visits:
    """LSST cadence: deep fields every night, six visits in three bands; the others every third night, a pair of visits
    25-33 minutes apart in two bands."""
    plan: list[tuple[int, float, int, str, bool]] = []
    pairs = (("g", "r"), ("r", "i"), ("i", "z"), ("u", "g"), ("z", "y"))
    for night in range(nights):
        for field in range(fields):
            if field < deep:
                start = 1.0 + 2.0 * field
                plan += [(first + night, start + 0.3 * k, field, "gri"[k // 2], True) for k in range(6)]
            elif (night + field) % 3 == 0:
                start = 0.05 * field + rng.uniform(0.0, 0.02)
                one, two = pairs[((night + field) // 3) % len(pairs)]
                plan.append((first + night, start, field, one, True))
                plan.append((first + night, start + rng.uniform(25.0, 33.0) / 60.0, field, two, True))
    return visits_from("lsst", plan, rng)


def ztf_nights(
    first: int, nights: int, fields: int, rng: np.random.Generator, *, before: int = 0, every: int = 2
) -> Visits:
    """ZTF cadence: each field every `every` nights in g and r an hour apart, now and then in i; `before` nights of
    history that send no alerts."""
    plan: list[tuple[int, float, int, str, bool]] = []
    for night in range(-before, nights):
        for field in range(fields):
            if (night + field) % every:
                continue
            start = 0.03 * field + rng.uniform(0.0, 0.01)
            plan.append((first + night, start, field, "g", night >= 0))
            plan.append((first + night, start + rng.uniform(0.9, 1.1), field, "r", night >= 0))
            if (night + field) % (4 * every) == 0:
                plan.append((first + night, start + rng.uniform(1.9, 2.1), field, "i", night >= 0))
    return visits_from("ztf", plan, rng)


def place_in_field(survey: Survey, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """n positions on the camera: offsets (east, north) [deg] from the field's centre, on silicon."""
    half = FIELD_DEG[survey] / 2.0
    east = rng.uniform(-half, half, n)
    north = rng.uniform(-half, half, n)
    if survey == "lsst":
        # the four corner rafts of the 5 x 5 do not take science data
        corner = (np.abs(east) > 0.6 * half) & (np.abs(north) > 0.6 * half)
        east[corner] *= 0.5
    return east, north


def on_camera(
    survey: Survey, east: NDArray[np.float64], north: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """(detector or readout channel, x, y [px]) of offsets from the centre [deg]; -1 where there is none."""
    half = FIELD_DEG[survey] / 2.0
    side = 15 if survey == "lsst" else 8
    # far positions are infinite, and a float that large is no integer
    u = np.clip((east + half) / (2 * half) * side, -1.0, side)
    v = np.clip((north + half) / (2 * half) * side, -1.0, side)
    outside = (u < 0) | (u >= side) | (v < 0) | (v >= side)
    column = np.clip(np.floor(u).astype(np.int64), 0, side - 1)
    row = np.clip(np.floor(v).astype(np.int64), 0, side - 1)
    if survey == "lsst":
        raft_row, raft_column = row // 3, column // 3
        outside |= ((raft_row % 4) == 0) & ((raft_column % 4) == 0)
        # 21 rafts of nine: the corners of the 5 x 5 have no number
        raft = raft_row * 5 + raft_column - 1 - (raft_row > 0) - ((raft_row == 4).astype(np.int64))
        number = raft * 9 + (row % 3) * 3 + column % 3
        size_x, size_y = 4072.0, 4000.0
    else:
        number = (row // 2 * 4 + column // 2) * 4 + (row % 2) * 2 + column % 2
        size_x, size_y = 3072.0, 3080.0
    return np.where(outside, -1, number), (u - column) * size_x, (v - row) * size_y


def offset_position(
    ra: NDArray[np.float64], decl: NDArray[np.float64], east: NDArray[np.float64], north: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions [deg] at offsets [deg] on the tangent plane at (ra, decl)."""
    x, y = np.radians(east), np.radians(north)
    sin_d, cos_d = np.sin(np.radians(decl)), np.cos(np.radians(decl))
    denominator = cos_d - y * sin_d
    new_ra = np.degrees(np.radians(ra) + np.arctan2(x, denominator)) % 360.0
    new_decl = np.degrees(np.arctan2(sin_d + y * cos_d, np.hypot(x, denominator)))
    # a tiny negative angle comes out of % as 360 exactly
    return np.where(new_ra >= 360.0, 0.0, new_ra), new_decl


def offsets_from(
    ra0: NDArray[np.float64], decl0: NDArray[np.float64], ra: NDArray[np.float64], decl: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tangent-plane offsets (east, north) [deg] of positions from centres; far positions come out as infinite."""
    d_ra = np.radians(ra - ra0)
    sin_0, cos_0 = np.sin(np.radians(decl0)), np.cos(np.radians(decl0))
    sin_d, cos_d = np.sin(np.radians(decl)), np.cos(np.radians(decl))
    cos_c = sin_0 * sin_d + cos_0 * cos_d * np.cos(d_ra)
    with np.errstate(divide="ignore", invalid="ignore"):
        east = np.where(cos_c > 0.5, np.degrees(cos_d * np.sin(d_ra) / cos_c), np.inf)
        north = np.where(cos_c > 0.5, np.degrees((cos_0 * sin_d - sin_0 * cos_d * np.cos(d_ra)) / cos_c), np.inf)
    return east, north


def select(visits: Visits, keep: NDArray[Any]) -> Visits:
    """The visits at `keep`, in order."""
    return Visits(*(getattr(visits, name)[keep] for name in Visits.__dataclass_fields__))
