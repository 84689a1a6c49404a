"""Avro schemas of alert packets, built from our own description of them in packets/*.yaml.

They write packets (simulator, tests) that anyone holding the survey's own schema can read, and are a reader's last
resort where neither registry nor schema folder can be reached. Layout, types, defaults and record names are the
survey's; there are no texts.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from lasair.schema.model import Survey, read_yaml

#: versions that `writer_schema` can build, oldest first
KNOWN: dict[Survey, tuple[str, ...]] = {"lsst": ("10.0", "11.0", "11.1"), "ztf": ("3.3", "4.02")}

_NO_DEFAULT = object()
_SHORT_NAMES: dict[str, Any] = {"timestamp_micros": {"type": "long", "logicalType": "timestamp-micros"}}


def schema_id(version: str) -> int:
    """The number of a version, major * 100 + minor, as LSST's wire format and registry use it.

    Raises
    ------
    ValueError
        `version` is not of the form MAJOR.MINOR.
    """
    major, minor = _numbers(version)
    return major * 100 + minor


def writer_schema(survey: Survey, version: str) -> dict[str, Any]:
    """The Avro schema of that version's alert record, each record defined where it first occurs.

    The result is the caller's own: nothing else refers to it.

    Raises
    ------
    ValueError
        the version is not one of ``KNOWN[survey]``.
    """
    if version not in KNOWN[survey]:
        raise ValueError(f"no description of {survey} packets {version!r}; known: {', '.join(KNOWN[survey])}")
    return _Builder(_description(survey), version).record("alert")


@cache
def _description(survey: Survey) -> dict[str, Any]:
    described: dict[str, Any] = read_yaml(f"packets/{survey}.yaml")
    return described


def _numbers(version: str) -> tuple[int, int]:
    major, point, minor = version.partition(".")
    if not (point and major.isdecimal() and minor.isdecimal()):
        raise ValueError(f"{version!r} is not a schema version such as 11.1")
    return int(major), int(minor)


class _Builder:
    """Builds one schema; remembers which records are defined already, since Avro defines a name once."""

    def __init__(self, described: dict[str, Any], version: str) -> None:
        self.records: dict[str, list[dict[str, Any]]] = described["records"]
        self.version = version
        major, minor = _numbers(version)
        self.namespace: str = described["namespace"].format(major=major, minor=minor)
        self.root_namespace: str = described.get("root_namespace", self.namespace)
        self.attributes = {"version": version} if described.get("version_attribute") else {}
        self.null_last = version in described.get("null_last", ())
        self.defined: set[str] = set()

    def record(self, name: str) -> dict[str, Any]:
        self.defined.add(name)
        fields = []
        for field, spellings in _fields(self.records[name]):
            spelling = _at(spellings, self.version)
            if spelling is not None:
                fields.append(self.field(field, spelling))
        namespace = self.root_namespace if name == "alert" else self.namespace
        return {"type": "record", "name": name, "namespace": namespace, **self.attributes, "fields": fields}

    def field(self, name: str, spelling: str) -> dict[str, Any]:
        kind, optional, default = _parse(spelling)
        made: dict[str, Any] = {"name": name, "type": self.type_of(kind)}
        if optional:
            made["type"] = [made["type"], "null"] if self.null_last else ["null", made["type"]]
        # Avro wants a default to be of the union's first branch
        if default is not _NO_DEFAULT and not (default is None and self.null_last):
            made["default"] = default
        return made

    def type_of(self, kind: str) -> Any:
        if kind.startswith("array<"):
            return {"type": "array", "items": self.type_of(kind[len("array<") : -1])}
        if kind in self.records:
            return f"{self.namespace}.{kind}" if kind in self.defined else self.record(kind)
        if kind in _SHORT_NAMES:
            return dict(_SHORT_NAMES[kind])
        return kind


def _fields(blocks: list[dict[str, Any]]) -> list[tuple[str, str | dict[str, str]]]:
    """Names and types of a record's fields in order, blocks with `bands` written out."""
    found: list[tuple[str, str | dict[str, str]]] = []
    for block in blocks:
        if "bands" in block:
            found += [(name.replace("{b}", b), kind) for b in block["bands"] for name, kind in block["fields"].items()]
        else:
            found += block.items()
    return found


def _at(spellings: str | dict[str, str], version: str) -> str | None:
    """The type that holds at a version: that of the newest entry not after it; None when the field is younger."""
    if isinstance(spellings, str):
        return spellings
    past = [since for since in spellings if _numbers(since) <= _numbers(version)]
    return spellings[max(past, key=_numbers)] if past else None


def _parse(spelling: str) -> tuple[str, bool, Any]:
    """(type, whether null is allowed, default) of a spelling such as ``float?``, ``int?=0`` or ``null|long``."""
    if spelling.startswith("null|"):
        return spelling.removeprefix("null|"), True, _NO_DEFAULT
    kind, question, rest = spelling.partition("?")
    if not question:
        return kind, False, _NO_DEFAULT
    return kind, True, int(rest.removeprefix("=")) if rest else None
