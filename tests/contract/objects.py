"""What every object store promises; a subclass only says how to get an empty one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.errors import BadQuery
from lasair.packets.batch import Columns
from lasair.schema.model import INT_MISSING, Survey, object_key, table
from lasair.sky.separation import separation_arcsec
from lasair.stores.protocols import ObjectStore, PutResult, Versions


def objects(survey: Survey, keys: Sequence[int | str], **given: Sequence[Any]) -> Columns:
    """Columns of `objects`: missing but for those given."""
    found: Columns = {}
    for column in table("objects", survey).columns:
        if column.name in given:
            found[column.name] = np.array(given[column.name])
        elif column.type == "double":
            found[column.name] = np.full(len(keys), np.nan)
        elif column.type in ("int", "bigint", "bool"):
            found[column.name] = np.full(len(keys), INT_MISSING)
        elif column.type == "timestamp":
            found[column.name] = np.full(len(keys), "2026-03-10 00:00:00.000000")
        else:
            found[column.name] = np.full(len(keys), "")
    found[object_key(survey)] = np.array(keys)
    return found


def versions(*each: tuple[float, int, int]) -> Versions:
    mjd, alert, rows = zip(*each, strict=True)
    return Versions(np.array(mjd, np.float64), np.array(alert, np.int64), np.array(rows, np.int64))


def put_one(store: ObjectStore, key: int, version: tuple[float, int, int], **given: Any) -> PutResult:
    columns = objects("lsst", [key], **{name: [value] for name, value in given.items()})
    return store.put("lsst", "objects", columns, versions(version))


class ObjectStoreContract(ABC):
    @abstractmethod
    def empty_store(self) -> ObjectStore: ...

    def test_rows_come_back_in_schema_order(self) -> None:
        store = self.empty_store()
        given: dict[str, Any] = {"ra": [150.25], "decl": [-2.5], "nDiaSources": [7], "tns_name": ["2026abc"]}
        assert store.put("lsst", "objects", objects("lsst", [5], **given), versions((61000.0, 1, 1))) == PutResult(1, 0)
        (row,) = store.get("lsst", "objects", 5)
        assert tuple(row) == table("objects", "lsst").column_names
        assert (row["diaObjectId"], row["ra"], row["decl"], row["nDiaSources"], row["tns_name"]) == (
            5,
            150.25,
            -2.5,
            7,
            "2026abc",
        )
        # every kind of missing is NULL
        assert row["g_psfFlux"] is None
        assert row["latestR"] is None
        assert row["htm16"] is None
        assert store.get("lsst", "objects", 6) == []
        store.close()

    def test_text_keys(self) -> None:
        store = self.empty_store()
        columns = objects("ztf", ["ZTF18aaaaaab", "ZTF18aaaaaac"], gmag=[18.5, np.nan])
        assert store.put("ztf", "objects", columns, versions((61000.0, 1, 1), (61000.0, 2, 1))).written == 2
        (row,) = store.get("ztf", "objects", "ZTF18aaaaaab")
        assert row["gmag"] == 18.5
        assert store.get("lsst", "objects", "ZTF18aaaaaab") == []
        assert store.count("ztf", "objects") == 2
        assert store.count("lsst", "objects") == 0
        store.close()

    def test_empty_batch(self) -> None:
        store = self.empty_store()
        assert store.put("lsst", "objects", objects("lsst", []), Versions(*(np.empty(0, np.int64),) * 3)) == PutResult(
            0, 0
        )
        assert store.put("lsst", "area_hits", {}) == PutResult(0, 0)
        store.close()

    @pytest.mark.parametrize("other", [(60999.9, 99, 99), (61000.0, 4, 99), (61000.0, 5, 2)])
    def test_older_alert_never_overwrites_a_newer_one(self, other: tuple[float, int, int]) -> None:
        store = self.empty_store()
        put_one(store, 1, (61000.0, 5, 3), ra=1.0)
        assert put_one(store, 1, other, ra=2.0) == PutResult(0, 1)
        assert store.get("lsst", "objects", 1)[0]["ra"] == 1.0
        store.close()

    @pytest.mark.parametrize("other", [(61000.1, 1, 1), (61000.0, 6, 1), (61000.0, 5, 4), (61000.0, 5, 3)])
    def test_newer_or_equal_alert_overwrites(self, other: tuple[float, int, int]) -> None:
        store = self.empty_store()
        put_one(store, 1, (61000.0, 5, 3), ra=1.0, nDiaSources=3)
        assert put_one(store, 1, other, ra=2.0) == PutResult(1, 0)
        (row,) = store.get("lsst", "objects", 1)
        assert (row["ra"], row["nDiaSources"]) == (2.0, None)
        store.close()

    def test_greatest_version_in_a_batch_wins(self) -> None:
        store = self.empty_store()
        columns = objects("lsst", [1, 2, 1, 1], ra=[10.0, 20.0, 30.0, 40.0])
        each = versions((61000.0, 7, 1), (61000.0, 1, 1), (61002.0, 3, 1), (np.nan, 99, 99))
        store.put("lsst", "objects", columns, each)
        assert store.get("lsst", "objects", 1)[0]["ra"] == 30.0
        assert store.get("lsst", "objects", 2)[0]["ra"] == 20.0
        store.close()

    @settings(max_examples=20, deadline=None)
    @given(
        said=st.lists(
            st.tuples(st.integers(1, 3), st.sampled_from([61000.0, 61001.0]), st.integers(1, 3), st.integers(1, 2)),
            min_size=1,
            max_size=8,
            unique_by=lambda one: (one[0], *one[1:]),
        ),
        data=st.data(),
    )
    def test_order_and_batching_do_not_matter(
        self, said: list[tuple[int, float, int, int]], data: st.DataObject
    ) -> None:
        # what an alert says follows from its version
        def put(store: ObjectStore, some: list[tuple[int, float, int, int]]) -> None:
            ra = [mjd - 61000.0 + alert + rows / 8 for _, mjd, alert, rows in some]
            store.put(
                "lsst",
                "objects",
                objects("lsst", [one[0] for one in some], ra=ra),
                versions(*(one[1:] for one in some)),
            )

        at_once, in_pieces = self.empty_store(), self.empty_store()
        put(at_once, said)
        for one in data.draw(st.permutations(said + said[:2])):
            put(in_pieces, [one])
        for key in (1, 2, 3):
            assert in_pieces.get("lsst", "objects", key) == at_once.get("lsst", "objects", key)
        at_once.close()
        in_pieces.close()

    def test_columns_not_given_keep_their_values(self) -> None:
        store = self.empty_store()
        put_one(store, 1, (61000.0, 5, 3), ra=1.0, nDiaSources=3)
        fit: Columns = {"diaObjectId": np.array([1, 2]), "BBBTemp": np.array([6.5, 7.5])}
        assert store.put("lsst", "objects", fit).written == 2
        (row,) = store.get("lsst", "objects", 1)
        assert (row["ra"], row["nDiaSources"], row["BBBTemp"]) == (1.0, 3, 6.5)
        # the version is kept too, and a row made without one gives way to any
        assert put_one(store, 1, (60999.0, 5, 3)).unchanged == 1
        assert put_one(store, 2, (60999.0, 5, 3)).written == 1
        store.close()

    def test_hits_are_replaced_by_their_whole_key(self) -> None:
        store = self.empty_store()
        hits: Columns = {
            "diaObjectId": np.array([1, 1, 2]),
            "ar_id": np.array([7, 8, 7]),
            # not stored; `versions` do not matter here
            "_alert": np.array([0, 0, 1]),
        }
        for _ in range(2):
            store.put("lsst", "area_hits", hits, versions((61000.0, 1, 1), (61000.0, 2, 1)))
        assert store.count("lsst", "area_hits") == 3
        assert store.get("lsst", "area_hits", 1) == [{"diaObjectId": 1, "ar_id": 7}, {"diaObjectId": 1, "ar_id": 8}]
        cone = {"diaObjectId": np.array([1]), "wl_id": np.array([3]), "cone_id": np.array([4])}
        store.put("lsst", "watchlist_hits", {**cone, "arcsec": np.array([1.5]), "name": np.array(["a"])})
        store.put("lsst", "watchlist_hits", {**cone, "arcsec": np.array([0.5]), "name": np.array([""])})
        (hit,) = store.get("lsst", "watchlist_hits", 1)
        assert (hit["arcsec"], hit["name"]) == (0.5, None)
        store.close()

    def test_versions_by_alert(self) -> None:
        store = self.empty_store()
        columns: Columns = {
            "diaObjectId": np.array([1, 2]),
            "classification": np.array(["SN", "VS"]),
            "_alert": np.array([2, 0]),
        }
        store.put("lsst", "sherlock_classifications", columns, versions((61000.0, 1, 1), (0.0, 0, 0), (61001.0, 3, 1)))
        older = {"diaObjectId": np.array([1, 2]), "classification": np.array(["CV", "CV"])}
        assert (
            store.put("lsst", "sherlock_classifications", older, versions((61000.5, 9, 9), (61000.5, 9, 9))).written
            == 1
        )
        assert store.get("lsst", "sherlock_classifications", 1)[0]["classification"] == "SN"
        assert store.get("lsst", "sherlock_classifications", 2)[0]["classification"] == "CV"
        store.close()

    def test_wrong_columns_are_refused(self) -> None:
        store = self.empty_store()
        with pytest.raises(ValueError, match="ar_id missing, wl_id unknown"):
            store.put("lsst", "area_hits", {"diaObjectId": np.array([1]), "wl_id": np.array([1])})
        with pytest.raises(ValueError, match="2 values"):
            store.put("lsst", "area_hits", {"diaObjectId": np.array([1]), "ar_id": np.array([1, 2])})
        store.close()

    def test_fetch_some_columns_of_many(self) -> None:
        store = self.empty_store()
        n = 2000
        store.put("lsst", "objects", objects("lsst", range(n), ra=np.arange(n) / 8.0), versions(*[(61000.0, 1, 1)] * n))
        found = store.fetch("lsst", "objects", ("ra", "decl"), [*range(n), 99_999])
        assert found == {key: (key / 8.0, None) for key in range(n)}
        assert store.fetch("lsst", "objects", ("ra",), []) == {}
        store.close()

    def test_cone(self) -> None:
        store = self.empty_store()
        chance = np.random.default_rng(3)
        # a cluster at the place asked, across the meridian and at the poles, and the whole sky
        centres = [(150.0, 2.0), (0.0, -30.0), (359.9995, 60.0), (77.0, 90.0), (10.0, -89.9995), (200.0, 89.0)]
        ra = [chance.uniform(0, 360, 400)]
        decl = [np.degrees(np.arcsin(chance.uniform(-1, 1, 400)))]
        for a, d in centres:
            near = np.clip(d + chance.normal(0, 0.002, 40), -90, 90)
            ra.append((a + chance.normal(0, 0.002, 40) / max(np.cos(np.radians(d)), 1e-3)) % 360.0)
            decl.append(near)
        all_ra, all_decl = np.concatenate(ra), np.concatenate(decl)
        keys = np.arange(1, len(all_ra) + 1)
        store.put(
            "lsst", "objects", objects("lsst", keys, ra=all_ra, decl=all_decl), versions(*[(61000.0, 1, 1)] * len(keys))
        )
        for a, d in centres:
            for radius in (0.0, 1.0, 10.0, 3600.0, 100_000.0):
                distance = separation_arcsec(a, d, all_ra, all_decl)
                inside = np.flatnonzero(distance <= radius)
                expected = sorted(zip(distance[inside].tolist(), keys[inside].tolist(), strict=True))
                found = store.cone("lsst", a, d, radius)
                assert [(s, key) for key, s in found] == expected
        assert store.cone("ztf", 1.0, 1.0, 100.0) == []
        store.close()

    def test_cone_of_named_objects_without_positions(self) -> None:
        store = self.empty_store()
        columns = objects("ztf", ["ZTF18aaaaaab", "ZTF18aaaaaac"], ramean=[10.0, np.nan], decmean=[20.0, 20.0])
        store.put("ztf", "objects", columns, versions((61000.0, 1, 1), (61000.0, 2, 1)))
        assert store.cone("ztf", 10.0, 20.0, 5.0) == [("ZTF18aaaaaab", 0.0)]
        store.close()

    def test_query(self) -> None:
        store = self.empty_store()
        store.put("lsst", "objects", objects("lsst", range(10), ra=np.arange(10.0)), versions(*[(61000.0, 1, 1)] * 10))
        sql = "SELECT diaObjectId, ra * :two AS double_ra FROM lsst_objects WHERE ra > :least ORDER BY diaObjectId"
        result = store.query(sql, {"two": 2, "least": 6.5}, time_limit_s=10, row_limit=2)
        assert result.names == ["diaObjectId", "double_ra"]
        assert result.rows == [(7, 14.0), (8, 16.0)]
        assert result.truncated
        result = store.query(sql, {"two": 2, "least": 6.5}, time_limit_s=10, row_limit=3)
        assert len(result.rows) == 3
        assert not result.truncated
        assert store.query(sql, {"two": 2, "least": 6.5}, time_limit_s=10, row_limit=0) == (result.names, [], True)
        # what was put meanwhile is seen
        put_one(store, 77, (61000.0, 1, 1), ra=100.0)
        assert len(store.query(sql, {"two": 2, "least": 50}, time_limit_s=10, row_limit=3).rows) == 1
        store.close()

    def test_query_that_takes_too_long(self) -> None:
        store = self.empty_store()
        store.put(
            "lsst", "objects", objects("lsst", range(300), ra=np.arange(300.0)), versions(*[(61000.0, 1, 1)] * 300)
        )
        crossed = ", ".join(f"lsst_objects {name}" for name in "abcd")
        sql = f"SELECT count(*) FROM {crossed} WHERE a.ra + b.ra > c.ra + d.ra"
        with pytest.raises(BadQuery, match=r"took longer than 0\.05 s"):
            store.query(sql, {}, time_limit_s=0.05, row_limit=3)
        # and the store goes on
        assert store.query("SELECT count(*) FROM lsst_objects", {}, time_limit_s=5, row_limit=3).rows == [(300,)]
        put_one(store, 1, (61009.0, 1, 1))
        store.close()

    @pytest.mark.parametrize(
        "sql", ["DELETE FROM lsst_objects", "INSERT INTO lsst_area_hits VALUES (1, 2)", "DROP TABLE lsst_objects"]
    )
    def test_query_cannot_write(self, sql: str) -> None:
        store = self.empty_store()
        put_one(store, 1, (61000.0, 1, 1))
        with pytest.raises(Exception, match=r"(?i)not authorized|read.?only|denied|prohibited"):
            store.query(sql, {}, time_limit_s=1, row_limit=3)
        assert store.count("lsst", "objects") == 1
        store.close()
