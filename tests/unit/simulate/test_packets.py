"""The packets of both surveys: valid for fastavro, consistent within themselves and from packet to packet."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import fastavro
import numpy as np
import pytest

from lasair.schema.avsc import writer_schema
from lasair.schema.model import Survey
from lasair.simulate import faults
from lasair.simulate.messages import SimMessage
from lasair.simulate.profiles import simulate
from tests.support.data import DATA

Record = dict[str, Any]
Messages = tuple[SimMessage, ...]

#: faults that change a packet's times, places or history
_BENT = {"future_time", "bad_position", "infinite_snr", "gap", "reprocessed", "closed_programme"}
SCHEMAS = ["ours", "official"] if DATA else ["ours"]


@cache
def schema_of(origin: str, survey: Survey, version: str) -> Any:
    if origin == "official" and DATA:
        name = f"{survey}.v{version.replace('.', '_')}.alert.avsc" if survey == "lsst" else "ztf.alert.v4_02.avsc"
        text = (
            (DATA / survey / "schemas" / name).read_text()
            if survey == "lsst"
            else (DATA / "ztf/schemas" / name).read_text()
        )
        return fastavro.parse_schema(json.loads(text))
    return fastavro.parse_schema(writer_schema(survey, version))


def record(message: SimMessage, origin: str = "ours") -> Record:
    assert message.datum is not None
    file = io.BytesIO(message.value[slice(*message.datum)])
    found = fastavro.schemaless_reader(file, schema_of(origin, message.survey, message.version))
    assert not file.read(), "bytes are left over"
    assert isinstance(found, dict)
    return found


def sound(messages: Messages, survey: Survey) -> list[Record]:
    return [
        record(one)
        for one in messages
        if one.survey == survey and one.datum and (one.fault is None or one.fault.name not in _BENT)
    ]


@pytest.mark.parametrize("origin", SCHEMAS)
def test_every_packet_is_read_and_written_back_to_the_same_bytes(messages: Messages, origin: str) -> None:
    kinds: Counter[str] = Counter()
    for message in messages:
        if message.datum is None or (message.fault and message.fault.name == "huge_cutout"):
            continue
        found = record(message, origin)
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema_of(origin, message.survey, message.version), found)
        assert out.getvalue() == message.value[slice(*message.datum)]
        kinds[f"{message.survey} {message.version}"] += 1
    assert set(kinds) == {"lsst 10.0", "lsst 11.0", "lsst 11.1", "ztf 4.02"}


def test_framing(messages: Messages) -> None:
    for message in messages:
        if message.datum is None:
            continue
        if message.survey == "lsst":
            number = int(message.version.split(".")[0]) * 100 + int(message.version.split(".")[1])
            assert message.value[:5] == b"\0" + number.to_bytes(4, "big")
        else:
            (found,) = fastavro.reader(io.BytesIO(message.value))
            assert isinstance(found, dict)
            assert found["candid"] == message.alert_id
            assert found["objectId"] == message.object_id


def test_same_seed_same_bytes_other_seed_other_ids(messages: Messages) -> None:
    again = list(simulate("test", seed=5, n=400))
    assert again == list(messages)
    other = list(simulate("test", seed=6, n=400))
    assert not {one.alert_id for one in other} & {one.alert_id for one in messages}


def test_messages_come_night_by_night(messages: Messages) -> None:
    nights = [one.night for one in messages]
    assert nights == sorted(nights)
    for survey in ("lsst", "ztf"):
        visits = [(one.night, one.visit) for one in messages if one.survey == survey]
        assert visits == sorted(visits)


def test_lsst_packet(messages: Messages) -> None:
    seen: dict[int, dict[int, Record]] = defaultdict(dict)
    packets = sound(messages, "lsst")
    for packet in packets:
        source = packet["diaSource"]
        assert packet["diaSourceId"] == source["diaSourceId"] > 2**53
        assert abs(source["psfFlux"]) > 5 * source["psfFluxErr"] * 0.999
        assert source["isNegative"] == (source["psfFlux"] < 0)
        assert source["snr"] == pytest.approx(abs(source["psfFlux"]) / source["psfFluxErr"], rel=1e-5)
        assert source["reliability"] >= 0.5
        assert 0 <= source["detector"] < 189
        assert source["timeProcessedMjdTai"] > source["midpointMjdTai"]
        history = packet["prvDiaSources"] or []
        times = [row["midpointMjdTai"] for row in history]
        assert times == sorted(set(times))
        assert all(time < source["midpointMjdTai"] for time in times)
        forced = packet["prvDiaForcedSources"] or []
        assert [row["midpointMjdTai"] for row in forced] == sorted(row["midpointMjdTai"] for row in forced)
        if forced:
            # from the day after the object was made, up to the triggering visit
            assert np.floor(forced[0]["midpointMjdTai"]) > np.floor((times or [source["midpointMjdTai"]])[0])
            assert forced[-1]["visit"] == source["visit"]
        for row in (*history, source):
            old = seen[source["diaObjectId"] or 0].setdefault(row["diaSourceId"], row)
            if source["diaObjectId"]:
                assert same(old, row)


def same(one: Record, two: Record) -> bool:
    """Rows agree in what both schema versions have, NaN or null for "missing"."""

    def plain(value: Any) -> Any:
        return None if value == 0 or (isinstance(value, float) and np.isnan(value)) else value

    return all(plain(one[key]) == plain(two[key]) for key in one.keys() & two.keys())


def test_lsst_objects_and_movers(messages: Messages) -> None:
    packets = sound(messages, "lsst")
    movers = [one for one in packets if one["ssSource"]]
    assert 0.15 < len(movers) / len(packets) < 0.35
    for packet in packets:
        source = packet["diaSource"]
        if packet["ssSource"]:
            assert packet["diaObject"] is packet["prvDiaSources"] is packet["prvDiaForcedSources"] is None
            assert source["diaObjectId"] in (None, 0)
            assert source["ssObjectId"] == packet["ssSource"]["ssObjectId"]
            assert packet["ssSource"]["designation"] == packet["mpc_orbits"]["designation"]
            assert len(packet["mpc_orbits"]["mpc_orb_jsonb"]) > 1000
            json.loads(packet["mpc_orbits"]["mpc_orb_jsonb"])
            assert packet["ssSource"]["ephOffset"] < 1
        else:
            assert packet["mpc_orbits"] is None
            summary = packet["diaObject"]
            assert summary["diaObjectId"] == source["diaObjectId"]
            # known by the id of its first detection
            first = (packet["prvDiaSources"] or [source])[0]
            assert summary["diaObjectId"] == first["diaSourceId"]
            assert summary["nDiaSources"] == len(packet["prvDiaSources"] or []) + 1
            band = source["band"]
            same_band = [row["psfFlux"] for row in (*(packet["prvDiaSources"] or []), source) if row["band"] == band]
            assert summary[f"{band}_psfFluxNdata"] == len(same_band)
            assert summary[f"{band}_psfFluxMax"] == max(same_band)
            assert summary[f"{band}_psfFluxMin"] == min(same_band)
    assert {packet["diaSource"]["diaObjectId"] for packet in movers} == {None, 0}


def test_ztf_packet(messages: Messages) -> None:
    movers = stars = 0
    rows: dict[int, Record] = {}
    for packet in sound(messages, "ztf"):
        found = packet["candidate"]
        assert found["candid"] == packet["candid"]
        assert found["pid"] == found["candid"] // 10**6
        assert found["nid"] == int(found["jd"] - 2457754.5)
        assert found["isdiffpos"] in ("t", "f")
        assert found["fid"] in (1, 2, 3)
        assert found["programid"] == 1
        assert 10 < found["magpsf"] < 22
        assert found["jdstarthist"] <= found["jdendhist"] == found["jd"]
        movers += found["ssdistnr"] is not None and 0 <= found["ssdistnr"] <= 5
        stars += found["sgscore1"] > 0.7 and found["distpsnr1"] < 1.5
        history = packet["prv_candidates"] or []
        times = [row["jd"] for row in history]
        assert times == sorted(set(times))
        assert all(found["jd"] - 30.01 < time < found["jd"] for time in times)
        seen = [row for row in history if row["candid"] is not None]
        assert found["ndethist"] >= len(seen) + 1
        for row in history:
            if row["candid"] is None:
                assert row["magpsf"] is None
                assert row["diffmaglim"] > 15
            else:
                assert rows.setdefault(row["candid"], row) == row
        forced = packet["fp_hists"] or []
        times = [row["jd"] for row in forced]
        assert times == sorted(set(times), reverse=True)
        assert all(np.floor(time - 0.5) < np.floor(found["jd"] - 0.5) for time in times)
        failed = [row for row in forced if row["procstatus"] in ("55", "61")]
        assert all(row["forcediffimflux"] == -99999.0 for row in failed)
    assert movers > 0
    assert stars > 0


def test_a_detection_reads_the_same_in_history_and_as_candidate(messages: Messages) -> None:
    shared = {field["name"] for field in _fields("prv_candidate")} & {field["name"] for field in _fields("candidate")}
    own: dict[int, Record] = {}
    for message in messages:
        if message.survey == "ztf" and message.fault is None and message.datum:
            packet = record(message)
            own[packet["candid"]] = packet["candidate"]
            for row in packet["prv_candidates"] or []:
                before = own.get(row["candid"])
                if before is not None:
                    # known movers are matched for alerts only
                    assert {k: row[k] for k in shared if k[:2] != "ss"} == {
                        k: before[k] for k in shared if k[:2] != "ss"
                    }


def _fields(name: str) -> list[dict[str, Any]]:
    from lasair.simulate.encode import record_schema

    fields: list[dict[str, Any]] = record_schema(writer_schema("ztf", "4.02"), name)["fields"]
    return fields


def test_forced_flux_of_ztf_is_the_difference_flux() -> None:
    """Where an object was detected, forced photometry a day later measures the same."""
    checked = 0
    for message in simulate("w-ztf", seed=2, n=300):
        packet = record(message)
        seen = {row["pid"]: row for row in packet["prv_candidates"] or [] if row["candid"] is not None}
        for row in packet["fp_hists"] or []:
            if row["pid"] in seen and row["procstatus"] == "0":
                mag = row["magzpsci"] - 2.5 * np.log10(abs(row["forcediffimflux"]))
                assert mag == pytest.approx(seen[row["pid"]]["magpsf"], abs=0.4 * seen[row["pid"]]["sigmapsf"] + 0.01)
                assert (row["forcediffimflux"] > 0) == (seen[row["pid"]]["isdiffpos"] == "t")
                checked += 1
    assert checked > 20


@pytest.mark.parametrize(("profile", "sources", "forced"), [("lsst-year", 80, 100), ("lsst-deep", 350, 460)])
def test_histories_of_the_heavy_profiles(profile: str, sources: int, forced: int) -> None:
    messages = list(simulate(profile, seed=3, n=12))
    assert len(messages) == 12
    for message in messages:
        packet = record(message)
        assert len(packet["prvDiaSources"]) == sources
        assert len(packet["prvDiaForcedSources"]) == forced
        assert [len(packet[f"cutout{kind}"]) for kind in ("Difference", "Science", "Template")] == [34_560] * 3


def test_the_mix_is_mostly_without_history() -> None:
    packets = [record(one) for one in simulate("lsst-mix", seed=3, n=40)]
    lengths = [len(packet["prvDiaSources"] or []) for packet in packets]
    assert Counter(lengths) == {0: 34, 350: 6}
    # side by side, not one after the other
    deep = [k for k, length in enumerate(lengths) if length]
    assert 2 <= min(np.diff(deep)) <= max(np.diff(deep)) <= 12
    assert any(packet["ssSource"] for packet in packets)


def test_the_ztf_benchmark() -> None:
    packets = [record(one) for one in simulate("w-ztf", seed=1, n=400)]
    assert len(packets) == 400
    assert all(10 <= len(packet["prv_candidates"]) <= 21 for packet in packets)
    assert 0.2 < np.mean([packet["fp_hists"] is not None for packet in packets]) < 0.5


def test_a_burst_is_one_visit() -> None:
    messages = list(simulate("lsst-visit", seed=1, n=60, rates={}))
    packets = [record(one) for one in messages]
    assert len({packet["diaSource"]["visit"] for packet in packets}) == 1
    detectors = [packet["diaSource"]["detector"] for packet in packets]
    assert detectors == sorted(detectors)


def test_faults_can_be_chosen() -> None:
    found = list(simulate("test", seed=1, n=150, rates={"truncated": 0.2}))
    names = Counter(one.fault.name for one in found if one.fault)
    assert set(names) <= {"truncated", "schema_change", "zero_object", "twin"}
    assert names["truncated"] > 10
    assert not any(one.fault for one in simulate("test", seed=1, n=50, rates={}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "nothing"}, "no profile 'nothing'"),
        ({"profile": "test", "n": 0}, "at least 1"),
        ({"profile": "test", "rates": {"truncted": 1.0}}, "no fault 'truncted'"),
        ({"profile": "test", "first_night": 20261301}, "20261301 is no date"),
        ({"profile": "test", "first_night": 20180601}, "from 20190201 to 20401231"),
        ({"profile": "test", "first_night": 20410101}, "from 20190201 to 20401231"),
    ],
)
def test_what_there_is_not_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(simulate(**arguments))


@pytest.mark.parametrize("n", [1, 37])
@pytest.mark.parametrize("profile", ["demo", "test", "lsst-mix", "lsst-year", "w-ztf"])
def test_as_many_alerts_as_asked_for(profile: str, n: int) -> None:
    assert len(list(simulate(profile, seed=4, n=n, rates={}))) == n


def test_another_first_night() -> None:
    messages = list(simulate("test", seed=1, n=30, rates={}, first_night=20270615))
    assert min(one.night for one in messages) >= 20270615


def test_every_fault_has_its_mark(messages: Messages) -> None:
    names = {one.fault.name for one in messages if one.fault}
    assert names >= set(faults.NAMES)
    assert "schema_change" in names
