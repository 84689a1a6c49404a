from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from lasair.errors import StoreUnavailable
from lasair.stores.files import connect, database_bytes, guarded_sqlite, require_tables
from tests.support.faults import read_only


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT a FROM t ORDER BY a")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with 1 in it, closed by its writer."""
    path = tmp_path / "state" / "a.db"
    connection = connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    assert [one.name for one in path.parent.iterdir()] == ["a.db"]
    return path


def write_and_die(path: Path) -> None:
    """A process adds 2 and is gone before the journal is merged into the database."""
    child = os.fork()
    if child == 0:
        connection = connect(path)
        connection.execute("INSERT INTO t VALUES (2)")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert path.with_name("a.db-wal").stat().st_size


def test_a_reader_cannot_write(file: Path) -> None:
    connection = connect(file, read_only=True)
    assert numbers(connection) == [1]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO t VALUES (3)")
    connection.close()
    assert [one.name for one in file.parent.iterdir()] == ["a.db"]


def test_a_reader_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"b\.db is not there"):
        connect(tmp_path / "c" / "b.db", read_only=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("as_writer", [False, True])
def test_without_the_right_to_write(file: Path, as_writer: bool) -> None:
    with read_only(file.parent):
        connection = connect(file, read_only=not as_writer)
        assert numbers(connection) == [1]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("INSERT INTO t VALUES (3)")
        connection.close()
    assert [one.name for one in file.parent.iterdir()] == ["a.db"]


def test_without_the_right_to_write_in_the_folder_only(file: Path) -> None:
    with read_only(file.parent):
        file.chmod(0o644)
        connection = connect(file)
        assert numbers(connection) == [1]
        connection.close()


def test_with_the_right_to_write_in_the_folder_only_no_files_are_left_that_the_owner_cannot_write(file: Path) -> None:
    with read_only(file.parent):
        file.parent.chmod(0o755)
        connection = connect(file)
        assert numbers(connection) == [1]
        assert [one.name for one in file.parent.iterdir()] == ["a.db"]
        connection.close()


def test_what_a_killed_writer_left_is_read_without_the_right_to_write(file: Path) -> None:
    write_and_die(file)
    with read_only(file.parent):
        connection = connect(file)
        assert numbers(connection) == [1, 2]
        connection.close()
    connection = connect(file)
    assert numbers(connection) == [1, 2]
    connection.close()
    assert [one.name for one in file.parent.iterdir()] == ["a.db"]


def test_a_journal_that_cannot_be_read_is_not_ignored(file: Path) -> None:
    write_and_die(file)
    # as when only some of the files were copied
    file.with_name("a.db-shm").unlink()
    with read_only(file.parent), pytest.raises(StoreUnavailable, match=r"last changes lie in a\.db-wal"):
        connect(file)


def test_a_writer_at_work_is_seen_without_the_right_to_write(file: Path) -> None:
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        # a process of its own: within one, SQLite shares what it has open
        connection = connect(file)
        connection.execute("INSERT INTO t VALUES (2)")
        os.write(ready[1], b"x")
        os.close(done[1])
        os.read(done[0], 1)
        os._exit(0)
    os.close(done[0])
    os.read(ready[0], 1)
    with read_only(file.parent):
        connection = connect(file)
        assert numbers(connection) == [1, 2]
        connection.close()
    os.close(done[1])
    os.waitpid(child, 0)
    for one in ready:
        os.close(one)


def test_a_write_under_a_reader_without_locks_is_noticed(file: Path) -> None:
    with read_only(file.parent):
        connection = connect(file)
    assert numbers(connection) == [1]
    writer = connect(file)
    writer.execute("INSERT INTO t VALUES (2)")
    # until it comes to the database itself, the reader sees what was there before
    assert numbers(connection) == [1]
    writer.close()
    with pytest.raises(StoreUnavailable, match="another process wrote"):
        connection.close()
    connection.close()


def test_names_that_mean_something_in_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("file:a?mode=ro#%41") / "a.db"
    connection = connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    connection = connect(path, read_only=True)
    assert numbers(connection) == []
    connection.close()
    assert (tmp_path / path).is_file()


def test_required_tables(file: Path) -> None:
    connection = connect(file, read_only=True)
    require_tables(connection, file, {"t": ("a",)})
    with pytest.raises(StoreUnavailable, match="no column b in table t"):
        require_tables(connection, file, {"t": ("a", "b")})
    with pytest.raises(StoreUnavailable, match="no table u"):
        require_tables(connection, file, {"u": ()})
    connection.close()


def test_text_that_is_not_utf8(file: Path) -> None:
    connection = connect(file)
    with pytest.raises(StoreUnavailable, match=r"a\.db: .*damaged"), guarded_sqlite(file):
        connection.execute("SELECT CAST(x'ff' AS TEXT) AS a").fetchall()
    connection.close()


def test_sizes(file: Path) -> None:
    assert database_bytes(file) == file.stat().st_size
    write_and_die(file)
    assert database_bytes(file) == sum(one.stat().st_size for one in file.parent.iterdir())
    assert database_bytes(file.with_name("none.db")) == 0
