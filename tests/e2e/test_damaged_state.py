"""A file of the state that is damaged, cut off, emptied or gone stops only the commands that need it."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lasair.cli.main import main
from lasair.simulate.write import write

FILTER = 'name = "All"\nsurvey = "lsst"\nselect = "diaObjectId"\noutput = "lite"\n'
PAGE = 4096


def lasair(*arguments: str | Path) -> int:
    """Exit code of a command; anything but an exit (a traceback for the user) is an error."""
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, arguments)])
    return int(str(stopped.value.code))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state after a run."""
    folder = tmp_path_factory.mktemp("whole")
    write("test", folder / "packets", seed=7, n=120)
    (folder / "all.toml").write_text(FILTER)
    state = folder / "state"
    assert lasair("run", folder / "packets", "--filters", folder, "--state", state) == 0
    return state


@pytest.fixture(scope="module")
def known(whole: Path) -> dict[str, str]:
    """An object and an alert with images of the state."""
    with closing(sqlite3.connect(whole / "objects.db")) as database:
        (name,) = database.execute("SELECT diaObjectId FROM lsst_objects").fetchone()
    with closing(sqlite3.connect(whole / "cutouts" / "index.db")) as database:
        (alert,) = database.execute("SELECT alert_id FROM lsst WHERE science_at IS NOT NULL").fetchone()
    return {"object": str(name), "alert": str(alert)}


def commands(known: dict[str, str], folder: Path) -> dict[str, tuple[str, ...]]:
    """Commands that only read, and the stores that each needs."""
    return {
        f"lightcurve {known['object']}": ("lightcurves",),
        f"cutout {known['alert']} science -o {folder / 'c.fits'}": ("cutouts",),
        "query diaObjectId objects": ("objects",),
        "cone 10 10 5": ("objects",),
        f"object {known['object']}": ("objects", "lightcurves", "definitions"),
        "stream list": ("ledger",),
        "stream read lasair_1_All": ("ledger",),
        "ledger": ("ledger",),
        "dead-letters": ("ledger",),
        "filter list": ("definitions",),
        "filter show All": ("definitions", "ledger"),
        "status": ("lightcurves", "cutouts", "objects", "ledger", "definitions"),
    }


STORES = {
    "objects": "objects.db",
    "cutouts": "cutouts/index.db",
    "lightcurves": "lightcurves/lightcurves-*-of-*.db",
    "ledger": "ledger.db",
    "definitions": "definitions.db",
}


def _damage_header(file: Path) -> None:
    with file.open("r+b") as handle:
        handle.write(b"not a database at all")


def _cut(file: Path) -> None:
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size // 2)


@pytest.mark.parametrize("damage", [_damage_header, _cut])
@pytest.mark.parametrize("store", STORES)
def test_only_what_needs_the_store_fails(
    store: str,
    damage: Callable[[Path], None],
    whole: Path,
    known: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = tmp_path / "state"
    shutil.copytree(whole, state)
    for file in state.glob(STORES[store]):
        damage(file)
    for command, needed in commands(known, tmp_path).items():
        capsys.readouterr()
        code = lasair(*command.split(), "--state", state)
        said = capsys.readouterr().err
        assert code == (1 if store in needed else 0), (command, said)
        if store in needed:
            assert "restore it from a copy" in said, command


@pytest.mark.parametrize("store", STORES)
def test_status_names_the_damaged_store_and_shows_the_others(
    store: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    shutil.copytree(whole, state)
    capsys.readouterr()
    assert lasair("status", "--json", "--state", state) == 0
    before = json.loads(capsys.readouterr().out)
    assert before["damaged"] == {}
    for file in state.glob(STORES[store]):
        _damage_header(file)
    assert lasair("status", "--json", "--state", state) == 1
    after = json.loads(capsys.readouterr().out)
    assert list(after["damaged"]) == [store]
    assert (after["alerts"] is None) == (store == "ledger")
    assert (after["surveys"]["lsst"]["objects"] is None) == (store == "objects")
    assert after["disk_bytes"] == before["disk_bytes"]
    if store not in ("ledger", "objects"):
        assert {**after, "damaged": {}, "surveys": None} == {**before, "surveys": None}
    lasair("status", "--state", state)
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines() if "DAMAGED" in line] == [store]
    assert f"{store} cannot be used" in printed.err and "restore it from a copy" in printed.err


def test_an_object_is_shown_as_far_as_it_can_be_read(
    whole: Path, known: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for store, there, hidden in (("objects", "lightcurve", "objects"), ("lightcurves", "objects", "lightcurve")):
        state = tmp_path / store
        shutil.copytree(whole, state)
        for file in state.glob(STORES[store]):
            _damage_header(file)
        capsys.readouterr()
        assert lasair("object", known["object"], "--format", "json", "--state", state) == 1
        facts = json.loads(capsys.readouterr().out)
        assert facts[there] and any(facts[there].values())
        assert not facts[hidden] or not any(facts[hidden].values())


@pytest.mark.parametrize("store", ["objects", "cutouts", "lightcurves"])
def test_a_store_that_is_gone_or_empty_is_not_made_by_readers(
    store: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, spoil in enumerate((Path.unlink, lambda file: file.write_bytes(b""))):
        state = tmp_path / str(number)
        shutil.copytree(whole, state)
        for file in state.glob(STORES[store]):
            spoil(file)
        before = {file: file.stat().st_size for file in state.rglob("*")}
        capsys.readouterr()
        assert lasair("status", "--state", state) == 1
        assert f"{store} cannot be used" in capsys.readouterr().err
        assert {file: file.stat().st_size for file in state.rglob("*")} == before


def test_pages_overwritten_at_random_never_end_in_a_traceback(
    whole: Path, known: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(11)
    files = [file for pattern in STORES.values() for file in sorted(whole.glob(pattern))]
    for number in range(24):
        state = tmp_path / str(number)
        shutil.copytree(whole, state)
        file = state / files[number % len(files)].relative_to(whole)
        data = bytearray(file.read_bytes())
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(100, len(data))
            data[at : at + chance.choice((1, 50, PAGE))] = chance.randbytes(chance.choice((1, 50, PAGE)))
        file.write_bytes(data)
        for command in commands(known, tmp_path):
            assert lasair(*command.split(), "--state", state) in (0, 1)
        capsys.readouterr()
        shutil.rmtree(state)
