"""Where LSST's packet schemas come from by id: folders, a cache on disk, the registry, in this order."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lasair.errors import StoreUnavailable, UnknownSchema

if TYPE_CHECKING:
    from lasair.packets.avro import PacketSchema

#: Rubin's registry of alert schemas.
DEFAULT_REGISTRY = "https://rubin-alert-schemas.slac.stanford.edu/schema-registry"
#: After a failed look-up the registry is left alone for this long.
RETRY_AFTER_S = 30.0
#: Ids come from untrusted bytes: no more unknown ones than this are asked for in that time.
MAX_IN_VAIN = 20

_FILE_VERSION = re.compile(r"v(\d+)_(\d+)")
_MAX_REPLY = 8_000_000


def default_cache() -> Path:
    """Folder of schemas fetched from registries (``$XDG_CACHE_HOME/lasair/schemas``)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lasair" / "schemas"


def folders_near(paths: Iterable[Path]) -> list[Path]:
    """Folders named ``schemas`` beside the packets in `paths`, one folder up, or one folder down."""
    found = set()
    for path in paths:
        home = (path if path.is_dir() else path.parent).absolute()
        found |= {home / "schemas", home.parent / "schemas", *home.glob("*/schemas")}
    return sorted(folder for folder in found if folder.is_dir())


def version_of(schema_id: int) -> str:
    """'11.1' of 1101: LSST's ids are major * 100 + minor."""
    return f"{schema_id // 100}.{schema_id % 100}"


