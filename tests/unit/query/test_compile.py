from __future__ import annotations

import re
import sqlite3

import pytest

from lasair.errors import BadQuery
from lasair.query.catalogue import FUNCTIONS
from lasair.query.compile import compile_query, infer_survey
from lasair.schema.model import SURVEYS, Survey, load_tables, tables
from tests.unit.query import corpus


def lsst(select: str, where: str = "", tables: str = "", **options: object) -> object:
    return compile_query(select, tables, where, survey="lsst", **options)  # type: ignore[arg-type]


def test_values_are_bound_and_nothing_else_is_the_users() -> None:
    query = compile_query("diaObjectId AS secret", "annotator:hidden", "tns_name = 'private'", survey="lsst", limit=7)
    for statement in (query.sqlite, query.mariadb):
        assert not re.search("secret|hidden|private", statement.sql)
        assert {"hidden", "private", 7} <= set(statement.parameters.values())


#: what statements are made of, besides parameters and names of the schema
_STATEMENT_WORDS = """
    SELECT FROM JOIN ON WHERE GROUP BY HAVING ORDER DESC LIMIT OFFSET AS AND OR NOT XOR IS NULL TRUE FALSE BETWEEN
    IN LIKE ESCAPE CASE WHEN THEN ELSE END DISTINCT COLLATE NOCASE BINARY CAST REAL TEXT BLOB CHAR DOUBLE SIGNED
    CONVERT USING hebrew utf8mb4 utf8mb4_nopad_bin DIV REGEXP text true false integer real null ARRAY STRING BOOLEAN
    INTEGER nullif COALESCE MAX MIN SUBSTR TRUNC TRUNCATE JSON_VALID JSON_TYPE JSON_COMPACT lasair_std lasair_add
    lasair_sub lasair_mul lasair_div lasair_pow lasair_exp _alert objects tns_hits e999
"""


def _vocabulary() -> set[str]:
    schema = {name for one in load_tables() for name in (one.name, one.physical, *one.column_names)}
    return set(_STATEMENT_WORDS.split()) | set(FUNCTIONS) | schema


@pytest.mark.parametrize("case", corpus.good_cases(), ids=str)
def test_statements_hold_known_words_only(case: corpus.Case) -> None:
    known = _vocabulary()
    compiled = case.compile()
    for statement in (compiled.sqlite, compiled.mariadb):
        # without parameters, which begin with : and %(
        sql = re.sub(r":p\d+|:now_\w+|%\((p\d+|now_\w+)\)s", " ", statement.sql)
        assert "%" not in sql or statement is compiled.sqlite
        words = {
            word
            for word in re.findall(r"[A-Za-z_]\w*", sql)
            if not re.fullmatch(r"c\d+|an\d|wl\d|ar\d|mma\d|tag\d", word)
        }
        assert words <= known
        constants = set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", sql))
        assert constants <= {"0", "1", "1.0", "0.0"}


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_column_of_every_table_can_be_asked_for(survey: Survey) -> None:
    key = {"lsst": "diaObjectId", "ztf": "objectId"}[survey]
    named = {
        "objects": ("", "objects"),
        "sherlock_classifications": ("sherlock_classifications", "sherlock_classifications"),
        "watchlist_hits": ("watchlist:1", "watchlist_hits"),
        "area_hits": ("area:1", "area_hits"),
        "annotations": ("annotator:x", "x"),
        "crossmatch_tns": ("crossmatch_tns", "crossmatch_tns"),
        "mma_area_hits": ("mma:S230518h", "mma"),
        "tag_hits": ("tag:2", "tag"),
    }
    connection = corpus.sqlite_database()
    for name, one in tables(survey).items():
        if name in one.aliases:
            continue
        listed, alias = named[name]
        for column in one.column_names:
            for written in (f"{alias}.{column}", f"{alias}.{column.upper()}", f"{alias}.`{column}`"):
                query = compile_query(f"{written} AS x, {written} IS NULL", listed, survey=survey, order_by=written)
                connection.execute(query.sqlite.sql, query.sqlite.bind(0.0)).fetchall()
    for column in tables(survey)["objects"].column_names:
        query = compile_query(column, "", f"{column} IS NOT NULL ORDER BY {column}", survey=survey)
        assert query.columns == (column,)
    assert compile_query("*", "", survey=survey).columns == tables(survey)["objects"].column_names
    assert compile_query("*", "sherlock_classifications", survey=survey).columns.count(key) == 1


