"""Functions that compiled queries call and an engine lacks, or has with another result.

SQLite gets them by `register`, once a connection; MariaDB by the statements of `mariadb_ddl`, once a database, and the
read-only account needs EXECUTE on them.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable

#: SQLite may be built without its mathematical functions
_MATH: dict[str, tuple[int, Callable[..., float]]] = {
    "acos": (1, math.acos),
    "asin": (1, math.asin),
    "atan": (1, math.atan),
    "atan2": (2, math.atan2),
    "ceil": (1, lambda x: float(math.ceil(x))),
    "cos": (1, math.cos),
    "degrees": (1, math.degrees),
    "exp": (1, math.exp),
    "floor": (1, lambda x: float(math.floor(x))),
    "ln": (1, math.log),
    "log10": (1, math.log10),
    "log2": (1, math.log2),
    "mod": (2, math.fmod),
    "pow": (2, math.pow),
    "radians": (1, math.radians),
    "sin": (1, math.sin),
    "sqrt": (1, math.sqrt),
    "tan": (1, math.tan),
    "trunc": (1, lambda x: float(math.trunc(x))),
}
#: values that a careless logarithm misses by a rounding (ln x / ln 10 makes 2.9999999999999996 of 1000)
_EXACT_LOGS = {"log10": (1000.0, 3.0), "log2": (2.0**29, 29.0)}


class _Std:
    """Population standard deviation by Welford's recurrence (1962, Technometrics 4, 419), without cancellation."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0

    def step(self, value: float | None) -> None:
        if value is None:
            return
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)

    def finalize(self) -> float | None:
        if not self.count:
            return None
        result = math.sqrt(self.squares / self.count) if self.squares >= 0 else math.nan
        return result if math.isfinite(result) else None


def _or_null(function: Callable[..., float]) -> Callable[..., float | None]:
    def call(*args: float | None) -> float | None:
        if any(one is None for one in args):
            return None
        try:
            return function(*args)
        except (ValueError, OverflowError):
            return None

    return call


def register(connection: sqlite3.Connection) -> None:
    """Give a SQLite connection what compiled queries need: STD, and mathematics where the build lacks it."""
    connection.create_aggregate("lasair_std", 1, _Std)  # type: ignore[arg-type]  # typeshed forbids returning NULL
    for name, (count, function) in _MATH.items():
        if not _works(connection, name, count):
            connection.create_function(name, count, _or_null(function), deterministic=True)


def _works(connection: sqlite3.Connection, name: str, count: int) -> bool:
    given, wanted = _EXACT_LOGS.get(name, (0.5, None))
    try:
        (found,) = connection.execute(f"SELECT {name}({', '.join('?' * count)})", [given] * count).fetchone()
    except sqlite3.OperationalError:
        return False
    return wanted is None or found == wanted


_MARIADB = {
    "lasair_add": ("a DOUBLE, b DOUBLE", "a + b"),
    "lasair_sub": ("a DOUBLE, b DOUBLE", "a - b"),
    "lasair_mul": ("a DOUBLE, b DOUBLE", "a * b"),
    "lasair_div": ("a DOUBLE, b DOUBLE", "a / b"),
    "lasair_pow": ("a DOUBLE, b DOUBLE", "POW(a, b)"),
    "lasair_exp": ("a DOUBLE", "EXP(a)"),
}


def mariadb_ddl() -> list[str]:
    """Statements that create our functions in the current MariaDB database; each returns NULL where MariaDB would raise
    error 1690 (out of range)."""
    return [
        f"CREATE OR REPLACE FUNCTION {name}({arguments}) RETURNS DOUBLE DETERMINISTIC SQL SECURITY INVOKER "
        f"BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION RETURN NULL; RETURN {expression}; END"
        for name, (arguments, expression) in _MARIADB.items()
    ]


#: names of our functions in MariaDB, for GRANT EXECUTE
MARIADB_FUNCTIONS = tuple(_MARIADB)
