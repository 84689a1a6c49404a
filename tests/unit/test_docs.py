from __future__ import annotations

import re
from pathlib import Path

import pytest

from lasair.docs import pages

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", pages())
def test_generated_pages_are_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run 'make docs'"


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "docs/filters.md"])
def test_filter_files_in_the_documents_are_good(page: str, tmp_path: Path) -> None:
    from lasair.definitions import edit
    from lasair.definitions.django import connect
    from lasair.definitions.filter_file import read_filter_file

    connect(tmp_path / "definitions.db")
    texts = re.findall(r"```toml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert texts
    for i, text in enumerate(texts):
        file = tmp_path / f"{i}.toml"
        file.write_text(text)
        edit.check_clauses(read_filter_file(file))
