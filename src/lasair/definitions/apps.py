"""The Django app of what people made."""

from __future__ import annotations

from django.apps import AppConfig


class DefinitionsConfig(AppConfig):  # type: ignore[misc]
    """Filters and their versions."""

    name = "lasair.definitions"
    label = "definitions"
    verbose_name = "Definitions"
    default_auto_field = "django.db.models.BigAutoField"
