from __future__ import annotations

import bz2
import lzma
import zlib
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from lasair.packets import containers, files
from lasair.packets.batch import Message, Refused
from lasair.packets.containers import SYNC_SIZE, header_end
from lasair.packets.decode import decode
from lasair.packets.files import read_messages
from tests.support.packets import (
    container,
    datum,
    encode,
    lsst_alert,
    lsst_value,
    small_lsst,
    small_ztf,
    zigzag,
    ztf_alert,
)

ZTF = small_ztf()
SYNC = bytes(range(16))


def alerts(n: int, **values: Any) -> list[dict[str, Any]]:
    return [ztf_alert(candid=k + 1, **values) for k in range(n)]


def header(schema: Any = ZTF, codec: str = "null") -> bytes:
    whole = container(schema, [], codec="null", sync_marker=SYNC)
    before = whole[: header_end(whole)[0]]
    return before.replace(b"\x14avro.codec\x08null", b"\x14avro.codec" + zigzag(len(codec)) + codec.encode()) + SYNC


def block(records: list[bytes], *, count: int | None = None, pack: Any = bytes, sync: bytes = SYNC) -> bytes:
    data = pack(b"".join(records))
    return zigzag(len(records) if count is None else count) + zigzag(len(data)) + data + sync


def datums(n: int, first: int = 0) -> list[bytes]:
    return [datum(ZTF, ztf_alert(candid=first + k + 1)) for k in range(n)]


def ids(found: list[Message | Refused]) -> list[int | str]:
    """Offsets of messages with the alerts in them, reasons of what was refused."""
    out: list[int | str] = []
    for one in found:
        if isinstance(one, Refused):
            out.append(one.reason)
            continue
        batches, refused = decode([one], None)
        out.append(refused[0].reason if refused else int(batches[0].alerts["alert_id"][0]))
    return out


def offsets(found: list[Message | Refused]) -> list[int]:
    return [(one.message if isinstance(one, Refused) else one).offset for one in found]


def read(path: Path, **options: Any) -> list[Message | Refused]:
    return list(read_messages(path, **options))