def test_a_query_tells_what_it_names() -> None:
    query = compile_query(
        "objects.diaObjectId",
        "objects, sherlock_classifications, watchlist:3&4, area:5, annotator:fast&Slow Lane, crossmatch_tns, "
        "event:S230518h&GRB-1, mma:s230518H, tag:7&6",
        survey="lsst",
    )
    assert query.watchlists == (3, 4)
    assert query.areas == (5,)
    assert query.annotators == ("fast", "Slow Lane")
    assert query.events == ("S230518h", "GRB-1")
    assert query.tags == (7, 6)
    assert query.tables == (
        "objects",
        "sherlock_classifications",
        "watchlist_hits",
        "area_hits",
        "annotations",
        "crossmatch_tns",
        "mma_area_hits",
        "tag_hits",
    )
    assert query.physical == (
        "lsst_objects",
        "lsst_sherlock_classifications",
        "lsst_watchlist_hits",
        "lsst_area_hits",
        "lsst_mma_area_hits",
        "lsst_tag_hits",
        "crossmatch_tns",
        "lsst_annotations",
    )
    assert query.survey == "lsst"
    assert query.kinds == ("int",)


def test_times_are_filled_in_when_it_runs() -> None:
    statement = compile_query("mjdnow(), jdnow()", "", survey="lsst").sqlite
    assert statement.bind(61000.0)["now_mjd_tai"] == 61000.0
    assert statement.bind(61000.0)["now_jd_utc"] == 2461000.5 - 37 / 86400
    assert statement.parameters["now_mjd_tai"] is None
    assert "now_jd_utc" not in compile_query("mjdnow()", "", survey="lsst").sqlite.bind(1.0)


def test_limit_and_offset() -> None:
    connection = corpus.sqlite_database()

    def ids(limit: int | None, offset: int = 0) -> list[int]:
        query = compile_query("diaObjectId", "", survey="lsst", order_by="diaObjectId", limit=limit, offset=offset)
        return [row[0] for row in connection.execute(query.sqlite.sql, query.sqlite.bind(0.0))]

    assert ids(2) == [1, 2]
    assert ids(2, 3) == [4, 5]
    assert ids(0) == []
    assert ids(None, 7) == [170028519402307585, 170028519402307586]
    with pytest.raises(BadQuery, match="cannot be negative"):
        compile_query("ra", "", survey="lsst", limit=-1)
    with pytest.raises(BadQuery, match="cannot be negative"):
        compile_query("ra", "", survey="lsst", offset=-1)


def test_order_by_has_a_field_of_its_own() -> None:
    a = compile_query("ra", "", "ra > 1 ORDER BY ra DESC", survey="lsst")
    assert a.sqlite.sql == compile_query("ra", "", "ra > 1", survey="lsst", order_by="ra DESC").sqlite.sql
    assert a.sqlite.sql == compile_query("ra", "", "ra > 1", survey="lsst", order_by="ORDER BY ra DESC").sqlite.sql
    with pytest.raises(BadQuery, match="given twice") as caught:
        compile_query("ra", "", "ra > 1 ORDER BY ra DESC", survey="lsst", order_by="ra")
    assert caught.value.part == "order by"


def test_names_of_the_result() -> None:
    assert compile_query("objects.diaObjectId, RA, POW(ra,  2)", "", survey="lsst").columns == (
        "diaObjectId",
        "ra",
        "POW(ra, 2)",
    )
    joined = compile_query("objects.diaObjectId, sherlock_classifications.*", "sherlock_classifications", survey="lsst")
    assert joined.columns[:3] == ("diaObjectId", "sherlock_classifications.diaObjectId", "classification")
    assert compile_query("ra, ra, ra", "", survey="lsst").columns == ("ra", "objects.ra", "ra_2")
    assert compile_query("1 a, 2 A", "", survey="lsst").columns == ("a", "A_2")


def test_filter_mode_gives_the_alert_first_and_joins_on_it() -> None:
    query = compile_query("objectId", "sherlock_classifications", survey="ztf", mode="filter")
    assert query.columns == ("objectId",)
    assert query.sqlite.sql.startswith('SELECT "objects"."_alert" AS _alert, "objects"."objectId" AS c0')
    assert 'ON "sherlock_classifications"."_alert" = "objects"."_alert"' in query.sqlite.sql


def test_all_events_are_a_table_without_a_name() -> None:
    query = compile_query("contour", "mma", survey="lsst")
    assert (query.tables, query.events) == (("objects", "mma_area_hits"), ())
    assert compile_query("mma.contour", "mma, mma:A", survey="lsst").events == ("A",)


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_table_of_a_batch_is_joined_on_the_alert(survey: Survey) -> None:
    query = compile_query(
        "objects.htm16",
        "sherlock_classifications, watchlist:1, area:1&2, mma, mma:a, tag:1, crossmatch_tns, annotator:a&b",
        survey=survey,
        mode="filter",
    )
    for statement, mark in ((query.sqlite, '"'), (query.mariadb, "`")):
        joins = [line for line in statement.sql.splitlines() if line.startswith("JOIN ")]
        assert len(joins) == {"lsst": 10, "ztf": 11}[survey]
        for line in joins:
            alias = re.search(f" AS {mark}(\\w+){mark} ON ", line)
            assert alias is not None
            assert f"ON {mark}{alias[1]}{mark}.{mark}_alert{mark} = {mark}objects{mark}.{mark}_alert{mark}" in line


