"""A batch's columns as people expect them: letters, words, names and nulls instead of codes; for pandas and Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.packets.batch import significance
from lasair.packets.ids import object_names
from lasair.packets.plan import missing_value
from lasair.schema.model import KINDS, Field, Survey, layout

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from lasair.packets.batch import AlertBatch

#: in order of wavelength; those of LSST, which has all that ZTF has
BANDS = tuple("ugrizy")

#: Integers that every alert has; all others may be missing, so that their columns are nullable in every batch.
_ALWAYS = frozenset({"alert_id", "n_detections", "n_nondetections", "n_forced", "n_reliable"})

#: place in BANDS by ASCII code, -1 for what is no band
_BAND_PLACE = np.full(256, -1, np.int8)
_BAND_PLACE[[ord(band) for band in BANDS]] = np.arange(len(BANDS))
_KIND_PLACE = np.full(256, -1, np.int8)
_KIND_PLACE[: len(KINDS)] = np.arange(len(KINDS))


class Shown(NamedTuple):
    """One column: (n,) values; where they are missing (None: nowhere, or NaN says so); what integer codes stand for."""

    values: NDArray[Any]
    missing: NDArray[np.bool_] | None = None
    categories: tuple[str, ...] = ()


def shown(survey: Survey, part: Literal["alert", "row"], columns: NDArray[Any]) -> dict[str, Shown]:
    """The columns of a structured array with the layout of `part`, decoded.

    ZTF gets an ``snr`` behind ``mag_err`` (see `batch.significance`), and its ``object_id`` is the published name.
    """
    found: dict[str, Shown] = {}
    for one in layout(survey, part).fields:
        values = np.ascontiguousarray(columns[one.name])
        if one.name == "object_id" and survey == "ztf":
            # a packed name is never 0 or less
            found[one.name] = Shown(object_names(survey, np.maximum(values, 1)), values <= 0)
        else:
            found[one.name] = _shown(one, values)
        if one.name == "mag_err":
            found["snr"] = Shown(significance(columns))
    return found


def _shown(one: Field, values: NDArray[Any]) -> Shown:
    if one.dtype == "band":
        return Shown(_BAND_PLACE[values], categories=BANDS)
    if one.name == "kind":
        return Shown(_KIND_PLACE[values], categories=KINDS)
    if values.dtype.kind == "S":
        # printable ASCII, the walk sees to that
        return Shown(np.char.decode(values, "ascii", "replace"), values == b"")
    if values.dtype.kind == "u":
        return Shown(values != 0)
    if values.dtype.kind == "i" and one.name not in _ALWAYS:
        return Shown(values, values == missing_value(one))
    return Shown(values)


def _both(batch: AlertBatch) -> tuple[dict[str, Shown], dict[str, Shown]]:
    owner = Shown(np.repeat(batch.alerts["alert_id"], np.diff(batch.offsets)))
    rows = {"alert_id": owner, **shown(batch.survey, "row", batch.rows)}
    return shown(batch.survey, "alert", batch.alerts), rows


def to_pandas(batch: AlertBatch) -> tuple[pd.DataFrame, pd.DataFrame]:
    """See `AlertBatch.to_pandas`."""
    import pandas as pd

    def column(one: Shown) -> Any:
        if one.categories:
            return pd.Categorical.from_codes(one.values, categories=list(one.categories))  # type: ignore[call-overload]
        if one.missing is None:
            return one.values
        if one.values.dtype.kind == "U":
            text = one.values.astype(object)
            text[one.missing] = pd.NA
            return pd.array(text, dtype="string")
        return pd.arrays.IntegerArray(one.values, one.missing)

    alerts, rows = _both(batch)
    return (
        pd.DataFrame({name: column(one) for name, one in alerts.items()}),
        pd.DataFrame({name: column(one) for name, one in rows.items()}),
    )


def to_arrow(batch: AlertBatch) -> tuple[pa.Table, pa.Table]:
    """See `AlertBatch.to_arrow`."""
    import pyarrow as pa

    def column(one: Shown) -> Any:
        if one.categories:
            codes = pa.array(one.values, mask=one.values < 0)
            return pa.DictionaryArray.from_arrays(codes, pa.array(one.categories, pa.string()))
        # without a mask NaN stays NaN
        kind = pa.string() if one.values.dtype.kind == "U" else None
        return pa.array(one.values, kind) if one.missing is None else pa.array(one.values, kind, mask=one.missing)

    alerts, rows = _both(batch)
    return (
        pa.table({name: column(one) for name, one in alerts.items()}),
        pa.table({name: column(one) for name, one in rows.items()}),
    )
