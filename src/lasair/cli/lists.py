"""The commands that watchlists and areas have alike."""

from __future__ import annotations

from typing import Any

import click

from lasair.cli.definitions import background_option, hits_of, open_definitions, print_facts, sharing_options
from lasair.cli.output import format_option, print_rows
from lasair.cli.state import State, state_option


def add_list_commands(group: click.Group, kind: Any, size: str) -> None:
    """Give a group the commands list, show, remove, stop, activate and share.

    Parameters
    ----------
    kind : 'watchlist' or 'area'
    size : heading of the column with cones or square degrees
    """

    @group.command("list", help=f"List the {kind}s that you may use.")
    @format_option("table", "csv", "json")
    @state_option
    def list_command(form: Any, state: State) -> None:
        from lasair.definitions.lists import list_lists

        there = list_lists(kind) if open_definitions(state, kind) else []
        rows = [(*one[:5], int(one.size) if kind == "watchlist" else one.size, *one[6:]) for one in there]
        print_rows(("number", "name", "owner", "version", "active", size, "public", "group"), rows, form)

    @group.command("show", help=f"Show the {kind} WHICH (a name or a number), with its hits so far.")
    @click.argument("which")
    @format_option("table", "csv", "json")
    @state_option
    def show_command(which: str, form: Any, state: State) -> int:
        from lasair.definitions.lists import show

        open_definitions(state, kind, wanted=True)
        facts = show(kind, which)
        hits = hits_of(state, kind, facts["number"])
        print_facts({**facts, "hits": hits}, form)
        return 1 if hits is None else 0

    @group.command("remove", help=f"Remove the {kind} WHICH (a name or a number) and its hits.")
    @click.argument("which")
    @background_option
    @state_option
    def remove_command(which: str, background: bool, state: State) -> None:
        from lasair.cli.matching import match_now
        from lasair.definitions.lists import remove_area, remove_watchlist

        open_definitions(state, kind, wanted=True)
        one = (remove_watchlist if kind == "watchlist" else remove_area)(which)
        click.echo(f"{one.name}: removed")
        match_now(state, background=background)

    @group.command("stop", help=f"Match alerts no more with the {kind} WHICH (a name or a number), and keep it.")
    @click.argument("which")
    @background_option
    @state_option
    def stop_command(which: str, background: bool, state: State) -> None:
        from lasair.cli.matching import match_now
        from lasair.definitions.lists import stop

        open_definitions(state, kind, wanted=True)
        click.echo(f"{stop(kind, which).name}: stopped")
        match_now(state, background=background)

    @group.command("activate", help=f"Match alerts again with the {kind} WHICH (a name or a number).")
    @click.argument("which")
    @background_option
    @state_option
    def activate_command(which: str, background: bool, state: State) -> None:
        from lasair.cli.matching import match_now
        from lasair.definitions.lists import activate

        open_definitions(state, kind, wanted=True)
        one = activate(kind, which)
        click.echo(f"{one.name}: version {one.version} is active")
        match_now(state, background=background)

    @group.command("share", help=f"Say who else may use the {kind} WHICH (a name or a number).")
    @click.argument("which")
    @sharing_options
    @state_option
    def share_command(which: str, public: bool | None, group: str | None, state: State) -> None:
        from lasair.definitions.lists import share

        open_definitions(state, kind, wanted=True)
        one = share(kind, which, public=public, group=group)
        click.echo(f"{one.name}: {shared_with(one.public, one.group)}")


def shared_with(public: bool, group: str | None) -> str:
    """Who may use something, for people."""
    if public:
        return "everybody may use it"
    return f"members of {group} may use it" if group else "only its owner may use it"
