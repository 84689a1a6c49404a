"""From a sky and a list of visits to measurements: what is detected where, and which detections become alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import Survey
from lasair.simulate import lightcurves, orbits, sky
from lasair.simulate.sky import Objects
from lasair.simulate.visits import Fields, Visits, offset_position, offsets_from, on_camera, select

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_THRESHOLD = 5.0
_TRIES = 6


@dataclass(frozen=True)
class Plan:
    """What to simulate at one go: one survey, some fields, a list of visits, so many alerts."""

    survey: Survey
    #: name of the run, its seed, the number of this plan in it: all that randomness and ids come from
    name: str
    seed: int
    number: int
    fields: Fields
    visits: Visits
    alerts: int
    #: shares of the alerts by class; None for the survey's own
    shares: Mapping[int, float] | None = None
    #: schema versions in the order they come into use during the run
    versions: tuple[str, ...] = ("11.1",)
    deep: int = 0
    deep_share: float = 0.1
    bright: float = 0.0
    #: only objects with so many earlier detections send alerts
    min_sources: int = 0
    max_sources: int = 10**9
    max_forced: int = 10**9
    #: share of the objects (ZTF) that have forced photometry at all
    forced_share: float = 1.0
    #: send only the first alert of an object
    first_only: bool = False
    extensions: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)
    #: every fault at least once
    each_fault: bool = False

    def rng(self, *purpose: int) -> np.random.Generator:
        """A generator of its own for each purpose, so that a change to one leaves the others' numbers alone."""
        name = int.from_bytes(self.name.encode()[:8], "big")
        return np.random.default_rng([self.seed & 0xFFFFFFFF, name, self.number, *purpose])


@dataclass
class Pairs:
    """(object, visit) pairs as columns, sorted by object and time."""

    objects: Objects
    obj: Ints
    visit: Ints
    detector: Ints
    x: Floats
    y: Floats
    #: measured difference flux, its error, the template's flux [nJy]
    flux: Floats
    err: Floats
    template: Floats
    detected: NDArray[np.bool_]
    #: real/bogus score of the detections
    score: Floats
    #: an alert is sent
    emit: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.obj)

    @property
    def snr(self) -> Floats:
        """Significance of the difference flux, not negative."""
        return np.abs(self.flux) / self.err

    def starts(self) -> Ints:
        """First pair of each object, one behind the last at the end: (objects + 1,)."""
        return np.searchsorted(self.obj, np.arange(len(self.objects) + 1)).astype(np.int64)

    def keep(self, objects: NDArray[np.bool_]) -> Pairs:
        """The pairs of some objects, which are numbered anew."""
        number = np.cumsum(objects) - 1
        pairs = objects[self.obj]
        return Pairs(
            self.objects.take(objects),
            number[self.obj[pairs]],
            *(getattr(self, name)[pairs] for name in _COLUMNS[1:]),
        )


_COLUMNS = ("obj", "visit", "detector", "x", "y", "flux", "err", "template", "detected", "score", "emit")


def join(first: Pairs, second: Pairs) -> Pairs:
    """The pairs of two sets of objects, the second's numbered behind the first's."""
    objects = Objects(
        **{
            name: np.concatenate((getattr(first.objects, name), getattr(second.objects, name)))
            for name in Objects.__dataclass_fields__
        }
    )
    columns = [np.concatenate((getattr(first, name), getattr(second, name))) for name in _COLUMNS]
    columns[0][len(first) :] += len(first.objects)
    return Pairs(objects, *columns)


def observe(plan: Plan, objects: Objects, rng: np.random.Generator, once: Ints | None = None) -> Pairs:
    """Measure objects at all visits of their fields.

    Parameters
    ----------
    once
        The only visit at which each object shows (artefacts, ZTF's movers); later visits are left out.
    """
    visits, survey = plan.visits, plan.survey
    of_field = [np.flatnonzero(visits.field == k) for k in range(len(plan.fields))]
    counts = np.array([len(one) for one in of_field], np.int64)
    firsts = np.concatenate(([0], np.cumsum(counts)))[:-1]
    all_visits = np.concatenate(of_field) if of_field else np.empty(0, np.int64)
    per_object = counts[objects.field]
    obj = np.repeat(np.arange(len(objects)), per_object)
    within = np.arange(len(obj)) - np.repeat(np.cumsum(per_object) - per_object, per_object)
    visit = all_visits[firsts[objects.field[obj]] + within]
    if once is not None:
        # before it shows an artefact leaves upper limits in ZTF's packets, and nothing in LSST's
        past = visit <= once[obj] if survey == "ztf" else visit == once[obj]
        obj, visit = obj[past], visit[past]
    field_of = visits.field[visit]
    east, north = offsets_from(plan.fields.ra[field_of], plan.fields.decl[field_of], objects.ra[obj], objects.decl[obj])
    # no two pointings fall on the same pixel; a dither that leaves the camera is none
    moved = rng.uniform(-0.05, 0.05, (2, len(visits)))
    detector, x, y = on_camera(survey, east + moved[0][visit], north + moved[1][visit])
    home, home_x, home_y = on_camera(survey, east, north)
    detector, x, y = (np.where(detector < 0, back, on) for back, on in ((home, detector), (home_x, x), (home_y, y)))
    on = detector >= 0
    obj, visit, detector, x, y = obj[on], visit[on], detector[on], x[on], y[on]

    mjd, band, depth = visits.mjd[visit], visits.band[visit], visits.depth[visit]
    shown = lightcurves.model(objects, obj, mjd, band, rng) if once is None else _hidden(objects, obj)
    err = lightcurves.noise(depth, shown.template + shown.difference)
    flux = shown.difference + err * rng.standard_normal(len(obj))
    detected = np.abs(flux) > _THRESHOLD * err
    if once is not None:
        detected = visit == once[obj]
        flux = np.where(detected, _strength(objects, obj, err, rng), np.clip(flux, -3 * err, 3 * err))
        mover = objects.kind[obj] == sky.MOVER
        template = np.where(mover, 0.0, shown.template)
    else:
        template = shown.template
    # of two objects in one place each visit's detection belongs to one
    second = objects.twin[obj] >= 0
    detected &= ~second | ((visit + (np.arange(len(objects)) >= len(objects) - _twins(objects))[obj]) % 2 == 0)
    score = _score(survey, objects.kind[obj], rng)
    emit = detected & visits.emit[visit] & ((score >= 0.5) | (survey == "ztf"))
    return Pairs(objects, obj, visit, detector, x, y, flux, err, template, detected, score, emit)


