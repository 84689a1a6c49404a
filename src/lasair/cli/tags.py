"""`lasair tag` and `lasair note`: what people put on objects."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from lasair.cli.definitions import (
    description_option,
    group_option,
    make_definitions,
    open_definitions,
    public_option,
    sharing_options,
)
from lasair.cli.lists import shared_with
from lasair.cli.output import format_option, print_json, print_rows, say
from lasair.cli.parameters import Whole
from lasair.cli.state import State, state_option
from lasair.errors import BadDefinition, NotFound

if TYPE_CHECKING:
    from lasair.schema.model import Survey


@click.group("tag")
def tag_command() -> None:
    """Tags: words that people put on objects; filters and queries ask for them as tag:NUMBER."""


@tag_command.command("add")
@click.argument("name")
@click.argument("objects", metavar="OBJECT...", nargs=-1, required=True)
@description_option
@public_option
@group_option
@state_option
def add_command(
    name: str, objects: tuple[str, ...], description: str | None, public: bool | None, group: str | None, state: State
) -> int:
    """Put the tag NAME (or of that number) on objects; a tag that is new is made, with what the options say.

    OBJECTs are diaObjectIds or ZTF names; what is neither is named, the others get the tag, and the exit code is 1.
    """
    from lasair.definitions import marks

    known, bad = _by_survey(objects)
    if not known:
        return 1
    make_definitions(state)
    new = False
    try:
        tag = marks.tag_to_put(name)
    except NotFound:
        if name.isdigit():
            raise
        tag, new = marks.add_tag(name, description=description, public=public, group=group), True
    if not new and (description, public, group) != (None, None, None):
        say(f"tag {tag.tag_id} ({tag.name}) was there; 'lasair tag share' says who may use it")
    with state.some_stores(read_only=False) as stores:
        now = time.time()
        count = sum(stores.marks.tag(survey, tag.tag_id, tag.name, names, now) for survey, names in known.items())
    click.echo(f"{tag.name}: on {_objects(count)}{'' if new else ' more'}; queries name it as tag:{tag.tag_id}")
    return 1 if bad else 0


@tag_command.command("remove")
@click.argument("name")
@click.argument("objects", metavar="OBJECT...", nargs=-1, required=True)
@state_option
def remove_command(name: str, objects: tuple[str, ...], state: State) -> int:
    """Take the tag NAME (or of that number) off objects; one that has it not is left alone."""
    from lasair.definitions import marks

    known, bad = _by_survey(objects)
    open_definitions(state, "tag", wanted=True)
    tag = marks.tag_to_put(name)
    with state.some_stores(read_only=False) as stores:
        count = sum(stores.marks.untag(survey, tag.tag_id, names) for survey, names in known.items())
    click.echo(f"{tag.name}: taken off {_objects(count)}")
    return 1 if bad else 0


@tag_command.command("list")
@format_option("table", "csv", "json")
@state_option
def list_command(form: Any, state: State) -> None:
    """List the tags that you may use."""
    from lasair.definitions.marks import list_tags

    there = list_tags() if open_definitions(state, "tag") else []
    print_rows(("number", "name", "owner", "public", "group", "description"), there, form)


@tag_command.command("show")
@click.argument("name")
@format_option("table", "csv", "json")
@state_option
def show_command(name: str, form: Any, state: State) -> None:
    """Show the tag NAME (or of that number) and the objects that have it."""
    from lasair.definitions.marks import show_tag

    open_definitions(state, "tag", wanted=True)
    tag = show_tag(name)
    objects = []
    if (state.path / "marks.db").is_file():
        with state.some_stores() as stores:
            objects = list(stores.marks.tagged(tag.tag_id))
    names = ("survey", "object", "tagged")
    if form == "json":
        whole = {**tag._asdict(), "objects": [dict(zip(names, map(str, one), strict=True)) for one in objects]}
        print_json({"number": whole.pop("tag_id"), **whole})
        return
    if form == "table":
        click.echo(f"tag {tag.tag_id} ({tag.name}) of {tag.owner}: {shared_with(tag.public, tag.group)}")
        if tag.description:
            click.echo(tag.description)
    # names of both surveys in one column: texts, so that none of them is a number in a spreadsheet
    print_rows(names, [(one.survey, str(one.object_id), one.tagged) for one in objects], form)


@tag_command.command("rename")
@click.argument("name")
@click.argument("new_name")
@state_option
def rename_command(name: str, new_name: str, state: State) -> None:
    """Give the tag NAME (or of that number) another name; queries go on naming it by its number."""
    from lasair.definitions.marks import rename_tag

    open_definitions(state, "tag", wanted=True)
    tag = rename_tag(name, new_name)
    if (state.path / "marks.db").is_file():
        with state.some_stores(read_only=False) as stores:
            stores.marks.rename_tag(tag.tag_id, tag.name)
    click.echo(f"tag {tag.tag_id}: {tag.name}")


@tag_command.command("share")
@click.argument("name")
@sharing_options
@state_option
def share_command(name: str, public: bool | None, group: str | None, state: State) -> None:
    """Say who else may use the tag NAME (or of that number); members of its group may also put it on objects."""
    from lasair.definitions.marks import share_tag

    open_definitions(state, "tag", wanted=True)
    tag = share_tag(name, public=public, group=group)
    click.echo(f"{tag.name}: {shared_with(tag.public, tag.group)}")


@tag_command.command("delete")
@click.argument("name")
@state_option
def delete_command(name: str, state: State) -> None:
    """Delete the tag NAME (or of that number): it is taken off all objects."""
    from lasair.definitions.marks import own_tag, remove_tag

    open_definitions(state, "tag", wanted=True)
    tag = own_tag(name)
    # in this order: stopped between the two, it can be done again
    if (state.path / "marks.db").is_file():
        with state.some_stores(read_only=False) as stores:
            stores.marks.remove_tag(tag.tag_id)
    remove_tag(tag.tag_id)
    click.echo(f"{tag.name}: deleted")


@click.group("note")
def note_command() -> None:
    """Notes: what people write of an object."""


@note_command.command("add")
@click.argument("name", metavar="OBJECT")
@click.argument("text")
@click.option("--public", is_flag=True, help="Everybody may read it.")
@group_option
@state_option
def add_note_command(name: str, text: str, public: bool, group: str | None, state: State) -> None:
    """Write a note on an object; you alone may read it unless it is shared."""
    from lasair.definitions.marks import add_note

    survey = _survey(name)
    make_definitions(state)
    note = add_note(survey, name, text, public=public, group=group or "")
    click.echo(f"note {note.note_id} on {note.object_id}")


@note_command.command("list")
@click.argument("name", metavar="OBJECT")
@format_option("table", "csv", "json")
@state_option
def list_notes_command(name: str, form: Any, state: State) -> None:
    """List the notes on an object that you may read, oldest first."""
    from lasair.definitions.marks import notes_of

    survey = _survey(name)
    there = notes_of(survey, name) if open_definitions(state, "note") else []
    rows = [(one.note_id, one.owner, one.public, one.group, one.created, _line(one.text, form)) for one in there]
    print_rows(("number", "owner", "public", "group", "created", "text"), rows, form)


@note_command.command("remove")
@click.argument("number", type=Whole(1))
@state_option
def remove_note_command(number: int, state: State) -> None:
    """Remove a note of yours."""
    from lasair.definitions.marks import remove_note

    open_definitions(state, "note", wanted=True)
    note = remove_note(number)
    click.echo(f"note {note.note_id} on {note.object_id}: removed")


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"


def _by_survey(objects: tuple[str, ...]) -> tuple[dict[Survey, list[str]], int]:
    """Objects by the survey whose names they are, and how many are none, which are named on stderr."""
    from lasair.annotations.model import survey_of

    known: dict[Survey, list[str]] = {}
    bad = 0
    for name in dict.fromkeys(objects):
        survey = survey_of(name)
        if survey is None:
            say(f"{name!r:.60} is neither a diaObjectId nor a ZTF name (ZTFyyaaaaaaa)")
            bad += 1
        else:
            known.setdefault(survey, []).append(name)
    return known, bad


def _survey(name: str) -> Survey:
    from lasair.annotations.model import survey_of

    survey = survey_of(name)
    if survey is None:
        raise BadDefinition(f"{name!r:.60} is neither a diaObjectId nor a ZTF name (ZTFyyaaaaaaa)")
    return survey


def _line(text: str, form: str) -> str:
    """A text as one line of a table."""
    return " ".join(text.split()) if form == "table" else text
