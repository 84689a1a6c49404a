"""Contents in the database: kept in pieces, never changed, gone when nothing is made of them any more."""

from __future__ import annotations

from lasair.definitions.content import PIECE_BYTES
from lasair.definitions.django import set_up

set_up()  # Django's models cannot be imported before

from lasair.definitions.models import Content, ContentPiece  # noqa: E402


def put_content(data: bytes) -> Content:
    """Keep a content; called within the transaction of the edit that uses it."""
    content: Content = Content.objects.create(bytes=len(data))
    for number, low in enumerate(range(0, len(data), PIECE_BYTES)):
        ContentPiece.objects.create(content=content, number=number, data=data[low : low + PIECE_BYTES])
    return content


def content_bytes(content: Content) -> bytes:
    """What `put_content` kept."""
    return b"".join(bytes(one) for one in content.pieces.values_list("data", flat=True))


def is_content(content: Content | None, data: bytes) -> bool:
    """Whether a content is made of these bytes; the length alone tells most of them apart."""
    return content is not None and content.bytes == len(data) and content_bytes(content) == data
