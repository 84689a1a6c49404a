from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.definitions import positions
from lasair.definitions.angles import read_angle, read_angles
from lasair.definitions.points_file import read_points
from lasair.definitions.watchlist_file import WatchlistFile, read_watchlist
from lasair.errors import BadDefinition
from tests.support.data import DATA


def read(tmp_path: Path, text: str | bytes, radius: float | None = 5.0) -> WatchlistFile:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_watchlist(path, radius_arcsec=radius)


def cones(found: WatchlistFile) -> list[tuple[int, float, float, str, float]]:
    return list(zip(found.rows.tolist(), found.ra.round(9).tolist(), found.decl.round(9).tolist(), found.names,
                    found.radius.tolist(), strict=True))  # fmt: skip


TWO = [(0, 10.5, -20.25, "a", 5.0), (1, 187.5, 2.0, "b c", 7.0)]


@pytest.mark.parametrize(
    "text",
    [
        "10.5,-20.25,a\n187.5,2,b c,7\n",
        " 10.5 , -20.25 , a ,\r\n187.5, +2.0, b c , 7.0\r\n",
        "# a list\n\n10.5,-20.25,a\n# more\n187.5,2,b c,7",
        "ra,dec,name,radius\n10.5,-20.25,a,\n187.5,2,b c,7\n",
        "Name;RADIUS;Decl;RA\na;;-20.25;10.5\nb c;7;2;187.5\n",
        "\ufeffobjname\tRA (deg)\tDeclination\tradius_arcsec\na\t10.5\t-20.25\t\nb c\t187.5\t2\t7\n",
        '"id","ra","dec","radius"\n"a","10.5","-20.25",""\n"b c","187.5","2","7"\n',
        "| ra | dec | name | radius |\n| 10.5 | -20.25 | a | |\n| 187.5 | 2 | b c | 7 |\n",
        "ra|dec|extra|name|radius\n10.5|-20.25|x|a|\n187.5|2|y|b c|7\n",
        'ra dec name radius\n10.5 -20.25 a 5\n187.5   2\t"b c" 7\n',
        "00:42:00,-20:15:00,a\n12h30m00s,+02d00m00.0s,b c,7\n",
        "0 42 0.0,-20 15 00,a\n12 30,+2:0,b c,7\n",
        "ra,dec,name,radius_arcmin\n10.5,-20.25,a,\n187.5,2,b c,0.11666666666666667\n",
    ],
)
def test_layouts_of_the_same_two_cones(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found.bad == []
    assert cones(found) == TWO


def test_gzip_utf16_and_latin1(tmp_path: Path) -> None:
    assert cones(read(tmp_path, gzip.compress(b"10.5,-20.25,a\n187.5,2,b c,7\n"))) == TWO
    assert cones(read(tmp_path, "10.5,-20.25,a\n187.5,2,b c,7\n".encode("utf-16"))) == TWO
    assert read(tmp_path, "1,2,caf\xe9".encode("latin-1")).names == ["café"]
    assert read(tmp_path, "1,2,café").names == ["café"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1", "1 field"),
        ("1,2,SN,3,x", "5 fields"),
        ("2,61.8,-20.5,10.00,S42c7", "5 fields"),
        ("1,2,10.0", "stands where the name belongs"),
        ("1,2,7,3", "stands where the name belongs"),
        ("nan,2,SN", "no right ascension"),
        ("1,inf,SN", "no declination"),
        ("1_0,2,SN", "no right ascension"),
        (",2,SN", "right ascension is missing"),
        ("361,2,SN", "not from 0 to 360"),
        ("-1,2,SN", "not from 0 to 360"),
        ("1,90.1,SN", "beyond a pole"),
        ("1,2,SN,0", "radius of 0 arcsec is refused"),
        ("1,2,SN,-3", "is refused"),
        ("1,2,SN,36001", "ten degrees"),
        ("1,2,SN,wide", "radius 'wide' is not a number"),
        ("1,2,SN,nan", "is not a number"),
        ("12:60:00,2,SN", "below 60"),
        ("1,12h00m00s,SN", "in hours"),
        ("25:00:00,2,SN", "not from 0 to 360"),
        ("1,2," + "x" * 257, "257 characters"),
        ("1,2,a\x1b[2Jb", "control characters"),
        ("x,y,z", "no right ascension"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_kept(tmp_path: Path, line: str, reason: str) -> None:
    found = read(tmp_path, f"10.5,-20.25,a\n# remark\n{line}\n187.5,2,b c,7\n")
    assert [(one.row, one.line) for one in found.bad] == [(1, 3)]
    assert reason in found.bad[0].reason
    assert "\x1b" not in str(found.bad[0])
    assert found.rows.tolist() == [0, 2]
    assert [one[1:] for one in cones(found)] == [one[1:] for one in TWO]


def test_with_a_header_names_may_be_numbers_and_rows_have_its_fields(tmp_path: Path) -> None:
    found = read(tmp_path, "id,ra,dec\n17,1,2\n18,3\n19,5,6,7\n20,7,8,,\n")
    assert found.names == ["17", "20"]
    assert [(one.row, one.line, one.reason) for one in found.bad] == [
        (1, 3, "it has 2 fields, the header has 3"),
        (2, 4, "it has 4 fields, the header has 3"),
    ]


def test_without_any_radius_lines_are_bad(tmp_path: Path) -> None:
    found = read(tmp_path, "1,2,a\n3,4,b,6\n", radius=None)
    assert found.radius.tolist() == [6.0]
    assert "there is no radius" in found.bad[0].reason


def test_longest_name_is_kept_whole(tmp_path: Path) -> None:
    assert read(tmp_path, "1,2," + "x" * 256).names == ["x" * 256]


@pytest.mark.parametrize("radius", [0.0, -1.0, 36_001.0, float("nan")])
def test_radius_of_the_list_is_checked(tmp_path: Path, radius: float) -> None:
    with pytest.raises(BadDefinition, match=r"list\.csv"):
        read(tmp_path, "1,2", radius)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"# only\n\n", "is empty"),
        (b"PAR1\0\0", "Parquet"),
        (b"\x1f\x8b\x08\0", "cannot be read|ends in|damaged"),
        (gzip.compress(b"1,2\n" * 1000)[:-20], "ends in|cannot be read|damaged"),
        (b"SIMPLE  =                    T" + b" " * 50, "FITS"),
        (b"<?xml version='1.0'?><VOTABLE><RESOURCE>", "VOTable"),
        (b"<!DOCTYPE a [<!ENTITY x 'y'>]><VOTABLE/>", "entities"),
        (b"<VOTABLE/>", "VOTable"),
        (b"ra,dec,ra\n1,2,3\n", "two columns"),
        (b"\xff\xfe1", "not text"),
    ],
)
def test_files_that_are_no_lists_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(BadDefinition, match=rf"list\.csv.*({reason})"):
        read(tmp_path, content)


