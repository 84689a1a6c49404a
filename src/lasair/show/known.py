"""What is known of one object, from all stores: what lies at its place, what it lies in, what is said of it.

One damaged store must not hide what the others hold (decision 6): each part is read by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from numpy.typing import NDArray

from lasair.errors import StoreUnavailable
from lasair.matching.links import Link, linked
from lasair.schema.model import INT_MISSING, KINDS, TNS_WATCHLIST, Survey, object_key
from lasair.times import JD_MINUS_MJD, SECONDS_A_DAY, TAI_MINUS_UTC_S, plain_utc

if TYPE_CHECKING:
    from lasair.stores.marks import MarkTable
    from lasair.stores.open import Stores

Row = dict[str, Any]
R = TypeVar("R")

#: Columns of `objects` that say how often and until when an object was detected.
_SEEN: dict[Survey, tuple[str, str]] = {"lsst": ("nDiaSources", "lastDiaSourceMjdTai"), "ztf": ("ncand", "jdmax")}
_JD_UTC_TO_MJD_TAI = TAI_MINUS_UTC_S / SECONDS_A_DAY - JD_MINUS_MJD


class Reader:
    """Reads of the stores of one state; what cannot be read is None, and `troubles` says why.

    Attributes
    ----------
    troubles : store -> what is wrong with it
    """

    def __init__(self, stores: Stores, definitions: Path) -> None:
        self._stores = stores
        self._definitions = definitions
        self.troubles: dict[str, StoreUnavailable] = {}
        self._lists: dict[tuple[str, int], str] | None = None

    def object(self, name: str, survey: Survey, namespace: str, packed: int) -> Row | None:
        """All that is known of an object; None when nothing is stored of it.

        Parameters
        ----------
        name : as users call it
        survey, namespace, packed : its survey, the name space of its light curve, and its number there
        """
        key = packed if survey == "lsst" else name
        rows = self._table(survey, "objects", key)
        sherlock = self._table(survey, "sherlock_classifications", key)
        curve = self._try("lightcurves", lambda: self._stores.lightcurves.get(namespace, [packed])[0])
        if not rows and (curve is None or not len(curve)):
            return None
        # movers have numbers of their own, which may be those of other objects
        mover = namespace != survey
        hits = [] if mover else self._table(survey, "watchlist_hits", key)
        return {
            "object": name,
            "survey": survey,
            "mover": mover,
            "lightcurve": {kind: None if curve is None else int((curve["kind"] == i).sum()) for i, kind in _KINDS},
            "objects": rows[0] if rows else None,
            "sherlock": sherlock[0] if sherlock else None,
            "classified": self._classified(survey, packed),
            "links": [] if mover else self._links(survey, key),
            "watchlists": self._named("watchlist", "wl_id", survey, hits),
            "areas": [] if mover else self._named("area", "ar_id", survey, self._table(survey, "area_hits", key)),
            "events": [] if mover else _without_key(survey, self._table(survey, "mma_area_hits", key)),
            "tns": self._tns(rows[0] if rows else {}, hits),
            "annotations": [] if mover else self._marks(survey, "annotations", key),
            "tags": [] if mover else self._marks(survey, "tag_hits", key),
            "notes": self._notes(survey, name),
        }

    def links(self, survey: Survey, key: int | str) -> list[Link]:
        """Objects at the place of one; none when the main database cannot be read."""
        return self._try("objects", lambda: linked(self._stores.objects, survey, key)) or []

    def _try(self, store: str, read: Callable[[], R]) -> R | None:
        if store in self.troubles:
            return None
        try:
            return read()
        except StoreUnavailable as err:
            self.troubles[store] = err
            return None

    def _table(self, survey: Survey, table: str, key: int | str) -> list[Row] | None:
        return self._try("objects", lambda: self._stores.objects.get(survey, table, key))

    def _classified(self, survey: Survey, packed: int) -> list[Row] | None:
        """What Sherlock said over time, oldest first."""
        said = self._try("classifications", lambda: self._stores.classifications.history(survey, packed))
        if said is None:
            return None
        return [{"class": one.klass, "since": plain_utc(one.since), "version": one.version} for one in said]

    def _links(self, survey: Survey, key: int | str) -> list[Row] | None:
        def read() -> list[Row]:
            found = linked(self._stores.objects, survey, key)
            seen: dict[tuple[Survey, int | str], tuple[Any, ...]] = {}
            for other, columns in _SEEN.items():
                keys = [one.object for one in found if one.survey == other]
                seen |= {
                    (other, one): row
                    for one, row in self._stores.objects.fetch(other, "objects", columns, keys).items()
                }
            return [_link(one, *seen.get((one.survey, one.object), (None, None))) for one in found]

        return self._try("objects", read)

    def _named(self, kind: str, number: str, survey: Survey, hits: list[Row] | None) -> list[Row] | None:
        """Hits of lists with the lists' names, None where a list is no longer active."""
        if not hits:
            return hits
        names = self._list_names()
        return [
            {number: one[number], "list": names.get((kind, one[number])), **one}
            for one in _without_key(survey, hits) or ()
        ]

    def _list_names(self) -> dict[tuple[str, int], str]:
        from lasair.definitions.snapshot import read_snapshot

        if self._lists is None:
            snapshot = self._try("definitions", lambda: read_snapshot(self._definitions))
            self._lists = {(one.kind, one.list_id): one.name for one in snapshot.lists} if snapshot else {}
        return self._lists

    def _tns(self, row: Row, hits: list[Row] | None) -> list[Row] | None:
        """Entries of the TNS at the object's place: the one it is called by, then others."""
        if hits is None:
            return None
        near = sorted((one for one in hits if one["wl_id"] == TNS_WATCHLIST), key=lambda one: one["arcsec"])
        names = dict.fromkeys(name for name in (row.get("tns_name"), *(one["name"] for one in near)) if name)
        return self._try(
            "objects",
            lambda: [one for name in names for one in self._stores.objects.get("lsst", "crossmatch_tns", name)],
        )

    def _marks(self, survey: Survey, table: MarkTable, key: int | str) -> list[Row] | None:
        """Annotations or tags; where nobody has made any there is no store of them."""
        from lasair.stores.open import MARKS_FILE

        if not (self._stores.path / MARKS_FILE).exists():
            return []
        found = self._try("marks", lambda: self._stores.marks.rows(survey, table, [key]))
        if found is None:
            return None
        return _without_key(survey, [_parsed(one) for one in _rows_of(found)])

    def _notes(self, survey: Survey, name: str) -> list[Row] | None:
        if not self._definitions.is_file():
            return []

        def read() -> list[Row]:
            from lasair.definitions.django import connect

            connect(self._definitions)
            from lasair.definitions.marks import notes_of

            columns = ("note_id", "owner", "public", "group", "created", "text")
            return [{column: getattr(one, column) for column in columns} for one in notes_of(survey, name)]

        return self._try("definitions", read)


_KINDS = tuple(enumerate(KINDS))


def _link(one: Link, detections: int | None, last: float | None) -> Row:
    if last is not None and one.survey == "ztf":
        last += _JD_UTC_TO_MJD_TAI
    return {**one._asdict(), "detections": detections, "last_mjd_tai": last}


def _without_key(survey: Survey, rows: list[Row] | None) -> list[Row] | None:
    """Rows without the column that names the object."""
    key = object_key(survey)
    return None if rows is None else [{name: v for name, v in one.items() if name != key} for one in rows]


def _rows_of(columns: dict[str, NDArray[Any]]) -> list[Row]:
    """Columns as stages have them (see `schema.rows`) as rows; what is missing is None."""
    names = [name for name in columns if not name.startswith("_")]
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return [{name: None if _missing(value) else value for name, value in zip(names, row, strict=True)} for row in rows]


def _missing(value: Any) -> bool:
    return value in ("", INT_MISSING) or value != value


def _parsed(row: Row) -> Row:
    """An annotation with its `classdict` read, when it is JSON."""
    if row.get("classdict"):
        try:
            return {**row, "classdict": orjson.loads(row["classdict"])}
        except orjson.JSONDecodeError:
            pass
    return row
