"""All columns of LSST's `objects` table."""

from __future__ import annotations

import numpy as np

from lasair.filter.features.absmag import absolute_magnitude
from lasair.filter.features.bbb import BBB_COLUMNS
from lasair.filter.features.columns import finish
from lasair.filter.features.context import Context
from lasair.filter.features.counts import counts
from lasair.filter.features.detections import detections
from lasair.filter.features.distance import distance_modulus
from lasair.filter.features.jump import jump
from lasair.filter.features.latest import latest
from lasair.filter.features.pairs import pair_colours
from lasair.packets.batch import AlertBatch, Columns
from lasair.schema.model import table
from lasair.sky.extinction import BANDS, corrections
from lasair.sky.galactic import galactic
from lasair.sky.htm import htm_id

#: `glat` is published with the pole's declination rounded to this [deg]; the true value is 0.2 arcsec less.
_GLAT_POLE_DECL = 27.1283

_FLOATS = ("validityStartMjdTai", "raErr", "decErr", "ra_dec_Cov")
_BAND_FLOATS = (
    "psfFluxMean",
    "psfFluxMeanErr",
    "psfFluxSigma",
    "fpFluxMean",
    "fpFluxMeanErr",
    "scienceFluxMean",
    "scienceFluxMeanErr",
    "psfFluxMin",
    "psfFluxMax",
    "psfFluxMaxSlope",
    "psfFluxErrMean",
)
_COPIED_FLOATS = (*_FLOATS, *(f"{band}_{name}" for band in BANDS for name in _BAND_FLOATS))
_COPIED_INTS = ("nDiaSources", *(f"{band}_psfFluxNdata" for band in BANDS))


def lsst_objects(batch: AlertBatch, context: Context) -> Columns:
    """One row an alert: LSST's summary of the object and the features of the light curve in the packet.

    Parameters
    ----------
    batch : n alerts of LSST
    context : what is known of their positions

    Returns
    -------
    The columns of the table `objects` in the published order, each (n,): floats (NaN missing), int64
    (INT_MISSING), text (''). The six BBB columns are missing: `fit_bbb` makes them, outside the path of
    notifications.
    """
    n = len(batch)
    curves = detections(batch)
    columns = survey_columns(batch)
    columns.update(latest(curves))
    columns.update(counts(curves))
    columns.update(jump(curves))
    correction = corrections(np.asarray(context.ebv, np.float64))
    columns.update(pair_colours(curves, correction))
    columns.update(absolute_magnitude(curves, correction, distance_modulus(context)))
    for name in BBB_COLUMNS:
        columns[name] = np.full(n, np.nan)
    columns["ebv"] = context.ebv
    columns["glat"] = galactic(columns["ra"], columns["decl"], pole_decl=_GLAT_POLE_DECL)[1]
    columns["htm16"] = htm_id(columns["ra"], columns["decl"])
    columns["tns_name"] = np.full(n, "", "<U32")  # the TNS watchlist writes it
    columns["timestamp"] = np.full(n, context.timestamp)
    return finish(columns, table("objects", "lsst").column_names)


def survey_columns(batch: AlertBatch) -> Columns:
    """What LSST says of the object; the position is the detection's where the packet has none of the object."""
    alerts = batch.alerts
    columns: Columns = {"diaObjectId": alerts["object_id"].astype(np.int64)}
    placed = np.isfinite(alerts["object_ra"]) & np.isfinite(alerts["object_decl"])
    columns["ra"] = np.where(placed, alerts["object_ra"], alerts["ra"])
    columns["decl"] = np.where(placed, alerts["object_decl"], alerts["decl"])
    for name in _COPIED_FLOATS:
        columns[name] = alerts[name].astype(np.float64)
    for name in _COPIED_INTS:
        columns[name] = alerts[name].astype(np.int64)
    return columns
