"""XML from people who mean harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasair.errors import BadDefinition
from lasair.events.xml_tree import read_xml

BOMB = (
    b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a>"""
)


def test_names_without_their_space() -> None:
    root = read_xml(b"<v:A xmlns:v='x' b='1'><v:C>t&amp;u</v:C></v:A>", "f")
    assert (root.tag, root.get("b"), root.findtext("C")) == ("A", "1", "t&u")


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        BOMB.decode().encode("utf-16"),
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/"> %x;]><a/>',
        b"<!DOCTYPE html><html></html>",
    ],
)
def test_document_types_are_refused(content: bytes) -> None:
    with pytest.raises(BadDefinition, match=r"^f: declares a document type"):
        read_xml(content, "f")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<a>",
        b"<a>&x;</a>",
        b"<a/><b/>",
        b"<?xml version='1.0' encoding='no-such'?><a/>",
        b"<?xml version='1.0' encoding='shift_jis'?><a/>",
        b"<a>\x00</a>",
        b"<a>\xff\xfe</a>",
        b"<a>" * 60 + b"</a>" * 60,
        b"<a>" + b"<b/>" * 30_000 + b"</a>",
        b"<a>" + b" " * 6_000_000 + b"</a>",
    ],
)
def test_bad_documents(content: bytes) -> None:
    with pytest.raises(BadDefinition, match=r"^f: "):
        read_xml(content, "f")


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    try:
        read_xml(b"<a>" + content, "f")
    except BadDefinition as err:
        assert str(err).startswith("f: ")
