"""Updates as a whole, from a server and from files: what is asked, taken in, kept through faults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lasair.errors import BadDefinition, NotFound, NotPermitted, StoreUnavailable
from lasair.tns.fetch import Credentials
from lasair.tns.mirror import TnsMirror
from lasair.tns.update import Brought, Updated, local_path, update, updating
from tests.support.faults import read_only
from tests.unit.tns.made import Server, answer, cut, row, text_of, zipped

NOW = datetime(2026, 7, 9, 3, 30, tzinfo=UTC)
CREDENTIALS = Credentials(Server.key, 91941, 'Lasair "bot"')
FULL, DAY = "tns_public_objects.csv.zip", "tns_public_objects_{}.csv.zip"


def day_text(date: str, *rows: dict[str, str]) -> bytes:
    return zipped(text_of(rows, f"{date} 00:00:00 - 23:59:59"))


def hour_text(date: str, hour: int, *rows: dict[str, str]) -> bytes:
    return zipped(text_of(rows, f"{date} {hour:02d}:00:00 - {hour:02d}:59:59", quiet=not rows))


@pytest.fixture
def filled(server: Server) -> Server:
    """A night at TNS: the whole list, two days, three hours of which one was quiet and one is not there."""
    server.files = {
        FULL: zipped(text_of([row(i) for i in range(1, 11)], "2026-07-08 00:00:00")),
        DAY.format("20260707"): day_text("2026-07-07", row(1)),
        DAY.format("20260708"): day_text(
            "2026-07-08", row(2, name_prefix="SN", type="SN Ia", lastmodified="2026-07-08 10:00:00"), row(11)
        ),
        DAY.format("00"): hour_text("2026-07-09", 0, row(12), {**row(13), "ra": "x"}),
        DAY.format("01"): hour_text("2026-07-09", 1),
    }
    return server


def run(mirror: TnsMirror, server: Server, now: datetime = NOW, told: list[Brought] | None = None) -> Updated:
    server.asked.clear()
    progress = None if told is None else told.append
    return update(mirror, server.url, CREDENTIALS, now=now, progress=progress, sleep=lambda _: None)


def test_the_first_update(mirror: TnsMirror, filled: Server) -> None:
    told: list[Brought] = []
    done = run(mirror, filled, told=told)
    assert done.problems == [] and told == done.files
    assert filled.asked == [FULL, *(DAY.format(one) for one in ("20260707", "20260708", "00", "01", "02"))]
    assert (done.new, done.changed, done.removed, done.bad_rows) == (12, 1, 0, 1)
    assert [(one.kind, one.period, one.found, one.rows) for one in done.files] == [
        ("full", "2026-07-08", True, 10), ("day", "2026-07-07", True, 1), ("day", "2026-07-08", True, 2),
        ("hour", "2026-07-09 00", True, 1), ("hour", "2026-07-09 01", True, 0), ("hour", "2026-07-09 02", False, 0),
    ]  # fmt: skip
    assert [str(one) for one in done.files[3].bad] == ["line 4: ra 'x' is not a number"]
    assert len(mirror) == 12 and mirror.find("2026x2")["type"] == "SN Ia"
    status = mirror.status()
    assert status.last_error is None and status.last_update == "2026-07-09 03:30:00.000000"


def test_only_what_is_new_is_asked_for(mirror: TnsMirror, filled: Server) -> None:
    run(mirror, filled)
    done = run(mirror, filled)
    # not there half an hour ago: perhaps now
    assert filled.asked == [DAY.format("02")] and done.problems == []
    assert done.files[0].found is False
    filled.files[DAY.format("02")] = hour_text("2026-07-09", 2, row(14))
    filled.files[DAY.format("03")] = hour_text("2026-07-08", 3, row(2))  # of yesterday still
    done = run(mirror, filled, NOW + timedelta(hours=1))
    assert filled.asked == [DAY.format("02"), DAY.format("03")] and done.new == 1 and done.problems == []
    filled.files[DAY.format("03")] = hour_text("2026-07-09", 3, row(15))
    assert run(mirror, filled, NOW + timedelta(hours=1, minutes=1)).new == 1
    assert filled.asked == [DAY.format("03")]
    run(mirror, filled, NOW + timedelta(hours=1, minutes=2))
    assert filled.asked == []


def test_without_the_day_its_hours_are_taken(mirror: TnsMirror, filled: Server) -> None:
    del filled.files[DAY.format("20260708")]
    filled.files[DAY.format("22")] = hour_text("2026-07-08", 22, row(22))
    done = run(mirror, filled)
    assert DAY.format("22") in filled.asked and mirror.find("2026x22") and done.problems == []
    filled.files[DAY.format("20260708")] = day_text("2026-07-08", row(22), row(23))
    done = run(mirror, filled, NOW + timedelta(minutes=5))
    assert filled.asked == [DAY.format("20260708"), DAY.format("02")] and done.new == 1


def test_files_come_in_any_order_to_the_same(mirror: TnsMirror, filled: Server, tmp_path: Path) -> None:
    run(mirror, filled)
    folder = tmp_path / "files"
    folder.mkdir()
    other = TnsMirror(tmp_path / "other.db")
    for name, content in reversed(filled.files.items()):
        (folder / name).write_bytes(content)
        update(other, str(folder / name), Credentials(), now=NOW)
    # the whole list came last, and took nothing away that is younger
    for one in (mirror, other):
        assert one.cones().names == [f"2026x{i}" for i in range(1, 13)]
    assert {name: values.tolist() for name, values in mirror.columns().items() if values.dtype.kind == "O"} == {
        name: values.tolist() for name, values in other.columns().items() if values.dtype.kind == "O"
    }
    # and a server is asked only for what these files have not
    filled.asked.clear()
    update(other, filled.url, CREDENTIALS, now=NOW)
    assert filled.asked == [DAY.format("02")]
    other.close()


@pytest.mark.parametrize(
    "fault", [answer(500), cut, answer(429, x_rate_limit_reset="1"), answer(200, b"PK\x03\x04", length=99)]
)
def test_a_fault_in_the_middle_keeps_what_came_before_and_is_mended_later(
    mirror: TnsMirror, filled: Server, fault: Any
) -> None:
    filled.before(DAY.format("20260708"), *[fault] * 4)
    done = run(mirror, filled)
    (problem,) = done.problems
    assert f"{filled.url}{DAY.format('20260708')}: " in problem and len(mirror) >= 10
    assert mirror.status().last_error == problem and mirror.status().last_update is None
    again = run(mirror, filled)
    assert again.problems == [] and FULL not in filled.asked and DAY.format("20260708") in filled.asked
    assert mirror.cones().names == [f"2026x{i}" for i in range(1, 13)] and mirror.status().last_error is None


def test_a_wrong_key_ends_it_at_once_and_loses_nothing(mirror: TnsMirror, filled: Server) -> None:
    run(mirror, filled)
    before = mirror.columns()["tns_name"].tolist()
    filled.asked.clear()
    later = NOW + timedelta(days=3)
    done = update(mirror, filled.url, Credentials("wrong", 1, "x"), now=later, sleep=lambda _: None)
    assert len(done.problems) == 1 and "does not accept who asks (401" in done.problems[0]
    assert len(filled.asked) == 1 and mirror.columns()["tns_name"].tolist() == before


def test_after_some_bad_files_the_server_is_left_in_peace(mirror: TnsMirror, filled: Server) -> None:
    for name in list(filled.files)[1:]:
        filled.files[name] = b"something else\n"
    done = run(mirror, filled)
    assert len(done.problems) == 3 and len(mirror) == 10
    assert filled.asked[-1] == DAY.format("00")  # and not those after it


def test_no_list_at_first_is_a_fault_later_it_is_not(mirror: TnsMirror, filled: Server) -> None:
    whole = filled.files.pop(FULL)
    done = run(mirror, filled)
    assert len(done.problems) == 1 and "TNS has no such file now" in done.problems[0]
    assert len(mirror) == 3  # the day and the hours all the same
    filled.files[FULL] = whole
    assert run(mirror, filled).problems == [] and len(mirror) == 12
    del filled.files[FULL]
    assert run(mirror, filled, NOW + timedelta(days=9)).problems == [] and filled.asked[0] == FULL
    assert len(run(mirror, filled, NOW + timedelta(days=40)).problems) == 1


def test_the_weekly_list_removes_what_tns_has_taken_back(mirror: TnsMirror, filled: Server) -> None:
    run(mirror, filled)
    later = NOW + timedelta(days=8)
    rows = [row(i) for i in range(1, 13) if i != 5]
    filled.files[FULL] = zipped(text_of([*rows, {**row(30), "name": ""}], "2026-07-17 00:00:00"))
    done = run(mirror, filled, later)
    # not when a row could not be read: it might be that one
    assert done.removed == 0 and done.files[0].bad_count == 1 and filled.asked[0] == FULL
    filled.files[FULL] = zipped(text_of(rows, "2026-07-24 00:00:00"))
    done = run(mirror, filled, later + timedelta(days=7))
    assert done.removed == 1 and "2026x5" not in mirror.cones().names


def test_a_file_of_another_time_is_not_taken_for_the_one_asked_for(mirror: TnsMirror, filled: Server) -> None:
    filled.files[DAY.format("20260708")] = day_text("2026-07-01", row(40))
    done = run(mirror, filled)
    assert len(done.problems) == 1 and "is of another time" in done.problems[0] and mirror.find("2026x40")
    filled.files[FULL] = zipped(text_of([row(50)], "9999-12-31 00:00:00"))
    done = run(mirror, filled, NOW + timedelta(days=9))
    assert "is of another time" in done.problems[0] and len(mirror) > 10
    filled.files[FULL] = zipped(text_of([row(50)], ""))
    done = run(mirror, filled, NOW + timedelta(days=9))
    # without a first line it may be anything: nothing is removed
    assert done.files[0].period == "2026-07-17" and done.removed == 0


def test_a_folder_of_files(mirror: TnsMirror, filled: Server, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    for name, content in filled.files.items():
        (folder / name).write_bytes(content)
    (folder / "notes.txt").write_text("x")
    (folder / "broken.zip").write_bytes(b"PK\x03\x04")
    done = update(mirror, f"file://{str(folder).replace(' ', '%20')}", Credentials(), now=NOW)
    assert len(done.problems) == 1 and "broken.zip" in done.problems[0]
    assert done.files[0].kind == "full" and done.new == 12 and len(done.files) == 5
    assert done.files[0].name == str(folder / FULL)
    again = update(mirror, str(folder), Credentials(), now=NOW)
    assert (again.new, again.changed, again.removed) == (0, 0, 0)


@pytest.mark.parametrize("first", ["", "2026-07-08 00:00:00 - 11:22:33", "2999-01-01 00:00:00"])
def test_a_file_of_ones_own_need_not_be_of_any_time(mirror: TnsMirror, tmp_path: Path, first: str) -> None:
    (tmp_path / "mine.csv").write_text(text_of([row(1)], first))
    done = update(mirror, str(tmp_path / "mine.csv"), Credentials(), now=NOW)
    assert done.new == 1 and done.files[0].kind is None and mirror.applied() == []


def test_addresses(mirror: TnsMirror, tmp_path: Path) -> None:
    assert local_path("HTTPS://x/") is None and local_path("http://x/") is None
    assert local_path("file:///a%20b/c") == Path("/a b/c") and local_path("file://localhost/a") == Path("/a")
    assert local_path("a/b.csv") == Path("a/b.csv")
    for wrong in ("ftp://x/", "file://host/a", "file:a", "", "a\0b"):
        with pytest.raises(BadDefinition):
            local_path(wrong)
    with pytest.raises(NotFound, match="there is no such file or folder"):
        update(mirror, str(tmp_path / "none"), Credentials(), now=NOW)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match=r"there is no \.csv or \.zip file in this folder"):
        update(mirror, str(tmp_path / "empty"), Credentials(), now=NOW)
    with pytest.raises(BadDefinition, match="tns_api_key"):
        update(mirror, "https://www.wis-tns.org/x/", Credentials(), now=NOW)
    assert "tns_api_key" in (mirror.status().last_error or "")


def test_one_update_at_a_time(tmp_path: Path) -> None:
    with (
        updating(tmp_path),
        pytest.raises(NotPermitted, match="another 'lasair tns update' is at work"),
        updating(tmp_path),
    ):
        pass
    with updating(tmp_path):
        pass
    folder = tmp_path / "folder"
    folder.mkdir()
    with read_only(folder), pytest.raises(StoreUnavailable, match="--state"), updating(folder):
        pass
