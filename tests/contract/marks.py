"""What every store of annotations and tags promises."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.annotations.model import Annotation, check
from lasair.errors import BadDefinition
from lasair.schema.model import SURVEYS, Survey, table
from lasair.stores.marks import MARK_TABLES, Annotated

NOW = 1_790_000_000.25  # 2026-09-21 14:13:20.25


def said(
    object_id: str | int = 7, classification: str = "SN", topic: str = "fink", survey: Survey = "lsst", **more: Any
) -> Annotation:
    """A checked annotation."""
    return check(Annotation(survey, str(object_id), topic, classification, **more))


def content(one: Annotated) -> tuple[object, ...]:
    """What an annotation says, and of what."""
    return (one.survey, one.object_id, one.topic.lower(), *one[4:5], *one[6:])


#: Annotations of few objects and topics with few contents, so that many meet.
feeds = st.lists(
    st.builds(
        said,
        st.integers(1, 2),
        st.sampled_from(["SN", "VS", "AGN"]),
        st.sampled_from(["fink", "Fink", "ampel"]),
        classdict=st.sampled_from([{}, {"a": 1}, {"a": 1.0}, {"a": 1, "b": [True]}, {"b": [True], "a": 1}]),
    ),
    max_size=12,
)


class MarkStoreContract(ABC):
    """Subclasses say how a store is opened."""

    @abstractmethod
    def open(self, folder: Path) -> Any: ...

    def test_what_was_said_stands(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        full = said(
            2**63 - 1, "Ia", version="1.0", explanation="a\nb", classdict={"p": 0.5}, url="https://example.org/x"
        )
        kept = store.annotate([full, said("ZTF18aaaaaaa", survey="ztf")], NOW)
        assert [one.changed for one in kept] == [True, True]
        assert 0 < kept[0].annotation_id < kept[1].annotation_id
        when = "2026-09-21 14:13:20.250000"
        first = kept[0].annotation_id
        assert store.get("lsst", 2**63 - 1) == [
            Annotated(first, "lsst", 2**63 - 1, "fink", "1.0", when, "Ia", "a\nb", '{"p":0.5}', "https://example.org/x")
        ]
        (other,) = store.get("ztf", "ZTF18aaaaaaa")
        assert other[3:] == ("fink", None, when, "SN", None, None, None)
        assert store.get("lsst", 7) == store.get("ztf", "ZTF18aaaaaab") == []
        assert (store.count("lsst"), store.count("ztf"), store.count("lsst", "tag_hits")) == (1, 1, 0)
        store.close()

    def test_the_latest_stands_and_the_others_are_history(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        (first,) = store.annotate([said()], NOW)
        second, other, third = store.annotate([said(7, "VS"), said(8), said(7, "AGN")], NOW + 1)
        store.annotate([said(7, "x", "ampel")], NOW + 2)
        assert first.annotation_id < second.annotation_id < other.annotation_id < third.annotation_id
        assert [one.classification for one in store.get("lsst", 7)] == ["x", "AGN"]
        assert [(one.annotation_id, one.classification) for one in store.history("lsst", 7, "FINK")] == [
            (third.annotation_id, "AGN"), (second.annotation_id, "VS"), (first.annotation_id, "SN"),
        ]  # fmt: skip
        assert [one.classification for one in store.history("lsst", 7)] == ["x", "AGN", "VS", "SN"]
        assert store.history("lsst", 7, "nobody") == store.history("ztf", "ZTF18aaaaaaa") == []
        store.close()

    def test_what_stands_already_is_no_change(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        (first,) = store.annotate([said(classdict={"a": 1, "b": 2})], NOW)
        again = store.annotate(
            [said(classdict={"b": 2, "a": 1}), said(7, "SN", "FINK", classdict={"a": 1, "b": 2})], NOW
        )
        assert again == [(first.annotation_id, False)] * 2
        assert len(store.history("lsst", 7)) == 1
        for i, changed in enumerate(
            (said(), said(version="2"), said(explanation="e"), said(url="https://a.example"), said(7, "sn"),
             said(7, "sn", classdict={"a": 1}), said(7, "sn", classdict={"a": True}))
        ):  # fmt: skip
            assert store.annotate([changed], NOW)[0].changed
            assert len(store.history("lsst", 7)) == i + 2
        store.close()

    def test_who_says_an_earlier_thing_again_is_heard(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        for classification in ("SN", "VS", "SN"):
            store.annotate([said(7, classification)], NOW)
        assert [one.classification for one in store.history("lsst", 7)] == ["SN", "VS", "SN"]
        store.close()

    @settings(max_examples=60, deadline=None)
    @given(feeds, feeds, st.integers(0, 12))
    def test_a_feed_read_again_changes_nothing(
        self, tmp_path_factory: Any, earlier: list[Annotation], feed: list[Annotation], cut: int
    ) -> None:
        store = self.open(tmp_path_factory.mktemp("store"))
        store.annotate(earlier, NOW)
        first = store.annotate(feed, NOW)
        history = [store.history("lsst", i) for i in (1, 2)]
        standing = [[content(one) for one in store.get("lsst", i)] for i in (1, 2)]
        wanted = {(one.object_id, one.topic.lower()): one.classification for one in (*earlier, *feed)}
        found = {(str(one[1]), one[2]): one[4] for some in standing for one in some}
        assert found == wanted
        # the same batch again is nothing new, whatever the order in which its contents came
        again = store.annotate(feed, NOW + 1)
        assert not any(one.changed for one in again)
        assert [store.history("lsst", i) for i in (1, 2)] == history
        standing_ids = {one.annotation_id for some in history for one in some}
        assert {one.annotation_id for one in (*first, *again)} <= standing_ids
        # read again with other cuts, the end is the same
        store.annotate(feed[:cut], NOW + 2)
        store.annotate([one for one in feed[cut:] for _ in range(2)], NOW + 2)
        store.annotate([], NOW)
        if feed[:cut] and feed[cut:]:
            store.annotate(feed, NOW + 3)
        elif feed:
            assert [store.history("lsst", i) for i in (1, 2)] == history
        assert [[content(one) for one in store.get("lsst", i)] for i in (1, 2)] == standing
        store.close()

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), min_size=1, max_size=30))
    def test_ids_grow_and_history_ends_with_what_was_said(
        self, tmp_path_factory: Any, earlier: list[str], feed: list[str]
    ) -> None:
        store = self.open(tmp_path_factory.mktemp("store"))
        for one in earlier:
            store.annotate([said(7, one)], NOW)
        before = store.history("lsst", 7)
        kept = store.annotate([said(7, one) for one in feed], NOW)
        history = store.history("lsst", 7)
        assert history[len(history) - len(before) :] == before
        of_id = {one.annotation_id: one.classification for one in history}
        assert [of_id[one.annotation_id] for one in kept] == feed
        assert [one.annotation_id for one in kept] == sorted(one.annotation_id for one in kept)
        assert len(history) - len(before) == sum(one.changed for one in kept)
        assert all(a.classification != b.classification for a, b in pairwise(history))
        store.close()

    def test_of_no_object_that_there_can_be_nothing_is_kept(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        for wrong in ("0", "-1", "07", str(2**63), "ZTF18aaaaaaa", "", "1 OR 1"):
            with pytest.raises(BadDefinition):
                store.annotate([said(8), Annotation("lsst", wrong, "fink", "SN")], NOW)
            with pytest.raises(BadDefinition):
                store.tag("lsst", 1, "t", [8, wrong], NOW)
            with pytest.raises(BadDefinition):
                store.history("lsst", wrong)
        assert store.count("lsst") == store.count("lsst", "tag_hits") == 0
        store.close()

    def test_rows_are_columns_of_the_schema_in_the_order_asked(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        names = [f"ZTF18aaa{a}aa{b}" for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghijklmnopqrstuvwxyz"]
        marked = names[::7]
        store.annotate([said(one, one[-1], topic, "ztf") for one in marked for topic in ("B", "a")], NOW)
        store.annotate([said(5, classdict={"p": 1})], NOW)
        keys = [*reversed(names), *marked[:3], "ZTF17aaaaaaa"]
        found = store.rows("ztf", "annotations", keys)
        expected = [i for i, key in enumerate(keys) if key in set(marked) for _ in range(2)]
        assert found["_alert"].tolist() == expected and found["_alert"].dtype == np.int64
        assert found["objectId"].tolist() == [keys[i] for i in expected]
        assert found["topic"].tolist() == ["a", "B"] * (len(expected) // 2)
        assert found["classification"].tolist() == [keys[i][-1] for i in expected]
        assert set(found["classdict"].tolist()) == set(found["version"].tolist()) == {""}
        (row,) = zip(*(one.tolist() for one in store.rows("lsst", "annotations", [4, 5]).values()), strict=True)
        assert row[1:5] == (5, "fink", "", "2026-09-21 14:13:20.250000") and row[-1] == 1
        for survey in SURVEYS:
            for name in MARK_TABLES:
                empty = store.rows(survey, name, [])
                assert list(empty) == [*table(name, survey).column_names, "_alert"]
                assert all(len(one) == 0 for one in empty.values())
                kinds = {one: values.dtype.kind for one, values in empty.items()}
                assert kinds["_alert"] == "i" and {kinds["name" if name == "tag_hits" else "topic"]} == {"U"}
        store.close()

    def test_new_annotations_are_due_once_until_filters_have_heard(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.annotate([said(1), said(2), said(1, "x", "ampel"), said("ZTF18aaaaaaa", survey="ztf")], NOW)
        store.annotate([said(1)], NOW)  # no change
        due = store.due(100)
        assert [(one.survey, one.object_id, one.topics) for one in due] == [
            ("lsst", 1, ("fink", "ampel")), ("lsst", 2, ("fink",)), ("ztf", "ZTF18aaaaaaa", ("fink",)),
        ]  # fmt: skip
        assert store.due(100) == due
        assert len(store.due(2)) <= 2
        # one that comes while filters run is heard of next time
        store.annotate([said(2, "VS"), said(3)], NOW)
        store.done(due)
        assert [(one.object_id, one.topics) for one in store.due(100)] == [(2, ("fink",)), (3, ("fink",))]
        store.done(due)
        assert len(store.due(100)) == 2
        heard = 0
        while some := store.due(1):
            store.done(some)
            heard += len(some)
        assert heard == 2
        store.annotate([said(2, "VS")], NOW)
        assert store.due(100) == []
        store.close()

    def test_what_is_due_can_be_gone_through_once(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        assert store.last_due() == 0
        store.annotate([said(one) for one in (1, 2, 3)], NOW)
        last = store.last_due()
        store.annotate([said(4)], NOW)
        after, found = 0, []
        while some := store.due(2, after=after, upto=last):
            after = max(one.place for one in some)
            found += [one.object_id for one in some]
            store.annotate([said(one.object_id, "VS", explanation=str(len(found))) for one in some], NOW)
            store.done(some)
        # what was said of them meanwhile is due still
        assert found == [1, 2, 3] and [one.object_id for one in store.due(9)] == [1, 2, 3, 4]
        store.close()

    def test_what_waits_for_an_object_is_due_when_it_has_arrived(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        name = "ZTF18aaaaaaa"
        store.annotate([said(1), said(1, "x", "ampel"), said(2), said(name, survey="ztf")], NOW)
        due = store.due(9)
        store.annotate([said(2, "VS")], NOW)
        store.wait(due)
        # of 2 something was said since
        assert [(one.object_id, one.topics) for one in store.due(9)] == [(2, ("fink",))]
        assert store.arrived("lsst", [3, 4]) == store.arrived("ztf", ["ZTF18aaaaaab"]) == store.arrived("lsst", []) == 0
        store.annotate([said(1, "VS", "FINK")], NOW)
        assert store.arrived("lsst", [4, 1, 1, 3]) == 2
        assert [(one.object_id, sorted(one.topics)) for one in store.due(9)] == [(2, ["fink"]), (1, ["FINK", "ampel"])]
        store.close()
        store = self.open(tmp_path)
        assert store.arrived("ztf", [name]) == 1 and store.arrived("ztf", [name]) == 0
        assert store.due(9)[-1].object_id == name
        store.done(store.due(9))
        assert store.due(9) == [] and store.last_due() == 0
        store.close()

    def test_who_is_annotated_again_and_again_does_not_hold_up_others(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.annotate([said(9)], NOW)
        store.annotate([said(1)], NOW)
        store.annotate([said(9, "VS")], NOW)
        assert [one.object_id for one in store.due(1)] == [9]
        store.done(store.due(1))
        store.annotate([said(9, "AGN")], NOW)
        assert [one.object_id for one in store.due(1)] == [1]
        store.close()

    def test_tags(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        assert store.tag("lsst", 1, "mine", [5, "6", 6, 2**62], NOW) == 3
        assert store.tag("lsst", 1, "mine", [5, 8], NOW + 60) == 1
        assert store.tag("ztf", 1, "mine", ["ZTF18aaaaaaa"], NOW) == 1
        assert store.tag("lsst", 2, "yours", [5], NOW) == 1
        at, later = "2026-09-21 14:13:20.250000", "2026-09-21 14:14:20.250000"
        assert store.tagged(1) == [
            ("lsst", 5, at), ("lsst", 6, at), ("lsst", 8, later), ("lsst", 2**62, at), ("ztf", "ZTF18aaaaaaa", at),
        ]  # fmt: skip
        found = store.rows("lsst", "tag_hits", [8, 5])
        assert list(zip(*(one.tolist() for one in found.values()), strict=True)) == [
            (8, 1, "mine", later, 0), (5, 1, "mine", at, 1), (5, 2, "yours", at, 1),
        ]  # fmt: skip
        assert store.rename_tag(1, "ours") == 5
        assert set(store.rows("lsst", "tag_hits", [8, 6])["name"].tolist()) == {"ours"}
        assert store.untag("lsst", 1, [5, 7, "2"]) == 1
        assert store.untag("lsst", 1, [5]) == 0
        assert store.remove_tag(1) == 4
        assert store.tagged(1) == [] and store.remove_tag(1) == 0 and store.rename_tag(1, "x") == 0
        assert [one.object_id for one in store.tagged(2)] == [5]
        store.close()

    def test_topics_are_counted_whatever_the_case(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.annotate([said(1), said(2, "SN", "FINK"), said(2, "x", "ampel")], NOW)
        store.annotate([said("ZTF18aaaaaaa", survey="ztf")], NOW)
        assert [(one.survey, one.topic.lower(), one.objects) for one in store.topics()] == [
            ("lsst", "ampel", 1), ("lsst", "fink", 2), ("ztf", "fink", 1),
        ]  # fmt: skip
        store.check()
        assert store.disk_bytes() > 0
        store.close()

    def test_threads_write_and_read_at_the_same_time(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        wrong: list[Exception] = []

        def work(first: int) -> None:
            try:
                for i in range(first, first + 40):
                    store.annotate([said(i), said(1_000, str(i))], NOW)
                    assert store.rows("lsst", "annotations", [i])["diaObjectId"].tolist() == [i]
            except Exception as err:
                wrong.append(err)

        threads = [threading.Thread(target=work, args=(first,)) for first in (100, 200, 300)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert wrong == []
        assert store.count("lsst") == 121
        history = store.history("lsst", 1_000)
        assert len(history) == 120 and len({one.annotation_id for one in history}) == 120
        store.close()
