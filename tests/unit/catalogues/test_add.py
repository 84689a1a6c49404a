"""From a description and its table to a current release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lasair.catalogues.add import CanaryFailed, add
from lasair.catalogues.describe import Description, load_description, parse_description
from lasair.catalogues.readers.table import BadSource
from lasair.catalogues.shelf import Shelf
from lasair.catalogues.sky import Sky
from lasair.catalogues.sources import NoPositions
from lasair.catalogues.validate import Report
from lasair.errors import BadDefinition, NotFound
from tests.support.data import DATA

TEXT = """
name: mine
title: Mine
version: 1
licence: CC0
citation: me
acknowledgement: thanks
epoch: 2015.5
columns: {ra: ra, decl: dec, id: id, subtype: kind, z: z}
views: {all: all, near: z < 0.1}
"""
ROWS = "ra,dec,id,kind,z\n10,20,1,a,0.05\n359.5,-89.5,2,b,\n-0.5,0,3,,0.2\n"


def described(tmp_path: Path, more: str = "", table: str | None = ROWS) -> Description:
    if table is not None:
        (tmp_path / "t.csv").write_text(table)
    return parse_description(TEXT + "source: t.csv\n" + more, tmp_path / "mine.yaml")


def test_a_catalogue_is_added_and_current(tmp_path: Path) -> None:
    stages: list[str] = []
    more = "canaries: [{ra: 10, decl: 20, id: 1}]\n"
    more += "searches: [{name: s, in: all, type: star, radius: 2, classes: [VS, VS, ~]}]\n"
    description = described(tmp_path, more)
    added = add(description, tmp_path / "cat", progress=lambda stage, done, total: stages.append(stage))
    assert added.current and set(stages) == {"read", "write"}
    assert (added.report.rows_read, added.report.rows_used, added.report.rows_refused) == (3, 3, 0)
    assert added.report.canaries == ["'1' within 1 arcsec of 10 +20: found"]
    with Shelf.open(tmp_path / "cat") as shelf:
        release = shelf.releases["mine"]
        assert release.view_counts == {"all": 3, "near": 1}
        about = release.about
        assert (about["epoch"], about["licence"], about["citation"], about["acknowledgement"]) == (
            2015.5,
            "CC0",
            "me",
            "thanks",
        )
        assert about["source"] == ["t.csv"] and about["searches"][0]["name"] == "s"
        row = release.cone(Sky([359.5], [0.0]), 1.0).row
        assert release.gather("id", row).tolist() == [3]
    assert not list((tmp_path / "cat" / ".staging").glob("mine/*"))


def test_bad_rows_are_refused_and_named_and_the_others_go_on(tmp_path: Path) -> None:
    table = ROWS + ",1,4,a,0\n10,91,5,a,0\n10,10,,a,0\n1,2\nx,2,6,a,0\n10,20,1,a,0.1\n"
    found = add(described(tmp_path, "rows: 7\n", table), tmp_path / "cat").report
    assert (found.rows_read, found.rows_used, found.rows_refused) == (9, 4, 5)
    assert {reason: (one.count, one.examples) for reason, one in found.refused.items()} == {
        "has 2 columns instead of 5": (1, [f"{tmp_path}/t.csv: row 7: '1,2'"]),
        "ra is not a number": (1, [f"{tmp_path}/t.csv: row 8: 'x'"]),
        "no position": (1, [f"{tmp_path}/t.csv: row 4: ra nan, decl 1"]),
        "position out of range": (1, [f"{tmp_path}/t.csv: row 5: ra 10, decl 91"]),
        "no id": (1, [f"{tmp_path}/t.csv: row 6"]),
    }
    assert (found.duplicate_ids.count, found.duplicate_ids.examples) == (1, ["1"])
    assert found.duplicate_positions.count == 1
    assert "there are 4 rows, the description expects 7" in found.notes
    assert found.columns["z"] == {"known": 3, "min": 0.05, "max": 0.2, "unit": ""}
    assert found.columns["decl"]["min"] == -89.5
    text = found.text()
    assert "no position: 1" in text and "t.csv: row 7" in text


def test_a_canary_that_is_not_found_publishes_nothing(tmp_path: Path) -> None:
    told: list[Report] = []
    add(described(tmp_path), tmp_path / "cat")
    before = Shelf(tmp_path / "cat").current("mine")
    bad = described(tmp_path, "canaries: [{ra: 10, decl: 20, id: 2}]\n", ROWS + "1,1,9,,\n")
    with pytest.raises(
        CanaryFailed, match=r"mine was not published: the canary '2' within 1 arcsec of 10 \+20.* there is 1"
    ):
        add(bad, tmp_path / "cat", report=told.append)
    assert told[0].rows_used == 4
    with Shelf.open(tmp_path / "cat") as shelf:
        assert shelf.current("mine") == before and len(shelf.releases_of("mine")) == 1


def test_a_release_can_be_published_without_switching(tmp_path: Path) -> None:
    first = add(described(tmp_path), tmp_path / "cat")
    second = add(described(tmp_path, table=ROWS + "1,1,9,,\n"), tmp_path / "cat", switch=False)
    assert not second.current
    with Shelf.open(tmp_path / "cat") as shelf:
        assert shelf.current("mine") == first.info.release
    assert add(described(tmp_path, table=None), tmp_path / "cat").current


def test_a_part_covers_only_itself(tmp_path: Path) -> None:
    more = "rows: 1000\ncoverage: all-sky\ncanaries: [{ra: 200, decl: -30, id: far}, {ra: 10, decl: 20, id: 1}]\n"
    description = described(tmp_path, more)
    with pytest.raises(CanaryFailed):
        add(description, tmp_path / "cat")
    added = add(description, tmp_path / "cat", partial=True)
    assert "not asked for" in added.report.canaries[0] and "found" in added.report.canaries[1]
    assert added.report.sky_fraction < 0.01 and added.report.expected_rows is None


def test_rows_may_be_selected_and_keep_their_numbers(tmp_path: Path) -> None:
    table = "ra,dec,id,kind,z\n1,1,1,out,0\n2,,2,in,0\n3,3,3,in,0\n"
    found = add(described(tmp_path, "select: kind == 'in'\n", table), tmp_path / "cat").report
    assert (found.rows_read, found.rows_not_selected, found.rows_used) == (3, 1, 1)
    assert found.refused["no position"].examples == [f"{tmp_path}/t.csv: row 2: ra 2, decl nan"]


def test_positions_of_a_second_table(tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_text("name,lon,lat\nA,1,2\nA,9,9\n7,3,4\n,5,5\n")
    text = TEXT.replace("ra: ra, decl: dec", "ra: lon, decl: lat").replace(", subtype: kind, z: z", "").replace(
        "views: {all: all, near: z < 0.1}", "")  # fmt: skip
    text += "positions_from: {source: places.csv, key: name, by: id, ra: lon, decl: lat}\nsource: t.csv\n"
    (tmp_path / "t.csv").write_text("id,d\nA,1\n7,2\nB,3\n")
    added = add(parse_description(text, tmp_path / "mine.yaml"), tmp_path / "cat")
    assert added.report.rows_used == 2 and added.report.refused["no position"].count == 1
    with Shelf.open(tmp_path / "cat") as shelf:
        release = shelf.releases["mine"]
        ra, decl = release.positions(np.arange(2))
        places = dict(zip(release.column("id").tolist(), zip(ra.round(6), decl.round(6), strict=True), strict=True))
    assert places == {b"A": (1, 2), b"7": (3, 4)}
    (tmp_path / "places.csv").write_text("name,lon\nA,1\n")
    with pytest.raises(BadSource, match=r"places\.csv: has no column 'lat' of positions_from"):
        add(parse_description(text, tmp_path / "mine.yaml"), tmp_path / "cat")
    with pytest.raises(NotFound, match="the second table, which has the positions: there is no file"):
        add(parse_description(text, tmp_path / "mine.yaml"), tmp_path / "cat", positions=[tmp_path / "gone.csv"])


@pytest.mark.parametrize(
    ("table", "kind", "message"),
    [
        ("id,kind,z\n1,a,2\n", NoPositions, r"t\.csv has no positions: there is no column 'dec', 'ra'.*id, kind, z"),
        ("ra,dec,id,kind,Z\n", BadSource, r"t\.csv: there is no column 'z', which .*; did you mean 'Z'"),
        ("ra,dec,id,kind,z\n", BadDefinition, r"no row of .*t\.csv can be used as catalogue mine; nothing"),
        ("ra,dec,id,kind,z\n1,99,2,a,0\n", BadDefinition, r"no row of .*out of range \(1\), such as .*row 1"),
        ("", BadSource, r"t\.csv: is empty"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used_are_named(tmp_path: Path, table: str, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        add(described(tmp_path, table=table), tmp_path / "cat")
    assert not (tmp_path / "cat" / "mine").exists()


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no file .*t\.csv for catalogue mine"):
        add(described(tmp_path, table=None), tmp_path / "cat")
    web = parse_description(TEXT + "source: https://example.org/t.csv\n")
    with pytest.raises(NotFound, match=r"comes from https://example.org/t.csv: say --fetch"):
        add(web, tmp_path / "cat")
    with pytest.raises(NotFound, match="names no such file: give one with --source"):
        add(parse_description(TEXT), tmp_path / "cat")
    wrong = described(tmp_path, f"sha256: {{t.csv: {'a' * 64}}}\n")
    with pytest.raises(Exception, match=r"t\.csv is not the file that the description means"):
        add(wrong, tmp_path / "cat")


def test_many_files_chunks_and_little_memory_give_the_same_release(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    n = 30_000
    columns: dict[str, Any] = {
        "ra": rng.uniform(0, 360, n),
        "dec": rng.uniform(-90, 90, n),
        "id": rng.permutation(n) + 2**60,
        "kind": rng.choice(["a", "b"], n),
        "z": rng.uniform(0, 1, n),
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "all.parquet", row_group_size=999)
    for i in range(3):
        pq.write_table(table.slice(i * 10_000, 10_000), tmp_path / f"part{2 - i}.parquet")
    description = parse_description(TEXT)
    one = add(description, tmp_path / "one", source=[tmp_path / "all.parquet"])
    two = add(description, tmp_path / "two", source=[str(tmp_path / "part*.parquet")], memory_bytes=1_000_000)
    assert one.info.release == two.info.release
    assert len(two.report.files) == 3 and two.report.rows_used == n


def test_a_folder_of_hats_is_a_source(tmp_path: Path) -> None:
    hats = tmp_path / "hats"
    for pixel in (3, 0):
        file = hats / "dataset" / "Norder=0" / "Dir=0" / f"Npix={pixel}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"ra": [1.0 + pixel], "dec": [2.0], "id": [pixel], "kind": ["a"], "z": [0.0]}), file)
    (hats / "hats.properties").write_text("dataproduct_type=object\nhats_nrows=3\n")
    report = add(parse_description(TEXT), tmp_path / "cat", source=[hats]).report
    assert [Path(file).stem for file in report.files] == ["Npix=0", "Npix=3"]
    assert report.rows_used == 2 and report.notes == ["there are 2 rows, the description expects 3"]
    (hats / "hats.properties").unlink()
    with pytest.raises(BadDefinition, match="does not tell its format"):
        add(parse_description(TEXT), tmp_path / "cat", source=[hats])
    with pytest.raises(BadSource, match="hats: is a folder; only format hats is one"):
        add(parse_description(TEXT + "format: parquet\n"), tmp_path / "cat", source=[hats])


# ------------------------------------------------------------------------------------------------------ real extracts

EXTRACTS: dict[str, tuple[str, int]] = {
    "gcvs": ("gcvs_positions.csv.gz", 59099),
    "catalina_periodic": ("catalina_periodic_47k.csv.gz", 47055),
    "spicy": ("spicy_yso_quarter.csv.gz", 29362),
    "veron": ("veron_cetty_sample.txt", 50),
    "hsp_blazars": ("3hsp_blazars.csv", 2013),
    "ctao_blazars": ("CTAO_blazars_ztf_dr24_v06_2026.parquet", 228),
    "fermi_4lac": ("fermi_4lac_dr3_lowlat.fits", 407),
    "fermi_4fgl": ("fermi_4fgl_ellipses.csv", 3637),
    "glade": ("glade_plus_101.csv", 101),
    "clu": ("clu_mini.hdf5", 92),
    "changing_state_agn": ("changing_state_agn.csv", 36),
    "vlass": ("vlass_head99.csv", 99),
    "igaps": ("igaps_small.fits.gz", 100),
    "ztf_references": ("ztf_reference_sources.csv.gz", 1133),
    "milliquas_text": ("milliquas_sample.txt", 1000),
}


def real(names: list[str]) -> list[str]:
    return [name for name in names if DATA is not None and (DATA / "catalogues" / name).is_file()]


if DATA is not None:
    FOLDER = DATA / "catalogues"

    @pytest.mark.parametrize("name", [name for name, (file, _) in EXTRACTS.items() if real([file])])
    def test_real_extracts(tmp_path: Path, name: str) -> None:
        file, rows = EXTRACTS[name]
        description = load_description(name)
        positions = [FOLDER / "fermi_4fgl_ellipses.csv"] if description.positions_from else None
        added = add(description, tmp_path / "cat", source=[FOLDER / file], positions=positions, partial=True)
        assert added.report.rows_used == rows
        assert added.report.rows_read - rows == added.report.rows_refused == (1 if name == "ctao_blazars" else 0)
        assert not [one for one in added.report.canaries if "found" not in one]
        empty = [one for one in added.report.notes if "is empty" in one]
        assert not empty, empty

    @pytest.mark.parametrize("file", real(["ned_d_sample.csv"]))
    def test_distances_without_positions_are_refused_or_take_them_from_a_second_table(
        tmp_path: Path, file: str
    ) -> None:
        with pytest.raises(NoPositions, match=r"ned_d_sample\.csv has no positions"):
            add(load_description("ned_d"), tmp_path / "cat", source=[FOLDER / file])
        places = tmp_path / "places.csv"
        places.write_text("name,ra,dec\nUGC 12889,0.0069,47.2745\nKUG 2357+228,0.0147,23.0883\n")
        description = load_description("ned_d_published")
        added = add(description, tmp_path / "cat", source=[FOLDER / file], positions=[places])
        assert added.report.rows_used >= 5 and added.report.refused["no position"].count >= 4
        assert added.report.columns["distance_mpc"]["min"] == 55.8

    @pytest.mark.parametrize("file", real(["milliquas_sample.txt"]))
    def test_a_file_of_another_format_is_named(tmp_path: Path, file: str) -> None:
        with pytest.raises(BadSource, match=r"milliquas_sample\.txt: cannot be read"):
            add(load_description("milliquas"), tmp_path / "cat", source=[FOLDER / file])
