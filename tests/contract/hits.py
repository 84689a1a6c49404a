"""What every object store promises of hits; a subclass only says how to get an empty one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.packets.batch import Columns
from lasair.schema.model import INT_MISSING, POSITION, SURVEYS, TNS_WATCHLIST, object_key, table
from lasair.stores.hits import HIT_TABLES, ListKey, ListState
from lasair.stores.positions import survey_of
from lasair.stores.protocols import Versions
from tests.contract.objects import objects, versions

TNS, STARS = ListKey("watchlist", TNS_WATCHLIST), ListKey("watchlist", 2)
FIELD, EVENT = ListKey("area", 3), ListKey("event", 4)
LISTS = {TNS: 1, STARS: 1, FIELD: 1, EVENT: 1}


class Alert(NamedTuple):
    object: int
    mjd: float
    alert: int
    rows: int

    @property
    def version(self) -> tuple[float, int, int]:
        return self[1:]

    @property
    def place(self) -> int:
        """Position and whatever else decides what it hits."""
        return int(self.mjd - 61000.0) * 5 + self.alert * 2 + self.rows + self.object


def hits_of(one: Alert, key: ListKey, version: int) -> list[tuple[Any, ...]]:
    """What an alert hits of a list, in the schema's order without the object."""
    at = one.place + key.list_id + version
    if key.kind == "watchlist":
        cones = [cone for cone in range(3) if (at * (cone + 1)) % 3 == 0]
        return [(key.list_id, c, float((at + 2 * c) % 4), f"n{c}v{version}", int(at % 2)) for c in cones]
    if key.kind == "area":
        return [(key.list_id,)] if at % 2 else []
    # the window of an event
    if one.mjd > 61001.0:
        return []
    return [(key.list_id, f"E{version}", float(at), None, 0.5, None)] if at % 3 else []


def columns_of(kind: str, found: Sequence[tuple[int, tuple[Any, ...]]]) -> Columns:
    """(index of the alert, hit) as columns."""
    where = table(HIT_TABLES[kind][0], "lsst")  # type: ignore[index]
    columns: Columns = {"_alert": np.array([i for i, _ in found], np.int64)}
    for i, column in enumerate(where.columns[1:]):
        values = [row[i] for _, row in found]
        if column.type == "double":
            columns[column.name] = np.array(values, np.float64)
        else:
            columns[column.name] = np.array(values, None if column.is_text else np.int64)
    return columns


def put_objects(store: Any, alerts: Sequence[Alert]) -> None:
    store.put(
        "lsst",
        "objects",
        objects("lsst", [one.object for one in alerts], ra=[1.0] * len(alerts), decl=[one.object for one in alerts]),
        versions(*(one.version for one in alerts)),
    )


def put_hits(store: Any, alerts: Sequence[Alert], lists: Mapping[ListKey, int] = LISTS) -> frozenset[ListKey]:
    hits = {}
    for kind, (name, _) in HIT_TABLES.items():
        found = [
            (i, row)
            for i, one in enumerate(alerts)
            for k in lists
            if k.kind == kind
            for row in hits_of(one, k, lists[k])
        ]
        hits[name] = columns_of(kind, found)
    keys = np.array([one.object for one in alerts])
    stale: frozenset[ListKey] = store.put_hits("lsst", keys, versions(*(one.version for one in alerts)), hits, lists)
    return stale


def put_batch(store: Any, alerts: Sequence[Alert], lists: Mapping[ListKey, int] = LISTS) -> None:
    put_objects(store, alerts)
    assert put_hits(store, alerts, lists) == frozenset()


def held(store: Any, table_name: str, keys: Iterable[int] = range(1, 5)) -> dict[int, list[tuple[Any, ...]]]:
    """Rows by object, without it."""
    return {
        key: rows for key in keys if (rows := [tuple(one.values())[1:] for one in store.get("lsst", table_name, key)])
    }


