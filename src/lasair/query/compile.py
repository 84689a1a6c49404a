"""The only place where a user's text becomes SQL.

``compile_query("objectId, gmag", "objects, watchlist:3", "gmag < 15", survey="ztf")`` gives one checked query as two
statements, for SQLite and for MariaDB. Neither holds any of the user's text: names come from the schema, aliases are
ours, every value is a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn

import sqlglot.expressions as exp

from lasair.errors import BadQuery
from lasair.query.check import Checker, regroup
from lasair.query.coerce import Coercion
from lasair.query.generate import NOW_JD, NOW_MJD, Generator
from lasair.query.lex import Lexeme, lex
from lasair.query.limits import MAX_COLUMNS, MAX_SQL
from lasair.query.mariadb_sql import MariadbGenerator
from lasair.query.parse import is_keyword, parse_expression, split
from lasair.query.prepare import ALERT_COLUMN, check_prepares
from lasair.query.sqlite_sql import SqliteGenerator
from lasair.query.tree import ColumnRef, Kind, Node, Value
from lasair.query.vocabulary import Scope, Source, column_node, read_tables
from lasair.schema.model import SURVEYS, TNS_WATCHLIST, Survey, object_key
from lasair.schema.sql import quote
from lasair.times import JD_MINUS_MJD, SECONDS_A_DAY, TAI_MINUS_UTC_S

Mode = Literal["stored", "filter"]

_MAX_NAME = 64

_STORED_ONLY = "GROUP BY, HAVING and DISTINCT are for queries on stored data, not for filters"
_STORED_ONLY_AGGREGATES = "is for queries on stored data, not for filters"


@dataclass(frozen=True)
class Statement:
    """SQL of one engine with its parameters; run it with ``execute(sql, bind(now))``."""

    sql: str
    parameters: Mapping[str, Value]

    def bind(self, now_mjd_tai: float) -> dict[str, Value]:
        """The parameters with the time: mjdnow() is MJD TAI, jdnow() is JD UTC."""
        bound = dict(self.parameters)
        if NOW_MJD in bound:
            bound[NOW_MJD] = float(now_mjd_tai)
        if NOW_JD in bound:
            bound[NOW_JD] = float(now_mjd_tai) - TAI_MINUS_UTC_S / SECONDS_A_DAY + JD_MINUS_MJD
        return bound


@dataclass(frozen=True)
class CompiledQuery:
    """A checked query.

    Attributes
    ----------
    survey : whose tables it reads
    columns : names of the result's columns, in order, all different; filters have ``_alert`` before them
    kinds : type of each: int, double, bool, text, time, json, null
    tables : the tables it reads, in users' words, `objects` first
    physical : the same as named in the databases
    watchlists, areas, tags, annotators : what it names by id or topic
    events : multi-messenger events it names; one that asks for all (``mma``) has the table mma_area_hits and no name
    sqlite, mariadb : the statements
    """

    survey: Survey
    columns: tuple[str, ...]
    kinds: tuple[Kind, ...]
    tables: tuple[str, ...]
    physical: tuple[str, ...]
    watchlists: tuple[int, ...]
    areas: tuple[int, ...]
    events: tuple[str, ...]
    tags: tuple[int, ...]
    annotators: tuple[str, ...]
    sqlite: Statement
    mariadb: Statement


@dataclass
class _Query:
    """The checked tree of the whole query."""

    scope: Scope
    names: list[str]
    select: list[Node]
    where: list[Node] = field(default_factory=list)
    group: list[Node] = field(default_factory=list)
    having: list[Node] = field(default_factory=list)
    order: list[tuple[Node, bool]] = field(default_factory=list)


@dataclass
class _Clauses:
    """Words of the parts of the WHERE text; `end` is where the text ends."""

    where: list[Lexeme]
    group: list[Lexeme] | None
    having: list[Lexeme] | None
    order: list[Lexeme] | None
    order_part: str
    end: int
    order_end: int


def compile_query(
    select: str,
    tables: str,
    where: str = "",
    *,
    survey: Survey,
    mode: Mode = "stored",
    order_by: str = "",
    limit: int | None = None,
    offset: int = 0,
    tns_watchlist: int = TNS_WATCHLIST,
) -> CompiledQuery:
    """Check a user's query and write it for both engines.

    Parameters
    ----------
    select : expressions, such as ``diaObjectId, ra, decl, mjdnow() - lastDiaSourceMjdTai AS age``
    tables : such as ``objects, sherlock_classifications, watchlist:3``; `objects` is always there
    where : a condition, and after it GROUP BY, HAVING, ORDER BY if wanted; may be empty
    survey : whose tables
    mode : "stored" for the main database; "filter" for the database of one batch, whose tables have a column
        ``_alert``: the statement gives it first, and joins on it
    order_by : instead of an ORDER BY in `where`
    limit, offset : the most rows, and how many to leave out before them
    tns_watchlist : the watchlist that holds the TNS, through which ZTF joins crossmatch_tns

    Raises
    ------
    BadQuery
        The text is not Lasair SQL. `part` and `position` say where, the message says why and what would do.
    """
    query = _check(select, tables, where, order_by, survey, mode, tns_watchlist)
    if limit is not None and limit < 0:
        raise BadQuery(f"the number of rows is {limit}, and cannot be negative", part="select")
    if offset < 0:
        raise BadQuery(f"the first row is {offset}, and cannot be negative", part="select")
    sources = query.scope.sources
    sqlite = _statement(query, SqliteGenerator(), mode, limit, offset)
    check_prepares(sqlite.sql, sqlite.bind(0.0), alerts=mode == "filter")
    return CompiledQuery(
        survey=survey,
        columns=tuple(query.names),
        kinds=tuple(node.kind for node in query.select),
        tables=query.scope.words,
        physical=tuple(dict.fromkeys(one.table.physical for one in sources)),
        watchlists=query.scope.watchlists,
        areas=query.scope.areas,
        events=tuple(one for one in query.scope.events if one is not None),
        tags=query.scope.tags,
        annotators=query.scope.annotators,
        sqlite=sqlite,
        mariadb=_statement(query, MariadbGenerator(), mode, limit, offset),
    )


def infer_survey(select: str, tables: str, where: str = "", order_by: str = "") -> Survey:
    """The survey whose columns a query names.

    Raises
    ------
    BadQuery
        The query fits both surveys; or neither, and then with the reason from the survey it fits better.
    """
    errors: dict[Survey, BadQuery] = {}
    for survey in SURVEYS:
        try:
            compile_query(select, tables, where, survey=survey, order_by=order_by)
        except BadQuery as err:
            errors[survey] = err
    fitting = [survey for survey in SURVEYS if survey not in errors]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise BadQuery("this query fits both surveys: say which one, lsst or ztf", part="select", position=0)
    known = {survey: _known_names(survey, f"{select} {where} {order_by}") for survey in SURVEYS}
    raise errors[max(SURVEYS, key=known.__getitem__)]


def _known_names(survey: Survey, text: str) -> int:
    """How many words of the text are columns of the survey's objects and of no other survey's."""
    mine = {name.lower() for name in read_tables("", survey).sources[0].table.column_names}
    others: set[str] = set()
    for other in SURVEYS:
        if other != survey:
            others |= {name.lower() for name in read_tables("", other).sources[0].table.column_names}
    letters = "".join(one if one.isalnum() or one == "_" else " " for one in text.lower())
    return sum(word in mine and word not in others for word in letters.split())


# checking


def _check(
    select: str, tables: str, where: str, order_by: str, survey: Survey, mode: Mode, tns_watchlist: int
) -> _Query:
    scope = read_tables(tables, survey, tns_watchlist=tns_watchlist)
    no_aggregates = _STORED_ONLY_AGGREGATES if mode == "filter" else ""
    words = lex(select, "select")
    distinct = bool(words) and words[0].is_word("DISTINCT")
    if distinct:
        if mode == "filter":
            raise BadQuery(_STORED_ONLY, part="select", position=words[0].start)
        words = words[1:]
    names, nodes, aliases = _select(select, words, scope, no_aggregates)
    query = _Query(scope, names, nodes)
    clauses = _clauses(where, order_by)
    if clauses.where:
        checker = Checker(scope, "where", aggregates="cannot stand in a condition: use HAVING")
        try:
            query.where.append(checker.condition(parse_expression(clauses.where, "where", clauses.end), "as a whole"))
        except BadQuery as err:
            raise _explain_alias(err, clauses.where, aliases) from err
    if mode == "filter" and (clauses.group is not None or clauses.having is not None):
        words = clauses.group or clauses.having or []
        raise BadQuery(_STORED_ONLY, part="where", position=words[0].start if words else len(where))
    if clauses.group is not None:
        query.group = _group(clauses.group, clauses.end, scope, aliases, nodes)
    if clauses.having is not None:
        checker = Checker(scope, "where", aliases=aliases)
        query.having.append(checker.condition(parse_expression(clauses.having, "where", clauses.end), "after HAVING"))
    if clauses.order is not None:
        query.order = _order(clauses, scope, aliases, nodes, no_aggregates)
    _grouped(query, distinct, clauses.order_part)
    return query


def _explain_alias(err: BadQuery, words: list[Lexeme], aliases: dict[str, Node]) -> BadQuery:
    """A better message where a condition names what only SELECT knows."""
    at = next((one for one in words if one.start == err.position), None)
    if at is None or at.text.lower() not in aliases or not str(err).startswith("no column"):
        return err
    return BadQuery(
        f"{at.text!r} is a name given in SELECT, which a condition cannot use: write the expression again",
        part=err.part,
        position=err.position,
    )


def _clauses(where: str, order_by: str) -> _Clauses:
    """The parts of the WHERE text, which may end in GROUP BY, HAVING and ORDER BY, in this order."""
    words = lex(where, "where")
    found = _Clauses([], None, None, None, "where", len(where), len(where))
    current = found.where
    stage = depth = index = 0
    while index < len(words):
        one = words[index]
        depth += one.is_sign("(") - one.is_sign(")")
        following = words[index + 1] if index + 1 < len(words) else None
        by = following is not None and following.is_word("BY")
        after_dot = index > 0 and words[index - 1].is_sign(".")
        if depth == 0 and not after_dot and one.is_word("GROUP", "ORDER", "HAVING"):
            if not one.is_word("HAVING") and not by:
                raise BadQuery(f"{one.text} is followed by BY", part="where", position=one.end)
            new = {"GROUP": 1, "HAVING": 2, "ORDER": 3}[one.text.upper()]
            if new <= stage:
                raise BadQuery(
                    "the order is: condition, GROUP BY, HAVING, ORDER BY, each once", part="where", position=one.start
                )
            stage, current = new, []
            if new == 1:
                found.group = current
            elif new == 2:
                found.having = current
            else:
                found.order = current
            index += 1 if new == 2 else 2
            continue
        current.append(one)
        index += 1
    if stage and not found.where and words and words[0].is_word("AND", "OR"):
        raise BadQuery("a condition is missing", part="where", position=words[0].start)
    if order_by.strip():
        if found.order is not None:
            raise BadQuery("ORDER BY is given twice: in the condition and by itself", part="order by", position=0)
        order_words = lex(order_by, "order by")
        if len(order_words) > 1 and order_words[0].is_word("ORDER") and order_words[1].is_word("BY"):
            order_words = order_words[2:]
        found.order, found.order_part, found.order_end = order_words, "order by", len(order_by)
    return found


def _select(
    text: str, words: list[Lexeme], scope: Scope, no_aggregates: str
) -> tuple[list[str], list[Node], dict[str, Node]]:
    if not words:
        raise BadQuery("nothing is selected: name columns, or * for all", part="select", position=0)
    checker = Checker(scope, "select", aggregates=no_aggregates)
    wanted: list[tuple[str, str, Node]] = []
    aliases: dict[str, Node] = {}
    pieces = split(words)
    for number, piece in enumerate(pieces):
        after = pieces[number + 1][0].start - 1 if number + 1 < len(pieces) and pieces[number + 1] else len(text)
        if not piece:
            raise BadQuery("an expression is missing here", part="select", position=min(after, len(text)))
        if piece[-1].is_sign("*"):
            stars = _star(piece, scope)
            if stars is not None:
                wanted.extend(stars)
                continue
        expression, alias = _alias(piece)
        node = checker.check(parse_expression(expression, "select", piece[-1].end))
        if alias is not None:
            aliases[alias.lower()] = node
            wanted.append((alias, alias, node))
        elif isinstance(node.value, ColumnRef) and node.op == "column":
            wanted.append((node.value.name, f"{node.value.table}.{node.value.name}", node))
        else:
            written = " ".join(text[expression[0].start : expression[-1].end].split())
            wanted.append((written, written, node))
    if len(wanted) > MAX_COLUMNS:
        raise BadQuery(f"{len(wanted)} columns; {MAX_COLUMNS} are the most", part="select", position=0)
    return _names(wanted), [node for _, _, node in wanted], aliases


def _star(piece: list[Lexeme], scope: Scope) -> list[tuple[str, str, Node]] | None:
    """All columns: ``*`` of all tables, the object's id once; ``table.*`` of one."""
    at = piece[0].start
    if len(piece) == 1:
        sources: list[Source] = [one for one in scope.sources if one.names]
    elif len(piece) == 3 and piece[1].is_sign("."):
        sources = [scope.source_of(piece[0].text, "select", at)]
    else:
        return None
    key = object_key(scope.survey)
    return [
        (column.name, f"{one.names[0]}.{column.name}", column_node(one, column, at))
        for number, one in enumerate(sources)
        for column in one.table.columns
        if number == 0 or column.name != key
    ]


