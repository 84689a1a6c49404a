"""The FROM list in users' words (`objects, sherlock_classifications, watchlist:3, annotator:fastfinder`) → joins."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NoReturn

from lasair.errors import BadQuery
from lasair.query.limits import MAX_TABLES, MAX_TEXT
from lasair.query.tree import EXACT_DOUBLE, INF, INT64_MAX, INT64_MIN, SANE, ColumnRef, Kind, Node
from lasair.schema.model import Column, Survey, Table, table, tables

#: what a user writes before ':' → the table of hits, its column, and what aliases are called when there are several
_WATCHLIST = ("watchlist", "watchlists")
_AREA = ("area", "areas", "watchmap", "watchmaps")
_ANNOTATOR = ("annotator", "annotators", "annotation")
#: tables of hits and annotations belong to people, so a query names whose
_BY_NAME_ONLY = {
    "watchlist_hits": "watchlist:N",
    "area_hits": "area:N",
    "annotations": "annotator:TOPIC",
}
_MAX_ID = 2**31 - 1
_MAX_TOPIC = 255

#: names people try, and what they mean
_SYNONYMS = {
    "dec": "decl",
    "declination": "decl",
    "objectid": "diaObjectId",
    "diaobjectid": "objectId",
    "mjdnow": "mjdnow()",
    "jdnow": "jdnow()",
}

#: longest text of each type
_TEXT_SIZES = {
    "text16": 16,
    "text32": 32,
    "text80": 80,
    "text256": 256,
    "text": 65_535,
    "json": 65_535,
    "timestamp": 26,
}
_KINDS: dict[str, Kind] = {
    "bool": "int",
    "int": "int",
    "bigint": "int",
    "double": "double",
    "json": "json",
    "timestamp": "time",
}


@dataclass(frozen=True)
class Source:
    """One table of the query.

    `alias` is the SQL alias (never a user's text); `names` what the user may write before the dot, lower case, the
    first of them in messages; `extra` a further join condition: (column, value).
    """

    table: Table
    alias: str
    names: tuple[str, ...]
    extra: tuple[str, int | str] | None = None
    #: join on these columns (left of this table, right of `on_alias`) instead of the object
    on: tuple[str, str, str] | None = None


@dataclass
class Scope:
    """The tables of a query in the order of the joins, `objects` first."""

    survey: Survey
    sources: list[Source] = field(default_factory=list)
    watchlists: tuple[int, ...] = ()
    areas: tuple[int, ...] = ()
    annotators: tuple[str, ...] = ()
    #: vocabulary words, in order, without ids
    words: tuple[str, ...] = ()

    def resolve(self, qualifier: str | None, name: str, part: str, position: int) -> Node:
        """The column a user means. A bare name of `objects` means that one; any other must be the only one.

        Raises
        ------
        BadQuery
            No such table or column (with the nearest), or several tables have it (all are named).
        """
        if qualifier is not None:
            source = self._source(qualifier, part, position)
            found = [source] if _has(source.table, name) else []
            where = f"table {qualifier!r}"
        else:
            visible = [one for one in self.sources if one.names]
            found = [one for one in visible if _has(one.table, name)]
            if len(found) > 1 and found[0] is self.sources[0]:
                found = found[:1]
            where = "the tables " + ", ".join(one.names[0] for one in visible)
            if len(visible) == 1:
                where = "table 'objects'"
        if len(found) == 1:
            return column_node(found[0], found[0].table.column(name), position)
        if found:
            choices = " or ".join(f"{one.names[0]}.{one.table.column(name).name}" for one in found)
            raise BadQuery(f"several tables have a column {name!r}: write {choices}", part=part, position=position)
        candidates = [source] if qualifier is not None else visible
        hint = self._nearest(name, candidates)
        raise BadQuery(f"no column {name!r} in {where}{hint}", part=part, position=position)

    def source_of(self, qualifier: str, part: str, position: int) -> Source:
        """The table a user means by the word before a dot."""
        return self._source(qualifier, part, position)

    def _source(self, qualifier: str, part: str, position: int) -> Source:
        wanted = qualifier.lower()
        for one in self.sources:
            if wanted in one.names:
                return one
        known = tables(self.survey)
        if wanted in known:
            asked = _BY_NAME_ONLY.get(wanted, wanted)
            message = f"table {qualifier!r} is not among the tables of the query: add {asked} to them"
        else:
            names = [name for one in self.sources for name in one.names]
            near = get_close_matches(wanted, names, 1) or get_close_matches(wanted, list(known), 1)
            message = f"no table {qualifier!r} in this query" + (f"; did you mean {near[0]}?" if near else "")
        raise BadQuery(message, part=part, position=position)

    def _nearest(self, name: str, sources: list[Source]) -> str:
        columns = {column.lower(): column for one in reversed(sources) for column in one.table.column_names}
        lower = name.lower()
        guess = _SYNONYMS.get(lower, "")
        if guess.lower() in columns or guess.endswith("()"):
            return f"; did you mean {guess}?"
        near = get_close_matches(lower, list(columns), 1, cutoff=0.7)
        if near:
            return f"; did you mean {columns[near[0]]}?"
        other_survey: Survey = "ztf" if self.survey == "lsst" else "lsst"
        if _has(table("objects", other_survey), name):
            return f": it is a column of {other_survey.upper()}, and this query asks {self.survey.upper()}"
        mine = {id(one.table) for one in sources}
        for other in tables(self.survey).values():
            if id(other) not in mine and _has(other, name):
                return f"; table {_BY_NAME_ONLY.get(other.name, other.name)} has it"
        near = get_close_matches(lower, list(columns), 1, cutoff=0.6)
        return f"; did you mean {columns[near[0]]}?" if near else ""


def _has(one: Table, name: str) -> bool:
    return name.lower() in {column.lower() for column in one.column_names}


def column_node(source: Source, column: Column, position: int | None) -> Node:
    """A column as an expression, with the bounds of its type."""
    reference = ColumnRef(source.alias, column.name, source.names[0])
    kind = _KINDS.get(column.type, "text")
    if kind == "int":
        lo, hi = {"bool": (-128, 127), "int": (-(2**31), 2**31 - 1)}.get(column.type, (INT64_MIN, INT64_MAX))
        size = float(max(-lo, hi))
        return Node("column", kind, value=reference, lo=lo, hi=hi, most=size, sane=size, position=position)
    if kind == "double":
        return Node("column", kind, value=reference, most=INF, sane=SANE, position=position)
    return Node("column", kind, value=reference, hi=_TEXT_SIZES[column.type], position=position)


def is_exact(node: Node) -> bool:
    """Whether a number keeps its value as a double."""
    return node.kind != "int" or (node.lo >= -EXACT_DOUBLE and node.hi <= EXACT_DOUBLE)


@dataclass
class _Entry:
    word: str
    argument: str | None
    start: int
    argument_start: int


def _entries(text: str) -> list[_Entry]:
    entries = []
    for piece in re.finditer(r"[^,]+", text):
        raw = piece.group()
        start = piece.start() + len(raw) - len(raw.lstrip())
        word, colon, argument = raw.partition(":")
        argument_start = piece.start() + len(word) + 1 + len(argument) - len(argument.lstrip())
        if raw.strip():
            entries.append(_Entry(word.strip(), argument.strip() if colon else None, start, argument_start))
    return entries


def _refuse(message: str, position: int) -> NoReturn:
    raise BadQuery(message, part="tables", position=position)


def read_tables(text: str, survey: Survey, *, tns_watchlist: int | None = None) -> Scope:
    """The tables a user lists, as joins.

    Parameters
    ----------
    text : such as ``objects, sherlock_classifications, watchlist:12, area:3&7, annotator:fastfinder``
    survey : whose tables
    tns_watchlist : the watchlist that holds the TNS, for ZTF, whose objects carry no tns_name

    Raises
    ------
    BadQuery
        An unknown table, an id that is no whole number, too many tables.
    """
    if len(text) > MAX_TEXT:
        _refuse(f"the text has {len(text)} characters; {MAX_TEXT} are the most", MAX_TEXT)
    watchlists: list[int] = []
    areas: list[int] = []
    topics: list[str] = []
    plain: list[str] = []
    words: list[str] = ["objects"]
    start_tns = 0
    known = tables(survey)
    for one in _entries(text):
        word = one.word.lower()
        if one.argument is not None:
            if word in _WATCHLIST:
                _ids(one, watchlists)
                words.append("watchlist_hits")
            elif word in _AREA:
                _ids(one, areas)
                words.append("area_hits")
            elif word in _ANNOTATOR:
                _topics(one, topics)
                words.append("annotations")
            elif word in known and word not in _BY_NAME_ONLY:
                _refuse(f"table {one.word!r} takes nothing after ':'", one.start)
            else:
                _unknown(one, known)
        elif word in known and known[word].name == "objects":
            continue
        elif word in ("sherlock_classifications", "crossmatch_tns") and word in known:
            if word not in plain:
                plain.append(word)
                words.append(word)
            start_tns = one.start if word == "crossmatch_tns" else start_tns
        else:
            _unknown(one, known)
    scope = Scope(
        survey,
        watchlists=tuple(watchlists),
        areas=tuple(areas),
        annotators=tuple(topics),
        words=tuple(dict.fromkeys(words)),
    )
    _add_sources(scope, plain, tns_watchlist, start_tns)
    if len(scope.sources) > MAX_TABLES:
        _refuse(f"{len(scope.sources)} tables; {MAX_TABLES} are the most", 0)
    return scope


def _add_sources(scope: Scope, plain: list[str], tns_watchlist: int | None, start_tns: int) -> None:
    survey, sources = scope.survey, scope.sources
    objects = table("objects", survey)
    sources.append(Source(objects, "objects", ("objects", *objects.aliases)))
    if "sherlock_classifications" in plain:
        sources.append(
            Source(table("sherlock_classifications", survey), "sherlock_classifications", ("sherlock_classifications",))
        )
    for ids, name, column, short in (
        (scope.watchlists, "watchlist_hits", "wl_id", "wl"),
        (scope.areas, "area_hits", "ar_id", "ar"),
    ):
        hits = table(name, survey) if ids else None
        for number, one in enumerate(ids):
            assert hits is not None
            if len(ids) == 1:
                sources.append(Source(hits, name, (name, f"{short}0"), (column, one)))
            else:
                sources.append(Source(hits, f"{short}{number}", (f"{short}{number}",), (column, one)))
    if "crossmatch_tns" in plain:
        tns = table("crossmatch_tns", survey)
        left = ("objects", "tns_name")
        if not _has(objects, "tns_name"):
            if tns_watchlist is None:
                _refuse(
                    "crossmatch_tns needs objects.tns_name, which ZTF does not have; "
                    "watchlist:N with the TNS watchlist gives the name of the transient",
                    start_tns,
                )
            hits = table("watchlist_hits", survey)
            sources.append(Source(hits, "tns_hits", (), ("wl_id", tns_watchlist)))
            left = ("tns_hits", "name")
        sources.append(Source(tns, "crossmatch_tns", ("crossmatch_tns",), on=("tns_name", *left)))
    _add_annotators(scope)


def _add_annotators(scope: Scope) -> None:
    annotations = table("annotations", scope.survey) if scope.annotators else None
    taken = {name for one in scope.sources for name in one.names} | set(tables(scope.survey))
    for number, topic in enumerate(scope.annotators):
        assert annotations is not None
        short = re.sub(r"[^a-z0-9]", "_", _ascii_lower(topic))
        if not short[0].isalpha() or short in taken:
            short = f"annotator_{short}"
        if short in taken:
            _refuse(f"two annotators are called {short} in a query: ask for one at a time", 0)
        taken.add(short)
        names = (short, "annotations") if len(scope.annotators) == 1 else (short,)
        scope.sources.append(Source(annotations, f"an{number}", names, ("topic", topic)))


def _ascii_lower(value: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in value)


def _ids(one: _Entry, into: list[int]) -> None:
    for piece in (one.argument or "").split("&"):
        digits = piece.strip()
        if not digits.isascii() or not digits.isdigit() or len(digits) > 10 or int(digits) > _MAX_ID:
            _refuse(
                f"{one.word}: takes whole numbers such as {one.word}:3 or {one.word}:3&4, not {digits!r}",
                one.argument_start,
            )
        if int(digits) not in into:
            into.append(int(digits))


def _topics(one: _Entry, into: list[str]) -> None:
    for piece in (one.argument or "").split("&"):
        topic = piece.strip()
        if not topic:
            _refuse(f"{one.word}: needs the topic of an annotator, such as {one.word}:fastfinder", one.argument_start)
        if len(topic) > _MAX_TOPIC or not topic.isprintable():
            _refuse("an annotator's topic is at most 255 printable characters", one.argument_start)
        if _ascii_lower(topic) not in (_ascii_lower(known) for known in into):
            into.append(topic)


def _unknown(one: _Entry, known: dict[str, Table]) -> NoReturn:
    word = one.word.lower()
    if word in _BY_NAME_ONLY:
        _refuse(f"write {_BY_NAME_ONLY[word]} instead of {one.word}", one.start)
    if one.argument is None and word in (*_WATCHLIST, *_AREA, *_ANNOTATOR):
        example = "TOPIC" if word in _ANNOTATOR else "N"
        _refuse(f"{one.word} needs one: write {word}:{example}", one.start)
    names = [name for name in known if name not in _BY_NAME_ONLY and name != "mma_area_hits"]
    near = get_close_matches(word, [*names, "watchlist", "area", "watchmap", "annotator"], 1)
    if near:
        suffix = {"watchlist": ":N", "area": ":N", "watchmap": ":N", "annotator": ":TOPIC"}.get(near[0], "")
        hint = f"; did you mean {near[0]}{suffix}?"
    else:
        hint = f"; there are {', '.join(names)}, watchlist:N, area:N, annotator:TOPIC"
    shown = one.word if len(one.word) <= 40 else one.word[:37] + "..."
    _refuse(f"unknown table {shown!r}{hint}", one.start)
