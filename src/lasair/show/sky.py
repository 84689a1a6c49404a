"""One picture of the sky: alerts, the areas and sky maps they may lie in, and those that do."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lasair.errors import BadDefinition, StoreUnavailable
from lasair.show.projections import Gnomonic, Mollweide, Pixels, Projection
from lasair.show.sky_content import (
    OTHERS,
    Area,
    Content,
    Field,
    Floats,
    Map,
    Places,
    collect,
    fullest_field,
    heart_of,
    middle_of,
    short,
)
from lasair.sky.areas import AreaIndex
from lasair.sky.galactic import POLE_DECL, POLE_RA
from lasair.sky.skymap import Localisation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Endings of the files that `plot_sky` writes.
ENDINGS = (".png", ".svg", ".pdf")

_COLUMNS, _ZOOM_COLUMNS = 1600, 640  # pixels that areas and maps are painted with
_FEW_PIXELS = 40  # what covers fewer is marked by a ring
_POINTS = 20_000  # more alerts are shown as a density
_CONTOURS = (50.0, 90.0)  # percent
_ALERTS, _PLANE, _GRID = "#6b6b6b", "#555555", "#dddddd"
_DASHES = (0, (6, 3))


def plot_sky(
    path: Path,
    *,
    alerts: Places,
    hits: Mapping[str, Places] | None = None,
    areas: Mapping[str, ArrayLike] | None = None,
    maps: Mapping[str, Localisation] | None = None,
    title: str = "",
    what: str = "alerts",
) -> None:
    """Write a picture of the sky; see `sky_figure` for what is in it.

    Parameters
    ----------
    path : its name ends in one of ENDINGS

    Raises
    ------
    BadDefinition
        Another ending, or ranges that are no area.
    StoreUnavailable
        The file cannot be written.
    """
    form = path.suffix.lower()
    if form not in ENDINGS:
        raise BadDefinition(f"{path}: the name of a picture ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    figure = sky_figure(alerts=alerts, hits=hits, areas=areas, maps=maps, title=title, what=what)
    with warnings.catch_warnings():
        # people name lists in every script there is; what the font has not is a box
        warnings.filterwarnings("ignore", message="Glyph ")
        try:
            figure.savefig(path, format=form[1:], dpi=150)
        except OSError as err:
            raise StoreUnavailable(f"cannot write {path}: {err.strerror or err}") from err


def sky_figure(
    *,
    alerts: Places,
    hits: Mapping[str, Places] | None = None,
    areas: Mapping[str, ArrayLike] | None = None,
    maps: Mapping[str, Localisation] | None = None,
    title: str = "",
    what: str = "alerts",
) -> Figure:
    """A picture of the whole sky (Mollweide, equatorial), and of its fullest field when much lies in one.

    Parameters
    ----------
    alerts : ra and decl of all, (n,) each [deg]; what is not on the sky is left out
    hits : label -> ra and decl of those in one list, area or event
    areas : name -> (k, 2) ranges of cells of order 29 (see `AreaIndex`)
    maps : name of an event -> how probable positions are
    title : above it
    what : what the alerts are called in the legend

    Raises
    ------
    BadDefinition
        Ranges that are no area.
    """
    from matplotlib.figure import Figure

    shown = collect(alerts, hits or {}, areas or {}, maps or {}, what)
    field = fullest_field(shown)
    lines = 3 + len(shown.hits) + len(shown.areas) + len(shown.maps)
    columns = 1 if field else min(3, max(1, (lines + 3) // 4))
    width, top, sky = 12.0, 0.55, 5.4
    bottom = 4.9 if field else 0.45 + 0.23 * -(-lines // columns)
    height = top + sky + bottom
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0.06, bottom / height, 0.88, sky / height), label="sky")
    _whole_sky(axes, shown)
    if title:
        figure.text(0.5, 1 - 0.3 / height, short(title, 80), ha="center", va="center", size=14, parse_math=False)
    if field is None:
        _legend(figure, shown, (0.03, 0.0, 0.94, (bottom - 0.15) / height), columns, "upper center")
        return figure
    side = 4.0
    zoom = figure.add_axes((1.0 / width, 0.55 / height, side / width, side / height), label="field")
    _magnified(zoom, shown, field)
    _join(axes, zoom, field)
    columns = 1 if lines <= 18 else 2
    _legend(figure, shown, (5.4 / width, 0.1 / height, 6.5 / width, (bottom - 0.3) / height), columns, "upper left")
    return figure


def _whole_sky(axes: Axes, shown: Content) -> None:
    projection = Mollweide()
    axes.set(xlim=(-2.12, 2.12), ylim=(-1.03, 1.03), aspect="equal")
    axes.axis("off")
    rim = np.linspace(0.0, 2.0 * np.pi, 721)
    axes.fill(2.0 * np.cos(rim), np.sin(rim), color="#fbfbfb", zorder=0)
    axes.plot(2.0 * np.cos(rim), np.sin(rim), color="#555555", lw=1.0, zorder=9)
    decl = np.linspace(-90.0, 90.0, 181)
    for ra in range(30, 360, 30):
        axes.plot(*projection.forward(np.full(181, float(ra)), decl), color=_GRID, lw=0.6, zorder=1)
    for parallel in range(-60, 61, 30):
        _, up = projection.forward(0.0, parallel)
        reach = 2.0 * math.sqrt(1.0 - float(up) ** 2)
        axes.plot([-reach, reach], [up, up], color=_GRID, lw=0.6, zorder=1)
        axes.text(-reach - 0.03, float(up), f"{parallel:+d}°" if parallel else "0°", ha="right", va="center", size=9)
    for ra in range(60, 360, 60):
        x, _ = projection.forward(float(ra), 0.0)
        _legible(axes.text(float(x), -0.02, f"{ra}°", ha="center", va="top", size=9, color="#333333", zorder=10))
    _draw(axes, projection, Pixels.of(projection, 2.0, 1.0, _COLUMNS), shown, 13.0)


def _join(sky: Axes, zoom: Axes, field: Field) -> None:
    """Show where on the sky the field is."""
    from matplotlib.patches import ConnectionPatch

    half = field.half
    edge, flat = np.linspace(-half, half, 41), np.full(41, half)
    x = np.concatenate((edge, flat, edge[::-1], -flat))
    y = np.concatenate((-flat, edge, flat, edge[::-1]))
    projection = Mollweide()
    sky.plot(
        *_broken(*projection.forward(*Gnomonic(field.ra, field.decl).inverse(x, y))), color="#222222", lw=1.1, zorder=8
    )
    across, up = projection.forward(field.ra, field.decl)
    for corner in (-half, half):
        sky.add_artist(
            ConnectionPatch(
                (float(across), float(up)), (corner, half), coordsA="data", coordsB="data", axesA=sky, axesB=zoom,
                color="#999999", lw=0.6, zorder=2,
            )
        )  # fmt: skip


def _magnified(axes: Axes, shown: Content, field: Field) -> None:
    ra, decl, half = field
    projection = Gnomonic(ra, decl)
    axes.set(xlim=(-half, half), ylim=(-half, half), aspect="equal")
    where = f"the field marked above, around {ra:.2f}°, {decl:+.2f}°"
    axes.set_title(where, size=10, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})
    pixels = Pixels.of(projection, half, half, _ZOOM_COLUMNS)
    if abs(decl) + 1.5 * half < 88.0:
        east = np.mod(pixels.ra - ra + 180.0, 360.0) - 180.0
        across, up = _marks(ra, *east[0, [-1, 0]]), _marks(0.0, *pixels.decl[[0, -1], 0])
        grid: dict[str, Any] = {"colors": _GRID, "linewidths": 0.6, "zorder": 1, "linestyles": "solid"}
        if len(across):
            axes.contour(pixels.x, pixels.y, east, levels=across - ra, **grid)
        if len(up):
            axes.contour(pixels.x, pixels.y, pixels.decl, levels=up, **grid)
        axes.set_xticks(np.interp(across - ra, east[0, ::-1], pixels.x[0, ::-1]), [f"{v % 360:.6g}°" for v in across])
        axes.set_yticks(np.interp(up, pixels.decl[:, 0], pixels.y[:, 0]), [f"{v:.6g}°" for v in up])
        axes.set(xlabel="right ascension", ylabel="declination")
    else:
        axes.set(xlabel="degrees from the middle", ylabel="degrees from the middle")
    axes.tick_params(labelsize=9)
    _draw(axes, projection, pixels, shown, 34.0)


def _marks(zero: float, low: float, high: float) -> Floats:
    """Round numbers between `zero + low` and `zero + high`, three to seven of them, ascending."""
    rough = (high - low) / 5.0
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(one * unit for one in (1.0, 2.0, 5.0, 10.0) if one * unit >= rough * 0.8)
    first, last = math.ceil((zero + low) / step), math.floor((zero + high) / step)
    return np.round(np.arange(first, last + 1) * step, 9)


def _draw(axes: Axes, projection: Projection, pixels: Pixels, shown: Content, size: float) -> None:
    """Everything but the grid; `size` of the smallest marks in square points."""
    _draw_areas(axes, projection, pixels, shown.areas)
    for one in shown.maps:
        _draw_map(axes, projection, pixels, one)
    axes.plot(*_broken(*projection.forward(*_galactic_plane())), color=_PLANE, lw=0.9, ls=_DASHES, zorder=3)
    _draw_alerts(axes, projection, pixels, shown.alerts)
    # the fewer there are, the larger and the more in front, so that no crowd hides the few
    for i, hits in enumerate(sorted(shown.hits, key=lambda one: -len(one.ra))):
        x, y = _in_view(pixels, *projection.forward(hits.ra, hits.decl))
        shrunk = min(1.0, max(0.12, (60.0 / max(len(x), 1)) ** 0.5))
        axes.scatter(
            x, y, s=size * hits.size * shrunk, marker=hits.mark, facecolors="none",
            edgecolors=hits.colour, linewidths=0.6 + 0.6 * shrunk, zorder=7 + 0.01 * i, label=hits.label,
            rasterized=len(x) > _POINTS,
        )  # fmt: skip


def _draw_alerts(axes: Axes, projection: Projection, pixels: Pixels, alerts: tuple[Floats, Floats]) -> None:
    x, y = _in_view(pixels, *projection.forward(*alerts))
    if len(x) <= _POINTS:
        axes.plot(
            x,
            y,
            ".",
            ms=2.2 if len(x) > 2000 else 3.6,
            mew=0,
            color=_ALERTS,
            alpha=0.7,
            zorder=4,
            rasterized=len(x) > 2000,
            label="alerts",
        )
        return
    coarse = 3
    rows, columns = pixels.x.shape[0] // coarse, pixels.x.shape[1] // coarse
    right, up = pixels.x[0, -1] - pixels.x[0, 0], pixels.y[-1, 0] - pixels.y[0, 0]
    edges = ((-right / 2.0, right / 2.0), (-up / 2.0, up / 2.0))
    count, _, _ = np.histogram2d(x, y, bins=(columns, rows), range=edges)
    count = count.T
    seen = np.log1p(count) / math.log1p(max(count.max(), 1.0))
    shade = np.zeros((*count.shape, 4))
    shade[..., :3] = 0.62 - 0.45 * seen[..., None]
    shade[..., 3] = np.where(count > 0, 0.55 + 0.3 * seen, 0.0)
    axes.imshow(
        shade, extent=(*edges[0], *edges[1]), origin="lower", interpolation="nearest", zorder=4, aspect="equal",
        label="alerts",
    )  # fmt: skip


def _in_view(pixels: Pixels, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    there = (np.abs(x) <= np.abs(pixels.x).max() * 1.01) & (np.abs(y) <= np.abs(pixels.y).max() * 1.01)
    return x[there], y[there]


def _draw_areas(axes: Axes, projection: Projection, pixels: Pixels, areas: list[Area]) -> None:
    inside = np.flatnonzero(pixels.inside)
    found = AreaIndex({i: one.ranges for i, one in enumerate(areas)}).find(
        pixels.ra.flat[inside], pixels.decl.flat[inside]
    )
    for i, one in enumerate(areas):
        mask = np.zeros(pixels.x.shape)
        mask.flat[inside[found.position[found.area_id == i]]] = 1.0
        middles = projection.forward(one.ra, one.decl)
        # what is smaller than a pixel is as large as one
        mask[pixels.at(*middles)] = 1.0
        _paint(axes, pixels, mask, 0.5, 1.5, one.colour, 0.22)
        _outline(axes, pixels, mask, {0.5: "solid"}, one.colour)
        if 0 < mask.sum() < _FEW_PIXELS:
            _ring(axes, *projection.forward(*middle_of(one.ra, one.decl)), one.colour)


def _draw_map(axes: Axes, projection: Projection, pixels: Pixels, one: Map) -> None:
    contour = np.full(pixels.x.shape, 100.0)
    contour[pixels.inside] = one.localisation.at(pixels.ra[pixels.inside], pixels.decl[pixels.inside]).contour
    if one.colour != OTHERS:
        _paint(axes, pixels, contour, _CONTOURS[0], _CONTOURS[1], one.colour, 0.25)
        _paint(axes, pixels, contour, -1.0, _CONTOURS[0], one.colour, 0.45)
    _outline(axes, pixels, contour, {_CONTOURS[0]: "solid", _CONTOURS[1]: "dashed"}, one.colour)
    heart = heart_of(one.localisation)
    if heart is not None and (contour <= _CONTOURS[1]).sum() < _FEW_PIXELS:
        _ring(axes, *projection.forward(*heart), one.colour)


def _window(values: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The part of a grid that holds all true ones, with a margin; None when there is none."""
    rows, columns = np.flatnonzero(values.any(axis=1)), np.flatnonzero(values.any(axis=0))
    if not len(rows):
        return None
    return slice(max(rows[0] - 2, 0), rows[-1] + 3), slice(max(columns[0] - 2, 0), columns[-1] + 3)


