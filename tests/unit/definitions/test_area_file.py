from __future__ import annotations

import gzip
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from lasair.definitions.area_file import AreaFile, read_area
from lasair.errors import BadDefinition
from lasair.sky.areas import SKY_CELLS, AreaIndex
from lasair.sky.separation import separation_arcsec
from tests.support.data import DATA


def read(tmp_path: Path, content: str | bytes, order: int | None = None) -> AreaFile:
    path = tmp_path / "area"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_area(path, order=order)


def inside(area: AreaFile, ra: object, decl: object) -> np.ndarray:
    ra, decl = np.asarray(ra, np.float64), np.asarray(decl, np.float64)
    out = np.zeros(len(ra), np.bool_)
    out[AreaIndex({1: area.ranges}).find(ra, decl).position] = True
    return out


def sky(n: int = 20_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    return chance.uniform(0.0, 360.0, n), np.degrees(np.arcsin(chance.uniform(-1.0, 1.0, n)))


def near(ra: float, decl: float, width: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(2)
    centre = SkyCoord(ra, decl, unit="deg")
    found = centre.directional_offset_by(
        chance.uniform(0, 360, n) * u.deg, width * np.sqrt(chance.uniform(0, 1, n)) * u.deg
    )
    return found.ra.deg, found.dec.deg


def in_frame(ra: np.ndarray, decl: np.ndarray, centre: SkyCoord, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets [deg] along a direction (position angle) and across it, to the right."""
    frame = centre.skyoffset_frame(rotation=angle * u.deg)
    seen = SkyCoord(ra, decl, unit="deg").transform_to(frame)
    return seen.lat.deg, seen.lon.deg


MOCS = sorted((DATA / "multimessenger" / "moc").glob("*.fits")) if DATA else []


if MOCS:

    @pytest.mark.parametrize("path", MOCS, ids=lambda path: path.name)
    def test_real_maps_hold_what_mocpy_says(path: Path, tmp_path: Path) -> None:
        moc = MOC.from_fits(path)
        ours = read_area(path)
        assert ours.exact and ours.order <= 29
        assert np.array_equal(ours.ranges, moc.to_depth29_ranges)
        for text in (moc.to_string("ascii"), moc.to_string("json")):
            assert np.array_equal(read(tmp_path, text).ranges, moc.to_depth29_ranges)


def some_moc(order: int, seed: int) -> MOC:
    chance = np.random.default_rng(seed)
    cells = np.unique(chance.integers(0, 12 * 4**order, 40)).astype(np.uint64)
    return MOC.from_healpix_cells(cells, np.full(len(cells), order, np.uint8), max_depth=order)


@pytest.mark.parametrize("order", [0, 1, 5, 12, 13, 14, 20, 27, 28, 29])
def test_every_form_of_every_order(order: int, tmp_path: Path) -> None:
    moc = some_moc(order, order)
    forms: list[str | bytes] = [moc.to_string("ascii"), moc.to_string("json"), json.dumps(moc.serialize("json"))]
    for old in (True, False):
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            moc.serialize("fits", pre_v2=old).writeto(buffer)
        forms += [buffer.getvalue(), gzip.compress(buffer.getvalue())]
    for form in forms:
        found = read(tmp_path, form)
        assert np.array_equal(found.ranges, moc.to_depth29_ranges)
        assert found.exact


def test_range_form_and_whole_sky(tmp_path: Path) -> None:
    def table(values: list[int], **header: object) -> bytes:
        hdu = fits.BinTableHDU.from_columns([fits.Column("RANGE", "K", array=np.array(values, np.int64))])
        hdu.header.update({"MOCVERS": "2.0", "MOCDIM": "SPACE", "ORDERING": "RANGE", "COORDSYS": "C", **header})
        buffer = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(buffer)
        return buffer.getvalue()

    whole = read(tmp_path, table([0, SKY_CELLS]))
    assert inside(whole, *sky(100)).all()
    assert whole.square_degrees == pytest.approx(41_252.96, abs=0.01)
    for values, header, reason in (
        ([0, 5, 9], {}, "odd number"),
        ([9, 5], {}, "ends before"),
        ([0, SKY_CELLS + 1], {}, "has cells that the sky has not"),
        ([-4, 5], {}, "has cells that the sky has not"),
        ([], {}, "is empty"),
        ([0, 5], {"MOCDIM": "TIME"}, "of TIME"),
        ([0, 5], {"COORDSYS": "G"}, "equatorial"),
        ([0, 5], {"ORDERING": "NUNIQ"}, "no cells"),
        ([2**62], {"ORDERING": "NUNIQ"}, "no cells"),
        ([0, 5], {"ORDERING": "NESTED"}, "no coverage map"),
    ):
        with pytest.raises(BadDefinition, match=reason):
            read(tmp_path, table(values, **header))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("{}", "coverage map in JSON"),
        ("[1]", "coverage map in JSON"),
        ('{"30": [1]}', "no order"),
        ('{"3": [768]}', "768 is none"),
        ('{"3": [1.5]}', "whole numbers"),
        ('{"3": {"a": 1}}', "whole numbers"),
        ('{"3": []}', "is empty"),
        ("{" + "[" * 100_000, "JSON"),
        ("3/768", "768 is none"),
        ("30/1", "beyond 29"),
        ("3/5-2", "no range"),
        ("3/1 x", "neither"),
        ("3/99999999999999999999", "neither|no range"),
        ("1,2\n3,4\n", "three different corners"),
        ("1,2\n3,4\n1,2\n", "three different corners"),
        ("0,0\n10,0\n20,0\n", "no area"),
        ("1,2\n3,x\n5,6\n", "line 2: .*no declination"),
        ("1,2\n3,4,5\n5,6\n", "line 2: has 3 fields"),
        ("1,2\n3,95\n5,6\n", "no place on the sky"),
        ("circle(10,20)", "3 values"),
        ("circle(10,20,0)", "above 0"),
        ("circle(10,20,91)", "at most 90"),
        ("circle(10,95,1)", "no place"),
        ("circle(x,95,1)", "no right ascension"),
        ("circle(10,5,1p)", "no size"),
        ("ellipse(10,5,1,2,3,4)", "4 or 5 values"),
        ("\n\nannulus(10,5,1,2)", "line 3: shape 'annulus'"),
        ("image\ncircle(10,5,1)", "coordinates in image"),
        ("fk5\nnonsense(1)", "not understood"),
        ("-circle(10,5,1)", "every shape is cut out"),
        ("circle(10,5,1)\n-circle(10,5,2)", "nothing is left"),
        ("galactic\ncircle(10,95,1)", "beyond a pole"),
        ("# Region file format: DS9\n", "no shape"),
        ("polygon(1,2,3,4)", "pairs"),
        (b"\0\1\2", "binary"),
        (b"SIMPLE  =                    T / x", "FITS"),
        ("hello world", "line 1"),
    ],
)
def test_what_is_no_area_is_named_with_its_reason(content: str | bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(BadDefinition, match=rf"area: .*({reason})"):
        read(tmp_path, content)


@pytest.mark.parametrize("text", ["circle 10 20 80", "ellipse 10 20 80 2 5", "box 0 0 90 90"])
def test_huge_shapes_at_fine_orders_are_refused_at_once(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadDefinition, match="use --order"):
        read(tmp_path, text, order=29)


@pytest.mark.parametrize("order", [-1, 30])
def test_orders_that_are_none(order: int, tmp_path: Path) -> None:
    with pytest.raises(BadDefinition, match="orders go from 0 to 29"):
        read(tmp_path, "circle 1 2 3", order)


def test_sky_maps_and_tables_are_no_areas(tmp_path: Path) -> None:
    for name, reason in (("PROBDENSITY", "sky map"), ("RA", "no coverage map")):
        hdu = fits.BinTableHDU.from_columns(
            [fits.Column("UNIQ", "K", array=np.array([5])), fits.Column(name, "D", array=np.array([1.0]))]
        )
        buffer = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(buffer)
        with pytest.raises(BadDefinition, match=reason):
            read(tmp_path, buffer.getvalue())


def test_damaged_fits_is_refused_by_name(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        some_moc(9, 1).serialize("fits").writeto(buffer)
    whole = buffer.getvalue()
    for cut in (50, 2000, 2880, 5000, 5760, 5800):
        with pytest.raises(BadDefinition, match="area"):
            read(tmp_path, whole[:cut])
    chance = np.random.default_rng(1)
    for _ in range(100):
        broken = bytearray(whole)
        for at in chance.integers(2880, len(whole), 4):
            broken[at] = chance.integers(0, 256)
        try:
            read(tmp_path, bytes(broken))
        except BadDefinition as err:
            assert "area" in str(err)


@pytest.mark.parametrize(
    ("ra", "decl", "radius"), [(10, 20, 1.0), (0.1, -5, 3.0), (77, 89.5, 2.0), (200, -90, 90.0), (5, 0, 0.001)]
)
@pytest.mark.parametrize(
    "text", ["circle({},{},{})", "fk5; circle {}d {} {}", "CIRCLE ICRS {} {} {}", "j2000;+circle( {}, {}, {} )"]
)
def test_circles(ra: float, decl: float, radius: float, text: str, tmp_path: Path) -> None:
    area = read(
        tmp_path,
        text.format(ra, decl, radius) if "d " not in text else text.replace("{}d", "{}").format(ra, decl, radius),
    )
    a, d = near(ra, decl, min(2.5 * radius, 170.0))
    away = separation_arcsec(a, d, ra, decl) / 3600.0 - radius
    # a cell of order 13 is half a minute of arc wide
    sure = np.abs(away) > 0.02
    assert (inside(area, a, d) == (away <= 0.0))[sure].all()
    assert not area.exact
    assert inside(area, a, d)[away <= 0.0].all()


def test_units_and_sexagesimal(tmp_path: Path) -> None:
    plain = read(tmp_path, "icrs\ncircle(180,-10.5,0.5)").ranges
    for text in (
        "fk5\ncircle(12:00:00,-10:30:00,1800\")", "fk5\ncircle(12h00m00s,-10d30m00s,30')",
        "fk5;circle(180.0,-10.5,0.5d) # text={a;b}", "global color=green\nfk5\ncircle(180,-10.5,0.5) ||",
    ):  # fmt: skip
        assert np.array_equal(read(tmp_path, text).ranges, plain)


@pytest.mark.parametrize("angle", [0.0, 30.0, 100.0, 215.0])
@pytest.mark.parametrize("sizes", [(3.0, 1.0), (1.0, 3.0), (2.0, 2.0)])
@pytest.mark.parametrize("frame", ["icrs", "galactic"])
@pytest.mark.parametrize("place", [(40.0, 25.0), (359.9, -60.0)])
def test_ellipses_and_boxes_lie_as_in_ds9(
    angle: float, sizes: tuple[float, float], frame: str, place: tuple[float, float], tmp_path: Path
) -> None:
    centre = SkyCoord(*place, unit="deg", frame=frame)
    a, d = near(centre.icrs.ra.deg, centre.icrs.dec.deg, 5.0)
    points = SkyCoord(a, d, unit="deg").transform_to(frame)
    # the first axis: east to west at angle 0, counterclockwise with east to the left
    along, across = in_frame(points.data.lon.deg, points.data.lat.deg, SkyCoord(*place, unit="deg"), angle - 90.0)
    for kind, size in (("ellipse", np.hypot(along / sizes[0], across / sizes[1])),
                       ("box", np.maximum(np.abs(along) / sizes[0], np.abs(across) / sizes[1]))):  # fmt: skip
        widths = sizes if kind == "ellipse" else (2 * sizes[0], 2 * sizes[1])
        area = read(tmp_path, f"{frame}\n{kind}({place[0]},{place[1]},{widths[0]},{widths[1]},{angle})")
        sure = np.abs(size - 1.0) > 0.03
        wrong = (inside(area, a, d) != (size <= 1.0)) & sure
        assert not wrong.any(), (kind, size[wrong][:5])


def test_polygons_concave_either_way_round_and_large(tmp_path: Path) -> None:
    corners = [(0, 0), (10, 0), (10, 10), (9, 10), (9, 1), (1, 1), (1, 10), (0, 10)]
    shifted = [((ra + 355) % 360, decl) for ra, decl in corners]
    for one in (shifted, shifted[::-1]):
        area = read(tmp_path, "\n".join(f"{ra},{decl}" for ra, decl in one))
        assert inside(area, [0.0, 355.5, 4.5, 0.0, 0.0], [0.5, 5.0, 5.0, 5.0, -0.5]).tolist() == [1, 1, 1, 0, 0]
    cap = read(tmp_path, "ra,dec\n0,80\n90,80\n180,80\n270,80\n0,80\n")
    assert inside(cap, [10.0, 200.0, 10.0], [90.0, 89.0, 70.0]).tolist() == [1, 1, 0]


def test_polygons_in_csv_and_in_regions_agree(tmp_path: Path) -> None:
    first, second = [(10, 10), (20, 10), (15, 18)], [(100, -10), (104, -10), (104, -14), (100, -14)]
    text = "\n\n".join("\n".join(f"{ra},{decl}" for ra, decl in one) for one in (first, second))
    region = "\n".join(f"polygon({','.join(f'{ra},{decl}' for ra, decl in one)})" for one in (first, second))
    expected = read(tmp_path, region).ranges
    for form in (
        text, "ra,dec\n" + text, "# corners\n\n" + text + "\n\n\n", text.replace(",", " "), text.replace("\n", "\r\n"),
        text.replace("\n\n", "\n\nra,dec\n"),
        "dec;ra\n" + "\n\n".join("\n".join(f"{decl};{ra}" for ra, decl in one) for one in (first, second)),
    ):  # fmt: skip
        assert np.array_equal(read(tmp_path, form).ranges, expected)
    assert "2 shapes" in read(tmp_path, text).how


def test_shapes_are_joined_and_excluded_ones_cut_out(tmp_path: Path) -> None:
    area = read(tmp_path, "circle(10,0,2)\n-circle(10,0,1)\ncircle(50,0,1)", order=11)
    assert inside(area, [10.0, 11.5, 50.0, 30.0], [0.0, 0.0, 0.0, 0.0]).tolist() == [0, 1, 1, 0]
    assert area.order == 11


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="circlepolygn boxelipse(),;-+0123456789.'\"\n#/{}[]:", max_size=60))
def test_any_text_is_an_area_or_refused_with_a_reason(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_text(text)
    try:
        area = read_area(path, order=8)
    except BadDefinition as err:
        assert str(path) in str(err)
    else:
        assert len(area.ranges)
