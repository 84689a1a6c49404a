from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.definitions.filter_file import (
    OUTPUTS,
    TRIGGERS,
    FilterFile,
    parse_filter,
    read_filter_file,
    to_toml,
    write_filter_file,
)
from lasair.errors import BadDefinition

GOOD: dict[str, Any] = {"name": "Bright", "survey": "lsst", "select": "diaObjectId, ra"}


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "bright.toml"
    file.write_text(
        'name = "Bright"\nsurvey = "lsst"\ntables = ["objects", "sherlock_classifications"]\nselect = "diaObjectId"\n'
        'where = """\ng_psfFlux > 5\nAND decl < 0\n"""\noutput = "lite"\norder_by = "ra DESC"\nbyte_quota = -1\n'
        'trigger = "both"\n'
    )
    assert read_filter_file(file) == FilterFile(
        name="Bright",
        survey="lsst",
        tables="objects, sherlock_classifications",
        select="diaObjectId",
        where="g_psfFlux > 5\nAND decl < 0",
        output="lite",
        order_by="ra DESC",
        byte_quota=-1,
        trigger="both",
    )


def test_defaults() -> None:
    one = parse_filter(GOOD, source="x")
    assert (one.tables, one.where, one.output, one.byte_quota) == ("objects", "", "plain", None)
    assert one.trigger == "alert"
    assert "trigger" not in to_toml(one), "defaults are left out"


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_what_makes_it_run(trigger: str) -> None:
    assert parse_filter({**GOOD, "trigger": f" {trigger} "}, source="x").trigger == trigger


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wher": "x"}, "unknown key 'wher'; did you mean where?"),
        ({"qqqqqq": 1}, "unknown key 'qqqqqq'; known are name, "),
        ({"name": None}, "the key 'name' is missing"),
        ({"survey": None}, "the key 'survey' is missing"),
        ({"select": None}, "the key 'select' is missing"),
        ({"select": "  "}, "select is empty"),
        ({"survey": "sdss"}, "survey is one of lsst, ztf, not 'sdss'"),
        ({"output": "email"}, "output is one of plain, lite, full, not 'email'"),
        ({"trigger": "alerts"}, "trigger is one of alert, annotation, both, not 'alerts'"),
        ({"trigger": "Alert"}, "trigger is one of alert, annotation, both, not 'Alert'"),
        ({"trigger": ""}, "trigger is one of alert, annotation, both, not ''"),
        ({"trigger": True}, "trigger is text in quotes, not bool"),
        ({"trigger": ["alert"]}, "trigger is text in quotes, not list"),
        ({"trigger": "both\0"}, "trigger holds a NUL character"),
        ({"triger": "both"}, "unknown key 'triger'; did you mean trigger?"),
        ({"where": 7}, "where is text in quotes, not int"),
        ({"where": "a\0b"}, "where holds a NUL character"),
        ({"tables": ["objects", 1]}, "tables is text in quotes, not list"),
        ({"name": " "}, "name is empty"),
        ({"name": "a\nb"}, "cannot be printed"),
        ({"name": "x" * 257}, "name is longer than 256"),
        ({"description": "x" * 4097}, "description is longer than 4096"),
        ({"byte_quota": "many"}, "byte_quota is a number of bytes a day"),
        ({"byte_quota": -2}, "byte_quota is a number of bytes a day"),
        ({"byte_quota": True}, "byte_quota is a number of bytes a day"),
        ({"byte_quota": 2**63}, "byte_quota is a number of bytes a day"),
        ({"byte_quota": 1.5}, "byte_quota is a number of bytes a day"),
    ],
)
def test_errors_name_file_and_key(change: dict[str, Any], words: str) -> None:
    entry = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(BadDefinition) as caught:
        parse_filter(entry, source="bright.toml")
    assert str(caught.value).startswith("bright.toml: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"), [(b"name = ", "not TOML"), (b"\xff\xfe", "not UTF-8"), (b"a = " + b"[" * 5000, "not TOML")]
)
def test_unreadable(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(content)
    with pytest.raises(BadDefinition, match=words) as caught:
        read_filter_file(file)
    assert str(file) in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadDefinition, match=r"x\.toml: cannot be read"):
        read_filter_file(tmp_path / "x.toml")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30).map(str.strip)
NAMES = TEXT.filter(lambda name: name != "" and name.isprintable())
FILTERS = st.builds(
    FilterFile,
    name=NAMES,
    survey=st.sampled_from(["lsst", "ztf"]),
    select=TEXT.filter(bool),
    tables=TEXT.filter(bool),
    where=TEXT,
    output=st.sampled_from(OUTPUTS),
    order_by=TEXT,
    description=TEXT,
    byte_quota=st.none() | st.integers(-1, 2**63 - 1),
    trigger=st.sampled_from(TRIGGERS),
)


@given(FILTERS)
def test_written_files_read_back(definition: FilterFile) -> None:
    import tomllib

    assert parse_filter(tomllib.loads(to_toml(definition)), source="x") == definition


def test_write(tmp_path: Path) -> None:
    one = FilterFile(name="É", survey="ztf", select="objectId", where='gmag < 18 AND ssnamenr <> "x\\"')
    write_filter_file(tmp_path / "e.toml", one)
    assert read_filter_file(tmp_path / "e.toml") == one
