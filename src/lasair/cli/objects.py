"""`lasair object`, `lightcurve`, `cutout`, `cone`: one object or alert."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import format_option, print_json, print_rows, say
from lasair.cli.parameters import Finite, OutputFile, Whole
from lasair.cli.state import State, state_option
from lasair.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from lasair.stores.open import Stores


def identify(name: str) -> list[tuple[str, str, int]]:
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
    """Show what is known of an object: its features, its context and the size of its light curve."""
    from lasair.schema.model import KINDS

    state.must_exist()
    facts: dict[str, Any] | None = None
    troubles: dict[str, StoreUnavailable] = {}
    with state.some_stores() as stores:
        for survey, namespace, packed in identify(name):
            key = packed if survey == "lsst" else name
            tables: dict[str, list[dict[str, Any]]] = {"objects": [], "sherlock_classifications": []}
            rows = None
            # what one damaged file hides must not hide the rest
            try:
                tables = {table: stores.objects.get(survey, table, key) for table in tables}
            except StoreUnavailable as err:
                troubles["objects"] = err
            try:
                rows, _ = stores.lightcurves.get(namespace, [packed])
            except StoreUnavailable as err:
                troubles["lightcurves"] = err
            if tables["objects"] or (rows is not None and len(rows)):
                facts = {
                    "object": name,
                    "survey": survey,
                    "mover": namespace != survey,
                    "lightcurve": {
                        kind: None if rows is None else int((rows["kind"] == i).sum()) for i, kind in enumerate(KINDS)
                    },
                    "objects": tables["objects"][0] if tables["objects"] else None,
                    "sherlock": tables["sherlock_classifications"][0] if tables["sherlock_classifications"] else None,
                    "classified": _classified(stores, survey, packed, troubles),
                }
                break
    if facts is None:
        for trouble in troubles.values():
            raise trouble
        raise NotFound(f"no object {name} here; 'lasair query' and 'lasair cone' find objects")
    for trouble in troubles.values():
        say(f"lasair: {trouble}")
    if form == "json":
        print_json(facts)
    else:
        print_rows(
            ("what", "value"),
            [
                ("survey", facts["survey"]),
                *facts["lightcurve"].items(),
                *(facts["objects"] or {}).items(),
                *((name, value) for name, value in (facts["sherlock"] or {}).items() if name not in _KEYS),
                *(("classified", f"{one['class']} since {one['since']}") for one in facts["classified"] or ()),
            ],
            "table",
        )
    return 1 if troubles else 0


#: Columns that `objects` shows already.
_KEYS = ("diaObjectId", "objectId")


def _classified(
    stores: Stores, survey: str, packed: int, troubles: dict[str, StoreUnavailable]
) -> list[dict[str, str]] | None:
    """What Sherlock said over time, oldest first; None when it cannot be read."""
    from lasair.times import plain_utc

    try:
        return [
            {"class": said.klass, "since": plain_utc(said.since), "version": said.version}
            for said in stores.classifications.history(survey, packed)
        ]
    except StoreUnavailable as err:
        troubles["classifications"] = err
        return None


@click.command("lightcurve")
@click.argument("name", metavar="ID")
@format_option("table", "csv", "json", "votable")
@click.option("--plot", type=OutputFile(".png"), help="PNG file to plot to.")
@click.option("--from", "mjd_min", type=Finite(), metavar="MJD", help="First MJD (TAI).")
@click.option("--to", "mjd_max", type=Finite(), metavar="MJD", help="Last MJD (TAI).")
@state_option
def lightcurve_command(
    name: str, form: Any, plot: Path | None, mjd_min: float | None, mjd_max: float | None, state: State
) -> None:
    """Print the light curve of an object: detections, non-detections and forced photometry in flux and magnitude."""
    from lasair.show.lightcurve import LIGHTCURVE_COLUMNS, lightcurve_columns

    first, last = -math.inf if mjd_min is None else mjd_min, math.inf if mjd_max is None else mjd_max
    if first > last:
        raise click.UsageError(f"--from {first} is later than --to {last}")
    state.must_exist()
    with state.some_stores() as stores:
        for one_survey, namespace, packed in identify(name):
            survey = one_survey
            rows, _ = stores.lightcurves.get(namespace, [packed], mjd_min=first, mjd_max=last)
            if len(rows):
                break
        else:
            raise NotFound(
                f"no light curve of {name}" + (" here" if mjd_min is None is mjd_max else " in that range of time")
            )
    columns = lightcurve_columns(survey, rows)
    if plot:
        from lasair.show.lightcurve import plot_lightcurve

        plot_lightcurve(name, columns, plot)
        click.echo(f"plotted to {plot}", err=True)
    if form == "votable":
        from lasair.show.lightcurve import to_votable

        sys.stdout.buffer.write(to_votable(name, columns))
        return
    records = list(zip(*(columns[column].tolist() for column in LIGHTCURVE_COLUMNS), strict=True))
    missing = [LIGHTCURVE_COLUMNS.index("source_id"), LIGHTCURVE_COLUMNS.index("band")]
    print_rows(
        LIGHTCURVE_COLUMNS,
        [tuple(v if i not in missing or v not in (-(2**63), "") else None for i, v in enumerate(r)) for r in records],
        form,
    )


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