def _twins(objects: Objects) -> int:
    return int((objects.twin >= 0).sum()) // 2


def _hidden(objects: Objects, obj: Ints) -> lightcurves.Fluxes:
    zero = np.zeros(len(obj))
    bogus = objects.kind[obj] == sky.BOGUS
    return lightcurves.Fluxes(zero, np.where(bogus, lightcurves.flux_of(objects.mag[obj]), 0.0))


def _strength(objects: Objects, obj: Ints, err: Floats, rng: np.random.Generator) -> Floats:
    n = len(obj)
    sign = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    artefact = sign * err * (5.2 + rng.exponential(5.0, n))
    real = np.maximum(lightcurves.flux_of(objects.mag[obj]), 5.1 * err)
    return np.where(objects.kind[obj] == sky.MOVER, real, artefact)


def _score(survey: Survey, kind: Ints, rng: np.random.Generator) -> Floats:
    """Real/bogus scores: quantiles of the public LSST alerts of March 2026 (and a tenth below the cut); for ZTF beta
    distributions that overlap."""
    n = len(kind)
    bogus = kind == sky.BOGUS
    if survey == "ztf":
        return np.where(bogus, rng.beta(2.0, 4.0, n), rng.beta(8.0, 1.3, n))
    real = np.interp(rng.random(n), [0.0, 0.05, 0.25, 0.5, 0.75, 1.0], [0.5, 0.54, 0.70, 0.92, 1.0, 1.0])
    low = (rng.random(n) < 0.1) & ~np.isin(kind, (sky.MOVER,))
    score = np.where(bogus, rng.uniform(0.5, 0.75, n), real)
    return np.where(low & ~bogus, rng.uniform(0.02, 0.5, n), score)


@dataclass
class Seen:
    """Everything that one plan's packets are made of."""

    pairs: Pairs
    #: LSST's movers
    elements: orbits.Orbits
    movers: orbits.MoverDetections


def see(plan: Plan) -> Seen:
    """Draw a sky that gives `plan.alerts` alerts (fewer when it cannot) and measure it."""
    shares = plan.shares or sky.SHARES[plan.survey]
    rng = plan.rng(1)
    wanted_movers = round(plan.alerts * shares.get(sky.MOVER, 0.0))
    wanted_bogus = round(plan.alerts * shares.get(sky.BOGUS, 0.0))
    emitting = plan.visits.emit
    index = np.flatnonzero(emitting)
    shown = select(plan.visits, index)
    elements, movers = orbits.detections(
        plan.survey, plan.fields, shown, wanted_movers, rng, mid_s=15.0 if plan.survey == "lsst" else 0.0
    )
    movers.visit = index[movers.visit] if len(movers) else movers.visit
    elements, movers = _cut_movers(elements, movers, wanted_movers, rng)
    once = _bogus(plan, wanted_bogus, index, rng)
    found = len(movers)
    wanted = plan.alerts - found - (int(once.emit.sum()) if once is not None else 0)
    pairs = _persistent(plan, shares, wanted)
    if once is not None:
        pairs = join(pairs, once)
    if plan.survey == "ztf" and found:
        # the last objects are the sightings of movers, in their order
        pairs = join(pairs, _ztf_movers(plan, movers, rng))
    return Seen(pairs, elements, movers)


