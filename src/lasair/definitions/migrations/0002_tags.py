from __future__ import annotations

from typing import Any

import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

from lasair.schema.model import TNS_WATCHLIST


def make_tns_watchlist(apps: Any, _: Any) -> None:
    """Watchlist 1 is the TNS everywhere, so that queries can name it before the first download."""
    apps.get_model("definitions", "Watchlist").objects.create(
        pk=TNS_WATCHLIST,
        public=True,
        name="TNS",
        description="Transients reported to the Transient Name Server; 'lasair tns update' brings it up to date.",
    )


class Migration(migrations.Migration):  # type: ignore[misc]
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("definitions", "0001_filters"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Annotator",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public", models.BooleanField(default=False)),
                ("description", models.TextField(blank=True, default="", max_length=4096)),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("name", models.CharField(max_length=255)),
                ("url", models.TextField(blank=True, default="")),
                ("active", models.BooleanField(default=True)),
            ],
            options={
                "db_table": "definitions_annotator",
            },
        ),
        migrations.CreateModel(
            name="Area",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public", models.BooleanField(default=False)),
                ("name", models.CharField(max_length=256)),
                ("description", models.TextField(blank=True, default="", max_length=4096)),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("version", models.PositiveIntegerField(default=1)),
                ("active", models.BooleanField(default=True)),
                ("how", models.TextField(blank=True, default="")),
                ("square_degrees", models.FloatField(default=0.0)),
            ],
            options={
                "db_table": "definitions_area",
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Content",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("bytes", models.BigIntegerField()),
            ],
            options={
                "db_table": "definitions_content",
            },
        ),
        migrations.CreateModel(
            name="ContentPiece",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("data", models.BinaryField()),
            ],
            options={
                "db_table": "definitions_contentpiece",
                "ordering": ("number",),
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.PositiveIntegerField(default=1)),
                ("name", models.CharField(max_length=128, unique=True)),
                ("mission", models.CharField(blank=True, default="", max_length=64)),
                ("t0", models.FloatField(blank=True, null=True)),
                ("retracted", models.BooleanField(default=False)),
                ("test", models.BooleanField(default=False)),
                ("area50", models.FloatField(blank=True, null=True)),
                ("area90", models.FloatField(blank=True, null=True)),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "db_table": "definitions_event",
            },
        ),
        migrations.CreateModel(
            name="EventNotice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=32)),
                ("issued", models.FloatField(blank=True, null=True)),
                ("number", models.FloatField(blank=True, null=True)),
                ("digest", models.CharField(max_length=64)),
                ("mission", models.CharField(blank=True, default="", max_length=64)),
                ("t0", models.FloatField(blank=True, null=True)),
                ("test", models.BooleanField(default=False)),
                ("area50", models.FloatField(blank=True, null=True)),
                ("area90", models.FloatField(blank=True, null=True)),
                ("map_given", models.BooleanField(default=False)),
                ("why_none", models.TextField(blank=True, default="")),
                ("map_url", models.TextField(blank=True, default="")),
                ("classification", models.JSONField(default=dict)),
                ("far", models.FloatField(blank=True, null=True)),
                ("params", models.JSONField(default=dict)),
                ("received", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("pk",),
            },
        ),
        migrations.CreateModel(
            name="Note",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public", models.BooleanField(default=False)),
                ("survey", models.CharField(choices=[("lsst", "lsst"), ("ztf", "ztf")], max_length=8)),
                ("object_id", models.CharField(max_length=20)),
                ("text", models.TextField()),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("changed", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ("created",),
            },
        ),
        migrations.CreateModel(
            name="Tag",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public", models.BooleanField(default=False)),
                ("name", models.CharField(max_length=256)),
                ("description", models.TextField(blank=True, default="", max_length=4096)),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "db_table": "definitions_tag",
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Watchlist",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public", models.BooleanField(default=False)),
                ("name", models.CharField(max_length=256)),
                ("description", models.TextField(blank=True, default="", max_length=4096)),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("version", models.PositiveIntegerField(default=1)),
                ("active", models.BooleanField(default=True)),
                ("radius", models.FloatField(blank=True, null=True)),
                ("brighter", models.FloatField(blank=True, null=True)),
                ("change", models.FloatField(blank=True, null=True)),
                ("cones", models.PositiveIntegerField(default=0)),
                ("source", models.TextField(blank=True, default="")),
                ("skip_bad", models.BooleanField(default=False)),
                ("refresh_hours", models.FloatField(blank=True, null=True)),
                ("refreshed", models.DateTimeField(blank=True, null=True)),
                ("refresh_error", models.TextField(blank=True, default="")),
            ],
            options={
                "db_table": "definitions_watchlist",
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="filter",
            name="group",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="filters",
                to="auth.group",
            ),
        ),
        migrations.AddField(
            model_name="filterversion",
            name="trigger",
            field=models.CharField(
                choices=[("alert", "alert"), ("annotation", "annotation"), ("both", "both")],
                default="alert",
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="filterversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("trigger__in", ("alert", "annotation", "both"))), name="version_trigger_known"
            ),
        ),
        migrations.AddField(
            model_name="annotator",
            name="group",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="%(class)ss",
                to="auth.group",
            ),
        ),
        migrations.AddField(
            model_name="annotator",
            name="owner",
            field=models.ForeignKey(
                null=True,
                blank=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="%(class)ss",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="area",
            name="group",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="%(class)ss",
                to="auth.group",
            ),
        ),
        migrations.AddField(
            model_name="area",
            name="owner",
            field=models.ForeignKey(
                null=True,
                blank=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="%(class)ss",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="area",
            name="content",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="definitions.content",
            ),
        ),
        migrations.AddField(
            model_name="contentpiece",
            name="content",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="pieces", to="definitions.content"
            ),
        ),
        migrations.AddField(
            model_name="event",
            name="content",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="definitions.content",
            ),
        ),
        migrations.AddField(
            model_name="eventnotice",
            name="content",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="definitions.content",
            ),
        ),
        migrations.AddField(
            model_name="eventnotice",
            name="event",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="notices", to="definitions.event"
            ),
        ),
        migrations.AddField(
            model_name="event",
            name="notice",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="current_in",
                to="definitions.eventnotice",
            ),
        ),
        migrations.AddField(
            model_name="note",
            name="group",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="notes",
                to="auth.group",
            ),
        ),
        migrations.AddField(
            model_name="note",
            name="owner",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="notes", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="tag",
            name="group",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="%(class)ss",
                to="auth.group",
            ),
        ),
        migrations.AddField(
            model_name="tag",
            name="owner",
            field=models.ForeignKey(
                null=True,
                blank=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="%(class)ss",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="watchlist",
            name="content",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="definitions.content",
            ),
        ),
        migrations.AddField(
            model_name="watchlist",
            name="group",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="%(class)ss",
                to="auth.group",
            ),
        ),
        migrations.AddField(
            model_name="watchlist",
            name="owner",
            field=models.ForeignKey(
                null=True,
                blank=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="%(class)ss",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="annotator",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("name"), name="annotator_topic_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="area",
            constraint=models.UniqueConstraint(fields=("owner", "name"), name="area_name_once_per_owner"),
        ),
        migrations.AddConstraint(
            model_name="contentpiece",
            constraint=models.UniqueConstraint(fields=("content", "number"), name="piece_number_once_per_content"),
        ),
        migrations.AddConstraint(
            model_name="eventnotice",
            constraint=models.UniqueConstraint(fields=("event", "digest"), name="notice_once_per_event"),
        ),
        migrations.AddIndex(
            model_name="note",
            index=models.Index(fields=["survey", "object_id"], name="note_by_object"),
        ),
        migrations.AddConstraint(
            model_name="tag",
            constraint=models.UniqueConstraint(fields=("owner", "name"), name="tag_name_once_per_owner"),
        ),
        migrations.AddConstraint(
            model_name="watchlist",
            constraint=models.UniqueConstraint(fields=("owner", "name"), name="watchlist_name_once_per_owner"),
        ),
        migrations.RunPython(make_tns_watchlist, migrations.RunPython.noop),
    ]
