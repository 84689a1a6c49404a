"""A made-up sky: stars, galaxies and quasars with realistic densities, of which synthetic catalogues are samples.

Every source is a function of (seed, population, tile, number in the tile) through a hash, so that any part of the sky
can be made alone, in any order and in bounded memory, and all catalogues see the same sources at the same places.
Sources of a tile are numbered from bright to faint: a shallow catalogue has the first ones of a deeper one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lasair.catalogues.healpix import centre
from lasair.sky.separation import ARCSEC_PER_RADIAN

#: Tiles are HEALPix cells (nested) 14 arcmin wide.
TILE_ORDER = 8
TILES = 12 * 4**TILE_ORDER
#: A tile that reaches into a field belongs to it: half of its diagonal [deg], rounded up.
_TILE_REACH = 0.2
#: Positions are centres of cells of this order, 0.003 mas wide.
_PLACE_ORDER = 26

#: J2000 equatorial -> Galactic (Liu, Zhu & Zhang 2011, A&A 526, A16).
_TO_GALACTIC = np.array(
    [
        [-0.054875539390, -0.873437104725, -0.483834991775],
        [0.494109453633, -0.444829594298, 0.746982248696],
        [-0.867666135681, -0.198076389622, 0.455983794523],
    ]
)


class Field(NamedTuple):
    """A disc that is filled at the density of the real catalogues."""

    ra: float
    decl: float
    radius_deg: float


class Population(NamedTuple):
    """One kind of sources."""

    name: str
    #: of the real sky down to the depth of the deepest catalogue
    rows: float
    #: part of them that lie about a brighter one of the same tile, and how far [arcsec]
    clumped: float = 0.0
    clump_arcsec: float = 0.0
    #: kept when the sky is thinned, as long as there is room: too few to be thinned like the others
    rare: bool = False


POPULATIONS = {
    one.name: one
    for one in (
        Population("stars", 3.2e9),
        Population("galaxies", 4.0e9, 0.25, 45.0),
        Population("nearby", 1.65e6, 0.15, 90.0, rare=True),
        Population("quasars", 1.2e7, rare=True),
        Population("binaries", 2.5e3, rare=True),
    )
}
_SALTS = {name: 1 + i for i, name in enumerate(POPULATIONS)}


class Sources(NamedTuple):
    """Some sources of a population; columns are made of `key` with `uniform` and `normal`."""

    population: Population
    #: (k,) tile, number within it, hash
    tile: NDArray[np.int64]
    number: NDArray[np.int64]
    key: NDArray[np.uint64]
    #: (k,) part of the population that is brighter, 0 to 1 at the depth of the deepest catalogue
    rank: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.tile)

    def take(self, which: NDArray[np.bool_]) -> Sources:
        """Some of them."""
        return Sources(self.population, self.tile[which], self.number[which], self.key[which], self.rank[which])

    def uniform(self, what: int) -> NDArray[np.float64]:
        """A number in (0, 1) for each source, (k,); another for every `what`."""
        return _uniform(self.key, what)  # type: ignore[no-any-return]

    def normal(self, what: int) -> NDArray[np.float64]:
        """A normal deviate for each source, (k,)."""
        return _normal(self.key, what)  # type: ignore[no-any-return]


class Universe:
    """The made-up sky of a seed.

    Parameters
    ----------
    seed : another one, another sky
    fields : places that are not thinned
    """

    def __init__(self, seed: int, fields: Sequence[Field] = ()) -> None:
        self.seed, self.fields = np.uint64(seed), tuple(fields)
        self.vectors = tile_vectors()
        self._levels: dict[str, NDArray[np.float64]] = {}
        self.in_field = np.zeros(TILES, np.bool_)
        for field in fields:
            ra, decl = math.radians(field.ra), math.radians(field.decl)
            to = np.array([math.cos(decl) * math.cos(ra), math.cos(decl) * math.sin(ra), math.sin(decl)])
            self.in_field |= self.vectors @ to > math.cos(math.radians(field.radius_deg + _TILE_REACH))
        weights = {
            "stars": stellar_weight(self.vectors),
            "galaxies": galaxy_weight(self.vectors, self.seed, 0.45),
            "nearby": galaxy_weight(self.vectors, self.seed, 0.9),
            "quasars": galaxy_weight(self.vectors, self.seed, 0.0),
        }
        weights["binaries"] = np.sqrt(weights["stars"])
        #: population -> (TILES,) how many sources the real sky has in each tile
        self.density = {name: POPULATIONS[name].rows / w.sum() * w for name, w in weights.items()}

    def counts(self, population: str, share: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many sources of each tile a catalogue has that sees the brightest `share` (TILES,) of them."""
        expected = self.density[population] * share
        return np.asarray(np.floor(expected + self._level(population)), np.int64)

    def _level(self, population: str) -> NDArray[np.float64]:
        """What is added before rounding down, (TILES,): one for all catalogues, so that they nest."""
        if population not in self._levels:
            keys = _key_of(self.seed, _SALTS[population], np.arange(TILES), np.full(TILES, -1))
            self._levels[population] = _uniform(keys, 0)
        return self._levels[population]

    def sources(
        self, population: str, tiles: NDArray[np.int64], counts: NDArray[np.int64], kept: NDArray[np.float64]
    ) -> Sources:
        """The first `counts` (t,) sources of tiles (t,), of which the part `kept` (t,) is left by thinning."""
        tile = np.repeat(tiles, counts)
        first = np.cumsum(counts) - counts
        number = np.arange(len(tile)) - np.repeat(first, counts)
        key = _key_of(self.seed, _SALTS[population], tile, number)
        there = np.repeat(self.density[population][tiles] * kept, counts)
        # a catalogue has a source exactly if its rank is no higher than the catalogue's share, however few there are
        rank = (number + 1.0 - np.repeat(self._level(population)[tiles], counts)) / np.maximum(there, 1e-9)
        return Sources(POPULATIONS[population], tile, number, key, np.clip(rank, 1e-10, 2.0))

    def places(
        self,
        sources: Sources,
        *,
        survey: int,
        error_arcsec: float,
        years: float = 0.0,
        motion: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where a survey sees sources: right ascension and declination, two (k,) [deg].

        Parameters
        ----------
        survey : gives every survey errors of its own
        error_arcsec : of the survey in each coordinate
        years : after the epoch of the universe (2016.0)
        motion : (k,) east and north [mas/yr]
        """
        n = len(sources)
        east, north = motion if motion is not None else (np.zeros(n), np.zeros(n))
        shift = years / 1e3 / ARCSEC_PER_RADIAN
        return _places(  # type: ignore[no-any-return]
            self.seed,
            _SALTS[sources.population.name],
            sources.tile,
            sources.number,
            sources.key,
            sources.population.clumped,
            sources.population.clump_arcsec / ARCSEC_PER_RADIAN,
            survey,
            error_arcsec / ARCSEC_PER_RADIAN,
            east * shift,
            north * shift,
        )


@cache
def tile_vectors() -> NDArray[np.float64]:
    """Unit vectors of the centres of all tiles, (TILES, 3)."""
    return _centres(TILE_ORDER)  # type: ignore[no-any-return]


@cache
def _tile_galactic() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    vectors = tile_vectors() @ _TO_GALACTIC.T
    return np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])), np.degrees(np.arcsin(np.clip(vectors[:, 2], -1, 1)))


def galactic_latitude() -> NDArray[np.float64]:
    """Of the centres of all tiles, (TILES,) [deg]."""
    return _tile_galactic()[1]


def tile_degrees() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension and declination of the centres of all tiles, two (TILES,) [deg]."""
    x, y, z = tile_vectors().T
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(np.clip(z, -1, 1)))


