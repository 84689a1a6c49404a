"""The functions of Lasair SQL: how many arguments, of which types, and what they become in the checked tree."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from lasair.query.coerce import Coercion, merged
from lasair.query.limits import MAX_TEXT_RESULT
from lasair.query.tree import INF, INT64_MIN, Node, condition, double, integer, literal, text, to_double

#: AB magnitude of 1 nJy
NJY_ZERO_POINT = 31.4
_LN10 = math.log(10.0)
_MAX_INT = 2**31 - 1
#: no text is longer
_FARTHEST = MAX_TEXT_RESULT
_JSON_STEP = re.compile(r"""\.([A-Za-z_][A-Za-z0-9_-]*)|\."([^"\\]+)"|\[\s*([0-9]{1,6})\s*\]""")

Builder = Callable[[Coercion, list[Node], int | None], Node]


@dataclass(frozen=True)
class Function:
    """A function users can call with `least` to `most` arguments."""

    least: int
    most: int
    build: Builder
    #: over many rows: only in queries on stored data
    aggregate: bool = False


def _bounded(op: str, bound: float) -> Builder:
    """A function of one number whose magnitude has a bound of its own."""

    def build(coerce: Coercion, args: list[Node], position: int | None) -> Node:
        x = coerce.number(args[0], f"in {op.upper()}")
        return double(op, (to_double(x),), bound, bound, position)

    return build


def _scaled(op: str, factor: float) -> Builder:
    def build(coerce: Coercion, args: list[Node], position: int | None) -> Node:
        x = to_double(coerce.number(args[0], f"in {op.upper()}"))
        return double(op, (x,), x.most * factor, x.sane * factor, position)

    return build


