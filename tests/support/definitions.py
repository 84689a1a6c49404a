"""Databases of definitions for tests: migrated once, then copied, which takes a twentieth of the time."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from lasair.definitions.django import connect, disconnect

_FOLDER = tempfile.TemporaryDirectory(prefix="lasair-test-")


@cache
def _template() -> Path:
    path = Path(_FOLDER.name) / "definitions.db"
    connect(path)
    disconnect()
    return path


def new_definitions(folder: Path) -> Path:
    """A new database in a folder, which the models then use."""
    folder.mkdir(exist_ok=True)
    path = folder / "definitions.db"
    shutil.copyfile(_template(), path)
    connect(path)
    return path
