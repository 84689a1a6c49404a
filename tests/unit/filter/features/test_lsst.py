from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.filter.features.bbb import BBB_COLUMNS, fit_bbb
from lasair.filter.features.context import Context, now_text
from lasair.filter.features.lsst import lsst_objects
from lasair.packets.batch import Columns, empty_batch
from lasair.schema.model import INT_MISSING, table
from lasair.sky.htm import htm_id
from tests.support.batches import lsst_batch
from tests.unit.filter.features.curves import context, is_missing, lsst_alert, one

#: A rising supernova in two bands with five earlier detections each, fit for all features.
ALERT = lsst_alert(
    [(61000.0 + 5 * k + 0.01 * b, "gi"[b], 1000.0 * (k + 1) + 10 * b, 50.0, 0.9) for k in range(12) for b in range(2)],
    forced=[(60990.0, "g", 5.0)],
    nDiaSources=24,
    g_psfFluxMean=1.5,
    g_psfFluxNdata=12,
)


def everything(alerts: list[dict[str, Any]], **known: Any) -> Columns:
    """All features, the fit included."""
    batch, given = lsst_batch(alerts), context(len(alerts), **known)
    return {**lsst_objects(batch, given), **fit_bbb(batch, given)}


def check(columns: Columns, n: int) -> None:
    assert tuple(columns) == table("objects", "lsst").column_names
    for column in table("objects", "lsst").columns:
        values = columns[column.name]
        assert values.shape == (n,), column.name
        if column.is_text:
            assert values.dtype.kind == "U", column.name
        elif column.type in ("int", "bigint"):
            assert values.dtype == np.int64, column.name
        else:
            assert values.dtype == np.float64, column.name
            assert not np.isinf(values).any(), column.name


def test_the_columns_of_the_schema_in_its_order() -> None:
    columns = lsst_objects(lsst_batch([ALERT, ALERT]), context(2))
    check(columns, 2)
    assert len(columns) == 129


def test_no_alerts() -> None:
    check(lsst_objects(empty_batch("lsst"), Context.unknown(0)), 0)
    assert fit_bbb(empty_batch("lsst"), Context.unknown(0))["BBBTemp"].shape == (0,)


def test_what_the_survey_says_is_copied() -> None:
    columns = lsst_objects(lsst_batch([ALERT]), context())
    assert columns["diaObjectId"] == [1]
    assert (columns["ra"], columns["decl"]) == ([10.0], [-20.0])
    assert (columns["nDiaSources"], columns["g_psfFluxMean"], columns["g_psfFluxNdata"]) == ([24], [1.5], [12])
    assert columns["u_psfFluxNdata"] == [INT_MISSING]
    assert columns["htm16"] == htm_id([10.0], [-20.0])
    assert (columns["timestamp"], columns["tns_name"]) == (["2026-01-01 00:00:00.000000"], [""])


def test_all_features_of_a_supernova() -> None:
    columns = everything([ALERT], z=0.1)
    for name in ("absMag", "absMagMJD", "latestPairColourMag", "penultimatePairColourTemp", "medianR", "glat", "ebv"):
        assert np.isfinite(columns[name][0]), name
    assert columns["jump1"] > 1
    assert np.isfinite(columns["BBBRiseRate"][0])


def test_the_fit_is_not_in_the_way_of_notifications() -> None:
    columns = lsst_objects(lsst_batch([ALERT]), context(z=0.1))
    assert all(is_missing(columns[name]) for name in BBB_COLUMNS)


def test_without_a_dust_map_only_the_corrected_features_are_missing() -> None:
    columns = everything([ALERT], z=0.1, ebv=np.nan)
    for name in ("ebv", "absMag", "latestPairColourMag", "latestPairColourBands", "BBBTemp"):
        assert is_missing(columns[name]), name
    for name in ("latestPairMJD", "jump1", "g_psfFlux", "glat"):
        assert np.isfinite(columns[name][0]), name


def test_a_packet_without_an_object_has_the_position_of_the_detection() -> None:
    alert = copy.deepcopy(ALERT)
    alert["diaObject"] = None
    for source in alert["diaSourcesList"]:
        source |= {"ra": 11.0, "dec": -21.0, "diaObjectId": 7}
    columns = everything([alert])
    check(columns, 1)
    assert (columns["diaObjectId"], columns["ra"], columns["decl"]) == ([7], [11.0], [-21.0])
    assert np.isfinite(columns["glat"][0])


def changed(**source: Any) -> dict[str, Any]:
    """ALERT with the newest source changed."""
    alert = copy.deepcopy(ALERT)
    alert["diaSourcesList"][-1] |= source
    return alert


def without_fluxes() -> dict[str, Any]:
    alert = copy.deepcopy(ALERT)
    for source in alert["diaSourcesList"]:
        source["psfFlux"] = None
    return alert


def constant() -> dict[str, Any]:
    alert = copy.deepcopy(ALERT)
    for source in alert["diaSourcesList"]:
        source["psfFlux"] = 1000.0
    return alert


