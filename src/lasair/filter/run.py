"""Runs users' active filters on a batch. A filter that fails or is slow costs itself, never another."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.definitions.snapshot import ActiveFilter
from lasair.errors import BadQuery
from lasair.filter.database import BatchDatabase, Reader, Reads
from lasair.query.compile import CompiledQuery, compile_query
from lasair.query.limits import time_limit
from lasair.schema.model import Survey

#: What a statement that was compiled and checked can still die of.
_FAILURES = (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError)

#: Part of the time limit that every filter gets before the slow ones have their turn.
_FIRST_TRY = 0.05

#: Most batches that a filter which keeps failing slowly sits out.
_LONGEST_WAIT = 64


@dataclass
class Prepared:
    """A version of a filter, ready to run; `query` is None when it cannot be, and `error` says why."""

    filter: ActiveFilter
    query: CompiledQuery | None
    reads: Reads
    error: str | None = None
    #: the filter says in which order its matches come
    ordered: bool = False
    #: needs more than a first try; such filters run after the others
    slow: bool = False
    #: slow, but finished within the time limit
    proven: bool = False
    #: times in a row that it was slow and failed
    failures: int = 0
    #: batches that it sits out
    wait: int = 0


@dataclass
class FilterResult:
    """What one filter makes of one batch.

    Attributes
    ----------
    filter : the filter
    alerts : (k,) int64
        Indices, among the evaluated alerts, of those to deliver: each once, in the order of delivery.
    names : names of the columns
    rows : k rows of values
    over : int64
        Indices of the alerts that matched but exceed the row limit.
    error : why it failed, else None; a filter that failed matches nothing
    elapsed_s : wall time
    """

    filter: ActiveFilter
    alerts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    names: list[str] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    over: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    error: str | None = None
    elapsed_s: float = 0.0

    @property
    def over_limit(self) -> int:
        """How many alerts matched beyond the row limit."""
        return len(self.over)


class Preparer:
    """Compiles each version of a filter of one survey once."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._reader: Reader | None = None
        self._known: dict[int, Prepared] = {}

    def prepare(self, filters: Sequence[ActiveFilter]) -> list[Prepared]:
        """The filters, in their order; those of the other survey are left out.

        A filter that does not compile (its schema has changed since) is there with its error.
        """
        mine = [one for one in filters if one.survey == self._survey]
        known = {one.version_id: self._known.get(one.version_id) or self._compile(one) for one in mine}
        for one in mine:
            known[one.version_id].filter = one  # name and owner may change
        self._known = known  # what is no longer active is forgotten
        return list(known.values())

    def _compile(self, one: ActiveFilter) -> Prepared:
        try:
            query = compile_query(
                one.select, one.tables, one.where, survey=one.survey, mode="filter", order_by=one.order_by
            )
        except BadQuery as err:
            return Prepared(one, None, frozenset(), error=f"{err.part}: {err}")
        if self._reader is None:
            self._reader = Reader(self._survey)
        try:
            reads = self._reader.reads(query.sqlite.sql, query.sqlite.bind(0.0))
        except _FAILURES as err:
            return Prepared(one, None, frozenset(), error=_reason(err))
        # the statement holds no text of the user's, so this is the compiler's own clause
        return Prepared(one, query, reads, ordered="\nORDER BY " in query.sqlite.sql)


def run_filters(
    database: BatchDatabase,
    filters: Sequence[Prepared],
    *,
    now_mjd_tai: float,
    time_limit_s: float,
    row_limit: int,
) -> list[FilterResult]:
    """Run filters on what the database holds; one result a filter, in the order given.

    A filter whose joins give several rows of one alert matches that alert once: the first row counts. First is by the
    filter's ORDER BY, else by alert (and of one alert, as SQLite finds them).

    Messages leave when all filters have run, so slow ones are kept from holding up the rest. Every filter first gets a
    twentieth of `time_limit_s`. Those that need more run again after all others, up to `time_limit_s` each, but those
    that do not finish have `time_limit_s` in all. One that fails so sits out 2, 4, 8 … at most 64 batches, and its
    error says so.
    """
    results: dict[int, FilterResult] = {}
    slow = []
    for one in filters:
        if one.query is None:
            results[id(one)] = FilterResult(one.filter, error=one.error)
        elif one.slow:
            slow.append(one)
        else:
            result = _run(database, one, now_mjd_tai, time_limit_s * _FIRST_TRY, row_limit)
            if one.slow:
                slow.append(one)
            results[id(one)] = result
    patience_s = time_limit_s
    for one in sorted(slow, key=lambda p: (not p.proven, p.failures)):
        if not one.proven and (one.wait > 0 or patience_s <= 0):
            results[id(one)] = FilterResult(one.filter, error=_not_run(one))
            one.wait = max(one.wait - 1, 0)
            continue
        result = _run(database, one, now_mjd_tai, time_limit_s if one.proven else patience_s, row_limit)
        one.proven = result.error is None
        if result.error is None:
            one.failures = 0
            one.slow = result.elapsed_s > time_limit_s * _FIRST_TRY
        else:
            patience_s -= result.elapsed_s
            one.failures += 1
            one.wait = min(2**one.failures, _LONGEST_WAIT)
        results[id(one)] = result
    return [results[id(one)] for one in filters]


def _run(
    database: BatchDatabase, one: Prepared, now_mjd_tai: float, time_limit_s: float, row_limit: int
) -> FilterResult:
    assert one.query is not None
    statement = one.query.sqlite
    start = time.perf_counter()
    first: dict[int, tuple[Any, ...]] = {}
    try:
        with time_limit(database.sqlite, time_limit_s, "the filter"):
            cursor = database.user_statement(statement.sql, statement.bind(now_mjd_tai))
            for row in cursor:
                first.setdefault(row[0], row)
    except BadQuery as err:  # the time is up
        one.slow = True
        return FilterResult(one.filter, error=str(err), elapsed_s=time.perf_counter() - start)
    except _FAILURES as err:
        return FilterResult(one.filter, error=_reason(err), elapsed_s=time.perf_counter() - start)
    matched = list(first)
    if not one.ordered:
        matched.sort()
    kept, over = matched[:row_limit], matched[row_limit:]
    return FilterResult(
        one.filter,
        alerts=np.array(kept, np.int64),
        names=list(one.query.columns),
        rows=[first[alert][1:] for alert in kept],
        over=np.array(over, np.int64),
        elapsed_s=time.perf_counter() - start,
    )


def _not_run(one: Prepared) -> str:
    if one.failures:
        return f"not run on this batch: it took too long (tries in a row: {one.failures}); narrow it"
    return "not run on this batch: other filters took too long, and this one is slow too"


def _reason(err: BaseException) -> str:
    return "out of memory" if isinstance(err, MemoryError) else f"the database says: {err}"
