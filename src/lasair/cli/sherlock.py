"""`lasair sherlock`: what lies at a position; the service; comparisons with another Sherlock."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.output import format_option, print_json, print_rows, say
from lasair.cli.parameters import Finite, OutputFile, Whole
from lasair.cli.state import State, catalogue_folder, catalogues_option, state_option
from lasair.errors import BadDefinition, NotFound

if TYPE_CHECKING:
    from lasair.catalogues.shelf import Shelf
    from lasair.sherlock.answers import Answers
    from lasair.sherlock.engine import Sherlock

rules_option = click.option(
    "--rules",
    "rule_set",
    type=click.Choice(["fixed", "compat"]),
    default="fixed",
    show_default=True,
    help="Rule set: 'compat' answers as Sherlock 3.1 does, quirks included.",
)
#: Positions classified at a time.
BATCH = 10_000


@click.group("sherlock")
def sherlock_command() -> None:
    """Say what lies at a position of the sky, and what an alert there hence probably is."""


@sherlock_command.command("classify")
@click.option("--ra", type=Finite(-360.0, 720.0), help="Right ascension [deg].")
@click.option("--dec", "decl", type=Finite(-90.0, 90.0), help="Declination [deg].")
@click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Many positions: a file with columns ra, dec (or decl) and perhaps name.",
)
@click.option("--epoch", type=Finite(1900.0, 2200.0), metavar="YEAR", help="Stars are moved to it (default: today).")
@click.option("--lite", is_flag=True, help="Only the best source of each position.")
@click.option(
    "--explain", "explained", is_flag=True, help="Also the searches tried and the sources not taken, and why."
)
@rules_option
@catalogues_option
@format_option("table", "csv", "json")
@state_option
def classify_command(
    ra: float | None,
    decl: float | None,
    table: Path | None,
    epoch: float | None,
    lite: bool,
    explained: bool,
    rule_set: Any,
    catalogues: Path | None,
    form: Any,
    state: State,
) -> int:
    """Classify a position, or those of a file.

    A row of the file that is no position is named and left out; the others are answered, and the command exits with 1.
    """
    if (table is None) == (ra is None and decl is None):
        raise click.UsageError("give a position with --ra and --dec, or many with --csv")
    if table is None and (ra is None or decl is None):
        raise click.UsageError("--ra and --dec belong together")
    if explained and form != "json":
        raise click.UsageError("--explain prints JSON: add --format json")
    engine = _engine(_shelf(catalogues, state), rule_set)
    for problem in engine.problems:
        say(f"answered without {problem}")
    bad: list[str] = []
    batches = iter([(["query0"], [float(ra)], [float(decl)])]) if ra is not None and decl is not None else None
    printed: dict[str, Any] = {}
    rows: list[tuple[Any, ...]] = []
    for names, ras, decls in batches or _positions(table or Path(), bad):
        answers, said = _answer(engine, names, ras, decls, epoch, lite, explained)
        if form == "json":
            for key, value in said.items():
                if isinstance(value, list) and key == "crossmatches":
                    printed.setdefault(key, []).extend(value)
                elif key in ("classifications", "covered_by", "explanations"):
                    printed.setdefault(key, {}).update(value)
                else:
                    printed[key] = value
        else:
            rows += _rows(answers, names, said)
    if form == "json":
        print_json(printed)
    else:
        print_rows(_HEADINGS, rows, form)
    for line in bad:
        say(line)
    return 1 if bad else 0


_HEADINGS = (
    "name",
    "ra",
    "dec",
    "classification",
    "catalogues",
    "id",
    "separation_arcsec",
    "distance_mpc",
    "description",
)


def _answer(
    engine: Sherlock,
    names: list[str],
    ra: list[float],
    decl: list[float],
    epoch: float | None,
    lite: bool,
    explained: bool,
) -> tuple[Answers, dict[str, Any]]:
    import numpy as np

    from lasair.sherlock.matches import Rejected
    from lasair.sherlock.reply import explain, reply
    from lasair.sherlock.requests import Asked
    from lasair.sherlock.service import classify

    rejected: list[Rejected] | None = [] if explained else None
    asked = Asked(np.array(ra), np.array(decl), names, epoch, lite, engine.rules.rule_set, explained)
    answers = classify(engine, asked, rejected)
    said = reply(answers, names, lite=lite)
    if rejected is not None:
        said["explanations"] = {name: explain(engine, rejected, i) for i, name in enumerate(names)}
    return answers, said


def _rows(answers: Answers, names: list[str], said: dict[str, Any]) -> list[tuple[Any, ...]]:
    columns = answers.columns()
    best = {
        int(position): tuple(columns[name][i] for name in _BEST)
        for i, position in enumerate((answers.best >= 0).nonzero()[0])
    }
    return [
        (
            name,
            float(answers.sky.ra[i]),
            float(answers.sky.decl[i]),
            said["classifications"][name][0],
            *best.get(i, (None,) * len(_BEST)),
            said["classifications"][name][1],
        )
        for i, name in enumerate(names)
    ]


_BEST = ("catalogue_table_name", "catalogue_object_id", "separationArcsec", "best_distance")


def _positions(file: Path, bad: list[str]) -> Iterator[tuple[list[str], list[float], list[float]]]:
    """Batches of positions of a CSV file; what is none goes to `bad`."""
    names: list[str] = []
    ras: list[float] = []
    decls: list[float] = []
    taken: set[str] = set()
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            fields = {name.strip().lower(): name for name in reader.fieldnames or []}
            decl_field = fields.get("dec") or fields.get("decl")
            if "ra" not in fields or decl_field is None:
                raise BadDefinition(f"{file}: its first line must name the columns ra and dec (degrees)")
            for i, row in enumerate(reader):
                name = (row.get(fields.get("name", "")) or "").strip() or f"query{i}"
                try:
                    ra, decl = float(row[fields["ra"]]), float(row[decl_field])
                    if not (-360.0 <= ra <= 720.0 and -90.0 <= decl <= 90.0):
                        raise ValueError
                except (TypeError, ValueError):
                    bad.append(f"{file}: row {i}: ra {row[fields['ra']]!r}, dec {row[decl_field]!r} is no position")
                    continue
                if name in taken:
                    bad.append(f"{file}: row {i}: the name {name!r} was there before")
                    continue
                taken.add(name)
                names.append(name)
                ras.append(ra % 360.0)
                decls.append(decl)
                if len(names) == BATCH:
                    yield names, ras, decls
                    names, ras, decls = [], [], []
    except (UnicodeDecodeError, csv.Error) as err:
        raise BadDefinition(f"{file} is not a CSV file: {err}") from err
    if names:
        yield names, ras, decls


@sherlock_command.command("refresh")
@click.option("--no-filters", is_flag=True, help="Do not run filters on the objects whose class has changed.")
@format_option("table", "json")
@state_option
def refresh_command(no_filters: bool, form: Any, state: State) -> None:
    """Classify stored objects again after a catalogue or the rules have changed.

    Only what has changed is looked at again. The new class joins the object's history, and active filters that read
    sherlock_classifications run on the objects whose class is another one now.
    """
    from collections import Counter

    import numpy as np

    from lasair.cli.output import progress_bar
    from lasair.definitions.snapshot import read_snapshot
    from lasair.filter.evaluate import FilterStage
    from lasair.filter.stored import filter_stored, stored_batch
    from lasair.matching.past import hosts_again
    from lasair.packets.ids import object_names
    from lasair.sherlock.refresh import refresh

    state.must_exist()
    moved: Counter[tuple[str, str, str]] = Counter()
    asked = delivered = 0
    with state.writing(), state.stores() as stores, state.ledger() as ledger:
        engine = _engine(_shelf(None, state), "fixed")
        active = read_snapshot(state.definitions)
        filters = [one for one in active.filters if "sherlock_classifications" in one.tables]
        stage = FilterStage(state.settings)
        total = sum(stores.classifications.count(survey) for survey in ("lsst", "ztf"))
        with progress_bar("classifying again", total) as advance:

            def count(n: int) -> None:
                nonlocal asked
                asked += n
                advance(n)

            for changed in refresh(engine, stores.classifications, stores.objects, progress=count):
                moved.update(
                    (changed.survey, a.klass, b.klass) for a, b in zip(changed.before, changed.now, strict=True)
                )
                names = object_names(changed.survey, np.array([one.object_id for one in changed.now], np.int64))
                hosts_again(state.definitions, stores, changed.survey, names, contour=state.settings.event_contour)
                if not no_filters and filters:
                    batch = stored_batch(stores, changed.survey, [one.object_id for one in changed.now])
                    done = filter_stored(
                        stage, ledger, state.settings, filters, batch, active, partition="sherlock refresh"
                    )
                    delivered += done.counts.delivered
    found = {
        "asked": asked,
        "changed": sum(moved.values()),
        "transitions": [
            {"survey": survey, "from": old, "to": new, "objects": count}
            for (survey, old, new), count in moved.most_common()
        ],
        "delivered": delivered,
    }
    if form == "json":
        print_json(found)
        return
    click.echo(f"{asked:,} objects classified again, {found['changed']:,} of another class now, {delivered:,} messages")
    print_rows(("survey", "from", "to", "objects"), [(*key, count) for key, count in moved.most_common()], "table")


@sherlock_command.command("vectors")
@click.argument("source", metavar="INPUT.json", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--lite", is_flag=True, help="Only the best source of each site.")
@rules_option
@click.option("-o", "--output", type=OutputFile(), required=True, metavar="OUT.json", help="File to write.")
def vectors_command(source: Path, lite: bool, rule_set: Any, output: Path) -> int:
    """Classify sites in catalogues that the file brings along, to compare with a Sherlock of one's own.

    INPUT has arrays ra and dec, and tables of rows in the column names of Sherlock's production schema.
    """
    from lasair.sherlock.vectors import answer

    found = answer(_json(source), rule_set, lite=lite)
    output.write_text(json.dumps(found, allow_nan=False))
    click.echo(f"{len(found['cl'])} sites, {len(found['cr'])} records in {output}")
    return 0


@sherlock_command.command("compare")
@click.argument("a", metavar="A.json", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("b", metavar="B.json", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@format_option("table", "json")
def compare_command(a: Path, b: Path, form: Any) -> int:
    """Compare two answers of `vectors` or of another Sherlock; exits with 1 when they differ."""
    from lasair.sherlock.compare import compare

    one, other = _json(a), _json(b)
    for file, given in ((a, one), (b, other)):
        if not isinstance(given, dict) or not {"cl", "cr"} <= set(given):
            raise BadDefinition(f"{file} is no answer: it needs 'cl' and 'cr'")
    found = compare(one, other)
    if form == "json":
        print_json(found.as_dict())
    else:
        for name, count in found.fields.most_common():
            site, mine, theirs = found.examples[name][0]
            click.echo(f"{name}: {count} differ, such as {site}: {mine!r} and {theirs!r}")
        click.echo(f"{found.sites} sites and {found.rows} records compared: {found.fields.total()} differences")
    return 1 if found.fields else 0


@sherlock_command.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=Whole(1, 65535), default=5500, show_default=True, help="Port.")
@click.option(
    "--workers", type=Whole(1, 64), default=1, show_default=True, help="Processes; they share the catalogues."
)
@click.option("--threads", type=Whole(1, 64), default=4, show_default=True, help="Threads of each.")
@catalogues_option
@state_option
def serve_command(host: str, port: int, workers: int, threads: int, catalogues: Path | None, state: State) -> None:
    """Answer over HTTP: /query?ra=..&dec=.., /object/ID, /health. Stops gently on SIGTERM."""
    from lasair.sherlock.lookup import lookup_in
    from lasair.sherlock.serve import serve

    folder = catalogue_folder(catalogues, state)
    say(f"serving on http://{host}:{port} with the catalogues in {folder}")
    serve(folder, host=host, port=port, workers=workers, threads=threads, lookup=lookup_in(state.path))


def _shelf(named: Path | None, state: State) -> Shelf:
    from lasair.catalogues.shelf import Shelf

    folder = catalogue_folder(named, state)
    if not folder.is_dir():
        raise NotFound(
            f"no catalogues in {folder}: name the folder with --catalogues, or add one with 'lasair catalogue add'"
        )
    return Shelf.open(folder)


def _engine(shelf: Shelf, rule_set: Any) -> Sherlock:
    from lasair.sherlock.open import open_engine

    return open_engine(shelf, rule_set)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError as err:
        raise BadDefinition(f"{file} is not JSON: {err}") from err
