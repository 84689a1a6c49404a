"""Names of public streams."""

from __future__ import annotations

import hashlib
import re

#: Kafka takes no longer topic names.
KAFKA_LONGEST = 249

_LONGEST_NAME = 128
_HALF = _LONGEST_NAME // 2
_REFUSED = re.compile(r"[^A-Za-z0-9_.-]")
_HASHED = re.compile(r".*_[0-9a-f]{8}", re.DOTALL)


def topic_name(user_id: int, name: str) -> str:
    """The topic of a user's filter: ``lasair_<user id>_<name>``, the name in letters that Kafka takes.

    ASCII letters, digits, ``_``, ``-`` and ``.`` of the name stay; of more than 128 characters the first and last 64
    do. Where that changed the name, ``_`` and 8 hexadecimal digits of its SHA-256 (UTF-8) follow. They also follow
    where a name ends like that by itself: otherwise the plain name ``x_01234567`` could take the topic of another
    name whose shortened form is ``x`` and whose digest begins so.

    Two names of one user thus meet only when both their shortened forms and their digests' first 32 bits agree;
    `definitions.edit` refuses the second of such a pair. Names of two users never meet: the id ends at the first ``_``.

    Raises
    ------
    ValueError
        `user_id` is negative.
    """
    if user_id < 0:
        raise ValueError(f"a user id is not negative: {user_id}")
    kept = _REFUSED.sub("", name)
    if len(kept) > _LONGEST_NAME:
        kept = kept[:_HALF] + kept[-_HALF:]
    if kept != name or _HASHED.fullmatch(name):
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        kept = f"{kept}_{digest[:8]}"
    return f"lasair_{user_id}_{kept}"
