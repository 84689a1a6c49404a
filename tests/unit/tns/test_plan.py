"""Which files are asked for, and in what order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lasair.tns.mirror import Applied
from lasair.tns.plan import Wanted, is_full_needed, plan

NOW = datetime(2026, 7, 9, 4, 30, tzinfo=UTC)


def day(text: str, *, found: bool = True, asked: datetime = NOW) -> Applied:
    return Applied("day", text, asked, found)


def full(text: str, asked: datetime = NOW) -> Applied:
    return Applied("full", text, asked, True)


def asked(applied: list[Applied], now: datetime = NOW) -> list[str]:
    return [f"{one.kind} {one.period}" for one in plan(applied, now)]


HOURS_TODAY = [f"hour 2026-07-09 0{i}" for i in range(4)]


def test_first_the_whole_list() -> None:
    found = asked([])
    assert found[:2] == ["full 2026-07-09", "day 2026-07-08"] and found[-4:] == HOURS_TODAY
    assert is_full_needed([], NOW)


def test_then_the_days_from_one_before_the_list_oldest_first_then_the_hours() -> None:
    found = asked([full("2026-07-06"), day("2026-07-06")])
    assert [one for one in found if one.startswith("day")] == ["day 2026-07-05", "day 2026-07-07", "day 2026-07-08"]
    assert found == sorted(found, key=lambda one: (one.split()[0] != "day", one))
    # yesterday's hours in case its day is not there yet, but not the one that is about to be written anew
    hours = [one for one in found if one.startswith("hour")]
    assert hours[0] == "hour 2026-07-08 05" and hours[-1] == "hour 2026-07-09 03" and len(hours) == 23


def test_what_is_there_is_not_asked_for_again() -> None:
    done = [full("2026-07-08"), day("2026-07-07"), day("2026-07-08")]
    assert asked(done) == HOURS_TODAY
    done += [Applied("hour", f"2026-07-09 0{i}", NOW, True) for i in range(4)]
    assert asked(done) == []
    assert asked(done, NOW + timedelta(minutes=31)) == []
    assert asked(done, NOW + timedelta(minutes=33)) == ["hour 2026-07-09 04"]


def test_what_was_not_there_is_asked_for_again_until_it_cannot_come_any_more() -> None:
    base = [full("2026-07-08"), day("2026-07-07")]
    early = datetime(2026, 7, 9, 0, 10, tzinfo=UTC)
    assert "day 2026-07-08" in asked([*base, day("2026-07-08", found=False, asked=early)])
    late = datetime(2026, 7, 9, 12, 0, tzinfo=UTC)
    assert asked([*base, day("2026-07-08", found=False, asked=late)], late)[0] == "hour 2026-07-09 00"
    done = [*base, day("2026-07-08")]
    hour = Applied("hour", "2026-07-09 02", NOW.replace(hour=3), False)
    assert "hour 2026-07-09 02" in asked([*done, hour])
    assert "hour 2026-07-09 02" not in asked([*done, hour._replace(asked_at=NOW)])


def test_the_whole_list_again_after_a_week_but_not_over_and_over() -> None:
    days = [day(f"2026-07-0{i}") for i in range(1, 9)]
    assert asked([full("2026-07-03"), *days]) == HOURS_TODAY
    assert asked([full("2026-07-02", NOW - timedelta(days=6)), *days])[0] == "full 2026-07-09"
    # the server has no newer one
    assert asked([full("2026-07-02", NOW - timedelta(hours=3)), *days]) == HOURS_TODAY
    assert not is_full_needed([full("2026-07-02")], NOW)


def test_after_a_long_time_away() -> None:
    applied = [full("2026-03-01", NOW - timedelta(days=100))]
    found = asked(applied)
    assert found[0] == "full 2026-07-09" and found[1] == "day 2026-06-11" and is_full_needed(applied, NOW)


def test_around_midnight() -> None:
    done = [full("2026-07-08"), day("2026-07-07")]
    found = asked(done, datetime(2026, 7, 9, 0, 1, tzinfo=UTC))
    # the hour that has just ended is not written yet
    assert found[0] == "day 2026-07-08" and found[-1] == "hour 2026-07-08 22"
    assert asked(done, datetime(2026, 7, 9, 0, 2, tzinfo=UTC))[-1] == "hour 2026-07-08 23"


@pytest.mark.parametrize(
    ("wanted", "name", "period"),
    [
        (Wanted("full", NOW), "tns_public_objects.csv.zip", "2026-07-09"),
        (Wanted("day", NOW), "tns_public_objects_20260709.csv.zip", "2026-07-09"),
        (Wanted("hour", NOW), "tns_public_objects_04.csv.zip", "2026-07-09 04"),
        (Wanted("day", datetime(1, 1, 1, tzinfo=UTC)), "tns_public_objects_10101.csv.zip", "0001-01-01"),
    ],
)
def test_names(wanted: Wanted, name: str, period: str) -> None:
    assert wanted.file_name == name and wanted.period == period
