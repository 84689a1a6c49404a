from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pymysql
import pytest

from lasair.query.functions import mariadb_ddl
from tests.support.mariadb import Server, private_server
from tests.unit.query import corpus


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    with private_server() as server:
        yield server


def _filled(server: Server, name: str, *, alerts: bool) -> pymysql.connections.Connection[Any]:
    connection = server.connect()
    cursor = connection.cursor()
    cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_nopad_ci")
    cursor.execute(f"USE {name}")

    def execute(statement: str, rows: Sequence[corpus.Row]) -> None:
        if rows:
            cursor.executemany(statement, rows)
        else:
            cursor.execute(statement)

    corpus.fill(execute, "mariadb", alerts=alerts)
    for statement in mariadb_ddl():
        cursor.execute(statement)
    return connection


@pytest.fixture(scope="session")
def mariadb(mariadb_server: Server) -> dict[str, pymysql.connections.Connection[Any]]:
    """The corpus's data set on MariaDB, as stored and as a batch."""
    return {mode: _filled(mariadb_server, f"corpus_{mode}", alerts=mode == "filter") for mode in ("stored", "filter")}
