"""What all edits share: transactions, who acts, and how things are found by name or number."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from lasair.definitions.django import database_errors, set_up
from lasair.errors import BadDefinition, NotFound, NotPermitted
from lasair.schema.allow import nearest

set_up()  # Django's models cannot be imported before

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.db import transaction  # noqa: E402
from django.db.models import Q  # noqa: E402

#: Owner of everything that is made on one machine from the command line.
LOCAL_USER = "local"

P = ParamSpec("P")
R = TypeVar("R")


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """One transaction; a database that cannot be used becomes StoreUnavailable."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with database_errors(), transaction.atomic():
            return function(*args, **kwargs)

    return run


def reading(function: Callable[P, R]) -> Callable[P, R]:
    """No transaction, since ours ask for the right to write when they begin; errors as `guarded`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with database_errors():
            return function(*args, **kwargs)

    return run


def local_user() -> Any:
    """The user that owns what the command line makes; made on first use, cannot log in."""
    return user_named(LOCAL_USER)


def user_named(name: str) -> Any:
    """The user of that name, made on first use without the right to log in. BadDefinition when it can be no name."""
    from django.core.exceptions import ValidationError

    users = get_user_model()
    found = users.objects.filter(username=name).first()
    if found is not None:
        return found
    user = users(username=name)
    user.set_unusable_password()
    try:
        user.clean_fields(exclude={"password"})
    except ValidationError as err:
        raise BadDefinition(f"{name!r:.80} can be no user: {' '.join(err.messages)}") from err
    user.save()
    return user


def acting(owner: Any) -> Any:
    """Who acts: the owner that is given, else the local user; None when that one was never made. Makes no user."""
    return owner or get_user_model().objects.filter(username=LOCAL_USER).first()


def groups_of(user: Any) -> set[int]:
    """Numbers of the groups of a user, or of nobody (None)."""
    return set() if user is None else set(user.groups.values_list("pk", flat=True))


def group_named(name: str, *, member: Any = None) -> Any:
    """The group of that name.

    Raises
    ------
    NotFound
        There is none.
    NotPermitted
        `member` is given and is none of its members.
    """
    found = Group.objects.filter(name=name).first()
    if found is None:
        hint = nearest(name, Group.objects.values_list("name", flat=True))
        help_ = f"did you mean {hint!r}?" if hint else "'lasair group list' shows those there are"
        raise NotFound(f"no group {name!r}; {help_}")
    if member is not None and found.pk not in groups_of(member):
        raise NotPermitted(
            f"{member.get_username()!r} is not in group {name!r}; a member can add it with 'lasair group member'"
        )
    return found


def may_use(found: Any, user: Any, groups: set[int] | None = None) -> bool:
    """Whether a user (or nobody, None) may read and use what somebody owns; `groups` as of `groups_of`."""
    if found.public or (user is not None and found.owner_id == user.pk):
        return True
    return found.group_id in (groups_of(user) if groups is None else groups)


def visible(model: Any, user: Any) -> Any:
    """What a user (or nobody) may read: its own, its groups', and what is public."""
    allowed = Q(public=True)
    if user is not None:
        allowed |= Q(owner=user) | Q(group__in=groups_of(user))
    return model.objects.filter(allowed)


def find(model: Any, kind: str, which: str | int, owner: Any = None) -> Any:
    """What a user may read, by number, or by name: of several that have it its own comes first.

    Parameters
    ----------
    kind : 'watchlist', 'area', 'tag': for messages
    which : a text of digits is a number
    owner : who asks, the local user unless given

    Raises
    ------
    NotFound
        There is none, or none that this user may read; says which is meant perhaps.
    """
    user = acting(owner)
    there = visible(model, user)
    number = as_number(which)
    if number is not None:
        found = there.filter(pk=number).first()
        hint = None
    else:
        same = there.filter(name=which).order_by("pk")
        found = (same.filter(owner=user).first() if user else None) or same.first()
        hint = None if found else nearest(str(which), there.values_list("name", flat=True))
    if found is None:
        help_ = f"did you mean {hint!r}?" if hint else f"'lasair {kind} list' shows those there are"
        raise NotFound(f"no {kind} {which if number is not None else repr(which)}; {help_}")
    return found


def find_own(model: Any, kind: str, which: str | int, owner: Any = None) -> Any:
    """As `find`, to be changed. NotPermitted when it belongs to somebody else, or to the installation."""
    found = find(model, kind, which, owner)
    user = acting(owner)
    if found.owner_id is None:
        raise NotPermitted(f"{kind} {found.pk} ({found.name}) is the installation's own and is not changed by hand")
    if user is None or found.owner_id != user.pk:
        raise NotPermitted(f"{kind} {found.pk} ({found.name}) belongs to {found.owner.get_username()!r}")
    return found


def as_number(which: str | int) -> int | None:
    """A number, or a text of digits, as a number that a database has; None for a name."""
    if isinstance(which, str) and not (which.isascii() and which.isdigit() and len(which) < 19):
        return None
    return int(which)


def share_with(found: Any, *, public: bool | None, group: str | None, member: Any) -> None:
    """Say who may use something (not saved): None leaves it as it is, an empty group takes the group away."""
    if public is not None:
        found.public = public
    if group is not None:
        found.group = group_named(group, member=member) if group else None


def utc_text(when: Any) -> str | None:
    """A time as JSON has it."""
    return None if when is None else str(when.strftime("%Y-%m-%dT%H:%M:%SZ"))
