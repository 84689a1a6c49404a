from __future__ import annotations

import numpy as np
import pytest

from lasair.filter.features.absmag import absolute_magnitude
from lasair.filter.features.detections import detections
from lasair.sky.extinction import corrections
from tests.unit.filter.features.curves import Point, is_missing, one


def found(points: list[Point], ebv: float = 0.0, modulus: float = 35.0) -> tuple[float, float]:
    columns = absolute_magnitude(detections(one(points)), corrections(np.array([ebv])), np.array([modulus]))
    return float(columns["absMag"][0]), float(columns["absMagMJD"][0])


def test_brightest_detection() -> None:
    # 1e5 nJy is magnitude 18.9
    assert found([(1.0, "g", 1e4), (2.0, "g", 1e5), (3.0, "g", 1e3)]) == (pytest.approx(-16.1), 2.0)


def test_extinction_may_change_which_is_brightest() -> None:
    assert found([(1.0, "u", 1e4), (2.0, "y", 1.1e4)])[1] == 2.0
    brightest, mjd = found([(1.0, "u", 1e4), (2.0, "y", 1.1e4)], ebv=1.0)
    assert (brightest, mjd) == (pytest.approx(31.4 - 10 - 4.145 - 35), 1.0)


@pytest.mark.parametrize(
    ("points", "ebv", "modulus"),
    [
        ([(1.0, "g", -5.0), (2.0, "g", 0.0)], 0.0, 35.0),
        ([(1.0, "g", 5.0)], np.nan, 35.0),
        ([(1.0, "g", 5.0)], 0.0, np.nan),
        ([(1.0, "w", 5.0)], 0.0, 35.0),
        ([], 0.0, 35.0),
    ],
)
def test_none(points: list[Point], ebv: float, modulus: float) -> None:
    assert is_missing(np.array(found(points, ebv, modulus)))
