from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from lasair.cli import skyplot
from lasair.cli.skyplot import sky_command
from lasair.definitions.snapshot import ActiveList
from lasair.errors import BadDefinition, NotFound
from tests.unit.cli.tagged import make, run


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tagged") / "state"
    make(folder)
    return folder


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """What was asked to be drawn, beside drawing it."""
    from lasair.show import sky

    seen: list[Mapping[str, Any]] = []
    real = sky.plot_sky

    def plot(path: Path, **content: Any) -> None:
        seen.append(content)
        real(path, **content)

    monkeypatch.setattr(sky, "plot_sky", plot)
    return seen


def counts(content: Mapping[str, Any]) -> dict[str, int]:
    return {label: len(ra) for label, (ra, _) in content["hits"].items()}


def test_everything_that_is_active(
    state: Path, tmp_path: Path, drawn: list[Mapping[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sky.png"
    code, _, err = run(capsys, sky_command, file, "--state", state)
    assert code == 0 and file.read_bytes().startswith(b"\x89PNG")
    assert err == f"{file}: 4 objects, 5 hits of 4 lists, areas and events\n"
    (content,) = drawn
    assert counts(content) == {
        "watchlist 1: TNS": 1,
        "watchlist 2: quasars": 2,
        "area 1: COSMOS": 1,
        "event S230518h": 1,
    }
    assert list(content["areas"]) == ["area 1: COSMOS"] and list(content["maps"]) == ["S230518h"]
    assert len(content["alerts"][0]) == 4


def test_what_is_named_and_one_survey(
    state: Path, tmp_path: Path, drawn: list[Mapping[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sky.svg"
    for options, expected in (
        (("--watchlist", "quasars"), {"watchlist 2: quasars": 2}),
        (("--watchlist", "02", "--watchlist", "quasars"), {"watchlist 2: quasars": 2}),
        (("--area", "1", "--event", "s230518H"), {"area 1: COSMOS": 1, "event S230518h": 1}),
        (("--watchlist", "2", "--survey", "ztf"), {"watchlist 2: quasars": 0}),
    ):
        assert run(capsys, sky_command, file, *options, "--state", state)[0] == 0
        assert counts(drawn[-1]) == expected
    assert len(drawn[-1]["alerts"][0]) == 1 and not drawn[-1]["areas"] and not drawn[-1]["maps"]


def test_what_is_not_there(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option, value in (("--watchlist", "9"), ("--area", "quasars"), ("--event", "S1")):
        with pytest.raises(NotFound, match=f"no active {option[2:]} '{value}'"):
            run(capsys, sky_command, tmp_path / "a.png", option, value, "--state", state)
    with pytest.raises(click.UsageError, match=r"\.png or \.svg or \.pdf"):
        run(capsys, sky_command, tmp_path / "a.jpg", "--state", state)
    with pytest.raises(NotFound, match="no Lasair state"):
        run(capsys, sky_command, tmp_path / "a.png", "--state", tmp_path / "none")


def test_a_name_that_two_lists_have_asks_for_a_number() -> None:
    lists = [ActiveList("watchlist", number, name, 1, 1, None) for number, name in ((3, "a"), (4, "a"), (5, "3"))]
    with pytest.raises(BadDefinition, match="give one of the numbers 3, 4"):
        skyplot._chosen(lists, "watchlist", ("a",))
    # a number is a number first
    assert [one.list_id for one in skyplot._chosen(lists, "watchlist", ("3", "5", "3"))] == [3, 5]


def test_damaged_contents_are_left_out_and_named(
    state: Path, tmp_path: Path, drawn: list[Mapping[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    other = tmp_path / "state"
    shutil.copytree(state, other)
    with closing(sqlite3.connect(other / "definitions.db")) as database, database:
        database.execute(
            "UPDATE definitions_contentpiece SET data = x'00'"
            " WHERE content_id = (SELECT content_id FROM definitions_area)"
        )
    code, _, err = run(capsys, sky_command, tmp_path / "sky.png", "--state", other)
    assert code == 1 and "area 1 (COSMOS) is left out: its stored content is damaged" in err
    assert not drawn[-1]["areas"] and list(drawn[-1]["maps"]) == ["S230518h"]
    assert counts(drawn[-1])["area 1: COSMOS"] == 1
