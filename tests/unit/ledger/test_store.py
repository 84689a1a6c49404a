from __future__ import annotations

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.errors import NotFound
from lasair.ledger.model import Counts, Outcome, Place, Position
from lasair.ledger.store import Ledger, letters_as_messages, utc_night
from lasair.packets.batch import Message, Refused
from lasair.packets.containers import single_record
from lasair.packets.decode import decode
from lasair.simulate.profiles import simulate
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
        parts=(payload[:3], payload[3:]),
    )


def batch(ids: list[int], matches: list[int], **more: object) -> Outcome:
    """An outcome as the pipeline would make it: all alerts stored and filtered."""
    outcome = Outcome(
        now=NOW, seen={"lsst": np.array(ids, dtype=np.int64)}, positions={PLACE.partition: Position(len(ids), NOW)}
    )
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


SIZE = len(delivery(1).payload)


def test_a_raised_quota_opens_the_stream_again(ledger: Ledger) -> None:
    ledger.commit(batch([1, 2], [1, 2], quotas={7: SIZE}))
    assert ledger.closed_filters(NOW) == {7: 2 * SIZE}
    for quota, delivered in ((SIZE, 0), (2 * SIZE - 1, 0), (2 * SIZE, 1), (-1, 1)):
        alert = 10 + quota
        outcome = batch([alert], [alert], quotas={7: quota}, closed=ledger.closed_filters(NOW))
        # what the pipeline asks before it makes messages agrees with what the commit decides
        assert outcome.is_closed(7) == (quota in (SIZE, 2 * SIZE - 1))
        counts = ledger.commit(outcome).counts
        assert (counts.delivered, counts.over_quota) == (delivered, 1 - delivered)
    assert ledger.closed_filters(NOW) == {}
    assert ledger.audit() == []


def test_a_closed_stream_lets_no_smaller_message_pass(ledger: Ledger) -> None:
    large, small = delivery(1, payload=b"x" * 90), delivery(2, payload=b"x")
    outcome = batch([1], [], quotas={7: 50})
    outcome.deliveries = [(large, PLACE), (small, PLACE)]
    outcome.at(PLACE).matched = 2
    assert ledger.commit(outcome).counts.over_quota == 2
    # raised, but not enough for the message that closed it
    outcome = batch([], [], quotas={7: 80})
    outcome.deliveries = [(small, PLACE)]
    outcome.at(PLACE).matched = 1
    assert ledger.commit(outcome).counts.over_quota == 1
    # enough for that one; the next that is too large closes it again, by its own size
    outcome = batch([], [], quotas={7: 100})
    outcome.deliveries = [(small, PLACE), (delivery(3, payload=b"x" * 120), PLACE), (delivery(4), PLACE)]
    outcome.at(PLACE).matched = 3
    counts = ledger.commit(outcome).counts
    assert (counts.delivered, counts.over_quota) == (1, 2)
    assert ledger.closed_filters(NOW) == {7: 121}
    assert ledger.audit() == []


def test_a_match_over_quota_is_delivered_once_when_it_comes_again(ledger: Ledger) -> None:
    ledger.commit(batch([1], [1], quotas={7: 0}))
    for delivered in (1, 0):
        counts = ledger.commit(batch([], [1], quotas={7: SIZE})).counts
        assert (counts.delivered, counts.already_delivered) == (delivered, 1 - delivered)
    assert ledger.audit() == []


