"""The alert batch: columns, not dictionaries. Every stage takes one and adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.schema.model import Survey, layout

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from lasair.packets.avro import PacketSchema

CutoutKind = Literal["difference", "science", "template"]
CUTOUT_KINDS: tuple[CutoutKind, ...] = ("difference", "science", "template")

#: Columns of one table, equally long: floats (NaN missing), int64 (INT_MISSING), text ('' missing).
Columns = dict[str, NDArray[Any]]

#: Magnitude error of a relative flux error, 2.5 / ln 10.
_MAG_PER_FRACTION = 1.0857


class Message(NamedTuple):
    """One record as it arrived: a Kafka message's value, or one datum of a container file."""

    value: bytes
    partition: str
    offset: int
    #: UTC time of arrival, seconds since 1970
    arrived: float
    #: writer's schema when the container gave it; None when the value itself says (framing or container)
    schema: PacketSchema | None = None


class Refused(NamedTuple):
    """A record that cannot be used: it becomes a dead letter, the rest of its batch goes on."""

    message: Message
    reason: str
    #: True when a later retry may help (a schema that was not to be had)
    retry: bool = False


def significance(columns: NDArray[Any]) -> NDArray[np.float64]:
    """Signal-to-noise ratio of each detection in `AlertBatch.alerts` or `AlertBatch.rows`, whichever the survey.

    LSST's is the survey's own ``snr``. ZTF sends none: it is 1.0857 / ``mag_err``, since a small magnitude error is
    2.5 / ln 10 times the relative error of the flux. NaN where the packet has no (positive) value, so in rows that
    are no detections.

    Parameters
    ----------
    columns : (n,) structured array

    Returns
    -------
    (n,) float64
    """
    if "snr" in (columns.dtype.names or ()):
        return np.asarray(columns["snr"], np.float64)
    error = np.asarray(columns["mag_err"], np.float64)
    ratio = np.full(len(error), np.nan)
    np.divide(_MAG_PER_FRACTION, error, out=ratio, where=error > 0)
    return ratio


