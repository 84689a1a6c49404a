"""What every store made of files promises besides: faults of the machine lose nothing that was acknowledged."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lasair.errors import StoreUnavailable
from tests.support.faults import full_disk, kill_while, read_only


class EmbeddedStoreContract(ABC):
    """`write` puts batch `number` (some hundred kilobytes); `held` says what the store holds of it."""

    @abstractmethod
    def open(self, folder: Path) -> Any: ...

    @abstractmethod
    def write(self, store: Any, number: int) -> None: ...

    @abstractmethod
    def held(self, store: Any, number: int) -> object: ...

    def _expected(self, folder: Path, numbers: range) -> list[object]:
        store = self.open(folder)
        for number in numbers:
            self.write(store, number)
        found = [self.held(store, number) for number in numbers]
        store.close()
        assert all(found)
        return found

    def test_what_was_put_is_there_after_opening_again(self, tmp_path: Path) -> None:
        (expected,) = self._expected(tmp_path / "a", range(1))
        store = self.open(tmp_path / "a")
        assert self.held(store, 0) == expected
        store.close()

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        with read_only(tmp_path), pytest.raises(StoreUnavailable, match="writable"):
            self.open(tmp_path / "a" / "b")

    def test_file_in_the_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        with pytest.raises(StoreUnavailable, match=str(tmp_path / "a")):
            self.open(tmp_path / "a" / "b")

    def test_read_only_folder_refuses_writes_and_goes_on_afterwards(self, tmp_path: Path) -> None:
        expected = self._expected(tmp_path / "good", range(2))
        folder = tmp_path / "bad"
        store = self.open(folder)
        self.write(store, 0)
        store.close()
        with read_only(folder), pytest.raises(StoreUnavailable, match="writable"):
            store = self.open(folder)
            try:
                self.write(store, 1)
            finally:
                store.close()
        store = self.open(folder)
        self.write(store, 1)
        assert [self.held(store, number) for number in range(2)] == expected
        store.close()

    def test_full_disk_loses_nothing_and_goes_on_afterwards(self, tmp_path: Path) -> None:
        expected = self._expected(tmp_path / "good", range(4))
        folder = tmp_path / "bad"
        store = self.open(folder)
        self.write(store, 0)
        failures = 0
        # files of some sizes: the limit is met in a journal, in a database, in a pack
        for most in (1_000, 40_000, 150_000, 400_000):
            with full_disk(most):
                try:
                    self.write(store, 1)
                except StoreUnavailable as err:
                    assert "free space" in str(err)
                    failures += 1
            assert self.held(store, 0) == expected[0]
        assert failures
        for number in (1, 2, 3):
            self.write(store, number)
        assert [self.held(store, number) for number in range(4)] == expected
        store.close()
        store = self.open(folder)
        assert [self.held(store, number) for number in range(4)] == expected
        store.close()

    def test_another_process_that_writes_is_waited_for_or_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lasair.stores.files.BUSY_TIMEOUT_S", 0.05)
        store = self.open(tmp_path / "a")
        self.write(store, 0)
        databases = [sqlite3.connect(file, isolation_level=None) for file in (tmp_path / "a").rglob("*.db")]
        for database in databases:
            database.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process"):
            self.write(store, 1)
        # readers are not disturbed
        assert self.held(store, 0)
        for database in databases:
            database.close()
        self.write(store, 1)
        assert self.held(store, 1)
        store.close()

    def test_another_process_reads_while_one_writes(self, tmp_path: Path) -> None:
        writer, reader = self.open(tmp_path / "a"), self.open(tmp_path / "a")
        for number in range(3):
            self.write(writer, number)
            assert self.held(reader, number) == self.held(writer, number)
        writer.close()
        reader.close()

    def test_killed_in_the_middle(self, tmp_path: Path) -> None:
        numbers = range(12)
        expected = self._expected(tmp_path / "good", numbers)
        chance = np.random.default_rng()
        folder = tmp_path / "killed"

        def work(acknowledge: Callable[[int], None]) -> None:
            store = self.open(folder)
            # again and again, so that death always comes while something is being written
            while True:
                for number in numbers:
                    self.write(store, number)
                    acknowledge(number)

        for acknowledgements in (0, 1, 5):
            done = kill_while(work, acknowledgements, float(chance.uniform(0, 0.02)))
            store = self.open(folder)
            for number in set(done):
                assert self.held(store, number) == expected[number]
            for file in folder.rglob("*.db"):
                database = sqlite3.connect(file)
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                database.close()
            store.close()
        store = self.open(folder)
        for number in numbers:
            self.write(store, number)
        assert [self.held(store, number) for number in numbers] == expected
        store.close()
