"""Columns of LSST's records (diaSource, diaForcedSource, diaObject, ssSource, mpc_orbits) from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lasair.simulate import orbits, sky
from lasair.simulate.detect import Pairs, Plan
from lasair.simulate.encode import Columns, Texts
from lasair.simulate.orbits import MoverDetections, Orbits
from lasair.simulate.summaries import summarise
from lasair.simulate.visits import BANDS, PIXEL_ARCSEC, lsst_visit_id, offsets_from
from lasair.sky.galactic import galactic

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: from the start of an exposure to its middle
MID_S = 15.0
#: error of a flux forced on the visit image relative to that of the difference flux, and on the template
SCIENCE_ERR, TEMPLATE_ERR = 1.02, 0.06
_DAY_S = 86_400.0


@dataclass
class Detections:
    """All detections as columns: those of objects, sorted by object and time, then those of movers."""

    #: how many are of objects
    of_objects: int
    source_id: Ints
    visit: Ints
    detector: Ints
    x: Floats
    y: Floats
    ra: Floats
    decl: Floats
    #: error of the position [deg]
    position_err: Floats
    #: difference flux, its error, flux on the template [nJy]
    flux: Floats
    err: Floats
    template: Floats
    #: diaObjectId and ssObjectId, INT_MISSING where there is none
    owner: Ints
    mover_id: Ints
    kind: Ints
    reliability: Floats

    def __len__(self) -> int:
        return len(self.source_id)


def source_columns(plan: Plan, found: Detections, rng: np.random.Generator) -> Columns:
    """Columns of diaSource."""
    visits = plan.visits
    n = len(found)
    flux, err, visit = found.flux, found.err, found.visit
    middle = visits.mjd[visit] + MID_S / _DAY_S
    moment = (visits.seeing[visit] / 2.3548) ** 2
    bogus = found.kind == sky.BOGUS
    dipole = is_dipole(found.kind, np.arange(n))
    pixel = PIXEL_ARCSEC["lsst"] / 3600.0

    def normal(scale: float | Floats = 1.0, mean: float | Floats = 0.0) -> Floats:
        return np.asarray(mean + scale * rng.standard_normal(n), np.float64)

    def rare(chance: float) -> NDArray[np.bool_]:
        return np.asarray(rng.random(n) < chance, np.bool_)

    def of_dipole(values: float | Floats) -> Floats:
        return np.where(dipole, values, np.nan)

    interpolated = rare(0.06) | (bogus & rare(0.2))
    columns: Columns = {
        "diaSourceId": found.source_id,
        "visit": lsst_visit_id(visits)[visit],
        "detector": found.detector,
        "diaObjectId": found.owner,
        "ssObjectId": found.mover_id,
        "midpointMjdTai": middle,
        "exposureTime": 2 * MID_S,
        "ra": found.ra,
        "raErr": found.position_err,
        "dec": found.decl,
        "decErr": 0.97 * found.position_err,
        "ra_dec_Cov": 0.1 * found.position_err**2,
        "x": found.x,
        "xErr": found.position_err / pixel,
        "y": found.y,
        "yErr": found.position_err / pixel,
        "apFlux": normal(1.5 * err, flux),
        "apFluxErr": 1.6 * err,
        "isNegative": flux < 0,
        "snr": np.abs(flux) / err,
        "psfFlux": flux,
        "psfFluxErr": err,
        "psfChi2": normal(60.0, 1700.0),
        "psfNdata": 1681,
        "trailFlux": 1.05 * flux,
        "trailFluxErr": np.abs(normal(1.0, 2.0)),
        "trailRa": found.ra,
        "trailDec": found.decl,
        "trailLength": rng.uniform(0.7, 1.8, n),
        "trailAngle": rng.uniform(-180.0, 180.0, n),
        "trailNdata": 0,
        "trailAlgorithm": 2,
        "dipoleNdata": 0,
        "dipoleMeanFlux": of_dipole(0.95 * flux),
        "dipoleMeanFluxErr": of_dipole(err),
        "dipoleFluxDiff": of_dipole(0.1 * flux),
        "dipoleFluxDiffErr": of_dipole(1.4 * err),
        "dipoleLength": of_dipole(0.45),
        "dipoleAngle": of_dipole(rng.uniform(-180.0, 180.0, n)),
        "dipoleChi2": of_dipole(1700.0),
        "scienceFlux": flux + found.template,
        "scienceFluxErr": SCIENCE_ERR * err,
        "templateFlux": normal(TEMPLATE_ERR * err, found.template),
        "templateFluxErr": TEMPLATE_ERR * err,
        "ixx": moment * np.exp(normal(0.1)),
        "iyy": moment * np.exp(normal(0.1)),
        "ixy": moment * normal(0.05),
        "ixxPSF": moment,
        "iyyPSF": 1.02 * moment,
        "ixyPSF": 0.02 * moment,
        "extendedness": np.clip(normal(0.005, 0.01) + 0.8 * (bogus & rare(0.3)), 0.0, 1.0),
        "reliability": found.reliability,
        "reliabilityVersion": "simulated",
        "band": Texts(BANDS, visits.band[visit]),
        "isDipole": dipole,
        "dipoleFitAttempted": dipole,
        "timeProcessedMjdTai": middle + normal(12.0, 149.0) / _DAY_S,
        "bboxSize": rng.integers(30, 40, n),
        "pixelFlags_interpolated": interpolated,
        "pixelFlags_interpolatedCenter": interpolated & rare(0.3),
        "pixelFlags_saturated": bogus & rare(0.1),
        "pixelFlags_edge": rare(0.005),
    }
    return dict.fromkeys(_FLAGS, False) | columns


_FLAGS = [
    "centroid_flag",
    "apFlux_flag",
    "apFlux_flag_apertureTruncated",
    "psfFlux_flag",
    "psfFlux_flag_edge",
    "psfFlux_flag_noGoodPixels",
    "trail_flag",
    "trail_flag_edge",
    "forced_PsfFlux_flag",
    "forced_PsfFlux_flag_edge",
    "forced_PsfFlux_flag_noGoodPixels",
    "shape_flag",
    "shape_flag_no_pixels",
    "shape_flag_not_contained",
    "shape_flag_parent_source",
    "pixelFlags",
    "pixelFlags_bad",
    "pixelFlags_cr",
    "pixelFlags_crCenter",
    "pixelFlags_nodata",
    "pixelFlags_nodataCenter",
    "pixelFlags_offimage",
    "pixelFlags_saturatedCenter",
    "pixelFlags_suspect",
    "pixelFlags_suspectCenter",
    "pixelFlags_streak",
    "pixelFlags_streakCenter",
    "pixelFlags_injected",
    "pixelFlags_injectedCenter",
    "pixelFlags_injected_template",
    "pixelFlags_injected_templateCenter",
    "glint_trail",
]


def is_dipole(kind: Ints, number: Ints) -> NDArray[np.bool_]:
    """A tenth of the artefacts, by the detection's number."""
    return np.asarray((kind == sky.BOGUS) & (number % 10 == 0), np.bool_)


