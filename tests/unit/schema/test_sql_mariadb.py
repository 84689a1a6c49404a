"""The DDL on a real MariaDB: it takes every statement, and compares text as SQLite does."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from lasair.schema import load_tables, table
from lasair.schema.sql import MARIADB_COLLATION, add_columns, create_table

pytestmark = pytest.mark.server

#: Signs between the upper and the lower case letters, where the engines' orders differ.
BETWEEN_CASES = set("[\\]^_`")


@pytest.fixture(scope="module")
def cursor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cursor on an empty database of a private server that listens on a socket only."""
    folder = tmp_path_factory.mktemp("mariadb")
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", "--skip-test-db"]
    subprocess.run([*install, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
    options = [f"--datadir={folder}/data", f"--socket={folder}/socket", "--skip-networking", "--user=root"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(["mariadbd", "--no-defaults", *options], stdout=log, stderr=log)
    try:
        wait_until_ready(server, folder / "log")
        connection = pymysql.connect(unix_socket=f"{folder}/socket", user="root", autocommit=True)
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE lasair")
            cursor.execute("USE lasair")
            yield cursor
        connection.close()
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    while b"ready for connections" not in log.read_bytes():
        assert server.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def column_names(cursor: Any, name: str) -> list[str]:
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'lasair' AND table_name = %s "
        "ORDER BY ordinal_position",
        (name,),
    )
    return [row[0] for row in cursor.fetchall()]


def test_every_table_is_made(cursor: Any) -> None:
    for one in load_tables():
        for statement in create_table(one, "mariadb", extra=("`_alert_id` BIGINT NOT NULL",)):
            cursor.execute(statement)
        assert column_names(cursor, one.physical) == [*one.column_names, "_alert_id"]


def test_older_tables_are_completed(cursor: Any) -> None:
    objects = table("objects", "ztf")
    cursor.execute("CREATE OR REPLACE TABLE ztf_objects (`objectId` VARCHAR(16) PRIMARY KEY, `jdmax` DOUBLE)")
    for statement in add_columns(objects, "mariadb", column_names(cursor, "ztf_objects")):
        cursor.execute(statement)
    assert sorted(column_names(cursor, "ztf_objects")) == sorted(objects.column_names)


def test_time_of_writing_is_filled_in_utc(cursor: Any) -> None:
    for statement in create_table(table("objects", "lsst"), "mariadb", name="written"):
        cursor.execute(statement)
    cursor.execute("INSERT INTO written (`diaObjectId`) VALUES (1)")
    cursor.execute("SELECT ABS(TIMESTAMPDIFF(SECOND, `timestamp`, UTC_TIMESTAMP())) FROM written")
    assert cursor.fetchone()[0] <= 60


def test_text_compares_as_in_sqlite(cursor: Any) -> None:
    """Same equal pairs for all ASCII, trailing spaces included; same order but around the signs between the cases."""
    signs = [chr(code) for code in range(1, 128)]
    texts = [(text,) for text in ["", *signs, *("a" + sign for sign in signs), *(sign + "B" for sign in signs)]]
    cursor.execute(f"CREATE TABLE words (a VARCHAR(8)) DEFAULT CHARSET=utf8mb4 COLLATE={MARIADB_COLLATION}")
    cursor.executemany("INSERT INTO words VALUES (%s)", texts)
    lite = sqlite3.connect(":memory:")
    lite.execute("CREATE TABLE words (a TEXT COLLATE NOCASE)")
    lite.executemany("INSERT INTO words VALUES (?)", texts)
    found = {}
    for sign in ("=", "<"):
        query = f"SELECT x.a, y.a FROM words x JOIN words y ON x.a {sign} y.a"
        cursor.execute(query)
        found[sign] = set(cursor.fetchall()) ^ set(lite.execute(query).fetchall())
    lite.close()
    assert not found["="]
    assert all(BETWEEN_CASES & set(one + other) for one, other in found["<"])
