"""Fluxes: what each object gives at each visit, as difference and as total, all pairs of (object, visit) at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from lasair.simulate import sky
from lasair.simulate.sky import Objects
from lasair.simulate.visits import WAVELENGTH_NM

Floats = NDArray[np.float64]

#: AB zero point of fluxes in nJy.
ZERO_POINT = 31.4
_R = 2
#: Planck's h c / k in nm K
_HC_K = 1.438777e7


class Fluxes(NamedTuple):
    """Model fluxes [nJy] of pairs: visit minus template, and the template's."""

    difference: Floats
    template: Floats


def flux_of(mag: Floats) -> Floats:
    """Flux [nJy] of an AB magnitude."""
    return np.asarray(10.0 ** (0.4 * (ZERO_POINT - mag)), np.float64)


def mag_of(flux: Floats) -> Floats:
    """AB magnitude of a flux [nJy]; NaN where it is not positive."""
    return np.asarray(ZERO_POINT - 2.5 * np.log10(np.where(flux > 0, flux, np.nan)), np.float64)


def colour(band: NDArray[np.int64], temperature: Floats) -> Floats:
    """Flux density of a black body in the band, relative to r."""
    wave = WAVELENGTH_NM[band]

    def planck(nm: Any) -> Any:
        return nm**-3.0 / np.expm1(np.minimum(_HC_K / (nm * temperature), 600.0))

    return np.asarray(planck(wave) / planck(WAVELENGTH_NM[_R]), np.float64)


def model(
    objects: Objects, obj: NDArray[np.int64], mjd: Floats, band: NDArray[np.int64], rng: np.random.Generator
) -> Fluxes:
    """Fluxes of pairs.

    Parameters
    ----------
    objects
        The objects.
    obj : (n,) int64, ascending
        Object of each pair.
    mjd : (n,) [d], ascending within an object
    band : (n,) int64
        Number of the band, 0 to 5 for ugrizy.
    """
    difference = np.zeros(len(obj))
    template = np.zeros(len(obj))
    kinds = objects.kind[obj]
    for kind in np.unique(kinds).tolist():
        here = np.flatnonzero(kinds == kind)
        part = _Part(objects, obj[here], mjd[here], band[here], rng)
        difference[here], template[here] = _MODELS[kind](part)
    return Fluxes(difference, template)


class _Part:
    """The pairs of one class: parameters gathered to pairs."""

    def __init__(
        self, objects: Objects, obj: NDArray[np.int64], mjd: Floats, band: NDArray[np.int64], rng: np.random.Generator
    ) -> None:
        self.objects = objects
        self.obj, self.mjd, self.band, self.rng = obj, mjd, band, rng
        self.wave = WAVELENGTH_NM[band] / WAVELENGTH_NM[_R]
        self.since = mjd - objects.peak[obj]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objects, name)[self.obj]

    def static(self) -> Floats:
        """Flux of the star in the band."""
        return flux_of(self.mag) * colour(self.band, self.temperature)

    def cycle(self) -> Floats:
        """Phase, 0 to 1."""
        return np.asarray((self.mjd / self.period + self.phase) % 1.0, np.float64)


_Model = tuple[Floats, Floats]


def _variable(part: _Part, delta_mag: Floats, template_offset: Floats | float = 0.0) -> _Model:
    """A star that varies by delta_mag against a template taken at another brightness."""
    static = part.static()
    template = static * 10.0 ** (-0.4 * np.asarray(template_offset))
    return static * 10.0 ** (-0.4 * delta_mag) - template, template


def _bluer(part: _Part, power: float) -> Floats:
    """Amplitude in the band relative to r: pulsating stars and nuclei vary more in the blue."""
    return np.asarray(part.wave**-power, np.float64)


def _sawtooth(part: _Part, power: float) -> _Model:
    cycle = part.cycle()
    # four terms of a saw tooth's Fourier series: a quick rise and a slow fall of full range 1
    shape = np.zeros(len(cycle))
    for k in range(1, 5):
        shape += np.sin(2 * np.pi * k * cycle) / (k * np.pi) * 0.8
    return _variable(part, part.amplitude * _bluer(part, power) * shape)


def _rrlyrae(part: _Part) -> _Model:
    return _sawtooth(part, 0.8)


def _cepheid(part: _Part) -> _Model:
    return _sawtooth(part, 0.6)


def _eclipsing(part: _Part) -> _Model:
    cycle = part.cycle()
    width = 0.04 + 0.06 * part.phase
    primary = np.exp(-0.5 * (np.minimum(cycle, 1 - cycle) / width) ** 2)
    secondary = np.exp(-0.5 * ((cycle - 0.5) / width) ** 2)
    ellipsoidal = 0.15 * (1 + np.cos(4 * np.pi * cycle))
    return _variable(part, part.amplitude * (primary + 0.6 * secondary + ellipsoidal), part.amplitude * 0.25)


def _mira(part: _Part) -> _Model:
    return _variable(part, 0.5 * part.amplitude * _bluer(part, 1.0) * np.sin(2 * np.pi * part.cycle()))


