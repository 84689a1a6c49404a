"""What users' queries may name, and what they may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from lasair.schema.model import Survey, Table, tables

#: How alike two names must be (difflib's ratio) for one to be offered for the other.
_ALIKE = 0.6


def columns_of(survey: Survey) -> dict[str, Table]:
    """Tables a user of that survey may name, aliases included, by name in lower case."""
    return {name.lower(): table for name, table in tables(survey).items()}


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like `name`, whatever the case, for a "did you mean"; None when none is alike.

    The choice keeps its own spelling. Of equally good ones the first is taken.
    """
    spelled: dict[str, str] = {}
    for choice in choices:
        spelled.setdefault(choice.lower(), choice)
    wanted = name.lower()
    if wanted in spelled:
        return spelled[wanted]
    alike = difflib.get_close_matches(wanted, spelled, n=len(spelled) or 1, cutoff=_ALIKE)
    if not alike:
        return None

    def likeness(choice: str) -> float:
        return difflib.SequenceMatcher(None, choice, wanted).ratio()

    best = max(likeness(choice) for choice in alike)
    return next(spelled[choice] for choice in spelled if choice in alike and likeness(choice) == best)
