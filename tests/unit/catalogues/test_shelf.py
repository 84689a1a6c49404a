"""Publishing, switching and what readers see meanwhile."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from lasair.catalogues.manifest import MANIFEST, ReleaseInfo
from lasair.catalogues.problems import BadRelease
from lasair.catalogues.shelf import Shelf
from lasair.catalogues.sky import Sky
from lasair.errors import NotFound, NotPermitted, StoreUnavailable
from tests.unit.catalogues.skies import release


def add(shelf: Shelf, name: str, rows: int, **more: str) -> ReleaseInfo:
    """Build and publish a release with so many rows."""
    with shelf.staging(name) as staged:
        ra = np.linspace(1, 2, rows)
        release(staged, {"ra": ra, "decl": np.zeros(rows)}, name=name, **more).close()
        return shelf.publish(staged)


def test_a_folder_that_is_not_there_has_no_catalogues(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path / "none")
    assert (shelf.releases, shelf.problems, shelf.names(), shelf.changed()) == ({}, [], [], False)


def test_first_release_becomes_current_and_the_next_waits(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    one = add(shelf, "gaia", 1)
    assert shelf.changed()
    shelf = shelf.reopen()
    assert not shelf.changed()
    assert {name: release.id for name, release in shelf.releases.items()} == {"gaia": one.release}
    two = add(shelf, "gaia", 2)
    assert not shelf.changed()
    assert shelf.current("gaia") == one.release
    assert [info.release for info in shelf.releases_of("gaia")] == [one.release, two.release]
    shelf.switch("gaia", two.release)
    assert shelf.changed()
    assert shelf.reopen().releases["gaia"].n_rows == 2
    assert shelf.releases["gaia"].n_rows == 1  # who has it open may go on
    assert not (tmp_path / ".staging" / "gaia").exists()
    assert (tmp_path / "gaia" / "current").readlink() == Path("releases", two.release)


def test_rollback_goes_back_step_by_step(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    ids = [add(shelf, "gaia", n).release for n in (1, 2, 3)]
    shelf.switch("gaia", ids[1])
    shelf.switch("gaia", ids[2])
    assert shelf.rollback("gaia").release == ids[1]
    assert shelf.rollback("gaia").release == ids[0]
    with pytest.raises(NotFound, match="no other release before"):
        shelf.rollback("gaia")
    shelf.switch("gaia", ids[2])
    assert shelf.rollback("gaia").release == ids[0]
    actions = [(entry["action"], entry["release"]) for entry in shelf.log("gaia")]
    assert actions[:2] == [("publish", ids[0]), ("switch", ids[0])]
    assert actions[-1] == ("rollback", ids[0])


def test_retired_catalogues_come_back_by_a_switch(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    info = add(shelf, "gaia", 1)
    shelf.retire("gaia")
    again = Shelf.open(tmp_path)
    assert (again.releases, again.problems, again.names()) == ({}, [], ["gaia"])
    with pytest.raises(NotFound, match="no current"):
        shelf.retire("gaia")
    with pytest.raises(NotFound, match="retired"):
        shelf.rollback("gaia")
    add(shelf, "gaia", 2)
    assert shelf.current("gaia") is None  # a new release does not bring it back
    shelf.switch("gaia", info.release)
    assert Shelf.open(tmp_path).releases["gaia"].id == info.release


def test_remove(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    one, two = add(shelf, "gaia", 1), add(shelf, "gaia", 2)
    with pytest.raises(NotPermitted, match="current"):
        shelf.remove("gaia", one.release)
    shelf.switch("gaia", two.release)
    held = Shelf.open(tmp_path)
    shelf.switch("gaia", one.release)
    shelf.remove("gaia", two.release)
    assert [info.release for info in shelf.releases_of("gaia")] == [one.release]
    assert len(held.releases["gaia"].cone(Sky([1.0], [0.0]), 4000.0).row) == 2
    with pytest.raises(NotFound, match="had no other"):
        shelf.rollback("gaia")
    with pytest.raises(NotFound, match="has no release"):
        shelf.remove("gaia", two.release)


def test_publishing_twice_changes_nothing(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    one, again = add(shelf, "gaia", 1), add(shelf, "gaia", 1)
    assert one == again
    assert len(shelf.releases_of("gaia")) == 1


def test_publishing_repairs_a_damaged_release(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    info = add(shelf, "gaia", 1)
    (info.path / "position.bin").write_bytes(b"")
    assert [problem.name for problem in Shelf.open(tmp_path).problems] == ["gaia"]
    add(shelf, "gaia", 1)
    assert Shelf.open(tmp_path).problems == []


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "nobody"])
def test_unknown_names(tmp_path: Path, name: str) -> None:
    shelf = Shelf.open(tmp_path)
    add(shelf, "gaia", 1)
    for call in (shelf.releases_of, shelf.rollback, shelf.retire, lambda n: shelf.switch(n, "1-x")):
        with pytest.raises(NotFound):
            call(name)
    with pytest.raises(NotFound):
        shelf.switch("gaia", f"../{name}")


def test_a_broken_catalogue_does_not_harm_the_others(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    broken = {name: add(shelf, name, 3) for name in ("cut", "gone", "half", "late", "other", "unlinked", "file")}
    add(shelf, "good", 2)
    position = broken["cut"].path / "position.bin"
    position.write_bytes(position.read_bytes()[:-1])
    (broken["gone"].path / "offsets.bin").unlink()
    (broken["half"].path / MANIFEST).unlink()
    broken["late"].path.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(tmp_path / ".elsewhere")
    (tmp_path / "unlinked" / "current").unlink()
    (tmp_path / "file" / "current").unlink()
    (tmp_path / "file" / "current").write_text("releases")
    manifest = json.loads((broken["other"].path / MANIFEST).read_text())
    (broken["other"].path / MANIFEST).write_text(json.dumps(manifest | {"name": "good"}))
    found = Shelf.open(tmp_path)
    assert list(found.releases) == ["good"]
    told = {problem.name: (Path(problem.file).name, problem.reason) for problem in found.problems}
    assert set(told) == set(broken)
    assert told["cut"] == ("position.bin", "has 23 bytes instead of 24: cut short, or not of this release")
    assert told["gone"] == ("offsets.bin", "is missing")
    assert told["half"][0] == MANIFEST
    assert "not complete" in told["half"][1]
    assert "no such folder" in told["late"][1]
    assert "release of good" in told["other"][1]
    assert told["unlinked"][0] == "current"
    assert "no symlink" in told["file"][1]


def test_broken_releases_are_not_made_current(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    one, two = add(shelf, "gaia", 1), add(shelf, "gaia", 2)
    (two.path / "offsets.bin").unlink()
    with pytest.raises(BadRelease, match=r"offsets\.bin"):
        shelf.switch("gaia", two.release)
    assert shelf.current("gaia") == one.release
    with pytest.raises(BadRelease):
        shelf.publish(tmp_path / "nothing")


def test_two_writers_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lasair.catalogues.shelf._PATIENCE_S", 0.05)
    shelf = Shelf.open(tmp_path)
    add(shelf, "gaia", 1)
    with shelf.staging("gaia"):
        with pytest.raises(NotPermitted, match="being built"), Shelf.open(tmp_path).staging("gaia"):
            pass
        with shelf.staging("ps1"):  # another catalogue may be built meanwhile
            pass
    with shelf._changing("switch", "gaia"), pytest.raises(NotPermitted, match="another process"):
        Shelf.open(tmp_path).retire("gaia")
    assert shelf.current("gaia") is not None


def test_leftovers_of_a_killed_build_are_removed(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    (tmp_path / ".staging" / "gaia").mkdir(parents=True)
    (tmp_path / ".staging" / "gaia" / "position.bin").write_text("x")
    add(shelf, "gaia", 1)
    assert Shelf.open(tmp_path).problems == []


def test_readers_always_see_a_release(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    ids = [add(shelf, "gaia", n).release for n in (1, 2)]
    stop, wrong, reads = threading.Event(), [], 0

    def switch() -> None:
        for i in range(60):
            shelf.switch("gaia", ids[i % 2])
        stop.set()

    writer = threading.Thread(target=switch)
    writer.start()
    while not stop.is_set():
        with Shelf.open(tmp_path) as seen:
            reads += 1
            if seen.problems or seen.releases["gaia"].id not in ids:
                wrong.append(seen.problems)
    writer.join()
    assert not wrong
    assert reads > 10


def test_releases_that_stay_are_shared(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    add(shelf, "gaia", 1)
    add(shelf, "ps1", 1)
    before = shelf.reopen()
    shelf.switch("gaia", add(shelf, "gaia", 2).release)
    after = before.reopen()
    assert after.releases["ps1"] is before.releases["ps1"]
    assert after.releases["gaia"] is not before.releases["gaia"]


def test_a_cut_line_in_the_log_is_passed_over(tmp_path: Path) -> None:
    shelf = Shelf.open(tmp_path)
    add(shelf, "gaia", 1)
    with (tmp_path / "gaia" / "log.jsonl").open("a") as file:
        file.write('{"time": "20')
    shelf.retire("gaia")
    assert [entry["action"] for entry in shelf.log("gaia")] == ["publish", "switch", "retire"]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(StoreUnavailable):
        Shelf.open(tmp_path / "x")
