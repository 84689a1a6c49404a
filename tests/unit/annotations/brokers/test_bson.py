"""BSON: values written by its specification, and damage."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.annotations.brokers import bson
from lasair.errors import BadPacket
from tests.unit.annotations.brokers import made

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=6)


@given(DOCUMENTS)
def test_documents_come_back(document: dict[str, Any]) -> None:
    assert bson.read(made.bson(document)) == document


def test_the_example_of_the_specification() -> None:
    assert bson.read(b"\x16\x00\x00\x00\x02hello\x00\x06\x00\x00\x00world\x00\x00") == {"hello": "world"}


def test_kinds_that_are_passed_over() -> None:
    elements = (
        b"\x07a\x00" + b"i" * 12
        + b"\x0bb\x00pattern\x00i\x00"
        + b"\x0cc\x00" + struct.pack("<i", 2) + b"x\x00" + b"i" * 12
        + b"\x0fd\x00" + struct.pack("<i", 9) + b"12345"
        + b"\x11e\x00" + b"t" * 8
        + b"\x13f\x00" + b"d" * 16
        + b"\xffg\x00\x7fh\x00\x06i\x00"
        + b"\x10j\x00" + struct.pack("<i", 7)
        + b"\x09k\x00" + struct.pack("<q", 1_700_000_000_000)
    )  # fmt: skip
    document = struct.pack("<i", len(elements) + 5) + elements + b"\x00"
    assert bson.read(document) == dict.fromkeys("abcdefghi") | {"j": 7, "k": 1_700_000_000_000}


@given(DOCUMENTS, st.data())
def test_damage_is_refused_or_read(document: dict[str, Any], data: st.DataObject) -> None:
    whole = bytearray(made.bson(document))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for damaged in (bytes(whole), bytes(whole[: data.draw(st.integers(0, len(whole)))])):
        try:
            assert isinstance(bson.read(damaged), dict)
        except BadPacket:
            continue


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    try:
        assert isinstance(bson.read(data), dict)
    except BadPacket:
        return


def test_depth_is_bounded() -> None:
    document: dict[str, Any] = {}
    for _ in range(bson.MAX_DEPTH + 1):
        document = {"a": document}
    with pytest.raises(BadPacket, match="nested"):
        bson.read(made.bson(document))
