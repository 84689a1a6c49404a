"""The commands in the documents on watchlists, areas, events and tags work as they are written."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from lasair.cli.areas import area_command
from lasair.cli.events import event_command
from lasair.cli.groups import group_command
from lasair.cli.tags import note_command, tag_command
from lasair.cli.watchlists import watchlist_command
from tests.support.commands import Commands
from tests.unit.definitions.test_remote import Server, server
from tests.unit.events.made import igwn, multi_order

__all__ = ["server"]

DOCS = Path(__file__).parents[3] / "docs"
GROUPS = {
    "watchlist": watchlist_command, "area": area_command, "event": event_command, "tag": tag_command,
    "note": note_command, "group": group_command,
}  # fmt: skip
#: They need files that their pages do not show, and have tests of their own.
TESTS = ("watchlist test", "area test", "event test")


def commands(page: str) -> list[list[str]]:
    lines = [line.strip() for line in page.splitlines() if line.startswith("    lasair ")]
    return [shlex.split(line)[1:] for line in lines if not any(one in line for one in TESTS)]


@pytest.mark.parametrize(("page", "count"), [("watchlists", 12), ("areas", 7), ("events", 6), ("tags", 15)])
def test_commands_of_a_page(
    page: str, count: int, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("agn.csv").write_text("\n".join(re.findall(r"```csv\n(.*?)```", text, flags=re.DOTALL)[:1]))
    Path("fields.reg").write_text("\n".join(re.findall(r"```\n(# Region.*?)```", text, flags=re.DOTALL)))
    Path("notices").mkdir()
    Path("map.fits").write_bytes(multi_order())
    for path in ("notice.json", "notices/a.json"):
        Path(path).write_text(json.dumps(igwn()))
    url = server.give(b"ra,dec,name\n10,20,a\n", path="/blazars.csv")
    lasair = Commands(tmp_path / "state", capsys)
    run = commands(text)
    assert len(run) == count
    for group, *arguments in run:
        lasair(GROUPS[group], *(one.replace("https://example.org/blazars.csv", url) for one in arguments))
