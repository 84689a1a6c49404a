"""Files of every format, made ones and broken ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.errors import BadDefinition
from lasair.events.read import read_event
from lasair.sky.skymap import SkyMap
from tests.unit.events.made import flat, gcn, igwn, multi_order, told, voevent


@pytest.fixture
def put(tmp_path: Path) -> Any:
    def write(content: Any, name: str = "event") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_formats_are_known_by_content(put: Any, pack: Any) -> None:
    names = ("S260301ab", "Example_12_34", "Swift_77", "GRB260301A")
    contents = (json.dumps(igwn()).encode(), json.dumps(gcn()).encode(), voevent(), multi_order(OBJECT="GRB260301A"))
    for name, content in zip(names, contents, strict=True):
        assert read_event(put(pack(content))).name == name


def test_header_of_a_map(put: Any) -> None:
    cards: dict[str, Any] = {"OBJECT": "S260301ab", "ORIGIN": "LIGO/Virgo/KAGRA", "DATE_OBS": "2026-03-01T10:20:30.5"}
    found = read_event(put(multi_order(DATE="2026-03-01T11:00:00", **cards)))
    assert (found.name, found.mission, found.kind, found.test) == ("S260301ab", "LVK", "initial", False)
    assert found.t0 is not None and found.t0.utc == "2026-03-01T10:20:30.500000Z"
    assert found.issued is not None and found.params["header"]["PIXTYPE"] == "HEALPIX"
    assert orjson.dumps(found.params)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("bayestar.multiorder.fits", "bayestar"), ("GRB1_map.fit.gz", "GRB1_map"), ("a.b.fits,2", "a.b"), ("x y", "x_y")],
)
def test_a_map_is_named_by_its_file(put: Any, name: str, expected: str) -> None:
    found = read_event(put(multi_order(), name))
    assert (found.name, found.t0, found.window) == (expected, None, None)


@pytest.mark.parametrize(
    ("cards", "utc"),
    [
        ({"MJD_OBS": 60000.5}, "2023-02-25T12:00:00Z"),
        ({"EVENTMJD": 60000.25, "DATE_OBS": "?"}, "2023-02-25T06:00:00Z"),
        ({"OBJECT": "GRB220617A"}, "2022-06-17T00:00:00Z"),
    ],
)
def test_time_of_a_map(put: Any, cards: dict[str, Any], utc: str) -> None:
    found = read_event(put(multi_order(**cards)))
    assert found.t0 is not None and found.t0.utc == utc


@pytest.mark.parametrize("cards", [{"OBJECT": "GRB229917A"}, {"MJD_OBS": 1e300}, {"MJD_OBS": "never"}])
def test_no_time_of_a_map(put: Any, cards: dict[str, Any]) -> None:
    assert read_event(put(multi_order(**cards))).t0 is None


def test_a_map_beside_the_notice(put: Any) -> None:
    skymap = put(flat(np.arange(12.0)), "map.fits")
    for content in (gcn(ra=None), gcn(healpix_file="hhhh..."), igwn(event={"skymap": "?"}), voevent()):
        found = read_event(put(content), skymap=skymap)
        assert isinstance(found.localisation, SkyMap) and found.why_none == "" and found.t0 is not None
    gone = read_event(put(gcn(alert_type="retraction")), skymap=skymap)
    assert gone.localisation is None and "retracted" in gone.why_none
    with pytest.raises(BadDefinition, match=r"map\.csv: is no FITS"):
        read_event(put(gcn()), skymap=put(b"ra,dec", "map.csv"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"hello", "neither a notice"),
        (b"PK\x03\x04", "neither a notice"),
        (b"{", "not JSON"),
        (b'{"mission": "\\ud800"}', "not JSON"),
        (b'{"mission": NaN}', "not JSON"),
        (b'{"far": 1e999, "mission": "a", "id": "1"}', "event: "),
        (b"[]", "the notice is a list"),
        (b'[{"mission": 1}]', "the notice is a list"),
        (b"{}", "no notice"),
        (b'{"a": 1}', "no notice"),
        (b"[" * 200_000, "not JSON"),
        (b'{"mission":' + b'{"a":' * 100 + b"1" + b"}" * 101, "nested more than"),
        (json.dumps(gcn(additional_info="x" * 1_100_000)).encode(), "bytes beside its map"),
        (b"<?xml version='1.0'?><!DOCTYPE a []><a/>", "document type"),
        (b"<html></html>", "no VOEvent"),
        (b"SIMPLE  = T", "header has no end"),
        (gzip.compress(json.dumps(gcn()).encode())[:-20], "compressed data"),
    ],
)
def test_bad_files(put: Any, content: bytes, reason: str) -> None:
    with pytest.raises(BadDefinition) as caught:
        read_event(put(content))
    assert "event: " in str(caught.value) and reason in str(caught.value)


@given(st.binary(max_size=300), st.sampled_from([b"", b"{", b"<", b"SIMPLE  =", b"\x1f\x8b", b"\x1f\x8b\x08\0"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes(content: bytes, head: bytes) -> None:
    told(head + content)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("2026-03-01T00:00:00"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([igwn(), gcn(), gcn(coincident_events=[{"id": 1}], data={"targets": []})]), st.data())
@settings(max_examples=250, deadline=None)
def test_any_types(notice: dict[str, Any], data: st.DataObject) -> None:
    changed = dict(notice)
    for _ in range(2):
        changed[data.draw(st.sampled_from([*notice, "far", "classification", "healpix_file", "mission"]))] = data.draw(
            VALUES
        )
    if isinstance(changed.get("event"), dict):
        changed["event"] = changed["event"] | {data.draw(st.sampled_from(list(igwn()["event"]))): data.draw(VALUES)}
    told(json.dumps(changed).encode())


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_any_damage_to_a_voevent(data: st.DataObject) -> None:
    content = bytearray(voevent())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    told(bytes(content[: data.draw(st.integers(0, len(content)))]))
