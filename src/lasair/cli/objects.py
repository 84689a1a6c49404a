"""`lasair object`, `lightcurve`, `cutout`, `cone`, `links`: objects, alerts, and what lies at one place."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import format_option, print_json, print_rows, progress_bar, say
from lasair.cli.parameters import Finite, OutputFile, Whole
from lasair.cli.state import State, state_option
from lasair.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from lasair.schema.model import Survey


def identify(name: str) -> list[tuple[Survey, str, int]]:
    """(survey, name space of its light curve, packed id) that an object's name may mean."""
    from lasair.ingest import LSST_MOVERS
    from lasair.packets.ids import object_id

    if name.isascii() and name.isdecimal() and len(name) <= 19 and int(name) < 2**63:
        return [("lsst", "lsst", int(name)), ("lsst", LSST_MOVERS, int(name))]
    try:
        return [("ztf", "ztf", object_id("ztf", name))]
    except ValueError as err:
        shown = name if len(name) <= 40 else f"{name[:40]}..."
        raise NotFound(f"{shown!r} is neither an LSST object number nor a ZTF name (ZTFyyaaaaaaa)") from err


@click.command("object")
@click.argument("name", metavar="ID")
@format_option("table", "json")
@state_option
def object_command(name: str, form: Any, state: State) -> int:
    """Show what is known of an object.

    Its features, its context, the size of its light curve; near-duplicates and objects of the other survey at its
    place; the watchlists, areas and events it lies in; its entry in the TNS; annotations, tags and notes.
    """
    from lasair.show.known import Reader

    state.must_exist()
    with state.some_stores() as stores:
        reader = Reader(stores, state.definitions)
        for survey, namespace, packed in identify(name):
            facts = reader.object(name, survey, namespace, packed)
            if facts is not None:
                break
    if facts is None:
        for trouble in reader.troubles.values():
            raise trouble
        raise NotFound(f"no object {name} here; 'lasair query' and 'lasair cone' find objects")
    for trouble in reader.troubles.values():
        say(f"lasair: {trouble}")
    if form == "json":
        print_json(facts)
    else:
        print_rows(("what", "value"), _rows(facts), "table")
    return 1 if reader.troubles else 0


#: Columns that `objects` shows already.
_KEYS = ("diaObjectId", "objectId")


