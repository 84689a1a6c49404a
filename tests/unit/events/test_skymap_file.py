"""Sky maps in FITS: good ones of every form, and ones that must be refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from cdshealpix.nested import healpix_to_lonlat
from cdshealpix.ring import healpix_to_lonlat as ring_to_lonlat
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.errors import BadDefinition
from lasair.events import fits_table, skymap_file
from lasair.events.content import Content
from lasair.events.skymap_file import merged, read_skymap, read_skymap_file
from lasair.sky.skymap import SQUARE_DEGREES, SkyMap
from tests.unit.events.made import DENSITY, UNIQ, fits_bytes, flat, multi_order

RNG = np.random.default_rng(5)
#: a smooth sky at NSIDE 4, in nested numbers
SKY = RNG.exponential(size=192) ** 3
SKY /= SKY.sum()


def read(content: bytes) -> SkyMap:
    return read_skymap(Content.of(content, "map"))[0]


def at_centres(found: SkyMap, nside: int = 4) -> Any:
    order = nside.bit_length() - 1
    lon, lat = healpix_to_lonlat(np.arange(12 * nside**2, dtype=np.uint64), order)
    return found.at(lon.deg, lat.deg, np.full(12 * nside**2, 50.0))


def expected_contour(probability: Any) -> Any:
    return np.array(
        [100.0 * probability[probability >= p].sum() / probability.sum() if p else 100.0 for p in probability]
    )


def ring_of(values: Any, nside: int = 4) -> Any:
    """Values in nested numbers put into ring numbers."""
    from cdshealpix.nested import lonlat_to_healpix

    lon, lat = ring_to_lonlat(np.arange(12 * nside**2, dtype=np.uint64), nside)
    return values[lonlat_to_healpix(lon, lat, nside.bit_length() - 1).astype(np.int64)]


@pytest.mark.parametrize("uniq", [UNIQ, UNIQ.astype(np.uint64), UNIQ.astype(np.int32)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_multi_order(uniq: Any, pack: Any, tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_bytes(pack(multi_order(uniq, OBJECT="S1")))
    found, cards = read_skymap_file(path)
    assert cards["OBJECT"] == "S1" and len(found) == 2
    lon, lat = healpix_to_lonlat(np.array([0], np.uint64), 0)
    said = found.at(lon.deg, lat.deg)
    assert said.contour[0] == 100.0 and said.probdens2[0] == pytest.approx(1.0 / SQUARE_DEGREES)
    assert found.area(75.0) == pytest.approx(129600 / np.pi / 12 / 4)


@pytest.mark.parametrize("ordering", ["NESTED", "RING"])
@pytest.mark.parametrize("per_row", [1, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flat(ordering: str, per_row: int, dtype: Any) -> None:
    values = (ring_of(SKY) if ordering == "RING" else SKY).astype(dtype)
    column = values if per_row == 1 else values.reshape(-1, per_row)
    found = at_centres(read(flat(column, ORDERING=ordering, NSIDE=4)))
    assert found.contour == pytest.approx(expected_contour(SKY), rel=1e-5)
    assert found.probdens2 == pytest.approx(SKY * 192 / (4 * np.pi) / SQUARE_DEGREES, rel=1e-5)


def test_flat_of_some_pixels_and_of_densities() -> None:
    some = np.flatnonzero(np.median(SKY) < SKY)
    content = fits_bytes(
        {"PIXEL": some[::-1], "PROBABILITY": SKY[some][::-1]}, PIXTYPE="HEALPIX", ORDERING="NESTED", NSIDE=4
    )
    expected = np.where(np.median(SKY) < SKY, SKY, 0.0)
    assert at_centres(read(content)).contour == pytest.approx(expected_contour(expected))
    dense = fits_bytes({"PROBDENSITY": SKY}, PIXTYPE="HEALPIX", ORDERING="NESTED", NSIDE=4)
    assert at_centres(read(dense)).probdens2 == pytest.approx(SKY / SQUARE_DEGREES)


def test_distances_of_a_flat_map() -> None:
    mu = np.where(np.arange(192) < 96, 40.0, np.inf)
    columns = {"PROB": SKY, "DISTMU": mu, "DISTSIGMA": np.full(192, 8.0), "DISTNORM": np.full(192, 1e-3)}
    found = at_centres(read(fits_bytes(columns, PIXTYPE="HEALPIX", ORDERING="NESTED", NSIDE=4)))
    normal = np.exp(-0.5 * (10 / 8) ** 2) / 8 / np.sqrt(2 * np.pi)
    assert found.probdens3[:96] == pytest.approx((SKY * 192 / (4 * np.pi) * 1e-3 * normal)[:96])
    assert np.isnan(found.probdens3[96:]).all() and np.isnan(found.distance[96:]).all()


def test_siblings_of_a_flattened_map_are_one_again() -> None:
    fine = np.repeat(SKY, 256) / 256
    assert len(read(flat(fine))) == 192
    found = read(flat(ring_of(fine, 64), ORDERING="RING"))
    assert len(found) == 192
    assert at_centres(found).contour == pytest.approx(expected_contour(SKY))


@given(st.lists(st.integers(0, 191), unique=True, max_size=192), st.integers(0, 3))
@settings(max_examples=60)
def test_merged_holds_the_same(cells: list[int], spread: int) -> None:
    cell = np.array(cells, np.int64)
    value = (cell >> (2 * spread)).astype(np.float64)
    orders, found, (values,) = merged(cell, 2, [value])
    flattened: dict[int, float] = {}
    for order, one, held in zip(orders.tolist(), found.tolist(), values.tolist(), strict=True):
        for sub in range(one << 2 * (2 - order), (one + 1) << 2 * (2 - order)):
            assert sub not in flattened
            flattened[sub] = held
    assert flattened == dict(zip(cells, value.tolist(), strict=True))


def test_the_map_need_not_be_first() -> None:
    file = fits.HDUList(
        [
            fits.PrimaryHDU(np.zeros((7, 5), np.int16)),
            fits.BinTableHDU.from_columns([fits.Column("EBOUNDS", "J", array=[1, 2])]),
            fits.HDUList.fromstring(multi_order())[1],
        ]
    )
    import io

    out = io.BytesIO()
    file.writeto(out)
    assert len(read(out.getvalue() + b"\0" * 100)) == 2


NAN = float("nan")
BAD = {
    "UNIQ number": multi_order(np.array([4, 3])),
    "order that is not": multi_order(np.array([4, 2**63 - 1])),
    "UNIQ number of the sky map is less": multi_order(np.array([4, -(2**63)])),
    "overlap": multi_order(np.array([4, 16 + 1])),
    "negative or no number": multi_order(density=np.array([1.0, -1e-9])),
    "negative or no": multi_order(density=np.array([1.0, NAN])),
    "or no number": multi_order(density=np.array([1.0, np.inf])),
    "no probability anywhere": multi_order(density=np.zeros(2)),
    "no cells": multi_order(np.array([], np.int64), np.array([])),
    "whole numbers": multi_order(UNIQ.astype(np.float64)),
    "needs a column PROBDENSITY": fits_bytes({"UNIQ": UNIQ, "P": DENSITY}),
    "needs a column UNIQ": fits_bytes({"P": DENSITY}, PIXTYPE="HEALPIX", ORDERING="NUNIQ"),
    "one value a row": multi_order(np.array([[4, 20]]), np.array([[1.0, 1.0]])),
    "holds no numbers": multi_order(np.array(["4", "5"]), DENSITY),
    "frame 'G'": multi_order(COORDSYS="G"),
    "NSIDE 8 would have 768": flat(SKY, NSIDE=8),
    "no power of two": flat(SKY, NSIDE=3),
    "NSIDE 0": flat(SKY, NSIDE=0),
    "NSIDE 8192; at most 4096": flat(SKY, NSIDE=8192),
    "keyword NSIDE is '4'": flat(SKY, NSIDE="4"),
    "keyword NSIDE is '-4'": flat(SKY, NSIDE=-4),
    "must be RING or NESTED": flat(SKY, ORDERING="SPIRAL"),
    "no column is called PROB": fits_bytes({"FLUX": SKY}, PIXTYPE="HEALPIX", ORDERING="RING"),
    "no table with a sky map": fits_bytes({"FLUX": SKY}),
    "map: a probability of the sky map is negative": flat(SKY - 0.5),
    "is negative or no number": flat(np.where(SKY.max() == SKY, NAN, SKY)),
    "the sky map has no probability": flat(np.zeros(192)),
    "none of NSIDE": fits_bytes({"PIXEL": [0, 192], "PROB": [0.5, 0.5]}, NSIDE=4, ORDERING="NESTED"),
    "two cells": fits_bytes({"PIXEL": [7, 7], "PROB": [0.5, 0.5]}, NSIDE=4, ORDERING="RING"),
    "needs NSIDE": fits_bytes({"PIXEL": [7], "PROB": [0.5]}, PIXTYPE="HEALPIX", ORDERING="RING"),
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_maps(reason: str) -> None:
    with pytest.raises(BadDefinition) as caught:
        read(BAD[reason])
    assert str(caught.value).startswith("map: ") and reason in str(caught.value)


def patched(content: bytes, key: bytes, value: bytes) -> bytes:
    """A FITS file whose header of the table says something else."""
    at = content.index(key.ljust(8) + b"= ", 2880)
    return content[: at + 10] + value.rjust(20) + content[at + 30 :]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"NAXIS2", b"10000001", "10000001 cells; at most 10000000"),
        (b"NAXIS2", b"99999999999", "GB are taken"),
        (b"NAXIS2", b"999", "cut off"),
        (b"NAXIS2", b"-1", "keyword NAXIS2"),
        (b"NAXIS2", b"T", "keyword NAXIS2"),
        (b"NAXIS1", b"17", "columns need 16"),
        (b"NAXIS1", b"0", "columns need 16"),
        (b"TFIELDS", b"3", "has the form"),
        (b"TFIELDS", b"100000", "FITS does not allow"),
        (b"TFORM1", b"'999999999K'", "columns need"),
        (b"TFORM1", b"'Z'", "has the form"),
    ],
)
def test_headers_that_lie(key: bytes, value: bytes, reason: str) -> None:
    with pytest.raises(BadDefinition, match=reason):
        read(patched(multi_order(), key, value))


def test_parts_that_are_too_large() -> None:
    content = fits_bytes({"FLUX": SKY})
    for key, value in ((b"PCOUNT", b"99999999999"), (b"BITPIX", b"7"), (b"NAXIS2", b"99999999999")):
        with pytest.raises(BadDefinition, match=r"^map: "):
            read(patched(content, key, value))


def test_too_many_different_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skymap_file, "MAX_FLAT_CELLS", 100)
    for ordering in ("NESTED", "RING"):
        coarse = SKY.repeat(4).reshape(-1, 64).mean(axis=1).repeat(16)
        assert len(read(flat(ring_of(coarse) if ordering == "RING" else coarse, ORDERING=ordering))) == 12
        with pytest.raises(BadDefinition, match="more than 100 pixels"):
            read(flat(SKY, ORDERING=ordering))


def test_stretches_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {ordering: at_centres(read(flat(SKY, ORDERING=ordering))) for ordering in ("NESTED", "RING")}
    monkeypatch.setattr(fits_table, "_STRETCH", 100)
    for ordering, said in whole.items():
        assert (at_centres(read(flat(SKY, ORDERING=ordering))).contour == said.contour).all()


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_damage_is_told(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([multi_order(), flat(SKY)])))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    try:
        read(bytes(cut))
    except BadDefinition as err:
        assert str(err).startswith("map: ")
