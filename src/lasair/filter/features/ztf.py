"""All columns of ZTF's `objects` table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.filter.features.columns import finish
from lasair.filter.features.dmdt import dmdt
from lasair.filter.features.ema import moving_averages
from lasair.filter.features.good_positive import GOOD_SCORE, good_positive
from lasair.filter.features.magnitudes import magnitudes
from lasair.filter.features.night_colour import night_colour
from lasair.filter.features.position import mean_position
from lasair.filter.features.ztf_detections import ztf_detections
from lasair.packets.batch import AlertBatch, Columns
from lasair.packets.ids import object_names
from lasair.schema.model import table
from lasair.sky.galactic import galactic
from lasair.sky.htm import htm_id

_COPIED = ("sgmag1", "srmag1", "sgscore1", "distpsnr1")


def ztf_objects(batch: AlertBatch) -> Columns:
    """One row an alert: the features of the light curve in the packet.

    Non-detections and forced photometry take no part; neither does band i in the columns of a band.

    Parameters
    ----------
    batch : n alerts of ZTF

    Returns
    -------
    The columns of the table `objects` in the published order, each (n,): floats (NaN missing), int64
    (INT_MISSING), text (''). Times are Julian dates UTC.
    """
    alerts = batch.alerts
    curves = ztf_detections(batch, GOOD_SCORE)
    columns: Columns = {
        "objectId": object_names("ztf", alerts["object_id"]),
        "ncand": np.diff(curves.offsets),
        "ssnamenr": _text(alerts["ssnamenr"]),
    }
    for name in _COPIED:
        columns[name] = alerts[name].astype(np.float64)
    columns.update(mean_position(curves))
    columns.update(magnitudes(curves))
    columns.update(dmdt(curves))
    columns.update(night_colour(curves))
    columns.update(good_positive(curves))
    columns.update(moving_averages(curves))
    columns["glonmean"], columns["glatmean"] = galactic(columns["ramean"], columns["decmean"])
    columns["htm16"] = htm_id(columns["ramean"], columns["decmean"])
    return finish(columns, table("objects", "ztf").column_names)


def _text(raw: NDArray[Any]) -> NDArray[np.str_]:
    try:
        return raw.astype("<U32")
    except UnicodeDecodeError:  # not ASCII: one odd name must not stop the others
        return np.char.decode(raw, "utf-8", "replace").astype("<U32")
