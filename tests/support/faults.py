"""Faults of the machine, made on purpose: no right to write, no room on the disk, death in the middle."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CAPABILITY_VERSION_3 = 0x20080522
_SETS = 6  # effective, permitted, inheritable; each of two words


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Within, nothing under `folder` can be written or made, not even by root (whose right to do so is put off)."""
    entries = [folder, *folder.rglob("*")]
    modes = {one: one.stat().st_mode for one in entries}
    for one in entries:
        one.chmod(modes[one] & ~0o222)
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    rights = (ctypes.c_uint32 * _SETS)()
    if libc.capget(header, rights):
        raise OSError(ctypes.get_errno(), "capget")
    effective = rights[0], rights[3]
    try:
        rights[0] = rights[3] = 0
        if libc.capset(header, rights):
            raise OSError(ctypes.get_errno(), "capset")
        yield
    finally:
        rights[0], rights[3] = effective
        libc.capset(header, rights)
        for one, mode in modes.items():
            if one.exists():
                one.chmod(mode)


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """Within, no file can grow beyond `most_bytes` (the system says EFBIG, as it says ENOSPC of a full disk)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)


def kill_while(work: Callable[[Callable[[int], None]], None], acknowledgements: int, wait_s: float) -> list[int]:
    """Run `work` in a process of its own and kill it (SIGKILL) `wait_s` after its n-th acknowledgement.

    `work` calls its argument with a number whenever something is safely done; returns these numbers.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            work(lambda number: void(os.write(writing, number.to_bytes(4, "little"))))
        finally:
            os._exit(1)
    os.close(writing)
    done = b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while len(done) < 4 * acknowledgements and (some := pipe.read(4)):
            done += some
        signal.sigtimedwait([], wait_s)
        os.kill(child, signal.SIGKILL)
        while some := pipe.read(4096):
            done += some
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the process ended by itself ({status})"
    return [int.from_bytes(done[i : i + 4], "little") for i in range(0, len(done), 4)]


def void(_: object) -> None:
    """Take any value."""
