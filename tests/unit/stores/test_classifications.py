"""The embedded store of classifications."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lasair.stores.classifications import SqliteClassificationStore
from tests.contract.classifications import ClassificationStoreContract, said
from tests.contract.embedded import EmbeddedStoreContract


class TestContract(ClassificationStoreContract):
    def open(self, folder: Path) -> SqliteClassificationStore:
        return SqliteClassificationStore(folder / "sherlock.db", durable=False)


class TestEmbedded(EmbeddedStoreContract):
    def open(self, folder: Path) -> SqliteClassificationStore:
        return SqliteClassificationStore(folder / "sherlock.db")

    def write(self, store: Any, number: int) -> None:
        rows = [said(1000 * number + i)._replace(candidates=b"x" * 3000) for i in range(100)]
        store.put("lsst", store.version("v"), rows)

    def held(self, store: Any, number: int) -> object:
        return store.get("lsst", 1, [1000 * number + i for i in range(100)])