def _alias(piece: list[Lexeme]) -> tuple[list[Lexeme], str | None]:
    """The expression's words, and the name after it, with AS or without."""

    def name_of(one: Lexeme) -> str:
        if one.kind == "word" and is_keyword(one.text):
            raise BadQuery(f"{one.text} cannot be a name", part="select", position=one.start)
        if not one.text.strip() or len(one.text) > _MAX_NAME or not one.text.isprintable():
            raise BadQuery(f"a name has 1 to {_MAX_NAME} printable characters", part="select", position=one.start)
        return one.text

    depth = 0
    for index, one in enumerate(piece):
        depth += one.is_sign("(") - one.is_sign(")")
        if depth == 0 and one.is_word("AS") and not (index and piece[index - 1].is_sign(".")):
            if index + 2 != len(piece) or piece[index + 1].kind not in ("word", "quoted", "string"):
                raise BadQuery("AS is followed by one name", part="select", position=one.end)
            return piece[:index], name_of(piece[-1])
    if (
        len(piece) > 1
        and piece[-1].kind in ("word", "quoted")
        and not (piece[-1].kind == "word" and is_keyword(piece[-1].text))
    ):
        before = piece[-2]
        ends_value = (
            before.kind in ("number", "string", "quoted")
            or before.is_sign(")")
            or (
                before.kind == "word"
                and (not is_keyword(before.text) or before.is_word("END", "NULL", "TRUE", "FALSE"))
            )
        )
        if ends_value:
            return piece[:-1], name_of(piece[-1])
    return piece, None