def test_missing_folder_and_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadDefinition, match=r"none\.csv"):
        read_watchlist(tmp_path / "none.csv", radius_arcsec=1.0)
    with pytest.raises(BadDefinition, match="directory"):
        read_watchlist(tmp_path, radius_arcsec=1.0)
    monkeypatch.setattr("lasair.definitions.watchlist_file.MAX_CONES", 2)
    with pytest.raises(BadDefinition, match="3 rows; at most 2"):
        read(tmp_path, "1,2\n3,4\n5,6\n")
    monkeypatch.setattr("lasair.definitions.watchlist_file.MAX_BYTES", 8)
    with pytest.raises(BadDefinition, match="too large"):
        read(tmp_path, gzip.compress(b"1,2\n3,4\n5,6\n"))


odd = st.sampled_from(
    [
        "12:34:56,-01:02:03,s",
        "x,y",
        "1,2,3",
        "1,2,n,4,5",
        "1,91",
        "00:00:01.5,-00:30:00",
        '7,8,"q, r",2',
        "9,9,z,",
        "1,2,a,b",
    ]
)
clean = st.tuples(st.integers(0, 359), st.integers(-90, 90), st.sampled_from(["", ",n", ",m,3"])).map(
    lambda one: f"{one[0]}.5,{one[1]}{one[2]}"
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(clean, clean, clean, odd), min_size=1, max_size=120), st.booleans())
def test_reading_by_columns_gives_what_reading_line_by_line_gives(lines: list[str], header: bool) -> None:
    wanted = positions.Wanted(
        numbers={"radius": {"radius": 1.0}}, named=True, headerless=("ra", "decl", "name", "radius")
    )
    first = ["ra,dec,name,radius"] if header else []
    whole = positions.read_text(Path("f"), "\n".join(first + lines), wanted, 1000)
    assert whole.total == len(lines)
    assert sorted(whole.rows.tolist() + [one.row for one in whole.bad]) == list(range(len(lines)))
    kept = {row: k for k, row in enumerate(whole.rows.tolist())}
    for row, line in enumerate(lines):
        # the delimiter is the file's, which a line alone may not show
        alone = positions.read_text(Path("f"), "\n".join([*(first or ["#"]), line]), wanted, 1000)
        if row in kept:
            k = kept[row]
            assert (alone.ra[0], alone.decl[0], alone.names[0]) == (whole.ra[k], whole.decl[k], whole.names[k])
            ours, theirs = whole.numbers["radius"][k], alone.numbers["radius"][0]
            assert ours == theirs or (np.isnan(ours) and np.isnan(theirs))
        else:
            assert not len(alone.rows)
            assert alone.bad[0].reason == next(one.reason for one in whole.bad if one.row == row)


