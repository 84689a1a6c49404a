from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lasair.errors import NotFound
from lasair.ledger.model import Counts, Outcome, Place
from lasair.ledger.store import Ledger, utc_night
from lasair.packets.batch import Message, Refused
from lasair.streams.forms import Delivery

NOW = 1_790_000_000.0
PLACE = Place("night.avro", utc_night(NOW))


def delivery(alert_id: int, *, version: int = 1, payload: bytes = b'{"a":1}') -> Delivery:
    return Delivery(
        filter_version_id=version,
        filter_id=7,
        topic="lasair_1_x",
        survey="lsst",
        alert_id=alert_id,
        object_id=5,
        payload=payload,
    )


def batch(ids: list[int], matches: list[int], **more: object) -> Outcome:
    """An outcome as the pipeline would make it: all alerts stored and filtered."""
    outcome = Outcome(now=NOW, seen={"lsst": np.array(ids, dtype=np.int64)}, positions={PLACE.partition: len(ids)})
    counts = outcome.at(PLACE)
    counts.read = counts.decoded = counts.stored = counts.filtered = len(ids)
    counts.matched = len(matches)
    outcome.deliveries = [(delivery(one), PLACE) for one in matches]
    for name, value in more.items():
        setattr(outcome, name, value)
    return outcome


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.db", durable=False)


def test_a_batch_closes_and_is_delivered(ledger: Ledger) -> None:
    committed = ledger.commit(batch([1, 2, 3], [2, 3]))
    assert committed.counts.delivered == 2
    assert ledger.audit() == []
    assert [one.offset for one in ledger.read_topic("lasair_1_x")] == [0, 1]
    assert ledger.seen("lsst", np.array([3, 4])).tolist() == [True, False]
    assert ledger.seen("ztf", np.array([3])).tolist() == [False]


def test_the_same_match_is_delivered_once(ledger: Ledger) -> None:
    ledger.commit(batch([1], [1]))
    again = batch([], [1])
    assert ledger.commit(again).counts.already_delivered == 1
    assert len(list(ledger.read_topic("lasair_1_x"))) == 1
    assert ledger.audit() == []


def test_another_version_of_the_filter_delivers_again(ledger: Ledger) -> None:
    outcome = batch([1], [1])
    outcome.deliveries.append((delivery(1, version=2), PLACE))
    outcome.at(PLACE).matched += 1
    assert ledger.commit(outcome).counts.delivered == 2


def test_quota_counts_bytes_of_the_day(ledger: Ledger) -> None:
    size = len(delivery(1).payload)
    counts = ledger.commit(batch([1, 2, 3], [1, 2, 3], quotas={7: 2 * size})).counts
    assert (counts.delivered, counts.over_quota) == (2, 1)
    assert ledger.commit(batch([4], [4], quotas={7: 2 * size})).counts.over_quota == 1
    tomorrow = batch([5], [5], quotas={7: 2 * size}, now=NOW + 86_400)
    assert ledger.commit(tomorrow).counts.delivered == 1
    assert ledger.audit() == []


def test_a_loss_is_noticed(ledger: Ledger) -> None:
    outcome = batch([1, 2], [])
    outcome.at(PLACE).filtered = 1
    ledger.commit(outcome)
    assert any("stored = filtered + movers" in line for line in ledger.audit())


def test_an_id_that_was_not_kept_is_noticed(ledger: Ledger) -> None:
    ledger.commit(batch([1, 2], [], seen={"lsst": np.array([1])}))
    assert any("alerts seen" in line for line in ledger.audit())


def refused(offset: int, value: bytes = b"x", *, retry: bool = False) -> Refused:
    return Refused(Message(value, PLACE.partition, offset, NOW), "no such schema", retry)


def set_aside(*letters: Refused) -> Outcome:
    outcome = Outcome(now=NOW, refused=list(letters))
    outcome.at(PLACE).read = len(letters)
    return outcome


def test_a_dead_letter_read_again_is_counted_once(ledger: Ledger) -> None:
    ledger.commit(set_aside(refused(0), refused(1)))
    ledger.commit(set_aside(refused(0), refused(1)))
    assert ledger.books()[PLACE] == Counts(read=2, set_aside=2)
    assert ledger.audit() == []


def test_a_dead_letter_that_can_be_read_now_is_taken_back(ledger: Ledger) -> None:
    ledger.commit(set_aside(refused(0, retry=True), refused(1)))
    later = Place(PLACE.partition, PLACE.night + 1)
    outcome = Outcome(now=NOW + 86_400, decoded=[(PLACE.partition, 0)], seen={"lsst": np.array([9])})
    counts = outcome.at(later)
    counts.read = counts.decoded = counts.stored = counts.filtered = 1
    ledger.commit(outcome)
    assert [one.offset for one in ledger.dead_letters()] == [1]
    assert ledger.books() == {
        PLACE: Counts(read=1, set_aside=1),
        later: Counts(read=1, decoded=1, stored=1, filtered=1),
    }
    assert ledger.audit() == []


def test_positions_are_left_by_an_unfinished_run_only(ledger: Ledger) -> None:
    ledger.commit(batch([1, 2], []))
    assert ledger.position(PLACE.partition) == 2
    ledger.finish_run([PLACE.partition])
    assert ledger.position(PLACE.partition) == 0


def test_an_owner_is_told_once(ledger: Ledger) -> None:
    errors = {11: (7, "took longer than 10 s")}
    assert ledger.commit(batch([1], [], filter_errors=errors)).to_tell == [(7, "took longer than 10 s")]
    assert ledger.commit(batch([2], [], filter_errors=errors)).to_tell == []
    assert [one.batches for one in ledger.filter_troubles()] == [2]


def test_expiry_keeps_the_books_closed(ledger: Ledger) -> None:
    ledger.commit(batch([1, 2], [1]))
    ledger.commit(set_aside(refused(5)))
    removed = ledger.expire(NOW + 1000 * 86_400, stream_days=30, dead_letter_days=30, seen_days=30)
    assert removed == {"messages": 1, "dead_letters": 1, "seen": 2}
    assert ledger.audit() == []
    assert list(ledger.read_topic("lasair_1_x")) == []


def test_an_unknown_stream_is_named(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match="lasair_9_y"):
        list(ledger.read_topic("lasair_9_y"))


def test_a_newer_alert_keeps_a_fit_due(ledger: Ledger) -> None:
    ledger.commit(batch([1], [], fits_due=[("lsst", 5, 61000.0, 1)]))
    ledger.commit(batch([2], [], fits_due=[("lsst", 5, 61001.0, 2)]))
    ledger.fits_done([("lsst", 5, 61000.0, 1)])
    assert ledger.fits_due(10) == [("lsst", 5, 61001.0, 2)]
    ledger.fits_done([("lsst", 5, 61001.0, 2)])
    assert ledger.fits_due(10) == []
