"""Alert packets: bytes to columns.

Importing this package is cheap; numba is loaded when something is decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lasair.packets.batch import CUTOUT_KINDS, AlertBatch, Message, Refused

if TYPE_CHECKING:
    from lasair.packets.files import read_messages
    from lasair.packets.notebook import read, record
    from lasair.packets.schemas import SchemaSource

__all__ = ["CUTOUT_KINDS", "AlertBatch", "Message", "Refused", "SchemaSource", "read", "read_messages", "record"]

_LAZY = {
    "SchemaSource": "lasair.packets.schemas",
    "read": "lasair.packets.notebook",
    "read_messages": "lasair.packets.files",
    "record": "lasair.packets.notebook",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
