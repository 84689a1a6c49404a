"""Columns of ZTF's records (candidate, prv_candidates, fp_hists) from what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import INT_MISSING
from lasair.simulate import lightcurves, sky
from lasair.simulate.detect import Pairs, Plan
from lasair.simulate.encode import Columns, Texts, take
from lasair.simulate.sky import Objects
from lasair.simulate.visits import PIXEL_ARCSEC, offset_position, offsets_from, yyyymmdd, ztf_night_id

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: what the survey writes for "none", in candidates and in forced photometry
NONE, FAILED = -999.0, -99999.0
_BANDS_OF_PS1 = (("g", 1), ("r", 2), ("i", 3), ("z", 4))
_SIZE_X, _SIZE_Y = 3072.0, 3080.0


@dataclass
class Neighbours:
    """What the reference image has nearest to each object: star, host, or something unrelated far off."""

    arcsec: Floats
    ra: Floats
    decl: Floats
    #: in r, and the temperature that gives the colours
    mag: Floats
    temperature: Floats
    star_score: Floats
    #: PS1 has it
    in_ps1: NDArray[np.bool_]


def neighbours(objects: Objects, rng: np.random.Generator) -> Neighbours:
    """Draw the neighbours of objects."""
    n = len(objects)
    star = np.isin(objects.kind, sky.STARS)
    hosted = objects.has_host & ((objects.host_mag < 22.5) | (objects.kind == sky.AGN))
    direction = rng.uniform(0.0, 2 * np.pi, n)
    arcsec = np.where(star, np.abs(rng.normal(0.0, 0.25, n)), rng.uniform(3.0, 20.0, n))
    offsets = offsets_from(objects.ra, objects.decl, objects.host_ra, objects.host_decl)
    east, north = (np.where(hosted, one, 0.0) for one in offsets)
    arcsec = np.where(hosted, np.hypot(east, north) * 3600.0 + np.abs(rng.normal(0.0, 0.1, n)), arcsec)
    direction = np.where(hosted, np.arctan2(north, east), direction)
    ra, decl = offset_position(
        objects.ra, objects.decl, arcsec / 3600.0 * np.cos(direction), arcsec / 3600.0 * np.sin(direction)
    )
    other = rng.uniform(18.0, 22.0, n)
    return Neighbours(
        arcsec=arcsec,
        ra=np.round(ra, 7),
        decl=np.round(decl, 7),
        mag=np.where(star, objects.mag, np.where(hosted, np.clip(objects.host_mag, 12.0, 22.4), other)),
        temperature=np.where(hosted, 5500.0, objects.temperature),
        star_score=np.where(star | hosted, objects.star_score, rng.beta(0.5, 0.5, n)),
        in_ps1=star | hosted | (rng.random(n) < 0.7),
    )


def mag_in(near: Neighbours, obj: Ints, band: Ints) -> Floats:
    """Magnitude of objects' neighbours in a band."""
    return np.asarray(near.mag[obj] - 2.5 * np.log10(lightcurves.colour(band, near.temperature[obj])), np.float64)


def reference_id(plan: Plan, pairs: Pairs, which: Ints) -> Ints:
    """Numbers of the reference images of pairs."""
    visit = pairs.visit[which]
    field = plan.fields.number[plan.visits.field[visit]]
    return np.asarray(field * 10**6 + plan.visits.band[visit] * 10**5 + 20_000 + pairs.detector[which], np.int64)


