"""Cutouts for the eye."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.errors import BadPacket

_ZOOM = 6  # screen pixels a survey pixel


def pixels_of_fits(data: bytes) -> NDArray[np.float64]:
    """The primary image of a FITS file, (height, width); BadPacket when there is none."""
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with fits.open(io.BytesIO(data), memmap=False) as file:
                image: Any = file[0].data
        except (OSError, ValueError, TypeError) as err:
            raise BadPacket(f"the image is not readable FITS: {err}") from err
    if image is None or image.ndim != 2:
        raise BadPacket("the FITS file holds no two-dimensional image")
    return np.asarray(image, dtype=np.float64)


def png_of_fits(data: bytes) -> bytes:
    """A grey PNG, north-south as stored, stretched by arcsinh between the 1st and the 99.5th percentile."""
    from PIL import Image

    image = pixels_of_fits(data)
    good = image[np.isfinite(image)]
    low, high = np.percentile(good, (1.0, 99.5)) if good.size else (0.0, 1.0)
    scaled = np.clip((np.nan_to_num(image, nan=low) - low) / max(high - low, 1e-30), 0, 1)
    grey = (255 * np.arcsinh(5 * scaled) / np.arcsinh(5)).astype(np.uint8)[::-1]
    sink = io.BytesIO()
    Image.fromarray(grey).resize((grey.shape[1] * _ZOOM, grey.shape[0] * _ZOOM), Image.Resampling.NEAREST).save(
        sink, "PNG"
    )
    return sink.getvalue()
