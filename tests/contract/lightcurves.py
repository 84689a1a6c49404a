"""What every light-curve store promises; a subclass only says how to get an empty one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lasair.schema.model import DETECTION, FORCED, INT_MISSING, NONDETECTION, Survey, layout
from lasair.stores.protocols import LightcurveStore, PutResult

Row = dict[str, Any]


class Said(NamedTuple):
    """What one alert says of one object."""

    object_id: int
    version: tuple[float, int]
    rows: tuple[tuple[tuple[str, Any], ...], ...]


def rows_of(survey: Survey, rows: Sequence[Row]) -> NDArray[Any]:
    """Rows with the given fields, all others missing."""
    dtype = layout(survey, "row").dtype
    found = np.zeros(len(rows), dtype)
    for name in dtype.names or ():
        form = dtype[name]
        if form.kind == "f":
            found[name] = np.nan
        elif form.kind == "i" and form.itemsize > 1:
            found[name] = np.iinfo(form).min
    for i, row in enumerate(rows):
        for name, value in row.items():
            found[i][name] = value
    return found


def put(store: LightcurveStore, namespace: str, said: Sequence[Said]) -> PutResult:
    survey: Survey = "ztf" if namespace == "ztf" else "lsst"
    rows = [dict(row) for one in said for row in one.rows]
    offsets = np.concatenate(([0], np.cumsum([len(one.rows) for one in said]))).astype(np.int64)
    return store.put(
        namespace,
        np.array([one.object_id for one in said], np.int64),
        rows_of(survey, rows),
        offsets,
        np.array([one.version[0] for one in said], np.float64),
        np.array([one.version[1] for one in said], np.int64),
    )


def say(object_id: int, version: tuple[float, int], *rows: Row) -> Said:
    return Said(object_id, version, tuple(tuple(row.items()) for row in rows))


def detection(source_id: int, mjd: float, **more: Any) -> Row:
    return {"kind": DETECTION, "source_id": source_id, "mjd_tai": mjd, **more}


def content(store: LightcurveStore, namespace: str, object_ids: Sequence[int]) -> list[bytes]:
    rows, offsets = store.get(namespace, object_ids)
    return [rows[a:b].tobytes() for a, b in pairwise(offsets)]


# ---- a slow and simple model of the merge


def _is_missing(name: str, value: Any) -> bool:
    if isinstance(value, float):
        return value != value
    return bool(value == 0) if name == "sign" else False


def _join(name: str, a: Any, b: Any) -> Any:
    if _is_missing(name, a):
        return b
    if _is_missing(name, b):
        return a
    return max(a, b)


def model(survey: Survey, said: Sequence[Said]) -> dict[int, list[tuple[Any, ...]]]:
    """The light curves that the alerts make, by brute force: rows as tuples, NaN as None."""
    dtype = layout(survey, "row").dtype
    names = dtype.names or ()
    image = "pid" if survey == "ztf" else "visit"
    place = ("field", "rcid", "band") if survey == "ztf" else ("band",)
    held: dict[int, dict[Any, tuple[tuple[float, int], Row]]] = {}
    for one in said:
        curve = held.setdefault(one.object_id, {})
        for raw in rows_of(survey, [dict(row) for row in one.rows]):
            row = {name: raw[name].item() for name in names}
            if row["source_id"] != INT_MISSING:
                key: Any = (row["kind"], row["source_id"])
            else:
                key = (row["kind"], None, row["mjd_tai"], row[image], *(row[name] for name in place))
            if key not in curve or curve[key][0] < one.version:
                curve[key] = (one.version, row)
            elif curve[key][0] == one.version:
                curve[key] = (one.version, {name: _join(name, curve[key][1][name], row[name]) for name in names})
    found = {}
    for object_id, curve in held.items():
        rows = [row for _, row in curve.values()]
        rows.sort(key=lambda row: (row["mjd_tai"], row["kind"], row["source_id"], row[image], *(row[p] for p in place)))
        found[object_id] = [tuple(None if row[n] != row[n] else row[n] for n in names) for row in rows]
    return found


# few values, so that keys and versions collide
_floats = st.sampled_from([float("nan"), -3.5, -0.5, 0.0, 0.25, 7.0])
_mjds = st.sampled_from([61000.0, 61000.5, 61001.25, 61002.0])
_ids = st.sampled_from([INT_MISSING, 5, 6, 2**62])


def _rows(survey: Survey) -> st.SearchStrategy[Row]:
    common = {
        "mjd_tai": _mjds,
        "source_id": _ids,
        "kind": st.sampled_from([DETECTION, NONDETECTION, FORCED]),
        "band": st.sampled_from([0, ord("g"), ord("r")]),
        "ra": _floats,
    }
    if survey == "ztf":
        more: dict[str, Any] = {
            "pid": st.sampled_from([INT_MISSING, 1, 2]),
            "field": st.sampled_from([-(2**31), 400, 401]),
            "rcid": st.sampled_from([-(2**15), 0, 63]),
            "sign": st.sampled_from([-1, 0, 1]),
            "mag": _floats,
        }
    else:
        more = {
            "visit": st.sampled_from([INT_MISSING, 1, 2]),
            "flux": _floats,
            "detector": st.sampled_from([-1, 0, 188]),
        }
    return st.fixed_dictionaries({**common, **more})


@st.composite
def alerts(draw: st.DrawFn, survey: Survey) -> list[Said]:
    """Alerts about a few objects; alerts of one version may say different things."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        version = draw(st.tuples(st.sampled_from([60990.0, 61010.0]), st.integers(1, 2)))
        found.append(say(draw(st.integers(1, 3)), version, *draw(st.lists(_rows(survey), max_size=6))))
    return found


_quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow]
)


class LightcurveStoreContract(ABC):
    pair: tuple[LightcurveStore, ...] = ()
    examples = 0

    @pytest.fixture(autouse=True)
    def _close_pair(self) -> Iterator[None]:
        yield
        for store in self.pair:
            store.close()

    @abstractmethod
    def empty_store(self) -> LightcurveStore: ...

    def test_same_alert_twice_is_stored_once(self) -> None:
        store = self.empty_store()
        said = [say(1, (61000.5, 9), detection(7, 61000.5, flux=3.0), detection(6, 61000.0))]
        assert put(store, "lsst", said) == PutResult(written=2, unchanged=0)
        assert put(store, "lsst", said) == PutResult(written=0, unchanged=2)
        rows, offsets = store.get("lsst", [1])
        assert rows["source_id"].tolist() == [6, 7]
        assert offsets.tolist() == [0, 2]
        store.close()

    def test_empty_batch(self) -> None:
        store = self.empty_store()
        assert put(store, "lsst", []) == PutResult(0, 0)
        assert put(store, "ztf", [say(1, (61000.0, 1))]) == PutResult(0, 0)
        assert len(store.get("ztf", [1])[0]) == 0
        store.close()

    def test_unknown_object_is_empty(self) -> None:
        store = self.empty_store()
        rows, offsets = store.get("lsst", [404, 405])
        assert rows.dtype == layout("lsst", "row").dtype
        assert len(rows) == 0
        assert offsets.tolist() == [0, 0, 0]
        rows, offsets = store.get("ztf", [])
        assert len(rows) == 0
        assert offsets.tolist() == [0]
        store.close()

    def test_objects_come_in_the_order_asked(self) -> None:
        store = self.empty_store()
        put(
            store,
            "lsst",
            [say(i, (61000.0, i), *(detection(10 * i + k, 61000.0 + k) for k in range(i))) for i in (3, 1, 2)],
        )
        rows, offsets = store.get("lsst", [2, 404, 3, 2])
        assert rows["source_id"].tolist() == [20, 21, 30, 31, 32, 20, 21]
        assert offsets.tolist() == [0, 2, 2, 5, 7]
        store.close()

    def test_name_spaces_do_not_mix(self) -> None:
        store = self.empty_store()
        for namespace, source in (("lsst", 1), ("lsst_ss", 2), ("ztf", 3)):
            put(store, namespace, [say(5, (61000.0, source), detection(source, 61000.0))])
        for namespace, source in (("lsst", 1), ("lsst_ss", 2), ("ztf", 3)):
            assert store.get(namespace, [5])[0]["source_id"].tolist() == [source]
        store.close()

    def test_range_of_time_includes_both_ends(self) -> None:
        store = self.empty_store()
        put(
            store,
            "lsst",
            [say(o, (61000.0, o), *(detection(10 * o + k, 61000.0 + k) for k in range(5))) for o in (1, 2)],
        )
        rows, offsets = store.get("lsst", [1, 2], mjd_min=61001.0, mjd_max=61003.0)
        assert rows["source_id"].tolist() == [11, 12, 13, 21, 22, 23]
        assert offsets.tolist() == [0, 3, 6]
        assert store.get("lsst", [1], mjd_min=61004.5)[0].tolist() == []
        assert store.get("lsst", [1], mjd_max=61000.0)[0]["source_id"].tolist() == [10]
        store.close()

    def test_later_alert_wins_the_whole_row(self) -> None:
        early = say(1, (61000.0, 9), detection(7, 61000.5, flux=3.0, reliability=0.9))
        late = say(1, (61001.0, 1), detection(7, 61000.5, flux=2.0))
        for order in ([early, late], [late, early]):
            store = self.empty_store()
            for one in order:
                put(store, "lsst", [one])
            (row,) = store.get("lsst", [1])[0]
            assert row["flux"] == 2.0
            assert np.isnan(row["reliability"])
            store.close()

    def test_larger_alert_id_wins_at_one_time(self) -> None:
        one, two = (say(1, (61000.0, i), detection(7, 61000.5, flux=float(-i))) for i in (1, 2))
        store = self.empty_store()
        put(store, "lsst", [two, one])
        assert store.get("lsst", [1])[0]["flux"].tolist() == [-2.0]
        store.close()

    def test_copies_of_an_alert_fill_each_other_in(self) -> None:
        bare = say(1, (61000.0, 9), detection(7, 61000.0, flux=3.0))
        rich = say(1, (61000.0, 9), detection(7, 61000.0, flux=3.0, ra=150.0), detection(6, 60999.0))
        for order in ([bare, rich], [rich, bare]):
            store = self.empty_store()
            for one in order:
                put(store, "lsst", [one])
            rows = store.get("lsst", [1])[0]
            assert rows["source_id"].tolist() == [6, 7]
            assert rows["ra"][1] == 150.0
            store.close()

    def test_row_that_the_survey_dates_anew_moves(self) -> None:
        store = self.empty_store()
        put(store, "lsst", [say(1, (61005.0, 1), detection(7, 61003.0), detection(8, 61001.0))])
        put(store, "lsst", [say(1, (61006.0, 2), detection(7, 61000.0))])
        rows = store.get("lsst", [1])[0]
        assert rows["source_id"].tolist() == [7, 8]
        assert rows["mjd_tai"].tolist() == [61000.0, 61001.0]
        # what the older alert said does not come back
        put(store, "lsst", [say(1, (61005.0, 1), detection(7, 61003.0))])
        assert store.get("lsst", [1])[0]["mjd_tai"].tolist() == [61000.0, 61001.0]
        store.close()

    def test_unchanged_row_takes_the_newer_version(self) -> None:
        """Else an alert between the two would change it, and the order of arrival would show."""
        first, between, last = (
            say(1, (61000.0 + i, i), detection(7, 61000.0, flux=flux)) for i, flux in ((1, 5.0), (2, 6.0), (3, 5.0))
        )
        store = self.empty_store()
        for one in (first, last, between):
            put(store, "lsst", [one])
        assert store.get("lsst", [1])[0]["flux"].tolist() == [5.0]
        store.close()

    def test_rows_without_id_are_told_apart_by_provenance(self) -> None:
        base = {"kind": NONDETECTION, "mjd_tai": 61000.0, "band": ord("g"), "field": 400, "rcid": 3, "pid": 11}
        others = [
            {**base, **change}
            for change in ({"band": ord("r")}, {"field": 401}, {"rcid": 4}, {"pid": 12}, {"kind": FORCED})
        ]
        store = self.empty_store()
        for i in range(2):
            put(store, "ztf", [say(1, (61000.0, i), base, *others, {**base, "limit_mag": 20.5})])
        rows = store.get("ztf", [1])[0]
        assert len(rows) == 6
        assert np.nanmax(rows["limit_mag"]) == np.float32(20.5)
        # LSST: the same visit and band
        visit = {"kind": NONDETECTION, "mjd_tai": 61000.0, "band": ord("g"), "visit": 5}
        put(store, "lsst", [say(1, (61000.0, 1), visit, visit, {**visit, "visit": 6}, {**visit, "band": ord("r")})])
        assert len(store.get("lsst", [1])[0]) == 3
        store.close()

    def test_unknown_time_of_an_alert_is_older_than_any(self) -> None:
        store = self.empty_store()
        put(store, "lsst", [say(1, (61000.0, 1), detection(7, 61000.0, flux=1.0))])
        put(store, "lsst", [say(1, (float("nan"), 2), detection(7, 61000.0, flux=2.0), detection(8, 61001.0))])
        assert store.get("lsst", [1])[0]["flux"].tolist()[0] == 1.0
        assert len(store.get("lsst", [1])[0]) == 2
        store.close()

    def test_long_light_curve_in_any_pieces(self) -> None:
        chance = np.random.default_rng(1)
        whole = [detection(i, 61000.0 + float(i % 500) / 7, flux=float(i)) for i in range(3000)]
        store = self.empty_store()
        order = chance.permutation(3000)
        for i, piece in enumerate(np.array_split(order, 11)):
            put(store, "lsst", [say(1, (61000.0, i), *(whole[k] for k in piece))])
        rows = store.get("lsst", [1])[0]
        expected = sorted(whole, key=lambda row: (row["mjd_tai"], row["source_id"]))
        assert rows["source_id"].tolist() == [row["source_id"] for row in expected]
        assert rows["flux"].tolist() == [row["flux"] for row in expected]
        store.close()

    def test_many_objects_in_one_batch(self) -> None:
        store = self.empty_store()
        said = [say(o, (61000.0, o), detection(o, 61000.0), detection(o + 10_000, 61001.0)) for o in range(1, 3001)]
        assert put(store, "lsst", said).written == 6000
        rows, offsets = store.get("lsst", list(range(1, 3001)))
        assert np.diff(offsets).tolist() == [2] * 3000
        assert rows["source_id"][::2].tolist() == list(range(1, 3001))
        store.close()

    @_quick
    @given(said=alerts("lsst"), data=st.data())
    @example(
        said=[
            say(1, (61000.0, 1), detection(5, 61000.0, ra=-0.0)),
            say(1, (61000.0, 1), detection(5, 61000.0, ra=0.0)),
        ],
        data=None,
    )
    def test_order_repetition_and_batching_do_not_matter_lsst(
        self, said: list[Said], data: st.DataObject | None
    ) -> None:
        self._check("lsst", "lsst", said, data)

    @_quick
    @given(said=alerts("ztf"), data=st.data())
    def test_order_repetition_and_batching_do_not_matter_ztf(
        self, said: list[Said], data: st.DataObject | None
    ) -> None:
        self._check("ztf", "ztf", said, data)

    def _check(self, namespace: str, survey: Survey, said: list[Said], data: st.DataObject | None) -> None:
        # each example takes objects of its own: making stores would take most of the time
        if not self.pair:
            self.pair = (self.empty_store(), self.empty_store())
        self.examples += 1
        said = [one._replace(object_id=one.object_id + 10 * self.examples) for one in said]
        at_once, in_pieces = self.pair
        put(at_once, namespace, said)
        objects = [1 + 10 * self.examples, 2 + 10 * self.examples, 3 + 10 * self.examples]
        rows, offsets = at_once.get(namespace, objects)
        expected = model(survey, said)
        for i, object_id in enumerate(objects):
            found = [
                tuple(None if value != value else value for value in row.item())
                for row in rows[offsets[i] : offsets[i + 1]]
            ]
            assert found == expected.get(object_id, [])
        if data is None:
            shuffled, cuts = said[::-1], [1]
        else:
            repeated = said + data.draw(st.lists(st.sampled_from(said), max_size=3))
            shuffled = data.draw(st.permutations(repeated))
            cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=3)))
        for first, last in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
            put(in_pieces, namespace, shuffled[first:last])
        assert content(in_pieces, namespace, objects) == content(at_once, namespace, objects)
