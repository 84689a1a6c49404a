"""Opens the definitions' database with Django, outside a web site."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lasair.definitions.snapshot import migration_lock
from lasair.errors import StoreUnavailable


def set_up() -> None:
    """Make the models importable, with our settings unless the process (a web site) has its own."""
    import django
    from django.apps import apps
    from django.conf import settings

    from lasair.definitions import settings as ours

    if apps.ready:
        return
    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        settings.configure(**{name: value for name, value in vars(ours).items() if name.isupper()})
    django.setup()


def connect(path: Path) -> None:
    """Make the models use the SQLite file `path`, made or migrated when needed.

    May be called again with another file. Raises StoreUnavailable when the file cannot be opened or written.
    """
    set_up()
    from django.db import connections

    from lasair.definitions import settings as ours

    wanted = ours.database(path)
    connection = connections["default"]
    if connection.settings_dict["NAME"] != wanted["NAME"]:
        connection.close()
        for held in (connection.settings_dict, connections.databases["default"]):
            held.update(wanted)
    with database_errors(path):
        _migrate(connection)


def disconnect() -> None:
    """Close the file; the models open it again when they are used."""
    from django.db import connections

    connections.close_all()


def _migrate(connection: Any) -> None:
    from django.core.management import call_command
    from django.db.migrations.executor import MigrationExecutor

    def is_behind() -> bool:
        executor = MigrationExecutor(connection)
        return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))

    # the check costs 20 ms, the command ten times that
    if not is_behind():
        return
    # two daemons that start together would both make the tables
    with _alone(migration_lock(connection.settings_dict["NAME"])):
        if is_behind():
            call_command("migrate", verbosity=0, interactive=False)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock file that nobody else holds; wait for it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as err:
        raise StoreUnavailable(
            f"cannot write in {path.parent}: {err.strerror}; make it writable for this user"
        ) from err
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def database_errors(path: Path | None = None) -> Iterator[None]:
    """Turn Django's errors of a database that cannot be used into StoreUnavailable."""
    from django.db import connections
    from django.db.utils import DatabaseError, IntegrityError

    try:
        yield
    except IntegrityError:
        raise
    except (DatabaseError, UnicodeDecodeError) as err:
        name = path or connections["default"].settings_dict["NAME"]
        raise StoreUnavailable(f"cannot use {name}: {err}; {_advice(err)}") from err


#: by SQLite's primary result code
_ADVICE = {
    sqlite3.SQLITE_READONLY: "make it and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "make it and its folder writable for this user",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a copy, or move it away and make the definitions again",
    sqlite3.SQLITE_NOTADB: "it is damaged: restore it from a copy, or move it away and make the definitions again",
    sqlite3.SQLITE_FULL: "free space on that disk; nothing was changed",
}


def _advice(err: Exception) -> str:
    if isinstance(err, UnicodeDecodeError):
        return _ADVICE[sqlite3.SQLITE_CORRUPT]
    # extended codes keep the primary one in their low byte
    code = getattr(err.__cause__, "sqlite_errorcode", 0) & 0xFF
    return _ADVICE.get(code, "nothing was changed")
