from __future__ import annotations

import numpy as np
import pytest

from lasair.simulate import lightcurves, sky
from lasair.simulate.sky import draw_objects, make_twins, redshift_of
from lasair.simulate.visits import choose_fields, mjd_of, offsets_from

FIRST = float(mjd_of(20260302))


@pytest.fixture
def objects() -> sky.Objects:
    rng = np.random.default_rng(1)
    where = choose_fields("lsst", 4, FIRST, rng, deep=1)
    return draw_objects("lsst", 20_000, where, FIRST, FIRST + 20, rng, deep=1)


def test_every_class_is_drawn_but_those_drawn_elsewhere(objects: sky.Objects) -> None:
    assert set(objects.kind.tolist()) == set(range(len(sky.CLASSES))) - {sky.BOGUS, sky.MOVER}


def test_a_tenth_of_the_objects_is_in_the_deep_field(objects: sky.Objects) -> None:
    explosions = np.isin(objects.kind, sky.SUPERNOVAE)
    assert (objects.field[explosions] == 0).mean() == pytest.approx(0.1, abs=0.04)


def test_stars_have_no_host_and_explosions_do(objects: sky.Objects) -> None:
    assert not objects.has_host[np.isin(objects.kind, sky.STARS)].any()
    exploding = np.isin(objects.kind, sky.SUPERNOVAE)
    assert objects.has_host[exploding].all()
    assert (objects.redshift[exploding] > 0).all()
    east, north = offsets_from(objects.ra, objects.decl, objects.host_ra, objects.host_decl)
    offset = np.hypot(east, north)[exploding] * 3600
    assert 0.5 < np.median(offset) < 3


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [(sky.RRLYRAE, 0.3, 0.9), (sky.ECLIPSING, 0.2, 10), (sky.MIRA, 100, 500), (sky.CEPHEID, 1, 50)],
)
def test_periods(objects: sky.Objects, kind: int, low: float, high: float) -> None:
    periods = objects.period[objects.kind == kind]
    assert low <= periods.min()
    assert periods.max() <= high


def test_redshift_of_a_distance_modulus() -> None:
    # 43 Mpc is z = 0.01 at 70 km/s/Mpc; 471 Mpc luminosity distance is z = 0.1013
    modulus = 5 * np.log10(np.array([42.83, 463.0])) + 25
    assert redshift_of(modulus) == pytest.approx([0.00993, 0.1], rel=0.01)


def test_twins_are_within_an_arcsecond(objects: sky.Objects) -> None:
    both = make_twins(objects, 5, np.random.default_rng(2))
    assert len(both) == len(objects) + 5
    for number in range(5):
        one, two = np.flatnonzero(both.twin == number)
        east, north = offsets_from(both.ra[[one]], both.decl[[one]], both.ra[[two]], both.decl[[two]])
        assert 0 < np.hypot(east, north)[0] * 3600 < 1
        assert both.period[one] == both.period[two] or np.isnan(both.period[one])


def one(kind: int, **values: float) -> sky.Objects:
    """An object of a class with given parameters."""
    rng = np.random.default_rng(3)
    where = choose_fields("lsst", 1, FIRST, rng)
    made = draw_objects("lsst", 1, where, FIRST, FIRST + 20, rng, shares={kind: 1.0})
    for name, value in values.items():
        getattr(made, name)[:] = value
    return made


def curve(made: sky.Objects, mjd: np.ndarray, band: int = 2) -> lightcurves.Fluxes:  # type: ignore[type-arg]
    n = len(mjd)
    return lightcurves.model(made, np.zeros(n, np.int64), mjd, np.full(n, band), np.random.default_rng(4))


def test_a_periodic_star_repeats() -> None:
    made = one(sky.RRLYRAE, period=0.5, amplitude=1.0, mag=20.0)
    mjd = FIRST + np.linspace(0, 0.5, 50)
    first, second = curve(made, mjd), curve(made, mjd + 5 * 0.5)
    assert first.difference == pytest.approx(second.difference, rel=1e-6, abs=1.0)
    assert first.difference.min() < 0 < first.difference.max()
    magnitudes = lightcurves.mag_of(first.difference + first.template)
    assert 0.7 < np.ptp(magnitudes) < 1.2
    # more in the blue
    blue = curve(made, mjd, 1)
    assert np.ptp(lightcurves.mag_of(blue.difference + blue.template)) > np.ptp(magnitudes)


