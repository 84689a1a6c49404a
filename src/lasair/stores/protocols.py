"""What every store promises. Embedded and cluster engines pass the same contract suites (tests/contract).

All writes are keyed and idempotent: any order, any number of times, the same final state. A store that cannot
be written raises StoreUnavailable and leaves what it held before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lasair.packets.batch import Columns, CutoutKind

if TYPE_CHECKING:
    from lasair.annotations.model import Annotation
    from lasair.schema.model import Survey
    from lasair.stores.classifications import Classified, Said
    from lasair.stores.hits import ListKey, ListState
    from lasair.stores.marks import Annotated, Due, Kept, MarkTable
    from lasair.stores.positions import Positions

#: Light curves live in name spaces: 'lsst', 'ztf', and 'lsst_ss' for LSST's movers (keyed by ssObjectId).
Namespace = str


class PutResult(NamedTuple):
    """What a put changed, for the run's summary."""

    written: int
    unchanged: int


class LightcurveStore(Protocol):
    """Light-curve rows by object. A row's key is (kind, source_id), or without an id the survey's provenance."""

    def put(
        self,
        namespace: Namespace,
        object_ids: NDArray[np.int64],
        rows: NDArray[Any],
        offsets: NDArray[np.int64],
        version_mjd: NDArray[np.float64],
        version_id: NDArray[np.int64],
    ) -> PutResult:
        """Merge rows into the objects' light curves.

        Alert i says ``rows[offsets[i]:offsets[i+1]]`` about ``object_ids[i]`` (which may repeat), at version
        ``(version_mjd[i], version_id[i])``. Of two versions of one row the greater wins; of equal versions
        each field keeps its non-missing (else greater) value.
        """

    def get(
        self, namespace: Namespace, object_ids: Sequence[int], *, mjd_min: float = -np.inf, mjd_max: float = np.inf
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """(rows, offsets) of the objects in the order asked, rows sorted by (mjd_tai, kind, source_id)."""

    def close(self) -> None: ...


class Cutout(NamedTuple):
    """One image to keep."""

    alert_id: int
    kind: CutoutKind
    #: FITS bytes as sent (gzipped for ZTF)
    data: bytes | memoryview


class CutoutStore(Protocol):
    """Cutout images by (survey, alert id, kind), grouped by night for expiry."""

    def put(self, survey: str, night: int, cutouts: Iterable[Cutout]) -> PutResult:
        """Keep the primary image of each cutout, compressed; an image already held is not written again.

        A cutout that is no FITS image is left out (the alert is good all the same) and counted by neither.
        """

    def get(self, survey: str, alert_id: int, kind: CutoutKind) -> bytes | None:
        """A FITS file with the primary image, or None."""

    def expire(self, before_night: int) -> int:
        """Remove all nights earlier than `before_night` (UTC date as yyyymmdd); the number of nights removed."""

    def close(self) -> None: ...


class Versions(NamedTuple):
    """Orders what several alerts say of one object: (mjd_tai, alert_id, n_rows), greater wins."""

    mjd_tai: NDArray[np.float64]
    alert_id: NDArray[np.int64]
    n_rows: NDArray[np.int64]


class ObjectStore(Protocol):
    """The main SQL database: the tables of schema/, keyed replace, newest alert wins."""

    def put(self, survey: str, table: str, columns: Columns, versions: Versions | None = None) -> PutResult:
        """Replace rows by primary key. With `versions` a row is replaced only by an equal or greater version;
        the input may hold several rows of one key."""

    def get(self, survey: str, table: str, key: int | str) -> list[dict[str, Any]]:
        """Rows of one object as dictionaries in schema order."""

    def fetch(
        self, survey: str, table: str, names: Sequence[str], keys: Sequence[int | str]
    ) -> dict[Any, tuple[Any, ...]]:
        """Some columns of many objects: key -> values, in the order of `names`; unknown keys are left out."""

    def rows(self, survey: str, table: str, keys: NDArray[Any]) -> Columns:
        """All rows of objects (of `crossmatch_tns`: of names) as columns, with ``_alert``, the index into `keys`."""

    def keep_only(self, survey: str, table: str, keys: Sequence[int | str]) -> int:
        """Remove the rows of a table with any other key; how many."""

    def put_hits(
        self,
        survey: str,
        keys: NDArray[Any],
        versions: Versions,
        hits: Mapping[str, Columns],
        lists: Mapping[ListKey, int],
        windows: Mapping[int, tuple[float, float]] | None = None,
    ) -> frozenset[ListKey]:
        """Replace the hits of a batch's objects by those of their newest alert (of events: in these windows), or write
        nothing and return the lists of which newer versions are known."""

    def begin_list(self, key: ListKey, version: int) -> None:
        """Learn a version of a list: from then on hits computed with an older one are refused."""

    def put_list_hits(
        self,
        survey: str,
        key: ListKey,
        version: int,
        keys: NDArray[Any],
        versions: Versions,
        columns: Columns,
        place: bytes | None,
    ) -> NDArray[np.bool_] | None:
        """Write the hits of one list on a chunk of stored objects, and how far this has come; None: it was edited."""

    def finish_list(self, key: ListKey, version: int) -> int:
        """Remove hits of older versions of a list and mark stored objects as matched; how many were removed."""

    def remove_list(self, key: ListKey, version: int | None = None) -> int:
        """Remove a list and its hits, unless another version than this (None: any) is known; how many."""

    def untold_events(self) -> list[tuple[int, int]]:
        """(event, version) of those matched with stored objects on which filters have not run since."""

    def event_objects(self, survey: str, event_id: int, after: int | str | None, limit: int) -> list[int | str]:
        """The next objects that an event has tagged, ascending, after one of them."""

    def event_told(self, event_id: int, version: int) -> None:
        """Filters have run on the objects of an event."""

    def lists(self) -> dict[ListKey, ListState]:
        """What is known of each list, removed ones too."""

    def positions(
        self, survey: str, after: bytes | None, limit: int, decl_min: float = -90.0, decl_max: float = 90.0
    ) -> Positions | None:
        """The next stored objects after a place, None when there are no more."""

    def query(self, sql: str, parameters: Mapping[str, Any], *, time_limit_s: float, row_limit: int) -> QueryResult:
        """Run a compiled query, read-only. Raises BadQuery when it takes too long."""

    def cone(self, survey: str, ra: float, decl: float, radius_arcsec: float) -> list[tuple[int | str, float]]:
        """(object, separation in arcsec) within the radius, nearest first."""

    def count(self, survey: str, table: str) -> int: ...

    def close(self) -> None: ...


class QueryResult(NamedTuple):
    """Rows of a query, and the names of their columns."""

    names: list[str]
    rows: list[tuple[Any, ...]]
    #: True when `row_limit` cut the answer
    truncated: bool


class MarkStore(Protocol):
    """What programs and people say of objects: annotations with their history, tags."""

    def annotate(self, annotations: Sequence[Annotation], now_s: float) -> list[Kept]:
        """Keep annotations; the latest of an object and topic stands, and one that says the same is no change."""

    def get(self, survey: Survey, object_id: int | str) -> list[Annotated]:
        """The annotations that stand for an object."""

    def history(self, survey: Survey, object_id: int | str, topic: str | None = None) -> list[Annotated]:
        """All that was ever said of it, newest first."""

    def rows(self, survey: Survey, table: MarkTable, keys: Sequence[int | str]) -> Columns:
        """Rows of `annotations` or `tag_hits` as columns, with ``_alert``, the index into `keys`."""

    def due(self, limit: int, *, after: int = 0, upto: int | None = None) -> list[Due]:
        """Objects with annotations that filters have not heard of, oldest first, between two places of the queue."""

    def last_due(self) -> int:
        """The last place of the queue, 0 when nothing is due."""

    def wait(self, dues: Iterable[Due]) -> None:
        """These objects are not stored yet: they are due again once `arrived` names them."""

    def arrived(self, survey: Survey, keys: Sequence[int | str]) -> int:
        """These objects are stored now; how many annotations waited for them."""

    def done(self, dues: Iterable[Due]) -> None:
        """Filters have heard of these; what came since stays due."""

    def tag(self, survey: Survey, tag_id: int, name: str, objects: Sequence[int | str], now_s: float) -> int:
        """Put a tag on objects; on how many it is new."""

    def untag(self, survey: Survey, tag_id: int, objects: Sequence[int | str]) -> int:
        """Take a tag off objects; how many had it."""

    def close(self) -> None: ...


class ClassificationStore(Protocol):
    """What Sherlock said of objects, by (survey, object, version of catalogues and rules)."""

    def version(self, text: str) -> int:
        """Number of a version, greater than those of all before it; the same text has the same number for ever."""

    def get(self, survey: str, version: int, objects: Sequence[int]) -> dict[int, Classified]:
        """What was said of objects under a version; unknown ones are left out."""

    def put(self, survey: str, version: int, rows: Sequence[Classified]) -> None:
        """Keep what was said; of two rows of one object that of the greater (mjd_tai, alert_id) stays, the later
        put among equals."""

    def history(self, survey: str, object_id: int) -> list[Said]:
        """What was said of an object, one entry a version, oldest version first."""

    def outdated(self, survey: str, version: int, batch: int = 1000) -> Iterator[list[tuple[str, Classified]]]:
        """Objects not asked about under a version, each once, with the text of the newest version that was and what it
        said; in batches. Rows may be put while it goes on."""

    def count(self, survey: str) -> int: ...

    def close(self) -> None: ...
