"""Content: unpacked as it is read, never more than allowed."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lasair.errors import BadDefinition
from lasair.events import content as module
from lasair.events.content import Content, open_content


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_and_peek(pack: object) -> None:
    found = Content.of(pack(b"abcdefgh"), "x")  # type: ignore[operator]
    assert found.peek(3) == b"abc" and found.peek(5) == b"abcde"
    assert found.read(2) == b"ab" and found.read(4) == b"cdef"
    found.skip(1)
    assert found.read(9) == b"h" and found.read(9) == b""


def test_a_bomb_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MAP_BYTES", 5_000_000)
    found = Content.of(gzip.compress(bytes(50_000_000)), "bomb.gz")
    with pytest.raises(BadDefinition, match=r"bomb\.gz: is too large"):
        found.skip(10**12)


def test_limit_of_a_notice() -> None:
    with pytest.raises(BadDefinition, match="too large"):
        Content.of(b"x" * 11, "x").read_all(10)


@pytest.mark.parametrize("cut", [3, 12, 40, -9, -1])
def test_cut_gzip(cut: int) -> None:
    packed = gzip.compress(bytes(range(256)) * 20)
    with pytest.raises(BadDefinition, match=r"^f: (ends in|its compressed|cannot be read)"):
        Content.of(packed[:cut], "f").read_all(10_000)


def test_damaged_gzip() -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 20))
    packed[30] ^= 255
    with pytest.raises(BadDefinition, match=r"^f: "):
        Content.of(bytes(packed), "f").read_all(10_000)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadDefinition, match="cannot be read"), open_content(tmp_path / "none"):
        pass
    with pytest.raises(BadDefinition, match="cannot be read"), open_content(tmp_path):
        pass
