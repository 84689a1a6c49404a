"""The language of views: what it accepts, what missing values do, and where it says a text is wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.catalogues.predicate import (
    Values,
    cleaned,
    compile_expression,
    compile_predicate,
    expression_or_name,
)
from lasair.errors import BadDefinition

NAN = math.nan
COLUMNS: dict[str, Any] = {
    "z": np.array([1.0, NAN, 0.0005]),
    "kind": np.array(["G", "", "QSO"]),
    "D (Mpc)": np.array([1, 2, 3]),
    "flag": np.array([1.0, 0.0, NAN]),
    "big": np.array([2**60 + 1, 2, 3]),
    "said": np.array(["True", "False", ""]),
    "digits": np.array(["7", "", "x"]),
    "five": np.arange(15.0).reshape(3, 5),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("z > 0.001", [True, False, False]),
        ("not z > 0.001", [False, True, True]),
        ("z != 1", [False, False, True]),
        ("not known(z) or z > 0.001", [True, True, False]),
        ("0.0001 < z < 0.9", [False, False, True]),
        ("kind == 'G'", [True, False, False]),
        ("kind != 'G'", [False, False, True]),
        ("kind in ('G', 'QSO')", [True, False, True]),
        ("kind not in ('G', 'SN')", [False, False, True]),
        ("known(kind)", [True, False, True]),
        ("not contains(kind, 'S')", [True, True, False]),
        ("startswith(kind, 'Q') and contains(lower(kind), 'so')", [False, False, True]),
        ("count(kind, 'S') < 1", [True, False, False]),
        ("`D (Mpc)` * 2 >= 4", [False, True, True]),
        ("big == 1152921504606846977", [True, False, False]),
        ("big == 1152921504606846976", [False, False, False]),
        ("flag", [True, False, False]),
        ("not flag", [False, True, True]),
        ("said", [True, False, False]),
        ("not said", [False, True, True]),
        ("digits == 7", [True, False, False]),
        ("digits > 0 or z < 0.01", [True, False, True]),
        ("z == 'far'", [False, False, False]),
        ("z != 'far'", [True, False, True]),
        ("min(z, flag) < 0.5", [False, True, True]),
        ("max(z, flag) >= 1", [True, False, False]),
        ("coalesce(z, flag) == 0", [False, True, False]),
        ("coalesce(z, kind, 'none') == 'none'", [False, True, False]),
        ("hypot(3, 4 * flag) == 5", [True, False, False]),
        ("abs(-z) > 0.5", [True, False, False]),
        ("1 / (flag * 0) > 0", [False, False, False]),
        ("z + kind > 0", [False, False, False]),
        ("five[0] >= 5 and five[4] < 10", [False, True, False]),
        ("True", [True, True, True]),
        ("z > 0.5\n  or\n  flag == 0", [True, True, False]),
    ],
)
def test_conditions(text: str, expected: list[bool]) -> None:
    found = compile_predicate(text)(COLUMNS, 3)
    assert found.dtype == np.bool_
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("big + 1", [2**60 + 2, 3, 4]),
        ("big * 1099511627776 / 1099511627776 > 0", [True, True, True]),
        ("-`D (Mpc)`", [-1, -2, -3]),
        ("22.5 - 2.5 * log10(z * 100)", [17.5, NAN, 22.5 - 2.5 * math.log10(0.05)]),
        ("sqrt(0 - z)", [NAN, NAN, NAN]),
        ("concat('a', `D (Mpc)`, '-', kind)", ["a1-G", "", "a3-QSO"]),
        ("coalesce(flag, 9)", [1, 0, 9]),
        ("coalesce(missing_everywhere, big)", [2**60 + 1, 2, 3]),
        ("coalesce(missing_everywhere, kind, 5)", ["G", "5", "QSO"]),
        ("3", [3, 3, 3]),
        ("'x'", ["x", "x", "x"]),
    ],
)
def test_values(text: str, expected: list[Any]) -> None:
    found = compile_expression(text)(COLUMNS, 3, absent_ok=True)
    assert all(a == b or (a != a and b != b) for a, b in zip(found.tolist(), expected, strict=True)), found


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("z >", 4, "cannot be understood"),
        ("z > 1 and foo(z)", 11, "no function"),
        ("knwon(z)", 1, "did you mean 'known'"),
        ("__import__('os').system('true')", 1, "no function"),
        ("z.real > 1", 1, "backquotes"),
        ("é_ï > 1 and z ** 2", 13, "only + - * /"),
        ("z == None", 6, "known(x)"),
        ("kind == ''", 9, "missing"),
        ("(lambda: 1)()", 1, "no function"),
        ("[x for x in z]", 1, "ListComp"),
        ("z is 1", 1, "=="),
        ("min()", 1, "1 or more arguments"),
        ("hypot(z)", 1, "2 arguments"),
        ("startswith(kind, kind)", 18, "text in quotes"),
        ("kind in other", 9, "brackets"),
        ("five[z]", 1, "whole number"),
        ("~z", 1, "not"),
        ("z > 99999999999999999999999", 5, "too large"),
        ("a `b > 1", 3, "cannot be understood"),
    ],
)
def test_a_wrong_text_is_refused_with_its_place(text: str, place: int, words: str) -> None:
    with pytest.raises(BadDefinition) as caught:
        compile_predicate(text)
    assert f"character {place}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "  ", "(" * 3000 + "z" + ")" * 3000, "z" * 20_000, "-" * 9000 + "z"])
def test_no_text_breaks_the_parser(text: str) -> None:
    with pytest.raises(BadDefinition):
        compile_predicate(text)


def test_columns_are_named() -> None:
    assert compile_predicate("a > 1 and known(`b c`) or max(a, d) > 2").columns == {"a", "b c", "d"}


def test_an_absent_column_is_an_error_with_the_nearest_name_or_missing_when_allowed() -> None:
    predicate = compile_predicate("rKronRad > 1")
    with pytest.raises(BadDefinition, match="no column 'rKronRad'; did you mean 'RKRONRAD'"):
        predicate({"RKRONRAD": np.ones(2)}, 2)
    assert predicate({}, 2, absent_ok=True).tolist() == [False, False]
    assert compile_predicate("not known(x[3])")({}, 2, absent_ok=True).tolist() == [True, True]


def test_an_element_that_no_row_has() -> None:
    for text in ("five[5] > 1", "z[0] > 1", "five > 1", "five"):
        with pytest.raises(BadDefinition):
            compile_predicate(text)(COLUMNS, 3)


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(BadDefinition, match="2 values, there are 3 rows"):
        compile_predicate("x > 1")({"x": np.ones(2)}, 3)


def test_derived_columns_stand_in_for_absent_ones_only() -> None:
    derive = {"dec_": compile_expression("dec"), "a": compile_expression("b"), "b": compile_expression("a")}
    dec = compile_expression("dec_")
    assert dec.of(Values({"dec": np.array([5.0])}, 1, derive=derive)).tolist() == [5.0]
    assert dec.of(Values({"dec": np.array([5.0]), "dec_": np.array([6.0])}, 1, derive=derive)).tolist() == [6.0]
    with pytest.raises(BadDefinition, match="no column 'dec'"):
        dec.of(Values({}, 1, derive=derive))
    with pytest.raises(BadDefinition, match="circle"):
        compile_expression("a").of(Values({}, 1, derive=derive))


def test_four_byte_floats_are_rounded_before_a_comparison() -> None:
    columns = {"z": np.array([0.001])}
    predicate = compile_predicate("z > 0.001")
    assert not predicate(columns, 1).any()
    assert predicate.of(Values(columns, 1, single=("z",))).all()


def test_what_is_no_expression_is_a_name() -> None:
    columns = {"R.A.": np.array([1.0]), "B-V": np.array([2.0]), "class": np.array(["Q"]), "B": np.array([9.0])}
    for name in ("R.A.", "B-V", "class"):
        assert expression_or_name(name)(columns, 1).tolist() == columns[name].tolist()
    assert expression_or_name("B - B")(columns, 1).tolist() == [0.0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.ma.MaskedArray([1, 2], [False, True]), [1.0, NAN]),
        (np.ma.MaskedArray(["a", "b"], [False, True]), ["a", ""]),
        (np.array([b" a ", b"b"]), ["a", "b"]),
        (np.array([b"\xe9t\xe9", b"b"]), ["été", "b"]),
        (np.array(["é ", None], object), ["é", ""]),
        (np.array([1, None], object), [1.0, NAN]),
        (np.array([2**60 + 1, 2], object), [2**60 + 1, 2]),
        (np.array([1, "x"], object), ["1", "x"]),
        (np.array([True, False]), [1, 0]),
        (np.array([1.5, 2.5], ">f4"), [1.5, 2.5]),
        (np.array([3, 4], ">i2"), [3, 4]),
        (np.array([2**64 - 1, 0], np.uint64), [2**64 - 1, 0]),
    ],
)
def test_columns_in_all_forms_come_out_alike(given: Any, expected: list[Any]) -> None:
    found = cleaned(given)
    assert found.dtype.kind in "fiuU" and found.dtype.isnative
    assert all(a == b or (a != a and b != b) for a, b in zip(found.tolist(), expected, strict=True))


def test_lists_in_rows_are_several_values() -> None:
    found = cleaned(np.array([[1, 2.5], None, [3]], object))
    assert np.array_equal(found, [[1, 2.5], [NAN, NAN], [3, NAN]], equal_nan=True)
    with pytest.raises(BadDefinition, match="no list of numbers"):
        cleaned(np.array([["a"], None], object))


_VALUES = st.lists(st.one_of(st.none(), st.floats(-5, 5), st.integers(-3, 3)), min_size=1, max_size=8)


@given(_VALUES, st.integers(-3, 3))
def test_comparisons_agree_with_plain_python(values: list[float | None], limit: int) -> None:
    columns = {"x": np.array(values, object)}
    for sign in ("<", "<=", ">", ">=", "==", "!="):
        found = compile_predicate(f"x {sign} {limit}")(columns, len(values)).tolist()
        assert found == [x is not None and eval(f"x {sign} limit", {"x": x, "limit": limit}) for x in values]


@given(_VALUES, st.permutations(range(8)))
def test_rows_are_judged_one_by_one(values: list[float | None], order: list[int]) -> None:
    predicate = compile_predicate("x > 1 or not known(x) or min(x, -1) < -2")
    n = len(values)
    taken = [i for i in order if i < n]
    whole = predicate({"x": np.array(values, object)}, n)
    assert predicate({"x": np.array([values[i] for i in taken], object)}, n).tolist() == whole[taken].tolist()


@given(st.text(alphabet="abz019.<>=!()[]'\"`+-*/%~, \n\\#:andortis", max_size=40))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        predicate = compile_predicate(text)
        predicate({}, 2, absent_ok=True)
    except BadDefinition:
        pass
