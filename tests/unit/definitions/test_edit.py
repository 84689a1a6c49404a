from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lasair.definitions import edit, marks, people
from lasair.definitions.django import connect
from lasair.definitions.filter_file import FilterFile
from lasair.definitions.models import Filter, FilterVersion, ImmutableError
from lasair.definitions.transactions import user_named
from lasair.errors import BadDefinition, NotFound, StoreUnavailable
from tests.support.definitions import new_definitions

ONE = FilterFile(name="Bright", survey="lsst", select="diaObjectId, ra", where="g_psfFlux > 5", description="g")


@pytest.fixture(autouse=True)
def database(tmp_path: Path) -> Path:
    return new_definitions(tmp_path)


def test_add() -> None:
    state = edit.add_filter(ONE)
    assert (state.name, state.survey, state.number, state.active_number) == ("Bright", "lsst", 1, None)
    assert (state.output, state.topic) == ("plain", "lasair_1_Bright")
    assert edit.list_filters() == [state]


@pytest.mark.parametrize(
    "change",
    [
        {"select": "diaObjectId"},
        {"where": "g_psfFlux > 6"},
        {"tables": "objects, sherlock_classifications"},
        {"output": "full"},
        {"order_by": "ra"},
        {"byte_quota": 3},
    ],
)
def test_a_version_for_each_change_of_content(change: dict[str, Any]) -> None:
    edit.add_filter(ONE)
    assert edit.add_filter(replace(ONE, **change)).number == 2
    assert edit.add_filter(replace(ONE, **change)).number == 2
    assert edit.add_filter(ONE).number == 3, "going back is a change too"
    versions = edit.show("Bright")["versions"]
    assert [one["number"] for one in versions] == [1, 2, 3]
    assert {key: versions[1][key] for key in change} == change


def test_no_version_for_the_same_or_for_words() -> None:
    first = edit.add_filter(ONE)
    assert edit.add_filter(ONE) == first
    assert edit.add_filter(replace(ONE, description="new")) == first._replace(description="new")
    assert edit.show("Bright")["description"] == "new"


def test_versions_do_not_change() -> None:
    edit.add_filter(ONE)
    version = FilterVersion.objects.get()
    version.where = ""
    with pytest.raises(ImmutableError, match="Bright version 1 does not change"):
        version.save()
    with pytest.raises(ImmutableError):
        FilterVersion.objects.update(where="")
    with pytest.raises(ImmutableError):
        FilterVersion.objects.filter(number=1).update(where="")
    with pytest.raises(ImmutableError):
        Filter.objects.get().versions.bulk_update([version], ["where"])
    assert FilterVersion.objects.get().where == "g_psfFlux > 5"


def test_activate_and_stop() -> None:
    edit.add_filter(ONE)
    assert edit.activate("Bright").active_number == 1
    edit.add_filter(replace(ONE, where=""))
    (state,) = edit.list_filters()
    assert (state.number, state.active_number) == (2, 1)
    assert edit.activate("Bright").active_number == 2
    assert edit.activate("Bright", 1).active_number == 1
    assert edit.stop("Bright").active_number is None
    assert edit.stop("Bright").active_number is None


def test_show() -> None:
    state = edit.add_filter(ONE)
    edit.activate("Bright")
    facts = edit.show("Bright")
    assert facts["filter_id"] == state.filter_id
    assert (facts["owner"], facts["active"], facts["version"], facts["topic"]) == ("local", 1, 1, "lasair_1_Bright")
    (version,) = facts["versions"]
    assert (version["select"], version["tables"], version["where"]) == ("diaObjectId, ra", "objects", "g_psfFlux > 5")
    assert facts["created"].endswith("Z")


@pytest.mark.parametrize("action", [edit.activate, edit.stop, edit.show])
def test_unknown_name(action: Any) -> None:
    with pytest.raises(NotFound, match="no filter 'Brigth'; 'lasair filter list'"):
        action("Brigth")
    edit.add_filter(ONE)
    with pytest.raises(NotFound, match="did you mean 'Bright'"):
        action("Brigth")