@given(st.lists(st.tuples(st.integers(0, 23), st.integers(0, 59), st.floats(0, 59.999)), min_size=1, max_size=5))
def test_sexagesimal_columns_agree_with_single_ones(parts: list[tuple[int, int, float]]) -> None:
    texts = [f"{sign}{d:02d}:{m:02d}:{s:06.3f}" for (d, m, s), sign in zip(parts, "+- -+", strict=False)]
    for kind in ("ra", "decl"):
        values = [read_angle(text, kind) for text in texts]
        assert read_angles(texts, kind) == pytest.approx(values, abs=1e-12)


def table() -> Table:
    out = Table(
        {"Name": ["a", "b", "bad", "c"], "RAJ2000": [10.5, 187.5, 20.0, np.nan], "DEJ2000": [-20.25, 2.0, 91.0, 3.0],
         "radius": [5.0, 7.0, 1.0, 1.0]}
    )  # fmt: skip
    out["RAJ2000"].unit = out["DEJ2000"].unit = "deg"
    return out


@pytest.mark.parametrize("form", ["fits", "votable"])
def test_binary_tables(tmp_path: Path, form: str) -> None:
    buffer = io.BytesIO()
    table().write(buffer, format=form)
    for content in (buffer.getvalue(), gzip.compress(buffer.getvalue())):
        found = read(tmp_path, content, None)
        assert [(one[0], one[1], one[2], one[4]) for one in cones(found)] == [
            (0, 10.5, -20.25, 5.0),
            (1, 187.5, 2.0, 7.0),
        ]
        assert found.names == ["a", "b"]
        assert [(one.row, one.line) for one in found.bad] == [(2, None), (3, None)]


@pytest.mark.parametrize("form", ["fits", "votable"])
def test_binary_tables_with_texts_and_units(tmp_path: Path, form: str) -> None:
    one = Table({"ra": ["12:30:00", "x"], "dec": ["+02:00:00", "1"], "radius": [0.5, 1.0]})
    one["radius"].unit = "arcmin"
    buffer = io.BytesIO()
    one.write(buffer, format=form)
    found = read(tmp_path, buffer.getvalue(), None)
    assert cones(found) == [(0, 187.5, 2.0, "", 30.0)]
    assert "no right ascension" in found.bad[0].reason
    one["radius"].unit = "m"
    buffer = io.BytesIO()
    one.write(buffer, format=form)
    with pytest.raises(BadDefinition, match="radius is in 'm'"):
        read(tmp_path, buffer.getvalue(), None)