def poisons() -> dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]]:
    """What stopped the original: alert, context, columns that must be missing."""
    null_forced = copy.deepcopy(ALERT)
    null_forced["diaForcedSourcesList"][0]["psfFlux"] = None
    lacking = copy.deepcopy(ALERT)
    del lacking["diaObject"]["g_psfFluxMean"]
    return {
        "one null reliability": (changed(reliability=None), {}, ("latestR",)),
        "all fluxes null": (without_fluxes(), {}, ("latest_psfFlux", "jump1", "absMag", "BBBTemp", "latestPairMJD")),
        "one flux null": (changed(psfFlux=None), {}, ()),
        "null forced flux": (null_forced, {}, ()),
        "an attribute of the object is missing": (lacking, {}, ("g_psfFluxMean",)),
        "unknown band": (changed(band="w"), {}, ()),
        "distance 0": (ALERT, {"best_distance_mpc": 0.0}, ("absMag",)),
        "constant flux": (constant(), {}, ("BBBTemp",)),
        "NaN flux": (changed(psfFlux=float("nan")), {}, ()),
    }


@pytest.mark.parametrize("name", poisons())
def test_poison_gives_nulls(name: str) -> None:
    alert, known, missing = poisons()[name]
    columns = everything([ALERT, alert, ALERT], **known)
    check(columns, 3)
    for column in missing:
        assert is_missing(columns[column][1:2]), column
    good = everything([ALERT], **known)
    for column in columns:  # the neighbours do not notice
        for i in (0, 2):
            assert np.array_equal(columns[column][i : i + 1], good[column], equal_nan=columns[column].dtype.kind == "f")


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(61000.0, "g", 100.0, 10.0, 0.9)],
        [(61000.0, "g", 100.0, 10.0, 0.9)] * 10,
        [(61000.0 + k, "g", -100.0, 10.0, 0.9) for k in range(10)],
        [(61000.0 + k, "w", 100.0, 10.0, 0.9) for k in range(10)],
        [(61000.0 + k, None, 100.0, 10.0, 0.9) for k in range(10)],
        [(61000.0 + k, "g", 3e38, 1e38, 0.9) for k in range(10)],
        [(61000.0 + 10 * k, "gr"[k % 2], 0.0, 0.0, 0.0) for k in range(10)],
    ],
    ids=["no rows", "one point", "identical", "negative", "unknown band", "no band", "huge", "zero"],
)
def test_degenerate_light_curves(points: list[Any]) -> None:
    columns = everything([lsst_alert(points)], z=0.1)
    check(columns, 1)
    assert is_missing(columns["BBBRiseRate"])
    assert is_missing(columns["latestPairColourTemp"])


def test_infinities_of_the_survey_are_missing() -> None:
    assert is_missing(lsst_objects(lsst_batch([lsst_alert([], g_psfFluxMean=np.inf)]), context())["g_psfFluxMean"])


FLUX = st.one_of(st.none(), st.floats(width=32), st.floats(-1e6, 1e6, width=32))
POINT = st.tuples(
    st.floats(60000, 60100),
    st.sampled_from(["u", "g", "r", "i", "z", "y", "w", None]),
    FLUX,
    st.one_of(st.none(), st.floats(width=32)),
    st.one_of(st.none(), st.floats(0, 1, width=32)),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(POINT, max_size=30),
    st.lists(POINT, max_size=5),
    st.one_of(st.floats(-1, 10), st.floats()),
    st.one_of(st.floats(0, 5), st.floats()),
)
def test_any_light_curve(points: list[Any], forced: list[Any], z: float, ebv: float) -> None:
    columns = everything([lsst_alert(points, forced)], z=z, ebv=ebv)
    check(columns, 1)
    n_known = sum(int(columns[f"n{band}Sources"][0]) for band in "ugrizy")
    assert n_known <= sum(point[2] is not None for point in points)
    assert columns["nPosDiaSourcesNights"][0] <= columns["nPosDiaSources"][0]
    assert not columns["jump1"][0] < columns["jump2"][0]


def test_features_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(4)
    alerts = [
        lsst_alert(
            [
                (61000 + float(t), "gri"[k % 3], float(f), 5.0, 0.5)
                for k, (t, f) in enumerate(rng.normal(50, 30, (n, 2)))
            ]
        )
        for n in (0, 1, 7, 40)
    ]
    together = everything(alerts, z=0.1)
    for i, alert in enumerate(alerts):
        for name, values in everything([alert], z=0.1).items():
            assert np.array_equal(values, together[name][i : i + 1], equal_nan=values.dtype.kind == "f"), name


def test_the_batch_is_left_as_it_was() -> None:
    batch = one([(2.0, "g", 1.0), (1.0, "r", 2.0)])
    before = batch.rows.tobytes(), batch.alerts.tobytes()
    lsst_objects(batch, context())
    assert (batch.rows.tobytes(), batch.alerts.tobytes()) == before


def test_the_time_of_a_row() -> None:
    assert len(now_text()) == 26
    assert Context.unknown(1).timestamp >= "2026"