def _abs(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x = coerce.number(args[0], "in ABS")
    if x.is_integer and x.lo > INT64_MIN:
        low = 0 if x.lo <= 0 <= x.hi else min(abs(x.lo), abs(x.hi))
        return integer("abs", (x,), low, max(abs(x.lo), abs(x.hi)), position)
    x = to_double(x)
    return double("abs", (x,), x.most, x.sane, position)


def _sign(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    return integer("sign", (coerce.number(args[0], "in SIGN"),), -1, 1, position)


def _whole(op: str) -> Builder:
    def build(coerce: Coercion, args: list[Node], position: int | None) -> Node:
        x = coerce.number(args[0], f"in {op.upper()}")
        if x.is_integer or x.kind == "null":
            return x
        return double(op, (x,), x.most, x.sane, position)

    return build


def _round(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x = coerce.number(args[0], "in ROUND")
    places = 0
    if len(args) == 2:
        digits = args[1]
        if digits.op != "literal" or digits.kind != "int" or not -15 <= digits.lo <= 15:
            coerce.refuse("the digits of ROUND are a whole number from -15 to 15", digits)
        places = digits.lo
    if x.kind == "null" or (x.is_integer and places >= 0):
        return x
    x = to_double(x)
    return Node("round", "double", (x,), value=(places,), most=x.most, sane=x.sane, position=position)


def _sqrt(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x = to_double(coerce.number(args[0], "in SQRT"))
    return double("sqrt", (x,), min(math.sqrt(x.most), 1.35e154), min(math.sqrt(x.sane), 1.35e154), position)


def _power(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    return power(to_double(coerce.number(args[0], "in POW")), to_double(coerce.number(args[1], "in POW")), position)


def power(base: Node, exponent: Node, position: int | None) -> Node:
    """base ** exponent; bounded where the exponent is a value of at least 0."""

    def bound(most: float) -> float:
        if exponent.op != "literal" or not isinstance(exponent.value, float) or exponent.value < 0:
            return INF
        try:
            return math.pow(max(most, 1.0), exponent.value)
        except OverflowError:
            return INF

    return double("pow", (base, exponent), bound(base.most), bound(base.sane), position)


def _exp(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x = to_double(coerce.number(args[0], "in EXP"))

    def bound(most: float) -> float:
        return math.exp(most) if most < 709 else INF

    return double("exp", (x,), bound(x.most), bound(x.sane), position)


def _log(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    logs = [double("ln", (to_double(coerce.number(one, "in LOG")),), 746.0, 746.0, position) for one in args]
    if len(logs) == 1:
        return logs[0]
    return double("div", (logs[1], logs[0]), INF, 746e30, position)


def _modulo(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    return modulo(coerce, args[0], args[1], position)


def modulo(coerce: Coercion, left: Node, right: Node, position: int | None) -> Node:
    """The remainder with the sign of `left`; NULL when `right` is 0."""
    a, b = coerce.number(left, "in a remainder"), coerce.number(right, "in a remainder")
    if a.is_integer and b.is_integer:
        size = max(abs(a.lo), abs(a.hi))
        return integer("int_mod", (a, b), -size if a.lo < 0 else 0, size, position)
    a, b = to_double(a), to_double(b)
    return double("mod", (a, b), a.most, a.sane, position)


def _extreme(op: str) -> Builder:
    def build(coerce: Coercion, args: list[Node], position: int | None) -> Node:
        numbers = coerce.alike([coerce.number(one, f"in {op.upper()}") for one in args])
        return merged(op, numbers, numbers, position)

    return build


def _pi(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    return literal(math.pi, position)


def _atan(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    numbers = tuple(to_double(coerce.number(one, "in ATAN")) for one in args)
    return double("atan" if len(args) == 1 else "atan2", numbers, 3.2, 3.2, position)


def _coalesce(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    same = coerce.alike(args)
    return same[0] if len(same) == 1 else merged("coalesce", same, same, position)


def _nullif(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    equal = coerce.compare("=", args[0], args[1])
    value = coerce.text(args[0]) if args[0].kind == "json" else args[0]
    return merged("case", [equal, literal(None), value], [value], position)


def _if(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    test = coerce.truth(args[0], "as the first argument of IF")
    values = coerce.alike(args[1:])
    return merged("case", [test, *values], values, position)


def _concat(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    pieces = [coerce.text(one, "in CONCAT", whole_numbers=True) for one in args]
    return _grown(coerce, text("concat", tuple(pieces), sum(one.hi for one in pieces), position))


def _grown(coerce: Coercion, node: Node) -> Node:
    if node.hi > MAX_TEXT_RESULT:
        coerce.refuse(f"the text could grow beyond {MAX_TEXT_RESULT} characters", node)
    return node


def _of_text(op: str) -> Builder:
    def build(coerce: Coercion, args: list[Node], position: int | None) -> Node:
        x = coerce.text(args[0], f"in {op.upper()}", whole_numbers=True)
        return text(op, (x,), x.hi, position)

    return build


def _length(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x = coerce.text(args[0], "in LENGTH", whole_numbers=True)
    return integer("length", (x,), 0, _MAX_INT, position)


def _part(op: str) -> Builder:
    def build(coerce: Coercion, args: list[Node], position: int | None) -> Node:
        x = coerce.text(args[0], f"in {op.upper()}", whole_numbers=True)
        counts = []
        for one in args[1:]:
            count = coerce.integer(one, f"in {op.upper()}")
            if count.op == "literal" and abs(count.lo) > _FARTHEST:
                coerce.refuse("this position is beyond any text", one)
            if max(abs(count.lo), abs(count.hi)) > _FARTHEST:
                # SQLite keeps the last 32 bits of a larger one, and takes the rest from the length of all texts
                lowered = integer("least", (count, literal(_FARTHEST)), min(count.lo, _FARTHEST), _FARTHEST, position)
                count = integer("greatest", (lowered, literal(-_FARTHEST)), -_FARTHEST, _FARTHEST, position)
            counts.append(count)
        return text(op, (x, *counts), x.hi, position)

    return build


def _replace(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x, old, new = (coerce.text(one, "in REPLACE", whole_numbers=True) for one in args)
    shortest = max(len(str(old.value)), 1) if old.op == "literal" else 1
    growth = max(1.0, new.hi / shortest)
    return _grown(coerce, text("replace", (x, old, new), int(min(x.hi * growth, 1e12)), position))


def _instr(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x, sought = (coerce.text(one, "in INSTR", whole_numbers=True) for one in args)
    return integer("instr", (x, sought), 0, _MAX_INT, position)


def _json(op: str) -> Builder:
    def build(coerce: Coercion, args: list[Node], position: int | None) -> Node:
        document, path = args
        if document.kind not in ("json", "text", "null"):
            coerce.refuse(f"the first argument of {op.upper()} is a column with JSON in it", document)
        if document.kind == "json" and document.op != "column":
            coerce.refuse("write one longer path instead of one JSON function in another", document)
        if path.op != "literal" or not isinstance(path.value, str):
            coerce.refuse(f"the path of {op.upper()} is written in quotes, such as '$.name'", path)
        steps = _json_path(coerce, path)
        return Node(op, "json", (document,), value=steps, hi=65_535, position=position)

    return build


def _json_path(coerce: Coercion, path: Node) -> tuple[str | int, ...]:
    written = str(path.value).strip()
    steps: list[str | int] = []
    at = 1
    while written.startswith("$") and at < len(written):
        match = _JSON_STEP.match(written, at)
        if match is None:
            break
        bare, quoted, index = match.groups()
        steps.append(int(index) if index is not None else bare or quoted)
        at = match.end()
    if not written.startswith("$") or at < len(written):
        coerce.refuse(f"{written!r} is not a path: write '$.name', '$.\"a name\"', '$.list[0]', and no wildcards", path)
    return tuple(steps)


def _json_unquote(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    if args[0].kind not in ("json", "null"):
        coerce.refuse("JSON_UNQUOTE takes JSON_EXTRACT(...)", args[0])
    return coerce.text(args[0])


def _mjdnow(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    return Node("now", "double", value="mjd_tai", most=1e7, sane=1e7, position=position)


def _jdnow(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    return Node("now", "double", value="jd_utc", most=1e7, sane=1e7, position=position)


def _flux2mag(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    flux = to_double(coerce.number(args[0], "in FLUX2MAG"))
    log = double("ln", (flux,), 746.0, 746.0, position)
    dimming = double("mul", (literal(2.5 / _LN10), log), 1900.0, 1900.0, position)
    return double("sub", (literal(NJY_ZERO_POINT), dimming), 2000.0, 2000.0, position)


def _mag2flux(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    mag = to_double(coerce.number(args[0], "in MAG2FLUX"))
    above = double("sub", (literal(NJY_ZERO_POINT), mag), mag.most + 32, mag.sane + 32, position)
    return power(
        literal(10.0), double("div", (above, literal(2.5)), above.most / 2.5, above.sane / 2.5, position), position
    )


def _separation(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    angles = tuple(to_double(coerce.number(one, "in SEP_ARCSEC")) for one in args)
    return double("separation", angles, 648_001.0, 648_001.0, position)


def _count(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    one = args[0]
    if one.op == "star":
        return integer("count_rows", (), 0, 2**62, position)
    return integer("count", (one,), 0, 2**62, position)


def count_distinct(coerce: Coercion, one: Node, position: int | None) -> Node:
    """COUNT(DISTINCT x)."""
    value = coerce.text(one) if one.kind == "json" else one
    return integer("count_distinct", (value,), 0, 2**62, position)


def _aggregate_extreme(op: str) -> Builder:
    def build(coerce: Coercion, args: list[Node], position: int | None) -> Node:
        one = coerce.text(args[0]) if args[0].kind == "json" else args[0]
        if one.kind == "double":
            return double(op, (one,), one.most, one.most, position)
        return merged(op, [one], [one], position)

    return build


def _sum(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x = coerce.number(args[0], "in SUM")
    if x.is_integer and x.lo >= -(2**32) and x.hi <= 2**32:
        # 2^31 rows of at most 2^32 stay within 64 bits
        return integer("sum", (x,), -(2**63) + 1, 2**63 - 1, position)
    return double("sum", (to_double(x),), INF, INF, position)


def _avg(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x = to_double(coerce.number(args[0], "in AVG"))
    return double("avg", (x,), INF, INF, position)


def _std(coerce: Coercion, args: list[Node], position: int | None) -> Node:
    x = to_double(coerce.number(args[0], "in STD"))
    return double("std", (x,), INF, INF, position)


def is_null(node: Node, position: int | None) -> Node:
    """``node IS NULL``."""
    return condition("is_null", (node,), position)


_MANY = 100

#: by upper-case name; docs/lasair-sql.md describes each
FUNCTIONS: dict[str, Function] = {
    "ABS": Function(1, 1, _abs),
    "ACOS": Function(1, 1, _bounded("acos", 3.2)),
    "ASIN": Function(1, 1, _bounded("asin", 1.6)),
    "ATAN": Function(1, 2, _atan),
    "ATAN2": Function(2, 2, _atan),
    "AVG": Function(1, 1, _avg, aggregate=True),
    "CEIL": Function(1, 1, _whole("ceil")),
    "CEILING": Function(1, 1, _whole("ceil")),
    "COALESCE": Function(1, _MANY, _coalesce),
    "CONCAT": Function(1, _MANY, _concat),
    "COS": Function(1, 1, _bounded("cos", 1.0)),
    "COUNT": Function(1, 1, _count, aggregate=True),
    "DEGREES": Function(1, 1, _scaled("degrees", 57.3)),
    "EXP": Function(1, 1, _exp),
    "FLOOR": Function(1, 1, _whole("floor")),
    "FLUX2MAG": Function(1, 1, _flux2mag),
    "GREATEST": Function(2, _MANY, _extreme("greatest")),
    "IF": Function(3, 3, _if),
    "IFNULL": Function(2, 2, _coalesce),
    "INSTR": Function(2, 2, _instr),
    "JDNOW": Function(0, 0, _jdnow),
    "JSON_EXTRACT": Function(2, 2, _json("json_extract")),
    "JSON_UNQUOTE": Function(1, 1, _json_unquote),
    "JSON_VALUE": Function(2, 2, _json("json_value")),
    "LEAST": Function(2, _MANY, _extreme("least")),
    "LEFT": Function(2, 2, _part("left")),
    "LENGTH": Function(1, 1, _length),
    "LN": Function(1, 1, _log),
    "LOG": Function(1, 2, _log),
    "LOG10": Function(1, 1, _bounded("log10", 324.0)),
    "LOG2": Function(1, 1, _bounded("log2", 1075.0)),
    "LOWER": Function(1, 1, _of_text("lower")),
    "MAG2FLUX": Function(1, 1, _mag2flux),
    "MAX": Function(1, 1, _aggregate_extreme("max"), aggregate=True),
    "MIN": Function(1, 1, _aggregate_extreme("min"), aggregate=True),
    "MJDNOW": Function(0, 0, _mjdnow),
    "MOD": Function(2, 2, _modulo),
    "NULLIF": Function(2, 2, _nullif),
    "PI": Function(0, 0, _pi),
    "POW": Function(2, 2, _power),
    "POWER": Function(2, 2, _power),
    "RADIANS": Function(1, 1, _scaled("radians", 0.0175)),
    "REPLACE": Function(3, 3, _replace),
    "RIGHT": Function(2, 2, _part("right")),
    "ROUND": Function(1, 2, _round),
    "SEP_ARCSEC": Function(4, 4, _separation),
    "SIGN": Function(1, 1, _sign),
    "SIN": Function(1, 1, _bounded("sin", 1.0)),
    "SQRT": Function(1, 1, _sqrt),
    "STD": Function(1, 1, _std, aggregate=True),
    "SUBSTRING": Function(2, 3, _part("substring")),
    "SUM": Function(1, 1, _sum, aggregate=True),
    "TAN": Function(1, 1, _bounded("tan", 1e17)),
    "TRIM": Function(1, 1, _of_text("trim")),
    "UPPER": Function(1, 1, _of_text("upper")),
}