@dataclass
class AlertBatch:
    """Alerts of one survey as columns.

    In `alerts` and `rows` every value is a number or bytes, for speed; `to_pandas` and `to_arrow` decode them:

    - ``band`` is the ASCII code of the letter (``ord("r")``), 0 when missing;
    - ``kind`` is 0 for a detection, 1 for a non-detection, 2 for forced photometry
      (``schema.model.DETECTION``, ``NONDETECTION``, ``FORCED``);
    - an integer that is missing is the smallest of its type, -2^63 (``schema.model.INT_MISSING``) for ids; ``sign``
      (ZTF) is 0 then;
    - a float that is missing is NaN, bytes that are missing are ``b""``, and ``is_mover`` and ``has_object`` are 0
      or 1;
    - ``object_id`` is an integer in both surveys, so that one key serves all code: LSST's diaObjectId; ZTF's name
      packed into a number, which ``packets.ids.object_names("ztf", ...)`` unpacks. ZTF has the name itself too, as
      bytes: ``objectId``;
    - LSST has ``snr``, ZTF has ``mag_err`` to make it of: `AlertBatch.snr` works for both.

    Attributes
    ----------
    alerts : (n,) structured array, ``schema.layout(survey, "alert").dtype``
        One row an alert. Field access (``batch.alerts["ra"]``) gives a column.
    rows : (m,) structured array, ``schema.layout(survey, "row").dtype``
        Light-curve rows of all alerts: detections (the alert itself included), non-detections, forced
        photometry; per alert sorted by (mjd_tai, kind, source_id) and free of duplicates.
    offsets : (n+1,) int64
        Rows of alert i are ``rows[offsets[i]:offsets[i+1]]``.
    trigger : (n,) int64
        Index into `rows` of the detection that caused the alert.
    messages : n messages
        Keeps the bytes alive that `datum` and `cutouts` point into.
    datum : (n, 2) int64
        Start and end of the bare Avro datum inside ``messages[i].value``.
    cutouts : (n, 3, 2) int64
        Start and end of the cutouts (order of CUTOUT_KINDS) inside ``messages[i].value``; equal when absent.
    schemas : n writer's schemas (shared objects), to decode the whole datum when a full output asks for it
    tables : what stages have computed so far: table name (as users write it) -> columns.
        A table with one row an alert of `evaluated` carries no key; others carry ``_alert``, an index into it.
    """

    survey: Survey
    alerts: NDArray[Any]
    rows: NDArray[Any]
    offsets: NDArray[np.int64]
    trigger: NDArray[np.int64]
    messages: Sequence[Message]
    datum: NDArray[np.int64]
    cutouts: NDArray[np.int64]
    schemas: Sequence[PacketSchema]
    tables: dict[str, Columns] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.alerts)

    def select(self, keep: NDArray[Any]) -> AlertBatch:
        """A batch of the alerts at `keep` (boolean mask or indices), rows copied, results of stages dropped."""
        index = np.flatnonzero(keep) if keep.dtype == np.bool_ else np.asarray(keep, dtype=np.int64)
        counts = np.diff(self.offsets)[index]
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        starts = self.offsets[:-1][index]
        pick = np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])
        return AlertBatch(
            survey=self.survey,
            alerts=self.alerts[index],
            rows=self.rows[pick],
            offsets=offsets,
            trigger=self.trigger[index] - starts + offsets[:-1],
            messages=[self.messages[i] for i in index],
            datum=self.datum[index],
            cutouts=self.cutouts[index],
            schemas=[self.schemas[i] for i in index],
        )

    def cutout(self, alert: int, kind: CutoutKind) -> memoryview:
        """The bytes of one cutout as sent (FITS, gzipped for ZTF); empty when the packet has none."""
        start, end = self.cutouts[alert, CUTOUT_KINDS.index(kind)]
        return memoryview(self.messages[alert].value)[start:end]

    @property
    def snr(self) -> NDArray[np.float64]:
        """Significance of each alert's detection, (n,) float64, of both surveys; see `significance`."""
        return significance(self.alerts)

    def to_pandas(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """(alerts, rows) as data frames, codes decoded; needs pandas. See the class for the codes.

        The columns are those of `alerts` and `rows` under the same names. `rows` begins with ``alert_id``, the alert
        that each row belongs to; ZTF has an ``snr`` besides (see `significance`).

        - ``band`` is a categorical of 'u', 'g', 'r', 'i', 'z', 'y' in both surveys, null when missing or none of
          these; ``kind`` a categorical of 'detection', 'nondetection', 'forced'.
        - Integers that may be missing (all but ``alert_id`` and the ``n_...`` counts of the packet) are pandas'
          nullable integers and <NA> when missing; floats are NaN.
        - ``is_mover`` and ``has_object`` are booleans; names are text (dtype "string"), <NA> when missing.
        - ``object_id`` is the published id: LSST's diaObjectId, an integer; ZTF's objectId, text.
        """
        from lasair.packets.frames import to_pandas

        return to_pandas(self)

    def to_arrow(self) -> tuple[pa.Table, pa.Table]:
        """(alerts, rows) as Arrow tables, decoded as by `to_pandas`; needs pyarrow.

        ``band`` and ``kind`` are dictionaries of strings; missing integers and texts are null, missing floats NaN.
        """
        from lasair.packets.frames import to_arrow

        return to_arrow(self)


def empty_batch(survey: Survey) -> AlertBatch:
    """A batch without alerts, for a stage that has nothing to do."""
    return AlertBatch(
        survey=survey,
        alerts=np.empty(0, layout(survey, "alert").dtype),
        rows=np.empty(0, layout(survey, "row").dtype),
        offsets=np.zeros(1, np.int64),
        trigger=np.empty(0, np.int64),
        messages=[],
        datum=np.empty((0, 2), np.int64),
        cutouts=np.empty((0, 3, 2), np.int64),
        schemas=[],
    )
