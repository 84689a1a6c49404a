from __future__ import annotations

import pytest

from lasair.definitions.words import check_description, check_name, check_text
from lasair.errors import BadDefinition


def test_names() -> None:
    assert check_name("tag", "  M 31's \N{GREEK SMALL LETTER ALPHA} ") == "M 31's \N{GREEK SMALL LETTER ALPHA}"
    for name in ("", "  ", "42", "a\tb", "a\u200bb", "a\u2028b", "x" * 257):
        with pytest.raises(BadDefinition, match=r"tag|number"):
            check_name("tag", name)


def test_texts() -> None:
    assert check_text("it", " a\r\n\tb\n\N{NO-BREAK SPACE}c ", 99) == "a\n\tb\n\N{NO-BREAK SPACE}c"
    assert check_description("tag", "") == ""
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
    assert check_text("it", family, 9) == family
    for text in ("a\rb", "a\x07b", "a\x85b", "a\u2028b", "a\u2066b", "a\ud83db", "abcd"):
        with pytest.raises(BadDefinition, match="it "):
            check_text("it", text, 3)
