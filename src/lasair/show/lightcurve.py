"""Light-curve rows of either survey as one table in flux and magnitude; its plot and its VOTable."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lasair.errors import StoreUnavailable
from lasair.schema.model import DETECTION, FORCED, INT_MISSING, KINDS, NONDETECTION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIGHTCURVE_COLUMNS = (
    "survey", "kind", "source_id", "mjd_tai", "band", "flux_nJy", "flux_err_nJy", "mag", "mag_err", "limit_mag",
    "reliability",
)  # fmt: skip

#: AB magnitude of 1 nJy (Oke & Gunn 1983: 3631 Jy is magnitude 0)
_AB_NJY = 31.4
#: magnitude error of a relative flux error: 2.5 / ln 10
_MAG_PER_FRACTION = 2.5 / np.log(10.0)
_FIVE_SIGMA = 5.0

_UNITS = {"mjd_tai": "d", "flux_nJy": "nJy", "flux_err_nJy": "nJy", "mag": "mag", "mag_err": "mag", "limit_mag": "mag"}
_COLOURS = {"u": "#56b4e9", "g": "#009e73", "r": "#d55e00", "i": "#cc79a7", "z": "#0072b2", "y": "#000000"}
#: Marks of detections by object.
_MARKS = "oD^P*Xph"


def flux_to_mag(flux: NDArray[np.float64], err: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AB magnitude and its error of fluxes in nJy; NaN where the flux is not positive."""
    positive = np.where(flux > 0, flux, np.nan)
    return _AB_NJY - 2.5 * np.log10(positive), _MAG_PER_FRACTION * err / positive


def lightcurve_columns(survey: str, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The columns of LIGHTCURVE_COLUMNS, each (n,), for rows of a survey's layout.

    Fluxes are difference fluxes in nJy, signed; magnitudes are those of the absolute difference flux for ZTF detections
    (as the survey states them) and of positive fluxes otherwise. NaN, INT_MISSING and '' mean missing.
    """
    n = len(rows)
    nan = np.full(n, np.nan)
    if survey == "lsst":
        flux, flux_err = rows["flux"].astype(np.float64), rows["flux_err"].astype(np.float64)
        limit = np.full(n, np.nan)
        none = rows["kind"] == NONDETECTION
        limit[none], _ = flux_to_mag(_FIVE_SIGMA * flux_err[none], nan[none])
        flux_err[none] = np.nan
        mag, mag_err = flux_to_mag(flux, flux_err)
    else:
        mag, mag_err = rows["mag"].astype(np.float64), rows["mag_err"].astype(np.float64)
        limit = rows["limit_mag"].astype(np.float64)
        sign = np.where(rows["sign"] == 0, np.nan, rows["sign"].astype(np.float64))
        flux = sign * 10 ** (0.4 * (_AB_NJY - mag))
        flux_err = np.abs(flux) * mag_err / _MAG_PER_FRACTION
        forced = rows["kind"] == FORCED
        scale = 10 ** (0.4 * (_AB_NJY - rows["zero_point"][forced].astype(np.float64)))
        flux[forced] = rows["flux_dn"][forced] * scale
        flux_err[forced] = rows["flux_dn_err"][forced] * scale
        mag[forced], mag_err[forced] = flux_to_mag(flux[forced], flux_err[forced])
    return {
        "survey": np.full(n, survey),
        "kind": np.array(KINDS)[rows["kind"]],
        "source_id": rows["source_id"].astype(np.int64),
        "mjd_tai": rows["mjd_tai"].astype(np.float64),
        "band": np.array([chr(code) if code else "" for code in rows["band"].tolist()], dtype="<U1"),
        "flux_nJy": flux,
        "flux_err_nJy": flux_err,
        "mag": mag,
        "mag_err": mag_err,
        "limit_mag": limit,
        "reliability": rows["reliability"].astype(np.float64),
    }


def to_votable(name: str, columns: dict[str, NDArray[Any]]) -> bytes:
    """A VOTable 1.4 document of a light curve."""
    from astropy.io.votable import from_table, writeto
    from astropy.table import MaskedColumn, Table

    table = Table(meta={"object": name})
    for column, values in columns.items():
        masked = values == INT_MISSING if values.dtype.kind == "i" else np.zeros(len(values), bool)
        table[column] = MaskedColumn(values, mask=masked, unit=_UNITS.get(column))
    sink = io.BytesIO()
    writeto(from_table(table), sink)
    return sink.getvalue()


def plot_lightcurve(name: str, columns: dict[str, NDArray[Any]], file: Path) -> None:
    """Plot fluxes against time, one colour a band: filled detections, open forced photometry, limits as triangles."""
    plot_lightcurves({name: columns}, file, title=name)


def plot_lightcurves(curves: Mapping[str, dict[str, NDArray[Any]]], file: Path, *, title: str) -> None:
    """Plot light curves of several objects in one figure, of either survey; see `plot_lightcurve`.

    Colours are bands, marks are objects. Both surveys are in nJy; their templates differ, so that a source that varies
    may be shifted by a constant.

    Parameters
    ----------
    curves : what the legend says -> the columns of LIGHTCURVE_COLUMNS
    file : .png
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), constrained_layout=True)
    axes = figure.add_subplot()
    several = len(curves) > 1
    for number, (name, columns) in enumerate(curves.items()):
        label = f"{name} " if several else ""
        _draw(axes, columns, _MARKS[number % len(_MARKS)], label)
    axes.axhline(0, color="#aaaaaa", lw=0.8)
    axes.set(xlabel="MJD (TAI)", ylabel="difference flux [nJy]")
    axes.set_title(title, parse_math=False)
    if several:
        figure.legend(handles=_key(curves), loc="outside right upper", fontsize=8)
    else:
        axes.legend(fontsize=8, ncols=2)
    try:
        figure.savefig(file, dpi=120)
    except OSError as err:
        raise StoreUnavailable(f"cannot write {file}: {err.strerror}") from err


