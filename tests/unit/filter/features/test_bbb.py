from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lasair.filter.features.bbb import BBB_COLUMNS, fit_bbb
from lasair.filter.features.bbb_fit import BAZIN, EXPONENTIAL, black_body, evaluate, minimise
from lasair.filter.features.blackbody import WAVELENGTHS
from lasair.filter.features.distance import distance_modulus
from lasair.packets.batch import Columns
from lasair.sky.extinction import BANDS, COEFFICIENTS
from tests.support.batches import lsst_batch
from tests.unit.filter.features.curves import Point, context, is_missing, lsst_alert, one

DAYS = np.arange(0.0, 60.0, 1.5)
BAND = np.arange(len(DAYS), dtype=np.int8) % 6
TRUTH = np.array([5000.0, 9.0, 12.0, 0.3, 0.04])  # A, T, t0, kr, kf
RISING = np.array([2000.0, 9.0, 0.08])  # A, T, k


def model(which: int, x: Any, t: Any, band: Any) -> np.ndarray[Any, Any]:
    residual, jacobian = np.empty(len(t)), np.empty((len(x), len(t)))
    evaluate(which, x, t, band, np.zeros(len(t)), WAVELENGTHS, residual, jacobian, False)
    return residual


def points(which: int, x: Any, t: Any, noise: float = 0.0) -> list[Point]:
    band = BAND[: len(t)]
    flux = model(which, x, t, band)
    flux = flux + np.random.default_rng(1).normal(0, noise, len(t)) * flux.max()
    return [(61000.0 + t[j], BANDS[band[j]], flux[j]) for j in range(len(t))]


def fitted(what: list[Point], forced: list[Point] | None = None, **known: Any) -> Columns:
    return fit_bbb(one(what, forced or []), context(**known))


def test_model_by_hand() -> None:
    # at t0 the Bazin function is A B / 2
    assert model(BAZIN, TRUTH, np.array([12.0]), BAND[:1])[0] == pytest.approx(2500 * black_body(9.0, 0.38)[0])
    assert black_body(9.0, 0.5)[0] == pytest.approx(8 / math.expm1(14.387 / 4.5))
    assert black_body(0.001, 0.5) == (0.0, 0.0)


@pytest.mark.parametrize("x", [TRUTH, RISING, np.array([5.0, 3.0, 40.0, 2.0, 0.5])])
def test_derivatives(x: Any) -> None:
    which = BAZIN if len(x) == 5 else EXPONENTIAL
    residual, jacobian = np.empty(len(DAYS)), np.empty((len(x), len(DAYS)))
    evaluate(which, x, DAYS, BAND, np.zeros(len(DAYS)), WAVELENGTHS, residual, jacobian, True)
    for k in range(len(x)):
        step = np.zeros(len(x))
        step[k] = 1e-6 * abs(x[k])
        numeric = (model(which, x + step, DAYS, BAND) - model(which, x - step, DAYS, BAND)) / (2 * step[k])
        assert jacobian[k] == pytest.approx(numeric, rel=1e-4, abs=1e-6 * np.abs(jacobian[k]).max())


def test_a_solution_is_a_minimum() -> None:
    flux = model(BAZIN, TRUTH, DAYS, BAND) + np.random.default_rng(2).normal(0, 100, len(DAYS))
    x = np.array([100.0, 4.0, 6.0, 0.1, 0.01])
    squares, converged, variance = minimise(BAZIN, x, DAYS, BAND, flux, WAVELENGTHS)
    assert converged
    assert math.isfinite(variance)
    for k in range(5):
        for factor in (0.999, 1.001):
            near = x.copy()
            near[k] *= factor
            assert np.sum((model(BAZIN, near, DAYS, BAND) - flux) ** 2) >= squares * (1 - 1e-9)


def test_variance_of_the_rate() -> None:
    x = RISING.copy()
    flux = model(EXPONENTIAL, RISING, DAYS, BAND)
    _, _, variance = minimise(EXPONENTIAL, x, DAYS, BAND, flux, WAVELENGTHS)
    residual, jacobian = np.empty(len(DAYS)), np.empty((3, len(DAYS)))
    evaluate(EXPONENTIAL, RISING, DAYS, BAND, flux, WAVELENGTHS, residual, jacobian, True)
    assert variance == pytest.approx(np.linalg.inv(jacobian @ jacobian.T)[2, 2], rel=1e-3)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_finds_a_supernova(noise: float) -> None:
    found = fitted(points(BAZIN, TRUTH, DAYS, noise), z=0.1)
    close = 1e-4 if noise == 0 else 0.1
    assert found["BBBRiseRate"][0] == pytest.approx(0.3, rel=close)
    assert found["BBBFallRate"][0] == pytest.approx(0.04, rel=close)
    assert found["BBBTemp"][0] == pytest.approx(9.0, rel=close)
    peak = 12 - math.log(0.04 / 0.26) / 0.3
    assert found["BBBPeakMJD"][0] == pytest.approx(61000 + peak, abs=1e-3 if noise == 0 else 1)
    brightest = model(BAZIN, TRUTH, np.full(6, peak), np.arange(6, dtype=np.int8)).max()
    assert found["BBBPeakFlux"][0] == pytest.approx(brightest, rel=close)
    absolute = 31.4 - 2.5 * math.log10(found["BBBPeakFlux"][0]) - distance_modulus(context(z=0.1))[0]
    assert found["BBBPeakAbsMag"][0] == pytest.approx(absolute)


