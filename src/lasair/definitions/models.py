"""What people make, as Django models: the command line and a web site use the same."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q

from lasair.definitions.filter_file import LONGEST_DESCRIPTION, LONGEST_NAME, OUTPUTS
from lasair.definitions.snapshot import FILTER_TABLE, VERSION_TABLE
from lasair.schema.model import SURVEYS
from lasair.streams.topics import KAFKA_LONGEST


class ImmutableError(TypeError):
    """A filter version was to be changed; make a new one instead."""


class Filter(models.Model):  # type: ignore[misc]
    """A person's filter. What it selects stands in its versions; at most one of them is active."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="filters")
    name = models.CharField(max_length=LONGEST_NAME)
    survey = models.CharField(max_length=8, choices=[(one, one) for one in SURVEYS])
    description = models.TextField(max_length=LONGEST_DESCRIPTION, blank=True, default="")
    public = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    active_version = models.ForeignKey(
        "FilterVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="active_in"
    )

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

    objects = _Versions.as_manager()

    class Meta:  # noqa: D106
        db_table = VERSION_TABLE
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=("filter", "number"), name="version_number_once_per_filter"),
            models.CheckConstraint(condition=Q(output__in=OUTPUTS), name="version_output_known"),
        )

    def __str__(self) -> str:
        return f"{self.filter} version {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a new version; ImmutableError when it is stored already."""
        if not self._state.adding:
            raise ImmutableError(f"{self} does not change; make a new version")
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)
