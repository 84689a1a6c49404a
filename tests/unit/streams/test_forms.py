from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.definitions.snapshot import ActiveFilter
from lasair.filter.run import FilterResult
from lasair.packets.avro import compile_schema
from lasair.packets.batch import AlertBatch, Message
from lasair.packets.decode import decode
from lasair.packets.ids import object_id
from lasair.streams.forms import BatchTimes, Delivery, Forms
from tests.support import packets
from tests.support.batches import lsst_batch, ztf_batch
from tests.support.data import DATA

# 2026-03-10 06:00:00 UTC; TAI is 37 s ahead
MJD = 61109.25 + 37 / 86400
ARRIVED = 1_773_122_400.0 + 61.25
TIMES = BatchTimes(ingested_s=ARRIVED + 1, filtered_s=ARRIVED + 2.5, sent_s=ARRIVED + 2.5)
OBJECT = 313637921267122191


def active(output: str = "plain", survey: str = "lsst") -> ActiveFilter:
    return ActiveFilter(
        3,
        14,
        2,
        "Has absmag",
        1,
        survey,
        "",
        "",
        "",
        "",
        output,
        "lasair_1_Hasabsmag_0123abcd",
        None,  # type: ignore[arg-type]
    )


def result(
    output: str = "plain", survey: str = "lsst", rows: dict[int, tuple[Any, ...]] | None = None, names: Any = ("ra",)
) -> FilterResult:
    found = {0: (10.5,)} if rows is None else rows
    return FilterResult(
        active(output, survey), alerts=np.array(list(found), np.int64), names=list(names), rows=list(found.values())
    )


def source(mjd: float, number: int, **values: Any) -> dict[str, Any]:
    return {
        "diaSourceId": number,
        "diaObjectId": OBJECT,
        "midpointMjdTai": mjd,
        "psfFlux": float(number),
        "psfFluxErr": 0.5,
        "band": "g",
        "reliability": 0.75,
        **values,
    }


def lsst(n: int = 1) -> AlertBatch:
    alerts = [
        {
            "diaObject": {"diaObjectId": OBJECT + i, "ra": 1.0, "decl": 2.0},
            "diaSourcesList": [
                source(MJD, 30, diaObjectId=OBJECT + i),
                source(MJD - 2, 10, psfFlux=None, reliability=None),
                source(MJD - 1, 20, band="y"),
            ],
            "diaForcedSourcesList": [
                {"diaForcedSourceId": 1, "midpointMjdTai": MJD - 3, "psfFlux": 0.1, "psfFluxErr": 0.2, "band": "u"},
                {"diaForcedSourceId": 2, "midpointMjdTai": MJD - 1.5, "psfFlux": -2.0, "psfFluxErr": 1.0, "band": None},
            ],
            "diaNondetectionLimitsList": [{"midpointMjdTai": MJD - 4, "diaNoise": 5.0, "band": "g", "ccdVisitId": 9}],
        }
        for i in range(n)
    ]
    batch = lsst_batch(alerts)
    batch.messages = [Message(b"", "test", i, ARRIVED + i) for i in range(n)]
    return batch


def ztf() -> AlertBatch:
    jd = 2460500.7549421
    batch = ztf_batch(
        [
            {
                "objectId": "ZTF24abcdefg",
                "candid": 50,
                "candidate": {"jd": jd, "fid": 2, "magpsf": 18.5, "sigmapsf": 0.125, "isdiffpos": "t", "rb": 0.5},
                "prv_candidates": [
                    {"jd": jd - 3, "fid": 1, "diffmaglim": 20.5, "candid": None},
                    {
                        "jd": jd - 1,
                        "fid": 1,
                        "candid": 40,
                        "magpsf": 19.0,
                        "sigmapsf": 0.25,
                        "isdiffpos": "f",
                        "rb": None,
                    },
                ],
                "fp_hists": [
                    {"jd": jd - 9, "fid": 3, "forcediffimflux": -5.5, "forcediffimfluxunc": 2.5, "magzpsci": 26.25},
                    {"jd": jd - 8, "fid": 1, "forcediffimflux": -99999, "forcediffimfluxunc": -99999, "magzpsci": 26.0},
                ],
            }
        ]
    )
    batch.messages = [Message(b"", "test", 0, ARRIVED)]
    return batch


def messages(batch: AlertBatch, found: FilterResult, evaluated: list[int] | None = None) -> list[Delivery]:
    index = np.arange(len(batch)) if evaluated is None else np.array(evaluated)
    return Forms(batch, index.astype(np.int64), TIMES).messages(found)


