"""Cutouts: a point source, its host and noise, drawn for a block of alerts at once, as FITS files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lasair.packets.batch import CutoutKind
from lasair.schema.model import Survey
from lasair.simulate import fits
from lasair.simulate.visits import PIXEL_ARCSEC

#: Side of an image [px].
SIDE: dict[Survey, int] = {"lsst": 30, "ztf": 63}
_PSF_SIDE = 41
#: noise is drawn once and read from different places: no reader can tell, and it costs a copy
_NOISE_SIZE = 1 << 20
#: light in the wide component of the point-spread function, and its width relative to the core's
_WING, _WING_WIDTH = 0.15, 2.2
#: noise of the template relative to that of the science image: it is a mean of many
_TEMPLATE_NOISE = 0.25
#: 100 x 100 and larger are the faults' business
LARGE_SIDE, HUGE_SIDE = 100, 1600

Float64s = NDArray[np.float64]
Float32s = NDArray[np.float32]
Images = dict[CutoutKind, Float32s]
#: files in the order of CUTOUT_KINDS: difference, science, template
Cutouts = tuple[bytes, bytes, bytes]


@dataclass
class Scenes:
    """What is in each of n cutouts, all (n,). Fluxes in the image's unit (nJy or DN), lengths in arcsec."""

    #: difference flux, and light of the star or nucleus on the template
    flux: Float64s
    star: Float64s
    seeing: Float64s
    #: noise of a pixel of the science image
    pixel_noise: Float64s
    #: NaN where there is no host
    host_flux: Float64s
    #: the host's place relative to the source
    host_east: Float64s
    host_north: Float64s
    host_size: Float64s
    host_ratio: Float64s
    host_angle: Float64s
    #: a bad subtraction leaves a negative lobe
    dipole: NDArray[np.bool_]
    ra: Float64s
    decl: Float64s
    #: place on the detector [px]
    x: Float64s
    y: Float64s
    #: random numbers 0 to 1 that place the noise
    lot: Float64s
    #: angle by which the camera is turned [deg]
    angle: Float64s

    def __len__(self) -> int:
        return len(self.flux)


