from __future__ import annotations

import numpy as np

from lasair.definitions.snapshot import ActiveFilter
from lasair.filter.evaluate import enter_matches
from lasair.filter.run import FilterResult
from lasair.ledger.model import Counts, Outcome, Place
from lasair.packets.batch import AlertBatch, Message
from lasair.streams.forms import BatchTimes
from tests.support.batches import lsst_batch

NOW = 1_790_000_000.0
PLACE = Place("night", 20260921)


def batch(n: int) -> AlertBatch:
    found = lsst_batch(
        [
            {
                "diaObject": {"diaObjectId": 7 + i, "ra": 1.0, "decl": 2.0},
                "diaSourcesList": [
                    {
                        "diaSourceId": 70 + i,
                        "diaObjectId": 7 + i,
                        "midpointMjdTai": 61000.0,
                        "psfFlux": 5.0,
                        "psfFluxErr": 0.5,
                        "band": "g",
                    }
                ],
            }
            for i in range(n)
        ]
    )
    found.messages = [Message(b"", "night", i, NOW) for i in range(n)]
    return found


def result(number: int, alerts: list[int], over: list[int] | None = None) -> FilterResult:
    name = f"F{number}"
    active = ActiveFilter(number, 10 + number, 1, name, 1, "lsst", "", "", "", "", "lite", f"lasair_1_{name}", None)
    return FilterResult(
        active,
        alerts=np.array(alerts, np.int64),
        names=["x"],
        rows=[(1,)] * len(alerts),
        over=np.array(over or [], np.int64),
    )


def entered(n: int, results: list[FilterResult], outcome: Outcome) -> Outcome:
    enter_matches(batch(n), np.arange(n), results, [PLACE] * n, BatchTimes(NOW, NOW, NOW), outcome)
    return outcome


def test_what_filters_share_of_an_alert_is_held_once() -> None:
    """A hundred filters with the full form of large packets would else fill the memory."""
    outcome = entered(2, [result(1, [0, 1]), result(2, [1])], Outcome(now=NOW))
    (_, first, second) = (one for one, _ in outcome.deliveries)
    assert (first.alert_id, second.alert_id) == (71, 71)
    largest = max(first.parts, key=len)
    assert any(one is largest for one in second.parts)
    assert b"".join(first.parts) == first.payload and len(first.payload) == first.size


def test_no_message_is_made_for_a_closed_stream() -> None:
    outcome = Outcome(now=NOW, closed={1: 500}, quotas={1: 499})
    assert [one.filter_id for one, _ in entered(3, [result(1, [0], [2]), result(2, [0])], outcome).deliveries] == [2]
    assert outcome.at(PLACE) == Counts(matched=3, over_quota=1, over_limit=1)
    # the quota was raised
    raised = Outcome(now=NOW, closed={1: 500}, quotas={1: 500})
    assert len(entered(1, [result(1, [0])], raised).deliveries) == 1
