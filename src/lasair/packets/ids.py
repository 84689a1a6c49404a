"""Object names of ZTF as integers, so that both surveys key everything by int64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LETTERS = 26
_SUFFIX = 7  # letters after the year
_NAME = 12  # len("ZTFyyaaaaaaa")


def pack_ztf(names: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """``ZTFyyaaaaaaa`` as year * 26^7 + letters, plus 1, so that no valid name is 0.

    Parameters
    ----------
    names : (n,) S16

    Returns
    -------
    (n,) int64, and (n,) bool that is False where the name is not of that form (its id is then 0).
    """
    raw = np.ascontiguousarray(names.astype("S16")).view(np.uint8).reshape(len(names), 16).astype(np.int64)
    digits = raw[:, 3:5] - ord("0")
    letters = raw[:, 5:_NAME] - ord("a")
    good = (
        (raw[:, 0] == ord("Z"))
        & (raw[:, 1] == ord("T"))
        & (raw[:, 2] == ord("F"))
        & np.all((digits >= 0) & (digits <= 9), axis=1)
        & np.all((letters >= 0) & (letters < _LETTERS), axis=1)
        & np.all(raw[:, _NAME:] == 0, axis=1)
    )
    weights = _LETTERS ** np.arange(_SUFFIX - 1, -1, -1, dtype=np.int64)
    packed = (digits[:, 0] * 10 + digits[:, 1]) * _LETTERS**_SUFFIX + letters @ weights + 1
    return np.where(good, packed, 0), good


def unpack_ztf(ids: NDArray[np.int64]) -> NDArray[np.str_]:
    """The names of packed ids, (n,) ``<U16``; inverse of `pack_ztf`."""
    value = np.asarray(ids, dtype=np.int64) - 1
    out = np.zeros((len(value), 16), np.uint8)
    out[:, 0:3] = np.frombuffer(b"ZTF", np.uint8)
    year, rest = np.divmod(value, _LETTERS**_SUFFIX)
    out[:, 3] = year // 10 + ord("0")
    out[:, 4] = year % 10 + ord("0")
    for place in range(_NAME - 1, 4, -1):
        rest, letter = np.divmod(rest, _LETTERS)
        out[:, place] = letter + ord("a")
    return out.view("S16").ravel().astype("<U16")


def object_names(survey: str, ids: NDArray[np.int64]) -> NDArray[Any]:
    """What users call the objects: the integers for LSST, the names for ZTF."""
    return unpack_ztf(ids) if survey == "ztf" else ids


def object_id(survey: str, name: str) -> int:
    """The integer behind one object's name; ValueError when it is not one of that survey."""
    if survey != "ztf":
        return int(name)
    packed, good = pack_ztf(np.array([name.encode()[:16]], "S16"))
    if not good[0]:
        raise ValueError(f"{name!r} is not a ZTF object name (ZTFyyaaaaaaa)")
    return int(packed[0])


def object_ids(survey: str, names: NDArray[Any]) -> NDArray[np.int64]:
    """The integers behind objects' names, (n,): the inverse of `object_names`; 0 for what is no name of ZTF."""
    return pack_ztf(names.astype("S16"))[0] if survey == "ztf" else np.asarray(names, np.int64)
