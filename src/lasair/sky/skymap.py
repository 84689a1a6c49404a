"""Where an event probably was: probability on the sky, from HEALPix cells of any size or from a circle of error."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lasair.catalogues.healpix import MAX_ORDER, declinations
from lasair.catalogues.sky import Sky
from lasair.errors import BadDefinition

#: Square degrees in a steradian.
SQUARE_DEGREES = (180.0 / math.pi) ** 2
#: Smallest circle of error: far below what any instrument can tell, and far above where doubles end.
MIN_RADIUS_DEG = 1e-9
#: Finest flat map, and most cells of a map of cells of any size.
MAX_NSIDE, MAX_CELLS = 4096, 10_000_000


class Localised(NamedTuple):
    """What a localisation says of n positions, (n,) float64 each, NaN for unknown.

    contour : percent; the smallest credible region with the position in it
    probdens2 : probability per square degree
    probdens3 : probability per Mpc^3 at the distance given
    distance : the map's DISTMU there [Mpc]
    """

    contour: NDArray[np.float64]
    probdens2: NDArray[np.float64]
    probdens3: NDArray[np.float64]
    distance: NDArray[np.float64]


class Localisation(Protocol):
    """Something that says how probable positions are."""

    def at(self, ra: ArrayLike, decl: ArrayLike, distance_mpc: ArrayLike | None = None) -> Localised:
        """Probabilities at n positions [deg] and, when given, distances [Mpc]."""

    def area(self, percent: float) -> float:
        """Square degrees within a contour."""

    def declinations(self, percent: float) -> tuple[float, float]:
        """Declinations [deg] between which a contour lies; no narrower than it is."""


class SkyMap:
    """A map of cells that do not overlap; where there is no cell the probability is 0.

    Parameters
    ----------
    order : (k,) HEALPix order of the cells
    cell : (k,) their nested numbers at that order
    density : (k,) probability per steradian; it need not be normalised
    distmu, distsigma, distnorm : (k,) [Mpc, Mpc, Mpc^-2] of Singer et al. 2016 (ApJL 829 L15), or None

    Raises
    ------
    BadDefinition
        A cell lies outside the sky or overlaps another, a probability is negative or not finite, or none is positive.
    """

    def __init__(
        self,
        order: NDArray[np.int64],
        cell: NDArray[np.int64],
        density: NDArray[np.float64],
        distmu: NDArray[np.float64] | None = None,
        distsigma: NDArray[np.float64] | None = None,
        distnorm: NDArray[np.float64] | None = None,
    ) -> None:
        order, cell = np.asarray(order, np.int64), np.asarray(cell, np.int64)
        density = np.asarray(density, np.float64)
        if len(order) and not (order.min() >= 0 and order.max() <= MAX_ORDER):
            raise BadDefinition(f"a cell of the sky map is of an order that is not from 0 to {MAX_ORDER}")
        if ((cell < 0) | (cell >= 12 << (2 * order))).any():
            raise BadDefinition("a cell of the sky map lies outside the sky")
        if not (np.isfinite(density) & (density >= 0)).all():
            raise BadDefinition("a probability of the sky map is negative or no number")
        keep = density > 0
        if not keep.any():
            raise BadDefinition("the sky map has no probability anywhere")
        shift = 2 * (MAX_ORDER - order[keep])
        start = cell[keep] << shift
        by_place = np.argsort(start, kind="stable")
        self._start = start[by_place]
        self._end = self._start + (np.int64(1) << shift[by_place])
        if (self._start[1:] < self._end[:-1]).any():
            raise BadDefinition("two cells of the sky map overlap")
        self._density = density[keep][by_place]
        self._area = np.asarray(math.pi / 3.0 / 4.0 ** order[keep][by_place], np.float64)
        columns = (distmu, distsigma, distnorm)
        self._distances = (
            None if any(one is None for one in columns)
            else tuple(np.asarray(one, np.float64)[keep][by_place] for one in columns)
        )  # fmt: skip
        self._contour = _contours(self._density, self._area)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The cells as columns that `SkyMap` takes: those without probability are left out."""
        order = np.rint(-np.log2(self._area * 3.0 / math.pi) / 2.0).astype(np.int64)
        found: dict[str, NDArray[Any]] = {
            "order": order, "cell": self._start >> (2 * (MAX_ORDER - order)), "density": self._density,
        }  # fmt: skip
        if self._distances is not None:
            found |= dict(zip(("distmu", "distsigma", "distnorm"), self._distances, strict=True))
        return found

    @classmethod
    def from_uniq(
        cls, uniq: NDArray[np.int64], density: NDArray[np.float64], *distances: NDArray[np.float64] | None
    ) -> SkyMap:
        """A multi-order map: UNIQ numbers (cell + 4 nside^2) and probability densities; distances as of `SkyMap`."""
        uniq = np.asarray(uniq, np.int64)
        if len(uniq) > MAX_CELLS:
            raise BadDefinition(f"the sky map has {len(uniq)} cells; at most {MAX_CELLS} are taken")
        if len(uniq) and uniq.min() < 4:
            raise BadDefinition("a UNIQ number of the sky map is less than 4, which is no cell")
        # exact also above 2^53: the exponent of the float may be rounded up, never down
        order = np.floor(np.log2(uniq.astype(np.float64) / 4.0) / 2.0).astype(np.int64)
        order -= (np.int64(4) << (2 * np.clip(order, 0, MAX_ORDER))) > uniq
        return cls(order, uniq - (np.int64(4) << (2 * np.clip(order, 0, MAX_ORDER))), density, *distances)

    @classmethod
    def from_flat(
        cls, probability: NDArray[np.float64], *distances: NDArray[np.float64] | None, nested: bool
    ) -> SkyMap:
        """A map with one probability (not density) a pixel of one size, in ring or nested numbering."""
        nside = math.isqrt(len(probability) // 12)
        if not nside or 12 * nside * nside != len(probability) or nside & (nside - 1):
            raise BadDefinition(
                f"{len(probability)} pixels are no HEALPix map: it needs 12 nside^2, nside a power of two"
            )
        if nside > MAX_NSIDE:
            raise BadDefinition(f"the sky map has NSIDE {nside}; at most {MAX_NSIDE} is taken")
        probability = np.asarray(probability, np.float64)
        order = nside.bit_length() - 1
        # most of a map is empty; what is not a number must be found all the same
        pixel = np.flatnonzero((probability != 0.0) | np.isnan(probability))
        cell = pixel if nested else nested_cells(pixel, order)
        density = probability[pixel] / (math.pi / 3.0 / 4.0**order)
        picked = [None if one is None else np.asarray(one)[pixel] for one in distances]
        return cls(np.full(len(pixel), order, np.int64), cell, density, *picked)

    def __len__(self) -> int:
        return len(self._start)

    def at(self, ra: ArrayLike, decl: ArrayLike, distance_mpc: ArrayLike | None = None) -> Localised:
        """See `Localisation.at`. A position has the values of the cell it lies in; 0 and 100 % where there is none."""
        return self.at_cells(Sky(ra, decl).cells(MAX_ORDER), distance_mpc)

    def at_cells(self, place: NDArray[np.int64], distance_mpc: ArrayLike | None = None) -> Localised:
        """As `at`, of positions by their cells of order 29, (n,): what many maps ask of the same positions."""
        n = len(place)
        at = np.searchsorted(self._start, place, side="right") - 1
        inside = (at >= 0) & (place < self._end[np.maximum(at, 0)])
        at = np.where(inside, at, 0)
        density = np.where(inside, self._density[at], 0.0)
        contour = np.where(inside, self._contour[at], 100.0)
        volume, mean = np.full(n, np.nan), np.full(n, np.nan)
        if self._distances is not None:
            mu, sigma, norm = (np.where(inside, column[at], np.nan) for column in self._distances)
            known = np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0) & np.isfinite(norm) & (norm != 0)
            mean[known] = mu[known]
            if distance_mpc is not None:
                distance = np.broadcast_to(np.asarray(distance_mpc, np.float64), (n,))
                # Singer et al. 2016: p(r) = norm r^2 N(r; mu, sigma) a direction, of which a volume takes r^2 out
                normal = np.exp(-0.5 * ((distance - mu) / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))
                there = known & np.isfinite(distance) & (distance >= 0)
                volume[there] = (density * norm * normal)[there]
        return Localised(contour, density / SQUARE_DEGREES, volume, mean)

    def area(self, percent: float) -> float:
        """Square degrees of the cells within a contour, the one that crosses it left out."""
        return float(self._area[self._contour <= percent].sum() * SQUARE_DEGREES)

    def declinations(self, percent: float) -> tuple[float, float]:
        """See `Localisation.declinations`; all of them where places without a cell count too."""
        if percent >= 100.0:
            return -90.0, 90.0
        inside = self._contour <= percent
        return declinations(self._start[inside], self._end[inside])


