"""Who may use what somebody else made: when a filter is added, when it is activated, and when it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.config import Settings
from lasair.definitions import edit, lists, marks, people
from lasair.definitions.area_file import AreaFile
from lasair.definitions.filter_file import FilterFile
from lasair.definitions.snapshot import read_snapshot
from lasair.definitions.transactions import user_named
from lasair.definitions.watchlist_file import WatchlistFile
from lasair.errors import BadDefinition, NotFound, NotPermitted
from lasair.filter.evaluate import FilterStage, feature_stage
from tests.support.batches import lsst_batch
from tests.support.definitions import new_definitions

CONES = WatchlistFile(
    np.ones(1), np.ones(1), np.ones(1), np.full(1, np.nan), np.full(1, np.nan), ["x"], np.arange(1), []
)
CELLS = AreaFile(np.array([[0, 4]], np.uint64), "", True, 29)

#: kind -> (makes or changes alice's, given public and group; the table of it)
MADE: dict[str, tuple[Callable[..., Any], str]] = {
    "watchlist": (lambda **who: lists.add_watchlist("hers", CONES, radius=1.0, **who), "watchlist:2"),
    "area": (lambda **who: lists.add_area("hers", CELLS, **who), "area:1"),
    "tag": (lambda **who: marks.add_tag("hers", **who), "tag:1"),
    "annotator": (lambda **who: people.add_annotator("hers", **who), "annotator:Hers"),
}
everything = pytest.mark.parametrize("kind", MADE)


class Three:
    """Alice owns, Bob is in her group, Charlie is a stranger; each may have a filter on what is hers."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self.alice, self.bob, self.charlie = (user_named(one) for one in ("alice", "bob", "charlie"))
        people.add_group("friends", owner=self.alice)
        people.add_member("friends", "bob", owner=self.alice)
        self._make, table = MADE[kind]
        self.make()
        self.filter = FilterFile(
            name="on hers", survey="lsst", select="objects.diaObjectId", tables=f"objects, {table}"
        )

    def make(self, **who: Any) -> None:
        self._make(owner=self.alice, **who)

    def add(self, owner: Any) -> None:
        edit.add_filter(self.filter, owner=owner)
        edit.activate("on hers", owner=owner)

    def running(self) -> list[str]:
        """Whose filters run on a batch, and are not refused."""
        snapshot = read_snapshot(self.path)
        source = {
            "diaSourceId": 1, "diaObjectId": 1, "midpointMjdTai": 61000.0, "psfFlux": 5.0, "psfFluxErr": 0.5,
            "band": "g", "ra": 1.0, "dec": 1.0,
        }  # fmt: skip
        batch = feature_stage(None)(
            lsst_batch([{"diaObject": {"diaObjectId": 1, "ra": 1.0, "dec": 1.0}, "diaSourcesList": [source]}])
        )
        results = FilterStage(Settings()).run(batch, np.arange(1), snapshot.filters, snapshot, now_s=1.8e9)
        for one in results:
            assert one.error is None or "is private" in one.error
        names = {one.pk: one.username for one in (self.alice, self.bob, self.charlie)}
        refused = {one.filter.owner_id for one in results if one.error is not None}
        return [name for key, name in names.items() if key not in refused]


@pytest.fixture
def three(tmp_path: Path, kind: str) -> Three:
    return Three(new_definitions(tmp_path), kind)


@everything
def test_a_stranger_may_not_name_it(three: Three) -> None:
    three.add(three.alice)
    for owner in (three.bob, three.charlie):
        with pytest.raises(BadDefinition, match="neither public nor shared"):
            three.add(owner)
        assert edit.list_filters(owner=owner) == []
    three.make(group="friends")
    three.add(three.bob)
    with pytest.raises(BadDefinition, match="neither public nor shared"):
        three.add(three.charlie)
    three.make(public=True)
    three.add(three.charlie)
    assert three.running() == ["alice", "bob", "charlie"]


@everything
def test_what_becomes_private_is_not_used_any_more(three: Three) -> None:
    three.make(public=True, group="friends")
    for owner in (three.alice, three.bob, three.charlie):
        three.add(owner)
    three.make(public=False)
    assert three.running() == ["alice", "bob"]
    edit.stop("on hers", owner=three.charlie)
    with pytest.raises(BadDefinition, match="neither public nor shared"):
        edit.activate("on hers", owner=three.charlie)
    three.make(group="")
    assert three.running() == ["alice", "charlie"], "Charlie's is stopped"
    three.make(group="friends")
    assert three.running() == ["alice", "bob", "charlie"]
    people.remove_member("friends", "bob", owner=three.alice)
    assert three.running() == ["alice", "charlie"]
    with pytest.raises(BadDefinition, match="neither public nor shared"):
        edit.activate("on hers", owner=three.bob)


@everything
def test_only_a_member_shares_with_a_group(three: Three) -> None:
    with pytest.raises(NotPermitted, match="is not in group"):
        MADE["tag"][0](owner=three.charlie, group="friends")
    with pytest.raises(NotPermitted, match="is not in group"):
        people.add_member("friends", "charlie", owner=three.charlie)
    assert marks.list_tags(three.charlie) == []


@pytest.mark.parametrize("kind", ["watchlist", "area"])
def test_others_read_and_do_not_change(three: Three, kind: Any) -> None:
    remove = lists.remove_watchlist if kind == "watchlist" else lists.remove_area
    number = 2 if kind == "watchlist" else 1
    acts: list[Callable[[Any], Any]] = [
        lambda user: remove(number, owner=user), lambda user: remove("hers", owner=user),
        lambda user: lists.stop(kind, number, owner=user), lambda user: lists.activate(kind, number, owner=user),
        lambda user: lists.share(kind, number, public=True, owner=user),
    ]  # fmt: skip
    before = read_snapshot(three.path)
    for act in acts:
        with pytest.raises(NotFound):
            act(three.charlie)
    three.make(public=True, group="friends")
    for act in acts:
        for user in (three.bob, three.charlie):
            with pytest.raises(NotPermitted, match="belongs to 'alice'"):
                act(user)
    assert read_snapshot(three.path).lists == before.lists
    assert lists.show(kind, "hers", owner=three.charlie)["owner"] == "alice"
    # a list of that name of one's own is another
    MADE[kind][0](owner=three.charlie)
    assert lists.show(kind, "hers", owner=three.charlie)["owner"] == "charlie"
    assert lists.show(kind, "hers", owner=three.bob)["owner"] == "alice"
