from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.packets.ids import object_id, object_names, pack_ztf, unpack_ztf

NAMES = st.from_regex(r"ZTF[0-9]{2}[a-z]{7}", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=20))
def test_names_survive(names: list[str]) -> None:
    packed, good = pack_ztf(np.array(names, "S16"))
    assert good.all() and (packed > 0).all()
    assert unpack_ztf(packed).tolist() == names
    assert [object_id("ztf", name) for name in names] == packed.tolist()
    assert object_names("ztf", packed).tolist() == names


@given(NAMES, NAMES)
def test_ids_differ_and_keep_the_order_of_names(one: str, other: str) -> None:
    assert (one < other) == (object_id("ztf", one) < object_id("ztf", other))


@pytest.mark.parametrize(
    "name", ["", "ZTF", "ZTF1aaaaaaaa", "ZTF18aaaaaaA", "ZTF18aaaaaaaa", "XTF18aaaaaaa", "ZTF18aaaaaa{"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a ZTF object name"):
        object_id("ztf", name)


def test_lsst_names_are_numbers() -> None:
    assert object_id("lsst", "313853530107641900") == 313853530107641900
    ids = np.array([5], np.int64)
    assert object_names("lsst", ids) is ids
