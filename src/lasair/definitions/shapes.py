"""Shapes on the sphere as HEALPix cells.

The geometry is mocpy's; shapes for which it is wrong, or takes too long, are refused before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lasair.errors import BadDefinition

ShapeKind = Literal["circle", "ellipse", "box", "polygon"]

#: Widest circle, half axis of an ellipse and half side of a box [deg].
WIDEST_DEG = 90.0

#: Most seconds that a file's shapes may take, by estimate: microseconds for each cell along the edge (measured on one
#: core of 2020; of a polygon for each vertex too). An area must not hold up the command, nor the site.
_MOST_S = 60.0
_COST_US: dict[ShapeKind, float] = {"circle": 2.0, "box": 3.0, "ellipse": 60.0, "polygon": 2.0}
_COST_VERTEX_US = 0.07
#: Most cells along all edges, by estimate.
_MOST_EDGE_CELLS = 4e6

#: A polygon with less area [sr] has none: its corners lie on one great circle.
_FLAT_SR = 1e-13

_RADIANS = np.pi / 180.0


@dataclass(frozen=True)
class Shape:
    """A shape in equatorial coordinates.

    Attributes
    ----------
    ra, decl : centre (one each) or corners [deg]
    half : half axes or half sides [deg], the first along `angle`; a circle's radius; none for a polygon
    angle : position angle of the first half axis, from north through east [deg]
    excluded : it is cut out of the others
    where : for messages, such as ``line 3``
    """

    kind: ShapeKind
    ra: tuple[float, ...]
    decl: tuple[float, ...]
    half: tuple[float, ...]
    angle: float
    excluded: bool
    where: str


def polygon(ra: Sequence[float], decl: Sequence[float], where: str, *, excluded: bool = False) -> Shape:
    """A polygon of at least three corners; repeated ones, such as one that closes it, count once.

    Raises
    ------
    BadDefinition
        There are not three different corners.
    """
    corners: list[tuple[float, float]] = []
    for corner in zip(ra, decl, strict=True):
        if not corners or corner != corners[-1]:
            corners.append(corner)
    if len(corners) > 1 and corners[0] == corners[-1]:
        corners.pop()
    if len(corners) < 3:
        raise BadDefinition(f"{where}: a polygon needs three different corners; this has {len(corners)}")
    alpha, delta = zip(*corners, strict=True)
    return Shape("polygon", alpha, delta, (), 0.0, excluded, where)


def check_shape(shape: Shape) -> None:
    """Refuse what is none, or too wide.

    Raises
    ------
    BadDefinition
        A coordinate or size is out of range; names the place and what is wrong.
    """
    for ra, decl in zip(shape.ra, shape.decl, strict=True):
        if not (0.0 <= ra <= 360.0 and abs(decl) <= 90.0):
            raise BadDefinition(f"{shape.where}: ra {ra:g}, dec {decl:g} is no place on the sky")
    for half in shape.half:
        if not 0.0 < half <= WIDEST_DEG:
            raise BadDefinition(
                f"{shape.where}: a {shape.kind} of radius or half width {half:g} deg is refused: it is above 0 and at "
                f"most {WIDEST_DEG:g}"
            )
    if not np.isfinite(shape.angle):
        raise BadDefinition(f"{shape.where}: the angle is not finite")
    if shape.kind == "polygon" and _smaller_area(shape) < _FLAT_SR:
        raise BadDefinition(
            f"{shape.where}: the polygon has no area: its corners lie on one great circle, or it crosses itself"
        )


def ranges_of(shapes: Sequence[Shape], order: int) -> NDArray[np.uint64]:
    """Cells of an order that touch the included shapes, but none of the excluded ones, as ranges of order 29.

    Raises
    ------
    BadDefinition
        A shape is refused (see `check_shape`), nothing is left, or it would take too long at this order.
    """
    if all(shape.excluded for shape in shapes):
        raise BadDefinition("there is nothing to include: every shape is cut out")
    for shape in shapes:
        check_shape(shape)
    edges = [_edge_deg(shape) * _RADIANS * 2.0**order for shape in shapes]
    seconds = 1e-6 * sum(cells * _cost_us(shape) for cells, shape in zip(edges, shapes, strict=True))
    excess = max(seconds / _MOST_S, sum(edges) / _MOST_EDGE_CELLS)
    if excess > 1.0:
        fits = order - int(np.ceil(np.log2(excess)))
        raise BadDefinition(
            f"the shapes are too large for order {order}, their edges have too many cells: "
            + (f"use --order {fits} or less" if fits >= 0 else "there are too many of them")
        )
    taken = _union([_cells(shape, order) for shape in shapes if not shape.excluded])
    cut = [_cells(shape, order) for shape in shapes if shape.excluded]
    if cut:
        taken = taken.difference(_union(cut))
    ranges = np.asarray(taken.to_depth29_ranges, np.uint64).reshape(-1, 2)
    if not len(ranges):
        raise BadDefinition("nothing is left of the area when the excluded shapes are cut out")
    return ranges


def _union(mocs: list[Any]) -> Any:
    return mocs[0].union(*mocs[1:]) if len(mocs) > 1 else mocs[0]


def _cost_us(shape: Shape) -> float:
    return _COST_US[shape.kind] + _COST_VERTEX_US * (len(shape.ra) if shape.kind == "polygon" else 0)


def _edge_deg(shape: Shape) -> float:
    """Length of the edge, and a little for what costs no edge."""
    if shape.kind == "polygon":
        vectors = _vectors(shape)
        chord = np.linalg.norm(vectors - np.roll(vectors, 1, axis=0), axis=1)
        return float(np.degrees(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0))).sum()) + 0.01
    return (8.0 if shape.kind == "box" else 2.0 * np.pi) * max(shape.half) + 0.01


def _cells(shape: Shape, order: int) -> Any:
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from mocpy import MOC

    ra, decl = Longitude(np.array(shape.ra), units.deg), Latitude(np.array(shape.decl), units.deg)
    finer = min(2, 29 - order)
    try:
        if shape.kind == "polygon":
            found = MOC.from_polygon(ra, decl, max_depth=order)
            area = float(found.sky_fraction) * 4.0 * np.pi
            smaller = _smaller_area(shape)
            # of the two sides of the edge, the smaller is meant, whichever way round the corners are given
            if abs(area - smaller) > abs(area - (4.0 * np.pi - smaller)):
                found = MOC.from_polygon(ra, decl, max_depth=order, complement=True)
            return found
        half, angle = list(shape.half), shape.angle
        if shape.kind == "circle" or (shape.kind == "ellipse" and half[0] == half[1]):
            return MOC.from_cone(ra[0], decl[0], radius=half[0] * units.deg, max_depth=order, delta_depth=finer)
        if half[0] < half[1]:
            half, angle = half[::-1], angle + 90.0
        sizes = {"a": half[0] * units.deg, "b": half[1] * units.deg}
        if shape.kind == "box":
            return MOC.from_box(ra[0], decl[0], **sizes, angle=(angle % 180.0) * units.deg, max_depth=order)
        return MOC.from_elliptical_cone(
            ra[0], decl[0], **sizes, pa=(angle % 180.0) * units.deg, max_depth=order, delta_depth=finer
        )
    except BaseException as err:
        # a failed assertion of its compiled part is no Exception
        if not isinstance(err, Exception) and type(err).__name__ != "PanicException":
            raise
        raise BadDefinition(
            f"{shape.where}: this {shape.kind} cannot be used: {' '.join(str(err).split())[:200]}"
        ) from err


def _vectors(shape: Shape) -> NDArray[np.float64]:
    alpha, delta = np.radians(shape.ra), np.radians(shape.decl)
    return np.column_stack((np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)))


def _smaller_area(shape: Shape) -> float:
    """Area [sr] of the smaller side of a polygon: two pi less the angles turned at the corners (Gauss and Bonnet)."""
    here = _vectors(shape)
    before, after = np.roll(here, 1, axis=0), np.roll(here, -1, axis=0)
    into, out = np.cross(before, here), np.cross(here, after)
    turned = np.arctan2((np.cross(into, out) * here).sum(axis=1), (into * out).sum(axis=1))
    area = float(2.0 * np.pi - turned.sum()) % (4.0 * np.pi)
    return min(area, 4.0 * np.pi - area)
