"""VOEvents."""

from __future__ import annotations

from typing import Any

import pytest

from lasair.errors import BadDefinition
from lasair.events.voevent import read_voevent
from lasair.events.xml_tree import read_xml
from tests.unit.events.made import voevent

GBM = "ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos_2018-01-16"
AMON = "ivo://nasa.gsfc.gcn/AMON#ICECUBE_BRONZE_Event2022"
LVC = "ivo://gwnet/LVC#S190425z-1-Initial"


def read(params: dict[str, str] | None = None, **how: Any) -> Any:
    return read_voevent(read_xml(voevent(params, **how), "f"), "f")


def test_swift() -> None:
    found = read()
    assert (found.name, found.mission, found.kind, found.version) == ("Swift_77", "Swift", "initial", 3.0)
    assert (found.t0.utc, found.issued.utc) == ("2026-03-01T10:20:30.120000Z", "2026-03-01T10:22:00Z")
    where = found.localisation
    assert (where.ra, where.decl, where.radius_deg, where.containment) == (64.7, 13.3, 0.05, 0.9)
    assert found.params["what"] == {"TrigID": "77", "Pkt_Ser_Num": "3"} and not found.test and found.far is None


def test_containment() -> None:
    assert read(ivorn=GBM).localisation.containment == 0.68
    assert read(ivorn=GBM.replace("GBM", "LAT")).localisation.containment == 0.9


def test_icecube_has_the_name_of_its_json() -> None:
    params = {"AMON_ID": "1", "run_id": "136973", "event_id": "28816141", "Rev": "1", "Retraction": "false"}
    found = read(params, ivorn=AMON)
    assert (found.name, found.mission, found.kind) == ("IceCube_136973_28816141", "IceCube", "update")
    assert read({"AMON_ID": "5"}, ivorn=AMON).name == "AMON_5"
    assert read(params | {"Retraction": "true"}, ivorn=AMON).kind == "retraction"


def test_rates() -> None:
    group = '<Param name="FAR" value="2" unit="yr^-1"/>'
    assert read(groups=group).far == pytest.approx(2 / 365.25 / 86400)
    assert read(groups=group.replace("yr^-1", "Hz")).far == 2.0


def test_gravitational_wave() -> None:
    groups = (
        '<Group type="GW_SKYMAP"><Param name="skymap_fits" value="data/map.fits.gz"/></Group>'
        '<Group type="Classification"><Param name="BNS" value="0.75"/><Param name="BBH" value="0.25"/></Group>'
    )
    found = read({"GraceID": "S190425z", "AlertType": "Preliminary"}, ivorn=LVC, groups=groups, radius=None)
    assert (found.name, found.mission, found.kind, found.test) == ("S190425z", "LVK", "preliminary", False)
    assert found.classification == {"BNS": 0.75, "BBH": 0.25} and found.map_url == "data/map.fits.gz"
    assert found.localisation is None and "which is not fetched" in found.why_none
    gone = read({"GraceID": "S190425z", "AlertType": "Retraction"}, ivorn=LVC)
    assert gone.retracted and gone.localisation is None


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"cite": "followup"}, "update"),
        ({"cite": "supersedes"}, "update"),
        ({"cite": "retraction"}, "retraction"),
        ({"params": {"TrigID": "1", "Def_NOT_a_GRB": "true"}}, "retraction"),
        ({"params": {"TrigID": "1", "Def_NOT_a_GRB": "false"}}, "initial"),
        ({"params": {"TrigID": "1", "Updated_Notice": "true"}}, "update"),
    ],
)
def test_kinds(how: dict[str, Any], kind: str) -> None:
    assert read(**how).kind == kind


@pytest.mark.parametrize(
    "how",
    [
        {"role": "test"},
        {"role": "utility"},
        {"groups": '<Group name="Trigger_ID"><Param name="Test_Submission" value="true"/></Group>'},
        {"params": {"AMON_ID": "1", "InternalTest": "true"}},
        {"params": {"GraceID": "MS190425z"}},
        {"params": {"GraceID": "S190425z", "HardwareInj": "1"}},
    ],
)
def test_tests(how: dict[str, Any]) -> None:
    assert read(**how).test


@pytest.mark.parametrize(
    ("radius", "reason"), [(None, "without"), ("0", "without"), ("", "without"), ("-1", "negative")]
)
def test_no_localisation(radius: str | None, reason: str) -> None:
    found = read(radius=radius)
    assert found.localisation is None and reason in found.why_none


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<a/>", "no VOEvent"),
        (b"<VOEvent/>", "no identifier"),
        (voevent(ivorn="http://x/y"), "no identifier"),
        (voevent({"TrigID": "/"}), "nothing names"),
        (voevent({"TrigID": "7" * 300}), "nothing names"),
        (voevent(radius="wide"), "Error2Radius is 'wide'"),
        (voevent(radius="nan"), "Error2Radius is 'nan'"),
        (voevent(radius="1e9"), "radius"),
        (voevent({"TrigID": "1", "FAR": "low"}), "FAR is 'low'"),
        (voevent().replace(b"13.3", b"133"), "no place on the sky"),
        (voevent().replace(b'unit="deg"', b'unit="rad"'), "is in 'rad'"),
        (voevent().replace(b"10:20:30.12<", b"30:20:30<"), "ISOTime is"),
        (voevent(head='<!DOCTYPE a [<!ENTITY b "c">]>'), "document type"),
    ],
)
def test_wrong_notices(content: bytes, reason: str) -> None:
    with pytest.raises(BadDefinition, match=f"^f: .*{reason}"):
        read_voevent(read_xml(content, "f"), "f")
