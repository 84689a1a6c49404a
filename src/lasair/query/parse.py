"""Words of a clause → sqlglot's tree, one expression at a time.

sqlglot gets tokens made here, not the user's text: any word that is not a keyword of Lasair SQL is a plain name, and
a function's name carries a prefix that keeps it out of sqlglot's own function grammar. So its tree holds only node
classes that `check` knows, whatever the version; everything else fails to parse.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot.expressions as exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from lasair.errors import BadQuery
from lasair.query.lex import Lexeme

#: before the name of every function in sqlglot's tree
FUNCTION_PREFIX = "lasair__"

_KEYWORDS = {
    "AND": TokenType.AND,
    "OR": TokenType.OR,
    "XOR": TokenType.XOR,
    "NOT": TokenType.NOT,
    "IN": TokenType.IN,
    "IS": TokenType.IS,
    "NULL": TokenType.NULL,
    "TRUE": TokenType.TRUE,
    "FALSE": TokenType.FALSE,
    "LIKE": TokenType.LIKE,
    "ESCAPE": TokenType.ESCAPE,
    "BETWEEN": TokenType.BETWEEN,
    "CASE": TokenType.CASE,
    "WHEN": TokenType.WHEN,
    "THEN": TokenType.THEN,
    "ELSE": TokenType.ELSE,
    "END": TokenType.END,
    "DIV": TokenType.DIV,
    "MOD": TokenType.MOD,
    "DISTINCT": TokenType.DISTINCT,
}
#: words with a meaning outside of expressions
CLAUSE_WORDS = frozenset(["AS", "ORDER", "GROUP", "BY", "HAVING", "ASC", "DESC"])

_SIGNS = {
    "<=>": TokenType.NULLSAFE_EQ,
    "<=": TokenType.LTE,
    ">=": TokenType.GTE,
    "<>": TokenType.NEQ,
    "!=": TokenType.NEQ,
    "&&": TokenType.AND,
    "-": TokenType.DASH,
    "+": TokenType.PLUS,
    "*": TokenType.STAR,
    "/": TokenType.SLASH,
    "%": TokenType.MOD,
    "=": TokenType.EQ,
    "<": TokenType.LT,
    ">": TokenType.GT,
    "(": TokenType.L_PAREN,
    ")": TokenType.R_PAREN,
    ",": TokenType.COMMA,
    ".": TokenType.DOT,
}

_COMPARISONS = ("=", "<", ">", "<=", ">=", "<>", "!=", "<=>")
_BETWEEN_TWO = frozenset(_SIGNS) - frozenset("-+*().")

CHAINED = "put brackets around one of the comparisons: a < b < c is not 'b between a and c', but (a < b) < c"

_MYSQL = Dialect.get_or_raise("mysql")


def is_keyword(word: str) -> bool:
    """Whether a word cannot name a column, table or alias without backquotes."""
    return word.upper() in _KEYWORDS or word.upper() in CLAUSE_WORDS


def parse_expression(words: Sequence[Lexeme], part: str, end: int) -> exp.Expression:
    """The tree of one expression.

    Parameters
    ----------
    words : of this expression alone
    part : which clause it stands in, for the error
    end : position after the last word, for an expression that stops too early

    Raises
    ------
    BadQuery
        The words make no expression.
    """
    if not words:
        raise BadQuery("an expression is missing here", part=part, position=end)
    first = words[0]
    if first.is_word("AND", "OR", "XOR", "DIV", "LIKE", "BETWEEN", "IN", "IS") or first.is_sign(*_BETWEEN_TWO):
        raise BadQuery(f"something is missing before {first.text}", part=part, position=first.start)
    tokens = [_token(words, index, part) for index in range(len(words))]
    try:
        trees = _MYSQL.parser().parse_into(exp.Condition, tokens, "")
    except RecursionError as err:
        raise BadQuery("nested too deep", part=part, position=words[0].start) from err
    except SqlglotError as err:
        raise _explain(err, words, part, end) from err
    _check_chains(words, part)
    if len(trees) != 1 or trees[0] is None:
        raise BadQuery("this is not one expression", part=part, position=words[0].start)
    tree = trees[0]
    assert isinstance(tree, exp.Expression)
    return tree


def _check_chains(words: Sequence[Lexeme], part: str) -> None:
    """Refuse ``a < b < c`` without brackets: it is not what it looks like, and sqlglot and MariaDB group some such
    chains in different ways (``7 <=> 2 < 3``)."""
    compared = [False]  # a comparison has begun, for each bracket or CASE that is open
    betweens = [0]  # BETWEENs whose AND is to come
    for one in words:
        if one.is_sign("(") or one.is_word("CASE"):
            compared.append(False)
            betweens.append(0)
        elif (one.is_sign(")") or one.is_word("END")) and len(compared) > 1:
            compared.pop()
            betweens.pop()
        elif one.is_word("AND") and betweens[-1]:
            betweens[-1] -= 1
        elif one.is_word("AND", "OR", "XOR", "WHEN", "THEN", "ELSE") or one.is_sign(",", "&&"):
            compared[-1] = False
        elif one.is_sign(*_COMPARISONS) or one.is_word("IS", "IN", "LIKE", "BETWEEN"):
            if compared[-1]:
                raise BadQuery(CHAINED, part=part, position=one.start)
            compared[-1] = True
            betweens[-1] += one.is_word("BETWEEN")


def _token(words: Sequence[Lexeme], index: int, part: str) -> Token:
    one = words[index]
    text = one.text
    if one.kind == "word":
        before_bracket = index + 1 < len(words) and words[index + 1].is_sign("(")
        after_dot = index > 0 and words[index - 1].is_sign(".")
        if after_dot:
            kind = TokenType.VAR
        elif text.upper() in CLAUSE_WORDS:
            raise BadQuery(f"{text} is out of place here", part=part, position=one.start)
        elif text.upper() == "MOD" and before_bracket and not _after_operand(words, index):
            kind, text = TokenType.VAR, FUNCTION_PREFIX + text
        elif text.upper() in _KEYWORDS:
            kind = _KEYWORDS[text.upper()]
        elif text.upper() == "UNKNOWN" and index and words[index - 1].is_word("IS", "NOT"):
            kind, text = TokenType.NULL, "NULL"  # IS UNKNOWN is IS NULL
        elif before_bracket:
            kind, text = TokenType.VAR, FUNCTION_PREFIX + text
        else:
            kind = TokenType.VAR
    elif one.kind == "quoted":
        if index + 1 < len(words) and words[index + 1].is_sign("("):
            raise BadQuery("a function's name is not quoted", part=part, position=one.start)
        kind = TokenType.IDENTIFIER
    elif one.kind == "number":
        kind = TokenType.NUMBER
    elif one.kind == "string":
        kind = TokenType.STRING
    else:
        kind = _SIGNS[text]
    return Token(kind, text, 1, one.start, one.start, one.end - 1)


def _after_operand(words: Sequence[Lexeme], index: int) -> bool:
    """Whether MOD follows a value, `a MOD (b)`, and so is the operator."""
    if not index:
        return False
    before = words[index - 1]
    if before.kind == "word":
        return not is_keyword(before.text) or before.is_word("END", "NULL", "TRUE", "FALSE")
    return before.kind in ("number", "string", "quoted") or before.is_sign(")")


def _explain(err: SqlglotError, words: Sequence[Lexeme], part: str, end: int) -> BadQuery:
    """Our message for sqlglot's: the word it stopped at."""
    errors = getattr(err, "errors", None) or [{}]
    column = errors[-1].get("col")
    stopped = next((one for one in words if one.start == column), None)
    if stopped is None:
        return BadQuery("this is not an expression", part=part, position=words[0].start)
    if stopped is words[-1] and (is_keyword(stopped.text) or stopped.kind == "sign") and not stopped.is_sign(")"):
        return BadQuery(f"something is missing after {stopped.text}", part=part, position=stopped.end)
    shown = stopped.text if len(stopped.text) <= 40 else stopped.text[:37] + "..."
    return BadQuery(f"cannot make sense of the words around {shown!r}", part=part, position=stopped.start)


def split(words: Sequence[Lexeme], *, at: str = ",") -> list[list[Lexeme]]:
    """The words between signs `at` outside of brackets; one empty list when there are no words."""
    pieces: list[list[Lexeme]] = [[]]
    depth = 0
    for one in words:
        if one.is_sign("("):
            depth += 1
        elif one.is_sign(")"):
            depth -= 1
        if depth == 0 and one.is_sign(at):
            pieces.append([])
        else:
            pieces[-1].append(one)
    return pieces
