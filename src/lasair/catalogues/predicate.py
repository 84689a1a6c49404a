"""A small, safe language over the columns of a table: which rows belong to a view, and values made of columns.

    TYPE != 'PSF' and (SHAPE_R_IVAR > 10000 or DCHISQ_SER > 0) and SHAPE_R < 10
    not known(redshift) or redshift > 0.001
    2 * `Kron radius (r)`

Texts are parsed with Python's own parser and built from the few kinds of nodes listed here; nothing is evaluated as
Python. A name is a column; one that is no Python name goes in backquotes. A missing value is NaN, masked, or an empty
text. A comparison with a missing value is false, `!=` and `not in` too; arithmetic with one is missing; `not` is plain
negation, so `not x > 1` holds where x is missing. A column alone is a condition as well: it holds where a number is
known and not 0, or a text says true, t, yes, y or 1. Numbers in columns of text are read where a number is needed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.problems import BadRows
from lasair.catalogues.rows import as_bytes
from lasair.errors import BadDefinition

Array = NDArray[Any]
#: What a node gives: values of all rows, or one number or text for all.
Value = Array | float | str
_Node = Callable[["Values"], Value]

_LONGEST = 10_000
#: Compiled texts that are kept: those of a few catalogues.
_KEPT = 1000
#: Names in backquotes stand in the parsed text as letters from here on, one each.
_STAND_IN = 0x4E00
_YES = ("1", "t", "true", "y", "yes")
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
}


class Values:
    """The columns of one chunk as the language sees them, each cleaned once however often it is used."""

    def __init__(
        self,
        columns: Mapping[str, Array],
        n: int,
        *,
        absent_ok: bool = False,
        optional: Collection[str] = (),
        derive: Mapping[str, Expression] | None = None,
        single: Collection[str] = (),
    ) -> None:
        """Take `n` rows.

        Parameters
        ----------
        absent_ok : a column that is not there is missing in all rows, instead of an error
        optional : names of columns for which that holds in any case
        derive : expressions for columns that are not there
        single : columns of numbers that are rounded to 4-byte floats first
        """
        self.n = n
        self._columns = columns
        self._absent_ok = absent_ok
        self._optional = frozenset(optional)
        self._derive = derive or {}
        self._single = frozenset(single)
        self._clean: dict[str, Array] = {}
        self._open: list[str] = []

    def __contains__(self, name: str) -> bool:
        """Whether the table has such a column."""
        return name in self._columns

    def get(self, name: str) -> Array:
        """A column: (n,) or (n, k) float64, int64, uint64 or text (U).

        Raises
        ------
        BadDefinition
            There is no such column; the nearest name is said.
        """
        found = self._clean.get(name)
        if found is None:
            found = self._clean[name] = self._made(name)
        return found

    def _made(self, name: str) -> Array:
        if name in self._columns:
            found = cleaned(self._columns[name])
            if name in self._single and found.dtype.kind == "f":
                found = found.astype(np.float32).astype(np.float64)
            if found.shape[:1] != (self.n,):
                raise BadDefinition(f"column {name!r} has {len(found)} values, there are {self.n} rows")
            return found
        if name in self._derive:
            if name in self._open:
                raise BadDefinition(f"derived columns go in a circle: {' → '.join([*self._open, name])}")
            self._open.append(name)
            try:
                return self._derive[name].of(self)
            finally:
                self._open.pop()
        if self._absent_ok or name in self._optional:
            return np.full(self.n, np.nan)
        raise BadDefinition(f"there is no column {name!r}{nearest(name, [*self._columns, *self._derive])}")


class Expression:
    """A compiled expression; see `compile_expression`."""

    def __init__(self, text: str, columns: frozenset[str], node: _Node) -> None:
        self.text = text
        #: names of the columns it uses
        self.columns = columns
        self._node = node

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def of(self, values: Values) -> Array:
        """Values of all rows, (n,): float64, int64, uint64, bool or text (U)."""
        with np.errstate(all="ignore"):
            found = self._node(values)
        return found if isinstance(found, np.ndarray) else np.full(values.n, found)

    def __call__(self, columns: Mapping[str, Array], n: int, *, absent_ok: bool = False) -> Array:
        """Values of `n` rows of these columns; with `absent_ok` a column that is not there is missing."""
        return self.of(Values(columns, n, absent_ok=absent_ok))


class Predicate(Expression):
    """A compiled condition; see `compile_predicate`."""

    def of(self, values: Values) -> Array:
        """Whether it holds in each row, (n,) bool."""
        with np.errstate(all="ignore"):
            return _truth(self._node(values), values.n)


@lru_cache(maxsize=_KEPT)
def compile_expression(text: str) -> Expression:
    """An expression of names of columns, numbers, texts, + - * /, and functions.

    Of numbers: `abs(x)`, `sqrt(x)`, `log10(x)`, `hypot(x, y)`, `min(x, y, …)` and `max(x, y, …)` (which leave missing
    values out). Of texts: `lower(x)`, `count(x, 'A')`, `startswith(x, 'A')`, `contains(x, 'A')`,
    `concat(x, '-', y, …)`. Of both: `known(x)`, `coalesce(x, y, …)` (the first that is known). `x[0]` is one of several
    values a row.

    Raises
    ------
    BadDefinition
        It is not in the language; the message has the position (characters from 1).
    """
    return Expression(text, *_compiled(text))


@lru_cache(maxsize=_KEPT)
def compile_predicate(text: str) -> Predicate:
    """A condition: comparisons of expressions (also chained), `in (…)`, `and`, `or`, `not`.

    Raises
    ------
    BadDefinition
        It is not in the language; the message has the position (characters from 1).
    """
    return Predicate(text, *_compiled(text))


@lru_cache(maxsize=_KEPT)
def expression_or_name(text: str) -> Expression:
    """As `compile_expression`; a text that is not in the language (`B-V (mag)`, `class`) is the name of a column."""
    try:
        found = compile_expression(text)
    except BadDefinition:
        return Expression(text, frozenset({text}), lambda values: _one_a_row(values.get(text), text))
    # a name such as `B-V` is in the language by chance
    return Expression(text, found.columns, lambda values: values.get(text) if text in values else found._node(values))


def nearest(name: str, known: Collection[str]) -> str:
    """``; did you mean …?``, or the names there are, or nothing."""
    lowered = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), lowered, 1, 0.6)
    if close:
        return f"; did you mean {lowered[close[0]]!r}?"
    few = sorted(known)[:12]
    return f"; there are {', '.join(few)}{', …' if len(known) > len(few) else ''}" if few else ""


# --- values


def cleaned(values: Any) -> Array:
    """A column as it came, as float64, int64, uint64 or text without blanks at its ends (U); missing is NaN or ''."""
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    masked = mask is not None and bool(mask.any())
    values = np.asarray(values)
    if values.dtype.kind == "O":
        values = _of_objects(values, mask)
    kind = values.dtype.kind
    if kind in "SUT":
        found = _text(values)
        return np.where(np.asarray(mask), "", found) if masked else found
    if kind not in "biuf":
        raise BadDefinition(f"a column of {values.dtype} is neither numbers nor text")
    if masked:
        values, kind = np.where(np.asarray(mask), np.nan, values.astype(np.float64)), "f"
    if kind == "f":
        return np.asarray(values, np.float64)
    return values if values.dtype == np.uint64 else np.asarray(values, np.int64)


def _of_objects(values: Array, mask: NDArray[np.bool_] | None) -> Array:
    """Python values: numbers when all that are known are numbers, else text."""
    plain = values.ravel().tolist()
    if any(isinstance(x, (list, tuple, np.ndarray)) for x in plain):
        return _of_lists(plain)
    plain = [None if x != x else x for x in plain]
    if mask is not None:
        plain = [None if hidden else x for x, hidden in zip(plain, mask.ravel().tolist(), strict=True)]
    known = [x for x in plain if x is not None]
    if all(isinstance(x, (int, float, np.number)) for x in known):
        if len(known) == len(plain) and all(isinstance(x, (int, np.integer)) and -(2**63) <= x < 2**63 for x in known):
            return np.array(plain, np.int64).reshape(values.shape)
        return np.array([np.nan if x is None else x for x in plain], np.float64).reshape(values.shape)
    found = ["" if x is None else x.decode("utf-8", "replace") if isinstance(x, bytes) else as_text(x) for x in plain]
    return np.array(found, np.str_).reshape(values.shape)


def _of_lists(rows: list[Any]) -> Array:
    """Several numbers a row, (n, k) float64; shorter rows end with missing values."""
    plain = [[] if row is None else list(row) for row in rows]
    found = np.full((len(plain), max(map(len, plain))), np.nan)
    for i, row in enumerate(plain):
        try:
            found[i, : len(row)] = [np.nan if x is None else x for x in row]
        except (TypeError, ValueError):
            raise BadDefinition(f"a column has a row {str(row)[:60]}, which is no list of numbers") from None
    return found


def as_text(value: Any) -> str:
    """A value as text; whole numbers without a fraction, booleans as 0 and 1."""
    if isinstance(value, (float, np.floating)):
        return str(int(value)) if value.is_integer() else str(float(value))
    return str(int(value)) if isinstance(value, (bool, np.bool_)) else str(value)


def _text(values: Array) -> Array:
    if not values.size:
        return np.zeros(values.shape, "U1")
    flat = values.ravel() if values.dtype.kind in "US" else values.ravel().astype(np.str_)
    try:
        clean = as_bytes(flat)
    except BadRows:  # old tables are in Latin-1
        clean = as_bytes(np.char.decode(flat.astype(np.bytes_), "latin-1"))
    width = clean.dtype.itemsize
    letters = np.ascontiguousarray(clean).view(np.uint8).reshape(len(clean), width)
    if letters.max() < 128:
        return letters.astype(np.uint32).view(f"U{width}").reshape(values.shape)
    return np.asarray(np.char.decode(clean, "utf-8")).reshape(values.shape)


def _one_a_row(values: Array, name: str) -> Array:
    if values.ndim != 1:
        raise BadDefinition(f"column {name!r} has several values a row; choose one, as in {name}[0]")
    return values


def _is_text(value: Value) -> bool:
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind == "U")


def known(value: Value) -> Any:
    """Whether values are there: an array of bool, or one bool for all."""
    if isinstance(value, np.ndarray):
        kind = value.dtype.kind
        return value != "" if kind == "U" else ~np.isnan(value) if kind == "f" else np.ones(value.shape, np.bool_)
    return bool(value != "" and value == value)


def numbers(value: Any) -> Any:
    """A value as numbers; texts are read, and missing where they say none."""
    if isinstance(value, str):
        return _number(value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return _parsed(value)
    return value.astype(np.int64) if isinstance(value, np.ndarray) and value.dtype.kind == "b" else value


def _parsed(text: Array) -> Array:
    try:
        return np.where(text == "", "nan", text).astype(np.float64)
    except ValueError:  # some are no numbers
        return np.array([_number(one) for one in text.ravel().tolist()], np.float64).reshape(text.shape)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def texts(value: Any, n: int) -> Array:
    """A value as texts, (n,) U; whole numbers without a fraction, '' where missing."""
    if not isinstance(value, np.ndarray):
        return np.full(n, value if isinstance(value, str) else as_text(value) if known(value) else "")
    if value.dtype.kind == "U":
        return value
    if value.dtype.kind == "b":
        value = value.astype(np.int64)
    if value.dtype.kind in "iu":
        return np.asarray(value, np.str_)
    there = ~np.isnan(value)
    whole = there & (value == np.floor(value)) & (np.abs(value) < 2.0**63)
    found = np.full(value.shape, "", "U32")
    found[whole] = value[whole].astype(np.int64).astype(np.str_)
    rest = there & ~whole
    found[rest] = value[rest].astype(np.str_)
    return found


def _truth(value: Value, n: int) -> Array:
    if not isinstance(value, np.ndarray):
        return np.full(n, value.lower() in _YES if isinstance(value, str) else value == value and value != 0)
    if value.dtype.kind == "b":
        return value
    if value.dtype.kind == "U":
        return np.isin(np.char.lower(value), _YES)
    return np.asarray((value != 0) & known(value))


def _compare(compare: Callable[[Any, Any], Any], a: Value, b: Value, n: int) -> Array:
    if _is_text(a) != _is_text(b):
        for text, other in ((a, b), (b, a)):
            # a written text that is no number differs from every number
            if isinstance(text, str) and np.isnan(_number(text)):
                differs = known(other) if compare is operator.ne else False
                return np.broadcast_to(np.asarray(differs, np.bool_), (n,)).copy()
        a, b = numbers(a), numbers(b)
    found = compare(a, b)
    if compare is operator.ne or _is_text(a):
        found = found & known(a) & known(b)
    return np.broadcast_to(np.asarray(found, np.bool_), (n,)).copy()


def _calculate(do: Callable[[Any, Any], Any], a: Value, b: Value) -> Value:
    a, b = numbers(a), numbers(b)
    if isinstance(a, int) and isinstance(b, int) and do is not np.true_divide:
        whole: int = {np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul}[do](a, b)  # type: ignore[index]
        return whole if abs(whole) < 2**63 else float(whole)
    found = do(a, b)
    if not isinstance(found, np.ndarray):
        return float(found) if np.isfinite(found) else float("nan")
    if found.dtype.kind in "iu" and found.size:
        # whole numbers are exact as long as they fit
        rough = do(np.asarray(a, np.float64), np.asarray(b, np.float64))
        return np.asarray(rough) if np.abs(rough).max() >= 2.0**63 else found
    return np.where(np.isinf(found), np.nan, found) if np.isinf(found).any() else found


def _coalesce(parts: Sequence[Value], n: int) -> Value:
    # one that is missing everywhere has no say in what kind the values are
    found, *others = [part for part in parts if np.any(known(part))] or [parts[0]]
    for part in others:
        if np.all(known(found)):
            break
        if _is_text(found) or _is_text(part):
            found, part = texts(found, n), texts(part, n)
        found = np.where(np.broadcast_to(known(found), (n,)), found, part)
    return found


def _concat(parts: Sequence[Value], n: int) -> Value:
    pieces = [texts(part, n) for part in parts]
    missing = reduce(operator.or_, (piece == "" for piece in pieces))
    return np.where(missing, "", reduce(np.char.add, pieces))


def _count(parts: Sequence[Any], n: int) -> Value:
    found = texts(parts[0], n)
    return np.where(found == "", np.nan, np.char.count(found, parts[1]))


def _of_numbers(do: Callable[..., Any]) -> Callable[[Sequence[Value], int], Value]:
    def call(parts: Sequence[Value], n: int) -> Value:
        found = do(*(np.asarray(numbers(part), np.float64) for part in parts))
        return np.asarray(np.broadcast_to(np.where(np.isinf(found), np.nan, found), (n,)))

    return call


#: name → (fewest arguments, most, whether the second is a written text, what it does)
_FUNCTIONS: dict[str, tuple[int, int, bool, Callable[[Sequence[Any], int], Value]]] = {
    "known": (1, 1, False, lambda parts, n: np.broadcast_to(np.asarray(known(parts[0])), (n,))),
    "abs": (1, 1, False, _of_numbers(np.abs)),
    "sqrt": (1, 1, False, _of_numbers(np.sqrt)),
    "log10": (1, 1, False, _of_numbers(np.log10)),
    "hypot": (2, 2, False, _of_numbers(np.hypot)),
    "min": (1, 100, False, _of_numbers(lambda *parts: reduce(np.fmin, parts))),
    "max": (1, 100, False, _of_numbers(lambda *parts: reduce(np.fmax, parts))),
    "coalesce": (1, 100, False, _coalesce),
    "concat": (1, 100, False, _concat),
    "lower": (1, 1, False, lambda parts, n: np.char.lower(texts(parts[0], n))),
    "startswith": (2, 2, True, lambda parts, n: np.char.startswith(texts(parts[0], n), parts[1])),
    "contains": (2, 2, True, lambda parts, n: np.char.find(texts(parts[0], n), parts[1]) >= 0),
    "count": (2, 2, True, _count),
}


# --- compiler


class _Compiler:
    """Turns one text into nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: set[str] = set()
        self._quoted: dict[str, str] = {}
        self._plain = text

    def compile(self) -> _Node:
        if not self.text.strip():
            raise BadDefinition("an expression is empty")
        if len(self.text) > _LONGEST:
            raise BadDefinition(f"an expression has {len(self.text)} characters; {_LONGEST} are allowed")
        # a stand-in of the same length keeps positions true; brackets around make line breaks harmless
        self._plain = re.sub(r"`([^`]+)`|'[^'\n]*'|\"[^\"\n]*\"", self._stand_in, self.text)
        try:
            tree = ast.parse(f"({self._plain}\n)", mode="eval").body
        except SyntaxError as err:
            at = self._place(err.lineno or 1, (err.offset or 1) - 1)
            raise self._bad(at, f"cannot be understood ({err.msg})") from err
        except (ValueError, RecursionError, MemoryError):
            raise self._bad(0, "cannot be understood") from None
        try:
            return self._node(tree)
        except RecursionError:
            raise self._bad(0, "has too many brackets") from None

    def _stand_in(self, match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]  # a text in quotes, where a backquote is a letter
        name = chr(_STAND_IN + len(self._quoted)) * len(match[0])
        self._quoted[name] = match[1]
        return name

    def _place(self, line: int, column: int) -> int:
        """Place in the text of a line (from 1) and column (from 0) of what was parsed, which begins with a bracket."""
        lines = f"({self._plain}\n)".split("\n")[: line - 1]
        return min(max(sum(len(one) + 1 for one in lines) + column - 1, 0), len(self.text))

    def _bad(self, at: int | ast.AST, message: str) -> BadDefinition:
        if isinstance(at, ast.AST):
            line, column = getattr(at, "lineno", 1), getattr(at, "col_offset", 1)
            # the parser counts bytes
            text = f"({self._plain}\n)".split("\n")[line - 1].encode()[:column].decode(errors="ignore")
            at = self._place(line, len(text))
        shown = self.text if len(self.text) <= 200 else f"{self.text[:200]}…"
        return BadDefinition(f"{shown!r}, character {at + 1}: {message}")

    def _node(self, tree: ast.expr) -> _Node:
        if isinstance(tree, ast.Constant):
            return self._constant(tree)
        if isinstance(tree, ast.Name):
            name = self._name(tree)
            return lambda values: _one_a_row(values.get(name), name)
        if isinstance(tree, ast.Subscript):
            return self._element(tree)
        if isinstance(tree, ast.BoolOp):
            parts = [self._node(one) for one in tree.values]
            join = np.logical_and if isinstance(tree.op, ast.And) else np.logical_or
            return lambda values: reduce(join, [_truth(part(values), values.n) for part in parts])
        if isinstance(tree, ast.UnaryOp):
            return self._unary(tree)
        if isinstance(tree, ast.BinOp):
            do = _ARITHMETIC.get(type(tree.op))
            if do is None:
                raise self._bad(tree, "only + - * / are known here; conditions are joined with and, or, not")
            left, right = self._node(tree.left), self._node(tree.right)
            return lambda values: _calculate(do, left(values), right(values))
        if isinstance(tree, ast.Compare):
            return self._comparison(tree)
        if isinstance(tree, ast.Call):
            return self._call(tree)
        if isinstance(tree, ast.Attribute):
            raise self._bad(tree, "a dot cannot stand in a name; put such a name in backquotes")
        raise self._bad(tree, f"{type(tree).__name__} is not part of the language")

    def _name(self, tree: ast.Name) -> str:
        name = self._quoted.get(tree.id, tree.id)
        self.columns.add(name)
        return name

    def _constant(self, tree: ast.Constant) -> _Node:
        value = tree.value
        if isinstance(value, bool):
            return lambda values: np.full(values.n, value)
        if not isinstance(value, (int, float, str)):
            raise self._bad(tree, f"{value!r} is neither a number nor a text; known(x) asks whether x is there")
        if isinstance(value, int) and value >= 2**64:
            raise self._bad(tree, "this whole number is too large")
        return lambda values: value

    def _element(self, tree: ast.Subscript) -> _Node:
        index = tree.slice
        if not (isinstance(index, ast.Constant) and type(index.value) is int):
            raise self._bad(tree, "only a whole number can stand in [ ]")
        if not isinstance(tree.value, ast.Name):
            raise self._bad(tree, "only a column can stand before [ ]")
        which, name = index.value, self._name(tree.value)

        def element(values: Values) -> Value:
            found = values.get(name)
            if found.ndim == 2 and which < found.shape[1]:
                return np.asarray(found[:, which])
            if found.ndim == 1 and not known(found).any():
                return found  # all missing, so is each of its values
            raise BadDefinition(f"{self.text!r}: there is no value [{which}] in a row")

        return element

    def _unary(self, tree: ast.UnaryOp) -> _Node:
        part = self._node(tree.operand)
        if isinstance(tree.op, ast.Not):
            return lambda values: ~_truth(part(values), values.n)
        if isinstance(tree.op, ast.USub):
            return lambda values: _calculate(np.subtract, 0, part(values))
        if isinstance(tree.op, ast.UAdd):
            return part
        raise self._bad(tree, "write not instead of ~")

    def _comparison(self, tree: ast.Compare) -> _Node:
        operands = [tree.left, *tree.comparators]
        tests: list[Callable[[Values], Array]] = []
        for left, sign, right in zip(operands, tree.ops, operands[1:], strict=False):
            for one in (left, right):
                if isinstance(one, ast.Constant) and one.value == "":
                    raise self._bad(one, "an empty text is a missing one: write known(x) or not known(x)")
            if isinstance(sign, (ast.In, ast.NotIn)):
                tests.append(self._membership(left, right, inside=isinstance(sign, ast.In)))
            elif type(sign) in _COMPARISONS:
                tests.append(self._test(left, right, _COMPARISONS[type(sign)]))
            else:
                raise self._bad(tree, "write == or !=, or known(x)")
        return tests[0] if len(tests) == 1 else lambda values: reduce(np.logical_and, [test(values) for test in tests])

    def _test(self, left: ast.expr, right: ast.expr, compare: Callable[[Any, Any], Any]) -> Callable[[Values], Array]:
        a, b = self._node(left), self._node(right)
        return lambda values: _compare(compare, a(values), b(values), values.n)

    def _membership(self, left: ast.expr, right: ast.expr, *, inside: bool) -> Callable[[Values], Array]:
        elements = right.elts if isinstance(right, (ast.Tuple, ast.List, ast.Set)) else [right]
        if not elements or not all(isinstance(one, (ast.Constant, ast.UnaryOp)) for one in elements):
            raise self._bad(right, "in needs values in brackets, as in x in ('A', 'B')")
        a, members = self._node(left), [self._node(one) for one in elements]

        def test(values: Values) -> Array:
            value = a(values)
            found = reduce(np.logical_or, [_compare(operator.eq, value, one(values), values.n) for one in members])
            return found if inside else np.asarray(~found & known(value))

        return test

    def _call(self, tree: ast.Call) -> _Node:
        name = tree.func.id if isinstance(tree.func, ast.Name) else "this"
        if name not in _FUNCTIONS:
            raise self._bad(tree, f"{name!r} is no function{nearest(name, _FUNCTIONS)}")
        fewest, most, written, do = _FUNCTIONS[name]
        if tree.keywords or not fewest <= len(tree.args) <= most:
            many = str(fewest) if fewest == most else f"{fewest} or more"
            raise self._bad(tree, f"{name}() takes {many} argument{'' if many == '1' else 's'}")
        if written:
            second = tree.args[1]
            if not isinstance(second, ast.Constant) or not isinstance(second.value, str) or not second.value:
                raise self._bad(second, f"the second argument of {name}() must be a text in quotes")
        parts = [self._node(one) for one in tree.args]
        if written:
            text = str(tree.args[1].value)  # type: ignore[attr-defined]
            return lambda values: do([parts[0](values), text], values.n)
        return lambda values: do([part(values) for part in parts], values.n)


def _compiled(text: str) -> tuple[frozenset[str], _Node]:
    compiler = _Compiler(text)
    node = compiler.compile()
    return frozenset(compiler.columns), node
