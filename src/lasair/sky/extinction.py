"""Galactic extinction: band coefficients and the dust map of Schlegel, Finkbeiner & Davis (1998, ApJ 500, 525)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lasair.errors import StoreUnavailable
from lasair.sky.galactic import galactic

BANDS = "ugrizy"

#: A_band / E(B-V) of SFD98 for R_V = 3.1, LSST bands u to y (Schlafly & Finkbeiner 2011, ApJ 737, 103).
COEFFICIENTS: NDArray[np.float64] = np.array([4.145, 3.237, 2.273, 1.684, 1.323, 1.088])


def corrections(ebv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors that undo the extinction of fluxes, (n, 6) for (n,) E(B-V); NaN where that is missing."""
    with np.errstate(over="ignore"):
        return np.asarray(np.power(10.0, 0.4 * ebv[:, None] * COEFFICIENTS))


class DustMap:
    """E(B-V) from the two hemispheres' maps in a folder.

    The files are SFD_dust_4096_ngp.fits and SFD_dust_4096_sgp.fits: Lambert's zenithal equal-area projection, the
    pole in the middle. They are opened at the first look-up and memory-mapped.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maps: dict[int, NDArray[Any]] = {}

    @classmethod
    def open(cls, folder: Path | None) -> DustMap | None:
        """The map in `folder`, or None when no folder is named."""
        return None if folder is None else cls(folder)

    def ebv(self, ra: ArrayLike, decl: ArrayLike) -> NDArray[np.float64]:
        """E(B-V) by bilinear interpolation.

        Parameters
        ----------
        ra, decl : (n,) [deg], J2000

        Returns
        -------
        (n,) float64 [mag], NaN where a coordinate is missing.

        Raises
        ------
        StoreUnavailable
            A map file is missing or no such map.
        """
        lon, lat = galactic(np.atleast_1d(np.asarray(ra, np.float64)), np.atleast_1d(np.asarray(decl, np.float64)))
        out = np.full(lon.shape, np.nan)
        for pole in (1, -1):
            inside = np.flatnonzero(lat >= 0 if pole == 1 else lat < 0)
            if len(inside):
                out[inside] = self._hemisphere(pole, np.radians(lon[inside]), np.radians(lat[inside]))
        return out

    def _hemisphere(self, pole: int, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
        sky = self._map(pole)
        size = sky.shape[0]
        radius = size / 2 * np.sqrt(1.0 - pole * np.sin(lat))
        x = radius * np.cos(lon) + (size - 1) / 2
        y = -pole * radius * np.sin(lon) + (size - 1) / 2
        # the equator's circle touches the border of the map: stay within the four pixels to interpolate
        left = np.clip(np.floor(x), 0, size - 2).astype(np.int64)
        low = np.clip(np.floor(y), 0, size - 2).astype(np.int64)
        right_part, high_part = np.clip(x - left, 0.0, 1.0), np.clip(y - low, 0.0, 1.0)
        bottom = sky[low, left] * (1.0 - right_part) + sky[low, left + 1] * right_part
        top = sky[low + 1, left] * (1.0 - right_part) + sky[low + 1, left + 1] * right_part
        return np.asarray(bottom * (1.0 - high_part) + top * high_part, np.float64)

    def _map(self, pole: int) -> NDArray[Any]:
        if pole not in self._maps:
            self._maps[pole] = _open_map(self._folder / f"SFD_dust_4096_{'ngp' if pole == 1 else 'sgp'}.fits")
        return self._maps[pole]


def without_map(n: int) -> NDArray[np.float64]:
    """E(B-V) where no map is installed: (n,) NaN."""
    return np.full(n, np.nan)


def _open_map(path: Path) -> NDArray[Any]:
    from astropy.io import fits  # takes a third of a second, and only those who installed the map need it

    try:
        with fits.open(path, mode="denywrite", memmap=True) as files:
            sky = files[0].data
    except OSError as err:
        raise StoreUnavailable(
            f"cannot read the dust map {path}: {err}; put both SFD_dust_4096 files there or unset dust_map_dir"
        ) from err
    if sky is None or sky.ndim != 2 or sky.shape[0] != sky.shape[1]:
        raise StoreUnavailable(f"{path} is no SFD dust map: its first image is not square")
    return np.asarray(sky)
