"""What people do with filters: add, change, activate, stop. `definitions.django.connect` comes first."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

from lasair.definitions.django import database_errors, set_up
from lasair.definitions.filter_file import FilterFile, Output
from lasair.errors import BadDefinition, BadQuery, NotFound
from lasair.query.compile import compile_query
from lasair.schema.allow import nearest
from lasair.schema.model import Survey
from lasair.streams.forms import RESERVED
from lasair.streams.topics import topic_name

set_up()  # Django's models cannot be imported before

from django.contrib.auth import get_user_model  # noqa: E402
from django.db import transaction  # noqa: E402
from django.db.models import Max, prefetch_related_objects  # noqa: E402

from lasair.definitions.models import Filter, FilterVersion  # noqa: E402

#: Owner of everything that is made on one machine from the command line.
LOCAL_USER = "local"

#: What makes a version; the rest of a filter file may change without a new one.
_CONTENT = ("select", "tables", "where", "order_by", "output", "byte_quota", "trigger")

P = ParamSpec("P")
R = TypeVar("R")


class FilterState(NamedTuple):
    """A filter and its newest version."""

    filter_id: int
    version_id: int
    name: str
    survey: Survey
    #: of the newest version
    number: int
    #: of the version that runs; None when the filter is stopped
    active_number: int | None
    output: Output
    topic: str
    description: str


def _guarded(function: Callable[P, R]) -> Callable[P, R]:
    """One transaction; a database that cannot be used becomes StoreUnavailable."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with database_errors(), transaction.atomic():
            return function(*args, **kwargs)

    return run


def _reading(function: Callable[P, R]) -> Callable[P, R]:
    """No transaction, since ours ask for the right to write when they begin; errors as `_guarded`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with database_errors():
            return function(*args, **kwargs)

    return run


def local_user() -> Any:
    """The user that owns what the command line makes; made on first use, cannot log in."""
    users = get_user_model()
    user, new = users.objects.get_or_create(username=LOCAL_USER)
    if new:
        user.set_unusable_password()
        user.save(update_fields=("password",))
    return user


def check(definition: FilterFile) -> None:
    """Raise BadDefinition when the definition's clauses cannot run, with what would help."""
    try:
        compiled = compile_query(
            definition.select,
            definition.tables,
            definition.where,
            survey=definition.survey,
            mode="filter",
            order_by=definition.order_by,
        )
    except BadQuery as err:
        place = err.part if err.position is None else f"{err.part}, character {err.position + 1}"
        raise BadDefinition(f"filter {definition.name!r}: {place}: {err}") from err
    taken = sorted({name for name in compiled.columns if name in RESERVED})
    if taken:
        raise BadDefinition(
            f"filter {definition.name!r}: select: a message has its own {', '.join(taken)}; rename the column with AS"
        )


@_guarded
def add_filter(definition: FilterFile, *, owner: Any = None) -> FilterState:
    """Add a filter, or a new version when it exists and its content differs; nothing changes when it does not.

    A new version is not active yet. Owner is the local user unless given.

    Raises
    ------
    BadDefinition
        The clauses are refused; the filter exists for the other survey; or its topic is that of another filter.
    """
    check(definition)
    owner = owner or local_user()
    found = Filter.objects.filter(owner=owner, name=definition.name).first()
    if found is None:
        topic = topic_name(owner.pk, definition.name)
        holder = FilterVersion.objects.filter(topic=topic).select_related("filter").first()
        if holder is not None:
            raise BadDefinition(
                f"filter {definition.name!r} would share topic {topic} with {holder.filter.name!r}: choose another name"
            )
        found = Filter.objects.create(
            owner=owner, name=definition.name, survey=definition.survey, description=definition.description
        )
    elif found.survey != definition.survey:
        raise BadDefinition(
            f"filter {found.name!r} is one of {found.survey}, not {definition.survey}: choose another name"
        )
    elif found.description != definition.description:
        found.description = definition.description
        found.save(update_fields=("description",))
    new_version(found, definition)
    return _state(found)