@pytest.mark.parametrize("kind", [sky.SN_IA, sky.SN_II, sky.SN_IBC, sky.SLSN])
def test_a_supernova_peaks_where_and_as_it_should(kind: int) -> None:
    made = one(kind, mag=20.0, peak=FIRST)
    mjd = FIRST + np.linspace(-60, 60, 1201)
    r = curve(made, mjd).difference
    assert abs(mjd[r.argmax()] - FIRST) < 1.5
    assert lightcurves.mag_of(np.array([r.max()]))[0] == pytest.approx(20.0, abs=0.02)
    assert (r >= 0).all()
    # it cools: bluer before the peak than a month after
    colour = curve(made, mjd, 1).difference / r
    assert colour[np.searchsorted(mjd, FIRST - 5)] > colour[np.searchsorted(mjd, FIRST + 30)]


def test_type_ii_stays_on_a_plateau() -> None:
    mjd = FIRST + np.array([0.0, 50.0])
    drop = {}
    for kind in (sky.SN_IA, sky.SN_II):
        at_peak, later = curve(one(kind, mag=20.0, peak=FIRST), mjd).difference
        drop[kind] = later / at_peak
    assert drop[sky.SN_II] > 0.4 > drop[sky.SN_IA]


def test_a_lens_magnifies_by_the_textbook() -> None:
    made = one(sky.LENS, mag=20.0, peak=FIRST, amplitude=1.0, period=20.0)
    found = curve(made, np.array([FIRST]))
    # A(u = 1) = 3 / sqrt(5)
    assert found.difference[0] / found.template[0] == pytest.approx(3 / np.sqrt(5) - 1)


def test_a_disruption_fades_with_the_power_of_minus_five_thirds() -> None:
    made = one(sky.TDE, mag=20.0, peak=FIRST, fall=30.0)
    early, late = curve(made, FIRST + np.array([30.0, 210.0])).difference
    assert late / early == pytest.approx(4.0 ** (-5 / 3))


def test_an_outburst_comes_back() -> None:
    made = one(sky.CV, mag=21.0, peak=FIRST, amplitude=4.0, period=30.0, rise=1.0, fall=8.0)
    found = curve(made, FIRST + np.array([1.0, 31.0, 29.9]))
    assert found.difference[0] == pytest.approx(found.difference[1])
    assert found.difference[0] / found.template[0] == pytest.approx(10**1.6 - 1)
    assert found.difference[2] < 0.2 * found.difference[0]


def test_a_random_walk_has_the_scatter_and_memory_it_should() -> None:
    n = 4000
    rng = np.random.default_rng(5)
    where = choose_fields("lsst", 1, FIRST, rng)
    made = draw_objects("lsst", n, where, FIRST, FIRST + 20, rng, shares={sky.VARIABLE: 1.0})
    made.amplitude[:], made.period[:], made.mag[:] = 0.2, 100.0, 20.0
    obj = np.repeat(np.arange(n), 2)
    mjd = FIRST + np.tile([0.0, 100.0], n)
    found = lightcurves.model(made, obj, mjd, np.full(2 * n, 2), rng)
    static = lightcurves.flux_of(made.mag[obj])
    walk = -2.5 * np.log10((found.difference + found.template) / static).reshape(n, 2)
    assert walk.std() == pytest.approx(0.2, rel=0.05)
    # correlation exp(-dt / tau)
    assert np.corrcoef(walk.T)[0, 1] == pytest.approx(np.exp(-1), abs=0.05)


def test_magnitudes_and_fluxes() -> None:
    assert lightcurves.flux_of(np.array([31.4, 23.9])) == pytest.approx([1.0, 1000.0])
    assert np.isnan(lightcurves.mag_of(np.array([0.0, -1.0]))).all()
    # 5 sigma at the limit; a bright star has 1% errors
    err = lightcurves.noise(np.array([24.0, 24.0]), np.array([0.0, 1e6]))
    assert lightcurves.mag_of(5 * err[:1])[0] == pytest.approx(24.0)
    assert err[1] == pytest.approx(1e4, rel=0.01)
