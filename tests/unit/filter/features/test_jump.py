from __future__ import annotations

import math

import numpy as np
import pytest

from lasair.filter.features.detections import detections
from lasair.filter.features.jump import jump
from tests.unit.filter.features.curves import Point, is_missing, one

#: mean 100, standard deviation sqrt(10/4), 20 to 60 days before day 80
SAMPLE = [(20.0, 98.0), (30.0, 99.0), (40.0, 100.0), (50.0, 101.0), (60.0, 102.0)]


def sample(band: str, flux_err: float | None = 0.1) -> list[Point]:
    return [(mjd, band, flux, flux_err) for mjd, flux in SAMPLE]


def jumps(points: list[Point]) -> tuple[float, float]:
    found = jump(detections(one(points)))
    return float(found["jump1"][0]), float(found["jump2"][0])


def test_the_newest_detection_is_tested() -> None:
    assert jumps([*sample("g"), (80.0, "g", 110.0)]) == (pytest.approx(10 / math.sqrt(2.5)), 0.0)


def test_fading_is_a_jump_too_and_the_largest_counts() -> None:
    points = [*sample("g"), (75.0, "g", 60.0), (80.0, "g", 110.0)]
    assert jumps(points)[0] == pytest.approx(40 / math.sqrt(2.5))


def test_the_second_largest_is_of_another_band() -> None:
    points = [*sample("g"), *sample("r"), (79.0, "g", 120.0), (79.5, "g", 130.0), (80.0, "r", 90.0)]
    assert jumps(points) == (pytest.approx(30 / math.sqrt(2.5)), pytest.approx(10 / math.sqrt(2.5)))


def test_the_spread_is_at_least_the_median_error() -> None:
    assert jumps([*sample("g", 20.0), (80.0, "g", 110.0)])[0] == pytest.approx(0.5)


def test_constant_flux() -> None:
    flat = [(float(day), "g", 100.0, 5.0) for day in range(20, 61, 10)]
    assert jumps([*flat, (80.0, "g", 100.0)]) == (0.0, 0.0)
    assert jumps([*flat, (80.0, "g", 110.0)]) == (2.0, 0.0)
    without_errors = [(float(day), "g", 100.0, None) for day in range(20, 61, 10)]
    assert jumps([*without_errors, (80.0, "g", 110.0)]) == (0.0, 0.0)


@pytest.mark.parametrize("band", ["w", "r"])
def test_no_band_to_test(band: str) -> None:
    assert jumps([*sample(band)[1:], (80.0, "g", 1e6)]) == (0.0, 0.0)
    assert jumps([*sample("w"), (80.0, "w", 1e6)]) == (0.0, 0.0)


def test_too_old_is_too_old() -> None:
    assert jumps([*sample("g"), (90.0, "g", 110.0)])[0] > 0
    assert jumps([*sample("g"), (90.5, "g", 110.0)]) == (0.0, 0.0)  # four are left of the sample


def test_no_detections() -> None:
    found = jump(detections(one([])))
    assert is_missing(np.concatenate([found["jump1"], found["jump2"]]))
