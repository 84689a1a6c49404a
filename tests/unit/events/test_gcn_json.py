"""GCN's notices in JSON."""

from __future__ import annotations

import base64
import math
from typing import Any

import pytest

from lasair.errors import BadDefinition
from lasair.events.gcn_json import read_gcn_json
from lasair.events.notice import Fields
from lasair.sky.skymap import Circle, SkyMap
from tests.unit.events.made import gcn, multi_order

FOLDER = "https://gcn.nasa.gov/schema/v4/gcn/notices/"


def read(**changes: Any) -> Any:
    return read_gcn_json(Fields(gcn(**changes), "f"))


def test_notice() -> None:
    found = read(far=1e-5, classification={"GRB": 1}, note="x")
    assert (found.name, found.mission, found.kind, found.test) == ("Example_12_34", "Example", "initial", False)
    assert (found.t0.utc, found.issued.utc) == ("2026-03-01T10:20:30Z", "2026-03-01T10:20:40.500000Z")
    assert (found.version, found.far, found.classification) == (2.0, 1e-5, {"GRB": 1.0})
    assert found.params["note"] == "x"
    where = found.localisation
    assert isinstance(where, Circle) and (where.ra, where.decl) == (120.0, -40.0)
    assert where.at([120.5], [-40.0]).contour[0] < 90.0 and where.at([120.0], [-40.5]).contour[0] == pytest.approx(90.0)


@pytest.mark.parametrize(
    ("error", "radius"), [(0.5, 0.5), ([0.5], 0.5), ([4, 1], 2.0), ([2.0, 0.5, 30.0], 1.0), (1, 1.0)]
)
def test_errors_and_ellipses(error: Any, radius: float) -> None:
    assert read(ra_dec_error=error).localisation.radius_deg == pytest.approx(radius)


def test_containment() -> None:
    assert read().localisation.containment == 0.9
    assert read(containment_probability=0.68).localisation.containment == 0.68
    assert read(mission="Fermi", instrument="GBM").localisation.containment == 0.9


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ra_dec_error": "absent"}, "without its error"),
        ({"ra_dec_error": 0}, "without its error"),
        ({"ra_dec_error": [1.0, 0.0]}, "without its error"),
        ({"ra_dec_error": -1.0}, "negative error"),
        ({"ra_dec_error": [-1.0, 2.0]}, "negative error"),
        ({"ra": "absent"}, "gives no position; give a sky map with --skymap FILE"),
        ({"ra": None, "healpix_url": "https://x.org/a"}, "its sky map is at https://x.org/a, which is not fetched"),
        ({"alert_type": "retraction"}, "retracted"),
        ({"ra": None, "coincident_events": [{}, {}]}, "lists 2 positions"),
        ({"ra": None, "coincident_events": [{}]}, "no position"),
    ],
)
def test_why_there_is_no_localisation(changes: dict[str, Any], reason: str) -> None:
    found = read(**changes)
    assert found.localisation is None and reason in found.why_none and not math.isnan(found.t0.mjd_tai)


def test_one_coincident_event_is_a_position() -> None:
    place = {"ra": 1.0, "dec": 2.0, "ra_dec_error": 0.5, "containment_probability": 0.5}
    assert read(ra=None, coincident_events=[{"localization": place}]).localisation.containment == 0.5


def test_map_inside() -> None:
    found = read(healpix_file=base64.b64encode(multi_order()).decode())
    assert isinstance(found.localisation, SkyMap) and "healpix_file" not in found.params
    notice = Fields(gcn(healpix_file="hhhh..."), "f")
    with pytest.raises(BadDefinition, match=r"^f: healpix_file: is not base64"):
        read_gcn_json(notice)
    assert isinstance(read_gcn_json(notice, with_map=False).localisation, Circle)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"id": "7"}, "Example_7"),
        ({"id": 7}, "Example_7"),
        ({"id": ["745121685", "bn240812094"], "mission": "Fermi"}, "Fermi_745121685"),
        ({"id": []}, "Example_20260301T102030Z"),
        ({"id": None, "event_name": ["OQ 334"]}, "Example_OQ_334"),
        ({"id": None, "ref_ID": "S230914ak", "mission": None, "$schema": FOLDER + "icecube/x"}, "IceCube_S230914ak"),
        ({"mission": None, "$schema": FOLDER + "einstein_probe/wxt"}, "EinsteinProbe_12_34"),
        ({"mission": None, "$schema": FOLDER + "new_probe/x.json"}, "NewProbe_12_34"),
        ({"mission": None, "$schema": None, "instrument": "WXT"}, "WXT_12_34"),
        ({"id": None, "data": {"targets": [{"event_name": "ZTF25a"}]}}, "Example_ZTF25a"),
    ],
)
def test_names(changes: dict[str, Any], name: str) -> None:
    assert read(**changes).name == name


@pytest.mark.parametrize("tense", ["test", "injection", "Test"])
def test_tests(tense: str) -> None:
    assert read(alert_tense=tense).test and not read(alert_tense="current").test


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ra": "here"}, "ra is 'here'"),
        ({"ra": True}, "ra is True"),
        ({"dec": 91}, "no place on the sky"),
        ({"ra_dec_error": [1, 2, 3, 4]}, "one to three"),
        ({"ra_dec_error": ["a"]}, "ra_dec_error is 'a'"),
        ({"ra_dec_error": 999}, "radius"),
        ({"containment_probability": 0}, "containment"),
        ({"containment_probability": 90}, "containment"),
        ({"trigger_time": "noon"}, "trigger_time is 'noon'"),
        ({"trigger_time": 5}, "trigger_time is 5"),
        ({"alert_type": "maybe"}, "alert_type"),
        ({"alert_tense": "past"}, "alert_tense"),
        ({"mission": ["a", {}], "id": {}}, "id is an object"),
        ({"id": ["\0"]}, "id is"),
        ({"id": "x" * 300}, "id is"),
        ({"id": None, "trigger_time": None, "alert_datetime": None}, "nothing names"),
        ({"mission": "//", "id": "//"}, "nothing names"),
        ({"healpix_file": 7}, "healpix_file is 7"),
        ({"healpix_url": ["a"]}, "healpix_url"),
        ({"far": "1/yr"}, "far is"),
        ({"coincident_events": 5, "ra": None}, "coincident_events"),
        ({"coincident_events": [5], "ra": None}, r"coincident_events\[0\] is 5"),
    ],
)
def test_wrong_notices(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadDefinition, match=f"^f: .*{reason}"):
        read(**changes)
