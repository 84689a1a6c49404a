from __future__ import annotations

from lasair.filter.features.detections import detections
from lasair.filter.features.latest import latest
from tests.unit.filter.features.curves import is_missing, one


def test_newest_flux_and_times_by_band() -> None:
    found = latest(detections(one([(3.0, "r", 30.0), (1.0, "g", 10.0), (2.0, "g", -20.0)], forced=[(9.0, "g", 1.0)])))
    assert found["latest_psfFlux"] == [30.0]
    assert found["g_psfFlux"] == [-20.0]
    assert found["g_latestMJD"] == [2.0]
    assert found["r_psfFlux"] == [30.0]
    assert (found["firstDiaSourceMjdTai"], found["lastDiaSourceMjdTai"]) == ([1.0], [3.0])
    assert is_missing(found["u_psfFlux"])
    assert is_missing(found["u_latestMJD"])


def test_an_unknown_band_counts_only_over_all_bands() -> None:
    found = latest(detections(one([(1.0, "g", 10.0), (2.0, "w", 99.0)])))
    assert found["latest_psfFlux"] == [99.0]
    assert found["lastDiaSourceMjdTai"] == [2.0]
    assert found["g_psfFlux"] == [10.0]


def test_without_a_flux_there_is_nothing() -> None:
    found = latest(detections(one([(1.0, "g", None), (2.0, "r", float("nan"))])))
    assert all(is_missing(values) for values in found.values())


def test_times_are_double() -> None:
    mjd = 61000.123456789
    assert latest(detections(one([(mjd, "g", 1.0)])))["g_latestMJD"] == [mjd]
