from __future__ import annotations

import pytest

from lasair.filter.features.counts import counts
from lasair.filter.features.detections import detections
from tests.unit.filter.features.curves import is_missing, one


def test_by_hand() -> None:
    found = counts(
        detections(
            one(
                [
                    (10.4, "g", 1.0, 1.0, 0.2),
                    (10.6, "g", 1.0, 1.0, 0.6),  # the night changes at .5
                    (11.4, "r", 2.0, 1.0, 0.9),
                    (12.0, "y", -3.0, 1.0, 0.5),
                    (13.0, "w", 0.0, 1.0, None),
                ]
            )
        )
    )
    assert found["nPosDiaSources"] == [3]
    assert found["nPosDiaSourcesNights"] == [2]
    assert found["nSourcesGood"] == [2]  # above 0.5, not at it
    assert [int(found[f"n{band}Sources"][0]) for band in "ugrizy"] == [0, 2, 1, 0, 0, 1]
    assert found["medianR"][0] == pytest.approx(0.55)
    assert is_missing(found["latestR"])


def test_nothing_known() -> None:
    found = counts(detections(one([])))
    assert is_missing(found["medianR"])
    assert is_missing(found["latestR"])
    assert found["nPosDiaSources"] == found["nPosDiaSourcesNights"] == found["nSourcesGood"] == [0]


def test_a_missing_reliability_leaves_the_others() -> None:
    found = counts(detections(one([(1.0, "g", 1.0, 1.0, None), (2.0, "g", 1.0, 1.0, 0.75)])))
    assert (found["medianR"], found["latestR"], found["nSourcesGood"]) == ([0.75], [0.75], [1])
