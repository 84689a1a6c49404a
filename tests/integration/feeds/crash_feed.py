"""Runs feeds once and kills itself (SIGKILL) at the n-th batch: before it is noted, or before it is committed.

python -m tests.integration.feeds.crash_feed record|commit N STATE
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from lasair.cli.feeds import feed_command
from lasair.feeds.kafka import KafkaFeed
from lasair.feeds.store import FeedStore

TARGETS: dict[str, tuple[type, str]] = {"record": (FeedStore, "record"), "commit": (KafkaFeed, "commit")}


def arm(target: str, nth: int) -> None:
    owner, name = TARGETS[target]
    original = getattr(owner, name)
    calls = 0

    def deadly(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args)

    setattr(owner, name, deadly)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    feed_command.main(["run", "--once", "--state", sys.argv[3]], standalone_mode=False)
