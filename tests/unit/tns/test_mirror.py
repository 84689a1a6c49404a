"""The mirror: what replaces what, what is removed, what is told to others, faults of the disk."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.errors import NotFound, StoreUnavailable
from lasair.schema.model import INT_MISSING, table
from lasair.sky.htm import htm_id
from lasair.tns.mirror import Applied, TnsMirror
from lasair.tns.rows import empty
from tests.contract.embedded import EmbeddedStoreContract
from tests.unit.tns.made import row, rows_of

NOW = datetime(2026, 7, 8, 10, 30, tzinfo=UTC)
LATER = "2026-07-05 00:00:00"


class TestEmbedded(EmbeddedStoreContract):
    def open(self, folder: Path) -> TnsMirror:
        return TnsMirror(folder / "tns.db")

    def write(self, store: Any, number: int) -> None:
        rows = [row(1000 * number + i + 1, reporters=f"{number} {i} " + "x" * 3000) for i in range(100)]
        store.merge(rows_of(*rows), now=NOW)

    def held(self, store: Any, number: int) -> object:
        found = store.columns([1000 * number + i + 1 for i in range(100)])
        return [(name, values.tolist()) for name, values in found.items() if len(values) and name not in _OFTEN_NAN]


_OFTEN_NAN = ("z", "hostz")


def test_new_changed_unchanged(mirror: TnsMirror) -> None:
    done = mirror.merge(rows_of(row(5), row(3)))
    assert (done.new, done.changed, done.unchanged, done.changed_ids.tolist()) == (2, 0, 0, [3, 5])
    done = mirror.merge(rows_of(row(5), row(3, type="SN II", name_prefix="SN", lastmodified=LATER), row(9)))
    assert (done.new, done.changed, done.unchanged, done.changed_ids.tolist()) == (1, 1, 1, [3, 9])
    done = mirror.merge(rows_of(row(3, lastmodified="2026-07-04 23:59:59")))
    assert (done.new, done.changed, done.unchanged, done.changed_ids.tolist()) == (0, 0, 1, [])
    done = mirror.merge(empty())
    assert (done.new, done.changed, done.unchanged, done.removed) == (0, 0, 0, 0)
    assert len(mirror) == 3 and mirror.find("SN 2026x3")["type"] == "SN II"


def test_later_edits_are_taken_whatever_they_change(mirror: TnsMirror) -> None:
    mirror.merge(rows_of(row(1)))
    mirror.merge(rows_of(row(1, name_prefix="SN", type="SN Ia", redshift=0.02, lastmodified="2026-07-02 00:00:00")))
    mirror.merge(rows_of(row(1, name_prefix="SN", type="SN II", redshift=0.03, lastmodified="2026-07-03 00:00:00")))
    found = mirror.find("2026x1")
    assert (found["name_prefix"], found["type"], found["redshift"]) == ("SN", "SN II", 0.03)
    # taken back
    mirror.merge(rows_of(row(1, lastmodified="2026-07-04 00:00:00")))
    found = mirror.find("2026x1")
    assert (found["name_prefix"], found["type"], found["redshift"]) == ("AT", None, None)


_versions = st.tuples(
    st.integers(1, 3),
    st.sampled_from(["2026-07-01 00:00:00", "2026-07-01 00:00:00.5", "2026-07-02 00:00:00", ""]),
    st.sampled_from(["", "SN Ia", "SN II"]),
    st.sampled_from(["", "0.1", "0.10", "0.2"]),
    st.sampled_from(["A", "B"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_versions, max_size=5), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_files_matters(files: list[list[Any]], chance: Any) -> None:
    def held(order: list[list[Any]]) -> list[dict[str, Any]]:
        mirror = TnsMirror(Path(folder) / f"{len(found)}.db", durable=False)
        for file in order:
            rows = [
                row(objid, lastmodified=time, type=kind, redshift=z, reporters=who)
                for objid, time, kind, z, who in file
            ]
            mirror.merge(rows_of(*rows))
        columns = mirror.columns()
        del columns["lasairmodified_date"]
        mirror.close()
        return [{name: repr(values[i]) for name, values in columns.items()} for i in range(len(columns["ra"]))]

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found: list[list[dict[str, Any]]] = []
        found.append(held(files))
        again = files + chance.choices(files, k=2)
        chance.shuffle(again)
        found.append(held([chance.sample(file, len(file)) for file in again]))
    assert found[0] == found[1]


def test_of_rows_of_one_time_the_fuller_one_counts(mirror: TnsMirror) -> None:
    full, poor = row(1, type="SN Ia"), row(1, filter="")
    for rows in ((full, poor), (poor, full), (poor,)):
        mirror.merge(rows_of(*rows))
        assert mirror.find("2026x1")["type"] == "SN Ia"


def test_columns_are_those_of_the_schema(mirror: TnsMirror) -> None:
    names = "ATLAS26abc, " * 40
    mirror.merge(
        rows_of(
            row(2, redshift=0.5, type="SN Ia", internal_names=names),
            row(1, name_prefix="", discoverymag="", filter="", discoverydate="", reporting_group="ZTF"),
        ),
        now=NOW,
    )
    found = mirror.columns()
    where = table("crossmatch_tns", "lsst")
    assert tuple(found) == where.column_names
    one = {name: values[0] for name, values in found.items()}
    assert one["tns_name"] == "2026x1" and one["tns_prefix"] == one["disc_mag_filter"] == one["disc_date"] == ""
    assert math.isnan(one["disc_mag"]) and math.isnan(one["z"]) and math.isnan(one["hostz"])
    assert one["host_name"] == one["ext_catalogs"] == one["type"] == ""
    assert (one["sender"], one["source_group"]) == ("ZTF", "ATLAS")
    assert one["disc_int_name"] == "ATLAS26abc, ZTF26aaa"
    assert one["lastmodified_date"] == "2026-07-01 12:00:02.000000"
    assert one["lasairmodified_date"] == "2026-07-08 10:30:00.000000"
    assert one["htm16"] == htm_id([150.5], [-3.25])[0] != INT_MISSING
    assert found["z"][1] == 0.5 and found["disc_date"][1] == "2026-07-01 10:49:26.400000"
    # what is too long ends after a whole name
    assert len(found["disc_int_name"][1]) <= 256 and found["disc_int_name"][1].endswith(", ATLAS26abc")
    for column in where.columns:
        kind = found[column.name].dtype.kind
        assert kind == {"double": "f", "bigint": "i"}.get(column.type, "O")


def test_columns_of_some_entries_and_of_none(mirror: TnsMirror) -> None:
    empty_columns = mirror.columns()
    assert all(len(values) == 0 for values in empty_columns.values()) and empty_columns["ra"].dtype == np.float64
    mirror.merge(rows_of(*(row(i) for i in range(1, 1300))))
    assert mirror.columns([7, 5, 7, 4000])["tns_name"].tolist() == ["2026x5", "2026x7"]
    assert len(mirror.columns(np.arange(1, 1200))["ra"]) == 1199
    assert len(mirror.columns([])["ra"]) == 0


def test_cones_are_named_without_prefix_and_one_name_has_one_cone(mirror: TnsMirror) -> None:
    assert mirror.cones().names == [] and mirror.cones().objid.dtype == np.int64
    mirror.merge(
        rows_of(
            row(2, ra=10), row(1, name_prefix="SN", ra=20),
            row(3, name="2026X2", ra=30, lastmodified=LATER),  # the same name, given twice
        )
    )  # fmt: skip
    cones = mirror.cones()
    assert cones.objid.tolist() == [1, 3] and cones.names == ["2026x1", "2026X2"]
    assert cones.ra.tolist() == [20.0, 30.0] and cones.decl.tolist() == [-3.25, -3.25]
    assert mirror.columns()["tns_name"].tolist() == cones.names and len(mirror.columns([2])["ra"]) == 0
    assert mirror.find("2026x2")["objid"] == 3


@pytest.mark.parametrize("name", ["2026x1", "SN2026x1", "sn 2026X1", " SN  2026x1 ", "AT2026x1", "SN_2026x1"])
def test_names_are_found_however_they_are_written(mirror: TnsMirror, name: str) -> None:
    mirror.merge(rows_of(row(1, name_prefix="SN")))
    assert mirror.find(name)["objid"] == 1


@pytest.mark.parametrize("name", ["2026x2", "x", "SN", "' OR 1", ""])
def test_a_name_that_is_not_there(mirror: TnsMirror, name: str) -> None:
    mirror.merge(rows_of(row(1)))
    with pytest.raises(NotFound, match="lasair tns update"):
        mirror.find(name)


def test_a_whole_list_removes_what_it_has_not(mirror: TnsMirror) -> None:
    at = datetime(2026, 7, 4, tzinfo=UTC)
    rows = [row(i) for i in range(1, 11)]
    mirror.merge(rows_of(*rows, row(20, lastmodified="2026-07-04 00:00:00")))
    # nothing is removed by a file that is not whole
    assert mirror.merge(rows_of(*rows[:9])).removed == 0
    # nor by one that lacks too much, however much else it has
    assert mirror.merge(rows_of(*rows[:8]), whole_at=at).removed == 0
    assert mirror.merge(rows_of(*(row(i) for i in range(100, 200))), whole_at=at).removed == 0 and len(mirror) == 111
    mirror.merge(rows_of(*rows[:9], *(row(i) for i in range(100, 200))))
    done = mirror.merge(rows_of(*rows[:9], row(300), *(row(i) for i in range(100, 199))), whole_at=at)
    # 20 was modified since
    assert (done.removed, done.removed_ids.tolist(), done.new) == (2, [10, 199], 1)
    assert mirror.cones().objid.tolist() == [*range(1, 10), 20, *range(100, 199), 300]


def test_what_came_in_a_later_file_is_not_removed_by_an_earlier_list(mirror: TnsMirror) -> None:
    at = datetime(2026, 7, 4, tzinfo=UTC)
    for seen_at in (at.replace(day=5), at.replace(day=4), None):  # the last changes nothing
        mirror.merge(rows_of(row(20), row(21)), seen_at=seen_at)
    mirror.merge(rows_of(row(21, type="SN Ia"), row(22)), seen_at=at)
    rows = rows_of(*(row(i) for i in range(100, 120)))
    mirror.merge(rows)
    assert mirror.merge(rows, whole_at=at).removed_ids.tolist() == [22]
    later = mirror.merge(rows, whole_at=at.replace(day=5))
    assert later.removed_ids.tolist() == [20, 21]


def test_what_others_have_not_been_told_yet(mirror: TnsMirror, tmp_path: Path) -> None:
    assert not mirror.unpublished() and mirror.unpublished().changed_ids is not None
    mirror.merge(rows_of(row(1), row(2)))
    first = mirror.unpublished()
    # the first time all is new to them
    assert first and first.changed_ids is None
    mirror.published(first.change)
    assert not mirror.unpublished()
    mirror.merge(rows_of(row(1), row(3)))
    told = mirror.unpublished()
    mirror.merge(rows_of(row(4)))
    mirror.published(told.change)
    # what came while they were told is kept for the next time, also by another process
    other = TnsMirror(tmp_path / "tns.db")
    waiting = other.unpublished()
    assert waiting.changed_ids is not None and waiting.changed_ids.tolist() == [4]
    other.close()
    mirror.published(waiting.change)
    # an entry of another name leaves a row behind, and so does one that is gone
    mirror.merge(rows_of(row(4, name="2026y", lastmodified=LATER)))
    assert mirror.unpublished().changed_ids is None
    mirror.published(mirror.unpublished().change)
    whole_at = datetime(2026, 7, 9, tzinfo=UTC)
    mirror.merge(rows_of(*(row(i) for i in range(1, 21))), whole_at=whole_at)
    mirror.published(mirror.unpublished().change)
    mirror.merge(rows_of(*(row(i) for i in range(1, 20))), whole_at=whole_at)
    assert mirror.unpublished().changed_ids is None and len(mirror) == 19


def test_files_are_remembered_and_forgotten(mirror: TnsMirror) -> None:
    mirror.record(Applied("day", "2026-04-01", NOW, True, 3, 2, 1, 0, 5))
    mirror.record(Applied("full", "2026-04-01", NOW, True))
    mirror.record(Applied("hour", "2026-07-08 09", NOW, False))
    assert [one[:2] for one in mirror.applied()] == [("full", "2026-04-01"), ("hour", "2026-07-08 09")]
    kept = Applied("day", "2026-07-01", NOW, True, 3, 2, 1, 0, 5)
    mirror.record(kept._replace(found=False))
    mirror.record(kept)
    assert mirror.applied()[0] == kept


def test_status(mirror: TnsMirror) -> None:
    status = mirror.status()
    assert (status.rows, status.newest, status.last_update, status.last_error) == (0, None, None, None)
    mirror.merge(rows_of(row(1), row(2, lastmodified=LATER)))
    mirror.ended(None, NOW)
    mirror.ended("no network", NOW.replace(hour=11))
    status = mirror.status()
    assert (status.rows, status.newest) == (2, "2026-07-05 00:00:00.000000")
    assert (status.last_update, status.last_error) == ("2026-07-08 10:30:00.000000", "no network")
    assert status.last_error_at == "2026-07-08 11:30:00.000000"
    mirror.ended(None, NOW)
    assert mirror.status().last_error is None and mirror.status().last_error_at is None


def test_reading_only(mirror: TnsMirror, tmp_path: Path) -> None:
    mirror.merge(rows_of(row(1)))
    reader = TnsMirror(tmp_path / "tns.db", read_only=True)
    assert len(reader) == 1 and reader.unpublished().changed_ids is None and reader.disk_bytes() > 0
    reader.check()
    with pytest.raises(StoreUnavailable):
        reader.merge(rows_of(row(2)))
    reader.close()
    with pytest.raises(StoreUnavailable, match="is not there"):
        TnsMirror(tmp_path / "none.db", read_only=True)
    (tmp_path / "cut.db").touch()
    with pytest.raises(StoreUnavailable, match="no table entries"):
        TnsMirror(tmp_path / "cut.db", read_only=True)
