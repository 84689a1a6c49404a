"""Tags and notes that people put on objects. `definitions.django.connect` comes first.

Which objects have a tag stands in the store of marks, which queries join; here is who owns the tag and who may use it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from lasair.annotations.model import survey_of
from lasair.definitions.django import set_up
from lasair.definitions.transactions import (
    acting,
    as_number,
    find,
    find_own,
    groups_of,
    guarded,
    local_user,
    may_use,
    reading,
    share_with,
    utc_text,
    visible,
)
from lasair.definitions.words import check_description, check_name, check_text
from lasair.errors import BadDefinition, NotFound, NotPermitted
from lasair.schema.model import Survey

set_up()  # Django's models cannot be imported before

from django.db.models import Q  # noqa: E402

from lasair.definitions.models import Note, Tag  # noqa: E402

#: Longest note, in characters.
NOTE_CHARS: Final = 4096


class TagState(NamedTuple):
    """A tag; `tag_id` is what queries name."""

    tag_id: int
    name: str
    owner: str | None
    public: bool
    group: str | None
    description: str


class NoteState(NamedTuple):
    """A note on an object."""

    note_id: int
    survey: Survey
    object_id: str
    owner: str
    public: bool
    group: str | None
    #: UTC
    created: str | None
    text: str


@guarded
def add_tag(
    name: str,
    *,
    description: str | None = None,
    public: bool | None = None,
    group: str | None = None,
    owner: Any = None,
) -> TagState:
    """Make a tag, or change what is given of the owner's tag of that name.

    Parameters
    ----------
    description, public, group : None: as they are; of a new one none, not public, no group
    owner : the local user unless given

    Raises
    ------
    BadDefinition
        The name or the description is refused.
    NotFound, NotPermitted
        There is no such group, or the owner is not in it.
    """
    owner = owner or local_user()
    name = check_name("tag", name)
    one = Tag.objects.filter(owner=owner, name=name).first() or Tag(owner=owner, name=name)
    if description is not None:
        one.description = check_description("tag", description)
    share_with(one, public=public, group=group, member=owner)
    one.save()
    return _tag(one)


@reading
def tag_to_put(which: str | int, *, owner: Any = None) -> TagState:
    """A tag that a user may put on objects: one of its own, or of its groups.

    Raises
    ------
    NotFound
        There is none, or (by name) none that is the user's own or its groups'.
    NotPermitted
        It is public, but somebody else's.
    """
    user = acting(owner)
    mine = groups_of(user)
    if as_number(which) is None and user is not None:
        # a public tag of that name is no reason not to have one's own
        usable = Tag.objects.filter(Q(owner=user) | Q(group__in=mine), name=which).order_by("pk")
        one = usable.filter(owner=user).first() or usable.first()
        if one is None:
            raise NotFound(f"no tag {which!r} of yours or your groups'; 'lasair tag list' shows those there are")
        return _tag(one)
    one = find(Tag, "tag", which, owner)
    if user is None or (one.owner_id != user.pk and one.group_id not in mine):
        raise NotPermitted(f"tag {one.pk} ({one.name}) is somebody else's: you may ask for it, not put it on objects")
    return _tag(one)


@reading
def show_tag(which: str | int, *, owner: Any = None) -> TagState:
    """A tag that a user may use; NotFound. Needs no right to write."""
    return _tag(find(Tag, "tag", which, owner))


@reading
def own_tag(which: str | int, *, owner: Any = None) -> TagState:
    """A tag of one's own; NotFound, NotPermitted. Needs no right to write."""
    return _tag(find_own(Tag, "tag", which, owner))


@reading
def list_tags(owner: Any = None) -> list[TagState]:
    """The tags that a user (the local one unless given) may use, by name. Needs no right to write."""
    there = visible(Tag, acting(owner)).select_related("owner", "group").order_by("name", "pk")
    return [_tag(one) for one in there]


@guarded
def rename_tag(which: str | int, name: str, *, owner: Any = None) -> TagState:
    """Give a tag of one's own another name; BadDefinition when it is refused or taken, NotFound, NotPermitted."""
    one = find_own(Tag, "tag", which, owner)
    name = check_name("tag", name)
    if Tag.objects.filter(owner=one.owner, name=name).exclude(pk=one.pk).exists():
        raise BadDefinition(f"there is a tag {name!r} already: choose another name")
    one.name = name
    one.save(update_fields=("name",))
    return _tag(one)


@guarded
def share_tag(which: str | int, *, public: bool | None = None, group: str | None = None, owner: Any = None) -> TagState:
    """Say who else may use a tag of one's own: None leaves it as it is, an empty group takes the group away."""
    one = find_own(Tag, "tag", which, owner)
    share_with(one, public=public, group=group, member=acting(owner))
    one.save(update_fields=("public", "group"))
    return _tag(one)


@guarded
def remove_tag(which: str | int, *, owner: Any = None) -> TagState:
    """Remove a tag of one's own; NotFound, NotPermitted. The store of marks takes it off objects, before."""
    one = find_own(Tag, "tag", which, owner)
    state = _tag(one)
    one.delete()
    return state


@guarded
def add_note(
    survey: Survey, object_id: str, text: str, *, public: bool = False, group: str = "", owner: Any = None
) -> NoteState:
    """Write a note on an object.

    Parameters
    ----------
    object_id : as the survey publishes it
    text : may have lines and tabs, at most `NOTE_CHARS` characters
    public, group : who may read it beside its owner, the local user unless given

    Raises
    ------
    BadDefinition
        The object has no such name, or the text is empty, too long, or holds control characters.
    NotFound, NotPermitted
        There is no such group, or the owner is not in it.
    """
    if survey_of(object_id) != survey:
        raise BadDefinition(f"{object_id!r:.40} is not the name of an object of {survey}")
    text = check_text("the note", text, NOTE_CHARS)
    if not text:
        raise BadDefinition("the note is empty")
    owner = owner or local_user()
    note = Note(owner=owner, survey=survey, object_id=object_id, text=text)
    share_with(note, public=public, group=group, member=owner)
    note.save()
    return _note(note)


@reading
def notes_of(survey: Survey, object_id: str, user: Any = None) -> list[NoteState]:
    """The notes on an object that a user (the local one unless given) may read, oldest first."""
    there = visible(Note, acting(user)).filter(survey=survey, object_id=object_id).select_related("owner", "group")
    return [_note(one) for one in there.order_by("created", "pk")]


@guarded
def remove_note(note_id: int, *, owner: Any = None) -> NoteState:
    """Remove a note of one's own; NotFound, NotPermitted."""
    user = acting(owner)
    note = Note.objects.filter(pk=note_id).select_related("owner", "group").first()
    if note is None or not may_use(note, user):
        raise NotFound(f"no note {note_id}; 'lasair note list OBJECT' shows the numbers of those on an object")
    if user is None or note.owner_id != user.pk:
        raise NotPermitted(f"note {note_id} belongs to {note.owner.get_username()!r}")
    state = _note(note)
    note.delete()
    return state


def _tag(one: Tag) -> TagState:
    return TagState(
        one.pk, one.name, one.owner and one.owner.get_username(), one.public, one.group and one.group.name,
        one.description,
    )  # fmt: skip


def _note(one: Note) -> NoteState:
    return NoteState(
        one.pk, one.survey, one.object_id, one.owner.get_username(), one.public, one.group and one.group.name,
        utc_text(one.created), one.text,
    )  # fmt: skip