def _paint(axes: Axes, pixels: Pixels, values: Floats, low: float, high: float, colour: str, alpha: float) -> None:
    some = _window((values > low) & (values <= high))
    if some is not None and min(values[some].shape) > 1:
        axes.contourf(
            pixels.x[some], pixels.y[some], values[some], levels=[low, high], colors=[colour], alpha=alpha, zorder=2
        )


def _outline(axes: Axes, pixels: Pixels, values: Floats, lines: Mapping[float, str], colour: str) -> None:
    for level, style in lines.items():
        some = _window(values > level if level < 1.0 else values <= level)
        if some is None or min(values[some].shape) < 2 or not values[some].min() < level < values[some].max():
            continue
        axes.contour(
            pixels.x[some], pixels.y[some], values[some], levels=[level], colors=[colour], linewidths=1.0,
            linestyles=style, zorder=2.5,
        )  # fmt: skip


def _ring(axes: Axes, x: Floats, y: Floats, colour: str) -> None:
    """Mark what is too small to be seen, if it is in the picture."""
    axes.scatter(x, y, s=110, marker="o", facecolors="none", edgecolors=colour, linewidths=1.6, zorder=6)


def _galactic_plane() -> tuple[Floats, Floats]:
    """The great circle a quarter turn from the Galactic pole."""
    alpha, delta = math.radians(POLE_RA), math.radians(POLE_DECL)
    turn = np.linspace(0.0, 2.0 * np.pi, 1441)[:, None]
    east = np.array([-math.sin(alpha), math.cos(alpha), 0.0])
    north = np.array([-math.sin(delta) * math.cos(alpha), -math.sin(delta) * math.sin(alpha), math.cos(delta)])
    x, y, z = (np.cos(turn) * east + np.sin(turn) * north).T
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(z))


