"""The checked tree as MariaDB text, with PyMySQL's placeholders.

MariaDB ends a query with an error when a number overflows. Three ways around it, by cost:

* bounds prove that it cannot happen: plain operators;
* they prove it as long as no column exceeds 1e19: ``IF(a column does, <safe functions>, <plain operators>)``;
* else functions of ours (`functions.py`) that return NULL.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from lasair.query.check import DIVISOR_BOUND, LIKE_ESCAPE
from lasair.query.generate import Generator, json_path
from lasair.query.sqlite_sql import rounded
from lasair.query.tree import AGGREGATES, FINITE, INF, SANE, ColumnRef, Node, literal
from lasair.schema.sql import Engine

#: operations that can overflow
_RISKY = frozenset(["add", "sub", "mul", "div", "pow", "exp", "degrees"])
#: an argument longer than this is not written twice
_SHORT = 120
#: the whole of a JSON number
_JSON_NUMBER = "^[ \t\r\n]*-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?[ \t\r\n]*$"
_BINARY = "COLLATE utf8mb4_nopad_bin"


class MariadbGenerator(Generator):
    """MariaDB: overflow becomes NULL; text compares with A-Z folded and nothing else, as SQLite's NOCASE does."""

    engine: Engine = "mariadb"

    def __init__(self) -> None:
        super().__init__()
        #: '' outside of arithmetic; 'fast' where columns are known to be sane, 'safe' where not
        self._path = ""
        #: how many calls of our functions surround what is written
        self._calls = 0

    def placeholder(self, name: str) -> str:
        return f"%({name})s"

    def write(self, node: Node) -> str:
        if self._path or node.kind != "double" or not _needs_guard(node):
            return super().write(node)
        columns = sorted({super(MariadbGenerator, self).write(one) for one in _double_columns(node)})
        try:
            self._path = "safe"
            safe = super().write(node)
            self._path = "fast"
            fast = super().write(node)
        finally:
            self._path = ""
        if not columns:
            return fast
        huge = " OR ".join(f"ABS({one}) > {self.bind(SANE)}" for one in columns)
        return f"IF({huge}, {safe}, {fast})"

    def result(self, node: Node) -> str:
        if node.kind == "time":
            return f"CAST({self.write(node)} AS CHAR)"
        if node.kind == "json" and node.op != "column":
            return self._json_shown(node)
        return self.write(node)

    def result_value(self, node: Node) -> str:
        return self._json_shown(node) if node.kind == "json" and node.op != "column" else self.write(node)

    def sort_keys(self, node: Node) -> list[str]:
        if node.kind == "json" and node.op != "column":
            number = Node("json_number", "double", (node,))
            return [self.write(number), self._fold(Node("json_text", "text", (node,)))]
        return [self.group_keys(node)]

    def group_keys(self, node: Node) -> str:
        if node.kind == "json":
            node = Node("json_text", "text", (node,))
        if node.kind == "text":
            return self._fold(node)
        return self.result(node)

    def join_text(self, left: str, right: str) -> str:
        return f"({left} = {right} AND {_folded(left)} {_BINARY} = {_folded(right)})"

    def topic_equal(self, column: str, value: str) -> str:
        return f"({column} = {self.bind(value)} AND {_folded(column)} {_BINARY} = {self.bind(_ascii_lower(value))})"

    def at_most_one(self, sql: str) -> str:
        return f"LEAST({sql}, {self.bind(1.0)})"

    # numbers

    def _plain(self, node: Node) -> bool:
        """Whether a plain operator cannot overflow here."""
        return node.most < INF or (self._path == "fast" and node.sane < INF)

    def _ours(self, name: str, *args: Node) -> str:
        """A call of a function of ours."""
        self._calls += 1
        try:
            return f"{name}({', '.join(self.write(one) for one in args)})"
        finally:
            self._calls -= 1

    def _divisor(self, node: Node) -> str:
        """What something is divided by. Strict modes make an error of 1 / 0 as an argument of a function."""
        sql = self.write(node)
        return f"NULLIF({sql}, 0)" if self._calls else sql

    def _logarithm(self, name: str, node: Node) -> str:
        sql = self.write(node.args[0])
        return f"{name}(NULLIF(GREATEST({sql}, 0), 0))" if self._calls else f"{name}({sql})"

    def op_ln(self, node: Node) -> str:
        return self._logarithm("LN", node)

    def op_log10(self, node: Node) -> str:
        return self._logarithm("LOG10", node)

    def op_log2(self, node: Node) -> str:
        return self._logarithm("LOG2", node)

    def _arithmetic(self, node: Node) -> str:
        if node.kind != "double" or self._plain(node):
            return self.infix(node, {"add": "+", "sub": "-", "mul": "*"}[node.op])
        return self._ours(f"lasair_{node.op}", *node.args)

    op_add = op_sub = op_mul = _arithmetic

    def op_neg(self, node: Node) -> str:
        # MariaDB makes decimals of some negated integers
        return f"({'0 ' if node.kind == 'int' else ''}- {self.write(node.args[0])})"

    def op_to_double(self, node: Node) -> str:
        return f"CAST({self.write(node.args[0])} AS DOUBLE)"

    def op_div(self, node: Node) -> str:
        x, y = node.args
        if y.is_integer or y.op == "literal":
            if self._plain(node):
                return f"({self.write(x)} / {self._divisor(y)})"
            return self._ours("lasair_div", x, y)
        slow = self._ours("lasair_div", x, y)
        above, below = self.write(x), self.write(y)
        bound = x.sane if self._path == "fast" else x.most
        if bound * DIVISOR_BOUND > FINITE or len(above) + len(below) > _SHORT:
            return slow
        least = self.bind(1.0 / DIVISOR_BOUND)
        return f"(CASE WHEN ABS({below}) >= {least} THEN {above} / {below} WHEN {below} <> 0 THEN {slow} END)"

    def op_int_div(self, node: Node) -> str:
        return f"({self.write(node.args[0])} DIV {self._divisor(node.args[1])})"

    def op_int_mod(self, node: Node) -> str:
        return f"MOD({self.write(node.args[0])}, {self._divisor(node.args[1])})"

    op_mod = op_int_mod

    # CAST, because MariaDB would show a quotient of two of these with four digits

    def op_trunc(self, node: Node) -> str:
        return f"CAST(TRUNCATE({self.write(node.args[0])}, 0) AS DOUBLE)"

    def op_floor(self, node: Node) -> str:
        return f"CAST(FLOOR({self.write(node.args[0])}) AS DOUBLE)"

    def op_ceil(self, node: Node) -> str:
        return f"CAST(CEIL({self.write(node.args[0])}) AS DOUBLE)"

    def op_round(self, node: Node) -> str:
        return f"CAST({rounded(self, node)} AS DOUBLE)"

    def op_pow(self, node: Node) -> str:
        base, exponent = node.args
        if isinstance(exponent.value, float) and exponent.op == "literal" and exponent.value >= 0 and self._plain(node):
            if exponent.value.is_integer():
                return self.call("POW", node)
            x = self.write(base)
            if len(x) <= _SHORT:
                return f"(CASE WHEN {x} >= 0 THEN POW({x}, {self.write(exponent)}) END)"
        if isinstance(base.value, float) and base.op == "literal" and base.value > 0:
            x = self.write(exponent)
            if base.value == 1.0:
                return f"POW({self.write(base)}, {x})"
            if len(x) <= _SHORT:
                sign, limit = (
                    ("<=", _largest_exponent(base.value))
                    if base.value > 1
                    else (">=", -_largest_exponent(1.0 / base.value))
                )
                limit = _settle(base.value, limit)
                return f"(CASE WHEN {x} {sign} {self.bind(limit)} THEN POW({self.write(base)}, {x}) END)"
        return self._ours("lasair_pow", *node.args)

    def op_exp(self, node: Node) -> str:
        x = self.write(node.args[0])
        if self._plain(node):
            return f"EXP({x})"
        if len(x) <= _SHORT:
            return f"(CASE WHEN {x} <= {self.bind(math.log(1.7976931348623157e308))} THEN EXP({x}) END)"
        return self._ours("lasair_exp", node.args[0])

    def op_degrees(self, node: Node) -> str:
        if self._plain(node):
            return self.call("DEGREES", node)
        return self._ours("lasair_mul", node.args[0], literal(180.0 / math.pi))

    def op_greatest(self, node: Node) -> str:
        return self.call("GREATEST", node)

    def op_least(self, node: Node) -> str:
        return self.call("LEAST", node)

    # text

    def _fold(self, node: Node) -> str:
        """The text with A-Z in lower case, compared by code point."""
        if node.op == "null":
            return "NULL"
        if node.op == "literal":
            return f"{self.bind(_ascii_lower(str(node.value)))} {_BINARY}"
        sql = self.write(node)
        return f"{sql if node.op == 'lower' else _folded(sql)} {_BINARY}"

    def op_compare_text(self, node: Node) -> str:
        left, right = node.args
        sign = str(node.value)
        exact = f"{self._fold(left)} {sign} {self._fold(right)}"
        if sign == "=":
            for column, other in ((left, right), (right, left)):
                if isinstance(column.value, ColumnRef) and column.kind == "text" and other.op == "literal":
                    # the plain comparison finds at least these rows, and can use an index
                    return f"({self.write(column)} = {self.write(other)} AND {exact})"
        return f"({exact})"

    def op_between_text(self, node: Node) -> str:
        x, low, high = (self._fold(one) for one in node.args)
        return f"({x} BETWEEN {low} AND {high})"

    def op_in_text(self, node: Node) -> str:
        first, *rest = node.args
        exact = f"{self._fold(first)} IN ({', '.join(self._fold(one) for one in rest)})"
        if isinstance(first.value, ColumnRef) and first.kind == "text" and all(one.op == "literal" for one in rest):
            return f"({self.write(first)} IN ({', '.join(self.write(one) for one in rest)}) AND {exact})"
        return f"({exact})"

    def op_xor(self, node: Node) -> str:
        return self.infix(node, "XOR")

    def op_like(self, node: Node) -> str:
        one = node.args[0]
        pattern = self.bind(_ascii_lower(str(node.value)))
        exact = f"{self._fold(one)} LIKE {pattern} ESCAPE '{LIKE_ESCAPE}'"
        if isinstance(one.value, ColumnRef) and one.kind == "text":
            return f"({self.write(one)} LIKE {pattern} ESCAPE '{LIKE_ESCAPE}' AND {exact})"
        return f"({exact})"

    def op_int_text(self, node: Node) -> str:
        return f"CAST({self.write(node.args[0])} AS CHAR)"

    op_time_text = op_int_text

    def op_concat(self, node: Node) -> str:
        return self.call("CONCAT", node)

    def op_lower(self, node: Node) -> str:
        return _folded(self.write(node.args[0]))

    def op_upper(self, node: Node) -> str:
        return _folded(self.write(node.args[0]), "UPPER")

    def op_length(self, node: Node) -> str:
        return self.call("LENGTH", node)

    def op_left(self, node: Node) -> str:
        return self.call("LEFT", node)

    def op_right(self, node: Node) -> str:
        return self.call("RIGHT", node)

    def op_substring(self, node: Node) -> str:
        return self.call("SUBSTRING", node)

    def op_instr(self, node: Node) -> str:
        return f"INSTR({self._fold(node.args[0])}, {self._fold(node.args[1])})"

    def op_replace(self, node: Node) -> str:
        x, old, new = (self.write(one) for one in node.args)
        return f"REPLACE({x}, {old} {_BINARY}, {new})"

    # JSON

    def _json(self, node: Node) -> tuple[str, str]:
        """(condition that there is something at the path, the JSON text there)."""
        assert isinstance(node.value, tuple)
        document = self.write(node.args[0])
        tests = [f"JSON_VALID({document})"]
        for at, step in enumerate(node.value):
            if isinstance(step, int):
                # MariaDB takes [0] of anything; elsewhere only lists have entries
                holder = self.bind(json_path(node.value[:at]))
                tests.append(f"JSON_TYPE(JSON_EXTRACT({document}, {holder})) = 'ARRAY'")
        return " AND ".join(tests), f"JSON_EXTRACT({document}, {self.bind(json_path(node.value))})"

    def op_json_extract(self, node: Node) -> str:
        return self._json_shown(node)

    op_json_value = op_json_extract

    def _json_shown(self, node: Node) -> str:
        there, value = self._json(node)
        if node.op == "json_extract":
            return f"(CASE WHEN {there} AND JSON_TYPE({value}) <> 'NULL' THEN JSON_COMPACT({value}) END)"
        return (
            f"(CASE WHEN {there} THEN CASE JSON_TYPE({value}) WHEN 'STRING' THEN JSON_UNQUOTE({value})"
            f" WHEN 'BOOLEAN' THEN IF({value} = 'true', '1', '0')"
            f" WHEN 'INTEGER' THEN {value} WHEN 'DOUBLE' THEN {value} END END)"
        )

    def _json_text(self, node: Node) -> str:
        if node.op == "column":
            return self.write(node)
        if node.op == "json_value":
            return self._json_shown(node)
        there, value = self._json(node)
        return (
            f"(CASE WHEN {there} THEN CASE JSON_TYPE({value}) WHEN 'NULL' THEN NULL"
            f" WHEN 'STRING' THEN JSON_UNQUOTE({value}) ELSE JSON_COMPACT({value}) END END)"
        )

    def op_json_text(self, node: Node) -> str:
        return self._json_text(node.args[0])

    def op_json_number(self, node: Node) -> str:
        there, value = self._json(node.args[0])
        inner = f"JSON_UNQUOTE({value})"
        number = f"CAST({inner} AS DOUBLE)"
        pattern, largest = self.bind(_JSON_NUMBER), self.bind(1.7976931348623157e308)
        return (
            f"(CASE WHEN {there} THEN CASE WHEN JSON_TYPE({value}) = 'BOOLEAN'"
            f" THEN IF({value} = 'true', {self.bind(1.0)}, {self.bind(0.0)})"
            f" WHEN JSON_TYPE({value}) IN ('INTEGER', 'DOUBLE', 'STRING') AND {inner} REGEXP {pattern}"
            f" AND ABS({number}) < {largest} THEN {number} END END)"
        )

    # groups

    def op_group_key(self, node: Node) -> str:
        key = node.args[0]
        return f"MIN({self.result(key)} {_BINARY})" if key.kind in ("text", "json") else self.write(key)

    def _inside(self, node: Node) -> str:
        """The argument of an aggregate, guarded on its own."""
        path, self._path = self._path, ""
        try:
            return self.write(node)
        finally:
            self._path = path

    def op_count(self, node: Node) -> str:
        path, self._path = self._path, ""
        try:
            return super().op_count(node)
        finally:
            self._path = path

    def _extreme(self, name: str, node: Node) -> str:
        one = node.args[0]
        return f"{name}({self._inside(one)}{f' {_BINARY}' if one.kind == 'text' else ''})"

    def op_min(self, node: Node) -> str:
        return self._extreme("MIN", node)

    def op_max(self, node: Node) -> str:
        return self._extreme("MAX", node)

    def op_count_distinct(self, node: Node) -> str:
        path, self._path = self._path, ""
        try:
            return f"COUNT(DISTINCT {self.group_keys(node.args[0])})"
        finally:
            self._path = path

    def op_sum(self, node: Node) -> str:
        total = f"SUM({self._inside(node.args[0])})"
        return f"CAST({total} AS SIGNED)" if node.kind == "int" else self._finite_total(total)

    def op_avg(self, node: Node) -> str:
        return self._finite_total(f"AVG({self._inside(node.args[0])})")

    def op_std(self, node: Node) -> str:
        return self._finite_total(f"STD({self._inside(node.args[0])})")

    def _finite_total(self, sql: str) -> str:
        # sums reach infinity without an error, and would be shown as 0; STD stops at the greatest double
        return f"(CASE WHEN ABS({sql}) < {self.bind(1.7976931348623157e308)} THEN {sql} END)"


