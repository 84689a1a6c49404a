"""The state folder as commands see it: the option, the lock, and the stores opened when needed."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lasair.cli.parameters import Text
from lasair.errors import NotFound, NotPermitted, StoreUnavailable

if TYPE_CHECKING:
    from lasair.config import Settings
    from lasair.ledger.store import Ledger
    from lasair.packets.schemas import SchemaSource
    from lasair.stores.open import Stores

F = TypeVar("F", bound=Callable[..., Any])

#: State folder when neither ``--state`` nor ``LASAIR_STATE`` names one.
DEFAULT_STATE = Path("state")


def state_folder(named: str | None) -> Path:
    """The state folder: the option, else ``LASAIR_STATE``, else ``state`` here."""
    return Path(named or os.environ.get("LASAIR_STATE") or DEFAULT_STATE)


class State:
    """One state folder. Readers open what exists; `lasair run` creates it and holds the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def settings(self) -> Settings:
        from lasair import config

        return config.load(self.path)

    @property
    def definitions(self) -> Path:
        """Database of what people made (Django's)."""
        return self.path / "definitions.db"

    def create(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StoreUnavailable(
                f"cannot make the state folder {self.path}: {err.strerror}; choose another with --state"
            ) from err

    def must_exist(self) -> None:
        if not (self.path / "ledger.db").is_file():
            raise NotFound(
                f"no Lasair state in {self.path}: name it with --state, or make one with 'lasair demo' or 'lasair run'"
            )

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger. What is damaged inside it is StoreUnavailable, wherever the damage is met."""
        from lasair.ledger.store import Ledger
        from lasair.stores.files import guarded_sqlite

        file = self.path / "ledger.db"
        with guarded_sqlite(file):
            ledger = Ledger(file, durable=self.settings.durable)
            try:
                yield ledger
            finally:
                ledger.close()

    @contextmanager
    def stores(self) -> Iterator[Stores]:
        """All stores, opened at once and made when needed: for the pipeline, which needs each of them."""
        from lasair.stores.open import open_stores

        stores = open_stores(
            self.path, durable=self.settings.durable, lightcurve_shards=self.settings.lightcurve_shards
        )
        try:
            yield stores
        finally:
            stores.close()

    @contextmanager
    def some_stores(self, *, read_only: bool = True) -> Iterator[Stores]:
        """Stores that are opened when they are used, so that a damaged one stops only who needs it."""
        from lasair.stores.open import Stores

        stores = Stores(self.path, durable=self.settings.durable, read_only=read_only)
        try:
            yield stores
        finally:
            stores.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the state: one writer at a time. NotPermitted says who holds it."""
        self.create()
        file = self.path / "lock"
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as err:
            raise StoreUnavailable(
                f"cannot write in {self.path}: {err.strerror}; choose another folder with --state"
            ) from err
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                holder = os.read(handle, 200).decode(errors="replace") or "another process"
                raise NotPermitted(f"{self.path} is in use by {holder}; wait for it, or use another --state") from err
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            yield
        finally:
            os.close(handle)


def state_option(command: F) -> F:
    """Give a command ``--state`` and hand it a `State` as the argument `state`."""

    def resolve(ctx: click.Context, _: click.Parameter, value: str | None) -> State:
        return State(state_folder(value or (ctx.find_root().obj or {}).get("state")))

    return click.option(
        "--state",
        type=Text(),
        metavar="DIR",
        callback=resolve,
        expose_value=True,
        help="State folder (default: LASAIR_STATE, else ./state).",
    )(command)


#: The ``--catalogues`` option; `catalogue_folder` says what it means when it is not given.
catalogues_option = click.option(
    "--catalogues",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of catalogues (default: the setting catalogue_dir, else 'catalogues' in the state folder).",
)


def catalogue_folder(named: Path | None, state: State) -> Path:
    """The folder of catalogues: ``--catalogues``, else as the settings say."""
    return named or state.settings.catalogues(state.path)


#: The ``--schemas`` option.
schemas_option = click.option(
    "--schemas",
    type=Text(),
    metavar="DIR|URL",
    help="Where packet schemas are (default: schemas/ near PATH, cache, registry).",
)


def schema_source(named: str | None, paths: tuple[Path, ...], settings: Settings | None = None) -> SchemaSource:
    """Where packet schemas come from: ``--schemas``, else schemas/ folders near the paths, the cache, the registry."""
    from lasair.packets.schemas import DEFAULT_REGISTRY, SchemaSource, default_cache, folders_near

    folders = [] if named else folders_near(paths)
    registry = settings.schema_registry if settings else DEFAULT_REGISTRY
    if named and named.startswith(("http://", "https://")):
        registry = named
    elif named:
        folders = [Path(named)]
        if not folders[0].is_dir():
            raise click.BadParameter(
                f"no folder {named}; give a folder of .avsc files or the URL of a registry.", param_hint="--schemas"
            )
    timeout = settings.registry_timeout_s if settings else 5.0
    return SchemaSource(folders=folders, cache=default_cache(), registry=registry, timeout_s=timeout)