@settings(deadline=None)  # it opens databases
@given(
    st.lists(
        st.tuples(st.integers(-1, 60), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)), max_size=5)),
        max_size=8,
    ),
    st.sets(st.integers(0, 7)),
)
def test_quotas_under_failed_commits(steps: list[tuple[int, list[tuple[int, int]]]], failing: set[int]) -> None:
    """A batch that fails on its way and is given again leaves the same streams as one that does not."""

    def run(fail: set[int]) -> tuple[list[tuple[int, bytes]], dict[int, int], Counts]:
        with TemporaryDirectory() as folder:
            ledger = Ledger(Path(folder) / "ledger.db", durable=False)
            for i, (quota, matches) in enumerate(steps):
                outcome = batch([], [], quotas={7: quota})
                outcome.deliveries = [(delivery(one, payload=b"x" * size), PLACE) for one, size in matches]
                outcome.at(PLACE).matched = len(matches)
                if i in fail:
                    outcome.fits_due = [("lsst", None, 0.0, 0)]  # type: ignore[list-item]
                    with pytest.raises(sqlite3.IntegrityError):
                        ledger.commit(outcome)
                    outcome.fits_due = []
                ledger.commit(outcome)
            assert ledger.audit() == []
            messages = [(one.offset, one.payload) for one in ledger.read_topic("lasair_1_x")] if ledger.topics() else []
            found = messages, ledger.closed_filters(NOW), sum_of(ledger)
            ledger.close()
            return found

    assert run(failing) == run(set())


def sum_of(ledger: Ledger) -> Counts:
    total = Counts()
    for one in ledger.books().values():
        total.add(one)
    return total


def test_a_loss_is_noticed(ledger: Ledger) -> None:
    outcome = batch([1, 2], [])
    outcome.at(PLACE).filtered = 1
    ledger.commit(outcome)
    assert any("stored = filtered + movers" in line for line in ledger.audit())


def test_of_many_places_that_do_not_close_some_are_named(ledger: Ledger) -> None:
    outcome = Outcome(now=NOW)
    for i in range(150):
        outcome.at(Place(f"{i:03}.avro", PLACE.night)).read = 1
    ledger.commit(outcome)
    wrong = ledger.audit()
    assert wrong[0] == f"000.avro, night {PLACE.night}: read = decoded + set aside: 1 is not 0"
    assert wrong[100:] == ["and so in 50 more partitions and nights"]


def test_the_total_is_the_sum_of_the_books(ledger: Ledger) -> None:
    assert ledger.total() == Counts()
    ledger.commit(batch([1, 2, 3], [2, 3]))
    ledger.commit(set_aside(Refused(Message(b"x", "another", 0, NOW), "damaged")))
    assert ledger.total() == sum_of(ledger)


def test_a_partition_whose_name_is_no_text(ledger: Ledger) -> None:
    """Names of files are bytes; Python has those that are no UTF-8 as lone surrogates, which SQLite refuses."""
    name = b"n\xff.avro".decode(errors="surrogateescape")
    outcome = Outcome(now=NOW, positions={name: Position(2, NOW)})
    outcome.refused = [Refused(Message(b"x", name, one, NOW), "why") for one in (0, 1)]
    outcome.at(Place(name, PLACE.night)).read = 2
    ledger.commit(outcome)
    assert ledger.position(name) == (2, NOW)
    shown = "n\\xff.avro"
    assert [(one.partition, one.offset) for one in ledger.dead_letters()] == [(shown, 0), (shown, 1)]
    # one is read from the file again, the other as a letter
    for i, where in enumerate((name, shown)):
        again = Outcome(now=NOW, decoded=[(where, i)], seen={"lsst": np.array([i])})
        counts = again.at(Place(where, PLACE.night))
        counts.read = counts.decoded = counts.stored = counts.filtered = 1
        assert ledger.commit(again).recovered == 1
    assert list(ledger.books()) == [(shown, PLACE.night)]
    ledger.finish_run([name])
    assert ledger.position(name).offset == 0
    assert ledger.audit() == []


