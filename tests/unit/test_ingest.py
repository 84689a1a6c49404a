"""What of a batch goes to the stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lasair.ingest import keep_lightcurves
from lasair.packets.batch import empty_batch
from lasair.schema.model import INT_MISSING
from lasair.stores.lightcurves import FileLightcurveStore


def test_a_mover_without_any_id_stops_nothing(tmp_path: Path) -> None:
    batch = empty_batch("lsst")
    batch.alerts = np.zeros(3, batch.alerts.dtype)
    batch.alerts["object_id"] = [7, INT_MISSING, INT_MISSING]
    batch.alerts["ss_object_id"] = [INT_MISSING, INT_MISSING, 9]
    batch.alerts["is_mover"] = [1, 1, 1]
    batch.rows = np.zeros(3, batch.rows.dtype)
    batch.rows["source_id"] = [1, 2, 3]
    batch.offsets, batch.trigger = np.arange(4), np.arange(3)
    batch.messages, batch.schemas = [None] * 3, [None] * 3  # type: ignore[list-item]
    batch.datum, batch.cutouts = np.zeros((3, 2), np.int64), np.zeros((3, 3, 2), np.int64)
    store = FileLightcurveStore(tmp_path, 1, False)
    assert keep_lightcurves(batch, store).written == 2
    assert keep_lightcurves(batch.select(np.array([1])), store).written == 0
    assert len(store.get("lsst", [7])[0]) == len(store.get("lsst_ss", [9])[0]) == 1
    store.close()
