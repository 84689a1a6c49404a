from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lasair.definitions import people
from lasair.definitions.transactions import LOCAL_USER, user_named
from lasair.errors import BadDefinition, NotFound, NotPermitted
from tests.support.definitions import new_definitions


@pytest.fixture(autouse=True)
def database(tmp_path: Path) -> None:
    new_definitions(tmp_path)


def test_annotators() -> None:
    one = people.add_annotator("FastFinder", description="finds fast things", url="https://example.org/ff")
    assert one[1:] == (
        "FastFinder", LOCAL_USER, True, False, None, "https://example.org/ff", "finds fast things",
    )  # fmt: skip
    assert people.list_annotators() == [one]
    assert people.annotator_for("fastfinder") == one, "the case of a topic does not count"
    again = people.add_annotator("FASTFINDER", public=True)
    assert again == one._replace(public=True), "what is not given stays"
    with pytest.raises(NotFound, match="did you mean 'FastFinder'"):
        people.annotator_for("fastfindr")
    with pytest.raises(NotFound, match="'lasair annotator list'"):
        people.annotator_for("x")


def test_a_stopped_annotator_does_not_annotate() -> None:
    people.add_annotator("ff")
    assert not people.set_active("ff", False).active
    with pytest.raises(NotPermitted, match="lasair annotator activate"):
        people.annotator_for("ff")
    people.set_active("FF", True)
    assert people.annotator_for("ff").active
    with pytest.raises(NotFound):
        people.set_active("gg", True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"topic": ""}, "topic: "),
        ({"topic": "a:b"}, "topic: "),
        ({"topic": "a&b"}, "topic: "),
        ({"topic": "x" * 256}, "topic: has 256"),
        ({"topic": "a", "url": "javascript:alert(1)"}, "url: "),
        ({"topic": "a", "description": "\x1b"}, "control characters"),
    ],
)
def test_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(BadDefinition, match=words):
        people.add_annotator(**arguments)
    assert people.list_annotators() == []


def test_who_may_annotate() -> None:
    alice, bob, charlie = (user_named(name) for name in ("alice", "bob", "charlie"))
    people.add_group("friends", owner=alice)
    people.add_member("friends", "bob", owner=alice)
    people.add_annotator("ff", group="friends", public=True, owner=alice)
    assert people.annotator_for("ff", alice) == people.annotator_for("ff", bob) == people.annotator_for("ff")
    with pytest.raises(NotPermitted, match="belongs to 'alice'"):
        people.annotator_for("ff", charlie)
    assert [one.topic for one in people.list_annotators(charlie)] == ["ff"], "but everybody may ask for it"
    for change in (people.add_annotator, lambda topic, owner: people.set_active(topic, False, owner=owner)):
        with pytest.raises(NotPermitted, match="belongs to 'alice'"):
            change("FF", owner=bob)


def test_groups() -> None:
    assert people.add_group("friends") == ("friends", [LOCAL_USER])
    assert people.add_group("friends", owner=user_named("eve")) == ("friends", [LOCAL_USER]), "no way into a group"
    assert people.add_member("friends", "bob").members == ["bob", LOCAL_USER]
    assert not user_named("bob").has_usable_password()
    assert people.add_member("friends", "bob").members == ["bob", LOCAL_USER]
    with pytest.raises(NotPermitted, match="'eve' is not in group 'friends'"):
        people.add_member("friends", "eve", owner=user_named("eve"))
    with pytest.raises(NotFound, match="did you mean 'friends'"):
        people.add_member("freinds", "bob")
    with pytest.raises(NotFound, match="did you mean 'bob'"):
        people.remove_member("friends", "bb")
    assert people.remove_member("friends", "bob").members == [LOCAL_USER]
    assert people.list_groups() == [("friends", [LOCAL_USER])]


@pytest.mark.parametrize("name", ["", " ", "a b", "x" * 151, "a\x00b", "<script>"])
def test_names_that_can_be_no_user(name: str) -> None:
    people.add_group("friends")
    with pytest.raises(BadDefinition, match="can be no user"):
        people.add_member("friends", name)


@pytest.mark.parametrize("name", ["", "x" * 151, "7", "a\x00b"])
def test_names_that_can_be_no_group(name: str) -> None:
    with pytest.raises(BadDefinition):
        people.add_group(name)
