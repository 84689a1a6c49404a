"""Ready-made simulations by name, and the stream of their packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lasair.simulate import faults, sky
from lasair.simulate.detect import Plan
from lasair.simulate.lsst import LsstRun
from lasair.simulate.messages import SimMessage, Truth
from lasair.simulate.visits import Visits, choose_fields, lsst_nights, mjd_of, visits_from, ztf_nights
from lasair.simulate.ztf import ZtfRun

#: First night (UTC date) unless another is asked for.
FIRST_NIGHT = 20260302
#: First nights that both surveys have numbers for: names of ZTF objects begin in 2018, its candids end in 2042.
EARLIEST_NIGHT, LATEST_NIGHT = 20190201, 20401231
#: plans of one run, so that ids fit: see lsst.LsstRun
_MAX_PLANS = 1024
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Profile:
    """A simulation: what for, how many alerts by default, and the plans that make it."""

    name: str
    what: str
    alerts: int
    #: (alerts, seed, first night as MJD, rates) -> steps, each a few plans whose streams run side by side
    steps: Callable[[_Request], Iterator[list[Plan]]]


class _Request(NamedTuple):
    name: str
    alerts: int
    seed: int
    first: int
    rates: Mapping[str, float]


def _rng(request: _Request, *purpose: int) -> np.random.Generator:
    return np.random.default_rng(
        [request.seed & 0xFFFFFFFF, int.from_bytes(request.name.encode()[:8], "big"), *purpose]
    )


def _split(alerts: int, at_once: int) -> list[int]:
    """`alerts` in portions of `at_once`, never more than a run may have."""
    portion = max(at_once, -(-alerts // _MAX_PLANS))
    return [min(portion, alerts - done) for done in range(0, alerts, portion)]


def _mixed(request: _Request, nights: int, *, each: bool, versions: tuple[str, ...]) -> Iterator[list[Plan]]:
    """Both surveys, night after night, 70% LSST."""
    lsst = round(request.alerts * 0.7)
    rng = _rng(request, 1)
    where = choose_fields("lsst", 6, request.first + nights / 2, rng, deep=1)
    visits = lsst_nights(request.first, nights, len(where), 1, rng)
    plans = [
        Plan(
            "lsst", request.name, request.seed, 0, where, visits, lsst,
            versions=versions, deep=1, deep_share=0.08, rates=request.rates, each_fault=each,
        )
    ]  # fmt: skip
    where = choose_fields("ztf", 4, request.first + nights / 2, rng)
    visits = ztf_nights(request.first, nights, len(where), rng, before=30)
    plans.append(
        Plan(
            "ztf",
            request.name,
            request.seed,
            1,
            where,
            visits,
            request.alerts - lsst,
            rates=request.rates,
            each_fault=each,
        )
    )
    yield plans


def _demo(request: _Request) -> Iterator[list[Plan]]:
    return _mixed(request, 20, each=False, versions=("11.0", "11.1"))


def _test(request: _Request) -> Iterator[list[Plan]]:
    return _mixed(request, 10, each=True, versions=("10.0", "11.0", "11.1"))


def _ztf(request: _Request, *, forced_share: float, history: tuple[int, int]) -> Iterator[list[Plan]]:
    """One night, field after field, each with 30 days of history."""
    for number, alerts in enumerate(_split(request.alerts, 1000)):
        rng = _rng(request, 2, number)
        where = choose_fields("ztf", 1, request.first, rng)
        nights = int(rng.integers(*history, endpoint=True))
        # half of a field's images stay in g and r an hour apart; the night is ten hours of fields
        start = (number * 80.0 / 3600.0) % 9.0
        past = np.sort(rng.choice(np.arange(1, 30), nights, replace=False))
        plan = [
            (request.first - int(day), start + hours, 0, band, False)
            for day in past
            for hours, band in ((0.0, "g"), (1.0, "r"))
        ]
        plan += [(request.first, start, 0, "g", True), (request.first, start + 1.0, 0, "r", True)]
        yield [
            Plan(
                "ztf", request.name, request.seed, number, where, visits_from("ztf", plan, rng), alerts,
                rates=request.rates, forced_share=forced_share,
            )
        ]  # fmt: skip


def _ztf_night(request: _Request) -> Iterator[list[Plan]]:
    return _ztf(request, forced_share=0.6, history=(6, 13))


def _w_ztf(request: _Request) -> Iterator[list[Plan]]:
    return _ztf(request, forced_share=0.5, history=(5, 10))


def _lsst_visit(request: _Request) -> Iterator[list[Plan]]:
    """Bursts of 10,000: one visit each, objects with hardly any history."""
    for number, alerts in enumerate(_split(request.alerts, 10_000)):
        rng = _rng(request, 3, number)
        where = choose_fields("lsst", 1, request.first, rng)
        start = (number * 39.0 / 3600.0) % 8.0
        plan = [(request.first - 4, start, 0, "r", False), (request.first, start, 0, "i", True)]
        yield [
            Plan(
                "lsst", request.name, request.seed, number, where, visits_from("lsst", plan, rng), alerts,
                rates=request.rates, extensions=True,
            )
        ]  # fmt: skip


#: variables bright enough for a detection at nearly every visit
_STEADY = {sky.RRLYRAE: 0.3, sky.CEPHEID: 0.15, sky.MIRA: 0.15, sky.AGN: 0.4}


def _year_visits(request: _Request, rng: np.random.Generator) -> Visits:
    """A year of a wide field: 150 earlier visits in pairs, then two nights of alerts."""
    nights = np.sort(rng.choice(np.arange(2, 360), 75, replace=False))[::-1]
    bands = (("g", "r"), ("r", "i"), ("i", "z"), ("u", "g"), ("z", "y"), ("r", "g"))
    plan = []
    for k, back in enumerate(nights.tolist()):
        one, two = bands[k % len(bands)]
        plan += [(request.first - back, 1.0, 0, one, False), (request.first - back, 1.5, 0, two, False)]
    for day, one, two in ((0, "g", "r"), (3, "r", "i")):
        plan += [(request.first + day, 1.0, 0, one, True), (request.first + day, 1.5, 0, two, True)]
    return visits_from("lsst", plan, rng)


def _deep_visits(request: _Request, rng: np.random.Generator) -> Visits:
    """A deep field: 35 visits a night in three bands, eighteen nights, alerts from the last ten visits of the last."""
    plan = []
    for night in range(18):
        for k in range(35):
            emit = night == 17 and k >= 25
            plan.append((request.first - 17 + night, 1.0 + 0.02 * k, 0, "gri"[k % 3], emit))
    return visits_from("lsst", plan, rng)


def _with_history(request: _Request, number: int, alerts: int, *, deep: bool) -> Plan:
    rng = _rng(request, 4, number)
    where = choose_fields("lsst", 1, request.first, rng, deep=int(deep))
    visits = _deep_visits(request, rng) if deep else _year_visits(request, rng)
    sources, forced = (350, 460) if deep else (80, 100)
    return Plan(
        "lsst", request.name, request.seed, number, where, visits, alerts,
        shares=_STEADY, bright=2.5, min_sources=sources, max_sources=sources, max_forced=forced,
        rates=request.rates, extensions=True,
    )  # fmt: skip


def _lsst_deep(request: _Request) -> Iterator[list[Plan]]:
    for number, alerts in enumerate(_split(request.alerts, 500)):
        yield [_with_history(request, number, alerts, deep=True)]


def _lsst_year(request: _Request) -> Iterator[list[Plan]]:
    for number, alerts in enumerate(_split(request.alerts, 1000)):
        yield [_with_history(request, number, alerts, deep=False)]


def _lsst_mix(request: _Request) -> Iterator[list[Plan]]:
    """85% without history (movers among them), 15% deep, side by side."""
    for number, alerts in enumerate(_split(request.alerts, 2000)):
        deep = round(alerts * 0.15)
        rng = _rng(request, 5, number)
        where = choose_fields("lsst", 1, request.first, rng)
        start = (number * 39.0 / 3600.0) % 8.0
        visits = visits_from("lsst", [(request.first, start, 0, "i", True)], rng)
        fresh = Plan(
            "lsst", request.name, request.seed, 2 * number, where, visits, alerts - deep,
            first_only=True, rates=request.rates, extensions=True,
        )  # fmt: skip
        yield [fresh, _with_history(request, 2 * number + 1, deep, deep=True)] if deep else [fresh]


PROFILES: dict[str, Profile] = {
    one.name: one
    for one in (
        Profile("demo", "20 nights of both surveys, histories that grow, a few faults", 40_000, _demo),
        Profile("test", "10 nights, every fault at least once, three LSST schemas", 500, _test),
        Profile("ztf-night", "one ZTF night", 300_000, _ztf_night),
        Profile("lsst-visit", "bursts of 10,000 alerts of about 110 kB", 10_000, _lsst_visit),
        Profile(
            "lsst-deep", "deep field: 350 earlier detections and 460 forced rows in every packet", 10_000, _lsst_deep
        ),
        Profile("lsst-year", "wide survey after a year: 80 + 100 history rows in every packet", 10_000, _lsst_year),
        Profile("w-ztf", "ZTF benchmark: 10-20 history rows, forced rows in a third, 3 cutouts", 10_000, _w_ztf),
        Profile("lsst-mix", "LSST benchmark: 85% without history, 15% deep", 10_000, _lsst_mix),
    )
}
#: profiles whose packets are all sound
_SOUND = ("w-ztf", "lsst-mix", "lsst-year", "lsst-deep")


class Simulation:
    """One run of a profile: its messages in the order they are sent, and the truth behind those sent so far.

    Parameters
    ----------
    profile
        A name of `PROFILES`.
    seed
        Same seed, same bytes.
    n
        Number of alerts, by default the profile's own; second copies of messages come on top.
    rates
        Rates of faults by name, by default those of `faults.KINDS` (none for the benchmarks' profiles).
    first_night
        UTC date of the first night, yyyymmdd.

    Raises
    ------
    ValueError
        There is no such profile, fault or date, the date is out of range, or `n` is below 1.
    """

    def __init__(
        self,
        profile: str,
        *,
        seed: int = 1,
        n: int | None = None,
        rates: Mapping[str, float] | None = None,
        first_night: int = FIRST_NIGHT,
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(f"no profile {profile!r}; there are {', '.join(PROFILES)}")
        if n is not None and n < 1:
            raise ValueError(f"{n} alerts: at least 1")
        first_mjd = mjd_of(first_night)
        if not EARLIEST_NIGHT <= first_night <= LATEST_NIGHT:
            raise ValueError(f"first night {first_night}: from {EARLIEST_NIGHT} to {LATEST_NIGHT}")
        if rates is None:
            rates = {} if profile in _SOUND else faults.default_rates()
        unknown = set(rates) - set(faults.KINDS)
        if unknown:
            raise ValueError(f"no fault {unknown.pop()!r}; there are {', '.join(faults.KINDS)}")
        self.profile = PROFILES[profile]
        self.alerts = n or self.profile.alerts
        self._request = _Request(profile, self.alerts, seed, first_mjd, rates)
        self._truth: list[Truth] = []

    def messages(self, progress: Progress | None = None) -> Iterator[SimMessage]:
        """The messages; `progress` is told (sent, expected) now and then."""
        sent = 0
        for step, plans in enumerate(self.profile.steps(self._request)):
            runs = [LsstRun(plan) if plan.survey == "lsst" else ZtfRun(plan) for plan in plans if plan.alerts > 0]
            for run in runs:
                self._truth += run.truth()
            rngs = [_rng(self._request, 6, step, number) for number in range(len(runs))]
            streams = [faults.deliver(run.messages(), rng) for run, rng in zip(runs, rngs, strict=True)]
            for message in _merge(streams, [run.alerts for run in runs], self.profile.name):
                yield message
                sent += 1
                if progress is not None and sent % 100 == 0:
                    progress(sent, max(self.alerts, sent))
        if progress is not None:
            progress(sent, sent)

    def take_truth(self) -> list[Truth]:
        """The truth of the objects of messages begun since the last call; it is forgotten here."""
        found, self._truth = self._truth, []
        return found


def _merge(streams: list[Iterator[SimMessage]], sizes: list[int], profile: str) -> Iterator[SimMessage]:
    """Streams side by side: night by night, or for the mix one by one in proportion to their lengths."""
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = [next(stream, None) for stream in streams]
    taken = [0] * len(streams)
    while any(head is not None for head in heads):
        live = [k for k, head in enumerate(heads) if head is not None]
        if profile == "lsst-mix":
            k = min(live, key=lambda k: (taken[k] + 0.5) / max(sizes[k], 1))
        else:
            k = min(live, key=lambda k: (heads[k].night, k))  # type: ignore[union-attr]
        head = heads[k]
        if head is not None:
            yield head
        taken[k] += 1
        heads[k] = next(streams[k], None)


def simulate(
    profile: str,
    *,
    seed: int = 1,
    n: int | None = None,
    rates: Mapping[str, float] | None = None,
    first_night: int = FIRST_NIGHT,
    progress: Progress | None = None,
) -> Iterator[SimMessage]:
    """The messages of a profile in the order they are sent, in bounded memory; arguments as for `Simulation`."""
    simulation = Simulation(profile, seed=seed, n=n, rates=rates, first_night=first_night)
    for message in simulation.messages(progress):
        simulation.take_truth()
        yield message
