"""Cutouts: a point source, its host and noise, drawn for a block of alerts at once, as FITS files."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lasair.packets.batch import CUTOUT_KINDS, CutoutKind
from lasair.schema.model import Survey
from lasair.simulate.visits import PIXEL_ARCSEC

#: Side of an image [px].
SIDE: dict[Survey, int] = {"lsst": 30, "ztf": 63}
_CARD, _BLOCK = 80, 2880
_PSF_SIDE = 41
#: noise is drawn once and read from different places: no reader can tell, and it costs a copy
_NOISE_SIZE = 1 << 20
#: light in the wide component of the point-spread function, and its width relative to the core's
_WING, _WING_WIDTH = 0.15, 2.2

Images = dict[CutoutKind, NDArray[np.float32]]


@dataclass
class Scenes:
    """What is in each of n cutouts. Fluxes in the image's unit (nJy or DN), lengths in arcsec."""

    #: difference flux and light of the star or nucleus on the template
    flux: NDArray[np.float64]
    star: NDArray[np.float64]
    seeing: NDArray[np.float64]
    #: noise of a pixel of the science image; the template's is a quarter
    pixel_noise: NDArray[np.float64]
    host_flux: NDArray[np.float64]
    #: host relative to the source: east, north
    host_east: NDArray[np.float64]
    host_north: NDArray[np.float64]
    host_size: NDArray[np.float64]
    host_ratio: NDArray[np.float64]
    host_angle: NDArray[np.float64]
    #: length and angle [rad] of a trail, 0 for a point
    dipole: NDArray[np.bool_]
    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    #: random numbers 0 to 1 that place the noise
    lot: NDArray[np.float64]
    #: position angle of the camera [deg]
    angle: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.flux)


