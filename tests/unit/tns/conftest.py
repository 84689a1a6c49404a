from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lasair.tns.mirror import TnsMirror
from tests.unit.tns.made import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[TnsMirror]:
    one = TnsMirror(tmp_path / "tns.db", durable=False)
    yield one
    one.close()
