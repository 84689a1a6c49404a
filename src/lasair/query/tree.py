"""The checked query: every expression typed, every value known; what the generators write.

Numbers carry bounds, so that the generators know where arithmetic can leave its range: an engine that answers
overflow with an error (MariaDB) or infinity (SQLite) needs help there, and only there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["int", "double", "bool", "text", "time", "json", "null"]
Value = int | float | str | None

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
#: beyond it an integer may not be a double
EXACT_DOUBLE = 2**53
#: above every sane value of a double column (a 64-bit id included); a row beyond takes the slow, checked path
SANE = 1e19
#: a bound under which no rounding reaches infinity
FINITE = 1.7e308
INF = float("inf")

#: what messages call a kind
KIND_NAMES: dict[Kind, str] = {
    "int": "a number",
    "double": "a number",
    "bool": "a condition",
    "text": "text",
    "time": "a time",
    "json": "JSON",
    "null": "NULL",
}

#: operations over many rows
AGGREGATES = frozenset(["count_rows", "count", "count_distinct", "min", "max", "sum", "avg", "std"])


class ColumnRef(NamedTuple):
    """A column in the generated statement: the table's alias there, and the schema's names."""

    alias: str
    name: str
    #: what users call the table
    table: str


@dataclass(frozen=True)
class Node:
    """One operation. Equal nodes mean the same, wherever in the user's text they stand.

    `lo` and `hi` bound integers (and `hi` the length of text); `most` bounds the magnitude of a number whatever the
    rows hold, `sane` as long as no double column exceeds SANE.
    """

    op: str
    kind: Kind
    args: tuple[Node, ...] = ()
    value: Value | ColumnRef | tuple[str | int, ...] = None
    lo: int = 0
    hi: int = 0
    most: float = INF
    sane: float = INF
    position: int | None = field(default=None, compare=False)
    #: operations in all, shared ones counted as often as they would be written
    size: int = field(default=1, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", 1 + sum(one.size for one in self.args))

    @property
    def is_number(self) -> bool:
        """Whether it computes: bool counts as 0 and 1."""
        return self.kind in ("int", "double", "bool")

    @property
    def is_integer(self) -> bool:
        return self.kind in ("int", "bool")

    @property
    def is_constant(self) -> bool:
        """Whether it is the same for every row."""
        return not any(node.op in ("column", "group_key") or node.op in AGGREGATES for node in self.walk())

    @property
    def has_aggregate(self) -> bool:
        return any(node.op in AGGREGATES for node in self.walk())

    def walk(self) -> Iterator[Node]:
        """This node and all below."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.args)


def literal(value: int | float | str | None, position: int | None = None) -> Node:
    """A value of the user's; an integer beyond 64 bits is a double."""
    if value is None:
        return Node("null", "null", most=0.0, sane=0.0, position=position)
    if isinstance(value, str):
        return Node("literal", "text", value=value, hi=len(value), position=position)
    if isinstance(value, int) and INT64_MIN <= value <= INT64_MAX:
        size = float(abs(value))
        return Node("literal", "int", value=value, lo=value, hi=value, most=size, sane=size, position=position)
    return Node("literal", "double", value=float(value), most=abs(value), sane=abs(value), position=position)


def integer(op: str, args: tuple[Node, ...], lo: int, hi: int, position: int | None) -> Node:
    """An integer operation with its bounds."""
    size = float(max(abs(lo), abs(hi)))
    return Node(op, "int", args, lo=lo, hi=hi, most=size, sane=size, position=position)


def double(op: str, args: tuple[Node, ...], most: float, sane: float, position: int | None) -> Node:
    """A floating-point operation with the bounds of its magnitude; NaN (0 times infinity) counts as unbounded."""
    return Node(
        op,
        "double",
        args,
        most=most if most <= FINITE else INF,
        sane=sane if sane <= FINITE else INF,
        position=position,
    )


def condition(op: str, args: tuple[Node, ...], position: int | None, value: Value = None) -> Node:
    """True, false or NULL."""
    return Node(op, "bool", args, value=value, lo=0, hi=1, most=1.0, sane=1.0, position=position)


def text(op: str, args: tuple[Node, ...], length: int, position: int | None) -> Node:
    """Text with the most characters it can have."""
    return Node(op, "text", args, hi=length, position=position)


def to_double(node: Node) -> Node:
    """The number as a double, exactly for |n| <= 2^53."""
    if node.kind == "double":
        return node
    if node.op == "literal" and isinstance(node.value, int):
        size = float(abs(node.value))
        return Node("literal", "double", value=float(node.value), most=size, sane=size, position=node.position)
    if node.op == "null":
        return node
    return double("to_double", (node,), node.most, node.sane, node.position)