def _broken(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A line that is interrupted where it jumps from one edge of the map to the other."""
    jumps = np.flatnonzero(np.abs(np.diff(x)) > 1.0) + 1
    return np.insert(x, jumps, np.nan), np.insert(y, jumps, np.nan)


def _legible(text: Any) -> None:
    from matplotlib.patheffects import withStroke

    text.set_path_effects([withStroke(linewidth=2.5, foreground="white", alpha=0.8)])


def _legend(figure: Figure, shown: Content, box: tuple[float, float, float, float], columns: int, where: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    none: list[float] = []
    rows: list[tuple[Any, str]] = [
        (Line2D(none, none, ls="", marker="o", ms=4, mew=0, color=_ALERTS), shown.alerts_label)
    ]
    rows += [
        (Line2D(none, none, ls="", marker=one.mark, ms=5.5 + 0.4 * i, mfc="none", mec=one.colour), one.label)
        for i, one in enumerate(shown.hits)
    ]
    rows += [(Patch(fc=(one.colour, 0.22), ec=one.colour), one.label) for one in shown.areas]
    rows += [(Patch(fc=(one.colour, 0.45), ec=one.colour, ls="--"), one.label) for one in shown.maps if one.label]
    unnamed = sum(not one.label for one in shown.maps)
    if unnamed:
        rows.append((Patch(fc="none", ec=OTHERS, ls="--"), f"{unnamed:,} more sky maps"))
    rows.append((Line2D(none, none, color=_PLANE, lw=0.9, ls=_DASHES), "Galactic plane"))
    handles = [handle for handle, _ in rows]
    legend = figure.legend(
        handles, [str(i) for i in range(len(rows))], loc=where, bbox_to_anchor=box, ncols=columns, frameon=False,
        fontsize=10, borderaxespad=0.0,
    )  # fmt: skip
    for text, (_, label) in zip(legend.get_texts(), rows, strict=True):
        # given as labels, names that begin with _ would be left out, and $ would be taken for a formula
        text.set(text=label, parse_math=False)