def test_an_event_is_called_by_its_name_where_that_is_free() -> None:
    def found(name: str, tables: str) -> bool:
        try:
            compile_query(f"`{name}`.contour", tables, survey="lsst")
        except BadQuery:
            return False
        return True

    assert found("s230518h", "mma:S230518h")
    assert found("fermi_1_5", "mma:Fermi+1.5&x")
    assert not found("170817", "mma:170817")
    assert not found("_a", "mma:-a")
    assert not found("a_b", "mma:a-b&a.b"), "it could be either"
    assert not found("fast", "mma:fast, annotator:FAST"), "an annotator has no other name"
    assert not found("crossmatch_tns", "mma:crossmatch_tns")
    assert not found("wl0", "mma:wl0, watchlist:1&2")
    assert found("mma0", "mma:mma1&mma0")
    assert found("mma1", "mma:mma1&mma0")


def test_ztf_joins_the_tns_through_its_watchlist() -> None:
    connection = corpus.sqlite_database()
    query = compile_query("objectId, crossmatch_tns.type", "crossmatch_tns", survey="ztf", order_by="objectId")
    rows = connection.execute(query.sqlite.sql, query.sqlite.bind(0.0)).fetchall()
    assert rows == [("ZTF18aaaaaaa", "SN Ia"), ("ZTF20cccccxy", None)]
    assert query.watchlists == ()


def test_alias_in_a_condition_is_explained() -> None:
    with pytest.raises(BadQuery, match="'age' is a name given in SELECT") as caught:
        compile_query("mjdnow() - lastDiaSourceMjdTai AS age", "", "ra > 1 AND age < 3", survey="lsst")
    assert caught.value.position == 11


def test_ambiguous_columns_name_the_choices() -> None:
    with pytest.raises(BadQuery, match=r"write sherlock_classifications\.classification or x\.classification"):
        compile_query("classification", "sherlock_classifications, annotator:x", survey="lsst")
    with pytest.raises(BadQuery, match=r"wl0\.arcsec or wl1\.arcsec"):
        compile_query("ra", "watchlist:1&2", "arcsec < 1", survey="lsst")
    # what objects has is meant
    compile_query("diaObjectId, timestamp", "sherlock_classifications, annotator:x", survey="lsst")


def test_annotators_with_odd_names() -> None:
    for topic, name in (
        ("Fast-Finder.v2", "fast_finder_v2"),
        ("2fast", "annotator_2fast"),
        ("objects", "annotator_objects"),
        ("crossmatch_tns", "annotator_crossmatch_tns"),
        ("é", "annotator__"),
        ("a' OR 1=1 --", "a__or_1_1___"),
    ):
        query = compile_query(f"{name}.classification", f"annotator:{topic}", survey="lsst")
        assert topic in query.sqlite.parameters.values()
        assert query.annotators == (topic,)


@pytest.mark.parametrize(
    ("select", "where", "survey"),
    [
        ("diaObjectId", "", "lsst"),
        ("objectId", "", "ztf"),
        ("*", "gmag < 15", "ztf"),
        ("*", "decl > 1", "lsst"),
        ("COUNT(*)", "ncand > 3", "ztf"),
        ("COUNT(*)", "ra > 1 ORDER BY nDiaSources", "lsst"),
    ],
)
def test_survey_is_inferred_from_the_columns(select: str, where: str, survey: str) -> None:
    if select == "COUNT(*)":
        select = "htm16"
    assert infer_survey(select, "objects", where) == survey


@pytest.mark.parametrize("tables", ["mma:S230518h, tag:2, crossmatch_tns", "mma", "watchlist:1, area:2, annotator:x"])
def test_survey_is_inferred_whatever_the_tables(tables: str) -> None:
    assert infer_survey("diaObjectId", tables) == "lsst"
    assert infer_survey("objectId, gmag", tables) == "ztf"
    with pytest.raises(BadQuery, match="fits both surveys"):
        infer_survey("objects.htm16", tables)