def test_an_early_rise_is_exponential() -> None:
    found = fitted(points(EXPONENTIAL, RISING, DAYS[:16], 0.01), z=0.1)
    assert found["BBBRiseRate"][0] == pytest.approx(0.08, rel=0.05)
    assert found["BBBTemp"][0] == pytest.approx(9.0, rel=0.1)
    for name in ("BBBFallRate", "BBBPeakFlux", "BBBPeakMJD", "BBBPeakAbsMag"):
        assert is_missing(found[name])


def test_extinction_is_undone() -> None:
    dimmed = [
        (mjd, band, flux * 10 ** (-0.4 * 0.3 * COEFFICIENTS[BANDS.index(band)]))
        for mjd, band, flux in points(BAZIN, TRUTH, DAYS)
    ]
    assert fitted(dimmed, ebv=0.3)["BBBTemp"][0] == pytest.approx(9.0, rel=1e-4)


def test_only_forced_photometry_before_the_first_detection_counts() -> None:
    plain = fitted(points(BAZIN, TRUTH, DAYS, 0.02))
    later: list[Point] = [(61000.0 + day, "g", 1e6) for day in range(5, 9)]
    assert fitted(points(BAZIN, TRUTH, DAYS, 0.02), later)["BBBTemp"] == plain["BBBTemp"]
    earlier: list[Point] = [(61000.0 - day, "g", 0.0) for day in range(1, 5)]
    changed = fitted(points(BAZIN, TRUTH, DAYS, 0.02), earlier)
    assert changed["BBBTemp"] != plain["BBBTemp"]
    # no more than four, the latest ones
    older: list[Point] = [(61000.0 - day, "g", 1e6) for day in range(5, 9)]
    assert fitted(points(BAZIN, TRUTH, DAYS, 0.02), [*earlier, *older])["BBBTemp"] == changed["BBBTemp"]
    # nor unknown bands, nor missing fluxes
    odd: list[Point] = [(60999.5, "w", 1e6), (60999.4, "g", None)]
    assert fitted(points(BAZIN, TRUTH, DAYS, 0.02), odd)["BBBTemp"] == plain["BBBTemp"]


@pytest.mark.parametrize(
    "known", [{"sherlock_class": "VS"}, {"sherlock_class": ""}, {"ebv": np.nan}], ids=["star", "unknown", "no dust map"]
)
def test_not_asked_for(known: dict[str, Any]) -> None:
    assert all(is_missing(values) for values in fitted(points(BAZIN, TRUTH, DAYS), **known).values())


@pytest.mark.parametrize(
    "what",
    [
        [],
        [(1.0, "g", 1.0)] * 4,
        [(1.0, "g", 1.0)] * 8,
        [(float(day), "g", 100.0) for day in range(20)],
        [(float(day), "gr"[day % 2], -100.0 - day**2) for day in range(20)],
        [(float(day), "g", None) for day in range(20)],
        [(float(day), "w", float(day)) for day in range(20)],
        [(float(day), "g", 0.0) for day in range(20)],
        [(float(day), "g", (-1) ** day * 1e30) for day in range(20)],
    ],
    ids=["empty", "few", "one time", "constant", "negative", "no flux", "unknown band", "zero", "huge"],
)
def test_degenerate_light_curves(what: list[Point]) -> None:
    found = fitted(what, z=0.1)
    assert tuple(found) == BBB_COLUMNS
    assert all(is_missing(values) for values in found.values())


def test_noise_is_not_fitted_and_ends() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        noise: list[Point] = [
            (float(t), BANDS[b], f) for t, b, f in zip(DAYS, BAND, rng.normal(0, 100, 40), strict=True)
        ]
        assert not any(np.isinf(values).any() for values in fitted(noise).values())


def test_the_batch_is_left_as_it_was() -> None:
    batch = one(points(BAZIN, TRUTH, DAYS))
    before = batch.rows.copy()
    fit_bbb(batch, context())
    assert batch.rows.tobytes() == before.tobytes()


def test_alerts_do_not_see_each_other() -> None:
    alerts = [
        lsst_alert(points(BAZIN, TRUTH, DAYS)),
        lsst_alert([]),
        lsst_alert(points(EXPONENTIAL, RISING, DAYS[:16])),
    ]
    together = fit_bbb(lsst_batch(alerts), context(3))
    for i, alert in enumerate(alerts):
        alone = fit_bbb(lsst_batch([alert]), context())
        for name in BBB_COLUMNS:
            assert np.array_equal(alone[name], together[name][i : i + 1], equal_nan=True)