class Circle:
    """A position with an error: a Fisher distribution, the sphere's normal one (Fisher 1953, Proc. R. Soc. A 217, 295).

    Parameters
    ----------
    ra, decl : of the centre [deg]
    radius_deg : of the circle that holds the probability `containment` (between 0 and 1); a circle so large that an
        even sky holds more in it is taken as an even sky
    """

    def __init__(self, ra: float, decl: float, radius_deg: float, containment: float) -> None:
        if not (math.isfinite(ra) and -90.0 <= decl <= 90.0):
            raise BadDefinition(f"the localisation's centre ({ra}, {decl}) is no place on the sky")
        if not MIN_RADIUS_DEG <= radius_deg <= 180.0:
            raise BadDefinition(
                f"the localisation's radius of {radius_deg} deg is not between {MIN_RADIUS_DEG} and 180"
            )
        if not 0.0 < containment < 1.0:
            raise BadDefinition(f"the localisation's containment {containment} is not between 0 and 1")
        self.ra, self.decl, self.radius_deg, self.containment = ra, decl, radius_deg, containment
        self._centre = Sky([ra], [decl]).vectors[0]
        self._kappa = _concentration(math.radians(radius_deg), containment)

    def at(self, ra: ArrayLike, decl: ArrayLike, distance_mpc: ArrayLike | None = None) -> Localised:
        """See `Localisation.at`; there is no distance."""
        # 1 - cos(separation) from the chord, which keeps its digits at small separations
        less = ((Sky(ra, decl).vectors - self._centre) ** 2).sum(axis=1) / 2.0
        fall, whole = np.exp(-self._kappa * less), -math.expm1(-2.0 * self._kappa)
        density = self._kappa / (2.0 * math.pi * whole) * fall
        unknown = np.full(len(less), np.nan)
        contour = 100.0 * -np.expm1(-self._kappa * less) / whole
        return Localised(contour, density / SQUARE_DEGREES, unknown, unknown.copy())

    def area(self, percent: float) -> float:
        """Square degrees of the cap that holds so much."""
        return 2.0 * math.pi * self._less(percent) * SQUARE_DEGREES

    def declinations(self, percent: float) -> tuple[float, float]:
        """See `Localisation.declinations`."""
        # 1 - cos r = less, with a little room for rounding
        radius = math.degrees(2.0 * math.asin(math.sqrt(min(self._less(percent) / 2.0, 1.0)))) * (1 + 1e-9) + 1e-9
        return self.decl - radius, self.decl + radius

    def _less(self, percent: float) -> float:
        """1 minus the cosine of the radius of the cap that holds so much."""
        whole = -math.expm1(-2.0 * self._kappa)
        return min(2.0, -math.log1p(-percent / 100.0 * whole) / self._kappa) if percent < 100.0 else 2.0


