"""Serving the application: gunicorn with threads, which drains on SIGTERM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from lasair.sherlock.open import LiveEngine
from lasair.sherlock.rules import RULE_SETS, RuleSet
from lasair.sherlock.service import Lookup, Service

#: Longest answer under way that a stop waits for [s].
DRAIN_S = 30


class _Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn with settings of ours; every worker opens the catalogues itself, whose pages they share."""

    def __init__(self, folder: Path, lookup: Lookup | None, options: dict[str, Any]) -> None:
        self._folder, self._lookup, self._options = folder, lookup, options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Service:
        engines: dict[RuleSet, LiveEngine] = {one: LiveEngine(self._folder, one) for one in RULE_SETS}
        return Service(lambda rule_set: engines[rule_set].get(), self._lookup)


def serve(folder: Path, *, host: str, port: int, workers: int, threads: int, lookup: Lookup | None = None) -> None:
    """Serve until SIGTERM or SIGINT: no new connections then, and answers under way are finished."""
    # no settings from files or variables of a machine that happens to run another gunicorn
    os.environ.pop("GUNICORN_CMD_ARGS", None)
    _Server(
        folder,
        lookup,
        {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": workers,
            "threads": threads,
            "worker_class": "gthread",
            "graceful_timeout": DRAIN_S,
            "timeout": 120,
            "keepalive": 5,
            "loglevel": "warning",
            "proc_name": "lasair-sherlock",
        },
    ).run()
