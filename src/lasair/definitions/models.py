"""What people make, as Django models: the command line and a web site use the same."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from lasair.annotations.model import TOPIC_CHARS
from lasair.definitions.filter_file import LONGEST_DESCRIPTION, LONGEST_NAME, OUTPUTS, TRIGGERS
from lasair.definitions.snapshot import (
    ANNOTATOR_TABLE,
    AREA_TABLE,
    CONTENT_TABLE,
    EVENT_TABLE,
    FILTER_TABLE,
    PIECE_TABLE,
    TAG_TABLE,
    VERSION_TABLE,
    WATCHLIST_TABLE,
)
from lasair.events.model import LONGEST_NAME as LONGEST_EVENT_NAME
from lasair.schema.model import SURVEYS
from lasair.streams.topics import KAFKA_LONGEST

_SURVEYS = [(one, one) for one in SURVEYS]


class ImmutableError(TypeError):
    """Something that never changes was to be changed; make a new one instead."""


class Owned(models.Model):  # type: ignore[misc]
    """What belongs to a user; members of its group may read and use it, everybody when it is public.

    Without an owner it is the installation's own, such as the TNS list.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="%(class)ss"
    )
    group = models.ForeignKey("auth.Group", on_delete=models.SET_NULL, null=True, blank=True, related_name="%(class)ss")
    public = models.BooleanField(default=False)
    name = models.CharField(max_length=LONGEST_NAME)
    description = models.TextField(max_length=LONGEST_DESCRIPTION, blank=True, default="")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:  # noqa: D106
        abstract = True
        constraints = (models.UniqueConstraint(fields=("owner", "name"), name="%(class)s_name_once_per_owner"),)

    def __str__(self) -> str:
        return str(self.name)


class Content(models.Model):  # type: ignore[misc]
    """What a list, an area or an event is made of (see `definitions.content`); it never changes."""

    bytes = models.BigIntegerField()

    class Meta:  # noqa: D106
        db_table = CONTENT_TABLE


class ContentPiece(models.Model):  # type: ignore[misc]
    """A part of a content, in order of `number`."""

    content = models.ForeignKey(Content, on_delete=models.CASCADE, related_name="pieces")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:  # noqa: D106
        db_table = PIECE_TABLE
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("content", "number"), name="piece_number_once_per_content"),)


class Versioned(models.Model):  # type: ignore[misc]
    """What alerts are matched with. Each edit raises the version, which is what readers compare."""

    version = models.PositiveIntegerField(default=1)
    content = models.ForeignKey(Content, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:  # noqa: D106
        abstract = True


class Filter(models.Model):  # type: ignore[misc]
    """A person's filter. What it selects stands in its versions; at most one of them is active."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="filters")
    name = models.CharField(max_length=LONGEST_NAME)
    survey = models.CharField(max_length=8, choices=_SURVEYS)
    description = models.TextField(max_length=LONGEST_DESCRIPTION, blank=True, default="")
    public = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    active_version = models.ForeignKey(
        "FilterVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="active_in"
    )
    group = models.ForeignKey("auth.Group", on_delete=models.SET_NULL, null=True, blank=True, related_name="filters")

    class Meta:  # noqa: D106
        db_table = FILTER_TABLE
        constraints = (
            models.UniqueConstraint(fields=("owner", "name"), name="filter_name_once_per_owner"),
            models.CheckConstraint(condition=Q(survey__in=SURVEYS), name="filter_survey_known"),
        )

    def __str__(self) -> str:
        return str(self.name)


class _Versions(models.QuerySet):  # type: ignore[misc]
    """Queries on versions, without the ways around `FilterVersion.save`."""

    def update(self, **_: Any) -> NoReturn:
        raise ImmutableError("versions of filters do not change; make a new version")

    def bulk_update(self, *_: Any, **__: Any) -> NoReturn:
        raise ImmutableError("versions of filters do not change; make a new version")


class FilterVersion(models.Model):  # type: ignore[misc]
    """What a filter selected from some day on. It never changes: messages and the ledger refer to it."""

    filter = models.ForeignKey(Filter, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    select = models.TextField()
    tables = models.TextField()
    where = models.TextField(blank=True, default="")
    order_by = models.TextField(blank=True, default="")
    output = models.CharField(max_length=8, choices=[(one, one) for one in OUTPUTS], default="plain")
    byte_quota = models.BigIntegerField(null=True, blank=True)
    topic = models.CharField(max_length=KAFKA_LONGEST, db_index=True)
    created = models.DateTimeField(auto_now_add=True)
    trigger = models.CharField(max_length=16, choices=[(one, one) for one in TRIGGERS], default="alert")

    objects = _Versions.as_manager()

    class Meta:  # noqa: D106
        db_table = VERSION_TABLE
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=("filter", "number"), name="version_number_once_per_filter"),
            models.CheckConstraint(condition=Q(output__in=OUTPUTS), name="version_output_known"),
            models.CheckConstraint(condition=Q(trigger__in=TRIGGERS), name="version_trigger_known"),
        )

    def __str__(self) -> str:
        return f"{self.filter} version {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a new version; ImmutableError when it is stored already."""
        if not self._state.adding:
            raise ImmutableError(f"{self} does not change; make a new version")
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)


