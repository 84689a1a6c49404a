"""Runs the pipeline over files and kills itself (SIGKILL) just before or after the n-th call of a store's method.

python -m tests.support.crash_run before|after STORE.METHOD N STATE PATH...
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lasair.cli.run import run_paths
from lasair.cli.state import State
from lasair.ledger.store import Ledger
from lasair.stores.cutouts import FileCutoutStore
from lasair.stores.lightcurves import FileLightcurveStore
from lasair.stores.objects import SqliteObjectStore

TARGETS: dict[str, tuple[type, str]] = {
    "cutouts": (FileCutoutStore, "put"),
    "lightcurves": (FileLightcurveStore, "put"),
    "objects": (SqliteObjectStore, "put"),
    "hits": (SqliteObjectStore, "put_hits"),
    "ledger": (Ledger, "commit"),
    # inside the ledger's transaction
    "ledger-seen": (Ledger, "_note_seen"),
    "ledger-deliver": (Ledger, "_deliver"),
    "ledger-finish": (Ledger, "finish_run"),
}


def arm(when: str, target: str, nth: int) -> None:
    owner, name = TARGETS[target]
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if calls == nth and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


if __name__ == "__main__":
    arm(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    state = State(Path(sys.argv[4]))
    with state.writing():
        run_paths(state, tuple(Path(one) for one in sys.argv[5:]), None)
