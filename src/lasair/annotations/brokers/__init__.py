"""One adapter a broker: `annotations_of(message, source)` turns its message or reply into annotations.

An adapter fetches nothing and raises nothing. What it cannot use it hands back as refused, with the reason; a record
that simply has no class gives nothing.
"""

from __future__ import annotations
