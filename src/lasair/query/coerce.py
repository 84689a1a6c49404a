"""Types of Lasair SQL: which meet, which are refused, what stands between them.

Text and numbers never mix silently: MariaDB would read a number off the front of the text, SQLite would call every
text greater than every number, and both would answer something nobody asked.
"""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from typing import NoReturn

from lasair.errors import BadQuery
from lasair.query.tree import (
    INF,
    INT64_MAX,
    INT64_MIN,
    KIND_NAMES,
    ColumnRef,
    Node,
    condition,
    double,
    integer,
    literal,
    text,
    to_double,
)
from lasair.query.vocabulary import is_exact

_TIME_FORMATS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")
_JSON_HINT = "write JSON_EXTRACT(column, '$.name')"


class Coercion:
    """Conversions within one clause; `part` names it in errors."""

    def __init__(self, part: str) -> None:
        self.part = part

    def refuse(self, message: str, node: Node | int | None) -> NoReturn:
        """Raise BadQuery at a node or position."""
        raise self.error(message, node)

    def error(self, message: str, node: Node | int | None) -> BadQuery:
        """BadQuery at a node or position."""
        position = node.position if isinstance(node, Node) else node
        return BadQuery(message, part=self.part, position=position)

    def number(self, node: Node, where: str = "here") -> Node:
        """The node as a number; JSON gives its number, or NULL when it is none."""
        if node.is_number or node.kind == "null":
            return node
        if node.kind == "json":
            if node.op == "column":
                self.refuse(f"{describe(node)} is JSON and a number is needed {where}: {_JSON_HINT}", node)
            return double("json_number", (node,), INF, INF, node.position)
        hint = ""
        if node.op == "literal" and _reads_as_number(node.value):
            hint = ": leave out the quotes"
        elif node.kind == "time":
            hint = ": times of this kind compare with text such as '2026-01-31'; mjdnow() is for MJD columns"
        raise self.error(f"{describe(node)} is {KIND_NAMES[node.kind]} and a number is needed {where}{hint}", node)

    def integer(self, node: Node, where: str) -> Node:
        """The node as a whole number."""
        found = self.number(node, where)
        if found.kind == "double":
            self.refuse(f"a whole number is needed {where}", node)
        return found

    def text(self, node: Node, where: str = "here", *, whole_numbers: bool = False) -> Node:
        """The node as text; JSON gives its string without quotes."""
        if node.kind in ("text", "null"):
            return node
        if node.kind == "json":
            return text("json_text", (node,), 65_535, node.position)
        if node.kind == "time":
            return text("time_text", (node,), 26, node.position)
        if whole_numbers and node.is_integer:
            return text("int_text", (node,), 20, node.position)
        extra = "; the digits of a fraction are the database's choice" if whole_numbers else ""
        raise self.error(f"{describe(node)} is {KIND_NAMES[node.kind]} and text is needed {where}{extra}", node)

    def truth(self, node: Node, where: str) -> Node:
        """The node as a condition; a number is true when it is not 0."""
        if node.kind in ("bool", "null"):
            return node
        if node.is_number or (node.kind == "json" and node.op != "column"):
            found = self.number(node)
            zero = literal(0.0 if found.kind == "double" else 0)
            return condition("compare", (found, zero), node.position, "<>")
        raise self.error(
            f"{describe(node)} is {KIND_NAMES[node.kind]} and a condition is needed {where}: compare it with something",
            node,
        )

    def alike(self, nodes: list[Node], *, compared: bool = False) -> list[Node]:
        """The nodes as values of one kind: numbers, texts or times.

        With `compared` integers stay integers beside doubles where the comparison is exact all the same.
        """
        kinds = {node.kind for node in nodes} - {"null"}
        numbers = [node for node in nodes if node.is_number]
        texts = [node for node in nodes if node.kind == "text"]
        times = [node for node in nodes if node.kind == "time"]
        if numbers and (texts or times):
            self._mixed(numbers[0], (texts or times)[0])
        if numbers:
            found = [self.number(node) for node in nodes]
            return _same_numbers(found, compared=compared)
        if kinds <= {"time"}:
            return nodes
        if times and compared:
            return [node if node.kind in ("time", "null") else self._time(node) for node in nodes]
        return [self.text(node) for node in nodes]

    def compare(self, sign: str, left: Node, right: Node) -> Node:
        """``left <sign> right`` where sign is one of = <> < <= > >= <=>."""
        a, b = self.alike([left, right], compared=True)
        op = "compare_text" if "text" in (a.kind, b.kind) else "compare"
        return condition(op, (a, b), left.position, sign)

    def _mixed(self, number: Node, other: Node) -> NoReturn:
        hint = ""
        if other.op == "literal" and _reads_as_number(other.value):
            hint = ": leave out the quotes"
        elif other.kind == "time":
            hint = ": write a time such as '2026-01-31'"
        at = other if other.op == "literal" else number
        self.refuse(
            f"text and numbers do not compare: {describe(number)} is a number, "
            f"{describe(other)} is {KIND_NAMES[other.kind]}{hint}",
            at,
        )

    def _time(self, node: Node) -> Node:
        if node.op != "literal":
            self.refuse(f"a time compares with a time or with text in quotes, not with {describe(node)}", node)
        written = str(node.value).strip().replace("T", " ")
        for form in _TIME_FORMATS:
            try:
                moment = datetime.strptime(written, form)
            except ValueError:
                continue
            value = moment.strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0")
            return dataclasses.replace(node, kind="time", value=value)
        raise self.error(f"{describe(node)} is not a time: write '2026-01-31' or '2026-01-31 23:59:59' (UTC)", node)


def _same_numbers(nodes: list[Node], *, compared: bool) -> list[Node]:
    if all(node.kind != "double" for node in nodes):
        return nodes
    if compared:
        # 1e3 beside an integer column is 1000, so that an index on the column serves
        exact = [_whole(node) for node in nodes]
        if all(node.kind != "double" for node in exact):
            return exact
        return [node if is_exact(node) else to_double(node) for node in nodes]
    return [to_double(node) for node in nodes]


def _whole(node: Node) -> Node:
    if node.op == "literal" and isinstance(node.value, float) and node.value.is_integer():
        value = int(node.value)
        if INT64_MIN <= value <= INT64_MAX:
            return literal(value, node.position)
    return node


def merged(op: str, nodes: list[Node], values: list[Node], position: int | None) -> Node:
    """A node of `op` over `nodes` that gives one of `values` (all of one kind)."""
    given = [node for node in values if node.kind != "null"]
    if not given:
        return Node(op, "null", tuple(nodes), position=position)
    first = given[0]
    if first.kind == "double":
        return double(op, tuple(nodes), max(n.most for n in given), max(n.sane for n in given), position)
    if first.is_number:
        return integer(op, tuple(nodes), min(n.lo for n in given), max(n.hi for n in given), position)
    return Node(op, first.kind, tuple(nodes), hi=max(n.hi for n in given), position=position)


def _reads_as_number(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", value) is not None


def describe(node: Node) -> str:
    """What a message calls an expression."""
    if isinstance(node.value, ColumnRef):
        return f"{node.value.table}.{node.value.name}"
    if node.op == "literal" and isinstance(node.value, str):
        shown = node.value if len(node.value) <= 30 else node.value[:27] + "..."
        return f"'{shown}'"
    if node.op == "literal":
        return str(node.value)
    return "this expression"
