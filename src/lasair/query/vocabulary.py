"""The FROM list in users' words (`objects, watchlist:3, mma:S230518h, tag:2, annotator:fastfinder`) → joins."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import NoReturn

from lasair.errors import BadQuery
from lasair.query.limits import MAX_TABLES, MAX_TEXT
from lasair.query.tree import EXACT_DOUBLE, INF, INT64_MAX, INT64_MIN, SANE, ColumnRef, Kind, Node
from lasair.schema.model import TNS_WATCHLIST, Column, Survey, Table, table, tables

#: what a user writes before ':' → the table that it is a part of
_WORDS = {
    "watchlist": "watchlist_hits",
    "watchlists": "watchlist_hits",
    "area": "area_hits",
    "areas": "area_hits",
    "watchmap": "area_hits",
    "watchmaps": "area_hits",
    "mma": "mma_area_hits",
    "event": "mma_area_hits",
    "events": "mma_area_hits",
    "tag": "tag_hits",
    "tags": "tag_hits",
    "annotator": "annotations",
    "annotators": "annotations",
    "annotation": "annotations",
}
#: rows of these tables belong to lists, events and people, so a query names which; only events can be meant all at once
_BY_NAME_ONLY = {
    "watchlist_hits": "watchlist:N",
    "area_hits": "area:N",
    "mma_area_hits": "mma:NAME",
    "tag_hits": "tag:N",
    "annotations": "annotator:TOPIC",
}
_ALL_EVENTS = ("mma", "mma_area_hits")
_MAX_ID = 2**31 - 1
_MAX_TOPIC = 255
_EVENT_NAME = re.compile(r"[A-Za-z0-9.+_-]{1,128}")
#: characters of a user's text that a message repeats
_MAX_SHOWN = 40

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
    #: multi-messenger events by name; None stands for all of them
    events: tuple[str | None, ...] = ()
    tags: tuple[int, ...] = ()
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
        meant = _WORDS.get(wanted, wanted)
        called = [one.names[0] for one in self.sources if one.table.name == meant and one.names]
        if called:
            message = f"no table is called {qualifier!r} in this query: write {' or '.join(called)}"
        elif meant in known:
            asked = _BY_NAME_ONLY.get(meant, meant)
            message = f"table {qualifier!r} is not among the tables of the query: add {asked} to them"
        else:
            names = [name for one in self.sources for name in one.names]
            near = get_close_matches(wanted, names, 1) or get_close_matches(wanted, list(known), 1)
            message = f"no table {_shown(qualifier)} in this query" + (f"; did you mean {near[0]}?" if near else "")
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


def read_tables(text: str, survey: Survey, *, tns_watchlist: int = TNS_WATCHLIST) -> Scope:
    """The tables a user lists, as joins.

    Parameters
    ----------
    text : such as ``objects, sherlock_classifications, watchlist:12, area:3&7, mma:S230518h, tag:4, annotator:fink``
    survey : whose tables
    tns_watchlist : the watchlist that holds the TNS: ZTF's objects carry no tns_name, so its hits stand for it

    Raises
    ------
    BadQuery
        An unknown table, an id that is no whole number, a name that no event can have, too many tables.
    """
    if len(text) > MAX_TEXT:
        _refuse(f"the text has {len(text)} characters; {MAX_TEXT} are the most", MAX_TEXT)
    # each by what two of them are the same by, in order
    named: dict[str, dict[str | int, str | int | None]] = {name: {} for name in _BY_NAME_ONLY}
    plain: dict[str, None] = {}
    words: dict[str, None] = {"objects": None}
    known = tables(survey)
    for one in _entries(text):
        word = one.word.lower()
        if one.argument is not None:
            if word not in _WORDS:
                _unknown(one, known)
            name = _WORDS[word]
            for piece in one.argument.split("&"):
                value = _READERS[name](one, piece.strip())
                named[name].setdefault(_ascii_lower(value) if isinstance(value, str) else value, value)
            words[name] = None
        elif word in _ALL_EVENTS:
            named["mma_area_hits"][""] = None
            words["mma_area_hits"] = None
        elif word in ("sherlock_classifications", "crossmatch_tns"):
            plain[word] = words[word] = None
        elif word not in known or known[word].name != "objects":
            _unknown(one, known)
    asked = 1 + len(plain) + sum(map(len, named.values()))
    if asked > MAX_TABLES:
        _refuse(f"{asked} tables; {MAX_TABLES} are the most", 0)
    scope = Scope(
        survey,
        watchlists=tuple(one for one in named["watchlist_hits"].values() if isinstance(one, int)),
        areas=tuple(one for one in named["area_hits"].values() if isinstance(one, int)),
        events=tuple(one for one in named["mma_area_hits"].values() if not isinstance(one, int)),
        tags=tuple(one for one in named["tag_hits"].values() if isinstance(one, int)),
        annotators=tuple(one for one in named["annotations"].values() if isinstance(one, str)),
        words=tuple(words),
    )
    _add_sources(scope, list(plain), tns_watchlist)
    return scope


def _add_sources(scope: Scope, plain: list[str], tns_watchlist: int) -> None:
    survey, sources = scope.survey, scope.sources
    objects = table("objects", survey)
    sources.append(Source(objects, "objects", ("objects", *objects.aliases)))
    if "sherlock_classifications" in plain:
        sources.append(
            Source(table("sherlock_classifications", survey), "sherlock_classifications", ("sherlock_classifications",))
        )
    _add_hits(scope, "watchlist_hits", "wl_id", "wl", scope.watchlists)
    _add_hits(scope, "area_hits", "ar_id", "ar", scope.areas)
    _add_hits(scope, "mma_area_hits", "event", "mma", scope.events, "mma")
    _add_hits(scope, "tag_hits", "tag_id", "tag", scope.tags, "tag")
    if "crossmatch_tns" in plain:
        left = ("objects", "tns_name")
        if not _has(objects, "tns_name"):
            sources.append(Source(table("watchlist_hits", survey), "tns_hits", (), ("wl_id", tns_watchlist)))
            left = ("tns_hits", "name")
        tns = table("crossmatch_tns", survey)
        sources.append(Source(tns, "crossmatch_tns", ("crossmatch_tns",), on=("tns_name", *left)))
    _add_annotators(scope)
    _name_events(scope)


def _add_hits(
    scope: Scope, name: str, column: str, short: str, which: Sequence[str | int | None], *synonyms: str
) -> None:
    """Joins of one table of hits; a single one is called like the table, several by number."""
    for number, one in enumerate(which):
        numbered = f"{short}{number}"
        extra = None if one is None else (column, one)
        if one is None or len(which) == 1:
            alias = name if len(which) == 1 else numbered
            names: tuple[str, ...] = (name, *synonyms, numbered)
        else:
            alias, names = numbered, (numbered,)
        scope.sources.append(Source(table(name, scope.survey), alias, names, extra))


def _taken(scope: Scope) -> set[str]:
    return {name for one in scope.sources for name in one.names} | set(tables(scope.survey))


def _add_annotators(scope: Scope) -> None:
    taken = _taken(scope)
    for number, topic in enumerate(scope.annotators):
        short = _identifier(topic)
        if not short[0].isalpha() or short in taken:
            short = f"annotator_{short}"
        if short in taken:
            _refuse(f"two annotators are called {short} in a query: ask for one at a time", 0)
        taken.add(short)
        names = (short, "annotations") if len(scope.annotators) == 1 else (short,)
        scope.sources.append(Source(table("annotations", scope.survey), f"an{number}", names, ("topic", topic)))


def _name_events(scope: Scope) -> None:
    """Events are called by their names too, where these are free and tell them apart."""
    taken = _taken(scope)
    shorts = Counter(_identifier(one) for one in scope.events if one is not None)
    for index, one in enumerate(scope.sources):
        if one.table.name == "mma_area_hits" and one.extra is not None:
            short = _identifier(str(one.extra[1]))
            if short[0].isalpha() and short not in taken and shorts[short] == 1:
                scope.sources[index] = replace(one, names=(*one.names, short))


def _identifier(name: str) -> str:
    """A name as a query writes it before a dot."""
    return re.sub(r"[^a-z0-9]", "_", _ascii_lower(name))


def _ascii_lower(value: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in value)


def _shown(text: str) -> str:
    """The beginning of a user's text, as a message may repeat it."""
    return repr(text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "...")