def nearest_name(rows: Sequence[tuple[Any, ...]]) -> str | None:
    tns = [row for row in rows if row[0] == TNS_WATCHLIST]
    return min(tns, key=lambda row: (row[2], row[1]))[3] if tns else None


def expected(newest: Mapping[int, Alert], kind: str, lists: Mapping[ListKey, int]) -> dict[int, list[tuple[Any, ...]]]:
    found = {
        key: sorted(row for one in lists if one.kind == kind for row in hits_of(alert, one, lists[one]))
        for key, alert in newest.items()
    }
    return {key: rows for key, rows in found.items() if rows}


def newest_of(alerts: Iterable[Alert]) -> dict[int, Alert]:
    found: dict[int, Alert] = {}
    for one in alerts:
        if one.object not in found or one.version > found[one.object].version:
            found[one.object] = one
    return found


def check_current(store: Any, alerts: Sequence[Alert], lists: Mapping[ListKey, int]) -> None:
    """Lists and areas: the newest alert and list say what there is."""
    newest = newest_of(alerts)
    assert held(store, "watchlist_hits") == expected(newest, "watchlist", lists)
    assert held(store, "area_hits") == expected(newest, "area", lists)
    names = store.fetch("lsst", "objects", ("tns_name",), list(newest))
    assert {key: name for key, (name,) in names.items()} == {
        key: nearest_name(expected(newest, "watchlist", lists).get(key, [])) for key in newest
    }


alerts_of = st.lists(
    st.builds(
        Alert,
        st.integers(1, 3),
        st.sampled_from([61000.0, 61001.0, 61002.0]),
        st.integers(1, 3),
        st.integers(1, 2),
    ),
    min_size=1,
    max_size=10,
)


def match(store: Any, key: ListKey, version: int, hits: Callable[[int], list[tuple[Any, ...]]], limit: int = 2) -> None:
    """Match all stored objects with a list whose hits depend on the object."""
    for survey in SURVEYS:
        place = None
        while (chunk := store.positions(survey, place, limit)) is not None:
            place = chunk.place
            found = [(i, row) for i, name in enumerate(chunk.keys.tolist()) for row in hits(name)]
            columns = columns_of(key.kind, found)
            written = store.put_list_hits(survey, key, version, chunk.keys, chunk.versions, columns, place)
            assert written is not None and written.all() and len(written) == len(found)


