from __future__ import annotations

from functools import cache

import pytest

from lasair.simulate.messages import SimMessage
from lasair.simulate.profiles import simulate


@cache
def _night() -> tuple[SimMessage, ...]:
    return tuple(simulate("test", seed=5, n=400))


@pytest.fixture(scope="session")
def messages() -> tuple[SimMessage, ...]:
    """A run of the test profile: both surveys, every fault."""
    return _night()