class Watchlist(Owned, Versioned):
    """Cones on the sky whose alerts somebody waits for."""

    active = models.BooleanField(default=True)
    #: for cones without a radius of their own [arcsec]
    radius = models.FloatField(null=True, blank=True)
    #: what a cone without limits of its own waits for [mag]: an alert brighter than this, one that changed by so much
    brighter = models.FloatField(null=True, blank=True)
    change = models.FloatField(null=True, blank=True)
    cones = models.PositiveIntegerField(default=0)
    #: a URL it is read from again, '' when there is none
    source = models.TextField(blank=True, default="")
    #: whether lines that cannot be used are left out when it is read again; else such a file is refused
    skip_bad = models.BooleanField(default=False)
    refresh_hours = models.FloatField(null=True, blank=True)
    #: when its source was last asked, and why that failed, '' when it did not
    refreshed = models.DateTimeField(null=True, blank=True)
    refresh_error = models.TextField(blank=True, default="")

    class Meta(Owned.Meta):  # noqa: D106
        db_table = WATCHLIST_TABLE


class Area(Owned, Versioned):
    """A part of the sky whose alerts somebody waits for."""

    active = models.BooleanField(default=True)
    #: what it was made of, for people
    how = models.TextField(blank=True, default="")
    square_degrees = models.FloatField(default=0.0)

    class Meta(Owned.Meta):  # noqa: D106
        db_table = AREA_TABLE


class Event(Versioned):
    """A gravitational wave, a burst or a neutrino, as its newest notice tells it. It belongs to nobody."""

    name = models.CharField(max_length=LONGEST_EVENT_NAME, unique=True)
    mission = models.CharField(max_length=64, blank=True, default="")
    #: when it happened [MJD TAI]
    t0 = models.FloatField(null=True, blank=True)
    retracted = models.BooleanField(default=False)
    #: a test, an injection or a mock: kept, never matched
    test = models.BooleanField(default=False)
    #: square degrees within 50 and 90 percent
    area50 = models.FloatField(null=True, blank=True)
    area90 = models.FloatField(null=True, blank=True)
    #: the notice that tells all this
    notice = models.ForeignKey(
        "EventNotice", on_delete=models.SET_NULL, null=True, blank=True, related_name="current_in"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:  # noqa: D106
        db_table = EVENT_TABLE

    def __str__(self) -> str:
        return str(self.name)


class EventNotice(models.Model):  # type: ignore[misc]
    """What somebody said of an event, and when; enough of it to decide anew which notice holds."""

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=32)
    #: when it was made [MJD TAI]
    issued = models.FloatField(null=True, blank=True)
    #: its number as the sender counts
    number = models.FloatField(null=True, blank=True)
    #: of its bytes, so that one that comes again is known
    digest = models.CharField(max_length=64)
    mission = models.CharField(max_length=64, blank=True, default="")
    t0 = models.FloatField(null=True, blank=True)
    test = models.BooleanField(default=False)
    #: where it says the event was; None when it does not
    content = models.ForeignKey(Content, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    area50 = models.FloatField(null=True, blank=True)
    area90 = models.FloatField(null=True, blank=True)
    #: a person gave the sky map
    map_given = models.BooleanField(default=False)
    #: why it says no place, '' when it does
    why_none = models.TextField(blank=True, default="")
    map_url = models.TextField(blank=True, default="")
    classification = models.JSONField(default=dict)
    #: false alarms per second
    far = models.FloatField(null=True, blank=True)
    params = models.JSONField(default=dict)
    received = models.DateTimeField(auto_now_add=True)

    class Meta:  # noqa: D106
        ordering = ("pk",)
        constraints = (models.UniqueConstraint(fields=("event", "digest"), name="notice_once_per_event"),)


class Annotator(Owned):
    """A program that says what objects are; its name is the topic of its annotations."""

    name = models.CharField(max_length=TOPIC_CHARS)
    url = models.TextField(blank=True, default="")
    active = models.BooleanField(default=True)

    class Meta:  # noqa: D106
        db_table = ANNOTATOR_TABLE
        constraints = (models.UniqueConstraint(Lower("name"), name="annotator_topic_once"),)


class Tag(Owned):
    """A word that a user or group puts on objects; which ones stands in the store of marks."""

    class Meta(Owned.Meta):  # noqa: D106
        db_table = TAG_TABLE


class Note(models.Model):  # type: ignore[misc]
    """What a user writes of an object; members of the group may read it, everybody when it is public."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="notes")
    group = models.ForeignKey("auth.Group", on_delete=models.SET_NULL, null=True, blank=True, related_name="notes")
    public = models.BooleanField(default=False)
    survey = models.CharField(max_length=8, choices=_SURVEYS)
    #: as the survey publishes it
    object_id = models.CharField(max_length=20)
    text = models.TextField()
    created = models.DateTimeField(auto_now_add=True)
    changed = models.DateTimeField(auto_now=True)

    class Meta:  # noqa: D106
        indexes = (models.Index(fields=("survey", "object_id"), name="note_by_object"),)
        ordering = ("created",)
