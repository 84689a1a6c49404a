"""Tables of hits from columns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lasair.definitions.content import Happened
from lasair.matching.hits import Places, area_hits, event_hits, nearest_of_list, watchlist_hits
from lasair.matching.live import Limits, LiveEvent, SkyIndex
from lasair.packets.batch import Columns
from lasair.schema.model import SURVEYS, Survey, table
from lasair.sky.areas import AreaIndex
from lasair.sky.cones import ConeIndex, ConeSegment
from lasair.sky.skymap import Circle

CONES = ConeIndex.of(
    [
        ConeSegment.build(1, [7, 8], [10.0, 10.0], [5.0, 5.001], [3.0, 10.0], ["2026abc", "2026abd"]),
        ConeSegment.build(4, [0], [359.9999], [89.0], [60.0], ["near the pole"]),
    ]
)


def places(ra: list[float], decl: list[float], seen: list[float] | None = None, survey: Survey = "lsst") -> Places:
    keys = (
        np.arange(len(ra)) + 100
        if survey == "lsst"
        else np.array([f"ZTF20aaaaaa{'abcdefgh'[i]}" for i in range(len(ra))])
    )
    return Places(survey, keys, np.array(ra), np.array(decl), np.array(seen or [60_000.0] * len(ra)))


def never(alerts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    raise AssertionError("no cone has limits")


def test_an_alert_hits_every_cone_that_holds_it() -> None:
    at = places([10.0, 0.0, 50.0, np.nan], [5.0, 89.0, 0.0, 0.0])
    hits = watchlist_hits(SkyIndex(cones=CONES), at, never)
    assert list(
        zip(*(hits[name].tolist() for name in ("_alert", "diaObjectId", "wl_id", "cone_id", "name")), strict=True)
    ) == [
        (0, 100, 1, 7, "2026abc"),
        (0, 100, 1, 8, "2026abd"),
        (1, 101, 4, 0, "near the pole"),
    ]
    assert hits["arcsec"] == pytest.approx([0.0, 3.6, 0.0062832], abs=1e-4)
    assert hits["triggered"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("survey", SURVEYS)
def test_tables_have_the_columns_of_the_schema(survey: Survey) -> None:
    at = places([10.0], [5.0], survey=survey)
    sky = SkyIndex(cones=CONES, areas=AreaIndex({2: [[0, 12 << 58]]}))
    event = LiveEvent(3, "S1", Happened(59_990.0, 60_011.0, Circle(10.0, 5.0, 1.0, 0.9)))
    for name, columns in (
        ("watchlist_hits", watchlist_hits(sky, at, never)),
        ("area_hits", area_hits(sky, at)),
        ("mma_area_hits", event_hits((event,), at, np.array([np.nan]), 90.0)),
        ("mma_area_hits", event_hits((), at, np.array([np.nan]), 90.0)),
    ):
        assert set(columns) == {"_alert", *table(name, survey).column_names}
        assert len({len(values) for values in columns.values()}) == 1


def test_limits_of_cones() -> None:
    limits = {
        4: Limits(np.array([0, 1, 2, 3]), np.array([18.0, np.nan, 18.0, np.nan]), np.array([np.nan, 0.5, 0.5, np.nan]))
    }
    cones = ConeIndex.of(
        [ConeSegment.build(4, [3, 2, 1, 0], [0.0] * 4, [0.0] * 4, 5.0, ["any", "both", "change", "bright"])]
    )
    at = places([0.0] * 5, [0.0] * 5)
    mag = np.array([17.0, 18.0, 19.0, np.nan, 19.0])
    change = np.array([0.1, 0.5, 0.4, np.nan, np.nan])

    def brightness(alerts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return mag[alerts], change[alerts]

    hits = watchlist_hits(SkyIndex(cones=cones, limits=limits), at, brightness)
    found = {
        (a, n): t
        for a, n, t in zip(hits["_alert"].tolist(), hits["name"].tolist(), hits["triggered"].tolist(), strict=True)
    }
    assert len(found) == 20
    assert [found[i, "any"] for i in range(5)] == [1, 1, 1, 1, 1]
    assert [found[i, "bright"] for i in range(5)] == [1, 0, 0, 0, 0]
    assert [found[i, "change"] for i in range(5)] == [0, 1, 0, 0, 0]
    assert [found[i, "both"] for i in range(5)] == [1, 1, 0, 0, 0]


def test_the_nearest_hit_of_one_list() -> None:
    hits: Columns = {
        "_alert": np.array([0, 0, 0, 2, 2]),
        "wl_id": np.array([1, 1, 2, 1, 1]),
        "cone_id": np.array([5, 4, 9, 8, 7]),
        "arcsec": np.array([2.0, 1.0, 0.1, 0.5, 0.5]),
    }
    # of two equally near cones the one with the smaller number
    assert nearest_of_list(hits, 1, 4).tolist() == [1, -1, 4, -1]


def test_events_hit_in_their_window_and_contour() -> None:
    def event(number: int, t0: float, ra: float) -> LiveEvent:
        return LiveEvent(number, f"E{number}", Happened(t0, t0 + 21.0, Circle(ra, 0.0, 2.0, 0.9)))

    at = places(
        [10.0, 10.0, 10.0, 11.9, 12.1, np.nan], [0.0] * 6, [59_999.9, 60_000.0, 60_021.0, 60_001.0, 60_001.0, 60_001.0]
    )
    hits = event_hits((event(2, 60_000.0, 10.0), event(1, 60_000.0, 11.0)), at, np.full(6, np.nan), 90.0)
    assert list(zip(hits["_alert"].tolist(), hits["event"].tolist(), strict=True)) == [
        (1, "E2"), (1, "E1"), (2, "E2"), (2, "E1"), (3, "E2"), (3, "E1"), (4, "E1"),
    ]  # fmt: skip
    assert (hits["contour"] <= 90.0).all()
    assert np.isnan(hits["distance"]).all()
    assert hits["mw_id"].tolist() == [2, 1, 2, 1, 2, 1, 1]
