"""Where the real packets are, if anywhere: LASAIR_TEST_DATA names the folder, else the simulator stands in."""

from __future__ import annotations

import os
from pathlib import Path

_named = os.environ.get("LASAIR_TEST_DATA", "")

#: Folder of real sample data, or None.
DATA: Path | None = Path(_named).resolve() if _named and Path(_named).is_dir() else None
