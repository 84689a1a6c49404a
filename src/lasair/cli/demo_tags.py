"""What people and observatories have to do with the demo's sky: the files of `simulate.tags` put where they belong."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from lasair.cli.state import State
from lasair.simulate.tags import TAGS_FOLDER, TOPIC, Centre

#: Names under which they are added, and of the filter that asks for all of them.
WATCHLIST, AREA, TAG, FILTER = "Variables and galaxies", "Around the middle", "follow up", "Everything at once"
#: Radius of cones without their own [arcsec].
_RADIUS_ARCSEC = 2.0


class Tags(NamedTuple):
    """What was added, as queries name it."""

    watchlist: int
    area: int
    event: str
    tag: int

    @property
    def tables(self) -> str:
        """The tables of a query that asks for everything."""
        return (
            f"objects, sherlock_classifications, watchlist:{self.watchlist}, area:{self.area}, mma:{self.event}, "
            f"crossmatch_tns, annotator:{TOPIC}, tag:{self.tag}"
        )


#: What the filter selects.
SELECT = (
    "objects.diaObjectId, sherlock_classifications.classification, watchlist_hits.name, mma.contour, "
    f"crossmatch_tns.tns_name, crossmatch_tns.type, {TOPIC}.classification AS said, tag.name AS tag"
)


def add_tags(folder: Path, centres: Sequence[Centre], state: State) -> Tags | None:
    """Add watchlist, area, event, TNS entries, annotations, a tag, and a filter that asks for all of them.

    None when the sky is too small to have an object of LSST in its middle.
    """
    import json
    from datetime import UTC, datetime

    from lasair.annotations.model import from_request
    from lasair.cli.definitions import make_definitions
    from lasair.definitions.area_file import read_area
    from lasair.definitions.watchlist_file import read_watchlist
    from lasair.events.read import read_event
    from lasair.stores.open import Stores
    from lasair.tns.fetch import Credentials
    from lasair.tns.mirror import TnsMirror
    from lasair.tns.publish import publish
    from lasair.tns.update import update

    if not centres or centres[0].survey != "lsst":
        return None
    files = folder / TAGS_FOLDER
    make_definitions(state)
    from lasair.definitions import edit, lists, marks, people
    from lasair.definitions.events import add_event
    from lasair.definitions.filter_file import FilterFile

    cones = read_watchlist(files / "watchlist.csv", radius_arcsec=_RADIUS_ARCSEC)
    watchlist = lists.add_watchlist(WATCHLIST, cones, radius=_RADIUS_ARCSEC)
    area = lists.add_area(AREA, read_area(files / "area.reg"))
    notice = files / "event.multiorder.fits"
    event = add_event(read_event(notice), digest=hashlib.sha256(notice.read_bytes()).hexdigest())
    now = datetime.now(UTC)
    with (
        closing(TnsMirror(state.path / "tns.db", durable=state.settings.durable)) as mirror,
        closing(Stores(state.path, durable=state.settings.durable)) as stores,
    ):
        update(mirror, str(files / "tns"), Credentials(), now=now)
        waiting = mirror.unpublished()
        radius = state.settings.tns_radius_arcsec
        publish(stores, state.definitions, mirror, waiting.changed_ids, radius_arcsec=radius)
        mirror.published(waiting.change)
        people.add_annotator(TOPIC, description="The classifier of the demo: it knows the truth.", public=True)
        lines = (files / "annotations.jsonl").read_text(encoding="utf-8").splitlines()
        stores.marks.annotate([from_request(json.loads(line)) for line in lines], now.timestamp())
        tag = marks.add_tag(TAG)
        for one in centres:
            stores.marks.tag(one.survey, tag.tag_id, TAG, [one.key], now.timestamp())
    found = Tags(watchlist.list_id, area.list_id, event.name, tag.tag_id)
    edit.add_filter(
        FilterFile(
            name=FILTER, survey="lsst", select=SELECT, tables=found.tables, output="lite",
            description="What Sherlock, a list, an area, an event, the TNS, a program and you have to do with.",
        )
    )  # fmt: skip
    edit.activate(FILTER)
    return found
