"""What is in the sky: objects of each class with positions, hosts and the parameters of their light curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import Survey
from lasair.simulate.visits import Fields, offset_position, place_in_field

#: Classes in the order of their numbers here; the names are those of the truth file.
CLASSES = (
    "rrlyrae", "eclipsing", "mira", "cepheid", "variable", "agn", "sn_ia", "sn_ii", "sn_ibc", "slsn", "cv", "flare",
    "tde", "kilonova", "microlensing", "bogus", "mover",
)  # fmt: skip
(
    RRLYRAE,
    ECLIPSING,
    MIRA,
    CEPHEID,
    VARIABLE,
    AGN,
    SN_IA,
    SN_II,
    SN_IBC,
    SLSN,
    CV,
    FLARE,
    TDE,
    KILONOVA,
    LENS,
    BOGUS,
    MOVER,
) = range(len(CLASSES))
SUPERNOVAE = (SN_IA, SN_II, SN_IBC, SLSN)
#: Classes that sit on a star which the reference image has.
STARS = (RRLYRAE, ECLIPSING, MIRA, CEPHEID, VARIABLE, CV, FLARE, LENS)

#: Shares of the alerts, as the surveys see them; the rest of a survey's sum is left to the variable stars.
SHARES: dict[Survey, dict[int, float]] = {
    "ztf": {
        MOVER: 0.25, BOGUS: 0.15, RRLYRAE: 0.14, ECLIPSING: 0.14, MIRA: 0.03, CEPHEID: 0.02, VARIABLE: 0.15, AGN: 0.06,
        SN_IA: 0.012, SN_II: 0.004, SN_IBC: 0.003, SLSN: 0.001, CV: 0.015, FLARE: 0.005, TDE: 0.001, KILONOVA: 0.0005,
        LENS: 0.001,
    },
    "lsst": {
        MOVER: 0.25, BOGUS: 0.05, RRLYRAE: 0.18, ECLIPSING: 0.18, MIRA: 0.03, CEPHEID: 0.03, VARIABLE: 0.14, AGN: 0.08,
        SN_IA: 0.018, SN_II: 0.007, SN_IBC: 0.004, SLSN: 0.001, CV: 0.012, FLARE: 0.005, TDE: 0.001, KILONOVA: 0.0005,
        LENS: 0.001,
    },
}  # fmt: skip

_SPEED_OF_LIGHT_KM_S = 299_792.458
_HUBBLE = 70.0
#: absolute magnitude at peak in r
_PEAK_MAG = {SN_IA: -19.3, SN_II: -17.0, SN_IBC: -17.6, SLSN: -21.5, TDE: -20.0, KILONOVA: -16.0}


@dataclass
class Objects:
    """Objects that do not move, a row each; parameters that a class does not use are NaN.

    `mag` is the mean magnitude in r of a star or nucleus, or the peak of a transient; `amplitude` is the full range
    of a variable in r [mag], the scatter of a random walk, or the smallest impact parameter of a lens.
    """

    kind: NDArray[np.int64]
    field: NDArray[np.int64]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    mag: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    #: period, recurrence or damping time [d]
    period: NDArray[np.float64]
    #: phase at MJD 0 (periodic) or 0 to 1 of whatever else a class draws
    phase: NDArray[np.float64]
    #: time of peak or of an outburst's start [MJD]
    peak: NDArray[np.float64]
    rise: NDArray[np.float64]
    fall: NDArray[np.float64]
    #: colour temperature [K]
    temperature: NDArray[np.float64]
    redshift: NDArray[np.float64]
    host_ra: NDArray[np.float64]
    host_decl: NDArray[np.float64]
    host_mag: NDArray[np.float64]
    #: half-light radius [arcsec], axis ratio and position angle [rad] of the host
    host_size: NDArray[np.float64]
    host_ratio: NDArray[np.float64]
    host_angle: NDArray[np.float64]
    #: class score of a star/galaxy separation, 1 star
    star_score: NDArray[np.float64]
    #: objects that stand for one place carry the same number here (-1: alone); see faults.py
    twin: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, index: NDArray[Any]) -> Objects:
        """The objects at `index` (mask or positions)."""
        return Objects(**{one.name: getattr(self, one.name)[index] for one in fields(self)})

    @property
    def has_host(self) -> NDArray[np.bool_]:
        """Whether the object lies in or near a galaxy."""
        return np.isfinite(self.host_mag)


def draw_objects(
    survey: Survey,
    n: int,
    where: Fields,
    start: float,
    end: float,
    rng: np.random.Generator,
    *,
    shares: Mapping[int, float] | None = None,
    deep: int = 0,
    deep_share: float = 0.1,
    bright: float = 0.0,
) -> Objects:
    """n objects that stay where they are.

    Parameters
    ----------
    where
        Fields to spread them over: stars by Galactic latitude, exp(-|b| / 20 deg), the others evenly.
    start, end
        MJD between which transients should show.
    shares
        Wanted shares of the alerts by class; movers and bogus are not drawn here.
    deep, deep_share
        The first `deep` fields get this share of the objects (each gives far more alerts).
    bright
        Magnitudes by which all stars and nuclei are brighter than usual, for light curves without gaps.
    """
    wanted = {kind: share for kind, share in (shares or SHARES[survey]).items() if kind not in (MOVER, BOGUS)}
    weights = np.array([share / _YIELD[kind] for kind, share in wanted.items()])
    kind = rng.choice(np.array(list(wanted)), n, p=weights / weights.sum())

    place = np.full(len(where), (1.0 - deep_share) / max(1, len(where) - deep))
    place[:deep] = deep_share / max(1, deep)
    if deep in (0, len(where)):
        place[:] = 1.0
    stars = place * np.exp(-np.abs(where.galactic) / 20.0)
    is_star = np.isin(kind, STARS)
    field = np.where(
        is_star,
        rng.choice(len(where), n, p=stars / stars.sum()),
        rng.choice(len(where), n, p=place / place.sum()),
    )
    east, north = place_in_field(survey, n, rng)
    ra, decl = offset_position(where.ra[field], where.decl[field], east, north)
    limit = 24.0 if survey == "lsst" else 20.6
    return _parameters(kind, field, ra, decl, limit, start, end, rng, bright)


#: alerts of one object relative to one that is detected at every visit, as measured on simulated skies
_YIELD = {
    RRLYRAE: 0.4, ECLIPSING: 0.48, MIRA: 0.9, CEPHEID: 0.55, VARIABLE: 0.6, AGN: 0.8,
    SN_IA: 1.1, SN_II: 1.1, SN_IBC: 0.8, SLSN: 0.6, CV: 0.55, FLARE: 0.08, TDE: 0.8, KILONOVA: 0.3, LENS: 1.5,
}  # fmt: skip


def _parameters(
    kind: NDArray[np.int64],
    field: NDArray[np.int64],
    ra: NDArray[np.float64],
    decl: NDArray[np.float64],
    limit: float,
    start: float,
    end: float,
    rng: np.random.Generator,
    bright: float,
) -> Objects:
    n = len(kind)

    def uniform(low: float, high: float) -> NDArray[np.float64]:
        return rng.uniform(low, high, n)

    def log_uniform(low: float, high: float) -> NDArray[np.float64]:
        return np.exp(rng.uniform(np.log(low), np.log(high), n))

    def pick(values: Mapping[int, NDArray[np.float64]], other: float | NDArray[np.float64]) -> NDArray[np.float64]:
        return np.select([kind == one for one in values], list(values.values()), other)

    supernova = np.isin(kind, SUPERNOVAE)
    explodes = supernova | (kind == TDE) | (kind == KILONOVA)
    brightest = limit - 8.0
    mag = limit - 0.8 - np.minimum(rng.exponential(2.0, n), 6.0) - bright
    # brighter than 24.5 the number of supernovae grows with the volume, 10^(0.6 m), slower at high redshift
    peak_mag = np.maximum(limit - 0.3 + np.log10(rng.uniform(1e-6, 1.0, n)) / 0.4, limit - 6.0) - bright
    mag = np.where(explodes, peak_mag, np.maximum(mag, brightest))
    mag = np.where(kind == CV, np.minimum(uniform(limit - 3.0, limit + 1.0), mag + 3.0), mag)
    mag = np.where(kind == FLARE, uniform(limit - 4.0, limit - 1.0), mag)

    amplitude = pick(
        {
            RRLYRAE: uniform(0.3, 1.2), ECLIPSING: uniform(0.2, 1.0), MIRA: uniform(2.0, 6.0),
            CEPHEID: uniform(0.4, 1.4), VARIABLE: uniform(0.1, 0.3), AGN: uniform(0.1, 0.3), CV: uniform(3.0, 6.0),
            FLARE: uniform(0.5, 3.0),
            LENS: uniform(0.02, 0.6),
        },
        np.nan,
    )  # fmt: skip
    period = pick(
        {
            RRLYRAE: uniform(0.3, 0.9), ECLIPSING: log_uniform(0.2, 10.0), MIRA: uniform(100.0, 500.0),
            CEPHEID: log_uniform(1.0, 50.0), VARIABLE: log_uniform(50.0, 500.0), AGN: log_uniform(200.0, 1000.0),
            CV: uniform(20.0, 100.0), FLARE: log_uniform(0.2, 2.0), LENS: log_uniform(8.0, 60.0),
        },
        np.nan,
    )  # fmt: skip
    rise = pick(
        {
            SN_IA: uniform(3.0, 5.0), SN_II: uniform(3.0, 6.0), SN_IBC: uniform(3.0, 6.0), SLSN: uniform(6.0, 8.0),
            CV: uniform(0.5, 1.5), TDE: uniform(6.0, 12.0), KILONOVA: uniform(0.2, 0.5),
        },
        np.nan,
    )  # fmt: skip
    fall = pick(
        {
            SN_IA: uniform(15.0, 22.0), SN_II: uniform(25.0, 40.0), SN_IBC: uniform(15.0, 25.0),
            SLSN: uniform(30.0, 40.0), CV: uniform(5.0, 15.0), FLARE: uniform(5.0, 30.0) / 1440.0,
            TDE: uniform(25.0, 60.0), KILONOVA: uniform(1.0, 3.0),
        },
        np.nan,
    )  # fmt: skip
    temperature = pick(
        {
            RRLYRAE: uniform(6000.0, 7500.0), MIRA: uniform(2700.0, 3400.0), CEPHEID: uniform(5000.0, 6500.0),
            AGN: uniform(9000.0, 14000.0), CV: uniform(10000.0, 18000.0), FLARE: uniform(3000.0, 3800.0),
            TDE: uniform(15000.0, 30000.0),
        },
        uniform(3800.0, 8000.0),
    )  # fmt: skip

    absolute = pick({one: np.full(n, value) for one, value in _PEAK_MAG.items()}, np.nan) + rng.normal(0.0, 0.3, n)
    redshift = np.where(explodes, redshift_of(mag - absolute), np.nan)
    redshift = np.where(kind == AGN, uniform(0.05, 2.5), redshift)
    rise, fall = rise * (1 + np.nan_to_num(redshift) * explodes), fall * (1 + np.nan_to_num(redshift) * explodes)
    peak = uniform(start - 15.0, end + 5.0)
    peak = np.where((kind == KILONOVA) | (kind == TDE), uniform(start - 1.0, end - 1.0), peak)

    hosted = explodes | (kind == AGN)
    offset = np.where(kind == AGN, 0.0, np.where(kind == TDE, 0.05, 0.3) + rng.exponential(1.5, n)) / 3600.0
    angle = uniform(0.0, 2 * np.pi)
    host_ra, host_decl = offset_position(ra, decl, offset * np.cos(angle), offset * np.sin(angle))
    # galaxies of absolute magnitude -20.5 at the explosion's distance; a nucleus is brighter than its host
    galaxy = np.clip(mag - absolute - 20.5 + rng.normal(0.0, 1.0, n), 13.0, 26.0)
    host_mag = np.where(kind == AGN, mag + uniform(0.0, 1.5), galaxy)
    nothing = np.where(hosted, 0.0, np.nan)
    return Objects(
        kind=kind,
        field=field,
        ra=ra,
        decl=decl,
        mag=mag,
        amplitude=amplitude,
        period=period,
        phase=uniform(0.0, 1.0),
        peak=np.where(explodes | np.isin(kind, (CV, FLARE, LENS)), peak, np.nan),
        rise=rise,
        fall=fall,
        temperature=temperature,
        redshift=redshift,
        host_ra=host_ra + nothing,
        host_decl=host_decl + nothing,
        host_mag=host_mag + nothing,
        host_size=np.clip(rng.lognormal(np.log(1.2), 0.5, n), 0.4, 5.0) + nothing,
        host_ratio=uniform(0.3, 1.0),
        host_angle=uniform(0.0, np.pi),
        star_score=np.where(hosted, rng.beta(1.0, 12.0, n), rng.beta(12.0, 1.0, n)),
        twin=np.full(n, -1, np.int64),
    )


def redshift_of(distance_modulus: NDArray[np.float64]) -> NDArray[np.float64]:
    """Redshift at a distance modulus [mag], flat Lambda-CDM with q0 = -0.55 to second order in z, H0 = 70 km/s/Mpc."""
    x = 10.0 ** (0.2 * (distance_modulus - 25.0)) * _HUBBLE / _SPEED_OF_LIGHT_KM_S
    # d_L H0 / c = z + (1 - q0) / 2 z^2
    a = 0.775
    return np.asarray((np.sqrt(1.0 + 4.0 * a * x) - 1.0) / (2.0 * a), np.float64)


def bogus_objects(survey: Survey, n: int, field: NDArray[np.int64], where: Fields, rng: np.random.Generator) -> Objects:
    """n artefacts at random places of the given fields: each is seen once."""
    east, north = place_in_field(survey, n, rng)
    ra, decl = offset_position(where.ra[field], where.decl[field], east, north)
    made = _parameters(np.full(n, BOGUS), field, ra, decl, 24.0 if survey == "lsst" else 20.6, 0.0, 0.0, rng, 0.0)
    # near stars so bright that their residuals are detected
    made.mag = rng.uniform(14.0, 19.0, n)
    return made


def make_twins(objects: Objects, pairs: int, rng: np.random.Generator) -> Objects:
    """Append a second object within 1 arcsec of `pairs` of the objects, with the same light curve."""
    if not pairs:
        return objects
    index = rng.choice(len(objects), min(pairs, len(objects)), replace=False)
    objects.twin[index] = np.arange(len(index))
    both = objects.take(np.concatenate((np.arange(len(objects)), index)))
    new = np.arange(len(objects), len(both))
    angle = rng.uniform(0.0, 2 * np.pi, len(index))
    both.ra[new], both.decl[new] = offset_position(
        both.ra[new], both.decl[new], 0.4 / 3600.0 * np.cos(angle), 0.4 / 3600.0 * np.sin(angle)
    )
    return both
