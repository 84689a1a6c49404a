"""FITS files written by hand (FITS standard 4.0, sections 3 and 4): thousands a second, which no library does."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

_CARD, _BLOCK = 80, 2880
#: LSST's cards; those with % are filled in image by image
_LSST_CARDS = (
    ("SIMPLE", "T"), ("BITPIX", "-32"), ("NAXIS", "2"), ("NAXIS1", "{side}"), ("NAXIS2", "{side}"), ("EXTEND", "T"),
    ("CUTMINX", "%20d"), ("CUTMINY", "%20d"), ("ROTPA", "%20.12f"), ("BUNIT", "'nJy     '"), ("WCSAXES", "2"),
    ("CTYPE1", "'RA---TAN'"), ("CTYPE2", "'DEC--TAN'"), ("CUNIT1", "'deg     '"), ("CUNIT2", "'deg     '"),
    ("CRPIX1", "%20.12f"), ("CRPIX2", "%20.12f"), ("PC1_1", "%20.12E"), ("PC1_2", "%20.12E"), ("PC2_1", "%20.12E"),
    ("PC2_2", "%20.12E"), ("CDELT1", "1.0"), ("CDELT2", "1.0"), ("CRVAL1", "%20.12f"), ("CRVAL2", "%20.12f"),
    ("RADESYS", "'ICRS    '"),
)  # fmt: skip


def _card(name: str, value: str) -> str:
    if value.startswith("%"):
        # what comes for the % is 20 characters wide
        return f"{name:<8}= {value}".ljust(_CARD - 20 + len(value))
    return f"{name:<8}= {value if value.startswith(chr(39)) else value.rjust(20)}".ljust(_CARD)


def header(*cards: tuple[str, str]) -> bytes:
    """A header of keywords and values (texts with their quotes), filled up to whole blocks."""
    text = "".join(_card(*card) for card in cards) + "END"
    return text.ljust(-(-len(text) // _BLOCK) * _BLOCK).encode("ascii")


def data(pixels: NDArray[np.float32] | NDArray[np.float64]) -> bytes:
    """Pixels as they stand in a file, filled up to whole blocks."""
    body = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).tobytes()
    return body + padding(len(body))


def padding(size: int) -> bytes:
    """The zeros that fill `size` bytes up to whole blocks."""
    return b"\0" * (-size % _BLOCK)


def image_header(side: int, unit: str) -> bytes:
    """The header of a square float32 image without coordinates."""
    shape = (("NAXIS", "2"), ("NAXIS1", str(side)), ("NAXIS2", str(side)))
    return header(("SIMPLE", "T"), ("BITPIX", "-32"), *shape, ("BUNIT", f"'{unit:<8}'"))


def image(pixels: NDArray[np.float32], unit: str) -> bytes:
    """A file of one square float32 image."""
    return image_header(len(pixels), unit) + data(pixels)


def gzipped(plain: bytes) -> bytes:
    """A gzip file. Noise has no repeats to look for: Huffman coding alone is as small, and several times quicker."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31, 9, zlib.Z_HUFFMAN_ONLY)
    return packer.compress(plain) + packer.flush()


def lsst_headers(
    side: int,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    ra: NDArray[np.float64],
    decl: NDArray[np.float64],
    angle: NDArray[np.float64],
    pixel_arcsec: float,
) -> list[bytes]:
    """Headers of primary images of nJy with a tangent-plane WCS.

    Parameters
    ----------
    x, y : (n,) [px]
        Place of the source on the detector; the images' middle pixels are the ones it falls into.
    ra, decl : (n,) [deg]
        The source.
    angle : (n,) [deg]
        Angle by which the camera is turned.
    """
    pattern = "".join(_card(name, value.format(side=side)) for name, value in _LSST_CARDS) + "END"
    length = -(-(_CARD * (len(_LSST_CARDS) + 1)) // _BLOCK) * _BLOCK
    scale = pixel_arcsec / 3600.0
    turn = np.radians(angle)
    half = (side - 1) / 2.0
    columns = (
        np.floor(x - half),
        np.floor(y - half),
        angle,
        half + 0.5 + x % 1.0,
        half + 0.5 + y % 1.0,
        -scale * np.cos(turn),
        scale * np.sin(turn),
        scale * np.sin(turn),
        scale * np.cos(turn),
        ra,
        decl,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(pattern % row).ljust(length).encode("ascii") for row in rows]


def lsst_extensions(variance: NDArray[np.float32], psf: NDArray[np.float64]) -> bytes:
    """What follows the primary image in LSST's cutouts: UNCERT (variance) and PSFIMAGE."""

    def extension(pixels: NDArray[np.float32] | NDArray[np.float64], bits: str, *more: tuple[str, str]) -> bytes:
        shape = (("NAXIS", "2"), ("NAXIS1", str(pixels.shape[1])), ("NAXIS2", str(pixels.shape[0])))
        counts = (("PCOUNT", "0"), ("GCOUNT", "1"))
        return header(("XTENSION", "'IMAGE   '"), ("BITPIX", bits), *shape, *counts, *more) + data(pixels)

    uncertainty = extension(variance, "-32", ("UTYPE", "'VarianceUncertainty'"), ("EXTNAME", "'UNCERT  '"))
    return uncertainty + extension(psf, "-64", ("EXTNAME", "'PSFIMAGE'"))