class SchemaSource:
    """Compiled schemas by id, each looked up once.

    Parameters
    ----------
    folders
        Folders with ``*.avsc`` files; the version is in the name (``lsst.v11_1.alert.avsc``) or in the name space
        inside.
    cache
        Folder where schemas from the registry are kept (made when needed), or None.
    registry
        URL of a Confluent schema registry, or None.
    """

    def __init__(
        self,
        folders: Sequence[Path | str] = (),
        *,
        cache: Path | None = None,
        registry: str | None = None,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = [Path(folder) for folder in folders]
        self._cache = cache
        self._registry = registry.rstrip("/") if registry else None
        self._timeout_s = timeout_s
        self._clock = clock
        self._found: dict[int, PacketSchema] = {}
        #: id -> (time until which the failure holds, message)
        self._failed: dict[int, tuple[float, str]] = {}
        self._registry_down_until = -1.0
        #: when the registry was asked for what it did not have
        self._in_vain: list[float] = []

    def get(self, schema_id: int) -> PacketSchema:
        """The schema of that id.

        Raises
        ------
        UnknownSchema
            It is nowhere to be had now; the message says where it was looked for and what to do.
        BadPacket
            It was found, but is no schema of alerts.
        """
        found = self._found.get(schema_id)
        if found is not None:
            return found
        until, message = self._failed.get(schema_id, (-1.0, ""))
        if self._clock() < until:
            raise UnknownSchema(message)
        text, looked = self._look(schema_id)
        if text is None:
            version = version_of(schema_id)
            where = "; ".join(looked) or "no place at all"
            message = (
                f"schema {schema_id} (version {version}) was not found in {where}: put "
                f"lsst.v{version.replace('.', '_')}.alert.avsc into a folder and name it with --schemas, "
                f"or fetch it with 'lasair schema fetch {schema_id}'"
            )
            # ids come from untrusted bytes: a stream of random ones must not fill the memory
            if len(self._failed) > 1000:
                self._failed.clear()
            self._failed[schema_id] = (self._clock() + RETRY_AFTER_S, message)
            raise UnknownSchema(message)
        from lasair.packets.avro import compile_schema

        schema = self._found[schema_id] = compile_schema(text, version=version_of(schema_id))
        return schema

    def fetch(self, schema_id: int) -> PacketSchema:
        """The schema of that id, in the cache from now on; folders are not looked at.

        Raises
        ------
        UnknownSchema
            The registry does not give it; the message says why.
        BadPacket
            What it gives is no schema of alerts; it is not kept.
        StoreUnavailable
            The cache cannot be written.
        """
        from lasair.packets.avro import compile_schema

        assert self._cache is not None
        text, problem = _read(self._cached(schema_id)), ""
        new = text is None
        if text is None:
            text, problem = self._ask(schema_id) if self._registry else (None, "none is named")
        if text is None:
            raise UnknownSchema(f"not found in registry {self._registry} ({problem}), nor in {self._cache}")
        schema = compile_schema(text, version=version_of(schema_id))
        if new:
            try:
                self._write(schema_id, text)
            except OSError as err:
                raise StoreUnavailable(f"cannot write to {self._cache}: {err.strerror or err}") from err
        return schema

    def _look(self, schema_id: int) -> tuple[str | None, list[str]]:
        """(text of the schema or None, places that were searched)."""
        looked: list[str] = []
        for folder in self._folders:
            text = _in_folder(folder, schema_id)
            if text is not None:
                return text, looked
            looked.append(f"folder {folder}")
        if self._cache is not None:
            text = _read(self._cached(schema_id))
            if text is not None:
                return text, looked
            looked.append(f"cache {self._cache}")
        if self._registry is not None:
            text, problem = self._ask(schema_id)
            if text is not None:
                self._keep(schema_id, text)
                return text, looked
            looked.append(f"registry {self._registry} ({problem})")
        return None, looked

    def _cached(self, schema_id: int) -> Path:
        assert self._cache is not None
        return self._cache / f"lsst.v{schema_id // 100}_{schema_id % 100}.alert.avsc"

    def _ask(self, schema_id: int) -> tuple[str | None, str]:
        """(schema text or None, why not). Never raises: a dead registry must not stop the decoder."""
        if self._clock() < self._registry_down_until:
            return None, "not asked again so soon after it failed"
        now = self._clock()
        self._in_vain = [when for when in self._in_vain if when > now - RETRY_AFTER_S]
        if len(self._in_vain) >= MAX_IN_VAIN:
            return None, "not asked: too many unknown ids"
        url = f"{self._registry}/schemas/ids/{schema_id}"
        try:
            request = urllib.request.Request(url, headers={"Accept": "application/vnd.schemaregistry.v1+json"})
            with urllib.request.urlopen(request, timeout=self._timeout_s) as reply:
                body = reply.read(_MAX_REPLY + 1)
        except urllib.error.HTTPError as err:
            err.close()
            self._in_vain.append(now)
            if err.code != 404:
                self._registry_down_until = self._clock() + RETRY_AFTER_S
            return None, f"HTTP status {err.code}"
        except (OSError, ValueError) as err:
            self._registry_down_until = self._clock() + RETRY_AFTER_S
            return None, str(getattr(err, "reason", err))[:200]
        try:
            text = str(json.loads(body)["schema"]) if len(body) <= _MAX_REPLY else ""
            json.loads(text)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None, "its answer is no schema"
        return text, ""

    def _keep(self, schema_id: int, text: str) -> None:
        """Write to the cache if there is one; one that cannot be written is only slower."""
        if self._cache is not None:
            with suppress(OSError):
                self._write(schema_id, text)

    def _write(self, schema_id: int, text: str) -> None:
        """Write to the cache, whole or not at all."""
        assert self._cache is not None
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self._cache, suffix=".part", delete=False) as part:
            part.write(text)
        Path(part.name).replace(self._cached(schema_id))


def _read(path: Path) -> str | None:
    """The text of a schema file, None when there is none or it is no JSON (a damaged cache is as good as none)."""
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except (OSError, ValueError, RecursionError):
        return None
    return text


def _in_folder(folder: Path, schema_id: int) -> str | None:
    """The schema of that id among a folder's files: by name first, then by the name space inside."""
    try:
        files = sorted(folder.glob("*.avsc"))
    except OSError:
        return None
    wanted = (schema_id // 100, schema_id % 100)
    unnamed = []
    for path in files:
        named = _FILE_VERSION.search(path.name)
        if named is None:
            unnamed.append(path)
        elif "ztf" not in path.name.lower() and (int(named[1]), int(named[2])) == wanted:
            return _read(path)
    space = f"lsst.v{wanted[0]}_{wanted[1]}"
    for path in unnamed:
        text = _read(path)
        if text is not None:
            schema: Any = json.loads(text)
            if isinstance(schema, dict) and str(schema.get("namespace", "")) == space:
                return text
    return None