def _folded(sql: str, case: str = "LOWER") -> str:
    """Text with only the ASCII letters in one case.

    MariaDB's LOWER folds all of Unicode. Read as the bytes of a charset whose other half has no cases (hebrew), UTF-8
    keeps everything beyond ASCII as it is.
    """
    return f"CONVERT(CAST({case}(CONVERT(CAST({sql} AS BINARY) USING hebrew)) AS BINARY) USING utf8mb4)"


def _ascii_lower(value: str) -> str:
    return "".join(chr(ord(one) + 32) if "A" <= one <= "Z" else one for one in value)


def _needs_guard(node: Node) -> bool:
    """Whether some operation in it may overflow, and cannot while columns are sane."""
    return any(one.op in _RISKY and one.kind == "double" and one.most == INF and one.sane < INF for one in _row(node))


def _row(node: Node) -> Iterator[Node]:
    """The node and all below that are computed from the same row."""
    stack, seen = [node], set()
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if one.op not in AGGREGATES:
            stack.extend(one.args)


def _double_columns(node: Node) -> Iterator[Node]:
    return (one for one in _row(node) if one.op == "column" and one.kind == "double")


def _largest_exponent(base: float) -> float:
    """About the greatest x with a finite base ** x, for base > 1."""
    return math.log(1.7976931348623157e308) / math.log(base)


def _settle(base: float, exponent: float) -> float:
    """The exponent, moved towards 0 until base ** exponent is finite, and away from 0 as long as it stays so."""

    def finite(x: float) -> bool:
        try:
            return math.isfinite(base**x)
        except OverflowError:
            return False

    away = math.copysign(INF, exponent)
    while not finite(exponent):
        exponent = math.nextafter(exponent, 0.0)
    for _ in range(64):
        farther = math.nextafter(exponent, away)
        if not finite(farther):
            break
        exponent = farther
    return exponent
