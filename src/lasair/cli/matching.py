"""What commands do after definitions have changed: stored objects are matched, filters run where an event is new."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from lasair.cli.output import progress_bar, say
from lasair.cli.state import State, state_option
from lasair.errors import NotPermitted

if TYPE_CHECKING:
    from lasair.filter.react import Reactor
    from lasair.ledger.model import Counts
    from lasair.matching.past import Matched


@click.command("match")
@state_option
def match_command(state: State) -> int:
    """Match stored objects with lists, areas and events that are new or have changed.

    The commands that change them do this by themselves; this one goes on where one was stopped.
    """
    state.must_exist()
    found = match_now(state)
    if not found:
        say("nothing to do: stored objects are matched with everything that is active")
    return 1 if any(one.error for one in found) else 0


def match_now(state: State, *, background: bool = False) -> Sequence[Matched]:
    """Match stored objects with what has changed and say what was found; nothing when no alert was ever stored.

    Parameters
    ----------
    background : leave it to another process, and return at once
    """
    from lasair.matching.past import match_past, waiting_objects

    if not (state.path / "objects.db").is_file():
        return []
    if background:
        command = [sys.executable, "-m", "lasair.cli.main", "match", "--state", str(state.path)]
        subprocess.Popen(  # it outlives this command
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        say("stored objects are matched in the background; 'lasair match' waits for it")
        return []
    found = []
    with state.some_stores(read_only=False) as stores:
        total = waiting_objects(state.definitions, stores)
        with progress_bar("matching stored objects", total) as advance:
            for one in match_past(state.definitions, stores, contour=state.settings.event_contour, progress=advance):
                found.append(one)
                say(sentence(one))
        untold = stores.objects.untold_events()
    if untold:
        _react(
            state,
            lambda reactor: reactor.events(),
            "a run holds the state: it runs the filters that ask for events after its batch",
        )
    return found


def sentence(one: Matched) -> str:
    """What the matching of one list has found, for people."""
    if one.error:
        return f"{one.key.kind} {one.key.list_id} ({one.name}) is left out: {one.error}"
    if not one.name:
        return f"{one.key.kind} {one.key.list_id} is active no more: {one.removed:,} hits removed"
    removed = f", {one.removed:,} old hits removed" if one.removed else ""
    return f"{one.key.kind} {one.key.list_id} ({one.name}): {one.objects:,} stored objects in it{removed}"


def react_now(state: State) -> None:
    """Run filters that wait for annotations; a pipeline at work does it instead, after its batch."""
    _react(state, lambda reactor: reactor.annotations(), "a run holds the state: it runs the filters after its batch")


def _react(state: State, act: Callable[[Reactor], Counts], busy: str) -> None:
    from lasair.filter.react import Reactor

    if not (state.path / "ledger.db").is_file():
        return  # no alert was ever stored
    try:
        with state.writing(), state.stores() as stores, state.ledger() as ledger:
            count = act(Reactor(state.settings, stores, ledger, state.definitions)).delivered
    except NotPermitted:
        say(busy)
        return
    if count:
        say(f"{count:,} messages to streams")
