"""The sky on paper: all of it as an ellipse, or a small field as it looks; right ascension grows to the left."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Projection(Protocol):
    """Positions to places on paper and back."""

    def forward(self, ra: ArrayLike, decl: ArrayLike) -> tuple[Floats, Floats]:
        """Places (x, y) of positions [deg]; NaN where a position cannot be shown."""

    def inverse(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Positions [deg] of places; NaN where a place is not on the sky."""


class Mollweide:
    """The whole sky, areas kept: an ellipse from x = -2 to 2 and y = -1 to 1.

    Parameters
    ----------
    middle : right ascension in the middle [deg]
    """

    #: parametric latitude by declination: the declination is a simple function of it, the inverse is not
    _THETA = np.linspace(-np.pi / 2, np.pi / 2, 20_001)
    _DECL = np.degrees(np.arcsin(np.clip((2.0 * _THETA + np.sin(2.0 * _THETA)) / np.pi, -1.0, 1.0)))

    def __init__(self, middle: float = 180.0) -> None:
        self.middle = middle

    def forward(self, ra: ArrayLike, decl: ArrayLike) -> tuple[Floats, Floats]:
        """See `Projection.forward`. A right ascension opposite the middle comes out at the left edge."""
        east = np.mod(np.asarray(ra, np.float64) - self.middle - 180.0, 360.0) - 180.0
        east = np.where(east == -180.0, 180.0, east)
        theta = np.interp(np.asarray(decl, np.float64), self._DECL, self._THETA)
        return -east / 90.0 * np.cos(theta), np.sin(theta)

    def inverse(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """See `Projection.inverse`."""
        right, up = np.asarray(x, np.float64), np.asarray(y, np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            theta = np.arcsin(up)
            decl = np.degrees(np.arcsin((2.0 * theta + np.sin(2.0 * theta)) / np.pi))
            east = -90.0 * right / np.cos(theta)
            good = np.abs(east) <= 180.0
        return np.where(good, np.mod(east + self.middle, 360.0), np.nan), np.where(good, decl, np.nan)


class Gnomonic:
    """A field on the plane that touches the sky in its middle: x to the west and y to the north of it [deg].

    Parameters
    ----------
    ra, decl : of the middle [deg]
    """

    def __init__(self, ra: float, decl: float) -> None:
        self.ra, self.decl = ra, decl
        self._sin, self._cos = np.sin(np.radians(decl)), np.cos(np.radians(decl))

    def forward(self, ra: ArrayLike, decl: ArrayLike) -> tuple[Floats, Floats]:
        """See `Projection.forward`. What is 85 degrees or more from the middle cannot be shown."""
        alpha = np.radians(np.asarray(ra, np.float64) - self.ra)
        delta = np.radians(np.asarray(decl, np.float64))
        sine, cosine = np.sin(delta), np.cos(delta)
        depth = self._sin * sine + self._cos * cosine * np.cos(alpha)
        depth = np.where(depth > np.cos(np.radians(85.0)), depth, np.nan)
        x = -cosine * np.sin(alpha) / depth
        y = (self._cos * sine - self._sin * cosine * np.cos(alpha)) / depth
        return np.degrees(x), np.degrees(y)

    def inverse(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """See `Projection.inverse`."""
        east, north = -np.radians(np.asarray(x, np.float64)), np.radians(np.asarray(y, np.float64))
        length = np.sqrt(1.0 + east**2 + north**2)
        ra = self.ra + np.degrees(np.arctan2(east, self._cos - north * self._sin))
        decl = np.degrees(np.arcsin(np.clip((self._sin + north * self._cos) / length, -1.0, 1.0)))
        return np.mod(ra, 360.0), decl


class Pixels(NamedTuple):
    """A grid of places and the positions behind them, each (rows, columns); rows go up.

    `inside` says which are on the sky.
    """

    x: Floats
    y: Floats
    ra: Floats
    decl: Floats
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, projection: Projection, half_width: float, half_height: float, columns: int) -> Pixels:
        """A grid of square pixels from -half_width to half_width, and as much up and down."""
        step = 2.0 * half_width / columns
        x = (np.arange(columns) + 0.5) * step - half_width
        rows = round(2.0 * half_height / step)
        y = (np.arange(rows) + 0.5) * step - half_height
        across, up = np.meshgrid(x, y)
        ra, decl = projection.inverse(across, up)
        return cls(across, up, ra, decl, np.isfinite(ra))

    def at(self, x: Floats, y: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of those places that lie on the grid."""
        step = self.x[0, 1] - self.x[0, 0]
        with np.errstate(invalid="ignore"):
            column = np.floor((x - self.x[0, 0]) / step + 0.5)
            row = np.floor((y - self.y[0, 0]) / step + 0.5)
            good = (column >= 0) & (column < self.x.shape[1]) & (row >= 0) & (row < self.x.shape[0])
        return row[good].astype(np.int64), column[good].astype(np.int64)