def _names(wanted: list[tuple[str, str, Node]]) -> list[str]:
    """Names that differ, whatever the case: where two are the same the later one gets its table's, or a number."""
    names: list[str] = []
    taken: set[str] = set()
    for name, qualified, _ in wanted:
        choice = name
        if choice.lower() in taken:
            choice = qualified
        number = 2
        while choice.lower() in taken:
            choice, number = f"{name}_{number}", number + 1
        taken.add(choice.lower())
        names.append(choice)
    return names


def _position_in_select(tree: exp.Expression, nodes: list[Node], part: str, at: int) -> Node | None:
    """The selected expression that a bare number stands for."""
    if not isinstance(tree, exp.Literal) or tree.is_string or not str(tree.this).isdigit():
        return None
    number = int(str(tree.this))
    if not 1 <= number <= len(nodes):
        raise BadQuery(f"there is no column {number} in SELECT", part=part, position=at)
    return nodes[number - 1]


def _group(words: list[Lexeme], end: int, scope: Scope, aliases: dict[str, Node], nodes: list[Node]) -> list[Node]:
    checker = Checker(scope, "where", aliases=aliases, aggregates="cannot stand in GROUP BY", columns_first=True)
    keys = []
    for piece in split(words):
        tree = parse_expression(piece, "where", end)
        key = _position_in_select(tree, nodes, "where", piece[0].start) or checker.check(tree)
        if key.has_aggregate:
            checker.coerce.refuse("COUNT, SUM and the like cannot stand in GROUP BY", piece[0].start)
        if key.is_constant:
            checker.coerce.refuse("this is the same for all rows, so it makes no groups", piece[0].start)
        keys.append(key)
    return keys