def _image_names(plan: Plan, pairs: Pairs, jd: Floats) -> Texts:
    images, which = np.unique(pairs.visit * 64 + pairs.detector, return_inverse=True)
    visit, channel = np.divmod(images, 64)
    visits = plan.visits
    date = yyyymmdd(visits.day[visit])
    fraction = np.floor((jd[visit] + 0.5) % 1.0 * 1e6).astype(np.int64)
    field = plan.fields.number[visits.field[visit]]
    columns = (date, fraction, field, visits.band[visit], channel // 4 + 1, channel % 4 + 1)
    names = [
        f"ztf_{day}{part:06d}_{number:06d}_z{'ugrizy'[band]}_c{ccd:02d}_o_q{quadrant}_scimrefdiffimg.fits"
        for day, part, number, band, ccd, quadrant in zip(*(one.tolist() for one in columns), strict=True)
    ]
    return Texts(names, which.reshape(-1).astype(np.int64))


def row_columns(
    plan: Plan,
    pairs: Pairs,
    near: Neighbours,
    *,
    jd: Floats,
    pid: Ints,
    candid: Ints,
    ra: Floats,
    decl: Floats,
    zero_point: Floats,
    rng: np.random.Generator,
) -> Columns:
    """Columns that candidate and prv_candidates share, a row a pair; those of upper limits are mostly missing.

    Parameters
    ----------
    jd, zero_point : (visits,)
    pid, candid, ra, decl : (pairs,)
    """
    visits, visit, obj = plan.visits, pairs.visit, pairs.obj
    n, hit = len(pairs), pairs.detected
    band, depth = visits.band[visit], visits.depth[visit]
    bogus = pairs.objects.kind[obj] == sky.BOGUS

    def shown(values: Floats | float) -> Floats:
        return np.where(hit, values, np.nan)

    def counted(values: Ints) -> Ints:
        return np.where(hit, values, INT_MISSING)

    def normal(scale: float = 1.0, mean: float = 0.0) -> Floats:
        return np.asarray(mean + scale * rng.standard_normal(n), np.float64)

    mag = lightcurves.mag_of(np.abs(pairs.flux))
    sigma = 1.0857 / pairs.snr
    magnr = mag_in(near, obj, band)
    fwhm = visits.seeing[visit] * np.exp(normal(0.1)) / PIXEL_ARCSEC["ztf"] * np.where(bogus, 0.7, 1.0)
    elong = 1.0 + np.abs(normal(0.12)) + np.where(bogus, np.abs(normal(0.4)), 0.0)
    minor = fwhm / 2.3548
    columns: Columns = {
        "jd": jd[visit],
        "fid": band,  # g, r, i are 1, 2, 3 both here and there
        "pid": pid,
        "diffmaglim": depth,
        "pdiffimfilename": _image_names(plan, pairs, jd),
        "programpi": "Kulkarni",
        "programid": 1,
        "candid": candid,
        "isdiffpos": Texts(("t", "f"), np.where(hit, (pairs.flux < 0).astype(np.int64), -1)),
        "tblid": counted(candid % 10_000 + 1),
        "nid": ztf_night_id(visits)[visit],
        "rcid": pairs.detector,
        "field": plan.fields.number[visits.field[visit]],
        "xpos": pairs.x,
        "ypos": pairs.y,
        "ra": ra,
        "dec": decl,
        "magpsf": mag,
        "sigmapsf": sigma,
        "chipsf": np.exp(normal(0.5, 0.5)),
        "magap": mag + normal(0.08),
        "sigmagap": 1.3 * sigma,
        "distnr": near.arcsec[obj] / PIXEL_ARCSEC["ztf"],
        "magnr": magnr,
        "sigmagnr": 0.01 + 0.1 * 10 ** (0.3 * (magnr - 21.0)),
        "chinr": np.exp(normal(0.3)),
        "sharpnr": normal(0.1),
        "sky": normal(1.0),
        "magdiff": np.clip(normal(0.05), -0.3, 0.3) + np.where(bogus, normal(0.2), 0.0),
        "fwhm": fwhm,
        "classtar": np.where(bogus, rng.uniform(0.0, 1.0, n), rng.beta(20.0, 1.0, n)),
        "mindtoedge": np.minimum.reduce((pairs.x, pairs.y, _SIZE_X - pairs.x, _SIZE_Y - pairs.y)),
        "magfromlim": depth - mag,
        "seeratio": np.where(bogus, 2.0, 0.9 + np.abs(normal(0.1))),
        "aimage": minor * elong,
        "bimage": minor,
        "aimagerat": 0.45 * elong,
        "bimagerat": np.full(n, 0.45),
        "elong": elong,
        "nneg": counted(np.where(bogus, 6, rng.poisson(1.0, n))),
        "nbad": counted(np.where(bogus, rng.poisson(0.5, n), 0)),
        "rb": pairs.score,
        "sumrat": np.where(bogus, rng.uniform(0.3, 1.0, n), rng.beta(50.0, 1.0, n)),
        "magapbig": mag + normal(0.1),
        "sigmagapbig": 1.6 * sigma,
        "ranr": near.ra[obj],
        "decnr": near.decl[obj],
        "scorr": pairs.snr,
    }
    of_image = ("jd", "diffmaglim")
    for name, column in columns.items():
        if isinstance(column, np.ndarray) and column.dtype.kind == "f" and name not in of_image:
            columns[name] = shown(column)
    return columns | {
        "magzpsci": zero_point[visit],
        "magzpsciunc": 1e-5,
        "magzpscirms": 0.03,
        "clrcoeff": np.where(band == 1, -0.03, 0.08),
        "clrcounc": 1.5e-5,
        "rbversion": "t17_f5_c3",
    }


def forced_columns(
    plan: Plan, pairs: Pairs, near: Neighbours, rows: Columns, which: Ints, zero_point: Floats, rng: np.random.Generator
) -> Columns:
    """Columns of fp_hists for the pairs `which`."""
    n = len(which)
    visits, visit, obj = plan.visits, pairs.visit[which], pairs.obj[which]
    counts = 10.0 ** (-0.4 * (lightcurves.ZERO_POINT - zero_point[visit]))
    # observed in public packets: 54% good, 3% usable with a warning, the rest failed
    lot = rng.random(n)
    status = np.select([lot < 0.54, lot < 0.57, lot < 0.58], [0, 1, 2], 3)
    failed = status >= 2
    # a third of the good rows have no reference source
    lost = failed | (rng.random(n) < 0.33)
    flux = pairs.flux[which] + 0.1 * pairs.err[which] * rng.standard_normal(n)
    return take(rows, which) | {
        "rfid": reference_id(plan, pairs, which),
        "sciinpseeing": visits.seeing[visit],
        "scibckgnd": 250.0,
        "scisigpix": np.exp(rng.normal(np.log(10.0), 0.1, n)),
        "exptime": 30.0,
        "adpctdif1": 0.06,
        "adpctdif2": 0.06,
        "forcediffimflux": np.where(failed, FAILED, flux * counts),
        "forcediffimfluxunc": np.where(failed, FAILED, pairs.err[which] * counts),
        "procstatus": Texts(("0", "56", "55", "61"), status),
        "distnr": np.where(lost, FAILED, near.arcsec[obj] / PIXEL_ARCSEC["ztf"]),
        "ranr": np.where(lost, FAILED, near.ra[obj]),
        "decnr": np.where(lost, FAILED, near.decl[obj]),
        "magnr": np.where(lost, FAILED, mag_in(near, obj, visits.band[visit])),
        "sigmagnr": np.where(lost, FAILED, 0.02),
        "chinr": np.where(lost, FAILED, 0.7),
        "sharpnr": np.where(lost, FAILED, 0.0),
    }


def candidate_columns(
    plan: Plan,
    pairs: Pairs,
    near: Neighbours,
    rows: Columns,
    at: Ints,
    *,
    jd: Floats,
    zero_point: Floats,
    mover_names: Texts,
    rng: np.random.Generator,
) -> Columns:
    """Columns of candidate for the detections at the pairs `at`.

    Parameters
    ----------
    jd, zero_point : (visits,)
    mover_names
        Name of the known mover at each alert, a missing text where there is none.
    """
    n = len(at)
    objects, obj, visit = pairs.objects, pairs.obj[at], pairs.visit[at]
    mover = mover_names.which >= 0
    # what the survey saw before this simulation began
    old = np.isin(objects.kind, (*sky.STARS, sky.AGN))
    old_detections = np.where(old, rng.integers(5, 400, len(objects)), 0)
    old_visits = old_detections + rng.integers(200, 1500, len(objects))
    first_jd = np.full(len(objects), np.inf)
    np.minimum.at(first_jd, pairs.obj[pairs.detected], jd[pairs.visit[pairs.detected]])
    first_jd = np.where(old, 2458200.5 + rng.uniform(0.0, 300.0, len(objects)), first_jd)
    starts = pairs.starts()[obj]
    before = np.append(0, np.cumsum(pairs.detected))
    score = pairs.score[at]

    def known(values: Floats, where: NDArray[np.bool_]) -> Floats:
        return np.where(where, values, NONE)

    columns: Columns = take(rows, at) | {
        "ssdistnr": known(np.minimum(np.abs(rng.normal(0.0, 0.8, n)), 4.0), mover),
        "ssmagnr": known(objects.mag[obj] + 0.2, mover),
        "ssnamenr": Texts((*mover_names.values, "null"), np.where(mover, mover_names.which, len(mover_names.values))),
        "ndethist": old_detections[obj] + before[at + 1] - before[starts],
        "ncovhist": old_visits[obj] + at - starts + 1,
        "jdstarthist": first_jd[obj],
        "jdendhist": jd[visit],
        "tooflag": 0,
        "nmtchps": rng.integers(1, 20, n),
        "rfid": reference_id(plan, pairs, at),
        "jdstartref": 2458246.8556,
        "jdendref": 2458643.8146,
        "nframesref": 15,
        "dsnrms": np.abs(rng.normal(8.0, 3.0, n)),
        "ssnrms": np.abs(rng.normal(18.0, 5.0, n)),
        "dsdiff": rng.normal(-10.0, 5.0, n),
        "nmatches": rng.integers(300, 2000, n),
        "zpclrcov": -8e-5,
        "zpmed": zero_point[visit],
        "clrmed": 0.7,
        "clrrms": 0.15,
        "neargaia": np.abs(rng.normal(5.0, 4.0, n)),
        "neargaiabright": rng.uniform(10.0, 85.0, n),
        "maggaia": rng.uniform(15.0, 20.5, n),
        "maggaiabright": rng.uniform(11.0, 14.0, n),
        "exptime": 30.0,
        "drb": np.where(score > 0.5, score**0.2, score**2),
        "drbversion": "d6_m7",
    }
    for rank in (1, 2, 3):
        there = near.in_ps1[obj] & ((rng.random(n) < 0.9) | (rank == 1))
        nearest = rank == 1
        arcsec = (
            np.abs(near.arcsec[obj] + rng.normal(0.0, 0.05, n)) if nearest else rng.uniform(5.0, 15.0, n) * (rank - 1)
        )
        red = rng.uniform(17.0, 22.0, n)
        columns[f"objectidps{rank}"] = np.where(there, rng.integers(7 * 10**16, 19 * 10**16, n), INT_MISSING)
        columns[f"sgscore{rank}"] = known(near.star_score[obj] if nearest else rng.beta(0.5, 0.5, n), there)
        columns[f"distpsnr{rank}"] = known(arcsec, there)
        for letter, band in _BANDS_OF_PS1:
            mag = mag_in(near, obj, np.full(n, band)) if nearest else red - 0.3 * (band - 2)
            columns[f"s{letter}mag{rank}"] = known(mag, there & (rng.random(n) < 0.97))
    return columns
