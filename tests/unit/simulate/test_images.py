from __future__ import annotations

import gzip
import io
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from astropy.wcs import WCS

from lasair.schema.model import Survey
from lasair.simulate import fits
from lasair.simulate.images import Artist, Scenes, point_sources, spoiled_cutout


def scenes(n: int, **values: Any) -> Scenes:
    """n scenes of a bright source without host or noise, changed as wanted."""
    usual = {
        "flux": 1e4, "star": 5e3, "seeing": 0.9, "pixel_noise": 0.0, "host_flux": 0.0, "host_east": 0.0,
        "host_north": 0.0, "host_size": 1.0, "host_ratio": 1.0, "host_angle": 0.0, "ra": 150.0, "decl": 2.0,
        "x": 1000.5, "y": 2000.5, "lot": 0.5, "angle": 0.0,
    }  # fmt: skip
    columns = {name: np.full(n, value, np.float64) for name, value in (usual | values).items() if name != "dipole"}
    columns["dipole"] = np.full(n, bool(values.get("dipole")))
    assert set(columns) == {one.name for one in fields(Scenes)}
    return Scenes(**columns)  # type: ignore[arg-type]


def artist(survey: Survey, *, extensions: bool = False) -> Artist:
    return Artist(survey, np.random.default_rng(1), extensions=extensions)


def opened(data: bytes) -> Any:
    with astropy_fits.open(io.BytesIO(data)) as file:
        file.verify("exception")
        return [(hdu.header.copy(), np.array(hdu.data)) for hdu in file]


def test_the_flux_of_a_point_source_is_in_its_pixels() -> None:
    pixels = np.arange(-30.0, 31.0)[None, :]
    image = point_sources(pixels, pixels + 0.3, np.array([4.0]))[0]
    assert image.sum() == pytest.approx(1.0, abs=0.01)
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert (row, column) == (30, 30)


def test_difference_is_science_minus_a_perfect_template() -> None:
    images = artist("lsst").draw(scenes(2, host_flux=3e4))
    assert images["science"] - images["template"] == pytest.approx(images["difference"], abs=1.0)
    assert images["difference"].sum(axis=(1, 2)) == pytest.approx([1e4, 1e4], rel=0.03)
    # the template holds star and host
    assert images["template"].sum(axis=(1, 2)) == pytest.approx([3.5e4, 3.5e4], rel=0.1)


def test_noise_is_that_of_the_scene() -> None:
    images = artist("lsst").draw(scenes(3, flux=0.0, star=0.0, pixel_noise=50.0, lot=0.3))
    assert images["difference"].std() == pytest.approx(50.0, rel=0.1)
    assert images["template"].std() == pytest.approx(12.5, rel=0.1)


def test_a_dipole_has_two_lobes() -> None:
    image = artist("ztf").draw(scenes(1, dipole=True, seeing=2.0))["difference"][0]
    assert image.min() < -0.3 * image.max()


def test_a_host_lies_where_the_coordinates_say() -> None:
    one = scenes(1, star=0.0, host_flux=1e5, host_east=2.0, host_north=1.0, host_size=0.5, angle=30.0)
    data = artist("lsst").files(one)[0][2]
    header, template = opened(data)[0]
    row, column = np.unravel_index(template.argmax(), template.shape)
    sky = WCS(header).pixel_to_world(column, row)
    assert (sky.ra.deg - 150.0) * np.cos(np.radians(2.0)) * 3600 == pytest.approx(2.0, abs=0.2)
    assert (sky.dec.deg - 2.0) * 3600 == pytest.approx(1.0, abs=0.2)


def test_lsst_cutouts_are_fits_files_of_the_survey_s_size() -> None:
    (difference, science, template), second = artist("lsst", extensions=True).files(scenes(2, pixel_noise=20.0))
    assert len(difference) == len(science) == len(template) == len(second[0]) == 34_560
    for data in (difference, science, template):
        (header, primary), (uncert, variance), (psf_header, psf) = opened(data)
        assert header["BUNIT"] == "nJy"
        assert primary.shape == variance.shape == (30, 30)
        assert primary.dtype == ">f4"
        assert (uncert["EXTNAME"], psf_header["EXTNAME"]) == ("UNCERT", "PSFIMAGE")
        assert psf.shape == (41, 41)
        assert psf.sum() == pytest.approx(1.0, abs=0.01)
        assert (variance > 0).all()
    header, primary = opened(difference)[0]
    # the source is at the reference point
    assert (header["CRVAL1"], header["CRVAL2"]) == pytest.approx((150.0, 2.0))
    row, column = np.unravel_index(primary.argmax(), primary.shape)
    assert abs(column + 1 - header["CRPIX1"]) <= 1
    assert abs(row + 1 - header["CRPIX2"]) <= 1


def test_without_extensions_only_the_image_is_left() -> None:
    assert [len(one) for one in artist("lsst").files(scenes(1))[0]] == [8640] * 3


def test_ztf_cutouts_are_gzipped_fits_files() -> None:
    files = artist("ztf").files(scenes(2, pixel_noise=20.0, seeing=2.0))
    for data in files[0]:
        assert 10_000 < len(data) < 16_000
        ((header, primary),) = opened(gzip.decompress(data))
        assert header["BUNIT"] == "DN"
        assert primary.shape == (63, 63)


def test_beyond_the_chip_there_is_no_data() -> None:
    images = artist("ztf").files(scenes(1, x=10.0, pixel_noise=1.0))
    ((_, primary),) = opened(gzip.decompress(images[0][0]))
    assert np.isnan(primary[:, :21]).all()
    assert np.isfinite(primary[:, 22:]).all()


@pytest.mark.parametrize(("name", "side"), [("huge_cutout", 1600), ("large_cutout", 100)])
def test_oversized_cutouts_are_images(name: str, side: int) -> None:
    ((_, primary),) = opened(spoiled_cutout(name, "nJy", np.random.default_rng(1)))
    assert primary.shape == (side, side)


def test_broken_and_empty_cutouts_are_none() -> None:
    assert spoiled_cutout("empty_cutout", "nJy", np.random.default_rng(1)) == b""
    with pytest.raises(OSError, match="SIMPLE"):
        opened(spoiled_cutout("broken_cutout", "nJy", np.random.default_rng(1)))


def test_headers_fill_whole_blocks() -> None:
    assert len(fits.header(*[(f"KEY{k}", str(k)) for k in range(35)])) == 2880
    assert len(fits.header(*[(f"KEY{k}", str(k)) for k in range(36)])) == 5760
    assert gzip.decompress(fits.gzipped(b"abc" * 100)) == b"abc" * 100
