from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lasair.packets
from lasair.errors import BadPacket
from lasair.packets.batch import Message
from lasair.packets.decode import decode
from lasair.packets.notebook import read, record
from tests.support.packets import container, lsst_alert, lsst_value, small_lsst, small_ztf, ztf_alert

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "lsst.v11_1.alert.avsc").write_text(json.dumps(small_lsst()))
    (tmp_path / "lsst").mkdir()
    (tmp_path / "lsst" / "a.bin").write_bytes(lsst_value(small_lsst(), lsst_alert(cutoutScience=b"abc")))
    (tmp_path / "ztf").mkdir()
    (tmp_path / "ztf" / "a.avro").write_bytes(container(small_ztf(), [ztf_alert(), ztf_alert(candid=4)]))
    (tmp_path / "ztf" / "b.avro").write_bytes(b"rubbish")
    return tmp_path


def test_columns_of_a_path(folder: Path) -> None:
    batch = lasair.packets.read(folder / "ztf")
    assert batch.survey == "ztf" and batch.alerts["alert_id"].tolist() == [2695378462115010012, 4]
    alerts, rows = batch.to_pandas()
    assert len(alerts) == 2 and rows["alert_id"].tolist() == batch.alerts["alert_id"].tolist()
    assert [one.num_rows for one in batch.to_arrow()] == [2, 2]


@pytest.mark.parametrize("survey", ["lsst", "ztf"])
def test_the_readme_snippet(folder: Path, survey: str) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert "FOLDER_OF_PACKETS/lsst" in text
    names: dict[str, Any] = {}
    exec(text.replace("FOLDER_OF_PACKETS/lsst", str(folder / survey)), names)
    batch, alerts, rows = names["batch"], names["alerts"], names["rows"]
    assert batch.survey == survey and len(alerts) == len(batch)
    np.testing.assert_array_equal(alerts["snr"], batch.snr)
    assert set(rows["kind"]) == {"detection"} and set(rows["band"]) == {{"lsst": "i", "ztf": "r"}[survey]}


def test_schemas_beside_the_packets(folder: Path) -> None:
    assert len(read(folder / "lsst")) == len(read(str(folder / "lsst" / "a.bin"))) == 1
    assert len(read([folder / "lsst"], folder / "schemas")) == 1


def test_both_surveys_need_a_choice(folder: Path) -> None:
    with pytest.raises(BadPacket, match="survey='lsst'"):
        read(folder)
    assert read(folder, survey="ztf").survey == "ztf"
    assert read(folder, survey="lsst").survey == "lsst"


def test_refused_packets_are_left_out_or_raise(folder: Path) -> None:
    with pytest.raises(BadPacket, match=r"b\.avro, record 0: not an Avro container"):
        read(folder / "ztf", strict=True)
    with pytest.raises(BadPacket, match=r"no alert in .*1 packets were refused"):
        read(folder / "ztf" / "b.avro")
    with pytest.raises(BadPacket, match="no alert of lsst"):
        read(folder / "ztf", survey="lsst")


def test_records_hold_every_field(folder: Path) -> None:
    batch = read(folder / "lsst")
    whole = record(batch, 0)
    assert whole["diaSource"]["psfFlux"] == 1234.5 and whole["cutoutScience"] is None
    assert record(batch, 0, cutouts=True)["cutoutScience"] == b"abc"


def test_records_of_a_container_message() -> None:
    value = container(small_ztf(), [ztf_alert()])
    batch = decode([Message(value, "p", 0, 0.0)], None)[0][0]
    assert record(batch, 0)["objectId"] == "ZTF24abcdefg"


def test_records_that_fastavro_cannot_read() -> None:
    value = lsst_value(small_lsst(), lsst_alert(target_name="good")).replace(b"good", b"\xff\xff\xff\xff")
    from lasair.packets.avro import compile_schema

    batch = decode([Message(value[5:], "p", 0, 0.0, compile_schema(small_lsst()))], None)[0][0]
    with pytest.raises(BadPacket, match="fastavro cannot read"):
        record(batch, 0)


def test_importing_the_package_is_light() -> None:
    import subprocess
    import sys

    code = "import sys, lasair.packets; sys.exit('numba' in sys.modules or 'fastavro' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError):
        _ = lasair.packets.nothing
