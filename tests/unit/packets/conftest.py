from __future__ import annotations

from tests.support.data import DATA

# nothing to compare without real packets; test_decode.py does the same on made-up ones
collect_ignore = [] if DATA else ["test_real.py"]
