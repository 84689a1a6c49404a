"""A feed of files: whatever is put into a folder, or into folders below it, each file once."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from lasair.feeds.source import BATCH_BYTES, FeedMessage, FeedUnavailable
from lasair.feeds.store import FeedStore, digest

log = logging.getLogger(__name__)

#: Endings of files that are being written.
UNFINISHED: Final = (".part", ".partial", ".tmp", ".crdownload")
#: Largest file that is taken.
MOST_BYTES: Final = 300_000_000
#: Longest wait for a file to be complete when the folder is read once.
_PATIENCE_S: Final = 30.0


class _Seen(NamedTuple):
    """A file as a look at the folder finds it."""

    name: str
    path: Path
    size: int
    mtime: float
    #: changes whenever the file does
    stamp: str
    #: of its inode: a copy may keep the time of modification of the original, not this
    ctime: float


class FolderFeed:
    """The files of a folder, in order of their times of modification.

    A file is complete when it has not changed for `settle_s`. Hidden files and those whose name ends as if they were
    being written are passed over, and so are links: who may write in the folder may not thereby read other files.
    A file that was taken comes again only when its content is another one.

    Parameters
    ----------
    feed : name of the feed in `store`
    topic : of files that lie in the folder itself; those in folders below have the name of theirs
    poll_s : time between looks at the folder [s]
    """

    def __init__(
        self,
        feed: str,
        folder: Path,
        store: FeedStore,
        *,
        topic: str = "",
        batch: int = 100,
        poll_s: float = 2.0,
        settle_s: float = 2.0,
    ) -> None:
        self._feed, self._folder, self._store, self._topic = feed, folder, store, topic
        self._batch, self._poll_s, self._settle_s = batch, poll_s, settle_s
        self._stamps = store.stamps(feed)
        #: name -> (stamp, when it was seen first), of files that may still be changing
        self._growing: dict[str, tuple[str, float]] = {}
        self._in_hand: list[tuple[str, str, str]] = []
        self._problems: dict[str, str] = {}
        self._next_complaint = 0.0

    def batches(self, stop: threading.Event, *, once: bool) -> Iterator[list[FeedMessage]]:
        """See `Feed`."""
        end = time.monotonic() + _PATIENCE_S
        while not stop.is_set():
            try:
                ready, growing = self._ready()
            except FeedUnavailable as err:
                if once:
                    raise
                self._complain(str(err))
                ready, growing = [], 0
            for batch in self._read(ready):
                yield batch
                if stop.is_set():
                    return
            if once and not growing:
                return
            if once and time.monotonic() > end:
                log.warning(f"feed {self._feed}: {growing} files in {self._folder} are still changing: not taken")
                return
            stop.wait(min(self._poll_s, self._settle_s) if growing else self._poll_s)

    def commit(self) -> None:
        """See `Feed`."""
        self._store.note_files(self._feed, self._in_hand)
        self._stamps.update({name: stamp for name, _, stamp in self._in_hand})
        self._in_hand = []

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """See `Feed`."""
        stop.wait(seconds)

    def look(self) -> dict[str, Any]:
        """See `Feed`."""
        seen = list(self._look())
        new = [one for one in seen if self._stamps.get(one.name) != one.stamp]
        return {
            "folder": str(self._folder),
            "files": len(seen),
            "waiting": len(new),
            "next": [one.name for one in new[:5]],
        }

    def close(self) -> None:
        """See `Feed`."""

    def _look(self) -> Iterator[_Seen]:
        """The files that may be taken, oldest first."""
        if not self._folder.is_dir():
            raise FeedUnavailable(f"there is no folder {self._folder}; make it, or correct 'folder' of this feed")
        if not os.access(self._folder, os.R_OK | os.X_OK):
            raise FeedUnavailable(f"the folder {self._folder} may not be read by this user")
        found: list[_Seen] = []
        for here, folders, files in os.walk(self._folder):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            for file in files:
                if file.startswith(".") or file.lower().endswith(UNFINISHED):
                    continue
                path = Path(here, file)
                try:
                    facts = path.lstat()
                except OSError:
                    continue  # it has just gone
                if stat.S_ISREG(facts.st_mode):
                    stamp = f"{facts.st_size}/{facts.st_mtime_ns}/{facts.st_ctime_ns}/{facts.st_ino}"
                    name = os.fsencode(path.relative_to(self._folder)).decode(errors="backslashreplace")
                    found.append(_Seen(name, path, facts.st_size, facts.st_mtime, stamp, facts.st_ctime))
        yield from sorted(found, key=lambda one: (one.mtime, one.name))

    def _ready(self) -> tuple[list[_Seen], int]:
        """The files that are complete and new, and how many more are still changing."""
        ready: list[_Seen] = []
        growing: dict[str, tuple[str, float]] = {}
        now, clock = time.time(), time.monotonic()
        for one in self._look():
            if self._stamps.get(one.name) == one.stamp or self._problems.get(one.name) == one.stamp:
                continue
            before = self._growing.get(one.name)
            first = before[1] if before and before[0] == one.stamp else clock
            # two clocks: that of the file system may be wrong, then the second look decides
            if now - max(one.mtime, one.ctime) >= self._settle_s or clock - first >= self._settle_s:
                ready.append(one)
            else:
                growing[one.name] = (one.stamp, first)
        self._growing = growing
        return ready, len(growing)

    def _read(self, ready: list[_Seen]) -> Iterator[list[FeedMessage]]:
        batch: list[FeedMessage] = []
        size = 0
        for one in ready:
            if batch and (len(batch) >= self._batch or size + one.size > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            message = self._message(one)
            if message is not None:
                batch.append(message)
                size += one.size
        if batch:
            yield batch
        elif self._in_hand:
            self.commit()  # files that were touched, with the content they had

    def _message(self, one: _Seen) -> FeedMessage | None:
        """The file as a message; None when it was taken before, or is changing again."""
        below = one.name.rpartition("/")[0]
        topic = below.rpartition("/")[2] or self._topic
        message = FeedMessage(topic, 0, 0, None, b"", one.mtime, name=one.name)
        if one.size > MOST_BYTES:
            self._problems[one.name] = one.stamp
            return message._replace(problem=f"has {one.size} bytes; {MOST_BYTES} are the most")
        try:
            value = _content(one.path)
        except FileNotFoundError:
            return None
        except OSError as err:
            # not remembered beyond this run: whoever mends it need not touch the file
            self._problems[one.name] = one.stamp
            return message._replace(problem=f"cannot be read: {err.strerror or err}")
        if len(value) != one.size:
            return None
        found = digest(value)
        self._in_hand.append((one.name, found, one.stamp))
        return None if self._store.taken(self._feed, one.name, found) else message._replace(value=value)

    def _complain(self, text: str) -> None:
        if time.monotonic() >= self._next_complaint:
            log.warning(f"feed {self._feed}: {text}")
            self._next_complaint = time.monotonic() + 60.0


def _content(path: Path) -> bytes:
    # not blocking: a pipe may have taken the file's place
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise FileNotFoundError(path)
        return file.read(MOST_BYTES + 1)
