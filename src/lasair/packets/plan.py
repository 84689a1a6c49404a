"""Which packet field goes where in memory: the layouts of schema/ turned into byte offsets, survey by survey."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.packets import walk
from lasair.schema.model import DETECTION, FORCED, KINDS, NONDETECTION, Field, Survey, layout

#: A field's place in the packet; arrays and unions add nothing to it.
Path = tuple[str, ...]

#: Separates a hidden column's name from the column it stands in for.
_MARK = "#"

_FORMS = {"f4": walk.TO_F4, "f8": walk.TO_F8, "i1": walk.TO_I1, "u1": walk.TO_U1, "i2": walk.TO_I2, "i4": walk.TO_I4}
_FORMS["i8"] = walk.TO_I8
TEXT_FORMS = (walk.TO_TEXT, walk.TO_WHOLE_TEXT, walk.TO_BAND, walk.TO_SIGN, walk.TO_DIGITS)


@dataclass(frozen=True)
class Target:
    """Where one value is written, and how. `form` is one of TO_*, of numbers or of text (`is_text`)."""

    row: bool
    offset: int
    form: int
    is_text: bool = False
    room: int = 0
    missing: tuple[float, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All that the compiler of the op table must know of a survey.

    Attributes
    ----------
    alert, row : numpy types of the work space; the first `alert_size` and `row_size` bytes are the public layout,
        behind them lie hidden columns
    entries : (target, packet paths in order of preference; the first that a schema has is taken)
    trigger : path of the record that is the alert's own detection
    arrays : paths of the arrays of history rows, with their kind (or walk.AUTO)
    marks : records whose presence sets a byte of the alert
    slices : paths of the cutouts, with their number
    fallbacks : (column, hidden columns that fill it where it is missing)
    """

    survey: Survey
    alert: np.dtype[Any]
    row: np.dtype[Any]
    alert_size: int
    row_size: int
    entries: tuple[tuple[Target, tuple[Path, ...]], ...]
    trigger: Path
    arrays: Mapping[Path, int]
    marks: Mapping[Path, int]
    slices: Mapping[Path, int]
    fallbacks: tuple[tuple[str, tuple[str, ...]], ...]
    alert_template: NDArray[Any]
    row_template: NDArray[Any]
    #: see walk.W_*
    where: NDArray[np.int64]
    #: see `fixes` of walk.walk
    fixes: NDArray[np.int64]
    #: public types, what an AlertBatch holds
    alert_dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype([]))
    row_dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype([]))

    def resolve(self, leaves: Iterable[Path]) -> dict[Path, list[Target]]:
        """Targets by packet path, of those that the schema has."""
        known = set(leaves)
        found: dict[Path, list[Target]] = {}
        for target, paths in self.entries:
            for path in paths:
                if path in known:
                    found.setdefault(path, []).append(target)
                    break
        return found


_TRIGGERS: dict[Survey, Path] = {"lsst": ("diaSource",), "ztf": ("candidate",)}
_ARRAYS: dict[Survey, dict[Path, int]] = {
    "lsst": {
        ("prvDiaSources",): DETECTION,
        ("prvDiaForcedSources",): FORCED,
        ("prvDiaNondetectionLimits",): NONDETECTION,
    },
    "ztf": {("prv_candidates",): walk.AUTO, ("fp_hists",): FORCED},
}
_MARKS: dict[Survey, dict[Path, str]] = {
    # 7.x has ssObject where later versions have ssSource
    "lsst": {("ssSource",): "is_mover", ("ssObject",): "is_mover", ("diaObject",): "has_object"},
    "ztf": {},
}
#: in the order of batch.CUTOUT_KINDS; a broker's copy may hold plain bytes where ZTF has a record
_SLICES: dict[Survey, dict[Path, int]] = {
    "lsst": {("cutoutDifference",): 0, ("cutoutScience",): 1, ("cutoutTemplate",): 2},
    "ztf": {
        ("cutoutDifference", "stampData"): 0,
        ("cutoutScience", "stampData"): 1,
        ("cutoutTemplate", "stampData"): 2,
    },
}
#: the field whose presence says that a ZTF history row is forced photometry
_SENT = "forcediffimflux"


