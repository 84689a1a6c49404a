"""Groups of users, and annotators: programs that say what objects are. `definitions.django.connect` comes first."""

from __future__ import annotations

from typing import Any, NamedTuple

from lasair.annotations.model import Annotation
from lasair.annotations.model import check as check_annotation
from lasair.definitions.django import set_up
from lasair.definitions.transactions import (
    acting,
    group_named,
    groups_of,
    guarded,
    local_user,
    reading,
    share_with,
    user_named,
    visible,
)
from lasair.definitions.words import check_description, check_name
from lasair.errors import BadDefinition, NotFound, NotPermitted
from lasair.schema.allow import nearest

set_up()  # Django's models cannot be imported before

from django.contrib.auth.models import Group  # noqa: E402

from lasair.definitions.models import Annotator  # noqa: E402


class AnnotatorState(NamedTuple):
    """An annotator; its topic is its name."""

    annotator_id: int
    topic: str
    owner: str | None
    active: bool
    public: bool
    group: str | None
    url: str
    description: str


class GroupState(NamedTuple):
    """A group and the names of its members."""

    name: str
    members: list[str]


@guarded
def add_annotator(
    topic: str,
    *,
    description: str | None = None,
    url: str | None = None,
    public: bool | None = None,
    group: str | None = None,
    owner: Any = None,
) -> AnnotatorState:
    """Add an annotator, or change what is given of the owner's annotator of that topic.

    Parameters
    ----------
    topic : what annotations and queries name; the case of its letters does not count
    description, url, public, group : None: as they are; of a new one none, not public, no group
    owner : the local user unless given

    Raises
    ------
    BadDefinition
        The topic, the description or the URL is refused.
    NotPermitted
        The topic is somebody else's, or the owner is not in the group.
    NotFound
        There is no such group.
    """
    owner = owner or local_user()
    topic, url = _checked(topic, url)
    one = Annotator.objects.filter(name__iexact=topic).first() or Annotator(owner=owner, name=topic)
    if one.owner_id != owner.pk:
        raise _of_another(one)
    if description is not None:
        one.description = check_description("annotator", description)
    if url is not None:
        one.url = url
    share_with(one, public=public, group=group, member=owner)
    one.save()
    return _state(one)


@reading
def list_annotators(owner: Any = None) -> list[AnnotatorState]:
    """The annotators that a user (the local one unless given) may use, by topic. Needs no right to write."""
    there = visible(Annotator, acting(owner)).select_related("owner", "group").order_by("name")
    return [_state(one) for one in there]


@guarded
def set_active(topic: str, active: bool, *, owner: Any = None) -> AnnotatorState:
    """Let an annotator of one's own annotate, or no more; what it has said stays. NotFound, NotPermitted."""
    one, user = _find(topic), acting(owner)
    if user is None or one.owner_id != user.pk:
        raise _of_another(one)
    one.active = active
    one.save(update_fields=("active",))
    return _state(one)


@reading
def annotator_for(topic: str, owner: Any = None) -> AnnotatorState:
    """The annotator of a topic, which is to annotate.

    Parameters
    ----------
    owner : in whose name; None: in that of the installation, which may do so for all annotators

    Raises
    ------
    NotFound
        There is none; says which is meant perhaps.
    NotPermitted
        It is stopped, or is neither the owner's nor of one of its groups.
    """
    one = _find(topic)
    if (
        owner is not None
        and one.owner_id != owner.pk
        and (one.group_id is None or one.group_id not in groups_of(owner))
    ):
        raise _of_another(one)
    if not one.active:
        raise NotPermitted(f"annotator {one.name!r} is stopped; 'lasair annotator activate' lets it annotate again")
    return _state(one)


@guarded
def add_group(name: str, *, owner: Any = None) -> GroupState:
    """Make a group with a first member, the owner (the local user unless given); one that exists stays as it is."""
    name = check_name("group", name)
    longest = Group._meta.get_field("name").max_length
    if longest is not None and len(name) > longest:
        raise BadDefinition(f"the name of the group has {len(name)} characters; {longest} are the most")
    group, new = Group.objects.get_or_create(name=name)
    if new:
        group.user_set.add(owner or local_user())
    return _group_state(group)


@guarded
def add_member(group: str, user: str, *, owner: Any = None) -> GroupState:
    """Put a user, who is made if need be, into a group of the owner's.

    Raises
    ------
    NotFound
        There is no such group.
    NotPermitted
        The owner is not in it.
    BadDefinition
        `user` can be no name of a user.
    """
    found = group_named(group, member=owner or local_user())
    found.user_set.add(user_named(user))
    return _group_state(found)


@guarded
def remove_member(group: str, user: str, *, owner: Any = None) -> GroupState:
    """Take a user out of a group of the owner's; NotFound, NotPermitted as of `add_member`."""
    found = group_named(group, member=owner or local_user())
    member = found.user_set.filter(username=user).first()
    if member is None:
        hint = nearest(user, found.user_set.values_list("username", flat=True))
        raise NotFound(f"{user!r} is not in group {group!r}" + (f"; did you mean {hint!r}?" if hint else ""))
    found.user_set.remove(member)
    return _group_state(found)


@reading
def list_groups() -> list[GroupState]:
    """All groups, by name. Needs no right to write."""
    return [_group_state(one) for one in Group.objects.prefetch_related("user_set").order_by("name")]


def _checked(topic: str, url: str | None) -> tuple[str, str | None]:
    """The topic and URL as annotations have them."""
    checked = check_annotation(Annotation("lsst", "1", topic, "any", url=url or ""))
    return checked.topic, None if url is None else checked.url


def _find(topic: str) -> Annotator:
    found: Annotator | None = Annotator.objects.filter(name__iexact=topic).select_related("owner", "group").first()
    if found is None:
        hint = nearest(topic, Annotator.objects.values_list("name", flat=True))
        help_ = f"did you mean {hint!r}?" if hint else "'lasair annotator list' shows those there are"
        raise NotFound(f"no annotator {topic!r}; {help_}")
    return found


def _of_another(one: Annotator) -> NotPermitted:
    whose = f"belongs to {one.owner.get_username()!r}" if one.owner else "is the installation's own"
    return NotPermitted(f"annotator {one.name!r} {whose}")


def _state(one: Annotator) -> AnnotatorState:
    return AnnotatorState(
        one.pk, one.name, one.owner and one.owner.get_username(), one.active, one.public,
        one.group and one.group.name, one.url, one.description,
    )  # fmt: skip


def _group_state(group: Any) -> GroupState:
    return GroupState(group.name, sorted(one.get_username() for one in group.user_set.all()))
