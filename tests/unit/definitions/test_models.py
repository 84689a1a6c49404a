from __future__ import annotations

from pathlib import Path

import pytest

from lasair.definitions.models import Annotator, Area, Content, Event, EventNotice, Tag, Watchlist
from lasair.definitions.pieces import content_bytes, is_content, put_content
from lasair.definitions.transactions import local_user
from lasair.schema.model import TNS_WATCHLIST
from tests.support.definitions import new_definitions


@pytest.fixture(autouse=True)
def database(tmp_path: Path) -> None:
    new_definitions(tmp_path)


def test_a_new_database_has_the_tns_and_nothing_else() -> None:
    (tns,) = Watchlist.objects.all()
    assert (tns.pk, tns.name, tns.owner, tns.public, tns.content) == (TNS_WATCHLIST, "TNS", None, True, None)
    assert not Area.objects.exists() and not Event.objects.exists()


def test_a_content_in_use_cannot_be_deleted() -> None:
    from django.db.models import ProtectedError

    content = put_content(b"bytes")
    area = Area.objects.create(owner=local_user(), name="a", content=content)
    with pytest.raises(ProtectedError):
        content.delete()
    area.delete()
    content.delete()
    assert Content.objects.count() == 0


def test_contents_are_what_was_put(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lasair.definitions.pieces.PIECE_BYTES", 3)
    for data in (b"", b"12", b"123", b"1234567"):
        content = put_content(data)
        assert content_bytes(content) == data and content.pieces.count() == -(-len(data) // 3)
        assert is_content(content, data) and not is_content(content, data + b"8")
        assert not is_content(content, data[:-1] + b"x") or not data
    assert not is_content(None, b"")


def test_names_are_an_owners_own_and_topics_everybodys() -> None:
    from django.db import IntegrityError, transaction

    Tag.objects.create(owner=local_user(), name="good")
    Annotator.objects.create(owner=local_user(), name="ff")
    event = Event.objects.create(name="S1")
    EventNotice.objects.create(event=event, kind="initial", digest="a")
    for model, values in (
        (Tag, {"owner": local_user(), "name": "good"}),
        (Annotator, {"name": "FF"}),
        (Event, {"name": "S1"}),
        (EventNotice, {"event": event, "kind": "update", "digest": "a"}),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            model.objects.create(**values)


def test_all_say_their_names() -> None:
    assert [str(one(name="x")) for one in (Watchlist, Area, Event, Annotator, Tag)] == ["x"] * 5
