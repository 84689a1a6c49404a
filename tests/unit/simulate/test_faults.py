from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.packets.batch import Message
from lasair.packets.decode import decode
from lasair.packets.schemas import SchemaSource
from lasair.schema.avsc import writer_schema
from lasair.schema.model import Survey
from lasair.simulate import faults
from lasair.simulate.messages import SimMessage


def message(number: int, name: str = "", *, object_id: str = "a") -> SimMessage:
    fault = faults.fault(name) if name else None
    return SimMessage("lsst", 20260302, bytes([number]), "11.1", (0, 1), number, number, object_id, fault)


def delivered(*messages: SimMessage) -> list[SimMessage]:
    return list(faults.deliver(messages, np.random.default_rng(1)))


def test_a_late_message_follows_the_next_of_its_object() -> None:
    out = delivered(message(1, "late"), message(2, object_id="b"), message(3), message(4))
    assert [one.alert_id for one in out] == [2, 3, 1, 4]
    # it is filed where it arrives
    assert out[2].visit == 3


def test_a_late_message_without_successor_comes_last() -> None:
    assert [one.alert_id for one in delivered(message(1, "late"), message(2, object_id="b"))] == [2, 1]


def test_a_duplicate_comes_after_its_original() -> None:
    out = delivered(*(message(k, "duplicate", object_id=str(k)) for k in range(50)))
    assert len(out) == 100
    for number in range(50):
        first, second = (one for one in out if one.alert_id == number)
        assert first.fault is None
        assert second.fault is not None
        assert second.fault.expected == "duplicate"
        assert first.value == second.value


@given(st.lists(st.tuples(st.sampled_from(["", "late", "duplicate"]), st.sampled_from("abc")), max_size=40))
def test_nothing_is_lost_in_delivery(kinds: list[tuple[str, str]]) -> None:
    sent = [message(k, name, object_id=owner) for k, (name, owner) in enumerate(kinds)]
    counts = Counter(one.alert_id for one in delivered(*sent))
    assert counts == {k: 2 if name == "duplicate" else 1 for k, (name, _) in enumerate(kinds)}


@pytest.mark.parametrize("survey", ["lsst", "ztf"])
def test_a_plan_holds_every_fault_where_it_fits(survey: Survey) -> None:
    n = 400
    rng = np.random.default_rng(2)
    history, mover = rng.random(n) < 0.3, rng.random(n) < 0.3
    chosen = faults.plan(survey, history, mover, faults.default_rates(), rng, each=True)
    names = np.array([faults.NAMES[k] if k >= 0 else "" for k in chosen])
    wanted = {name for name, kind in faults.KINDS.items() if survey in kind.surveys and name != "twin"}
    assert set(names.tolist()) == wanted | {""}
    assert history[np.isin(names, ["gap", "reprocessed"])].all()
    assert not mover[names == "late"].any()


def test_rates_are_kept() -> None:
    n = 20_000
    yes, no = np.ones(n, np.bool_), np.zeros(n, np.bool_)
    chosen = faults.plan("lsst", yes, no, faults.default_rates(), np.random.default_rng(3), each=False)
    for name in ("duplicate", "late", "gap", "spelling"):
        assert np.mean(chosen == faults.NAMES.index(name)) == pytest.approx(faults.KINDS[name].rate, rel=0.3)
    none = faults.plan("lsst", yes, no, {}, np.random.default_rng(3), each=True)
    assert (none == -1).all()


def test_too_few_alerts_for_every_fault() -> None:
    one = np.ones(2, np.bool_)
    chosen = faults.plan("ztf", one, ~one, faults.default_rates(), np.random.default_rng(1), each=True)
    assert (chosen >= 0).all()


def test_a_broker_makes_of_each_message_what_is_expected(messages: tuple[SimMessage, ...], tmp_path: object) -> None:
    """Our own decoder refuses what must be refused, and nothing else."""
    source = SchemaSource()
    for version in ("10.0", "11.0", "11.1"):
        from lasair.packets.avro import compile_schema
        from lasair.schema.avsc import schema_id

        source._found[schema_id(version)] = compile_schema(writer_schema("lsst", version))
    sent = [Message(one.value, "p", k, 0.0) for k, one in enumerate(messages)]
    batches, refused = decode(sent, source)
    expected = {k for k, one in enumerate(messages) if one.fault and one.fault.expected == "refused"}
    assert {one.message.offset for one in refused} == expected
    ids = [int(i) for batch in batches for i in batch.alerts["alert_id"]]
    good = [one.alert_id for k, one in enumerate(messages) if k not in expected]
    assert sorted(ids) == sorted(good)
    copies = sum(1 for one in messages if one.fault and one.fault.expected == "duplicate")
    assert len(set(good)) == len(good) - copies
