"""Alerts of LIGO, Virgo and KAGRA."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lasair.errors import BadDefinition
from lasair.events.igwn import read_igwn
from lasair.events.notice import Fields
from lasair.sky.skymap import SkyMap
from tests.unit.events.made import fits_bytes, igwn, multi_order


def read(**changes: Any) -> Any:
    return read_igwn(Fields(igwn(**changes), "f"))


def test_alert() -> None:
    found = read()
    assert (found.name, found.mission, found.kind, found.test) == ("S260301ab", "LVK", "preliminary", False)
    assert (found.t0.utc, found.far) == ("2026-03-01T10:20:30.123000Z", 1e-9)
    assert found.classification == {"BNS": 0.9, "Terrestrial": 0.1}
    assert isinstance(found.localisation, SkyMap) and found.why_none == ""
    assert "skymap" not in found.params["event"] and found.params["event"]["group"] == "CBC"


def test_map_on_many_lines() -> None:
    text = base64.encodebytes(multi_order()).decode()
    assert isinstance(read(event={"skymap": text}).localisation, SkyMap)


def test_retraction_takes_the_place_of_all_before() -> None:
    first, gone = read(), read(alert_type="RETRACTION", time_created="2026-03-01T11:00:00Z", event=None)
    assert gone.retracted and gone.supersedes(first) and not first.supersedes(gone)
    assert gone.localisation is None and "retracted" in gone.why_none and gone.t0 is None and gone.name == first.name


@pytest.mark.parametrize("skymap", [None, ""])
def test_alert_without_a_map(skymap: Any) -> None:
    found = read(event={"skymap": skymap})
    assert found.localisation is None and "no sky map" in found.why_none and "--skymap" in found.why_none


def test_mocks_and_combined_maps() -> None:
    assert read(superevent_id="MS260301ab").test and read(superevent_id="TS260301ab").test
    found = read(external_coinc={"observatory": "Fermi", "combined_skymap": "x" * 999})
    assert found.params["external_coinc"] == {"observatory": "Fermi"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"superevent_id": 7.5}, "superevent_id"),
        ({"superevent_id": "///"}, "superevent_id"),
        ({"superevent_id": "S" * 500}, "superevent_id"),
        ({"alert_type": "HELLO"}, "alert_type is 'HELLO'"),
        ({"alert_type": None}, "alert_type"),
        ({"alert_type": ["UPDATE"]}, "alert_type is a list"),
        ({"event": None}, "event is missing"),
        ({"event": {"time": "soon"}}, "event.time"),
        ({"event": {"far": "low"}}, "event.far"),
        ({"event": {"far": True}}, "event.far"),
        ({"event": {"classification": [1]}}, "event.classification"),
        ({"event": {"classification": {"BNS": "high"}}}, r"event\.classification\.BNS"),
        ({"event": {"skymap": "h" * 9}}, "event.skymap: is not base64"),
        ({"event": {"skymap": "é" * 8}}, "event.skymap: is not base64"),
        ({"event": {"skymap": base64.b64encode(b"hello").decode()}}, "event.skymap: is no FITS"),
        ({"event": {"skymap": base64.b64encode(multi_order()[:4000]).decode()}}, "event.skymap: "),
        ({"event": {"skymap": base64.b64encode(fits_bytes({"A": [1]})).decode()}}, "event.skymap: this FITS file"),
        ({"event": {"skymap": base64.b64encode(multi_order([4, 4])).decode()}}, "event.skymap: two cells"),
        ({"event": {"skymap": {}}}, "event.skymap"),
        ({"external_coinc": "yes"}, "external_coinc"),
        ({"time_created": 7}, "time_created"),
    ],
)
def test_wrong_alerts(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadDefinition, match=f"^f: .*{reason}"):
        read(**changes)