class Artist:
    """Draws cutouts of one survey. The noise comes from `rng`, all else from the scenes."""

    def __init__(self, survey: Survey, rng: np.random.Generator, *, extensions: bool) -> None:
        self.survey = survey
        self.side = SIDE[survey]
        self.scale = PIXEL_ARCSEC[survey]
        self.extensions = extensions
        self._noise = rng.standard_normal(_NOISE_SIZE, dtype=np.float32)
        self._pixels = np.arange(self.side) - (self.side - 1) / 2.0

    def draw(self, scenes: Scenes) -> Images:
        """The three images of each scene, (n, side, side) float32; a source is in the middle to half a pixel."""
        dx = (scenes.x % 1.0 - 0.5)[:, None]
        dy = (scenes.y % 1.0 - 0.5)[:, None]
        source = point_sources(self._pixels - dx, self._pixels - dy, scenes.seeing / self.scale)
        flux, star, noise = (
            np.asarray(values, np.float32)[:, None, None] for values in (scenes.flux, scenes.star, scenes.pixel_noise)
        )
        difference = source * flux
        k = np.flatnonzero(scenes.dipole)
        if len(k):
            lobe = point_sources(self._pixels - dx[k] - 2.0, self._pixels - dy[k] - 1.0, scenes.seeing[k] / self.scale)
            difference[k] -= lobe * flux[k] * np.float32(0.9)
        template = source * star
        self._add_hosts(template, scenes, dx, dy)
        science = template + difference
        template += self._grain(scenes.lot * 0.5) * (noise * np.float32(_TEMPLATE_NOISE))
        # the noise of the difference is that of the science image
        grain = self._grain(scenes.lot * 0.5 + 0.5) * noise
        science += grain
        difference += grain
        return {"difference": difference, "science": science, "template": template}

    def _add_hosts(self, template: Float32s, scenes: Scenes, dx: Float64s, dy: Float64s) -> None:
        """Exponential discs (Sersic 1963 with n = 1), softened by the seeing."""
        k = np.flatnonzero(scenes.host_flux > 0)
        if not len(k):
            return
        turn = np.radians(scenes.angle[k])
        east, north = scenes.host_east[k] / self.scale, scenes.host_north[k] / self.scale
        # east is to the left of north
        column = -east * np.cos(turn) + north * np.sin(turn) + dx[k, 0]
        row = east * np.sin(turn) + north * np.cos(turn) + dy[k, 0]
        u = (self._pixels - column[:, None])[:, None, :].astype(np.float32)
        v = (self._pixels - row[:, None])[:, :, None].astype(np.float32)
        cos_a, sin_a, ratio = (
            np.asarray(values, np.float32)[:, None, None]
            for values in (np.cos(scenes.host_angle[k]), np.sin(scenes.host_angle[k]), scenes.host_ratio[k])
        )
        major = u * cos_a + v * sin_a
        minor = (v * cos_a - u * sin_a) / ratio
        radius = np.hypot(scenes.host_size[k], 0.5 * scenes.seeing[k]) / self.scale
        fall = np.asarray(-1.678 / radius, np.float32)[:, None, None]
        height = scenes.host_flux[k] / (2 * np.pi * (radius / 1.678) ** 2 * scenes.host_ratio[k])
        profile = np.exp(fall * np.sqrt(major * major + minor * minor + np.float32(0.5)))
        template[k] += profile * np.asarray(height, np.float32)[:, None, None]

    def _grain(self, lot: Float64s) -> Float32s:
        size = self.side * self.side
        starts = (lot * (_NOISE_SIZE - size)).astype(np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(self._noise, size)
        return np.asarray(windows[starts].reshape(-1, self.side, self.side), np.float32)

    def files(self, scenes: Scenes) -> list[Cutouts]:
        """The three cutouts of each scene as the survey sends them."""
        images = self.draw(scenes)
        return self._ztf_files(scenes, images) if self.survey == "ztf" else self._lsst_files(scenes, images)

    def _lsst_files(self, scenes: Scenes, images: Images) -> list[Cutouts]:
        n = len(scenes)
        d, s, t = (_flat(images[kind], n) for kind in ("difference", "science", "template"))
        headers = fits.lsst_headers(self.side, scenes.x, scenes.y, scenes.ra, scenes.decl, scenes.angle, self.scale)
        fill = fits.padding(self.side * self.side * 4)
        behind = self._extensions(scenes, 1.0)
        behind_template = self._extensions(scenes, _TEMPLATE_NOISE)
        return [
            (
                b"".join((header, d[i].tobytes(), fill, behind[i])),
                b"".join((header, s[i].tobytes(), fill, behind[i])),
                b"".join((header, t[i].tobytes(), fill, behind_template[i])),
            )
            for i, header in enumerate(headers)
        ]

    def _extensions(self, scenes: Scenes, share: float) -> list[bytes]:
        """UNCERT and PSFIMAGE of each scene, one for all of a like seeing and noise; empty when not wanted."""
        if not self.extensions:
            return [b""] * len(scenes)
        made: dict[tuple[float, float], bytes] = {}
        out = []
        pixels = (np.arange(_PSF_SIDE) - _PSF_SIDE // 2)[None, :].astype(np.float64)
        for seeing, noise in zip(scenes.seeing.tolist(), (scenes.pixel_noise * share).tolist(), strict=True):
            key = (round(seeing, 2), float(f"{noise:.2g}"))
            if key not in made:
                psf = point_sources(pixels, pixels, np.array([key[0] / self.scale]))[0].astype(np.float64)
                variance = np.full((self.side, self.side), key[1] ** 2, np.float32)
                made[key] = fits.lsst_extensions(variance, psf)
            out.append(made[key])
        return out

    def _ztf_files(self, scenes: Scenes, images: Images) -> list[Cutouts]:
        n = len(scenes)
        # an image may reach over the chip's edge: no data there
        for k in np.flatnonzero(scenes.x < self.side / 2).tolist():
            for image in images.values():
                image[k, :, : int(self.side / 2 - scenes.x[k])] = np.nan
        header = fits.image_header(self.side, "DN")
        fill = fits.padding(self.side * self.side * 4)
        d, s, t = (_flat(_coarse(images[kind]), n) for kind in ("difference", "science", "template"))

        def file(pixels: NDArray[np.float32]) -> bytes:
            return fits.gzipped(b"".join((header, pixels.tobytes(), fill)))

        return [(file(d[i]), file(s[i]), file(t[i])) for i in range(n)]


def _flat(image: Float32s, n: int) -> Float32s:
    return np.ascontiguousarray(image, ">f4").reshape(n, -1)


def _coarse(image: Float32s) -> Float32s:
    """The image with eight bits less of noise: files as small as the survey's, and no measurement sees it."""
    return (image.view(np.uint32) & np.uint32(0xFFFFFF00)).view(np.float32)


def point_sources(u: Float64s, v: Float64s, fwhm_px: Float64s) -> Float32s:
    """Point sources of flux 1: a Gaussian core and wider wings, each a product of a row and a column.

    Parameters
    ----------
    u, v : (n, side) or (1, side) [px]
        Columns and rows relative to each source.
    fwhm_px : (n,) [px]
        Full width at half maximum of the core.

    Returns
    -------
    (n, side, side) float32
    """
    sigma = (fwhm_px / 2.3548)[:, None]
    total = np.zeros((len(fwhm_px), v.shape[1], u.shape[1]), np.float32)
    for weight, width in ((1 - _WING, sigma), (_WING, sigma * _WING_WIDTH)):
        column = np.exp(-0.5 * (u / width) ** 2)
        row = np.exp(-0.5 * (v / width) ** 2) * (weight / (2 * np.pi * width**2))
        total += row.astype(np.float32)[:, :, None] * column.astype(np.float32)[:, None, :]
    return total


def spoiled_cutout(name: str, unit: str, rng: np.random.Generator) -> bytes:
    """A difference image as the fault of that name wants it (plain, not gzipped)."""
    sides = {"huge_cutout": HUGE_SIDE, "large_cutout": LARGE_SIDE}
    if name in sides:
        return fits.image(rng.standard_normal((sides[name], sides[name]), np.float32), unit)
    return b"SIMPLX" + rng.bytes(2874) if name == "broken_cutout" else b""
