"""sqlglot's tree → the checked tree: allowed node classes, known columns and functions, a type for everything."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

import sqlglot.expressions as exp

from lasair.query import catalogue
from lasair.query.catalogue import FUNCTIONS
from lasair.query.coerce import Coercion, describe, merged
from lasair.query.limits import MAX_DEPTH, MAX_IN, MAX_LIKE, MAX_LIKE_WILDCARDS, MAX_NODES
from lasair.query.parse import CHAINED, FUNCTION_PREFIX
from lasair.query.tree import (
    AGGREGATES,
    INF,
    INT64_MAX,
    INT64_MIN,
    ColumnRef,
    Node,
    condition,
    double,
    integer,
    literal,
    to_double,
)
from lasair.query.vocabulary import Scope

_SIGNS: dict[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "<=>",
}
_ARITHMETIC: dict[type[exp.Expression], str] = {exp.Add: "add", exp.Sub: "sub", exp.Mul: "mul"}
#: what gives true or false and, without brackets, may mean something else than it looks like as an operand
_TRUTHS = (*_SIGNS, exp.Between, exp.In, exp.Like, exp.Escape, exp.Is, exp.Not, exp.And, exp.Or, exp.Xor)
#: how a LIKE pattern of ours marks a % or _ that stands for itself
LIKE_ESCAPE = "|"


class Checker:
    """Checks the expressions of one clause.

    Parameters
    ----------
    scope : the query's tables
    part : the clause, for errors
    aggregates : why COUNT and the like may not stand here (said after the name); empty when they may
    aliases : names given in SELECT (lower case) that may stand for their expressions here
    """

    def __init__(
        self,
        scope: Scope,
        part: str,
        *,
        aggregates: str = "",
        aliases: Mapping[str, Node] | None = None,
        columns_first: bool = False,
    ) -> None:
        self.scope = scope
        self.part = part
        self.no_aggregates = aggregates
        self.aliases = aliases or {}
        self.columns_first = columns_first
        self.coerce = Coercion(part)
        self.depth = 0
        self.inside_aggregate = False

    def check(self, tree: exp.Expression) -> Node:
        """The checked tree of an expression; BadQuery names what is wrong, where, and what would do."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._refuse(f"operators are nested more than {MAX_DEPTH} deep: use brackets or IN to flatten them", tree)
        try:
            node = self._check(tree)
        finally:
            self.depth -= 1
        if node.size > MAX_NODES:
            self._refuse("this expression is too complex", tree)
        return node

    def condition(self, tree: exp.Expression, where: str) -> Node:
        """The expression as a condition."""
        return self.coerce.truth(self.check(tree), where)

    def _refuse(self, message: str, tree: exp.Expression) -> NoReturn:
        self.coerce.refuse(message, position_of(tree))

    def _check(self, tree: exp.Expression) -> Node:
        cls = type(tree)
        if cls in _SIGNS:
            left, right = self._operands(tree)
            return self.coerce.compare(_SIGNS[cls], left, right)
        if cls in _ARITHMETIC:
            left, right = self._operands(tree)
            return self._arithmetic(_ARITHMETIC[cls], left, right)
        method = _METHODS.get(cls)
        if method is None:
            self._refuse("this is not part of Lasair SQL", tree)
        node: Node = getattr(self, method)(tree)
        return node

    def _only(self, tree: exp.Expression, *names: str) -> None:
        """Refuse what an allowed node class can hold besides what we know of it."""
        for key, value in tree.args.items():
            if key not in names and value:
                self._refuse("this is not part of Lasair SQL", tree)

    def _operand(self, tree: exp.Expression) -> Node:
        if isinstance(tree, _TRUTHS):
            self._refuse(CHAINED, tree)
        return self.check(tree)

    def _operands(self, tree: exp.Expression) -> tuple[Node, Node]:
        self._only(tree, "this", "expression")
        return self._operand(tree.this), self._operand(tree.expression)

    # values

    def _paren(self, tree: exp.Expression) -> Node:
        self._only(tree, "this")
        return self.check(tree.this)

    def _null(self, tree: exp.Expression) -> Node:
        return literal(None, position_of(tree))

    def _boolean(self, tree: exp.Expression) -> Node:
        node = literal(int(bool(tree.this)), position_of(tree))
        return dataclasses.replace(node, kind="bool")

    def _literal(self, tree: exp.Expression) -> Node:
        at = position_of(tree)
        if tree.args.get("is_string"):
            return literal(str(tree.this), at)
        written = str(tree.this)
        if written.isdigit():
            return literal(int(written), at)
        value = float(written)
        if math.isinf(value):
            self._refuse("this number is too large", tree)
        return literal(value, at)

    def _adjacent(self, tree: exp.Expression) -> Node:
        self._only(tree, "expressions", "safe", "coalesce")
        pieces = [self.check(one) for one in tree.expressions]
        if not all(one.op == "literal" and one.kind == "text" for one in pieces):
            self._refuse("this is not part of Lasair SQL", tree)
        return literal("".join(str(one.value) for one in pieces), pieces[0].position)

    def _column(self, tree: exp.Expression) -> Node:
        self._only(tree, "this", "table")
        identifier = tree.this
        if not isinstance(identifier, exp.Identifier):
            self._refuse("'*' is out of place here", tree)
        name, at = str(identifier.this), position_of(tree)
        qualifier = tree.args.get("table")
        if qualifier is not None:
            return self.scope.resolve(str(qualifier.this), name, self.part, at)
        alias = self.aliases.get(name.lower())
        if alias is not None and not (self.columns_first and self._is_column(name)):
            if self.inside_aggregate and alias.has_aggregate:
                self._refuse(f"{name} is computed over rows already", tree)
            return dataclasses.replace(alias, position=at)
        return self.scope.resolve(None, name, self.part, at)

    def _is_column(self, name: str) -> bool:
        wanted = name.lower()
        return any(wanted == column.lower() for one in self.scope.sources for column in one.table.column_names)

    # arithmetic

    def _neg(self, tree: exp.Expression) -> Node:
        self._only(tree, "this")
        x = self.coerce.number(self._operand(tree.this), "after -")
        at = position_of(tree)
        if x.op == "literal" and isinstance(x.value, int | float):
            return literal(-x.value, at)
        if x.is_integer and x.lo > INT64_MIN:
            return integer("neg", (x,), -x.hi, -x.lo, at)
        x = to_double(x)
        return double("neg", (x,), x.most, x.sane, at)

    def _arithmetic(self, op: str, left: Node, right: Node) -> Node:
        a, b = self.coerce.number(left, "in a calculation"), self.coerce.number(right, "in a calculation")
        at = left.position
        if a.is_integer and b.is_integer:
            ends = [_INTEGER[op](x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
            low, high = min(ends), max(ends)
            if low > INT64_MIN and high <= INT64_MAX:
                return integer(op, (a, b), low, high, at)
            # what could leave 64 bits is computed in floating point: never an error, never a wrong sign
            a, b = to_double(a), to_double(b)
        if op == "mul":
            most, sane = a.most * b.most, a.sane * b.sane
        else:
            most, sane = a.most + b.most, a.sane + b.sane
        return double(op, (a, b), _known(most), _known(sane), at)

    def _div(self, tree: exp.Expression) -> Node:
        self._only(tree, "this", "expression", "typed", "safe")
        left, right = self._operand(tree.this), self._operand(tree.expression)
        return self._quotient("div", left, right)

    def _quotient(self, op: str, left: Node, right: Node) -> Node:
        a, b = self.coerce.number(left, "in a division"), self.coerce.number(right, "in a division")
        at = left.position
        a = to_double(a)
        if b.is_integer and b.op != "literal":
            # at least 1 in magnitude, or 0 and the quotient NULL
            return double(op, (a, b), a.most, a.sane, at)
        b = to_double(b)
        if b.op == "literal" and isinstance(b.value, float) and b.value:
            return double(op, (a, b), a.most / abs(b.value), a.sane / abs(b.value), at)
        return double(op, (a, b), INF, a.sane * DIVISOR_BOUND, at)

    def _int_div(self, tree: exp.Expression) -> Node:
        left, right = self._operands(tree)
        a, b = self.coerce.number(left, "before DIV"), self.coerce.number(right, "after DIV")
        if a.is_integer and b.is_integer and not (a.lo == INT64_MIN and b.lo <= -1 <= b.hi):
            size = max(abs(a.lo), abs(a.hi))
            return integer("int_div", (a, b), max(-size, INT64_MIN), min(size, INT64_MAX), left.position)
        quotient = self._quotient("div", a, b)
        return double("trunc", (quotient,), quotient.most, quotient.sane, left.position)

    def _mod(self, tree: exp.Expression) -> Node:
        left, right = self._operands(tree)
        return catalogue.modulo(self.coerce, left, right, left.position)

    # conditions

    def _and(self, tree: exp.Expression) -> Node:
        return self._chain(tree, exp.And, "and")

    def _or(self, tree: exp.Expression) -> Node:
        return self._chain(tree, exp.Or, "or")

    def _chain(self, tree: exp.Expression, cls: type[exp.Expression], op: str) -> Node:
        # hundreds of terms hang down the left side; a loop, so that their number costs no depth
        terms: list[exp.Expression] = []
        rest = tree
        while type(rest) is cls:
            self._only(rest, "this", "expression")
            terms.append(rest.expression)
            rest = rest.this
        terms.append(rest)
        nodes = tuple(self.condition(one, f"beside {op.upper()}") for one in reversed(terms))
        return condition(op, nodes, nodes[0].position)

    def _xor(self, tree: exp.Expression) -> Node:
        self._only(tree, "this", "expression")
        left = self.condition(tree.this, "beside XOR")
        right = self.condition(tree.expression, "beside XOR")
        return condition("xor", (left, right), left.position)

    def _not(self, tree: exp.Expression) -> Node:
        self._only(tree, "this")
        return condition("not", (self.condition(tree.this, "after NOT"),), position_of(tree))

    def _is(self, tree: exp.Expression) -> Node:
        self._only(tree, "this", "expression")
        node = self._operand(tree.this)
        other = tree.expression
        if isinstance(other, exp.Null):
            return condition("is_null", (node,), node.position)
        if isinstance(other, exp.Boolean):
            truth = self.coerce.truth(node, "before IS")
            return condition("is_true" if other.this else "is_false", (truth,), node.position)
        raise self.coerce.error(
            "IS is followed by NULL, TRUE, FALSE or UNKNOWN: write = to compare", position_of(other)
        )

    def _between(self, tree: exp.Expression) -> Node:
        self._only(tree, "this", "low", "high")
        nodes = [self._operand(tree.args[key]) for key in ("this", "low", "high")]
        alike = self.coerce.alike(nodes, compared=True)
        op = "between_text" if any(one.kind == "text" for one in alike) else "between"
        return condition(op, tuple(alike), nodes[0].position)

    def _in(self, tree: exp.Expression) -> Node:
        if not tree.expressions:
            self._refuse("IN is followed by a list in brackets, such as IN (1, 2)", tree)
        self._only(tree, "this", "expressions")
        if len(tree.expressions) > MAX_IN:
            self._refuse(f"a list of {len(tree.expressions)} values; {MAX_IN} are the most", tree)
        nodes = [self._operand(one) for one in (tree.this, *tree.expressions)]
        alike = self.coerce.alike(nodes, compared=True)
        op = "in_text" if any(one.kind == "text" for one in alike) else "in"
        return condition(op, tuple(alike), nodes[0].position)

    def _escape(self, tree: exp.Expression) -> Node:
        self._only(tree, "this", "expression")
        mark = self.check(tree.expression)
        character = str(mark.value)
        if mark.op != "literal" or mark.kind != "text" or len(character) != 1 or character in "%_":
            self._refuse("ESCAPE is followed by one character in quotes, not % or _", tree.expression)
        if not isinstance(tree.this, exp.Like):
            self._refuse("ESCAPE belongs to LIKE", tree)
        return self._like(tree.this, character)

    def _like(self, tree: exp.Expression, escape: str = "") -> Node:
        self._only(tree, "this", "expression", "negate")
        node = self._likeness(tree, escape)
        # NOT LIKE is one node to some versions of sqlglot, NOT around LIKE to others
        return condition("not", (node,), node.position) if tree.args.get("negate") else node

    def _likeness(self, tree: exp.Expression, escape: str) -> Node:
        node = self.coerce.text(self._operand(tree.this), "before LIKE", whole_numbers=True)
        pattern = self._operand(tree.expression)
        if pattern.kind == "null":
            return condition("compare", (node, pattern), node.position, "=")
        if pattern.op != "literal" or pattern.kind != "text":
            self._refuse("LIKE is followed by a pattern in quotes, such as '%SN%'", tree.expression)
        return condition("like", (node,), node.position, self._pattern(str(pattern.value), escape, pattern))

    def _pattern(self, pattern: str, escape: str, node: Node) -> str:
        """The pattern with LIKE_ESCAPE as its escape, whatever the user chose."""
        if len(pattern) > MAX_LIKE:
            self.coerce.refuse(f"a pattern of {len(pattern)} characters; {MAX_LIKE} are the most", node)
        found, at, wildcards = [], 0, 0
        while at < len(pattern):
            character = pattern[at]
            if escape and character == escape:
                at += 1
                if at == len(pattern):
                    self.coerce.refuse("the pattern ends in its escape character", node)
                character = pattern[at]
                found.append(LIKE_ESCAPE + character if character in ("%", "_", LIKE_ESCAPE) else character)
            elif character == "%":
                if not found or found[-1] != "%":
                    found.append(character)
                    wildcards += 1
            else:
                found.append(LIKE_ESCAPE * 2 if character == LIKE_ESCAPE else character)
            at += 1
        if wildcards > MAX_LIKE_WILDCARDS:
            self.coerce.refuse(f"a pattern with more than {MAX_LIKE_WILDCARDS} %", node)
        return "".join(found)

    def _case(self, tree: exp.Expression) -> Node:
        self._only(tree, "this", "ifs", "default")
        subject = self.check(tree.this) if tree.this is not None else None
        tests, values = [], []
        for one in tree.args["ifs"]:
            self._only(one, "this", "true")
            if subject is None:
                tests.append(self.condition(one.this, "after WHEN"))
            else:
                tests.append(self.coerce.compare("=", subject, self.check(one.this)))
            values.append(self.check(one.args["true"]))
        default = tree.args.get("default")
        values.append(self.check(default) if default is not None else literal(None))
        values = self.coerce.alike(values)
        nodes = [node for pair in zip(tests, values, strict=False) for node in pair]
        return merged("case", [*nodes, values[-1]], values, position_of(tree))

    # functions

    def _function(self, tree: exp.Expression) -> Node:
        self._only(tree, "this", "expressions")
        written = str(tree.this)
        if not written.startswith(FUNCTION_PREFIX):
            self._refuse("this is not part of Lasair SQL", tree)
        name = written[len(FUNCTION_PREFIX) :]
        function = FUNCTIONS.get(name.upper())
        if function is None:
            near = get_close_matches(name.upper(), list(FUNCTIONS), 1)
            hint = f"; did you mean {near[0]}?" if near else "; docs/lasair-sql.md lists the functions"
            self._refuse(f"no function {name!r} in Lasair SQL{hint}", tree)
        given = tree.expressions
        if not function.least <= len(given) <= function.most:
            wanted = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
            if function.most >= 100:
                wanted = f"at least {function.least}"
            plural = "argument" if wanted.endswith("1") else "arguments"
            self._refuse(f"{name.upper()} takes {wanted} {plural}, not {len(given)}", tree)
        at = position_of(tree)
        if not function.aggregate:
            return function.build(self.coerce, [self._argument(one) for one in given], at)
        if self.no_aggregates:
            self._refuse(f"{name.upper()} {self.no_aggregates}", tree)
        if self.inside_aggregate:
            self._refuse(f"{name.upper()} cannot stand inside another such function", tree)
        self.inside_aggregate = True
        try:
            return self._aggregate(name.upper(), function, given[0], at)
        finally:
            self.inside_aggregate = False

    def _argument(self, tree: exp.Expression) -> Node:
        if isinstance(tree, exp.Star | exp.Distinct):
            self._refuse("'*' and DISTINCT are for COUNT only", tree)
        return self.check(tree)

    def _aggregate(self, name: str, function: catalogue.Function, tree: exp.Expression, at: int) -> Node:
        if isinstance(tree, exp.Star) and name == "COUNT":
            self._only(tree)
            return function.build(self.coerce, [Node("star", "null")], at)
        if isinstance(tree, exp.Distinct) and name == "COUNT":
            self._only(tree, "expressions")
            if len(tree.expressions) != 1:
                self._refuse("COUNT(DISTINCT x) takes one expression", tree)
            return catalogue.count_distinct(self.coerce, self.check(tree.expressions[0]), at)
        return function.build(self.coerce, [self._argument(tree)], at)


_METHODS: dict[type[exp.Expression], str] = {
    exp.Paren: "_paren",
    exp.Null: "_null",
    exp.Boolean: "_boolean",
    exp.Literal: "_literal",
    exp.Concat: "_adjacent",
    exp.Column: "_column",
    exp.Neg: "_neg",
    exp.Div: "_div",
    exp.IntDiv: "_int_div",
    exp.Mod: "_mod",
    exp.And: "_and",
    exp.Or: "_or",
    exp.Xor: "_xor",
    exp.Not: "_not",
    exp.Is: "_is",
    exp.Between: "_between",
    exp.In: "_in",
    exp.Escape: "_escape",
    exp.Like: "_like",
    exp.Case: "_case",
    exp.Anonymous: "_function",
}
_INTEGER = {"add": int.__add__, "sub": int.__sub__, "mul": int.__mul__}

#: a quotient's divisor that is no closer to 0 than the inverse of this takes the fast path
DIVISOR_BOUND = 1e30


def _known(bound: float) -> float:
    return INF if math.isnan(bound) else bound


def position_of(tree: Any) -> int:
    """Where an expression starts in the user's text."""
    while isinstance(tree, exp.Expression):
        start = tree.meta.get("start")
        if start is not None:
            return int(start)
        if isinstance(tree, exp.Column) and tree.args.get("table") is not None:
            tree = tree.args["table"]
        elif tree.args.get("this") is not None:
            tree = tree.args["this"]
        elif tree.args.get("ifs"):
            tree = tree.args["ifs"][0]
        else:
            inner = tree.args.get("expressions") or [None]
            tree = inner[0]
    return 0


def regroup(node: Node, keys: list[Node], coerce: Coercion) -> Node:
    """The node for a query with groups: keys become keys, the rest must be computed over the rows of a group."""
    for key in keys:
        if key == node:
            kind = "text" if node.kind == "json" else node.kind
            return dataclasses.replace(node, op="group_key", kind=kind, args=(key,), value=None)
    if node.op in AGGREGATES:
        return node
    if isinstance(node.value, ColumnRef) and node.op == "column":
        coerce.refuse(
            f"{describe(node)} differs within a group: add it to GROUP BY, or take its MIN, MAX, AVG ...", node
        )
    if not node.args:
        return node
    return dataclasses.replace(node, args=tuple(regroup(one, keys, coerce) for one in node.args))