def stellar_weight(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stars per tile relative to each other: halo, thick and thin disc, bulge, dust lane, Magellanic Clouds.

    Sums of exponentials in Galactic latitude and longitude, scaled to what Gaia DR3 counts: 3,000 to 4,000 deg^-2 at
    the poles, some 10^5 in the plane, up to 10^6 towards the bulge.
    """
    longitude, latitude = _tile_galactic()
    off = np.abs(latitude)
    inner = 0.5 * (1.0 + np.cos(np.radians(longitude)))
    halo = 0.045 + 0.07 * inner * np.exp(-off / 35.0)
    disc = 0.55 * np.exp(-off / 14.0) + (1.2 + 3.5 * inner**2) * np.exp(-off / 5.0)
    bulge = 22.0 * np.exp(-0.5 * ((longitude / 8.0) ** 2 + (latitude / 4.5) ** 2))
    dust = 1.0 - 0.75 * np.exp(-((latitude / 1.3) ** 2)) * np.exp(-((longitude / 60.0) ** 2))
    clouds = np.zeros(len(vectors))
    for ra, decl, height, width in ((80.9, -69.75, 9.0, 2.2), (13.2, -72.8, 4.0, 1.1)):
        alpha, delta = math.radians(ra), math.radians(decl)
        to = np.array([math.cos(delta) * math.cos(alpha), math.cos(delta) * math.sin(alpha), math.sin(delta)])
        away = np.degrees(np.arccos(np.clip(vectors @ to, -1.0, 1.0)))
        clouds += height * np.exp(-0.5 * (away / width) ** 2)
    return np.asarray((halo + disc + bulge) * dust + clouds)


def galaxy_weight(vectors: NDArray[np.float64], seed: np.uint64, scatter: float) -> NDArray[np.float64]:
    """Galaxies per tile relative to each other: fewer behind the dust of the plane, and lognormal structure."""
    latitude = np.radians(np.maximum(np.abs(galactic_latitude()), 1.0))
    behind = np.exp(-0.12 * (1.0 / np.sin(latitude) - 1.0))
    structure = np.zeros(TILES)
    orders = range(4, TILE_ORDER + 1)
    for order in orders:
        cells = np.arange(12 * 4**order)
        values = _normal(_key_of(seed, 100 + order, cells, np.zeros(len(cells), np.int64)), 1)
        structure += np.repeat(values, 4 ** (TILE_ORDER - order))
    return np.asarray(behind * np.exp(scatter * structure / math.sqrt(len(orders))))


# --------------------------------------------------------------------------------------------------- compiled


@njit(cache=True, nogil=True)
def _mix(x):  # type: ignore[no-untyped-def]
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    x = np.uint64(x)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True)
def _key(seed, salt, tile, number):  # type: ignore[no-untyped-def]
    step = np.uint64(0x9E3779B97F4A7C15)
    x = _mix(np.uint64(seed) + np.uint64(salt + 1) * step)
    x = _mix(x + np.uint64(tile + 1) * step)
    return _mix(x + np.uint64(number + 2) * step)


@njit(cache=True, nogil=True)
def _key_of(seed, salt, tile, number):  # type: ignore[no-untyped-def]
    out = np.empty(len(tile), np.uint64)
    for i in range(len(tile)):
        out[i] = _key(seed, salt, tile[i], number[i])
    return out


@njit(cache=True, nogil=True)
def _one(key, what):  # type: ignore[no-untyped-def]
    x = _mix(key + np.uint64(what + 1) * np.uint64(0x9E3779B97F4A7C15))
    return (np.float64(x >> np.uint64(12)) + 0.5) * 2.0**-52


@njit(cache=True, nogil=True)
def _gauss(key, what):  # type: ignore[no-untyped-def]
    return math.sqrt(-2.0 * math.log(_one(key, 2 * what + 1000))) * math.cos(2.0 * math.pi * _one(key, 2 * what + 1001))


@njit(cache=True, nogil=True)
def _uniform(key, what):  # type: ignore[no-untyped-def]
    out = np.empty(len(key))
    for i in range(len(key)):
        out[i] = _one(key[i], what)
    return out


@njit(cache=True, nogil=True)
def _normal(key, what):  # type: ignore[no-untyped-def]
    out = np.empty(len(key))
    for i in range(len(key)):
        out[i] = _gauss(key[i], what)
    return out


@njit(cache=True, nogil=True)
def _places(seed, salt, tile, number, key, clumped, clump, survey, error, east, north):  # type: ignore[no-untyped-def]
    n = len(tile)
    ra, decl = np.empty(n), np.empty(n)
    bits = 2 * (_PLACE_ORDER - TILE_ORDER)
    for i in range(n):
        where, de, dn = key[i], east[i], north[i]
        if number[i] > 0 and _one(key[i], 1) < clumped:
            # about a brighter source, whose own place is the one it has without clumps
            parent = np.int64(_one(key[i], 2) * number[i])
            where = _key(seed, salt, tile[i], parent)
            away, angle = -clump * math.log(_one(key[i], 3)), 2.0 * math.pi * _one(key[i], 4)
            de += away * math.cos(angle)
            dn += away * math.sin(angle)
        de += error * _gauss(key[i], 10 + 2 * survey)
        dn += error * _gauss(key[i], 11 + 2 * survey)
        low = np.int64(_mix(where + np.uint64(77)) & np.uint64((1 << bits) - 1))
        z, c, cos_ra, sin_ra = centre((np.int64(tile[i]) << bits) | low, _PLACE_ORDER)
        x = c * cos_ra - de * sin_ra - dn * z * cos_ra
        y = c * sin_ra + de * cos_ra - dn * z * sin_ra
        z = z + dn * c
        alpha = math.degrees(math.atan2(y, x))
        ra[i] = alpha + 360.0 if alpha < 0.0 else alpha
        if ra[i] >= 360.0:
            ra[i] = 0.0
        decl[i] = math.degrees(math.atan2(z, math.sqrt(x * x + y * y)))
    return ra, decl


@njit(cache=True, nogil=True)
def _centres(order):  # type: ignore[no-untyped-def]
    out = np.empty((12 * 4**order, 3))
    for cell in range(len(out)):
        z, c, cos_ra, sin_ra = centre(cell, order)
        out[cell, 0], out[cell, 1], out[cell, 2] = c * cos_ra, c * sin_ra, z
    return out


@njit(cache=True, nogil=True)
def designations(ra, decl, prefix, dots):  # type: ignore[no-untyped-def]
    """Names made of positions: (k,) twice [deg], bytes before -> (k, w) letters HHMMSS.ss+DDMMSS.s, or without dots."""
    n, start = len(ra), len(prefix)
    out = np.empty((n, start + (18 if dots else 16)), np.uint8)
    for i in range(n):
        out[i, :start] = prefix
        k = start
        hundredths = np.int64(ra[i] / 15.0 * 360000.0) % 8640000
        tenths = np.int64(abs(decl[i]) * 36000.0)
        for turn in range(2):
            if turn == 1:
                out[i, k] = 45 if decl[i] < 0.0 else 43
                k += 1
            scale = 100 if turn == 0 else 10
            value = hundredths if turn == 0 else tenths
            whole = value // scale
            for part in (whole // 3600, whole // 60 % 60, whole % 60):
                out[i, k], out[i, k + 1] = 48 + part // 10, 48 + part % 10
                k += 2
            if dots:
                out[i, k] = 46
                k += 1
            if turn == 0:
                out[i, k] = 48 + value % 100 // 10
                k += 1
            out[i, k] = 48 + value % 10
            k += 1
    return out
