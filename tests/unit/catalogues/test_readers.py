"""Readers of tables: the same rows from every format, exact ids, refused rows with their numbers, damaged files."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import from_table, writeto
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.catalogues.readers import delimited, lines, table
from lasair.catalogues.readers import fits as fits_reader
from lasair.catalogues.readers.opened import open_table
from lasair.catalogues.readers.parquet import hats_files, hats_rows
from lasair.catalogues.readers.table import BadSource, Kind, Refusal
from lasair.catalogues.readers.texts import Nulls, ids, parsed, trimmed

LARGE = 2**62 + 1
RA, DECL = [10.5, 359.999, 0.0], [-89.5, 0.25, 1e-7]
IDS = [LARGE, LARGE + 2, 3]
NAMES = ["M 31", "", "NGC 224"]
Z = [0.1, np.nan, -0.001]
WANTED: dict[str, Kind] = {"ra": "number", "dec": "number", "id": "id", "name": "any", "z": "number"}


def read(path: Path, form: str, wanted: Mapping[str, Kind] = WANTED, /, **reading: Any) -> dict[str, list[Any]]:
    """All rows of a file, and `refused`: (reason, number, example)."""
    found: dict[str, list[Any]] = {"refused": [], "numbers": []}
    for chunk in open_table(path, form, reading).chunks(wanted):
        for name, values in chunk.columns.items():
            assert len(values) == len(chunk.numbers)
            found.setdefault(name, []).extend(
                value.decode() if isinstance(value, bytes) else value for value in values.tolist()
            )
        found["numbers"] += chunk.numbers.tolist()
        for one in chunk.refused:
            found["refused"] += [
                (one.reason, int(row), one.examples[i] if i < len(one.examples) else "")
                for i, row in enumerate(one.rows)
            ]
    return found


def assert_same(found: dict[str, list[Any]]) -> None:
    assert found["ra"] == RA and found["dec"] == DECL
    assert [int(one) for one in found["id"]] == IDS
    assert found["name"] == NAMES
    assert np.array_equal(found["z"], Z, equal_nan=True)
    assert found["refused"] == []


def astropy_table() -> Table:
    found = Table({"ra": RA, "dec": DECL, "id": np.array(IDS, np.int64), "name": NAMES})
    found["z"] = MaskedColumn([0.1, 5.0, -0.001], mask=[False, True, False])
    return found


CSV = "ra,dec,id,name,z\n" + "".join(
    f"{a!r},{d!r},{i},{n},{'' if z != z else z}\n" for a, d, i, n, z in zip(RA, DECL, IDS, NAMES, Z, strict=True)
)


@pytest.mark.parametrize("packed", [False, True])
def test_csv(tmp_path: Path, packed: bool) -> None:
    file = tmp_path / ("t.csv.gz" if packed else "t.csv")
    file.write_bytes(gzip.compress(CSV.encode()) if packed else CSV.encode())
    assert_same(read(file, "csv"))


def test_csv_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    rows = CSV.replace(",", "|").splitlines()[1:]
    file.write_text("# a remark\n#another, one\n" + "\n".join(rows).replace("||", "|\\N|") + "\n# the end\n")
    assert_same(
        read(file, "csv", delimiter="|", comment="#", skip=1, nulls=["\\N"], header=["ra", "dec", "id", "name", "z"])
    )


def test_csv_with_blanks_before_quotes_and_latin_letters(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes("\ufeff".encode() + b'id , "na\xc3\xafve" , z\n1 , " M 31 " , "0.1"\n')
    wanted: dict[str, Kind] = {"id": "id", "naïve": "any", "z": "number"}
    assert read(file, "csv", wanted, loose_quotes=True)["naïve"] == ["M 31"]
    file.write_bytes(b"name\n\xe9t\xe9\n")
    assert read(file, "csv", {"name": "any"}, encoding="latin-1")["name"] == ["été"]
    assert read(file, "csv", {"name": "any"})["refused"] == [("name is not UTF-8", 1, "'\ufffdt\ufffd'")]


def test_fits_plain_and_packed(tmp_path: Path) -> None:
    file = tmp_path / "t.fits"
    astropy_table().write(file)
    assert_same(read(file, "fits"))
    packed = tmp_path / "t.fits.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert_same(read(packed, "fits"))


def test_fits_with_images_before_null_numbers_scales_and_lists(tmp_path: Path) -> None:
    columns = [
        fits.Column("n", "J", null=-9, array=np.array([1, -9, 3])),
        fits.Column("u", "K", bzero=2**63, array=np.array([2**63 + 5, 1, 2], np.uint64)),
        fits.Column("flag", "L", array=np.array([True, False, True])),
        fits.Column("scaled", "I", array=np.array([0, 1, 2])),
        fits.Column("chi", "3E", array=np.arange(9.0).reshape(3, 3)),
    ]
    file = tmp_path / "t.fits"
    table_hdu = fits.BinTableHDU.from_columns(columns, name="ROWS")
    fits.HDUList([fits.PrimaryHDU(np.zeros((50, 60))), fits.ImageHDU(np.zeros(7)), table_hdu]).writeto(file)
    data = file.read_bytes()
    card = b"TTYPE4  = 'scaled  '"
    at = data.index(card)
    # astropy does not scale such a column when it writes: say it in the header
    end = data.index(b"END".ljust(80), at)
    more = b"TSCAL4  =                  0.5".ljust(80) + b"TZERO4  =                  1.0".ljust(80)
    file.write_bytes(data[:end] + more + b"END".ljust(80) + data[end + 240 :])
    wanted: dict[str, Kind] = dict.fromkeys(("n", "u", "flag", "scaled", "chi"), "any")
    for reading in ({}, {"hdu": "ROWS"}, {"hdu": 2}):
        (chunk,) = open_table(file, "fits", reading).chunks(wanted)
        assert np.ma.getmaskarray(chunk.columns["n"]).tolist() == [False, True, False]
        assert chunk.columns["u"].tolist() == [2**63 + 5, 1, 2]
        assert chunk.columns["flag"].tolist() == [1, 0, 1]
        assert chunk.columns["scaled"].tolist() == [1.0, 1.5, 2.0]
        assert chunk.columns["chi"].shape == (3, 3)
    with pytest.raises(BadSource, match=r"t\.fits: there is no HDU 'OTHER'"):
        open_table(file, "fits", {"hdu": "OTHER"})


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_votable(tmp_path: Path, form: str) -> None:
    file = tmp_path / "t.vot"
    writeto(from_table(astropy_table()), str(file), tabledata_format=form)
    assert_same(read(file, "votable"))


def test_votable_of_a_service_that_failed(tmp_path: Path) -> None:
    file = tmp_path / "t.vot"
    file.write_text(
        '<VOTABLE><RESOURCE><INFO name="QUERY_STATUS" value="ERROR">no\n such table</INFO></RESOURCE></VOTABLE>'
    )
    with pytest.raises(BadSource, match="holds an error instead of a table: no such table"):
        open_table(file, "votable", {})


def parquet_table() -> pa.Table:
    return pa.table(
        {
            "ra": RA,
            "dec": DECL,
            "id": pa.array(IDS, pa.int64()),
            "name": pa.array(["M 31", None, "NGC 224"]).dictionary_encode(),
            "z": pa.array([0.1, None, -0.001], pa.float64()),
            "flux": pa.array([{"g": 1.0}, None, {"g": 3.0}]),
        }
    )


def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(parquet_table(), file)
    assert_same(read(file, "parquet"))
    found = read(file, "parquet", {"flux.g": "number"})["flux.g"]
    assert found[0] == 1.0 and found[1] != found[1]


def test_hats_in_the_order_of_the_sky(tmp_path: Path) -> None:
    for order, pixel in ((1, 7), (0, 11), (1, 4), (0, 0)):
        file = tmp_path / "dataset" / f"Norder={order}" / "Dir=0" / f"Npix={pixel}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(parquet_table(), file)
    (tmp_path / "dataset" / "_metadata").write_bytes(b"not rows")
    (tmp_path / "hats.properties").write_text("#HATS\ndataproduct_type=object\nhats_nrows=12\n")
    files = hats_files(tmp_path)
    assert [file.stem for file in files] == ["Npix=0", "Npix=4", "Npix=7", "Npix=11"]
    assert hats_rows(tmp_path) == 12
    (tmp_path / "hats.properties").write_text("dataproduct_type=margin\n")
    with pytest.raises(BadSource, match="is a HATS margin"):
        hats_files(tmp_path)


def test_hdf5_of_both_kinds(tmp_path: Path) -> None:
    import h5py

    rows = np.array(
        list(zip(RA, DECL, IDS, [name.encode() for name in NAMES], Z, strict=True)),
        [("ra", "f8"), ("dec", "f8"), ("id", "i8"), ("name", "S8"), ("z", "f8")],
    )
    file = tmp_path / "t.h5"
    with h5py.File(file, "w") as out:
        out["deep/rows"] = rows
    assert_same(read(file, "hdf5"))
    with h5py.File(file, "w") as out:
        for name in rows.dtype.names or ():
            out[f"rows/{name}"] = NAMES if name == "name" else rows[name]
        out["other"] = np.zeros(2)
    assert_same(read(file, "hdf5", path="rows"))
    with pytest.raises(BadSource, match="there is no 'no' inside"):
        open_table(file, "hdf5", {"path": "no"})


def test_fixed_width(tmp_path: Path) -> None:
    file = tmp_path / "t.dat"
    text = [
        f"{a:<9}{d:<9}{i:<20}{n:<8}{'' if z != z else z}" for a, d, i, n, z in zip(RA, DECL, IDS, NAMES, Z, strict=True)
    ]
    file.write_text("# remark\r\n" + "\r\n".join(text).replace("M 31", "M 31") + "\r\n\r\nshort\r\n")
    fields = {"ra": [1, 9], "dec": [10, 18], "id": [19, 38], "name": [39, 46], "z": [47, 55]}
    found = read(file, "fixed_width", fields=fields)
    assert found.pop("refused") == [("is shorter than 9 bytes", 6, "'short'")]
    assert found["numbers"] == [2, 3, 4]
    assert_same(found | {"refused": []})


VIZIER = """#
#RESOURCE=x
#Column ra (F8.4) a remark
_ra|_dec|id|name|z
deg|deg| | |
-----|-----|--|---|-----
"""


@pytest.mark.parametrize("delimiter", ["|", "\t", ";"])
def test_vizier(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "t.tsv"
    rows = "\n".join(
        f" {a}|{d:+}|{i}|{n}|{'' if z != z else z}" for a, d, i, n, z in zip(RA, DECL, IDS, NAMES, Z, strict=True)
    )
    file.write_text((VIZIER.replace("_", "") + rows + "\n1|2|3\n\n").replace("|", delimiter))
    found = read(file, "vizier")
    assert found.pop("refused") == [("has 3 columns instead of 5", 10, repr(f"1{delimiter}2{delimiter}3"))]
    assert_same(found | {"refused": []})
    file.write_text((VIZIER + rows + "\n\n" + VIZIER + rows).replace("|", delimiter))
    with pytest.raises(BadSource, match="line 16: a second table begins"):
        read(file, "vizier")


def test_refused_rows_keep_their_numbers_in_a_file_of_many_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_BLOCK", 4096)
    rows = [f"{i},{i},{i},x,0" for i in range(1, 5001)]
    for i in (1, 2, 700, 4999, 5000):
        rows[i - 1] = "too,few"
    rows[1233] = "oops,1,2,x,0"
    rows[2344] = "1,1,2,x,?"
    file = tmp_path / "t.csv"
    file.write_text("ra,dec,id,name,z\n" + "\n".join(rows))
    found = read(file, "csv")
    assert found["numbers"] == [int(one) for one in found["id"]]
    reasons = {row: (reason, example) for reason, row, example in found["refused"]}
    assert set(reasons) == {1, 2, 700, 4999, 5000, 1234, 2345}
    assert reasons[700] == ("has 2 columns instead of 5", "'too,few'")
    assert reasons[1234] == ("ra is not a number", "'oops'") and reasons[2345] == ("z is not a number", "'?'")


@given(st.lists(st.integers(1, 400), max_size=40, unique=True), st.integers(1, 60))
def test_numbers_of_rows_do_not_depend_on_when_arrow_tells(bad: list[int], size: int) -> None:
    odd = delimited._Odd(None)

    class Row:
        text, actual_columns, expected_columns = "x", 1, 2

        def __init__(self, number: int) -> None:
            self.number = number

    for number in sorted(bad):
        odd(Row(number))
    good = [i for i in range(1, 401) if i not in bad]
    found: list[int] = []
    refused: list[Refusal] = []
    while len(found) < len(good):
        numbers, more = odd.place(found[-1] if found else 0, min(size, len(good) - len(found)))
        found += numbers.tolist()
        refused += more
    assert found == good
    assert sorted(int(row) for one in [*refused, *odd.rest()] for row in one.rows) == sorted(bad)


def test_lines_over_the_edges_of_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_BLOCK", 100)
    file = tmp_path / "t.dat"
    file.write_text("\n".join(f"{i:10d}{i * 2:10d}" for i in range(500)))
    found = read(file, "fixed_width", {"a": "id", "b": "number"}, fields={"a": [1, 10], "b": [11, 20]})
    assert found["a"] == list(range(500)) and found["b"] == [2.0 * i for i in range(500)]
    assert found["numbers"] == list(range(1, 501))


def test_ids_stay_exact_when_some_are_missing(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": pa.array([LARGE, None, LARGE + 2])}), file)
    assert read(file, "parquet", {"id": "id"})["id"] == [str(LARGE), "", str(LARGE + 2)]
    file = tmp_path / "t.csv"
    file.write_text(f"id\n{LARGE}\nnull\n007\n")
    assert read(file, "csv", {"id": "id"})["id"] == [str(LARGE), "", "007"]


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.text("0123456789-+ ab", max_size=20), max_size=20))
@settings(deadline=None)
def test_ids_are_numbers_only_when_nothing_is_lost(given_ids: list[int | str]) -> None:
    texts = [str(one).strip() for one in given_ids]
    letters = np.array([text.encode() for text in texts] or [b""], "S21")[: len(texts)].view(np.uint8).reshape(-1, 21)
    found = ids(trimmed(letters))
    assert [one.decode() if isinstance(one, bytes) else str(one) for one in found.tolist()] == texts


@given(
    st.lists(
        st.floats() | st.sampled_from(["", "null", "N/A", "+1.5", "1e5", "x", "1,5", "é", "--", "1 2"]), max_size=20
    )
)
@settings(deadline=None)
def test_numbers_are_those_that_python_reads(cells: list[float | str]) -> None:
    from lasair.catalogues.readers.texts import blank_nulls

    texts = [cell if isinstance(cell, str) else repr(cell) for cell in cells]
    letters = np.array([text.encode() for text in texts] or [b""], "S30")[: len(texts)].view(np.uint8).reshape(-1, 30)
    letters = trimmed(letters)
    blank_nulls(letters, Nulls.of(None).letters)
    found, bad = parsed(letters)
    for text, value, wrong in zip(texts, found, bad, strict=True):
        if text in ("", "null", "N/A", "--", "nan"):
            assert not wrong and np.isnan(value)
        elif text in ("x", "1,5", "é", "1 2"):
            assert wrong and np.isnan(value)
        else:
            expected = float(text)
            assert not wrong and (value == expected or (np.isinf(expected) and np.isnan(value)))


def test_spelled_nulls_hold_for_numbers_too(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": [1, -9999], "f": [-9999.0, 2.0]}), file)
    (chunk,) = open_table(file, "parquet", {"nulls": ["-9999"]}).chunks({"n": "any", "f": "number"})
    assert np.ma.getmaskarray(chunk.columns["n"]).tolist() == [False, True]
    assert np.isnan(chunk.columns["f"]).tolist() == [True, False]


def test_a_text_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("id,name\n1," + "x" * 5000 + "\n2,y\n")
    found = read(file, "csv", {"id": "id", "name": "any"})
    assert found["id"] == [2] and found["numbers"] == [2]
    assert found["refused"] == [(f"has a text of more than {table.LONGEST} bytes", 1, "")]


@pytest.mark.parametrize("form", ["fits", "votable", "csv", "parquet", "vizier", "hdf5", "fixed_width"])
def test_an_unreadable_file_is_named(tmp_path: Path, form: str) -> None:
    reading = {"fields": {"ra": [1, 5]}} if form == "fixed_width" else {}
    with pytest.raises(BadSource, match=r"gone\.x: there is no such file"):
        read(tmp_path / "gone.x", form, **reading)
    file = tmp_path / "noise.gz"
    file.write_bytes(b"\x00\xff\x13 no table of any kind" * 50)
    with pytest.raises(BadSource, match=r"noise\.gz: "):
        read(file, form, **reading)


def test_files_that_end_too_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits_reader, "ROWS", 2)
    file = tmp_path / "t.fits"
    astropy_table().write(file)
    data = file.read_bytes()
    width = 8 * 4 + 7
    header = len(data) - 2880
    file.write_bytes(data[: header + 2 * width + 5])
    with pytest.raises(BadSource, match=r"t\.fits: cannot be read: it ends after row 2 of 3"):
        read(file, "fits")
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress((CSV * 500).encode())[:-40])
    with pytest.raises(BadSource, match=r"t\.csv\.gz: cannot be read: it ends in the middle of its compressed data"):
        read(packed, "csv")


@pytest.mark.parametrize(
    ("form", "reading", "message"),
    [
        ("csv", {"delimeter": ";"}, "no option 'delimeter' for this format; there are comment, delimiter"),
        ("csv", {"delimiter": "ab"}, "delimiter: 'ab' must be one character"),
        ("csv", {"skip": -1}, "skip: -1 must be 0 or more"),
        ("csv", {"encoding": "klingon"}, "there is no encoding 'klingon'"),
        ("csv", {"header": ["a", "a"]}, "two columns are called 'a'"),
        ("fixed_width", {}, "fixed_width needs reading: fields"),
        ("fixed_width", {"fields": {"a": [3, 1]}}, "fields: a: .* must be"),
        ("fits", {"hdu": 1.5}, "hdu: 1.5 must be a number or a name"),
        ("odt", {}, "there is no format 'odt'"),
    ],
)
def test_options_are_checked(tmp_path: Path, form: str, reading: dict[str, Any], message: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(CSV)
    with pytest.raises(BadSource, match=message):
        open_table(file, form, reading)
