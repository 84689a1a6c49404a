"""`lasair group`: users who share lists, tags, notes and annotators."""

from __future__ import annotations

from typing import Any

import click

from lasair.cli.definitions import make_definitions, open_definitions
from lasair.cli.output import format_option, print_rows
from lasair.cli.state import State, state_option


@click.group("group")
def group_command() -> None:
    """Groups of users: what is shared with a group, its members may use."""


@group_command.command("add")
@click.argument("name")
@state_option
def add_command(name: str, state: State) -> None:
    """Make a group; you are its first member."""
    from lasair.definitions.people import add_group

    make_definitions(state)
    one = add_group(name)
    click.echo(f"{one.name}: {', '.join(one.members)}")


@group_command.command("list")
@format_option("table", "csv", "json")
@state_option
def list_command(form: Any, state: State) -> None:
    """List groups and their members."""
    from lasair.definitions.people import list_groups

    there = list_groups() if open_definitions(state, "group") else []
    rows = [(one.name, one.members if form == "json" else ", ".join(one.members)) for one in there]
    print_rows(("name", "members"), rows, form)


@group_command.command("member")
@click.argument("group")
@click.argument("user")
@click.option("--remove", is_flag=True, help="Take the user out of the group.")
@state_option
def member_command(group: str, user: str, remove: bool, state: State) -> None:
    """Put USER into GROUP, of which you are a member. A user that is not known yet is made, and cannot log in."""
    from lasair.definitions.people import add_member, remove_member

    open_definitions(state, "group", wanted=True)
    one = (remove_member if remove else add_member)(group, user)
    click.echo(f"{one.name}: {', '.join(one.members) or 'no members'}")