def _rows(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    """What is known of an object as (what, value) for people."""
    rows = [
        ("survey", facts["survey"]),
        *facts["lightcurve"].items(),
        *(facts["objects"] or {}).items(),
        *((name, value) for name, value in (facts["sherlock"] or {}).items() if name not in _KEYS),
        *(("classified", f"{one['class']} since {one['since']}") for one in facts["classified"] or ()),
    ]
    for what, shown in _SHOWN.items():
        rows += [tuple(map(_one_line, shown(one))) for one in facts[what] or ()]
    return rows


def _one_line(text: str) -> str:
    """A text from outside that fits into a line and cannot steer a terminal."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return plain if len(plain) <= _WIDEST else f"{plain[: _WIDEST - 3]}..."


_WIDEST = 100


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _link(one: dict[str, Any]) -> tuple[str, str]:
    what = "near-duplicate" if one["kind"] == "duplicate" else one["kind"]
    seen = None if one["detections"] is None else f"{one['detections']} detections"
    last = None if one["last_mjd_tai"] is None else f"last at MJD {one['last_mjd_tai']:.5f}"
    return what, _joined(f"{one['object']} at {one['separation_arcsec']:.2f} arcsec", seen, last)


def _watchlist(one: dict[str, Any]) -> tuple[str, str]:
    cone = one["name"] or f"cone {one['cone_id']}"
    waits = None if one["triggered"] else "not triggered"
    return f"watchlist {one['wl_id']}", _joined(one["list"], f"{cone} at {one['arcsec']:.2f} arcsec", waits)


def _event(one: dict[str, Any]) -> tuple[str, str]:
    far = None if one["distance"] is None else f"{one['distance']:.4g} Mpc"
    return f"event {one['event']}", _joined(f"contour {one['contour']:.2f} %", far)


def _tns(one: dict[str, Any]) -> tuple[str, str]:
    z = None if one["z"] is None else f"z = {one['z']:g}"
    return "TNS", _joined(f"{one['tns_prefix'] or ''} {one['tns_name']}".strip(), one["type"] or "not classified", z)


def _annotation(one: dict[str, Any]) -> tuple[str, str]:
    version = one["version"] and f"version {one['version']}"
    return f"annotation {one['topic']}", _joined(str(one["classification"]), version, one["timestamp"])


def _note(one: dict[str, Any]) -> tuple[str, str]:
    return f"note {one['note_id']}", f"{one['owner']}, {one['created']}: {one['text']}"


_SHOWN: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "links": _link,
    "watchlists": _watchlist,
    "areas": lambda one: (f"area {one['ar_id']}", one["list"] or ""),
    "events": _event,
    "tns": _tns,
    "annotations": _annotation,
    "tags": lambda one: (f"tag {one['tag_id']}", _joined(one["name"], one["tagged"])),
    "notes": _note,
}


@click.command("lightcurve")
@click.argument("name", metavar="ID")
@format_option("table", "csv", "json", "votable")
@click.option("--plot", type=OutputFile(".png"), help="PNG file to plot to.")
@click.option("--linked", "with_links", is_flag=True, help="Also those of objects at its place, of either survey.")
@click.option("--from", "mjd_min", type=Finite(), metavar="MJD", help="First MJD (TAI).")
@click.option("--to", "mjd_max", type=Finite(), metavar="MJD", help="Last MJD (TAI).")
@state_option
def lightcurve_command(
    name: str,
    form: Any,
    plot: Path | None,
    with_links: bool,
    mjd_min: float | None,
    mjd_max: float | None,
    state: State,
) -> int:
    """Print the light curve of an object: detections, non-detections and forced photometry in flux and magnitude.

    With --linked a column `object` says whose a row is.
    """
    import numpy as np

    from lasair.packets.ids import object_id
    from lasair.show.known import Reader
    from lasair.show.lightcurve import LIGHTCURVE_COLUMNS, lightcurve_columns

    first, last = -math.inf if mjd_min is None else mjd_min, math.inf if mjd_max is None else mjd_max
    if first > last:
        raise click.UsageError(f"--from {first} is later than --to {last}")
    state.must_exist()
    curves: dict[str, dict[str, Any]] = {}
    labels: dict[str, str] = {}
    with state.some_stores() as stores:
        reader = Reader(stores, state.definitions)
        for one_survey, namespace, packed in identify(name):
            survey = one_survey
            rows, _ = stores.lightcurves.get(namespace, [packed], mjd_min=first, mjd_max=last)
            if len(rows):
                break
        else:
            raise NotFound(
                f"no light curve of {name}" + (" here" if mjd_min is None is mjd_max else " in that range of time")
            )
        curves[name], labels[name] = lightcurve_columns(survey, rows), f"{name} ({survey.upper()})"
        if with_links and namespace == survey:
            for link in reader.links(survey, packed if survey == "lsst" else name):
                other = str(link.object)
                try:
                    rows, _ = stores.lightcurves.get(
                        link.survey, [object_id(link.survey, other)], mjd_min=first, mjd_max=last
                    )
                except StoreUnavailable as err:
                    reader.troubles["lightcurves"] = err
                    continue
                if len(rows):
                    curves[other] = lightcurve_columns(link.survey, rows)
                    labels[other] = f"{other} ({link.survey.upper()}, {link.separation_arcsec:.2f} arcsec)"
    for trouble in reader.troubles.values():
        say(f"lasair: {trouble}")
    if plot:
        from lasair.show.lightcurve import plot_lightcurve, plot_lightcurves

        if len(curves) == 1:
            plot_lightcurve(name, curves[name], plot)
        else:
            plot_lightcurves({labels[one]: columns for one, columns in curves.items()}, plot, title=f"{name} and links")
        click.echo(f"plotted to {plot}", err=True)
    names = ("object", *LIGHTCURVE_COLUMNS) if with_links else LIGHTCURVE_COLUMNS
    if with_links:
        for one, columns in curves.items():
            columns["object"] = np.full(len(columns["mjd_tai"]), one)
    together = {column: np.concatenate([columns[column] for columns in curves.values()]) for column in names}
    if form == "votable":
        from lasair.show.lightcurve import to_votable

        sys.stdout.buffer.write(to_votable(name, together))
    else:
        records = zip(*(together[column].tolist() for column in names), strict=True)
        missing = [names.index("source_id"), names.index("band")]
        print_rows(
            names,
            [
                tuple(v if i not in missing or v not in (-(2**63), "") else None for i, v in enumerate(r))
                for r in records
            ],
            form,
        )
    return 1 if reader.troubles else 0


@click.command("cutout")
@click.argument("alert_id", type=Whole())
@click.argument("kind", type=click.Choice(["difference", "science", "template"]))
@click.option(
    "-o",
    "--output",
    required=True,
    type=OutputFile(".fits", ".png"),
    help="File to write: .fits or .png.",
)
@click.option("--survey", type=click.Choice(["lsst", "ztf"]), help="Whose alert; both are tried when not given.")
@state_option
def cutout_command(alert_id: int, kind: Any, output: Path, survey: str | None, state: State) -> None:
    """Save an image of an alert as FITS (as the survey sent it) or PNG (stretched for the eye)."""
    from lasair.show.cutout import png_of_fits

    state.must_exist()
    with state.some_stores() as stores:
        found = next(
            (
                data
                for s in ([survey] if survey else ["lsst", "ztf"])
                if (data := stores.cutouts.get(s, alert_id, kind))
            ),
            None,
        )
    if found is None:
        raise NotFound(f"no {kind} image of alert {alert_id} here (never sent, broken, or expired)")
    try:
        output.write_bytes(found if output.suffix.lower() == ".fits" else png_of_fits(found))
    except OSError as err:
        raise StoreUnavailable(f"cannot write {output}: {err.strerror}") from err
    click.echo(f"{output}: {output.stat().st_size} bytes", err=True)


@click.command("cone", context_settings={"ignore_unknown_options": True})
@click.argument("ra", type=Finite(0, 360))
@click.argument("dec", type=Finite(-90, 90))
@click.argument("radius", type=Finite(0, 3600))
@click.option("--survey", type=click.Choice(["lsst", "ztf"]), help="Whose objects; both when not given.")
@format_option("table", "csv", "json")
@state_option
def cone_command(ra: float, dec: float, radius: float, survey: str | None, form: Any, state: State) -> None:
    """List objects within RADIUS arcsec of RA DEC (degrees), nearest first."""
    state.must_exist()
    with state.some_stores() as stores:
        rows = [
            (s, name, separation)
            for s in ([survey] if survey else ["lsst", "ztf"])
            for name, separation in stores.objects.cone(s, ra, dec, radius)
        ]
    print_rows(("survey", "object", "separation_arcsec"), sorted(rows, key=lambda row: row[2]), form)


@click.command("links")
@click.option(
    "--survey",
    type=click.Choice(["lsst", "ztf", "both"]),
    default="both",
    show_default=True,
    help="Whose objects; with both also pairs of an LSST and a ZTF object.",
)
@click.option("--limit", type=Whole(), help="Most pairs (default: all).")
@format_option("table", "csv", "json")
@state_option
def links_command(survey: str, limit: int | None, form: Any, state: State) -> None:
    """List all stored objects of one place: pairs no farther apart than 1.5 arcsec, nearest first.

    Two objects of one survey are near-duplicates. Links say what lies at one place; objects are never merged.
    """
    from lasair.matching.links import all_links
    from lasair.schema.model import SURVEYS

    state.must_exist()
    surveys = [one for one in SURVEYS if survey in (one, "both")]
    with state.some_stores() as stores:
        counts = {one: stores.objects.count(one, "objects") for one in surveys}
        # each is read and looked up among its own, one of the two surveys also in the other
        total = 2 * sum(counts.values()) + (counts["lsst"] if survey == "both" else 0)
        with progress_bar("looking for objects of one place", total) as advance:
            found = all_links(stores.objects, surveys, advance)
    rows = sorted(
        (
            (pairs.surveys[0], first, pairs.surveys[1], second, separation, pairs.kind)
            for pairs in found
            for first, second, separation in zip(
                pairs.first.tolist(), pairs.second.tolist(), pairs.separation_arcsec.tolist(), strict=True
            )
        ),
        key=lambda row: row[4],
    )
    names = ("survey", "object", "other_survey", "other_object", "separation_arcsec", "kind")
    print_rows(names, rows[:limit], form)
    if limit is not None and len(rows) > limit:
        say(f"truncated: there are {len(rows):,} pairs; raise --limit")
