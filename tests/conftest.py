from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.data import DATA


def pytest_report_header() -> str:
    return (
        f"real packets: {DATA}" if DATA else "real packets: none (LASAIR_TEST_DATA is not set), the simulator stands in"
    )


@pytest.fixture(scope="session")
def test_data() -> Path | None:
    return DATA


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Commands that run in this process set up logs, which later tests would not see."""
    ours = logging.getLogger("lasair")
    before = ours.handlers[:], ours.level, ours.propagate
    yield
    ours.handlers[:], ours.propagate = before[0], before[2]
    ours.setLevel(before[1])