def forced_columns(
    plan: Plan, pairs: Pairs, which: Ints, object_id: Ints, first_id: int, rng: np.random.Generator
) -> Columns:
    """Columns of diaForcedSource for the pairs `which`; ids count on from `first_id`."""
    visits = plan.visits
    n = len(which)
    obj, visit, err = pairs.obj[which], pairs.visit[which], pairs.err[which]
    middle = visits.mjd[visit] + MID_S / _DAY_S
    # the same pixels measured at the object's mean position instead of the centroid
    flux = pairs.flux[which] + 0.1 * err * rng.standard_normal(n)
    return {
        "diaForcedSourceId": first_id + np.arange(n),
        "diaObjectId": object_id[obj],
        "ra": pairs.objects.ra[obj],
        "dec": pairs.objects.decl[obj],
        "visit": lsst_visit_id(visits)[visit],
        "detector": pairs.detector[which],
        "psfFlux": flux,
        "psfFluxErr": err,
        "midpointMjdTai": middle,
        "scienceFlux": flux + pairs.template[which],
        "scienceFluxErr": SCIENCE_ERR * err,
        "band": Texts(BANDS, visits.band[visit]),
        # made on the day after
        "timeProcessedMjdTai": middle + 1.0 + rng.uniform(0.0, 0.01, n),
    }


def object_columns(plan: Plan, found: Detections, owner: Ints) -> Columns:
    """Columns of diaObject as of each detection of an object, whose number in the sky is `owner`.

    Only the band of the detection has statistics, as in the real stream of early 2026.
    """
    n = found.of_objects
    visits, visit = plan.visits, found.visit[:n]
    middle = visits.mjd[visit] + MID_S / _DAY_S
    flux, err = found.flux[:n], found.err[:n]
    so_far = summarise(
        owner, middle, visits.band[visit], flux, err, flux + found.template[:n], SCIENCE_ERR * err,
        found.ra[:n], found.decl[:n],
    )  # fmt: skip
    columns: Columns = {
        "diaObjectId": found.owner[:n],
        "validityStartMjdTai": middle + 150.0 / _DAY_S,
        "ra": so_far.ra,
        "dec": so_far.decl,
        "raErr": found.position_err[:n] / np.sqrt(so_far.n_sources),
        "decErr": found.position_err[:n] / np.sqrt(so_far.n_sources),
        "ra_dec_Cov": 0.1 * found.position_err[:n] ** 2 / so_far.n_sources,
        "nDiaSources": so_far.n_sources,
    }
    statistics = {
        "psfFluxMean": so_far.mean,
        "psfFluxMeanErr": so_far.mean_err,
        "psfFluxSigma": so_far.sigma,
        "psfFluxMin": so_far.low,
        "psfFluxMax": so_far.high,
        "psfFluxMaxSlope": so_far.max_slope,
        "psfFluxErrMean": so_far.err_mean,
        "scienceFluxMean": so_far.science_mean,
        "scienceFluxMeanErr": so_far.science_mean_err,
    }
    for number, letter in enumerate(BANDS):
        here = visits.band[visit] == number
        columns[f"{letter}_psfFluxNdata"] = np.where(here, so_far.n, 0)
        for name, values in statistics.items():
            columns[f"{letter}_{name}"] = np.where(here, values, np.nan)
    return columns


