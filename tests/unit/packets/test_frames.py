from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lasair.packets.avro import compile_schema
from lasair.packets.batch import AlertBatch, empty_batch, significance
from lasair.packets.decode import decode
from lasair.packets.notebook import read
from lasair.schema.model import KINDS, SURVEYS, Survey, layout
from lasair.simulate.write import write
from tests.support.data import DATA
from tests.support.packets import datum, filled, lsst_alert, message, small_lsst, small_ztf, sub_type, ztf_alert

LSST, ZTF = small_lsst(), small_ztf()


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real packets when there are any, else simulated ones."""
    if DATA:
        return DATA
    folder = tmp_path_factory.mktemp("packets")
    write("test", folder, seed=3, n=150)
    return folder


def decoded(schema: dict[str, Any], *records: dict[str, Any]) -> AlertBatch:
    compiled = compile_schema(schema)
    batches, refused = decode([message(datum(schema, one), i, compiled) for i, one in enumerate(records)], None)
    assert not refused
    return batches[0]


def lsst() -> AlertBatch:
    earlier = filled(sub_type(LSST, "prvDiaSources"), diaSourceId=1, midpointMjdTai=61000.0, band=None)
    forced = filled(sub_type(LSST, "prvDiaForcedSources"), diaForcedSourceId=2, midpointMjdTai=61001.0, band="y")
    limit = filled(sub_type(LSST, "prvDiaNondetectionLimits"), midpointMjdTai=61002.0, band="u", diaNoise=3.0)
    mover = filled(sub_type(LSST, "ssSource"), ssObjectId=77, designation="2024 AB1")
    source = {"diaObjectId": None, "ssObjectId": 77, "band": "w", "snr": None, "diaSourceId": 9}
    return decoded(
        LSST,
        lsst_alert(prvDiaSources=[earlier], prvDiaForcedSources=[forced], prvDiaNondetectionLimits=[limit]),
        lsst_alert(source=source, ssSource=mover, diaObject=None),
    )


def ztf() -> AlertBatch:
    return decoded(
        ZTF,
        ztf_alert(candidate={"sigmapsf": 0.1, "isdiffpos": "t", "ssnamenr": "1234", "ssdistnr": 2.0}),
        ztf_alert(candid=4, objectId="ZTF17zzzzzzz", candidate={"sigmapsf": -999.0, "isdiffpos": "?", "fid": 9}),
    )


def test_lsst_values() -> None:
    alerts, rows = lsst().to_pandas()
    assert list(alerts["band"].cat.categories) == list("ugrizy")
    assert alerts["band"].tolist()[0] == "i" and pd.isna(alerts["band"][1])
    assert alerts["object_id"].dtype == "Int64" and alerts["object_id"].isna().tolist() == [False, True]
    assert alerts["ss_object_id"].isna()[0] and alerts["ss_object_id"][1] == 77
    assert alerts["is_mover"].tolist() == [False, True] and alerts["is_mover"].dtype == bool
    assert alerts["has_object"].dtype == bool
    assert alerts["designation"][1] == "2024 AB1" and alerts["designation"][0] is pd.NA
    assert math.isnan(alerts["snr"][1]) and alerts["snr"].dtype == np.float32
    assert rows["kind"].tolist() == ["detection", "forced", "nondetection", "detection", "detection"]
    assert rows["band"].astype(object).where(rows["band"].notna(), None).tolist() == [None, "y", "u", "i", None]
    assert rows["source_id"].isna().tolist() == [False, False, True, False, False]
    assert rows["alert_id"].tolist() == [alerts["alert_id"][0]] * 4 + [9]


def test_ztf_values() -> None:
    batch = ztf()
    alerts, rows = batch.to_pandas()
    assert alerts["object_id"].tolist() == alerts["objectId"].tolist() == ["ZTF24abcdefg", "ZTF17zzzzzzz"]
    assert alerts["snr"].tolist() == [pytest.approx(10.857), pytest.approx(math.nan, nan_ok=True)]
    assert rows["snr"].tolist() == [pytest.approx(10.857), pytest.approx(math.nan, nan_ok=True)]
    assert alerts["sign"][0] == 1 and alerts["sign"][1] is pd.NA
    assert alerts["ssnamenr"][0] == "1234" and alerts["ssnamenr"][1] is pd.NA
    assert alerts["ss_object_id"].isna().all() and pd.isna(alerts["band"][1])
    assert list(alerts.columns).index("snr") == list(alerts.columns).index("mag_err") + 1


def test_arrow_types() -> None:
    alerts, rows = lsst().to_arrow()
    letters = pa.dictionary(pa.int8(), pa.string())
    assert alerts.schema.field("band").type == rows.schema.field("kind").type == letters
    assert alerts["band"].to_pylist() == ["i", None] and rows["kind"].to_pylist()[2] == "nondetection"
    assert alerts.schema.field("ss_object_id").type == pa.int64() and alerts["ss_object_id"].to_pylist() == [None, 77]
    assert alerts.schema.field("is_mover").type == pa.bool_()
    assert alerts["designation"].to_pylist() == [None, "2024 AB1"]
    assert alerts["snr"].null_count == 0 and math.isnan(alerts["snr"][1].as_py())
    assert ztf().to_arrow()[0]["object_id"].to_pylist() == ["ZTF24abcdefg", "ZTF17zzzzzzz"]
    file = io.BytesIO()
    pq.write_table(rows, file)
    assert pq.read_table(file)["kind"].to_pylist() == rows["kind"].to_pylist()


@pytest.mark.parametrize("survey", SURVEYS)
def test_no_alerts_have_the_same_types(survey: Survey) -> None:
    some, none = (lsst() if survey == "lsst" else ztf()), empty_batch(survey)
    for full, bare in zip(some.to_pandas(), none.to_pandas(), strict=True):
        assert len(bare) == 0 and full.dtypes.tolist() == bare.dtypes.tolist()
    for full, bare in zip(some.to_arrow(), none.to_arrow(), strict=True):
        assert bare.num_rows == 0 and full.schema == bare.schema


def test_a_batch_without_a_name() -> None:
    batch = ztf()
    nameless = dataclasses.replace(batch, alerts=np.zeros(2, batch.alerts.dtype))
    assert nameless.to_arrow()[0]["object_id"].to_pylist() == [None, None]


def test_significance() -> None:
    found = significance(np.array([(0.1,), (0.0,), (-1.0,), (np.nan,)], [("mag_err", "f4")]))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [10.857, np.nan, np.nan, np.nan], rtol=1e-6)
    assert significance(np.array([(5.5,)], [("snr", "f4")])).tolist() == [5.5]


def plainly(name: str, kind: np.dtype[Any], is_sign: bool, value: Any) -> Any:
    """What a stored value means. Slow and plain on purpose."""
    if name == "band":
        return chr(value) if value and chr(value) in "ugrizy" else None
    if name == "kind":
        return KINDS[value]
    if kind.kind == "S":
        return value.decode() or None
    if kind.kind == "u":
        return bool(value)
    if kind.kind == "i":
        return None if value == (0 if is_sign else np.iinfo(kind).min) else value
    return value


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_value_of_a_night(night: Path, survey: Survey) -> None:
    batch = read(night / survey)
    frames, tables = batch.to_pandas(), batch.to_arrow()
    for k, part in enumerate(("alert", "row")):
        codes = (batch.alerts, batch.rows)[k]
        for one in layout(survey, part).fields:
            name = "objectId" if (survey, one.name) == ("ztf", "object_id") else one.name
            kind = codes.dtype[name]
            wanted = [plainly(name, kind, one.convert == "sign", value) for value in codes[name].tolist()]
            if kind.kind == "f":
                np.testing.assert_array_equal(frames[k][one.name].to_numpy(), codes[name])
                np.testing.assert_array_equal(tables[k][one.name].to_numpy(), codes[name])
                assert tables[k][one.name].null_count == 0
                continue
            assert tables[k][one.name].to_pylist() == wanted, one.name
            column = frames[k][one.name].astype(object)
            assert [None if pd.isna(value) else value for value in column] == wanted, one.name
    assert (frames[0]["alert_id"] > 0).all() and set(frames[1]["alert_id"]) == set(frames[0]["alert_id"])
