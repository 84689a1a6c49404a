from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.cli.parameters import INT64_MAX, Finite, Night, OutputFile, OutputFolder, Text, Whole
from tests.support.faults import read_only


def convert(kind: Any, value: Any) -> Any:
    return kind.convert(value, None, None)


@given(st.one_of(st.text(max_size=30), st.floats().map(str), st.integers().map(str)))
def test_finite(text: str) -> None:
    try:
        found = convert(Finite(0, 360), text)
    except click.BadParameter:
        return
    assert math.isfinite(found) and 0 <= found <= 360


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "NaN", "Infinity", "1e400", "x", ""])
def test_not_finite(text: str) -> None:
    with pytest.raises(click.BadParameter, match="number"):
        convert(Finite(), text)


@given(st.one_of(st.text(max_size=30), st.integers().map(str)))
def test_whole(text: str) -> None:
    try:
        found = convert(Whole(), text)
    except click.BadParameter:
        return
    assert 0 <= found <= INT64_MAX


@pytest.mark.parametrize("text", ["9" * 26, "9" * 6000, str(INT64_MAX + 1), "-1", "1.5", "", "²"])
def test_not_whole(text: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        convert(Whole(), text)
    assert len(str(refused.value)) < 200


def test_whole_says_what_it_takes() -> None:
    assert convert(Whole(), str(INT64_MAX)) == INT64_MAX
    with pytest.raises(click.BadParameter, match=f"the most is {INT64_MAX}"):
        convert(Whole(), "9" * 26)
    # help names a range that a person may meet
    assert Whole(1)._describe_range() == "x>=1"
    assert Whole(0, 100)._describe_range() == "0<=x<=100"


def test_night() -> None:
    assert convert(Night(), "20240229") == 20240229
    for text in ("20269999", "20230229", "2026030", "202603021", "-2026030", "20180101", "20410101", "²0260302", ""):
        with pytest.raises(click.BadParameter, match=r"20260302|from"):
            convert(Night(), text)


def test_nights_are_the_simulators() -> None:
    from lasair.simulate.profiles import EARLIEST_NIGHT, LATEST_NIGHT

    assert (Night.FIRST, Night.LAST) == (EARLIEST_NIGHT, LATEST_NIGHT)


@pytest.mark.parametrize("kind", [Text(), OutputFile(), OutputFolder()])
def test_nothing(kind: Any) -> None:
    with pytest.raises(click.BadParameter, match=r"empty|names no"):
        convert(kind, "")


def test_output_file(tmp_path: Path) -> None:
    png = OutputFile(".png", ".fits")
    assert convert(png, str(tmp_path / "a.PNG")) == tmp_path / "a.PNG"
    for name, reason in (("a", r"end in \.png or \.fits"), ("a.pdf", "end in"), ("none/a.png", "no folder")):
        with pytest.raises(click.BadParameter, match=reason):
            convert(png, str(tmp_path / name))
    (tmp_path / "b.png").mkdir()
    with pytest.raises(click.BadParameter, match="directory"):
        convert(png, str(tmp_path / "b.png"))
    assert convert(OutputFile(), "/dev/null") == Path("/dev/null")
    assert list(tmp_path.iterdir()) == [tmp_path / "b.png"], "nothing is made"


def test_output_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with read_only(tmp_path), pytest.raises(click.BadParameter, match="not writable"):
        convert(OutputFile(), str(tmp_path / "a"))
