"""Shapes as text: DS9 regions, single circles and ellipses, and corners of polygons in CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lasair.definitions.angles import NUMBER, read_angle
from lasair.definitions.positions import Layout, Splitter, Wanted, layout_of
from lasair.definitions.shapes import Shape, ShapeKind, polygon
from lasair.definitions.upload import shown
from lasair.errors import BadDefinition

#: Most shapes of a file, and corners of all its polygons.
MAX_SHAPES, MAX_CORNERS = 10_000, 100_000

_KINDS: dict[str, ShapeKind] = {
    "circle": "circle", "cone": "circle", "ellipse": "ellipse", "box": "box", "rotbox": "box", "polygon": "polygon",
}  # fmt: skip
_OTHERS = (
    "annulus",
    "panda",
    "epanda",
    "bpanda",
    "pie",
    "point",
    "line",
    "vector",
    "text",
    "ruler",
    "segment",
    "projection",
    "tile",
)
_FRAMES = {"icrs": False, "fk5": False, "j2000": False, "galactic": True}
_REFUSED_FRAMES = ("image", "physical", "fk4", "b1950", "ecliptic", "linear", "amplifier", "detector")
_ARCSEC = {"": 3600.0, "d": 3600.0, "'": 60.0, '"': 1.0, "r": 3600.0 * 180.0 / np.pi}

_SIZE = re.compile(rf"({NUMBER.pattern})([d'\"r]?)", re.ASCII)
_SHAPE = re.compile(r"([+\-!]?)\s*([a-z]+)\s*(?:\((.*)\)|\s(.*))\s*(?:\|\|)?", re.IGNORECASE | re.DOTALL)
_LOOKS = re.compile(
    rf"(^|[;\n])\s*[+\-!]?\s*({'|'.join((*_KINDS, *_OTHERS))})\s*[(\s]|^\s*#\s*Region file format|"
    rf"(^|[;\n])\s*({'|'.join((*_FRAMES, *_REFUSED_FRAMES))})\s*($|[;\n])",
    re.IGNORECASE,
)


def is_region(text: str) -> bool:
    """Whether a text has shapes or frames as DS9 writes them."""
    return _LOOKS.search(text[:100_000]) is not None


def read_regions(text: str) -> list[Shape]:
    """Shapes of a DS9 region file (https://ds9.si.edu/doc/ref/region.html), in equatorial coordinates.

    Circle, ellipse, box and polygon; icrs, fk5 and galactic (icrs where no frame is named); sizes in degrees or with
    ``"`` or ``'``. Angles are DS9's: at 0 the first axis lies east to west, and it turns counterclockwise on a chart
    with north up and east left, so that the position angle is the angle less 90.

    Raises
    ------
    BadDefinition
        A statement is not understood; names its line.
    """
    shapes: list[Shape] = []
    galactic = False
    corners = 0
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        where = f"line {number}"
        for statement in line.split("#")[0].split(";"):
            words = statement.split()
            if not words or words[0].lower() in ("global", "composite") or words[0].lower().startswith("composite("):
                continue
            if len(words) == 1 and words[0].lower() in (*_FRAMES, *_REFUSED_FRAMES):
                galactic = _frame(words[0], where)
                continue
            shape = _shape(statement.strip(), galactic, where)
            corners += len(shape.ra)
            if len(shapes) >= MAX_SHAPES or corners > MAX_CORNERS:
                raise BadDefinition(f"{where}: at most {MAX_SHAPES} shapes with {MAX_CORNERS} corners are taken")
            shapes.append(shape)
    if not shapes:
        raise BadDefinition("there is no shape")
    return shapes


def _frame(word: str, where: str) -> bool:
    if word.lower() in _REFUSED_FRAMES:
        raise BadDefinition(f"{where}: coordinates in {word} are refused: save the regions in icrs, fk5 or galactic")
    return _FRAMES[word.lower()]


def _shape(statement: str, galactic: bool, where: str) -> Shape:
    match = _SHAPE.fullmatch(statement)
    word = match[2].lower() if match else ""
    if match is None or word not in _KINDS:
        known = f"shape {word!r} is refused" if word in _OTHERS else f"{shown(statement)!r} is not understood"
        raise BadDefinition(f"{where}: {known}: circle, ellipse, box and polygon are taken")
    kind = _KINDS[word]
    values = re.split(r"\s*,\s*|\s+", (match[3] if match[3] is not None else match[4]).strip())
    if values[0].lower() in (*_FRAMES, *_REFUSED_FRAMES):
        galactic = _frame(values.pop(0), where)
    values = [value for value in values if value]
    excluded = match[1] in ("-", "!") and bool(match[1])
    try:
        if kind == "polygon":
            if len(values) < 6 or len(values) % 2:
                raise ValueError("a polygon has pairs of ra and dec, three at least")
            ra, decl = _places(values[0::2], values[1::2], galactic)
            return polygon(ra, decl, where, excluded=excluded)
        least, most = {"circle": (3, 3), "ellipse": (4, 5), "box": (4, 5)}[kind]
        if not least <= len(values) <= most:
            raise ValueError(
                f"a {kind} has {least}{f' or {most}' if most > least else ''} values, this has {len(values)}"
            )
        ra, decl = _places(values[:1], values[1:2], galactic)
        sizes = tuple(_size(value) for value in values[2 : 3 if kind == "circle" else 4])
        angle = _size(values[4]) if len(values) == 5 else 0.0
    except ValueError as err:
        raise BadDefinition(f"{where}: {err}: {shown(statement)}") from err
    if kind == "box":
        sizes = tuple(size / 2.0 for size in sizes)
    tilt = _tilt(values, galactic) if kind != "circle" else 0.0
    return Shape(kind, tuple(ra), tuple(decl), sizes, angle - 90.0 + tilt, excluded, where)


def _size(text: str) -> float:
    match = _SIZE.fullmatch(text.replace("''", '"'))
    if match is None:
        raise ValueError(f"{text[:40]!r} is no size in degrees, arcminutes (') or arcseconds (\")")
    return float(match[1]) * _ARCSEC[match[4]] / 3600.0


def _places(first: Sequence[str], second: Sequence[str], galactic: bool) -> tuple[list[float], list[float]]:
    ra = [read_angle(text, "ra", hours=not galactic) for text in first]
    decl = [read_angle(text, "decl") for text in second]
    if not galactic:
        return ra, decl
    if any(abs(one) > 90.0 for one in decl):
        raise ValueError("a latitude is beyond a pole")
    from astropy.coordinates import SkyCoord

    places = SkyCoord(ra, decl, unit="deg", frame="galactic").icrs
    return places.ra.deg.tolist(), places.dec.deg.tolist()


def _tilt(values: Sequence[str], galactic: bool) -> float:
    """Position angle [deg] of the frame's north at the centre."""
    if not galactic:
        return 0.0
    from astropy import units
    from astropy.coordinates import SkyCoord

    centre = SkyCoord(
        read_angle(values[0], "ra", hours=False), read_angle(values[1], "decl"), unit="deg", frame="galactic"
    )
    north = centre.directional_offset_by(0.0 * units.deg, 0.001 * units.deg)
    return float(centre.icrs.position_angle(north.icrs).deg)


def read_polygons(text: str) -> list[Shape]:
    """Polygons whose corners are rows of ra, dec, with or without a header; blank lines between polygons.

    Raises
    ------
    BadDefinition
        A row is no corner, or a polygon has fewer than three; names the line.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = [(i, line) for i, line in enumerate(lines, 1) if not line.lstrip().startswith("#")]
    some = [line for _, line in kept if line.strip()]
    if not some:
        raise BadDefinition("the file is empty")
    if len(some) > MAX_CORNERS:
        raise BadDefinition(f"it has {len(some)} rows; at most {MAX_CORNERS} corners are taken")
    splitter = Splitter.of(some[:50])
    layout: Layout | None = None
    shapes: list[Shape] = []
    ra: list[float] = []
    decl: list[float] = []
    begun = 0
    for number, line in [*kept, (0, "")]:
        if not line.strip():
            if ra:
                shapes.append(polygon(ra, decl, f"line {begun}"))
                ra, decl = [], []
            continue
        fields = splitter.fields(line)
        if not ra:
            header = layout_of("the file", fields, Wanted())
            if header is not None:
                layout = header
                continue
            begun = number
        want = layout.fields if layout is not None else 2
        if len(fields) != want:
            raise BadDefinition(
                f"line {number}: has {len(fields)} fields, {want} are needed: {shown(line)}; an area is a coverage map "
                "(MOC in FITS, ASCII or JSON), a DS9 region file, or corners of polygons as rows of ra, dec"
            )
        try:
            ra.append(read_angle(fields[layout.ra if layout is not None else 0], "ra"))
            decl.append(read_angle(fields[layout.decl if layout is not None else 1], "decl"))
        except ValueError as err:
            raise BadDefinition(f"line {number}: {err}") from err
    if not shapes:
        raise BadDefinition("there is no polygon: its corners are rows of ra, dec")
    if len(shapes) > MAX_SHAPES:
        raise BadDefinition(f"it has {len(shapes)} polygons; at most {MAX_SHAPES} are taken")
    return shapes