def test_unknown_version() -> None:
    edit.add_filter(ONE)
    with pytest.raises(NotFound, match="no version 4; it has 1"):
        edit.activate("Bright", 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"where": "g_psfFlx > 5"}, "g_psfFlux"),
        ({"select": "diaObjectId, nothing_like_it"}, "select"),
        ({"order_by": "g_psfFlux DESC; DROP TABLE objects"}, "order"),
        ({"tables": "objects, secrets"}, "secrets"),
        ({"survey": "ztf"}, "diaObjectId"),
        ({"select": "ra AS times"}, "own times"),
        ({"select": "ra AS UTC, decl AS alert"}, "own UTC, alert"),
    ],
)
def test_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadDefinition, match=words) as caught:
        edit.add_filter(replace(ONE, **change))
    assert str(caught.value).startswith("filter 'Bright': ")
    assert edit.list_filters() == []


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ("watchlist:9", "there is no watchlist 9; 'lasair watchlist list'"),
        ("area:9", "there is no area 9; 'lasair area list'"),
        ("tag:9", "there is no tag 9; 'lasair tag list'"),
        ("annotator:fastfindr", "there is no annotator fastfindr; did you mean annotator:FastFinder"),
        ("watchlist:1, annotator:nothing", "'lasair annotator list'"),
    ],
)
def test_what_is_named_must_be_there(tables: str, words: str) -> None:
    people.add_annotator("FastFinder")
    with pytest.raises(BadDefinition, match=f"filter 'Bright': tables: .*{words}"):
        edit.add_filter(replace(ONE, tables=f"objects, {tables}"))
    assert edit.list_filters() == []


def test_what_may_be_named() -> None:
    people.add_annotator("FastFinder")
    marks.add_tag("good")
    state = edit.add_filter(
        replace(
            ONE,
            tables="objects, watchlist:1, tag:1, annotator:fastfinder, mma:S990101zz, crossmatch_tns",
            select="objects.diaObjectId",
        )
    )
    assert edit.activate(state.name).active_number == 1, "an event may come later"


def test_what_is_somebody_elses() -> None:
    alice, bob, charlie = (user_named(name) for name in ("alice", "bob", "charlie"))
    people.add_group("friends", owner=alice)
    people.add_member("friends", "bob", owner=alice)
    marks.add_tag("good", owner=alice)
    people.add_annotator("ff", owner=alice)
    for tables, share in (
        ("tag:1", partial(marks.share_tag, 1, owner=alice)),
        ("annotator:FF", partial(people.add_annotator, "ff", owner=alice)),
    ):
        mine = replace(ONE, name=f"With {tables}", tables=f"objects, {tables}")
        edit.add_filter(mine, owner=alice)
        for someone in (bob, charlie, None):
            with pytest.raises(BadDefinition, match="is somebody else's"):
                edit.add_filter(mine, owner=someone)
        share(group="friends")
        edit.add_filter(mine, owner=bob)
        share(public=True)
        edit.add_filter(mine, owner=charlie)
        share(public=False)
        with pytest.raises(BadDefinition, match=f"{tables} is somebody else's"):
            edit.activate(mine.name, owner=charlie)
        assert edit.activate(mine.name, owner=bob).active_number == 1


def test_triggers() -> None:
    with pytest.raises(BadDefinition, match="trigger 'annotation' needs an annotator"):
        edit.add_filter(replace(ONE, trigger="annotation"))
    people.add_annotator("ff")
    ff = replace(ONE, tables="objects, annotator:ff", trigger="annotation")
    edit.add_filter(ff)
    assert edit.add_filter(replace(ff, trigger="both")).number == 2
    assert [one["trigger"] for one in edit.show("Bright")["versions"]] == ["annotation", "both"]


def test_clauses_can_be_checked_where_there_are_no_lists() -> None:
    compiled = edit.check_clauses(replace(ONE, tables="objects, watchlist:9"))
    assert compiled.watchlists == (9,)


def test_the_survey_stays() -> None:
    edit.add_filter(ONE)
    with pytest.raises(BadDefinition, match="is one of lsst, not ztf"):
        edit.add_filter(FilterFile(name="Bright", survey="ztf", select="objectId"))


def test_a_topic_has_one_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    # 32 bits of a digest: two such names exist, but finding them takes minutes
    monkeypatch.setattr(edit, "topic_name", lambda owner, name: f"lasair_{owner}_same")
    edit.add_filter(ONE)
    with pytest.raises(BadDefinition, match="would share topic lasair_1_same with 'Bright'"):
        edit.add_filter(replace(ONE, name="Other"))


def test_two_databases_in_turn(tmp_path: Path, database: Path) -> None:
    edit.add_filter(ONE)
    connect(tmp_path / "second.db")
    assert edit.list_filters() == []
    connect(database)
    assert [one.name for one in edit.list_filters()] == ["Bright"]


def test_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"no database " * 100)
    with pytest.raises(StoreUnavailable, match=r"cannot use .*bad\.db"):
        connect(tmp_path / "bad.db")


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot use .*definitions\.db"):
        connect(tmp_path / "missing" / "definitions.db")


def test_locked(database: Path) -> None:
    import sqlite3

    from django.db import connection

    connection.ensure_connection()
    connection.connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="locked"):
        edit.add_filter(ONE)
    other.execute("ROLLBACK")
    other.close()
    assert edit.add_filter(ONE).number == 1


def test_the_local_user_cannot_log_in() -> None:
    assert not edit.local_user().has_usable_password()
    assert edit.local_user().pk == edit.local_user().pk


def test_migrations_are_complete() -> None:
    from django.core.management import call_command

    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