@numba.njit(cache=True, nogil=True)
def _walk(obj, mjd, tau, normals, out):  # type: ignore[no-untyped-def]
    """Ornstein-Uhlenbeck process of unit variance, exact between any two times (Kelly et al. 2009, ApJ 698, 895)."""
    for k in range(obj.shape[0]):
        if k == 0 or obj[k] != obj[k - 1]:
            out[k] = normals[k]
        else:
            kept = np.exp(-(mjd[k] - mjd[k - 1]) / tau[k])
            out[k] = kept * out[k - 1] + np.sqrt(max(0.0, 1.0 - kept * kept)) * normals[k]


def _random_walk(part: _Part) -> _Model:
    walk = np.empty(len(part.obj))
    _walk(part.obj, part.mjd, part.period, part.rng.normal(size=len(part.obj)), walk)
    # the template was taken at another time of the same walk
    offset = part.rng.normal(size=len(part.objects))[part.obj]
    scale = part.amplitude * _bluer(part, 0.5)
    return _variable(part, scale * walk, scale * offset)


def _bazin(part: _Part) -> Floats:
    """Rise and fall of peak 1 (Bazin et al. 2009, A&A 499, 653); type II holds a plateau of 80 d before it drops."""
    plateau = part.kind == sky.SN_II
    rise, fall = part.rise, np.where(plateau, 4.0 * part.fall, part.fall)
    # time of the maximum of exp(-t/fall) / (1 + exp(-t/rise))
    at = rise * np.log(np.maximum(fall / rise - 1.0, 1e-3))
    t = part.since + at
    curve = _gentle_exp(-t / fall) / (1.0 + _gentle_exp(-t / rise))
    curve = np.where(plateau, curve / (1.0 + _gentle_exp((part.since - 80.0) / 5.0)), curve)
    top = np.exp(-at / fall) / (1.0 + np.exp(-at / rise))
    return np.asarray(curve / top, np.float64)


def _gentle_exp(exponent: Floats) -> Floats:
    """exp without overflow: years from the peak nothing is left anyway."""
    return np.asarray(np.exp(np.clip(exponent, -300.0, 300.0)), np.float64)


def _host_light(part: _Part) -> Floats:
    """The host's light under the point source, as the forced flux on the template sees it."""
    return np.asarray(np.nan_to_num(flux_of(part.host_mag)) * 0.05 * colour(part.band, np.full(len(part.obj), 5500.0)))


def _supernova(part: _Part) -> _Model:
    cooling = 5000.0 + 7000.0 * np.exp(-np.clip(part.since + 15.0, 0.0, None) / 20.0)
    return flux_of(part.mag) * _bazin(part) * colour(part.band, cooling), _host_light(part)


def _outburst(part: _Part) -> _Model:
    since = part.since % part.period
    shape = np.where(since < part.rise, since / part.rise, np.exp(-(since - part.rise) / part.fall))
    quiet = part.static()
    return quiet * (10.0 ** (0.4 * part.amplitude * shape) - 1.0), quiet


def _flare(part: _Part) -> _Model:
    since = part.since % part.period
    hot = colour(part.band, np.full(len(part.obj), 10_000.0))
    # bright in the blue on a red star
    return flux_of(part.mag) * part.amplitude * hot * np.exp(-since / part.fall), part.static()


def _disruption(part: _Part) -> _Model:
    t = part.since / part.fall
    falling = (1.0 + np.clip(t, 0.0, None)) ** (-5.0 / 3.0)
    shape = np.where(part.since < 0, np.exp(-0.5 * (part.since / part.rise) ** 2), falling)
    return flux_of(part.mag) * shape * colour(part.band, part.temperature), _host_light(part)


def _kilonova(part: _Part) -> _Model:
    t = np.clip(part.since, 0.0, None)
    cooling = 2500.0 + 9000.0 * np.exp(-t)
    shape = np.where(part.since < -part.rise, 0.0, np.exp(-t / part.fall))
    return flux_of(part.mag) * shape * colour(part.band, cooling), _host_light(part)


def _lens(part: _Part) -> _Model:
    """Paczynski 1986, ApJ 304, 1: magnification of a point lens."""
    u = np.hypot(part.amplitude, part.since / part.period)
    static = part.static()
    return static * ((u * u + 2.0) / (u * np.sqrt(u * u + 4.0)) - 1.0), static


def _artefact(part: _Part) -> _Model:
    # its flux follows the noise of its one visit: see detect.py
    return np.zeros(len(part.obj)), part.static()


_MODELS = {
    sky.RRLYRAE: _rrlyrae, sky.ECLIPSING: _eclipsing, sky.MIRA: _mira, sky.CEPHEID: _cepheid,
    sky.VARIABLE: _random_walk, sky.AGN: _random_walk,
    sky.SN_IA: _supernova, sky.SN_II: _supernova, sky.SN_IBC: _supernova, sky.SLSN: _supernova,
    sky.CV: _outburst, sky.FLARE: _flare, sky.TDE: _disruption, sky.KILONOVA: _kilonova, sky.LENS: _lens,
    sky.BOGUS: _artefact,
}  # fmt: skip


def noise(depth: Floats, total: Floats) -> Floats:
    """Standard error of a difference flux [nJy]: the visit's 5-sigma depth, and 1% of the total flux in quadrature."""
    return np.asarray(np.hypot(flux_of(depth) / 5.0, 0.01 * np.abs(total)), np.float64)
