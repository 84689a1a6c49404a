"""Reading TNS's files: the layout, what is wrong with rows, what is refused."""

from __future__ import annotations

import csv
import io
import random
import struct
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.schema.model import INT_MISSING
from lasair.tns import layout
from lasair.tns.layout import BadTnsFile, DamagedTnsFile, Period, read_tns, split
from tests.support.data import DATA
from tests.unit.tns.made import FULL, NAMES, row, text_of, zipped


def test_a_whole_file(tmp_path: Path) -> None:
    rows = [row(1, name_prefix="SN", type="SN Ia", typeid=3, redshift="0.0125"), row(2, ra="360", discoverymag="")]
    content = zipped(text_of(rows))
    (tmp_path / "t.csv.zip").write_bytes(content)
    for source in (content, tmp_path / "t.csv.zip", text_of(rows).encode()):
        file = read_tns(source)
        assert file.period == Period(datetime(2026, 7, 8, tzinfo=UTC)) and file.bad == [] and file.bad_count == 0
        found = file.rows.columns
        assert list(found) == list(NAMES) and len(file.rows) == 2
        assert found["objid"].tolist() == [1, 2] and found["ra"].tolist() == [150.5, 0.0]
        assert found["type"].tolist() == ["SN Ia", ""] and found["typeid"].tolist() == [3, INT_MISSING]
        assert found["redshift"][0] == 0.0125 and np.isnan(found["redshift"][1]) and np.isnan(found["discoverymag"][1])
        assert found["discoverydate"].tolist() == ["2026-07-01 10:49:26.400000"] * 2
        assert found["lastmodified"].tolist() == ["2026-07-01 12:00:02.000000"] * 2
        assert found["reporters"][0] == "A. Astronomer, B. O'Neill (Köln)"


def test_columns_are_found_by_name_in_any_order_and_21_are_enough() -> None:
    names = [name for name in NAMES if "bibcode" not in name][::-1]
    file = read_tns(text_of([row(1)], "", [*names, "some_column_to_come"]).encode())
    assert file.period is None and file.bad_count == 0
    assert file.rows.columns["name"].tolist() == ["2026x1"]
    assert file.rows.columns["Class_ADS_bibcodes"].tolist() == [""]


@pytest.mark.parametrize(
    ("first", "ends"),
    [
        ("2026-07-08 00:00:00 - 23:59:59", datetime(2026, 7, 9, tzinfo=UTC)),
        ("2026-07-08 00:00:00 - 2026-07-08 23:59:59", datetime(2026, 7, 9, tzinfo=UTC)),
        ("2026-07-08 00:00:00 - 00:59:59", datetime(2026, 7, 8, 1, tzinfo=UTC)),
        ("2026-07-08 00:00:00", None),
    ],
)
def test_the_first_line_says_what_the_file_is_of(first: str, ends: datetime | None) -> None:
    for quiet in (True, False):
        file = read_tns(zipped(text_of([], first, quiet=quiet)))
        assert file.period == Period(datetime(2026, 7, 8, tzinfo=UTC), ends)
        assert len(file.rows) == 0 and file.rows.columns["ra"].dtype == np.float64


def test_fields_with_commas_quotes_and_line_ends() -> None:
    reporters = 'A, "B" C,\nD\n\n"E",' + "O'N, " * 500
    text = text_of([row(1, reporters=reporters), row(2)])
    for written in (text, text.replace("\n", "\r\n"), "\ufeff" + text):
        file = read_tns(written.encode())
        assert file.bad == [] and file.rows.columns["objid"].tolist() == [1, 2]
        assert file.rows.columns["reporters"][0].replace("\r", "") == reporters.strip()


#: what is changed in a row, and what is said of it
WRONG = [
    ({"objid": "0"}, "objid is missing or not above 0"),
    ({"objid": ""}, "objid is missing or not above 0"),
    ({"objid": "12a"}, "objid '12a' is not a whole number"),
    ({"objid": "-5"}, "objid '-5' is not a whole number"),
    ({"objid": "9" * 30}, "is not a whole number"),
    ({"name": ""}, "there is no name"),
    ({"name": "20 26"}, "'20 26' is no name"),
    ({"name": "2" * 33}, "name has 33 letters; the most are 32"),
    ({"ra": ""}, "ra nan is not from 0 to 360"),
    ({"ra": "360.1"}, "ra 360.1 is not from 0 to 360"),
    ({"ra": "nan"}, "ra 'nan' is not a number"),
    ({"ra": "1_0"}, "ra '1_0' is not a number"),
    ({"ra": "12:30:00"}, "ra '12:30:00' is not a number"),
    ({"declination": "-90.01"}, "declination -90.01 is not from -90 to 90"),
    ({"declination": "1e999"}, "declination '1e999' is too large"),
    ({"redshift": "high"}, "redshift 'high' is not a number"),
    ({"discoverymag": "--3"}, "discoverymag '--3' is not a number"),
    ({"typeid": "3.5"}, "typeid '3.5' is not a whole number"),
    ({"lastmodified": "2026-02-30 00:00:00"}, "lastmodified '2026-02-30 00:00:00.000000' is no date"),
    ({"lastmodified": "yesterday"}, "lastmodified 'yesterday' is no time"),
    ({"discoverydate": "2026-07-01 25:00:00"}, "is no date"),
    ({"reporters": "x" * 16_001}, "reporters has 16001 letters; the most are 16000"),
    ({"type": "a\0b"}, "type is not text in UTF-8"),
]


