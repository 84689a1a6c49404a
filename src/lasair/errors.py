"""Every error Lasair raises on purpose. Each message says what, which one, and what would help."""

from __future__ import annotations


class LasairError(Exception):
    """Base of all errors that a caller may want to handle; its text is fit to show to a person."""


class BadPacket(LasairError):
    """A packet, file or message from outside that cannot be read; it goes to the dead letters."""


class UnknownSchema(BadPacket):
    """The packet names a schema that is not known (yet): worth a retry when the schema has arrived."""


class BadQuery(LasairError):
    """A user's SELECT or WHERE text that is refused.

    `position` counts characters from 0 in the text of `part` ('select', 'tables', 'where', 'order by').
    """

    def __init__(self, message: str, *, part: str = "where", position: int | None = None) -> None:
        super().__init__(message)
        self.part = part
        self.position = position


class BadDefinition(LasairError):
    """A filter file, setting or other definition made by a person that cannot be used as it is."""


class StoreUnavailable(LasairError):
    """A store cannot be reached or written (disk full, locked, read-only); nothing was committed."""


class NotPermitted(LasairError):
    """The state is held by another process, or the caller has no right to what it asks for."""


class NotFound(LasairError):
    """No such object, alert, topic or filter."""
