from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import pytest

from lasair.errors import StoreUnavailable
from lasair.packets.batch import Message, Refused
from lasair.packets.decode import decode
from lasair.packets.files import read_messages
from lasair.packets.schemas import SchemaSource
from lasair.simulate.profiles import simulate
from lasair.simulate.write import FAULT_COLUMNS, TRUTH_COLUMNS, Summary, write


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return write("test", tmp_path_factory.mktemp("night") / "packets", seed=5, n=400)


def test_what_was_written_is_what_was_simulated(written: Summary) -> None:
    sent = list(simulate("test", seed=5, n=400))
    found = list(read_messages(written.folder))
    assert len(found) == written.total == len(sent)
    assert (
        sum(path.stat().st_size for path in written.folder.rglob("*.*") if path.suffix in (".avro", ".bin"))
        == written.bytes
    )
    records: Counter[bytes] = Counter()
    for one in found:
        if isinstance(one, Message):
            records[one.value] += 1
    wanted: Counter[bytes] = Counter()
    for one in sent:
        wanted[one.value if one.datum is None else one.value[slice(*one.datum)]] += one.datum is not None
    assert records >= +wanted
    assert "lsst/20260302/0001.avro" in digest(written.folder)


def test_same_seed_same_files(written: Summary, tmp_path: Path) -> None:
    write("test", tmp_path / "again", seed=5, n=400)
    assert digest(tmp_path / "again") == digest(written.folder)


def test_the_folder_s_own_schemas_read_it_and_faults_are_where_the_table_says(written: Summary) -> None:
    folder = written.folder
    messages: list[Message] = []
    refused: list[Refused] = []
    for one in read_messages(folder):
        if isinstance(one, Refused):
            refused.append(one)
        else:
            messages.append(one)
    batches, more = decode(messages, SchemaSource([folder / "schemas"]))
    places = {(str(Path(one.message.partition).relative_to(folder)), one.message.offset) for one in (*refused, *more)}
    table = rows(folder / "faults.csv")
    assert tuple(table[0]) == FAULT_COLUMNS
    assert places == {(row["file"], int(row["index"])) for row in table if row["expected"] == "refused"}
    assert len(places) == written.refused
    assert written.duplicates == sum(row["expected"] == "duplicate" for row in table)
    ids = {}
    for batch in batches:
        for message, alert_id in zip(batch.messages, batch.alerts["alert_id"].tolist(), strict=True):
            ids[str(Path(message.partition).relative_to(folder)), message.offset] = alert_id
    for row in table:
        if row["expected"] != "refused":
            assert ids[row["file"], int(row["index"])] == int(row["alert_id"])


def test_truth_names_every_object_and_stays_out_of_the_packets(written: Summary) -> None:
    table = rows(written.folder / "truth.csv")
    assert tuple(table[0]) == TRUTH_COLUMNS
    assert Counter(row["class"] for row in table) == written.objects
    names = {row["object_id"] for row in table}
    sent = list(simulate("test", seed=5, n=400))
    assert {one.object_id for one in sent} == names
    assert len(names) == len(table)
    assert sum(int(row["alerts"]) for row in table) == 400
    assert all(0 <= float(row["ra"]) < 360 and -90 <= float(row["decl"]) <= 90 for row in table)
    periodic = [row for row in table if row["class"] in ("rrlyrae", "eclipsing", "mira", "cepheid")]
    assert all(float(row["period_d"]) > 0 for row in periodic)
    for one in sent:
        assert b"rrlyrae" not in one.value
        assert b"eclipsing" not in one.value


def test_a_folder_in_use_is_left_alone(written: Summary) -> None:
    before = digest(written.folder)
    with pytest.raises(StoreUnavailable, match="holds simulated packets already"):
        write("test", written.folder)
    assert digest(written.folder) == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot write to"):
        write("test", tmp_path / "file" / "packets", n=5)


def test_a_wrong_profile_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no profile"):
        write("tset", tmp_path / "packets")
    assert not (tmp_path / "packets").exists()


def test_progress_and_summary(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    summary = write("w-ztf", tmp_path / "z", n=250, progress=lambda done, total: told.append((done, total)))
    assert told == [(100, 250), (200, 250), (250, 250)]
    assert "250 alerts (250 ZTF)" in str(summary)
    assert (tmp_path / "z" / "schemas" / "ztf.v4_02.alert.avsc").exists()
