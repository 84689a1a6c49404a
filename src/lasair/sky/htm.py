"""Hierarchical triangular mesh ids (Kunszt, Szalay & Thakar 2001, in Mining the Sky, p. 631)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lasair.schema.model import INT_MISSING

#: Level of the `htm16` columns; a triangle is about 5 arcsec wide.
HTM_LEVEL = 16

# The six corners of the octahedron, and the three corners of its faces in the order of their ids 8 to 15 (S0 … N3).
_CORNERS = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], np.float64)
_FACES = np.array([[1, 5, 2], [2, 5, 3], [3, 5, 4], [4, 5, 1], [1, 0, 4], [4, 0, 3], [3, 0, 2], [2, 0, 1]], np.int64)
_FIRST_FACE = 8


def htm_id(ra: ArrayLike, decl: ArrayLike, level: int = HTM_LEVEL) -> NDArray[np.int64]:
    """Ids of the triangles that hold the positions.

    Parameters
    ----------
    ra, decl : (n,) [deg]
    level : subdivisions of the eight faces of the octahedron

    Returns
    -------
    (n,) int64
        INT_MISSING where a coordinate is missing or no angle of that kind (declination beyond a pole).
    """
    ra64 = np.ascontiguousarray(ra, dtype=np.float64)
    decl64 = np.ascontiguousarray(decl, dtype=np.float64)
    return np.asarray(_htm_ids(ra64, decl64, level, _CORNERS, _FACES))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _side(ax: float, ay: float, az: float, bx: float, by: float, bz: float, x: float, y: float, z: float) -> bool:
    """Whether (x, y, z) lies on the left of the great circle from a to b."""
    return (ay * bz - az * by) * x + (az * bx - ax * bz) * y + (ax * by - ay * bx) * z >= 0.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _htm_ids(
    ra: NDArray[np.float64],
    decl: NDArray[np.float64],
    level: int,
    corners: NDArray[np.float64],
    faces: NDArray[np.int64],
) -> NDArray[np.int64]:
    out = np.empty(len(ra), np.int64)
    for i in range(len(ra)):
        if not (math.isfinite(ra[i]) and abs(decl[i]) <= 90.0):
            out[i] = INT_MISSING
            continue
        alpha, delta = math.radians(ra[i]), math.radians(decl[i])
        x, y, z = math.cos(alpha) * math.cos(delta), math.sin(alpha) * math.cos(delta), math.sin(delta)
        # south: quadrants in the order of right ascension; north: the other way round
        quadrant = (0 if x >= 0.0 else 1) if y >= 0.0 else (3 if x >= 0.0 else 2)
        face = quadrant if z < 0.0 else 7 - quadrant
        ax, ay, az = corners[faces[face, 0]]
        bx, by, bz = corners[faces[face, 1]]
        cx, cy, cz = corners[faces[face, 2]]
        found = face + _FIRST_FACE
        for _ in range(level):
            ux, uy, uz = bx + cx, by + cy, bz + cz
            vx, vy, vz = ax + cx, ay + cy, az + cz
            wx, wy, wz = ax + bx, ay + by, az + bz
            # the three middles are equally far from the centre only on the first level: each has its own length
            length = math.sqrt(ux * ux + uy * uy + uz * uz)
            ux, uy, uz = ux / length, uy / length, uz / length
            length = math.sqrt(vx * vx + vy * vy + vz * vz)
            vx, vy, vz = vx / length, vy / length, vz / length
            length = math.sqrt(wx * wx + wy * wy + wz * wz)
            wx, wy, wz = wx / length, wy / length, wz / length
            if _side(wx, wy, wz, vx, vy, vz, x, y, z):
                child = 0
                bx, by, bz, cx, cy, cz = wx, wy, wz, vx, vy, vz
            elif _side(ux, uy, uz, wx, wy, wz, x, y, z):
                child = 1
                ax, ay, az, bx, by, bz, cx, cy, cz = bx, by, bz, ux, uy, uz, wx, wy, wz
            elif _side(vx, vy, vz, ux, uy, uz, x, y, z):
                child = 2
                ax, ay, az, bx, by, bz, cx, cy, cz = cx, cy, cz, vx, vy, vz, ux, uy, uz
            else:
                child = 3
                ax, ay, az, bx, by, bz, cx, cy, cz = ux, uy, uz, vx, vy, vz, wx, wy, wz
            found = 4 * found + child
        out[i] = found
    return out
