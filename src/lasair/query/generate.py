"""The checked tree as SQL: what both engines share. Every value is bound; identifiers come from the schema."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from lasair.errors import BadQuery
from lasair.query.limits import MAX_SQL
from lasair.query.tree import ColumnRef, Node, Value
from lasair.schema.sql import Engine, quote

#: parameters that `Statement.bind` fills in
NOW_MJD, NOW_JD = "now_mjd_tai", "now_jd_utc"

_MAX_WRITTEN = 40_000


class Generator(ABC):
    """Writes expressions for one engine and collects their parameters."""

    engine: Engine

    def __init__(self) -> None:
        self.parameters: dict[str, Value] = {}
        self._names: dict[tuple[type, Value], str] = {}
        self._written = 0
        self._methods: dict[str, Callable[[Node], str]] = {}

    # parts that every statement needs

    @abstractmethod
    def placeholder(self, name: str) -> str:
        """A parameter in the engine's (driver's) style."""

    @abstractmethod
    def sort_keys(self, node: Node) -> list[str]:
        """Expressions to ORDER BY."""

    @abstractmethod
    def group_keys(self, node: Node) -> str:
        """The expression to GROUP BY."""

    @abstractmethod
    def result(self, node: Node) -> str:
        """The expression as it stands in SELECT."""

    @abstractmethod
    def join_text(self, left: str, right: str) -> str:
        """Equality of two text columns, given as SQL."""

    @abstractmethod
    def topic_equal(self, column: str, value: str) -> str:
        """Equality of a text column with a value."""

    def bind(self, value: Value) -> str:
        """A placeholder for the value; equal values share one."""
        key = (type(value), value)
        name = self._names.get(key)
        if name is None:
            name = f"p{len(self._names)}"
            self._names[key] = name
            self.parameters[name] = value
        return self.placeholder(name)

    def column(self, alias: str, name: str) -> str:
        """A column of a table in the statement."""
        return f"{quote(alias, self.engine)}.{quote(name, self.engine)}"

    def write(self, node: Node) -> str:
        """The expression as SQL, in brackets wherever it has parts."""
        self._written += 1
        method = self._methods.get(node.op)
        if method is None:
            method = self._methods[node.op] = getattr(self, f"op_{node.op}")
        sql = method(node)
        if self._written > _MAX_WRITTEN or len(sql) > MAX_SQL:
            raise BadQuery("this expression is too complex", position=node.position)
        return sql

    def infix(self, node: Node, sign: str) -> str:
        return f"({self.write(node.args[0])} {sign} {self.write(node.args[1])})"

    def call(self, name: str, node: Node) -> str:
        return f"{name}({', '.join(self.write(one) for one in node.args)})"

    # what is the same on both

    def op_null(self, node: Node) -> str:
        return "NULL"

    def op_literal(self, node: Node) -> str:
        assert not isinstance(node.value, tuple)
        return self.bind(node.value)

    def op_column(self, node: Node) -> str:
        assert isinstance(node.value, ColumnRef)
        return self.column(node.value.alias, node.value.name)

    def op_now(self, node: Node) -> str:
        name = NOW_MJD if node.value == "mjd_tai" else NOW_JD
        self.parameters[name] = None
        return self.placeholder(name)

    def op_compare(self, node: Node) -> str:
        return self.infix(node, str(node.value))

    def op_and(self, node: Node) -> str:
        return self._balanced([self.write(one) for one in node.args], "AND")

    def op_or(self, node: Node) -> str:
        return self._balanced([self.write(one) for one in node.args], "OR")

    def _balanced(self, terms: list[str], sign: str) -> str:
        # halves in brackets: engines descend once per operator, and 500 in a row would be too deep
        while len(terms) > 1:
            pairs = [f"({a} {sign} {b})" for a, b in zip(terms[::2], terms[1::2], strict=False)]
            terms = pairs + terms[len(pairs) * 2 :]
        return terms[0]

    def op_not(self, node: Node) -> str:
        return f"(NOT {self.write(node.args[0])})"

    def op_is_null(self, node: Node) -> str:
        return f"({self.result_value(node.args[0])} IS NULL)"

    def result_value(self, node: Node) -> str:
        """The expression as something that is NULL when it is."""
        return self.write(node)

    def op_is_true(self, node: Node) -> str:
        return f"({self.write(node.args[0])} IS TRUE)"

    def op_is_false(self, node: Node) -> str:
        return f"({self.write(node.args[0])} IS FALSE)"

    def op_between(self, node: Node) -> str:
        x, low, high = (self.write(one) for one in node.args)
        return f"({x} BETWEEN {low} AND {high})"

    def op_in(self, node: Node) -> str:
        first, *rest = (self.write(one) for one in node.args)
        return f"({first} IN ({', '.join(rest)}))"

    def op_case(self, node: Node) -> str:
        pairs = node.args[:-1]
        branches = [
            f"WHEN {self.write(test)} THEN {self.write(value)}"
            for test, value in zip(pairs[::2], pairs[1::2], strict=True)
        ]
        return f"(CASE {' '.join(branches)} ELSE {self.write(node.args[-1])} END)"

    def op_coalesce(self, node: Node) -> str:
        return self.call("COALESCE", node)

    def op_separation(self, node: Node) -> str:
        """Haversine formula (Sinnott 1984, Sky & Telescope 68, 159): exact for small separations."""
        ra1, dec1, ra2, dec2 = (self.write(one) for one in node.args)
        half = self.bind(2.0)
        north = f"SIN(RADIANS({dec2}) / {half} - RADIANS({dec1}) / {half})"
        east = f"SIN(RADIANS({ra2}) / {half} - RADIANS({ra1}) / {half})"
        square = f"{north} * {north} + COS(RADIANS({dec1})) * COS(RADIANS({dec2})) * {east} * {east}"
        # rounding can lift the square of a half-circle over 1
        return f"({self.bind(3600.0 * 2.0)} * DEGREES(ASIN({self.at_most_one(f'SQRT({square})')})))"

    @abstractmethod
    def at_most_one(self, sql: str) -> str:
        """The lesser of a number and 1."""

    def op_sign(self, node: Node) -> str:
        return self.call("SIGN", node)

    def op_replace(self, node: Node) -> str:
        return self.call("REPLACE", node)

    def op_trim(self, node: Node) -> str:
        return self.call("TRIM", node)

    def op_abs(self, node: Node) -> str:
        return self.call("ABS", node)

    def op_ln(self, node: Node) -> str:
        return self.call("LN", node)

    def op_log10(self, node: Node) -> str:
        return self.call("LOG10", node)

    def op_log2(self, node: Node) -> str:
        return self.call("LOG2", node)

    def op_sqrt(self, node: Node) -> str:
        return self.call("SQRT", node)

    def op_sin(self, node: Node) -> str:
        return self.call("SIN", node)

    def op_cos(self, node: Node) -> str:
        return self.call("COS", node)

    def op_tan(self, node: Node) -> str:
        return self.call("TAN", node)

    def op_asin(self, node: Node) -> str:
        return self.call("ASIN", node)

    def op_acos(self, node: Node) -> str:
        return self.call("ACOS", node)

    def op_atan(self, node: Node) -> str:
        return self.call("ATAN", node)

    def op_atan2(self, node: Node) -> str:
        return self.call("ATAN2", node)

    def op_radians(self, node: Node) -> str:
        return self.call("RADIANS", node)

    def op_count_rows(self, node: Node) -> str:
        return "COUNT(*)"

    def op_count(self, node: Node) -> str:
        return f"COUNT({self.result_value(node.args[0])})"


def json_path(steps: tuple[object, ...]) -> str:
    """A path as both engines read it, keys quoted."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in steps)