def test_folders_are_read_recursively_in_name_order(tmp_path: Path) -> None:
    for name in ("b/2.avro", "a/1.avro", "b/1.avro", "c.avro"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(container(ZTF, alerts(1)))
    (tmp_path / "b/3.bin").write_bytes(lsst_value(small_lsst(), lsst_alert()))
    (tmp_path / "notes.txt").write_text("not a packet")
    (tmp_path / "d.avro").mkdir()
    found = read(tmp_path, arrived=5.0)
    assert [one.partition for one in found if isinstance(one, Message)] == [
        str(tmp_path / name) for name in ("a/1.avro", "b/1.avro", "b/2.avro", "b/3.bin", "c.avro")
    ]
    assert all(isinstance(one, Message) and one.arrived == 5.0 and one.offset == 0 for one in found)
    framed = found[3]
    assert isinstance(framed, Message) and framed.schema is None


@pytest.mark.parametrize("codec", ["null", "deflate"])
@pytest.mark.parametrize("interval", [1, 16000])
def test_containers_give_a_message_a_record(tmp_path: Path, codec: str, interval: int) -> None:
    path = tmp_path / "many.avro"
    path.write_bytes(container(ZTF, alerts(300), codec=codec, sync_interval=interval))
    found = read(path)
    assert offsets(found) == list(range(300))
    assert ids(found) == list(range(1, 301))
    later = read(path, start=lambda partition: 287 if partition == str(path) else 0)
    assert later == found[287:] or offsets(later) == list(range(287, 300))
    assert ids(later) == list(range(288, 301))
    assert read(path, start=lambda _: 300) == []


@pytest.mark.parametrize(
    ("codec", "pack"),
    [
        ("bzip2", bz2.compress),
        ("xz", lzma.compress),
        ("snappy", lambda data: pa.compress(data, codec="snappy", asbytes=True) + zlib.crc32(data).to_bytes(4, "big")),
        ("zstandard", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    ],
)
def test_rarer_codecs(tmp_path: Path, codec: str, pack: Any) -> None:
    path = tmp_path / "a.avro"
    path.write_bytes(header(codec=codec) + block(datums(3), pack=pack) + block(datums(2, 3), pack=pack))
    assert ids(read(path)) == [1, 2, 3, 4, 5]
    path.write_bytes(header(codec=codec) + block([b"no such data"]) + block(datums(1), pack=pack))
    found = ids(read(path))
    assert "cannot be unpacked" in str(found[0]) and found[1:] == [1]


def test_a_damaged_record_spares_the_ones_before_and_the_next_block(tmp_path: Path) -> None:
    path = tmp_path / "a.avro"
    broken = datums(4)
    broken[2] = b"\xff" * 40
    path.write_bytes(header() + block(broken) + block(datums(2, 10)))
    found = read(path)
    assert ids(found) == [1, 2, "a record of the container is damaged", 11, 12]
    assert offsets(found) == [0, 1, 2, 4, 5]
    # a later run that skips the first block counts alike
    assert offsets(read(path, start=lambda _: 4)) == [4, 5]
    assert offsets(read(path, start=lambda _: 5)) == [5]


@pytest.mark.parametrize(
    ("middle", "reason", "behind"),
    [
        (block(datums(2), sync=b"x" * 16), "no sync marker", 4),
        (block(datums(2), count=3), "a record of the container is damaged", 5),
        (block(datums(3), count=2), "more bytes than records", 4),
        (block(datums(1), count=0), "impossible size", 3),
        (block(datums(1), count=-1), "impossible size", 3),
        (zigzag(1) + zigzag(2**50) + b"abc" + SYNC, "impossible size", 3),
        (zigzag(1) + zigzag(2**20) + b"abc" + SYNC, "ends within a block", 3),
        (b"\xff" * 30 + SYNC, "64 bits", 3),
        (b"rubbish without an end", "", 0),
    ],
)
def test_a_damaged_block_is_refused_and_reading_goes_on(
    tmp_path: Path, middle: bytes, reason: str, behind: int
) -> None:
    path = tmp_path / "a.avro"
    path.write_bytes(header() + block(datums(2)) + middle + block(datums(2, 10)))
    found = read(path)
    assert ids(found)[:2] == [1, 2]
    bad = [one for one in found if isinstance(one, Refused)]
    assert len(bad) == 1 and reason in bad[0].reason and not bad[0].retry
    assert bad[0].message.partition == str(path)
    if behind:
        assert ids(found)[-2:] == [11, 12]
        assert offsets(found)[-2:] == [behind, behind + 1]
        assert len(set(offsets(found))) == len(found)
        for first in range(behind + 2):
            assert offsets(read(path, start=lambda _, first=first: first)) == [
                at for at in offsets(found) if at >= first
            ]


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_every_truncation_of_a_container(tmp_path: Path, codec: str) -> None:
    whole = container(ZTF, alerts(5), codec=codec, sync_interval=300)
    start = header_end(whole)[0] + SYNC_SIZE
    path = tmp_path / "a.avro"
    for end in (*range(0, start, 101), *range(start, len(whole), 13)):
        path.write_bytes(whole[:end])
        found = read(path)
        good = [one for one in ids(found) if isinstance(one, int)]
        assert good == list(range(1, len(good) + 1))
        assert len(found) - len(good) <= 1
        assert (len(found) > len(good)) or end >= start


def test_truncated_plain_blocks_give_their_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "a.avro"
    path.write_bytes((header() + block(datums(3)))[: -SYNC_SIZE - 1])
    assert ids(read(path)) == [1, 2, "the container ends within a block"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not an Avro container"),
        (b"Obj\x02", "not an Avro container"),
        (b"Obj\x01", "ends too early"),
        (b"Obj\x01" + b"\xff" * 20, "64 bits"),
        (b"Obj\x01" + zigzag(2**40), "too many entries"),
        (b"Obj\x01" + zigzag(1) + zigzag(-5), "damaged"),
        (b"Obj\x01" + zigzag(0) + SYNC, "no schema"),
        (header()[:200], "cut off"),
        (header(codec="lzo"), "codec"),
        (header({"type": "record", "name": "x", "fields": [{"name": "a", "type": "int"}]}), "no survey"),
        (header().replace(b'"record"', b'"rekord"'), "the packet's schema"),
        (header().replace(b'{"', b"{{", 1), "no JSON"),
    ],
)
def test_files_that_are_no_packets(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.avro"
    path.write_bytes(content)
    (tmp_path / "b.avro").write_bytes(container(ZTF, alerts(1)))
    found = read(tmp_path)
    assert isinstance(found[0], Refused) and reason in found[0].reason
    assert found[0].message.partition == str(path)
    assert ids(found[1:]) == [1]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    found = read(tmp_path / "none.avro")
    assert isinstance(found[0], Refused) and "cannot be read" in found[0].reason


@pytest.mark.parametrize(("codec", "pack"), [("bzip2", bz2.compress), ("xz", lzma.compress), ("deflate", None)])
def test_decompression_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, pack: Any) -> None:
    monkeypatch.setattr(containers, "MAX_BLOCK_BYTES", 100_000)

    def deflate(data: bytes) -> bytes:
        return zlib.compress(data, wbits=-15)

    path = tmp_path / "a.avro"
    path.write_bytes(
        header(codec=codec) + block([b"\0" * 1_000_000], pack=pack or deflate) + block(datums(1), pack=pack or deflate)
    )
    found = ids(read(path))
    assert "unpacks to more than" in str(found[0]) and found[1:] == [1]


def test_a_snappy_block_cannot_claim_any_size(tmp_path: Path) -> None:
    path = tmp_path / "a.avro"
    path.write_bytes(header(codec="snappy") + block([b"\xff\xff\xff\xff\x0f" + b"abcd"]))
    assert "unpacks to more than" in str(ids(read(path))[0])


def test_what_is_kept_of_a_huge_message_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_MESSAGE_BYTES", 1000)
    (tmp_path / "a.bin").write_bytes(b"\0" * 2000)
    found = read(tmp_path)
    assert isinstance(found[0], Refused) and "more than" in found[0].reason


def test_blocks_with_sizes_inside_records(tmp_path: Path) -> None:
    row = {"jd": 2460490.75, "fid": 1, "pid": 5, "programid": 1}
    from tests.support.packets import filled, sub_type

    records = [
        ztf_alert(candid=k + 1, prv_candidates=[filled(sub_type(ZTF, "prv_candidates"), **row)] * 3) for k in range(3)
    ]
    path = tmp_path / "a.avro"
    path.write_bytes(header() + block([encode(ZTF, one, block=2, sizes=True) for one in records]))
    assert ids(read(path)) == [1, 2, 3]


def test_the_header_is_read_once_for_many_files(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}.avro").write_bytes(container(ZTF, alerts(1)))
    found = [one for one in read_messages(tmp_path) if isinstance(one, Message)]
    assert len({id(one.schema) for one in found}) == 1


def test_fastavro_reads_what_the_helpers_write(tmp_path: Path) -> None:
    path = tmp_path / "a.avro"
    path.write_bytes(header() + block(datums(2)))
    with path.open("rb") as file:
        assert [one["candid"] for one in fastavro.reader(file) if isinstance(one, dict)] == [1, 2]
