"""Filters as files: NAME.toml, read and written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

from lasair.errors import BadDefinition
from lasair.schema.allow import nearest
from lasair.schema.model import SURVEYS, Survey

#: Form of the messages: the selected columns; with a short light curve; with the whole alert.
Output = Literal["plain", "lite", "full"]
OUTPUTS: tuple[Output, ...] = get_args(Output)

#: What makes a filter run: alerts, annotations that arrive, or both.
Trigger = Literal["alert", "annotation", "both"]
TRIGGERS: tuple[Trigger, ...] = get_args(Trigger)

LONGEST_NAME = 256
LONGEST_DESCRIPTION = 4096


@dataclass(frozen=True)
class FilterFile:
    """What a filter file says. The clauses are checked when the filter is added, not here."""

    name: str
    survey: Survey
    select: str
    #: comma-separated, as in Lasair; 'objects' needs no mention
    tables: str = "objects"
    where: str = ""
    output: Output = "plain"
    order_by: str = ""
    description: str = ""
    #: most bytes a UTC day; -1 for no limit, None for the setting `filter_byte_quota`
    byte_quota: int | None = None
    #: "annotation" and "both" need an annotator among the tables
    trigger: Trigger = "alert"


_KEYS = tuple(field.name for field in fields(FilterFile))
_REQUIRED = ("name", "survey", "select")


def read_filter_file(path: Path) -> FilterFile:
    """Read NAME.toml.

    Raises
    ------
    BadDefinition
        The file cannot be read, is not TOML, or a key is unknown, missing or of the wrong type; the message names file
        and key.
    """
    try:
        entry = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise BadDefinition(f"{path}: cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise BadDefinition(f"{path}: not UTF-8 text (byte {err.start})") from err
    except (tomllib.TOMLDecodeError, RecursionError) as err:
        raise BadDefinition(f"{path}: not TOML: {err}") from err
    return parse_filter(entry, source=str(path))


def parse_filter(entry: Mapping[str, Any], *, source: str) -> FilterFile:
    """A filter from the keys of a file; `source` is how messages name it. BadDefinition names source and key."""
    for key in entry:
        if key not in _KEYS:
            hint = nearest(key, _KEYS)
            meant = f"did you mean {hint}?" if hint else f"known are {', '.join(_KEYS)}"
            raise BadDefinition(f"{source}: unknown key {key!r}; {meant}")
    for key in _REQUIRED:
        if key not in entry:
            raise BadDefinition(f"{source}: the key {key!r} is missing")
    texts = {
        key: _text(entry[key], key, source)
        for key in ("name", "survey", "select", "where", "output", "order_by", "description", "trigger")
        if key in entry
    }
    if "tables" in entry:
        texts["tables"] = _tables(entry["tables"], source)
    for key, choices in (("survey", SURVEYS), ("output", OUTPUTS), ("trigger", TRIGGERS)):
        if key in texts and texts[key] not in choices:
            raise BadDefinition(f"{source}: {key} is one of {', '.join(choices)}, not {texts[key]!r}")
    _check_name(texts["name"], source)
    if not texts["select"]:
        raise BadDefinition(f"{source}: select is empty; name at least one column, such as {_example(texts['survey'])}")
    if len(texts.get("description", "")) > LONGEST_DESCRIPTION:
        raise BadDefinition(f"{source}: description is longer than {LONGEST_DESCRIPTION} characters")
    return FilterFile(byte_quota=_quota(entry.get("byte_quota"), source), **cast(dict[str, Any], texts))


def write_filter_file(path: Path, definition: FilterFile) -> None:
    """Write a file that `read_filter_file` reads as `definition`; defaults are left out."""
    path.write_text(to_toml(definition), encoding="utf-8")


def to_toml(definition: FilterFile) -> str:
    """The text of a filter file."""
    lines = []
    for field in fields(FilterFile):
        value = getattr(definition, field.name)
        if value != field.default:
            lines.append(f"{field.name} = {_toml_value(value)}\n")
    return "".join(lines)


def _toml_value(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    # a JSON string is a TOML basic string, but for DEL, which TOML wants escaped
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _text(value: Any, key: str, source: str) -> str:
    if not isinstance(value, str):
        raise BadDefinition(f"{source}: {key} is text in quotes, not {type(value).__name__}")
    if "\0" in value:
        raise BadDefinition(f"{source}: {key} holds a NUL character")
    return value.strip()


def _tables(value: Any, source: str) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    return _text(value, "tables", source) or "objects"


def _check_name(name: str, source: str) -> None:
    if not name:
        raise BadDefinition(f"{source}: name is empty")
    if len(name) > LONGEST_NAME:
        raise BadDefinition(f"{source}: name is longer than {LONGEST_NAME} characters")
    if not name.isprintable():
        raise BadDefinition(f"{source}: name {name!r} holds a character that cannot be printed")


def _quota(value: Any, source: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value < 2**63:
        raise BadDefinition(f"{source}: byte_quota is a number of bytes a day, or -1 for no limit, not {value!r}")
    return value


def _example(survey: str) -> str:
    return "objectId, gmag" if survey == "ztf" else "diaObjectId, latest_psfFlux"
