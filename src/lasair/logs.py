"""One set-up for logs: key=value lines on stderr."""

from __future__ import annotations

import logging
import sys
import time


class _KeyValue(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        text = record.getMessage().replace('"', "'").replace("\n", " ")
        return f'time={stamp} level={record.levelname.lower()} part={record.name.removeprefix("lasair.")} msg="{text}"'


def set_up(level: str = "info") -> None:
    """Send every log line to stderr; called once, in a main."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_KeyValue())
    root = logging.getLogger("lasair")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
