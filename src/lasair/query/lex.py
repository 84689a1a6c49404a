"""Cuts a user's clause into words, numbers, strings and signs, each with its position.

Only what Lasair SQL knows gets through: comments, stacked statements, variables, placeholders, hexadecimal and
charset literals, backslashes and unknown signs end here, so that no parser ever sees them.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, NoReturn, Protocol

from lasair.errors import BadQuery
from lasair.query.limits import MAX_LEXEMES, MAX_NESTING, MAX_PREFIXES, MAX_TEXT

LexemeKind = Literal["word", "quoted", "number", "string", "sign"]


class Lexeme(NamedTuple):
    """One word of a clause; `text` is the meaning (a string without its quotes), start and end are of the clause."""

    kind: LexemeKind
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these (upper-case) words, unquoted."""
        return self.kind == "word" and self.text.upper() in words

    def is_sign(self, *signs: str) -> bool:
        """Whether it is one of these signs."""
        return self.kind == "sign" and self.text in signs


_LEXEME = re.compile(
    r"""(?P<blank>[ \t\r\n\f]+)
    |(?P<comment>--|\#|/\*|\*/)
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    |(?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<quoted>`(?:[^`]|``)*`)
    |(?P<sign><=>|<=|>=|<>|!=|&&|\|\||:=|<<|>>|->>?|[-+*/%=<>(),.;@?:{}\[\]\\|&^~!$])
    """,
    re.VERBOSE,
)

_SIGNS = frozenset(["<=>", "<=", ">=", "<>", "!=", "&&", *"-+*/%=<>(),."])

_REFUSED_SIGNS = {
    ";": "one statement only: ';' is not part of Lasair SQL",
    "@": "variables (@) are not part of Lasair SQL",
    "?": "placeholders (?) are not part of Lasair SQL",
    ":": "placeholders (:) are not part of Lasair SQL",
    ":=": "assignment (:=) is not part of Lasair SQL",
    "||": "'||' means OR in one SQL and joins text in another: write OR, or CONCAT(a, b)",
    "!": "'!' is not part of Lasair SQL: write NOT",
    "\\": "a backslash has no meaning in Lasair SQL",
    "->": "'->' is not part of Lasair SQL: write JSON_EXTRACT(column, '$.name')",
    "->>": "'->>' is not part of Lasair SQL: write JSON_VALUE(column, '$.name')",
}
_BIT_SIGNS = frozenset(["|", "&", "^", "~", "<<", ">>"])

#: Words that start something Lasair SQL does not have, with what to do instead.
_REFUSED_WORDS = {
    "SELECT": "a query inside a query is not part of Lasair SQL",
    "EXISTS": "a query inside a query is not part of Lasair SQL",
    "UNION": "UNION is not part of Lasair SQL: make two queries",
    "INTERSECT": "INTERSECT is not part of Lasair SQL",
    "EXCEPT": "EXCEPT is not part of Lasair SQL",
    "FROM": "FROM is not written here: tables are named in their own field",
    "WHERE": "WHERE is not written here: give the condition alone",
    "JOIN": "JOIN is not written: naming the tables joins them on the object",
    "INTO": "INTO is not part of Lasair SQL: queries only read",
    "OUTFILE": "OUTFILE is not part of Lasair SQL: queries only read",
    "DUMPFILE": "DUMPFILE is not part of Lasair SQL: queries only read",
    "LIMIT": "LIMIT is not written in a clause: the number of rows is a setting of its own",
    "OFFSET": "OFFSET is not written in a clause: the first row is a setting of its own",
    "FETCH": "FETCH is not written in a clause: the number of rows is a setting of its own",
    "PROCEDURE": "PROCEDURE is not part of Lasair SQL",
    "FOR": "FOR (locking) is not part of Lasair SQL: queries only read",
    "LOCK": "LOCK is not part of Lasair SQL: queries only read",
    "WITH": "WITH is not part of Lasair SQL",
    "WINDOW": "window functions are not part of Lasair SQL",
    "OVER": "window functions are not part of Lasair SQL",
    "PARTITION": "window functions are not part of Lasair SQL",
    "QUALIFY": "QUALIFY is not part of Lasair SQL",
    "REGEXP": "REGEXP is not part of Lasair SQL: write LIKE with % and _",
    "RLIKE": "RLIKE is not part of Lasair SQL: write LIKE with % and _",
    "GLOB": "GLOB is not part of Lasair SQL: write LIKE with % and _",
    "SOUNDS": "SOUNDS LIKE is not part of Lasair SQL",
    "MATCH": "MATCH is not part of Lasair SQL: write LIKE",
    "AGAINST": "MATCH AGAINST is not part of Lasair SQL: write LIKE",
    "COLLATE": "COLLATE is not part of Lasair SQL: text compares without regard to the case of A to Z",
    "BINARY": "BINARY is not part of Lasair SQL",
    "CAST": "CAST is not part of Lasair SQL",
    "CONVERT": "CONVERT is not part of Lasair SQL",
    "INTERVAL": "INTERVAL is not part of Lasair SQL: times are days (MJD or JD), so write mjdnow() - 7",
    "MEMBER": "MEMBER OF is not part of Lasair SQL",
    "ALL": "ALL is not part of Lasair SQL",
    "ANY": "ANY is not part of Lasair SQL: write IN",
    "SOME": "SOME is not part of Lasair SQL: write IN",
    "ROW": "rows of values are not part of Lasair SQL",
    "STRAIGHT_JOIN": "STRAIGHT_JOIN is not part of Lasair SQL",
    "HIGH_PRIORITY": "HIGH_PRIORITY is not part of Lasair SQL",
    "DISTINCTROW": "DISTINCTROW is not part of Lasair SQL: write DISTINCT",
    "USING": "USING is not part of Lasair SQL",
    "INSERT": "queries only read: INSERT is not part of Lasair SQL",
    "UPDATE": "queries only read: UPDATE is not part of Lasair SQL",
    "DELETE": "queries only read: DELETE is not part of Lasair SQL",
    "DROP": "queries only read: DROP is not part of Lasair SQL",
    "CREATE": "queries only read: CREATE is not part of Lasair SQL",
    "ALTER": "queries only read: ALTER is not part of Lasair SQL",
    "GRANT": "queries only read: GRANT is not part of Lasair SQL",
    "SET": "SET is not part of Lasair SQL",
    "CALL": "CALL is not part of Lasair SQL",
}


