from __future__ import annotations

import pytest

from lasair.query.compile import compile_query
from lasair.query.permission import names_used
from lasair.schema.model import SURVEYS, Survey


@pytest.mark.parametrize("survey", SURVEYS)
def test_what_a_query_names_in_the_order_of_kinds(survey: Survey) -> None:
    query = compile_query(
        "objects.htm16",
        "event:S230518h&s230518H, annotator:Fink&fast, tag:9, areas:5, watchlist:4&3&4, mma:GRB-1, crossmatch_tns",
        survey=survey,
    )
    assert names_used(query) == [
        ("watchlist", 4),
        ("watchlist", 3),
        ("area", 5),
        ("tag", 9),
        ("annotator", "Fink"),
        ("annotator", "fast"),
        ("event", "S230518h"),
        ("event", "GRB-1"),
    ]


@pytest.mark.parametrize("survey", SURVEYS)
@pytest.mark.parametrize("mode", ["stored", "filter"])
@pytest.mark.parametrize("tables", ["", "sherlock_classifications", "crossmatch_tns", "mma"])
def test_public_tables_name_nothing(survey: Survey, mode: str, tables: str) -> None:
    query = compile_query("objects.htm16", tables, survey=survey, mode="filter" if mode == "filter" else "stored")
    assert names_used(query) == []


def test_the_list_of_the_tns_counts_when_it_is_asked_for() -> None:
    query = compile_query("objects.htm16", "crossmatch_tns, watchlist:1", survey="ztf")
    assert names_used(query) == [("watchlist", 1)]
