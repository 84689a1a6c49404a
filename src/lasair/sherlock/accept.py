"""Which sources near a position a search takes: by angle, by the size of the source, by physical distance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.sherlock.merge import FACTS, F
from lasair.sherlock.rules import Rules, Search
from lasair.sky.cosmology import kpc_per_arcsec, luminosity_distance_mpc, modulus_mag

#: Why a source is not taken; 0 is taken. The texts are shown by --explain.
REASONS = (
    "taken",
    "outside the radius",
    "outside its size",
    "fainter than 20 mag, or no magnitude, and no spectroscopic distance; or no name",
    "no redshift and no direct distance",
    "too far in kpc",
    "beyond the reach of a direct distance",
    "on the deny list",
)
TAKEN, RADIUS, SIZE, FAINT, NO_DISTANCE, TOO_FAR, DIRECT_REACH, DENIED = range(len(REASONS))
#: The original's rounding of a constant: arcsec in a milliradian.
_ORIGINAL_ARCSEC_PER_MRAD = 206.264806
#: How a match was made; the texts end the name of a search in Sherlock's output.
HOW = ("angular", "angular in size", "physical", "physical in size")


class Verdict(NamedTuple):
    """What a search makes of (k,) candidates."""

    #: indices into REASONS
    reason: NDArray[np.int8]
    #: indices into HOW
    how: NDArray[np.int8]
    #: radius that admitted the match [arcsec]
    reach: NDArray[np.float64]


def stretch(size: NDArray[np.float64], rules: Rules) -> NDArray[np.float64]:
    """Factor on a source's radius within which it may be a host: (k,) diameters [arcsec] -> (k,)."""
    bounds = np.array([bound for bound, _ in rules.stretch[:-1]])
    factors = np.array([factor for _, factor in rules.stretch])
    # a missing size sorts last, and its factor is never used
    return np.asarray(factors[np.searchsorted(bounds, size, side="right")])


def judge(
    search: Search,
    rules: Rules,
    facts: NDArray[np.float64],
    radius: float,
    *,
    magnitude: NDArray[np.float64] | None = None,
    named: NDArray[np.bool_] | None = None,
) -> Verdict:
    """Acceptance of candidates by one search.

    Parameters
    ----------
    facts : (k, len(FACTS)) with separation, size, distances and scales filled in
    radius : of this pass [arcsec]
    magnitude, named : (k,) printed magnitude and whether there is an id, for searches that need them
    """
    k = len(facts)
    sep, size, kpc = facts[:, F["sep"]], facts[:, F["size"]], facts[:, F["kpc"]]
    reason = np.where(sep <= radius, TAKEN, RADIUS).astype(np.int8)
    how = np.zeros(k, np.int8)
    reach = np.full(k, search.radius)
    if search.size or search.kpc is not None:
        sized = np.isfinite(size)
        inside = sized & (sep < stretch(size, rules) * size / 2.0)
    if search.size:
        reason[(reason == TAKEN) & sized & ~inside] = SIZE
        how[inside] = 1
    if search.needs == "ned":
        assert magnitude is not None and named is not None
        spectroscopic = np.isfinite(facts[:, F["z_mpc"]])
        bright = (magnitude < rules.bright_ned_magnitude) | spectroscopic
        reason[(reason == TAKEN) & ~(bright & named)] = FAINT
    if search.kpc is not None:
        direct, redshift = np.isfinite(facts[:, F["dd"]]), np.isfinite(facts[:, F["z"]])
        reason[(reason == TAKEN) & ~direct & ~redshift] = NO_DISTANCE
        left = (reason == TAKEN) & ~inside
        if rules.switches.direct_only:
            far = ~(kpc < search.kpc)
            reason[left & direct & (sep > rules.direct_radius)] = DIRECT_REACH
            by_direct = direct
        else:
            by_direct = direct & (sep <= rules.direct_radius)
            kpc = np.where(by_direct, facts[:, F["dd_scale"]], facts[:, F["z_scale"]]) * sep
            far = ~(kpc < search.kpc)
        reason[left & (reason == TAKEN) & far] = TOO_FAR
        scale = np.where(by_direct, facts[:, F["dd_scale"]], facts[:, F["z_scale"]])
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(inside, rules.stretch[0][1] * size, search.kpc / scale)
        how = np.where(inside, 3, 2).astype(np.int8)
    return Verdict(reason, how, reach)


def decimals(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Digits after the point in the shortest text of numbers, at least 1: (k,) -> (k,)."""
    found = np.full(len(values), 16, np.int64)
    for digits in range(15, 0, -1):
        found[np.round(values, digits) == values] = digits
    return found


def _rounded(values: NDArray[np.float64], digits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each value to its own number of digits, as text would round it."""
    found = values.copy()
    for n in np.unique(digits):
        mine = digits == n
        found[mine] = np.round(values[mine], int(n))
    return found


def fill_distances(facts: NDArray[np.float64], *, rounded: bool) -> None:
    """Fill in distances, scales and moduli from z, pz and dd, and the kpc of each match; in place.

    Only positive redshifts give a distance. `rounded`: with as many decimals as the redshift's text has.
    """
    for z, mpc, scale, modulus in (("z", "z_mpc", "z_scale", "z_modulus"), ("pz", "pz_mpc", "pz_scale", "pz_modulus")):
        at = np.flatnonzero(facts[:, F[z]] > 0)
        if not len(at):
            continue
        redshift = facts[at, F[z]]
        distance = luminosity_distance_mpc(redshift)
        columns = (distance, kpc_per_arcsec(distance, redshift), modulus_mag(distance))
        if rounded:
            columns = (distance, distance / (1.0 + redshift) ** 2 / _ORIGINAL_ARCSEC_PER_MRAD, columns[2])
            digits = decimals(redshift)
            columns = (_rounded(columns[0], digits), _rounded(columns[1], digits), _rounded(columns[2], digits))
        facts[at, F[mpc]], facts[at, F[scale]], facts[at, F[modulus]] = columns
    at = np.flatnonzero(facts[:, F["dd"]] > 0)
    if len(at):
        direct = facts[at, F["dd"]]
        facts[at, F["dd_scale"]] = direct / _ORIGINAL_ARCSEC_PER_MRAD if rounded else kpc_per_arcsec(direct)
        facts[at, F["dd_modulus"]] = modulus_mag(direct)
    best = np.where(np.isfinite(facts[:, F["dd_scale"]]), facts[:, F["dd_scale"]], facts[:, F["z_scale"]])
    facts[:, F["kpc"]] = best * facts[:, F["sep"]]


def empty_facts(k: int) -> NDArray[np.float64]:
    """Facts of k candidates of which nothing is known yet."""
    return np.full((k, len(FACTS)), np.nan)
