"""`lasair tns`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lasair.cli.tns import tns_command
from lasair.errors import NotFound
from lasair.tns.mirror import Applied, TnsMirror
from tests.unit.tns.made import Server, answer, row, rows_of, text_of, zipped

#: Long ago, so that the whole list is due.
NOW = datetime(2020, 7, 9, 3, 30, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path, server: Server) -> Path:
    """A copy with two entries, which others know; TNS is the local server."""
    folder = tmp_path / "state"
    folder.mkdir()
    key, name = json.dumps(server.key), json.dumps('Lasair "bot"')
    (folder / "lasair.toml").write_text(
        f'tns_url = "{server.url}"\ntns_api_key = {key}\ntns_bot_id = 91941\ntns_bot_name = {name}\n'
    )
    mirror = TnsMirror(folder / "tns.db")
    mirror.merge(rows_of(row(1, name_prefix="SN", type="SN Ia", redshift=0.01), row(2)), now=NOW)
    mirror.published(mirror.unpublished().change)
    mirror.record(Applied("full", "2020-07-08", NOW, True, 2, 2, 0, 0, 1))
    mirror.record(Applied("hour", "2020-07-09 02", NOW, False))
    mirror.ended(None, NOW)
    mirror.close()
    return folder


def run(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(tns_command, [*arguments, "--state", str(state)], standalone_mode=False)


def test_status(state: Path) -> None:
    said = run(state, "status").stdout
    assert "2 entries, the newest modified 2026-07-01 12:00:02 UTC" in said and "faults: 2020-07-09 03:30:00" in said
    assert said.splitlines()[-2].split()[:4] == ["full", "2020-07-08", "2026-07-09", "03:30"] or "full" in said
    found = json.loads(run(state, "status", "--format", "json").stdout)
    assert (found["entries"], found["newest"], found["last_error"]) == (2, "2026-07-01 12:00:02.000000", None)
    assert found["files"][0] == {
        "kind": "full", "period": "2020-07-08", "asked_at": "2020-07-09 03:30:00", "found": True, "rows": 2, "new": 2,
        "changed": 0, "removed": 0, "bad": 1,
    }  # fmt: skip


def test_show(state: Path) -> None:
    found = json.loads(run(state, "show", "sn 2026X1").stdout)
    assert found["objid"] == 1 and found["type"] == "SN Ia" and found["redshift"] == 0.01 and found["typeid"] is None
    assert found["changed_at"] == "2020-07-09 03:30:00.000000"
    assert isinstance(run(state, "show", "2026zzz").exception, NotFound)


def test_without_a_copy(tmp_path: Path) -> None:
    for command in (("status",), ("show", "2026x1")):
        failed = run(tmp_path, *command).exception
        assert isinstance(failed, NotFound) and "'lasair tns update' makes one" in str(failed)
    assert list(tmp_path.iterdir()) == []


def test_bad_rows_are_named_up_to_a_number(state: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [row(1), *({**row(i), "ra": "x"} for i in range(10, 40)), row(2)]
    (tmp_path / "t.csv").write_text(text_of(rows))
    done = run(state, "update", "--url", str(tmp_path / "t.csv"))
    assert done.return_value == 0 and "t.csv: 2 rows, 0 new, 0 changed; 30 rows cannot be used" in done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 21 and lines[0].endswith("t.csv: line 4: ra 'x' is not a number")
    assert lines[-1] == "10 more rows that cannot be used"
    found = json.loads(run(state, "update", "--url", str(tmp_path / "t.csv"), "--format", "json").stdout)
    assert (found["bad"], found["entries"], found["problems"]) == (30, 2, [])
    assert found["files"][0]["bad_rows"][0] == {"line": 4, "reason": "ra 'x' is not a number"}


def test_a_fault_keeps_the_copy_and_says_so(state: Path, server: Server) -> None:
    server.before("tns_public_objects.csv.zip", answer(401))
    done = run(state, "update")
    assert done.return_value == 1 and "does not accept who asks (401" in done.stderr
    assert "the copy of TNS here is kept, with 2 entries" in done.stderr and server.key not in done.output
    assert "401" in json.loads(run(state, "status", "--format", "json").stdout)["last_error"]
    assert "since then" in run(state, "status").stdout


def test_the_settings_are_those_that_go_to_the_server(state: Path, server: Server) -> None:
    server.files["tns_public_objects.csv.zip"] = zipped(text_of([row(1)], ""))
    # the server gives nothing to who has another key or name
    done = run(state, "update")
    assert done.return_value == 0 and "tns_public_objects.csv.zip: 1 rows, 0 new, 0 changed" in done.stdout
    assert "tns_public_objects_00.csv.zip: there is none" in done.stdout