def _order(
    clauses: _Clauses, scope: Scope, aliases: dict[str, Node], nodes: list[Node], no_aggregates: str
) -> list[tuple[Node, bool]]:
    checker = Checker(scope, clauses.order_part, aliases=aliases, aggregates=no_aggregates)
    found = []
    for piece in split(clauses.order or []):
        down = bool(piece) and piece[-1].is_word("DESC")
        words = piece[:-1] if piece and piece[-1].is_word("ASC", "DESC") else piece
        tree = parse_expression(words, clauses.order_part, clauses.order_end)
        at = words[0].start
        node = _position_in_select(tree, nodes, clauses.order_part, at) or checker.check(tree)
        found.append((node, down))
    return found


def _grouped(query: _Query, distinct: bool, order_part: str) -> None:
    """Check what a query with groups may select and sort by, and mark its keys."""
    computed = [*query.select, *query.having, *(node for node, _ in query.order)]
    if not query.group and not distinct and not any(node.has_aggregate for node in computed):
        query.where += query.having  # HAVING without groups is a condition that knows the names of SELECT
        query.having = []
        return
    if distinct:
        if query.group or any(node.has_aggregate for node in computed):
            _refuse_distinct()
        query.group = [node for node in query.select if not node.is_constant]
    keys = query.group
    in_select, in_where, in_order = Coercion("select"), Coercion("where"), Coercion(order_part)
    query.select = [regroup(node, keys, in_select) for node in query.select]
    query.having = [regroup(node, keys, in_where) for node in query.having]
    query.order = [(regroup(node, keys, in_order), down) for node, down in query.order]


