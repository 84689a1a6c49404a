"""Whatever the order of edits, batches and matchings: the hits are those of the final definitions and objects."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lasair.definitions import lists
from lasair.matching import past
from lasair.sky.areas import SKY_CELLS
from lasair.sky.skymap import Circle
from tests.unit.matching.world import World

T0 = 61000.0
#: Places by the pole, on both sides of RA 0, and close together.
PLACES = [(0.001, 10.0), (359.999, 10.0), (0.0, 10.001), (100.0, 90.0), (280.0, 89.999), (200.0, -30.0), (200.0, -30.5)]
#: Events: at the pole, around RA 0.
CIRCLES = [Circle(10.0, 89.0, 3.0, 0.9), Circle(0.0, 10.0, 1.0, 0.9)]
NAMES = ["a", "b"]

objects = st.integers(1, 3)
places = st.integers(0, len(PLACES) - 1)
times = st.integers(0, 12).map(lambda i: T0 + 4.0 * i)


def separation(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Degrees, by vectors."""

    def vector(at: tuple[float, float]) -> np.ndarray:
        ra, decl = np.radians(at)
        return np.array([np.cos(ra) * np.cos(decl), np.sin(ra) * np.cos(decl), np.sin(decl)])

    return float(np.degrees(2 * np.arcsin(np.linalg.norm(vector(a) - vector(b)) / 2)))


class Hits(RuleBasedStateMachine):
    """People edit, alerts come in any order, stored objects are matched, processes are killed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name) / "state")
        self.chunk, past.CHUNK = past.CHUNK, 1
        self.watchlists: dict[str, tuple[int, list[tuple[float, float]], bool]] = {}
        self.areas: dict[str, tuple[int, tuple[int, int]]] = {}
        self.events: dict[str, tuple[int, float, Circle, bool]] = {}
        #: object -> (time, alert) -> place
        self.seen: dict[int, dict[tuple[float, int], tuple[float, float]]] = {}

    def teardown(self) -> None:
        past.CHUNK = self.chunk
        self.world.close()
        self.folder.cleanup()

    @rule(name=st.sampled_from(NAMES), cones=st.lists(places, min_size=1, max_size=3))
    def watch(self, name: str, cones: list[int]) -> None:
        at = [PLACES[i] for i in cones]
        active = self.watchlists.get(name, (0, at, True))[2]
        self.watchlists[name] = (self.world.watchlist(name, at, radius=10.0), at, active)

    @rule(name=st.sampled_from(NAMES), active=st.booleans())
    def stop_or_activate(self, name: str, active: bool) -> None:
        if name in self.watchlists:
            (lists.activate if active else lists.stop)("watchlist", name)
            self.watchlists[name] = (*self.watchlists[name][:2], active)

    @rule(name=st.sampled_from(NAMES), kind=st.sampled_from(["watchlist", "area"]))
    def remove(self, name: str, kind: str) -> None:
        known = self.watchlists if kind == "watchlist" else self.areas
        if known.pop(name, None) is not None:  # type: ignore[attr-defined]
            (lists.remove_watchlist if kind == "watchlist" else lists.remove_area)(name)

    @rule(name=st.sampled_from(NAMES), part=st.sampled_from([(0, 4), (4, 12), (0, 12), (1, 9)]))
    def cover(self, name: str, part: tuple[int, int]) -> None:
        cells = (part[0] * (SKY_CELLS // 12), part[1] * (SKY_CELLS // 12))
        self.areas[name] = (self.world.area(name, [cells]), cells)

    @rule(name=st.sampled_from(NAMES), t0=st.sampled_from([T0, T0 + 9.0]), where=st.sampled_from(CIRCLES))
    def happens(self, name: str, t0: float, where: Circle) -> None:
        self.events[name] = (self.world.event(name, t0, where), t0, where, True)

    @rule(name=st.sampled_from(NAMES))
    def retract(self, name: str) -> None:
        if name in self.events:
            self.world.event(name, 0.0, None, retracted=True)
            self.events[name] = (*self.events[name][:3], False)

    @rule(said=st.lists(st.tuples(objects, times, places), min_size=1, max_size=3), look=st.booleans())
    def alerts(self, said: list[tuple[int, float, int]], look: bool) -> None:
        """With `look` off edits come between the pipeline's look at the definitions and the batch."""
        first = self.world.alerts
        batch = self.world.match(self.world.batch([(o, t, *PLACES[p]) for o, t, p in said]), take_in=look)
        self.world.keep(batch)
        for i, (one, mjd, place) in enumerate(said):
            self.seen.setdefault(one, {})[mjd, first + i + 1] = PLACES[place]

    @rule(steps=st.integers(1, 4))
    def match_and_stop(self, steps: int) -> None:
        matching = past.match_past(self.world.definitions, self.world.stores, contour=90.0, progress=Stop(steps))
        with suppress(KeyboardInterrupt):
            list(matching)

    @rule()
    def match(self) -> None:
        self.world.past()
        self.check()

    @initialize()
    def begin(self) -> None:
        self.world.stage.take_in(past.read_snapshot(self.world.definitions))

    @invariant()
    def nothing_unknown(self) -> None:
        assert {one["diaObjectId"] for one in self.world.rows("objects")} == self.seen.keys()

    def check(self) -> None:
        """Brute force."""
        last = {one: (when := max(said), said[when]) for one, said in self.seen.items()}
        cones = sorted(
            (one, number, i)
            for one, (_, at) in last.items()
            for number, where, active in self.watchlists.values()
            for i, cone in enumerate(where)
            if active and separation(at, cone) <= 10.0 / 3600.0
        )
        assert self.world.cones_hit() == cones
        areas = [(row["diaObjectId"], row["ar_id"]) for row in self.world.rows("area_hits")]
        assert areas == sorted(
            (one, number)
            for one, (_, at) in last.items()
            for number, (low, high) in self.areas.values()
            if low <= cell(at) < high
        )
        # the contour of the newest position; objects that moved after the window keep what they had in it
        events = {(row["diaObjectId"], row["mw_id"]) for row in self.world.rows("mma_area_hits")}
        for number, t0, where, active in self.events.values():
            for one, said in self.seen.items():
                inside = {
                    when: where.at([at[0]], [at[1]]).contour[0] <= 90.0
                    for when, at in said.items()
                    if t0 <= when[0] <= t0 + 21.0
                }
                (newest, _), at = last[one]
                if not active or not inside:
                    assert (one, number) not in events
                    continue
                if (
                    t0 <= newest <= t0 + 21.0
                    or len({*inside.values(), where.at([at[0]], [at[1]]).contour[0] <= 90.0}) == 1
                ):
                    assert ((one, number) in events) == inside[max(inside)]


def cell(at: tuple[float, float]) -> int:
    from lasair.catalogues.sky import Sky

    return int(Sky(np.array([at[0]]), np.array([at[1]])).cells(29)[0])


class Stop:
    """Progress that ends the process after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, _: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore::ResourceWarning")
class TestHits(Hits.TestCase):  # type: ignore[misc,valid-type,name-defined]
    settings = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
