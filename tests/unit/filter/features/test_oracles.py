"""Values of the original Lasair (Apache-2.0, lsst-uk/lasair-lsst and lsst-uk/lasair4), where its test material is."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.filter.features.bbb import fit_bbb
from lasair.filter.features.lsst import lsst_objects
from lasair.filter.features.ztf import ztf_objects
from tests.support.batches import lsst_batch, ztf_batch
from tests.support.data import DATA
from tests.unit.filter.features.curves import context, is_missing

ORACLES = DATA / "oracles" if DATA else None


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def same(found: Any, expected: Any, rel: float) -> bool:
    if expected is None or expected != expected or expected == -999:
        return is_missing(np.array([found]))
    return found == expected if isinstance(expected, str) else found == pytest.approx(expected, rel=rel, abs=1e-12)


if ORACLES is not None:
    LSST = ORACLES / "lsst_features"
    ZTF = load(ORACLES / "ztf_features" / "expected.json")
    with (ORACLES / "bbb" / "expected.csv").open(encoding="utf-8", newline="") as _file:
        BBB = list(csv.DictReader(_file))

    def test_lsst_features() -> None:
        (path,) = (p for p in LSST.glob("*.json") if p.stem.isdigit())
        alert = load(path)
        batch = lsst_batch([alert])
        given = context(ebv=alert["ebv"], sherlock_class="ORPHAN")
        columns = {**lsst_objects(batch, given), **fit_bbb(batch, given)}
        expected = load(path.with_name(f"{path.stem}_object.json"))
        wrong = {
            name: (columns[name][0], value)
            for name, value in expected.items()
            if not same(columns[name][0], value, 1e-6)
        }
        assert not wrong
        assert set(columns) - set(expected) == {"tns_name", "timestamp"}

    @pytest.mark.parametrize("name", ZTF)
    def test_ztf_features(name: str) -> None:
        columns = ztf_objects(ztf_batch([load(ORACLES / "ztf_features" / f"{name}.json")]))
        wrong = {
            key: (columns[key][0], value) for key, value in ZTF[name].items() if not same(columns[key][0], value, 1e-8)
        }
        assert not wrong

    @pytest.mark.parametrize("case", BBB, ids=lambda case: case["name"])
    def test_bbb(case: dict[str, str]) -> None:
        curve = load(ORACLES / "bbb" / f"{case['name']}.json")
        fields = {"midPointTai": "midpointMjdTai", "filterName": "band", "psFlux": "psfFlux"}
        lists = {
            key: [
                {fields[k]: v for k, v in row.items() if k in fields} | {id_name: i + 1}
                for i, row in enumerate(curve[key])
            ]
            for key, id_name in (("diaSourcesList", "diaSourceId"), ("diaForcedSourcesList", "diaForcedSourceId"))
        }
        found = fit_bbb(lsst_batch([{"diaObject": {"diaObjectId": 1}, **lists}]), context())
        pairs = {
            "BBBRiseRate": "k_or_kr",
            "BBBFallRate": "kf",
            "BBBTemp": "T_kK",
            "BBBPeakFlux": "peak_flux",
            "BBBPeakMJD": "peak_day",
        }
        if case["model"] == "none":
            assert all(is_missing(values) for values in found.values())
            return
        assert is_missing(found["BBBFallRate"]) == (case["model"] == "exp")
        for name, column in pairs.items():
            if case[column]:
                digits = len(case[column].partition(".")[2])
                assert found[name][0] == pytest.approx(float(case[column]), rel=1e-3, abs=0.6 * 10**-digits), name
