from __future__ import annotations

import math
import re
import sqlite3

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lasair.errors import BadQuery
from lasair.query.compile import compile_query, infer_survey
from lasair.query.lex import lex
from lasair.query.limits import read_only
from lasair.query.permission import names_used
from tests.unit.query import corpus
from tests.unit.query.expressions import CONDITIONS, EXPRESSIONS

_WORDS = """
    SELECT FROM WHERE ra decl diaObjectId g_psfFlux tns_name objects . , ( ) * + - / % = < > <= >= <> <=> AND OR NOT
    IN LIKE BETWEEN IS NULL TRUE CASE WHEN THEN ELSE END ORDER BY GROUP HAVING ASC DESC AS 'a' "b" '' 1 2.5 1e3 0
    COUNT( POW( IF( SUM( JSON_EXTRACT( CONCAT( mjdnow() /* */ -- # ; @ ? : || && ! ` ' " \\ é \x00 DISTINCT ESCAPE
    DIV MOD UNKNOWN UNION INTERVAL sherlock_classifications watchlist:1 annotator:x mma mma:S1 event:
    tag:2 & : crossmatch_tns
"""
_PIECES = st.sampled_from(_WORDS.split())
_TEXT = st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=20).map(" ".join))


@pytest.fixture(scope="module")
def database() -> sqlite3.Connection:
    return corpus.sqlite_database()


@settings(max_examples=300, deadline=None)
@given(_TEXT, _TEXT, _TEXT, _TEXT)
@example("objects.*", "objects", "ra > 1e", "")
@example("ra AS", ",,,", ")", "DESC")
def test_any_text_is_compiled_or_refused(select: str, tables: str, where: str, order: str) -> None:
    """Nothing but BadQuery, with a position inside the text of its part."""
    for texts in ((select, tables, where, order), (select, "", "", ""), ("ra", "", where, ""), ("ra", "", "", order)):
        given_texts = dict(zip(("select", "tables", "where", "order by"), texts, strict=True))
        try:
            compile_query(texts[0], texts[1], texts[2], survey="lsst", order_by=texts[3])
        except BadQuery as err:
            assert err.part in given_texts
            assert err.position is None or 0 <= err.position <= len(given_texts[err.part])
            assert str(err)
        try:
            infer_survey(*texts)
        except BadQuery as err:
            assert str(err)


@settings(max_examples=300, deadline=None)
@given(_TEXT)
def test_words_keep_their_places(text: str) -> None:
    try:
        words = lex(text, "where")
    except BadQuery:
        return
    for one in words:
        written = text[one.start : one.end]
        assert written == one.text or one.kind in ("string", "quoted")
    gaps = [
        text[a:b] for a, b in zip([0] + [w.end for w in words], [w.start for w in words] + [len(text)], strict=True)
    ]
    assert all(not gap.strip() for gap in gaps)


@settings(max_examples=300, deadline=None)
@given(
    st.text(
        alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\\"), max_size=30
    )
)
def test_text_in_quotes_reaches_the_engine_as_it_is(database: sqlite3.Connection, value: str) -> None:
    for mark in "'\"":
        written = mark + value.replace(mark, mark * 2) + mark
        query = compile_query(written, "", "diaObjectId = 1", survey="lsst")
        assert database.execute(query.sqlite.sql, query.sqlite.bind(0.0)).fetchall() == [(value,)]
        assert not value.strip() or value in query.mariadb.parameters.values()


@settings(max_examples=200, deadline=None)
@given(
    st.from_regex(r"[A-Za-z]{12,20}", fullmatch=True),
    st.from_regex(r"[0-9]{6,9}\.[0-9]{3}", fullmatch=True),
    st.from_regex(r"[A-Za-z]{12,20}", fullmatch=True),
)
def test_no_text_of_the_user_is_in_a_statement(text: str, number: str, topic: str) -> None:
    query = compile_query(
        f"ra AS {text}, '{text}', {number} + ra AS `{text} {number}`",
        f"annotator:{topic}",
        f"tns_name LIKE '%{text}%' OR tns_name IN ('{text}', 'x') OR ra BETWEEN {number} AND 2 OR "
        f"JSON_EXTRACT({topic}.classdict, '$.{text}') = {number}",
        survey="lsst",
        order_by=text,
    )
    for statement in (query.sqlite, query.mariadb):
        assert not re.search(f"{text}|{re.escape(number)}|{topic}", statement.sql, re.IGNORECASE)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EXPRESSIONS, min_size=1, max_size=3), CONDITIONS)
def test_results_are_finite_and_of_the_promised_types(
    database: sqlite3.Connection, selected: list[str], where: str
) -> None:
    try:
        query = compile_query(", ".join(selected), "", where, survey="lsst")
    except BadQuery:
        return
    promised = {"int": int, "bool": int, "double": float, "text": str, "null": type(None)}
    with read_only(database, query.physical):
        for row in database.execute(query.sqlite.sql, query.sqlite.bind(61000.0)):
            for value, kind in zip(row, query.kinds, strict=True):
                assert value is None or type(value) is promised[kind]
                assert not isinstance(value, float) or math.isfinite(value)
                assert kind != "bool" or value in (None, 0, 1)


_EVENT_NAMES = st.from_regex(r"[A-Za-z0-9.+_-]{1,128}", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(_EVENT_NAMES, min_size=1, max_size=5), st.lists(st.integers(0, 2**31 - 1), max_size=4), st.booleans())
@example(["objects"], [], True)
@example(["select", "order", "mma", "mma0", "tag0", "wl0", "an0"][:5], [0, 0], False)
def test_every_name_an_event_can_have(names: list[str], tags: list[int], apart: bool) -> None:
    """It is bound, asked for once, and its columns can be written by number."""
    events = ", event:".join(names) if apart else " & ".join(names)
    tables = f"mma:{events}" + "".join(f", tag:{tag}" for tag in tags)
    query = compile_query("mma0.contour, mma0.event", tables, survey="lsst")
    kept = {name.lower() for name in names}
    assert [name.lower() for name in query.events] == list(dict.fromkeys(name.lower() for name in names))
    assert query.tags == tuple(dict.fromkeys(tags))
    assert names_used(query) == [("tag", tag) for tag in query.tags] + [("event", name) for name in query.events]
    values = {str(value).lower() for value in query.sqlite.parameters.values() if isinstance(value, str)}
    assert values == kept
    for statement in (query.sqlite, query.mariadb):
        assert not any(name.lower() in statement.sql.lower() for name in names if len(name) > 20)
    compile_query(f"mma{len(kept) - 1}.contour", tables, survey="ztf", mode="filter")
