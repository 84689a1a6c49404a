"""Random expressions of Lasair SQL over the corpus's data set, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

_NUMBERS = ["g_psfFlux", "r_psfFlux", "i_psfFlux", "ra", "decl", "medianR", "absMag", "nDiaSources", "nSourcesGood"]
_INTEGERS = ["nDiaSources", "nSourcesGood", "ngSources", "diaObjectId", "htm16", "objects.nPosDiaSources"]
_TEXTS = ["tns_name", "latestPairColourBands", "objects.tns_name"]
_CONSTANTS = [
    "0",
    "1",
    "2",
    "-3",
    "0.5",
    "10",
    "1e3",
    "1e200",
    "1e-200",
    "2147483647",
    "9223372036854775807",
    "NULL",
    "TRUE",
]
_WORDS = ["'g-r'", "'G-R'", "'2026ABC'", "''", "'a'", '"r-i "', "'éclair_50%'", "'a[b'", "'日本語'", "NULL"]
_PATTERNS = ["'%'", "'%a%'", "'g_r'", "'2026%'", "'_clair%'", "'%!%' ESCAPE '!'", "''", "'%B'"]

_whole = st.sampled_from([*_INTEGERS, "0", "1", "2", "-3", "7"])


def _calls(names: list[str], *args: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(names), *args).map(lambda parts: f"{parts[0]}({', '.join(parts[1:])})")


def _infix(signs: list[str], left: st.SearchStrategy[str], right: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(left, st.sampled_from(signs), right).map(lambda parts: f"({' '.join(parts)})")


def _number(n: st.SearchStrategy[str], b: st.SearchStrategy[str], t: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        _infix(["+", "-", "*", "/", "%", "DIV"], n, n),
        n.map(lambda x: f"(- {x})"),
        _calls(["ABS", "SQRT", "EXP", "LN", "FLOOR", "CEIL", "ROUND", "SIGN", "SIN", "ATAN", "RADIANS", "DEGREES"], n),
        _calls(["POW", "MOD", "GREATEST", "LEAST", "COALESCE", "NULLIF", "ATAN2", "LOG"], n, n),
        _calls(["ROUND"], n, st.sampled_from(["-2", "0", "1", "3"])),
        _calls(["IF"], b, n, n),
        _calls(["FLUX2MAG", "MAG2FLUX"], n),
        _calls(["SEP_ARCSEC"], n, n, n, n),
        _calls(["LENGTH"], t),
        _calls(["INSTR"], t, t),
        b,
    )


def _condition(
    n: st.SearchStrategy[str], b: st.SearchStrategy[str], t: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    return st.one_of(
        _infix(["=", "<>", "<", "<=", ">", ">=", "<=>"], n, n),
        _infix(["=", "<>", "<", "<=", ">", ">=", "<=>"], t, t),
        _infix(["AND", "OR", "XOR"], b, b),
        b.map(lambda x: f"(NOT {x})"),
        n.map(lambda x: f"({x} IS NULL)"),
        t.map(lambda x: f"({x} IS NOT NULL)"),
        b.map(lambda x: f"({x} IS NOT TRUE)"),
        st.tuples(n, n, n).map(lambda x: f"({x[0]} BETWEEN {x[1]} AND {x[2]})"),
        st.tuples(t, t, t).map(lambda x: f"({x[0]} NOT BETWEEN {x[1]} AND {x[2]})"),
        st.tuples(n, n, n).map(lambda x: f"({x[0]} IN ({x[1]}, {x[2]}))"),
        st.tuples(t, t, t).map(lambda x: f"({x[0]} NOT IN ({x[1]}, {x[2]}))"),
        st.tuples(t, st.sampled_from(_PATTERNS)).map(lambda x: f"({x[0]} LIKE {x[1]})"),
    )


def _text(n: st.SearchStrategy[str], b: st.SearchStrategy[str], t: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        _calls(["CONCAT", "COALESCE", "NULLIF"], t, t),
        _calls(["LOWER", "UPPER", "TRIM"], t),
        _calls(["LEFT", "RIGHT", "SUBSTRING"], t, _whole),
        _calls(["SUBSTRING"], t, _whole, _whole),
        _calls(["REPLACE"], t, t, st.sampled_from(["'x'", "''", "'é'"])),
        _calls(["IF"], b, t, t),
    )


def _leaves() -> tuple[st.SearchStrategy[str], st.SearchStrategy[str], st.SearchStrategy[str]]:
    numbers = st.sampled_from([*_NUMBERS, *_INTEGERS, *_CONSTANTS])
    texts = st.sampled_from([*_TEXTS, *_WORDS])
    conditions = st.tuples(numbers, st.sampled_from(["<", "=", ">"]), numbers).map(lambda x: f"({' '.join(x)})")
    return numbers, conditions, texts


def _levels(depth: int) -> tuple[st.SearchStrategy[str], st.SearchStrategy[str], st.SearchStrategy[str]]:
    n, b, t = _leaves()
    for _ in range(depth):
        n, b, t = st.one_of(n, _number(n, b, t)), st.one_of(b, _condition(n, b, t)), st.one_of(t, _text(n, b, t))
    return n, b, t


NUMBERS, CONDITIONS, TEXTS = _levels(3)
EXPRESSIONS = st.one_of(NUMBERS, CONDITIONS, TEXTS)
