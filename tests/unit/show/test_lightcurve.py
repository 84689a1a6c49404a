from __future__ import annotations

import io

import numpy as np
import pytest

from lasair.schema.model import DETECTION, FORCED, INT_MISSING, NONDETECTION, layout
from lasair.show.lightcurve import LIGHTCURVE_COLUMNS, flux_to_mag, lightcurve_columns, to_votable


def blank(survey: str, n: int) -> np.ndarray:
    rows = np.zeros(n, layout(survey, "row").dtype)  # type: ignore[arg-type]
    for name in rows.dtype.names or ():
        if rows.dtype[name].kind == "f":
            rows[name] = np.nan
    return rows


def test_one_nanojansky_is_magnitude_31_4() -> None:
    mag, err = flux_to_mag(np.array([1.0, 100.0, -3.0]), np.array([0.1, 10.0, 1.0]))
    assert mag[:2] == pytest.approx([31.4, 26.4])
    assert err[:2] == pytest.approx([0.108574, 0.108574], rel=1e-4)
    assert np.isnan(mag[2]) and np.isnan(err[2])


def test_ztf_fluxes_are_signed_and_forced_ones_use_their_zero_point() -> None:
    rows = blank("ztf", 3)
    rows["kind"] = DETECTION, DETECTION, FORCED
    rows["band"] = ord("g"), ord("r"), 0
    rows["mag"], rows["mag_err"], rows["sign"] = [21.4, 21.4, np.nan], [0.1, 0.1, np.nan], [1, -1, 0]
    rows["flux_dn"], rows["flux_dn_err"], rows["zero_point"] = (
        [np.nan, np.nan, 50.0],
        [np.nan, np.nan, 5.0],
        [26.0, 26.0, 26.4],
    )
    columns = lightcurve_columns("ztf", rows)
    assert tuple(columns) == LIGHTCURVE_COLUMNS
    assert columns["flux_nJy"] == pytest.approx([1e4, -1e4, 5000.0], rel=1e-5)
    assert columns["flux_err_nJy"] == pytest.approx([921.03, 921.03, 500.0], rel=1e-4)
    assert columns["mag"] == pytest.approx([21.4, 21.4, 31.4 - 2.5 * np.log10(5000.0)], rel=1e-6)
    assert columns["band"].tolist() == ["g", "r", ""]


def test_lsst_limits_are_five_times_the_noise() -> None:
    rows = blank("lsst", 2)
    rows["kind"], rows["flux"], rows["flux_err"] = [DETECTION, NONDETECTION], [1000.0, np.nan], [10.0, 20.0]
    columns = lightcurve_columns("lsst", rows)
    assert columns["limit_mag"][1] == pytest.approx(26.4)
    assert np.isnan(columns["flux_err_nJy"][1]) and np.isnan(columns["limit_mag"][0])


def test_votable_masks_missing_ids() -> None:
    from astropy.io.votable import parse_single_table

    rows = blank("lsst", 2)
    rows["source_id"] = 7, INT_MISSING
    table = parse_single_table(io.BytesIO(to_votable("x", lightcurve_columns("lsst", rows))))
    assert table.array["source_id"].tolist() == [7, None]


def test_no_rows_no_trouble() -> None:
    assert all(len(values) == 0 for values in lightcurve_columns("ztf", blank("ztf", 0)).values())
