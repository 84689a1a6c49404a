"""XML from anywhere: no document types or entities of its own, nothing from outside, not too deep, not too large."""

from __future__ import annotations

import xml.parsers.expat as expat
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder

from lasair.errors import BadDefinition

MAX_DEPTH, MAX_ELEMENTS, MAX_XML_BYTES = 50, 20_000, 5_000_000


def read_xml(content: bytes, label: str) -> Element:
    """The root of a document; names of elements are without their name space.

    Raises
    ------
    BadDefinition
        It is no XML, or declares a document type or entities (which can grow without bounds or name other files), or
        is too large or too deep.
    """
    if len(content) > MAX_XML_BYTES:
        raise BadDefinition(f"{label}: has {len(content)} bytes of XML; at most {MAX_XML_BYTES} are taken")
    builder = _Builder(label)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    parser.UnparsedEntityDeclHandler = builder.refuse
    parser.ExternalEntityRefHandler = builder.refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as err:
        raise BadDefinition(f"{label}: is no XML that can be read: {err}") from err
    except (ValueError, LookupError) as err:  # a letters' encoding that is not known
        raise BadDefinition(f"{label}: is no XML that can be read: {str(err)[:200]}") from err
    return builder.root()


class _Builder:
    def __init__(self, label: str) -> None:
        self._label, self._tree = label, TreeBuilder()
        self._depth = self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise BadDefinition(f"{self._label}: its XML is larger or deeper than any notice is")
        self._tree.start(name.rsplit(":", 1)[-1], dict(attributes))

    def end(self, name: str) -> None:
        self._depth -= 1
        self._tree.end(name.rsplit(":", 1)[-1])

    def data(self, text: str) -> None:
        self._tree.data(text)

    def refuse(self, *_: Any) -> NoReturn:
        raise BadDefinition(f"{self._label}: declares a document type or entities, which is refused")

    def root(self) -> Element:
        return self._tree.close()