def survey_of(fields: Iterable[str]) -> Survey | None:
    """The survey whose alerts have these top-level fields."""
    names = set(fields)
    if "diaSource" in names:
        return "lsst"
    if {"candidate", "objectId", "candid"} <= names:
        return "ztf"
    return None


def missing_value(one: Field) -> Any:
    """What stands in an array where the packet has no value."""
    if one.dtype == "band" or one.convert == "sign":
        return 0
    kind = np.dtype(one.numpy)
    if kind.kind == "f":
        return np.nan
    if kind.kind == "i":
        return np.iinfo(kind).min
    return b"" if kind.kind == "S" else 0


def _target(one: Field, dtype: np.dtype[Any], column: str, *, row: bool) -> Target:
    fields = dtype.fields
    assert fields is not None
    offset = int(fields[column][1])
    room = np.dtype(one.numpy).itemsize
    numbers = tuple(float(value) for value in one.missing if not isinstance(value, str))
    if one.dtype == "band" and not one.convert:
        return Target(row, offset, walk.TO_BAND, is_text=True)
    if one.convert == "fid":
        return Target(row, offset, walk.TO_FID)
    if one.convert == "jd_utc":
        return Target(row, offset, walk.TO_MJD, missing=numbers)
    if one.convert == "sign":
        return Target(row, offset, walk.TO_SIGN, is_text=True)
    if one.convert == "digits":
        return Target(row, offset, walk.TO_DIGITS, is_text=True)
    if one.convert:
        raise ValueError(f"layout field {one.name}: unknown conversion {one.convert!r}")
    if one.dtype.startswith("S"):
        # an object's name must not be cut, or two objects could become one
        form = walk.TO_WHOLE_TEXT if one.name == "objectId" else walk.TO_TEXT
        return Target(row, offset, form, is_text=True, room=room)
    return Target(row, offset, _FORMS[one.dtype], missing=numbers)


def _template(dtype: np.dtype[Any], values: dict[str, Any]) -> NDArray[Any]:
    one = np.zeros(1, dtype)
    for name, value in values.items():
        one[name] = value
    return one


def _spellings(one: Field, kind: str) -> tuple[str, ...]:
    return one.sources.get(kind, ()) if isinstance(one.sources, dict) else ()


@cache
def plan(survey: Survey) -> Plan:
    """The plan of a survey's layout."""
    return make_plan(survey, (), ())