def ss_columns(found: Detections, movers: MoverDetections, elements: Orbits, names: Sequence[str]) -> Columns:
    """Columns of ssSource: lengths in au, speeds in au/d."""
    n = found.of_objects
    place = movers.ephemeris
    lon, lat = orbits.ecliptic(place.ra, place.decl)
    gal_lon, gal_lat = galactic(place.ra, place.decl)
    east, north = offsets_from(place.ra, place.decl, found.ra[n:], found.decl[n:])
    topo_range = np.linalg.norm(place.topo, axis=1)
    helio_range = np.linalg.norm(place.helio, axis=1)
    motion = np.degrees(np.linalg.norm(np.cross(place.topo, place.topo_v), axis=1) / topo_range**2)
    columns: Columns = {
        "diaSourceId": found.source_id[n:],
        "ssObjectId": found.mover_id[n:],
        "designation": Texts(names, movers.mover),
        "eclLambda": lon,
        "eclBeta": lat,
        "galLon": gal_lon,
        "galLat": gal_lat,
        "elongation": place.elongation,
        "phaseAngle": place.phase_angle,
        "topoRange": topo_range,
        "topoRangeRate": (place.topo * place.topo_v).sum(axis=1) / topo_range,
        "helioRange": helio_range,
        "helioRangeRate": (place.helio * place.helio_v).sum(axis=1) / helio_range,
        "ephRa": place.ra,
        "ephDec": place.decl,
        "ephVmag": elements.h[movers.mover] + place.v_minus_h,
        "ephRate": motion,
        "ephOffset": np.hypot(east, north) * 3600.0,
        "ephOffsetRa": east * 3600.0,
        "ephOffsetDec": north * 3600.0,
        "helio_vtot": np.linalg.norm(place.helio_v, axis=1),
        "topo_vtot": np.linalg.norm(place.topo_v, axis=1),
        "diaDistanceRank": 1,
    }
    for number, axis in enumerate("xyz"):
        columns[f"helio_{axis}"] = place.helio[:, number]
        columns[f"helio_v{axis}"] = place.helio_v[:, number]
        columns[f"topo_{axis}"] = place.topo[:, number]
        columns[f"topo_v{axis}"] = place.topo_v[:, number]
    return columns


def orbit_columns(elements: Orbits, names: Sequence[str], packed: Sequence[str], rng: np.random.Generator) -> Columns:
    """Columns of mpc_orbits; as in the real stream what is not known is 0, and dates are 1970-01-01."""
    n = len(elements)
    covariance = np.abs(rng.normal(0.0, 1e-9, 36))
    texts = [orbits.orbit_document(elements, k, names[k], packed[k], covariance) for k in range(n)]
    motion = np.degrees(orbits.mean_motion(elements))
    mean = np.degrees(elements.mean)
    numbers = np.arange(n)
    columns: Columns = {
        "designation": Texts(names, numbers),
        "packed_primary_provisional_designation": Texts(packed, numbers),
        "unpacked_primary_provisional_designation": Texts(names, numbers),
        "mpc_orb_jsonb": Texts(texts, numbers),
        "orbit_type_int": -1,
        "nopp": 8,
        "arc_length_total": 4500.0,
        "arc_length_sel": 4500.0,
        "nobs_total": 400,
        "nobs_total_sel": 395,
        "a": elements.a,
        "q": elements.a * (1 - elements.e),
        "e": elements.e,
        "i": np.degrees(elements.i),
        "node": np.degrees(elements.node),
        "argperi": np.degrees(elements.peri),
        "peri_time": elements.epoch - mean / motion,
        "mean_anomaly": mean,
        "period": 360.0 / motion,
        "mean_motion": motion,
        "epoch_mjd": elements.epoch,
        "h": elements.h,
        "g": orbits.SLOPE_G,
        "normalized_rms": 0.7,
    }
    for name in _KNOWN_ELEMENTS:
        columns[f"{name}_unc"] = 1e-8
    return dict.fromkeys(_UNFILLED, 0) | columns


_KNOWN_ELEMENTS = ["a", "q", "e", "i", "node", "argperi", "peri_time", "mean_anomaly", "period", "mean_motion"]
_UNFILLED = [
    "id",
    "created_at",
    "updated_at",
    "fitting_datetime",
    "u_param",
    "yarkovsky",
    "srp",
    "a1",
    "a2",
    "a3",
    "dt",
    "yarkovsky_unc",
    "srp_unc",
    "a1_unc",
    "a2_unc",
    "a3_unc",
    "dt_unc",
    "not_normalized_rms",
    "earth_moid",
]
