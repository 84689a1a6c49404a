from __future__ import annotations

import numpy as np
import pytest

from lasair.simulate import orbits
from lasair.simulate.orbits import Orbits, designations, draw_orbits, earth, ephemeris, ss_object_id
from lasair.simulate.visits import choose_fields, lsst_nights, mjd_of


def circular(a: float, mean: float) -> Orbits:
    zero, epoch = np.zeros(1), np.array([61000.0])
    return Orbits(np.array([a]), zero, zero, zero, zero, np.array([mean]), epoch, np.array([15.0]))


def test_the_earth_goes_round_in_a_year() -> None:
    mjd = np.array([61119.6, 61119.6 + 365.2422])
    position, velocity = earth(mjd)
    assert np.linalg.norm(position, axis=1) == pytest.approx([0.996, 0.996], abs=0.002)
    # at the March equinox the Sun is at right ascension 0, the Earth opposite
    assert position[0] == pytest.approx([-0.996, 0.0, 0.0], abs=0.003)
    assert position[1] == pytest.approx(position[0], abs=0.002)
    # 29.8 km/s
    assert np.linalg.norm(velocity, axis=1) * 149_597_870.7 / 86400 == pytest.approx([29.9, 29.9], abs=0.3)


def test_a_circular_orbit_keeps_its_distance_and_period() -> None:
    one = circular(4.0, 0.3)
    # Kepler's third law: a = 4 au takes 8 years
    now, later = (ephemeris(one, np.array([mjd])) for mjd in (61000.0, 61000.0 + 8 * 365.2568983))
    assert np.linalg.norm(now.helio) == pytest.approx(4.0)
    assert later.helio == pytest.approx(now.helio, abs=1e-5)
    # numerical derivative of the position
    ahead = ephemeris(one, np.array([61000.01]))
    assert (ahead.helio - now.helio) / 0.01 == pytest.approx(now.helio_v, abs=1e-6)
    assert (ahead.topo - now.topo) / 0.01 == pytest.approx(now.topo_v, abs=5e-6)


def test_an_eccentric_orbit_reaches_its_extremes() -> None:
    one = circular(2.5, 0.0)
    one.e[:] = 0.3
    assert np.linalg.norm(ephemeris(one, one.epoch).helio) == pytest.approx(2.5 * 0.7)
    one.mean[:] = np.pi
    assert np.linalg.norm(ephemeris(one, one.epoch).helio) == pytest.approx(2.5 * 1.3)


def test_brightness_at_opposition() -> None:
    position, _ = earth(np.array([61000.0]))
    # straight behind the Earth: right ascension of the anti-Sun
    longitude = np.arctan2(position[0, 1] / np.cos(orbits.OBLIQUITY), position[0, 0])
    found = ephemeris(circular(2.7, float(longitude)), np.array([61000.0]))
    assert found.phase_angle[0] < 0.1
    assert found.elongation[0] > 179
    delta = 2.7 - np.linalg.norm(position)
    assert found.v_minus_h[0] == pytest.approx(5 * np.log10(2.7 * delta), abs=0.02)


def test_movers_are_found_near_the_ecliptic_only() -> None:
    rng = np.random.default_rng(1)
    first = mjd_of(20260302)
    where = choose_fields("lsst", 4, first, rng)
    visits = lsst_nights(first, 3, 4, 0, rng)
    elements, seen = orbits.detections("lsst", where, visits, 100, rng, mid_s=15.0)
    assert len(seen) >= 100
    assert set(seen.mover.tolist()) == set(range(len(elements)))
    assert (seen.mag < visits.depth[seen.visit]).all()
    assert (seen.detector >= 0).all()
    where.decl[:] = -85.0
    elements, seen = orbits.detections("lsst", where, visits, 100, rng, mid_s=15.0)
    assert len(seen) < 100


def test_no_movers_are_wanted() -> None:
    rng = np.random.default_rng(1)
    where = choose_fields("lsst", 1, 61101.0, rng)
    elements, seen = orbits.detections("lsst", where, lsst_nights(61101, 1, 1, 0, rng), 0, rng, mid_s=15.0)
    assert len(elements) == len(seen) == 0


def test_designations_are_different_and_packed_as_the_minor_planet_center_does() -> None:
    plain, packed = designations(np.arange(0, 9_300_000, 1861))
    assert len(set(plain)) == len(plain) == len(set(packed))
    assert all(len(one) == 7 for one in packed)
    # year, half-month, cycle, order
    number = ((6 * 620 + 6) * 24 + 18) * 25 + 9
    plain, packed = designations(np.array([number]))
    assert (plain, packed) == (["2006 TK6"], ["K06T06K"])


def test_the_id_of_a_mover_is_its_packed_designation() -> None:
    # as in the public stream of March 2026
    assert ss_object_id("K01V54P") == 21163611711157328


def test_main_belt() -> None:
    drawn = draw_orbits(10_000, 61000.0, np.random.default_rng(2))
    assert 2.0 < drawn.a.min() < drawn.a.max() < 3.4
    assert drawn.e.max() <= 0.35