def _concentration(radius: float, containment: float) -> float:
    """Fisher's kappa for which a cap of a radius [rad] holds a probability."""
    less = 2.0 * math.sin(radius / 2.0) ** 2
    # with so large a spread that the far side of the sphere counts, a root between an even sky and the plain formula
    low, high = 1e-9, max(1e-6, -math.log1p(-containment) / less)
    for _ in range(200):
        middle = math.sqrt(low * high)
        if math.expm1(-middle * less) / math.expm1(-2.0 * middle) < containment:
            low = middle
        else:
            high = middle
    return high


def _contours(density: NDArray[np.float64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each cell 100 times the share of all probability in cells at least as dense, (k,)."""
    order = np.argsort(-density, kind="stable")
    mass = np.cumsum((density * area)[order])
    # cells of one density belong together: each counts up to the last of them
    last = np.searchsorted(-density[order], -density[order], side="right") - 1
    found = np.empty(len(density))
    found[order] = np.minimum(100.0 * mass[last] / mass[-1], 100.0)
    return found


def nested_cells(pixel: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """Nested numbers of ring-numbered pixels (n,), by the place of their centres."""
    ra, decl = _ring_centres(pixel, 1 << order)
    return Sky(ra, decl).cells(order)


def _ring_centres(pixel: NDArray[np.int64], nside: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres [deg] of pixels in ring numbering (Gorski et al. 2005, ApJ 622, 759, section 5)."""
    total, cap = 12 * nside * nside, 2 * nside * (nside - 1)
    south = pixel >= total - cap
    polar = (pixel < cap) | south
    mirrored = np.where(south, total - 1 - pixel, pixel)
    # polar caps: ring i has 4 i pixels
    ring = ((1 + np.sqrt(1.0 + 2.0 * mirrored)) / 2.0).astype(np.int64)
    ring += 2 * ring * (ring + 1) <= mirrored
    ring -= 2 * ring * (ring - 1) > mirrored
    within = mirrored - 2 * ring * (ring - 1)
    within = np.where(south, 4 * ring - 1 - within, within)
    safe = np.maximum(ring, 1)
    z_cap = 1.0 - (ring / nside) ** 2 / 3.0
    phi_cap = (within + 0.5) / safe * 90.0
    belt = pixel - cap
    row, column = belt // (4 * nside) + nside, belt % (4 * nside)
    z_belt = (2 * nside - row) * 2.0 / (3.0 * nside)
    phi_belt = (column + np.where((row - nside) % 2 == 0, 0.5, 0.0)) / nside * 90.0
    z = np.where(polar, np.where(south, -z_cap, z_cap), z_belt)
    return np.where(polar, phi_cap, phi_belt), np.degrees(np.arcsin(np.clip(z, -1.0, 1.0)))
