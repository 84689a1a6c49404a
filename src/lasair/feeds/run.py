"""Feeds at work: each in a thread of its own, until they are told to stop."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lasair.errors import BadDefinition, LasairError, StoreUnavailable
from lasair.feeds.source import Feed, FeedMessage, FeedUnavailable
from lasair.feeds.store import FeedStore, Outcome

log = logging.getLogger(__name__)

#: Takes messages and says what became of each, in their order. Raises StoreUnavailable: then none counts as taken.
Take = Callable[[Sequence[FeedMessage]], list[Outcome]]

#: Shortest and longest wait before what failed is tried again [s].
RETRY_S, MOST_RETRY_S = 1.0, 60.0
#: How long a store may be unavailable while feeds are read once [s].
PATIENCE_S: Final = 30.0
_QUIET_S: Final = 60.0


@dataclass
class Report:
    """What one feed did in this run."""

    feed: str
    messages: int = 0
    changes: int = 0
    dead_letters: int = 0
    #: why it ended before it should, or ''
    error: str = ""


@dataclass(frozen=True)
class Work:
    """One feed to be run.

    Attributes
    ----------
    kind : names the follow-up that is due when something has changed
    feed : opened already
    reopen : opens it anew after a fault
    taking : gives the function that takes its messages; entered in the feed's thread
    """

    name: str
    kind: str
    feed: Feed
    reopen: Callable[[], Feed]
    taking: Callable[[], AbstractContextManager[Take]]


class FollowUps:
    """What is to be done after something has changed, once for many changes, one at a time, in the caller's thread.

    What fails is done again later; so is what was due when the run was stopped, when the next one begins.
    """

    def __init__(self, acts: Mapping[str, Callable[[], object]]) -> None:
        self._acts = acts
        self._due = dict.fromkeys(acts, 0.0)
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def changed(self, kind: str) -> None:
        """Something of this kind has changed."""
        with self._lock:
            if kind in self._acts:
                self._due[kind] = 0.0
        self._wake.set()

    def wake(self) -> None:
        """Let `wait` return."""
        self._wake.set()

    def wait(self, seconds: float) -> None:
        """Wait until something may be due."""
        self._wake.wait(seconds)
        self._wake.clear()

    def act(self) -> list[str]:
        """Do what is due; the reasons of what failed."""
        failed = []
        for kind, act in self._acts.items():
            with self._lock:
                due = self._due.get(kind)
                if due is None or due > time.monotonic():
                    continue
                del self._due[kind]
            try:
                act()
            except Exception as err:
                # what was taken is stored: a fault here must not end the feeds
                log.warning(f"after {kind} had changed: {_said(err)}; done again in a minute")
                failed.append(_said(err))
                with self._lock:
                    self._due.setdefault(kind, time.monotonic() + _QUIET_S)
        return failed


def run_feeds(
    works: Sequence[Work],
    store: FeedStore,
    acts: Mapping[str, Callable[[], object]],
    stop: threading.Event,
    *,
    once: bool,
) -> list[Report]:
    """Run feeds until `stop` is set, or until all that is there was taken; what each did.

    Parameters
    ----------
    acts : kind of feed -> what to do after something of this kind has changed; done in this thread, also at the start
        for what an earlier run has left undone
    """
    follow = FollowUps({kind: acts[kind] for kind in dict.fromkeys(one.kind for one in works) if kind in acts})
    reports = [Report(one.name) for one in works]

    def begin(work: Work, report: Report) -> None:
        try:
            _keep_running(work, store, follow, stop, report, once=once)
        except Exception as err:
            report.error = _said(err)
            log.error(f"feed {work.name}: ended: {report.error}")
        finally:
            follow.wake()

    threads = [
        threading.Thread(target=begin, args=pair, name=f"feed {pair[0].name}", daemon=True)
        for pair in zip(works, reports, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            if not stop.is_set():
                follow.act()
            follow.wait(1.0)
    except BaseException:
        # told twice to stop: what is in hand is not committed, and comes again
        stop.set()
        raise
    if not stop.is_set() and (failed := follow.act()):
        reports[0].error = reports[0].error or failed[0]
    return reports


def _keep_running(
    work: Work, store: FeedStore, follow: FollowUps, stop: threading.Event, report: Report, *, once: bool
) -> None:
    """Run a feed; open it again after a fault that was not foreseen, since the others go on and nobody may look."""
    feed, faults = work.feed, 0
    while True:
        before = report.messages
        try:
            try:
                with work.taking() as take:
                    run_feed(
                        work.name, feed, store, take, stop, report, once=once, changed=lambda: follow.changed(work.kind)
                    )
                return
            finally:
                feed.close()
        except Exception as err:
            if once or isinstance(err, BadDefinition | FeedUnavailable):
                raise
            faults = 1 if report.messages > before else faults + 1
            wait_s = min(RETRY_S * 2.0 ** min(faults, 10), MOST_RETRY_S)
            log.error(f"feed {work.name}: {_said(err)}; begins again in {wait_s:g} s")
            if stop.wait(wait_s):
                return
        feed = work.reopen()


def run_feed(
    name: str,
    feed: Feed,
    store: FeedStore,
    take: Take,
    stop: threading.Event,
    report: Report,
    *,
    once: bool,
    changed: Callable[[], object] = lambda: None,
) -> None:
    """Take what a feed hands out, note what became of it, commit, in that order.

    While a store is unavailable the batch in hand is tried again: for ever, or for `PATIENCE_S` when read `once`.
    When it is stopped meanwhile, nothing of the batch is committed, and it comes again.
    """
    for batch in feed.batches(stop, once=once):
        outcomes = _patiently(name, feed, store, take, batch, stop, once=once)
        if outcomes is None:
            return
        changes = sum(one.changes for one in outcomes)
        report.messages += len(outcomes)
        report.changes += changes
        bad = [one for one in outcomes if one.reason]
        report.dead_letters += len(bad)
        feed.commit()
        if changes:
            changed()
        log.info(f"feed {name}: {len(outcomes)} messages, {changes} changes, {len(bad)} dead letters")
        for one in bad[:5]:
            log.info(f"feed {name}: {one.message.label}: {one.reason[:300]}")


def _patiently(
    name: str,
    feed: Feed,
    store: FeedStore,
    take: Take,
    batch: Sequence[FeedMessage],
    stop: threading.Event,
    *,
    once: bool,
) -> list[Outcome] | None:
    """What became of a batch; None when it was stopped before a store could be used."""
    end = time.monotonic() + PATIENCE_S
    wait_s, next_complaint = RETRY_S, 0.0
    while True:
        try:
            # what was noted and not committed: the broker gives it again, and annotations would be said again
            new = [one for one, seen in zip(batch, store.seen(name, batch), strict=True) if not seen]
            outcomes = take(new) if new else []
            if outcomes:
                store.record(name, outcomes)
            return outcomes
        except StoreUnavailable as err:
            now = time.monotonic()
            if once and now > end:
                raise
            if now >= next_complaint:
                next_complaint = now + _QUIET_S
                log.warning(f"feed {name}: {err}; tried again, nothing is committed")
        feed.wait(wait_s, stop)
        if stop.is_set():
            return None
        wait_s = min(2.0 * wait_s, MOST_RETRY_S)


def _said(err: Exception) -> str:
    if isinstance(err, LasairError):
        return str(err)
    # our log lines carry no traceback
    place = traceback.extract_tb(err.__traceback__)[-1:]
    return f"{type(err).__name__}: {err}" + "".join(f" ({Path(one.filename).name}:{one.lineno})" for one in place)
