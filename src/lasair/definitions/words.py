"""Names and texts that people write: bounded, without characters that do things to whoever shows them."""

from __future__ import annotations

import unicodedata

from lasair.definitions.filter_file import LONGEST_DESCRIPTION, LONGEST_NAME
from lasair.errors import BadDefinition

#: Control characters, lone surrogates, line and paragraph separators.
_ACTIVE = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: What turns the direction of the text around it.
_TURNS = frozenset({"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"})


def check_name(what: str, name: str) -> str:
    """A name without blanks around it.

    Parameters
    ----------
    what : is named, such as 'watchlist', for messages

    Raises
    ------
    BadDefinition
        It is empty, too long, could be taken for a number, or has characters that cannot be printed.
    """
    name = name.strip()
    if not name:
        raise BadDefinition(f"the name of a {what} is empty")
    if len(name) > LONGEST_NAME:
        raise BadDefinition(f"the name of the {what} has {len(name)} characters; {LONGEST_NAME} are the most")
    if not name.isprintable():
        raise BadDefinition(f"the name of the {what}, {name!r:.80}, holds a character that cannot be printed")
    if name.isdigit():
        raise BadDefinition(f"{name!r} is a number, which a {what} gets by itself; add a letter to the name")
    return name


def check_description(what: str, text: str) -> str:
    """A description without blanks around it; BadDefinition when it is too long or holds control characters."""
    return check_text(f"the description of the {what}", text, LONGEST_DESCRIPTION)


def check_text(what: str, text: str, most: int) -> str:
    """A text that may have lines and tabs, without blanks around it; BadDefinition names `what` and the reason."""
    text = text.strip().replace("\r\n", "\n")
    if len(text) > most:
        raise BadDefinition(f"{what} has {len(text)} characters; {most} are the most")
    if any(letter not in "\n\t" and _is_active(letter) for letter in text):
        raise BadDefinition(f"{what} holds control characters other than line ends and tabs")
    return text


def _is_active(letter: str) -> bool:
    return unicodedata.category(letter) in _ACTIVE or unicodedata.bidirectional(letter) in _TURNS
