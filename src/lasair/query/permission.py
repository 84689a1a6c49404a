"""What of other people's a query asks for, so that whoever runs it can check that its user may."""

from __future__ import annotations

from typing import Literal

from lasair.query.compile import CompiledQuery

NameKind = Literal["watchlist", "area", "tag", "annotator", "event"]


def names_used(query: CompiledQuery) -> list[tuple[NameKind, int | str]]:
    """The lists, areas, tags, annotators and events that a query names, each once, in this order of kinds.

    Numbers, topics and names are as the user wrote them: compare the last two without regard to the case of A to Z.
    The watchlist through which ZTF joins `crossmatch_tns` is not among them, since it is public; neither is ``mma``,
    which names no event.
    """
    found: list[tuple[NameKind, int | str]] = [("watchlist", one) for one in query.watchlists]
    found += [("area", one) for one in query.areas]
    found += [("tag", one) for one in query.tags]
    found += [("annotator", one) for one in query.annotators]
    found += [("event", one) for one in query.events]
    return found
