"""Equality with fastavro, field by field, on every real packet there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lasair.packets.batch import AlertBatch, Message, Refused
from lasair.packets.decode import decode
from lasair.packets.files import read_messages
from lasair.packets.notebook import record
from lasair.packets.schemas import SchemaSource
from tests.support.data import DATA
from tests.support.packets import check_equal

FOLDERS = [DATA / name for name in ("lsst", "ztf")] if DATA else []


def everything(folder: Path) -> tuple[list[AlertBatch], list[Refused]]:
    found = list(read_messages(folder))
    messages = [one for one in found if isinstance(one, Message)]
    batches, refused = decode(messages, SchemaSource([folder / "schemas"]))
    return batches, [one for one in found if isinstance(one, Refused)] + refused


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_columns_equal_fastavro(folder: Path) -> None:
    batches, refused = everything(folder)
    assert len(batches) == 1
    batch = batches[0]
    for i in range(len(batch)):
        check_equal(batch.select(np.array([i])), [record(batch, i, cutouts=True)])
    names = sorted(Path(one.message.partition).name for one in refused)
    if folder.name == "lsst":
        assert names == [f"minimal_v7_{minor}.bin" for minor in range(5)]
        assert all("impossible time" in one.reason for one in refused)
    else:
        assert len(names) == 4 and all("damaged" in one.message.partition for one in refused)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_whole_kafka_messages_give_the_same(folder: Path) -> None:
    """A ZTF file of one record is a message byte for byte; LSST's datum gets its frame back."""
    batches, _ = everything(folder)
    batch = batches[0]
    again = []
    for k, message in enumerate(batch.messages):
        if message.schema is None:
            again.append(message)
        elif folder.name == "lsst":
            major, minor = message.schema.version.split(".")
            frame = b"\0" + (int(major) * 100 + int(minor)).to_bytes(4, "big")
            again.append(message._replace(value=frame + message.value, schema=None))
        elif Path(message.partition).parent.name.startswith(("v", "sn_")):
            again.append(Message(Path(message.partition).read_bytes(), message.partition, k, 0.0))
        else:
            again.append(message)
    framed, refused = decode(again, SchemaSource([folder / "schemas"]))
    assert refused == []
    assert framed[0].alerts.tobytes() == batch.alerts.tobytes()
    assert framed[0].rows.tobytes() == batch.rows.tobytes()