def payloads(*args: Any) -> Iterator[dict[str, Any]]:
    return (json.loads(one.payload) for one in messages(*args))


def test_plain() -> None:
    row = (OBJECT, 1.5, math.nan, None, "g-r", math.inf, -math.inf)
    names = ("diaObjectId", "ra", "u_psfFlux", "tns_name", "bands", "a", "b")
    (one,) = messages(lsst(), result(rows={0: row}, names=names))
    assert one[:6] == (14, 3, "lasair_1_Hasabsmag_0123abcd", "lsst", 30, OBJECT)
    message = json.loads(one.payload)
    assert list(message) == [*names, "UTC", "times", "lasair"]
    assert [message[name] for name in names] == [OBJECT, 1.5, None, None, "g-r", None, None]
    assert message["UTC"] == "2026-03-10 06:01:03"
    assert message["times"] == {
        "exposure": "2026-03-10T06:00:00.000Z",
        "processed": None,
        "arrived": "2026-03-10T06:01:01.250Z",
        "ingested": "2026-03-10T06:01:02.250Z",
        "filtered": "2026-03-10T06:01:03.750Z",
        "sent": "2026-03-10T06:01:03.750Z",
    }
    assert message["lasair"] == {
        "survey": "lsst",
        "filter": "Has absmag",
        "version": 2,
        "alert": "30",
        "object": str(OBJECT),
    }


def test_what_filters_saw_and_what_the_batch_holds() -> None:
    found = result(rows={1: (5,), 0: (6,)}, names=("x",))
    batch = lsst(4)
    sent = messages(batch, found, [1, 3])
    assert [one.object_id for one in sent] == [OBJECT + 3, OBJECT + 1]
    assert [json.loads(one.payload)["times"]["arrived"][-5:-1] for one in sent] == [".250", ".250"]
    assert [json.loads(one.payload)["times"]["arrived"][17:19] for one in sent] == ["04", "02"]
    assert [json.loads(one.payload)["x"] for one in sent] == [5, 6]


def test_processed_when_the_survey_says_so() -> None:
    batch = lsst()
    batch.alerts["processed_mjd_tai"] = MJD + 60 / 86400
    assert next(payloads(batch, result()))["times"]["processed"] == "2026-03-10T06:01:00.000Z"


def test_no_matches() -> None:
    assert messages(lsst(), result(rows={})) == []


def test_lsst_lite() -> None:
    (message,) = payloads(lsst(), result("lite"))
    assert message["alert"] == {
        "diaSourcesList": [
            {"psfFlux": 30.0, "psfFluxErr": 0.5, "midpointMjdTai": MJD, "band": "g", "reliability": 0.75},
            {"psfFlux": 20.0, "psfFluxErr": 0.5, "midpointMjdTai": MJD - 1, "band": "y", "reliability": 0.75},
            {"psfFlux": None, "psfFluxErr": 0.5, "midpointMjdTai": MJD - 2, "band": "g", "reliability": None},
        ],
        "diaForcedSourcesList": [
            {"psfFlux": -2.0, "psfFluxErr": 1.0, "midpointMjdTai": MJD - 1.5, "band": None},
            {"psfFlux": 0.10000000149011612, "psfFluxErr": 0.20000000298023224, "midpointMjdTai": MJD - 3, "band": "u"},
        ],
    }
    assert list(message["alert"]["diaSourcesList"][0]) == [
        "psfFlux",
        "psfFluxErr",
        "midpointMjdTai",
        "band",
        "reliability",
    ]


def test_the_own_detection_comes_before_another_of_its_time() -> None:
    batch = lsst()
    batch.rows["mjd_tai"][:] = MJD
    detections = np.flatnonzero(batch.rows["kind"] == 0)
    batch.trigger[0] = detections[0]
    (message,) = payloads(batch, result("lite"))
    assert message["alert"]["diaSourcesList"][0]["reliability"] is None


def test_ztf_lite() -> None:
    (one,) = messages(ztf(), result("lite", "ztf", rows={0: ("ZTF24abcdefg", 18.5)}, names=("objectId", "rmag")))
    message = json.loads(one.payload)
    assert (one.alert_id, one.object_id) == (50, object_id("ztf", "ZTF24abcdefg"))
    assert message["objectId"] == message["lasair"]["object"] == "ZTF24abcdefg"
    jd = 2460500.7549421
    assert message["alert"] == {
        "candidates": [
            {"jd": jd, "fid": 2, "magpsf": 18.5, "sigmapsf": 0.125, "isdiffpos": "t", "rb": 0.5},
            {"jd": jd - 1, "fid": 1, "magpsf": 19.0, "sigmapsf": 0.25, "isdiffpos": "f", "rb": None},
        ],
        "nondetections": [{"jd": jd - 3, "fid": 1, "diffmaglim": 20.5}],
        "fp_hists": [
            {"jd": jd - 8, "fid": 1, "forcediffimflux": None, "forcediffimfluxunc": None, "magzpsci": 26.0},
            {"jd": jd - 9, "fid": 3, "forcediffimflux": -5.5, "forcediffimfluxunc": 2.5, "magzpsci": 26.25},
        ],
    }