def test_damaged_fits_is_refused_by_name(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    table().write(buffer, format="fits")
    whole = buffer.getvalue()
    chance = np.random.default_rng(1)
    for cut in (100, 2880, 5000, len(whole) - 2880):
        with pytest.raises(BadDefinition, match=r"list\.csv"):
            read(tmp_path, whole[:cut])
    for _ in range(60):
        broken = bytearray(whole)
        for at in chance.integers(0, len(whole), 5):
            broken[at] = chance.integers(0, 256)
        try:
            read(tmp_path, bytes(broken))
        except BadDefinition as err:
            assert "list.csv" in str(err)


def test_points_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,ra,decl,distance_mpc\n1,10,20,100\n2,x,20,\n3,30,-40,\n")
    points = read_points(path)
    assert points.rows.tolist() == [0, 2]
    assert points.numbers["distance_mpc"][0] == 100.0 and np.isnan(points.numbers["distance_mpc"][1])
    assert [one.row for one in points.bad] == [1]
    path.write_text("ra,dec\n")
    assert len(read_points(path).rows) == 0


SAMPLE = [DATA / "oracles" / "watchlist" / "watchlist_sample.csv"] if DATA else []


if SAMPLE:

    @pytest.mark.parametrize("path", SAMPLE, ids=lambda path: path.name)
    def test_the_sample_that_mixes_layouts(path: Path) -> None:
        found = read_watchlist(path, radius_arcsec=10.0)
        rows = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        good = [i for i, line in enumerate(rows) if line.count(",") == 2]
        assert found.rows.tolist() == good
        assert [one.row for one in found.bad] == [i for i in range(len(rows)) if i not in good]
        assert all("5 fields" in one.reason for one in found.bad)


CATALOGUES = {
    "gcvs_positions.csv.gz": 59_099, "changing_state_agn.csv": 36, "3hsp_blazars.csv": 2013,
    "catalina_periodic_47k.csv.gz": 47_055, "fermi_4lac_dr3_lowlat.fits": 407, "igaps_small.fits.gz": 100,
}  # fmt: skip


if DATA:

    @pytest.mark.parametrize(
        "path", [DATA / "catalogues" / name for name in CATALOGUES] if DATA else [], ids=lambda p: p.name
    )
    def test_real_catalogues_are_lists(path: Path) -> None:
        found = read_watchlist(path, radius_arcsec=3.0)
        assert (len(found), found.bad) == (CATALOGUES[path.name], [])


def test_limits_of_cones(tmp_path: Path) -> None:
    for header in ("brighter,change", "Brighter_Than,change_mag", "mag_limit,Mag Change"):
        found = read(tmp_path, f"ra,dec,name,{header}\n1,2,a,18.5,\n3,4,b,,0.5\n5,6,c,-3,40\n")
        assert found.bad == []
        np.testing.assert_array_equal(found.brighter, [18.5, np.nan, -3.0])
        np.testing.assert_array_equal(found.change, [np.nan, 0.5, 40.0])
    for found in (read(tmp_path, "1,2,a\n"), read(tmp_path, "ra,dec\n1,2\n")):
        assert np.isnan(found.brighter).all() and np.isnan(found.change).all() and len(found.change) == 1


def test_limits_in_tables(tmp_path: Path) -> None:
    path = tmp_path / "list.fits"
    table = Table({"ra": [1.0, 2.0], "dec": [3.0, 4.0], "brighter": [18.0, np.nan], "change": [np.nan, 0.3]})
    for form, overwrite in (("fits", False), ("votable", True)):
        table.write(path, format=form, overwrite=overwrite)
        found = read_watchlist(path, radius_arcsec=1.0)
        np.testing.assert_array_equal(found.brighter, [18.0, np.nan])
        np.testing.assert_array_equal(found.change, [np.nan, 0.3])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,2,99,", "brighter than 99 mag is refused"),
        ("1,2,-31,", "brighter than -31 mag is refused"),
        ("1,2,,0", "a change of 0 mag is refused"),
        ("1,2,,-1", "a change of -1 mag is refused"),
        ("1,2,faint,", "the brighter 'faint' is not a number"),
        ("1,2,,inf", "the change 'inf' is not a number"),
    ],
)
def test_bad_limits(tmp_path: Path, line: str, reason: str) -> None:
    found = read(tmp_path, f"ra,dec,brighter,change\n10,20,18,1\n{line}\n30,40,,\n")
    assert found.rows.tolist() == [0, 2] and found.brighter.tolist()[0] == 18.0
    assert [(one.row, one.line) for one in found.bad] == [(1, 3)] and reason in found.bad[0].reason
