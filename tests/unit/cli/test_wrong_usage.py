"""Wrong input ends in exit code 2, before any work, with a message that names the option."""

from __future__ import annotations

from pathlib import Path

import pytest

from lasair.cli.main import COMMANDS, main

HUGE = "9" * 26

#: (arguments, what the message says)
WRONG = [
    (("--state", "", "status"), "--state"),
    (("status", "--state", ""), "--state"),
    (("cone", "nan", "0", "5"), "'RA'"),
    (("cone", "0", "inf", "5"), "'DEC'"),
    (("cone", "0", "0", "nan"), "'RADIUS'"),
    (("cone", "0", "-91", "5"), "'DEC'"),
    (("cone", "0", "0", "5", "--survey", "sdss"), "--survey"),
    (("cutout", HUGE, "science", "-o", "a.png"), "ALERT_ID"),
    (("cutout", "--", "-1", "science", "-o", "a.png"), "ALERT_ID"),
    (("cutout", "1", "science", "-o", "a.jpg"), ".fits or .png"),
    (("cutout", "1", "science", "-o", "none/a.png"), "no folder none"),
    (("lightcurve", "1", "--plot", "a"), ".png"),
    (("lightcurve", "1", "--plot", "a.pdf"), ".png"),
    (("lightcurve", "1", "--from", "nan"), "--from"),
    (("lightcurve", "1", "--to", "inf"), "--to"),
    (("lightcurve", "1", "--from", "3", "--to", "2"), "later than"),
    (("query", "ra", "objects", "--limit", HUGE), "--limit"),
    (("query", "ra", "objects", "--limit", str(2**63 - 1)), "--limit"),
    (("query", "ra", "objects", "--offset", HUGE), "--offset"),
    (("query", "ra", "objects", "-o", ""), "-o"),
    (("query", "ra", "objects", "-o", "none/a"), "no folder none"),
    (("stream", "read", "a", "--from", HUGE), "--from"),
    (("stream", "read", "a", "--limit", HUGE), "--limit"),
    (("stream", "read", "a", "--limit", "0"), "--limit"),
    (("simulate", "test", "-o", "a", "--first-night", "20269999"), "--first-night"),
    (("simulate", "test", "-o", "a", "--first-night", "18500101"), "--first-night"),
    (("simulate", "test", "-o", "a", "--alerts", HUGE), "--alerts"),
    (("simulate", "test", "-o", "a", "--seed", HUGE), "--seed"),
    (("simulate", "test", "-o", "a", "--seed", "-1"), "--seed"),
    (("simulate", "test", "-o", ""), "-o"),
    (("simulate", "nothing", "-o", "a"), "lsst-year"),
    (("demo", "--alerts", HUGE), "--alerts"),
    (("demo", "--seed", HUGE), "--seed"),
    (("demo", "--keep-packets", ""), "--keep-packets"),
    (("schema", "fetch", "--", "-1"), "SCHEMA_IDS"),
    (("schema", "fetch", HUGE), "SCHEMA_IDS"),
    (("schema", "fetch", str(2**32)), "SCHEMA_IDS"),
    (("schema", "fetch", "1101", "--registry", ""), "--registry"),
    (("schema", "fetch", "1101", "--registry", "ftp://x"), "http"),
    (("inspect", ".", "--schemas", ""), "--schemas"),
    (("inspect", ".", "--schemas", "none"), "--schemas"),
    (("dead-letters", "retry", "--schemas", ""), "--schemas"),
    (("bench", "--alerts", HUGE), "--alerts"),
    (("bench", "--objects", HUGE), "--objects"),
    (("bench", "--output", "none/a"), "no folder none"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=lambda one: " ".join(one) if isinstance(one, tuple) else "")
def test_wrong_usage(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASAIR_STATE", raising=False)
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing is made"


@pytest.mark.parametrize("name", ["²", "9" * 26, "9" * 6000, "-5", "ZTF18", "", "\udcff"])
def test_names_of_objects_that_are_none(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ledger.db").touch()
    monkeypatch.setenv("LASAIR_STATE", str(tmp_path))
    for command in ("object", "lightcurve"):
        with pytest.raises(SystemExit) as stopped:
            main([command, "--", name])
        assert stopped.value.code == 1
        said = capsys.readouterr().err
        assert "neither an LSST object number nor a ZTF name" in said and len(said) < 200


@pytest.mark.parametrize("command", ["list", "show a", "activate a", "stop a"])
def test_filters_of_a_state_that_is_not_there(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["filter", *command.split(), "--state", str(tmp_path / "none")])
    assert stopped.value.code == 1
    assert "lasair filter add" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_parquet_is_not_for_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(SystemExit) as stopped:
        main(["query", "ra", "objects", "--format", "parquet", "--state", str(tmp_path)])
    assert stopped.value.code == 2
    assert "-o" in capsys.readouterr().err


def test_help_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
        printed = capsys.readouterr().out
        assert "Usage: lasair " in printed
        assert "9223372036854775807" not in printed, "a limit that nobody meets"
