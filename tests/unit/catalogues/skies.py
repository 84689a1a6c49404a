"""Made-up rows and what a plain search finds among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.build import build
from lasair.catalogues.release import Release

ARCSEC = np.pi / 180 / 3600

#: Places where cells are odd: poles, RA 0, corners of base cells, edges of the caps.
ODD_PLACES = (
    (0.0, 90.0),
    (123.0, -90.0),
    (0.0, 0.0),
    (45.0, 0.0),
    (0.0, 41.8103149),
    (90.0, 41.8103149),
    (45.0, 41.8103149),
    (180.0, -41.8103149),
    (45.0, 66.4435),
    (90.0, 75.0),
    (270.0, -75.0),
    (359.99999, 12.0),
    (22.5, 19.4712206),
)


def random_sky(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions over the whole sky [deg]."""
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def near(
    rng: np.random.Generator, ra: Any, decl: Any, radius_arcsec: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A position in the disc about each, evenly spread; exact at the poles, too."""
    centre = vectors(ra, decl)
    n = len(centre)
    any_way = rng.normal(size=(n, 3))
    side = np.cross(centre, any_way)
    side /= np.linalg.norm(side, axis=1)[:, None]
    angle = (radius_arcsec * ARCSEC * np.sqrt(rng.uniform(0, 1, n)))[:, None]
    v = centre * np.cos(angle) + side * np.sin(angle)
    return np.degrees(np.arctan2(v[:, 1], v[:, 0])) % 360, np.degrees(np.arctan2(v[:, 2], np.hypot(v[:, 0], v[:, 1])))


def about(
    rng: np.random.Generator, place: tuple[float, float], n: int, radius_arcsec: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`n` positions in the disc about one place."""
    return near(rng, np.full(n, place[0]), np.full(n, place[1]), radius_arcsec)


def vectors(ra: Any, decl: Any) -> NDArray[np.float64]:
    """Unit vectors (n, 3)."""
    a, d = np.radians(np.atleast_1d(ra)), np.radians(np.atleast_1d(decl))
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def separations(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Separation of each vector of (n, 3) from each of (m, 3), (n, m) [arcsec]."""
    chord = np.linalg.norm(a[:, None, :] - b[None, :, :], axis=-1)
    return np.asarray(2 * np.arcsin(np.minimum(chord / 2, 1.0)) / ARCSEC)


def release(path: Path, *chunks: dict[str, Any], **more: Any) -> Release:
    """Build and open a release of a few rows."""
    given: dict[str, Any] = {
        "name": "stars",
        "title": "Stars",
        "version": "1",
        "views": [],
        "about": {"licence": "CC0"},
        "coverage": "all-sky",
    }
    build(path, chunks, **(given | more))
    return Release.open(path)
