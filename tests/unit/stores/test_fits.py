from __future__ import annotations

import gzip
import io
import zlib

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from hypothesis import given
from hypothesis import strategies as st

from lasair.stores.fits import BadImage, primary_image
from tests.contract.cutouts import BLOCK, fits, header, unit

LIMIT = 4_000_000
WHOLE, PRIMARY = fits(1)


def made_by_astropy(shape: tuple[int, ...], dtype: str, *, cards: int = 0, extensions: int = 1) -> tuple[bytes, bytes]:
    """A file, and a file of its primary part alone."""
    first = astropy_fits.PrimaryHDU(np.arange(np.prod(shape)).reshape(shape).astype(dtype))
    for i in range(cards):
        first.header[f"KEY{i}"] = (i, "END of the story     END")
    rest = [astropy_fits.ImageHDU(np.ones((5, 5))) for _ in range(extensions)]
    both = []
    for hdus in (astropy_fits.HDUList([first, *rest]), astropy_fits.HDUList([first])):
        out = io.BytesIO()
        hdus.writeto(out)
        both.append(out.getvalue())
    return both[0], both[1]


@pytest.mark.parametrize("shape", [(30, 30), (63, 63), (1, 1), (7,), (2, 3, 4), (2, 2, 2, 2)])
@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", "u1"])
def test_cut_to_what_astropy_writes_for_the_primary_image(shape: tuple[int, ...], dtype: str) -> None:
    whole, alone = made_by_astropy(shape, dtype)
    found = bytes(primary_image(whole, LIMIT))
    assert len(found) == len(alone)
    with astropy_fits.open(io.BytesIO(found)) as hdus, astropy_fits.open(io.BytesIO(whole)) as original:
        assert len(hdus) == 1
        np.testing.assert_array_equal(hdus[0].data, original[0].data)


@pytest.mark.parametrize("cards", [30, 31, 32, 200])
def test_header_of_several_blocks(cards: int) -> None:
    whole, _ = made_by_astropy((4, 4), ">f4", cards=cards)
    with astropy_fits.open(io.BytesIO(bytes(primary_image(whole, LIMIT)))) as hdus:
        assert hdus[0].header[f"KEY{cards - 1}"] == cards - 1
        assert len(hdus) == 1


def test_zipped_and_unzipped_are_the_same() -> None:
    assert (
        bytes(primary_image(gzip.compress(WHOLE), LIMIT)) == bytes(primary_image(memoryview(WHOLE), LIMIT)) == PRIMARY
    )


def test_truth_value_may_stand_anywhere() -> None:
    """As ZTF writes it."""
    assert bytes(primary_image(unit(10, 1, "SIMPLE  =  T"), LIMIT)) == unit(10, 1, "SIMPLE  =  T")


def test_groups_count() -> None:
    whole = unit(
        30, 1, "SIMPLE  =                    T", "GCOUNT  =                    2", "PCOUNT  =                    1"
    )
    whole += b"\1" * 2 * BLOCK
    # 2 x (1 + 900) values of 4 bytes after one block of header
    assert len(primary_image(whole, LIMIT)) == BLOCK + -(-2 * 901 * 4 // BLOCK) * BLOCK


def test_filling_of_the_last_block_may_be_left_out() -> None:
    assert bytes(primary_image(PRIMARY[: BLOCK + 3600], LIMIT)) == PRIMARY[: BLOCK + 3600]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not begin"),
        (b"nonsense" * 1000, "does not begin"),
        (PRIMARY[:100], "does not begin"),
        (unit(3, 1, "SIMPLE  =                    F"), "does not begin"),
        (PRIMARY[: BLOCK + 3599], "ends after"),
        (PRIMARY[:BLOCK].replace(b"END     ", b"ENDE    ") * 3, "no END"),
        (header("SIMPLE  =  T", "BITPIX  =  -32", "NAXIS   =  0"), "no image"),
        (header("SIMPLE  =  T", "BITPIX  =  17", "NAXIS   =  1", "NAXIS1  =  1"), "BITPIX 17"),
        (header("SIMPLE  =  T", "BITPIX  =  8", "NAXIS   =  1", "NAXIS1  =  0"), "NAXIS1 0"),
        (header("SIMPLE  =  T", "BITPIX  =  8", "NAXIS   =  1", "NAXIS1  =  -5"), "NAXIS1 -5"),
        (header("SIMPLE  =  T", "BITPIX  =  8", "NAXIS   =  2", "NAXIS1  =  5"), "is not NAXIS2"),
        (header("SIMPLE  =  T", "NAXIS   =  2", "BITPIX  =  8"), "is not BITPIX"),
        (header("SIMPLE  =  T", "BITPIX  =  8", "NAXIS   =  1", "NAXIS1  =  99999999999999999"), "larger"),
        (header("SIMPLE  =  T", "BITPIX  =  8", "NAXIS   =  1", "NAXIS1  =  1", "PCOUNT  =  -9"), "negative"),
        (gzip.compress(WHOLE)[:-100], "ends early"),
        (gzip.compress(WHOLE)[:50] + b"\0" * 5000, "unzip"),
        (gzip.compress(b"\0" * 5_000_000), "unzips to more"),
        (gzip.compress(b"not FITS at all"), "does not begin"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        primary_image(data, LIMIT)


def test_unzipping_stops_at_the_limit() -> None:
    """A bomb costs no more memory than the limit."""
    bomb = zlib.compressobj(9, wbits=31)
    data = b"".join(bomb.compress(bytes(1_000_000)) for _ in range(200)) + bomb.flush()
    with pytest.raises(BadImage, match="more than 1000 bytes"):
        primary_image(data, 1000)


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)), st.booleans())
def test_any_bytes_are_an_image_or_refused(noise: bytes, at: int, zipped: bool) -> None:
    data = WHOLE[:at] + noise + WHOLE[at + len(noise) :]
    try:
        found = primary_image(gzip.compress(data, 1) if zipped else data, LIMIT)
    except BadImage:
        return
    assert 0 < len(found) <= LIMIT
    assert data.startswith(bytes(found))
