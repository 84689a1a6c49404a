"""Answers as JSON: the shapes of Lasair's API, with what Lasair's lack beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lasair.sherlock.accept import REASONS
from lasair.sherlock.answers import Answers
from lasair.sherlock.engine import Sherlock
from lasair.sherlock.matches import Rejected
from lasair.sherlock.text import descriptions

_PASSES = ("", "synonym", "association", "annotation")


def reply(answers: Answers, names: Sequence[str | int], *, lite: bool, sentences: bool = True) -> dict[str, Any]:
    """What is said of positions.

    Returns
    -------
    {"classifications": {name: [class, sentence]}, "crossmatches": [record, ...], "covered_by": {name: [catalogue]} of
    those without any match, "version": {"rules": id, catalogue: release}, "missing": [catalogue], "problems": [text]}
    """
    texts = descriptions(answers) if sentences else [""] * len(answers)
    classes = answers.classes.tolist()
    return {
        "classifications": {str(name): [klass, text] for name, klass, text in zip(names, classes, texts, strict=True)},
        "crossmatches": answers.lite_rows(names) if lite else answers.full_rows(names),
        "covered_by": {str(names[i]): answers.looked_by(i) for i, best in enumerate(answers.best.tolist()) if best < 0},
    } | state_of(answers.engine)


def state_of(engine: Sherlock) -> dict[str, Any]:
    """What answers depend on, and what is not there."""
    return {
        "version": engine.version,
        "missing": engine.missing,
        "problems": [str(problem) for problem in engine.problems],
    }


def explain(engine: Sherlock, rejected: Sequence[Rejected], position: int) -> dict[str, Any]:
    """The searches tried at a position, in order, and the sources that they did not take and why."""
    not_taken = []
    for one in rejected:
        mine = one.position == position
        ids = one.release.gather("id", one.row[mine]).tolist()
        for name, separation, reason in zip(ids, one.separation[mine].tolist(), one.reason[mine].tolist(), strict=True):
            not_taken.append(
                {
                    "search": one.search.name,
                    "pass": _PASSES[one.reliability],
                    "catalogue": one.search.catalogue,
                    "view": one.search.view,
                    "id": name.decode() if isinstance(name, bytes) else name,
                    "separationArcsec": round(separation, 3),
                    "reason": REASONS[reason],
                }
            )
    return {
        "searches": [
            {
                "search": search.name,
                "catalogue": search.catalogue,
                "view": search.view,
                "radius": search.radius,
                "synonym": engine.rules.synonym_reach(search) if search.classes[0] else None,
                "kpc": search.kpc,
                "classes": list(search.classes),
                "catalogue_is_there": search.catalogue in engine.names,
            }
            for search in engine.rules.searches
        ],
        "not_taken": not_taken,
    }