def _draw(axes: Axes, columns: dict[str, NDArray[Any]], mark: str, label: str) -> None:
    kind = columns["kind"]
    for band in sorted(set(columns["band"].tolist())):
        colour, mine = _COLOURS.get(band, "#888888"), columns["band"] == band
        for what, style in (
            (KINDS[DETECTION], {"fmt": mark, "mfc": colour}),
            (KINDS[FORCED], {"fmt": "s" if mark == "o" else mark, "mfc": "white", "ms": 4, "alpha": 0.7}),
        ):
            some = mine & (kind == what)
            if some.any():
                axes.errorbar(
                    columns["mjd_tai"][some],
                    columns["flux_nJy"][some],
                    columns["flux_err_nJy"][some],
                    color=colour,
                    label=f"{label}{band or '?'} {what}",
                    lw=1,
                    **style,
                )
        limits = mine & (kind == KINDS[NONDETECTION]) & np.isfinite(columns["limit_mag"])
        if limits.any():
            upper = 10 ** (0.4 * (_AB_NJY - columns["limit_mag"][limits]))
            axes.plot(
                columns["mjd_tai"][limits],
                upper,
                "v",
                color=colour,
                mfc="none",
                ms=5,
                alpha=0.5,
                label=f"{label}{band or '?'} limit",
            )


def _key(curves: Mapping[str, dict[str, NDArray[Any]]]) -> list[Any]:
    """What marks, colours and fillings mean."""
    from matplotlib.lines import Line2D

    none: list[float] = []
    found = [
        Line2D(none, none, ls="", marker=_MARKS[i % len(_MARKS)], color="#444444", label=name)
        for i, name in enumerate(curves)
    ]
    bands = sorted({band for columns in curves.values() for band in columns["band"].tolist()})
    found += [
        Line2D(none, none, ls="", marker="o", color=_COLOURS.get(band, "#888888"), label=band or "?") for band in bands
    ]
    kinds = {kind for columns in curves.values() for kind in columns["kind"].tolist()}
    styles: tuple[tuple[str, dict[str, Any]], ...] = (
        (KINDS[FORCED], {"marker": "s", "mfc": "white", "ms": 4}),
        (KINDS[NONDETECTION], {"marker": "v", "mfc": "none", "ms": 5, "alpha": 0.5}),
    )
    for kind, style in styles:
        if kind in kinds:
            what = "limit" if kind == KINDS[NONDETECTION] else f"{kind} (open)"
            found.append(Line2D(none, none, ls="", color="#444444", label=what, **style))
    return found
