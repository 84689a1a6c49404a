"""What people do with filters: add, change, activate, stop. `definitions.django.connect` comes first."""

from __future__ import annotations

from typing import Any, NamedTuple

from lasair.definitions.django import set_up
from lasair.definitions.filter_file import FilterFile, Output
from lasair.definitions.transactions import (
    LOCAL_USER,
    acting,
    groups_of,
    guarded,
    local_user,
    may_use,
    reading,
    utc_text,
)
from lasair.errors import BadDefinition, BadQuery, NotFound
from lasair.query.compile import CompiledQuery, compile_query
from lasair.query.permission import names_used
from lasair.schema.allow import nearest
from lasair.schema.model import Survey
from lasair.streams.forms import RESERVED
from lasair.streams.topics import topic_name

set_up()  # Django's models cannot be imported before

from django.db.models import Max, prefetch_related_objects  # noqa: E402

from lasair.definitions.models import Annotator, Area, Filter, FilterVersion, Tag, Watchlist  # noqa: E402

#: What makes a version; the rest of a filter file may change without a new one.
_CONTENT = ("select", "tables", "where", "order_by", "output", "byte_quota", "trigger")

#: What filters name by number.
_NUMBERED = {"watchlist": Watchlist, "area": Area, "tag": Tag}


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


def check(definition: FilterFile, *, owner: Any = None) -> None:
    """Raise BadDefinition when a filter's clauses cannot run, or name what is not there or not for its owner.

    The message says what would help. An event need not exist: a filter may wait for one. Owner is the local user unless
    given.
    """
    compiled = check_clauses(definition)
    try:
        _check_names(compiled, acting(owner))
    except BadDefinition as err:
        raise BadDefinition(f"filter {definition.name!r}: {err}") from err


def check_clauses(definition: FilterFile) -> CompiledQuery:
    """The clauses of a filter, compiled; BadDefinition when they cannot run, whatever lists there are."""
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
    if definition.trigger != "alert" and not compiled.annotators:
        raise BadDefinition(
            f"filter {definition.name!r}: trigger {definition.trigger!r} needs an annotator among the tables, such as "
            "annotator:TOPIC"
        )
    return compiled


def _check_names(query: CompiledQuery, user: Any) -> None:
    """Raise BadDefinition when a query asks for something that is not there, or that is not for a user."""
    groups = groups_of(user)
    for kind, which in names_used(query):
        if kind == "event":
            continue
        if kind == "annotator":
            found = Annotator.objects.filter(name__iexact=which).first()
            hint = None if found else nearest(str(which), Annotator.objects.values_list("name", flat=True))
        else:
            found, hint = _NUMBERED[kind].objects.filter(pk=which).first(), None
        if found is None:
            help_ = f"did you mean {kind}:{hint}?" if hint else f"'lasair {kind} list' shows those there are"
            raise BadDefinition(f"tables: there is no {kind} {which}; {help_}")
        if not may_use(found, user, groups):
            raise BadDefinition(
                f"tables: {kind}:{which} is somebody else's, and neither public nor shared with a group of yours;"
                f" 'lasair {kind} list' shows those that you may use"
            )


@guarded
def add_filter(definition: FilterFile, *, owner: Any = None) -> FilterState:
    """Add a filter, or a new version when it exists and its content differs; nothing changes when it does not.

    A new version is not active yet. Owner is the local user unless given.

    Raises
    ------
    BadDefinition
        `check` refuses it; the filter exists for the other survey; or its topic is that of another filter.
    """
    owner = owner or local_user()
    check(definition, owner=owner)
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


@guarded
def activate(name: str, number: int | None = None, *, owner: Any = None) -> FilterState:
    """Run a version (the newest unless given) on every batch from the next one on.

    Raises
    ------
    NotFound
        There is no such filter or version.
    BadDefinition
        The version, right when it was made, is no longer: the schema has changed, or what it names has gone.
    """
    found = _find(name, owner)
    version = found.versions.last() if number is None else found.versions.filter(number=number).first()
    if version is None:
        known = ", ".join(str(one) for one in found.versions.values_list("number", flat=True))
        raise NotFound(f"filter {found.name!r} has no version {number}; it has {known}")
    check(definition_of(version), owner=found.owner)
    found.active_version = version
    found.save(update_fields=("active_version",))
    return _state(found)


@guarded
def stop(name: str, *, owner: Any = None) -> FilterState:
    """Stop a filter; its versions and its stream stay."""
    found = _find(name, owner)
    found.active_version = None
    found.save(update_fields=("active_version",))
    return _state(found)


@reading
def list_filters(*, owner: Any = None) -> list[FilterState]:
    """All filters of an owner, by survey and name. Needs no right to write."""
    mine = _owned(owner).select_related("active_version")
    return [_state(one) for one in mine.prefetch_related("versions").order_by("survey", "name")]


@reading
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
        "created": utc_text(found.created),
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
                "created": utc_text(one.created),
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