def new_version(filter_: Filter, definition: FilterFile) -> FilterVersion:
    """The newest version of a filter, made from the definition when that differs from the newest so far."""
    content = {name: getattr(definition, name) for name in _CONTENT}
    newest: FilterVersion | None = filter_.versions.last()
    if newest is not None and all(getattr(newest, name) == value for name, value in content.items()):
        return newest
    last = filter_.versions.aggregate(last=Max("number"))["last"] or 0
    topic = topic_name(filter_.owner_id, filter_.name)
    made: FilterVersion = filter_.versions.create(number=last + 1, topic=topic, **content)
    return made


@_guarded
def activate(name: str, number: int | None = None, *, owner: Any = None) -> FilterState:
    """Run a version (the newest unless given) on every batch from the next one on.

    Raises
    ------
    NotFound
        There is no such filter or version.
    BadDefinition
        The version, right when it was made, is no longer: the schema has changed.
    """
    found = _find(name, owner)
    version = found.versions.last() if number is None else found.versions.filter(number=number).first()
    if version is None:
        known = ", ".join(str(one) for one in found.versions.values_list("number", flat=True))
        raise NotFound(f"filter {found.name!r} has no version {number}; it has {known}")
    check(definition_of(version))
    found.active_version = version
    found.save(update_fields=("active_version",))
    return _state(found)


@_guarded
def stop(name: str, *, owner: Any = None) -> FilterState:
    """Stop a filter; its versions and its stream stay."""
    found = _find(name, owner)
    found.active_version = None
    found.save(update_fields=("active_version",))
    return _state(found)


@_reading
def list_filters(*, owner: Any = None) -> list[FilterState]:
    """All filters of an owner, by survey and name. Needs no right to write."""
    mine = _owned(owner).select_related("active_version")
    return [_state(one) for one in mine.prefetch_related("versions").order_by("survey", "name")]


@_reading
def show(name: str, *, owner: Any = None) -> dict[str, Any]:
    """Everything about a filter, as JSON takes it; `versions` from the first to the newest. Needs no right to write."""
    found = _find(name, owner)
    # once for all that follows: without a transaction a version may be added meanwhile
    prefetch_related_objects([found], "versions")
    state = _state(found)
    newest = list(found.versions.all())[-1]
    return {
        "filter_id": state.filter_id,
        "name": state.name,
        "owner": found.owner.get_username(),
        "survey": state.survey,
        "description": state.description,
        "public": found.public,
        "created": _text(found.created),
        "version": state.number,
        "active": state.active_number,
        "output": state.output,
        "byte_quota": newest.byte_quota,
        "topic": state.topic,
        "versions": [
            {
                "number": one.number,
                "version_id": one.pk,
                **{key: getattr(one, key) for key in _CONTENT},
                "created": _text(one.created),
            }
            for one in found.versions.all()
        ],
    }


def definition_of(version: FilterVersion) -> FilterFile:
    """A stored version as a filter file."""
    content = {name: getattr(version, name) for name in _CONTENT}
    whole = version.filter
    return FilterFile(name=whole.name, survey=whole.survey, description=whole.description, **content)


def _owned(owner: Any) -> Any:
    """The filters of an owner, the local user unless given; makes no user."""
    return Filter.objects.filter(owner=owner) if owner else Filter.objects.filter(owner__username=LOCAL_USER)


def _find(name: str, owner: Any) -> Filter:
    mine = _owned(owner)
    found: Filter | None = mine.filter(name=name).first()
    if found is None:
        hint = nearest(name, mine.values_list("name", flat=True))
        help_ = f"did you mean {hint!r}?" if hint else "'lasair filter list' shows those there are"
        raise NotFound(f"no filter {name!r}; {help_}")
    return found


def _state(found: Filter) -> FilterState:
    newest = list(found.versions.all())[-1]  # all(), not last(): it uses what was prefetched
    return FilterState(
        filter_id=found.pk,
        version_id=newest.pk,
        name=found.name,
        survey=found.survey,
        number=newest.number,
        active_number=found.active_version.number if found.active_version else None,
        output=newest.output,
        topic=newest.topic,
        description=found.description,
    )


def _text(when: Any) -> str:
    return str(when.strftime("%Y-%m-%dT%H:%M:%SZ"))
