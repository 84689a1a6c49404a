from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lasair.definitions.examples import example_filters
from lasair.definitions.snapshot import ActiveFilter
from lasair.filter.database import BatchDatabase
from lasair.filter.run import FilterResult, Prepared, Preparer, run_filters
from lasair.packets.batch import Columns
from lasair.schema.model import SURVEYS, Survey, table

NOW = 61_108.5


def active(number: int = 1, **changes: Any) -> ActiveFilter:
    given: dict[str, Any] = {
        "filter_id": number,
        "version_id": 100 + number,
        "number": 1,
        "name": f"filter {number}",
        "owner_id": 1,
        "survey": "lsst",
        "select": "diaObjectId, g_psfFlux",
        "tables": "objects",
        "where": "g_psfFlux > 2",
        "order_by": "",
        "output": "plain",
        "topic": f"lasair_1_{number}",
        "byte_quota": None,
    }
    return ActiveFilter(**{**given, **changes})


FLUX = np.array([5.0, 1.0, np.nan, 3.0, 4.0])
HITS: Columns = {
    "_alert": np.array([3, 0, 0, 1]),
    "wl_id": np.array([7, 7, 7, 7]),
    "cone_id": np.array([1, 2, 3, 4]),
    "name": np.array(["c", "b", "a", "d"]),
    "arcsec": np.array([1.0, 2.0, 0.5, 1.0]),
}
TABLES: dict[str, Columns] = {
    "objects": {
        "diaObjectId": 2**58 + np.arange(5),
        "g_psfFlux": FLUX,
        "lastDiaSourceMjdTai": np.full(5, NOW - 1.5),
        "latestPairColourBands": np.array(["g-r", "", "r-i", "G-R", ""]),
    },
    "watchlist_hits": HITS,
}


def run(*filters: ActiveFilter, row_limit: int = 1000, time_limit_s: float = 5.0) -> list[FilterResult]:
    prepared = Preparer("lsst").prepare(filters)
    database = BatchDatabase("lsst")
    database.load(TABLES, [one.reads for one in prepared])
    return run_filters(database, prepared, now_mjd_tai=NOW, time_limit_s=time_limit_s, row_limit=row_limit)


def only(one: ActiveFilter, **limits: Any) -> FilterResult:
    (result,) = run(one, **limits)
    return result


def test_matches() -> None:
    result = only(active())
    assert result.error is None
    assert result.names == ["diaObjectId", "g_psfFlux"]
    assert result.alerts.tolist() == [0, 3, 4]
    assert result.rows == [(2**58, 5.0), (2**58 + 3, 3.0), (2**58 + 4, 4.0)]
    assert (result.over_limit, result.over.tolist()) == (0, [])


@pytest.mark.parametrize(
    ("changes"), [{"order_by": "g_psfFlux DESC"}, {"where": "g_psfFlux > 2 ORDER BY g_psfFlux DESC"}]
)
def test_order(changes: dict[str, str]) -> None:
    assert only(active(**changes)).alerts.tolist() == [0, 4, 3]


def test_row_limit_keeps_the_first_in_order() -> None:
    result = only(active(), row_limit=2)
    assert (result.alerts.tolist(), result.over.tolist(), result.over_limit) == ([0, 3], [4], 1)
    result = only(active(order_by="g_psfFlux"), row_limit=2)
    assert (result.alerts.tolist(), result.over.tolist()) == ([3, 4], [0])


def test_nothing() -> None:
    result = only(active(where="g_psfFlux > 1e9"))
    assert (result.alerts.dtype, len(result.alerts), result.rows, result.error) == (np.int64, 0, [], None)


def test_several_rows_of_one_alert_are_one_match() -> None:
    joined = {"tables": "objects, watchlist:7", "select": "diaObjectId, watchlist_hits.name AS cone", "where": ""}
    result = only(active(**joined))
    assert result.alerts.tolist() == [0, 1, 3]
    result = only(active(**joined, order_by="watchlist_hits.arcsec"))
    assert dict(zip(result.alerts.tolist(), [row[1] for row in result.rows], strict=True)) == {0: "a", 1: "d", 3: "c"}
    assert result.alerts.tolist()[0] == 0
    result = only(active(**joined, order_by="watchlist_hits.arcsec DESC"), row_limit=1)
    assert (result.rows, result.over_limit) == ([(2**58, "b")], 2)


def test_now() -> None:
    result = only(active(select="mjdnow() - lastDiaSourceMjdTai AS age, jdnow() AS jd"))
    assert result.rows[0] == (1.5, NOW - 37 / 86400 + 2400000.5)


def test_text() -> None:
    assert only(active(where="latestPairColourBands = 'g-R'")).alerts.tolist() == [0, 3]


def test_results_come_in_the_order_given() -> None:
    filters = [active(3), active(1, where="g_psfFlux > 4"), active(2, where="no_such > 1")]
    assert [one.filter.filter_id for one in run(*filters)] == [3, 1, 2]


