"""What an annotation may hold, and what of it is refused by name."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.annotations.model import (
    CLASSDICT_BYTES,
    Annotation,
    check,
    classdict_json,
    from_request,
    survey_of,
)
from lasair.errors import BadDefinition

GOOD = Annotation(
    "ztf", "ZTF23aabplmy", "fastfinder", "kilonova", "0.1", "fast", {"p": 0.9}, "https://a.example/x?y=1#z"
)


def test_a_good_one_is_kept_as_it_is() -> None:
    assert check(GOOD) == GOOD
    assert classdict_json(check(GOOD)) == '{"p":0.9}'


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("survey", "gaia", "survey"),
        ("survey", None, "survey"),
        ("object_id", "ZTF23aabplm", "objectId"),
        ("object_id", "170587116732416143", "objectId"),
        ("object_id", 7, "objectId"),
        pytest.param("object_id", 10**5000, "objectId", id="object_id-huge"),
        ("topic", "", "topic"),
        ("topic", "a&b", "topic"),
        ("topic", "a,b", "topic"),
        ("topic", "a:b", "topic"),
        ("topic", "a\u200bb", "topic"),
        ("topic", "t" * 256, "topic"),
        ("topic", None, "topic"),
        ("classification", "", "classification"),
        ("classification", "  ", "classification"),
        ("classification", "c" * 81, "classification"),
        ("classification", "S\x00N", "classification"),
        ("classification", "S\nN", "classification"),
        ("classification", "S\u202eN", "classification"),
        ("classification", "S\ud800N", "classification"),
        ("classification", 3, "classification"),
        ("version", "v" * 17, "version"),
        ("explanation", "e" * 1025, "explanation"),
        ("explanation", "bell \x07", "explanation"),
        ("url", "javascript:alert(1)", "url"),
        ("url", "ftp://a.example/", "url"),
        ("url", "//a.example/", "url"),
        ("url", "https:///path", "url"),
        ("url", "https://lasair.org@elsewhere.example/", "url"),
        ("url", "https://a.example:port/", "url"),
        ("url", "https://[::1/", "url"),
        ("url", "https://a.example/a b", "url"),
        ("url", 'https://a.example/"onclick=', "url"),
        ("url", "https://a.example/<b>", "url"),
        ("url", "https://\u0430.example/", "url"),
        ("url", "https://a.example\\@b.example", "url"),
        ("url", "https://a.example/" + "x" * 1024, "url"),
        ("classdict", [], "classdict"),
        ("classdict", {1: 2}, "classdict"),
        ("classdict", {"a\x00": 2}, "classdict"),
        ("classdict", {"a": "\ud800"}, "classdict"),
        ("classdict", {"a": 2**63}, "classdict"),
        ("classdict", {"a": object()}, "classdict"),
        ("classdict", {"a": b"x"}, "classdict"),
        ("classdict", {"a": "x" * CLASSDICT_BYTES}, "classdict"),
        ("classdict", {"a": [0] * 100_000}, "classdict"),
    ],
)
def test_a_bad_field_is_refused_by_its_name(field: str, value: Any, named: str) -> None:
    with pytest.raises(BadDefinition, match=f"^{named}: "):
        check(GOOD._replace(**{field: value}))


def test_limits_are_inclusive() -> None:
    full = GOOD._replace(
        topic="t" * 255,
        classification="c" * 80,
        version="v" * 16,
        explanation="e" * 1024,
        classdict={"a": "x" * (CLASSDICT_BYTES - len('{"a":""}'))},
        url="https://a.example/" + "x" * (1024 - len("https://a.example/")),
    )
    assert check(full) == full


def test_size_counts_bytes_of_utf8() -> None:
    half = (CLASSDICT_BYTES - len('{"a":""}')) // 2
    check(GOOD._replace(classdict={"a": "é" * half}))
    with pytest.raises(BadDefinition, match="bytes"):
        check(GOOD._replace(classdict={"a": "é" * (half + 1)}))


def test_html_stays_text_and_lines_stay_lines() -> None:
    text = "<script>alert('x')</script>\n\tsecond line"
    kept = check(GOOD._replace(explanation=text, classification="<b>SN</b>", classdict={"<i>": text}))
    assert (kept.explanation, kept.classification, kept.classdict) == (text, "<b>SN</b>", {"<i>": text})


def test_values_that_are_no_numbers_become_null() -> None:
    kept = check(GOOD._replace(classdict={"a": math.nan, "b": [math.inf, {"c": -math.inf}], "d": 1.5}))
    assert kept.classdict == {"a": None, "b": [None, {"c": None}], "d": 1.5}
    request = {"objectId": "1", "topic": "t", "classification": "c", "classdict": '{"a": NaN, "b": 1e999}'}
    assert from_request(request).classdict == {"a": None, "b": None}


def test_a_classdict_within_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    with pytest.raises(BadDefinition, match="nested"):
        check(GOOD._replace(classdict=loop))


def test_the_checked_classdict_is_a_copy() -> None:
    given_dict: dict[str, Any] = {"a": [1]}
    kept = check(GOOD._replace(classdict=given_dict))
    given_dict["a"].append(2)
    assert kept.classdict == {"a": [1]}


@pytest.mark.parametrize(
    ("name", "survey"),
    [
        ("1", "lsst"),
        (str(2**63 - 1), "lsst"),
        (str(2**63), None),
        ("0", None),
        ("01", None),
        ("-1", None),
        ("١", None),
        ("ZTF18abcgqmz", "ztf"),
        ("ZTF18ABCGQMZ", None),
        ("ZTF18abcgqmz\n", None),
        ("", None),
    ],
)
def test_survey_of_a_name(name: str, survey: str | None) -> None:
    assert survey_of(name) == survey


def test_request_of_the_client() -> None:
    """The client library posts a form: every value is text, the classdict as JSON."""
    details = {"fruit": "apple", "p": 0.5}
    request = {
        "topic": "fastfinder",
        "objectId": "170587116732416143",
        "classification": "ok",
        "version": "0.1",
        "explanation": "",
        "classdict": json.dumps(details),
        "url": "",
    }
    expected = Annotation("lsst", "170587116732416143", "fastfinder", "ok", "0.1", "", details, "")
    assert from_request(request) == expected
    assert from_request(request | {"objectId": 170587116732416143, "classdict": details}) == expected


def test_request_with_the_least() -> None:
    made = from_request({"topic": "t", "objectId": "ZTF18abcgqmz", "classification": "c", "other": object()})
    assert made == Annotation("ztf", "ZTF18abcgqmz", "t", "c", "0.1", "", {}, "")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"topic": None}, "topic"),
        ({"objectId": None}, "objectId"),
        ({"objectId": 0}, "objectId"),
        ({"objectId": True}, "objectId"),
        pytest.param({"objectId": 10**5000}, "objectId", id="objectId-huge"),
        ({"objectId": 1.7e17}, "objectId"),
        ({"classification": None}, "classification"),
        ({"version": 1}, "version"),
        ({"classdict": "{"}, "classdict"),
        ({"classdict": "[]"}, "classdict"),
        ({"classdict": "[" * 10_000}, "classdict"),
        ({"classdict": '{"a": ' + "9" * 5000 + "}"}, "classdict"),
        ({"classdict": '{"a": "' + " " * 20_000 + '"}'}, "classdict"),
        ({"classdict": 7}, "classdict"),
    ],
)
def test_bad_requests(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BadDefinition, match=f"^{named}: "):
        from_request({"topic": "t", "objectId": "1", "classification": "c"} | change)


def test_a_request_that_is_no_object() -> None:
    with pytest.raises(BadDefinition, match="JSON object"):
        from_request([])  # type: ignore[arg-type]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["topic", "objectId", "classification", "version", "explanation", "classdict", "url"]), JSON
    )
)
def test_any_request_is_taken_or_refused(request_: dict[str, Any]) -> None:
    try:
        made = from_request(request_)
    except BadDefinition:
        return
    assert check(made) == made
    assert json.loads(classdict_json(made)) == made.classdict
    assert len(classdict_json(made).encode()) <= CLASSDICT_BYTES


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_any_classdict_comes_back_from_its_json(classdict: dict[str, Any]) -> None:
    try:
        made = from_request({"topic": "t", "objectId": 5, "classification": "c", "classdict": classdict})
    except BadDefinition:
        return
    assert json.loads(classdict_json(made)) == made.classdict
    assert check(made) == made


@given(st.text())
def test_any_text_as_classdict_or_url(text: str) -> None:
    for field in ("classdict", "url", "explanation", "classification"):
        request = {"topic": "t", "objectId": 5, "classification": "c", field: text}
        try:
            made = from_request(request)
        except BadDefinition as err:
            assert str(err).startswith(f"{field}: ")
            continue
        assert made == check(made)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "thousands of digits; write it as text"),
        ("[" * 16_000, "nested too deep"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_in_our_words(text: str, why: str) -> None:
    with pytest.raises(BadDefinition, match=f"^classdict: .*{why}"):
        from_request({"topic": "t", "objectId": 5, "classification": "c", "classdict": text})