def _id(one: _Entry, digits: str) -> int:
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10 or int(digits) > _MAX_ID:
        _refuse(
            f"{one.word}: takes whole numbers such as {one.word}:3 or {one.word}:3&4, not {_shown(digits)}",
            one.argument_start,
        )
    return int(digits)


def _event(one: _Entry, name: str) -> str:
    if not name:
        _refuse(f"{one.word}: needs the name of an event, such as {one.word}:S230518h", one.argument_start)
    if not _EVENT_NAME.fullmatch(name):
        _refuse(
            f"an event's name has 1 to 128 letters, digits and . + - _, which {_shown(name)} has not",
            one.argument_start,
        )
    return name


def _topic(one: _Entry, topic: str) -> str:
    if not topic:
        _refuse(f"{one.word}: needs the topic of an annotator, such as {one.word}:fastfinder", one.argument_start)
    if len(topic) > _MAX_TOPIC or not topic.isprintable():
        _refuse("an annotator's topic is at most 255 printable characters", one.argument_start)
    return topic


#: what reads one of the names or numbers after ':'
_READERS: dict[str, Callable[[_Entry, str], str | int]] = {
    "watchlist_hits": _id,
    "area_hits": _id,
    "mma_area_hits": _event,
    "tag_hits": _id,
    "annotations": _topic,
}


def _unknown(one: _Entry, known: dict[str, Table]) -> NoReturn:
    word = one.word.lower()
    if word in _BY_NAME_ONLY:
        _refuse(f"write {_BY_NAME_ONLY[word]} instead of {one.word}", one.start)
    if one.argument is not None and word in known:
        _refuse(f"table {one.word!r} takes nothing after ':'", one.start)
    if one.argument is None and word in _WORDS:
        every = ", or mma for all of them" if _WORDS[word] == "mma_area_hits" else ""
        _refuse(f"{one.word} needs one: write {word}{_after_colon(word)}{every}", one.start)
    names = [name for name in known if name not in _BY_NAME_ONLY]
    near = get_close_matches(word, [*names, "watchlist", "area", "watchmap", "mma", "event", "tag", "annotator"], 1)
    if near:
        hint = f"; did you mean {near[0]}{_after_colon(near[0])}?"
    else:
        hint = f"; there are {', '.join([*names, *_BY_NAME_ONLY.values()])}"
    _refuse(f"unknown table {_shown(one.word)}{hint}", one.start)


def _after_colon(word: str) -> str:
    """':N', ':NAME' or ':TOPIC' for a word that takes one, else nothing."""
    example = _BY_NAME_ONLY.get(_WORDS.get(word, ""), "")
    return example[example.index(":") :] if example else ""
