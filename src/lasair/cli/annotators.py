"""`lasair annotator`: programs that say what objects are."""

from __future__ import annotations

from typing import Any

import click

from lasair.cli.definitions import description_option, group_option, make_definitions, open_definitions, public_option
from lasair.cli.output import format_option, print_rows
from lasair.cli.state import State, state_option


@click.group("annotator")
def annotator_command() -> None:
    """Annotators: programs that say what objects are, each under a topic of its own."""


@annotator_command.command("add")
@click.argument("topic")
@description_option
@click.option("--url", metavar="URL", help="Page about it.")
@public_option
@group_option
@state_option
def add_command(
    topic: str, description: str | None, url: str | None, public: bool | None, group: str | None, state: State
) -> None:
    """Add an annotator, or change what is given of the one with this TOPIC.

    Filters and queries name it as annotator:TOPIC; the case of letters does not count.
    """
    from lasair.definitions.people import add_annotator

    make_definitions(state)
    one = add_annotator(topic, description=description, url=url, public=public, group=group)
    click.echo(f"{one.topic}: filters and queries name it as annotator:{one.topic}")


@annotator_command.command("list")
@format_option("table", "csv", "json")
@state_option
def list_command(form: Any, state: State) -> None:
    """List the annotators that you may use."""
    from lasair.definitions.people import list_annotators

    there = list_annotators() if open_definitions(state, "annotator") else []
    rows = [one[1:] for one in there]
    print_rows(("topic", "owner", "active", "public", "group", "url", "description"), rows, form)


@annotator_command.command("stop")
@click.argument("topic")
@state_option
def stop_command(topic: str, state: State) -> None:
    """Take no more annotations of a topic; those that are there stay."""
    _set_active(topic, False, state)


@annotator_command.command("activate")
@click.argument("topic")
@state_option
def activate_command(topic: str, state: State) -> None:
    """Take annotations of a topic again."""
    _set_active(topic, True, state)


def _set_active(topic: str, active: bool, state: State) -> None:
    from lasair.definitions.people import set_active

    open_definitions(state, "annotator", wanted=True)
    one = set_active(topic, active)
    click.echo(f"{one.topic}: {'active' if active else 'stopped'}")