class Artist:
    """Draws cutouts of one survey. The noise field comes from `rng`, all else from the scenes."""

    def __init__(self, survey: Survey, rng: np.random.Generator, *, extensions: bool) -> None:
        self.survey = survey
        self.side = SIDE[survey]
        self.extensions = extensions and survey == "lsst"
        self._noise = rng.standard_normal(_NOISE_SIZE, dtype=np.float32)

    def draw(self, scenes: Scenes) -> Images:
        """Three (n, side, side) float32 images."""
        side, scale = self.side, PIXEL_ARCSEC[self.survey]
        centre = (side - 1) / 2.0
        dx = (scenes.x % 1.0 - 0.5)[:, None]
        dy = (scenes.y % 1.0 - 0.5)[:, None]
        pixels = np.arange(side) - centre
        source = _point(pixels - dx, pixels - dy, scenes.seeing / scale)
        flux, star = (values.astype(np.float32)[:, None, None] for values in (scenes.flux, scenes.star))
        difference = source * flux
        if scenes.dipole.any():
            k = np.flatnonzero(scenes.dipole)
            shifted = _point(pixels - dx[k] - 2.0, pixels - dy[k] - 1.0, scenes.seeing[k] / scale)
            difference[k] -= shifted * flux[k] * np.float32(0.9)
        template = source * star
        self._add_hosts(template, scenes, dx, dy, pixels, scale)
        science = template + difference
        noise = scenes.pixel_noise.astype(np.float32)[:, None, None]
        template += self._grain(scenes.lot * 0.5, noise * np.float32(0.25))
        grain = self._grain(scenes.lot * 0.5 + 0.5, noise)
        science += grain
        difference += grain
        return {"difference": difference, "science": science, "template": template}

    def _add_hosts(
        self,
        template: NDArray[np.float32],
        scenes: Scenes,
        dx: NDArray[np.float64],
        dy: NDArray[np.float64],
        pixels: NDArray[np.float64],
        scale: float,
    ) -> None:
        """Exponential discs (Sersic 1963 with n = 1), softened by the seeing."""
        k = np.flatnonzero(np.isfinite(scenes.host_flux) & (scenes.host_flux > 0))
        if not len(k):
            return
        turn = np.radians(scenes.angle[k])
        east, north = scenes.host_east[k] / scale, scenes.host_north[k] / scale
        # east is to the left of north
        column = -east * np.cos(turn) + north * np.sin(turn) + dx[k, 0]
        row = east * np.sin(turn) + north * np.cos(turn) + dy[k, 0]
        u = (pixels[None, None, :] - column[:, None, None]).astype(np.float32)
        v = (pixels[None, :, None] - row[:, None, None]).astype(np.float32)
        cos_a = np.cos(scenes.host_angle[k]).astype(np.float32)[:, None, None]
        sin_a = np.sin(scenes.host_angle[k]).astype(np.float32)[:, None, None]
        major = u * cos_a + v * sin_a
        minor = (v * cos_a - u * sin_a) / scenes.host_ratio[k].astype(np.float32)[:, None, None]
        radius = np.hypot(scenes.host_size[k], 0.5 * scenes.seeing[k]).astype(np.float32)[:, None, None] / np.float32(
            scale
        )
        soft = np.float32(0.5)
        profile = np.exp(np.float32(-1.678) * np.sqrt(major * major + minor * minor + soft) / radius)
        norm = 2 * np.pi * (radius[:, 0, 0] / 1.678) ** 2 * scenes.host_ratio[k]
        template[k] += profile * (scenes.host_flux[k] / norm).astype(np.float32)[:, None, None]

    def _grain(self, lot: NDArray[np.float64], sigma: NDArray[np.float32]) -> NDArray[np.float32]:
        size = self.side * self.side
        starts = (lot * (_NOISE_SIZE - size)).astype(np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(self._noise, size)
        return np.asarray(windows[starts].reshape(-1, self.side, self.side) * sigma, np.float32)

    def files(self, scenes: Scenes) -> list[tuple[bytes, bytes, bytes]]:
        """The three cutouts of each scene as the survey sends them, in the order of CUTOUT_KINDS."""
        images = self.draw(scenes)
        if self.survey == "ztf":
            return self._ztf_files(scenes, images)
        return self._lsst_files(scenes, images)

    def _lsst_files(self, scenes: Scenes, images: Images) -> list[tuple[bytes, bytes, bytes]]:
        n, side = len(scenes), self.side
        size = side * side * 4
        padding = b"\0" * (-size % _BLOCK)
        pixels = {kind: np.ascontiguousarray(image, ">f4").reshape(n, -1) for kind, image in images.items()}
        headers = _lsst_headers(scenes, side)
        tails: dict[CutoutKind, list[bytes]] = {}
        for kind in CUTOUT_KINDS:
            tails[kind] = self._tails(scenes, kind) if self.extensions else [b""] * n
        return [
            _three(header + pixels[kind][i].tobytes() + padding + tails[kind][i] for kind in CUTOUT_KINDS)
            for i, header in enumerate(headers)
        ]

    def _tails(self, scenes: Scenes, kind: CutoutKind) -> list[bytes]:
        """Extensions UNCERT and PSFIMAGE: the same for all alerts of one seeing and noise."""
        made: dict[tuple[float, float], bytes] = {}
        out = []
        share = 0.25 if kind == "template" else 1.0
        for seeing, noise in zip(scenes.seeing.tolist(), (scenes.pixel_noise * share).tolist(), strict=True):
            key = (round(seeing, 2), float(f"{noise:.2g}"))
            if key not in made:
                made[key] = _lsst_extensions(self.side, *key)
            out.append(made[key])
        return out

    def _ztf_files(self, scenes: Scenes, images: Images) -> list[tuple[bytes, bytes, bytes]]:
        n = len(scenes)
        header = _cards(
            [
                ("SIMPLE", "T"),
                ("BITPIX", "-32"),
                ("NAXIS", "2"),
                ("NAXIS1", "63"),
                ("NAXIS2", "63"),
                ("BUNIT", "'DN      '"),
            ]
        )
        # the image's edge may leave the chip: no data there
        edge = np.flatnonzero(scenes.x < self.side / 2)
        for image in images.values():
            for k in edge.tolist():
                image[k, :, : int(self.side / 2 - scenes.x[k])] = np.nan
        padding = b"\0" * (-self.side * self.side * 4 % _BLOCK)
        # eight bits less of noise: files as small as the survey's, and no eye or measurement sees it
        coarse = {
            kind: (image.view(np.uint32) & np.uint32(0xFFFFFF00)).view(np.float32) for kind, image in images.items()
        }
        pixels = {kind: np.ascontiguousarray(image, ">f4").reshape(n, -1) for kind, image in coarse.items()}
        return [
            tuple(gzip_file(header + pixels[kind][i].tobytes() + padding) for kind in CUTOUT_KINDS)  # type: ignore[misc]
            for i in range(n)
        ]


def _point(u: NDArray[np.float64], v: NDArray[np.float64], fwhm_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Point sources of flux 1, (n, side, side): a Gaussian core and wider wings, each a product of rows and columns."""
    sigma = (fwhm_px / 2.3548)[:, None]
    total = np.zeros((len(u), v.shape[1], u.shape[1]), np.float32)
    for weight, width in ((1 - _WING, sigma), (_WING, sigma * _WING_WIDTH)):
        column = np.exp(-0.5 * (u / width) ** 2)
        row = np.exp(-0.5 * (v / width) ** 2) * (weight / (2 * np.pi * width**2))
        total += row.astype(np.float32)[:, :, None] * column.astype(np.float32)[:, None, :]
    return total


def gzip_file(data: bytes) -> bytes:
    """A gzip file. Noise has no repeats to look for: Huffman coding alone is as small, and several times quicker."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31, 9, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(data) + packer.flush()


def _cards(cards: Sequence[tuple[str, str]]) -> bytes:
    """A FITS header of keywords and values (FITS standard 4.0, section 4), padded to a whole number of blocks."""
    text = "".join(
        f"{name:<8}= {value if value.startswith(chr(39)) else value.rjust(20)}".ljust(_CARD) for name, value in cards
    )
    text += "END".ljust(_CARD)
    return text.ljust(-(-len(text) // _BLOCK) * _BLOCK).encode("ascii")


_LSST_CARDS = (
    ("SIMPLE", "T"), ("BITPIX", "-32"), ("NAXIS", "2"), ("NAXIS1", "{side:d}"), ("NAXIS2", "{side:d}"), ("EXTEND", "T"),
    ("CUTMINX", "%20d"), ("CUTMINY", "%20d"), ("ROTPA", "%20.12f"), ("BUNIT", "'nJy     '"), ("WCSAXES", "2"),
    ("CTYPE1", "'RA---TAN'"), ("CTYPE2", "'DEC--TAN'"), ("CUNIT1", "'deg     '"), ("CUNIT2", "'deg     '"),
    ("CRPIX1", "%20.12f"), ("CRPIX2", "%20.12f"), ("PC1_1", "%20.12E"), ("PC1_2", "%20.12E"), ("PC2_1", "%20.12E"),
    ("PC2_2", "%20.12E"), ("CDELT1", "1.0"), ("CDELT2", "1.0"), ("CRVAL1", "%20.12f"), ("CRVAL2", "%20.12f"),
    ("RADESYS", "'ICRS    '"),
)  # fmt: skip


def _lsst_headers(scenes: Scenes, side: int) -> list[bytes]:
    pattern = "".join(
        f"{name:<8}= {value if value[0] in chr(39) + '%' else value.format(side=side).rjust(20)}".ljust(_CARD)
        if value[0] != "%"
        else f"{name:<8}= {value}" + " " * (_CARD - 30)
        for name, value in _LSST_CARDS
    )
    pattern += "END"
    length = -(-(len(_LSST_CARDS) + 1) * _CARD // _BLOCK) * _BLOCK
    scale = PIXEL_ARCSEC["lsst"] / 3600.0
    turn = np.radians(scenes.angle)
    half = (side - 1) / 2.0
    columns = (
        np.floor(scenes.x - half),
        np.floor(scenes.y - half),
        scenes.angle,
        half + 0.5 + scenes.x % 1.0,
        half + 0.5 + scenes.y % 1.0,
        -scale * np.cos(turn),
        scale * np.sin(turn),
        scale * np.sin(turn),
        scale * np.cos(turn),
        scenes.ra,
        scenes.decl,
    )
    return [
        (pattern % values).ljust(length).encode("ascii") for values in zip(*(c.tolist() for c in columns), strict=True)
    ]


def _lsst_extensions(side: int, seeing: float, noise: float) -> bytes:
    """Variance and point-spread function behind the primary image, as LSST's stamps have them."""
    shared = [("PCOUNT", "0"), ("GCOUNT", "1")]
    header = _cards(
        [
            ("XTENSION", "'IMAGE   '"),
            ("BITPIX", "-32"),
            ("NAXIS", "2"),
            ("NAXIS1", str(side)),
            ("NAXIS2", str(side)),
            *shared,
        ]
        + [("UTYPE", "'VarianceUncertainty'"), ("EXTNAME", "'UNCERT  '")]
    )
    variance = np.full((side, side), noise * noise, ">f4").tobytes()
    variance += b"\0" * (-len(variance) % _BLOCK)
    psf_header = _cards(
        [
            ("XTENSION", "'IMAGE   '"),
            ("BITPIX", "-64"),
            ("NAXIS", "2"),
            ("NAXIS1", str(_PSF_SIDE)),
            ("NAXIS2", str(_PSF_SIDE)),
        ]
        + [*shared, ("EXTNAME", "'PSFIMAGE'")]
    )
    pixels = (np.arange(_PSF_SIDE) - _PSF_SIDE // 2)[None, :].astype(np.float64)
    psf = _point(pixels, pixels, np.array([seeing / PIXEL_ARCSEC["lsst"]]))[0].astype(">f8").tobytes()
    return header + variance + psf_header + psf + b"\0" * (-len(psf) % _BLOCK)


def fits_image(pixels: NDArray[np.float32]) -> bytes:
    """A plain FITS file of one square float32 image."""
    side = len(pixels)
    header = _cards(
        [
            ("SIMPLE", "T"),
            ("BITPIX", "-32"),
            ("NAXIS", "2"),
            ("NAXIS1", str(side)),
            ("NAXIS2", str(side)),
            ("BUNIT", "'nJy     '"),
        ]
    )
    body = np.ascontiguousarray(pixels, ">f4").tobytes()
    return header + body + b"\0" * (-len(body) % _BLOCK)
