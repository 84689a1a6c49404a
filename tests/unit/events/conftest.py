"""Real files are looked at where there are any."""

from __future__ import annotations

from tests.support.data import DATA

collect_ignore = [] if DATA else ["test_real.py"]
