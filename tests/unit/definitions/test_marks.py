from __future__ import annotations

from pathlib import Path

import pytest

from lasair.definitions import marks, people
from lasair.definitions.transactions import LOCAL_USER, user_named
from lasair.errors import BadDefinition, NotFound, NotPermitted
from tests.support.definitions import new_definitions


@pytest.fixture(autouse=True)
def database(tmp_path: Path) -> None:
    new_definitions(tmp_path)


def test_tags() -> None:
    one = marks.add_tag("good", description="worth a spectrum")
    assert one == (1, "good", LOCAL_USER, False, None, "worth a spectrum")
    assert marks.add_tag("good") == one
    assert marks.add_tag("better").tag_id == 2
    assert [each.name for each in marks.list_tags()] == ["better", "good"]
    assert marks.tag_to_put("good") == marks.show_tag("1") == one
    with pytest.raises(NotFound, match="lasair tag list"):
        marks.tag_to_put("bad")
    with pytest.raises(BadDefinition, match="there is a tag 'better' already"):
        marks.rename_tag("good", "better")
    assert marks.rename_tag("good", " best ").name == "best"
    assert marks.rename_tag("best", "best").name == "best"
    assert marks.remove_tag("best").tag_id == 1
    assert marks.add_tag("good").tag_id == 3, "a number is not used again"


@pytest.mark.parametrize("name", ["", "7", "x" * 257, "a\nb", "\u202egood"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(BadDefinition, match="tag"):
        marks.add_tag(name)


def test_who_may_put_a_tag_on_objects() -> None:
    alice, bob, charlie = (user_named(name) for name in ("alice", "bob", "charlie"))
    people.add_group("friends", owner=alice)
    people.add_member("friends", "bob", owner=alice)
    tag = marks.add_tag("good", owner=alice)
    for someone in (bob, charlie):
        with pytest.raises(NotFound):
            marks.tag_to_put("good", owner=someone)
    marks.share_tag("good", group="friends", owner=alice)
    assert marks.tag_to_put("good", owner=bob).tag_id == tag.tag_id
    assert marks.list_tags(charlie) == []
    marks.share_tag("good", public=True, owner=alice)
    assert marks.show_tag("good", owner=charlie).tag_id == tag.tag_id
    with pytest.raises(NotPermitted, match="may ask for it"):
        marks.tag_to_put(tag.tag_id, owner=charlie)
    with pytest.raises(NotFound):
        marks.tag_to_put("good", owner=charlie)
    own = marks.add_tag("good", owner=charlie)
    assert marks.tag_to_put("good", owner=charlie) == own
    with pytest.raises(NotPermitted, match="belongs to 'alice'"):
        marks.remove_tag(tag.tag_id, owner=bob)


def test_notes() -> None:
    one = marks.add_note("ztf", "ZTF20abcdefg", "  nice\n\tcurve \N{FIRE} ")
    assert one[1:6] == ("ztf", "ZTF20abcdefg", LOCAL_USER, False, None) and one.text == "nice\n\tcurve \N{FIRE}"
    marks.add_note("lsst", "170000000000000001", "other")
    assert marks.notes_of("ztf", "ZTF20abcdefg") == [one]
    assert marks.remove_note(one.note_id) == one
    assert marks.notes_of("ztf", "ZTF20abcdefg") == []
    with pytest.raises(NotFound, match="no note 1;"):
        marks.remove_note(one.note_id)


def test_who_may_read_notes() -> None:
    alice, bob, charlie = (user_named(name) for name in ("alice", "bob", "charlie"))
    people.add_group("friends", owner=alice)
    people.add_member("friends", "bob", owner=alice)
    place = ("lsst", "170000000000000001")
    marks.add_note("lsst", place[1], "mine", owner=alice)
    marks.add_note("lsst", place[1], "ours", group="friends", owner=alice)
    everybodys = marks.add_note("lsst", place[1], "everybody's", public=True, owner=alice)

    def read(user: object) -> list[str]:
        return [one.text for one in marks.notes_of("lsst", place[1], user)]

    assert read(alice) == ["mine", "ours", "everybody's"]
    assert read(bob) == ["ours", "everybody's"]
    assert read(charlie) == ["everybody's"]
    with pytest.raises(NotPermitted, match="belongs to 'alice'"):
        marks.remove_note(everybodys.note_id, owner=bob)
    with pytest.raises(NotFound):
        marks.remove_note(1, owner=charlie)


@pytest.mark.parametrize(
    ("object_id", "text", "words"),
    [
        ("ZTF20abcdefg", "x", "not the name of an object of lsst"),
        ("0", "x", "not the name"),
        ("1", "  ", "is empty"),
        ("1", "x" * 4097, "4097 characters"),
        ("1", "a\x00b", "control characters"),
        ("1", "a\u202eb", "control characters"),
        ("1", "a\ud800b", "control characters"),
    ],
)
def test_notes_that_are_refused(object_id: str, text: str, words: str) -> None:
    with pytest.raises(BadDefinition, match=words):
        marks.add_note("lsst", object_id, text)
