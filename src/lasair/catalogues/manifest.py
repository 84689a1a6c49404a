"""The manifest of a release: what its files are, and what is known of the catalogue."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from lasair.catalogues.problems import BadRelease

MANIFEST = "manifest.json"
POSITION_FILE, OFFSETS_FILE = "position.bin", "offsets.bin"

#: Changes when files of old releases can no longer be read.
FORMAT = 1

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ReleaseInfo(NamedTuple):
    """A release in short."""

    name: str
    #: id of the release: version and hash of the content
    release: str
    title: str
    version: str
    rows: int
    bytes: int
    path: Path
    manifest: dict[str, Any]


def is_safe_name(name: str) -> bool:
    """Whether a name of a catalogue or release can be the name of a folder anywhere."""
    return _SAFE.fullmatch(name) is not None


def column_file(name: str) -> str:
    """File of a column."""
    return f"{name}.bin"


def view_file(name: str) -> str:
    """File of the rows of a sparse view."""
    return f"view_{name}.bin"


def release_id(manifest: dict[str, Any]) -> str:
    """Version and 12 hexadecimal digits of the SHA-256 of all else in the manifest (which has every file's hash)."""
    content = {key: value for key, value in manifest.items() if key != "release"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    version = re.sub(r"[^A-Za-z0-9._-]+", "-", str(manifest["version"])).strip("-._")[:60] or "0"
    return f"{version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in a folder.

    Raises
    ------
    BadRelease
        It is missing, no JSON, of another format, or lacks something that every manifest has.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as err:
        reason = "is missing: the release is not complete" if folder.is_dir() else "is missing: there is no such folder"
        raise BadRelease(str(path), reason) from err
    except OSError as err:
        raise BadRelease(str(path), f"cannot be read: {err.strerror or err}") from err
    except ValueError as err:
        raise BadRelease(str(path), f"is not JSON: {err}") from err
    problem = _problem(manifest)
    if problem:
        raise BadRelease(str(path), problem)
    return manifest  # type: ignore[no-any-return]


_KINDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "release": str,
    "title": str,
    "version": str,
    "rows": int,
    "order": int,
    "step": float,
    "columns": dict,
    "files": dict,
    "views": list,
    "subtypes": list,
    "max_pm_mas": (int, float),
    "coverage": dict,
    "about": dict,
}


def _problem(manifest: Any) -> str | None:
    if not isinstance(manifest, dict):
        return "is no manifest: not a JSON object"
    if manifest.get("format") != FORMAT:
        return f"has format {manifest.get('format')!r}, this program reads {FORMAT}"
    for key, kind in _KINDS.items():
        if not isinstance(manifest.get(key), kind):
            return f"is no manifest: {key!r} is missing or of the wrong kind"
    parts = (
        (manifest["files"].values(), ("bytes", "sha256")),
        (manifest["columns"].values(), ("dtype",)),
        (manifest["views"], ("name", "rows", "sparse")),
        ([manifest["coverage"]], ("kind", "moc")),
    )
    for entries, keys in parts:
        if not all(isinstance(entry, dict) and all(key in entry for key in keys) for entry in entries):
            return f"is no manifest: an entry lacks one of {', '.join(keys)}"
    return None


def info_of(folder: Path) -> ReleaseInfo:
    """The release in a folder in short; BadRelease as `read_manifest`."""
    manifest = read_manifest(folder)
    size = sum(int(entry["bytes"]) for entry in manifest["files"].values())
    return ReleaseInfo(
        manifest["name"],
        manifest["release"],
        manifest["title"],
        manifest["version"],
        manifest["rows"],
        size,
        folder,
        manifest,
    )
