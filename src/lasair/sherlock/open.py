"""An engine over a folder of catalogues, kept up to date as catalogues are switched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from lasair.catalogues.shelf import Shelf
from lasair.errors import BadDefinition
from lasair.sherlock.engine import Sherlock
from lasair.sherlock.rules import Rules, RuleSet, load_rules


def open_engine(shelf: Shelf, rule_set: RuleSet = "fixed") -> Sherlock:
    """The engine over the current releases of a shelf; an added catalogue with wrong searches is left out, and said so.

    Its problems are those of the shelf and of such searches.
    """
    from lasair.catalogues.problems import Problem

    problems = list(shelf.problems)
    added = {}
    for name, release in shelf.releases.items():
        searches = release.about.get("searches") or []
        try:
            load_rules(rule_set, {name: searches})
            added[name] = searches
        except BadDefinition as err:
            problems.append(Problem(name, str(release.path), str(err)))
    rules: Rules = load_rules(rule_set, {name: searches for name, searches in added.items() if searches})
    return Sherlock(shelf.releases, rules, problems)


class LiveEngine:
    """An engine that follows the folder: asked for at most every `interval_s`, a switch of a catalogue is taken up.

    Answers under way go on with the engine they began with.
    """

    def __init__(
        self,
        folder: Path,
        rule_set: RuleSet = "fixed",
        *,
        interval_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rule_set: RuleSet = rule_set
        self._interval_s, self._clock = interval_s, clock
        self._lock = threading.Lock()
        self._shelf = Shelf.open(folder)
        self._engine = open_engine(self._shelf, rule_set)
        self._asked = clock()

    def get(self) -> Sherlock:
        """The engine over what is current now."""
        with self._lock:
            if self._clock() - self._asked >= self._interval_s:
                self._asked = self._clock()
                if self._shelf.changed():
                    self._shelf = self._shelf.reopen()
                    self._engine = open_engine(self._shelf, self._rule_set)
            return self._engine