@pytest.mark.parametrize(("change", "reason"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_a_bad_row_is_named_and_the_others_are_kept(change: dict[str, str], reason: str) -> None:
    file = read_tns(text_of([row(7), {**row(8), **change}, row(9)]).encode())
    assert file.rows.columns["objid"].tolist() == [7, 9] and file.bad_count == 1
    (bad,) = file.bad
    assert bad.line == 4 and reason in bad.reason and str(bad).startswith("line 4: ")


def test_spaces_and_empty_dates_do_no_harm() -> None:
    file = read_tns(text_of([row(1, ra=" 1.5 ", typeid=" 3.0", discoverydate="0000-00-00 00:00:00")]).encode())
    found = file.rows.columns
    assert (found["ra"][0], found["typeid"][0], found["discoverydate"][0]) == (1.5, 3, "")


def test_damaged_lines_harm_no_others() -> None:
    good = [text_of([row(i)], "").splitlines()[1] for i in range(1, 9)]
    header = text_of([], "").strip()
    lines = [
        f'"{FULL}"', header,
        good[0],
        good[1].replace('"AT"', '"AT'),  # a quote is lost
        good[2],
        good[3].rsplit(",", 3)[0],  # cut
        "",
        good[4] + ',"more"',
        good[5].replace("B. O'Neill", 'B. "O\' Neill'),  # a quote too many
        good[6],
        '"',
        good[7].replace('"AT"', '"A" T"'),
    ]  # fmt: skip
    file = read_tns("\n".join(lines).encode())
    assert file.rows.columns["objid"].tolist() == [1, 3, 7]
    assert [one.line for one in file.bad] == [4, 6, 8, 9, 11, 12]
    assert "23" in file.bad[1].reason and "quoted field" in file.bad[0].reason


def test_text_that_is_not_utf8_is_one_bad_row() -> None:
    content = text_of([row(1, reporters="Köln"), row(2, reporters="K?ln")]).encode().replace(b"?", b"\xf6")
    file = read_tns(content)
    assert file.rows.columns["objid"].tolist() == [1] and file.bad[0].reason == "reporters is not text in UTF-8"


def test_a_quote_without_end_costs_a_row_also_where_only_some_fields_are_quoted() -> None:
    header = ",".join(NAMES)
    plain = [",".join(row(i).get(name, "").replace(",", ";") for name in NAMES) for i in range(1, 60)]
    plain[3] = plain[3].replace("A. Astronomer", '"A. Astronomer')
    plain[30] = plain[30].replace("A. Astronomer; B. O'Neill (Köln)", '"A.\nB"')
    file = read_tns("\n".join([header, *plain]).encode())
    assert file.bad_count == 1 and file.bad[0].line == 5
    assert file.rows.columns["objid"].tolist() == [i for i in range(1, 60) if i != 4]
    assert file.rows.columns["reporters"][29] == "A.\nB"


def test_endless_lines_and_bad_rows_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of([row(1), row(2, reporters="x" * 1_100_000), row(3)])
    file = read_tns(text.encode())
    assert file.rows.columns["objid"].tolist() == [1, 3] and "a line of more than 1,000,000" in file.bad[0].reason
    monkeypatch.setattr(layout, "MAX_BAD", 50)
    with pytest.raises(BadTnsFile, match="more than 50 of its rows are bad, such as line"):
        read_tns((text + "x\n" * 50).encode())
    monkeypatch.setattr(layout, "MAX_ROWS", 2)
    with pytest.raises(BadTnsFile, match="more than 2 rows"):
        read_tns(text_of([row(i) for i in range(1, 4)]).encode())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"<!DOCTYPE html><html>log in</html>", "is a web page"),
        (b'{"id_code":429,"id_message":"Too Many Requests"}\n', "has no header"),
        (b'"2026-07-08 00:00:00"\n"nothing"\n', "has no header"),
        (b"a,b\n" * 10, "has no header with the columns objid, name, ra, declination, lastmodified; it says 'a,b'"),
        (b"objid,name,ra,declination,lastmodified,RA\n", "has the column ra twice"),
        (zipped(b"x", "readme.txt"), "no .csv file"),
        (zipped(text_of([]), packed=zipfile.ZIP_BZIP2), "packed as TNS packs none"),
        (random.Random(1).randbytes(5000), "has no header"),
    ],
)
def test_what_is_no_file_of_tns_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(BadTnsFile, match=reason):
        read_tns(content, "t.csv")


