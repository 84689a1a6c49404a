"""What a client may ask of the service, read and checked: positions from a query string, JSON or Arrow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from lasair.errors import LasairError
from lasair.sherlock.rules import RULE_SETS, RuleSet

#: Most positions of one request, and most bytes of its body.
MAX_POSITIONS = 10_000
MAX_BYTES = 4_000_000
ARROW = "application/vnd.apache.arrow.stream"


class BadRequest(LasairError):
    """A request that cannot be answered; `field` names what is wrong with it."""

    status = 400

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class TooLarge(BadRequest):
    """A request beyond the limits."""

    status = 413


class Asked(NamedTuple):
    """Positions to classify."""

    ra: NDArray[np.float64]
    decl: NDArray[np.float64]
    names: list[str]
    epoch: float | None
    lite: bool
    rules: RuleSet
    explain: bool


def from_query(arguments: Mapping[str, str]) -> Asked:
    """Positions of a query string: `ra` and `dec` as comma lists, `name`, `lite`, `epoch`, `rules`."""
    unknown = sorted(set(arguments) - {"ra", "dec", "name", "lite", "epoch", "rules", "explain"})
    if unknown:
        raise BadRequest(unknown[0][:40], "there is no such parameter")
    names = arguments.get("name")
    return _asked(
        _split("ra", arguments.get("ra")),
        _split("dec", arguments.get("dec")),
        names.split(",") if names else None,
        arguments,
    )


def from_json(body: bytes) -> Asked:
    """Positions of a JSON body: {"ra": [...], "dec": [...], "name": [...], "lite": true, "epoch": 2026.9}."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as err:
        raise BadRequest("body", f"it is not JSON: {err}") from err
    if not isinstance(given, dict):
        raise BadRequest("body", "it is not a JSON object with ra and dec")
    unknown = sorted(set(given) - {"ra", "dec", "name", "lite", "epoch", "rules", "explain"})
    if unknown:
        raise BadRequest(str(unknown[0])[:40], "there is no such field")
    return _asked(_as_list(given.get("ra")), _as_list(given.get("dec")), _as_list(given.get("name")), given)


def from_arrow(body: bytes, arguments: Mapping[str, str]) -> Asked:
    """Positions of an Arrow stream with columns ra, dec and perhaps name; the rest is in the query string."""
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(body).read_all()
    except (pa.ArrowException, OSError, ValueError) as err:
        raise BadRequest("body", f"it is not an Arrow stream: {str(err)[:200]}") from err
    columns = {}
    for name in ("ra", "dec"):
        if name not in table.column_names:
            raise BadRequest(name, "the table has no such column")
        columns[name] = table.column(name).to_pylist() if len(table) <= MAX_POSITIONS else []
    if len(table) > MAX_POSITIONS:
        raise TooLarge("body", f"{len(table)} positions; the most is {MAX_POSITIONS} a request")
    names = table.column("name").to_pylist() if "name" in table.column_names else None
    return _asked(columns["ra"], columns["dec"], names, arguments)


def _split(field: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    if text.count(",") >= MAX_POSITIONS:
        raise TooLarge(field, f"more than {MAX_POSITIONS} positions")
    return text.split(",")


def _as_list(value: Any) -> list[Any] | None:
    return value if value is None or isinstance(value, list) else [value]


def _asked(ra: list[Any] | None, decl: list[Any] | None, names: list[Any] | None, other: Mapping[str, Any]) -> Asked:
    for field, values in (("ra", ra), ("dec", decl)):
        if not values:
            raise BadRequest(field, "it is missing; give degrees")
        if len(values) > MAX_POSITIONS:
            raise TooLarge(field, f"{len(values)} positions; the most is {MAX_POSITIONS} a request")
    assert ra is not None and decl is not None
    if len(ra) != len(decl):
        raise BadRequest("dec", f"{len(decl)} values, but ra has {len(ra)}")
    right = _numbers("ra", ra, -360.0, 720.0)
    declination = _numbers("dec", decl, -90.0, 90.0)
    if names is None:
        names = [f"query{i}" for i in range(len(ra))]
    if len(names) != len(ra):
        raise BadRequest("name", f"{len(names)} names for {len(ra)} positions")
    texts = [str(name)[:100] for name in names]
    if len(set(texts)) < len(texts):
        raise BadRequest("name", "two positions have one name")
    rules = other.get("rules") or "fixed"
    if rules not in RULE_SETS:
        raise BadRequest("rules", f"there is no rule set {str(rules)[:40]!r}; there are {', '.join(RULE_SETS)}")
    epoch = other.get("epoch")
    year = None if epoch in (None, "") else float(_numbers("epoch", [epoch], 1900.0, 2200.0)[0])
    return Asked(
        right % 360.0, declination, texts, year, _flag("lite", other.get("lite"), True), rules,
        _flag("explain", other.get("explain"), False),
    )  # fmt: skip


def _numbers(field: str, values: list[Any], low: float, high: float) -> NDArray[np.float64]:
    found = np.empty(len(values))
    for i, value in enumerate(values):
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not low <= number <= high:
            at = f" (position {i})" if len(values) > 1 else ""
            raise BadRequest(field, f"{str(value)[:40]!r}{at} is not a number from {low:g} to {high:g}")
        found[i] = number
    return found


def _flag(field: str, value: Any, default: bool) -> bool:
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text in ("true", "1", "yes"):
        return True
    if text in ("false", "0", "no"):
        return False
    raise BadRequest(field, f"{str(value)[:40]!r} is neither true nor false")