def _refuse_distinct() -> NoReturn:
    raise BadQuery("DISTINCT and groups do not go together: GROUP BY gives each group once", part="select", position=0)


# writing


def _statement(query: _Query, generator: Generator, mode: Mode, limit: int | None, offset: int) -> Statement:
    selected = [f"{generator.result(node)} AS c{number}" for number, node in enumerate(query.select)]
    if mode == "filter":
        selected.insert(0, f"{generator.column('objects', ALERT_COLUMN)} AS {ALERT_COLUMN}")
    lines = [f"SELECT {', '.join(selected)}", *_from(query.scope, generator, mode)]
    if query.where:
        lines.append(f"WHERE {' AND '.join(generator.write(node) for node in query.where)}")
    if query.group:
        lines.append(f"GROUP BY {', '.join(generator.group_keys(node) for node in query.group)}")
    if query.having:
        lines.append(f"HAVING {' AND '.join(generator.write(node) for node in query.having)}")
    order = [
        f"{key} DESC" if down else key
        for node, down in query.order
        if not node.is_constant
        for key in generator.sort_keys(node)
    ]
    if order:
        lines.append(f"ORDER BY {', '.join(order)}")
    if limit is not None or offset:
        lines.append(f"LIMIT {generator.bind(2**62 if limit is None else limit)} OFFSET {generator.bind(offset)}")
    sql = "\n".join(lines)
    if len(sql) > MAX_SQL:
        raise BadQuery("this query is too complex", part="select", position=0)
    return Statement(sql, dict(generator.parameters))


def _from(scope: Scope, generator: Generator, mode: Mode) -> list[str]:
    """FROM and the joins: on the object in the main database, on the alert in a batch."""
    key = ALERT_COLUMN if mode == "filter" else object_key(scope.survey)
    lines: list[str] = []
    for source in scope.sources:
        name = f"{quote(source.table.physical, generator.engine)} AS {quote(source.alias, generator.engine)}"
        if not lines:
            lines.append(f"FROM {name}")
            continue
        tests = []
        if source.on is None or mode == "filter":
            tests.append(f"{generator.column(source.alias, key)} = {generator.column('objects', key)}")
        if source.on is not None:
            mine, alias, theirs = source.on
            tests.append(generator.join_text(generator.column(source.alias, mine), generator.column(alias, theirs)))
        if source.extra is not None:
            column, value = source.extra
            left = generator.column(source.alias, column)
            if isinstance(value, int):
                tests.append(f"{left} = {generator.bind(value)}")
            else:
                tests.append(generator.topic_equal(left, value))
        lines.append(f"JOIN {name} ON {' AND '.join(tests)}")
    return lines
