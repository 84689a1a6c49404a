"""Lasair SQL is MariaDB's where both know a form: the same text, given to MariaDB as it is, means the same."""

from __future__ import annotations

import itertools
import warnings

import pymysql
import pytest

from lasair.errors import BadQuery
from lasair.query.compile import compile_query
from tests.integration.query.test_differential import TOLERANCE, Connections
from tests.unit.query import corpus

pytestmark = pytest.mark.server

_TEXTS = [
    "g_psfFlux > 50 OR r_psfFlux > 0 AND i_psfFlux < 0",
    "NOT g_psfFlux > 0 AND r_psfFlux > 0",
    "NOT g_psfFlux > 0 OR r_psfFlux > 0",
    "NOT r_psfFlux IN (0, 2.5) AND ra > 1",
    "NOT r_psfFlux BETWEEN 0 AND 1 OR ra > 1",
    "NOT tns_name LIKE 'a%' OR ra > 200",
    "NOT g_psfFlux IS NULL AND ra > 1",
    "ra BETWEEN 1 AND 20 AND decl < 0 OR ra > 199",
    "ra BETWEEN 1 + 1 AND 2 * 10",
    "ra - decl * 2 > 50",
    "-ra * 2 < -20",
    "ra % 7 + 2 > 4",
    "nDiaSources DIV 2 * 2 = nDiaSources",
    "nDiaSources MOD 3 + 1 > 1",
    "5 - 3 - 1 = 1 AND ra > 1",
    "12 / 3 / 2 = 2 AND ra > 1",
    "2 * 3 % 4 = 2 AND ra > 1",
    "g_psfFlux <=> NULL OR ra < 11",
    "CASE WHEN g_psfFlux > 0 THEN 1 ELSE 0 END + 1 = 2",
    "IF(g_psfFlux > 0, ra, decl) > 0",
    "(g_psfFlux > 0) + (r_psfFlux > 0) >= 2",
    "tns_name = 'A[B' OR tns_name IN ('2026ABC')",
    "LEFT(tns_name, 2) = '20' OR INSTR(tns_name, 'XYZ') > 0",
    "COALESCE(g_psfFlux, r_psfFlux) > 1",
    "GREATEST(g_psfFlux, r_psfFlux) > 1",
    "SQRT(medianR) > 0.8",
    "LOG10(medianR) < -0.2",
    "POW(medianR, 2) > 0.5 AND ATAN2(ra, decl) > 0",
    "LENGTH(tns_name) > 7",
]
_SIGNS = ["+", "-", "*", "/", "%", "DIV", "=", "<", "<=>", "AND", "OR", "XOR"]


def _both(text: str, mariadb: Connections) -> None:
    query = compile_query("diaObjectId", "", text, survey="lsst", order_by="diaObjectId")
    with mariadb["stored"].cursor() as cursor, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cursor.execute(f"SELECT diaObjectId FROM lsst_objects AS objects WHERE ({text}) ORDER BY diaObjectId")
        wanted = list(cursor.fetchall())
        cursor.execute(query.mariadb.sql, query.mariadb.bind(corpus.now_mjd_tai()))
        assert list(cursor.fetchall()) == wanted


@pytest.mark.parametrize("text", _TEXTS)
def test_same_meaning(text: str, mariadb: Connections) -> None:
    _both(text, mariadb)


@pytest.mark.parametrize("signs", list(itertools.product(_SIGNS, repeat=2)), ids=lambda signs: " ".join(signs))
def test_same_precedence(signs: tuple[str, str], mariadb: Connections) -> None:
    """``a <sign> b <sign> c`` is read alike, or refused: with and without NOT and - before each."""
    for a, b, c in itertools.product(("7", "- 7", "NOT 7"), ("2", "- 2", "NOT 0"), ("3", "- 3", "NOT 3")):
        text = f"{a} {signs[0]} {b} {signs[1]} {c}"
        try:
            query = compile_query(text, "", "diaObjectId = 1", survey="lsst")
        except BadQuery as err:
            assert "put brackets" in str(err) or "cannot make sense" in str(err)
            continue
        with mariadb["stored"].cursor() as cursor, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                cursor.execute(f"SELECT ({text}) + 0e0")
            except pymysql.err.ProgrammingError:
                continue  # MariaDB has no such form, so there is no other meaning to mistake it for
            ((wanted,),) = cursor.fetchall()
            cursor.execute(query.mariadb.sql, query.mariadb.bind(0.0))
            ((found,),) = cursor.fetchall()
        assert corpus.same([(found,)], [(wanted,)], 1e-3 if "/" in signs else TOLERANCE), (
            text
        )  # its 7 / 3 has four digits