def _cut_movers(
    elements: orbits.Orbits, movers: orbits.MoverDetections, wanted: int, rng: np.random.Generator
) -> tuple[orbits.Orbits, orbits.MoverDetections]:
    """Whole objects until `wanted` detections are reached."""
    if not len(movers):
        return elements, movers
    counts = np.bincount(movers.mover, minlength=len(elements))
    order = rng.permutation(len(elements))
    before = np.cumsum(counts[order]) - counts[order]
    kept = np.zeros(len(elements), np.bool_)
    kept[order[before < wanted]] = True
    cut = movers.take(np.flatnonzero(kept[movers.mover])[: max(wanted, 0)])
    cut.mover = (np.cumsum(kept) - 1)[cut.mover]
    return elements.take(kept), cut


def _bogus(plan: Plan, wanted: int, emitting: Ints, rng: np.random.Generator) -> Pairs | None:
    if not wanted or not len(emitting):
        return None
    once = np.sort(rng.choice(emitting, wanted))
    objects = sky.bogus_objects(plan.survey, wanted, plan.visits.field[once], plan.fields, rng)
    return observe(plan, objects, rng, once)


def _ztf_movers(plan: Plan, movers: orbits.MoverDetections, rng: np.random.Generator) -> Pairs:
    """ZTF gives every sighting of a mover an object of its own, with the upper limits of earlier visits there."""
    objects = sky.bogus_objects(plan.survey, len(movers), plan.visits.field[movers.visit], plan.fields, rng)
    objects.kind[:] = sky.MOVER
    objects.ra, objects.decl = movers.ephemeris.ra.copy(), movers.ephemeris.decl.copy()
    objects.mag = movers.mag.copy()
    objects.host_mag[:] = np.nan
    return observe(plan, objects, rng, movers.visit)


def _persistent(plan: Plan, shares: Mapping[int, float], wanted: int) -> Pairs:
    """Objects that stay, until their alerts are `wanted` in number."""
    visits = plan.visits
    emitting = visits.mjd[visits.emit]
    start, end = (float(emitting.min()), float(emitting.max())) if len(emitting) else (0.0, 0.0)
    per_field = np.bincount(visits.field[visits.emit], minlength=len(plan.fields))
    share = np.full(len(plan.fields), 1.0 / len(plan.fields))
    if 0 < plan.deep < len(plan.fields):
        share[:] = (1 - plan.deep_share) / (len(plan.fields) - plan.deep)
        share[: plan.deep] = plan.deep_share / plan.deep
    expected = max(0.2, 0.5 * float((per_field * share).sum())) if not plan.first_only else 0.7
    n = int(wanted / expected * 1.2) + 20
    for attempt in range(_TRIES):
        rng = plan.rng(2, attempt)
        objects = sky.draw_objects(
            plan.survey, n, plan.fields, start, end, rng,
            shares=shares, deep=plan.deep, deep_share=plan.deep_share, bright=plan.bright,
        )  # fmt: skip
        twins = round(plan.rates.get("twin", 0.0) * n) or int(plan.each_fault)
        objects = sky.make_twins(objects, twins, rng)
        pairs = observe(plan, objects, rng)
        _restrict(plan, pairs)
        total = int(pairs.emit.sum())
        if total >= wanted:
            break
        n = int(n * min(4.0, 1.2 * wanted / max(total, 1))) + 20
    return _cut(plan, pairs, wanted, rng)


def _restrict(plan: Plan, pairs: Pairs) -> None:
    """Which detections may become alerts under the plan's conditions (changes `pairs.emit`)."""
    starts = pairs.starts()
    seen: Ints = np.cumsum(pairs.detected) - pairs.detected
    before: Ints = seen - seen[np.minimum(starts[:-1], max(len(pairs) - 1, 0))][pairs.obj] if len(pairs) else seen
    pairs.emit &= before >= plan.min_sources
    if plan.first_only:
        pairs.emit &= before == 0


def _cut(plan: Plan, pairs: Pairs, wanted: int, rng: np.random.Generator) -> Pairs:
    n = len(pairs.objects)
    counts = np.bincount(pairs.obj[pairs.emit], minlength=n)
    # twins last would lose one of the two: keep them first
    order = rng.permutation(n)
    order = order[np.argsort(pairs.objects.twin[order] < 0, kind="stable")]
    before = np.cumsum(counts[order]) - counts[order]
    kept = np.zeros(n, np.bool_)
    kept[order[(before < wanted) & (counts[order] > 0)]] = True
    pairs = pairs.keep(kept)
    over = int(pairs.emit.sum()) - wanted
    if over > 0:
        # the newest alerts of all stay unsent, so that histories have no holes
        sent = np.flatnonzero(pairs.emit)
        latest = sent[np.argsort(pairs.visit[sent], kind="stable")][-over:]
        pairs.emit[latest] = False
    return pairs


def measured_position(plan: Plan, pairs: Pairs, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """(ra, decl, error) [deg] as measured: centroids are good to the seeing over the signal-to-noise ratio."""
    err = plan.visits.seeing[pairs.visit] / 2.3548 / np.maximum(pairs.snr, 1.0) / 3600.0
    err = np.hypot(err, 0.002 / 3600.0)
    shift = rng.standard_normal((2, len(pairs))) * err
    ra, decl = offset_position(pairs.objects.ra[pairs.obj], pairs.objects.decl[pairs.obj], shift[0], shift[1])
    return ra, decl, err
