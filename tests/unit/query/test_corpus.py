from __future__ import annotations

import sqlite3

import pytest

from lasair.errors import BadQuery
from lasair.query.limits import read_only, time_limit
from tests.unit.query import corpus
from tests.unit.query.corpus import Case, Wrong

#: mathematical libraries differ in the last digit
TOLERANCE = 1e-12


@pytest.fixture(scope="module")
def sqlite() -> dict[str, sqlite3.Connection]:
    return {mode: corpus.sqlite_database(alerts=mode == "filter") for mode in ("stored", "filter")}


@pytest.mark.parametrize("case", corpus.good_cases(), ids=str)
def test_clause_gives_its_rows(case: Case, sqlite: dict[str, sqlite3.Connection]) -> None:
    assert case.rows is not None, "run python -m tests.unit.query.corpus --update-test-data"
    compiled = case.compile()
    with read_only(sqlite[case.mode], compiled.physical), time_limit(sqlite[case.mode], 10.0):
        found = corpus.run_sqlite(case, sqlite[case.mode])
    assert corpus.same(found, [tuple(row) for row in case.rows], TOLERANCE), found
    if case.columns is not None:
        assert list(compiled.columns) == case.columns


@pytest.mark.parametrize("case", corpus.wrong_cases(), ids=str)
def test_clause_is_refused(case: Wrong) -> None:
    with pytest.raises(BadQuery) as caught:
        case.compile()
    assert case.reason in str(caught.value)
    assert (caught.value.part, caught.value.position) == (case.part, case.position)


def test_corpus_is_large() -> None:
    assert len(corpus.good_cases()) >= 500
    assert len(corpus.wrong_cases()) >= 400


def test_corpus_uses_every_function() -> None:
    from lasair.query.catalogue import FUNCTIONS

    text = " ".join(f"{case.select} {case.where} {case.order}" for case in corpus.good_cases()).upper()
    assert [name for name in FUNCTIONS if f"{name}(" not in text] == []
