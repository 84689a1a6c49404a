"""The checked tree as SQLite text."""

from __future__ import annotations

from lasair.query.check import LIKE_ESCAPE
from lasair.query.generate import Generator, json_path
from lasair.query.tree import INF, ColumnRef, Node
from lasair.schema.sql import Engine

#: operations that hand infinity on, so that one test at the end of a chain of them is enough
_PASS_ON = frozenset(["add", "sub", "mul", "neg", "abs", "to_double"])


class SqliteGenerator(Generator):
    """SQLite: infinity becomes NULL where arithmetic can reach it; text compares as NOCASE."""

    engine: Engine = "sqlite"

    def placeholder(self, name: str) -> str:
        return f":{name}"

    def result(self, node: Node) -> str:
        return self._json_shown(node) if node.kind == "json" and node.op != "column" else self.write(node)

    def result_value(self, node: Node) -> str:
        return self.result(node)

    def sort_keys(self, node: Node) -> list[str]:
        if node.kind == "json" and node.op != "column":
            number = Node("json_number", "double", (node,))
            return [self.write(number), f"{self._json_text(node)} COLLATE NOCASE"]
        return [self.group_keys(node)]

    def group_keys(self, node: Node) -> str:
        if node.kind == "json":
            node = Node("json_text", "text", (node,))
        if node.kind == "text":
            return self._nocase(node)
        return self.result(node)

    def join_text(self, left: str, right: str) -> str:
        return f"{left} = {right} COLLATE NOCASE"

    def topic_equal(self, column: str, value: str) -> str:
        return f"{column} = {self.bind(value)} COLLATE NOCASE"

    def at_most_one(self, sql: str) -> str:
        return f"MIN({sql}, {self.bind(1.0)})"

    # numbers

    def _finite(self, sql: str, node: Node) -> str:
        """NULL instead of infinity; SQLite itself makes NaN NULL."""
        return sql if node.most < INF else f"nullif(nullif({sql}, 9e999), -9e999)"

    def _raw(self, node: Node) -> str:
        """The number, infinity included where the operation hands it on."""
        if node.kind != "double" or node.op not in _PASS_ON:
            return self.write(node)
        self._written += 1
        if node.op == "neg":
            return f"(- {self._raw(node.args[0])})"
        if node.op == "abs":
            return f"ABS({self._raw(node.args[0])})"
        if node.op == "to_double":
            return f"CAST({self.write(node.args[0])} AS REAL)"
        sign = {"add": "+", "sub": "-", "mul": "*"}[node.op]
        return f"({self._raw(node.args[0])} {sign} {self._raw(node.args[1])})"

    def _arithmetic(self, node: Node) -> str:
        if node.kind == "double":
            return self._finite(self._raw(node), node)
        return self.infix(node, {"add": "+", "sub": "-", "mul": "*"}[node.op])

    op_add = op_sub = op_mul = _arithmetic

    def op_neg(self, node: Node) -> str:
        return self._finite(self._raw(node), node) if node.kind == "double" else f"(- {self.write(node.args[0])})"

    def op_abs(self, node: Node) -> str:
        return self._finite(self._raw(node), node) if node.kind == "double" else super().op_abs(node)

    def op_to_double(self, node: Node) -> str:
        return self._raw(node)

    def op_div(self, node: Node) -> str:
        return self._finite(f"({self._raw(node.args[0])} / {self.write(node.args[1])})", node)

    def op_int_div(self, node: Node) -> str:
        return self.infix(node, "/")

    def op_int_mod(self, node: Node) -> str:
        return self.infix(node, "%")

    def op_mod(self, node: Node) -> str:
        return self.call("MOD", node)

    def op_trunc(self, node: Node) -> str:
        return self.call("TRUNC", node)

    def op_floor(self, node: Node) -> str:
        return self.call("FLOOR", node)

    def op_ceil(self, node: Node) -> str:
        return self.call("CEIL", node)

    def op_round(self, node: Node) -> str:
        return rounded(self, node)

    def op_pow(self, node: Node) -> str:
        return self._finite(self.call("POW", node), node)

    def op_exp(self, node: Node) -> str:
        return self._finite(self.call("EXP", node), node)

    def op_degrees(self, node: Node) -> str:
        return self._finite(self.call("DEGREES", node), node)

    def op_greatest(self, node: Node) -> str:
        return self.call("MAX", node)

    def op_least(self, node: Node) -> str:
        return self.call("MIN", node)

    # conditions

    def _nocase(self, node: Node) -> str:
        sql = self.write(node)
        # a text column carries the collation itself; JSON columns and expressions do not
        return sql if isinstance(node.value, ColumnRef) and node.kind == "text" else f"{sql} COLLATE NOCASE"

    def op_compare(self, node: Node) -> str:
        return self.infix(node, "IS" if node.value == "<=>" else str(node.value))

    def op_compare_text(self, node: Node) -> str:
        sign = "IS" if node.value == "<=>" else str(node.value)
        return f"({self._nocase(node.args[0])} {sign} {self._nocase(node.args[1])})"

    def op_between_text(self, node: Node) -> str:
        x, low, high = node.args
        return f"({self._nocase(x)} BETWEEN {self._nocase(low)} AND {self._nocase(high)})"

    def op_in_text(self, node: Node) -> str:
        first, *rest = node.args
        return f"({self._nocase(first)} IN ({', '.join(self.write(one) for one in rest)}))"

    def op_xor(self, node: Node) -> str:
        # as 0 and 1, since any other number is true too
        return f"(({self.write(node.args[0])} <> 0) <> ({self.write(node.args[1])} <> 0))"

    def op_like(self, node: Node) -> str:
        escape = f" ESCAPE '{LIKE_ESCAPE}'" if LIKE_ESCAPE in str(node.value) else ""
        return f"({self.write(node.args[0])} LIKE {self.bind(str(node.value))}{escape})"

    # text

    def op_int_text(self, node: Node) -> str:
        return f"CAST({self.write(node.args[0])} AS TEXT)"

    def op_time_text(self, node: Node) -> str:
        return self.write(node.args[0])

    def op_concat(self, node: Node) -> str:
        return f"({' || '.join(self.write(one) for one in node.args)})"

    def op_lower(self, node: Node) -> str:
        return self.call("LOWER", node)

    def op_upper(self, node: Node) -> str:
        return self.call("UPPER", node)

    def op_length(self, node: Node) -> str:
        return f"LENGTH(CAST({self.write(node.args[0])} AS BLOB))"

    def op_left(self, node: Node) -> str:
        x, count = (self.write(one) for one in node.args)
        return f"SUBSTR({x}, 1, MAX({count}, 0))"

    def op_right(self, node: Node) -> str:
        x, count = (self.write(one) for one in node.args)
        return f"(CASE WHEN {count} <= 0 THEN SUBSTR({x}, 1, 0) ELSE SUBSTR({x}, - {count}) END)"

    def op_substring(self, node: Node) -> str:
        x, start, *rest = (self.write(one) for one in node.args)
        count = f", MAX({rest[0]}, 0)" if rest else ""
        none = f"SUBSTR({x}, 1, 0{'' if not rest else f' * {rest[0]}'})"
        return f"(CASE WHEN {start} = 0 OR - {start} > LENGTH({x}) THEN {none} ELSE SUBSTR({x}, {start}{count}) END)"

    def op_instr(self, node: Node) -> str:
        x, sought = (self.write(one) for one in node.args)
        return f"INSTR(LOWER({x}), LOWER({sought}))"

    # JSON

    def _json(self, node: Node) -> tuple[str, str]:
        assert isinstance(node.value, tuple)
        return self.write(node.args[0]), self.bind(json_path(node.value))

    def op_json_extract(self, node: Node) -> str:
        return self._json_shown(node)

    def op_json_value(self, node: Node) -> str:
        return self._json_shown(node)

    def _json_shown(self, node: Node) -> str:
        document, path = self._json(node)
        if node.op == "json_extract":
            return f"(CASE WHEN JSON_VALID({document}) THEN NULLIF({document} -> {path}, 'null') END)"
        return (
            f"(CASE WHEN JSON_VALID({document}) THEN CASE JSON_TYPE({document}, {path})"
            f" WHEN 'text' THEN {document} ->> {path} WHEN 'true' THEN '1' WHEN 'false' THEN '0'"
            f" WHEN 'integer' THEN {document} -> {path} WHEN 'real' THEN {document} -> {path} END END)"
        )

    def _json_text(self, node: Node) -> str:
        if node.op == "column":
            return self.write(node)
        if node.op == "json_value":
            return self._json_shown(node)
        document, path = self._json(node)
        return (
            f"(CASE WHEN JSON_VALID({document}) THEN CASE JSON_TYPE({document}, {path}) WHEN 'null' THEN NULL"
            f" WHEN 'text' THEN {document} ->> {path} ELSE {document} -> {path} END END)"
        )

    def op_json_text(self, node: Node) -> str:
        return self._json_text(node.args[0])

    def op_json_number(self, node: Node) -> str:
        document, path = self._json(node.args[0])
        inner = f"{document} ->> {path}"
        number = f"CAST({document} -> {path} AS REAL)"
        sql = (
            f"(CASE WHEN JSON_VALID({document}) THEN CASE JSON_TYPE({document}, {path})"
            f" WHEN 'integer' THEN {number} WHEN 'real' THEN {number} WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0"
            f" WHEN 'text' THEN CASE WHEN JSON_VALID({inner}) THEN CASE WHEN JSON_TYPE({inner})"
            f" IN ('integer', 'real') THEN CAST({inner} AS REAL) END END END END)"
        )
        return self._finite(sql, node)

    # groups

    def op_group_key(self, node: Node) -> str:
        key = node.args[0]
        # texts that differ in case are one group; which of them is shown must not depend on the engine
        return f"MIN({self.result(key)} COLLATE BINARY)" if key.kind in ("text", "json") else self.write(key)

    def _extreme(self, name: str, node: Node) -> str:
        one = node.args[0]
        return f"{name}({self.write(one)}{' COLLATE BINARY' if one.kind == 'text' else ''})"

    def op_min(self, node: Node) -> str:
        return self._extreme("MIN", node)

    def op_max(self, node: Node) -> str:
        return self._extreme("MAX", node)

    def op_count_distinct(self, node: Node) -> str:
        return f"COUNT(DISTINCT {self.group_keys(node.args[0])})"

    def op_sum(self, node: Node) -> str:
        return self._finite(self.call("SUM", node), node) if node.kind == "double" else self.call("SUM", node)

    def op_avg(self, node: Node) -> str:
        return self._finite(self.call("AVG", node), node)

    def op_std(self, node: Node) -> str:
        return self.call("lasair_std", node)


def rounded(generator: Generator, node: Node) -> str:
    """ROUND half away from zero, from FLOOR, since the engines' own differ (10.5 is 10 to one, 11 to the other).

    Beyond 2^52 units of the last place the number has no such places and stays as it is.
    """
    assert isinstance(node.value, tuple)
    places = int(node.value[0])
    x = generator.write(node.args[0])
    unit = 10.0 ** abs(places)
    scaled = f"ABS({x})"
    back = ""
    if places > 0:
        scaled, back = f"{scaled} * {generator.bind(unit)}", f" / {generator.bind(unit)}"
    elif places < 0:
        scaled, back = f"{scaled} / {generator.bind(unit)}", f" * {generator.bind(unit)}"
    limit = 2.0**52 / unit if places > 0 else 2.0**52 * unit
    return (
        f"(CASE WHEN ABS({x}) < {generator.bind(limit)}"
        f" THEN SIGN({x}) * FLOOR({scaled} + {generator.bind(0.5)}){back} ELSE {x} END)"
    )
