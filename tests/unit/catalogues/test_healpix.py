"""Cells against an independent implementation, and the constants that the search rests on."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested
from numpy.typing import NDArray

from lasair.catalogues import healpix
from tests.unit.catalogues.skies import ODD_PLACES, random_sky, vectors


def reference(ra: Any, decl: Any, order: int) -> NDArray[np.int64]:
    found = nested.lonlat_to_healpix(Longitude(ra, u.deg), Latitude(decl, u.deg), np.uint8(order))
    return np.asarray(found).astype(np.int64)


@pytest.mark.parametrize("order", [0, 1, 3, 7, 8, 10, 15, 29])
def test_cells_are_those_of_cdshealpix(order: int) -> None:
    rng = np.random.default_rng(order)
    ra, decl = random_sky(rng, 20000)
    # close to the poles the sine of the declination has no digits left
    decl[:500] = 90 - 10.0 ** rng.uniform(-12, 0, 500)
    decl[500:1000] = -90 + 10.0 ** rng.uniform(-12, 0, 500)
    np.testing.assert_array_equal(healpix.cells_of(ra, decl, order), reference(ra, decl, order))


def test_odd_places_have_cells() -> None:
    ra, decl = np.array(ODD_PLACES).T
    for around in (ra, ra + 360, ra - 360, np.full(len(ra), -1e-20)):
        cells = healpix.cells_of(around, decl, 10)
        assert ((cells >= 0) & (cells < 12 * 4**10)).all()


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_neighbours_are_those_of_cdshealpix(order: int) -> None:
    side = 1 << order
    neighbours = nested.neighbours(np.arange(12 * 4**order), order)
    out = np.empty(9, np.int64)
    for cell in range(12 * 4**order):
        face, within = cell >> (2 * order), cell & (4**order - 1)
        ix, iy = healpix.squeeze(within), healpix.squeeze(within >> 1)
        # from the middle of the cell, a disc wider than half a cell touches all
        n = healpix.touched_cells(face, (ix + 0.5) / side, (iy + 0.5) / side, order, 0.6, out)
        assert out[:n].tolist() == sorted({int(x) for x in neighbours[cell] if x >= 0})


def test_centres_are_those_of_cdshealpix() -> None:
    rng = np.random.default_rng(1)
    for order in (0, 1, 2, 7, 10):
        cells = np.arange(12 * 4**order) if order < 3 else rng.integers(0, 12 * 4**order, 3000)
        lon, lat = nested.healpix_to_lonlat(cells, order)
        z, radius, cos_ra, sin_ra = np.array([healpix.centre(int(cell), order) for cell in cells]).T
        found = np.stack([radius * cos_ra, radius * sin_ra, z], axis=-1)
        np.testing.assert_allclose(found, vectors(lon.deg, lat.deg), atol=2e-15)


@pytest.mark.parametrize("order", [1, 3, 7, 8, 10])
def test_no_point_of_a_cell_is_farther_than_the_reach(order: int) -> None:
    rng = np.random.default_rng(order)
    ra, decl = random_sky(rng, 100000)
    decl[:20000] = rng.choice([-1, 1], 20000) * np.degrees(np.arcsin(2 / 3)) + rng.normal(0, 0.1 / 2**order, 20000)
    cells = healpix.cells_of(ra, decl, order)
    centres = np.array([healpix.centre(int(cell), order) for cell in cells])
    z, radius, cos_ra, sin_ra = centres.T
    chord = np.linalg.norm(vectors(ra, decl) - np.stack([radius * cos_ra, radius * sin_ra, z], axis=-1), axis=1)
    reached = 2 * np.arcsin(chord / 2) * 2**order
    assert reached.max() < healpix.REACH
    # and the corners, which are the farthest
    lon, lat = nested.vertices(cells[:20000], order)
    corners = vectors(lon.deg.ravel(), lat.deg.ravel()).reshape(-1, 4, 3)
    middles = np.stack([radius * cos_ra, radius * sin_ra, z], axis=-1)[:20000, None, :]
    arcs = 2 * np.arcsin(np.linalg.norm(corners - middles, axis=-1) / 2) * 2**order
    assert 0.9 < arcs.max() < healpix.REACH


def test_widths_are_lower_bounds() -> None:
    # |grad fx| along a mesh of positions, by finite differences on the sphere
    rng = np.random.default_rng(3)
    ra, decl = random_sky(rng, 20000)
    decl[:2000] = 90 - 10.0 ** rng.uniform(-3, 1, 2000)
    at = vectors(ra, decl)
    step = 1e-7
    east = np.stack([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), np.zeros(len(ra))], axis=-1)
    north = np.cross(at, east)
    place = [healpix.locate(a, d) for a, d in zip(ra, decl, strict=True)]
    gradient2 = np.zeros((len(ra), 2))
    same = np.ones(len(ra), bool)
    for way in (east, north):
        moved = at + step * way
        moved /= np.linalg.norm(moved, axis=1)[:, None]
        there = [
            healpix.locate(float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y)))))
            for x, y, z in moved
        ]
        same &= [a[0] == b[0] for a, b in zip(place, there, strict=True)]
        gradient2 += [((b[1] - a[1]) ** 2, (b[2] - a[2]) ** 2) for a, b in zip(place, there, strict=True)]
    width = step / np.sqrt(gradient2[same].max(axis=1))
    belt = np.abs(np.sin(np.radians(decl[same]))) <= healpix.BELT
    assert width[belt].min() > healpix.BELT_WIDTH - 1e-4
    assert healpix.CAP_WIDTH - 1e-4 < width[~belt].min() < healpix.CAP_WIDTH + 0.01


def test_bits_spread_and_squeeze() -> None:
    for v in (0, 1, 5, 2**29 - 1, 123456789):
        assert healpix.squeeze(healpix.spread(v)) == v
