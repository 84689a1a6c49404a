"""Django settings that the definitions need; complete for the command line, a base for a web site's.

A site's own settings module starts with ``from lasair.definitions.settings import *`` and adds to INSTALLED_APPS.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

#: Name of the file in the state folder.
DATABASE_FILE = "definitions.db"


def database(path: Path) -> dict[str, Any]:
    """Django's settings of an SQLite database file."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        # IMMEDIATE: a transaction that reads and then writes waits for its turn at its start; one that waited in the
        # middle would fail at once, whatever the timeout [s].
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }


INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "lasair.definitions.apps.DefinitionsConfig"]
DATABASES = {"default": database(Path(os.environ.get("LASAIR_STATE", "state")) / DATABASE_FILE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
