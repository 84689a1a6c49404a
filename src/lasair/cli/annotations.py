"""`lasair annotate` and `lasair annotations`: what programs say of objects."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from lasair.cli.definitions import open_definitions
from lasair.cli.output import format_option, print_json, print_rows, progress_bar, say
from lasair.cli.parameters import Text
from lasair.cli.state import State, state_option
from lasair.errors import BadDefinition, LasairError, NotFound, NotPermitted

if TYPE_CHECKING:
    from lasair.annotations.model import Annotation
    from lasair.annotations.post import Annotates
    from lasair.schema.model import Survey
    from lasair.stores.marks import Annotated, SqliteMarkStore

#: Those of lasair.annotations.take (a test holds them equal).
BROKERS = ("alerce", "ampel", "antares", "fink")
#: Lines whose annotations are kept in one transaction.
LINES = 500
#: Longest line: ten times what the longest annotation needs.
LINE_BYTES = 1_000_000

_HEADINGS = ("annotation_id", "object", "topic", "classification", "new")


@click.command("annotate")
@click.argument("object_id", metavar="[OBJECT", required=False)
@click.argument("topic", metavar="TOPIC", required=False)
@click.argument("classification", metavar="CLASS]", required=False)
@click.option("--dict", "details", metavar="JSON", help="Details by name, a JSON object.")
@click.option("--explanation", metavar="TEXT", help="Why, in words.")
@click.option("--url", metavar="URL", help="Address of more about this.")
@click.option("--version", metavar="V", help="Version of the annotator's method.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE|-",
    help="Many annotations: a JSON object a line with objectId, topic, classification and so on.",
)
@format_option("table", "json")
@state_option
def annotate_command(
    object_id: str | None,
    topic: str | None,
    classification: str | None,
    details: str | None,
    explanation: str | None,
    url: str | None,
    version: str | None,
    source: Path | None,
    form: Any,
    state: State,
) -> int:
    """Say in the name of an annotator what an object is, and let filters that wait for it run.

    The annotator of the TOPIC must exist ('lasair annotator add') and be active. A line of a file that cannot be used
    is named and left out; the others are kept, and the command exits with 1. What stands already is not kept twice.
    """
    from lasair.annotations.model import from_request

    given = {"objectId": object_id, "topic": topic, "classification": classification}
    more = {"classdict": details, "explanation": explanation, "url": url, "version": version}
    if source is not None:
        if any(one is not None for one in (*given.values(), *more.values())):
            raise click.UsageError("--from brings everything along: give no annotation beside it")
        with _storing(state) as store, click.open_file(str(source), "rb") as stream:
            bad, rows = _from_lines(stream, str(source), store)
    else:
        if classification is None:
            raise click.UsageError("give OBJECT, TOPIC and CLASS, or a file with --from")
        one = from_request({**given, **more})
        with _storing(state) as store:
            bad, rows = 0, _keep([_in_the_name_of(one, _annotator(one.topic))], store)
    _print(rows, form)
    _tell_filters(state, any(new for *_, new in rows))
    return 1 if bad else 0


@click.group("annotations")
def annotations_command() -> None:
    """Show what programs say of objects, and take in what other brokers say."""


@annotations_command.command("show")
@click.argument("object_id", metavar="OBJECT")
@click.option("--history", "past", is_flag=True, help="Also what was said before, newest first.")
@format_option("table", "csv", "json")
@state_option
def show_command(object_id: str, past: bool, form: Any, state: State) -> None:
    """Show the annotations of an object: of each topic the one that stands."""
    survey = _survey_of(object_id)
    store = _stored(state)
    with state.some_stores() as stores:
        found: list[Annotated] = []
        if store:
            found = stores.marks.history(survey, object_id) if past else stores.marks.get(survey, object_id)
    if form == "json":
        print_json([_json(one) for one in found])
        return
    names = ("annotation_id", "topic", "version", "timestamp", "classification", "explanation", "classdict", "url")
    rows = [tuple(getattr(one, name) for name in names) for one in found]
    print_rows(names, [tuple(_line(value) for value in row) for row in rows] if form == "table" else rows, form)


@annotations_command.command("topics")
@format_option("table", "csv", "json")
@state_option
def topics_command(form: Any, state: State) -> None:
    """List the topics of annotations, and on how many objects there are some."""
    there = _stored(state)
    with state.some_stores() as stores:
        found = stores.marks.topics() if there else []
    print_rows(("survey", "topic", "objects"), found, form)


@annotations_command.command("take")
@click.argument("broker", type=click.Choice(BROKERS))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--stream",
    type=Text(),
    metavar="TOPIC",
    help="The broker's Kafka topic that the messages came by (default: the name of the folder below PATH).",
)
@format_option("table", "json")
@state_option
def take_command(broker: str, paths: tuple[Path, ...], stream: str | None, form: Any, state: State) -> int:
    """Take in what another BROKER says: its messages and replies in the files and folders PATHS.

    A file is one message, an Avro container, or the JSON of a reply; a reply that does not name its object is about
    the one after which its file is called. What cannot be used is named, the rest taken, and the command exits with
    1. What was taken before changes nothing.
    """
    from lasair.annotations.take import take_files

    missing: list[str] = []

    def may(topic: str) -> None:
        problem = _annotator(topic).problem if state.definitions.is_file() else NotFound()
        if isinstance(problem, NotFound):
            # what brokers say is taken without anybody's leave; only who was stopped is not heard
            missing.append(topic)
        elif problem is not None:
            raise problem

    with _storing(state, wanted=False) as store, progress_bar(f"{broker}: files", None) as advance:
        found = take_files(broker, paths, store, stream=stream or "", may=may, progress=advance)
    refused = [(os.fsencode(path).decode(errors="backslashreplace"), reason) for path, reason in found.refused]
    for name, reason in refused:
        say(f"{name}: {reason}")
    if form == "json":
        facts = {"files": found.files, "annotations": found.annotations, "new": found.changed, "topics": found.topics}
        print_json({**facts, "refused": [{"file": name, "reason": reason} for name, reason in refused]})
    else:
        topics = ", ".join(f"{topic} {count:,}" for topic, count in sorted(found.topics.items()))
        click.echo(
            f"files read {found.files:,}, annotations {found.annotations:,}, new {found.changed:,},"
            f" refused {len(refused):,}" + (f" ({topics})" if topics else "")
        )
    for topic in missing:
        say(f"filters can name annotator:{topic} after 'lasair annotator add {topic}'")
    _tell_filters(state, found.changed > 0)
    return 1 if refused else 0


@contextmanager
def _storing(state: State, *, wanted: bool = True) -> Iterator[SqliteMarkStore]:
    """The store of annotations, and the definitions open; who annotates does not wait for a run that holds the state.

    `wanted`: NotFound when there are no definitions.
    """
    if not wanted:
        state.create()
    open_definitions(state, "annotator", wanted=wanted)
    with state.some_stores(read_only=False) as stores:
        yield stores.marks


class _Annotator(NamedTuple):
    """The topic as its annotator spells it, or why it may not be used."""

    topic: str
    problem: LasairError | None = None


def _annotator(topic: str) -> _Annotator:
    from lasair.definitions.people import annotator_for

    try:
        return _Annotator(annotator_for(topic).topic)
    except (NotFound, NotPermitted) as err:
        return _Annotator(topic, err)


def _in_the_name_of(one: Annotation, annotator: _Annotator) -> Annotation:
    if annotator.problem is not None:
        raise annotator.problem
    return one._replace(topic=annotator.topic)


def _keep(some: Sequence[Annotation], store: Annotates) -> list[tuple[Any, ...]]:
    """Rows to print."""
    return [
        (kept.annotation_id, one.object_id, one.topic, one.classification, kept.changed)
        for one, kept in zip(some, store.annotate(some, time.time()), strict=True)
    ]


def _from_lines(stream: IO[bytes], name: str, store: Annotates) -> tuple[int, list[tuple[Any, ...]]]:
    """How many lines are bad, and a row for each good one."""
    annotator = cache(_annotator)
    bad = 0
    rows: list[tuple[Any, ...]] = []
    some: list[Annotation] = []
    for number, line in enumerate(_lines(stream), 1):
        if line is not None and not line.strip():
            continue
        try:
            one = _read(line)
            some.append(_in_the_name_of(one, annotator(one.topic)))
        except (BadDefinition, NotFound, NotPermitted) as err:
            say(f"{name}: line {number}: {err}")
            bad += 1
        if len(some) == LINES:
            rows += _keep(some, store)
            some.clear()
    return bad, rows + _keep(some, store)


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Lines; None for one that is too long."""
    while line := stream.readline(LINE_BYTES):
        if line.endswith(b"\n") or len(line) < LINE_BYTES:
            yield line
            continue
        while (rest := stream.readline(LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield None


def _read(line: bytes | None) -> Annotation:
    from lasair.annotations.model import from_request, why_no_json

    if line is None:
        raise BadDefinition(f"has more than {LINE_BYTES:,} bytes")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as err:
        raise BadDefinition(why_no_json(err)) from err
    return from_request(found)


def _print(rows: list[tuple[Any, ...]], form: Any) -> None:
    print_rows(_HEADINGS, [(*row[:4], "yes" if row[4] else "no") for row in rows] if form == "table" else rows, form)


def _tell_filters(state: State, changed: bool) -> None:
    from lasair.cli.matching import react_now

    if changed:
        react_now(state)


def _survey_of(object_id: str) -> Survey:
    from lasair.annotations.model import survey_of

    survey = survey_of(object_id)
    if survey is None:
        raise NotFound(f"{object_id!r:.40} is neither an LSST object number nor a ZTF name (ZTFyyaaaaaaa)")
    return survey


def _stored(state: State) -> bool:
    """Whether anything was ever said."""
    from lasair.stores.open import MARKS_FILE

    if not state.path.is_dir():
        raise NotFound(f"no Lasair state in {state.path}: name it with --state")
    return (state.path / MARKS_FILE).is_file()


def _json(one: Annotated) -> dict[str, Any]:
    facts = one._asdict()
    facts["object_id"] = str(one.object_id)
    facts["classdict"] = None if one.classdict is None else json.loads(one.classdict)
    return facts


def _line(value: Any) -> Any:
    """A text in one line."""
    return " ".join(value.split()) if isinstance(value, str) else value
