from __future__ import annotations

from pathlib import Path

import pytest

from lasair.config import Settings, load
from lasair.errors import BadDefinition


def test_defaults_are_good(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()


def test_the_environment_wins_over_the_file_over_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lasair.toml").write_text("batch_alerts = 77\nkeep_stream_days = 3.5\n")
    monkeypatch.setenv("LASAIR_BATCH_ALERTS", "55")
    settings = load(tmp_path)
    assert (settings.batch_alerts, settings.keep_stream_days) == (55, 3.5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("batch_alert = 5", "batch_alert"),
        ("batch_alerts = 0", "batch_alerts"),
        ("batch_alerts = 'many'", "batch_alerts"),
        ("log_level = 'loud'", "log_level"),
        ("filter_byte_quota = -2", "filter_byte_quota"),
        ("batch_alerts = ", "lasair.toml"),
    ],
)
def test_each_way_to_be_wrong_is_named(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "lasair.toml").write_text(text)
    with pytest.raises(BadDefinition, match=named):
        load(tmp_path)


def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASAIR_QUERY_TIME_LIMIT_S", "soon")
    with pytest.raises(BadDefinition, match="query_time_limit_s"):
        load(tmp_path)
