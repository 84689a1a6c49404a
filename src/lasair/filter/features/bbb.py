"""BBB: a light-curve shape in time (Bazin or exponential) times a black body in wavelength.

Model of Bazin et al. (2009, A&A 499, 653) with one temperature. Costly against all other features, so it runs
beside the path that notifies people.
"""

from __future__ import annotations

import numpy as np

from lasair.filter.features.absmag import AB_ZERO_POINT_NJY
from lasair.filter.features.bbb_fit import STARTS, fit_curves
from lasair.filter.features.blackbody import WAVELENGTHS
from lasair.filter.features.columns import finish
from lasair.filter.features.context import Context
from lasair.filter.features.detections import BAND_INDEX, detections
from lasair.filter.features.distance import distance_modulus
from lasair.filter.features.ragged import strided
from lasair.packets.batch import AlertBatch, Columns
from lasair.sky.extinction import corrections

#: Columns of the fit, in the order of the table.
BBB_COLUMNS = ("BBBRiseRate", "BBBFallRate", "BBBTemp", "BBBPeakFlux", "BBBPeakMJD", "BBBPeakAbsMag")


def fit_bbb(batch: AlertBatch, context: Context) -> Columns:
    """The six BBB columns of LSST alerts.

    Detections of the known bands, at least five, and up to four forced measurements from before the first of them,
    are corrected for extinction and fitted without weights by both models. Of the accepted ones that with the
    lower Akaike criterion stays.

    Parameters
    ----------
    batch : n alerts of LSST
    context : what is known of their positions

    Returns
    -------
    Rates [1/d], temperature [kK], peak flux [nJy], its time [MJD TAI] and absolute magnitude, each (n,) float64. NaN
    where Sherlock's class is not SN, NT or ORPHAN, E(B-V) is missing, there are too few detections, or no fit is
    accepted. An exponential has no fall rate and no peak.
    """
    curves = detections(batch)
    rows = strided(batch.rows)
    modulus = distance_modulus(context)
    fitted = fit_curves(
        context.extragalactic() & np.isfinite(context.ebv),
        curves.offsets,
        curves.mjd,
        curves.flux,
        curves.band,
        np.ascontiguousarray(batch.offsets),
        rows["kind"],
        rows["mjd_tai"],
        rows["flux"],
        rows["band"],
        corrections(np.asarray(context.ebv, np.float64)),
        BAND_INDEX,
        WAVELENGTHS,
        STARTS,
    )
    columns: Columns = dict(zip(BBB_COLUMNS, fitted, strict=False))
    peak = np.where(fitted[3] > 0, fitted[3], np.nan)
    columns["BBBPeakAbsMag"] = AB_ZERO_POINT_NJY - 2.5 * np.log10(peak) - modulus
    return finish(columns, BBB_COLUMNS)
