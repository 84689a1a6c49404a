"""The simulated sky's catalogues: what is written in the truth file comes out of the engine."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lasair.catalogues.describe import load_description
from lasair.catalogues.release import Release
from lasair.catalogues.standard import build_rows
from lasair.sherlock.engine import Sherlock
from lasair.sherlock.rules import load_rules
from lasair.simulate.context import SkyOf
from lasair.simulate.messages import Truth
from lasair.simulate.write import SKY_FOLDER, write

KINDS = ("rrlyrae", "cv", "agn", "flare", "microlensing", "bogus", "sn_ia", "tde", "kilonova", "slsn", "mover")


def truth(kind: str, i: int) -> Truth:
    """An object of a kind, far from all others."""
    hosted = kind in ("agn", "sn_ia", "tde", "kilonova")
    ra, decl = 10.0 + 0.4 * i, -25.0 + 0.003 * i
    host = (ra + 2.5 / 3600.0, decl, 19.0) if hosted else (None, None, None)
    return Truth("lsst", str(i), kind, ra, decl, 18.0, None, None, 0.03 if hosted else None, *host, "", 1)


@pytest.fixture(scope="module")
def engine_and_truth(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sherlock, list[tuple[Truth, str]]]:
    folder = tmp_path_factory.mktemp("sky")
    listed = SkyOf(np.random.default_rng(3), 2026.9)
    objects = [truth(kind, 40 * k + i) for k, kind in enumerate(KINDS) for i in range(40)]
    expected = [(one, listed.add(one)) for one in objects]
    listed.write(folder)
    releases = {}
    for file in sorted(folder.glob("*.parquet")):
        build_rows(load_description(file.stem), pq.read_table(file).to_pylist(), folder / file.stem)
        releases[file.stem] = Release.open(folder / file.stem)
    return Sherlock(releases, load_rules()), expected


def test_the_engine_says_what_the_truth_file_says(engine_and_truth: tuple[Sherlock, list[tuple[Truth, str]]]) -> None:
    engine, objects = engine_and_truth
    still = [(one, klass) for one, klass in objects if klass]
    answers = engine.classify([one.ra for one, _ in still], [one.decl for one, _ in still], 2026.9)
    wrong = [
        (one.kind, klass, said)
        for (one, klass), said in zip(still, answers.classes.tolist(), strict=True)
        if klass != said
    ]
    # the thin background may fall on an object
    assert len(wrong) <= 0.01 * len(still), wrong


def test_every_class_is_there(engine_and_truth: tuple[Sherlock, list[tuple[Truth, str]]]) -> None:
    _, objects = engine_and_truth
    assert {klass for _, klass in objects} == {"VS", "CV", "BS", "AGN", "NT", "SN", "HPMS", "UNCLEAR", "ORPHAN", ""}
    assert {klass for one, klass in objects if one.kind == "mover"} == {""}


def test_a_simulation_has_its_catalogues(tmp_path: Path) -> None:
    write("test", tmp_path / "a", seed=3)
    write("test", tmp_path / "b", seed=3)
    names = sorted(file.name for file in (tmp_path / "a" / SKY_FOLDER).iterdir())
    assert {"gaia.parquet", "ps1.parquet"} <= set(names)
    for name in names:
        assert pq.read_table(tmp_path / "a" / SKY_FOLDER / name) == pq.read_table(tmp_path / "b" / SKY_FOLDER / name)
    with (tmp_path / "a" / "truth.csv").open(newline="") as file:
        contexts = {row["context"] for row in csv.DictReader(file) if row["class"] != "mover"}
    assert contexts <= {"VS", "CV", "BS", "AGN", "NT", "SN", "HPMS", "UNCLEAR", "ORPHAN"}
