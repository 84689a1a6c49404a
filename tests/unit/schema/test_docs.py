"""The page of the schema is the generated one, and leaves nothing out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from lasair.schema import Table, layout, load_tables, table
from lasair.schema.docs import SHOW_HEADINGS, markdown, show
from lasair.schema.model import SURVEYS, Survey

PAGE = Path(__file__).parents[3] / "docs" / "schema.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run `make docs`"


@pytest.mark.parametrize("one", load_tables(), ids=lambda one: one.physical)
def test_every_column_is_on_the_page(one: Table) -> None:
    text = markdown()
    for column in one.columns:
        assert f"`{column.name}`" in text


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_layout_field_is_on_the_page(survey: Survey) -> None:
    text = markdown()
    parts: tuple[Literal["alert", "row"], ...] = ("alert", "row")
    for part in parts:
        for field in layout(survey, part).fields:
            assert f"| `{field.name}` | {field.dtype} |" in text


def test_every_line_of_a_grid_has_its_cells() -> None:
    width = 0
    for line in markdown().splitlines():
        if line.startswith("|"):
            cells = line.replace("\\|", "").count("|")
            assert cells == width or width == 0
            width = cells
        else:
            width = 0


def test_show_gives_a_row_a_column() -> None:
    rows = show(table("objects", "lsst"))
    assert len(rows) == 129
    assert len(rows[0]) == len(SHOW_HEADINGS)
    assert rows[0][:2] == ("diaObjectId", "bigint")