def test_a_ledger_from_before_positions_had_a_time(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE positions (partition TEXT PRIMARY KEY, next_offset INTEGER NOT NULL) WITHOUT ROWID")
        db.execute("INSERT INTO positions VALUES ('night.avro', 3)")
    db.close()
    ledger = Ledger(file, durable=False)
    assert ledger.position(PLACE.partition) == (3, 0.0)
    ledger.commit(batch([1, 2, 3, 4], []))
    assert ledger.position(PLACE.partition) == (4, NOW)
    ledger.close()


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
    first = ledger.commit(set_aside(refused(0), refused(1)))
    again = ledger.commit(set_aside(refused(0), refused(1), refused(2)))
    assert (first.counts, first.set_aside_before) == (Counts(read=2, set_aside=2), 0)
    assert (again.counts, again.set_aside_before) == (Counts(read=1, set_aside=1), 2)
    assert ledger.books()[PLACE] == Counts(read=3, set_aside=3)
    assert ledger.audit() == []


def test_a_dead_letter_that_can_be_read_now_is_taken_back(ledger: Ledger) -> None:
    ledger.commit(set_aside(refused(0, retry=True), refused(1)))
    later = Place(PLACE.partition, PLACE.night + 1)
    outcome = Outcome(now=NOW + 86_400, decoded=[(PLACE.partition, 0)], seen={"lsst": np.array([9])})
    counts = outcome.at(later)
    counts.read = counts.decoded = counts.stored = counts.filtered = 1
    committed = ledger.commit(outcome)
    # nothing is negative in what the batch did; only the books are corrected
    assert (committed.counts, committed.recovered) == (Counts(read=1, decoded=1, stored=1, filtered=1), 1)
    assert [one.offset for one in ledger.dead_letters()] == [1]
    assert ledger.books() == {
        PLACE: Counts(read=1, set_aside=1),
        later: Counts(read=1, decoded=1, stored=1, filtered=1),
    }
    assert ledger.audit() == []


def test_a_dead_letter_has_the_newest_reason(ledger: Ledger) -> None:
    ledger.commit(set_aside(refused(0, retry=True)))
    message = Message(b"repaired, not quite", PLACE.partition, 0, NOW + 5)
    ledger.commit(set_aside(Refused(message, "a band is unknown")))
    (letter,) = ledger.dead_letters()
    assert (letter.reason, letter.retry, letter.value) == ("a band is unknown", False, message.value)
    assert letter.arrived == NOW
    assert ledger.count_dead_letters() == 1
    assert ledger.audit() == []


def test_dead_letters_may_be_taken_back_while_they_are_listed(ledger: Ledger) -> None:
    ledger.commit(set_aside(*(refused(i, retry=i % 3 > 0) for i in range(160))))
    tried = []
    for one in ledger.dead_letters(retry_only=True):
        tried.append(one.offset)
        outcome = Outcome(now=NOW, decoded=[(one.partition, one.offset)], seen={"lsst": np.array([one.offset])})
        counts = outcome.at(PLACE)
        counts.read = counts.decoded = counts.stored = counts.filtered = 1
        ledger.commit(outcome)
    assert tried == [i for i in range(160) if i % 3]
    assert [one.offset for one in ledger.dead_letters()] == list(range(0, 160, 3))
    assert ledger.audit() == []


def test_a_datum_without_its_container_can_be_read_again(ledger: Ledger) -> None:
    single = single_record(next(iter(simulate("ztf-night", seed=1, n=1))).value)
    bare = Message(single.value[single.start : single.end], PLACE.partition, 0, NOW, single.schema)
    assert decode([bare], None)[1] == []
    ledger.commit(set_aside(Refused(bare, "not public")))
    (again,) = letters_as_messages(ledger.dead_letters())
    (one,), refused = decode([again], None)
    assert refused == []
    assert one.alerts.tobytes() == decode([bare], None)[0][0].alerts.tobytes()
    # and what has been tried again without success is kept as it is
    ledger.commit(set_aside(Refused(again, "still not public")))
    assert next(ledger.dead_letters()).value == again.value


def test_an_outcome_may_be_given_again(ledger: Ledger) -> None:
    outcome = set_aside(refused(0))
    ledger.commit(outcome)
    assert outcome.counts == {PLACE: Counts(read=1)}


def test_positions_are_left_by_an_unfinished_run_only(ledger: Ledger) -> None:
    ledger.commit(batch([1, 2], []))
    assert ledger.position(PLACE.partition) == (2, NOW)
    ledger.finish_run([PLACE.partition])
    assert ledger.position(PLACE.partition) == (0, 0.0)


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