def lex(text: str, part: str) -> list[Lexeme]:
    """The words of a clause.

    Parameters
    ----------
    text : the clause as the user wrote it
    part : which clause it is, for the error

    Raises
    ------
    BadQuery
        With the position of the first character that is not part of Lasair SQL.
    """

    def refuse(message: str, position: int) -> NoReturn:
        raise BadQuery(message, part=part, position=position)

    if len(text) > MAX_TEXT:
        refuse(f"the text has {len(text)} characters; {MAX_TEXT} are the most", MAX_TEXT)
    found: list[Lexeme] = []
    at, size = 0, len(text)
    while at < size:
        match = _LEXEME.match(text, at)
        if match is None:
            character = text[at]
            if character in "'\"`":
                refuse(f"this quote ({character}) is never closed", at)
            refuse(f"the character {character!r} is not part of Lasair SQL outside of quotes", at)
        kind, piece, end = match.lastgroup, match.group(), match.end()
        if kind == "comment":
            refuse("comments are not part of Lasair SQL", at)
        if kind == "sign":
            if piece in _BIT_SIGNS:
                refuse(f"bit operators ({piece}) are not part of Lasair SQL", at)
            if piece not in _SIGNS:
                refuse(_REFUSED_SIGNS.get(piece, f"{piece!r} is not part of Lasair SQL"), at)
            found.append(Lexeme("sign", piece, at, end))
        elif kind == "number":
            if end < size and (text[end].isalnum() or text[end] in "_$."):
                refuse(f"{text[at : end + 1]!r} is neither a number nor a name", at)
            found.append(Lexeme("number", piece, at, end))
        elif kind == "word":
            if end < size and text[end] in "'\"" and (piece.upper() in ("N", "X", "B") or piece.startswith("_")):
                refuse("hexadecimal, bit and charset literals are not part of Lasair SQL", at)
            found.append(Lexeme("word", piece, at, end))
        elif kind in ("string", "quoted"):
            mark = piece[0]
            value = piece[1:-1].replace(mark * 2, mark)
            _check_quoted(value, at, refuse)
            found.append(Lexeme("string" if kind == "string" else "quoted", value, at, end))
        at = end
    _check_words(found, refuse)
    _check_size(found, refuse)
    return found


def _check_quoted(value: str, at: int, refuse: _Refuse) -> None:
    for offset, character in enumerate(value):
        if character == "\\":
            refuse("a backslash has no meaning in Lasair SQL; write a quote twice to put it in text", at + 1 + offset)
        if character < " " or "\ud800" <= character <= "\udfff":
            refuse(f"text may not hold the character {character!r}", at + 1 + offset)


def _check_words(found: list[Lexeme], refuse: _Refuse) -> None:
    for index, one in enumerate(found):
        if one.kind != "word":
            continue
        if index and found[index - 1].is_sign("."):
            continue  # a column of a table may be called anything
        message = _REFUSED_WORDS.get(one.text.upper())
        if message:
            refuse(message, one.start)
        if index + 1 < len(found) and found[index + 1].kind == "string" and one.text.startswith("_"):
            refuse("charset literals are not part of Lasair SQL", one.start)


def _check_size(found: list[Lexeme], refuse: _Refuse) -> None:
    # Before parsing, because the parser descends once per bracket and prefix.
    depth = prefixes = 0
    cases = 0
    for one in found:
        if one.is_sign("("):
            depth += 1
        elif one.is_sign(")"):
            depth -= 1
            if depth < 0:
                refuse("this bracket was never opened", one.start)
        elif one.is_word("CASE"):
            cases += 1
        elif one.is_word("END"):
            cases -= 1
        if depth + cases > MAX_NESTING:
            refuse(f"nested more than {MAX_NESTING} deep", one.start)
        prefixes = prefixes + 1 if one.is_word("NOT") or one.is_sign("-", "+") else 0
        if prefixes > MAX_PREFIXES:
            refuse(f"more than {MAX_PREFIXES} signs or NOT in a row", one.start)
    if cases > 0:
        refuse("this CASE is never closed with END", next(one.start for one in found if one.is_word("CASE")))
    if depth:
        opened = []
        for one in found:
            if one.is_sign("("):
                opened.append(one.start)
            elif one.is_sign(")"):
                opened.pop()
        refuse("this bracket is never closed", opened[-1])
    if len(found) > MAX_LEXEMES:
        refuse(f"more than {MAX_LEXEMES} words and signs", found[MAX_LEXEMES].start)


class _Refuse(Protocol):
    def __call__(self, message: str, position: int) -> NoReturn: ...