def make_plan(
    survey: Survey,
    more_alert: tuple[tuple[Field, Path], ...],
    more_row: tuple[tuple[Field, tuple[Path, ...]], ...],
) -> Plan:
    """A plan with further columns (one packet path each, or one a kind of row) behind those of the layout."""
    alert_fields, row_fields = layout(survey, "alert").fields, layout(survey, "row").fields
    alert_public = [*alert_fields, *(one for one, _ in more_alert)]
    row_public = [*row_fields, *(one for one, _ in more_row)]
    auto = walk.AUTO in _ARRAYS[survey].values()

    hidden_alert = [(f"{one.name}{_MARK}{k}", one) for one in alert_fields for k in range(1, len(one.sources))]
    changed = [one for one in row_fields if auto and _spellings(one, "forced") != _spellings(one, "detection")]
    hidden_row = [(f"{one.name}{_MARK}forced", one) for one in changed if _spellings(one, "forced")]

    def packed(public: list[Field], hidden: list[tuple[str, Field]], *more: str) -> np.dtype[Any]:
        columns = [(one.name, one.numpy) for one in public] + [(name, one.numpy) for name, one in hidden]
        return np.dtype(columns + [(name, "u1") for name in more])

    alert, row = packed(alert_public, hidden_alert), packed(row_public, hidden_row, f"{_MARK}sent")
    alert_dtype, row_dtype = packed(alert_public, []), packed(row_public, [])

    entries: list[tuple[Target, tuple[Path, ...]]] = []
    for one in alert_fields:
        for k, source in enumerate(one.sources):
            assert isinstance(one.sources, tuple)
            column = f"{one.name}{_MARK}{k}" if k else one.name
            entries.append((_target(one, alert, column, row=False), (tuple(source.split(".")),)))
    entries += [(_target(one, alert, one.name, row=False), (path,)) for one, path in more_alert]

    trigger = _TRIGGERS[survey]
    roles = [(trigger, DETECTION), *_ARRAYS[survey].items()]
    for place, kind in roles:
        name = "detection" if kind == walk.AUTO else KINDS[kind]
        for one in row_fields:
            paths = tuple((*place, spelling) for spelling in _spellings(one, name))
            if paths:
                entries.append((_target(one, row, one.name, row=True), paths))
        if kind == walk.AUTO:
            for hidden, one in hidden_row:
                paths = tuple((*place, spelling) for spelling in _spellings(one, "forced"))
                entries.append((_target(one, row, hidden, row=True), paths))
            sent = Target(True, _offset(row, f"{_MARK}sent"), walk.TO_SENT)
            entries.append((sent, ((*place, _SENT),)))
    for one, more in more_row:
        entries += [(_target(one, row, one.name, row=True), (path,)) for path in more]

    fixes = []
    for one in changed:
        from_offset = _offset(row, f"{one.name}{_MARK}forced") if _spellings(one, "forced") else -1
        fixes.append((from_offset, _offset(row, one.name), np.dtype(one.numpy).itemsize))

    where = np.full(walk.W_WIDTH, -1, np.int64)
    provenance = "visit" if survey == "lsst" else "pid"
    for place_in, column in (
        (walk.W_MJD, "mjd_tai"),
        (walk.W_KIND, "kind"),
        (walk.W_ID, "source_id"),
        (walk.W_PROVENANCE, provenance),
        (walk.W_BAND, "band"),
        (walk.W_SENT, f"{_MARK}sent"),
    ):
        where[place_in] = _offset(row, column)
    if survey == "ztf":
        where[walk.W_FIELD], where[walk.W_RCID] = _offset(row, "field"), _offset(row, "rcid")
    else:
        where[walk.W_RELIABILITY] = _offset(row, "reliability")
    where[walk.W_SIZE], where[walk.W_STRIDE] = row_dtype.itemsize, row.itemsize

    values = {one.name: missing_value(one) for one in alert_public}
    values |= {name: missing_value(one) for name, one in hidden_alert}
    row_values = {one.name: missing_value(one) for one in row_public}
    row_values |= {name: missing_value(one) for name, one in hidden_row}
    return Plan(
        survey=survey,
        alert=alert,
        row=row,
        alert_size=alert_dtype.itemsize,
        row_size=row_dtype.itemsize,
        entries=tuple(entries),
        trigger=trigger,
        arrays=_ARRAYS[survey],
        marks={path: _offset(alert, column) for path, column in _MARKS[survey].items()},
        slices=_SLICES[survey],
        fallbacks=tuple(
            (one.name, tuple(f"{one.name}{_MARK}{k}" for k in range(1, len(one.sources))))
            for one in alert_fields
            if len(one.sources) > 1
        ),
        alert_template=_template(alert, values),
        row_template=_template(row, row_values),
        where=where,
        fixes=np.array(fixes, np.int64).reshape(-1, 3),
        alert_dtype=alert_dtype,
        row_dtype=row_dtype,
    )


def _offset(dtype: np.dtype[Any], column: str) -> int:
    fields = dtype.fields
    assert fields is not None
    return int(fields[column][1])