def decoded(schema: dict[str, Any], record: dict[str, Any]) -> AlertBatch:
    message = Message(packets.datum(schema, record), "test", 0, ARRIVED, compile_schema(schema))
    batches, refused = decode([message], None)
    assert refused == []
    (batch,) = batches
    return batch


def test_lsst_full() -> None:
    schema = packets.small_lsst()
    one = packets.sub_type(schema, "diaSource")
    earlier = [
        packets.filled(one, diaSourceId=i, diaObjectId=OBJECT, midpointMjdTai=61000.0 + i, ra=1.0, dec=2.0, band="r")
        for i in (1, 3, 2)
    ]
    record = packets.lsst_alert(
        schema,
        prvDiaSources=earlier,
        diaObject=packets.filled(packets.sub_type(schema, "diaObject"), diaObjectId=OBJECT, ra=1.0, dec=-2.0),
        target_name="x",
        cutoutScience=b"SIMPLE",
    )
    batch = decoded(schema, record)
    batch.tables["objects"] = {"ebv": np.array([0.25])}
    (message,) = payloads(batch, result("full"))
    whole = message["alert"]
    assert [row["diaSourceId"] for row in whole["diaSourcesList"]] == [record["diaSourceId"], 3, 2, 1]
    assert whole["diaForcedSourcesList"] == whole["diaNondetectionLimitsList"] == []
    assert (whole["diaObject"]["decl"], whole["ebv"], whole["target_name"]) == (-2.0, 0.25, "x")
    assert not any(name.startswith(("cutout", "prv")) or name == "diaSource" for name in whole)
    assert '"dec"' not in json.dumps(whole)
    sent = {"decl" if name == "dec" else name: value for name, value in record["diaSource"].items()}
    assert whole["diaSourcesList"][0] == sent


def test_ztf_full() -> None:
    schema = packets.small_ztf()
    kind = packets.sub_type(schema, "prv_candidates")
    jd = 2460500.75
    earlier = [packets.filled(kind, jd=jd - i, fid=1, pid=i, programid=1, dec=1.0) for i in (3, 1, 2)]
    batch = decoded(schema, packets.ztf_alert(schema, prv_candidates=earlier))
    (message,) = payloads(batch, result("full", "ztf"))
    whole = message["alert"]
    assert whole["objectId"] == "ZTF24abcdefg"
    assert whole["candidate"]["decl"] == 54.25
    assert [row["jd"] for row in whole["prv_candidates"]] == [jd - 1, jd - 2, jd - 3]
    assert whole["fp_hists"] == []
    assert whole["ebv"] is None
    assert not any(name.startswith("cutout") for name in whole)


def test_a_packet_that_only_the_columns_could_read(caplog: pytest.LogCaptureFixture) -> None:
    schema = packets.small_lsst()
    batch = decoded(schema, packets.lsst_alert(schema))
    batch.datum[0, 1] = batch.datum[0, 0] + 3
    (message,) = payloads(batch, result("full"))
    assert message["alert"] is None
    assert message["ra"] == 10.5
    assert "has no full form" in caplog.text


def test_nothing_is_changed() -> None:
    batch = lsst()
    before = batch.rows.copy()
    for output in ("plain", "lite"):
        messages(batch, result(output))
    assert batch.rows.tobytes() == before.tobytes()


def test_one_alert_for_many_filters() -> None:
    forms = Forms(lsst(), np.array([0]), TIMES)
    first, second = (forms.messages(result("lite"))[0].payload for _ in range(2))
    assert first == second


ORACLES = sorted((DATA / "oracles" / "lsst_features").glob("*_lite.json")) if DATA else []

if ORACLES:  # without the sample data there is nothing to compare with, and an empty list would count as a skip

    @pytest.mark.parametrize("lite", ORACLES, ids=lambda path: path.stem)
    def test_as_lasair_sends_it(lite: Path) -> None:
        alert = json.loads(lite.with_name(lite.name.replace("_lite", "")).read_text())
        batch = lsst_batch([alert])
        (message,) = payloads(batch, result("lite"))
        assert message["alert"] == json.loads(lite.read_text())
