from __future__ import annotations

import json

from tests.fuzz.fuzz_packets import run


def test_damaged_packets_in_short() -> None:
    code, report = run(inputs=4000, seed=7)
    assert code == 0, report
    found = json.loads(report)
    assert found["decoded"] > 100 and found["refused"] > 1000
