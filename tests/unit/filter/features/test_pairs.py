from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.filter.features.blackbody import SECOND_RADIATION, WAVELENGTHS
from lasair.filter.features.detections import detections
from lasair.filter.features.pairs import COLDEST, HOTTEST, colour_temperature, pair_colours
from lasair.packets.batch import Columns
from lasair.sky.extinction import BANDS, corrections
from tests.unit.filter.features.curves import Point, is_missing, one

MINUTE = 1 / 1440
NAMES = ("MJD", "ColourMag", "ColourBands", "ColourTemp")


def planck(band: str, temperature: float) -> float:
    wavelength = WAVELENGTHS[BANDS.index(band)]
    return float(wavelength**-3 / math.expm1(SECOND_RADIATION / (wavelength * temperature)))


def pairs(points: list[Point], ebv: float = 0.0) -> Columns:
    return pair_colours(detections(one(points)), corrections(np.array([ebv])))


@pytest.mark.parametrize("order", ["gi", "ig"])
def test_colour_and_temperature_in_either_order(order: str) -> None:
    flux = {"g": 1000 * planck("g", 8.0), "i": 1000 * planck("i", 8.0)}
    found = pairs([(100 + k * 10 * MINUTE, band, flux[band]) for k, band in enumerate(order)])
    assert found["latestPairMJD"] == [100 + 10 * MINUTE]
    assert found["latestPairColourBands"] == ["g-i"]
    assert found["latestPairColourMag"][0] == pytest.approx(-2.5 * math.log10(flux["g"] / flux["i"]), rel=1e-5)
    assert found["latestPairColourTemp"][0] == pytest.approx(8.0, rel=1e-5)
    assert all(is_missing(found[f"penultimatePair{name}"]) for name in NAMES)


def test_extinction_makes_it_bluer() -> None:
    points: list[Point] = [(1.0, "g", 100.0), (1.01, "r", 100.0)]
    assert pairs(points)["latestPairColourMag"] == [0.0]
    assert pairs(points, ebv=0.5)["latestPairColourMag"][0] == pytest.approx(-0.5 * (3.237 - 2.273))


def test_the_two_newest_pairs() -> None:
    points = [(day + k * MINUTE, band, 100.0) for day in (1.0, 2.0, 3.0) for k, band in enumerate("gr")]
    found = pairs(points)
    assert (found["latestPairMJD"], found["penultimatePairMJD"]) == ([3.0 + MINUTE], [2.0 + MINUTE])


def test_what_is_no_pair() -> None:
    assert is_missing(pairs([(1.0, "g", 1.0), (1.0 + 41 * MINUTE, "r", 1.0)])["latestPairMJD"])
    assert is_missing(pairs([(1.0, "g", 1.0), (1.0 + MINUTE, "g", 1.0)])["latestPairMJD"])
    assert is_missing(pairs([(1.0, "g", 1.0), (1.0 + MINUTE, "w", 1.0)])["latestPairMJD"])
    assert is_missing(pairs([(1.0, "g", 1.0)])["latestPairMJD"])


def test_same_time() -> None:
    assert pairs([(1.0, "g", 1.0), (1.0, "r", 1.0)])["latestPairColourMag"] == [0.0]


@pytest.mark.parametrize(("g", "r", "ebv"), [(-1.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0, math.nan)])
def test_a_pair_without_a_colour_keeps_its_time(g: float, r: float, ebv: float) -> None:
    found = pairs([(1.0, "g", g), (1.0 + MINUTE, "r", r)], ebv)
    assert found["latestPairMJD"] == [1.0 + MINUTE]
    assert all(is_missing(found[f"latestPair{name}"]) for name in NAMES[1:])


def test_bluer_than_any_black_body() -> None:
    limit = (WAVELENGTHS[2] / WAVELENGTHS[1]) ** 2  # Rayleigh-Jeans
    found = pairs([(1.0, "g", 1.01 * limit), (1.0 + MINUTE, "r", 1.0)])
    assert np.isfinite(found["latestPairColourMag"][0])
    assert is_missing(found["latestPairColourTemp"])


@given(st.floats(0.3, 500.0), st.sampled_from([(b, r) for b in range(6) for r in range(b + 1, 6)]))
def test_the_temperature_is_found_whatever_it_is(temperature: float, bands: tuple[int, int]) -> None:
    blue, red = bands
    ratio = planck(BANDS[blue], temperature) / planck(BANDS[red], temperature)
    found = colour_temperature(ratio, WAVELENGTHS[blue], WAVELENGTHS[red])
    assert found == pytest.approx(temperature, rel=1e-6)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_ratio_ends(ratio: float) -> None:
    found = colour_temperature(ratio, 0.5, 0.62)
    assert math.isnan(found) or COLDEST <= found <= HOTTEST
