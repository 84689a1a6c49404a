from __future__ import annotations

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