def test_a_zip_archive_cut_short_or_changed_is_damaged() -> None:
    content = zipped(text_of([row(i) for i in range(1, 200)]))
    for end in (5, 100, len(content) // 2, len(content) - 30, len(content) - 1):
        with pytest.raises(DamagedTnsFile):
            read_tns(content[:end])
    changed = bytearray(content)
    changed[len(content) // 2] ^= 0x55
    with pytest.raises(DamagedTnsFile):
        read_tns(bytes(changed))


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_no_change_of_bytes_ends_in_another_error(seed: int, changes: int) -> None:
    chance = random.Random(seed)
    for content in (_ARCHIVE, _TEXT):
        changed = bytearray(content)
        for _ in range(changes):
            at = chance.randrange(len(changed))
            changed[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
        try:
            file = read_tns(bytes(changed))
        except BadTnsFile:
            continue
        assert len(file.rows) + file.bad_count <= 40


_TEXT = text_of([row(i, reporters='a, "b"\nc') for i in range(1, 10)]).encode()
_ARCHIVE = zipped(_TEXT)


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bomb = zipped(b'"2026-07-08 00:00:00"\n' + b"\n" * 40_000_000)
    assert len(bomb) < 100_000
    monkeypatch.setattr(layout, "MAX_BYTES", 30_000_000)
    with pytest.raises(BadTnsFile, match="would have 40 MB when unpacked"):
        read_tns(bomb)
    # the size that is stated is a lie
    (at,) = [i for i in range(len(bomb)) if bomb[i : i + 4] == b"PK\x01\x02"]
    lie = bytearray(bomb)
    lie[at + 24 : at + 28] = struct.pack("<I", 100)
    with pytest.raises(DamagedTnsFile):
        read_tns(bytes(lie))
    (tmp_path / "large.csv").write_bytes(b"x")
    with (tmp_path / "large.csv").open("r+b") as file:
        file.truncate(30_000_001)
    with pytest.raises(BadTnsFile, match="more than TNS has"):
        read_tns(tmp_path / "large.csv")
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for i in range(25_000):
            archive.writestr(f"{i}.csv", b"")
    with pytest.raises(BadTnsFile, match="many members"):
        read_tns(many.getvalue())


def test_only_the_first_csv_member_is_read() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../readme.txt", "x")
        file.writestr("folder/Other_Name.CSV", text_of([row(1)]))
        file.writestr("second.csv", text_of([row(2)]))
    assert read_tns(archive.getvalue()).rows.columns["objid"].tolist() == [1]


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(BadTnsFile, match="there is no such file"):
            read_tns(path)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8), min_size=1, max_size=6))
def test_split_is_the_csv_modules_reading(fields: list[str]) -> None:
    for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL):
        text = io.StringIO()
        csv.writer(text, quoting=quoting, lineterminator="\n").writerow(fields)
        assert split(text.getvalue().removesuffix("\n")) == fields


if DATA is not None:
    REAL = DATA / "catalogues" / "tns_sample_3rows.parquet"

    def test_rows_as_tns_gives_them() -> None:
        import pyarrow.parquet as pq

        given = pq.read_table(REAL).to_pylist()
        whole = {"typeid", "reporting_groupid", "source_groupid", "discmagfilter"}

        def written(name: str, value: object) -> str:
            return "" if value is None else str(int(float(str(value)))) if name in whole else str(value)

        rows = [{name: written(name, one[name]) for name in NAMES} for one in given]
        file = read_tns(zipped(text_of(rows)))
        assert file.bad == [] and len(file.rows) == len(given)
        for i, one in enumerate(given):
            for name in ("objid", "ra", "declination", "discoverymag"):
                assert file.rows.columns[name][i] == one[name]
            for name in ("name", "name_prefix", "reporters", "internal_names", "filter"):
                assert file.rows.columns[name][i] == (one[name] or "")
