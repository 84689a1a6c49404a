from __future__ import annotations

import math
from typing import Any

import numpy as np

from lasair.packets.avro import compile_schema
from lasair.packets.columns import decode_all_columns
from lasair.packets.decode import decode
from tests.support.packets import datum, filled, lsst_alert, message, small_lsst, small_ztf, sub_type, ztf_alert

LSST, ZTF = small_lsst(), small_ztf()


def rows(name: str, **values: Any) -> list[dict[str, Any]]:
    return [filled(sub_type(LSST, name), **values)]


def test_every_number_of_lsst() -> None:
    schema = compile_schema(LSST)
    its_object = filled(sub_type(LSST, "diaObject"), diaObjectId=7, ra=1.0, dec=2.0, nDiaSources=3)
    record = lsst_alert(
        prvDiaSources=rows("prvDiaSources", diaSourceId=1, midpointMjdTai=61000.0, x=3.5, isNegative=True, psfNdata=9),
        prvDiaForcedSources=rows("prvDiaForcedSources", diaForcedSourceId=2, midpointMjdTai=61001.0),
        diaObject=its_object,
        mpc_orbits=filled(sub_type(LSST, "mpc_orbits"), id=12),
    )
    messages = [
        message(datum(LSST, record), 0, schema),
        message(b"x", 1, schema),
        message(datum(LSST, lsst_alert()), 2, schema),
    ]
    (found,) = decode_all_columns(messages, None)
    assert found.schema is schema and len(found.alerts) == 2
    assert found.offsets.tolist() == [0, 3, 4] and found.trigger.tolist() == [2, 3]
    assert found.rows["x"].tolist()[:1] == [3.5] and math.isnan(found.rows["x"][1])
    assert found.rows["isNegative"].tolist() == [1, -128, -128, -128]
    assert found.rows["psfNdata"].tolist() == [9, -(2**31), 0, 0]
    assert found.alerts["mpc_orbits.id"].tolist() == [12, -(2**31)]
    batches, _ = decode(messages, None)
    for name in batches[0].rows.dtype.names or ():
        np.testing.assert_array_equal(found.rows[name], batches[0].rows[name])


def test_every_number_of_ztf() -> None:
    schema = compile_schema(ZTF)
    record = ztf_alert(candidate={"xpos": 12.5})
    (found,) = decode_all_columns([message(datum(ZTF, record), 0, schema)], None)
    assert found.rows["xpos"].tolist() == [12.5] and found.rows["band"].tolist() == [ord("r")]
    assert found.rows["programid"].tolist() == [1]
