"""`lasair annotate` and `lasair annotations`: what programs say of objects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from lasair.cli.definitions import make_definitions, open_definitions
from lasair.cli.output import format_option, print_json, print_rows, progress_bar, say
from lasair.cli.parameters import Text
from lasair.cli.state import State, state_option
from lasair.errors import BadDefinition, LasairError, NotFound, NotPermitted, StoreUnavailable

if TYPE_CHECKING:
    from lasair.annotations.model import Annotation
    from lasair.annotations.post import Annotates
    from lasair.schema.model import Survey
    from lasair.stores.marks import Annotated, Kept, SqliteMarkStore

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
        with _writing(state) as (store, may), click.open_file(str(source), "rb") as stream:
            bad, rows = _from_lines(stream, str(source), store, may)
    else:
        if classification is None:
            raise click.UsageError("give OBJECT, TOPIC and CLASS, or a file with --from")
        annotation = from_request({**given, **more})
        with _writing(state) as (store, may):
            bad, rows = 0, [_row(one, kept) for one, kept in _kept([annotation], store, may)]
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
    with _writing(state) as (store, may), progress_bar(f"{broker}: files", None) as advance:

        def known(topic: str) -> None:
            try:
                may(topic)
            except NotFound:
                missing.append(topic)

        found = take_files(broker, paths, store, stream=stream or "", may=known, progress=advance)
    for path, reason in found.refused:
        say(f"{path}: {reason}")
    if form == "json":
        facts = {"files": found.files, "annotations": found.annotations, "new": found.changed, "topics": found.topics}
        print_json({**facts, "refused": [{"file": str(path), "reason": reason} for path, reason in found.refused]})
    else:
        topics = "".join(f", {topic} {count:,}" for topic, count in sorted(found.topics.items()))
        click.echo(
            f"{found.files:,} files: {found.annotations:,} annotations, {found.changed:,} of them new{topics};"
            f" {len(found.refused):,} refused"
        )
    for topic in missing:
        say(f"filters can name annotator:{topic} after 'lasair annotator add {topic}'")
    _tell_filters(state, found.changed > 0)
    return 1 if found.refused else 0


@contextmanager
def _writing(state: State) -> Iterator[tuple[SqliteMarkStore, Callable[[str], None]]]:
    """The store of annotations, and what says whether those of a topic may be kept.

    No lock on the state: who annotates does not wait for a run.
    """
    make_definitions(state)
    from lasair.definitions.people import annotator_for

    def may(topic: str) -> None:
        annotator_for(topic)

    with state.some_stores(read_only=False) as stores:
        yield stores.marks, may


def _kept(
    annotations: Sequence[Annotation], store: Annotates, may: Callable[[str], None]
) -> list[tuple[Annotation, Kept]]:
    for topic in {one.topic for one in annotations}:
        may(topic)
    return list(zip(annotations, store.annotate(annotations, time.time()), strict=True))


def _from_lines(
    stream: BinaryIO, name: str, store: Annotates, may: Callable[[str], None]
) -> tuple[int, list[tuple[Any, ...]]]:
    """Bad lines, and a row for each good one."""
    from lasair.annotations.take import ask_once

    why = ask_once(may)
    bad = 0
    rows: list[tuple[Any, ...]] = []
    some: list[Annotation] = []

    def keep() -> None:
        rows.extend(_row(one, kept) for one, kept in zip(some, store.annotate(some, time.time()), strict=True))
        some.clear()

    for number, line in enumerate(_lines(stream), 1):
        if line is not None and not line.strip():
            continue
        try:
            one = _read(line)
            if reason := why(one.topic):
                raise BadDefinition(f"topic: {reason}")
        except StoreUnavailable:
            raise
        except LasairError as err:
            say(f"{name}: line {number}: {err}")
            bad += 1
            continue
        some.append(one)
        if len(some) == LINES:
            keep()
    keep()
    return bad, rows


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Lines; None for one that is too long."""
    while line := stream.readline(LINE_BYTES):
        if line.endswith(b"\n") or len(line) < LINE_BYTES:
            yield line
            continue
        while (rest := stream.readline(LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield None


def _read(line: bytes | None) -> Annotation:
    from lasair.annotations.model import from_request

    if line is None:
        raise BadDefinition(f"has more than {LINE_BYTES:,} bytes")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as err:
        raise BadDefinition(f"is not JSON ({str(err)[:100]})") from err
    return from_request(found)


def _row(one: Annotation, kept: Kept) -> tuple[Any, ...]:
    return (kept.annotation_id, one.object_id, one.topic, one.classification, kept.changed)


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