def test_a_filter_that_no_longer_compiles_is_an_error_of_its_own() -> None:
    good, bad, other = run(active(1), active(2, where="g_psfFlx > 2"), active(3, where="g_psfFlux <"))
    assert good.error is None and len(good.alerts) == 3
    assert bad.error is not None and bad.error.startswith("where: no column") and "g_psfFlux" in bad.error
    assert len(bad.alerts) == 0
    assert other.error is not None


def test_preparer_compiles_a_version_once() -> None:
    preparer = Preparer("lsst")
    (first,) = preparer.prepare([active(1)])
    (again,) = preparer.prepare([active(1, name="renamed")])
    assert again is first
    assert again.filter.name == "renamed"
    assert preparer.prepare([]) == []
    (anew,) = preparer.prepare([active(1)])
    assert anew is not first


def test_only_this_survey() -> None:
    ztf = active(2, survey="ztf", select="objectId", where="")
    assert [one.filter.filter_id for one in Preparer("lsst").prepare([active(1), ztf])] == [1]
    assert [one.filter.filter_id for one in Preparer("ztf").prepare([active(1), ztf])] == [2]


# ---- slow filters

N = 400
#: joins of hits with hits: N^4 rows, and a condition that only the last join can decide
ENDLESS = {
    "tables": "objects, area:1&2&3&4",
    "select": "diaObjectId",
    "where": "ar0.diaObjectId + ar1.diaObjectId + ar2.diaObjectId + ar3.diaObjectId < 0",
}


def slow_database(prepared: list[Prepared]) -> BatchDatabase:
    database = BatchDatabase("lsst")
    ids = np.repeat(np.arange(1, 5), N)
    tables: dict[str, Columns] = {
        "objects": {"diaObjectId": np.arange(2), "g_psfFlux": np.array([5.0, 6.0])},
        "area_hits": {"_alert": np.zeros(4 * N, np.int64), "ar_id": ids, "diaObjectId": np.arange(4 * N)},
    }
    database.load(tables, [one.reads for one in prepared])
    return database


def test_a_slow_filter_fails_alone() -> None:
    prepared = Preparer("lsst").prepare([active(1, **ENDLESS), active(2), active(3, **ENDLESS), active(4)])
    database = slow_database(prepared)
    results = run_filters(database, prepared, now_mjd_tai=NOW, time_limit_s=0.4, row_limit=10)
    assert [one.error is None for one in results] == [False, True, False, True]
    assert results[0].error is not None and "took longer than 0.4 s" in results[0].error
    assert [len(one.alerts) for one in results] == [0, 2, 0, 2]
    # both had a first try; after it the first used up the time that slow filters share
    assert results[2].error == "not run on this batch: other filters took too long, and this one is slow too"


def test_a_slow_filter_sits_out_longer_and_longer() -> None:
    prepared = Preparer("lsst").prepare([active(1, **ENDLESS), active(2)])
    database = slow_database(prepared)
    ran = []
    for _ in range(12):
        slow, good = run_filters(database, prepared, now_mjd_tai=NOW, time_limit_s=0.05, row_limit=10)
        assert good.error is None and len(good.alerts) == 2
        assert slow.error is not None
        ran.append(not slow.error.startswith("not run on this batch"))
    assert [i for i, one in enumerate(ran) if one] == [0, 3, 8]


def test_a_slow_filter_that_finishes_is_heard() -> None:
    slow_but_good = {**ENDLESS, "tables": "objects, area:1&2", "where": "SIN(ar0.diaObjectId + ar1.diaObjectId) < 2"}
    (one,) = prepared = Preparer("lsst").prepare([active(1, **slow_but_good)])
    one.slow, one.failures = True, 3
    database = slow_database(prepared)
    (result,) = run_filters(database, prepared, now_mjd_tai=NOW, time_limit_s=100, row_limit=10)
    assert result.error is None
    assert result.alerts.tolist() == [0]
    assert (one.slow, one.proven, one.failures) == (False, True, 0), "fast enough for the first turn again"
    one.slow = True
    (result,) = run_filters(database, prepared, now_mjd_tai=NOW, time_limit_s=0.001, row_limit=10)
    assert result.error is not None
    assert (one.slow, one.proven, one.failures) == (True, False, 1)


@pytest.mark.parametrize("survey", SURVEYS)
def test_examples_run(survey: Survey) -> None:
    filters = [
        active(
            i,
            **{key: getattr(one, key) for key in ("name", "survey", "select", "tables", "where", "order_by", "output")},
        )
        for i, one in enumerate(example_filters(survey))
    ]
    rng = np.random.default_rng(1)
    columns: Columns = {}
    for column in table("objects", survey).columns:
        if column.is_text:
            columns[column.name] = np.array(["g-r"] * 50)
        elif column.type == "double":
            columns[column.name] = rng.normal(0, 30, 50)
        else:
            columns[column.name] = rng.integers(0, 30, 50)
    columns.pop("timestamp", None)
    prepared = Preparer(survey).prepare(filters)
    database = BatchDatabase(survey)
    database.load({"objects": columns}, [one.reads for one in prepared])
    results = run_filters(database, prepared, now_mjd_tai=NOW, time_limit_s=5, row_limit=1000)
    assert [one.error for one in results] == [None] * len(filters)
    assert sum(len(one.alerts) > 0 for one in results) > len(filters) / 4
