"""`lasair feed`: notices and brokers' messages that arrive by themselves."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lasair.cli.output import format_option, print_json, print_rows, say
from lasair.cli.parameters import Text, Whole
from lasair.cli.state import State, state_option
from lasair.errors import BadDefinition, NotFound

if TYPE_CHECKING:
    from lasair.feeds.description import Description, Kind
    from lasair.feeds.run import Report, Take
    from lasair.feeds.store import FeedStore, Letter

F = TypeVar("F", bound=Callable[..., Any])

config_option = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where feeds are described (default: feeds.toml in the state folder).",
)


@click.group("feed")
def feed_command() -> None:
    """Take notices of events and other brokers' messages as they arrive, in folders or by Kafka.

    Feeds are described in feeds.toml in the state folder, each in a table [feeds.NAME]; those named gcn, fink_lsst,
    fink_ztf, alerce and ampel need little more than an account. See docs/feeds.md.
    """


@feed_command.command("run")
@click.argument("names", nargs=-1, metavar="[NAME]...", type=Text())
@click.option("--once", is_flag=True, help="Take what is there now, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@config_option
@state_option
def run_command(names: tuple[str, ...], once: bool, as_json: bool, config: Path | None, state: State) -> int:
    """Run feeds, those NAMEd or all, until Ctrl-C or SIGTERM; each message is taken once.

    A message that cannot be used becomes a dead letter and stops no other. When events have changed, stored objects
    are matched with them; when annotations have come, filters that wait for them run. Exit code 1 when a feed ended
    before it should.
    """
    from lasair import logs
    from lasair.definitions.django import connect
    from lasair.feeds.run import Work, run_feeds

    state.create()
    settings = state.settings
    logs.set_up(settings.log_level)
    wanted = [one for one in _described(state, config, names) if one.active or one.name in names]
    if not wanted:
        raise BadDefinition(f"no feed is active in {_config(state, config)}: name one, or set active = true")
    connect(state.definitions)
    with _feed_store(state) as store, _stop_on_signal() as stop:
        store.expire(time.time() - settings.keep_dead_letter_days * 86_400.0)
        works: list[Work] = []
        try:
            for one in wanted:
                reopen = partial(one.open, store)
                works.append(Work(one.name, one.kind, reopen(), reopen, partial(_taking, state, one.kind, one.broker)))
        except BaseException:
            for work in works:
                work.feed.close()
            raise
        reports = run_feeds(works, store, _follow_ups(state), stop, once=once)
    if as_json:
        print_json([vars(one) for one in reports])
    else:
        _print_reports(reports)
    return 1 if any(one.error for one in reports) else 0


def _print_reports(reports: Sequence[Report]) -> None:
    for one in reports:
        letters = f", {one.dead_letters:,} dead letters" if one.dead_letters else ""
        click.echo(f"{one.feed}: {one.messages:,} messages, {one.changes:,} changes{letters}")
        if one.error:
            say(f"lasair: {one.feed} ended: {one.error}")
    if any(one.dead_letters for one in reports):
        say("'lasair feed dead-letters' says why messages could not be used")


@feed_command.command("list")
@format_option("table", "csv", "json")
@config_option
@state_option
def list_command(form: Any, config: Path | None, state: State) -> None:
    """List feeds: where they read, what they have taken, and when."""
    from lasair.feeds.store import Counts

    counts = {one.feed: one for one in _counts(state)}
    described = _described(state, config, ()) if _config(state, config).is_file() or not counts else []
    rows = []
    for one in described:
        said = counts.pop(one.name, Counts(one.name))
        rows.append((one.name, one.kind, one.broker or None, one.where, one.active, *_facts(said)))
    # feeds that are described no more still have their counts and letters
    rows += [(said.feed, None, None, None, False, *_facts(said)) for said in counts.values()]
    names = ("name", "kind", "broker", "from", "active", "messages", "changes", "dead letters", "last", "last message")
    print_rows(names, rows, form)


def _facts(said: Any) -> tuple[Any, ...]:
    last = (_stamp(said.last_at), said.last_label) if said.last_at else (None, None)
    return (said.messages, said.changes, said.dead_letters, *last)


@feed_command.command("dead-letters")
@click.argument("name", required=False, type=Text())
@click.option("--show", "number", type=Whole(1), metavar="NUMBER", help="Print the bytes of one message.")
@click.option("--retry", is_flag=True, help="Try them again, for instance with a newer version of Lasair.")
@click.option("--limit", type=Whole(1), default=1000, show_default=True, help="Most that are listed.")
@format_option("table", "csv", "json")
@config_option
@state_option
def dead_letters_command(
    name: str | None, number: int | None, retry: bool, limit: int, form: Any, config: Path | None, state: State
) -> None:
    """List the messages, of all feeds or of NAME, that could not be used, and why."""
    if number is not None and (retry or name):
        raise click.UsageError("--show NUMBER stands alone")
    if not _store_file(state).is_file():
        if number is not None:
            raise NotFound(f"no dead letter {number}: no feed ever ran in {state.path}")
        if not retry:
            print_rows(_LETTER_NAMES, [], form)
        return
    with _feed_store(state, read_only=not retry) as store:
        letters = store.letters(name, limit=-1 if retry else limit, number=number)
        if number is not None:
            if not letters:
                raise NotFound(f"no dead letter {number}; 'lasair feed dead-letters' lists them")
            if letters[0].value is None:
                raise NotFound(f"dead letter {number} was too much to be kept; its reason: {letters[0].reason}")
            _print_bytes(letters[0].value)
        elif retry:
            _retry(state, store, letters, config)
        else:
            print_rows(_LETTER_NAMES, [_letter(one) for one in letters], form)


def _print_bytes(value: bytes) -> None:
    if sys.stdout.isatty():
        # what a stranger sent may hold commands for a terminal
        text = value.decode(errors="backslashreplace")
        click.echo("".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text))
    else:
        sys.stdout.buffer.write(value)
        sys.stdout.flush()


_LETTER_NAMES = ("number", "feed", "message", "written", "last", "times", "bytes", "reason")


def _letter(one: Letter) -> tuple[Any, ...]:
    label = one.name or f"{one.topic}[{one.partition}] offset {one.offset}"
    return (
        one.number, one.feed, label, _stamp(one.written), _stamp(one.last_at), one.times, one.size, one.reason
    )  # fmt: skip


def _retry(state: State, store: FeedStore, letters: Sequence[Letter], config: Path | None) -> None:
    """Take dead letters again, as their feeds do now."""
    from lasair import logs
    from lasair.definitions.django import connect

    logs.set_up(state.settings.log_level)
    connect(state.definitions)
    described = {one.name: one for one in _described(state, config, ())}
    tried = 0
    changed: set[str] = set()
    for feed in sorted({one.feed for one in letters}):
        if feed not in described:
            say(f"lasair: feed {feed} is described no more: its dead letters are left as they are")
            continue
        one = described[feed]
        with _taking(state, one.kind, one.broker) as take:
            for letter in letters:
                if letter.feed == feed and (message := letter.message) is not None:
                    outcomes = take([message])
                    store.record(feed, outcomes)
                    tried += 1
                    if outcomes[0].changes:
                        changed.add(one.kind)
    for kind, act in _follow_ups(state).items():
        if kind in changed:
            act()
    left = len(store.letters(limit=-1))
    click.echo(f"{tried:,} of {len(letters):,} tried again; {left:,} dead letters left")


@feed_command.command("test")
@click.argument("name", type=Text())
@format_option("table", "json")
@config_option
@state_option
def test_command(name: str, form: Any, config: Path | None, state: State) -> None:
    """Connect to a feed and say what is there; takes nothing.

    Exits with 1 when it cannot be reached or does not let us in.
    """
    from lasair import logs

    state.create()
    logs.set_up("error")
    (one,) = _described(state, config, (name,))
    with _feed_store(state) as store:
        feed = one.open(store)
        try:
            seen = {"feed": one.name, "kind": one.kind, **feed.look()}
        finally:
            feed.close()
    if form == "json":
        print_json(seen)
        return
    for key, value in seen.items():
        if isinstance(value, dict):
            for inner, count in value.items():
                click.echo(f"{'':<12} {inner}: {count:,} waiting")
        else:
            click.echo(f"{key.replace('_', ' '):<12} {', '.join(value) or '-' if isinstance(value, list) else value}")


def _config(state: State, config: Path | None) -> Path:
    from lasair.feeds.description import FILE

    return config or state.path / FILE


def _described(state: State, config: Path | None, names: Sequence[str]) -> list[Description]:
    """The feeds that are described, or those of some names, in the order of the file."""
    from lasair.feeds.description import read_feeds
    from lasair.schema.allow import nearest

    file = _config(state, config)
    feeds = {one.name: one for one in read_feeds(file)}
    if not feeds:
        raise BadDefinition(f"{file}: describes no feed; a feed is a table [feeds.NAME]")
    for name in names:
        if name not in feeds:
            hint = nearest(name, feeds)
            raise NotFound(
                f"no feed {name!r} in {file}; " + (f"did you mean {hint}?" if hint else f"it has {', '.join(feeds)}")
            )
    return [one for one in feeds.values() if not names or one.name in names]


def _store_file(state: State) -> Path:
    from lasair.feeds.store import FILE

    return state.path / FILE


@contextmanager
def _feed_store(state: State, *, read_only: bool = False) -> Iterator[FeedStore]:
    from lasair.feeds.store import FeedStore

    store = FeedStore(_store_file(state), state.settings.durable, read_only=read_only)
    try:
        yield store
    finally:
        store.close()


def _counts(state: State) -> list[Any]:
    if not _store_file(state).is_file():
        return []
    with _feed_store(state, read_only=True) as store:
        return store.counts()


@contextmanager
def _taking(state: State, kind: Kind, broker: str) -> Iterator[Take]:
    """What takes messages of a feed; to be entered in the thread that uses it."""
    from lasair.definitions.django import connect, disconnect
    from lasair.feeds.take import take_annotations, take_events

    connect(state.definitions)
    try:
        if kind == "events":
            yield take_events
        else:
            with state.some_stores(read_only=False) as stores:
                yield partial(take_annotations, broker, stores.marks)
    finally:
        disconnect()


def _follow_ups(state: State) -> dict[str, Callable[[], object]]:
    """What is to be done after events or annotations have changed."""

    def events() -> None:
        from lasair.cli.matching import match_now

        match_now(state, background=False)

    def annotations() -> None:
        from lasair.cli.matching import react_now

        react_now(state)

    return {"events": events, "annotations": annotations}


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """SIGTERM and Ctrl-C let each feed finish the batch in hand; a second one ends at once."""
    stop = threading.Event()

    def note(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("lasair: feeds stop after the batch in hand (again: at once)")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stamp(unix_s: float) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))
    except (ValueError, OverflowError, OSError):
        return "-"  # a sender's clock
