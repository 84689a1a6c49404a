from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lasair.packets.batch import Message, Refused
from lasair.work import batches


@given(st.lists(st.integers(0, 50)), st.integers(1, 7), st.integers(1, 100))
def test_batches_keep_all_records_in_order_and_within_bounds(sizes: list[int], most: int, most_bytes: int) -> None:
    records = [Message(b"x" * size, "p", i, 0.0) for i, size in enumerate(sizes)]
    made = list(batches(records, most_alerts=most, most_bytes=most_bytes))
    assert [one for work in made for one in work.messages] == records
    assert all(len(work) <= most for work in made)
    assert all(work.bytes - len(work.messages[-1].value) < most_bytes for work in made)


def test_positions_count_refused_records_too() -> None:
    good, bad = Message(b"", "p", 3, 5.0), Message(b"", "p", 7, 6.0)
    (work,) = batches([good, Refused(bad, "why"), Message(b"", "q", 0, 0.0)], most_alerts=9, most_bytes=9)
    assert work.positions() == {"p": (8, 6.0), "q": (1, 0.0)}
