"""Magnitudes of alerts and their change, in both surveys."""

from __future__ import annotations

import numpy as np
import pytest

from lasair.matching.brightness import brightness
from lasair.packets.batch import AlertBatch, empty_batch
from lasair.schema.model import DETECTION, FORCED, Survey


def batch_of(survey: Survey, curves: list[list[tuple[int, str, float]]]) -> AlertBatch:
    """Alerts whose last row is their trigger; rows are (kind, band, magnitude or flux)."""
    batch = empty_batch(survey)
    counts = [len(one) for one in curves]
    batch.rows = np.zeros(sum(counts), batch.rows.dtype)
    flat = [row for one in curves for row in one]
    batch.rows["kind"] = [row[0] for row in flat]
    batch.rows["band"] = [ord(row[1]) for row in flat]
    batch.rows["mag" if survey == "ztf" else "flux"] = [row[2] for row in flat]
    batch.offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    batch.trigger = batch.offsets[1:] - 1
    batch.alerts = np.zeros(len(curves), batch.alerts.dtype)
    return batch


def test_change_is_from_the_detection_before_in_the_same_band() -> None:
    batch = batch_of(
        "ztf",
        [
            [(DETECTION, "g", 18.0), (DETECTION, "r", 15.0), (FORCED, "g", 12.0), (DETECTION, "g", 17.25)],
            [(DETECTION, "r", 15.0), (DETECTION, "g", 17.0)],
            [(DETECTION, "g", 16.5)],
            [(DETECTION, "g", 16.0), (DETECTION, "g", 19.0), (DETECTION, "g", 18.5)],
        ],
    )
    mag, change = brightness(batch, np.array([0, 1, 2, 3]))
    assert mag.tolist() == [17.25, 17.0, 16.5, 18.5]
    assert change[[0, 3]].tolist() == [0.75, 0.5]
    assert np.isnan(change[[1, 2]]).all()
    mag, change = brightness(batch, np.array([3, 0]))
    assert (mag.tolist(), change.tolist()) == ([18.5, 17.25], [0.5, 0.75])


def test_fluxes_become_magnitudes_whatever_their_sign() -> None:
    batch = batch_of("lsst", [[(DETECTION, "r", -10_000.0), (DETECTION, "r", 1000.0)], [(DETECTION, "r", 0.0)]])
    mag, change = brightness(batch, np.array([0, 1]))
    assert mag[0] == pytest.approx(23.9)
    assert change[0] == pytest.approx(2.5)
    assert np.isnan(mag[1])
    assert np.isnan(change[1])


def test_nothing() -> None:
    mag, change = brightness(empty_batch("lsst"), np.empty(0, np.int64))
    assert len(mag) == len(change) == 0
