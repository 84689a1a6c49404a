from __future__ import annotations

import re
from pathlib import Path

from lasair.query import limits
from lasair.query.catalogue import FUNCTIONS
from lasair.query.compile import compile_query

PAGE = (Path(__file__).parents[3] / "docs" / "lasair-sql.md").read_text(encoding="utf-8")


def _rows() -> list[str]:
    """First cells of the tables of functions."""
    section = PAGE.split("## Functions")[1].split("## Order")[0]
    return re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)


def test_every_function_is_on_the_page_and_back() -> None:
    described = {name.upper() for row in _rows() for name in re.findall(r"`(\w+)\(", row)}
    assert described == set(FUNCTIONS)


def test_numbers_of_arguments_on_the_page_are_right() -> None:
    for row in _rows():
        for name, arguments in re.findall(r"`(\w+)\((.*?)\)`", row):
            function = FUNCTIONS[name.upper()]
            given = [one for one in arguments.split(",") if one.strip() not in ("", "...")]
            assert function.least <= len(given) <= function.most


def test_limits_on_the_page_are_right() -> None:
    text = PAGE.split("## Limits")[1]
    assert [int(number) for number in re.findall(r"\d+", text)] == [
        limits.MAX_TEXT,
        limits.MAX_NESTING,
        limits.MAX_TABLES,
        limits.MAX_COLUMNS,
        limits.MAX_IN,
        limits.MAX_LIKE,
        limits.MAX_LIKE_WILDCARDS,
    ]


def test_first_example_compiles() -> None:
    first = PAGE.split("## Tables")[0]
    pieces = dict(re.findall(r"^\| (select|tables|where) \| `(.*)` \|$", first, re.MULTILINE))
    query = compile_query(pieces["select"], pieces["tables"], pieces["where"], survey="lsst")
    assert query.columns == ("diaObjectId", "ra", "decl", "age")
    assert query.watchlists == (12,)


def test_example_that_combines_everything_compiles() -> None:
    rows = re.findall(r"^\| (select|tables|where) \| `(.*)` \|$", PAGE.split("| piece | combined |")[1], re.MULTILINE)
    pieces = dict(rows)
    assert set(pieces) == {"select", "tables", "where"}
    stored = compile_query(pieces["select"], pieces["tables"], pieces["where"], survey="lsst")
    assert (stored.watchlists, stored.areas, stored.tags) == ((12,), (5,), (2,))
    assert (stored.events, stored.annotators) == (("S230518h",), ("fink",))
    in_batch = compile_query(pieces["select"], pieces["tables"], pieces["where"], survey="lsst", mode="filter")
    assert in_batch.columns == stored.columns


def test_words_for_tables_on_the_page_compile() -> None:
    section = PAGE.split("## Tables")[1].split("Watchlists, areas and tags have")[0]
    rows = re.findall(r"^\| (`.*?) \| .* \| (.*) \|$", section, re.MULTILINE)
    assert len(rows) >= 14
    for words, columns in rows:
        for word in re.findall(r"`(.*?)`", words):
            for prefix in re.findall(r"`(\w+)\.`", columns):
                query = compile_query(f"{prefix}.*", word, survey="lsst")
                assert len(query.columns) > 1


def test_no_authorized_function_is_unknown_to_generators() -> None:
    """What the second wall lets pass is what compiled queries call, and nothing besides."""
    from tests.unit.query import corpus

    called = {
        name.lower() for case in corpus.good_cases() for name in re.findall(r"(\w+)\(", case.compile().sqlite.sql)
    } - {"cast", "in", "on", "and", "when", "then", "else", "or", "not", "case", "between", "like", "is", "having"}
    assert called | {"like", "->", "->>"} >= limits.SQLITE_FUNCTIONS