def test_survey_that_cannot_be_inferred() -> None:
    for select in ("*", "htm16", "COUNT(*)"):
        with pytest.raises(BadQuery, match="fits both surveys"):
            infer_survey(select, "objects")
    with pytest.raises(BadQuery, match="did you mean gmag"):
        infer_survey("objectId, ramean", "objects", "gmagg < 15 AND ncand > 3")
    with pytest.raises(BadQuery, match="did you mean nDiaSources"):
        infer_survey("diaObjectId, ra", "objects", "nDiaSorces < 15")
    with pytest.raises(BadQuery, match="never closed"):
        infer_survey("diaObjectId, ra", "objects", "(ra < 15")


def test_hundreds_of_terms_are_no_depth() -> None:
    connection = corpus.sqlite_database()
    for sign in ("OR", "AND"):
        where = f" {sign} ".join(["ra>1"] * 430)
        query = compile_query("diaObjectId", "", where, survey="lsst")
        assert len(connection.execute(query.sqlite.sql, query.sqlite.bind(0.0)).fetchall()) == 7
    ids = ", ".join(str(n) for n in range(800))
    query = compile_query("diaObjectId", "", f"diaObjectId IN ({ids})", survey="lsst")
    assert len(connection.execute(query.sqlite.sql, query.sqlite.bind(0.0)).fetchall()) == 7


def _bombs() -> list[str]:
    return [
        "(" * 10_000 + "1" + ")" * 10_000,
        "(" * 1_900 + "1" + ")" * 1_900,
        "(" * 4_000,
        "NOT " * 1_000 + "1",
        "-" * 4_000 + "1",
        "- " * 2_000 + "1",
        "CASE WHEN 1 THEN " * 200 + "1" + " END" * 200,
        "ABS(" * 900 + "1" + ")" * 900,
        "+".join(["1"] * 2_000),
        "1" + "+ra" * 1_000,
        "1" + "+ra" * 100,
        "sep_arcsec(" * 20 + "ra" + ",1,1,1)" * 20,
        "ROUND(" * 22 + "ra*decl" + ",2)" * 22,
        "NULLIF(" * 20 + "ra" + ",1)" * 20,
        "POW(" * 20 + "ra" + ",ra)" * 20,
        "REPLACE(" * 20 + "tns_name" + ",'a','aaaaaaaaaa')" * 20 + " = 'a'",
        "CONCAT(" * 20 + "tns_name" + ",tns_name,tns_name)" * 20 + " = 'a'",
        "tns_name IN (" + ",".join(["'a'"] * 1_000) + ")",
        "x" * 5_000,
        "'" + "a" * 5_000 + "'",
        "ra " * 1_300,
        "," * 4_000,
        "''" * 2_000,
        "ra>1 AND " * 450,
        "a.b.c.d.e.f",
        "tns_name LIKE '" + "%a" * 200 + "'",
        "1 = 1" + " = 1" * 800,
        "1 XOR " * 600 + "1",
        "CASE " + "WHEN ra > 1 THEN 1 " * 200 + "END",
    ]


@pytest.mark.parametrize("bomb", _bombs(), ids=lambda text: text[:30])
def test_bombs_end_quickly(bomb: str) -> None:
    import time

    started = time.process_time()
    for options in ({"where": bomb}, {"where": "", "order_by": bomb}):
        try:
            query = compile_query("diaObjectId", "", survey="lsst", **options)  # type: ignore[arg-type]
        except BadQuery as err:
            assert str(err)
            continue
        assert len(query.mariadb.sql) <= 200_000
        connection = sqlite3.connect(":memory:")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            connection.execute(query.sqlite.sql, query.sqlite.bind(0.0))
        connection.close()
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    "name",
    [
        "'",
        '"',
        "`",
        "a' OR '1'='1",
        "S\0",
        "\0",
        "\ud800",
        "é",
        "S２",
        "a\u200b",
        "x" * 129,
        "x" * 4000,
        "\u202e",
        "a b",
        "%s",
    ],
)
@pytest.mark.parametrize("word", ["mma", "event", "tag", "tags", "watchlist", "area"])
def test_hostile_names_are_refused(word: str, name: str) -> None:
    with pytest.raises(BadQuery) as caught:
        compile_query("objects.htm16", f"{word}:{name}", survey="ztf")
    assert (caught.value.part, caught.value.position) == ("tables", len(word) + 1)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


def test_texts_beyond_all_measure_are_refused() -> None:
    for text in ("mma:" + "x" * 10_000, "&" * 10_000, "x" * 10_000, "mma:" + "a&" * 5_000):
        with pytest.raises(BadQuery, match="4096 are the most"):
            compile_query("ra", text, survey="lsst")
    # names that differ, as many as the text can hold: refused before anything is made of them
    for word in ("mma", "annotator", "tag"):
        many = "&".join(str(n) for n in range(800))
        with pytest.raises(BadQuery, match="801 tables; 12 are the most"):
            compile_query("ra", f"{word}:{many}", survey="lsst")
