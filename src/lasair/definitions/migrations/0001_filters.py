import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Filter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=256)),
                ("survey", models.CharField(choices=[("lsst", "lsst"), ("ztf", "ztf")], max_length=8)),
                ("description", models.TextField(blank=True, default="", max_length=4096)),
                ("public", models.BooleanField(default=False)),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="filters", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "db_table": "definitions_filter",
            },
        ),
        migrations.CreateModel(
            name="FilterVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("select", models.TextField()),
                ("tables", models.TextField()),
                ("where", models.TextField(blank=True, default="")),
                ("order_by", models.TextField(blank=True, default="")),
                (
                    "output",
                    models.CharField(
                        choices=[("plain", "plain"), ("lite", "lite"), ("full", "full")], default="plain", max_length=8
                    ),
                ),
                ("byte_quota", models.BigIntegerField(blank=True, null=True)),
                ("topic", models.CharField(db_index=True, max_length=249)),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "filter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="versions", to="definitions.filter"
                    ),
                ),
            ],
            options={
                "db_table": "definitions_filterversion",
                "ordering": ("number",),
            },
        ),
        migrations.AddField(
            model_name="filter",
            name="active_version",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="active_in",
                to="definitions.filterversion",
            ),
        ),
        migrations.AddConstraint(
            model_name="filterversion",
            constraint=models.UniqueConstraint(fields=("filter", "number"), name="version_number_once_per_filter"),
        ),
        migrations.AddConstraint(
            model_name="filterversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("output__in", ("plain", "lite", "full"))), name="version_output_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="filter",
            constraint=models.UniqueConstraint(fields=("owner", "name"), name="filter_name_once_per_owner"),
        ),
        migrations.AddConstraint(
            model_name="filter",
            constraint=models.CheckConstraint(
                condition=models.Q(("survey__in", ("lsst", "ztf"))), name="filter_survey_known"
            ),
        ),
    ]