class HitStoreContract(ABC):
    @abstractmethod
    def empty_store(self) -> Any: ...

    def test_the_newest_alert_replaces_the_hits_of_lists_and_areas(self) -> None:
        store = self.empty_store()
        first, second = Alert(1, 61000.0, 1, 2), Alert(1, 61002.0, 1, 1)
        put_batch(store, [first])
        before = held(store, "watchlist_hits"), held(store, "area_hits"), held(store, "mma_area_hits")
        assert before == tuple(expected({1: first}, kind, LISTS) for kind in HIT_TABLES) and all(before)
        put_batch(store, [second])
        check_current(store, [second], LISTS)
        assert held(store, "watchlist_hits") != before[0]
        # what was seen in the event's window stays
        assert held(store, "mma_area_hits") == before[2]
        # and an older alert that comes late changes nothing
        put_batch(store, [first])
        check_current(store, [second], LISTS)
        store.close()

    def test_an_empty_batch(self) -> None:
        store = self.empty_store()
        nothing = Versions(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
        assert store.put_hits("lsst", np.empty(0, np.int64), nothing, {}, LISTS) == frozenset()
        assert store.put_hits("ztf", np.empty(0, "<U16"), nothing, {"area_hits": {}}, LISTS) == frozenset()
        store.close()

    @settings(max_examples=60, deadline=None)
    @given(said=alerts_of, data=st.data())
    def test_order_duplicates_and_batching_do_not_matter(self, said: list[Alert], data: st.DataObject) -> None:
        # what an alert says follows from its version
        said = list({(one.object, one.version): one for one in said}.values())
        store = self.empty_store()
        order = data.draw(st.permutations(said + said[: data.draw(st.integers(0, 3))]))
        while order:
            size = data.draw(st.integers(1, len(order)))
            put_batch(store, order[:size])
            order = order[size:]
        check_current(store, said, LISTS)
        hitting = newest_of(one for one in said if hits_of(one, EVENT, 1))
        assert held(store, "mma_area_hits") == expected(hitting, "event", LISTS)
        store.close()

    @settings(max_examples=150, deadline=None)
    @given(
        steps=st.lists(
            st.one_of(
                st.tuples(st.sampled_from(["batch", "crash"]), alerts_of),
                st.tuples(st.sampled_from(["edit", "begin", "scan", "write", "finish"]), st.sampled_from(list(LISTS))),
                st.tuples(st.just("remove"), st.sampled_from([STARS, FIELD])),
            ),
            max_size=25,
        )
    )
    def test_edits_and_matching_in_any_order_leave_what_the_newest_say(self, steps: list[tuple[str, Any]]) -> None:
        store = self.empty_store()
        defined = dict(LISTS)
        pipeline = dict(defined)
        said: list[Alert] = []
        repeated: list[list[Alert]] = []
        scanned: dict[ListKey, tuple[int, Any, list[Alert]]] = {}
        stored: dict[int, Alert] = {}

        def hits(batch: list[Alert]) -> None:
            nonlocal pipeline
            if put_hits(store, batch, pipeline):
                # as the pipeline does: again, with what is defined now
                pipeline = dict(defined)
                assert not put_hits(store, batch, pipeline)

        def put(batch: list[Alert]) -> None:
            nonlocal stored
            put_objects(store, batch)
            said.extend(batch)
            stored = newest_of([*stored.values(), *batch])

        def scan(key: ListKey) -> bool:
            state = store.lists().get(key)
            if state is None or state.removed:
                return False
            chunk = store.positions("lsst", state.place, 2)
            if chunk is not None:
                scanned[key] = state.version, chunk, [stored[name] for name in chunk.keys.tolist()]
            return chunk is not None

        def write(key: ListKey) -> None:
            if key in scanned:
                version, chunk, seen = scanned.pop(key)
                found = [(i, row) for i, one in enumerate(seen) for row in hits_of(one, key, version)]
                columns = columns_of(key.kind, found)
                written = store.put_list_hits("lsst", key, version, chunk.keys, chunk.versions, columns, chunk.place)
                known = store.lists()[key]
                assert (written is None) == (known.version > version)
                assert written is None or known.place == chunk.place

        def match_all(key: ListKey) -> None:
            store.begin_list(key, defined[key])
            while scan(key):
                write(key)
            store.finish_list(key, defined[key])

        for what, given_ in steps:
            if what == "batch":
                put(given_)
                hits(given_)
            elif what == "crash":
                # killed between the two: the batch comes again
                put(given_)
                repeated.append(given_)
            elif given_ not in defined:
                pass
            elif what == "edit":
                defined[given_] += 1
            elif what == "begin":
                store.begin_list(given_, defined[given_])
            elif what == "scan":
                scan(given_)
            elif what == "write":
                write(given_)
            elif what == "finish":
                match_all(given_)
            else:
                # a batch under way may know a version that the store has not met; the next batch would remove the list
                store.begin_list(given_, defined.pop(given_))
                scanned.pop(given_, None)
                store.remove_list(given_)
        for batch in repeated:
            put(batch)
            hits(batch)
        for key in defined:
            match_all(key)
        check_current(store, said, defined)
        states = store.lists()
        assert all(states[key] == ListState(version, True, None) for key, version in defined.items())
        events = held(store, "mma_area_hits")
        for name, alert in newest_of(said).items():
            # of events more is kept than the newest alert hits, but never of an older version
            if hits_of(alert, EVENT, defined[EVENT]):
                assert events[name] == hits_of(alert, EVENT, defined[EVENT])
            elif name in events:
                of_this = [one for one in said if one.object == name]
                assert events[name] in [hits_of(one, EVENT, defined[EVENT]) for one in of_this]
        store.close()

    def test_hits_of_an_older_list_are_refused(self) -> None:
        store = self.empty_store()
        alert = Alert(1, 61000.0, 1, 1)
        put_batch(store, [alert])
        store.begin_list(STARS, 2)
        store.begin_list(ListKey("area", 9), 1)
        store.remove_list(EVENT)
        before = held(store, "watchlist_hits"), held(store, "area_hits")
        later = Alert(1, 61001.0, 1, 1)
        put_objects(store, [later])
        assert put_hits(store, [later]) == {STARS, ListKey("area", 9), EVENT}
        assert (held(store, "watchlist_hits"), held(store, "area_hits")) == before
        lists = {TNS: 1, STARS: 2, FIELD: 5, ListKey("area", 9): 1}
        put_batch(store, [later], lists)
        check_current(store, [later], lists)
        store.close()

    def test_hits_of_a_list_without_version_are_wrong(self) -> None:
        store = self.empty_store()
        hits = {"area_hits": columns_of("area", [(0, (7,))])}
        one = np.array([1]), versions((61000.0, 1, 1))
        with pytest.raises(ValueError, match="area 7"):
            store.put_hits("lsst", *one, hits, LISTS)
        with pytest.raises(ValueError, match="wl_id, cone_id missing, ar_id unknown"):
            store.put_hits("lsst", *one, {"watchlist_hits": hits["area_hits"]}, LISTS)
        with pytest.raises(ValueError, match="not begun"):
            store.put_list_hits("lsst", FIELD, 1, *one, columns_of("area", []), None)
        with pytest.raises(ValueError, match="not begun"):
            store.finish_list(FIELD, 1)
        with pytest.raises(ValueError, match="no survey"):
            store.put_hits("sdss", *one, {}, LISTS)
        for version in (0, -1, 2**62):
            with pytest.raises(ValueError, match="version"):
                store.begin_list(FIELD, version)
        with pytest.raises(ValueError, match="no kind of list 'galaxy'"):
            store.begin_list(ListKey("galaxy", 1), 1)  # type: ignore[arg-type]
        assert store.lists() == {}
        store.close()

    def test_versions_of_lists(self) -> None:
        store = self.empty_store()
        store.begin_list(FIELD, 3)
        assert store.lists() == {FIELD: ListState(3, False, None)}
        assert store.finish_list(FIELD, 3) == 0
        for version in (3, 2):
            store.begin_list(FIELD, version)
            assert store.lists() == {FIELD: ListState(3, True, None)}
        store.begin_list(FIELD, 4)
        assert store.lists() == {FIELD: ListState(4, False, None)}
        assert store.finish_list(FIELD, 3) == 0
        assert store.lists() == {FIELD: ListState(4, False, None)}
        assert store.remove_list(FIELD) == store.remove_list(FIELD) == 0
        store.begin_list(FIELD, 4)
        assert store.lists() == {FIELD: ListState(4, True, None, removed=True)}
        # one that was stopped comes again
        store.begin_list(FIELD, 5)
        assert store.lists() == {FIELD: ListState(5, False, None)}
        # a list may be removed before it was ever begun
        store.remove_list(EVENT)
        assert store.lists()[EVENT] == ListState(0, True, None, removed=True)
        store.begin_list(EVENT, 1)
        assert store.lists()[EVENT] == ListState(1, False, None)
        store.close()

    def test_a_new_version_is_matched_while_the_old_hits_stay(self) -> None:
        store = self.empty_store()
        alerts = [Alert(key, 61000.0, 1, 1) for key in (1, 2, 3, 4)]
        put_batch(store, alerts)
        for key in LISTS:
            store.begin_list(key, 2)
            before = held(store, HIT_TABLES[key.kind][0])
            match(store, key, 2, lambda name, key=key: hits_of(alerts[name - 1], key, 2))  # type: ignore[misc]
            during = held(store, HIT_TABLES[key.kind][0])
            if key != TNS:  # distances of hosts are computed from these
                assert {o: {row[:2] for row in rows} for o, rows in before.items()}.keys() <= during.keys()
            assert not store.lists()[key].matched and survey_of(store.lists()[key].place) == "lsst"
            assert (store.finish_list(key, 2) > 0) == (key != TNS)
            assert store.lists()[key] == ListState(2, True, None)
        lists = dict.fromkeys(LISTS, 2)
        check_current(store, alerts, lists)
        assert held(store, "mma_area_hits") == expected(newest_of(alerts), "event", lists)
        for key in LISTS:
            assert store.remove_list(key) > 0
        assert not any(held(store, name) for name, _ in HIT_TABLES.values())
        check_current(store, alerts, {})
        store.close()

    def test_an_object_that_has_moved_on_is_left_to_the_pipeline(self) -> None:
        store = self.empty_store()
        first, second = Alert(1, 61000.0, 1, 1), Alert(1, 61002.0, 1, 1)
        put_objects(store, [first])
        for key in (FIELD, EVENT):
            store.begin_list(key, 1)
        chunk = store.positions("lsst", None, 10)
        put_objects(store, [second])
        area, event = columns_of("area", [(0, (3,))]), columns_of("event", [(0, (4, "E", 5.0, None, 0.5, None))])
        assert store.put_list_hits("lsst", FIELD, 1, chunk.keys, chunk.versions, area, b"x").tolist() == [False]
        assert held(store, "area_hits") == {}
        # but it was seen in the event's window
        assert store.put_list_hits("lsst", EVENT, 1, chunk.keys, chunk.versions, event, None).tolist() == [True]
        assert held(store, "mma_area_hits") == {1: [(4, "E", 5.0, None, 0.5, None)]}
        assert store.lists()[FIELD].place == b"x"
        chunk = store.positions("lsst", None, 10)
        assert store.put_list_hits("lsst", FIELD, 1, chunk.keys, chunk.versions, area, b"y").tolist() == [True]
        assert held(store, "area_hits") == {1: [(3,)]}
        store.begin_list(FIELD, 2)
        assert store.put_list_hits("lsst", FIELD, 1, chunk.keys, chunk.versions, area, b"z") is None
        assert store.lists()[FIELD] == ListState(2, False, None)
        store.close()

    def test_an_object_without_a_version(self) -> None:
        store = self.empty_store()
        store.put("lsst", "objects", objects("lsst", [1], ra=[1.0], decl=[2.0]))
        store.begin_list(FIELD, 1)
        store.begin_list(EVENT, 1)
        chunk = store.positions("lsst", None, 10)
        assert np.isnan(chunk.versions.mjd_tai).all() and chunk.versions.alert_id.tolist() == [INT_MISSING]
        match(store, FIELD, 1, lambda _: [(3,)])
        match(store, EVENT, 1, lambda _: [(4, "E", 5.0, None, 0.5, None)])
        assert held(store, "area_hits") == {1: [(3,)]}
        lists = {FIELD: 1, EVENT: 1}
        unknown = versions((np.nan, 1, 1))
        assert not store.put_hits("lsst", np.array([1]), unknown, {}, lists)
        assert held(store, "area_hits") == {}
        assert held(store, "mma_area_hits") == {1: [(4, "E", 5.0, None, 0.5, None)]}
        store.close()

    def test_the_nearest_of_the_tns_gives_the_name(self) -> None:
        store = self.empty_store()
        put_objects(store, [Alert(1, 61000.0, 1, 1)])

        def put(*rows: tuple[Any, ...]) -> tuple[str | None, str]:
            hits = {"watchlist_hits": columns_of("watchlist", [(0, row) for row in rows])}
            assert not store.put_hits("lsst", np.array([1]), versions((61000.0, 1, 1)), hits, LISTS)
            (row,) = store.get("lsst", "objects", 1)
            return row["tns_name"], row["timestamp"]

        name, when = put((1, 9, 1.5, "2026a", 1), (1, 8, 0.5, "2026c", 1), (1, 7, 0.5, "2026b", 1), (2, 1, 0.1, "x", 1))
        assert name == "2026b"
        # the wide row is not written for nothing
        assert put((1, 7, 0.5, "2026b", 1)) == (name, when)
        assert put((1, 7, 0.5, "2026B", 1))[0] == "2026B"
        assert put((2, 1, 0.1, "x", 1))[0] is None
        # and an alert does not overwrite it
        assert put((1, 7, 0.5, "2026b", 1))[0] == "2026b"
        columns = objects("lsst", [1], ra=[2.0])
        del columns["tns_name"]
        store.put("lsst", "objects", columns, versions((61009.0, 1, 1)))
        assert store.get("lsst", "objects", 1)[0]["tns_name"] == "2026b"
        assert store.remove_list(TNS) == 1
        assert store.get("lsst", "objects", 1)[0]["tns_name"] is None
        store.close()

    def test_the_name_is_of_the_newest_list_while_it_is_matched(self) -> None:
        store = self.empty_store()
        put_objects(store, [Alert(1, 61000.0, 1, 1)])
        one = np.array([1]), versions((61000.0, 1, 1))
        old, new = ([(0, (1, cone, arcsec, name, 1))] for cone, arcsec, name in ((7, 0.1, "old"), (8, 1.0, "new")))
        assert not store.put_hits("lsst", *one, {"watchlist_hits": columns_of("watchlist", old)}, LISTS)
        store.begin_list(TNS, 2)
        store.put_list_hits("lsst", TNS, 2, *one, columns_of("watchlist", new), None)
        assert len(held(store, "watchlist_hits")[1]) == 1
        assert store.get("lsst", "objects", 1)[0]["tns_name"] == "new"
        store.begin_list(TNS, 3)
        store.put_list_hits("lsst", TNS, 3, *one, columns_of("watchlist", []), None)
        assert not held(store, "watchlist_hits")
        assert store.get("lsst", "objects", 1)[0]["tns_name"] is None
        store.close()

    def test_a_list_that_came_back_is_not_removed(self) -> None:
        store = self.empty_store()
        store.begin_list(FIELD, 1)
        store.begin_list(FIELD, 3)
        assert store.remove_list(FIELD, 1) == 0
        assert store.lists() == {FIELD: ListState(3, False, None)}
        store.remove_list(FIELD, 3)
        assert store.lists()[FIELD].removed
        # stopped half-way, and done again
        store.remove_list(FIELD, 3)
        assert store.lists()[FIELD] == ListState(3, True, None, removed=True)
        store.close()

    def test_of_alerts_in_the_window_of_an_event_the_newest_decides(self) -> None:
        store = self.empty_store()
        windows = {EVENT.list_id: (61000.0, 61010.0)}

        def put(mjd: float, hit: bool) -> list[Any]:
            put_objects(store, [one := Alert(1, mjd, 1, 1)])
            rows = [(0, (4, "E", mjd, None, 0.5, None))] if hit else []
            hits = {"mma_area_hits": columns_of("event", rows)}
            assert not store.put_hits("lsst", np.array([1]), versions(one.version), hits, LISTS, windows)
            return [row[2] for row in held(store, "mma_area_hits").get(1, [])]

        assert put(61002.0, True) == [61002.0]
        assert put(61001.0, False) == put(61001.5, True) == [61002.0], "late alerts"
        assert put(61003.0, False) == []
        assert put(61002.5, True) == [], "a late alert"
        assert put(61004.0, True) == [61004.0]
        assert put(61011.0, False) == [61004.0], "after the window"
        assert put(61005.0, True) == [61005.0], "late, but the last in the window"
        store.close()

    def test_a_newer_version_of_an_event_wins_over_a_newer_alert(self) -> None:
        store = self.empty_store()
        early, late = Alert(1, 61000.0, 1, 2), Alert(1, 61001.0, 2, 2)
        lists = {**LISTS, EVENT: 2}
        put_batch(store, [late])
        assert held(store, "mma_area_hits")[1] == hits_of(late, EVENT, 1) != []
        store.begin_list(EVENT, 2)
        put_batch(store, [early], lists)
        # the older alert is the only one known to lie in the map as it is now
        assert held(store, "mma_area_hits")[1] == hits_of(early, EVENT, 2) != []
        store.finish_list(EVENT, 2)
        assert held(store, "mma_area_hits")[1] == hits_of(early, EVENT, 2)
        store.close()

    def test_objects_with_names(self) -> None:
        store = self.empty_store()
        names = ["ZTF18aaaaaab", "ZTF18aaaaaac"]
        each = versions((61000.0, 1, 1), (61000.0, 2, 1))
        columns = objects("ztf", names, ramean=[10.0, 20.0], decmean=[5.0, -5.0])
        store.put("ztf", "objects", columns, each)
        hits = {"watchlist_hits": columns_of("watchlist", [(1, (1, 7, 0.5, "2026b", 1))])}
        assert not store.put_hits("ztf", np.array(names), each, hits, LISTS)
        assert store.get("ztf", "watchlist_hits", names[1])[0]["name"] == "2026b"
        chunk = store.positions("ztf", None, 10)
        assert chunk.keys.tolist() == names[::-1]
        store.begin_list(TNS, 1)
        assert store.put_list_hits("ztf", TNS, 1, *chunk[:1], chunk.versions, hits["watchlist_hits"], None).all()
        assert store.count("ztf", "watchlist_hits") == 2
        assert store.finish_list(TNS, 1) == 0 and store.remove_list(TNS) == 2
        store.close()

    def test_many_hits_are_removed(self) -> None:
        store = self.empty_store()
        n = 12_345
        keys = np.arange(n)
        each = Versions(np.full(n, 61000.0), keys, np.ones(n, np.int64))
        columns = objects("lsst", keys.tolist(), decl=np.linspace(-80, 80, n), ra=np.zeros(n))
        store.put("lsst", "objects", columns, each)
        hits = {"_alert": keys, "ar_id": np.full(n, 3)}
        assert not store.put_hits("lsst", keys, each, {"area_hits": hits}, LISTS)
        store.begin_list(FIELD, 2)
        some = {"_alert": keys[:5], "ar_id": np.full(5, 3)}
        store.put_list_hits("lsst", FIELD, 2, keys, each, some, None)
        assert store.finish_list(FIELD, 2) == n - 5
        assert store.count("lsst", "area_hits") == 5
        assert store.remove_list(FIELD) == 5
        store.close()

    @pytest.mark.parametrize("survey", SURVEYS)
    def test_positions(self, survey: str) -> None:
        store = self.empty_store()
        chance = np.random.default_rng(4)
        n = 400
        # many at one place, so that chunks end within it
        decl = np.round(chance.uniform(-90, 90, n), -1)
        ra = np.round(chance.uniform(0, 360, n), -2)
        decl[:5], ra[5:10] = np.nan, np.inf
        letters = [chr(97 + i // 26) + chr(97 + i % 26) for i in range(n)]
        keys = [f"ZTF18aaaaa{x}" for x in letters] if survey == "ztf" else list(range(7, n + 7))
        ra_name, decl_name = POSITION[survey]  # type: ignore[index]
        each = Versions(np.linspace(60000, 61000, n), np.arange(n), np.ones(n, np.int64))
        store.put(survey, "objects", objects(survey, keys, **{ra_name: ra, decl_name: decl}), each)  # type: ignore[arg-type]
        good = sorted((decl[i], ra[i], keys[i]) for i in range(10, n))
        for limit, low, high in (
            (1000, -90.0, 90.0),
            (1, -90.0, 90.0),
            (7, -30.0, 40.0),
            (3, 50.0, 50.0),
            (3, 51.0, 50.0),
        ):
            place, found = None, []
            while (chunk := store.positions(survey, place, limit, low, high)) is not None:
                assert 0 < len(chunk.keys) <= limit
                place = chunk.place
                assert survey_of(place) == survey
                of = [keys.index(one) for one in chunk.keys.tolist()]
                np.testing.assert_array_equal(np.array(chunk.versions), np.array(each)[:, of])
                found += list(zip(chunk.decl.tolist(), chunk.ra.tolist(), chunk.keys.tolist(), strict=True))
            assert found == [one for one in good if low <= one[0] <= high]
        # a place before the range is no place in it
        place = store.positions(survey, None, 1).place
        assert store.positions(survey, place, 1, 50.0, 60.0).decl[0] == 50.0
        other = "lsst" if survey == "ztf" else "ztf"
        with pytest.raises(ValueError, match=f"of {survey}"):
            store.positions(other, place, 1)
        store.close()

    def test_rows(self) -> None:
        store = self.empty_store()
        found = store.rows("lsst", "watchlist_hits", np.array([1, 2]))
        assert list(found) == [*table("watchlist_hits", "lsst").column_names, "_alert"]
        assert {name: len(values) for name, values in found.items()} == dict.fromkeys(found, 0)
        assert found["arcsec"].dtype == np.float64 and found["cone_id"].dtype == np.int64
        rows = {
            "diaObjectId": np.array([2, 2, 2000, 3]),
            "wl_id": np.array([5, 4, 1, 1]),
            "cone_id": np.array([1, 9, 1, 1]),
            "arcsec": np.array([1.0, 2.0, np.nan, 4.0]),
            "name": np.array(["b", "", "c", "d"]),
            "triggered": np.array([True, False, True, True]),
        }
        store.put("lsst", "watchlist_hits", rows)
        keys = np.array([2, 7, 2000, *range(10_000, 12_000), 2])
        found = store.rows("lsst", "watchlist_hits", keys)
        assert found["_alert"].tolist() == [0, 0, 2, len(keys) - 1, len(keys) - 1]
        assert found["wl_id"].tolist() == [4, 5, 1, 4, 5]
        assert found["name"].tolist() == ["", "b", "c", "", "b"]
        assert found["diaObjectId"].tolist() == [2, 2, 2000, 2, 2]
        assert found["triggered"].tolist() == [0, 1, 1, 0, 1]
        assert np.isnan(found["arcsec"][2])
        assert len(store.rows("lsst", "watchlist_hits", np.empty(0, np.int64))["_alert"]) == 0
        assert len(store.rows("ztf", "watchlist_hits", np.array(["ZTF18aaaaaab"]))["_alert"]) == 0
        store.close()

    def test_rows_by_the_name_in_the_tns(self) -> None:
        store = self.empty_store()
        store.put("ztf", "crossmatch_tns", {"tns_name": np.array(["2026abc", "2026É"]), "z": np.array([0.1, 0.2])})
        found = store.rows("lsst", "crossmatch_tns", np.array(["", "2026ABC", "2026é", "2026É", "x", "2026abc"]))
        # compared as SQL does: letters of ASCII only
        assert found["_alert"].tolist() == [1, 3, 5]
        assert found["z"].tolist() == [0.1, 0.2, 0.1]
        assert found["type"].tolist() == ["", "", ""]
        store.close()

    def test_what_is_kept_elsewhere(self) -> None:
        store = self.empty_store()
        for name in ("annotations", "tag_hits"):
            with pytest.raises(ValueError, match=r"marks\.db"):
                store.get("lsst", name, 1)
            with pytest.raises(ValueError, match=r"marks\.db"):
                store.put("lsst", name, {object_key("lsst"): np.array([1])})
        store.close()
